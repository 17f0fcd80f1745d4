"""A suite and its file: which training sets, test sets and models, read and checked as a whole before anything is run.

    suite.yaml:   models: [tiny]
                  train: {bedlam: {data: bedlam_train.h5, images: raw/bedlam}, mix: [{...}, {...}]}
                  test:  {ehf: {data: ehf.h5, images: raw/ehf, protocol: ehf}}
                  steps: 300        # and any other setting of training; or budget: 4800, instances seen
                  seeds: [0, 1, 2]  # optional: every training once with each
                  recipes: {usual: {}, slow: {lr: 1e-5}}  # optional: every training once with the settings of each
                  body_models: /path/to/models   # optional

Paths are relative to the file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ehps.benchmark import models
from ehps.benchmark.protocols import catalogue
from ehps.benchmark.suites.runs import check_name
from ehps.benchmark.training.pack_file import is_pack
from ehps.benchmark.training.settings import SETTINGS, Setting, described
from ehps.benchmark.training.specs import SetSpec, TrainConfig
from ehps.errors import SettingsError, UsageError
from ehps.yaml_files import read_yaml

_OTHERS = ("train", "test", "models", "body_models", "seeds", "budget", "recipes")
_OF_A_SUITE = ("model", "model_args", "seed", "steps", "epochs", "budget", "batch_size", "init")
"""What its recipes have in common."""
_BUDGET = Setting(int, 1, 1e12)


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
    recipes: Mapping[str, TrainConfig] = field(default_factory=dict)

    def __post_init__(self) -> None:
        empty = [f"the suite has no {what} set" for what in ("train", "test") if not getattr(self, what)]
        configs = list(self.recipes.values()) or [self.config]
        weights = [fault for one in configs for sets in self.train.values() for fault in one.weight_faults(sets)]
        terms = [fault for one in configs for model in self.models for fault in one.loss.faults(model)]
        if faults := [*empty, *weights, *terms, *_faults(self.train, self.test, self.models)]:
            raise SettingsError(faults)

    @classmethod
    def from_dict(cls, values: Any, base: Path = Path()) -> Suite:
        """From the content of a suite file; paths relative to ``base``.

        Raises
        ------
        SettingsError : settings that do not exist, and values of another kind or out of range; all of them.
        """
        return _read(values, base).suite()

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; :meth:`from_dict` reads it back."""

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
        recipes = {
            name: {key: value for key, value in one.to_dict().items() if key != "model" and value != config[key]}
            for name, one in self.recipes.items()
        }
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
        ]

    def settings(self, training: Training) -> TrainConfig:
        """Of one training."""
        config = self.recipes[training.recipe] if training.recipe else self.config
        return replace(config, model=training.model, seed=training.seed)

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
            seen = _BUDGET.read(instances)
        except ValueError as error:
            raise UsageError(f"the budget {error}") from None
        recipes = {name: _with_budget(config, seen) for name, config in self.recipes.items()}
        return replace(self, config=_with_budget(self.config, seen), recipes=recipes)

    def with_seeds(self, seeds: Sequence[Any]) -> Suite:
        """With each training made once with each seed.

        Raises
        ------
        SettingsError : no whole numbers, or one that stands twice.
        """
        faults: list[str] = []
        read = _seeds(list(seeds), faults)
        if faults:
            raise SettingsError(faults)
        return replace(self, seeds=read)

    def only(self, patterns: Sequence[str]) -> Suite:
        """The part whose train sets, test sets, models and recipes have one of some names.

        Parameters
        ----------
        patterns : names, ``*`` for any text: ``bedlam``, ``test.*``, ``train.agora`` where a test set is called so too.
            Where no pattern names a test set all are kept; train sets, models and recipes likewise.

        Raises
        ------
        UsageError : a pattern that fits nothing, or sets of two kinds.
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
        return replace(
            self,
            train={name: self.train[name] for name in kept["train"]},
            test={name: self.test[name] for name in kept["test"]},
            models=tuple(kept["models"]),
            recipes={name: self.recipes[name] for name in kept.get("recipes", ())},
        )

    def missing_files(self) -> list[str]:
        """Files and folders that it names and that are not there, each with its place in the suite."""
        return _missing(self.train, self.test, self.config.init, self.body_models)


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
        for model in sorted(set(draft.models) & set(models.names())):
            _note(draft.faults, "model_args: ", models.check_arguments, model, draft.model_args)
        if files:
            init = None if draft.config is None else draft.config.init
            draft.faults += _missing(draft.train, draft.test, init, draft.body_models)
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
    recipes: dict[str, TrainConfig]
    faults: list[str]

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
    config = TrainConfig.read(settings, faults, others=_OTHERS)
    if config is not None and config.init is not None:
        config = replace(config, init=str(base / config.init))
    config = _budgeted(values, config, faults)
    body_models = values.get("body_models")
    if not isinstance(body_models, str | None):
        faults.append(f"body_models is {described(body_models)}, not the name of a folder")
        body_models = None
    train, test = _named(values, "train", faults), _named(values, "test", faults)
    draft = _Draft(
        train={name: _train_sets(spec, base, faults, f"train.{name}") for name, spec in train.items()},
        test={name: _test_set(spec, base, faults, f"test.{name}.") for name, spec in test.items()},
        config=config,
        model_args=_arguments(values),
        models=_models(values, faults),
        body_models=base / body_models if body_models else None,
        seeds=_seeds(values.get("seeds", []), faults),
        recipes=_recipes(values, settings, config, faults),
        faults=faults,
    )
    faults += _faults(draft.train, draft.test, draft.models)
    return draft


def _missing(
    train: Mapping[str, Sequence[SetSpec | None]],
    test: Mapping[str, SetSpec | None],
    init: str | None,
    body_models: Path | None,
) -> list[str]:
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


def _faults(train: Mapping[str, Any], test: Mapping[str, SetSpec | None], names: tuple[str, ...]) -> list[str]:
    """What is wrong with names, models and protocols; sets that could not be read are None."""
    faults: list[str] = []
    for what, sets in (("train", train), ("test", test)):
        for name in sets:
            _note(faults, "", check_name, name, f"{what} set")
    if not names:
        faults.append(f"the suite has no model; there are: {', '.join(models.names())}")
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            faults.append(f"models names {described(name)} {names.count(name)} times")
        if _note(faults, "", check_name, name, "model"):
            _note(faults, "models: ", models.check, name)
    for name, spec in test.items():
        if spec is not None and not spec.protocol:
            faults.append(f"test.{name} has no protocol; there are: {', '.join(catalogue.names())}")
        elif spec is not None:
            _note(faults, f"test.{name}.protocol: ", catalogue.get, spec.protocol)
    return faults


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


def _seeds(values: Any, faults: list[str]) -> tuple[int, ...]:
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


def _recipes(
    values: Mapping[str, Any], settings: Mapping[str, Any], config: TrainConfig | None, faults: list[str]
) -> dict[str, TrainConfig]:
    """Settings of each recipe: those of the suite with its own in their place."""
    given = values.get("recipes", {})
    if not isinstance(given, Mapping):
        faults.append(f"recipes is {described(given)}, not a mapping of names to settings")
        return {}
    read: dict[str, TrainConfig] = {}
    for name, own in given.items():
        place = f"recipes.{name}"
        named = _note(faults, "", check_name, name, "recipe")
        if not isinstance(own, Mapping):
            faults.append(f"{place} is {described(own)}, not a mapping of names to settings")
            continue
        common = [key for key in _OF_A_SUITE if key in own]
        faults += [f"{place}.{key} is given; all recipes of a suite have the same {key}" for key in common]
        wrong: list[str] = []
        one = TrainConfig.read({**settings, **own}, wrong, others=_OTHERS)
        if config is None:  # whose faults these would repeat
            continue
        faults += [f"{place}: {fault}" for fault in wrong]
        if named and one is not None and not common:
            read[name] = replace(one, steps=config.steps, epochs=config.epochs, init=config.init)
    return read


def _budgeted(values: Mapping[str, Any], config: TrainConfig | None, faults: list[str]) -> TrainConfig | None:
    """The settings with as many steps as ``budget`` stands for, where it is given."""
    if "budget" not in values:
        return config
    faults += [
        f"budget and {name} are both given; each says how long is trained"
        for name in ("steps", "epochs")
        if values.get(name)
    ]
    try:
        instances = _BUDGET.read(values["budget"])
    except ValueError as error:
        faults.append(f"budget {error}")
        return config
    return None if config is None else _with_budget(config, instances)


def _with_budget(config: TrainConfig, instances: int) -> TrainConfig:
    return replace(config, steps=math.ceil(instances / config.batch_size), epochs=None)


def _note(faults: list[str], place: str, check: Any, *arguments: Any) -> bool:
    """Call ``check``; whether it raised nothing, else what it says of the user's input is added to ``faults``."""
    try:
        check(*arguments)
    except UsageError as error:
        faults.append(f"{place}{error.what}{f'; {error.fix}' if error.fix else ''}")
        return False
    return True


def _files(spec: SetSpec | None, place: str) -> list[tuple[str, Path, bool]]:
    if spec is None:
        return []
    listed = [(f"{place}.data", spec.data, False), (f"{place}.images", spec.images, not is_pack(spec.images))]
    return [*listed, (f"{place}.exclude", spec.exclude, False)] if spec.exclude else listed


def _instead(path: Path, folder: bool) -> str:
    if not path.exists():
        return "not there"
    return "no folder" if folder else "no file"
