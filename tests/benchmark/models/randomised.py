"""Small networks with numbers that let differences show."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from ehps.benchmark.models.outputs import Prediction

Network = TypeVar("Network", bound=nn.Module)


def randomised(network: Network, seed: int = 0) -> Network:
    """The network in evaluation mode, with weights that keep the size of activations and statistics that are not
    those of a fresh one."""
    generator = torch.Generator().manual_seed(seed)

    def normal(tensor: Tensor, std: float) -> Tensor:
        return torch.randn(tensor.shape, generator=generator) * std

    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("running_var"):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
            elif name.endswith("weight"):
                inputs = tensor[0].numel()
                tensor.copy_(normal(tensor, inputs**-0.5) if tensor.ndim > 1 else 1 + normal(tensor, 0.1))
            elif tensor.is_floating_point():
                tensor.copy_(normal(tensor, 0.1 if name.endswith(("bias", "running_mean")) else 0.5))
    return network.eval()


def tensors(prediction: Prediction) -> dict[str, Tensor]:
    """All that was predicted, by name."""
    values = vars(prediction) | prediction.extras
    del values["extras"]
    return values


def images(n: int, seed: int = 1) -> Tensor:
    """(n, 3, 256, 192) noise."""
    return torch.rand(n, 3, 256, 192, generator=torch.Generator().manual_seed(seed))


class Said(nn.Module):
    """In place of a part of a network: returns what it was made with."""

    def __init__(self, *values: Tensor) -> None:
        super().__init__()
        self.values = values

    def forward(self, *_: Tensor) -> tuple[Tensor, ...]:
        return self.values
