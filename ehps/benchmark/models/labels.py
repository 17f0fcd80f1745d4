"""What models of several trainings are called beside each other, so that no two networks share a name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ehps.benchmark import models

Made = tuple[str, Mapping[str, Any]]
"""Name of a model, and the arguments that it was made with."""


def label(name: str, arguments: Mapping[str, Any]) -> str:
    """``smpler[blocks=0]``; the name alone where there are no arguments."""
    listed = ", ".join(f"{key}={_plain(arguments[key])}" for key in sorted(arguments))
    return f"{name}[{listed}]" if listed else name


def named(text: str) -> str:
    """The name of the model that a label is of."""
    return text.partition("[")[0]


def labels(made: Sequence[Made]) -> list[str]:
    """Each with the arguments in which those of its name differ, and with those that make it a variant of its model."""
    distinct: dict[str, list[Mapping[str, Any]]] = {}
    for name, arguments in made:
        others = distinct.setdefault(name, [])
        if arguments not in others:
            others.append(arguments)
    return [label(name, _telling(name, arguments, distinct[name])) for name, arguments in made]


def _telling(name: str, arguments: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    variant = models.card(name).variant(arguments) if name in models.names() else None
    kept = () if variant is None else variant.arguments
    return {
        key: value
        for key, value in arguments.items()
        if key in kept or any(key not in given or given[key] != value for given in others)
    }


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
