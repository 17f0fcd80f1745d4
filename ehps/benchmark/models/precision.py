"""Where half precision is not enough: depths, rotations, and means over thousands of cells."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def full(x: Tensor) -> AbstractContextManager[object]:
    """Inside, operations on the device of ``x`` keep the precision of what they are given, under autocast too."""
    if x.device.type == "meta":  # on which FLOP are counted; it knows no autocast
        return nullcontext()
    return torch.autocast(x.device.type, enabled=False)
