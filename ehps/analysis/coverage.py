"""How much of a test set a training set covers.

*Coverage* is that of Naeem et al. (2020): the share of the test samples that have a training sample within the distance
of their own k-th neighbour among the test samples. It depends on how many samples there are of both, so sets are
compared at one number ``n`` of both, and ``k`` is at most a tenth of it. *Own scale* is the share of the test samples
with a training sample within the median distance of a test sample to its nearest neighbour: one radius for all, in the
unit of the features. Two samples of one distribution come to about 1 - 2^-k and to about a half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ehps.analysis.nearest import nearest_distance, neighbour_distances, slack
from ehps.arrays import Array, Mask
from ehps.errors import UsageError

K = 5
SHARE = 10
"""``k`` is at most the n-th part of this."""
DRAWS = 5
RESAMPLES = 200
"""Of the test samples, over all draws, for the interval."""
MOST = 2000
"""Samples that are compared unless more are asked for; more change the number, not the order of sets."""


@dataclass(frozen=True)
class Coverage:
    """Coverage at ``n`` samples of both sets: mean over draws, and the interval that 95 of 100 draws are in.

    ``own_scale`` likewise, with its ``radius``.
    """

    value: float
    low: float
    high: float
    own_scale: float
    own_low: float
    own_high: float
    radius: float
    nearest: float
    n: int
    k: int


def neighbours_for(n: int, k: int | None = None) -> int:
    """The k of coverage at ``n`` samples: 5, or fewer where that is more than a tenth.

    Raises
    ------
    UsageError : ``k`` was given and is more than a tenth of ``n``, or ``n`` is below ten.
    """
    if n < SHARE:
        raise UsageError(f"{n} samples are too few for coverage", fix=f"compare at least {SHARE} of every set")
    most = n // SHARE
    if k is not None and not 1 <= k <= most:
        raise UsageError(
            f"k = {k} neighbours of n = {n} samples: k must be 1 to a tenth of n",
            fix=f"choose k up to {most}, or at least {SHARE * k} samples of every set",
        )
    return min(K, most) if k is None else k


def covered(train: Array, test: Array, radius: float | Array) -> Array:
    """(N_test,) bool: which test samples have a training sample within ``radius`` (one, or one a test sample).

    Examples
    --------
    >>> covered(np.array([[0.0], [5.0]]), np.array([[0.5], [2.0], [5.0]]), 1.0)
    array([ True, False,  True])
    """
    if not len(train):
        return np.zeros(len(test), bool)
    return np.asarray(nearest_distance(test, train) <= np.asarray(radius) + slack(train, test))


def own_radius(test: Array) -> float:
    """Median distance of a test sample to its nearest neighbour among the test samples."""
    return float(np.median(neighbour_distances(test, (1,))[0]))


def coverage(train: Array, test: Array, k: int | None = None) -> float:
    """Share of ``test`` with a sample of ``train`` within its k-th neighbour's distance, of all samples as they are.

    Raises
    ------
    UsageError : ``k`` is more than a tenth of the test samples.
    """
    return float(covered(train, test, neighbour_distances(test, (neighbours_for(len(test), k),))[0]).mean())


@dataclass(frozen=True)
class Tested:
    """Test samples (n, D) of one draw, the distance (n,) of each to its k-th neighbour, and :func:`own_radius`."""

    rows: Array
    own: Array
    radius: float
    k: int


def draws_of(
    test: Array, n: int, k: int | None = None, *, draws: int = DRAWS, rng: np.random.Generator
) -> list[Tested]:
    """Draws of ``n`` test samples, which all training sets are compared with; one where there are no more than ``n``.

    Raises
    ------
    UsageError : ``test`` has fewer than ``n`` samples, or ``k`` is more than a tenth of ``n``.
    """
    k = neighbours_for(n, k)
    out = []
    for rows in _draws(test, n, draws, rng):
        nearest, own = neighbour_distances(rows, (1, k))
        out.append(Tested(rows, own, float(np.median(nearest)), k))
    return out


def measure(train: Array, test: Sequence[Tested], *, draws: int = DRAWS, rng: np.random.Generator) -> Coverage:
    """Coverage of a test set's draws by ``train``, of which as many samples are drawn each time.

    The interval is over draws and, within each, over the test samples drawn again with replacement; where a set has no
    more than ``n`` samples, all of them are in every draw.

    Raises
    ------
    UsageError : ``train`` has fewer samples than the draws.
    """
    n = len(test[0].rows)
    values, spread, gaps = [], [], []
    trains = _draws(train, n, draws, rng)
    count = max(len(trains), len(test))
    for number in range(count):
        a, b = trains[number % len(trains)], test[number % len(test)]
        gap, near = nearest_distance(b.rows, a), slack(a, b.rows)
        inside = np.stack([gap <= b.own + near, gap <= b.radius + near])  # 2 x n
        again = rng.integers(0, n, (RESAMPLES // count, n))
        values.append(inside.mean(axis=1))
        spread.append(inside[:, again].mean(axis=2).T)  # resamples x 2
        gaps.append(gap.mean())
    value, own_scale = np.mean(values, axis=0)
    low, high = np.percentile(np.concatenate(spread), (2.5, 97.5), axis=0)
    return Coverage(
        value=float(value),
        low=min(float(low[0]), float(value)),
        high=max(float(high[0]), float(value)),
        own_scale=float(own_scale),
        own_low=min(float(low[1]), float(own_scale)),
        own_high=max(float(high[1]), float(own_scale)),
        radius=float(np.mean([draw.radius for draw in test])),
        nearest=float(np.mean(gaps)),
        n=n,
        k=test[0].k,
    )


def hits(train: Array, test: Sequence[Tested], *, draws: int = DRAWS, rng: np.random.Generator) -> Mask:
    """(draws, n) which samples of each draw of a test set ``train`` covers; their mean is the value of :func:`measure`
    with the same generator.

    Raises
    ------
    UsageError : ``train`` has fewer samples than the draws.
    """
    trains = _draws(train, len(test[0].rows), draws, rng)
    pairs = [(trains[i % len(trains)], test[i % len(test)]) for i in range(draws)]
    return np.stack([covered(a, b.rows, b.own) for a, b in pairs])


def _draws(rows: Array, n: int, draws: int, rng: np.random.Generator) -> list[Array]:
    """Draws of ``n`` rows; one where there are no more than ``n``."""
    if len(rows) < n:
        raise UsageError(f"{len(rows)} samples are fewer than the n = {n} that sets are compared at")
    if len(rows) == n:
        return [rows]
    return [rows[np.sort(rng.choice(len(rows), n, replace=False))] for _ in range(draws)]


def grid(most: int, least: int = SHARE) -> list[int]:
    """Numbers of samples for a curve: doubling up to ``most``, from ``least`` on, at most six."""
    sizes = [most]
    while sizes[-1] // 2 >= least and len(sizes) < 6:
        sizes.append(sizes[-1] // 2)
    return sizes[::-1]


def curve(train: Array, test: Array, sizes: Sequence[int], k: int | None = None, *, seed: int = 0) -> list[Coverage]:
    """:func:`measure` at each of ``sizes``; one ``k`` for all, that of the smallest."""
    k = neighbours_for(min(sizes), k)
    out = []
    for n in sizes:
        rng = np.random.default_rng([seed, n])
        out.append(measure(train, draws_of(test, n, k, rng=rng), rng=rng))
    return out
