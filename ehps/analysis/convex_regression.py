"""A ridge regression some of whose coefficients are not negative, and the convex model of mixtures that it fits.

With far more coefficients than rows, its dual has one unknown a row: the residual over the penalty. It is a smooth
convex function, quadratic wherever the same coefficients are above 0, which Newton's method with a line search solves
exactly after a few steps (Li, Sun and Toh, SIAM Journal on Optimization 28, 2018, do so for the lasso).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from ehps.arrays import Array

STEPS = 200
"""Most Newton steps; a few to twenty are usual."""


@dataclass(frozen=True)
class ConvexModel:
    """Log errors as convex functions of weights.

    Attributes
    ----------
    knee : weight from which on more of a set, or of a pair of sets, is worth less.
    coefficients : (K + K + pairs, T) of the weights, of any sign, and of the gains of sets and pairs, not negative.
    centre, middle : (K + K + pairs,) means of the regressors and (T,) of the log errors.
    """

    knee: float
    coefficients: Array
    centre: Array
    middle: Array

    def __call__(self, weights: Array) -> Array:
        """(N, T) log errors at (N, K) weights."""
        return np.asarray((regressors(weights, self.knee) - self.centre) @ self.coefficients + self.middle)

    def slopes(self, weights: Array) -> Array:
        """(T, K) derivatives of the log errors at (K,) weights."""
        sets = len(weights)
        first, second = _pairs(sets)
        of_gains = -1 / ((self.knee + np.r_[weights, weights[first] + weights[second]]) * np.log1p(1 / self.knee))
        gains = self.coefficients[sets:] * of_gains[:, None]
        out = self.coefficients[:sets] + gains[:sets]
        np.add.at(out, first, gains[sets:])
        np.add.at(out, second, gains[sets:])
        return np.asarray(out.T)


def regressors(weights: Array, knee: float) -> Array:
    """(M, K + K + pairs): the weights, and less the gains of each set and each pair of sets, which are convex."""
    first, second = _pairs(weights.shape[1])
    amounts = np.concatenate([weights, weights[:, first] + weights[:, second]], axis=1)
    return np.concatenate([weights, -np.log1p(amounts / knee) / np.log1p(1 / knee)], axis=1)


def fit(weights: Array, log_errors: Array, knee: float, penalty: float) -> ConvexModel:
    """The model of (M, K) weights and (M, T) log errors; ``penalty`` a row, on the squares of coefficients."""
    x = regressors(weights, knee)
    centre, middle = x.mean(axis=0), log_errors.mean(axis=0)
    coefficients = ridge(x - centre, log_errors - middle, penalty * len(x), free=weights.shape[1])
    return ConvexModel(knee, coefficients, centre, middle)


def ridge(x: Array, y: Array, penalty: float, free: int) -> Array:
    """(P, T) coefficients that minimise ``|x b - y|^2 + penalty |b|^2``; from the ``free``-th on they are at least 0.

    Parameters
    ----------
    x, y : (M, P) and (M, T).
    """
    return np.stack([_one(x, goal, penalty, free) for goal in y.T], axis=1)


def _one(x: Array, goal: Array, penalty: float, free: int) -> Array:
    """(P,) coefficients of one column."""

    def at(dual: Array) -> tuple[Array, float]:
        b = x.T @ dual
        np.maximum(b[free:], 0, out=b[free:])
        return b, float(0.5 * penalty * (dual @ dual) - goal @ dual + 0.5 * (b @ b))

    dual = goal / penalty
    b, value = at(dual)
    for _ in range(STEPS):
        used = np.flatnonzero(b)
        part = x[:, used]
        system = part @ part.T
        system[np.diag_indices(len(x))] += penalty
        direction = np.linalg.solve(system, goal) - dual
        slope = (penalty * dual - goal + x @ b) @ direction
        step = 1.0
        tried, lower = at(dual + direction)
        while lower > value + 1e-4 * step * slope and step > 1e-6:
            step /= 2
            tried, lower = at(dual + step * direction)
        dual = dual + step * direction
        same = np.array_equal(np.flatnonzero(tried), used)
        b, value = tried, lower
        if same and step == 1:
            break
    return b


@cache
def _pairs(sets: int) -> tuple[Array, Array]:
    """First and second set of each pair."""
    return np.triu_indices(sets, 1)
