"""How far apart two samples are: energy distance, maximum mean discrepancy, Frechet distance, nearest neighbours.

- ``energy``: ``2 E|X - Y| - E|X - X'| - E|Y - Y'|`` (Szekely and Rizzo 2013), a length in the unit of the features:
  features ten times as large are ten times as far apart. ``energy_share`` is it as a share of ``2 E|X - Y|``, 0 to 1,
  without unit.
- ``mmd_squared``: squared maximum mean discrepancy with a Gaussian kernel (Gretton et al. 2012), without unit, at most
  2. Its bandwidth is one for all sets that are compared (:func:`bandwidth`), so that it grows as sets move apart.
- ``frechet``: the root of ``|m - m'|^2 + tr(S + S' - 2 (S S')^1/2)``: the distance of two normal distributions with the
  means and covariances of the samples, a length. Covariances are shrunk (Ledoit and Wolf 2004).
- ``classifier``: share of samples that a vote of their neighbours gives to the right set, of as many samples of both;
  about 0.5 when no difference is seen (Lopez-Paz and Oquab 2017).

Estimates of the first three have no bias from the number of samples, so they scatter about 0 when distributions are the
same, and are below 0 half of the time.

Up to :data:`EXACT` samples of a set all pairs are used. Above, the energy distance is that of projections on random
directions, and the kernel is that of random Fourier features (Rahimi and Recht 2007), both without bias, so that time
and memory grow with the number of samples, not with its square.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from ehps.analysis.nearest import squared_distances
from ehps.arrays import Array

EXACT = 1000
DIRECTIONS = 512
"""Least number of directions; whole orthogonal bases are taken."""
FREQUENCIES = 512
PERMUTATIONS = 199
VOTERS = 1000
"""Most samples of a set for the classifier."""
_MEDIAN_OF = 2000
"""Most samples of all sets together for the median distance."""


def energy(a: Array, b: Array, *, seed: int = 0) -> tuple[float, float]:
    """Energy distance of (N, D) and (M, D) in the unit of the features, and as a share of 2 E|X - Y|."""
    (found,) = energies([a, b], [(0, 1)], seed=seed)
    return found


def energies(sets: Sequence[Array], pairs: Sequence[tuple[int, int]], *, seed: int = 0) -> list[tuple[float, float]]:
    """:func:`energy` of pairs of ``sets``, given by their places."""
    if max(len(rows) for rows in sets) <= EXACT:
        within = [_mean_distance(rows, rows) * len(rows) / max(1, len(rows) - 1) for rows in sets]
        across = [_mean_distance(sets[i], sets[j]) for i, j in pairs]
    else:
        within, across = _projected(sets, pairs, np.random.default_rng(seed))
    out = []
    for (i, j), gap in zip(pairs, across, strict=True):
        value = 2 * gap - within[i] - within[j]
        out.append((float(value), float(value / (2 * gap)) if gap else 0.0))
    return out


def _mean_distance(a: Array, b: Array) -> float:
    squared = squared_distances(a, b)
    if a is b:
        np.fill_diagonal(squared, 0)
    return float(np.sqrt(squared).mean())


def _projected(
    sets: Sequence[Array], pairs: Sequence[tuple[int, int]], rng: np.random.Generator
) -> tuple[list[float], list[float]]:
    """Mean distances within sets and across pairs, from projections on random orthogonal bases."""
    d = sets[0].shape[1]
    bases = -(-DIRECTIONS // d) if d > 1 else 1
    within, across = np.zeros(len(sets)), np.zeros(len(pairs))
    for _ in range(bases):
        basis = np.linalg.qr(rng.normal(size=(d, d)))[0]
        lines = [np.sort((rows @ basis).T, axis=1) for rows in sets]  # D x N
        within += [_within(line) for line in lines]
        across += [_across(lines[i], lines[j]) for i, j in pairs]
    # A vector is this much longer than its projection on a random direction, in the mean.
    longer = np.exp(0.5 * np.log(np.pi) + gammaln((d + 1) / 2) - gammaln(d / 2))
    return (within * longer / bases).tolist(), (across * longer / bases).tolist()


def _within(lines: Array) -> float:
    """Mean distance of two different numbers of each ascending row of (D, N), over all rows."""
    n = lines.shape[1]
    weights = 2 * np.arange(n) - (n - 1)
    return float((lines @ weights).mean() * 2 / (n * max(1, n - 1)))


def _across(a: Array, b: Array) -> float:
    """Mean distance of a number of (D, N) to one of (D, M), both ascending, over all rows."""
    total = 0.0
    for x, y in zip(a, b, strict=True):
        below = np.searchsorted(x, y)  # how many of x are below each y
        sums = np.concatenate([[0.0], np.cumsum(x)])
        total += float((y * (2 * below - len(x)) - 2 * sums[below] + sums[-1]).sum())
    return total / (len(a) * a.shape[1] * b.shape[1])


def bandwidth(sets: Sequence[Array], seed: int = 0) -> float:
    """Median distance of two samples of all sets together, as many of each: the bandwidth of the whole table."""
    rng = np.random.default_rng(seed)
    each = max(2, _MEDIAN_OF // len(sets))
    drawn = [rows if len(rows) <= each else rows[np.sort(rng.choice(len(rows), each, replace=False))] for rows in sets]
    pooled = np.concatenate(drawn)
    squared = squared_distances(pooled, pooled)[np.triu_indices(len(pooled), 1)]
    return float(np.sqrt(np.median(squared))) or 1.0


@dataclass(frozen=True)
class Kernel:
    """Gaussian kernel of one bandwidth over any number of sets.

    ``frequencies`` (F, D) of its random features; None where all pairs are taken.
    """

    width: float
    frequencies: Array | None

    @classmethod
    def of(cls, sets: Sequence[Array], width: float | None = None, *, seed: int = 0) -> Kernel:
        """The kernel for ``sets``, its bandwidth theirs unless given."""
        width = bandwidth(sets, seed) if width is None else width
        if max(len(rows) for rows in sets) <= EXACT:
            return cls(width, None)
        d = sets[0].shape[1]
        return cls(width, (np.random.default_rng(seed).normal(size=(FREQUENCIES, d)) / width).astype(np.float32))

    def features(self, rows: Array) -> Array:
        """(N, 2 F) float32 features whose products are about the kernel; the rows themselves where all pairs are."""
        if self.frequencies is None:
            return rows
        angles = rows.astype(np.float32) @ self.frequencies.T
        out = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
        out *= np.float32(1 / np.sqrt(len(self.frequencies)))
        return out

    def mmd(self, a: Array, b: Array, permutations: int = 0, *, seed: int = 0) -> tuple[float, float]:
        """Squared MMD of the :meth:`features` of two sets, without bias, and its p by permutation (NaN without)."""
        n, m = len(a), len(b)
        signs = _signs(n, m, permutations, np.random.default_rng(seed))  # (1 + permutations) x (n + m), +1 in the first
        if self.frequencies is None:
            rows = np.concatenate([a, b])
            kernel = squared_distances(rows, rows)
            kernel *= -0.5 / self.width**2
            np.exp(kernel, out=kernel)
            first = signs @ kernel
            own_a = np.einsum("pn,pn->p", first, signs)
            all_of = kernel.sum(axis=1)
            mixed = signs @ all_of - own_a
            own_b = all_of.sum() - 2 * mixed - own_a
        else:
            sums_a = signs[:, :n] @ a + signs[:, n:] @ b  # of the features of the first set
            sums_b = (a.sum(axis=0) + b.sum(axis=0)) - sums_a
            own_a, own_b, mixed = (
                np.einsum("pf,pf->p", x, y, dtype=float)
                for x, y in ((sums_a, sums_a), (sums_b, sums_b), (sums_a, sums_b))
            )
        # The kernel of a sample with itself is 1 and is left out.
        squared = (own_a - n) / (n * (n - 1)) + (own_b - m) / (m * (m - 1)) - 2 * mixed / (n * m)
        p = (1 + np.sum(squared[1:] >= squared[0])) / (1 + permutations) if permutations else np.nan
        return float(squared[0]), float(p)


def _signs(n: int, m: int, permutations: int, rng: np.random.Generator) -> Array:
    """Which of n + m samples are in the first set: as they are, then permuted."""
    out = np.zeros((1 + permutations, n + m), np.float32)
    out[:, :n] = 1
    rng.permuted(out[1:], axis=1, out=out[1:])
    return out


def mmd(a: Array, b: Array, width: float | None = None, permutations: int = 0, *, seed: int = 0) -> tuple[float, float]:
    """Squared MMD and its p, see :meth:`Kernel.mmd`."""
    kernel = Kernel.of([a, b], width, seed=seed)
    return kernel.mmd(kernel.features(a), kernel.features(b), permutations, seed=seed)


def classifier(a: Array, b: Array, permutations: int = PERMUTATIONS, *, seed: int = 0) -> tuple[float, float]:
    """Share of samples that their nearest neighbours, without themselves, give to the right set; and its p.

    As many of both, at most :data:`VOTERS`; an odd number of neighbours, about the root of a set's samples. p: how
    often sets of permuted members are told apart as well.
    """
    rng = np.random.default_rng(seed)
    n = min(len(a), len(b), VOTERS)
    rows = np.concatenate([x if len(x) == n else x[np.sort(rng.choice(len(x), n, replace=False))] for x in (a, b)])
    squared = squared_distances(rows, rows)
    np.fill_diagonal(squared, np.inf)
    k = min(2 * (int(np.sqrt(n)) // 2) + 1, 2 * n - 1)
    near = np.argpartition(squared, k - 1, axis=1)[:, :k]
    members = _signs(n, n, permutations, rng).T > 0  # 2n x (1 + permutations)
    votes = np.zeros(members.shape, np.int16)
    for place in range(k):
        votes += members[near[:, place]]
    right = ((votes > k / 2) == members).mean(axis=0)
    p = (1 + np.sum(right[1:] >= right[0])) / (1 + permutations) if permutations else np.nan
    return float(right[0]), float(p)
