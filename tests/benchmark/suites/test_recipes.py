"""Suites whose trainings are made with several recipes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ehps.benchmark.suites import shipped_suites
from ehps.benchmark.suites.matrix import Suite, load_suite, run_suite, status
from ehps.benchmark.suites.recipes import Recipe
from ehps.benchmark.suites.runs import Run
from ehps.benchmark.suites.suite_file import read_suite
from ehps.benchmark.training.specs import SetSpec, TrainConfig
from ehps.body.models import BodyModels
from ehps.errors import SettingsError
from tests.drawn_people import Style, people, write_set

TEXT = """
train: {one: one.h5}
test: {ego: {data: test.h5, protocol: egobody-ego}}
steps: 20
batch_size: 4
lr: 1e-3
"""


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory, models: BodyModels) -> Suite:
    """One set, one test, two recipes, a very small model."""
    folder = tmp_path_factory.mktemp("sets")
    rng = np.random.default_rng(0)
    one, test = (
        SetSpec(write_set(folder, people(5, rng, Style()), models, seed=seed, name=name), folder)
        for seed, name in enumerate(("one", "test"))
    )
    tiny = {"width": 32, "depth": 1, "heads": 2}
    config = TrainConfig(model_args=tiny, steps=1, batch_size=4, workers=0, lr=1e-3)
    recipes = {"standard": Recipe(config), "slow": Recipe(replace(config, lr=1e-4, augment=False))}
    return Suite({"one": (one,)}, {"ego": replace(test, protocol="egobody-ego")}, config, recipes=recipes)


def read(tmp_path: Path, more: str) -> Suite:
    (tmp_path / "suite.yaml").write_text(TEXT + more)
    return load_suite(tmp_path / "suite.yaml")


def test_each_recipe_is_trained_with_its_settings_in_a_folder_of_its_own(
    suite: Suite, models: BodyModels, tmp_path: Path
) -> None:
    state = run_suite(suite, tmp_path, body_models=models, progress=False)
    assert state[["train_set", "recipe", "state"]].to_numpy().tolist() == [
        ["one", "standard", "done"],
        ["one", "slow", "done"],
    ]
    settings = [Run(tmp_path / name / "one/tiny").manifest["training"]["config"] for name in suite.recipes]
    assert [(one["lr"], one["augment"]) for one in settings] == [(1e-3, True), (1e-4, False)]
    stored = status(tmp_path).sort_values("recipe", ascending=False, ignore_index=True)
    assert stored.equals(state)


def test_recipes_of_a_file_take_what_they_do_not_set_from_the_suite(tmp_path: Path) -> None:
    found = read(tmp_path, "seeds: [1, 2]\nrecipes: {usual: {}, slow: {lr: 1e-4, lr_min: 1e-5}}\n")
    assert [(t.recipe, t.seed) for t in found.trainings] == [("usual", 1), ("usual", 2), ("slow", 1), ("slow", 2)]
    last = found.settings(found.trainings[-1])
    assert (last.lr, last.lr_min, last.batch_size, last.steps) == (1e-4, 1e-5, 4, 20)
    assert found.folder(Path("out"), found.trainings[-1]).as_posix() == "out/slow/one/tiny/seed_2"
    assert read_suite(found.to_dict()).recipes == found.recipes
    assert {one.config.steps for one in found.with_budget(8).recipes.values()} == {2}
    assert [t.recipe for t in found.only(["slow"]).trainings] == ["slow", "slow"]


def test_recipes_that_are_none_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as error:
        read(tmp_path, "recipes: {a: {steps: 3}, b: {lr: fast}, c: 7, 'x/y': {}}\n")
    said = [line.partition(": ")[2] for line in error.value.lines]
    assert said[0] == "recipes.a.steps is given; all recipes of a suite have the same steps"
    assert said[1].startswith("recipes.b: lr is 'fast'")
    assert said[2] == "recipes.c is 7, not a mapping of names to settings"
    assert "recipe 'x/y' cannot be used as a file name" in said[3]


def test_the_shipped_suite_is_seeds_by_rates_by_augmentations_of_the_single_sets() -> None:
    found = load_suite(shipped_suites.path_of("reliability"))
    single = load_suite(shipped_suites.path_of("single_dataset"))
    assert (found.train, found.test) == (single.train, single.test)
    assert len(found.trainings) == 32 * 4 * 3
    rates = {name: (one.config.lr / single.config.lr, one.config.augment) for name, one in found.recipes.items()}
    assert {augment for _, augment in rates.values()} == {True, False}
    assert sorted(rate for rate, _ in rates.values()) == pytest.approx([1 / 30, 1 / 30, 1, 1], rel=0.01)
