"""The models: name -> plain PyTorch module.

A model is an ``nn.Module`` that takes (N, 3, h, w) RGB in [0, 1] and returns a
:class:`~ehps.benchmark.models.outputs.Prediction`. It says what it wants to see: ``input_size`` (h, w) and
``antialias`` (whether large images are averaged down instead of sampled).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from ehps.benchmark.models.outputs import CAMERA, Prediction, VirtualCamera
from ehps.errors import UsageError, did_you_mean

__all__ = ["CAMERA", "Prediction", "VirtualCamera", "build", "names", "register"]

_MODELS: dict[str, Callable[..., nn.Module]] = {}


def register(name: str, make: Callable[..., nn.Module]) -> None:
    """Make ``build(name, **arguments)`` call ``make(**arguments)``."""
    _MODELS[name] = make


def _tiny(**arguments: Any) -> nn.Module:
    from ehps.benchmark.models.tiny import TinyViT

    return TinyViT(**arguments)


register("tiny", _tiny)


def names() -> tuple[str, ...]:
    """Names that :func:`build` takes."""
    return tuple(sorted(_MODELS))


def build(name: str, **arguments: Any) -> nn.Module:
    """A freshly initialised model.

    Raises
    ------
    UsageError : unknown name, or arguments that the model does not have.
    """
    try:
        return _MODELS[check(name)](**arguments)
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise UsageError(f"model {name!r} cannot be built: {error}") from error


def check(name: str) -> str:
    """``name``, which :func:`build` takes.

    Raises
    ------
    UsageError : unknown name.
    """
    if name not in _MODELS:
        raise UsageError(f"there is no model {name!r}", fix=did_you_mean(name, names()))
    return name
