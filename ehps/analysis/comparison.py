"""How far two rankings of datasets agree, and which datasets they place differently.

Intervals come from drawing the datasets again: with some thirty, and fewer shared by two rankings, a correlation is
known roughly at best.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from ehps.analysis import correlation
from ehps.analysis.published import dataset_name
from ehps.analysis.ranking import by_dataset
from ehps.arrays import Array
from ehps.errors import DataError, UsageError

FEWEST = 5
"""Shared datasets that an interval takes."""


@dataclass(frozen=True)
class Agreement:
    """A measure of agreement and its interval; NaN where there are too few datasets."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if np.isnan(self.value):
            return "-"
        return f"{self.value:.2f}" + ("" if np.isnan(self.low) else f" ({self.low:.2f} to {self.high:.2f})")


@dataclass(frozen=True)
class Comparison:
    """Two rankings on the datasets both have.

    ``frame``: ``train_set, rank, published_rank`` as given, and ``rank_shared, published_rank_shared``,
    renumbered among the shared sets. ``identification`` says how the published row's dataset is known.
    ``overlap``: share of the ``top`` best of one that are among the ``top`` best of the other.
    """

    frame: pd.DataFrame
    spearman: correlation.Correlation
    kendall: correlation.Correlation
    spearman_interval: Agreement
    kendall_interval: Agreement
    overlap: Agreement
    top: int
    level: float = 0.95

    def sentence(self) -> str:
        n = len(self.frame)
        if np.isnan(self.spearman.value):
            return f"{n} datasets shared with the published ranking: too few for a correlation."
        inferred = int((self.frame["identification"] == "inferred").sum()) if "identification" in self.frame else 0
        level = "" if np.isnan(self.spearman_interval.low) else f", {100 * self.level:.0f} % intervals over datasets"
        return (
            f"{n} datasets shared with the published ranking: Spearman {self.spearman_interval} "
            f"(p = {self.spearman.p:.2g}), Kendall {self.kendall_interval}{level}."
        ) + (f" The published names of {inferred} of them are inferred." if inferred else "")

    def moves(self, count: int = 5) -> pd.DataFrame:
        """The sets whose places differ most among the shared ones: ``train_set, rank, other, moved``, largest first."""
        places = self.frame.rename(columns={"rank_shared": "here", "published_rank_shared": "other"})
        moved = (places["other"] - places["here"]).astype(int)
        out = places[["train_set", "here", "other"]].assign(moved=moved)
        out = out[out["moved"] != 0].sort_values("moved", key=lambda by: -by.abs(), kind="stable")
        return out.head(count).reset_index(drop=True)


