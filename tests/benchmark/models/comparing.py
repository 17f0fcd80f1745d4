"""Whether two networks' outputs agree: what is allowed to differ, and by how much."""

from __future__ import annotations

import torch
from torch import Tensor

ROTATION_DEGREES = 0.02  # rounding reaches 0.004 here, 0.012 with PyTorch 2.2; the smallest fault 0.2
CELLS = 2e-3
PIXELS = 0.02
METRES = 1e-3
COEFFICIENTS = 1e-3


def degrees_between(found: Tensor, expected: Tensor) -> Tensor:
    """Angle (...) of the rotation between matrices (..., 3, 3), exact for small angles too."""
    chord = (found.double() - expected.double()).flatten(-2).norm(dim=-1) / 8**0.5
    return torch.rad2deg(2 * torch.asin(chord.clamp(max=1)))


def is_rotation(name: str) -> bool:
    return name.endswith(("_pose", "_orient", "_root"))


def allowed(name: str) -> float:
    """Largest difference of an output: degrees, cells, pixels, metres or as the coefficients are."""
    if is_rotation(name):
        return ROTATION_DEGREES
    if name.endswith(("_img", "_center", "_size")):
        return CELLS
    if name.endswith("_bbox"):
        return PIXELS
    return METRES if name.endswith("_trans") else COEFFICIENTS


def largest(found: dict[str, Tensor], expected: dict[str, Tensor]) -> dict[str, float]:
    """Largest difference of each output of ``expected``, in the unit of what is allowed."""
    differences = {}
    for name, value in expected.items():
        if found[name].shape != value.shape:
            raise AssertionError(f"{name}: shape {tuple(found[name].shape)}, expected {tuple(value.shape)}")
        if is_rotation(name):
            difference = degrees_between(found[name], value)
        else:
            difference = (found[name].double() - value.double()).abs()
        differences[name] = float(difference.max())
    return differences


def beyond(found: dict[str, Tensor], expected: dict[str, Tensor]) -> dict[str, float]:
    """The outputs that differ by more than is allowed (or are not numbers), with their largest difference."""
    return {name: value for name, value in largest(found, expected).items() if not value <= allowed(name)}
