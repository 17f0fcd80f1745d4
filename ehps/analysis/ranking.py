"""Datasets ranked by how well a model trained on each of them does on the benchmarks.

The mean primary error (MPE) is the plain mean of one number a benchmark: PVE of the whole body on AGORA
validation, UBody, EgoBody-EgoSet and EHF, and MPJPE on 3DPW, in millimetres (SMPLer-X, arXiv 2309.17448).
It exists only where all of them do; a missing cell is shown as missing, never averaged over. Numbers made
under different protocols are never put in one column.

Intervals come from resampling the test data: whole sequences with replacement, because frames of one
sequence are not independent, and the same draw for all training sets, because all are tested on the same
frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from ehps.analysis import correlation
from ehps.analysis.benchmarks import MPE_BENCHMARKS, RESULT_COLUMNS, Benchmark, require
from ehps.analysis.intervals import add_intervals
from ehps.analysis.published import dataset_name
from ehps.errors import DataError, UsageError


def rank(
    results: pd.DataFrame,
    errors: pd.DataFrame | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    *,
    benchmarks: Sequence[Benchmark] = MPE_BENCHMARKS,
    level: float = 0.95,
) -> pd.DataFrame:
    """Training sets by mean primary error, best first.

    Parameters
    ----------
    results : one row a number: ``train_set, test_set, model, protocol, part, metric, value, n``, optionally
        ``seed`` (values are averaged over seeds), ``instances`` and ``datasets`` of the training set; value in mm,
        NaN for a failed cell.
    errors : one row an instance: ``train_set, test_set, sequence, metric, part, value``, optionally ``model``
        (needed when there are several), ``protocol`` and ``instance`` (or ``truth_row``). Gives the
        intervals. Test sets that are one single sequence are resampled by instance, which understates
        their uncertainty.
    bootstrap : number of resamples.
    seed : of the draws.
    level : coverage of the intervals.
    benchmarks : the columns; MPE is their plain mean.

    Returns
    -------
    frame with ``rank`` (within its model; absent without MPE), ``train_set``, ``model``, ``instances`` and
    ``datasets`` where the results have them, a column for each benchmark id, ``mpe``, with errors ``mpe_low, mpe_high,
    rank_low, rank_high``, and ``missing`` (names of absent benchmarks). ``attrs``: ``benchmarks``, ``protocols``,
    ``instances`` (least and most tested), ``bootstrap``, ``resampled_by``.

    Raises
    ------
    DataError : a benchmark was scored under several protocols, a cell has two values, or errors do not
        average to results.
    """
    require(results, RESULT_COLUMNS, "results")
    picked = {b: b.rows(results) for b in benchmarks}
    protocols = {b.id: _one_protocol(b, rows) for b, rows in picked.items() if len(rows)}
    known = [name for name in ("instances", "datasets") if name in results]
    keys = results[["train_set", "model"]].drop_duplicates().sort_values(["model", "train_set"])
    index = pd.MultiIndex.from_frame(keys)
    columns = {b.id: _cell_values(b, rows).reindex(index) for b, rows in picked.items()}
    frame = pd.DataFrame(columns, index=index, dtype=float)
    frame["mpe"] = frame.mean(axis=1, skipna=False)
    frame["rank"] = frame.groupby(level="model")["mpe"].rank(method="min").astype("Int64")
    by_id = {b.id: b.name for b in benchmarks}
    absent = frame[list(by_id)].isna().to_numpy()
    frame["missing"] = [", ".join(np.array(list(by_id.values()))[row]) for row in absent]
    resampled: dict[str, str] = {}
    extra: list[str] = []
    if errors is not None:
        extra = ["mpe_low", "mpe_high", "rank_low", "rank_high"]
        resampled = add_intervals(frame, errors, benchmarks, bootstrap, seed, level, protocols)
    frame = frame.reset_index().sort_values(["model", "mpe", "train_set"], na_position="last", kind="stable")
    facts = results[["train_set", "model", *known]].drop_duplicates(["train_set", "model"])
    frame = frame.merge(facts, on=["train_set", "model"], how="left", sort=False)
    frame = frame[["rank", "train_set", "model", *known, *by_id, "mpe", *extra, "missing"]].reset_index(drop=True)
    frame.attrs = {
        "benchmarks": [asdict(b) for b in benchmarks],
        "protocols": protocols,
        "instances": {b.id: [int(r["n"].min()), int(r["n"].max())] for b, r in picked.items() if len(r)},
        "bootstrap": bootstrap if errors is not None else 0,
        "level": level,
        "resampled_by": resampled,
    }
    return frame


def benchmarks_of(ranked: pd.DataFrame) -> tuple[Benchmark, ...]:
    """The benchmarks whose columns a ranked frame has (none for a published ranking without errors)."""
    stored = [
        Benchmark(**{**b, "protocols": tuple(b["protocols"]), "test_sets": tuple(b["test_sets"])})
        for b in ranked.attrs.get("benchmarks", [])
    ]
    return tuple(b for b in stored or MPE_BENCHMARKS if b.id in ranked.columns)


def labels(ranked: pd.DataFrame) -> list[str]:
    """Names of the rows for people; with the model where there are several."""
    names = [dataset_name(str(t)) for t in ranked["train_set"]]
    if "model" in ranked and ranked["model"].nunique() > 1:
        return [f"{name}, {model}" for name, model in zip(names, ranked["model"], strict=True)]
    return names


def presentable(ranked: pd.DataFrame, *, ids: bool = False) -> pd.DataFrame:
    """The ranking under headings for people, ready for :mod:`ehps.analysis.tables`; intervals as one text.

    Parameters
    ----------
    ids : call datasets as commands do (``pw3d``), not as papers do (``3DPW``).
    """
    out: dict[str, Any] = {
        "Rank": ranked["rank"],
        "Training set": [t if ids else dataset_name(t) for t in ranked["train_set"]],
    }
    if "model" in ranked and ranked["model"].nunique() > 1:
        out["Model"] = ranked["model"]
    if "instances" in ranked:
        out["Instances"] = ranked["instances"]
    out |= {b.label: ranked[b.id] for b in benchmarks_of(ranked)}
    if "mpe" in ranked:
        out["MPE"] = ranked["mpe"]
    if "mpe_low" in ranked:
        percent = f"{100 * ranked.attrs.get('level', 0.95):.0f} %"
        out[f"MPE {percent}"] = _spans(ranked["mpe_low"], ranked["mpe_high"], 1)
        out[f"Rank {percent}"] = _spans(ranked["rank_low"], ranked["rank_high"], 0)
    if "identification" in ranked:
        out["Identification"] = ranked["identification"]
    return pd.DataFrame(out)


@dataclass(frozen=True)
class Comparison:
    """Two rankings on the datasets both have.

    ``frame``: ``train_set, rank, published_rank`` as given, and ``rank_shared, published_rank_shared``,
    renumbered among the shared sets. ``identification`` says how the published row's dataset is known.
    """

    frame: pd.DataFrame
    spearman: correlation.Correlation
    kendall: correlation.Correlation

    def sentence(self) -> str:
        n = len(self.frame)
        if np.isnan(self.spearman.value):
            return f"{n} datasets shared with the published ranking: too few for a correlation."
        rho, tau = self.spearman, self.kendall
        return (
            f"{n} datasets shared with the published ranking: Spearman {rho.value:.2f} (p = {rho.p:.2g}), "
            f"Kendall {tau.value:.2f}."
        )


def compare(ranked: pd.DataFrame, published: pd.DataFrame) -> Comparison:
    """Agreement of a ranking with another, e.g. :func:`ehps.analysis.published.single_dataset_ranks`.

    Raises
    ------
    UsageError : ``ranked`` holds several models, so that a dataset has several ranks.
    """
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
    return Comparison(shared, correlation.spearman(a, b), correlation.kendall(a, b))


def _one_protocol(benchmark: Benchmark, rows: pd.DataFrame) -> str:
    found = rows.groupby(rows["protocol"].astype(str))["train_set"].agg(lambda sets: ", ".join(sorted(set(sets))))
    if len(found) > 1:
        which = "; ".join(f"{protocol} ({sets})" for protocol, sets in found.items())
        raise DataError(
            f"{benchmark.label} was scored under {len(found)} protocols, which cannot be mixed: {which}",
            fix="score all training sets under one protocol, or keep the rows of one before ranking",
        )
    return str(found.index[0])


def _cell_values(benchmark: Benchmark, rows: pd.DataFrame) -> pd.Series[Any]:
    """(train_set, model) -> value, averaged over seeds."""
    unit = ["train_set", "model"]
    one = [*unit, "seed"] if "seed" in rows else unit
    twice = rows[rows.duplicated(one, keep=False)]
    if len(twice):
        first = twice.iloc[0]
        raise DataError(
            f"there is more than one {benchmark.label} of {first['train_set']} ({first['model']})",
            fix="keep one run of each training set, or give runs a seed to average over them",
        )
    if not len(rows):
        return pd.Series(dtype=float, index=pd.MultiIndex.from_arrays([[], []], names=unit))
    # A failed seed makes the cell absent: the mean of the others would be a mean of the lucky ones.
    return rows.groupby(unit)["value"].agg(lambda v: float(np.mean(np.asarray(v, float))))


def _spans(low: pd.Series[Any], high: pd.Series[Any], digits: int) -> list[str | None]:
    pairs = zip(low.astype(float), high.astype(float), strict=True)
    return [None if np.isnan(a) else f"{a:.{digits}f} – {b:.{digits}f}" for a, b in pairs]
