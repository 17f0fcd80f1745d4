"""How sure a ranking is: its means resampled from the errors of single instances.

Whole sequences are drawn with replacement, because frames of one sequence are not independent, and the same
draw serves all training sets, because all are tested on the same frames.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ehps.analysis import correlation
from ehps.analysis.benchmarks import ERROR_COLUMNS, Benchmark, require
from ehps.arrays import Array
from ehps.errors import DataError
from ehps.progress import over

_BLOCK = 4_000_000


def add_intervals(
    frame: pd.DataFrame,
    errors: pd.DataFrame,
    benchmarks: Sequence[Benchmark],
    bootstrap: int,
    seed: int,
    level: float,
    protocols: Mapping[str, str],
) -> dict[str, str]:
    """Fill the interval columns of ``frame``, indexed by (train_set, model).

    ``protocols``: benchmark id -> the protocol whose errors count, where the errors say theirs.

    Returns
    -------
    benchmark id -> what was resampled, ``sequence`` or ``instance``.

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
    resampled = {}
    for b in over(benchmarks, "drawing samples of benchmarks"):
        means, draws, resampled[b.id] = _resample(
            b, _under(b.rows(errors), protocols.get(b.id)), frame.index, bootstrap, seed
        )
        _check_agreement(b, frame, means)
        drawn += draws / len(benchmarks)
    mpe, model = frame["mpe"].to_numpy(float), frame.index.get_level_values("model")
    limits = [100 * (1 - level) / 2, 100 * (1 + level) / 2]
    known = np.isfinite(drawn).all(axis=0) & np.isfinite(mpe)
    # Sets without errors of their own keep their point estimate, so that others' ranks count them.
    drawn[:, ~known] = mpe[~known]
    ranks = np.full(drawn.shape, np.nan)
    for name in models:
        members = (model == name) & np.isfinite(mpe)
        ranks[:, members] = correlation.ranks(drawn[:, members], method="min", axis=1)
    spans = np.full((4, len(frame)), np.nan)
    if known.any():
        spans[:2, known] = np.percentile(drawn[:, known], limits, axis=0)
        spans[2:, known] = np.percentile(ranks[:, known], limits, axis=0, method="inverted_cdf")
    frame["mpe_low"], frame["mpe_high"] = spans[:2]
    frame["rank_low"], frame["rank_high"] = (pd.array(row, dtype="Int64") for row in spans[2:])
    return resampled


def _under(rows: pd.DataFrame, protocol: str | None) -> pd.DataFrame:
    return rows[rows["protocol"].astype(str) == protocol] if "protocol" in rows and protocol is not None else rows


def _resample(
    benchmark: Benchmark, rows: pd.DataFrame, index: pd.Index[Any], bootstrap: int, seed: int
) -> tuple[Array, Array, str]:
    """Means (K,) and resampled means (B, K) of the K rows of ``index``; NaN where there are no errors."""
    rows = rows.dropna(subset=["value"])
    which = index.get_indexer(pd.MultiIndex.from_frame(rows[["train_set", "model"]]))
    rows, which = rows[which >= 0], which[which >= 0]
    clusters: pd.Series[Any] = rows["sequence"].astype(str)
    unit = "sequence"
    if clusters.nunique() < 2:
        named = next((c for c in ("instance", "truth_row") if c in rows), None)
        clusters, unit = (rows[named] if named else rows.groupby(which).cumcount()), "instance"
    codes, distinct = pd.factorize(clusters, sort=True)
    sums, counts = np.zeros((len(index), len(distinct))), np.zeros((len(index), len(distinct)))
    np.add.at(sums, (which, codes), rows["value"].to_numpy(float))
    np.add.at(counts, (which, codes), 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums.sum(1) / counts.sum(1)
        if not len(distinct):
            return means, np.full((bootstrap, len(index)), np.nan), unit
        # A stream of its own for each benchmark: a further benchmark does not change the draws of this one.
        rng = np.random.default_rng([seed, zlib.crc32(benchmark.id.encode())])
        draws = []
        for start in range(0, bootstrap, block := max(1, _BLOCK // len(distinct))):
            size = min(block, bootstrap - start)
            weights = rng.multinomial(len(distinct), np.full(len(distinct), 1 / len(distinct)), size).astype(float)
            draws.append((weights @ sums.T) / (weights @ counts.T))
    return means, np.concatenate(draws), unit


def _check_agreement(benchmark: Benchmark, frame: pd.DataFrame, means: Array) -> None:
    for (train_set, model), value, mean in zip(frame.index, frame[benchmark.id], means, strict=True):
        if np.isfinite(value) and np.isfinite(mean) and abs(value - mean) > max(0.05, 0.005 * abs(value)):
            raise DataError(
                f"{benchmark.label} of {train_set} ({model}) is {value:.2f} in the results, "
                f"but its errors average {mean:.2f}",
                fix="take results and errors, in mm, from the same runs",
            )
