"""The models: name -> plain PyTorch module.

A model is an ``nn.Module`` that takes (N, 3, h, w) RGB in [0, 1] and returns a
:class:`~ehps.benchmark.models.outputs.Prediction`. It says what it wants to see: ``input_size`` (h, w) and
``antialias`` (whether large images are averaged down instead of sampled).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ehps.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from torch import nn

__all__ = ["build", "check", "names", "register", "sees_batch"]

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


def check_arguments(name: str, arguments: Mapping[str, Any]) -> None:
    """See that the model can be built with these arguments; no memory is taken for it.

    Raises
    ------
    UsageError : as :func:`build`.
    """
    import torch

    with torch.device("meta"):
        build(name, **arguments)


def sees_batch(name: str, arguments: Mapping[str, Any]) -> bool:
    """Whether the model normalises over its batch, so that it is another one in smaller batches.

    Raises
    ------
    UsageError : as :func:`build`.
    """
    import torch
    from torch.nn.modules.batchnorm import _BatchNorm

    with torch.device("meta"):
        return any(isinstance(module, _BatchNorm) for module in build(name, **arguments).modules())


def check(name: str) -> str:
    """``name``, which :func:`build` takes.

    Raises
    ------
    UsageError : unknown name.
    """
    if name not in _MODELS:
        raise UsageError(f"there is no model {name!r}", fix=did_you_mean(name, names()))
    return name
