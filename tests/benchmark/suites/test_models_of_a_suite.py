"""Suites of several models: each is trained and tested, and what cannot be compared is told before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ehps.benchmark import models as networks
from ehps.benchmark import results
from ehps.benchmark.models.tiny import TinyViT
from ehps.benchmark.suites.matrix import Suite, run_suite
from ehps.benchmark.suites.plan import faults
from ehps.benchmark.training.specs import SetSpec, TrainConfig
from ehps.body.models import BodyModels
from tests.drawn_people import Style, people, write_set
from tests.upright import NAME, registered

CONFIG = TrainConfig(model_args={"width": 32, "depth": 1, "heads": 2}, steps=1, batch_size=2, workers=0)


@pytest.fixture
def other() -> Iterator[str]:
    networks.register("other", TinyViT)
    yield "other"
    networks._all().pop("other")


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory, models: BodyModels) -> Suite:
    folder = tmp_path_factory.mktemp("sets")
    path = write_set(folder, people(3, np.random.default_rng(0), Style()), models)
    tests = {name: SetSpec(path, folder, protocol=name) for name in ("egobody-ego", "rich")}
    return Suite({"drawn": (SetSpec(path, folder),)}, tests, CONFIG)


def test_two_models_are_trained_and_tested_twice(other: str, suite: Suite, models: BodyModels, tmp_path: Path) -> None:
    table = run_suite(replace(suite, models=("tiny", other)), tmp_path, body_models=models, progress=False)
    assert table["state"].tolist() == ["done"] * 4
    assert sorted(zip(table["model"], table["test_set"], strict=True)) == [
        (model, test) for model in (other, "tiny") for test in ("egobody-ego", "rich")
    ]
    assert set(results.load(tmp_path)["model"]) == {"tiny", other}


def test_a_model_of_other_bodies_than_a_test_is_told_before_anything_is_trained(
    suite: Suite, models: BodyModels
) -> None:
    with registered():
        said = faults(replace(suite, models=("tiny", NAME)), models.folder, models.folder)
    fix = "put upright into a suite of its own"
    assert said == [
        f"test.{name}.protocol: {name} compares SMPL-X bodies, upright predicts SMPL; {fix}" for name in suite.test
    ]


def test_tracks_in_the_world_are_told_to_be_no_test_of_models_before_anything_is_trained(
    suite: Suite, models: BodyModels
) -> None:
    walks = replace(suite.test["rich"], protocol="emdb2")
    said = faults(replace(suite, test={"walks": walks}), models.folder, models.folder)
    assert said[0] == "test.walks.protocol: emdb2 compares tracks in the world, which no model here predicts"


def test_the_chart_that_pymaf_learns_from_is_missed_before_anything_is_trained(
    suite: Suite, models: BodyModels
) -> None:
    alone = replace(suite, models=("pymaf",), config=replace(CONFIG, model="pymaf", model_args={}))
    said = [line for line in faults(alone, models.folder, models.folder) if "UV_Processed.mat" in line]
    assert len(said) == 1
    assert "auxiliary=parts" in said[0]
    parts = replace(alone, config=replace(alone.config, model_args={"auxiliary": "parts"}))
    assert not [line for line in faults(parts, models.folder, models.folder) if "UV_Processed.mat" in line]
