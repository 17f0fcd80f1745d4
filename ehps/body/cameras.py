"""Cameras: projecting points into images, lens distortion, and the frames that datasets give cameras in.

Everything is in the OpenCV camera frame: x right, y down, z forward, metres; pixels u right, v down.
Intrinsics are ``focal`` and ``principal_point``, each (2,) for all rows or (N, 2), of the image on disk.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ehps.arrays import Array
from ehps.body import rotations

UNREAL = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]) / 100
"""Unreal's left-handed centimetres (x forward, y right, z up) to OpenCV-like metres."""


# -- projection -------------------------------------------------------------------------------------------


def project(points: Array, focal: Array, principal_point: Array, distortion: Array | None = None) -> Array:
    """Pixels (N, J, 2) of camera-frame points (N, J, 3), in the points' precision.

    Parameters
    ----------
    points : (N, J, 3) metres, in the camera frame.
    focal : (2,) or (N, 2) in x and y, pixels.
    principal_point : (2,) or (N, 2) x, y, pixels.
    distortion : None for a pinhole, or (K,) or (N, K) coefficients in OpenCV's order: k1 k2 p1 p2 [k3] or
        k1 k2 p1 p2 k3 k4 k5 k6 (rational).

    Returns
    -------
    NaN where a point is not in front of the camera (z <= 0): it has no projection. See :func:`keypoints2d`.
    """
    xy = _normalised(points)
    if distortion is not None:
        xy = _distort(xy, _coefficients(distortion, xy.dtype))
    return _to_pixels(xy, focal, principal_point)


def keypoints2d(
    points: Array, focal: Array, principal_point: Array, distortion: Array | None = None, *, lens: str = "opencv"
) -> Array:
    """(N, J, 3) float32 u, v, confidence: 1, or 0 (with u = v = 0) for points that the camera cannot see.

    These are points behind the camera, and points so far off the axis that the distortion formula has turned
    around and would throw them back into the image. ``lens`` is ``opencv``, or ``h36m`` with the five coefficients
    k1 k2 p1 p2 k3 of :func:`project_h36m`.

    Raises
    ------
    ValueError : the lens is neither, or the coefficients are not of its number.
    """
    if lens not in ("opencv", "h36m"):
        raise ValueError(f"unknown lens {lens!r}; expected opencv or h36m")
    if distortion is None or lens == "opencv":
        pixels = project(points, focal, principal_point, distortion)
    elif (count := np.shape(distortion)[-1]) != 5:
        raise ValueError(f"{count} distortion coefficients; the lens of Human3.6M has 5: k1 k2 p1 p2 k3")
    else:
        bent = np.asarray(distortion)
        pixels = project_h36m(points, focal, principal_point, bent[..., [0, 1, 4]], bent[..., 2:4])
    seen = np.asarray(np.isfinite(pixels).all(axis=-1))
    if distortion is not None:
        xy = _normalised(points)
        limit = distortion_limit(distortion)
        with np.errstate(invalid="ignore"):
            seen &= np.asarray(np.hypot(xy[..., 0], xy[..., 1]) < limit[..., None])
    out = np.zeros((*pixels.shape[:-1], 3), np.float32)
    out[..., :2] = np.where(seen[..., None], pixels, 0)
    out[..., 2] = seen
    return out


def project_h36m(points: Array, focal: Array, principal_point: Array, k: Array, p: Array) -> Array:
    """As :func:`project` with the lens model of Human3.6M and the IMAR sets (CHI3D, FIT3D, HumanSC3D).

    ``k`` (3,) or (N, 3) radial and ``p`` (2,) or (N, 2) tangential coefficients. The sets' own 2D points are
    reproduced to 1e-4 px. OpenCV's lens has twice the terms p1 x and p0 y of ``gain``.
    """
    xy = _normalised(points)
    radial, tangential = (_rows(value, xy.dtype) for value in (k, p))
    x, y = xy[..., 0], xy[..., 1]
    r2 = x * x + y * y
    p0, p1 = tangential[..., 0], tangential[..., 1]
    gain = 1 + r2 * (radial[..., 0] + r2 * (radial[..., 1] + r2 * radial[..., 2])) + (p1 * x + p0 * y)
    bent = np.stack([x * gain + p1 * r2, y * gain + p0 * r2], axis=-1)
    return _to_pixels(bent, focal, principal_point)


