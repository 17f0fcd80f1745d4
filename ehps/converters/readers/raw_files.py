"""Readers of raw files that several datasets need. Each names the file in its error and runs no code from it."""

from __future__ import annotations

import os
from codecs import BOM_UTF8
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ehps.arrays import Array
from ehps.converters.readers import AGAIN, opened
from ehps.converters.readers.json_entries import KeyedJson, keyed_json
from ehps.converters.readers.json_stream import parse
from ehps.converters.readers.opened import is_file, is_folder, note
from ehps.errors import DataError
from ehps.humandata.keypoints import point_names
from ehps.humandata.pickles import CHUMPY, PANDAS, SCIPY_SPARSE, TORCH, Allow, joblib_dumps, loading

if TYPE_CHECKING:
    import pandas as pd


OPENPOSE_137 = point_names("openpose_137", fixed=True)
"""The 137 points of OpenPose with body, hands and face, eyebrows spelt so that they are found by name."""

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
    "read_csv",
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
        raise DataError(f"is not complete JSON ({error})", path=path, fix=AGAIN) from None


def read_lines(path: Path | str) -> list[str]:
    """Lines of a UTF-8 text file that are not blank, without line ends.

    Raises
    ------
    DataError : it is missing, empty or not text.
    """
    try:
        lines = _bytes(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"is not text ({error})", path=path, fix=AGAIN) from None
    lines = [line for line in lines if line.strip()]
    if not lines:
        raise DataError("is empty", path=path, fix=AGAIN)
    return lines


def read_csv(path: Path | str, **options: Any) -> pd.DataFrame:
    """A table with a header line; ``options`` go to :func:`pandas.read_csv`.

    Raises
    ------
    DataError : it is missing, empty, or not a table.
    """
    import pandas as pd

    opened.note(path)
    try:
        return pd.read_csv(path, **options)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", path=path, fix=AGAIN) from None
    except ValueError as error:
        raise DataError(f"is not a table ({error})", path=path, fix=AGAIN) from None


def load_pkl(path: Path | str, allow: Sequence[Allow] = ()) -> Any:
    """Plain data from a pickle; see :func:`ehps.humandata.pickles.load_pickle`."""
    opened.note(path)
    return loading.load_pickle(Path(path), allow=allow)


def load_joblib(path: Path | str) -> Any:
    """Plain data from a dump of joblib; see :func:`ehps.humandata.pickles.joblib_dumps.load_joblib`."""
    opened.note(path)
    return joblib_dumps.load_joblib(Path(path))


def load_npz(path: Path | str, names: str | Sequence[str] | None = None) -> dict[str, Array]:
    """Arrays of an ``.npz`` by name: all of them, or those in ``names`` (a sequence, or one text with blanks)."""
    opened.note(path)
    wanted = names.split() if isinstance(names, str) else names
    return loading.load_npz(Path(path), wanted)


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
    raise DataError(f"has no {' or '.join(names)}", path=folder, fix="check that everything is unpacked")


def listing(folder: Path | str) -> list[str]:
    """Names of what is in a folder, sorted, without hidden files (macOS' ``._x``); empty when it is not there."""
    opened.note(folder)
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if not entry.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []


def matching(folder: Path, pattern: str) -> list[Path]:
    """What matches a pattern below a folder, sorted."""
    found = sorted(folder.glob(pattern))
    for place in dict.fromkeys([folder, *(path.parent for path in found)]):
        opened.note(place)
    return found


def basename(path: Any) -> str:
    """Last part of a path written on any system."""
    return str(path).replace("\\", "/").rsplit("/", 1)[-1]


def _bytes(path: Path | str) -> bytes:
    opened.note(path)
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path, fix=AGAIN) from None


def column(records: Sequence[dict[str, Any]], key: str, default: Any = 0) -> Array:
    """(N,) or (N, k) values of one key of N records; ``default`` where a record lacks it."""
    return np.array([record.get(key, default) for record in records])


def labelled(records: Sequence[dict[str, Any]], count: int) -> Array:
    """(N, count, 3) ``keypoints`` of COCO-style records; confidence 1 where labelled at all (visible or hidden)."""
    points = column(records, "keypoints").reshape(len(records), count, 3).astype(float)
    points[..., 2] = points[..., 2] > 0
    return points


def texts(values: Any) -> list[str]:
    """Texts from an array of str or bytes (written by Python 2), or of one-element arrays of them."""
    return [v.decode() if isinstance(v, bytes) else str(v) for v in np.ravel(values).tolist()]


def require(data: Iterable[str], names: str, path: Path, fix: str = AGAIN) -> None:
    """Check that all of ``names`` (separated by blanks) are members of ``data``, read from ``path``.

    Raises
    ------
    DataError : one is not.
    """
    missing = [name for name in names.split() if name not in data]
    if missing:
        raise DataError(f"has no {', '.join(missing)} (it has {', '.join(data)})", path=path, fix=fix)


def openpose_people(path: Path | str) -> Array:
    """(P, 137, 3) people of an OpenPose json: body 25, left hand, right hand, face; pixels and confidence."""
    parts = ("pose_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d", "face_keypoints_2d")
    people = [np.concatenate([np.reshape(p[key], (-1, 3)) for key in parts]) for p in read_json(path)["people"]]
    return np.array(people, float).reshape(-1, 137, 3)
