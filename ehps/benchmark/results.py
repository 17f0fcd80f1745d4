"""Results of many runs as one tidy frame: what analysis takes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals

from ehps.benchmark.finished_runs import FinishedRun, finished_runs, label_of
from ehps.benchmark.models.labels import labels
from ehps.benchmark.protocols import catalogue
from ehps.benchmark.protocols.protocol import same
from ehps.benchmark.protocols.vocabulary import HIGHER_IS_BETTER
from ehps.benchmark.suites.runs import model_of
from ehps.errors import DataError, UsageError
from ehps.humandata.passport import UNKNOWN

COLUMNS = ("train_set", "test_set", "model", "protocol", "part", "metric", "value", "n")
MORE = (
    "seed",
    "unit",
    "skipped",
    "better",
    "instances",
    "datasets",
    "body_model_version",
    "train_label",
    "test_label",
    "run",
)
_ERROR_COLUMNS = ("truth_row", "image_path", "sequence", "part", "metric", "value", "test_set", "protocol")


@dataclass(frozen=True)
class Results:
    """What a folder of runs holds.

    Attributes
    ----------
    numbers : as :func:`load`.
    errors : as :func:`load_errors`; empty where no run is finished.
    manifests : place of each run below the folder -> what it noted of its data, weights and versions.
    broken : run or folder -> why nothing of it is in the others.
    """

    numbers: pd.DataFrame
    errors: pd.DataFrame
    manifests: dict[str, dict[str, Any]]
    broken: dict[str, str]


def read(folder: str | Path, measures: Collection[tuple[str, str]] | None = None) -> Results:
    """All results under a folder of runs; runs that are damaged, unfinished or empty are left out and named.

    Parameters
    ----------
    measures : (metric, part) of the errors that are wanted; all of them when None.

    Raises
    ------
    DataError : no such folder.
    UsageError : runs were tested under different definitions of one protocol.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError("no such folder", path=folder)
    runs, broken = finished_runs(folder, measures)
    named = dict(zip(runs, labels([model_of(run.manifest) for run in runs.values()]), strict=True))
    trained, tested = _train_sets(runs, named), _test_sets(runs)
    return Results(
        _numbers(runs, named, trained, tested, broken),
        _errors(runs, named, trained, tested),
        {place: run.manifest for place, run in runs.items()},
        broken,
    )


def load(folder: str | Path) -> pd.DataFrame:
    """All numbers under a folder of runs, one a row.

    Sets are named by what their files' passports say they are, not by what they were called when they were run: a
    training set by its dataset or datasets (``agora``, ``agora+bedlam``), a test set by dataset and split
    (``agora_validation``). Where that does not tell two sets of the folder apart, and where a file does not say what
    it is, labels do. Models of one name have the arguments in which they differ, or that make them a stage of their
    own, behind it: ``smpler[blocks=0]``. Trainings that differ in their seed only are one training set. A set that was
    tested twice under one protocol is there once.

    Returns
    -------
    DataFrame with ``train_set, test_set, model, protocol, part, metric, value, n`` and ``seed`` of the training,
    ``unit, skipped``, ``better`` (``lower`` or ``higher`` values), ``instances`` (distinct rows that it was
    trained on), ``datasets`` (ids of the training set, joined with ``+``), ``body_model_version`` of the true bodies
    (``stand-in`` in generated data),
    ``train_label``, ``test_label``, ``run``; ``frame.attrs["protocols"]`` maps each protocol id to its full definition,
    ``frame.attrs["left_out"]`` each run that is not in it to the reason. Empty when nothing is finished.

    Raises
    ------
    DataError : no such folder.
    """
    return read(folder).numbers


def load_errors(folder: str | Path) -> pd.DataFrame:
    """Per-instance errors of all runs under a folder; sets are named as by :func:`load`, texts are categories.

    Raises
    ------
    DataError : no evaluated run under the folder.
    """
    found = read(folder)
    if not found.manifests:
        raise DataError("holds no evaluated run", path=folder)
    return found.errors


