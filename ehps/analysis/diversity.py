"""How many distinct samples a set has in effect: the Vendi score (Friedman and Dieng 2023).

exp of the entropy of the eigenvalues of K / n, where K is how alike samples are: a Gaussian of their distance whose
width is stated. 1 when all are the same, n when none are alike; k equal clusters that are far apart come to k. It grows
with the number of samples, so sets are compared at one number, and the curve against it tells whether more would add
any.
"""

from __future__ import annotations

import numpy as np

from ehps.analysis.nearest import squared_distances
from ehps.arrays import Array

MOST = 1000
"""Samples of a set, at most: eigenvalues take their third power."""
LEAST = 4
DRAWS = 3


def vendi(rows: Array, width: float) -> float:
    """Effective number of distinct rows of (N, D); rows much nearer than ``width`` count as one.

    Examples
    --------
    >>> round(vendi(np.repeat([[0.0], [9.0], [20.0]], 5, axis=0), 1.0), 6)
    3.0
    """
    kernel = np.exp(squared_distances(rows, rows) * (-0.5 / width**2))
    shares = np.linalg.eigvalsh(kernel) / len(rows)
    shares = shares[shares > 1e-12]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def vendi_at(rows: Array, width: float, n: int, *, seed: int = 0) -> float:
    """Mean :func:`vendi` of draws of ``n`` of the rows."""
    rng = np.random.default_rng([seed, n])
    draws = 1 if len(rows) == n else DRAWS
    return float(np.mean([vendi(rows[np.sort(rng.choice(len(rows), n, replace=False))], width) for _ in range(draws)]))
