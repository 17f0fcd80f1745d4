"""The hall, which tests of the pipeline share (read-only) or write anew, and the raw trees of all datasets."""

from __future__ import annotations

import multiprocessing
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from fake_dataset import write_hall

from ehps.body.models import BodyModels
from ehps.converters.pipeline import backends, reading
from ehps.humandata import HumanData
from ehps.humandata.storage import h5
from tests.raw.trees import Raw


@pytest.fixture(scope="session")
def hall(tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> Path:
    """Three sequences of four people. Read-only."""
    return write_hall(tmp_path_factory.mktemp("hall") / "HALL", BodyModels(body_models))


@pytest.fixture
def own_hall(hall: Path, tmp_path: Path) -> Path:
    """The same for one test alone, which may damage it."""
    return Path(shutil.copytree(hall, tmp_path / "HALL"))


@pytest.fixture(scope="session")
def raw_trees(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, body_models: Path
) -> Callable[[str], Raw]:
    """The raw tree of a dataset by its id. Trees are read-only."""
    session = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):  # processes of one session share a parent folder
        session = session.parent
    return cache(lambda dataset: Raw(dataset, session / "datasets" / dataset, body_models))


@pytest.fixture
def forks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forks in the place of loky's processes, which have to import everything."""

    @contextmanager
    def submitter(jobs: int, _: str | None) -> Iterator[Any]:
        with ProcessPoolExecutor(jobs, multiprocessing.get_context("fork")) as executor:
            yield executor.submit

    monkeypatch.setitem(backends._SUBMITTERS, "loky", submitter)
    monkeypatch.setattr(reading, "POLL", 0.01)


@pytest.fixture
def parts_stay_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of units are not written and read again before they are joined, which other tests do for every dataset."""
    kept: dict[Path, HumanData] = {}
    save, read, damaged = HumanData.save, h5.read, h5.damaged_columns

    def keep(hd: HumanData, path: Path | str) -> Path:
        path = Path(path)
        if not re.fullmatch(r"\d{5}-.*\.h5", path.name):
            return save(hd, path)
        path.touch()
        kept[path] = hd
        return path

    monkeypatch.setattr(HumanData, "save", keep)
    monkeypatch.setattr(h5, "read", lambda path: kept[path] if path in kept else read(path))
    monkeypatch.setattr(h5, "damaged_columns", lambda path: [] if path in kept else damaged(path))
