"""What the public files of the models hold: names, shapes and dtypes, and reproducible numbers in their place.

``keys/NAME.txt`` lists the tensors of one model as the authors' own module names them, a line each: name, shape
(``384x3x16x16``, ``-`` for a scalar), dtype. Body-model buffers and the prefix ``module.`` are left out.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

NAMES = (
    "smpler_x_s",
    "smpler_x_b",
    "smpler_x_l",
    "smpler_x_h",
    "smplest_x_h",
    "pymaf",
    "smpler",
    "smpler_l",
)


def listed(name: str) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Tensor name -> (shape, dtype) of one model's file."""
    found = {}
    for line in (Path(__file__).parent / "keys" / f"{name}.txt").read_text().splitlines():
        key, shape, dtype = line.split()
        found[key] = tuple(int(n) for n in shape.split("x")) if shape != "-" else (), getattr(torch, dtype)
    return found


def random_state(name: str, scale: float = 1.0, seed: int = 0, keys: Iterable[str] | None = None) -> dict[str, Tensor]:
    """Numbers for every tensor of one model, the same on every machine and for every order of names.

    Weights keep the size of activations (He scaling times ``scale``), so that differences between two
    implementations show; variances are positive. ``seed`` gives other numbers, ``keys`` only these tensors.
    """
    state = {}
    tensors = listed(name)
    for key in tensors if keys is None else keys:
        shape, dtype = tensors[key]
        generator = torch.Generator().manual_seed(zlib.crc32(key.encode()) + seed)
        last = key.rsplit(".", 1)[-1]
        if dtype == torch.int64:
            state[key] = torch.zeros(shape, dtype=dtype)
        elif last == "running_var":
            state[key] = torch.rand(shape, generator=generator) + 0.5
        elif last == "weight" and len(shape) == 1:
            state[key] = 1 + 0.1 * torch.randn(shape, generator=generator)
        elif last == "weight":
            inputs = max(1, torch.Size(shape[1:]).numel())
            state[key] = torch.randn(shape, generator=generator) * (scale / inputs**0.5)
        elif last in ("bias", "running_mean"):
            state[key] = 0.1 * torch.randn(shape, generator=generator)
        else:
            state[key] = 0.5 * torch.randn(shape, generator=generator)
    return state
