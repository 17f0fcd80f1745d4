"""The hall: a raw tree that tests of the pipeline share (read-only) or write anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_dataset import write_hall

from ehps.body.bodies import BodySet


@pytest.fixture(scope="session")
def hall(tmp_path_factory: pytest.TempPathFactory, body_set: BodySet) -> Path:
    """Three sequences of four people. Read-only."""
    return write_hall(tmp_path_factory.mktemp("hall") / "HALL", body_set)


@pytest.fixture
def own_hall(tmp_path: Path, body_set: BodySet) -> Path:
    """The same for one test alone, which may damage it."""
    return write_hall(tmp_path / "HALL", body_set)
