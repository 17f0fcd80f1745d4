"""Which raw files something was made of: those that were opened, listed or looked for, and what they were then.

Readers note a file before they open it. The pipeline records what a unit needs, to take up its rows again only while
all of that is as it was, and to know which file an error is about.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

PRESENT = "\0present"
SMALL = 1 << 16  # bytes up to which content is compared instead of the time of the last change

Value = TypeVar("Value")


@dataclass
class Record:
    """Files in the order in which they were first noted.

    Attributes
    ----------
    files : path -> its state then, see :func:`state`.
    last : the one noted last as opened or listed, None before the first.
    """

    files: dict[str, str] = field(default_factory=dict)
    last: Path | None = None

    def add(self, other: Record) -> None:
        """What another record has, after what this one has."""
        self.files = other.files | self.files
        self.last = other.last or self.last


_record: ContextVar[Record | None] = ContextVar("record", default=None)


@contextmanager
def recording() -> Iterator[Record]:
    """Record what is noted from here on in this thread; records may lie within one another."""
    own, outer = Record(), _record.get()
    token = _record.set(own)
    try:
        yield own
    finally:
        _record.reset(token)
        if outer is not None:
            outer.add(own)


def note(path: Path | str) -> None:
    """Say that ``path`` is about to be opened, listed, or asked whether it is there."""
    _note(os.path.abspath(path))


def is_file(path: Path) -> bool:
    """Whether there is such a file; what is in it does not matter until it is opened."""
    _note(os.path.abspath(path) + PRESENT)
    return path.is_file()


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; what is in it does not matter."""
    _note(os.path.abspath(path) + PRESENT)
    return path.is_dir()


def state(path: Path | str) -> str:
    """What tells whether a file has changed: size and content where it is small, else size and time of the last
    change; of a folder the names in it; of what ends in :data:`PRESENT` only whether it is a file, a folder or absent.
    """
    name = os.fspath(path)
    try:
        if name.endswith(PRESENT):
            name = name.removesuffix(PRESENT)
            return "folder" if os.path.isdir(name) else "file" if os.path.isfile(name) else "absent"
        if os.path.isdir(name):
            names = sorted(entry for entry in os.listdir(name) if not entry.startswith("."))
            return "names " + _digest("\0".join(names).encode("utf-8", "surrogateescape"))
        status = os.stat(name)
        if os.path.isfile(name) and status.st_size <= SMALL:
            return f"{status.st_size} {_digest(Path(name).read_bytes())}"
        return f"{status.st_size} {status.st_mtime_ns}"
    except OSError:
        return "absent"


def unchanged(files: dict[str, str], state: Callable[[str], str] = state) -> bool:
    """Whether all files are as they were recorded.

    Parameters
    ----------
    state : of a path; given where it is remembered for many records.
    """
    return all(state(path) == found for path, found in files.items())


def remembered(most: int) -> Callable[[Callable[..., Value]], Callable[..., Value]]:
    """Keep the last ``most`` results of a function of hashable arguments for as long as the files that it opened are
    what they were. Those files are noted each time a result is given out."""

    def decorate(read: Callable[..., Value]) -> Callable[..., Value]:
        kept: OrderedDict[Hashable, tuple[Value, Record]] = OrderedDict()

        @wraps(read)
        def wrapper(*arguments: Any) -> Value:
            value, made_of = kept.get(arguments, (None, None))
            if made_of is None or not unchanged(made_of.files):
                with recording() as made_of:
                    value = read(*arguments)
            elif (record := _record.get()) is not None:
                record.add(made_of)
            kept[arguments] = (value, made_of)  # type: ignore[assignment]
            kept.move_to_end(arguments)
            while len(kept) > most:
                kept.popitem(last=False)
            return value  # type: ignore[return-value]

        wrapper.cache_clear = kept.clear  # type: ignore[attr-defined]
        return wrapper

    return decorate


def _note(name: str) -> None:
    record = _record.get()
    if record is None:
        return
    if name not in record.files:
        record.files[name] = state(name)
    if not name.endswith(PRESENT):
        record.last = Path(name)


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=12).hexdigest()
