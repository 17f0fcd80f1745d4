"""Readers of BEHAVE's files: calibrations, fits of single time steps and of sequences at 30 fps, detections, joints."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.body.params import BodyParams, smplh_params
from ehps.converters.base import Unit, drop
from ehps.converters.readers import fields, opened, openpose, raw_files
from ehps.converters.readers.frame_files import read_each
from ehps.converters.readers.views import CalibratedView
from ehps.errors import DataError

PARTS = {"body_joints": 25, "left_hand_joints": 21, "right_hand_joints": 21, "face_joints": 70}
FIT = {"pose": 156, "betas": 10, "trans": 3}
CONFIG = {"rotation": fields.numbers(3, 3), "translation": fields.numbers(3)}
DETECTED = 0.05
SIZE = (1536, 2048)


def calibration_folder(sequence: Path, info: Mapping[str, Any], key: str, usual: Path) -> Path:
    """The folder that ``info.json`` names under ``key``, relative to the sequence; ``usual`` where it names none.

    Parameters
    ----------
    sequence : folder of the sequence, two below the dataset's root.
    info : texts of its ``info.json`` by name.

    Raises
    ------
    DataError : what it names is no folder below the dataset's root.
    """
    named = str(info.get(key, ""))
    if not named:
        return usual
    root = Path(os.path.abspath(sequence)).parents[1]
    folder = Path(os.path.abspath(sequence / str(named)))
    if not folder.is_relative_to(root):
        raise DataError(
            f"{key} is {named!r}, which is no folder below {root}",
            path=sequence / "info.json",
            fix=f"write the calibration's place there, relative to the sequence, or remove {key} to take {usual}",
        )
    if not opened.is_folder(folder):
        raise DataError(
            f"{key} is {named!r}, but there is no folder {folder}",
            path=sequence / "info.json",
            fix=f"unpack the calibrations there, or remove {key} to take {usual}",
        )
    return folder


def read_view(intrinsics: Path, config: Path, kinect: str) -> CalibratedView:
    """One Kinect.

    Parameters
    ----------
    intrinsics : folder of the lenses, a folder a Kinect.
    config : folder of the places, a folder a Kinect.

    Raises
    ------
    DataError : a file is missing or broken.
    """
    path = intrinsics / kinect / "calibration.json"
    content = raw_files.read_json(path)
    colour = fields.values(content, {"color": fields.OBJECT}, path)["color"].item()
    lens = fields.values(colour, {"opencv": fields.numbers(12)}, path, "color")["opencv"].astype(float)
    path = config / kinect / "config.json"
    place = fields.values(raw_files.read_json(path), CONFIG, path)
    rotation = place["rotation"].astype(float).T
    translation = -rotation @ place["translation"].astype(float)
    return CalibratedView(kinect, SIZE, lens[:2], lens[2:4], rotation, translation, lens[4:])


def read_stills(
    unit: Unit, gender: str, interval: int, views: int, dropped: dict[str, list[str]]
) -> tuple[list[str], BodyParams]:
    """Names and bodies of the time steps with a fit, every ``interval``-th; the others are counted in each of the
    ``views``."""
    times = [
        name for name in raw_files.listing(unit.path) if name.startswith("t") and raw_files.is_folder(unit.path / name)
    ]
    paths = {time: unit.path / time / "person/fit02/person_fit.pkl" for time in times}
    unfitted = [time for time, path in paths.items() if not raw_files.is_file(path)]
    drop(dropped, "no SMPL-H fit", (f"{unit.name}/{time}" for time in unfitted for _ in range(views)))
    paths = dict([item for item in paths.items() if raw_files.is_file(item[1])][::interval])
    root = unit.path.parents[1]
    reason = "SMPL-H fit cannot be read"
    fits, readable = read_each(list(paths.values()), _read_fit, reason, dropped, root, rows=views)
    pose, betas, transl = (np.reshape([fit[key] for fit in fits], (-1, size)) for key, size in FIT.items())
    body = smplh_params(gender=gender, betas=betas, pose=pose, transl=transl, flat_hand_mean=True)
    return list(compress(paths, readable)), body


def _read_fit(path: Path) -> dict[str, Array]:
    fit = raw_files.load_pkl(path)
    return {key: numbers(fit, key, size, path) for key, size in FIT.items()}


def read_sequence(
    unit: Unit, gender: str, interval: int, views: int, dropped: dict[str, list[str]]
) -> tuple[list[str], BodyParams]:
    """The same of a sequence at 30 fps; where its lists differ in length, what one of them lacks is counted.

    Raises
    ------
    DataError : the file is missing or broken.
    """
    path = unit.path / "smpl_fit_all.npz"
    data = raw_files.load_npz(path, "poses betas trans frame_times")
    times = raw_files.texts(data["frame_times"])
    values = {key: _table(data, key, size, path) for key, size in (("poses", 156), ("betas", 10), ("trans", 3))}
    fitted = min(map(len, values.values()))
    drop(dropped, "no SMPL-H fit", (f"{unit.name}/{time}" for time in times[fitted:] for _ in range(views)))
    drop(dropped, "no time of the fit", (f"{unit.name} frame {k}" for k in range(len(times), fitted)))
    taken = slice(0, min(fitted, len(times)), interval)
    pose, betas, transl = (value[taken] for value in values.values())
    return times[taken], smplh_params(gender=gender, betas=betas, pose=pose, transl=transl, flat_hand_mean=True)


def read_detections(path: Path) -> Array:
    """(135, 3) OpenPose points of an image; zeros for those not detected, and without the file."""
    if not raw_files.is_file(path):
        return np.zeros((len(openpose.POINTS), 3))
    content = raw_files.read_json(path)
    points = np.concatenate([numbers(content, key, 3 * n, path).reshape(n, 3) for key, n in PARTS.items()])
    points = openpose.without_hand_wrists(points)
    return np.asarray(np.where(points[:, 2:] >= DETECTED, points, 0))


def read_joints(path: Path) -> Array:
    """(25, 4) the dataset's own joints in the world, 1 where they are known; zeros without the file."""
    if not raw_files.is_file(path):
        return np.zeros((25, 4))
    joints = numbers(raw_files.read_json(path), "body_joints3d", 100, path).reshape(25, 4)
    return np.column_stack([joints[:, :3], joints[:, 3] > 0])


def _table(data: Mapping[str, Array], key: str, size: int, path: Path) -> Array:
    """(T, size) numbers of a sequence's file.

    Raises
    ------
    DataError : there are none, or rows are of another size.
    """
    raw_files.require(data, key, path)
    table = np.asarray(data[key])
    if table.ndim != 2 or table.shape[1] != size or table.dtype.kind not in "fiu":
        raise DataError(f"{key} is {table.shape} {table.dtype}, not (T, {size}) numbers", path=path)
    return table.astype(float)


def numbers(content: Any, key: str, count: int, path: Path) -> Array:
    """``count`` numbers under a key of a file's content; some of them may be NaN.

    Raises
    ------
    DataError : there are none, or not as many.
    """
    return fields.values(content, {key: fields.numbers(count)}, path, finite=False)[key].astype(float)
