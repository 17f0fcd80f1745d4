"""Running a suite: train sets x test sets x models, one after another, resumed where it stopped.

A run folder is ``<out>/<train set>/<model>``.
"""

from __future__ import annotations

import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ehps.benchmark.protocols import catalogue
from ehps.benchmark.suites.runs import MANIFEST, SUITE, Run, is_main, write_json
from ehps.benchmark.suites.suite import Suite, load_suite
from ehps.benchmark.training.specs import SetSpec
from ehps.body.models import BodyModels
from ehps.errors import DataError, EhpsError, UsageError
from ehps.extras import need
from ehps.interrupts import caught
from ehps.json_files import read_json
from ehps.progress import stage

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Suite", "load_suite", "run_suite", "status"]


def run_suite(
    suite: Suite,
    out: str | Path,
    *,
    body_models: BodyModels | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Run what is missing and return :func:`status`.

    A cell that fails is stored with its reason and the others go on; running again tries it again. A signal ends the
    run (:class:`~ehps.interrupts.Interrupted`): its cell is unfinished, not failed, and the same call goes on. Started
    by ``torchrun`` or ``accelerate launch``, every training uses all processes; the first one tests.
    """
    out = Path(out)
    need("running a suite", "accelerate", "pyarrow")
    if (out / MANIFEST).exists():
        what = "is the run folder of one training, not of a suite"
        raise UsageError(what, path=out, fix="name another folder, below which run folders are made")
    if body_models is None:
        if suite.body_models is None:
            raise UsageError("no body models were given", fix="pass --body-models DIR or set EHPS_BODY_MODELS")
        body_models = BodyModels(suite.body_models)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / SUITE, suite.to_dict())
    trainings = [(model, train_set) for model in suite.models for train_set in suite.train]
    with caught():
        for number, (model, train_set) in enumerate(trainings):
            _run_cell(suite, out, train_set, model, body_models, progress, (number, len(trainings)))
    return status(out)


def _run_cell(
    suite: Suite, out: Path, train_set: str, model: str, body_models: BodyModels, progress: bool, place: tuple[int, int]
) -> None:
    """Train one model and test it on all test sets; what fails is recorded.

    Parameters
    ----------
    place : number of the training, from 0, and of how many.
    """
    from ehps.benchmark.suites.evaluation import evaluate, train_cell

    folder = suite.folder(out, train_set, model)
    config = replace(suite.config, model=model)
    run = Run(folder)
    try:
        with stage(f"training {place[0] + 1} of {place[1]}: {model} on {train_set}", show=progress):
            run = train_cell(folder, train_set, suite.train[train_set], config, body_models, progress=progress)
    except Exception as error:
        _record(run, "training", error)
        return
    tests = suite.test if is_main() else {}
    cells = place[1] * len(tests)
    for cell, (test_set, spec) in enumerate(tests.items(), place[0] * len(tests) + 1):
        try:
            with stage(f"cell {cell} of {cells}: {model} of {train_set} on {test_set}", show=progress):
                evaluate(folder, test_set, spec, body_models, workers=config.workers, progress=progress)
        except Exception as error:
            _record(run, f"test_{test_set}", error)


def _record(run: Run, what: str, error: Exception) -> None:
    """Store a failure; a programming error keeps its traceback, a message for the user does not need one."""
    known = isinstance(error, EhpsError)
    reason = str(error) if known else f"{type(error).__name__}: {error}"
    run.failed(what, reason, "" if known else traceback.format_exc())


def status(out: str | Path) -> pd.DataFrame:
    """One row a cell: train_set, test_set, model, protocol, state (done, failed, training, missing), step,
    reason, value.

    ``value`` is the protocol's primary metric where the cell is done.

    Raises
    ------
    DataError : the folder holds no suite.
    """
    import pandas as pd

    out = Path(out)
    if not (out / SUITE).exists():
        raise DataError("holds no suite", path=out, fix="run one with this folder as output")
    again = "remove it, and run the suite again"
    try:
        suite = Suite.from_dict(read_json(out / SUITE, fix=again))
    except UsageError as error:
        raise DataError(f"is damaged: {error.what}", path=out / SUITE, fix=again) from None
    rows = []
    for model in suite.models:
        for train_set in suite.train:
            run = Run(suite.folder(out, train_set, model))
            for test_set, spec in suite.test.items():
                rows.append(
                    {"train_set": train_set, "test_set": test_set, "model": model, **_state(run, test_set, spec)}
                )
    return pd.DataFrame(rows)


def _state(run: Run, test_set: str, spec: SetSpec) -> dict[str, Any]:
    protocol = catalogue.get(spec.protocol)
    row: dict[str, Any] = {
        "protocol": protocol.id,
        "state": "missing",
        "step": run.step,
        "reason": "",
        "value": float("nan"),
    }
    for what in ("training", f"test_{test_set}"):
        if what in run.failures:
            return {**row, "state": "failed", "reason": run.failures[what]["reason"]}
    if run.unfinished:
        return {**row, "state": "training" if row["step"] else "missing"}
    for cell in run.cells:
        if cell["test_set"] == test_set and cell["protocol"] == protocol.id:
            values = {(m["part"], m["metric"]): m["value"] for m in cell["metrics"]}
            return {**row, "state": "done", "value": values.get(protocol.primary, float("nan"))}
    return row
