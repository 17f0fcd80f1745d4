"""Runs with results, each file read once, and what is no finished run told with the reason."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ehps.arrays import Mask
from ehps.benchmark.suites.runs import CONFIG, ERRORS, MANIFEST, METRICS, Run, read_errors
from ehps.errors import DataError

_OF_A_RUN = (MANIFEST, METRICS, ERRORS, CONFIG, "checkpoints")


@dataclass(frozen=True)
class FinishedRun:
    """A run that was tested: its folder, and what its files hold."""

    folder: Path
    manifest: dict[str, Any]
    cells: list[dict[str, Any]]
    errors: pd.DataFrame


def label_of(run: FinishedRun) -> str:
    """What its training set was called when it was run."""
    return str(run.manifest.get("train_set", run.folder.name))


def finished_runs(
    folder: Path, measures: Collection[tuple[str, str]] | None = None
) -> tuple[dict[str, FinishedRun], dict[str, str]]:
    """Runs below a folder that were tested, by their place in it, and why others are not there, by theirs.

    Parameters
    ----------
    measures : (metric, part) of the errors that are wanted; all of them when None.
    """
    runs: dict[str, FinishedRun] = {}
    known: dict[str, pd.Index[Any]] = {}
    broken: dict[str, str] = {}
    for path in _folders(folder):
        run, place = Run(path), path.relative_to(folder).as_posix()
        try:
            if why := _untested(run):
                raise DataError(why)
            manifest, cells, errors = run.manifest, run.cells, read_errors(_errors_file(run), categories=True)
        except DataError as error:
            broken[place] = f"{Path(error.path).name} {error.what}" if error.path else error.what
            continue
        if measures is not None and not (kept := _of(errors, measures)).all():
            errors = errors[kept]
        errors = _with_shared_texts(errors, known)
        runs[place] = FinishedRun(path, manifest, cells, errors)
    return runs, broken


def _folders(folder: Path, inside: bool = False) -> list[Path]:
    """Run folders, sound or not, and folders that are empty, in the order of their names.

    A run can hold others, its trainings with other seeds; what else is ``inside`` a run is its own.
    """
    run = any((folder / name).exists() for name in _OF_A_RUN)
    children = sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
    below = [found for path in children if not path.name.startswith(".") for found in _folders(path, inside or run)]
    empty = not inside and not any(folder.iterdir())
    return [folder, *below] if run or empty else below


def _untested(run: Run) -> str:
    """Why a run has no results; empty where it has."""
    if not any(run.folder.iterdir()):
        return "it is empty"
    if (run.folder / METRICS).exists() and run.cells:
        return ""
    failure = next(iter(run.failures.values()), None)
    if failure:
        return str(failure["reason"])
    return f"its training has not ended (step {run.step:,})" if run.unfinished else "it was not tested"


def _errors_file(run: Run) -> Path:
    path = run.folder / ERRORS
    if not path.exists():
        raise DataError("is not there: evaluate the run again", path=path)
    return path


def _with_shared_texts(errors: pd.DataFrame, known: dict[str, pd.Index[Any]]) -> pd.DataFrame:
    """``errors`` with the categories of earlier runs where they are the same: all are tested on the same images."""
    shared: dict[str, pd.Categorical[Any]] = {}
    for name, column in ((str(name), errors[name]) for name in errors.select_dtypes("category")):
        if not known.setdefault(name, column.cat.categories).equals(column.cat.categories):
            known[name] = column.cat.categories
        shared[name] = pd.Categorical.from_codes(column.cat.codes.to_numpy(), known[name])
    return errors.assign(**shared)


def _of(errors: pd.DataFrame, measures: Collection[tuple[str, str]]) -> Mask:
    """(N,) rows of one of the (metric, part)."""
    metrics, parts = errors["metric"].cat, errors["part"].cat
    wanted = {(metric.lower(), part.lower()) for metric, part in measures}
    table = [[(m.lower(), p.lower()) in wanted for p in parts.categories] for m in metrics.categories]
    return np.array(table, bool).reshape(len(metrics.categories), len(parts.categories))[metrics.codes, parts.codes]
