"""Readers of BEHAVE's files: calibrations, fits of single time steps and of sequences at 30 fps, detections, joints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.body.params import BodyParams, smplh_params
from ehps.converters.base import Unit, drop
from ehps.converters.readers import fields, raw_files
from ehps.converters.readers.views import CalibratedView
from ehps.humandata.keypoints import point_names

BODY_25 = point_names("openpose_25")
HAND_WRISTS = (25, 46)  # of the 137: second detections of the wrists, whose names are those of the body's
POINTS = (*BODY_25, *(name for k, name in enumerate(raw_files.OPENPOSE_137) if k >= 25 and k not in HAND_WRISTS))
PARTS = {"body_joints": 25, "left_hand_joints": 21, "right_hand_joints": 21, "face_joints": 70}
CONFIG = {"rotation": fields.numbers(3, 3), "translation": fields.numbers(3)}
DETECTED = 0.05
SIZE = (1536, 2048)


def read_view(calibrations: Path, date: str, kinect: str) -> CalibratedView:
    """One Kinect on one of the days.

    Raises
    ------
    DataError : a file is missing or broken.
    """
    path = calibrations / "intrinsics" / kinect / "calibration.json"
    content = raw_files.read_json(path)
    colour = fields.values(content, {"color": fields.OBJECT}, path)["color"].item()
    lens = fields.values(colour, {"opencv": fields.numbers(12)}, path, "color")["opencv"].astype(float)
    path = calibrations / date / "config" / kinect / "config.json"
    config = fields.values(raw_files.read_json(path), CONFIG, path)
    rotation = config["rotation"].astype(float).T
    translation = -rotation @ config["translation"].astype(float)
    return CalibratedView(kinect, SIZE, lens[:2], lens[2:4], rotation, translation, lens[4:])


def read_stills(unit: Unit, gender: str, stride: int, dropped: dict[str, list[str]]) -> tuple[list[str], BodyParams]:
    """Names and bodies of the time steps with a fit, every ``stride``-th; the others are counted."""
    times = [name for name in raw_files.listing(unit.path) if name.startswith("t") and (unit.path / name).is_dir()]
    paths = {time: unit.path / time / "person/fit02/person_fit.pkl" for time in times}
    drop(dropped, "no SMPL-H fit", (f"{unit.name}/{time}" for time, path in paths.items() if not path.is_file()))
    paths = dict([item for item in paths.items() if item[1].is_file()][::stride])
    fits = [raw_files.load_pkl(path) for path in paths.values()]
    pose, betas, transl = (
        np.reshape(
            [numbers(fit, key, count, path) for fit, path in zip(fits, paths.values(), strict=True)], (-1, count)
        )
        for key, count in (("pose", 156), ("betas", 10), ("trans", 3))
    )
    return list(paths), smplh_params(gender=gender, betas=betas, pose=pose, transl=transl, flat_hand_mean=True)


def read_sequence(folder: Path, gender: str, stride: int) -> tuple[list[str], BodyParams]:
    """The same of a sequence at 30 fps.

    Raises
    ------
    DataError : the file is missing or broken.
    """
    path = folder / "smpl_fit_all.npz"
    data = raw_files.load_npz(path, "poses betas trans frame_times")
    times = raw_files.texts(data["frame_times"])
    pose, betas, transl = (
        numbers(data, key, count * len(times), path).reshape(-1, count)[::stride]
        for key, count in (("poses", 156), ("betas", 10), ("trans", 3))
    )
    body = smplh_params(gender=gender, betas=betas, pose=pose, transl=transl, flat_hand_mean=True)
    return times[::stride], body


def read_detections(path: Path) -> Array:
    """(135, 3) OpenPose points of an image; zeros for those not detected, and without the file."""
    if not path.is_file():
        return np.zeros((len(POINTS), 3))
    content = raw_files.read_json(path)
    points = np.concatenate([numbers(content, key, 3 * n, path).reshape(n, 3) for key, n in PARTS.items()])
    points = np.delete(points, HAND_WRISTS, axis=0)
    return np.asarray(np.where(points[:, 2:] >= DETECTED, points, 0))


def read_joints(path: Path) -> Array:
    """(25, 4) the dataset's own joints in the world, 1 where they are known; zeros without the file."""
    if not path.is_file():
        return np.zeros((25, 4))
    joints = numbers(raw_files.read_json(path), "body_joints3d", 100, path).reshape(25, 4)
    return np.column_stack([joints[:, :3], joints[:, 3] > 0])


def numbers(content: Any, key: str, count: int, path: Path) -> Array:
    """``count`` numbers under a key of a file's content; some of them may be NaN.

    Raises
    ------
    DataError : there are none, or not as many.
    """
    return fields.values(content, {key: fields.numbers(count)}, path, finite=False)[key].astype(float)