def _numbers(
    runs: Mapping[str, FinishedRun],
    named: Mapping[str, str],
    trained: Mapping[str, str],
    tested: Mapping[tuple[str, str, str], str],
    broken: Mapping[str, str],
) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    definitions: dict[str, dict[str, Any]] = {}
    for place, run in runs.items():
        for cell in run.cells:
            protocol = catalogue.from_dict(cell["definition"])
            same([catalogue.from_dict(definitions.setdefault(cell["protocol"], protocol.to_dict())), protocol])
            label = cell["test_set"]
            if (name := tested.get((place, label, cell["protocol"]))) is None:
                continue
            for line in cell["metrics"]:
                rows.append(
                    {
                        "train_set": trained[place],
                        "test_set": name,
                        "model": named[place],
                        "protocol": cell["protocol"],
                        **{name: line[name] for name in ("part", "metric", "value", "n", "unit", "skipped")},
                        "better": "higher" if line["metric"] in HIGHER_IS_BETTER else "lower",
                        "seed": run.manifest.get("seed"),
                        "instances": _instances(run),
                        "datasets": _datasets(run) or trained[place],
                        "body_model_version": cell.get("body_model_version"),
                        "train_label": label_of(run),
                        "test_label": label,
                        "run": place,
                    }
                )
    frame = pd.DataFrame(rows, columns=[*COLUMNS, *MORE])
    for name in ("instances", "seed"):
        frame[name] = frame[name].astype("Int64")
    frame.attrs["protocols"] = definitions
    frame.attrs["left_out"] = dict(broken)
    return frame


def _errors(
    runs: Mapping[str, FinishedRun],
    named: Mapping[str, str],
    trained: Mapping[str, str],
    tested: Mapping[tuple[str, str, str], str],
) -> pd.DataFrame:
    """The errors of all runs below each other; texts stay categories, which takes their union."""
    frames = []
    for place, run in runs.items():
        labels, protocols = run.errors["test_set"].cat, run.errors["protocol"].cat
        codes = labels.codes.to_numpy().astype(int) * max(len(protocols.categories), 1) + protocols.codes.to_numpy()
        pairs, distinct_pairs = pd.factorize(codes)
        firsts = [divmod(int(code), max(len(protocols.categories), 1)) for code in distinct_pairs]
        names = [tested.get((place, labels.categories[i], protocols.categories[j]), "") for i, j in firsts]
        kept = np.array([bool(name) for name in names], bool)[pairs]
        numbers, distinct = pd.factorize(np.array(names, object))
        sets = pd.Categorical.from_codes(numbers[pairs[kept]], pd.Index(distinct))
        errors = (run.errors if kept.all() else run.errors[kept]).assign(test_set=sets)
        for name, value in (("train_set", trained[place]), ("model", named[place])):
            errors[name] = pd.Categorical.from_codes(np.zeros(len(errors), int), pd.Index([value]))
        seed = run.manifest.get("seed")
        errors["seed"] = pd.array([pd.NA if seed is None else seed], "Int64").repeat(len(errors))
        frames.append(errors)
    if not frames:
        return pd.DataFrame(columns=[*_ERROR_COLUMNS, "train_set", "model", "seed"])
    columns: dict[str, Any] = {}
    for name in (str(column) for column in frames[0]):
        parts = [frame[name] for frame in frames]
        texts = all(isinstance(part.dtype, pd.CategoricalDtype) for part in parts)
        columns[name] = union_categoricals(parts) if texts else pd.concat(parts, ignore_index=True)
    return pd.DataFrame(columns)


def _datasets(run: FinishedRun) -> str:
    """Ids of what was trained on, joined with ``+``; empty where one is not known."""
    names = [name for entry in run.manifest.get("trained_on", []) for name in entry["dataset"].split("+")]
    return "" if UNKNOWN in names else "+".join(dict.fromkeys(names))


def _instances(run: FinishedRun) -> int | None:
    """Distinct rows that were trained on, as far as the run says it; None for runs of versions that did not note it."""
    noted = run.manifest.get("trained_on")
    return sum(int(entry.get("drawn", entry["instances"])) for entry in noted) if noted else None


