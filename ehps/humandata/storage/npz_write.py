"""A HumanData as the members of an ``.npz``: what mmhuman3d, SMPLer-X, SMPLest-X and AiOS expect to find.

Keypoints lie in the slots of the 190-point ``human_data`` convention with a ``uint8`` mask and the name of the
convention beside them; body parameters are dicts of arrays, ``meta`` a dict of lists, ``misc`` a dict of constants.
Facts: mmhuman3d's ``HumanData`` class (branches main and convertors) and the three loaders that open its files.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from ehps.arrays import Array
from ehps.errors import DataError
from ehps.humandata.keypoints import CONVENTIONS
from ehps.humandata.storage import npz_pickle
from ehps.humandata.storage.former_names import former, former_summary
from ehps.humandata.storage.npz_pickle import AsList, blocks, stored_dtype
from ehps.humandata.strings import Strings
from ehps.humandata.table import Table
from ehps.progress import over

Write = Callable[[IO[bytes]], None]

FIRST = ("image_path", "image_id", "bbox_xywh", "face_bbox_xywh", "lhand_bbox_xywh", "rhand_bbox_xywh", "config")
LAST = ("smpl", "smplh", "smplx", "certificate", "meta", "misc")
BODY = ("smpl", "smplh", "smplx")
DATE = (1980, 1, 1, 0, 0, 0)
ZIP64_FROM = 1 << 30
FRAME_RANGE = "ehps_frame_range"
"""Fact of a table whose file listed images and the rows of each: ``top`` or ``optional``, where it stood."""
COPIES = {"keypoints2d_smpl": "keypoints2d_smplh", "keypoints3d_smpl": "keypoints3d_smplh"}
"""Members that SMPLer-X, SMPLest-X and AiOS look for, and the columns that they repeat under that name."""


@dataclass(frozen=True)
class Slots:
    """Where the points of ``column`` lie among ``total`` slots: point ``source[i]`` in slot ``place[i]``."""

    column: str
    place: Array
    source: Array
    total: int


def members(hd: Table, compressed: bool, frame_range: Array | None = None) -> list[tuple[str, int, Write]]:
    """(name, about how many bytes, function that writes it to an open file) of every member, in order."""
    tree, points, left_out = _tree(hd)
    if frame_range is None and FRAME_RANGE in hd.misc:
        frame_range = _images(hd)
        if hd.misc[FRAME_RANGE] == "optional":
            tree["optional"] = {**tree.get("optional", {}), "frame_range": frame_range}
    length = len(hd) if frame_range is None else len(frame_range)
    out: list[tuple[str, int, Write]] = [
        _plain("__key_strict__", np.array(False)),
        _plain("__data_len__", np.array(length, np.int64)),
        _plain("__keypoints_compressed__", np.array(compressed)),
    ]
    if frame_range is not None:  # of MultiHumanData, whose length is its number of images
        out.append(_plain("__instance_num__", np.array(len(hd), np.int64)))
        out.append(_plain("frame_range", np.asarray(frame_range, np.int64)))
    misc = {**_misc(hd, left_out), **tree.get("misc", {})}
    tree["misc"] = {key: misc[key] for key in sorted(misc)}
    names = [name for name in FIRST if name in tree]
    names += [name for name in tree if name not in (*FIRST, *LAST)]
    for name in (*names, *points, *(name for name in LAST if name in tree)):
        if name in points:
            out += _keypoints(name, hd[points[name].column], points[name], compressed)
        else:
            out.append(_member(name, tree[name]))
    return out


def write_members(path: Path, content: list[tuple[str, int, Write]]) -> None:
    """A deflated ``.npz`` whose bytes depend on nothing but its content."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, size, write in over(content, "writing columns"):
            info = zipfile.ZipInfo(f"{name}.npy", DATE)
            info.compress_type, info.create_system, info.external_attr = zipfile.ZIP_DEFLATED, 3, 0o600 << 16
            with archive.open(info, "w", force_zip64=size > ZIP64_FROM) as file:
                write(file)


# -- what is stored where ---------------------------------------------------------------------------------


