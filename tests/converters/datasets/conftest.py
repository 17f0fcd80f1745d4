"""The raw tree of the dataset that a test module names as ``DATASET``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ehps.converters.pipeline.report import Report
from ehps.humandata import HumanData
from tests.raw.trees import Raw


@pytest.fixture(scope="module")
def raw(request: pytest.FixtureRequest, raw_trees: Callable[[str], Raw]) -> Raw:
    return raw_trees(request.module.DATASET)


@pytest.fixture(scope="module")
def tree(raw: Raw) -> Any:
    """What is in the raw tree, which is read-only."""
    return raw.tree


@pytest.fixture(scope="module")
def converted(raw: Raw) -> tuple[HumanData, Report]:
    """The default split."""
    return raw.converted()


@pytest.fixture
def own(raw: Raw, tmp_path: Path) -> Path:
    """A copy of the raw tree that a test may damage."""
    return raw.copy(tmp_path)


@pytest.fixture(autouse=True)
def quick(parts_stay_in_memory: None) -> None:
    """Conversions of one test; that of :func:`converted` is whole."""