def _train_sets(runs: Mapping[str, FinishedRun], named: Mapping[str, str]) -> dict[str, str]:
    """Name of the training set of each run, whose models are called ``named``."""
    keys = {place: (named[place], _datasets(run) or label_of(run)) for place, run in runs.items()}
    alike = _alike(runs)
    count = Counter(key for key, _ in {(keys[place], group) for place, group in alike.items()})
    labels = {group: label_of(runs[place]) for place, group in reversed(alike.items())}
    return {place: keys[place][1] if count[keys[place]] == 1 else labels[alike[place]] for place in runs}


def _alike(runs: Mapping[str, FinishedRun]) -> dict[str, str]:
    """Which runs are trainings of one thing with different seeds: the same text for those, by their place."""
    described = {}
    for place, run in runs.items():
        training = run.manifest.get("training", {})
        settings = {name: value for name, value in training.get("config", {}).items() if name != "seed"}
        noted = run.manifest.get("trained_on", [])  # of which seeds draw other numbers of rows
        sets = [{name: value for name, value in entry.items() if name != "drawn"} for entry in noted]
        what = [sets, settings, training.get("data")]
        described[place] = (json.dumps(what, sort_keys=True), run.manifest.get("seed"))
    known = {place for place, run in runs.items() if "training" in run.manifest}
    seeds = Counter(described[place] for place in known)
    repeated = {what for (what, _), times in seeds.items() if times > 1}
    return {place: what if place in known and what not in repeated else place for place, (what, _) in described.items()}


def _test_sets(runs: Mapping[str, FinishedRun]) -> dict[tuple[str, str, str], str]:
    """Name of the test set of each (run, label, protocol); of cells that repeat another, none."""
    cells = [(place, cell) for place, run in runs.items() for cell in run.cells]
    contents: dict[str, set[str]] = {}
    labels: dict[str, str] = {}
    for _, cell in cells:
        contents.setdefault(_dataset_and_split(cell), set()).add(_content(cell))
        labels.setdefault(_content(cell), cell["test_set"])
    names: dict[tuple[str, str, str], str] = {}
    seen: set[tuple[str, str, str]] = set()
    for place, cell in cells:
        known, content = _dataset_and_split(cell), _content(cell)
        if (what := (place, content, cell["protocol"])) not in seen:
            seen.add(what)
            unique = known and len(contents[known]) == 1
            names[place, cell["test_set"], cell["protocol"]] = known if unique else labels[content]
    return names


def _dataset_and_split(cell: Mapping[str, Any]) -> str:
    """``agora_validation``; empty where the file does not say."""
    words = [cell.get("dataset", UNKNOWN), cell.get("split", UNKNOWN)]
    return "" if UNKNOWN in words else "_".join(words)


def _content(cell: Mapping[str, Any]) -> str:
    """What tells test files apart: their content; their label in runs of versions that did not note it."""
    return str(cell.get("content", cell["test_set"]))


def over_seeds(frame: pd.DataFrame) -> pd.DataFrame:
    """Numbers of trainings that differ in their seed only, one row together.

    Returns
    -------
    DataFrame with ``train_set, test_set, model, protocol, part, metric``, the mean ``value``, its ``sd`` over trainings
    (of a sample; not a number for one) and ``seeds``, how many there are.
    """
    names = ["train_set", "test_set", "model", "protocol", "part", "metric"]
    grouped = frame.groupby(names, sort=False)["value"]
    return grouped.agg(value="mean", sd="std", seeds="size").reset_index()


def table(frame: pd.DataFrame, part: str = "all", metric: str = "PVE") -> pd.DataFrame:
    """One number a train set and model (rows) and test set (columns).

    Raises
    ------
    UsageError : numbers of one column were made under different protocols; the message names the differing
        fields.
    """
    chosen = frame[(frame["part"] == part) & (frame["metric"] == metric)]
    definitions = frame.attrs.get("protocols", {})
    for test_set, group in chosen.groupby("test_set"):
        ids = list(group["protocol"].unique())
        if len(ids) > 1:
            if all(name in definitions for name in ids):
                same([catalogue.from_dict(definitions[name]) for name in ids], what=f"{metric} {part} on {test_set}")
            raise UsageError(
                f"{metric} {part} on {test_set} was made under different protocols: {', '.join(ids)}",
                fix="choose the rows of one protocol",
            )
    return chosen.pivot_table(index=["train_set", "model"], columns="test_set", values="value", sort=False)
