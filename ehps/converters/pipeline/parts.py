"""Part files of a conversion: one a unit, beside the output, so that a killed run goes on where it was.

``OUT.parts/`` holds a folder for each request, which is named by the hash of what was asked for. In it are
``request.json``, the same in words, and per unit ``<index>-<slug>.h5`` with its rows and ``.json`` with what was left
out, written last: a part counts when its json is there, its rows are those that were written, and neither the raw files
that the unit opened nor its images have changed since. ``.bad`` says why a unit could not be read. In ``claims/`` are
those of all processes that write there; see :mod:`ehps.converters.pipeline.sharing`.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
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
REQUEST = "request.json"
LAUNCH = "launch"
LOCK, CLAIMS = "lock", "claims"
OWN = (LOCK, CLAIMS)
"""What lies among the folders of the requests."""


@dataclass
class Part:
    """What is known about one finished unit without opening its rows.

    Attributes
    ----------
    files : the raw files that it was made of, and their states then; see :mod:`ehps.converters.readers.opened`.
    folders : image folders that were listed; see :attr:`ImageIndex.visited`.
    images : the images whose headers were read; see :attr:`ImageIndex.read`.
    size : bytes of the rows' file.
    launch : of the processes that converted together when it was made.
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
    launch: str = ""


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


class PartsFolder:
    """The folder of part files of one request for one output.

    Parameters
    ----------
    key : hash of the request.
    launch : tells the processes that convert together now from earlier ones.
    """

    def __init__(self, out: Path, key: str, launch: str = "") -> None:
        self.out, self.key, self.launch = out, key, launch
        self.folder = parts_root(out) / key
        self.claims = parts_root(out) / CLAIMS
        self.listings = self.claims / "listings"

    def rows_path(self, index: int, unit: Unit) -> Path:
        slug = re.sub(r"[^A-Za-z0-9_.-]+", "-", unit.name).strip("-.")[:60] or "unit"
        return self.folder / f"{index:05d}-{slug}.h5"

    def prepare(self, request: Mapping[str, Any], *, new: bool, launch: str | None) -> None:
        """Make the folder.

        Parameters
        ----------
        new : nobody else converts into it: what killed processes were writing, or could not read, is cleared.
        launch : to be noted there, see :attr:`last_launch`.

        Raises
        ------
        DataError : the disk is full or may not be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for pattern in ("*.tmp", "*.bad", LAUNCH) if new else ():
                for left in self.folder.glob(pattern):
                    left.unlink()
            if launch is not None:
                _write_text(self.folder / LAUNCH, launch)
            if not self.there:
                _write_text(self.folder / REQUEST, json.dumps(request, indent=1, sort_keys=True))
        except OSError as error:
            raise write_error(error, self.folder) from error

    @property
    def last_launch(self) -> str | None:
        """What was noted of processes that are started one after another; None where there was nothing to note."""
        try:
            return (self.folder / LAUNCH).read_text(encoding="utf-8")
        except OSError:
            return None

    @property
    def there(self) -> bool:
        """False once the output has been joined."""
        return (self.folder / REQUEST).is_file()

    def save(self, index: int, unit: Unit, part: Part) -> None:
        """Note that the unit is finished."""
        path = self.rows_path(index, unit)
        part.size, part.launch = path.stat().st_size if part.rows else 0, self.launch
        _write_text(path.with_suffix(".json"), json.dumps(asdict(part), default=_plain))

    def save_bad(self, index: int, unit: Unit, bad: BadUnit) -> None:
        """Note that the unit cannot be read, for those that convert now."""
        _write_text(self.rows_path(index, unit).with_suffix(".bad"), json.dumps(asdict(bad)))

    def is_finished(self, index: int, unit: Unit) -> bool:
        """Whether the unit is noted as finished."""
        return self.rows_path(index, unit).with_suffix(".json").is_file()

    def forget(self, index: int, unit: Unit) -> None:
        """Note that the unit has to be done again."""
        self.rows_path(index, unit).with_suffix(".json").unlink(missing_ok=True)

    def noted(self, ending: str) -> set[int]:
        """Indices of the units that are noted as finished (``json``) or as those that cannot be read (``bad``)."""
        return {int(path.name.partition("-")[0]) for path in self.folder.glob(f"[0-9]*-*.{ending}")}

    def load_bad(self, index: int, unit: Unit) -> BadUnit | None:
        """Why a unit could not be read; None when that is not noted."""
        try:
            text = self.rows_path(index, unit).with_suffix(".bad").read_text(encoding="utf-8")
            return BadUnit(**json.loads(text))
        except (OSError, ValueError, TypeError):
            return None

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
        """Take the folder away once the output is there."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _write_text(path: Path, text: str) -> None:
    with replacing(path, lasting=False) as temporary:  # a part that is lost is made again
        temporary.write_text(text, encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"{type(value).__name__} cannot be noted in a part's description")
