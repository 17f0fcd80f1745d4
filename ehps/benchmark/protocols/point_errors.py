"""Errors between points, batched numpy: alignments, mean distances, visibility.

Everything is in the units of its input (metres inside the benchmark; reports multiply by 1000). An error is
the mean over points of the Euclidean distance within one sample; (N,) values come back, one a sample, NaN
where a sample has nothing to compare. Formulas as in the public SMPLer-X evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ehps.arrays import Array

FAR = 1e-6  # of the mean square of coordinates: points with a smaller variance are centred before they are multiplied
RESOLVED = 1e-13  # share of the mean square of coordinates that a variance must have to be more than rounding


@dataclass(frozen=True)
class Fit:
    """A similarity of each of N point sets: ``scale * rotation @ point + translation``.

    Attributes
    ----------
    scale : (N,).
    rotation : (N, 3, 3), proper.
    translation : (N, 3).
    """

    scale: Array
    rotation: Array
    translation: Array

    def __call__(self, points: Array) -> Array:
        """(N, V, 3) points moved."""
        turn = self.scale[:, None, None] * self.rotation
        moved = np.matmul(turn, np.asarray(points, np.float64).transpose(0, 2, 1))  # along points: N x 3 x V
        moved += self.translation[:, :, None]
        return moved.transpose(0, 2, 1)


def fit(points: Array, target: Array, kind: str = "with-scale") -> Fit:
    """The best similarity from ``points`` (N, V, 3) to ``target``: proper rotation, translation, scale.

    The scale is the sum of the singular values of the cross covariance over the sum of the population
    variances of ``points``; a reflection is undone by the last singular direction (det +1 always).

    Parameters
    ----------
    kind : ``with-scale``, or ``without-scale`` for a scale of 1.
    """
    points, target = np.asarray(points, np.float64), np.asarray(target, np.float64)
    count = points.shape[1]
    mean_p, mean_t = (np.matmul(np.full((1, count), 1 / count), one) for one in (points, target))  # N x 1 x 3
    square = np.einsum("nvc,nvc->n", points, points) / count
    variance = square - (mean_p**2).sum((1, 2))
    least = RESOLVED * square
    if (variance < FAR * square).any():
        points, target = points - mean_p, target - mean_t
        H = np.matmul(points.transpose(0, 2, 1), target) / count
        variance, least = np.einsum("nvc,nvc->n", points, points) / count, RESOLVED**2 * square
    else:
        H = np.matmul(points.transpose(0, 2, 1), target) / count - mean_p.transpose(0, 2, 1) * mean_t
    variance = np.where(variance > least, variance, 0.0)
    U, s, Vt = np.linalg.svd(H)
    V = Vt.transpose(0, 2, 1).copy()
    mirrored = np.linalg.det(np.matmul(V, U.transpose(0, 2, 1))) < 0
    V[mirrored, :, 2] *= -1
    s = s.copy()
    s[mirrored, 2] *= -1
    R = np.matmul(V, U.transpose(0, 2, 1))
    scale = s.sum(1) / np.where(variance > 0, variance, 1.0) if kind == "with-scale" else np.ones(len(points))
    moved = scale[:, None] * np.einsum("nij,nj->ni", R, mean_p[:, 0])
    return Fit(scale, R, mean_t[:, 0] - moved)


def procrustes(points: Array, target: Array, kind: str = "with-scale") -> Array:
    """``points`` (N, V, 3) moved onto ``target`` by :func:`fit`."""
    return fit(points, target, kind)(points)


def same_size(points: Array, target: Array) -> Array:
    """``points`` (N, V, 3) with the mean, and the root mean square distance from it, that ``target`` has."""
    centred, wanted = (one - one.mean(axis=1, keepdims=True) for one in (points, target))
    size, right = (np.sqrt((one**2).sum(axis=(1, 2))) for one in (centred, wanted))
    scale = right / np.where(size > 0, size, 1.0)
    return np.asarray(centred * scale[:, None, None] + target.mean(axis=1, keepdims=True))


def lengths(vectors: Array) -> Array:
    """(N, V) of (N, V, 3)."""
    out: Array = np.einsum("nvc,nvc->nv", vectors, vectors)
    return np.sqrt(out, out=out)


def distances(a: Array, b: Array) -> Array:
    """(N, V) Euclidean distances of (N, V, 3) points."""
    return lengths(np.asarray(a, np.float64) - np.asarray(b, np.float64))


def mean_error(d: Array, mask: Array | None = None) -> Array:
    """(N,) mean of distances (N, V); with ``mask`` (N, V) bool of the masked points only, NaN where there is none."""
    if mask is None:
        mean: Array = d.mean(1)
        return mean
    count = mask.sum(1)
    total = np.where(mask, d, 0.0).sum(1)
    out: Array = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return out


def mean_of_present(*values: Array) -> Array:
    """(N,) mean over the values that are not NaN (the two hands); NaN where all are."""
    stacked = np.stack(values)
    there = ~np.isnan(stacked)
    count = there.sum(0)
    out: Array = np.where(count > 0, np.where(there, stacked, 0.0).sum(0) / np.maximum(count, 1), np.nan)
    return out


def share_within(errors: Array, limit: float) -> Array:
    """(N,) share of (N, P) distances that are not above ``limit``."""
    out: Array = (errors <= limit).mean(axis=1)
    return out


def area_under_curve(errors: Array, limits: Array) -> Array:
    """(N,) area under the curve of the share of (N, P) distances not above each of ``limits`` (ascending from 0).

    Thresholds are divided by the last one; the curve is linear between them, so that the area lies in 0..1.
    """
    shares = (errors[:, None] <= limits[None, :, None]).mean(axis=2)  # N x L
    x = limits / limits[-1]
    out: Array = ((shares[:, 1:] + shares[:, :-1]) / 2 * np.diff(x)).sum(axis=1)
    return out


def angles(a: Array, b: Array) -> Array:
    """(...) degrees of the rotation between (..., 3, 3) rotations."""
    cosine = (np.einsum("...ij,...ij->...", a, b) - 1) / 2
    sine = np.linalg.norm(np.asarray(a) - np.asarray(b), axis=(-2, -1)) / np.sqrt(8)  # of half the angle
    out: Array = np.degrees(np.where(cosine > 0.9, 2 * np.arcsin(np.clip(sine, 0, 1)), np.arccos(cosine.clip(-1, 1))))
    return out


def inside(points: Array, sizes: Array) -> Array:
    """(N, V) bool: pixels (N, V, 2) strictly inside images of ``sizes`` (N, 2) height, width."""
    height, width = sizes[:, :1], sizes[:, 1:]
    x, y = points[..., 0], points[..., 1]
    out: Array = (x > 0) & (x < width) & (y > 0) & (y < height)
    return out


def project(points: Array, focal: Array, principal_point: Array, *, offset: float = 0.0) -> Array:
    """(N, V, 3) metres -> (N, V, 2) pixels; points behind the camera become NaN.

    Parameters
    ----------
    offset : added to depths, metres; the public code of SMPLer-X adds 1e-4.
    """
    z = points[..., 2:] + offset
    with np.errstate(divide="ignore", invalid="ignore"):
        uv = points[..., :2] / np.where(z > 0, z, np.nan)
    out: Array = uv * focal[:, None] + principal_point[:, None]
    return out
