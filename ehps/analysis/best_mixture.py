"""The shares of sets with the least predicted error, under a budget, by a regression of small trainings.

Intervals are of one further small training. They hold three spreads: of refits to small trainings drawn again; of the
residuals of trainings that are predicted alike, each of a fit without it, less the spread of the refits that is in
them too; and of what the model misses there. A convex model of few terms is too flat where the errors are least: the
residuals of the trainings nearest to the chosen weights are not 0 on average and go on beyond them, so a line through
these residuals, over the predicted error, is added to the prediction, and drawn again with each refit.

The least of many predictions is too low: how much is measured on the refits (each one's own best weights, by it and by
the regression) and added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize

from ehps.analysis.convex_regression import ConvexModel
from ehps.analysis.mixtures import Predictor, Regression
from ehps.analysis.ties import listed
from ehps.arrays import Array
from ehps.errors import UsageError
from ehps.progress import duration

NEAR = 24
"""Small trainings whose residuals stand for that of one on other weights: those of the nearest predicted error."""
CANDIDATES = 4096
"""Mixtures that are tried where the model is not convex."""
REFITS = {"convex": 200, "trees": 30}
"""By model: trees take fifty times as long."""


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
    seconds : that the small trainings took together; None where it is not known.
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
    seconds: float | None
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
        took = "" if self.seconds is None else f" Making them took {duration(self.seconds)}."
        said = [
            f"{self.trainings} small trainings of {self.size:,} instances, {self.cost:,} together: "
            f"{self.cost / self.budget:.0%} of the budget of {self.budget:,}.{took}",
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


def optimise(
    found: Regression,
    available: Mapping[str, int],
    budget: int,
    size: int,
    *,
    seconds: float | None = None,
    refits: Sequence[Predictor] | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Mixture:
    """The weights with the least mean error over the test sets, under a budget.

    No set gives more instances than it has: its weight is at most ``available / budget``. Where the budget is more than
    there is, everything is taken.

    Parameters
    ----------
    available : set -> instances there are; none of a set with 0 is taken.
    budget : instances of the training that the weights are for.
    size : instances that each small training saw.
    seconds : that these took together.
    refits : of :func:`refitted`, behind the interval and the correction; made here without.

    Raises
    ------
    UsageError : a budget below 1, the size of a set is not known, or all are empty.
    """
    if unknown := [name for name in found.sets if name not in available]:
        raise UsageError(f"it is not known how many instances {listed(unknown)} has")
    have = np.array([available[name] for name in found.sets])
    if budget < 1 or not have.any():
        raise UsageError(f"a budget of {budget:,} instances of {have.sum():,} that there are is none")
    rng = np.random.default_rng(seed)
    caps = _caps(have, budget)
    weights = _least(found.predictor, caps, rng)
    value = _mean_error(found.predictor, weights)
    drawn = refitted(found, seed=seed) if refits is None else refits
    bests = [_least(refit, caps, rng, weights) for refit in drawn]
    gaps = [
        _mean_error(found.predictor, best) - _mean_error(refit, best) for refit, best in zip(drawn, bests, strict=True)
    ]
    optimism = max(0.0, float(np.mean(gaps)))
    ((error, low, high),) = _outcomes(found, drawn, weights[None], level, rng)
    without = np.full(len(have), np.nan)
    for k in np.flatnonzero(have):
        if (others := np.where(np.arange(len(have)) == k, 0, have)).any():
            rest = _least(found.predictor, _caps(others, budget), rng)
            without[k] = _mean_error(found.predictor, rest) - value
    table = pd.DataFrame(
        {
            "dataset": found.sets,
            "weight": weights,
            "instances": whole(weights, have, min(budget, int(have.sum()))),
            "available": have,
            "without": without,
        }
    )
    return Mixture(
        table=table,
        error=float(error) + optimism,
        low=float(low),
        high=float(high) + optimism,  # the correction may be none that is needed
        optimism=optimism,
        budget=budget,
        size=size,
        trainings=len(found.weights),
        seconds=seconds,
        level=level,
        regression=found,
    )


def refitted(found: Regression, count: int | None = None, seed: int = 0) -> list[Predictor]:
    """Predictors of small trainings drawn again, :data:`REFITS` of them without ``count``."""
    rng = np.random.default_rng(seed)
    size = len(found.weights)
    drawn = [rng.integers(size, size=size) for _ in range(REFITS[found.model] if count is None else count)]
    return [found.trainer(found.weights[rows], np.log(found.errors[rows])) for rows in drawn]


def expected(
    found: Regression, refits: Sequence[Predictor], weights: Array, *, level: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """``error, low, high`` of a small training on each of (N, K) weights that were not chosen by the regression.

    ``error`` is the mean over the test sets.
    """
    rows = _outcomes(found, refits, weights, level, np.random.default_rng(seed))
    return pd.DataFrame(rows, columns=["error", "low", "high"])


def _outcomes(
    found: Regression, refits: Sequence[Predictor], weights: Array, level: float, rng: np.random.Generator
) -> Array:
    """(N, 3) mean error of a small training on each of (N, K) weights, and low and high of one."""
    at, there = found.predictor(weights), found.predictor(found.weights)
    apart = there.mean(axis=1) - at.mean(axis=1)[:, None]  # (N, M)
    near = np.argsort(np.abs(apart), axis=1, kind="stable")[:, :NEAR]
    spread = np.var([refit(found.weights) for refit in refits], axis=0)  # (M, T)
    of_refits = np.stack([refit(weights) for refit in refits], axis=1)  # (N, B, T)
    ends = [50 * (1 - level), 50 * (1 + level)]
    out = np.empty((len(weights), 3))
    for row, rows in enumerate(near):
        offsets, residuals = apart[row, rows], found.residuals[rows]
        shift, _ = _line(offsets[None], residuals[None])
        own = 1 - spread[rows].mean(axis=0) / np.maximum((residuals**2).mean(axis=0), 1e-12)
        drawn = rng.integers(len(rows), size=(len(refits), len(rows)))
        shifts, rest = _line(offsets[drawn], residuals[drawn])
        rest *= np.sqrt(np.clip(own, 0, 1) * len(rows) / (len(rows) - 2))
        errors = np.exp((of_refits[row] + shifts)[:, None] + rest).mean(axis=-1)
        out[row] = np.exp(at[row] + shift[0]).mean(), *np.percentile(errors, ends)
    return out


def _line(x: Array, y: Array) -> tuple[Array, Array]:
    """Lines through B draws of n points, (B, n) and (B, n, T): their values at 0 (B, T), and the rest (B, n, T)."""
    middle, level = x.mean(axis=1, keepdims=True), y.mean(axis=1, keepdims=True)
    across = (x - middle)[..., None]
    squares = np.maximum((across**2).sum(axis=1, keepdims=True), 1e-12)
    slope = (across * (y - level)).sum(axis=1, keepdims=True) / squares
    return (level - slope * middle[..., None])[:, 0], y - level - slope * across


def _caps(have: Array, budget: int) -> Array:
    """(K,) largest weight of each set: what it has of the instances that are taken."""
    return np.minimum(have / min(budget, have.sum()), 1.0)


def _mean_error(predictor: Predictor, weights: Array) -> float:
    return float(np.exp(predictor(weights[None])).mean())


def _least(predictor: Predictor, caps: Array, rng: np.random.Generator, start: Array | None = None) -> Array:
    """(K,) weights below ``caps`` with the least mean error, as far as the search finds them.

    ``start``: weights that are not far from them; even ones without.
    """
    if not isinstance(predictor, ConvexModel):
        concentrations = np.geomspace(0.15, 3, CANDIDATES)
        drawn = _fill(np.stack([rng.dirichlet(np.full(len(caps), c)) for c in concentrations]), caps)
        values = np.exp(predictor(drawn)).mean(axis=1)
        return np.asarray(drawn[np.argsort(values, kind="stable")[:16]].mean(axis=0))

    def value_and_slope(w: Array) -> tuple[float, Array]:
        errors = np.exp(predictor(w[None])[0])
        return float(errors.mean()), errors @ predictor.slopes(w) / len(errors)

    whole = {"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones_like(w)}
    bounds = [(0.0, float(cap)) for cap in caps]
    begin = _fill(np.ones_like(caps), caps) if start is None else start
    done = optimize.minimize(
        value_and_slope, begin, jac=True, method="SLSQP", bounds=bounds, constraints=[whole], options={"maxiter": 200}
    )
    return _fill(np.where(done.x > 1e-4, done.x, 0.0), caps)


def _fill(wanted: Array, caps: Array) -> Array:
    """(..., K) weights in the ratios wanted, none above its cap: what is over goes to the others; they sum to 1."""
    out = np.minimum(wanted / wanted.sum(axis=-1, keepdims=True), caps)
    for _ in range(len(caps)):
        rest, room = 1 - out.sum(axis=-1, keepdims=True), caps - out
        if (rest < 1e-12).all():
            break
        open_ = (room > 1e-12) & (wanted > 0)
        share = np.where(open_.any(axis=-1, keepdims=True), np.where(open_, wanted, 0.0), room)
        out = np.minimum(out + rest * share / np.maximum(share.sum(axis=-1, keepdims=True), 1e-300), caps)
    return np.asarray(out)


def whole(weights: Array, have: Array, budget: int) -> Array:
    """Instances by largest remainders: they sum to ``budget``, and no set gives more than it has."""
    exact = weights / weights.sum() * budget
    out = np.minimum(np.floor(exact + 1e-9).astype(int), have)
    for at in np.argsort(-(exact - out), kind="stable"):
        if out.sum() < budget and out[at] < have[at]:
            out[at] += 1
    return np.asarray(out)
