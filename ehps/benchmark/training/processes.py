"""Training by several processes, one a device, and in parts of a batch: the same numbers as by one process at once.

``batch_size`` is the number of images a step takes, whoever takes them. It is cut into ``processes x accumulate`` equal
parts; every term of the loss is a mean over rows, so that the mean over the parts is that of the batch. What a random
number of the forward pass is depends on the step and on the place of its row in the batch. Batch normalisation, which
sees the rows beside its own, is over all processes at once; in parts (``accumulate``) it cannot be, and such a model is
another one.

Equal losses are equal but for rounding, and many steps of Adam make something of that. Where weights are to be the same
to the last digit, ``parts`` fixes into how many parts a batch is cut, whoever computes them.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ehps.benchmark import models
from ehps.benchmark.training.specs import TrainConfig
from ehps.errors import UsageError
from ehps.extras import need
from ehps.interrupts import Signals

PATIENCE = timedelta(hours=12)  # of processes that wait while the first one tests


def accelerator_for(config: TrainConfig) -> Any:
    """The device of this process, and its ties to the others that ``torchrun`` has started.

    Raises
    ------
    UsageError : float16 without a GPU, where the steps would be made in float32.
    """
    need("training", "accelerate")
    if config.precision == "fp16" and not torch.cuda.is_available():
        raise UsageError("precision fp16 needs a GPU, and there is none", fix="use bf16 or no")
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from accelerate.utils import InitProcessGroupKwargs

    AcceleratorState._reset_state()  # the precision of an earlier training in this process does not bind this one
    patience = InitProcessGroupKwargs(timeout=PATIENCE)
    several_cpus = int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.cuda.is_available()
    return Accelerator(cpu=several_cpus or None, mixed_precision=config.precision, kwargs_handlers=[patience])


def parts_of_process(config: TrainConfig, processes: int) -> int:
    """In how many parts a process takes its images of a step.

    Raises
    ------
    UsageError : the processes cannot share ``parts``.
    """
    if config.parts is None:
        return config.accumulate
    if config.parts % processes:
        what = f"parts is {config.parts}, which {processes} processes do not divide"
        raise UsageError(what, fix="use another number of processes")
    if models.sees_batch(config.model, config.model_args):
        what = f"{config.model} normalises over the batch, which cannot be computed in parts to the last digit"
        raise UsageError(what, fix="leave parts out")
    return config.parts // processes


def part_size(config: TrainConfig, processes: int) -> int:
    """Images that a process takes at once.

    Raises
    ------
    UsageError : the batch cannot be cut into equal parts.
    """
    parts = config.parts or processes * config.accumulate
    if config.batch_size % parts:
        which = f"{processes} processes" if processes > 1 else "one process"
        raise UsageError(
            f"batch_size is {config.batch_size}, which {which} x accumulate {config.accumulate} do not divide: "
            "it is the number of images of all processes together",
            fix=f"use a multiple of {parts}, or another number of processes",
        )
    return config.batch_size // parts


def norms_over_processes(net: nn.Module, processes: int, device: torch.device, name: str) -> nn.Module:
    """``net`` with batch normalisation over all processes.

    Raises
    ------
    UsageError : these processes cannot do that.
    """
    if processes == 1 or not _sees_batch(net):
        return net
    if device.type != "cuda":
        what = f"{name} normalises over the batch, which {processes} processes cannot do together on {device.type}"
        raise UsageError(what, fix="train it in one process, or on GPUs")
    whole: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(net)
    return whole


def _sees_batch(net: nn.Module) -> bool:
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in net.modules())


def world(accelerator: Any, accumulate: int, start: int) -> dict[str, Any]:
    """Who makes the steps from ``start`` on: ``from_step, processes, accumulate, device, driver``."""
    device = accelerator.device
    return {
        "from_step": start,
        "processes": accelerator.num_processes,
        "accumulate": accumulate,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "driver": _driver() if device.type == "cuda" else "",
    }


def _processor() -> str:
    with suppress(OSError):
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(errors="replace"), re.MULTILINE)
        if found:
            return f"cpu ({found[1].strip()})"
    return f"cpu ({platform.processor() or platform.machine()})"


def _driver() -> str:
    """Version of the kernel's driver, with that of CUDA."""
    with suppress(OSError):
        if found := re.search(r"\s(\d+\.\d+(?:\.\d+)?)\s", Path("/proc/driver/nvidia/version").read_text()):
            return f"{found[1]}, CUDA {torch.version.cuda}"
    return f"CUDA {torch.version.cuda}"