def _tree(hd: Table) -> tuple[dict[str, Any], dict[str, Slots], dict[str, list[str]]]:
    """All columns but keypoints as nested dicts, the slots of each keypoint column, and points without a slot."""
    tree: dict[str, Any] = {}
    slots: dict[str, Slots] = {}
    left_out: dict[str, list[str]] = {}
    for name in hd.columns:
        column = hd[name]
        if is_keypoints(name) and isinstance(column, np.ndarray) and column.ndim == 3:
            slots[name], lost = _slots(hd, name)
            if lost:
                left_out[name] = lost
        else:
            _place(tree, former(name), hd[name], hd)
    slots |= {copy: slots[name] for copy, name in COPIES.items() if name in slots and copy not in hd}
    for name in hd.misc.get("ehps_top_level", ()):
        if name in hd.misc:
            _place(tree, name, _constant(hd.misc[name]), hd)
    if "config" in hd.misc:
        tree["config"] = str(hd.misc["config"])
    for name, value in hd.misc.items():
        if name.startswith("meta/"):
            _place(tree, name, value, hd)
    return tree, slots, left_out


def is_keypoints(name: str) -> bool:
    """Whether a key holds points rather than their mask or convention: the rule of mmhuman3d."""
    return name.startswith("keypoints") and "_mask" not in name and not name.endswith("_convention")


def _place(tree: dict[str, Any], name: str, value: Any, hd: Table) -> None:
    parts = name.split("/")
    if parts[0] in BODY and isinstance(value, Strings):
        parts = ["meta", "_".join(parts)]  # loaders index every value of a body dict as an array
    if parts[0] == "meta" and isinstance(value, np.ndarray) and value.ndim == 1:
        value = AsList(value)
    branch = tree
    for part in parts[:-1]:
        branch = branch.setdefault(part, {})
        if not isinstance(branch, dict):
            raise DataError(f"both {name} and a part of its name are columns", path=hd.source)
    if isinstance(branch.get(parts[-1]), dict):
        raise DataError(f"both {name} and columns below it exist", path=hd.source)
    branch[parts[-1]] = value


def _slots(hd: Table, name: str) -> tuple[Slots, list[str]]:
    """The slots of a keypoint column, and the names that have none."""
    width = hd[name].shape[1]
    names = hd.keypoint_names.get(name)
    layout = CONVENTIONS["human_data"]
    places = {point: i for i, point in reversed(list(enumerate(names or ())))}
    pairs = [(slot, places[point]) for slot, point in enumerate(layout) if point in places]
    known = set(layout)
    if not pairs and width:  # points of a layout of their own stay in their order
        layout, known, pairs = (), set(places), [(i, i) for i in range(width)]
    place, source = np.array(pairs, np.intp).reshape(-1, 2).T
    labelled = _labelled(hd[name])[source]
    total = len(layout) or width
    return Slots(name, place[labelled], source[labelled], total), [point for point in places if point not in known]


