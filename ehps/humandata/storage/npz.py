"""The exchange storage: ``.npz`` files as mmhuman3d, SMPLer-X, SMPLest-X and AiOS write and read them.

Reading accepts every generation: files without the dunder members (2021), both branches of mmhuman3d, compressed
keypoints, several persons an image (``frame_range``) and sliced cache files; :func:`read_pickle_dump` takes the
class's pickle dumps. Nothing in a file is ever executed (see :mod:`ehps.humandata.pickles`).
Writing gives what those programs expect, to the dtype, and the same bytes for the same content.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from ehps.arrays import Array
from ehps.atomic import replacing
from ehps.errors import DataError
from ehps.foreign_files import memory_limit, too_large
from ehps.humandata.pickles import load_pickle
from ehps.humandata.pickles.npy_files import Npz
from ehps.humandata.storage import npz_write
from ehps.humandata.storage.npz_cache import is_cache, is_training_cache, read_cache
from ehps.humandata.storage.npz_read import from_members
from ehps.humandata.storage.npz_values import has_rows, unwrapped
from ehps.humandata.table import Table


def read(path: str | Path) -> Table:
    """All instances of a file, in memory.

    Keypoint columns hold the points whose mask is 1, by name; ``bbox_xywh`` always has a confidence; genders are
    whole words; poses are (N, J, 3). Constants (``misc``, ``config``, undeclared ones) are in ``misc``.

    Raises
    ------
    DataError : not a HumanData file, or a damaged one.
    UnsafeFileError : a pickled member asks for anything but plain data.
    """
    path = Path(path)
    with Npz(path) as members:
        if is_training_cache(members):
            raise DataError(
                "is a cache of training samples, not an annotation file",
                path=path,
                fix="open the HumanData file that it was made from",
            )
        if members.nbytes > (limit := memory_limit()):
            raise too_large(members.nbytes, limit, path)
        values = read_cache(members) if is_cache(members) else {name: unwrapped(members[name]) for name in members}
    hd = from_members(values, str(path))
    hd.source = path
    return hd


def count(path: str | Path) -> int:
    """Rows of a file with image paths, by a header alone.

    Raises
    ------
    DataError : not an npz file, or one without image paths.
    """
    with Npz(path) as members:
        if "image_path" not in members or len(shape := members.shape("image_path")) != 1:
            raise DataError("has no image_path, one a row", path=path, fix="check that it is a HumanData file")
        return shape[0]


def member_rows(path: str | Path, names: Collection[str], first: int, last: int) -> tuple[dict[str, Any], list[str]]:
    """Members of a file that is too large to be read at once, in rows ``first`` to ``last`` (not included).

    Parameters
    ----------
    names : members to read: arrays, and dicts of arrays and lists. Points bring their masks and conventions along.

    Returns
    -------
    the members by name, as :func:`ehps.humandata.storage.npz_read.from_members` takes them, those without rows whole,
    and the names of all others.

    Raises
    ------
    As :func:`read`.
    """
    n = count(path)
    values: dict[str, Any] = {}
    with Npz(path) as members:
        wanted = {f"{name}{end}" for name in names for end in ("", "_mask", "_convention")}
        for name in members:
            if name in wanted and len(shape := members.shape(name)):
                values[name] = members.rows(name, first, last) if shape[0] == n else members[name]
            elif name in wanted or name.startswith("__") or name in ("misc", "config", "mask"):
                value = unwrapped(members[name])
                if name in names and isinstance(value, dict):
                    value = {key: item[first:last] if has_rows(item, n) else item for key, item in value.items()}
                values[name] = value
        return values, [name for name in members if name not in values]


def read_pickle_dump(path: str | Path) -> Table:
    """A HumanData that mmhuman3d's class wrote with ``dump_by_pickle``. Raises like :func:`read`."""
    path = Path(path)
    values: Any = load_pickle(path)
    if not isinstance(values, dict):
        raise DataError(f"holds a {type(values).__name__}, not the dict of a HumanData", path=path)
    hd = from_members({str(name): unwrapped(value) for name, value in values.items()}, str(path))
    hd.source = path
    return hd


def write(hd: Table, path: str | Path, *, compressed_keypoints: bool = True, frame_range: Array | None = None) -> None:
    """Write atomically, in bounded memory whatever the size of the columns.

    Points lie in the slots of ``human_data``; points that have no slot there (50 of ``gta``'s 100, for example) are not
    stored and are listed in ``misc["ehps_points_left_out"]``. Floating-point values are stored as float32.

    Parameters
    ----------
    compressed_keypoints : store only the slots that the file has, as mmhuman3d's ``compress_keypoints_by_mask``.
    frame_range : (F, 2) first and past-last instance of each image: write mmhuman3d's ``MultiHumanData``.

    Raises
    ------
    DataError : the file cannot be written (disk full, no permission), or a column cannot be expressed.
    """
    path = Path(path)
    try:
        content = npz_write.members(hd, compressed_keypoints, frame_range)
        with replacing(path) as temporary:
            npz_write.write_members(temporary, content)
    except TypeError as error:
        raise DataError(str(error), path=path) from None
