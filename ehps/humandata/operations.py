"""What one does with whole files: look at one, thin it out, put several together, leave bad rows out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ehps.atomic import scratch
from ehps.errors import UsageError
from ehps.humandata import merging, quality, schema
from ehps.humandata.core import HumanData
from ehps.humandata.exclusions import exclude, excluded_rows, names_nobody, read_exclusions
from ehps.humandata.passport import CAMERA
from ehps.humandata.storage import h5, npz
from ehps.humandata.strings import Strings


def info(hd: HumanData) -> dict[str, Any]:
    """What is in ``hd``, JSON-able: path, instances, bytes, passport, misc, quality summary and ``columns``, each
    with name, dtype, shape, unit, meaning, bytes, and for keypoints the number of names. Reads no rows."""
    head = hd[:0]
    columns = [_column_info(name, head[name], hd) for name in hd.columns]
    return {
        "path": None if hd.source is None else str(hd.source),
        "instances": len(hd),
        "bytes": sum(column["bytes"] for column in columns),
        "passport": hd.passport.to_dict(),
        "misc": hd.misc,
        "quality": hd.quality,
        "columns": columns,
    }


def _column_info(name: str, head: Any, hd: HumanData) -> dict[str, Any]:
    item = schema.field(name)
    tail = () if isinstance(head, Strings) else head.shape[1:]
    row = 4 if isinstance(head, Strings) else head.dtype.itemsize * int(np.prod(tail, dtype=np.int64))
    words = head.vocabulary.blob.nbytes + head.vocabulary.offsets.nbytes if isinstance(head, Strings) else 0
    return {
        "name": name,
        "dtype": schema.TEXT if isinstance(head, Strings) else str(head.dtype),
        "shape": [len(hd), *tail],
        "unit": item.unit if item else "",
        "meaning": _meaning(item, hd) if item else "",
        "bytes": row * len(hd) + words,
        "points": len(hd.keypoint_names[name]) if name in hd.keypoint_names else None,
    }


def _meaning(item: schema.Field, hd: HumanData) -> str:
    """What the column holds; of bodies that are not known to be in the camera frame this is not claimed."""
    frame = hd.passport.frame
    return item.meaning if frame == CAMERA else item.meaning.replace("in the camera frame", f"in frame {frame}")


def sample(hd: HumanData, *, interval: int | None = None, limit: int | None = None, seed: int = 0) -> HumanData:
    """Fewer rows: every ``interval``-th, or ``limit`` random ones in file order (the same ones for the same ``seed``).

    ``interval`` multiplies the passport's ``sampling``; both leave a note in ``misc['sampled']``.

    Raises
    ------
    UsageError : neither or both given, below 1, or more rows wanted than there are.
    """
    if (interval is None) == (limit is None):
        raise UsageError("sample takes either interval or limit")
    if interval is not None:
        if interval < 1:
            raise UsageError(f"interval {interval} is below 1")
        out = hd[::interval]
        out.passport = hd.passport.with_(sampling=hd.passport.sampling * interval)
        out.misc = {**hd.misc, "sampled": {"interval": interval, "of": len(hd)}}
        return out
    assert limit is not None
    if not 0 < limit <= len(hd):
        raise UsageError(f"{limit} rows wanted of {len(hd)}", path=hd.source)
    rows = np.sort(np.random.default_rng(seed).choice(len(hd), limit, replace=False))
    out = hd[rows]
    out.misc = {**hd.misc, "sampled": {"limit": limit, "seed": seed, "of": len(hd)}}
    return out


@dataclass(frozen=True)
class Merged:
    """What a merge wrote.

    Attributes
    ----------
    out : the file.
    instances : its rows.
    left_out : columns that are not in it, with the files that lack them.
    excluded : rows that were left out because an exclusion list names them.
    """

    out: Path
    instances: int
    left_out: dict[str, list[str]] = field(default_factory=dict)
    excluded: int = 0


def merge(paths: Sequence[Path], out: Path, *, without: Path | None = None) -> Merged:
    """All rows of the files, in order, in one; the columns and constants that all with rows have. Bounded memory.

    Parameters
    ----------
    without : an exclusion list; rows that it names are left out.

    Raises
    ------
    PassportError : the files give their numbers different meanings; the message names the field. Or the genders of
        their body models differ, and a file does not say which it has. Or what is needed to move bodies of an unknown
        frame to the camera would be lost.
    DataError : a file is damaged (the hashes of an ``.h5`` are compared), a column has different shapes, ``out`` cannot
        be written, or the exclusion list names no row of any file.
    """
    if not paths:
        raise UsageError("nothing to merge")
    out = Path(out)
    if out.suffix.lower() not in (".h5", ".npz"):
        raise UsageError("a HumanData file ends in .h5 or .npz", path=out)
    for path in paths:
        if Path(path).suffix.lower() == ".h5":
            h5.check_bytes(path)
    entries = [] if without is None else read_exclusions(without)
    excluded = sum(int(excluded_rows(HumanData.open(path), entries).sum()) for path in paths) if entries else 0
    if without is not None and entries and not excluded:
        raise names_nobody(without, entries, paths)

    def tables() -> Iterator[HumanData]:
        return (exclude(HumanData.open(path), entries) if entries else HumanData.open(path) for path in paths)

    files = _filled([merging.Outline.of(table) for table in tables()])
    passport = merging.joint_passport(files)
    by_row = merging.need_gender_rows([file.passport for file in files])

    def opened() -> Iterator[HumanData]:
        return map(merging.with_gender_rows, tables()) if by_row else tables()

    if by_row:
        files = _filled([merging.Outline.of(table) for table in opened()])
    columns = merging.common_columns([file.columns for file in files])
    left_out = {
        name: [str(file.path) for file in files if name not in file.columns]
        for name in dict.fromkeys(name for file in files for name in file.columns)
        if name not in columns
    }
    whole: dict[str, Any] = {
        "passport": passport,
        "misc": merging.common_misc([file.misc for file in files]) | ({"excluded": excluded} if excluded else {}),
        "quality": quality.of_rows(opened()),
        "columns": columns,
    }
    if out.suffix.lower() == ".h5":
        h5.join(opened, out, **whole)
    else:
        with scratch(out) as folder:
            h5.join(opened, folder / out.with_suffix(".h5").name, **whole)
            npz.write(h5.read(folder / out.with_suffix(".h5").name), out)
    return Merged(out, sum(file.rows for file in files), left_out, excluded)


def _filled(files: Sequence[merging.Outline]) -> list[merging.Outline]:
    """Those with rows, the first where none has any."""
    return [file for file in files if file.rows] or list(files[:1])