def distortion_limit(distortion: Array) -> Array:
    """(..., ) normalised radius up to which the radial distortion still grows, infinite where it always does.

    Searched up to 10 (84 degrees off the axis).
    """
    d = np.asarray(distortion, np.float64)
    flat, row = np.unique(_padded(d.reshape(-1, d.shape[-1])), axis=0, return_inverse=True)
    r = np.linspace(0, 10, 2001)
    r2 = r * r
    up = 1 + r2 * (flat[:, :1] + r2 * (flat[:, 1:2] + r2 * flat[:, 4:5]))
    down = 1 + r2 * (flat[:, 5:6] + r2 * (flat[:, 6:7] + r2 * flat[:, 7:8]))
    with np.errstate(divide="ignore", invalid="ignore"):
        turned = (np.diff(r * up / down) <= 0) | (down[:, 1:] <= 0)
    first = np.where(turned.any(axis=1), r[np.argmax(turned, axis=1)], np.inf)
    return np.asarray(first[row.ravel()].reshape(d.shape[:-1]))


# -- intrinsics, turns, frames ----------------------------------------------------------------------------


def from_matrix(K: Array) -> tuple[Array, Array]:
    """Focal lengths and principal points (..., 2) of (..., 3, 3) camera matrices."""
    K = np.asarray(K, np.float64)
    return np.stack([K[..., 0, 0], K[..., 1, 1]], axis=-1), K[..., :2, 2].copy()


def rotate_x(degrees: float | Array) -> Array:
    """(3, 3), or (N, 3, 3) for (N,) angles: right-handed turn about x."""
    return rotations.about("x", degrees)


def rotate_y(degrees: float | Array) -> Array:
    """(3, 3), or (N, 3, 3) for (N,) angles: right-handed turn about y."""
    return rotations.about("y", degrees)


def rotate_z(degrees: float | Array) -> Array:
    """(3, 3), or (N, 3, 3) for (N,) angles: right-handed turn about z; +90 turns the image clockwise."""
    return rotations.about("z", degrees)


def unreal_to_opencv(xyz_cm: npt.ArrayLike) -> Array:
    """Unreal locations (..., 3) in centimetres to metres in the OpenCV-like world: (Y, -Z, X) / 100.

    For points only: Unreal is left-handed, so its rotations need the sign care that each dataset states.
    """
    return np.asarray(xyz_cm, np.float64) @ UNREAL.T


# -- inside -----------------------------------------------------------------------------------------------


def _rows(value: Array, dtype: npt.DTypeLike) -> Array:
    """(K,) or (N, K) as (1, K) or (N, 1, K), to go with (N, J, ...) points."""
    value = np.asarray(value, dtype)
    return value[None] if value.ndim == 1 else value[:, None]


def _normalised(points: Array) -> Array:
    """x / z and y / z (N, J, 2), NaN where z <= 0."""
    points = np.asarray(points)
    if points.dtype.kind != "f":
        points = points.astype(np.float64)
    depth = np.where(points[..., 2] > 0, points[..., 2], np.nan)
    scaled: Array = points[..., :2] / depth[..., None].astype(points.dtype)
    return scaled


def _to_pixels(xy: Array, focal: Array, principal_point: Array) -> Array:
    out: Array = xy * _rows(focal, xy.dtype) + _rows(principal_point, xy.dtype)
    return out


def _padded(coefficients: Array) -> Array:
    """Coefficients with trailing zeros up to eight.

    Raises
    ------
    ValueError : their number is none of OpenCV's.
    """
    count = coefficients.shape[-1]
    if count not in (2, 4, 5, 8):
        raise ValueError(f"{count} distortion coefficients; expected 2, 4, 5 or 8 in OpenCV's order")
    out = np.zeros((*coefficients.shape[:-1], 8), coefficients.dtype)
    out[..., :count] = coefficients
    return out


def _coefficients(distortion: Array, dtype: np.dtype[Any]) -> Array:
    return _padded(_rows(distortion, dtype))


def _distort(xy: Array, coefficients: Array) -> Array:
    """Normalised coordinates (..., 2) bent by the eight coefficients (broadcast over the points)."""
    k1, k2, p1, p2, k3, k4, k5, k6 = np.moveaxis(coefficients, -1, 0)
    x, y = xy[..., 0], xy[..., 1]
    r2 = x * x + y * y
    gain = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    bent_x = x * gain + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    bent_y = y * gain + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    return np.stack([bent_x, bent_y], axis=-1)
