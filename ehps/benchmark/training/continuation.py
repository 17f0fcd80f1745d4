"""How a training goes on where it, or a shorter one, stopped: what is saved and read again.

A checkpoint to go on from has the state of the optimiser beside the weights, and the averages of these where there are
some. Random numbers follow from seed and step, so the step is their state. The learning rate falls over all steps,
so each says over how many it was to fall, and from which step on. The two last ones are kept.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ehps.atomic import replacing
from ehps.benchmark.training import checkpoints
from ehps.benchmark.training.averages import Average
from ehps.benchmark.training.processes import raised_in_all
from ehps.benchmark.training.specs import TrainConfig
from ehps.errors import DataError
from ehps.foreign_files import regular

FINAL, LAST, PREVIOUS = "final.pt", "last.pt", "previous.pt"


def followed(before: Sequence[Mapping[str, int]], start: int, steps: int) -> list[dict[str, int]]:
    """Over how many steps the learning rate was to fall, and from which step (from 0) on: ``from_step``, ``steps``.

    Parameters
    ----------
    before : the same of the checkpoint that the training goes on from.
    """
    kept = [dict(one) for one in before if one["from_step"] < start]
    return kept if kept and kept[-1]["steps"] == steps else [*kept, {"from_step": start, "steps": steps}]


def worlds(before: Sequence[Mapping[str, Any]], now: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Who made the steps (:func:`~ehps.benchmark.training.processes.world`), one entry a change."""
    kept = [dict(one) for one in before if one["from_step"] < now["from_step"]]
    same = bool(kept) and {**kept[-1], "from_step": 0} == {**now, "from_step": 0}
    return kept if same else [*kept, dict(now)]


def resumed(
    path: Path, net: nn.Module, optimizer: torch.optim.Optimizer, scaler: Any, average: Average | None
) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """How many steps the checkpoint has made, 0 where there is none; its ``schedule`` and ``world``."""
    if not path.exists():
        return 0, {"schedule": [], "world": []}
    content = _loaded(path)
    checkpoints.put(net, content, path)
    try:
        step = content["step"]
        if not isinstance(step, int) or step < 0:
            raise ValueError(f"step {step!r}")
        optimizer.load_state_dict(content["optimizer"])
        for parameter, moments in optimizer.state.items():
            for name in ("exp_avg", "exp_avg_sq"):
                if moments[name].shape != parameter.shape:
                    raise ValueError(f"{name} of another shape than its weights")
        if scaler is not None and "scaler" in content:
            scaler.load_state_dict(content["scaler"])
        if average is not None:
            average.load(content["average"])
        # Checkpoints of earlier versions do not say it; their folders took one number of steps only.
        planned = content.get("schedule") or [{"from_step": 0, "steps": json.loads(content["config"])["steps"]}]
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        what = f"holds no state of the optimiser that fits ({error})"
        raise DataError(what, path=path, fix="remove it to train from the beginning") from None
    return step, {"schedule": planned, "world": content.get("world", [])}


def _loaded(path: Path) -> dict[str, Any]:
    try:
        return checkpoints.load(path)
    except DataError as error:
        older = path.with_name(PREVIOUS)
        if not older.exists():
            raise
        fix = f"move {older} in its place to go on from the checkpoint before"
        raise DataError(error.what, path=path, fix=fix) from None


class Saved:
    """The checkpoints of one training, written by its first process; the others wait for it.

    Parameters
    ----------
    facts : what each checkpoint says beside the weights.
    step : of the checkpoint that is there, 0 where there is none.
    """

    def __init__(
        self, folder: Path, config: TrainConfig, facts: Mapping[str, Any], accelerator: Any, step: int
    ) -> None:
        self.folder, self.config, self.facts, self.accelerator = folder, config, facts, accelerator
        self.step = step

    def last(self, net: nn.Module, optimizer: Any, average: Average | None, step: int) -> None:
        """Write ``last.pt``, to go on from; the one before becomes ``previous.pt``."""
        with raised_in_all():
            if self.accelerator.is_main_process:
                bare = self.accelerator.unwrap_model(net)
                content = self._content(bare.state_dict(), step)
                content["optimizer"] = optimizer.state_dict()
                if self.accelerator.scaler is not None:
                    content["scaler"] = self.accelerator.scaler.state_dict()
                if average is not None:
                    content["average"] = {name: value.cpu() for name, value in average.values.items()}
                self._write(LAST, content)

    def final(self, net: nn.Module, average: Average | None, step: int) -> None:
        """Write ``final.pt``: the weights, or their averages."""
        with raised_in_all():
            if self.accelerator.is_main_process:
                bare = self.accelerator.unwrap_model(net)
                state = bare.state_dict() if average is None else average.state(bare)
                self._write(FINAL, self._content(state, step))

    def _content(self, state: Mapping[str, Tensor], step: int) -> dict[str, Any]:
        state = {name: value.detach().cpu() for name, value in state.items()}
        odd = [name for name, value in state.items() if not torch.isfinite(value).all()]
        if odd:
            what = f"the weights after step {step:,} are not all numbers ({odd[0]}), and were not saved{self._kept()}"
            raise DataError(what, path=self.folder, fix="lower the learning rate, or audit the data")
        return {
            "model": {"name": self.config.model, "args": dict(self.config.model_args)},
            "state": state,
            "step": step,
            "config": json.dumps(self.config.to_dict(), sort_keys=True),
            "box_ratio": self.config.box_ratio,
            "weights_sha256": checkpoints.weights_hash(state),
            **self.facts,
        }

    def _write(self, name: str, content: dict[str, Any]) -> None:
        path = self.folder / name
        try:
            if name == LAST and path.exists():
                _keep(path)
            checkpoints.save(path, content)
        except DataError as error:
            raise DataError(f"{error.what}{self._kept()}", path=error.path, fix=error.fix) from error
        self.step = content["step"]

    def _kept(self) -> str:
        return f"; the checkpoint of step {self.step:,} is whole" if self.step else ""


def _keep(path: Path) -> None:
    """Make ``path`` the previous checkpoint as well; it stays where it is until a new one is there."""
    with replacing(path.with_name(PREVIOUS)) as temporary:
        try:
            os.link(regular(path), temporary)
        except OSError:  # a file system without links
            shutil.copyfile(path, temporary)
