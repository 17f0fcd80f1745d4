"""How far apart two datasets are, and how much of one the other covers. Samples are rows of (N, D) feature arrays.

Energy distance and MMD compare distributions (Szekely and Rizzo 2013; Gretton et al. 2012), both without the bias that
makes small samples look different; ``nearest`` is the mean distance to the closest sample of the other set, both ways;
coverage is that of Naeem et al. 2020: the share of samples of one set with a sample of the other nearer than their own
k-th neighbour.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial.distance import cdist, pdist, squareform

from ehps.arrays import Array
from ehps.errors import UsageError


def energy(a: Array, b: Array) -> float:
    """Square root of the energy distance between (N, D) and (M, D); in the unit of the features, 0 when equal."""
    return _energy(pdist(a), pdist(b), cdist(a, b))


def mmd(a: Array, b: Array, bandwidth: float | None = None) -> float:
    """Maximum mean discrepancy with a Gaussian kernel; bandwidth: median distance of the pooled samples.

    0 when equal, at most the square root of 2.
    """
    return _mmd(pdist(a), pdist(b), cdist(a, b), bandwidth)


def nearest(a: Array, b: Array) -> float:
    """Mean distance to the nearest sample of the other set, averaged over both directions."""
    return _nearest(cdist(a, b))


def coverage(a: Array, b: Array, k: int = 5) -> float:
    """Share of the samples of ``b`` that have a sample of ``a`` within the distance of their k-th neighbour in ``b``.

    Near 1 for two samples of one distribution of equal size; 0 when ``a`` is elsewhere. ``a`` is the training
    set, ``b`` the test set.
    """
    if len(b) < 2:
        raise UsageError("coverage needs at least two samples of the covered set")
    return _coverage(pdist(b), cdist(a, b), k)


def all_measures(
    a: Array, b: Array, k: int = 5, *, within_a: Array | None = None, within_b: Array | None = None
) -> dict[str, float]:
    """Coverage, energy distance, MMD and nearest sample at once.

    Parameters
    ----------
    within_a, within_b : ``pdist`` of either, where it is known: among many sets it is needed many times.
    """
    own_a = pdist(a) if within_a is None else within_a
    own_b = pdist(b) if within_b is None else within_b
    across = cdist(a, b)
    return {
        "coverage": _coverage(own_b, across, k),
        "energy": _energy(own_a, own_b, across),
        "mmd": _mmd(own_a, own_b, across),
        "nearest": _nearest(across),
    }


MEASURES: dict[str, Callable[[Array, Array], float]] = {"energy": energy, "mmd": mmd, "nearest": nearest}


def _energy(own_a: Array, own_b: Array, across: Array) -> float:
    squared = 2 * across.mean() - sum(float(own.mean()) if len(own) else 0.0 for own in (own_a, own_b))
    return float(np.sqrt(max(squared, 0)))


def _mmd(own_a: Array, own_b: Array, across: Array, bandwidth: float | None = None) -> float:
    width = bandwidth or float(np.median(np.concatenate([own_a, own_b, across.ravel()]))) or 1.0

    def mean_kernel(distances: Array) -> float:
        return float(np.exp(-(distances**2) / (2 * width**2)).mean()) if distances.size else 1.0

    squared = mean_kernel(own_a) + mean_kernel(own_b) - 2 * mean_kernel(across)
    return float(np.sqrt(max(squared, 0)))


def _nearest(across: Array) -> float:
    return float((across.min(axis=1).mean() + across.min(axis=0).mean()) / 2)


def _coverage(own_b: Array, across: Array, k: int) -> float:
    count = across.shape[1]
    neighbour = min(k, count - 1)
    radius = np.partition(squareform(own_b), neighbour, axis=1)[:, neighbour]
    return float((across.min(axis=0) <= radius).mean())
