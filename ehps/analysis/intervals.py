"""How sure a ranking is: its means drawn again from the errors of single instances and from repeated trainings.

Test data: instances of one sequence, and persons of one image, are not independent, so whole clusters are drawn with
replacement: sequences, images where all of a test set is one sequence, single instances where neither is known. The
same draw serves all training sets, because all are tested on the same data. People who appear in several sequences are
not known in results, and not accounted for.

Trainings: where a set was trained with several seeds, its draws also move by how far the mean of as many seeds, drawn
with replacement, lies from that of all. With one training a set, its spread is not in the interval.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ehps.analysis import correlation
from ehps.analysis.benchmarks import ERROR_COLUMNS, Benchmark, require
from ehps.arrays import Array
from ehps.errors import DataError
from ehps.progress import over

FEW = 10
"""Fewer clusters than this make an interval too narrow to be taken at its word."""

_BLOCK = 4_000_000


@dataclass(frozen=True)
class Drawn:
    """What the intervals of a ranking are made of.

    Attributes
    ----------
    resampled_by : benchmark id -> ``sequence``, ``image`` or ``instance``.
    clusters : benchmark id -> how many of them there are.
    """

    resampled_by: dict[str, str]
    clusters: dict[str, int]


def add_intervals(
    frame: pd.DataFrame,
    errors: pd.DataFrame,
    benchmarks: Sequence[Benchmark],
    bootstrap: int,
    seed: int,
    level: float,
    protocols: Mapping[str, str],
    trainings: Mapping[tuple[str, str], Array],
) -> Drawn:
    """Fill the interval columns of ``frame``, indexed by (train_set, model).

    Parameters
    ----------
    protocols : benchmark id -> the protocol whose errors count, where the errors say theirs.
    trainings : (train_set, model) -> (S,) mean primary errors of its trainings, of those with several seeds.

    Raises
    ------
    DataError : the errors of a cell do not average to its result, or it is not clear which model they are of.
    """
    require(errors, ERROR_COLUMNS, "errors")
    models = frame.index.get_level_values("model").unique()
    if "model" not in errors:
        if len(models) > 1:
            raise DataError("the errors frame does not say which of several models it is of", fix="add a model column")
        errors = errors.assign(model=models[0])
    drawn = np.zeros((bootstrap, len(frame)))
    made = Drawn({}, {})
    for b in over(benchmarks, "drawing samples of benchmarks"):
        rows = _under(b.rows(errors), protocols.get(b.id)).dropna(subset=["value"])
        rows = rows[frame.index.get_indexer(pd.MultiIndex.from_frame(rows[["train_set", "model"]])) >= 0]
        clusters, made.resampled_by[b.id] = _clusters(rows)
        made.clusters[b.id] = int(clusters.nunique())
        means, draws = _resample(b, rows, clusters, frame.index, bootstrap, seed)
        _check_agreement(b, frame, means)
        drawn += draws / len(benchmarks)
    for at, key in enumerate(frame.index):
        if key in trainings:
            drawn[:, at] += _between_trainings(
                trainings[key], bootstrap, [seed, *(zlib.crc32(k.encode()) for k in key)]
            )
    _fill(frame, drawn, level)
    return made


def _fill(frame: pd.DataFrame, drawn: Array, level: float) -> None:
    """Percentiles of the (B, K) draws and of their ranks within each model."""
    mpe, model = frame["mpe"].to_numpy(float), frame.index.get_level_values("model")
    limits = [100 * (1 - level) / 2, 100 * (1 + level) / 2]
    known = np.isfinite(drawn).all(axis=0) & np.isfinite(mpe)
    # Sets without errors of their own keep their point estimate, so that others' ranks count them.
    drawn[:, ~known] = mpe[~known]
    ranks = np.full(drawn.shape, np.nan)
    for name in model.unique():
        members = (model == name) & np.isfinite(mpe)
        ranks[:, members] = correlation.ranks(drawn[:, members], method="min", axis=1)
    spans = np.full((4, len(frame)), np.nan)
    if known.any():
        spans[:2, known] = np.percentile(drawn[:, known], limits, axis=0)
        spans[2:, known] = np.percentile(ranks[:, known], limits, axis=0, method="inverted_cdf")
    frame["mpe_low"], frame["mpe_high"] = spans[:2]
    frame["rank_low"], frame["rank_high"] = (pd.array(row, dtype="Int64") for row in spans[2:])


def _under(rows: pd.DataFrame, protocol: str | None) -> pd.DataFrame:
    return rows[rows["protocol"].astype(str) == protocol] if "protocol" in rows and protocol is not None else rows


def _clusters(rows: pd.DataFrame) -> tuple[pd.Series[Any], str]:
    """(N,) which cluster each row is of, and what the clusters are: the largest of which there are several."""
    for column, unit in (("sequence", "sequence"), ("image_path", "image"), ("instance", "instance")):
        if column in rows and rows[column].nunique() > 1:
            return rows[column].astype(str), unit
    if "truth_row" in rows:
        return rows["truth_row"], "instance"
    seeds = ["seed"] if "seed" in rows else []
    return rows.groupby(["train_set", "model", *seeds]).cumcount(), "instance"


def _resample(
    benchmark: Benchmark,
    rows: pd.DataFrame,
    clusters: pd.Series[Any],
    index: pd.Index[Any],
    bootstrap: int,
    seed: int,
) -> tuple[Array, Array]:
    """Means (K,) and resampled means (B, K) of the K rows of ``index``; NaN where there are no errors."""
    which = index.get_indexer(pd.MultiIndex.from_frame(rows[["train_set", "model"]]))
    codes, distinct = pd.factorize(clusters, sort=True)
    sums, counts = np.zeros((len(index), len(distinct))), np.zeros((len(index), len(distinct)))
    np.add.at(sums, (which, codes), rows["value"].to_numpy(float))
    np.add.at(counts, (which, codes), 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums.sum(1) / counts.sum(1)
        if not len(distinct):
            return means, np.full((bootstrap, len(index)), np.nan)
        # A stream of its own for each benchmark: a further benchmark does not change the draws of this one.
        rng = np.random.default_rng([seed, zlib.crc32(benchmark.id.encode())])
        draws = []
        for start in range(0, bootstrap, block := max(1, _BLOCK // len(distinct))):
            size = min(block, bootstrap - start)
            weights = rng.multinomial(len(distinct), np.full(len(distinct), 1 / len(distinct)), size).astype(float)
            draws.append((weights @ sums.T) / (weights @ counts.T))
    return means, np.concatenate(draws)


def _between_trainings(values: Array, bootstrap: int, seeds: Sequence[int]) -> Array:
    """(B,) how far the mean of S trainings, drawn again from (S,) ``values``, is from their mean.

    Draws from S values spread by (S - 1) / S of what S trainings do, in variance, which the factor mends.
    """
    count = len(values)
    picked = np.random.default_rng(seeds).integers(count, size=(bootstrap, count))
    return np.asarray(np.sqrt(count / (count - 1)) * (values[picked].mean(axis=1) - values.mean()))


def _check_agreement(benchmark: Benchmark, frame: pd.DataFrame, means: Array) -> None:
    for (train_set, model), value, mean in zip(frame.index, frame[benchmark.id], means, strict=True):
        if np.isfinite(value) and np.isfinite(mean) and abs(value - mean) > max(0.05, 0.005 * abs(value)):
            raise DataError(
                f"{benchmark.label} of {train_set} ({model}) is {value:.2f} in the results, "
                f"but its errors average {mean:.2f}",
                fix="take results and errors, in mm, from the same runs",
            )
