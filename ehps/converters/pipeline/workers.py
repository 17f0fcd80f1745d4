"""One unit from raw to part file."""

from __future__ import annotations

import sys
import traceback
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ehps.body.models import BodyModels
from ehps.converters.base import Converter, Instances, Unit
from ehps.converters.pipeline.completion import Completed, Context, complete
from ehps.converters.pipeline.parts import BadUnit, Part, PartsFolder
from ehps.converters.pipeline.rows import below_root
from ehps.converters.readers import opened
from ehps.converters.readers.images import ImageIndex
from ehps.errors import BodyModelError, DataError, EhpsError
from ehps.worker_processes import end_with_parent


class OutputError(DataError):
    """A part file cannot be written: no unit after it will fare better."""


@dataclass(frozen=True)
class Job:
    """What every unit of a conversion needs to know; small and picklable."""

    converter: Converter
    bodies: Path | None = None
    frames: Path | None = None
    strict_images: bool = False
    strict: bool = False
    limit: int | None = None


@dataclass(frozen=True)
class Outcome:
    """A unit that was written, or could not be read."""

    index: int
    bad: BadUnit | None = None


def without_threads() -> AbstractContextManager[Any]:
    """Linear algebra on one thread: the last bits of its results depend on how work is divided."""
    limits: AbstractContextManager[Any] = _thread_pools(len(sys.modules)).limit(limits=1)
    return limits


@lru_cache(maxsize=1)
def _thread_pools(modules: int) -> Any:
    """The libraries with threads; looked for anew when more modules are loaded, which may bring their own."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def run_unit(job: Job, parts: PartsFolder, index: int, unit: Unit) -> Outcome:
    """Read, complete, check and store one unit.

    Raises
    ------
    OutputError : the part file cannot be written.
    BodyModelError : a body model is missing; every unit would need it.
    """
    end_with_parent()
    images = ImageIndex(job.converter.root, job.frames, parts.listings)
    with opened.recording() as record:
        opened.note(unit.path)
        try:
            with without_threads():
                rows = _read(job, unit, images)
                completed = complete(rows, _context(job), images, job.limit)
        except BodyModelError:
            raise
        except EhpsError as error:
            return Outcome(index, _bad_unit(job, unit, error))
        except Exception as error:
            bad = _bad_unit(job, unit, unexpected(error, record.last or unit.path))
            return Outcome(index, replace(bad, traceback=traceback.format_exc()))
    part = _part(unit, completed)
    part.left_out, part.files, part.folders, part.images = rows.left_out, record.files, images.visited, images.read
    _store(parts, index, unit, part, completed)
    return Outcome(index)


def _read(job: Job, unit: Unit, images: ImageIndex) -> Instances:
    """The rows of a unit as the converter gives them, with frames cut out of videos where this was asked for."""
    converter = job.converter
    rows = converter.read(unit)
    if job.strict and rows.absent:
        raise DataError(
            rows.left_out or "no such file",
            path=unit.path,
            fix="unpack it, or convert without --strict to leave it out",
        )
    rows = replace(rows, image_path=[below_root(path) for path in rows.image_path])
    if job.frames is not None and hasattr(converter, "extract_frames"):
        absent = images.missing(rows.image_path)
        if absent:
            converter.extract_frames(unit, absent, job.frames)
            images.forget()
    return rows


def _context(job: Job) -> Context:
    converter = job.converter
    bodies = None if job.bodies is None else _bodies(job.bodies)
    uncut = job.frames is None and hasattr(converter, "extract_frames")
    card = replace(converter.card, sampling=converter.sampling)
    return Context(card, converter.split, bodies, job.strict or job.strict_images, uncut)


def _part(unit: Unit, completed: Completed) -> Part:
    data, account = completed.data, completed.account
    part = Part(unit.name, 0, completed.found, account.dropped, account.absent, account.notes, account.counts)
    if data is not None:
        part.rows, part.columns = len(data), list(data.columns)
        part.passport, part.misc = data.passport.to_dict(), data.misc
    return part


def _store(parts: PartsFolder, index: int, unit: Unit, part: Part, completed: Completed) -> None:
    try:
        if completed.data is not None:
            completed.data.save(parts.rows_path(index, unit))
        parts.save(index, unit, part)
    except DataError as error:
        raise OutputError(error.what, path=error.path, fix=error.fix) from error
    except OSError as error:
        raise OutputError(f"cannot be written ({error.strerror})", path=parts.folder) from error


@lru_cache(maxsize=2)
def _bodies(folder: Path) -> BodyModels:
    return BodyModels(folder)


def _bad_unit(job: Job, unit: Unit, error: EhpsError) -> BadUnit:
    where = error.path if error.path is not None else unit.path
    why = error.what + (f" ({error.fix})" if error.fix else "")
    return BadUnit(unit.name, _relative(job, Path(where)), why)


def unexpected(error: Exception, path: Path) -> DataError:
    """An error that no reader has thought of, in words.

    Parameters
    ----------
    path : the file that was opened last.
    """
    if isinstance(error, OSError):
        return DataError(f"cannot be read: {error.strerror or 'damaged'}", path=error.filename or path)
    match error:
        case KeyError():
            what = f"nothing called {error.args[0]!r} is in it" if error.args else "something is not in it"
        case IndexError():
            what = "a list in it is shorter than it has to be"
        case MemoryError():
            what = "it takes more memory than there is"
        case _:
            what = "a value in it is of another type or size than it has to be"
    frames = traceback.extract_tb(error.__traceback__)
    inner = next((f for f in reversed(frames) if "converters" in f.filename), frames[-1])
    where = f"{Path(inner.filename).name}:{inner.lineno}"
    return DataError(
        f"this file, or one opened before it, is not as the dataset has it: {what} (noticed at {where})",
        path=path,
        fix="compare it with the release that the card names; if it is the same, report this with --debug",
    )


def _relative(job: Job, path: Path) -> str:
    root = job.converter.root
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
