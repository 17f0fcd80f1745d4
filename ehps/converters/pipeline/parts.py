"""Part files of a conversion: one a unit, beside the output, so that a killed run goes on where it was.

``OUT.parts/`` holds a folder for each request, which is named by the hash of what was asked for. In it are
``request.json``, the same in words, and per unit ``<index>-<slug>.h5`` with its rows and ``.json`` with what was left
out, written last: a part counts when its json is there, its rows are those that were written, and neither the raw files
that the unit opened nor its images have changed since.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ehps.atomic import replacing, write_error
from ehps.converters.base import Unit
from ehps.converters.readers import opened
from ehps.converters.readers.images import ImageIndex
from ehps.errors import DataError
from ehps.humandata.storage import h5

FINISHED = "[0-9]*-*.json"
LOCK = "lock"


@dataclass
class Part:
    """What is known about one finished unit without opening its rows.

    Attributes
    ----------
    files : the raw files that it was made of, and their states then; see :mod:`ehps.converters.readers.opened`.
    folders : image folders that were listed; see :attr:`ImageIndex.visited`.
    images : the images whose headers were read; see :attr:`ImageIndex.read`.
    size : bytes of the rows' file.
    """

    unit: str
    rows: int
    found: int
    dropped: dict[str, list[str]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    columns: list[str] = field(default_factory=list)
    passport: dict[str, Any] = field(default_factory=dict)
    misc: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    folders: dict[str, list[int]] = field(default_factory=dict)
    images: dict[str, dict[str, str]] = field(default_factory=dict)
    size: int = 0
    left_out: str = ""


@dataclass(frozen=True)
class BadUnit:
    """A unit that could not be read: its name, the file it is about, and why.

    Attributes
    ----------
    traceback : where in the code, when the error was one that nobody has thought of.
    """

    unit: str
    path: str
    why: str
    traceback: str = ""

    def __str__(self) -> str:
        return f"{self.unit}: {self.why}" + (f" [{self.path}]" if self.path else "")


def parts_root(out: Path) -> Path:
    """The folder that holds the parts of all requests for one output."""
    return out.with_name(out.name + ".parts")


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keep other processes from the same output, whatever they were asked for; the lock dies with its process.

    Raises
    ------
    DataError : another conversion is writing there.
    """
    root = parts_root(out)
    try:
        root.mkdir(parents=True, exist_ok=True)
        handle = os.open(root / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise write_error(error, root) from error
    try:
        _lock(handle, out)
        yield
    finally:
        os.close(handle)


class PartsFolder:
    """The folder of part files of one request for one output.

    Parameters
    ----------
    key : hash of the request.
    """

    def __init__(self, out: Path, key: str) -> None:
        self.out = out
        self.folder = parts_root(out) / key

    def rows_path(self, index: int, unit: Unit) -> Path:
        slug = re.sub(r"[^A-Za-z0-9_.-]+", "-", unit.name).strip("-.")[:60] or "unit"
        return self.folder / f"{index:05d}-{slug}.h5"

    def prepare(self, request: Mapping[str, Any]) -> None:
        """Make the folder, and clear what a killed run was writing.

        Raises
        ------
        DataError : the disk is full or may not be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for unfinished in self.folder.glob("*.tmp"):
                unfinished.unlink()
            _write_text(self.folder / "request.json", json.dumps(request, indent=1, sort_keys=True))
        except OSError as error:
            raise write_error(error, self.folder) from error

    def save(self, index: int, unit: Unit, part: Part) -> None:
        """Note that the unit is finished."""
        path = self.rows_path(index, unit)
        part.size = path.stat().st_size if part.rows else 0
        _write_text(path.with_suffix(".json"), json.dumps(asdict(part), default=_plain))

    def load(self, index: int, unit: Unit) -> Part | None:
        """What was noted about a finished unit; None when it has to be done (again)."""
        path = self.rows_path(index, unit)
        try:
            part = Part(**json.loads(path.with_suffix(".json").read_text(encoding="utf-8")))
            if part.rows and path.stat().st_size != part.size:
                return None
        except (OSError, ValueError, TypeError):
            return None
        return part

    def holds(self, index: int, unit: Unit, part: Part, images: ImageIndex, state: Callable[[str], str]) -> bool:
        """Whether a part that an earlier run has finished can be taken as it is.

        Parameters
        ----------
        images : below the root as it is now.
        state : of a raw file now; see :func:`ehps.converters.readers.opened.state`.
        """
        if not opened.unchanged(part.files, state) or not images.unchanged(part.folders, part.images):
            return False
        try:
            return not part.rows or not h5.damaged_columns(self.rows_path(index, unit))
        except DataError:
            return False

    def remove(self) -> None:
        """Take the folder away once the output is there; that of all parts too when no other request has any."""
        shutil.rmtree(self.folder, ignore_errors=True)
        root = parts_root(self.out)
        if {path.name for path in root.iterdir()} <= {LOCK}:
            shutil.rmtree(root, ignore_errors=True)


def _write_text(path: Path, text: str) -> None:
    with replacing(path, lasting=False) as temporary:  # a part that is lost is made again
        temporary.write_text(text, encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"{type(value).__name__} cannot be noted in a part's description")


def _lock(handle: int, out: Path) -> None:
    try:
        import fcntl
    except ImportError:  # no such locks on this system: two conversions to one output are then not kept apart
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DataError("another conversion is writing this file", path=out, fix="wait for it to end") from None
    except OSError:  # a file system without locks
        return
