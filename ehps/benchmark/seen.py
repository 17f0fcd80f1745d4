"""What trainings saw and how fast, from what their run folders say: shares of datasets, instances, images a second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from ehps.benchmark.models.labels import Made, label, labels
from ehps.benchmark.suites.runs import CONFIG, Run, model_of
from ehps.benchmark.training.quotas import quotas
from ehps.benchmark.training.train_log import LOG, read_log
from ehps.errors import DataError, EhpsError
from ehps.json_files import read_json

_CONFIG_FORM = {
    "sets": [{"weight?": float}],
    "steps": int,
    "epochs": (float, None),
    "batch_size": int,
    "strategy": str,
    "total_length": (int, None),
}


@dataclass(frozen=True)
class Seen:
    """Of one training.

    Attributes
    ----------
    shares : dataset -> part of the instances that it saw, as its strategy draws them; they sum to 1.
    instances : that it saw, each as often as it was seen.
    seconds : of its steps; None where the log does not have all of them.
    """

    shares: dict[str, float]
    instances: int
    seconds: float | None


@dataclass(frozen=True)
class Speed:
    """How fast finished trainings were: the median of what they logged.

    Attributes
    ----------
    images_per_second : of one device.
    model, device : what was trained, and on what.
    lines, runs : of logs.
    """

    images_per_second: float
    model: str
    device: str
    lines: int
    runs: int

    def __str__(self) -> str:
        measured = f"median of {self.lines} logged speeds of {self.runs} runs of {self.model} on {self.device}"
        return f"{self.images_per_second:,.1f} images a second ({measured})"


def seen_by(folder: Path, manifest: Mapping[str, Any]) -> Seen:
    """What a finished run was trained on.

    Raises
    ------
    DataError : it does not say (it is of an earlier version), or its files are damaged.
    """
    trained_on = manifest.get("trained_on", [])
    path = folder / CONFIG
    if not trained_on or not path.is_file():
        raise DataError("does not say what it was trained on", path=folder, fix="train it again, or remove it")
    config = read_json(path, _CONFIG_FORM, fix="train the run again")
    if len(config["sets"]) != len(trained_on):
        raise DataError(f"has {len(config['sets'])} sets, the manifest {len(trained_on)}", path=path, fix="train again")
    log = read_log(folder / LOG) if (folder / LOG).is_file() else []
    if config["epochs"] is not None and not log:
        raise DataError("does not say how many steps were made: it has no log", path=folder, fix="train it again")
    steps, batch = int(log[-1]["step"] if config["epochs"] is not None else config["steps"]), int(config["batch_size"])
    lengths = [int(entry["instances"]) for entry in trained_on]
    counts = [steps, batch, *lengths, *(entry.get("weight", 1) for entry in config["sets"])]
    if not all(0 < count < np.inf for count in counts) or config["strategy"] not in ("concat", "balance", "mixture"):
        raise DataError("has a number or a strategy that no training has", path=path, fix="train the run again")
    weights = _weights(config, lengths)
    shares: dict[str, float] = {}
    for entry, weight in zip(trained_on, weights, strict=True):
        shares[entry["dataset"]] = shares.get(entry["dataset"], 0.0) + float(weight / sum(weights))
    return Seen(shares, steps * batch, _seconds(log, steps, batch))


def _weights(config: dict[str, Any], lengths: list[int]) -> list[float]:
    """In which ratios a strategy draws the sets."""
    given = [float(entry.get("weight", 1)) for entry in config["sets"]]
    if config["strategy"] == "mixture":
        return given
    if config["strategy"] == "balance":
        return [float(quota) for quota in quotas(lengths, config["total_length"], given)]
    return [float(length) for length in lengths]


def _seconds(log: list[dict[str, Any]], steps: int, batch: int) -> float | None:
    """Of the steps of a log, from the speed between its lines."""
    made = np.diff([0, *(line["step"] for line in log)])
    speeds = [_speed(line) for line in log]
    if not log or log[-1]["step"] != steps or not all(speeds) or (made <= 0).any():
        return None
    return float(sum(made * batch / np.array(speeds)))


def _speed(line: dict[str, Any]) -> float:
    """Images a second that a line of a log says, 0 where it does not."""
    value = line.get("images_per_second")
    return float(value) if isinstance(value, int | float) and value > 0 else 0.0


def speed_of(folder: Path, model: str | None = None) -> Speed:
    """How fast the finished runs below a folder were trained, on one device.

    Parameters
    ----------
    model : only its runs.

    Raises
    ------
    DataError : there is none that says it, or they are of several models or kinds of devices.
    """
    speeds: list[float] = []
    kinds: list[tuple[Made, str]] = []
    runs = 0
    for path in sorted(folder.rglob(LOG)):
        try:
            manifest, log = Run(path.parent).manifest, read_log(path)
        except EhpsError:
            continue  # said where results are read
        world = manifest.get("world", [])
        made = model_of(manifest)
        if not world or model not in (None, made[0], label(*made)):
            continue
        found = [_on_one_device(line, world) for line in log if _speed(line)]
        speeds += [speed for speed, _ in found]
        kinds += [(made, device) for _, device in found]
        runs += bool(found)
    fix = "say it with --images-per-second"
    if not speeds:
        of = f" of {model}" if model else ""
        raise DataError(f"has no finished run{of} that says how fast it was", path=folder, fix=fix)
    named = set(zip(labels([made for made, _ in kinds]), [device for _, device in kinds], strict=True))
    if len(named) > 1:
        which = ", ".join(f"{name} on {device}" for name, device in sorted(named))
        raise DataError(f"has runs of several speeds: {which}", path=folder, fix=f"choose a --model, or {fix}")
    ((name, device),) = named
    return Speed(median(speeds), name, device, len(speeds), runs)


def _on_one_device(line: dict[str, Any], world: list[dict[str, Any]]) -> tuple[float, str]:
    """Speed of a logged step on one of the devices that made it, and their kind."""
    made = [part for part in world if part["from_step"] < line["step"]] or world[:1]
    return _speed(line) / int(made[-1]["processes"]), str(made[-1]["device"])
