"""How far apart two datasets are, and how much of one the other covers. Samples are rows of (N, D) feature arrays.

Energy distance and MMD compare distributions (Szekely and Rizzo 2013; Gretton et al. 2012), both without the bias that
makes small samples look different; ``nearest`` is the mean distance to the closest sample of the other set, both ways;
coverage is that of Naeem et al. 2020: the share of samples of one set with a sample of the other nearer than their own
k-th neighbour.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial.distance import cdist, pdist

from ehps.arrays import Array
from ehps.errors import UsageError


def energy(a: Array, b: Array) -> float:
    """Square root of the energy distance between (N, D) and (M, D); in the unit of the features, 0 when equal."""
    squared = 2 * cdist(a, b).mean() - _mean_within(a) - _mean_within(b)
    return float(np.sqrt(max(squared, 0)))


def mmd(a: Array, b: Array, bandwidth: float | None = None) -> float:
    """Maximum mean discrepancy with a Gaussian kernel; bandwidth: median distance of the pooled samples.

    0 when equal, at most the square root of 2.
    """
    width = bandwidth or float(np.median(pdist(np.concatenate([a, b])))) or 1.0

    def within(x: Array) -> float:
        return float(np.exp(-(pdist(x) ** 2) / (2 * width**2)).mean()) if len(x) > 1 else 1.0

    squared = within(a) + within(b) - 2 * float(np.exp(-cdist(a, b, "sqeuclidean") / (2 * width**2)).mean())
    return float(np.sqrt(max(squared, 0)))


def nearest(a: Array, b: Array) -> float:
    """Mean distance to the nearest sample of the other set, averaged over both directions."""
    between = cdist(a, b)
    return float((between.min(axis=1).mean() + between.min(axis=0).mean()) / 2)


def coverage(a: Array, b: Array, k: int = 5) -> float:
    """Share of the samples of ``b`` that have a sample of ``a`` within the distance of their k-th neighbour in ``b``.

    Near 1 for two samples of one distribution of equal size; 0 when ``a`` is elsewhere. ``a`` is the training
    set, ``b`` the test set.
    """
    if len(b) < 2:
        raise UsageError("coverage needs at least two samples of the covered set")
    own = np.sort(cdist(b, b), axis=1)[:, min(k, len(b) - 1)]
    return float((cdist(b, a).min(axis=1) <= own).mean())


MEASURES: dict[str, Callable[[Array, Array], float]] = {"energy": energy, "mmd": mmd, "nearest": nearest}


def _mean_within(x: Array) -> float:
    return float(pdist(x).mean()) if len(x) > 1 else 0.0
