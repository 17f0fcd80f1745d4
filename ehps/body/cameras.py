"""Cameras: projecting points into images, lens distortion, and the frames that datasets give cameras in.

Everything is in the OpenCV camera frame: x right, y down, z forward, metres; pixels u right, v down.
Intrinsics are ``focal`` and ``principal_point``, each (2,) for all rows or (N, 2), of the image on disk.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ehps.arrays import Array
from ehps.body import rotations

UNREAL = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]) / 100
"""Unreal's left-handed centimetres (x forward, y right, z up) to OpenCV-like metres."""


LENSES = {
    "opencv": ((2, 4, 5, 8), "k1 k2 p1 p2 [k3 [k4 k5 k6]]"),
    "h36m": ((5,), "k1 k2 p1 p2 k3"),
    "fisheye": ((4,), "k1 k2 k3 k4"),
}
"""Lens -> how many coefficients it has, and their order."""


# -- projection -------------------------------------------------------------------------------------------


def project(
    points: Array, focal: Array, principal_point: Array, distortion: Array | None = None, *, lens: str = "opencv"
) -> Array:
    """Pixels (N, J, 2) of camera-frame points (N, J, 3), in the points' precision.

    Parameters
    ----------
    points : (N, J, 3) metres, in the camera frame.
    focal : (2,) or (N, 2) in x and y, pixels.
    principal_point : (2,) or (N, 2) x, y, pixels.
    distortion : None for a pinhole, or (K,) or (N, K) coefficients of the lens, in the order of :data:`LENSES`.
    lens : ``opencv`` (rational where it has eight coefficients), ``h36m`` (see :func:`project_h36m`), or ``fisheye``,
        OpenCV's: a ray at theta radians from the axis lands theta (1 + k1 theta^2 + k2 theta^4 + k3 theta^6 +
        k4 theta^8) focal lengths from the principal point.

    Returns
    -------
    NaN where a point is not in front of the camera (z <= 0): it has no projection. See :func:`keypoints2d`.

    Raises
    ------
    ValueError : there is no such lens, or the coefficients are not of its number.
    """
    if distortion is not None:
        _check_lens(lens, np.shape(distortion)[-1])
    if distortion is None:
        xy = _normalised(points)
    elif lens == "fisheye":
        xy = _fisheye(points, distortion)
    elif lens == "h36m":
        bent = np.asarray(distortion)
        return project_h36m(points, focal, principal_point, bent[..., [0, 1, 4]], bent[..., 2:4])
    else:
        xy = _normalised(points)
        xy = _distort(xy, _padded(_rows(distortion, xy.dtype)))
    return _to_pixels(xy, focal, principal_point)


def keypoints2d(
    points: Array, focal: Array, principal_point: Array, distortion: Array | None = None, *, lens: str = "opencv"
) -> Array:
    """(N, J, 3) float32 u, v, confidence: 1, or 0 (with u = v = 0) for points that the camera cannot see.

    These are points behind the camera, and points so far off the axis that the distortion formula has turned
    around and would throw them back into the image. Parameters are those of :func:`project`.

    Raises
    ------
    ValueError : there is no such lens, or the coefficients are not of its number.
    """
    pixels = project(points, focal, principal_point, distortion, lens=lens)
    seen = np.asarray(np.isfinite(pixels).all(axis=-1))
    if distortion is not None:
        xy = _normalised(points)
        limit = distortion_limit(distortion, lens=lens)
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


def distortion_limit(distortion: Array, *, lens: str = "opencv") -> Array:
    """(..., ) normalised radius up to which the radial distortion still grows, infinite where it always does.

    Searched up to 10 (84 degrees off the axis), of fisheyes up to 90 degrees off the axis.
    """
    d = np.asarray(distortion, np.float64)
    flat, row = np.unique(d.reshape(-1, d.shape[-1]), axis=0, return_inverse=True)
    first = _fisheye_limit(flat) if lens == "fisheye" else _radial_limit(_padded(flat))
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
    _check_lens("opencv", count)
    out = np.zeros((*coefficients.shape[:-1], 8), coefficients.dtype)
    out[..., :count] = coefficients
    return out


def _check_lens(lens: str, count: int) -> None:
    """Raise unless there is such a lens with this number of coefficients.

    Raises
    ------
    ValueError : there is not.
    """
    if lens not in LENSES:
        raise ValueError(f"unknown lens {lens!r}; expected {', '.join(LENSES)}")
    counts, order = LENSES[lens]
    if count not in counts:
        expected = " or ".join(map(str, counts))
        raise ValueError(f"{count} distortion coefficients; the lens {lens} has {expected}: {order}")


def _radial_limit(flat: Array) -> Array:
    """(U,) limits of lenses (U, 8)."""
    r = np.linspace(0, 10, 2001)
    r2 = r * r
    up = 1 + r2 * (flat[:, :1] + r2 * (flat[:, 1:2] + r2 * flat[:, 4:5]))
    down = 1 + r2 * (flat[:, 5:6] + r2 * (flat[:, 6:7] + r2 * flat[:, 7:8]))
    with np.errstate(divide="ignore", invalid="ignore"):
        turned = (np.diff(r * up / down) <= 0) | (down[:, 1:] <= 0)
    return np.where(turned.any(axis=1), r[np.argmax(turned, axis=1)], np.inf)


def _fisheye_limit(flat: Array) -> Array:
    """(U,) limits of fisheyes (U, 4)."""
    theta = np.linspace(0, np.pi / 2, 2001)
    t2 = theta * theta
    k1, k2, k3, k4 = flat.T[..., None]
    turned = 1 + t2 * (3 * k1 + t2 * (5 * k2 + t2 * (7 * k3 + t2 * 9 * k4))) <= 0
    return np.where(turned.any(axis=1), np.tan(theta[np.argmax(turned, axis=1)]), np.inf)


def _distort(xy: Array, coefficients: Array) -> Array:
    """Normalised coordinates (..., 2) bent by the eight coefficients (broadcast over the points)."""
    k1, k2, p1, p2, k3, k4, k5, k6 = np.moveaxis(coefficients, -1, 0)
    x, y = xy[..., 0], xy[..., 1]
    r2 = x * x + y * y
    gain = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    bent_x = x * gain + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    bent_y = y * gain + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    return np.stack([bent_x, bent_y], axis=-1)


def _fisheye(points: Array, distortion: Array) -> Array:
    """Where rays to camera-frame points (N, J, 3) cross the image, focal lengths from the principal point (N, J, 2).

    The angle is that between ray and axis itself, so that it is exact up to 90 degrees, where x / z has no end.
    """
    points = np.asarray(points)
    if points.dtype.kind != "f":
        points = points.astype(np.float64)
    k1, k2, k3, k4 = np.moveaxis(_rows(distortion, points.dtype), -1, 0)
    off_axis = np.hypot(points[..., 0], points[..., 1])
    theta = np.arctan2(off_axis, np.where(points[..., 2] > 0, points[..., 2], np.nan))
    t2 = theta * theta
    bent = theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))
    on_axis = off_axis == 0
    out: Array = points[..., :2] * np.where(on_axis, 0 * bent, bent / np.where(on_axis, 1, off_axis))[..., None]
    return out
