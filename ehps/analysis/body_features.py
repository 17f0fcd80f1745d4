"""What 3D and 2D joints say of a sample: body pose, hands, camera, and how the person lies in the image.

Joints are those of the body model, as files store them (``keypoints3d_<model>``) or as given body models make them.
Body poses are compared after position and orientation of the root are taken away, hands after those of the wrist. Each
frame is that of joints which move rigidly with it, so files without parameters have one too, and whatever frame a file
is in.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ehps.arrays import Array
from ehps.body.models import BodyModels
from ehps.errors import DataError
from ehps.humandata.core import HumanData
from ehps.humandata.keypoints import point_names

MODELS = ("smplx", "smplh", "smpl")
BODY = point_names("smpl")[1:22]
"""The 21 joints that all body models share, without the pelvis."""
_FINGERS = [f"{finger}_{i}" for finger in ("index", "middle", "pinky", "ring", "thumb") for i in (1, 2, 3)]
_SPINE = ("pelvis", "spine_1", "spine_2", "spine_3", "neck", "head")
_LEG = ("hip", "knee", "ankle")

CAMERA_COLUMNS = ("log2 focal / image height", "log2 distance / body height", "elevation", "sin roll", "cos roll")
FRAMING_COLUMNS = ("log2 box height", "truncation", "log2 people")


class AbsentError(Exception):
    """A file does not have what an attribute is made of; the message says what."""


def joints3d(hd: HumanData, names: Sequence[str], body_models: BodyModels | None = None) -> Array:
    """(N, K, 3) metres, NaN where there is none: stored joints of the body model, or those that ``body_models`` make.

    Raises
    ------
    AbsentError : the file has neither, or its model has no such joints.
    """
    for model_type in MODELS:
        column = f"keypoints3d_{model_type}"
        if column in hd and column in hd.keypoint_names:
            return _named(hd, column, names)
    if hd.body_model is None:
        raise AbsentError("no 3D joints of a body model")
    if body_models is None or not body_models.files(hd.body_model):
        raise AbsentError("no 3D joints in the file, and no body models to make them with")
    from ehps.body.variants import params_of

    params = params_of(hd, any_frame=True)
    own = point_names(hd.body_model)
    _all_there(own, names)
    made = body_models.joints(params)
    return np.asarray(made[:, [own.index(name) for name in names]], float)


def _named(hd: HumanData, column: str, names: Sequence[str]) -> Array:
    own = list(hd.keypoint_names[column])
    _all_there(own, names)
    values = np.array(hd[column][:, [own.index(name) for name in names]], float)
    if values.ndim != 3 or values.shape[2] < 3:
        raise DataError(f"{column} has shape {hd[column].shape}, no points with confidence", path=hd.source)
    values[values[..., -1] <= 0] = np.nan
    return values[..., :-1]


def _all_there(own: Sequence[str], names: Sequence[str]) -> None:
    if lacking := [name for name in names if name not in own]:
        raise AbsentError(f"its body model has no {lacking[0]}")


def frame_of(points: Array) -> Array:
    """(N, 3, 3): columns are the axes x, y, z of the frame of (N, 3, 3) points: left, right, up.

    x is from right to left, y from between them up and at right angles to x. NaN where the points lie on a line.
    """
    left, right, up = np.moveaxis(points, 1, 0)
    x = left - right
    y = up - (left + right) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
        y = y - (y * x).sum(axis=1, keepdims=True) * x
        y = y / np.linalg.norm(y, axis=1, keepdims=True)
    return np.stack([x, y, np.cross(x, y)], axis=2)


def body_joints(hd: HumanData, body_models: BodyModels | None = None) -> Array:
    """(N, 63): 21 body joints relative to the pelvis, in the frame of hips and lowest spine joint, metres.

    Divided by the root of 21, so that the distance of two rows is the root mean square over joints, in metres.
    """
    points = joints3d(hd, ("pelvis", *BODY), body_models)
    corners = points[:, [1 + BODY.index(name) for name in ("left_hip", "right_hip", "spine_1")]]
    local = (points[:, 1:] - points[:, :1]) @ frame_of(corners)  # N x 21 x 3
    return np.asarray(local.reshape(len(hd), -1) / np.sqrt(len(BODY)))


def hand_joints(hd: HumanData, body_models: BodyModels | None = None) -> Array:
    """(N, 90): 15 joints of each hand relative to the wrist, in the frame of the palm, metres; NaN where not annotated.

    Divided by the root of 30: distances are the root mean square over joints.
    """
    parts = []
    for side in ("left", "right"):
        names = (f"{side}_wrist", *(f"{side}_{name}" for name in _FINGERS))
        points = joints3d(hd, names, body_models)
        palm = points[:, [names.index(f"{side}_index_1"), names.index(f"{side}_pinky_1"), 0]]
        local = (points[:, 1:] - points[:, :1]) @ frame_of(palm)
        valid = f"meta/{side}hand_valid"
        if valid in hd:
            local[~np.asarray(hd[valid]).astype(bool)] = np.nan
        parts.append(local.reshape(len(hd), -1))
    return np.concatenate(parts, axis=1) / np.sqrt(30)


def body_height(points: Array) -> Array:
    """(N,) length of the bones from ankle to head of (N, 12, 3) joints: spine, then left and right leg; metres.

    It does not change with the pose; about nine tenths of the stature.
    """

    def length(chain: Array) -> Array:
        return np.asarray(np.linalg.norm(np.diff(chain, axis=1), axis=2).sum(axis=1))

    spine = len(_SPINE)
    legs = (length(points[:, spine : spine + 3]) + length(points[:, spine + 3 :])) / 2
    return length(points[:, :spine]) + legs


def camera(hd: HumanData, body_models: BodyModels | None = None) -> Array:
    """(N, 5), see :data:`CAMERA_COLUMNS`: focal length, distance, and whence and how tilted the person is seen.

    Distance is that of the pelvis in lengths of the bones from ankle to head. Elevation, radians, is how far above the
    hips the camera is as the trunk stands, 0 at their height; roll is that of the trunk in the image, 0 upright. Files
    do not say where the ground is: someone who lies is seen from above the head or below the feet.

    Raises
    ------
    AbsentError : no camera, or one that was invented for each person.
    """
    if hd.passport.focal == "virtual":
        raise AbsentError("its cameras are virtual, one invented for each person")
    if lacking := [name for name in ("meta/focal_length", "meta/height") if name not in hd]:
        raise AbsentError(f"no {lacking[0]}")
    sides = [f"{side}_{joint}" for side in ("left", "right") for joint in _LEG]
    points = joints3d(hd, (*_SPINE, *sides), body_models)
    pelvis, hips = points[:, 0], points[:, [len(_SPINE), len(_SPINE) + 3]]
    up = frame_of(np.stack([hips[:, 0], hips[:, 1], points[:, 1]], axis=1))[:, :, 1]
    distance = np.linalg.norm(pelvis, axis=1)
    focal = np.asarray(hd["meta/focal_length"], float).reshape(len(hd), -1)[:, -1]
    with np.errstate(invalid="ignore", divide="ignore"):
        elevation = np.arcsin(np.clip(-(up * pelvis).sum(axis=1) / distance, -1, 1))
        turned = np.hypot(up[:, 0], up[:, 1])
        values = [
            np.log2(focal / np.asarray(hd["meta/height"], float)),
            np.log2(distance / body_height(points)),
            elevation,
            up[:, 0] / turned,
            -up[:, 1] / turned,
        ]
    return np.stack(values, axis=1)


def framing(hd: HumanData, people: Array) -> Array:
    """(N, 3), see :data:`FRAMING_COLUMNS`: size of the box, share of the joints outside the image, people in it.

    Parameters
    ----------
    people : (N,) rows of the whole file with the same image, see :func:`people_in_images`.

    Raises
    ------
    AbsentError : no 2D joints of the body model, or no size of the images.
    """
    column = next((f"keypoints2d_{name}" for name in MODELS if f"keypoints2d_{name}" in hd.keypoint_names), None)
    if column is None or column not in hd:
        raise AbsentError("no 2D joints of a body model")
    if lacking := [name for name in ("meta/height", "meta/width") if name not in hd]:
        raise AbsentError(f"no {lacking[0]}")
    points = _named(hd, column, ("pelvis", *BODY))
    size = np.stack([np.asarray(hd["meta/width"], float), np.asarray(hd["meta/height"], float)], axis=1)[:, None]
    known = np.isfinite(points).all(axis=2)
    outside = known & ((points < 0) | (points >= size)).any(axis=2)
    box = np.asarray(hd["bbox_xywh"], float)
    with np.errstate(invalid="ignore", divide="ignore"):
        height = np.where(box[:, 3] > 0, np.log2(box[:, 3]), np.nan)
        return np.stack([height, outside.sum(axis=1) / known.sum(axis=1), np.log2(people)], axis=1)


def people_in_images(hd: HumanData, rows: Array) -> Array:
    """(len(rows),) how many rows of the file have the image of each of ``rows``."""
    from ehps.humandata.strings import Strings

    paths = hd["image_path"]
    codes = paths.codes if isinstance(paths, Strings) else np.unique(np.asarray(paths), return_inverse=True)[1]
    return np.bincount(codes)[np.asarray(codes)[rows]]
