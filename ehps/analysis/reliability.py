"""How likely the order of two training sets is to hold when both are trained again, in another way.

One recipe and one seed decide the order of close sets by chance, and a recipe may favour a set (arXiv 2504.11393,
2512.24503). Sets that were trained with several recipes, and several seeds of each, show both: differences of a pair
vary between recipes and, within one, between seeds. From these two spreads comes the distribution of the difference in
a training with a new recipe and a new seed (Student's t, degrees of freedom of Satterthwaite); the probability that the
order holds is its part on the same side of 0. Spreads of few trainings are themselves uncertain: each pair's is drawn
towards that of all pairs, as if by :data:`PRIOR` further degrees of freedom.

Bradley-Terry strengths see who was ahead only, not by how much, and put all sets on one line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import optimize, special

from ehps.analysis import ties
from ehps.analysis.benchmarks import Benchmark, require
from ehps.arrays import Array
from ehps.errors import DataError

COLUMNS = ("train_set", "recipe", "seed", "error")
PRIOR = 4.0
"""Degrees of freedom of what all pairs say about the spread of one."""


@dataclass(frozen=True)
class Reliability:
    """Pairs of training sets.

    Attributes
    ----------
    sets : the K sets, lowest mean error first.
    errors : (K,) means over recipes, each the mean over its seeds.
    holds : (K, K) probability that the row's set has the lower error in a new training of both; 0.5 on the diagonal.
    wins : (K, K) share of shared recipes and seeds in which it had.
    strengths : (K,) of Bradley-Terry, mean 0.
    recipes, seeds : how many, and how many of each recipe (least of all).
    """

    sets: tuple[str, ...]
    errors: Array
    holds: Array
    wins: Array
    strengths: Array
    recipes: int
    seeds: int

    def bradley_terry(self) -> Array:
        """(K, K) probability of the strengths that the row's set is ahead."""
        return np.asarray(special.expit(np.subtract.outer(self.strengths, self.strengths)))

    def matrix(self) -> pd.DataFrame:
        """``holds`` with names."""
        return pd.DataFrame(self.holds, index=list(self.sets), columns=list(self.sets))

    def chances(self) -> dict[str, dict[str, float]]:
        """``holds``, JSON-able."""
        rows = zip(self.sets, self.holds.tolist(), strict=True)
        return {name: dict(zip(self.sets, row, strict=True)) for name, row in rows}

    def tied(self, level: float = 0.95) -> pd.DataFrame:
        """``train_set, error, tied, group``: sets share a letter where neither order holds with ``level``."""
        apart = np.maximum(self.holds, self.holds.T) >= level
        spans = [ties.rank_range(np.flatnonzero(row) + 1) for row in ~apart]
        columns = {"train_set": self.sets, "error": self.errors, "tied": spans, "group": ties.letters(apart)}
        return pd.DataFrame(columns)

    def sentence(self, level: float = 0.95) -> str:
        """How many pairs are sure."""
        upper = np.triu_indices(len(self.sets), 1)
        sure = int((np.maximum(self.holds, self.holds.T)[upper] >= level).sum())
        recipes = f"{self.recipes} recipe{'s' if self.recipes > 1 else ''}"
        seeds = f"{self.seeds} seed{'s' if self.seeds > 1 else ''}"
        said = f"The order of {sure} of {len(upper[0])} pairs holds with {level:.0%} ({recipes}, {seeds} each)."
        return said if self.recipes > 1 else f"{said} What another recipe would change is not known."


def reliability(trainings: pd.DataFrame) -> Reliability:
    """Of trainings of the same sets with several seeds, and recipes.

    Parameters
    ----------
    trainings : ``train_set, recipe, seed, error``, one row a training; every set with every recipe and seed.

    Raises
    ------
    DataError : a training is missing or stands twice, an error is no number, or there is one training a set only.
    """
    require(trainings, COLUMNS, "trainings")
    twice = trainings.duplicated(["train_set", "recipe", "seed"])
    if twice.any():
        row = trainings[twice].iloc[0]
        raise DataError(f"{row['train_set']} was trained twice with recipe {row['recipe']} and seed {row['seed']}")
    wide = trainings.pivot(index=["recipe", "seed"], columns="train_set", values="error").astype(float)
    if not np.isfinite(wide.to_numpy()).all():
        row, column = np.argwhere(~np.isfinite(wide.to_numpy()))[0]
        recipe, seed = wide.index[row]
        raise DataError(
            f"{wide.columns[column]} has no error with recipe {recipe} and seed {seed}",
            fix="finish that training, or leave the recipe and seed, or the set, out",
        )
    if len(wide) < 2:
        raise DataError("one training of each set says nothing of another", fix="train with several seeds, and recipes")
    if wide.shape[1] < 2:
        raise DataError("one set has no order", fix="train on two sets at least")
    means = wide.groupby(level="recipe").mean().mean()
    means = means.sort_index().sort_values(kind="stable")
    wide = wide[means.index]
    values = wide.to_numpy()  # trainings x sets
    recipe = wide.index.codes[0]  # type: ignore[attr-defined]
    counts = np.bincount(recipe)
    gaps = values[:, None, :] - values[:, :, None]  # how far the column's set is behind the row's: N x K x K
    wins = (np.sign(gaps).mean(axis=0) + 1) / 2
    holds = _hold(gaps, recipe)
    np.fill_diagonal(holds, 0.5)
    strengths = _strengths(wins * len(values))
    names = tuple(map(str, wide))
    return Reliability(names, means.to_numpy(), holds, wins, strengths, len(counts), int(counts.min()))


