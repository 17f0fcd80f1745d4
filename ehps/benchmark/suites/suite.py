"""A suite: which training sets, test sets and models, and the trainings that they make together.

It is read from a file by :mod:`ehps.benchmark.suites.suite_file`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ehps.benchmark import models
from ehps.benchmark.models.labels import labels
from ehps.benchmark.protocols import catalogue
from ehps.benchmark.suites import recipes as of_recipes
from ehps.benchmark.suites.recipes import Recipe, checked
from ehps.benchmark.suites.runs import Run, check_name
from ehps.benchmark.training.pack_file import is_pack
from ehps.benchmark.training.settings import SETTINGS, Setting, described
from ehps.benchmark.training.specs import SetSpec, TrainConfig
from ehps.errors import SettingsError, UsageError

BUDGET = Setting(int, 1, 1e12)


@dataclass(frozen=True)
class Training:
    """One of a suite: a set, a model, a seed, and a recipe where the suite has some."""

    train_set: str
    model: str
    seed: int
    recipe: str = ""

    def __str__(self) -> str:
        return f"{self.model} on {self.train_set}, seed {self.seed}" + f", {self.recipe}" * bool(self.recipe)


@dataclass(frozen=True)
class Suite:
    """What is to be run.

    Attributes
    ----------
    train : name -> one or several sets.
    test : name -> set with its protocol.
    config : settings of all trainings; ``config.model`` is replaced by each of ``models``.
    models : names of models.
    body_models : folder, or None to use the caller's.
    seeds : each training is made with each of them; with that of ``config`` alone where there are none.
    recipes : name -> settings in place of ``config``'s; each training is made with each of them.
    """

    train: Mapping[str, tuple[SetSpec, ...]]
    test: Mapping[str, SetSpec]
    config: TrainConfig = field(default_factory=TrainConfig)
    models: tuple[str, ...] = ("tiny",)
    body_models: Path | None = None
    seeds: tuple[int, ...] = ()
    recipes: Mapping[str, Recipe] = field(default_factory=dict)

    def __post_init__(self) -> None:
        empty = [f"the suite has no {what} set" for what in ("train", "test") if not getattr(self, what)]
        used = [(recipe.config, recipe.train or self.train) for recipe in self.recipes.values()]
        used = used or [(self.config, self.train)]
        starts = of_recipes.faults(self.recipes, list(self.train))
        weights = [
            fault for one, names in used for name in names for fault in one.weight_faults(self.train.get(name, ()))
        ]
        terms = [fault for one, _ in used for model in self.models for fault in one.loss.faults(model)]
        if faults := [*empty, *starts, *weights, *terms, *faults_of(self.train, self.test, self.models)]:
            raise SettingsError(faults)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; :func:`~ehps.benchmark.suites.suite_file.read_suite` reads it back."""

        def plain(spec: SetSpec) -> dict[str, Any]:
            return {
                "data": str(spec.data.resolve()),
                "images": {label: str(folder.resolve()) for label, folder in spec.folders.items()}
                or str(spec.images.resolve()),
                "interval": spec.interval,
                **({"weight": spec.weight} if spec.weight != 1 else {}),
                "protocol": spec.protocol,
                **({"exclude": str(spec.exclude.resolve())} if spec.exclude else {}),
            }

        config = self.config.to_dict()
        del config["model"]
        recipes = {name: one.to_dict(config, self.models[0]) for name, one in self.recipes.items()}
        return {
            "train": {name: [plain(s) for s in specs] for name, specs in self.train.items()},
            "test": {name: plain(spec) for name, spec in self.test.items()},
            "models": list(self.models),
            "body_models": None if self.body_models is None else str(self.body_models.resolve()),
            **({"seeds": list(self.seeds)} if self.seeds else {}),
            **({"recipes": recipes} if recipes else {}),
            **config,
        }

    @property
    def trainings(self) -> list[Training]:
        """All of them, a recipe and in it a model after the other."""
        seeds = self.seeds or (self.config.seed,)
        return [
            Training(name, model, seed, recipe)
            for recipe in self.recipes or ("",)
            for model in self.models
            for name in self.train
            for seed in seeds
            if not recipe or name in (self.recipes[recipe].train or self.train)
        ]

    def start(self, training: Training) -> Training | None:
        """The training of the suite whose weights one starts from."""
        if not training.recipe:
            return None
        source = of_recipes.origin(self.recipes, training.recipe, training.train_set, list(self.train))
        begun = self.recipes[training.recipe].start
        return None if source is None else replace(training, train_set=source, recipe=begun)

    def settings(self, training: Training) -> TrainConfig:
        """Of one training; weights of another one of the suite that it starts from as seen from its run folder."""
        config = self.recipes[training.recipe].config if training.recipe else self.config
        if (start := self.start(training)) is not None:
            weights = Run(self.folder(Path(), start)).checkpoint
            config = replace(config, init=Path(os.path.relpath(weights, self.folder(Path(), training))).as_posix())
        return replace(config, model=training.model, seed=training.seed)

    def labels(self) -> dict[Training, str]:
        """What the model of each training is called beside those of the others."""
        trainings = self.trainings
        configs = [self.recipes[one.recipe].config if one.recipe else self.config for one in trainings]
        made = [(one.model, config.model_args) for one, config in zip(trainings, configs, strict=True)]
        return dict(zip(trainings, labels(made), strict=True))

    def folder(self, out: Path, training: Training) -> Path:
        """The run folder; a recipe has its own above the set's, a seed other than ``config``'s below the model's."""
        folder = out / training.recipe / training.train_set / training.model
        return folder if training.seed == self.config.seed else folder / f"seed_{training.seed}"

    def with_budget(self, instances: int | str) -> Suite:
        """With as many steps as make a training see so many instances, the last batch being whole.

        Raises
        ------
        UsageError : less than one.
        """
        try:
            seen = BUDGET.read(instances)
        except ValueError as error:
            raise UsageError(f"the budget {error}") from None
        recipes = {name: replace(one, config=with_budget(one.config, seen)) for name, one in self.recipes.items()}
        return replace(self, config=with_budget(self.config, seen), recipes=recipes)

    def with_seeds(self, seeds: Sequence[Any]) -> Suite:
        """With each training made once with each seed.

        Raises
        ------
        SettingsError : no whole numbers, or one that stands twice.
        """
        faults: list[str] = []
        read = read_seeds(list(seeds), faults)
        if faults:
            raise SettingsError(faults)
        return replace(self, seeds=read)

    def only(self, patterns: Sequence[str]) -> Suite:
        """The part whose train sets, test sets, models and recipes have one of some names, with what it starts from.

        Parameters
        ----------
        patterns : names, ``*`` for any text: ``bedlam``, ``test.*``, ``train.agora`` where a test set is called so too.
            Where no pattern names a test set all are kept; train sets, models and recipes likewise.

        Raises
        ------
        UsageError : a pattern that fits nothing, or sets of two kinds; nothing is left.
        """
        kinds: dict[str, list[str]] = {"train": list(self.train), "test": list(self.test), "models": list(self.models)}
        kinds |= {"recipes": list(self.recipes)} if self.recipes else {}
        chosen: dict[str, list[str]] = {kind: [] for kind in kinds}
        for pattern in patterns:
            named = {
                kind: [name for name in names if fnmatchcase(name, pattern) or fnmatchcase(f"{kind}.{name}", pattern)]
                for kind, names in kinds.items()
            }
            fitting = [kind for kind, names in named.items() if names]
            if not fitting:
                known = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in kinds.items())
                raise UsageError(f"the suite has no {pattern!r}", fix=f"there are {known}")
            if len(fitting) > 1:
                words = " or ".join(f"{kind}.{pattern}" for kind in fitting)
                raise UsageError(f"{pattern!r} fits names of {' and '.join(fitting)}", fix=f"write {words}")
            chosen[fitting[0]] += named[fitting[0]]
        kept = {kind: [name for name in names if name in (chosen[kind] or names)] for kind, names in kinds.items()}
        recipes = of_recipes.part(self.recipes, kept.get("recipes", ()), kept["train"], list(self.train))
        if self.recipes and not recipes:
            raise UsageError(f"no recipe of the suite is for {' or '.join(kept['train'])}")
        needed = {name for one in recipes.values() for name in one.train} or kept["train"]
        return replace(
            self,
            train={name: specs for name, specs in self.train.items() if name in needed},
            test={name: self.test[name] for name in kept["test"]},
            models=tuple(kept["models"]),
            recipes=recipes,
        )

    def missing_files(self) -> list[str]:
        """Files and folders that it names and that are not there, each with its place in the suite."""
        return missing_files(self.train, self.test, self.config.init, self.body_models)


