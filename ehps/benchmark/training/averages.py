"""An exponential moving average of the weights (``ema``): what is tested and kept in the end in their place."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Average:
    """Of the floating-point entries of a network's state; the others are the network's own.

    Parameters
    ----------
    decay : share that is kept in a step: 0.999 is a mean over about the last 1,000 steps. The first steps keep less,
        (1 + step) / (10 + step), so that the initial weights are soon forgotten.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {name: value.detach().clone() for name, value in _numbers(net).items()}

    def update(self, net: nn.Module, step: int, finite: Tensor) -> None:
        """Take in the weights after a step (from 0), unless it was not made, as it was not ``finite``."""
        now = _numbers(net)
        change = 1 - min(self.decay, (1 + step) / (10 + step))
        share = torch.where(finite, change, 0.0).to(torch.float32)
        with torch.no_grad():
            for name, value in self.values.items():
                value += (now[name] - value) * share.to(value.dtype)

    def state(self, net: nn.Module) -> dict[str, Tensor]:
        """The network's state with the averages."""
        return {**net.state_dict(), **self.values}

    def load(self, values: Mapping[str, Tensor]) -> None:
        """Go on from stored averages.

        Raises
        ------
        ValueError : they are of another network.
        """
        if {name: value.shape for name, value in values.items()} != {n: v.shape for n, v in self.values.items()}:
            raise ValueError("averages of other weights")
        for name, value in self.values.items():
            value.copy_(values[name])


def _numbers(net: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in net.state_dict().items() if value.is_floating_point()}
