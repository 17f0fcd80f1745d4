"""Where half precision is not enough: depths, rotations, and means over thousands of cells."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def full(x: Tensor) -> AbstractContextManager[object]:
    """Inside, operations on the device of ``x`` keep the precision of what they are given, under autocast too."""
    if not torch.amp.is_autocast_available(x.device.type):  # the meta device, on which FLOP are counted
        return nullcontext()
    return torch.autocast(x.device.type, enabled=False)
