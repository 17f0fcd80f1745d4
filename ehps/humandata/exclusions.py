"""Exclusion lists: rows to leave out, with reasons, as audits and checks of images write them.

JSON: a list of objects with ``dataset``, ``id`` and ``reason``. Text: one id a line, after a tab the reason. An id is
an ``image_path``, for all rows of that image, or that of one instance (see :mod:`ehps.humandata.instance_ids`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ehps.arrays import Mask
from ehps.atomic import write_text
from ehps.errors import DataError
from ehps.foreign_files import regular
from ehps.humandata.core import HumanData
from ehps.humandata.image_files import FOLDERS
from ehps.humandata.instance_ids import rows_with_ids
from ehps.json_files import read_json


def exclude(hd: HumanData, entries: Iterable[Mapping[str, str]], dataset: str | None = None) -> HumanData:
    """``hd`` without the rows that an exclusion list names.

    Do this before taking rows out otherwise: some ids count the persons of an image.

    Parameters
    ----------
    entries : with ``dataset`` and ``id`` (see :mod:`ehps.humandata.instance_ids`), as an audit writes them. Entries of
        other datasets and rows that are not in the file are passed over; one without ``dataset`` is of any.
    dataset : of the rows; by default what ``meta/dataset`` or the passport says.

    Raises
    ------
    DataError : an entry has no id.
    """
    keep = ~excluded_rows(hd, entries, dataset)
    out = hd[keep]
    out.misc = {**hd.misc, "excluded": int(hd.misc.get("excluded", 0)) + int((~keep).sum())}
    return out


def excluded_rows(hd: HumanData, entries: Iterable[Mapping[str, str]], dataset: str | None = None) -> Mask:
    """(N,) rows that an exclusion list names, see :func:`exclude`.

    Raises
    ------
    DataError : an entry has no id.
    """
    by_dataset: dict[str | None, list[str]] = {}
    for entry in entries:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("id"), str):
            raise DataError(f"{entry!r} in the exclusion list has no id", fix="write dataset, id and reason")
        by_dataset.setdefault(entry.get("dataset"), []).append(entry["id"])
    named = np.zeros(len(hd), bool)
    stated = dataset or hd.passport.dataset
    own = {stated, *stated.split("+")}
    for name, ids in by_dataset.items():
        labels = [label for label in hd.misc.get(FOLDERS, {}) if name is None or label.startswith(name)]
        rows = rows_with_ids(hd, [*ids, *(f"{label}/{word}" for label in labels for word in ids)])
        if name is not None and dataset is None and "meta/dataset" in hd:
            rows = rows[hd["meta/dataset"][rows].equals(name)]
        elif name is not None and name not in own:
            continue
        named[rows] = True
    return named


def listed_rows(hd: HumanData, path: Path | str) -> Mask:
    """(N,) rows that an exclusion list file names.

    Raises
    ------
    DataError : the file is no such list, or names rows and none of ``hd``.
    """
    entries = read_exclusions(Path(path))
    named = excluded_rows(hd, entries)
    if entries and not named.any():
        raise names_nobody(Path(path), entries, [hd.source])
    return named


def names_nobody(path: Path, entries: Sequence[Mapping[str, str]], files: Sequence[Path | None]) -> DataError:
    """The error of a list that was made for other files."""
    first = entries[0]
    where = f" of {first['dataset']}" if "dataset" in first else ""
    shown = ", ".join(str(file) for file in files[:3])
    what = f"names no row of {shown}: its first entry, {first['id']!r}{where}, is not there"
    return DataError(what, path=path, fix="give the list that was made of this file")


def read_exclusions(path: Path) -> list[dict[str, str]]:
    """The entries of an exclusion list file.

    A file that ends in ``.json`` or begins with ``[`` is JSON, any other is text; its lines that begin with ``#`` and a
    space are passed over.

    Raises
    ------
    DataError : absent or not such a list.
    """
    path = regular(path)
    fix = "give the exclude.json of an audit, or the list of `ehps humandata verify`"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DataError(f"is not a readable exclusion list ({error})", path=path, fix=fix) from None
    if path.suffix.lower() == ".json" or text.lstrip().startswith("["):
        return list(read_json(path, [{"id": str, "dataset?": (str, None)}], fix=fix))
    lines = [line.partition("\t") for line in text.splitlines() if line.strip() and not line.startswith("# ")]
    return [{"id": name.strip(), "reason": reason.strip()} for name, _, reason in lines]


def write_exclusions(entries: Sequence[Mapping[str, str]], path: Path | str) -> Path:
    """Write an exclusion list: JSON where ``path`` ends in ``.json``, otherwise text.

    Raises
    ------
    DataError : ``path`` cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() == ".json":
        return write_text(path, json.dumps(list(entries), indent=1, ensure_ascii=False) + "\n")
    lines = [f"{entry['id']}\t{entry['reason']}\n" for entry in entries]
    return write_text(path, "".join(["# image_path or id, tab, reason\n", *lines]))
