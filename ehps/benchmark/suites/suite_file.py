"""The file of a suite, read and checked as a whole before anything is run.

    suite.yaml:   models: [tiny]
                  train: {bedlam: {data: bedlam_train.h5, images: raw/bedlam}, mix: [{...}, {...}]}
                  test:  {ehf: {data: ehf.h5, images: raw/ehf, protocol: ehf}}
                  steps: 300        # and any other setting of training; or budget: 4800, instances seen
                  stage: single     # optional: settings of a stage of the model, those given here going before
                  seeds: [0, 1, 2]  # optional: every training once with each
                  recipes: {usual: {}, slow: {lr: 1e-5}}  # optional: every training once with the settings of each
                  body_models: /path/to/models   # optional

Paths are relative to the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ehps.benchmark import models
from ehps.benchmark.suites import recipes as of_recipes
from ehps.benchmark.suites.recipes import Recipe, checked
from ehps.benchmark.suites.suite import BUDGET, Suite, faults_of, missing_files, read_seeds, with_budget
from ehps.benchmark.training.settings import described
from ehps.benchmark.training.specs import SetSpec, TrainConfig
from ehps.errors import SettingsError
from ehps.yaml_files import read_yaml

_OTHERS = ("train", "test", "models", "body_models", "seeds", "budget", "recipes", "stage")


def read_suite(values: Any, base: Path = Path()) -> Suite:
    """From the content of a suite file; paths relative to ``base``.

    Raises
    ------
    SettingsError : settings that do not exist, and values of another kind or out of range; all of them.
    """
    return _read(values, base).suite()


def load_suite(path: str | Path, *, files: bool = False) -> Suite:
    """Read ``suite.yaml`` (or ``.json``).

    Parameters
    ----------
    files : also see that the files and folders that it names are there.

    Raises
    ------
    UsageError : the file is absent or not YAML.
    SettingsError : settings that do not exist, values of another kind or out of range, models that cannot be built,
        files that are not there: all of them.
    """
    path = Path(path)
    try:
        draft = _read(read_yaml(path), path.parent)
        draft.check_arguments()
        if files:
            init = None if draft.config is None else draft.config.init
            draft.faults += missing_files(draft.train, draft.test, init, draft.body_models)
        return draft.suite()
    except SettingsError as error:
        raise SettingsError(error.faults, path=path) from None


@dataclass
class _Draft:
    """A suite as far as it could be read: sets, or settings, that could not are None."""

    train: dict[str, list[SetSpec | None]]
    test: dict[str, SetSpec | None]
    config: TrainConfig | None
    model_args: Mapping[str, Any]
    models: tuple[str, ...]
    body_models: Path | None
    seeds: tuple[int, ...]
    recipes: dict[str, Recipe]
    faults: list[str]

    def check_arguments(self) -> None:
        """See that the models can be built with their arguments, those that stages give too."""
        given = {"model_args: ": self.model_args}
        given |= {f"recipes.{name}: model_args: ": recipe.config.model_args for name, recipe in self.recipes.items()}
        seen: list[Mapping[str, Any]] = []
        for place, arguments in given.items():
            for model in sorted(set(self.models) & set(models.names())) if arguments not in seen else ():
                checked(self.faults, place, models.check_arguments, model, arguments)
            seen.append(arguments)

    def suite(self) -> Suite:
        if self.faults or self.config is None:
            raise SettingsError(self.faults)
        return Suite(
            train={name: tuple(spec for spec in specs if spec is not None) for name, specs in self.train.items()},
            test={name: spec for name, spec in self.test.items() if spec is not None},
            config=self.config,
            models=self.models,
            body_models=self.body_models,
            seeds=self.seeds,
            recipes=self.recipes,
        )


def _read(values: Any, base: Path) -> _Draft:
    if not isinstance(values, Mapping):
        raise SettingsError([f"is {described(values)}, not a suite of train and test sets"])
    faults: list[str] = []
    settings = {name: value for name, value in values.items() if name not in (*_OTHERS, "model")}
    named = _models(values, faults)
    staged = of_recipes.staged(settings, values.get("stage"), named, faults)
    config = TrainConfig.read(staged, faults, others=_OTHERS)
    if config is not None and config.init is not None:
        config = replace(config, init=str(base / config.init))
    budget = _budget(values, faults)
    recipes = of_recipes.read(values, staged, config, named, _OTHERS, faults)
    if budget is not None and config is not None:
        config = with_budget(config, budget)
        recipes = {name: replace(one, config=with_budget(one.config, budget)) for name, one in recipes.items()}
    body_models = values.get("body_models")
    if not isinstance(body_models, str | None):
        faults.append(f"body_models is {described(body_models)}, not the name of a folder")
        body_models = None
    train, test = _named(values, "train", faults), _named(values, "test", faults)
    draft = _Draft(
        train={name: _train_sets(spec, base, faults, f"train.{name}") for name, spec in train.items()},
        test={name: _test_set(spec, base, faults, f"test.{name}.") for name, spec in test.items()},
        config=config,
        model_args=_arguments(staged),
        models=named,
        body_models=base / body_models if body_models else None,
        seeds=read_seeds(values.get("seeds", []), faults),
        recipes=recipes,
        faults=faults,
    )
    faults += faults_of(draft.train, draft.test, draft.models)
    return draft


def _named(values: Mapping[str, Any], what: str, faults: list[str]) -> Mapping[str, Any]:
    sets = values.get(what)
    if not sets:
        faults.append(f"the suite has no {what} set")
        return {}
    if isinstance(sets, Mapping):
        return sets
    faults.append(f"{what} is {described(sets)}, not a mapping of names to sets")
    return {}


def _train_sets(value: Any, base: Path, faults: list[str], place: str) -> list[SetSpec | None]:
    if isinstance(value, list | tuple):
        if not value:
            faults.append(f"{place} is an empty list, not sets to train on")
        return [_train_set(one, base, faults, f"{place}[{i}].") for i, one in enumerate(value)]
    return [_train_set(value, base, faults, f"{place}.")]


def _train_set(value: Any, base: Path, faults: list[str], place: str) -> SetSpec | None:
    spec = SetSpec.read(value, base, faults, place)
    if spec is not None and spec.protocol:
        faults.append(f"{place}protocol is {described(spec.protocol)}; only test sets have a protocol")
    return spec


def _test_set(value: Any, base: Path, faults: list[str], place: str) -> SetSpec | None:
    spec = SetSpec.read(value, base, faults, place)
    if spec is not None and spec.interval != 1:
        faults.append(f"{place}interval is {spec.interval}; tests take every N-th row by their protocol: NAME[step=N]")
    if spec is not None and spec.weight != 1:
        faults.append(f"{place}weight is {spec.weight:g}; only training sets have a weight")
    return spec


def _arguments(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Arguments of the models where they can be some; whatever else stands there is a fault of its own."""
    given = values.get("model_args", {})
    return given if isinstance(given, Mapping) and all(isinstance(name, str) for name in given) else {}


def _models(values: Mapping[str, Any], faults: list[str]) -> tuple[str, ...]:
    if "models" in values and "model" in values:
        faults.append("model and models are both given; name the models in one of them")
    named = values.get("models", values.get("model", "tiny"))
    if isinstance(named, str):
        return (named,)
    if isinstance(named, list | tuple) and all(isinstance(name, str) for name in named):
        return tuple(named)
    faults.append(f"models is {described(named)}, not names of models; there are: {', '.join(models.names())}")
    return ("tiny",)


def _budget(values: Mapping[str, Any], faults: list[str]) -> int | None:
    """How many instances a training is to see, where that is given."""
    if "budget" not in values:
        return None
    faults += [
        f"budget and {name} are both given; each says how long is trained"
        for name in ("steps", "epochs")
        if values.get(name)
    ]
    try:
        return int(BUDGET.read(values["budget"]))
    except ValueError as error:
        faults.append(f"budget {error}")
        return None
