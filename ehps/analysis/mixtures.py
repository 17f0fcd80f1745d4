"""Which shares of several sets to train on, from many small trainings on drawn shares.

Small trainings on weights drawn at random (:func:`draw`) give an error on every test set; a regression of log error on
weights (:func:`fit`) says what other weights would give, and :func:`optimise` looks for the best ones that the budget
and the sizes of the sets allow (RegMix, arXiv 2407.01492; data mixing laws, arXiv 2403.16952).

The first model is convex in the weights: of each set a linear term of any sign, and for each set and each pair of sets
a gain that grows with the logarithm of their weight and so wears off. A pair's gain is that of either of its sets: it
is what two copies share. A convex model has one best mixture. Gradient-boosted trees are the rival; whichever predicts
small trainings that it has not seen better is used.

Errors are those of small trainings: what is best at their size need not be best at another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize

from ehps.analysis.ties import listed
from ehps.arrays import Array
from ehps.errors import DataError, UsageError

FEWEST = 4
"""Small trainings a set that a regression takes."""

FOLDS = 5
KNEES = (0.02, 0.05, 0.1, 0.3)
"""Weights from which on more of a set is worth less, of which cross-validation takes one."""
PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2)
NEAR = 24
"""Small trainings whose residuals stand for that of one on the chosen weights: those of the nearest predicted error."""
CANDIDATES = 4096
"""Mixtures that are tried where the model is not convex."""

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
class Mixture:
    """The best weights that a regression knows.

    Attributes
    ----------
    table : ``dataset, weight, instances, available, without``: the last is the mean error of the best mixture without
        the set, less that with it.
    error : predicted mean error over the test sets of a small training on these weights, corrected for having been
        chosen as the least.
    low, high : interval of the error of one such training.
    optimism : how much the correction is.
    budget : instances asked for.
    size, trainings : instances that a small training saw, and how many were made; their product is the cost.
    level : of the interval.
    """

    table: pd.DataFrame
    error: float
    low: float
    high: float
    optimism: float
    budget: int
    size: int
    trainings: int
    level: float
    regression: Regression

    @property
    def cost(self) -> int:
        """Instances that the small trainings saw together."""
        return self.size * self.trainings

    def sentences(self) -> list[str]:
        """What may be said of it."""
        found = self.regression
        rival = ", ".join(f"{name} {value:.3f}" for name, value in found.unseen.items())
        said = [
            f"{self.trainings} small trainings of {self.size:,} instances, {self.cost:,} together: "
            f"{self.cost / self.budget:.0%} of the budget of {self.budget:,}.",
            f"Log errors of small trainings left out are missed by {rival} (by their mean: {found.spread:.3f}); "
            f"the {found.model} model is used.",
            f"A small training on these weights has an error of {self.error:.1f} ({self.low:.1f} to {self.high:.1f}); "
            "that of a longer one is not known from these.",
        ]
        if found.unseen[found.model] >= found.spread:
            said.append("The model knows no more than the mean: do not follow these weights.")
        idle = self.table["dataset"][self.table["without"] <= 0].tolist()
        if idle:
            said.append(f"Nothing is lost without {listed(idle)}.")
        return said


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
        trainers = _convex_trainers(w.shape[1]) if name == "convex" else [_trees(seed)]
        tried = [_left_out(trainer, w, log, folds) for trainer in trainers]
        best = int(np.argmin([_rms(r) for r in tried]))
        found[name] = tried[best], trainers[best]
    unseen = {name: _rms(residuals) for name, (residuals, _) in found.items()}
    chosen = min(unseen, key=lambda name: unseen[name])
    residuals, trainer = found[chosen]
    mean = _rms(_left_out(lambda _, y: lambda v: np.tile(y.mean(axis=0), (len(v), 1)), w, log, folds))
    names = tuple(map(str, weights)), tuple(map(str, errors))
    return Regression(*names, w, e, chosen, unseen, mean, residuals, trainer, trainer(w, log))


def optimise(
    found: Regression,
    available: Mapping[str, int],
    budget: int,
    size: int,
    *,
    refits: int = 100,
    level: float = 0.95,
    seed: int = 0,
) -> Mixture:
    """The weights with the least mean error over the test sets, under a budget.

    No set gives more instances than it has: its weight is at most ``available / budget``. Where the budget is more than
    there is, everything is taken.

    Parameters
    ----------
    available : set -> instances there are.
    budget : instances of the training that the weights are for.
    size : instances that each small training saw.
    refits : to resampled small trainings, behind the interval and the correction.

    Raises
    ------
    UsageError : a budget below 1, or the size of a set is not known.
    """
    if unknown := [name for name in found.sets if available.get(name, 0) < 1]:
        raise UsageError(f"it is not known how many instances {listed(unknown)} has")
    if budget < 1:
        raise UsageError(f"a budget of {budget} instances is none")
    have = np.array([available[name] for name in found.sets])
    used = min(budget, int(have.sum()))
    caps = np.minimum(have / used, 1.0)
    rng = np.random.default_rng(seed)
    convex = found.model == "convex"
    weights = _least(found.predictor, caps, rng, convex)
    value = _mean_error(found.predictor, weights)
    near = np.argsort(np.abs(found.predictor(found.weights).mean(axis=1) - found.predictor(weights[None]).mean()))[
        :NEAR
    ]
    draws, gaps = [], []
    for _ in range(refits):
        rows = rng.integers(len(found.weights), size=len(found.weights))
        refit = found.trainer(found.weights[rows], np.log(found.errors[rows]))
        its_best = _least(refit, caps, rng, convex)
        gaps.append(_mean_error(found.predictor, its_best) - _mean_error(refit, its_best))
        noise = found.residuals[rng.choice(near)]
        draws.append(float(np.exp(refit(weights[None])[0] + noise).mean()))
    optimism = max(0.0, float(np.mean(gaps))) if gaps else 0.0
    low, high = np.percentile(draws, [50 * (1 - level), 50 * (1 + level)]) if draws else (np.nan, np.nan)
    without = []
    for k in range(len(have)):
        others = caps.copy()
        others[k] = 0
        rest = min(budget, int(have.sum() - have[k]))
        others = np.where(others > 0, np.minimum(have / rest, 1.0), 0.0) if rest else others
        without.append(
            _mean_error(found.predictor, _least(found.predictor, others, rng, convex)) - value if rest else np.nan
        )
    table = pd.DataFrame(
        {
            "dataset": found.sets,
            "weight": weights,
            "instances": _whole(weights, have, used),
            "available": have,
            "without": without,
        }
    )
    ends = float(low), float(high) + optimism  # the correction may be none that is needed
    return Mixture(table, value + optimism, *ends, optimism, budget, size, len(found.weights), level, found)


# -- models -------------------------------------------------------------------------------------------------------


def _convex_trainers(sets: int) -> list[Trainer]:
    pairs = list(combinations(range(sets), 2))

    def trainer(knee: float, penalty: float) -> Trainer:
        def design(w: Array) -> Array:
            both = np.stack([w[:, a] + w[:, b] for a, b in pairs], axis=1)
            gains = -np.log1p(np.concatenate([w, both], axis=1) / knee) / np.log1p(1 / knee)
            return np.concatenate([w, gains], axis=1)  # (M, K + K + pairs)

        def train(w: Array, y: Array) -> Predictor:
            x = design(w)
            low = np.r_[np.full(sets, -np.inf), np.zeros(x.shape[1] - sets)]
            centre, middle = x.mean(axis=0), y.mean(axis=0)
            shrink = np.sqrt(penalty * len(w)) * np.eye(x.shape[1])
            system = np.concatenate([x - centre, shrink])
            zeros = np.zeros(x.shape[1])
            columns = [_bounded(system, np.r_[t - m, zeros], low) for t, m in zip(y.T, middle, strict=True)]
            coefficients = np.stack(columns, axis=1)
            return lambda v: (design(v) - centre) @ coefficients + middle

        return train

    return [trainer(knee, penalty) for knee in KNEES for penalty in PENALTIES]


def _bounded(system: Array, goal: Array, low: Array) -> Array:
    """Least squares with coefficients at or above ``low``, which is minus infinity or 0: free ones are a difference."""
    free = np.isinf(low)
    solution, _ = optimize.nnls(np.concatenate([system, -system[:, free]], axis=1), goal, maxiter=50 * len(low))
    out = solution[: len(low)].copy()
    out[free] -= solution[len(low) :]
    return out


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


# -- weights ------------------------------------------------------------------------------------------------------


def _mean_error(predictor: Predictor, weights: Array) -> float:
    return float(np.exp(predictor(weights[None])).mean())


def _least(predictor: Predictor, caps: Array, rng: np.random.Generator, convex: bool) -> Array:
    """(K,) weights below ``caps`` with the least mean error, as far as the search finds them."""
    even = _fill(np.ones_like(caps), caps)
    if not convex:
        drawn = np.stack([_fill(rng.dirichlet(np.full(len(caps), c)), caps) for c in np.geomspace(0.15, 3, CANDIDATES)])
        values = np.exp(predictor(drawn)).mean(axis=1)
        return np.asarray(drawn[np.argsort(values, kind="stable")[:16]].mean(axis=0))
    steps = 1e-6 * np.eye(len(caps))

    def value_and_slope(w: Array) -> tuple[float, Array]:
        values = np.exp(predictor(np.concatenate([w[None], w + steps]))).mean(axis=1)
        return float(values[0]), (values[1:] - values[0]) / 1e-6

    whole = {"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones_like(w)}
    bounds = [(0.0, float(cap)) for cap in caps]
    done = optimize.minimize(
        value_and_slope, even, jac=True, method="SLSQP", bounds=bounds, constraints=[whole], options={"maxiter": 200}
    )
    return _fill(np.where(done.x > 1e-4, done.x, 0.0), caps)


def _fill(wanted: Array, caps: Array) -> Array:
    """Weights in the ratios wanted, none above its cap: what is over goes to the others; they sum to 1."""
    out = np.minimum(wanted / wanted.sum(), caps)
    for _ in range(len(caps)):
        rest, room = 1 - out.sum(), caps - out
        if rest < 1e-12:
            break
        open_ = (room > 1e-12) & (wanted > 0)
        share = np.where(open_, wanted, 0.0) if open_.any() else room
        out = np.minimum(out + rest * share / share.sum(), caps)
    return np.asarray(out)


def _whole(weights: Array, have: Array, budget: int) -> Array:
    """Instances by largest remainders: they sum to ``budget``, and no set gives more than it has."""
    exact = weights / weights.sum() * budget
    out = np.minimum(np.floor(exact + 1e-9).astype(int), have)
    for at in np.argsort(-(exact - out), kind="stable"):
        if out.sum() < budget and out[at] < have[at]:
            out[at] += 1
    return np.asarray(out)


def _first_odd(w: Array) -> int:
    return int(np.argmax((w < 0).any(axis=1) | ~np.isclose(w.sum(axis=1), 1, atol=1e-6)))
