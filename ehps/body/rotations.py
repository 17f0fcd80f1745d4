"""Rotations: axis-angle and matrices, turns about an axis in degrees, and what counts as a rotation."""

from __future__ import annotations

import numpy as np

from ehps.arrays import Array

TOLERANCE = 1e-2  # how far R R^T may be from 1 (calibration files round to a few digits)


def _writable(values: Array) -> Array:
    """The same, or a copy of what is read-only, which ``Rotation`` refuses before SciPy 1.17."""
    return np.require(values, requirements="W")


def to_matrix(axis_angle: Array) -> Array:
    """(..., 3) axis-angle, radians -> (..., 3, 3) float64."""
    from scipy.spatial.transform import Rotation

    vectors = np.asarray(axis_angle, np.float64)
    if not vectors.size:
        return np.zeros((*vectors.shape, 3))
    return np.asarray(Rotation.from_rotvec(_writable(vectors.reshape(-1, 3))).as_matrix()).reshape(*vectors.shape, 3)


def to_axis_angle(matrices: Array) -> Array:
    """(..., 3, 3) -> (..., 3) axis-angle, radians, float64, angle in [0, pi]."""
    from scipy.spatial.transform import Rotation

    matrices = np.asarray(matrices, np.float64)
    if not matrices.size:
        return np.zeros(matrices.shape[:-1])
    vectors = Rotation.from_matrix(_writable(matrices.reshape(-1, 3, 3))).as_rotvec()
    return np.asarray(vectors).reshape(matrices.shape[:-1])


def about(axis: str, degrees: Array | float) -> Array:
    """Right-handed rotation by ``degrees``, scalar or (N,), about ``x``, ``y`` or ``z``: (3, 3) or (N, 3, 3)."""
    angle = np.radians(np.asarray(degrees, np.float64))
    c, s = np.cos(angle), np.sin(angle)
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    out = np.zeros((*angle.shape, 3, 3))
    k = 3 - i - j
    out[..., k, k] = 1
    out[..., i, i] = out[..., j, j] = c
    out[..., j, i], out[..., i, j] = s, -s
    return out


def proper(matrices: Array) -> Array:
    """The same rotations (..., 3, 3) in float64, made exactly orthonormal.

    Raises
    ------
    ValueError : a matrix is a reflection, has a scale, or is no rotation for another reason. The message says
        which, because the remedy differs.
    """
    matrices = np.asarray(matrices, np.float64)
    if matrices.shape[-2:] != (3, 3):
        raise ValueError(f"rotations are (..., 3, 3), not {matrices.shape}")
    if not matrices.size:
        return matrices
    if not np.isfinite(matrices).all():
        raise ValueError("a rotation matrix has NaN or infinite entries")
    flat = matrices.reshape(-1, 3, 3)
    gram = flat @ flat.transpose(0, 2, 1)
    off = np.abs(gram - np.eye(3)).max(axis=(1, 2))
    worst = int(off.argmax())
    if off[worst] > TOLERANCE:
        scale = np.sqrt(np.trace(gram[worst]) / 3)
        even = scale > 0 and np.abs(gram[worst] / scale**2 - np.eye(3)).max() < TOLERANCE
        what = f"scales by {scale:.4g}, which body parameters cannot absorb" if even else "is not orthonormal"
        raise ValueError(f"matrix {worst} {what}: {flat[worst].tolist()}")
    mirrored = np.flatnonzero(np.linalg.det(flat) < 0)
    if len(mirrored):
        raise ValueError(
            f"matrix {mirrored[0]} is a reflection (determinant -1); body parameters cannot be mirrored by it"
        )
    if off[worst] < 1e-15:
        return matrices
    u, _, vt = np.linalg.svd(flat)
    return np.asarray(u @ vt).reshape(matrices.shape)
