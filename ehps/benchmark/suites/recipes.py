"""Recipes of a suite: settings with which every training is made once, and stages, which start from one another.

recipes:
  usual: {}
  slow: {lr: 1e-5}

recipes:                                  # stages of the model, as its card declares them
  backbone: {stage: backbone, train: mix}
  full: {stage: full, train: mix, start: backbone}
  last: {stage: 3dpw, train: pw3d, start: full}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ehps.benchmark.suites.runs import check_name
from ehps.benchmark.training import stages
from ehps.benchmark.training.settings import described
from ehps.benchmark.training.specs import TrainConfig
from ehps.errors import UsageError, did_you_mean

OWN = ("stage", "train", "start")
"""What a recipe has beside settings of a training."""
_COMMON = ("model", "model_args", "seed", "budget", "init")
_BUT = {"model_args": ", but for those of their stage"}
_LENGTH = ("steps", "epochs", "batch_size")
"""What the recipes of a suite have in common; stages have a length of their own."""


@dataclass(frozen=True)
class Recipe:
    """How trainings of a suite are made.

    Attributes
    ----------
    config : settings.
    stage : of the model, whose settings these are; none where empty.
    train : training sets that it is for; all where empty.
    start : the recipe whose weights its trainings start from, each from that of its own model, seed and training set,
        or of the only training set that the other one is for.
    """

    config: TrainConfig
    stage: str = ""
    train: tuple[str, ...] = ()
    start: str = ""

    def to_dict(self, common: Mapping[str, Any], model: str) -> dict[str, Any]:
        """As in the file of a suite of ``model`` whose own settings are ``common``."""
        given = common
        if self.stage:  # it gives the model's arguments when the file is read
            given = {**common, "model_args": stages.under(self.stage, {**common, "model": model}).get("model_args", {})}
        own = {name: value for name, value in self.config.to_dict().items() if name != "model" and value != given[name]}
        others = {"stage": self.stage, "train": list(self.train), "start": self.start}
        return {**{name: value for name, value in others.items() if value}, **own}


def origin(recipes: Mapping[str, Recipe], name: str, train_set: str, all_sets: Sequence[str]) -> str | None:
    """The training set of the training that one of recipe ``name`` starts from; None where it starts from none.

    Raises
    ------
    UsageError : it cannot be told which is meant.
    """
    start = recipes[name].start
    if not start:
        return None
    trained = recipes[start].train or tuple(all_sets)
    if train_set in trained:
        return train_set
    if len(trained) == 1:
        return trained[0]
    raise UsageError(
        f"{train_set} is trained from {start}, which is for {' and '.join(trained)}",
        fix=f"train {start} on {train_set}",
    )


def part(
    recipes: Mapping[str, Recipe], chosen: Sequence[str], sets: Sequence[str], all_sets: Sequence[str]
) -> dict[str, Recipe]:
    """Chosen recipes on chosen training sets, and what they start from; each says which sets it is for.

    Recipes that are for none of the sets are left out.
    """
    used = {name: [one for one in sets if one in (recipes[name].train or all_sets)] for name in chosen}
    for name in reversed(list(recipes)):  # a recipe starts from one before it
        for train_set in used.get(name, ()):
            if (source := origin(recipes, name, train_set, all_sets)) is not None:
                begun = used.setdefault(recipes[name].start, [])
                begun += [source] if source not in begun else []
    return {name: replace(recipes[name], train=tuple(used[name])) for name in recipes if used.get(name)}


def faults(recipes: Mapping[str, Recipe], sets: Sequence[str]) -> list[str]:
    """What is wrong with the training sets and starts of a suite's recipes."""
    found, before = list[str](), list[str]()
    for name, recipe in recipes.items():
        place = f"recipes.{name}"
        found += [
            f"{place}.train: the suite has no {one!r}; {did_you_mean(one, sets)}"
            for one in recipe.train
            if one not in sets
        ]
        if recipe.start and recipe.start not in before:
            known = f"there are: {', '.join(before)}" if before else "there is none"
            found.append(f"{place}.start is {recipe.start!r}, which is no recipe before it; {known}")
        elif not set(recipe.train) - set(sets):
            for train_set in recipe.train or sets:
                checked(found, f"{place}.start: ", origin, recipes, name, train_set, sets)
        before.append(name)
    return found


