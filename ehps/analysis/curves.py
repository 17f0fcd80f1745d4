"""Training curves: reading the logs that runs leave behind, and drawing them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from ehps.analysis import figures
from ehps.analysis.published import dataset_name
from ehps.errors import DataError
from ehps.json_files import read_json, read_json_lines

LOG, MANIFEST = "train.jsonl", "manifest.json"
WORKINGS = ("lr", "images_per_second", "waiting_for_images")  # about the machine and the schedule, not the model


def read_curves(folder: str | Path) -> pd.DataFrame:
    """Logs of all runs under a folder: ``run, step, name, value``, one row a number.

    ``run`` is the training set in the run's manifest (with the folder where several runs share it), or the
    folder's name.

    Raises
    ------
    DataError : no log under the folder, or a damaged one.
    """
    folder = Path(folder)
    logs = sorted(folder.rglob(LOG))
    if not logs:
        raise DataError(f"there is no {LOG} in it", path=folder, fix="name a folder of training runs")
    names = [_name(path.parent) for path in logs]
    rows = []
    for path, name in zip(logs, names, strict=True):
        run = name if names.count(name) == 1 else f"{name} ({path.parent.relative_to(folder).as_posix()})"
        for line in read_json_lines(path, {str: float}, fix="remove it, or train again"):
            if "step" not in line:
                raise DataError("is not a training log: a line has no step", path=path, fix="remove it, or train again")
            rows += [(run, line["step"], key, float(value)) for key, value in line.items() if key != "step"]
    return pd.DataFrame(rows, columns=["run", "step", "name", "value"])


def figure(training: pd.DataFrame, names: Sequence[str] | None = None) -> Figure:
    """Training curves, one panel a quantity.

    ``training`` has the columns ``run`` (the training set), ``step``, ``name`` and ``value``;
    ``names`` are the quantities, by default all but learning rate and speed.
    """
    chosen = list(names or (n for n in dict.fromkeys(training["name"]) if n not in WORKINGS))
    with figures.styled():
        drawing, axes = figures.panels(len(chosen), width=10, height=2.8, columns=min(3, max(1, len(chosen))))
        for panel, name in zip(axes, chosen, strict=True):
            part = training[training["name"] == name].sort_values("step")
            for run, line in part.groupby("run", sort=True):
                look = figures.style(str(run))
                (drawn,) = panel.plot(line["step"], line["value"], look.line, color=look.colour, linewidth=1.3)
                drawn.set_label(dataset_name(str(run)))
            panel.set_title(str(name))
            panel.set_xlabel("step")
            panel.grid(axis="y")
            if (part["value"] > 0).all() and len(part) and part["value"].max() > 20 * part["value"].min():
                panel.set_yscale("log")
        figures.legend(drawing, axes)
    return drawing


def _name(folder: Path) -> str:
    try:
        return str(read_json(folder / MANIFEST, {"train_set": str})["train_set"])
    except DataError:
        return folder.name
