"""Datasets ranked by how well a model trained on each of them does on the benchmarks.

The mean primary error (MPE) is the plain mean of one number a benchmark: PVE of the whole body on AGORA
validation, UBody, EgoBody-EgoSet and EHF, and MPJPE on 3DPW, in millimetres (SMPLer-X, arXiv 2309.17448).
It exists only where all of them do; a missing cell is shown as missing, never averaged over. Numbers made
under different protocols are never put in one column.

Intervals come from resampling the test data in whole sequences or images, and the trainings where a set was trained
with several seeds, see :mod:`ehps.analysis.intervals`. :func:`interval_note` says what is in them and what is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from ehps.analysis import correlation
from ehps.analysis.benchmarks import MPE_BENCHMARKS, RESULT_COLUMNS, Benchmark, Part, of_part, require
from ehps.analysis.intervals import FEW, Drawn, add_intervals
from ehps.analysis.published import dataset_name
from ehps.arrays import Array
from ehps.errors import DataError, UsageError
from ehps.terminal import show


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
        the intervals. Test sets that are one single sequence are resampled by image, which understates their
        uncertainty.
    bootstrap : number of resamples.
    seed : of the draws.
    level : coverage of the intervals.
    benchmarks : the columns; MPE is their plain mean.
    part : ``hands`` or ``face``: the same for that part, over the benchmarks that measure it.

    Returns
    -------
    frame with ``rank`` (within its model; absent without MPE), ``train_set``, ``model``, ``instances`` and
    ``datasets`` where the results have them, a column for each benchmark id, ``mpe``, with errors ``mpe_low, mpe_high,
    rank_low, rank_high``, and ``missing`` (names of absent benchmarks). ``attrs``: ``benchmarks``, ``protocols``,
    ``part``, ``instances`` (least and most tested), ``bootstrap``, ``level``, ``resampled_by``, ``clusters``,
    ``trainings`` (least and most of a set).

    Raises
    ------
    DataError : a benchmark was scored under several protocols, a cell has two values, or errors do not
        average to results.
    """
    require(results, RESULT_COLUMNS, "results")
    benchmarks = of_part(benchmarks, part)
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
    drawn, extra = Drawn({}, {}), list[str]()
    trainings = _trainings(picked)
    if errors is not None:
        extra = ["mpe_low", "mpe_high", "rank_low", "rank_high"]
        several = {key: values for key, values in trainings.items() if len(values) > 1}
        drawn = add_intervals(frame, errors, benchmarks, bootstrap, seed, level, protocols, several)
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
        "resampled_by": drawn.resampled_by,
        "clusters": drawn.clusters,
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


INFERRED, UNNAMED = "*", "?"
"""Marks of training sets whose name is inferred, and of points that have no name."""


def presentable(ranked: pd.DataFrame, *, ids: bool = False) -> pd.DataFrame:
    """The ranking under headings for people, ready for :mod:`ehps.analysis.tables`; intervals as one text.

    Published ranks whose dataset is inferred or not known are marked, see :func:`legend`.

    Parameters
    ----------
    ids : call datasets as commands do (``pw3d``), not as papers do (``3DPW``).
    """
    if "identification" in ranked:
        return _published(ranked, ids=ids)
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
        out[mpe_label(ranked)] = ranked["mpe"]
    if "mpe_low" in ranked:
        percent = f"{100 * ranked.attrs.get('level', 0.95):.0f} % ({interval_of(ranked)})"
        out[f"MPE {percent}"] = _spans(ranked["mpe_low"], ranked["mpe_high"], 1)
        out[f"Rank {percent}"] = _spans(ranked["rank_low"], ranked["rank_high"], 0)
    return pd.DataFrame(out)


def _published(ranked: pd.DataFrame, *, ids: bool) -> pd.DataFrame:
    """All published ranks, those without a name in their places."""
    inferred = (ranked["identification"] == "inferred").tolist()
    called = [t if ids else dataset_name(t) for t in ranked["train_set"]]
    names = [name + f" {INFERRED}" * mark for name, mark in zip(called, inferred, strict=True)]
    named = pd.DataFrame({"Rank": ranked["rank"], "Training set": names, "Instances": ranked["instances"]})
    rest = [(rank, UNNAMED, instances) for rank, instances in ranked.attrs.get("unnamed_points", [])]
    both = pd.concat([named, pd.DataFrame(rest, columns=named.columns).astype(named.dtypes)])
    return both.sort_values("Rank", kind="stable").reset_index(drop=True)


