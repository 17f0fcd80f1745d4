"""Rank correlation and permutation tests for the handful of datasets a benchmark has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from ehps.arrays import Array


@dataclass(frozen=True)
class Correlation:
    """A coefficient, its two-sided permutation p-value and the number of pairs; NaN below three pairs."""

    value: float
    p: float
    n: int


def spearman(x: Array, y: Array, *, permutations: int = 9999, seed: int = 0) -> Correlation:
    """Spearman's rho; p = share of shuffles (the data included) whose \\|rho\\| is at least as large."""
    a, b = _paired(x, y)
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return Correlation(float("nan"), float("nan"), len(a))
    a, b = _standard(ranks(a)), _standard(ranks(b))
    rho = float(a @ b)
    shuffled = np.abs(_shuffles(b, permutations, seed) @ a)
    return Correlation(rho, _share(shuffled, abs(rho)), len(a))


def kendall(x: Array, y: Array) -> Correlation:
    """Kendall's tau-b; the p-value is scipy's (exact where there are no ties and few pairs)."""
    a, b = _paired(x, y)
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return Correlation(float("nan"), float("nan"), len(a))
    from scipy.stats import kendalltau

    result = kendalltau(a, b)
    return Correlation(float(result.statistic), float(result.pvalue), len(a))


def kruskal(values: Array, groups: Array, *, permutations: int = 9999, seed: int = 0) -> Correlation:
    """Whether groups differ: Kruskal-Wallis H on ranks with a permutation p-value; NaN below two groups."""
    values = np.asarray(values, float)
    codes = np.unique(np.asarray(groups, str), return_inverse=True)[1]
    n, k = len(values), int(codes.max()) + 1 if len(codes) else 0
    if k < 2 or n < 3 or k == n or np.ptp(values) == 0:
        return Correlation(float("nan"), float("nan"), n)
    ranked = ranks(values)
    member = np.eye(k)[codes]
    sizes = member.sum(0)
    ties = 1 - sum(c**3 - c for c in np.unique(ranked, return_counts=True)[1].tolist()) / (n**3 - n)

    def statistic(rows: Array) -> Array:
        between = ((rows @ member) ** 2 / sizes).sum(-1)
        return np.asarray((12 / (n * (n + 1)) * between - 3 * (n + 1)) / ties)

    h = float(statistic(ranked))
    return Correlation(h, _share(statistic(_shuffles(ranked, permutations, seed)), h), n)


def ranks(values: Array, method: Literal["average", "min"] = "average", axis: Literal[0, 1] | None = None) -> Array:
    """Ranks from 1, of all or along an axis; as ``scipy.stats.rankdata``, which takes a second to import."""
    if axis is None:
        return pd.Series(np.ravel(values)).rank(method=method).to_numpy()
    return pd.DataFrame(np.asarray(values)).rank(method=method, axis=axis).to_numpy()


def holm(p: Array) -> Array:
    """Holm's correction of p-values (M,) for M tests; NaN stay NaN and do not count."""
    p = np.asarray(p, float)
    out = np.full(p.shape, np.nan)
    tested = np.flatnonzero(np.isfinite(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    scaled = p[order] * np.arange(len(order), 0, -1)
    out[order] = np.minimum(1, np.maximum.accumulate(scaled)) if len(order) else scaled
    return out


def _paired(x: Array, y: Array) -> tuple[Array, Array]:
    a, b = np.asarray(x, float), np.asarray(y, float)
    both = np.isfinite(a) & np.isfinite(b)
    return a[both], b[both]


def _standard(values: Array) -> Array:
    centred = values - values.mean()
    return np.asarray(centred / np.linalg.norm(centred))


def _shuffles(values: Array, count: int, seed: int) -> Array:
    return np.random.default_rng(seed).permuted(np.tile(values, (count, 1)), axis=1)


def _share(shuffled: Array, observed: float) -> float:
    # The data are one of the possible orders: counting them keeps p above zero. 1e-9: equal up to rounding
    # is equal.
    return float((np.count_nonzero(shuffled >= observed - 1e-9) + 1) / (len(shuffled) + 1))