def missing_files(
    train: Mapping[str, Sequence[SetSpec | None]],
    test: Mapping[str, SetSpec | None],
    init: str | None,
    body_models: Path | None,
) -> list[str]:
    """What is named and not there, each with its place in the suite; sets that could not be read are None."""
    named: list[tuple[str, Path, bool]] = []
    for name, specs in train.items():
        for i, spec in enumerate(specs):
            named += _files(spec, f"train.{name}[{i}]" if len(specs) > 1 else f"train.{name}")
    for name, spec in test.items():
        named += _files(spec, f"test.{name}")
    if init is not None:
        named.append(("init", Path(init), False))
    if body_models is not None:
        named.append(("body_models", body_models, True))
    return [
        f"{place} is {path}, which is {_instead(path, folder)}"
        for place, path, folder in named
        if not (path.is_dir() if folder else path.is_file())
    ]


def faults_of(train: Mapping[str, Any], test: Mapping[str, SetSpec | None], names: tuple[str, ...]) -> list[str]:
    """What is wrong with names, models and protocols; sets that could not be read are None."""
    faults: list[str] = []
    for what, sets in (("train", train), ("test", test)):
        for name in sets:
            checked(faults, "", check_name, name, f"{what} set")
    if not names:
        faults.append(f"the suite has no model; there are: {', '.join(models.names())}")
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            faults.append(f"models names {described(name)} {names.count(name)} times")
        if checked(faults, "", check_name, name, "model"):
            checked(faults, "models: ", models.check, name)
    for name, spec in test.items():
        if spec is not None and not spec.protocol:
            faults.append(f"test.{name} has no protocol; there are: {', '.join(catalogue.names())}")
        elif spec is not None:
            checked(faults, f"test.{name}.protocol: ", catalogue.get, spec.protocol)
    return faults


