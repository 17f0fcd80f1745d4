"""Datasets ranked by how well a model trained on each of them does on the benchmarks.

The mean primary error (MPE) is the plain mean of one number a benchmark: PVE of the whole body on AGORA
validation, UBody, EgoBody-EgoSet and EHF, and MPJPE on 3DPW, in millimetres (SMPLer-X, arXiv 2309.17448).
It exists only where all of them do; a missing cell is shown as missing, never averaged over. Numbers made
under different protocols are never put in one column.

How sure the means are is in :mod:`ehps.analysis.intervals`, which sets can be told apart in :mod:`ehps.analysis.ties`,
how all of it is shown in :mod:`ehps.analysis.ranking_table`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from ehps.analysis import intervals, ties
from ehps.analysis.benchmarks import MPE_BENCHMARKS, RESULT_COLUMNS, Benchmark, Part, check_direction, of_part, require
from ehps.analysis.published import dataset_name
from ehps.arrays import Array
from ehps.errors import DataError

FACTS = ("instances", "datasets", "scene", "appearance", "annotation")
"""What is known of a training set, not measured."""


def rank(
    results: pd.DataFrame,
    errors: pd.DataFrame | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    *,
    benchmarks: Sequence[Benchmark] = MPE_BENCHMARKS,
    part: Part = "all",
    level: float = 0.95,
) -> pd.DataFrame:
    """Training sets by mean primary error, best first.

    Parameters
    ----------
    results : one row a number: ``train_set, test_set, model, protocol, part, metric, value, n``, optionally
        ``seed`` (values are averaged over seeds, and their spread is in the intervals), ``instances`` and
        ``datasets`` of the training set; value in mm, NaN for a failed cell.
    errors : one row an instance: ``train_set, test_set, sequence, metric, part, value``, optionally ``model``
        (needed when there are several), ``protocol``, ``image_path`` and ``instance`` (or ``truth_row``). Gives
        the intervals and what can be told apart. Texts may be categories, which is much faster.
    bootstrap : number of draws behind the intervals of ranks.
    seed : of the draws.
    level : coverage of the intervals.
    benchmarks : the columns; MPE is their plain mean.
    part : ``hands`` or ``face``: the same for that part, over the benchmarks that measure it.

    Returns
    -------
    frame with ``rank`` (within its model; absent without MPE), ``train_set``, ``model``, ``instances`` and
    other :data:`FACTS` where the results have them, a column for each benchmark id, ``mpe``, ``tied`` (the rank as a
    range of ranks, see :mod:`ehps.analysis.ties`), with errors ``group`` (letters that sets share which cannot be told
    apart), ``mpe_low, mpe_high, rank_low, rank_high`` and ``clusters`` (how many of each benchmark the interval rests
    on), and ``missing`` (names of absent benchmarks). ``attrs``: ``benchmarks``, ``protocols``, ``part``, ``instances``
    (least and most tested), ``bootstrap``, ``level``, ``clustered_by``, ``clusters``, ``differences`` (of neighbours,
    as fields of ``ties.Difference``), ``trainings`` (least and most of a set).

    Raises
    ------
    DataError : a benchmark was scored under several protocols, a cell has two values, errors do not average to results,
        or a benchmark's metric is better where it is higher.
    """
    require(results, RESULT_COLUMNS, "results")
    results = results.copy()
    results.attrs = {}  # pandas copies them with each selection
    benchmarks = of_part(benchmarks, part)
    picked = {b: b.rows(results) for b in benchmarks}
    for b, rows in picked.items():
        check_direction(b, rows)
    protocols = {b.id: _one_protocol(b, rows) for b, rows in picked.items() if len(rows)}
    known = [name for name in FACTS if name in results]
    keys = results[["train_set", "model"]].drop_duplicates().sort_values(["model", "train_set"])
    index = pd.MultiIndex.from_frame(keys)
    columns = {b.id: _cell_values(b, rows).reindex(index) for b, rows in picked.items()}
    frame = pd.DataFrame(columns, index=index, dtype=float)
    frame["mpe"] = frame.mean(axis=1, skipna=False)
    frame["rank"] = frame.groupby(level="model")["mpe"].rank(method="min").astype("Int64")
    by_id = {b.id: b.name for b in benchmarks}
    absent = frame[list(by_id)].isna().to_numpy()
    frame["missing"] = [", ".join(np.array(list(by_id.values()))[row]) for row in absent]
    found, extra = None, ["tied"]
    trainings = _trainings(picked)
    if errors is not None:
        several = {key: values for key, values in trainings.items() if len(values) > 1}
        found = intervals.spread(frame, errors, benchmarks, protocols, several)
        intervals.fill(frame, found, bootstrap, seed, level)
        counted = ", ".join(f"{b.name} {found.clusters[b.id]:,}" for b in benchmarks)
        frame["clusters"] = [counted if sure else None for sure in found.known()]
        extra += ["group", "mpe_low", "mpe_high", "rank_low", "rank_high", "clusters"]
    differences = ties.mark(frame, found, level)
    frame = frame.reset_index().sort_values(["model", "mpe", "train_set"], na_position="last", kind="stable")
    facts = results[["train_set", "model", *known]].drop_duplicates(["train_set", "model"])
    frame = frame.merge(facts, on=["train_set", "model"], how="left", sort=False)
    frame = frame[["rank", "train_set", "model", *known, *by_id, "mpe", *extra, "missing"]].reset_index(drop=True)
    frame.attrs = {
        "benchmarks": [asdict(b) for b in benchmarks],
        "protocols": protocols,
        "part": part,
        "instances": {b.id: [int(r["n"].min()), int(r["n"].max())] for b, r in picked.items() if len(r)},
        "bootstrap": bootstrap if errors is not None else 0,
        "level": level,
        "clustered_by": found.clustered_by if found is not None else {},
        "clusters": found.clusters if found is not None else {},
        "differences": [asdict(difference) for difference in differences],
        "trainings": [min(counts), max(counts)] if (counts := [len(v) for v in trainings.values()]) else [],
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


def by_dataset(ranked: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """The best rank of each dataset under its id, and why other trainings on it do not count."""
    if "datasets" not in ranked:
        return ranked, {}
    order = ranked.sort_values("rank", na_position="last", kind="stable")
    again = order["datasets"].duplicated()
    others = {
        str(row.train_set): f"another training on {row.datasets} has a better rank" for row in order[again].itertuples()
    }
    return order[~again].assign(train_set=order["datasets"]), others


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
    values = rows.assign(value=rows["value"].astype(float)).groupby(unit)["value"]
    return values.mean().where(values.count() == values.size())


def _trainings(picked: Mapping[Benchmark, pd.DataFrame]) -> dict[tuple[str, str], Array]:
    """(train_set, model) -> (S,) mean primary error of each of its trainings that has all benchmarks."""
    cells = [rows.assign(benchmark=b.id) for b, rows in picked.items() if len(rows)]
    if not cells:
        return {}
    together = pd.concat(cells)
    together["seed"] = together["seed"].astype(object).fillna("") if "seed" in together else ""
    wide = together.pivot_table(index=["train_set", "model", "seed"], columns="benchmark", values="value")
    if wide.shape[1] < len(picked):
        return {}
    means = wide.dropna().mean(axis=1)
    return {
        (str(name), str(model)): part.to_numpy(float) for (name, model), part in means.groupby(["train_set", "model"])
    }
