"""Raw trees and their conversions, made once in a test session by whichever of its processes asks first."""

from __future__ import annotations

import copy
import os
import pickle
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from filelock import FileLock

from ehps.converters import layout, registry
from ehps.converters.base import Converter, Instances, Unit
from ehps.converters.pipeline import conversion, convert, quality_measures, workers
from ehps.converters.pipeline.completion import Completed, complete
from ehps.converters.pipeline.parts import BadUnit, Part, PartsFolder
from ehps.converters.pipeline.report import Report
from ehps.converters.readers.images import ImageIndex
from ehps.converters.readers.opened import Record, recording
from ehps.errors import DataError
from ehps.humandata import HumanData, quality
from ehps.humandata.merging import common_misc
from tests.raw.faults import Fault
from tests.raw.fixtures import FIXTURES, Fixture


@dataclass
class Raw:
    """One dataset as its tests have it.

    Attributes
    ----------
    dataset : its id.
    folder : where the tree and its conversion are kept.
    models : folder of body models.
    opened : files below the root that Python opened for :attr:`rows`.
    recorded : what the readers noted of them.
    """

    dataset: str
    folder: Path
    models: Path
    opened: set[str] = field(default_factory=set)
    recorded: Record = field(default_factory=Record)

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
        """The default split; read-only for tests."""
        return self._converted

    def without_models(self) -> tuple[HumanData, Report]:
        """The default split, without body models; read-only for tests."""
        return self._without_models

    @cached_property
    def _converted(self) -> tuple[HumanData, Report]:
        return self._conversion(self.out, self.models)

    @cached_property
    def _without_models(self) -> tuple[HumanData, Report]:
        return self._conversion(self.folder / "without_models.h5", None)

    def copy(self, folder: Path) -> Path:
        """The tree once more, below ``folder``, for a test that changes it."""
        return Path(shutil.copytree(self.root, folder / self.fixture.folder))

    def linked(self, folder: Path) -> Path:
        """The same with links to the files of the tree: a test may remove or replace them, not write into them."""
        return Path(shutil.copytree(self.root, folder / self.fixture.folder, copy_function=os.link))

    @cached_property
    def rows(self) -> list[Instances]:
        """The units of the default split as the converter reads them; read-only for tests."""
        converter = converter_of(self.dataset, self.root)
        with recording() as self.recorded:
            with watching(self.root) as before:
                units = converter.units()
            with watching(self.root) as while_reading:
                rows = [converter.read(unit) for unit in units]
        self.opened = {name for name in before | while_reading if not name.endswith(os.sep)}
        self.listed = {name.rstrip(os.sep) for name in while_reading if name.endswith(os.sep)}
        return rows

    def problems(self, fault: Fault) -> list[str]:
        """What the quality says when ``fault`` has changed the rows of each unit in place; nothing is written."""
        units = copy.deepcopy(self.rows)
        for unit in units:
            if len(unit):
                fault(unit)
        done = completed(self.dataset, self.root, units, self.models)
        parts = [unit.data for unit in done if unit.data is not None]
        wanted = [name for name in quality.SUMMARISED if all(name in part.columns for part in parts)]
        measured = {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in wanted}
        card = registry.card(self.dataset)
        misc = common_misc([part.misc for part in parts])
        card = replace(card, reprojection=misc.get("reprojection", card.reprojection))
        virtual = all(part.passport.focal == "virtual" for part in parts)
        return quality_measures.problems(quality.summary(measured, card.reprojection), card, virtual=virtual)

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


_watched: list[tuple[str, set[str]]] = []


@contextmanager
def watching(root: Path) -> Iterator[set[str]]:
    """Names of the files below ``root`` that this process opens meanwhile, and of folders that it lists, with a
    separator at their ends."""
    _hook()
    names: set[str] = set()
    _watched.append((str(root), names))
    try:
        yield names
    finally:
        _watched.pop()


@cache
def _hook() -> None:
    sys.addaudithook(_seen)


def _seen(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("open", "os.scandir", "os.listdir") and _watched and isinstance(arguments[0], str | os.PathLike):
        root, names = _watched[-1]
        if (name := os.path.abspath(arguments[0])).startswith(root):
            names.add(name if event == "open" else name + os.sep)


def run(dataset: str | type[Converter], root: Path, out: Path, models: Path | None, **options: Any) -> Report:
    """Convert in silence."""
    return convert(dataset, root, out=out, body_models=models, progress=False, **{"overwrite": True} | options)


def read(dataset: str, root: Path, **options: str) -> list[Instances]:
    """The units of the default split as the converter reads them."""
    converter = converter_of(dataset, root, **options)
    return [converter.read(unit) for unit in converter.units()]


def converter_of(dataset: str, root: Path, **options: str) -> Converter:
    """Of the default split."""
    converter = registry.converter(dataset)(root, registry.card(dataset).default_split, options)
    converter.check_options()
    return converter


def completed(
    dataset: str,
    root: Path,
    units: Sequence[Instances],
    models: Path | None = None,
    *,
    strict_images: bool = False,
    frames: Path | None = None,
) -> list[Completed]:
    """Units brought into the format as a conversion does it, in memory.

    Parameters
    ----------
    models : folder of body models.
    strict_images : a missing image is an error.
    frames : folder of frames cut out of videos.
    """
    converter = registry.converter(dataset)(root, registry.card(dataset).default_split)
    if models is not None:
        converter.bodies(models)
    context = workers._context(workers.Job(converter, bodies=models, strict_images=strict_images))
    images = ImageIndex(root, frames)
    return [complete(unit, context, images) for unit in units]


def attempted(dataset: str, root: Path) -> list[Completed | BadUnit]:
    """What each unit of the default split comes to in a conversion without body models; nothing is written.

    An error before the first unit stands for all of them.
    """
    converter = converter_of(dataset, root)
    try:
        layout.check(converter.card, root, converter.split)
        units = conversion._listed(converter)
    except DataError as error:
        return [BadUnit("all", str(error.path), str(error))]
    results: dict[int, Completed | BadUnit] = {}

    def keep(parts: object, index: int, unit: Unit, part: Part, completed: Completed) -> None:
        results[index] = completed

    nowhere = cast(PartsFolder, SimpleNamespace(listings=None))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "_store", keep)
        for index, unit in enumerate(units):
            bad = workers.run_unit(workers.Job(converter), nowhere, index, unit).bad
            if bad is not None:
                results[index] = bad
    return list(results.values())


def runner(dataset: str) -> Callable[..., Report]:
    """``run`` of one dataset; a converter with a mistake can be given in its place as ``dataset``."""

    def run_it(
        root: Path, out: Path, models: Path | None, dataset: str | type[Converter] = dataset, **options: Any
    ) -> Report:
        return run(dataset, root, out, models, **options)

    return run_it
