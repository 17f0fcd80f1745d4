"""Views of the model cards: the table of all, and one model whole."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from ehps.benchmark import models
from ehps.benchmark.models.cards import ModelCard, View
from ehps.errors import UsageError, did_you_mean


def rows() -> list[dict[str, Any]]:
    """One a model: its name, body model, millions of parameters, GFLOP and input, and the file of public weights."""
    return [
        {
            "name": card.name,
            "body": card.body,
            "parameters (M)": None if card.parameters is None else card.parameters / 1e6,
            "GFLOP": card.gflop,
            "input": "" if card.view is None else _input(card.view),
            "stages": ", ".join(card.stages),
            "public weights": next((file.name for file in card.files if file.use == "the public weights"), ""),
        }
        for card in map(models.card, models.names())
    ]


def as_dict(name: str) -> dict[str, Any]:
    """Everything that is declared of a model, JSON-able, with its published numbers."""
    card = models.card(name)
    network = (
        card.network if isinstance(card.network, str) else f"{card.network.__module__}:{card.network.__qualname__}"
    )
    values = {**asdict(card), "network": network, "published": published(card.name)}
    return json.loads(json.dumps(values))


def stage_settings(name: str, stage: str) -> dict[str, Any]:
    """The settings that a model was trained with, to be read by ``ehps benchmark train --config``.

    Raises
    ------
    UsageError : there is no such model or stage.
    """
    card = models.card(name)
    if stage not in card.stages:
        known = f"there are: {', '.join(card.stages)}" if card.stages else "none is declared"
        fix = did_you_mean(stage, card.stages) if card.stages else None
        raise UsageError(f"{name} has no stage {stage!r}; {known}", fix=fix)
    return json.loads(json.dumps({"model": card.name, **card.stages[stage].settings}))


@cache
def _published() -> tuple[dict[str, str], ...]:
    with (Path(__file__).parent / "published.csv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def published(name: str) -> list[dict[str, Any]]:
    """Numbers that were printed of a model's public weights: weights, test, protocol (that makes it here; empty
    where none does), metric, value, unit, source."""
    kept = [row for row in _published() if row["model"] == name]
    return [{key: float(row[key]) if key == "value" else row[key] for key in row if key != "model"} for row in kept]


def page(name: str) -> str:
    """One model in Markdown: facts, input, training, files, published numbers."""
    card = models.card(name)
    parts = [f"# {card.title or card.name}", _list(_facts(card))]
    if card.view is not None:
        parts += ["## Input", _list(_seen(card.view))]
    if card.losses:
        parts += ["## Losses, as published", _list({term: f"{weight:g}" for term, weight in card.losses.items()})]
    if card.variants:
        parts += ["## Variants", _variants(card)]
    if card.stages:
        parts += ["## Training, as published", _stages(card)]
    if card.files:
        parts += ["## Files", "\n".join(f"- `{file.name}`: {file.use}; {file.source}" for file in card.files)]
    if numbers := published(card.name):
        parts += ["## Published numbers", _table(numbers)]
    if card.notes:
        parts += ["## Notes", "\n".join(f"- {note}" for note in card.notes)]
    return "\n\n".join(parts) + "\n"


def _facts(card: ModelCard) -> dict[str, str]:
    return {
        "name": f"`{card.name}`",
        "body": card.body,
        "parameters": "" if card.parameters is None else f"{card.parameters:,}",
        "GFLOP an image": "" if card.gflop is None else f"{card.gflop:g}",
        "licence of the public weights": card.licence,
        "paper": card.paper,
        "homepage": card.homepage,
    }


def _input(view: View) -> str:
    return f"{view.size[0]} x {view.size[1]}"


def _seen(view: View) -> dict[str, str]:
    return {
        "size": f"{_input(view)} (height x width)",
        "box": f"{view.box}, {view.ratio:g} times the stored box",
        "sampling": f"{view.sampling}; {view.window}",
        "normalised": "no" if view.mean is None else f"mean {view.mean}, standard deviation {view.std}, by the network",
        "note": view.note,
    }


def _stages(card: ModelCard) -> str:
    return "\n".join(
        f"- `{name}`, from {stage.starts_from}: {_flat(stage.settings)}" + (f" ({stage.note})" if stage.note else "")
        for name, stage in card.stages.items()
    )


def _variants(card: ModelCard) -> str:
    lines = []
    for one in card.variants:
        count = "" if one.parameters is None else f", {one.parameters:,} parameters"
        lines.append(f"- `{_flat({'model_args': one.arguments})}`: {one.title}{count}")
    return "\n".join(lines)


def _flat(settings: Any) -> str:
    """``lr=1e-05, loss.rotation_form=matrix``."""
    words = []
    for name, value in settings.items():
        nested = value.items() if isinstance(value, Mapping) else [("", value)]
        words += [f"{name}{'.' if inner else ''}{inner}={one}" for inner, one in nested]
    return ", ".join(words)


def _list(facts: dict[str, str]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in facts.items() if value)


def _table(numbers: list[dict[str, Any]]) -> str:
    lines = [f"| {' | '.join(numbers[0])} |", "|---" * len(numbers[0]) + "|"]
    lines += ["| " + " | ".join(f"{one[key]}" for key in one) + " |" for one in numbers]
    return "\n".join(lines)