def staged(
    values: Mapping[str, Any], stage: Any, models: Sequence[str], found: list[str], place: str = ""
) -> dict[str, Any]:
    """Settings with those of a stage of the suite's only model behind them; ``values`` themselves where there is none.

    What is wrong is appended to ``found``, as being at ``place``.
    """
    taken = dict(values)
    if stage is None:
        return taken
    if not isinstance(stage, str):
        found.append(f"{place}stage is {described(stage)}, not the name of a stage")
    elif len(models) != 1:
        found.append(
            f"{place}stage is of one model, the suite has {', '.join(models)}; put each into a suite of its own"
        )
    else:
        try:
            taken = stages.under(stage, {**values, "model": models[0]})
            del taken["model"]
        except UsageError as error:
            found.append(f"{place}stage: {error.what}{f'; {error.fix}' if error.fix else ''}")
    return taken


def read(
    values: Mapping[str, Any],
    settings: Mapping[str, Any],
    config: TrainConfig | None,
    models: Sequence[str],
    others: Sequence[str],
    found: list[str],
) -> dict[str, Recipe]:
    """Recipes of a suite's file; what is wrong with them is appended to ``found``.

    Parameters
    ----------
    values : the content of the file.
    settings : of the suite, which those of a recipe are put before.
    config : the same, read; None where they have faults.
    models : of the suite.
    others : what a suite has beside settings.
    """
    given = values.get("recipes", {})
    if not isinstance(given, Mapping):
        found.append(f"recipes is {described(given)}, not a mapping of names to settings")
        return {}
    recipes: dict[str, Recipe] = {}
    for name, own in given.items():
        place = f"recipes.{name}"
        named = checked(found, "", check_name, name, "recipe")
        if not isinstance(own, Mapping):
            found.append(f"{place} is {described(own)}, not a mapping of names to settings")
            continue
        stage = own.get("stage")
        common = [key for key in (*_COMMON, *(() if stage else _LENGTH)) if key in own]
        found += [
            f"{place}.{key} is given; all recipes of a suite have the same {key}{_BUT.get(key, '')}" for key in common
        ]
        train, start = _train(own, found, place), own.get("start", "")
        if not isinstance(start, str):
            found.append(f"{place}.start is {described(start)}, not the name of a recipe")
            start = ""
        wrong: list[str] = []
        plain = {key: value for key, value in own.items() if key not in OWN}
        if stage and values.get("stage"):
            found.append(f"{place}.stage and stage are both given; give one of them")
        taken = staged({**settings, **plain}, stage, models, found, f"{place}.")
        one = TrainConfig.read(taken, wrong, others=others)
        if config is None:  # whose faults these would repeat
            continue
        found += [f"{place}: {fault}" for fault in wrong]
        if named and one is not None and not common:
            same: dict[str, Any] = {} if stage else {"steps": config.steps, "epochs": config.epochs}
            recipes[name] = Recipe(replace(one, init=config.init, **same), stage or "", train, start)
    return recipes


def _train(own: Mapping[str, Any], found: list[str], place: str) -> tuple[str, ...]:
    named = own.get("train", ())
    if isinstance(named, str):
        return (named,)
    if isinstance(named, list | tuple) and all(isinstance(name, str) for name in named):
        return tuple(dict.fromkeys(named))
    found.append(f"{place}.train is {described(named)}, not names of training sets of the suite")
    return ()


def checked(found: list[str], place: str, check: Any, *arguments: Any) -> bool:
    """Call ``check``; whether it raised nothing, else what it says of the user's input is added to ``found``."""
    try:
        check(*arguments)
    except UsageError as error:
        found.append(f"{place}{error.what}{f'; {error.fix}' if error.fix else ''}")
        return False
    return True
