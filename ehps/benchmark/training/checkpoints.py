"""Checkpoint files: plain tensors and plain values, loadable with ``weights_only``; written atomically.

Public files of the registered models are read as if ehps had written them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast

import torch
from torch import Tensor, nn

from ehps.atomic import noting, replacing
from ehps.benchmark import models
from ehps.benchmark.models import loading, weight_files
from ehps.benchmark.models.weight_files import DECLARATION, WeightFile, plain
from ehps.benchmark.training.specs import SCHEDULE, TRAINED_ON, WORLD
from ehps.body.models import BodyModels
from ehps.errors import DataError, UsageError
from ehps.extras import need
from ehps.json_files import misfit
from ehps.suffixes import WEIGHTS, check_suffix

FORMAT = 1
STATES = ("optimizer", "scaler", "average")
"""What of a checkpoint is only there to go on with its training."""


def save(path: Path, content: dict[str, Any]) -> Path:
    """Write ``content`` to ``path``, whole or not at all."""
    with replacing(path) as temporary, noting(temporary) as file:
        torch.save({"format": FORMAT, **content}, cast(IO[bytes], file))
    return path


def load(path: Path, *, mapped: bool = False) -> dict[str, Any]:
    """What :func:`save` or :func:`slim` wrote, on the CPU.

    Parameters
    ----------
    mapped : read tensors when they are used; the file must stay as it is until then.

    Raises
    ------
    DataError : absent, damaged, or not a checkpoint of ehps. Nothing but tensors and plain values is ever
        unpickled.
    """
    content, _ = weight_files.load(path, mapped=mapped)
    return _checked(content, path)


def _checked(content: Any, path: Path) -> dict[str, Any]:
    form = {"format": int, "model": {"name": str, "args": {str: object}}, "state": object, "weights_sha256": str}
    more = {"box_ratio": float, "trained_on?": [TRAINED_ON], "schedule?": [SCHEDULE], "world?": [WORLD]}
    if wrong := misfit(content, form | more):
        raise DataError(f"not a checkpoint written by ehps: {wrong}", path=path)
    if content["format"] != FORMAT:
        what = f"has format {content['format']}, this version of ehps reads {FORMAT}"
        raise DataError(what, path=path, fix="train again, or update ehps")
    if not loading.plain_arguments(content["model"]["args"]):
        raise DataError("not a checkpoint written by ehps: its model.args hold more than plain values", path=path)
    state = content["state"]
    if not isinstance(state, dict) or not all(isinstance(name, str) and plain(t) for name, t in state.items()):
        raise DataError("not a checkpoint written by ehps: its state holds more than plain tensors by name", path=path)
    if not (0 < content["box_ratio"] <= 100):
        raise DataError(f"its box_ratio is {content['box_ratio']:g}, not a scale of boxes", path=path)
    return content


def load_any(path: Path, *, model: str | None = None) -> dict[str, Any]:
    """As :func:`load`, mapped, and also of public files: these get the declaration of the model that they are of.

    Parameters
    ----------
    model : the model that the file must be of; what it declares, or its names and shapes tell, by default.

    Raises
    ------
    DataError : as :func:`load`; the file is not recognised, or its weights are not all those of the model.
    UsageError : ehps wrote it, of another model.
    """
    content, form = weight_files.load(path)
    if isinstance(content, dict) and "weights_sha256" in content:
        _checked(content, path)
        if model is not None and model != content["model"]["name"]:
            raise UsageError(f"is a checkpoint of {content['model']['name']}, not of {model}", path=path)
        _check_hash(content, path)
        return content
    file = weight_files.file_of(path, content, form)
    name = model or loading.model_of(file)
    arguments = loading.arguments_of(file, name)
    return declared(file, name, arguments, loading.trained_weights(file, name, arguments))


def declared(file: WeightFile, name: str, arguments: Mapping[str, Any], state: dict[str, Tensor]) -> dict[str, Any]:
    """What a checkpoint of ehps would say of the weights of a public file."""
    view = models.card(name).view
    return {
        "format": FORMAT,
        "model": {"name": name, "args": dict(arguments)},
        "state": state,
        "box_ratio": 1.0 if view is None else view.ratio,
        "weights_sha256": weights_hash(state),
        "public_file": file.path.name,
        **({} if file.epoch is None else {"epoch": file.epoch}),
    }


def slim(path: Path, out: Path, *, model: str | None = None) -> Path:
    """Write the weights of any checkpoint, and what it declares, without the states of a training.

    Parameters
    ----------
    out : ``.pt`` or ``.safetensors``.
    model : as for :func:`load_any`.

    Raises
    ------
    DataError, UsageError : as :func:`load_any`; ``out`` is the file itself, or ends in something else.
    """
    check_suffix(out, WEIGHTS)
    if out.exists() and out.samefile(path):
        raise UsageError("is the file that is read", path=out, fix="give --out another name")
    content = {name: value for name, value in load_any(path, model=model).items() if name not in STATES}
    _check_fit(loading.own_state(content["model"]["name"], content["model"]["args"]), content["state"], path)
    state = {name: _alone(value) for name, value in content["state"].items()}
    if out.suffix.lower() == ".pt":
        return save(out, {**content, "state": state})
    need("writing a .safetensors file", "safetensors")
    from safetensors.torch import save_file

    said = json.dumps({name: value for name, value in content.items() if name != "state"}, sort_keys=True)
    with replacing(out, sum(value.numel() * value.element_size() for value in state.values())) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode  # safetensors would let nobody else read it
        save_file(state, temporary, metadata={DECLARATION: said})
        temporary.chmod(mode)
    return out


def _alone(value: Tensor) -> Tensor:
    """A tensor whose storage holds nothing else."""
    whole = value.is_contiguous() and value.numel() * value.element_size() == value.untyped_storage().nbytes()
    return value if whole else value.clone(memory_format=torch.contiguous_format)


def load_model(
    path: Path, body_models: BodyModels | None = None, *, model: str | None = None
) -> tuple[nn.Module, dict[str, Any]]:
    """The network in evaluation mode, and what else the checkpoint holds. Its weights are those of the mapped file.

    Parameters
    ----------
    body_models : for networks that need the neutral SMPL model to run.
    model : as for :func:`load_any`.

    Raises
    ------
    DataError : as :func:`load_any`, or the weights do not fit the model they name.
    """
    content = load_any(path, model=model)
    name, arguments = content["model"]["name"], content["model"]["args"]
    try:
        _check_fit(loading.own_state(name, arguments), content["state"], path)
        if body_models is not None:
            arguments = with_body(name, arguments, body_models)
        net = loading.filled(name, arguments, content["state"])
    except UsageError as error:
        raise DataError(error.what, path=path) from None
    return net.eval(), content


def with_body(name: str, arguments: Mapping[str, Any], body_models: BodyModels) -> dict[str, Any]:
    """Arguments of a model that is to be run: those of SMPL need the neutral one.

    Raises
    ------
    BodyModelError : it is not there.
    """
    smpl = {"smpl": body_models.get("smpl", "neutral")} if models.card(name).body == "smpl" else {}
    return {**arguments, **smpl}


def put(net: nn.Module, content: dict[str, Any], path: Path) -> None:
    """Load the weights of a checkpoint's ``content`` strictly.

    Raises
    ------
    DataError : weights are missing, unexpected, of another shape or kind, or not those that were written.
    """
    _check_fit(net.state_dict(), content["state"], path)
    _check_hash(content, path)
    net.load_state_dict(content["state"])


def begin(net: nn.Module, model: str, arguments: Mapping[str, Any], path: Path) -> None:
    """Let a new network begin with the weights of a file: a checkpoint of it, a public file of its model, or of what
    the model starts from, as ViTPose.

    Parameters
    ----------
    model, arguments : what the network is.

    Raises
    ------
    DataError : as :func:`load` and :func:`put`; the file is of something else, or does not fill what it should.
    """
    content, form = weight_files.load(path)
    if isinstance(content, dict) and "weights_sha256" in content:
        _check_hash(_checked(content, path), path)
    loading.start(net, model, arguments, weight_files.file_of(path, content, form))


def _check_hash(content: dict[str, Any], path: Path) -> None:
    if weights_hash(content["state"]) != content["weights_sha256"]:
        raise DataError("is damaged: its weights are not as they were written", path=path, fix="copy it again")


def _check_fit(own: dict[str, Tensor], state: dict[str, Tensor], path: Path) -> None:
    fit = loading.compared(state, own)
    if not fit.ok:
        raise DataError(f"weights do not fit the model: {fit}", path=path)


def weights_hash(state: dict[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and values: the same weights give the same hash in any file."""
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
