"""Factors together: a ridge regression of error or rank on size, appearance, persons and annotation.

Single tests cannot say whether synthetic sets do well because they are synthetic or because they are large. A joint
model tries, and says where the sets do not allow it: factors that go together have a large variance inflation, and
coefficients that hang on one set move when it is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from ehps.analysis.rank_factors import joined
from ehps.arrays import Array
from ehps.errors import DataError, UsageError

SIZE = "instances, tenfold"
FACTORS = ("appearance", "persons", "annotation")
"""Attributes that enter beside the number of instances, each level against the most frequent one."""

FEWEST = 8  # sets that a model is made of
RARE = 3  # sets of a level: rarer ones are one level, "other"
PENALTIES = np.geomspace(0.1, 100, 25)
INFLATED = 5.0
"""Generalised variance inflation, per degree of freedom, from which on a factor cannot be told from others."""


@dataclass(frozen=True)
class JointModel:
    """A joint model of what goes with rank or error.

    Attributes
    ----------
    table : ``factor, level, n, coefficient, low, high, vif, most_moved_by, moved``: one row a coefficient, in the
        target's unit (mm or ranks) against the level that the model starts from (for the size: for ten times as many
        instances); its interval over resampled sets; the variance inflation of the factor; the set without which the
        coefficient moves most, and by how much.
    target : ``mpe`` or ``rank``.
    sets : how many enter.
    penalty : of the ridge, for columns of unit variance; chosen by leaving sets out.
    explained : share of the variance that is explained of sets left out, at most 1; at or below 0 the model knows
        nothing.
    starts_from : factor -> the level that coefficients are against.
    confounded : pairs of factors that cannot be told from each other.
    left_out : set -> why it is not in the model.
    """

    table: pd.DataFrame
    target: str
    sets: int
    penalty: float
    explained: float
    starts_from: dict[str, str]
    confounded: list[tuple[str, str]]
    left_out: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        facts = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "table"}
        return {"coefficients": self.table.to_dict("records"), **facts}

    def sentences(self) -> list[str]:
        """What may be said of it."""
        unit = "mm" if self.target == "mpe" else "ranks"
        sure = self.table[(self.table["low"] > 0) | (self.table["high"] < 0)]
        said = [
            f"{self.sets} sets and factors that go together allow few claims: the model explains "
            f"{max(self.explained, 0):.0%} of the variance of sets that it has not seen."
        ]
        for factor, label, coefficient, low, high in sure[["factor", "level", "coefficient", "low", "high"]].to_numpy():
            name = f"{factor} {label} against {self.starts_from[factor]}" if label else str(factor)
            way = "lower" if coefficient < 0 else "higher"
            said.append(
                f"{name}: {abs(coefficient):.1f} {unit} {way} ({low:.1f} to {high:.1f}), the other factors held."
            )
        if not len(sure):
            said.append("No coefficient is away from zero.")
        for one, other in self.confounded:
            said.append(f"{one} and {other} cannot be told apart on these sets.")
        return said


def joint_model(
    ranked: pd.DataFrame,
    attributes: pd.DataFrame,
    *,
    target: str | None = None,
    factors: Sequence[str] = FACTORS,
    bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> JointModel:
    """Fit it.

    Parameters
    ----------
    ranked : see :func:`ehps.analysis.rank_factors.joined`.
    attributes : likewise.
    target : ``mpe`` or ``rank``; ``mpe`` where it is there.
    factors : attributes that enter beside ``instances``.
    bootstrap : resamples of sets.

    Raises
    ------
    DataError : fewer than eight sets have what the model needs.
    UsageError : there is no such target or attribute.
    """
    frame = joined(ranked, attributes)
    goal = target or ("mpe" if "mpe" in frame and frame["mpe"].notna().any() else "rank")
    wanted = ["instances", *factors]
    for name in (goal, *wanted):
        if name not in frame:
            raise UsageError(
                f"the ranking and its sets have no {name!r}", fix=f"there are: {', '.join(map(str, frame))}"
            )
    size = pd.to_numeric(frame["instances"], errors="coerce")
    usable = frame[[goal, *factors]].notna().all(axis=1) & (size > 0)
    left_out = dict(frame.attrs["left_out"])
    left_out |= {str(name): "its size or a factor is not known" for name in frame["train_set"][~usable]}
    frame, size = frame[usable].reset_index(drop=True), size[usable].reset_index(drop=True)
    if len(frame) < FEWEST:
        raise DataError(
            f"a joint model of {len(wanted)} factors needs {FEWEST} sets at least; {len(frame)} have them all"
        )
    design, starts_from = _design(frame, size, factors)
    x, y = np.stack(list(design.values()), axis=1), frame[goal].to_numpy(float)
    penalty, explained = _chosen(x, y)
    coefficients = _ridge(x, y, penalty)
    rng = np.random.default_rng(seed)
    draws = np.stack([_ridge(x[rows], y[rows], penalty) for rows in rng.integers(len(y), size=(bootstrap, len(y)))])
    low, high = np.percentile(draws, _limits(level, *x.shape), axis=0)
    without = np.stack([_ridge(np.delete(x, k, 0), np.delete(y, k), penalty) for k in range(len(y))])  # sets x columns
    moves = without - coefficients
    owner = np.abs(moves).argmax(axis=0)
    inflation, confounded = _inflation(design)
    names = frame["train_set"].astype(str).to_numpy()
    keys = list(design)
    counts = [int(column.sum()) if label else len(frame) for (_, label), column in design.items()]
    table = pd.DataFrame(
        {
            "factor": [factor for factor, _ in keys],
            "level": [label for _, label in keys],
            "n": counts,
            "coefficient": coefficients,
            "low": low,
            "high": high,
            "vif": [inflation[factor] for factor, _ in keys],
            "most_moved_by": names[owner],
            "moved": moves[owner, np.arange(len(keys))],
        }
    )
    return JointModel(table, goal, len(frame), penalty, explained, starts_from, confounded, left_out)


Design = dict[tuple[str, str], Array]
"""Factor and level -> (N,) its column."""


def _design(frame: pd.DataFrame, size: pd.Series[float], factors: Sequence[str]) -> tuple[Design, dict[str, str]]:
    """Columns (factor, level) of the model, and the level of each factor that has none."""
    columns: Design = {}
    if size.nunique() > 1:
        columns[SIZE, ""] = np.log10(size.to_numpy(float))
    starts: dict[str, str] = {}
    for name in factors:
        levels = frame[name].astype(str)
        counts = levels.value_counts()
        rare = counts.index[counts < RARE]
        if len(rare) > 1:
            levels = levels.where(~levels.isin(rare), "other")
            counts = levels.value_counts()
        starts[name] = str(sorted(counts.index, key=lambda word: (-counts[word], str(word)))[0])
        for label in sorted(set(counts.index) - {starts[name]}):
            columns[name, str(label)] = (levels == label).to_numpy(float)
    return columns, starts


def _ridge(x: Array, y: Array, penalty: float) -> Array:
    """(K,) coefficients in the units of ``x`` (N, K); columns that do not vary have none."""
    mean, spread = x.mean(axis=0), x.std(axis=0)
    varies = spread > 1e-12
    z = (x[:, varies] - mean[varies]) / spread[varies]
    out = np.zeros(x.shape[1])
    gram = z.T @ z + penalty * np.eye(z.shape[1])
    out[varies] = np.linalg.solve(gram, z.T @ (y - y.mean())) / spread[varies]
    return out


def _limits(level: float, n: int, columns: int) -> list[float]:
    """Percentiles of the draws between which a coefficient of ``n`` sets lies with probability ``level``.

    Resampled few sets vary less than new ones would: the percentiles are moved out (Hesterberg's expanded percentile
    interval, with the degrees of freedom of the regression).
    """
    from scipy import stats

    freedom = max(n - columns - 1, 1)
    wide = np.sqrt(n / freedom) * stats.t.ppf((1 + level) / 2, freedom)
    return [100 * float(stats.norm.cdf(-wide)), 100 * float(stats.norm.cdf(wide))]


def _chosen(x: Array, y: Array) -> tuple[float, float]:
    """The penalty that predicts sets left out best, and the share of their variance that it then explains."""
    n = len(y)
    errors = np.empty((n, len(PENALTIES)))
    for k in range(n):
        rest_x, rest_y = np.delete(x, k, 0), np.delete(y, k)
        for column, penalty in enumerate(PENALTIES):
            guess = rest_y.mean() + (x[k] - rest_x.mean(axis=0)) @ _ridge(rest_x, rest_y, float(penalty))
            errors[k, column] = y[k] - guess
    squared = (errors**2).sum(axis=0)
    best = int(squared.argmin())
    alone = ((y - (y.sum() - y) / (n - 1)) ** 2).sum()  # the mean of the others as the guess
    return float(PENALTIES[best]), 1 - float(squared[best] / alone) if alone > 0 else 0.0


def _inflation(design: Design) -> tuple[dict[str, float], list[tuple[str, str]]]:
    """Generalised variance inflation of each factor per degree of freedom (Fox and Monette), and pairs of factors
    whose inflation by each other alone is above the limit."""
    names = list(dict.fromkeys(factor for factor, _ in design))
    found = {name: _against(design, name, [other for other in names if other != name]) for name in names}
    pairs = [
        (one, other)
        for k, one in enumerate(names)
        for other in names[k + 1 :]
        if max(_against(design, one, [other]), _against(design, other, [one])) >= INFLATED
    ]
    return found, pairs


def _against(design: Design, name: str, others: Sequence[str]) -> float:
    """det R11 det R22 / det R to the power of 1 / columns of ``name``; infinite where it follows from the others."""
    mine = [column for (factor, _), column in design.items() if factor == name]
    theirs = [column for (factor, _), column in design.items() if factor in others]
    if not mine or not theirs:
        return 1.0
    together = np.corrcoef(np.stack(mine + theirs)).reshape(len(mine + theirs), -1)
    k = len(mine)
    whole = np.linalg.det(together)
    if whole < 1e-12:
        return float("inf")
    parts = np.linalg.det(together[:k, :k]) * np.linalg.det(together[k:, k:])
    return float((parts / whole) ** (1 / k))
