"""Networks that are built without numbers in their weights: to see what they have, or to fill them from a file.

Fresh random numbers for a large network take seconds, and on PyTorch's device without memory they import its compiler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


class Unfilled(TorchFunctionMode):
    """Leaves tensors that have no memory as they are when they are to be filled."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        target, name = args[0] if args else given.get("tensor"), func.__name__
        fills = name.endswith("_") and not name.endswith("__") and name != "requires_grad_"
        return target if fills and isinstance(target, Tensor) and target.is_meta else func(*args, **given)


@contextmanager
def without_weights() -> Iterator[None]:
    """Let parameters of new modules take no memory; what else modules keep, as tables of indices, is made."""
    register = nn.Module.register_parameter

    def on_meta(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        if parameter is not None:
            parameter = nn.Parameter(parameter.to("meta"), requires_grad=parameter.requires_grad)
        register(module, name, parameter)

    nn.Module.register_parameter = on_meta  # type: ignore[method-assign, assignment]
    try:
        with Unfilled():
            yield
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]
