"""Weights of files into networks: strictly, or those of another network that a training starts from.

A file has all weights of the network under the network's names, and nothing else, after the changes that the model's
card declares. What a training starts from fills parts of the network whole, but for what the card says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from ehps.benchmark import models
from ehps.benchmark.models.cards import FileRules, Start
from ehps.benchmark.models.labels import label
from ehps.benchmark.models.origins import Origin, bare, recognised
from ehps.benchmark.models.unfilled import without_weights
from ehps.benchmark.models.weight_files import WeightFile
from ehps.errors import DataError


@dataclass(frozen=True)
class Fit:
    """How weights agree with what a network has, by name.

    Attributes
    ----------
    missing : of the network, not among the weights.
    unexpected : not of the network.
    misshaped : of both, in other shapes: name, that of the weights, that of the network.
    other_kind : of both, whole numbers in one and not in the other.
    """

    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    misshaped: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = ()
    other_kind: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not (self.missing or self.unexpected or self.misshaped or self.other_kind)

    def __str__(self) -> str:
        """``1 missing (a.weight); 2 of another shape (b.bias is 3, not 4, ...)``, empty where all agrees."""
        shaped = [f"{name} is {_shape(have)}, not {_shape(want)}" for name, have, want in self.misshaped]
        return "; ".join(
            f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
            for what, names in (
                ("missing", self.missing),
                ("unexpected", self.unexpected),
                ("of another shape", shaped),
                ("of another kind of number", self.other_kind),
            )
            if names
        )


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "one number"


def compared(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Fit:
    """How weights agree with those that a network has."""
    both = [name for name in own if name in state]
    return Fit(
        tuple(sorted(own.keys() - state.keys())),
        tuple(sorted(state.keys() - own.keys())),
        tuple(
            (name, tuple(state[name].shape), tuple(own[name].shape))
            for name in both
            if state[name].shape != own[name].shape
        ),
        tuple(name for name in both if own[name].is_floating_point() != state[name].is_floating_point()),
    )


@dataclass(frozen=True)
class Translated:
    """Weights of a file under the names of a network.

    Attributes
    ----------
    dropped : names in the file that are no weights of the network, as arrays of the body model.
    renamed : how many bore another name, wrappers for several GPUs apart.
    """

    state: dict[str, Tensor]
    dropped: tuple[str, ...]
    renamed: int


def translated(file: WeightFile, rules: FileRules) -> Translated:
    """The weights of a public file under the names of today's network.

    Raises
    ------
    DataError : two names of the file become one.
    """
    state, dropped, renamed = dict[str, Tensor](), [], 0
    for name, value in file.state.items():
        plain = bare(name)
        if _any(rules.dropped, plain):
            dropped.append(name)
            continue
        old = next((first for first in rules.renamed if plain.startswith(first)), None)
        new = plain if old is None else rules.renamed[old] + plain.removeprefix(old)
        if new in state:
            raise DataError(f"has {new} twice, once as {name}", path=file.path)
        state[new] = value
        renamed += old is not None
    return Translated(state, tuple(dropped), renamed)


def origin_of(file: WeightFile) -> Origin | None:
    """What a file is of: what it says itself where ehps wrote it, else what its names and shapes tell."""
    declared = file.beside.get("model") if file.ours else None
    if isinstance(declared, Mapping) and declared.get("name") in models.names():
        card = models.card(declared["name"])
        said: Any = declared.get("args")
        arguments = dict(said) if plain_arguments(said) else {}
        variant = card.variant(arguments)
        id, title = (card.name, card.title or card.name) if variant is None else (variant.origin, variant.title)
        return Origin(id, f"{title}, written by ehps", card.name, arguments)
    found = recognised({name: tuple(value.shape) for name, value in file.state.items()})
    if found is None or found.model is not None:
        return found
    known = ((card.name, one) for card in map(models.card, models.names()) for one in card.variants)
    model = next(((name, dict(one.arguments)) for name, one in known if one.origin == found.id), None)
    return found if model is None else replace(found, model=model[0], arguments=model[1])


def plain_arguments(said: Any) -> bool:
    """Whether what a file says of its model's arguments is names with texts, numbers and lists of them."""
    if not isinstance(said, Mapping) or not all(isinstance(name, str) for name in said):
        return False
    try:
        json.dumps(dict(said))
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def arguments_of(file: WeightFile, name: str) -> dict[str, Any]:
    """The arguments of model ``name`` that a file's weights are of; none where it is of another one."""
    found = origin_of(file)
    return dict(found.arguments) if found is not None and found.model == name else {}


