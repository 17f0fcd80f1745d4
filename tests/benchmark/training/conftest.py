"""A few drawn people to train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ehps.benchmark.training.specs import SetSpec
from ehps.body.models import BodyModels
from tests.drawn_people import Style, people, write_set


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> SetSpec:
    """Ten people; read-only."""
    folder = tmp_path_factory.mktemp("train")
    path = write_set(folder, people(10, np.random.default_rng(1), Style()), BodyModels(body_models), name="few")
    return SetSpec(path, folder)


@pytest.fixture(scope="module")
def models_(models: BodyModels) -> BodyModels:
    return models