def read_seeds(values: Any, faults: list[str]) -> tuple[int, ...]:
    """Seeds; what is wrong with them is appended to ``faults``."""
    if not isinstance(values, list | tuple):
        faults.append(f"seeds is {described(values)}, not a list of whole numbers")
        return ()
    read: list[int] = []
    for i, value in enumerate(values):
        try:
            read.append(SETTINGS["seed"].read(value))
        except ValueError as error:
            faults.append(f"seeds[{i}] {error}")
    faults += [f"seeds has {seed} {read.count(seed)} times" for seed in dict.fromkeys(read) if read.count(seed) > 1]
    return tuple(read)


def with_budget(config: TrainConfig, instances: int) -> TrainConfig:
    """Settings with as many steps as see so many instances."""
    return replace(config, steps=math.ceil(instances / config.batch_size), epochs=None)


def _files(spec: SetSpec | None, place: str) -> list[tuple[str, Path, bool]]:
    if spec is None:
        return []
    listed = [(f"{place}.data", spec.data, False), (f"{place}.images", spec.images, not is_pack(spec.images))]
    return [*listed, (f"{place}.exclude", spec.exclude, False)] if spec.exclude else listed


def _instead(path: Path, folder: bool) -> str:
    if not path.exists():
        return "not there"
    return "no folder" if folder else "no file"
