"""Frechet distance of two samples as normal distributions, without the bias that few samples give it.

Covariances are shrunk towards a multiple of the identity (Ledoit and Wolf 2004), with which they have full rank however
few samples there are. What is left of the bias falls as 1 / n, so the squared distance at n and at n / 2 gives that of
infinitely many (Chong and Forsyth 2020).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from ehps.arrays import Array

HALVES = 4
"""How often a set is cut into two halves at random."""


@dataclass(frozen=True)
class Normal:
    """Mean (D,), shrunk covariance (D, D) and its root."""

    mean: Array
    covariance: Array
    root: Array

    @classmethod
    def of(cls, rows: Array) -> Normal:
        from sklearn.covariance import ledoit_wolf

        covariance = ledoit_wolf(rows)[0]
        values, vectors = eigh(covariance)
        return cls(rows.mean(axis=0), covariance, (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)


@dataclass(frozen=True)
class Fitted:
    """A sample's normal distribution, and those of random halves of it."""

    whole: Normal
    halves: tuple[Normal, ...]

    @classmethod
    def of(cls, rows: Array, *, seed: int = 0) -> Fitted:
        rng = np.random.default_rng(seed)
        halves = []
        for _ in range(HALVES):
            order = rng.permutation(len(rows))
            middle = len(rows) // 2
            halves += [Normal.of(rows[np.sort(part)]) for part in (order[:middle], order[middle : 2 * middle])]
        return cls(Normal.of(rows), tuple(halves))


def squared(a: Normal, b: Normal) -> float:
    """Squared Frechet distance of two normal distributions."""
    product = a.root @ b.covariance @ a.root
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(product), 0)).sum()
    return float(((a.mean - b.mean) ** 2).sum() + np.trace(a.covariance) + np.trace(b.covariance) - 2 * shared)


def frechet(a: Fitted, b: Fitted) -> float:
    """Estimated squared distance; below 0 about as often as above where the distributions are the same."""
    half = np.mean([squared(x, y) for x, y in zip(a.halves, b.halves, strict=True)])
    return 2 * squared(a.whole, b.whole) - float(half)
