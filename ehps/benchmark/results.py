"""Results of many runs as one tidy frame: what analysis takes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ehps.benchmark.protocols import catalogue
from ehps.benchmark.protocols.protocol import same
from ehps.benchmark.suites.runs import MANIFEST, METRICS, Run
from ehps.errors import DataError, UsageError
from ehps.humandata.passport import UNKNOWN

COLUMNS = ("train_set", "test_set", "model", "protocol", "part", "metric", "value", "n")
MORE = ("seed", "unit", "skipped", "instances", "datasets", "body_model_version", "train_label", "test_label", "run")


def load(folder: str | Path) -> pd.DataFrame:
    """All numbers under a folder of runs, one a row.

    Sets are named by what their files' passports say they are, not by what they were called when they were run: a
    training set by its dataset or datasets (``agora``, ``agora+bedlam``), a test set by dataset and split
    (``agora_validation``). Where that does not tell two sets of the folder apart, and where a file does not say what
    it is, labels do. Trainings that differ in their seed only are one training set. A set that was tested twice under
    one protocol is there once.

    Returns
    -------
    DataFrame with ``train_set, test_set, model, protocol, part, metric, value, n`` and ``seed`` of the training,
    ``unit, skipped``, ``instances`` (rows trained on), ``datasets`` (ids of the training set, joined with ``+``),
    ``body_model_version`` of the true bodies (``stand-in`` in generated data), ``train_label``, ``test_label``,
    ``run``; ``frame.attrs["protocols"]`` maps each protocol id to its full definition, ``frame.attrs["left_out"]`` the
    label of each run that was not tested to the reason. Empty when nothing is finished.

    Raises
    ------
    DataError : no such folder, or a damaged file in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError("no such folder", path=folder)
    runs = _runs(folder)
    trained, tested = _train_sets(runs), _test_sets(runs)
    rows: list[dict[str, Any]] = []
    definitions: dict[str, dict[str, Any]] = {}
    for place, run in runs.items():
        manifest = run.manifest
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
                        "model": manifest.get("model", ""),
                        "protocol": cell["protocol"],
                        **{name: line[name] for name in ("part", "metric", "value", "n", "unit", "skipped")},
                        "seed": manifest.get("seed"),
                        "instances": _instances(run),
                        "datasets": _datasets(run) or trained[place],
                        "body_model_version": cell.get("body_model_version"),
                        "train_label": _label(run),
                        "test_label": label,
                        "run": place,
                    }
                )
    frame = pd.DataFrame(rows, columns=[*COLUMNS, *MORE])
    for name in ("instances", "seed"):
        frame[name] = frame[name].astype("Int64")
    frame.attrs["protocols"] = definitions
    frame.attrs["left_out"] = _untested(folder)
    return frame


def load_errors(folder: str | Path) -> pd.DataFrame:
    """Per-instance errors of all runs under a folder; sets are named as by :func:`load`.

    Raises
    ------
    DataError : no evaluated run under the folder.
    """
    runs = _runs(Path(folder))
    if not runs:
        raise DataError("holds no evaluated run", path=folder)
    trained, tested = _train_sets(runs), _test_sets(runs)
    frames = []
    for place, run in runs.items():
        errors = run.errors()
        labels = zip(errors["test_set"], errors["protocol"], strict=True)
        errors["test_set"] = [tested.get((place, label, protocol)) for label, protocol in labels]
        errors = errors[errors["test_set"].notna()]
        facts = {"model": run.manifest.get("model"), "seed": run.manifest.get("seed")}
        frames.append(errors.assign(train_set=trained[place], **facts))
    together = pd.concat(frames, ignore_index=True)
    return together.astype({"seed": "Int64"})


def manifests(folder: str | Path) -> dict[str, dict[str, Any]]:
    """What each run under a folder noted of its data, weights and versions, by its place below the folder."""
    return {place: run.manifest for place, run in _runs(Path(folder)).items()}


def _untested(folder: Path) -> dict[str, str]:
    """Label of each run without results -> why there are none."""
    runs = [Run(path.parent) for path in sorted(folder.rglob(MANIFEST)) if not (path.parent / METRICS).exists()]
    failures = {_label(run): next(iter(run.failures.values()), None) for run in runs}
    return {label: failure["reason"] if failure else "it was not tested" for label, failure in failures.items()}


def _runs(folder: Path) -> dict[str, Run]:
    """Runs that were tested, by their place below the folder."""
    return {path.parent.relative_to(folder).as_posix(): Run(path.parent) for path in sorted(folder.rglob(METRICS))}


def _label(run: Run) -> str:
    return str(run.manifest.get("train_set", run.folder.name))


def _datasets(run: Run) -> str:
    """Ids of what was trained on, joined with ``+``; empty where one is not known."""
    names = [name for entry in run.manifest.get("trained_on", []) for name in entry["dataset"].split("+")]
    return "" if UNKNOWN in names else "+".join(dict.fromkeys(names))


def _instances(run: Run) -> int | None:
    """Rows that were trained on; None for runs of versions that did not note it."""
    noted = run.manifest.get("trained_on")
    return sum(int(entry["instances"]) for entry in noted) if noted else None


def _train_sets(runs: Mapping[str, Run]) -> dict[str, str]:
    """Name of the training set of each run."""
    keys = {place: (run.manifest.get("model", ""), _datasets(run) or _label(run)) for place, run in runs.items()}
    alike = _alike(runs)
    count = Counter(key for key, _ in {(keys[place], group) for place, group in alike.items()})
    labels = {group: _label(runs[place]) for place, group in reversed(alike.items())}
    return {place: keys[place][1] if count[keys[place]] == 1 else labels[alike[place]] for place in runs}


def _alike(runs: Mapping[str, Run]) -> dict[str, str]:
    """Which runs are trainings of one thing with different seeds: the same text for those, by their place."""
    described = {}
    for place, run in runs.items():
        training = run.manifest.get("training", {})
        settings = {name: value for name, value in training.get("config", {}).items() if name != "seed"}
        what = [run.manifest.get("trained_on"), settings, training.get("data")]
        described[place] = (json.dumps(what, sort_keys=True), run.manifest.get("seed"))
    known = {place for place, run in runs.items() if "training" in run.manifest}
    seeds = Counter(described[place] for place in known)
    repeated = {what for (what, _), times in seeds.items() if times > 1}
    return {place: what if place in known and what not in repeated else place for place, (what, _) in described.items()}


def _test_sets(runs: Mapping[str, Run]) -> dict[tuple[str, str, str], str]:
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