def compare(
    ranked: pd.DataFrame,
    published: pd.DataFrame,
    *,
    top: int = 10,
    bootstrap: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Comparison:
    """Agreement of a ranking with another, e.g. :func:`ehps.analysis.published.single_dataset_ranks`.

    Parameters
    ----------
    top : best sets whose overlap is counted; at most half of the shared ones.
    bootstrap : draws of the datasets behind the intervals (percentiles).

    Raises
    ------
    UsageError : one of them holds several models, so that a dataset has several ranks.
    """
    ranked, published = by_dataset(ranked)[0], by_dataset(published)[0]
    for frame in (ranked, published):
        if frame.dropna(subset=["rank"])["train_set"].duplicated().any():
            raise UsageError("a dataset has several ranks", fix="choose one model before comparing")
    columns = ["train_set", "rank", *(["identification"] if "identification" in published else [])]
    theirs = published[columns].rename(columns={"rank": "published_rank"})
    shared = ranked[["train_set", "rank"]].merge(theirs, on="train_set").dropna(subset=["rank", "published_rank"])
    for name in ("rank", "published_rank"):
        shared[f"{name}_shared"] = shared[name].rank(method="min").astype("Int64")
    shared = shared.sort_values("rank", kind="stable").reset_index(drop=True)
    a, b = (shared[name].to_numpy(float) for name in ("rank", "published_rank"))
    top = max(1, min(top, len(shared) // 2))
    rho, tau = correlation.spearman(a, b), correlation.kendall(a, b)
    draws = np.random.default_rng(seed).integers(len(a), size=(bootstrap, len(a))) if len(a) >= FEWEST else None

    def interval(value: float, measure: Callable[[Array, Array], Array]) -> Agreement:
        if draws is None or np.isnan(value):
            return Agreement(value, np.nan, np.nan)
        drawn = measure(a[draws], b[draws])
        low, high = np.nanpercentile(drawn, [100 * (1 - level) / 2, 100 * (1 + level) / 2])
        return Agreement(value, float(low), float(high))

    shares = float(_overlaps(a[None], b[None], top)[0]) if len(a) > 1 else np.nan
    return Comparison(
        shared,
        rho,
        tau,
        interval(rho.value, _spearmans),
        interval(tau.value, _kendalls),
        interval(shares, lambda x, y: _overlaps(x, y, top)),
        top,
        level,
    )


def compare_all(
    rankings: Mapping[str, pd.DataFrame], *, top: int = 10, seed: int = 0, moves: int = 5
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Each two of several rankings, by name.

    Returns
    -------
    frame ``a, b, shared, spearman, spearman_low, spearman_high, p, kendall, kendall_low, kendall_high, top, overlap,
    overlap_low, overlap_high``, and frame ``a, b, train_set, rank_a, rank_b, moved`` (positive: worse in b) of the sets
    that move most, their ranks among the shared ones.

    Raises
    ------
    DataError : two of them share fewer than three datasets.
    """
    rows, moved = [], []
    for a, b in combinations(rankings, 2):
        found = compare(rankings[a], rankings[b], top=top, seed=seed)
        if len(found.frame) < 3:
            raise DataError(
                f"{a} and {b} share {len(found.frame)} datasets with a rank, too few to compare",
                fix="name datasets as ehps does (`ehps datasets` lists the ids)",
            )
        row: dict[str, object] = {"a": a, "b": b, "shared": len(found.frame)}
        for name, part in (("spearman", found.spearman_interval), ("kendall", found.kendall_interval)):
            row |= {name: part.value, f"{name}_low": part.low, f"{name}_high": part.high}
            row |= {"p": found.spearman.p} if name == "spearman" else {}
        row |= {"top": found.top, "overlap": found.overlap.value}
        row |= {"overlap_low": found.overlap.low, "overlap_high": found.overlap.high}
        rows.append(row)
        names = {"here": "rank_a", "other": "rank_b"}
        moved.append(found.moves(moves).rename(columns=names).assign(a=a, b=b))
    order = ["a", "b", "train_set", "rank_a", "rank_b", "moved"]
    return pd.DataFrame(rows), pd.concat(moved, ignore_index=True)[order]


def presentable(compared: pd.DataFrame) -> pd.DataFrame:
    """The first frame of :func:`compare_all` for people: each measure with its interval as one text."""

    def texts(name: str) -> list[str]:
        ends = zip(compared[name], compared[f"{name}_low"], compared[f"{name}_high"], strict=True)
        return [str(Agreement(*values)) for values in ends]

    tops = sorted(set(compared["top"]))
    return pd.DataFrame(
        {
            "A": compared["a"],
            "B": compared["b"],
            "Datasets": compared["shared"],
            "Spearman": texts("spearman"),
            "Kendall tau-b": texts("kendall"),
            f"Same among the best {'/'.join(map(str, tops))}": texts("overlap"),
        }
    )


def moves_sentences(moved: pd.DataFrame) -> list[str]:
    """``smpler_x_s to hand4whole: InstaVariety 3 to 29, ...``, a line for each two rankings."""
    return [
        f"{a} to {b}, most moved: "
        + ", ".join(f"{dataset_name(str(r.train_set))} {r.rank_a} to {r.rank_b}" for r in part.itertuples())
        for (a, b), part in moved.groupby(["a", "b"], sort=False)
    ]


def _spearmans(a: Array, b: Array) -> Array:
    """(B,) of rows of (B, n); NaN where one does not vary."""
    x, y = (pd.DataFrame(v).rank(axis=1).to_numpy() for v in (a, b))
    return _correlations(x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True))


def _kendalls(a: Array, b: Array) -> Array:
    """(B,) tau-b of rows of (B, n): the correlation of the signs of all pairs."""
    first, second = np.triu_indices(a.shape[1], 1)
    return _correlations(*(np.sign(v[:, first] - v[:, second]) for v in (a, b)))


def _correlations(x: Array, y: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((x * y).sum(axis=1) / np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1)))


def _overlaps(a: Array, b: Array, top: int) -> Array:
    """(B,) share of the ``top`` least of ``a`` that are among those of ``b``; of equal ones, the first."""
    least = [np.argsort(np.argsort(v, axis=1, kind="stable"), axis=1, kind="stable") < top for v in (a, b)]
    return np.asarray((least[0] & least[1]).sum(axis=1) / top)
