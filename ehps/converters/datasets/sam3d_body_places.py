"""Where the people of SAM 3D Body's labels stand: which reading of the 3D points puts them on the 2D points.

No document says whether ``keypoints_3d`` are in the camera frame or begin at the model's origin, and whether the
translation is in the first three model parameters (decimetres; MHR has y up, the camera y down). Each reading is tried
on the first people with a fit, and the distance to their 2D points in pixels decides for the whole split.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ehps.arrays import Array
from ehps.body.cameras import project
from ehps.converters import translation
from ehps.converters.datasets.sam3d_body_files import Labels
from ehps.errors import DataError
from ehps.humandata.keypoints import point_names

POINTS = point_names("mhr70")
TORSO = 0.15, 1.2  # metres from the middle of the hips to that of the shoulders
LEAST_BETTER = 2.0  # times the distance that is left when the place is solved: a reading with more is not the right one
CLOSE = 1.0  # pixels that any reading may be off
FAR = 0.1  # of the box's longer side: points that are further off everywhere are in other axes
IN_CAMERA = "camera frame"
SOLVED = "solved from keypoints_2d, keypoints_3d and cam_int"
Y_DOWN = np.array([1.0, -1.0, -1.0])
ENDS = tuple(f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "hip"))
READINGS: dict[str, Callable[[Labels], Array]] = {
    IN_CAMERA: lambda labels: np.zeros((len(labels), 3)),
    "model_params[0:3] / 10, y and z negated": lambda labels: labels.model_params[:, :3] / 10 * Y_DOWN,
    "model_params[0:3] / 10": lambda labels: labels.model_params[:, :3] / 10,
    SOLVED: lambda labels: _solved(labels),
}
"""Reading -> (N, 3) metres to be added to the 3D points; NaN where it is not known."""


def reading_of(labels: Labels, path: Path) -> tuple[str, str]:
    """The one of :data:`READINGS` that is right for people with a fit, and a sentence on how far off each is.

    Raises
    ------
    DataError : the points are not metres, or no reading puts them on the 2D points.
    """
    joints = {name: labels.points3d[:, POINTS.index(name), :3] for name in ENDS}
    torso = sum((joints[f"{side}_shoulder"] - joints[f"{side}_hip"]) / 2 for side in ("left", "right"))
    length = float(np.median(np.linalg.norm(torso, axis=1)))
    if not TORSO[0] <= length <= TORSO[1]:
        what = f"keypoints_3d are not metres: hips and shoulders are {length:g} apart (median)"
        raise DataError(what, path=path, fix="report this: the unit of the published files was not known")
    apart = {name: float(np.median(distances(labels, shift(labels)))) for name, shift in READINGS.items()}
    said = "; ".join(f"{name}: {pixels:.1f} px" for name, pixels in apart.items() if np.isfinite(pixels))
    if not min(apart.values()) <= FAR * float(np.median(labels.bbox[:, 2:4].max(axis=1))):
        what = f"keypoints_3d lie on keypoints_2d in no known reading ({said or 'all are behind the camera'})"
        raise DataError(what, path=path, fix="report this: the frame of the published files was not known")
    stated = min((name for name in READINGS if name != SOLVED), key=apart.__getitem__)
    chosen = stated if apart[stated] <= max(LEAST_BETTER * apart[SOLVED], CLOSE) else SOLVED
    return chosen, f"the place of the 3D points is read as {chosen} (median distance to the 2D points, {said})"


def distances(labels: Labels, shift: Array) -> Array:
    """(N,) mean distance in pixels of the 2D points from the shifted 3D points' projections; infinite where one is
    behind the camera or nothing can be compared."""
    seen = project(labels.points3d[..., :3] + shift[:, None], *camera_of(labels))
    used = (labels.points2d[..., 2] > 0) & (labels.points3d[..., 3] > 0)
    gap = np.where(used, np.linalg.norm(seen - labels.points2d[..., :2], axis=2), 0).sum(axis=1)
    return np.where(used.any(axis=1) & np.isfinite(gap), gap / np.maximum(used.sum(axis=1), 1), np.inf)


def camera_of(labels: Labels) -> tuple[Array, Array]:
    """(N, 2) focal lengths and principal points, pixels."""
    return labels.cam_int[:, [0, 1], [0, 1]], labels.cam_int[:, :2, 2]


def placed(labels: Labels, reading: str) -> Array:
    """(N, 70, 4) 3D points in the camera frame, confidence last: 0 without a fit, or where the place is not known."""
    shift = READINGS[reading](labels)
    known = labels.valid & np.isfinite(shift).all(axis=1)
    points = labels.points3d.copy()
    points[..., :3] += np.where(known[:, None], shift, 0)[:, None]
    points[~known] = 0
    return points


def _solved(labels: Labels) -> Array:
    confident = labels.points2d[..., 2:] * (labels.points3d[..., 3:] > 0)
    points = np.concatenate([labels.points2d[..., :2], confident], axis=2)
    found = translation.solve(labels.points3d[..., :3], points, *camera_of(labels))
    return np.where(found.solved[:, None], found.pelvis, np.nan)
