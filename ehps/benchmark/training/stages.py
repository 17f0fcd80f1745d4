"""A stage of a model's training, as its card declares it, under the settings that somebody gave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ehps.benchmark import models
from ehps.benchmark.models import pages
from ehps.benchmark.training.given_settings import GROUPS
from ehps.benchmark.training.specs import TrainConfig


def under(stage: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the stage, and ``given`` before them; what a given one leaves without a meaning is not taken.

    Raises
    ------
    UsageError : the model has no such stage.
    """
    declared = pages.stage_settings(_model(given), stage)
    if "steps" in given:
        declared.pop("epochs", None)
    if given.get("strategy") == "concat":
        declared.pop("total_length", None)
    inner = {name: {**declared.get(name, {}), **given.get(name, {})} for name in GROUPS}
    return {**declared, **given, **{name: values for name, values in inner.items() if values}}


def lines(stage: str, given: Mapping[str, Any]) -> list[str]:
    """What is taken from the stage, what was given in place of it, and what it starts from, in words."""
    name = _model(given)
    declared, taken = _flat(pages.stage_settings(name, stage)), _flat(under(stage, given))
    own = [f"{key}={value}" for key, value in declared.items() if key != "model" and taken.get(key) == value]
    changed = [
        f"{key}={value}, not {declared[key]}" for key, value in taken.items() if declared.get(key, value) != value
    ]
    beside = [f"{key}={value}" for key, value in taken.items() if key not in declared]
    without = [f"no {key}" for key in declared if key not in taken]
    start = f"the authors start from {models.card(name).stages[stage].starts_from}"
    init = given.get("init")
    said = [f"stage {stage} of {name}: {', '.join(own) or 'nothing'}"]
    if others := [*changed, *without, *beside]:
        said.append(f"as given: {'; '.join(others)}")
    return [*said, f"{start}; here from {init}" if init else f"{start}; without init all weights start afresh"]


def _model(given: Mapping[str, Any]) -> str:
    return str(given.get("model", TrainConfig.model))


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """``{"loss": {"pose": 1}}`` as ``{"loss.pose": 1}``."""
    flat = {name: value for name, value in settings.items() if name not in GROUPS}
    return flat | {f"{name}.{inner}": value for name in GROUPS for inner, value in settings.get(name, {}).items()}
