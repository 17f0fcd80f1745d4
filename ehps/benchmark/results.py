"""Results of many runs as one tidy frame: what analysis takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from ehps.benchmark.protocols.catalogue import Protocol, same
from ehps.benchmark.suites.runs import METRICS, Run
from ehps.errors import DataError, UsageError

COLUMNS = ("train_set", "test_set", "model", "protocol", "part", "metric", "value", "n")


def load(folder: str | Path) -> pd.DataFrame:
    """All numbers under a folder of runs, one a row.

    Returns
    -------
    DataFrame with ``train_set, test_set, model, protocol, part, metric, value, n`` and ``unit, skipped,
    run``; ``frame.attrs["protocols"]`` maps each protocol id to its full definition. Empty when nothing is
    finished.

    Raises
    ------
    DataError : no such folder, or a damaged file in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError("no such folder", path=folder)
    rows: list[dict[str, Any]] = []
    definitions: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.rglob(METRICS)):
        run = Run(path.parent)
        manifest = run.manifest
        for cell in run.cells:
            protocol = Protocol.from_dict(cell["definition"])
            same([Protocol.from_dict(definitions.setdefault(cell["protocol"], protocol.to_dict())), protocol])
            for line in cell["metrics"]:
                rows.append(
                    {
                        "train_set": manifest.get("train_set", path.parent.name),
                        "test_set": cell["test_set"],
                        "model": manifest.get("model", ""),
                        "protocol": cell["protocol"],
                        **{name: line[name] for name in ("part", "metric", "value", "n", "unit", "skipped")},
                        "run": path.parent.relative_to(folder).as_posix(),
                    }
                )
    frame = pd.DataFrame(rows, columns=[*COLUMNS, "unit", "skipped", "run"])
    frame.attrs["protocols"] = definitions
    return frame


def load_errors(folder: str | Path) -> pd.DataFrame:
    """Per-instance errors of all runs under a folder.

    Raises
    ------
    DataError : no evaluated run under the folder.
    """
    frames = []
    for path in sorted(Path(folder).rglob(METRICS)):
        run = Run(path.parent)
        manifest = run.manifest
        frames.append(run.errors().assign(train_set=manifest.get("train_set"), model=manifest.get("model")))
    if not frames:
        raise DataError("holds no evaluated run", path=folder)
    return pd.concat(frames, ignore_index=True)


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
                same([Protocol.from_dict(definitions[name]) for name in ids], what=f"{metric} {part} on {test_set}")
            raise UsageError(
                f"{metric} {part} on {test_set} was made under different protocols: {', '.join(ids)}",
                fix="choose the rows of one protocol",
            )
    return chosen.pivot_table(index=["train_set", "model"], columns="test_set", values="value", sort=False)
