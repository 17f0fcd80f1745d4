"""How a training goes on where it, or a shorter one, stopped: what is saved and read again, when processes stop.

A checkpoint to go on from has the state of the optimiser beside the weights. The learning rate falls over all steps, so
each says over how many it was to fall, and from which step on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ehps.benchmark.training import checkpoints
from ehps.benchmark.training.specs import TrainConfig
from ehps.errors import DataError
from ehps.interrupts import Signals

FINAL, LAST = "final.pt", "last.pt"
PATIENCE = timedelta(hours=12)  # of processes that wait while the first one tests


class Agreement:
    """Whether processes that train together stop after this step: all do when one was asked to."""

    def __init__(self, signals: Signals) -> None:
        self.signals = signals
        together = torch.distributed.is_available() and torch.distributed.is_initialized()
        # Not over the devices' own network: reading an answer from a device would wait for all that it has to do.
        self.group = torch.distributed.new_group(backend="gloo", timeout=PATIENCE) if together else None

    def reached(self) -> int:
        """The number of the signal that ended the work, 0 to go on."""
        if self.group is None:
            return self.signals.received
        number = torch.tensor(self.signals.received)
        torch.distributed.all_reduce(number, torch.distributed.ReduceOp.MAX, group=self.group)
        return int(number)


def followed(before: Sequence[Mapping[str, int]], start: int, steps: int) -> list[dict[str, int]]:
    """Over how many steps the learning rate was to fall, and from which step (from 0) on: ``from_step``, ``steps``.

    Parameters
    ----------
    before : the same of the checkpoint that the training goes on from.
    """
    kept = [dict(one) for one in before if one["from_step"] < start]
    return kept if kept and kept[-1]["steps"] == steps else [*kept, {"from_step": start, "steps": steps}]


def resumed(
    path: Path, net: nn.Module, optimizer: torch.optim.Optimizer, scaler: Any
) -> tuple[int, list[dict[str, int]]]:
    """How many steps the checkpoint has made, 0 where there is none, and their schedule."""
    if not path.exists():
        return 0, []
    content = checkpoints.load(path)
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
        # Checkpoints of earlier versions do not say it; their folders took one number of steps only.
        planned = content.get("schedule") or [{"from_step": 0, "steps": json.loads(content["config"])["steps"]}]
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        what = f"holds no state of the optimiser that fits ({error})"
        raise DataError(what, path=path, fix="remove it to train from the beginning") from None
    return step, planned


class Saved:
    """The checkpoints of one training, written by its first process; the others wait for it.

    Parameters
    ----------
    facts : what each checkpoint says beside the weights.
    """

    def __init__(self, folder: Path, config: TrainConfig, facts: Mapping[str, Any], accelerator: Any) -> None:
        self.folder, self.config, self.facts, self.accelerator = folder, config, facts, accelerator

    def write(self, name: str, net: nn.Module, optimizer: Any, step: int) -> None:
        """Write ``name`` with the state of the optimiser, where one is given."""
        if self.accelerator.is_main_process:
            bare = self.accelerator.unwrap_model(net)
            state = {name: value.detach().cpu() for name, value in bare.state_dict().items()}
            content: dict[str, Any] = {
                "model": {"name": self.config.model, "args": dict(self.config.model_args)},
                "state": state,
                "step": step,
                "config": json.dumps(self.config.to_dict(), sort_keys=True),
                "box_ratio": self.config.box_ratio,
                "weights_sha256": checkpoints.weights_hash(state),
                **self.facts,
            }
            if optimizer is not None:
                content["optimizer"] = optimizer.state_dict()
                if self.accelerator.scaler is not None:
                    content["scaler"] = self.accelerator.scaler.state_dict()
            checkpoints.save(self.folder / name, content)
        self.accelerator.wait_for_everyone()
