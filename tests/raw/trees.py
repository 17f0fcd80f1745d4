"""Raw trees and their conversions, made once in a test session by whichever of its processes asks first."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from ehps.converters.base import Converter
from ehps.converters.pipeline import convert
from ehps.converters.pipeline.report import Report
from ehps.humandata import HumanData
from tests.raw.fixtures import FIXTURES, Fixture


@dataclass
class Raw:
    """One dataset as its tests have it.

    Attributes
    ----------
    dataset : its id.
    folder : where the tree and its conversion are kept.
    models : folder of body models.
    """

    dataset: str
    folder: Path
    models: Path

    @property
    def fixture(self) -> Fixture:
        return FIXTURES[self.dataset]

    @property
    def root(self) -> Path:
        """The tree; read-only for tests."""
        self.tree  # noqa: B018 (written when first asked for)
        return self._root

    @cached_property
    def tree(self) -> Any:
        """What must be found in it, as the function that wrote it says."""
        return self._once("tree", self._write)

    @property
    def out(self) -> Path:
        """The file that :meth:`converted` writes."""
        return self.folder / "converted.h5"

    def converted(self) -> tuple[HumanData, Report]:
        """The default split."""
        return self._conversion(self.out, self.models)

    def without_models(self) -> tuple[HumanData, Report]:
        """The default split, without body models."""
        return self._conversion(self.folder / "without_models.h5", None)

    def copy(self, folder: Path) -> Path:
        """The tree once more, below ``folder``, for a test that changes it."""
        return Path(shutil.copytree(self.root, folder / self.fixture.folder))

    @property
    def _root(self) -> Path:
        return self.folder / "raw" / self.fixture.folder

    def _write(self) -> Any:
        return self.fixture.write(self._root, self.models, np.random.default_rng(self.fixture.seed))

    def _conversion(self, out: Path, models: Path | None) -> tuple[HumanData, Report]:
        root = self.root
        report = self._once(out.stem, lambda: run(self.dataset, root, out, models))
        return HumanData.open(out), report

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{name}.pkl"
        with FileLock(self.folder / "lock"):
            if not path.exists():
                path.write_bytes(pickle.dumps(make()))
        return pickle.loads(path.read_bytes())


def run(dataset: str | type[Converter], root: Path, out: Path, models: Path | None, **options: Any) -> Report:
    """Convert in silence."""
    return convert(dataset, root, out=out, body_models=models, progress=False, **options)


def runner(dataset: str) -> Callable[..., Report]:
    """``run`` of one dataset; a converter with a mistake can be given in its place as ``dataset``."""

    def run_it(
        root: Path, out: Path, models: Path | None, dataset: str | type[Converter] = dataset, **options: Any
    ) -> Report:
        return run(dataset, root, out, models, **options)

    return run_it
