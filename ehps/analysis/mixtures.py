"""Which shares of several sets to train on, from many small trainings on drawn shares.

Small trainings on weights drawn at random (:func:`draw`) give an error on every test set; a regression of log error on
weights (:func:`fit`) says what other weights would give, and :mod:`ehps.analysis.best_mixture` looks for the best ones
that the budget and the sizes of the sets allow (RegMix, arXiv 2407.01492; data mixing laws, arXiv 2403.16952).

The first model is convex in the weights: of each set a linear term of any sign, and for each set and each pair of sets
a gain that grows with the logarithm of their weight and so wears off. A pair's gain is that of either of its sets: it
is what two copies share. A convex model has one best mixture. Gradient-boosted trees are the rival; whichever predicts
small trainings that it has not seen better is used.

Errors are those of small trainings: what is best at their size need not be best at another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ehps.analysis import convex_regression
from ehps.arrays import Array
from ehps.errors import DataError, UsageError

FEWEST = 4
"""Small trainings a set that a regression takes."""

FOLDS = 5
KNEES = (0.02, 0.05, 0.1, 0.3)
"""Weights from which on more of a set is worth less, of which cross-validation takes one."""
PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2)

Predictor = Callable[[Array], Array]
"""(N, K) weights -> (N, T) log errors."""
Trainer = Callable[[Array, Array], Predictor]
"""(M, K) weights and (M, T) log errors of small trainings -> a predictor."""


@dataclass(frozen=True)
class Regression:
    """Errors of small trainings as a function of the weights of sets.

    Attributes
    ----------
    sets, tests : names of the K sets and the T test sets.
    weights : (M, K) of the small trainings.
    errors : (M, T) of them, in the unit of what was measured.
    model : ``convex`` or ``trees``.
    unseen : model -> root mean squared error of log error on small trainings left out.
    spread : the same of the mean of the others as the guess: a model at or above it knows nothing.
    residuals : (M, T) of log error, each of a fit without that training.
    trainer : fits the chosen model to other small trainings.
    predictor : fitted to all.
    """

    sets: tuple[str, ...]
    tests: tuple[str, ...]
    weights: Array
    errors: Array
    model: str
    unseen: dict[str, float]
    spread: float
    residuals: Array
    trainer: Trainer
    predictor: Predictor

    def predict(self, weights: Array) -> Array:
        """(N, T) errors at (N, K) weights."""
        return np.asarray(np.exp(self.predictor(np.atleast_2d(weights))))


@dataclass(frozen=True)
class SmallTrainings:
    """What small trainings gave.

    Attributes
    ----------
    weights : a row a training, a column a set: its share of what the training saw.
    errors : the same rows, a column a test set, mm.
    size : instances that each saw.
    seconds : of all together, without their tests; None where the log of one does not say.
    """

    weights: pd.DataFrame
    errors: pd.DataFrame
    size: int
    seconds: float | None


def draw(sets: int, count: int = 64, seed: int = 0) -> Array:
    """(count, sets) weights that sum to 1: Dirichlet, from nearly one set alone to nearly even shares.

    Raises
    ------
    UsageError : fewer than two sets, or fewer mixtures than a regression takes.
    """
    if sets < 2:
        raise UsageError(f"{sets} sets cannot be mixed")
    if count < FEWEST * sets:
        raise UsageError(f"{count} mixtures of {sets} sets are too few", fix=f"draw at least {FEWEST * sets}")
    rng = np.random.default_rng(seed)
    concentrations = np.geomspace(0.15, 3, count)
    drawn = np.stack([rng.dirichlet(np.full(sets, c)) for c in concentrations])
    return np.asarray(drawn[rng.permutation(count)])


def fit(
    weights: pd.DataFrame, errors: pd.DataFrame, *, seed: int = 0, models: Sequence[str] = ("convex", "trees")
) -> Regression:
    """Fit log errors of small trainings, with the model that predicts those left out best.

    Parameters
    ----------
    weights : a row a small training, a column a set; rows sum to 1.
    errors : the same rows, a column a test set; above 0.
    models : of ``convex`` and ``trees``; the first of equally good ones is taken.

    Raises
    ------
    DataError : rows that do not fit, weights that are none, errors that are not positive, or too few trainings.
    """
    w, e = weights.to_numpy(float), errors.to_numpy(float)
    if not weights.index.equals(errors.index):
        raise DataError("the weights and the errors are not of the same small trainings, row for row")
    if len(w) < FEWEST * w.shape[1]:
        raise DataError(
            f"{len(w)} small trainings are too few for {w.shape[1]} sets", fix=f"it takes {FEWEST * w.shape[1]}"
        )
    if (w < 0).any() or not np.allclose(w.sum(axis=1), 1, atol=1e-6):
        raise DataError(f"weights of training {weights.index[_first_odd(w)]} are negative or do not sum to 1")
    if not (np.isfinite(e) & (e > 0)).all():
        row, column = np.argwhere(~(np.isfinite(e) & (e > 0)))[0]
        raise DataError(
            f"the error of training {errors.index[row]} on {errors.columns[column]} is {e[row, column]:g}, "
            "which has no logarithm"
        )
    log = np.log(e)
    folds = np.random.default_rng(seed).permutation(len(w)) % FOLDS
    found: dict[str, tuple[Array, Trainer]] = {}
    for name in models:
        trainers = _convex_trainers() if name == "convex" else [_trees(seed)]
        tried = [_left_out(trainer, w, log, folds) for trainer in trainers]
        best = int(np.argmin([_rms(r) for r in tried]))
        found[name] = tried[best], trainers[best]
    unseen = {name: _rms(residuals) for name, (residuals, _) in found.items()}
    chosen = min(unseen, key=lambda name: unseen[name])
    residuals, trainer = found[chosen]
    mean = _rms(_left_out(lambda _, y: lambda v: np.tile(y.mean(axis=0), (len(v), 1)), w, log, folds))
    names = tuple(map(str, weights)), tuple(map(str, errors))
    return Regression(*names, w, e, chosen, unseen, mean, residuals, trainer, trainer(w, log))


# -- models -------------------------------------------------------------------------------------------------------


def _convex_trainers() -> list[Trainer]:
    def trainer(knee: float, penalty: float) -> Trainer:
        return lambda w, y: convex_regression.fit(w, y, knee, penalty)

    return [trainer(knee, penalty) for knee in KNEES for penalty in PENALTIES]


def _trees(seed: int) -> Trainer:
    def train(w: Array, y: Array) -> Predictor:
        from sklearn.ensemble import GradientBoostingRegressor

        settings: dict[str, Any] = {"n_estimators": 150, "max_depth": 3, "learning_rate": 0.08, "subsample": 0.7}
        grown = [GradientBoostingRegressor(**settings, random_state=seed).fit(w, t) for t in y.T]
        return lambda v: np.stack([one.predict(v) for one in grown], axis=1)

    return train


def _left_out(trainer: Trainer, w: Array, y: Array, folds: Array) -> Array:
    """(M, T) residuals, each of a fit without the training's fold."""
    out = np.empty_like(y)
    for fold in range(FOLDS):
        here = folds == fold
        out[here] = y[here] - trainer(w[~here], y[~here])(w[here])
    return out


def _rms(values: Array) -> float:
    return float(np.sqrt((values**2).mean()))


def _first_odd(w: Array) -> int:
    return int(np.argmax((w < 0).any(axis=1) | ~np.isclose(w.sum(axis=1), 1, atol=1e-6)))
