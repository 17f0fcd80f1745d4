"""How far a suite is, read from its run folders: what is done, failed, running (where, how fast), stale, or missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ehps.benchmark.protocols import catalogue
from ehps.benchmark.suites.runs import SUITE, Run
from ehps.benchmark.suites.suite import Suite, Training
from ehps.benchmark.suites.suite_file import read_suite
from ehps.benchmark.training.specs import SetSpec
from ehps.benchmark.training.train_log import LOG, read_log
from ehps.claims import Claim, claimed
from ehps.errors import DataError, EhpsError, UsageError
from ehps.json_files import read_json
from ehps.progress import duration

if TYPE_CHECKING:
    import pandas as pd

BESIDE = ("host", "images_per_second", "left")
"""Columns of what is running."""


def status(out: str | Path, suite: Suite | None = None) -> pd.DataFrame:
    """One row a cell: train_set, test_set, model, seed, recipe (where the suite has some), protocol, state, step,
    reason, value, host, images_per_second, left.

    ``state`` is ``done``, ``failed``, ``running``, ``stale`` (the process that made it is gone; the next run goes on
    with it), ``training`` (begun, and nobody is at it) or ``missing``. ``value`` is the protocol's primary metric where
    the cell is done. Of running ones ``host`` says where (and on which device), ``images_per_second`` how fast the
    training is, and ``left`` how long it will take (its tests come after).

    Parameters
    ----------
    suite : the part that is asked for; all that was run into the folder by default.

    Raises
    ------
    DataError : the folder holds no suite.
    """
    import pandas as pd

    out = Path(out)
    suite = suite or _stored(out)
    labels, rows = suite.labels(), []
    for training in suite.trainings:
        folder = suite.folder(out, training)
        run, claim = Run(folder), claimed(folder)
        speed = _speed(suite, run, training) if claim is not None and claim.live else {}
        for test_set, spec in suite.test.items():
            named = {"train_set": training.train_set, "test_set": test_set, "model": labels[training]}
            state = _state(run, test_set, spec, claim, speed)
            recipe = {"recipe": training.recipe} if suite.recipes else {}
            rows.append({**named, "seed": training.seed, **recipe, **state})
    return pd.DataFrame(rows)


def recipes_of(out: Path) -> list[str]:
    """Recipes of the suite that was run into a folder; none where it has none, or the folder holds no suite.

    Raises
    ------
    DataError : what the folder says of its suite is damaged.
    """
    return list(_stored(out).recipes) if (out / SUITE).exists() else []


def _stored(out: Path) -> Suite:
    if not (out / SUITE).exists():
        raise DataError("holds no suite", path=out, fix="run one with this folder as output")
    again = "remove it, and run the suite again"
    try:
        return read_suite(read_json(out / SUITE, fix=again))
    except UsageError as error:
        raise DataError(f"is damaged: {error.what}", path=out / SUITE, fix=again) from None


def _state(run: Run, test_set: str, spec: SetSpec, claim: Claim | None, speed: dict[str, Any]) -> dict[str, Any]:
    protocol = catalogue.get(spec.protocol)
    row: dict[str, Any] = {
        "protocol": protocol.id,
        "state": "missing",
        "step": run.step,
        "reason": "",
        "value": float("nan"),
        "host": "",
        "images_per_second": float("nan"),
        "left": "",
    }
    if not run.unfinished:
        for cell in run.cells:
            if cell["test_set"] == test_set and cell["protocol"] == protocol.id:
                values = {(m["part"], m["metric"]): m["value"] for m in cell["metrics"]}
                row |= {"state": "done", "value": values.get(protocol.primary, float("nan"))}
    failures = run.failures
    if failed := next((what for what in ("training", "tests", f"test_{test_set}") if what in failures), None):
        row |= {"state": "failed", "reason": failures[failed]["reason"], "value": float("nan")}
    elif row["state"] != "done" and run.unfinished:
        row["state"] = "training" if row["step"] else "missing"
    if claim is not None and row["state"] != "done":
        where = f"{claim.host}, device {claim.device}" if claim.device else claim.host
        gone = "" if claim.live else f"process {claim.pid} on {claim.host} is gone"
        row |= {"state": "running" if claim.live else "stale", "host": where, "reason": gone, **speed}
    return row


def _speed(suite: Suite, run: Run, training: Training) -> dict[str, Any]:
    """Of a training that is running: images a second, and how long the rest takes."""
    path = run.folder / LOG
    if not run.unfinished or not path.exists():
        return {}
    lines = read_log(path)
    rate = lines[-1].get("images_per_second") if lines else None
    if not rate:
        return {}
    from ehps.benchmark.suites.plan import rows_of_each
    from ehps.benchmark.training.trainer import total_steps

    config = suite.settings(training)
    try:
        steps = total_steps(
            config, rows_of_each(suite.train[training.train_set], training.model) if config.epochs else [0]
        )
    except EhpsError:
        return {"images_per_second": rate}
    left = max(0, steps - int(lines[-1]["step"])) * config.batch_size / rate
    return {"images_per_second": rate, "left": duration(left)}
