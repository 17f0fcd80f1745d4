"""Checkpoint files: plain tensors and plain values, loadable with ``weights_only``; written atomically."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import IO, Any, cast

import torch
from torch import Tensor, nn

from ehps.atomic import noting, replacing
from ehps.benchmark import models
from ehps.benchmark.training.specs import SCHEDULE, TRAINED_ON, WORLD
from ehps.errors import DataError, EhpsError, UsageError
from ehps.foreign_files import check_unfolded, regular
from ehps.json_files import misfit

FORMAT = 1


def save(path: Path, content: dict[str, Any]) -> Path:
    """Write ``content`` to ``path``, whole or not at all."""
    with replacing(path) as temporary, noting(temporary) as file:
        torch.save({"format": FORMAT, **content}, cast(IO[bytes], file))
    return path


def load(path: Path) -> dict[str, Any]:
    """What :func:`save` wrote, on the CPU.

    Raises
    ------
    DataError : absent, damaged, or not a checkpoint of ehps. Nothing but tensors and plain values is ever
        unpickled.
    """
    path = regular(path)
    try:
        with zipfile.ZipFile(path) as archive:
            check_unfolded(sum(info.file_size for info in archive.infolist()), path.stat().st_size, path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except EhpsError:
        raise
    except Exception as error:  # torch raises half a dozen types for damaged and for forbidden content
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(
            f"not a readable checkpoint ({first})", path=path, fix="train again, or copy it again"
        ) from None
    form = {"format": int, "model": {"name": str, "args": {str: object}}, "state": object, "weights_sha256": str}
    more = {"box_ratio": float, "trained_on?": [TRAINED_ON], "schedule?": [SCHEDULE], "world?": [WORLD]}
    if wrong := misfit(content, form | more):
        raise DataError(f"not a checkpoint written by ehps: {wrong}", path=path)
    if content["format"] != FORMAT:
        what = f"has format {content['format']}, this version of ehps reads {FORMAT}"
        raise DataError(what, path=path, fix="train again, or update ehps")
    state = content["state"]
    if not isinstance(state, dict) or not all(isinstance(name, str) and _plain(t) for name, t in state.items()):
        raise DataError("not a checkpoint written by ehps: its state holds more than plain tensors by name", path=path)
    if not (0 < content["box_ratio"] < 100):
        raise DataError(f"its box_ratio is {content['box_ratio']:g}, not a scale of boxes", path=path)
    return content


def _plain(value: Any) -> bool:
    """Whether ``value`` is a tensor whose every element is stored."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
        and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
    )


def load_model(path: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The network in evaluation mode, and what else the checkpoint holds.

    Raises
    ------
    DataError : as :func:`load`, or the weights do not fit the model they name.
    """
    content = load(path)
    name, arguments = content["model"]["name"], content["model"]["args"]
    try:
        with torch.device("meta"):  # no memory is taken for what may not fit
            _check_fit(models.build(name, **arguments), content["state"], path)
        net = models.build(name, **arguments)
    except UsageError as error:
        raise DataError(error.what, path=path) from None
    put(net, content, path)
    return net.eval(), content


def put(net: nn.Module, content: dict[str, Any], path: Path) -> None:
    """Load the weights of a checkpoint's ``content`` strictly.

    Raises
    ------
    DataError : weights are missing, unexpected, of another shape or kind, or not those that were written.
    """
    state = content["state"]
    _check_fit(net, state, path)
    if weights_hash(state) != content["weights_sha256"]:
        raise DataError("is damaged: its weights are not as they were written", path=path, fix="copy it again")
    net.load_state_dict(state)


def _check_fit(net: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    own = net.state_dict()
    missing = sorted(set(own) - set(state))
    unexpected = sorted(set(state) - set(own))
    both = [name for name in own if name in state]
    misshaped = [name for name in both if own[name].shape != state[name].shape]
    other = [name for name in both if own[name].is_floating_point() != state[name].is_floating_point()]
    problems = [
        f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for what, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", misshaped),
            ("of another kind of number", other),
        )
        if names
    ]
    if problems:
        raise DataError(f"weights do not fit the model: {'; '.join(problems)}", path=path)


def weights_hash(state: dict[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and values: the same weights give the same hash in any file."""
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
