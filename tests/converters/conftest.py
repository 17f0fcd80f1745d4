"""The hall: a raw tree that tests of the pipeline share (read-only) or write anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_dataset import write_hall

from ehps.body.models import BodyModels


@pytest.fixture(scope="session")
def hall(tmp_path_factory: pytest.TempPathFactory, models: BodyModels) -> Path:
    """Three sequences of four people. Read-only."""
    return write_hall(tmp_path_factory.mktemp("hall") / "HALL", models)


@pytest.fixture
def own_hall(tmp_path: Path, models: BodyModels) -> Path:
    """The same for one test alone, which may damage it."""
    return write_hall(tmp_path / "HALL", models)
