"""The models: name -> plain PyTorch module, and what is declared of it.

A model is an ``nn.Module`` that takes (N, 3, h, w) RGB in [0, 1] and returns a
:class:`~ehps.benchmark.models.outputs.Prediction`. It says what it wants to see: ``input_size`` (h, w) and
``antialias`` (whether large images are averaged down instead of sampled). Other packages register a
:class:`~ehps.benchmark.models.cards.ModelCard` under the entry point group ``ehps.models``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from ehps.benchmark.models import known
from ehps.benchmark.models.cards import ModelCard
from ehps.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ModelCard", "build", "card", "check", "check_arguments", "names", "register", "sees_batch"]

GROUP = "ehps.models"
GIVEN = ("smpl",)
"""Arguments that ehps gives, see :func:`ehps.benchmark.training.checkpoints.with_body`."""


def register(name: str, make: Callable[..., nn.Module], **declared: Any) -> None:
    """Make ``build(name, **arguments)`` call ``make(**arguments)``; ``declared``: fields of the model's card."""
    _all()[name] = ModelCard(name=name, network=make, **declared)


def names() -> tuple[str, ...]:
    """Names that :func:`build` takes."""
    return tuple(sorted(_all()))


def card(name: str) -> ModelCard:
    """What is declared of a model.

    Raises
    ------
    UsageError : unknown name.
    """
    return _all()[check(name)]


def build(name: str, **arguments: Any) -> nn.Module:
    """A freshly initialised model.

    Raises
    ------
    UsageError : unknown name, or arguments that the model does not have.
    """
    one = card(name)
    _check_names(one, arguments)
    try:
        return one.make(**arguments)
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise UsageError(f"model {name!r} cannot be built: {error}") from error


def check_arguments(name: str, arguments: Mapping[str, Any]) -> None:
    """See that the model can be built with the arguments that are given; no memory is taken for its weights.

    Raises
    ------
    UsageError : as :func:`build`, or arguments that are not the user's.
    """
    one = card(name)
    _check_names(one, arguments, given=GIVEN)
    if not arguments and one.arguments() is not None:
        return

    from ehps.benchmark.models.unfilled import without_weights

    with without_weights():
        build(name, **arguments)


def _check_names(card: ModelCard, arguments: Mapping[str, Any], given: Sequence[str] = ()) -> None:
    """Refuse arguments that the network of ``card`` does not have, and to go without one that it needs.

    Parameters
    ----------
    given : names of arguments that are not the user's.
    """
    known = card.arguments()
    if known is None:
        return
    said = f"it has: {', '.join(one for one in known if one not in GIVEN) or 'none'}"
    for name in arguments:
        if name not in known or name in given:
            raise UsageError(f"model {card.name!r} has no argument {name!r}", fix=said)
    for name, needed in known.items():
        if needed and name not in arguments:
            raise UsageError(f"model {card.name!r} needs the argument {name!r}", fix=said)


def sees_batch(name: str, arguments: Mapping[str, Any]) -> bool:
    """Whether the model normalises over its batch, so that it is another one in smaller batches.

    Raises
    ------
    UsageError : as :func:`build`.
    """
    from torch.nn.modules.batchnorm import _BatchNorm

    from ehps.benchmark.models.unfilled import without_weights

    with without_weights():
        return any(isinstance(module, _BatchNorm) for module in build(name, **arguments).modules())


def check(name: str) -> str:
    """``name``, which :func:`build` takes.

    Raises
    ------
    UsageError : unknown name.
    """
    if name not in _all():
        raise UsageError(f"there is no model {name!r}", fix=did_you_mean(name, names()))
    return name


@cache
def _all() -> dict[str, ModelCard]:
    found = {one.name: one for one in known.cards()}
    for point, one in _plugins():
        if one.name in found:
            warnings.warn(f"{point} registers the model {one.name} a second time; ignored", stacklevel=2)
        else:
            found[one.name] = one
    return found


def _plugins() -> Iterator[tuple[str, ModelCard]]:
    """Models of other packages; one that cannot be loaded must not take the others down."""
    for point in entry_points(group=GROUP):
        try:
            loaded: Any = point.load()
        except Exception as error:
            warnings.warn(f"model {point.name} of {point.value} cannot be loaded: {error}", stacklevel=2)
            continue
        if isinstance(loaded, ModelCard):
            yield point.name, loaded
        else:
            warnings.warn(f"{point.value} is registered as a model but is no ModelCard", stacklevel=2)