def own_state(name: str, arguments: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights that a model has, without their numbers: no memory is taken for them."""
    with without_weights():
        return models.build(name, **arguments).state_dict()


def trained_weights(file: WeightFile, name: str, arguments: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights of a file of this model under the network's names, all of them and no other.

    Raises
    ------
    DataError : the file is of another model, or weights are missing, unexpected, or of another shape or kind.
    """
    state = translated(file, models.card(name).rules).state
    fit = compared(state, own_state(name, arguments))
    if not fit.ok:
        raise _misfit(file, name, arguments, fit)
    return state


def _misfit(file: WeightFile, name: str, arguments: Mapping[str, Any], fit: Fit) -> DataError:
    found, variant = origin_of(file), models.card(name).variant(arguments)
    title = models.card(name).title or name if variant is None else variant.title
    if found is None or _is(found, name, arguments):
        fix = "name its model with --model" if found is None else None
        return DataError(f"weights do not fit {name}: {fit}", path=file.path, fix=fix)
    if any(start.origin == found.id for start in models.card(name).starts):
        what = f"is a file of {found.title}, which {name} can start from; it is no trained {title}"
        return DataError(what, path=file.path, fix="train with it as the setting init")
    what = f"is a file of {found.title}, not of {title}: {fit}"
    return DataError(what, path=file.path, fix=f"use it as {found.model}" if found.model else None)


def load(file: WeightFile, name: str | None = None, arguments: Mapping[str, Any] | None = None) -> nn.Module:
    """The network of a file with its weights, in evaluation mode.

    The weights are those of the mapped file: nothing is copied, and nothing that is not used is read.

    Parameters
    ----------
    name : the model; that which the file is of by default.
    arguments : of the model, in place of those that the file is of. They may hold what no file does, as ``smpl``, the
        body model of networks that need it.

    Raises
    ------
    DataError : as :func:`model_of` and :func:`trained_weights`.
    """
    chosen = name or model_of(file)
    given = arguments_of(file, chosen) | dict(arguments or {})
    return filled(chosen, given, trained_weights(file, chosen, given)).eval()


def model_of(file: WeightFile) -> str:
    """The model that a file's weights are of.

    Raises
    ------
    DataError : none is known, or it is a file that models start from.
    """
    found = origin_of(file)
    if found is None:
        parts = ", ".join(sorted({bare(name).split(".")[0] for name in file.state})[:8])
        what = f"is not recognised as weights of a model; its parts are: {parts}"
        raise DataError(what, path=file.path, fix="name its model")
    if found.model is None:
        starts = starting(found)
        fix = f"train {' or '.join(starts)} with it as the setting init" if starts else None
        raise DataError(f"is a file of {found.title}, which is no model of ehps", path=file.path, fix=fix)
    return found.model


def starting(origin: Origin) -> list[str]:
    """The models that can start from such a file."""
    cards = map(models.card, models.names())
    return [card.name for card in cards if any(start.origin == origin.id for start in card.starts)]


def filled(name: str, arguments: Mapping[str, Any], state: Mapping[str, Tensor]) -> nn.Module:
    """A network whose weights are the tensors of ``state`` themselves: no second copy of them is made.

    Raises
    ------
    UsageError : as :func:`ehps.benchmark.models.build`.
    """
    with without_weights():
        net = models.build(name, **arguments)
    own = net.state_dict()
    net.load_state_dict({key: value.to(own[key].dtype) for key, value in state.items()}, assign=True)
    return net


def _is(found: Origin, name: str, arguments: Mapping[str, Any]) -> bool:
    """Whether a file is of this model, and of the same variant of it."""
    card = models.card(name)
    return found.model == name and card.variant(found.arguments) is card.variant(arguments)


def start(net: nn.Module, name: str, arguments: Mapping[str, Any], file: WeightFile) -> None:
    """Let a new network begin with the weights of a file: of its own model, or of what the model starts from.

    Parameters
    ----------
    name, arguments : what the network is.

    Raises
    ------
    DataError : the file is of something else, or does not fill what it should.
    """
    found, card, own = origin_of(file), models.card(name), net.state_dict()
    if not card.starts or (found is not None and _is(found, name, arguments)):
        state = translated(file, card.rules).state
        fit = compared(state, own)
        if not fit.ok:
            raise _misfit(file, name, arguments, fit)
    else:
        state = starting_weights(file, name, own, arguments)
    net.load_state_dict(state, strict=False)


def _rule(file: WeightFile, name: str, arguments: Mapping[str, Any]) -> Start:
    """How a model starts from a file.

    Raises
    ------
    DataError : it does not.
    """
    found, starts = origin_of(file), models.card(name).starts
    rule = next((one for one in starts if found is not None and one.origin == found.id), None)
    if rule is not None:
        return rule
    what = f"is a file of {found.title}" if found else "is not recognised"
    titles = " or ".join(one.title for one in starts)
    raise DataError(f"{what}; {label(name, arguments)} starts from {titles}", path=file.path, fix=_where(name))


def starting_weights(
    file: WeightFile, name: str, own: Mapping[str, Tensor], arguments: Mapping[str, Any] | None = None
) -> dict[str, Tensor]:
    """What of a file a model starts from, under the names of the network; it fills its parts whole.

    Parameters
    ----------
    own : the weights of the network.
    arguments : that it is made with.

    Raises
    ------
    DataError : the file is of something else, or weights of the parts are missing, unexpected or of another shape.
    """
    rule = _rule(file, name, arguments or {})
    prefixed = any(bare(key).startswith(tuple(rule.parts.values())) for key in file.state)
    parts = {part: old if prefixed else "" for part, old in rule.parts.items()}
    state = {
        _renamed(bare(key), parts): value for key, value in file.state.items() if not _any(rule.dropped, bare(key))
    }
    filled = {key: value for key, value in own.items() if key.startswith(tuple(parts))}
    allowed = (*rule.may_miss, r".*\.num_batches_tracked")  # counters, which PyTorch before 0.4.1 did not have
    needed = {key: value for key, value in filled.items() if key in state or not _any(allowed, key)}
    fit = compared(state, needed)
    if not fit.ok:
        what = " and ".join(part.rstrip(".") for part in parts)
        fix = _where(name) if rule is models.card(name).starts[0] else f"take a whole file of {rule.title}"
        raise DataError(f"does not fill {what} of {name}: {fit}", path=file.path, fix=fix)
    return state


def _renamed(name: str, parts: Mapping[str, str]) -> str:
    """A name in a file under the part of the network that it is for."""
    part = next((part for part, old in parts.items() if name.startswith(old)), None)
    return name if part is None else part + name.removeprefix(parts[part])


def _where(name: str) -> str | None:
    found = next((file for file in models.card(name).files if file.use == "to start from"), None)
    return None if found is None else f"get {found.name} from {found.source}"


def _any(patterns: Iterable[str], name: str) -> bool:
    return any(re.fullmatch(pattern, name) for pattern in patterns)
