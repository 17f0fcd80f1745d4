"""Readers of raw files that several datasets need. Each names the file in its error and runs no code from it."""

from __future__ import annotations

import os
from codecs import BOM_UTF8
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.converters import ranges
from ehps.converters.readers import AGAIN, OTHER, UNPACK, fields, opened
from ehps.converters.readers.json_entries import KeyedJson, keyed_json
from ehps.converters.readers.json_stream import parse, why_not
from ehps.converters.readers.opened import is_file, is_folder, note
from ehps.errors import DataError
from ehps.foreign_files import format_of, unreadable
from ehps.humandata.keypoints import point_names
from ehps.humandata.pickles import CHUMPY, PANDAS, SCIPY_SPARSE, TORCH, Allow, joblib_dumps, loading

OPENPOSE_137 = point_names("openpose_137", fixed=True)
"""The 137 points of OpenPose with body, hands and face, eyebrows spelt so that they are found by name."""

OPENPOSE_PARTS = {
    "pose_keypoints_2d": fields.numbers(75),
    "hand_left_keypoints_2d": fields.numbers(63),
    "hand_right_keypoints_2d": fields.numbers(63),
    "face_keypoints_2d": fields.numbers(210),
}

__all__ = [
    "AGAIN",
    "CHUMPY",
    "OPENPOSE_137",
    "PANDAS",
    "SCIPY_SPARSE",
    "TORCH",
    "KeyedJson",
    "basename",
    "first_existing",
    "is_file",
    "is_folder",
    "keyed_json",
    "listing",
    "load_joblib",
    "load_npy",
    "load_npz",
    "load_pkl",
    "matching",
    "note",
    "npz_length",
    "read_json",
    "read_lines",
]


def read_json(path: Path | str) -> Any:
    """Content of a UTF-8 JSON file.

    Raises
    ------
    DataError : it is missing, truncated or not JSON.
    """
    try:
        return parse(_bytes(path).removeprefix(BOM_UTF8))
    except (ValueError, RecursionError) as error:
        if format_of(path):
            raise unreadable(path, "JSON", AGAIN, OTHER) from None
        raise DataError(f"is not complete JSON ({why_not(error)})", path=path, fix=AGAIN) from None


def read_lines(path: Path | str) -> list[str]:
    """Lines of a UTF-8 text file that are not blank, without line ends.

    Raises
    ------
    DataError : it is missing, empty or not text.
    """
    try:
        lines = _bytes(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        if format_of(path):
            raise unreadable(path, "text", AGAIN, OTHER) from None
        raise DataError(f"is not text: byte {error.start} is no UTF-8", path=path, fix=AGAIN) from None
    lines = [line for line in lines if line.strip()]
    if not lines:
        raise DataError("is empty", path=path, fix=AGAIN)
    return lines


def load_pkl(path: Path | str, allow: Sequence[Allow] = ()) -> Any:
    """Plain data from a pickle; see :func:`ehps.humandata.pickles.load_pickle`."""
    opened.note(path)
    return loading.load_pickle(Path(path), allow=allow)


def load_joblib(path: Path | str) -> Any:
    """Plain data from a dump of joblib; see :func:`ehps.humandata.pickles.joblib_dumps.load_joblib`."""
    opened.note(path)
    return joblib_dumps.load_joblib(Path(path))


def load_npz(
    path: Path | str, names: str | Sequence[str] | None = None, rows: tuple[int, int] | None = None
) -> dict[str, Array]:
    """Arrays of an ``.npz`` by name: all of them, or those in ``names`` (a sequence, or one text with blanks), whole or
    from one row to another (not included)."""
    opened.note(path)
    wanted = names.split() if isinstance(names, str) else names
    return loading.load_npz(Path(path), wanted, rows=rows)


def npz_length(path: Path | str, name: str) -> int:
    """Rows of a member of an ``.npz``, by its header alone; 0 where there is none, which reading it will tell.

    Raises
    ------
    DataError : it is no such file.
    """
    opened.note(path)
    with loading.Npz(Path(path)) as members:
        shape = members.shape(name) if name in members else ()
        return shape[0] if shape else 0


def load_npy(path: Path | str) -> Array:
    """The array of an ``.npy``, object arrays of texts and numbers included."""
    opened.note(path)
    return loading.load_npy(Path(path))


def first_existing(folder: Path, names: Sequence[str]) -> Path:
    """The first of ``names`` (relative to ``folder``, ``*`` allowed) that is there.

    Raises
    ------
    DataError : none is.
    """
    for name in names:
        found = matching(folder, name) if "*" in name else [folder / name]
        if found and (is_file(found[0]) or is_folder(found[0])):
            return found[0]
    raise DataError(f"has no {' or '.join(names)}", path=folder, fix=UNPACK)


def listing(folder: Path | str) -> list[str]:
    """Names of what is in a folder, sorted, without hidden files (macOS' ``._x``); empty when it is not there."""
    opened.note(folder)
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if not entry.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []


def matching(folder: Path, pattern: str) -> list[Path]:
    """What matches a pattern such as ``*/*.pkl`` below a folder, sorted."""
    found = [folder]
    for part in pattern.split("/"):
        folders = [path for path in found if path.is_dir()]
        for path in folders:
            opened.note(path)
        found = [below for path in folders for below in path.glob(part)]
    return sorted(found)


def basename(path: Any) -> str:
    """Last part of a path written on any system."""
    return str(path).replace("\\", "/").rsplit("/", 1)[-1]


def _bytes(path: Path | str) -> bytes:
    opened.note(path)
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path, fix=UNPACK) from None


