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


def quantities(training: pd.DataFrame) -> list[str]:
    """Names of what was logged about the model, in the order of the logs: all but learning rate and speed."""
    return [str(name) for name in dict.fromkeys(training["name"]) if name not in WORKINGS]


def finding(training: pd.DataFrame, name: str) -> str:
    """What the curves of a quantity show, in a sentence."""
    rows = training[training["name"] == name].sort_values("step", kind="stable").groupby("run")["value"]
    first, last = rows.first(), rows.last()
    fell = int((last < first).sum())
    which = f"all {len(last)} runs" if fell == len(last) else f"{fell} of {len(last)} runs"
    return f"From the first to the last entry of its log, the {name.replace('_', ' ')} fell in {which}."


def figure(training: pd.DataFrame, names: Sequence[str] | None = None, highlight: Sequence[str] = ()) -> Figure:
    """Training curves, one panel a quantity.

    Parameters
    ----------
    training : ``run`` (the training set), ``step``, ``name`` and ``value``.
    names : the quantities, by default all but learning rate and speed.
    highlight : runs in colour, the others in grey; by default all, or the first of them where there are more than
        colours.
    """
    chosen = list(names or quantities(training))
    runs = sorted(set(training["run"].astype(str)))
    bright = [run for run in highlight if run in runs] or runs
    bright = bright[: len(figures.PALETTE)]
    with figures.styled():
        drawing, axes = figures.panels(len(chosen), width=10, height=3.0, columns=min(3, max(1, len(chosen))))
        for panel, name in zip(axes, chosen, strict=True):
            part = training[training["name"] == name].sort_values("step")
            lines = dict(iter(part.groupby(part["run"].astype(str), sort=True)))
            for run in [*(r for r in lines if r not in bright), *(r for r in bright if r in lines)]:
                look = figures.style(run)
                line = lines[run]
                if run not in bright:
                    panel.plot(line["step"], line["value"], color=figures.GREY, linewidth=0.6, alpha=0.6)
                    continue
                (drawn,) = panel.plot(line["step"], line["value"], look.line, color=look.colour, linewidth=1.3)
                drawn.set(label=dataset_name(run), marker=look.marker, markersize=4, markevery=[-1])
            panel.set_title(str(name).replace("_", " "))
            panel.set_xlabel("step")
            panel.grid(axis="y")
            if (part["value"] > 0).all() and len(part) and part["value"].max() > 20 * part["value"].min():
                panel.set_yscale("log")
        figures.legend(drawing, axes)
        grey = len(runs) - len(bright)
        note = "Losses without a unit, lower is better." + (f" Grey: the other {grey} runs." if grey else "")
        figures.entitle(drawing, finding(training, chosen[0]) if chosen else "Nothing was logged", note)
    return drawing


def _name(folder: Path) -> str:
    try:
        return str(read_json(folder / MANIFEST, {"train_set": str})["train_set"])
    except DataError:
        return folder.name