def trainings_of(results: Mapping[str, pd.DataFrame], benchmarks: Sequence[Benchmark]) -> pd.DataFrame:
    """The frame of :func:`reliability` from results of runs, one frame a recipe; error is the mean primary error.

    Parameters
    ----------
    results : recipe -> ``train_set, test_set, model, protocol, part, metric, value`` and ``seed``.
    benchmarks : whose errors are averaged; trainings that lack one are left out.

    Raises
    ------
    DataError : results of several models, or without seeds.
    """
    parts = []
    for recipe, frame in results.items():
        require(frame, ("seed",), f"results of {recipe}")
        if frame["model"].nunique() > 1:
            raise DataError(f"results of {recipe} are of several models", fix="choose one")
        columns = [b.rows(frame).groupby(["train_set", "seed"])["value"].mean() for b in benchmarks]
        mean = pd.concat(columns, axis=1).mean(axis=1, skipna=False).dropna()
        parts.append(mean.rename("error").reset_index().assign(recipe=recipe))
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)]


def matrix_figure(found: Reliability, level: float = 0.95) -> Figure:
    """Probability that the row's set stays ahead of the column's, best set first; below the diagonal is left empty."""
    from matplotlib.colors import to_hex

    from ehps.analysis import figures
    from ehps.analysis.colours import readable_on
    from ehps.analysis.published import dataset_name

    k = len(found.sets)
    cell = 0.5 if k <= 12 else 0.28
    shown = np.ma.masked_where(np.tril(np.ones((k, k), bool)), found.holds)
    colours = figures.SCALE.reversed()
    with figures.styled():
        drawing, (panel,) = figures.panels(1, width=2.6 + cell * k, height=2 + cell * k * 0.8)
        panel.imshow(shown, cmap=colours, vmin=0.5, vmax=1, aspect="auto")
        for row in range(k):
            for column in range(row + 1, k):
                p = found.holds[row, column]
                text = (f"{p:.2f}" if p < 0.995 else "> 0.99") if k <= 12 else f"{min(100 * p, 99):.0f}"
                ground = to_hex(colours(float(np.clip(2 * p - 1, 0, 1))))
                panel.text(
                    column,
                    row,
                    text,
                    ha="center",
                    va="center",
                    fontsize=7 if k <= 12 else 5.5,
                    color=readable_on(ground),
                    weight="bold" if p >= level else "normal",
                )
        names = [dataset_name(name) for name in found.sets]
        panel.set_yticks(range(k), names, fontsize=8)
        panel.set_xticks(range(k), names, rotation=90, fontsize=8)
        panel.tick_params(length=0)
        panel.spines[:].set_visible(False)
        what = "Probability" if k <= 12 else "Probability (%, written up to 99)"
        note = f"{what} that the row's set has the lower error than the column's in a new training of both. "
        figures.entitle(
            drawing,
            found.sentence(level),
            note + f"Bold: {level:.0%} and above.",
        )
    return drawing


def _hold(gaps: Array, recipe: Array) -> Array:
    """(K, K) probability that a new difference is above 0."""
    counts = np.bincount(recipe)
    recipes, n = len(counts), len(recipe)
    own = np.stack([gaps[recipe == r].mean(axis=0) for r in range(recipes)])  # recipes x K x K
    mean = own.mean(axis=0)
    inside_df, between_df = n - recipes, recipes - 1
    inside = _towards_all(((gaps - own[recipe]) ** 2).sum(axis=0), inside_df)
    smaller = (1 / counts).mean()  # share of the spread within recipes that is in their means
    # a new training: spread of recipe means (between recipes, and what seeds leave in them), of its own seed, of `mean`
    if between_df:
        between = _towards_all(((own - mean) ** 2).sum(axis=0), between_df)
        parts = [(between * (1 + 1 / recipes), between_df), (inside * (1 - smaller), inside_df)]
    else:
        parts = [(inside * (1 + 1 / n), inside_df)]
    variance = sum(part for part, _ in parts)
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = variance**2 / sum(part**2 / (df + PRIOR) for part, df in parts)
        t = mean / np.sqrt(variance)
    p = special.stdtr(np.where(np.isfinite(freedom), freedom, 1.0), np.where(np.isfinite(t), t, 0.0))
    return np.asarray(np.where(variance > 0, p, (np.sign(mean) + 1) / 2))


def _towards_all(squares: Array, df: int) -> Array:
    """(K, K) variances from sums of squares with ``df`` degrees of freedom, drawn towards the mean of all pairs."""
    if not df:
        return np.zeros_like(squares)
    upper = np.triu_indices(len(squares), 1)
    common = squares[upper].mean() / df
    return np.asarray((squares + PRIOR * common) / (df + PRIOR))


def _strengths(wins: Array) -> Array:
    """(K,) Bradley-Terry strengths with one further game between each two, drawn, so that no strength is infinite."""
    games = wins + 0.5
    np.fill_diagonal(games, 0)
    total = games + games.T

    def loss(theta: Array) -> tuple[float, Array]:
        gaps = np.subtract.outer(theta, theta)
        slope = (total * special.expit(gaps) - games).sum(axis=1)
        return float(-(games * -np.logaddexp(0, -gaps)).sum()), slope

    found = optimize.minimize(loss, np.zeros(len(wins)), jac=True, method="L-BFGS-B")
    return np.asarray(found.x - found.x.mean())