def _labelled(points: Array) -> Array:
    """(K,) whether any row has a confidence above 0 for the point; all where there are no rows to ask."""
    found = np.full(points.shape[1], len(points) == 0)
    step = max(1, npz_pickle.BLOCK // max(1, points[:1].nbytes))
    for start in range(0, len(points), step):
        found |= (np.asarray(points[start : start + step])[..., -1] > 0).any(axis=0)
        if found.all():
            break
    return found


def _images(hd: Table) -> Array:
    """(F, 2) first and past-last row of each image: rows that follow each other with one path and one number."""
    new = np.zeros(len(hd), bool)
    new[:1] = True
    for name in ("image_path", "meta/image_index"):
        column = hd[name] if name in hd else np.zeros(0)
        numbers = column.codes if isinstance(column, Strings) else column
        if numbers.ndim == 1 and len(numbers):
            new[1:] |= np.diff(numbers) != 0
    starts = np.flatnonzero(new)
    return np.stack([starts, np.append(starts[1:], len(hd))[: len(starts)]], axis=1)


def _misc(hd: Table, left_out: dict[str, list[str]]) -> dict[str, Any]:
    top = {"config", FRAME_RANGE, "ehps_top_level", *hd.misc.get("ehps_top_level", ())}
    misc = {k: v for k, v in hd.misc.items() if k not in top and not k.startswith("meta/")}
    if any(is_keypoints(name) and "3d" in name for name in hd.columns):
        misc.setdefault("kps3d_root_aligned", False)
    if hd.passport.flat_hand_mean is not None:
        misc["flat_hand_mean"] = hd.passport.flat_hand_mean
    if left_out:
        misc["ehps_points_left_out"] = left_out
    misc["ehps_format"] = hd.passport.format
    misc["ehps_passport"] = json.dumps(hd.passport.to_dict(), sort_keys=True)
    if hd.quality:
        misc["ehps_certificate"] = json.dumps(former_summary(hd.quality), sort_keys=True)
    return misc


def _constant(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    try:
        array = np.asarray(value) if value else np.zeros(0)
    except ValueError:  # lists of different lengths
        return value
    return array if array.dtype.kind in "biuf" else value


# -- members ----------------------------------------------------------------------------------------------


def _member(name: str, value: Any) -> tuple[str, int, Write]:
    if isinstance(value, AsList):
        value = value.values
    if isinstance(value, Strings):
        return _texts(name, value)
    if isinstance(value, np.ndarray):
        return _plain(name, value)
    if isinstance(value, bool | int | float | str):
        return _plain(name, np.array(value), keep=True)
    return _pickled(name, value)


def _header(file: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    described = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": tuple(int(n) for n in shape),
    }
    np.lib.format.write_array_header_1_0(file, described)


def _plain(name: str, array: Array, keep: bool = False) -> tuple[str, int, Write]:
    dtype = array.dtype if keep else stored_dtype(array.dtype)

    def write(file: IO[bytes]) -> None:
        _header(file, dtype, array.shape)
        for block in blocks(array, dtype):
            file.write(block)

    return name, array.size * dtype.itemsize, write


def _texts(name: str, column: Strings) -> tuple[str, int, Write]:
    used = np.unique(column.codes).tolist()
    dtype = np.dtype(f"<U{max((len(column.vocabulary[code]) for code in used), default=1) or 1}")

    def write(file: IO[bytes]) -> None:
        _header(file, dtype, (len(column),))
        step = max(1, npz_pickle.BLOCK // dtype.itemsize)
        for start in range(0, len(column), step):
            file.write(np.array(column[slice(start, start + step)].tolist(), dtype).tobytes())

    return name, len(column) * dtype.itemsize, write


def _pickled(name: str, value: Any) -> tuple[str, int, Write]:
    def write(file: IO[bytes]) -> None:
        _header(file, np.dtype(object), ())
        npz_pickle.dump(value, file.write)

    return name, _size(value), write


def _size(value: Any) -> int:
    if isinstance(value, dict):
        return sum(_size(item) for item in value.values()) + 1000
    if isinstance(value, AsList):
        return 9 * len(value.values)
    return int(getattr(value, "nbytes", 100))


def _keypoints(name: str, points: Array, slots: Slots, compressed: bool) -> Iterator[tuple[str, int, Write]]:
    n, channels = len(points), points.shape[2]
    mask = np.zeros(slots.total, np.uint8)
    mask[slots.place] = 1
    stored = len(slots.place) if compressed else slots.total
    dtype = stored_dtype(points.dtype)

    def write(file: IO[bytes]) -> None:
        _header(file, dtype, (n, stored, channels))
        step = max(1, npz_pickle.BLOCK // max(1, stored * channels * dtype.itemsize))
        for start in range(0, n, step):
            rows = np.asarray(points[start : start + step])[:, slots.source]
            if not compressed:
                full = np.zeros((len(rows), slots.total, channels), dtype)
                full[:, slots.place] = rows
                rows = full
            file.write(rows.astype(dtype).tobytes())

    yield name, n * stored * channels * dtype.itemsize, write
    yield _plain(f"{name}_mask", mask)
    if slots.total == len(CONVENTIONS["human_data"]):
        yield _plain(f"{name}_convention", np.array("human_data"), keep=True)