def column(records: Sequence[dict[str, Any]], key: str, default: Any = 0) -> Array:
    """(N,) or (N, k) values of one key of N records; ``default`` where a record lacks it, or has null or nothing."""
    found = [record.get(key) for record in records]
    return np.array([default if value is None or value == [] else value for value in found])


def labelled(records: Sequence[dict[str, Any]], count: int) -> Array:
    """(N, count, 3) ``keypoints`` of COCO-style records; confidence 1 where labelled at all (visible or hidden)."""
    points = column(records, "keypoints").reshape(len(records), count, 3).astype(float)
    points[..., 2] = ranges.labelled(points[..., 2])
    return points


def source_of(entries: Any) -> Path:
    """The file that entries by key are from."""
    return entries.path if isinstance(entries, KeyedJson) else Path()


def texts(values: Any) -> list[str]:
    """Texts from an array of str or bytes (written by Python 2), or of one-element arrays of them."""
    return [v.decode() if isinstance(v, bytes) else str(v) for v in np.ravel(values).tolist()]


def require(data: Any, names: str, path: Path, fix: str = OTHER) -> None:
    """Check that all of ``names`` (separated by blanks) are members of ``data``, read from ``path``.

    Raises
    ------
    DataError : one is not.
    """
    if not isinstance(data, Iterable) or isinstance(data, str | bytes):
        raise DataError(f"holds {fields.described(data)}, expected {', '.join(names.split())}", path=path, fix=fix)
    missing = [name for name in names.split() if name not in data]
    if missing:
        has = ", ".join(str(name)[: fields.SHOWN] for name in data) or "nothing"
        raise DataError(f"has no {', '.join(missing)} (it has {has})", path=path, fix=fix)


def openpose_people(path: Path, notes: list[str]) -> Array:
    """(P, 137, 3) people of an OpenPose json: body 25, left hand, right hand, face; pixels and confidence.

    Those of another form are left out, with a note that names the first.

    Raises
    ------
    DataError : it is no such file.
    """
    content = read_json(path)
    require(content, "people", path)
    people = content["people"]
    if not isinstance(people, list):
        raise DataError(f"people is {fields.described(people)}, expected a list", path=path, fix=OTHER)
    odd = fields.odd_ones(people, OPENPOSE_PARTS, "people")
    left_out = "OpenPose people of another form are left out, the first: "
    if odd and not any(note.startswith(left_out) for note in notes):
        notes.append(f"{left_out}{path.name} person {min(odd)} {odd[min(odd)][1]}")
    points = [
        np.concatenate([np.reshape(person[part], (-1, 3)) for part in OPENPOSE_PARTS])
        for k, person in enumerate(people)
        if k not in odd
    ]
    return np.array(points, float).reshape(-1, 137, 3)
