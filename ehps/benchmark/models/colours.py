"""Colours as networks that began on ImageNet want them."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ImageNetColours(nn.Module):
    """RGB in [0, 1] minus ImageNet's mean, over its standard deviation. Holds nothing that a file stores."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor((0.485, 0.456, 0.406)).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor((0.229, 0.224, 0.225)).view(3, 1, 1), persistent=False)

    mean: Tensor
    deviation: Tensor

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, h, w) -> the same shape."""
        return (image - self.mean) / self.deviation
