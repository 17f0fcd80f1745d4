"""ResNet-50 and HRNet written out over a state dict, to compare the networks with.

How many blocks, modules and branches there are is read from the names of the tensors.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

State = dict[str, Tensor]

MEAN = (0.485, 0.456, 0.406)  # of ImageNet, RGB
DEVIATION = (0.229, 0.224, 0.225)
BATCH_NORM_EPS = 1e-5


def normalised(image: Tensor) -> Tensor:
    """(N, 3, h, w) RGB in [0, 1] -> what networks trained on ImageNet want."""
    channels = [(image[:, c] - MEAN[c]) / DEVIATION[c] for c in range(3)]
    return torch.stack(channels, dim=1)


def convolved(state: State, name: str, x: Tensor, stride: int = 1) -> Tensor:
    """Convolution without bias; half the kernel is padded."""
    weight = state[f"{name}.weight"]
    return functional.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)


def batch_normalised(state: State, name: str, x: Tensor) -> Tensor:
    """Batch normalisation of the inference: by the running mean and variance."""
    mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    scale = state[f"{name}.weight"] / torch.sqrt(variance + BATCH_NORM_EPS)
    return (x - mean[:, None, None]) * scale[:, None, None] + state[f"{name}.bias"][:, None, None]


def count(state: State, prefix: str) -> int:
    """How many numbered parts there are under ``prefix.0``, ``prefix.1``, ... ."""
    numbers = {key[len(prefix) + 1 :].split(".")[0] for key in state if key.startswith(f"{prefix}.")}
    return 1 + max(int(number) for number in numbers)


def bottleneck(state: State, name: str, x: Tensor, stride: int) -> Tensor:
    """1x1, 3x3 (which has the stride), 1x1, added to the input."""
    y = torch.relu(batch_normalised(state, f"{name}.bn1", convolved(state, f"{name}.conv1", x)))
    y = torch.relu(batch_normalised(state, f"{name}.bn2", convolved(state, f"{name}.conv2", y, stride)))
    y = batch_normalised(state, f"{name}.bn3", convolved(state, f"{name}.conv3", y))
    if f"{name}.downsample.0.weight" in state:
        x = batch_normalised(state, f"{name}.downsample.1", convolved(state, f"{name}.downsample.0", x, stride))
    return torch.relu(x + y)


def basic_block(state: State, name: str, x: Tensor) -> Tensor:
    """Two 3x3, added to the input."""
    y = torch.relu(batch_normalised(state, f"{name}.bn1", convolved(state, f"{name}.conv1", x)))
    y = batch_normalised(state, f"{name}.bn2", convolved(state, f"{name}.conv2", y))
    return torch.relu(x + y)


def resnet50(state: State, prefix: str, x: Tensor) -> Tensor:
    """(N, 3, 224, 224), normalised -> (N, 2048, 7, 7)."""
    x = torch.relu(batch_normalised(state, f"{prefix}.bn1", convolved(state, f"{prefix}.conv1", x, 2)))
    x = functional.max_pool2d(x, kernel_size=3, stride=2, padding=1)
    for layer in (1, 2, 3, 4):
        for block in range(count(state, f"{prefix}.layer{layer}")):
            stride = 2 if layer > 1 and block == 0 else 1
            x = bottleneck(state, f"{prefix}.layer{layer}.{block}", x, stride)
    return x


def hrnet(state: State, prefix: str, x: Tensor) -> list[Tensor]:
    """(N, 3, 224, 224), normalised -> four maps of 56, 28, 14 and 7 pixels, each with twice the channels."""
    x = torch.relu(batch_normalised(state, f"{prefix}.bn1", convolved(state, f"{prefix}.conv1", x, 2)))
    x = torch.relu(batch_normalised(state, f"{prefix}.bn2", convolved(state, f"{prefix}.conv2", x, 2)))
    for block in range(count(state, f"{prefix}.layer1")):
        x = bottleneck(state, f"{prefix}.layer1.{block}", x, 1)
    branches = [
        transition(state, f"{prefix}.transition1.0", x, 1),
        transition(state, f"{prefix}.transition1.1.0", x, 2),
    ]
    for stage in (2, 3, 4):
        if stage > 2:
            new = f"{prefix}.transition{stage - 1}.{stage - 1}.0"
            branches.append(transition(state, new, branches[-1], 2))
        for module in range(count(state, f"{prefix}.stage{stage}")):
            branches = exchange_unit(state, f"{prefix}.stage{stage}.{module}", branches)
    return branches


def transition(state: State, name: str, x: Tensor, stride: int) -> Tensor:
    """3x3 convolution, normalised, ReLU."""
    return torch.relu(batch_normalised(state, f"{name}.1", convolved(state, f"{name}.0", x, stride)))


def exchange_unit(state: State, name: str, branches: list[Tensor]) -> list[Tensor]:
    """Basic blocks on each branch, then every branch gets the sum of all, brought to its size."""
    for b in range(len(branches)):
        for block in range(count(state, f"{name}.branches.{b}")):
            branches[b] = basic_block(state, f"{name}.branches.{b}.{block}", branches[b])
    fused = []
    for to in range(len(branches)):
        total = torch.zeros_like(branches[to])
        for source in range(len(branches)):
            total = total + brought(state, f"{name}.fuse_layers.{to}.{source}", branches[source], source, to)
        fused.append(torch.relu(total))
    return fused


def brought(state: State, name: str, x: Tensor, source: int, to: int) -> Tensor:
    """Branch ``source`` in the size and channels of branch ``to``."""
    if source > to:
        x = batch_normalised(state, f"{name}.1", convolved(state, f"{name}.0", x))
        times = 2 ** (source - to)
        return x.repeat_interleave(times, dim=2).repeat_interleave(times, dim=3)
    steps = to - source
    for step in range(steps):
        x = batch_normalised(state, f"{name}.{step}.1", convolved(state, f"{name}.{step}.0", x, 2))
        if step < steps - 1:
            x = torch.relu(x)
    return x