@contextmanager
def raised_in_all() -> Iterator[None]:
    """What goes wrong within the block in one process of a group is raised in all of them, which would wait for it.

    Nothing within it may wait for other processes. Elsewhere it does nothing.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        yield
        return
    own: Exception | None = None
    try:
        yield
    except Exception as error:
        own = error
    raise_first(own, None)


def raise_first(own: Exception | None, group: Any) -> None:
    """Raise, in all processes of a group, the error of the first one that has some."""
    told: list[Any] = [None] * torch.distributed.get_world_size(group)
    torch.distributed.all_gather_object(told, own, group=group)
    if (first := next((error for error in told if error is not None), None)) is not None:
        raise first from own


class Agreement:
    """What processes that train together tell each other after a step."""

    def __init__(self, signals: Signals) -> None:
        self.signals = signals
        together = torch.distributed.is_available() and torch.distributed.is_initialized()
        # Not over the devices' own network: reading an answer from a device would wait for all that it has to do.
        self.group = torch.distributed.new_group(backend="gloo", timeout=PATIENCE) if together else None

    def reached(self, odd: bool = False) -> tuple[int, bool]:
        """The number of the signal that ended the work in any of them, 0 to go on; whether anything was odd in any."""
        if self.group is None:
            return self.signals.received, odd
        both = torch.tensor((self.signals.received, int(odd)))
        torch.distributed.all_reduce(both, torch.distributed.ReduceOp.MAX, group=self.group)
        return int(both[0]), bool(both[1])

    def received(self, batch: Mapping[str, Any]) -> None:
        """See that all of them have their images; else what kept one from it is raised in all."""
        error = batch.get("error")
        if self.group is None:
            return
        missing = torch.tensor(int(error is not None))
        torch.distributed.all_reduce(missing, torch.distributed.ReduceOp.MAX, group=self.group)
        if missing:
            raise_first(error, self.group)

    def mean(self, values: Tensor) -> Tensor:
        """The mean of all processes' ``values``, float64 on the CPU."""
        own = values.cpu().double()
        if self.group is not None:
            torch.distributed.all_reduce(own, group=self.group)
            own /= torch.distributed.get_world_size(self.group)
        return own

    def told(self, own: Mapping[Any, Any]) -> dict[Any, Any]:
        """What all of them have to tell, joined; of the same key what the first says."""
        if self.group is None:
            return dict(own)
        parts: list[Any] = [None] * torch.distributed.get_world_size(self.group)
        torch.distributed.all_gather_object(parts, dict(own), group=self.group)
        return {key: value for part in reversed(parts) for key, value in part.items()}


class ExactSum:
    """The mean of the gradients of ``count`` parts, whoever computed them and in whatever order.

    Sums of float32 numbers are made in float64, where a few of them lose nothing. Adam makes whole steps of rounding
    where a gradient is zero, so that without this the order of a sum decides about weights.
    """

    def __init__(self, net: nn.Module, count: int) -> None:
        self.weights = [weight for weight in net.parameters() if weight.requires_grad]
        self.count = count
        self.sums = [torch.zeros_like(weight, dtype=torch.float64) for weight in self.weights]

    def add(self) -> None:
        """Take over the gradient of one part."""
        for weight, total in zip(self.weights, self.sums, strict=True):
            if weight.grad is not None:
                total += weight.grad
                weight.grad = None

    def put(self) -> None:
        """Give all processes the mean as their gradient."""
        flat = torch.cat([total.reshape(-1) for total in self.sums])
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(flat)
        flat /= self.count
        sizes = [total.numel() for total in self.sums]
        for weight, total, mean in zip(self.weights, self.sums, flat.split(sizes), strict=True):
            weight.grad = mean.reshape(weight.shape).to(weight.dtype)
            total.zero_()


class Part:
    """Which part of a batch the forward pass that runs now is of: number ``index``, from 0, of ``count``."""

    index, count = 0, 1


class RowDropout(nn.Module):
    """Dropout, of single numbers or (``whole_rows``) of rows, by the place of the row in the whole batch.

    The first axis of its input is the batch.
    """

    def __init__(self, p: float, part: Part, *, whole_rows: bool = False) -> None:
        super().__init__()
        self.p, self.part, self.whole_rows = p, part, whole_rows

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        n = len(x)
        shape = (1,) * (x.ndim - 1) if self.whole_rows else x.shape[1:]
        drawn = torch.rand((n * self.part.count, *shape), device=x.device)  # as every other process draws
        kept = drawn[n * self.part.index : n * (self.part.index + 1)] >= self.p
        return x * kept / (1 - self.p) if self.p < 1 else x * 0


def drop_by_row(net: nn.Module, part: Part) -> None:
    """Put :class:`RowDropout` in the place of every dropout and every stochastic depth (``drop_prob``) of ``net``."""
    for module in list(net.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Dropout):
                setattr(module, name, RowDropout(child.p, part))
            elif isinstance(p := getattr(child, "drop_prob", None), float) and not list(child.children()):
                setattr(module, name, RowDropout(p, part, whole_rows=True))
