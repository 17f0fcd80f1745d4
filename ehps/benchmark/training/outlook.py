"""What a training is going to be: how many instances, epochs and steps, how much memory, how long."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import torch
from torch import nn

from ehps.benchmark.training.sampling import epoch_length
from ehps.benchmark.training.specs import TrainConfig
from ehps.progress import duration

TIMED = 20  # steps
SETTLING = 2  # steps before them: loaders start, memory is taken


class Outlook:
    """Says what is known before the first step, and what some timed steps add.

    Parameters
    ----------
    start, steps : the steps that are made already, and all.
    say : whether anything is said.
    """

    def __init__(self, start: int, steps: int, device: torch.device, say: bool) -> None:
        self.start, self.steps, self.device, self.say = start, steps, device, say
        self._from = 0.0

    def plan(
        self, config: TrainConfig, lengths: Sequence[int], files: Sequence[str], net: nn.Module, parts: tuple[int, int]
    ) -> list[str]:
        """Lines to print before the first step.

        Parameters
        ----------
        parts : processes, and in how many parts each takes its images.
        """
        lines = [f"{file}: {length:,} instances" for file, length in zip(files, lengths, strict=True)]
        words = [f"{parts[0]} processes"] * (parts[0] > 1) + [f"{parts[1]} parts"] * (parts[1] > 1)
        by = f" by {' x '.join(words)}" if words else ""
        epochs = self.steps * config.batch_size / epoch_length(config.strategy, lengths, config.total_length)
        lines.append(f"{self.steps:,} steps of {config.batch_size} images{by}, {epochs:,.2f} epochs")
        weights = sum(weight.numel() for weight in net.parameters())
        trained = sum(weight.numel() for weight in net.parameters() if weight.requires_grad)
        held = 4 * (weights + 3 * trained + (weights if config.ema else 0))  # gradient and two moments each
        lines.append(f"{weights / 1e6:,.1f} M weights, {held / 1e6:,.0f} MB with gradients and moments, before images")
        return lines

    def timed(self, done: int) -> str:
        """What is to be said after step ``done``, nothing but after the last of the timed ones."""
        if not self.say or self.steps - self.start <= TIMED + SETTLING:
            return ""
        made = done - self.start
        if made == SETTLING:
            self._from = self._now()
        if made != SETTLING + TIMED:
            return ""
        each = (self._now() - self._from) / TIMED
        left = duration(each * (self.steps - done))
        return f"{TIMED} steps timed: {each:.3g} s a step, about {left} to go; {self._memory()}"

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def _memory(self) -> str:
        if self.device.type == "cuda":
            return f"{torch.cuda.max_memory_allocated(self.device) / 1e9:.1f} GB of its memory"
        try:
            import resource
        except ImportError:  # not on this system
            return "memory not known"
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return f"{most * (1 if sys.platform == 'darwin' else 1024) / 1e9:.1f} GB of memory"
