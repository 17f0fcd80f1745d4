"""Checkpoint files: plain tensors and plain values, loadable with ``weights_only``; written atomically."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ehps.atomic import replacing
from ehps.benchmark import models
from ehps.errors import DataError

FORMAT = 1


def save(path: Path, content: dict[str, Any]) -> Path:
    """Write ``content`` to ``path``, whole or not at all."""
    with replacing(path) as temporary:
        torch.save({"format": FORMAT, **content}, temporary)
    return path


def load(path: Path) -> dict[str, Any]:
    """What :func:`save` wrote, on the CPU.

    Raises
    ------
    DataError : absent, damaged, or not a checkpoint of ehps. Nothing but tensors and plain values is ever
        unpickled.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError("no such checkpoint", path=path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises half a dozen types for damaged and for forbidden content
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(
            f"not a readable checkpoint ({first})", path=path, fix="train again, or copy it again"
        ) from None
    if not isinstance(content, dict) or not {"format", "model", "state"} <= content.keys():
        raise DataError("not a checkpoint written by ehps", path=path)
    return content


def load_model(path: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The network in evaluation mode, and what else the checkpoint holds.

    Raises
    ------
    DataError : as :func:`load`, or the weights do not fit the model they name.
    """
    content = load(path)
    net = models.build(content["model"]["name"], **content["model"]["args"])
    put(net, content["state"], path)
    return net.eval(), content


def put(net: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    """Load ``state`` strictly; the DataError lists what is missing, unexpected or of another shape."""
    own = net.state_dict()
    missing = sorted(set(own) - set(state))
    unexpected = sorted(set(state) - set(own))
    misshaped = [name for name in own if name in state and own[name].shape != state[name].shape]
    problems = [
        f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for what, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", misshaped))
        if names
    ]
    if problems:
        raise DataError(f"weights do not fit the model: {'; '.join(problems)}", path=path)
    net.load_state_dict(state)


def weights_hash(state: dict[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and values: the same weights give the same hash in any file."""
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