def legend(ranked: pd.DataFrame) -> list[str]:
    """What the marks of :func:`presentable` mean, and why sets among others that have one have no rank; a line each."""
    if "identification" not in ranked:
        placed = ranked["rank"].notna()
        unplaced = zip(labels(ranked), ranked.get("missing", pd.Series("", ranked.index)), placed, strict=True)
        return (
            [f"no rank: {name}, without {missing}" for name, missing, has in unplaced if not has] if any(placed) else []
        )
    inferred = int((ranked["identification"] == "inferred").sum())
    unnamed, absent = ranked.attrs.get("unnamed", 0), ranked.attrs.get("without_point", [])
    said = []
    if inferred:
        said.append(f"{INFERRED} {inferred} names are inferred: documents lead to them, none states them")
    if unnamed:
        said.append(f"{UNNAMED} {unnamed} ranks are of datasets that could not be identified")
    if absent:
        said.append(f"the figure that the ranks are from has no point of rank {', '.join(map(str, absent))}")
    return said


def mpe_label(ranked: pd.DataFrame) -> str:
    """``MPE``, and of which part where that is not the whole body."""
    part = ranked.attrs.get("part", "all")
    return "MPE" if part == "all" else f"MPE {part}"


def interval_of(ranked: pd.DataFrame) -> str:
    """What the intervals are over, for the head of their column: ``test data``, or ``test data, seeds``."""
    return "test data, seeds" if max(ranked.attrs.get("trainings") or [1]) > 1 else "test data"


def interval_axis(ranked: pd.DataFrame) -> str:
    """What bars are, for the label of an axis; empty without intervals."""
    if not ranked.attrs.get("resampled_by"):
        return ""
    level, of = f"{100 * ranked.attrs.get('level', 0.95):.0f} %", interval_of(ranked)
    return f"; bars: {level} over {of}" + ("" if "seeds" in of else ", not over trainings")


def interval_note(ranked: pd.DataFrame) -> str:
    """What is in the intervals and what is not, in sentences; empty without intervals."""
    units: dict[str, str] = ranked.attrs.get("resampled_by", {})
    clusters: dict[str, int] = ranked.attrs.get("clusters", {})
    if not units:
        return ""
    names = {b.id: b.name for b in benchmarks_of(ranked)}
    counted = {
        unit: ", ".join(f"{names.get(b, b)} {clusters.get(b, 0):,}" for b, of in units.items() if of == unit)
        for unit in dict.fromkeys(units.values())
    }
    by = "; ".join(f"{unit}s ({which})" for unit, which in counted.items())
    said = [f"Intervals: test data drawn again {ranked.attrs.get('bootstrap')} times, by {by}."]
    if "image" in counted:
        said.append(
            "Test sets that are drawn by images are one sequence or folder each: too narrow where that is a video."
        )
    if few := [names.get(b, b) for b, count in clusters.items() if 0 < count < FEW]:
        said.append(f"Too narrow where these are few: {', '.join(few)}.")
    least, most = ranked.attrs.get("trainings") or [1, 1]
    if most > 1:
        said.append(f"The spread of trainings with other seeds is in them ({most} trainings a set).")
    if least < 2:
        which = "of sets trained once" if most > 1 else "with one training a set"
        said.append(f"How much another training would differ is not in them, {which}.")
    return " ".join(said)


def print_ranking(ranked: pd.DataFrame, title: str | None = None) -> None:
    """Print a ranking in the terminal; intervals are left out first where it is narrow."""
    shown = presentable(ranked, ids=True)
    intervals = [str(name) for name in shown if "%" in str(name)]
    show(shown, title=title, least=[*reversed(intervals), "Instances", "Identification"])


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
        inferred = int((self.frame["identification"] == "inferred").sum()) if "identification" in self.frame else 0
        return (
            f"{n} datasets shared with the published ranking: Spearman {rho.value:.2f} (p = {rho.p:.2g}), "
            f"Kendall {tau.value:.2f}."
        ) + (f" The published names of {inferred} of them are inferred." if inferred else "")


def compare(ranked: pd.DataFrame, published: pd.DataFrame) -> Comparison:
    """Agreement of a ranking with another, e.g. :func:`ehps.analysis.published.single_dataset_ranks`.

    Raises
    ------
    UsageError : ``ranked`` holds several models, so that a dataset has several ranks.
    """
    for frame in (ranked, published):
        if frame.dropna(subset=["rank"])["train_set"].duplicated().any():
            raise UsageError("a dataset has several ranks", fix="choose one model before comparing")
    ranked, _ = by_dataset(ranked)
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


def _spans(low: pd.Series[Any], high: pd.Series[Any], digits: int) -> list[str | None]:
    pairs = zip(low.astype(float), high.astype(float), strict=True)
    return [None if np.isnan(a) else f"{a:.{digits}f} – {b:.{digits}f}" for a, b in pairs]
