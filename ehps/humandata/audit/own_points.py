"""Measures of a set's own points, which need no fit: are they in the image, in the row's box, and where its own 3D
points are seen by its camera?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ehps.arrays import Array
from ehps.humandata.boxes import TOLERANCE, joints_inside
from ehps.humandata.core import HumanData
from ehps.humandata.passport import Passport
from ehps.humandata.schema import FISHEYE, H36M

Measure = Callable[[HumanData], Array]

OWN_2D = ("keypoints2d_original", "keypoints2d")
OWN_3D = ("keypoints3d_original", "keypoints3d")
SIZE = ("meta/height", "meta/width")
CAMERA = ("meta/focal_length", "meta/principal_point")
H36M_CAMERA = ("meta/h36m_focal_length", "meta/h36m_principal_point")  # where CAMERA is a pinhole that comes near it
LENSES = {"meta/dist_coeffs": 2, H36M: 1}
"""Column of coefficients of other lenses -> how often the tangential terms x y and x^2 count in its formula."""


def own_points(hd: HumanData, columns: tuple[str, ...] = OWN_2D) -> str | None:
    """The column of the set's own points, None where it has none with names."""
    return next((name for name in columns if name in hd and name in hd.keypoint_names), None)


def measurable(hd: HumanData) -> dict[str, Measure]:
    """What can be measured on the columns there are: measure -> function of a piece of the file."""
    own, posed = own_points(hd), own_points(hd, OWN_3D)
    out: dict[str, Measure] = {}
    if own is None or not all(name in hd for name in SIZE):
        return out
    out["points_in_image"] = lambda part: in_image(part[own], _size(part))
    if "bbox_xywh" in hd:
        out["points_in_box"] = lambda part: _in_box(part, own)
    camera = all(name in hd for name in CAMERA) and hd.passport.focal == "image"
    if posed and camera and hd.passport.frame == Passport.frame and not hd.misc.get("kps3d_root_aligned", False):
        common = [name for name in hd.keypoint_names[own] if name in hd.keypoint_names[posed]]
        at_2d = [hd.keypoint_names[own].index(name) for name in common]
        at_3d = [hd.keypoint_names[posed].index(name) for name in common]
        out["own_points_px"] = lambda part: _own_2d_against_3d(part, part[own][:, at_2d], part[posed][:, at_3d])
    return out


def in_image(points: Array, size: Array) -> Array:
    """(N,) share of the labelled points that lie inside the image, NaN where none is labelled.

    Parameters
    ----------
    points : (N, K, 3) x, y pixels and confidence.
    size : (N, 2) height and width, pixels.
    """
    at = np.asarray(points[..., :2], np.float64)
    labelled = (points[..., 2] > 0) & np.isfinite(at).all(axis=2)
    inside = ((at >= -TOLERANCE) & (at <= size[:, None, ::-1] + TOLERANCE)).all(axis=2)
    return _share(inside & labelled, labelled)


def _in_box(part: HumanData, own: str) -> Array:
    """(N,) share of the labelled points in the image that lie in the box, NaN where there is no box."""
    box = np.asarray(part["bbox_xywh"], np.float64)
    share = joints_inside(part[own], box, _size(part))
    return np.where(box[:, 4] > 0, share, np.nan)


def _own_2d_against_3d(part: HumanData, points2d: Array, points3d: Array) -> Array:
    """(N,) mean distance in pixels of the 2D points in the image from where the 3D points are seen."""
    at = np.asarray(points2d[..., :2], np.float64)
    seen = _projected(part, np.asarray(points3d[..., :3], np.float64))
    both = (points2d[..., 2] > 0) & (points3d[..., 3] > 0) & np.isfinite(at).all(axis=2) & np.isfinite(seen).all(axis=2)
    both &= ((at >= 0) & (at <= _size(part)[:, None, ::-1])).all(axis=2)
    distance = np.linalg.norm(np.where(both[..., None], seen - at, 0), axis=2)
    count = both.sum(axis=1)
    return np.where(count > 0, distance.sum(axis=1) / np.maximum(count, 1), np.nan)


def _projected(part: HumanData, points: Array) -> Array:
    """(N, K, 2) pixels of camera-frame points (N, K, 3); NaN behind the camera."""
    columns = H36M_CAMERA if all(name in part for name in H36M_CAMERA) else CAMERA
    focal, centre = (np.asarray(part[name], np.float64).reshape(len(part), -1, 2) for name in columns)
    depth = points[..., 2:]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        flat = np.where(depth > 0, points[..., :2] / depth, np.nan)
    for name, times in LENSES.items():
        if name in part:
            flat = _distorted(flat, np.asarray(part[name], np.float64), times)
    if FISHEYE in part:
        flat = _fisheye(flat, np.asarray(part[FISHEYE], np.float64))
    return flat * focal + centre


def _distorted(flat: Array, coefficients: Array, times: int) -> Array:
    """Normalised points (N, K, 2) through a lens of (N, C) coefficients k1 k2 p1 p2 [k3 [k4 k5 k6]]; see LENSES."""
    k = np.nan_to_num(np.pad(coefficients, ((0, 0), (0, 8))))[:, :8, None]
    x, y = flat[..., 0], flat[..., 1]
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        r2 = x * x + y * y
        radial = 1 + r2 * (k[:, 0] + r2 * (k[:, 1] + r2 * k[:, 4]))
        radial /= 1 + r2 * (k[:, 5] + r2 * (k[:, 6] + r2 * k[:, 7]))
        bent_x = x * radial + times * k[:, 2] * x * y + k[:, 3] * (r2 + times * x * x)
        bent_y = y * radial + k[:, 2] * (r2 + times * y * y) + times * k[:, 3] * x * y
    return np.stack([bent_x, bent_y], axis=-1)


def _fisheye(flat: Array, coefficients: Array) -> Array:
    """Normalised points (N, K, 2) through OpenCV's fisheye of (N, 4) coefficients k1 k2 k3 k4."""
    radius = np.linalg.norm(flat, axis=2)
    theta = np.arctan(radius)
    bent = theta + sum(coefficients[:, k, None] * theta ** (2 * k + 3) for k in range(4))
    with np.errstate(invalid="ignore"):
        return flat * np.where(radius > 0, bent / np.where(radius > 0, radius, 1), 1)[..., None]


def _size(part: HumanData) -> Array:
    """(N, 2) height and width of the images."""
    return np.stack([np.asarray(part[name], np.float64) for name in SIZE], axis=1)


def _share(some: Array, of: Array) -> Array:
    count = of.sum(axis=1)
    return np.where(count > 0, some.sum(axis=1) / np.maximum(count, 1), np.nan)
