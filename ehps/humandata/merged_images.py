"""Image paths of several files in one: each image folder has a label, which its paths begin with in the merged file.

``misc["image_folders"]`` says which folder a label stands for; :func:`ehps.humandata.image_files.images_of` reads it.
Files whose images are all in one folder, or of which nobody knows the folder, keep their paths; that one folder has the
empty label.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

import numpy as np

from ehps.arrays import Array
from ehps.errors import UsageError
from ehps.humandata.core import HumanData
from ehps.humandata.image_files import FOLDERS, stated_folders
from ehps.humandata.passport import Passport
from ehps.humandata.strings import Strings, Vocabulary
from ehps.humandata.table import Table

PATHS = ("image_path", "vertices3d_path", "segmentation", "part_segmentation")
PRIME = np.uint64(1099511628211)

AnyTable = TypeVar("AnyTable", bound=Table)


@dataclass(frozen=True)
class Labels:
    """How the paths of one file begin in the merged one.

    Attributes
    ----------
    new : first part of a path -> what it becomes; ``""`` for a label before all paths.
    """

    new: Mapping[str, str]

    def apply(self, table: AnyTable) -> AnyTable:
        """``table`` with relabelled paths."""
        if all(old == new for old, new in self.new.items()):
            return table
        paths = {name: table[name] for name in PATHS if name in table}
        held = {name: column for name, column in paths.items() if isinstance(column, Strings)}
        return table.with_columns({name: self._relabelled(column) for name, column in held.items()})

    def _relabelled(self, column: Strings) -> Strings:
        used, codes = np.unique(column.codes, return_inverse=True)
        words = [self._path(word) for word in column.vocabulary.texts(used)]
        return Strings(codes.astype(np.int32), Vocabulary.of(words))

    def _path(self, path: str) -> str:
        if "" in self.new:
            return f"{self.new['']}/{path}"
        label, _, rest = path.partition("/")
        return f"{self.new.get(label, label)}/{rest}" if rest else path


def known_folder(path: Path, given: Mapping[str, Path]) -> Path | None:
    """The image folder of a file: the one given for it, else the one that its conversion's report names.

    Parameters
    ----------
    given : file, its name or its name without ending -> folder.
    """
    for name in (str(path), path.name, path.stem):
        if name in given:
            return given[name]
    try:
        report = json.loads(path.with_name(f"{path.name}.report.json").read_text(encoding="utf-8"))
        return Path(report["image_folder"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def default_folder(data: Path) -> Path:
    """The image folder of a file when none is given: the one that the file or its conversion's report names, else the
    file's own folder."""
    if not data.is_file():
        return data.parent
    stated = stated_folders(HumanData.open(data).misc, data).get("") or known_folder(data, {})
    return stated if stated is not None and stated.is_dir() else data.parent


def with_folders(hd: HumanData, out: Path) -> HumanData:
    """``hd``, as it is about to be written to ``out``, naming the image folders that it has where it is now."""
    if hd.source is None:
        return hd
    stated = stated_folders(hd.misc, hd.source)
    if not stated and (folder := known_folder(hd.source, {})) is not None:
        stated = {"": folder}
    if not stated:
        return hd
    kept = hd[:]
    kept.misc = {**hd.misc, FOLDERS: {label: _stored(folder, out) for label, folder in stated.items()}}
    return kept


def labels_of(
    tables: Sequence[tuple[Path, Passport, Mapping[str, object]]], given: Mapping[str, Path], out: Path
) -> tuple[list[Labels], dict[str, str], list[Path]]:
    """How the paths of files begin in the file ``out``.

    Parameters
    ----------
    tables : path, passport and misc of each.
    given : image folders by file; see :func:`known_folder`.

    Returns
    -------
    The labels of each file; label -> folder, for ``misc``; and the files whose folder is not known.

    Raises
    ------
    UsageError : a folder is given for a file that is not merged, or is none.
    """
    _check(given, [path for path, *_ in tables])
    folders = [dict(stated_folders(misc, path)) for path, _, misc in tables]
    for (path, _, _), own in zip(tables, folders, strict=True):
        if not own and (folder := known_folder(path, given)) is not None:
            own[""] = folder
    unknown = [path for (path, _, _), own in zip(tables, folders, strict=True) if not own]
    distinct = {os.path.abspath(folder) for own in folders for folder in own.values()}
    if not any(label for own in folders for label in own) and len(distinct) < 2 and not (unknown and distinct):
        one = next((folder for own in folders for folder in own.values()), None)
        return [Labels({}) for _ in tables], {} if one is None else {"": _stored(one, out)}, unknown
    taken: dict[str, Path] = {}
    labels = []
    for (_, passport, _), own in zip(tables, folders, strict=True):
        new = {old: _label(old or passport.dataset, passport.split, folder, taken) for old, folder in own.items()}
        labels.append(Labels(new))
    return labels, {label: _stored(folder, out) for label, folder in taken.items()}, unknown


def _check(given: Mapping[str, Path], paths: Sequence[Path]) -> None:
    for name, folder in given.items():
        if not any(name in (str(path), path.name, path.stem) for path in paths):
            raise UsageError(f"--images names {name}, which is not merged", fix="give it as FILE=DIR")
        if not folder.is_dir():
            raise UsageError("there is no such folder", path=folder, fix=f"give the image folder of {name}")


def _label(dataset: str, split: str, folder: Path, taken: dict[str, Path]) -> str:
    """A label that no other folder has."""
    words = [dataset, f"{dataset}_{split}", *(f"{dataset}_{number}" for number in range(2, len(taken) + 3))]
    for word in (word.replace("/", "-") for word in words):
        if word not in taken or os.path.abspath(taken[word]) == os.path.abspath(folder):
            taken[word] = folder
            return word
    raise AssertionError("there are more words than folders")


def _stored(folder: Path, out: Path) -> str:
    """A folder as it was given: absolute, or relative to the merged file's."""
    return str(folder) if folder.is_absolute() else os.path.relpath(folder, out.parent)


def row_hashes(table: Table) -> Array:
    """(N,) uint64 that are equal for the same body in the same image: of path, box, place and orientation; empty
    without paths."""
    if "image_path" not in table:
        return np.zeros(0, np.uint64)
    column = table["image_path"]
    labels = [f"{label}/" for label in table.misc.get(FOLDERS, {})]
    used, place = np.unique(column.codes, return_inverse=True)
    words = column.vocabulary.texts(used)
    bare = (next((word[len(label) :] for label in labels if word.startswith(label)), word) for word in words)
    digests = [int.from_bytes(blake2b(word.encode(), digest_size=8).digest()) for word in bare]
    hashes = np.array(digests, np.uint64)[place]
    for name in ("bbox_xywh", *(f"{table.body_model}/{part}" for part in ("transl", "global_orient", "betas"))):
        if name in table:
            bits = np.ascontiguousarray(table[name], np.float32).reshape(len(table), -1).view(np.uint32)
            for column_bits in bits.T:
                hashes = hashes * PRIME ^ column_bits.astype(np.uint64)
    return hashes
