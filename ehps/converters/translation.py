"""Where a person is whose orientation in the camera is known but whose place is not: solved from 2D points.

A joint (X, Y, Z) relative to the pelvis, seen at (u, v), says of the pelvis (tx, ty, tz), with a = (u - cx) / fx and
b = (v - cy) / fy:  tx - a tz = a Z - X  and  ty - b tz = b Z - Y. These are linear; all joints of a person together
give tx, ty and tz in closed form (least squares, in pixels, weighted by the points' confidence).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ehps.arrays import Array, Mask
from ehps.humandata.keypoints import mapping

MIN_POINTS = 4
DOUBTFUL_PX = 20.0
"""Residual from which on the points and the body do not belong together, pixels of the image that was labelled."""


@dataclass(frozen=True)
class Solved:
    """Places of N people; rows that could not be solved are zero.

    Attributes
    ----------
    pelvis : (N, 3) in the camera frame, metres.
    residual : (N,) root mean square distance of the projected joints to their points, pixels; NaN where there is no
        solution.
    solved : (N,).
    """

    pelvis: Array
    residual: Array
    solved: Mask

    def valid(self, scale: npt.ArrayLike = 1) -> Mask:
        """(N,) solved, and the joints then lie where the points are.

        Parameters
        ----------
        scale : (N,) or one number, pixels of the images per pixel of those that were labelled.
        """
        return self.solved & (np.nan_to_num(self.residual, nan=np.inf) <= DOUBTFUL_PX * np.asarray(scale))


def solve(joints: Array, points: Array, focal: Array, principal_point: Array) -> Solved:
    """Least squares of all rows at once.

    Parameters
    ----------
    joints : (N, J, 3) relative to the pelvis, axes of the camera, m.
    points : (N, J, 3) pixels of the undistorted image and confidence; those with confidence 0 do not count.
    focal : (N, 2) in x and y, pixels.
    principal_point : (N, 2) x, y, pixels.

    A row is unsolved when it has fewer than :data:`MIN_POINTS` points, when these coincide, or when the pelvis would
    be behind the camera.
    """
    joints, points = np.asarray(joints, float), np.asarray(points, float)
    weight = np.where(np.isfinite(points).all(2), np.maximum(points[..., 2], 0), 0)
    used = weight > 0
    # In pixels: f_x a = u - c_x, and f_x (a Z - X) is what a joint says of f_x (tx - a tz).
    f, c = np.asarray(focal, float)[:, None], np.asarray(principal_point, float)[:, None]
    offset = np.where(used[..., None], points[..., :2] - c, 0)
    said = offset * joints[..., 2:] - f * joints[..., :2]
    share = (weight / np.maximum(weight.sum(1, keepdims=True), 1e-12))[..., None]
    mean_offset, mean_said = (share * offset).sum(1), (share * said).sum(1)
    spread, slope = offset - mean_offset[:, None], said - mean_said[:, None]
    variance = (share * spread**2).sum((1, 2))
    possible = (used.sum(1) >= MIN_POINTS) & (variance > 1e-6)
    depth = -(share * spread * slope).sum((1, 2)) / np.where(possible, variance, 1)
    solved = possible & (depth > 0)
    pelvis = np.column_stack([(mean_said + mean_offset * depth[:, None]) / f[:, 0], depth])
    pelvis = np.where(solved[:, None], pelvis, 0)
    seen = joints + pelvis[:, None]
    pixels = f * seen[..., :2] / np.maximum(seen[..., 2:], 1e-3)  # a joint behind the camera ends far outside
    squared = np.where(used, ((pixels - offset) ** 2).sum(2), 0).sum(1) / np.maximum(used.sum(1), 1)
    return Solved(pelvis, np.where(solved, np.sqrt(squared), np.nan), solved)


def nowhere(n: int) -> Solved:
    """N people of whom nothing says where they are."""
    return Solved(np.zeros((n, 3)), np.full(n, np.nan), np.zeros(n, bool))


def shared_joints(convention: Sequence[str], joints: Sequence[str]) -> tuple[Array, Array]:
    """Indices of model joints and of the points of a convention that are the same places.

    OpenPose's names stand for the joints of the same name; points of other regressors (``*_extra``, Human3.6M's hips)
    are centimetres off the joints and do not count.
    """
    into, taken = mapping(convention, joints, approximate=True)
    same = [convention[t].removesuffix("_openpose") == joints[j] for j, t in zip(into, taken, strict=True)]
    return into[same], taken[same]
