"""What the encoder of a trained network makes of person crops: numbers by which images can be compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ehps.arrays import Array
from ehps.benchmark.training.checkpoints import load_model
from ehps.body.models import BodyModels
from ehps.errors import DataError

ENCODERS = ("encoder", "backbone", "feature_extractor", "norm")
"""What networks call the part whose output is taken; the last of it is ``tiny``'s, after all blocks."""
BATCH = 32


class _ReachedError(Exception):
    """The encoder has been run; nothing after it is needed."""


def of(checkpoint: Path, body_models: BodyModels | None = None) -> Callable[[Array], Array]:
    """(M, h, w, 3) uint8 RGB crops -> (M, D) float32: the encoder's output, its mean over places or tokens.

    Crops are padded with black to the shape that the network sees, then resized to its size.

    Parameters
    ----------
    body_models : for networks that need the neutral SMPL model to run.

    Raises
    ------
    DataError : the file holds no network that ehps knows, or one without an encoder.
    """
    net, _ = load_model(checkpoint, body_models)
    encoder = next((getattr(net, name) for name in ENCODERS if isinstance(getattr(net, name, None), nn.Module)), None)
    if encoder is None:
        raise DataError(f"its network has none of {', '.join(ENCODERS)}", path=checkpoint)
    size: tuple[int, int] = tuple(net.input_size)  # type: ignore[arg-type]
    found: list[Tensor] = []

    def keep(_: nn.Module, __: Any, output: Any) -> None:
        found.append(pooled(output))
        raise _ReachedError

    encoder.register_forward_hook(keep)

    @torch.inference_mode()
    def features(crops: Array) -> Array:
        out = []
        for start in range(0, len(crops), BATCH):
            try:
                net(prepared(crops[start : start + BATCH], size))
            except _ReachedError:
                out.append(found.pop().numpy())
        return np.concatenate(out)

    return features


def prepared(crops: Array, size: tuple[int, int]) -> Tensor:
    """(M, 3, *size) RGB in [0, 1] of (M, h, w, 3) uint8, padded at both sides rather than stretched."""
    images = torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2).float() / 255
    height, width = images.shape[2:]
    wide, high = max(width, round(height * size[1] / size[0])), max(height, round(width * size[0] / size[1]))
    left, top = (wide - width) // 2, (high - height) // 2
    images = functional.pad(images, (left, wide - width - left, top, high - height - top))
    return functional.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)


def pooled(output: Any) -> Tensor:
    """(N, D) mean over all but samples and channels: of (N, places, D) or (N, D, h, w), the last of several."""
    if isinstance(output, tuple | list):
        output = output[-1]
    return output.mean(dim=1) if output.ndim == 3 else output.flatten(2).mean(dim=2)
