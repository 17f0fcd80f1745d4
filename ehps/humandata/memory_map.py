"""Columns that live in a mapped file: one map a file and process, lazy row selection, pickling by reference.

A data loader's workers get a HumanData as "this window of that file" instead of a copy of the numbers, so thirty
workers share the pages of one file.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from ehps.arrays import Array
from ehps.errors import DataError
from ehps.foreign_files import regular
from ehps.humandata.strings import Strings, Vocabulary

Stamp = tuple[int, int, int]


class MappedFile(mmap.mmap):
    """A whole file mapped read-only, knowing which file in which state it maps."""

    path: Path
    stamp: Stamp
    address: int
    random = False

    def expect(self, *, random: bool) -> None:
        """Tell the system whether single rows or many in a row will be read.

        It reads ahead by default, often megabytes for each of the pages that a row lies on: right for columns, but
        for random rows of a file that is not in memory yet it makes each fifty times slower.
        """
        if random != self.random and hasattr(mmap, "MADV_RANDOM"):
            self.madvise(mmap.MADV_RANDOM if random else mmap.MADV_NORMAL)
        self.random = random


_maps: WeakValueDictionary[tuple[str, Stamp], MappedFile] = WeakValueDictionary()


def stamp_of(path: Path) -> Stamp:
    """Inode, size in bytes and modification time in ns: changes whenever a file is replaced."""
    status = os.stat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns


def map_file(path: Path) -> MappedFile:
    """The map of ``path``; nothing is read. Opening a file twice gives the same map."""
    path = Path(os.path.abspath(path))
    stamp = stamp_of(path)
    found = _maps.get((str(path), stamp))
    if found is not None:
        return found
    with open(regular(path), "rb") as file:
        mapped = MappedFile(file.fileno(), 0, access=mmap.ACCESS_READ)
    mapped.path, mapped.stamp = path, stamp
    mapped.address = np.frombuffer(mapped, np.uint8, 1).__array_interface__["data"][0]
    _maps[str(path), stamp] = mapped
    return mapped


def owner(array: Array) -> MappedFile | None:
    """The mapped file that ``array`` is a view of; None when its numbers are in memory."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview):  # numpy puts one between an array and the buffer it views
        base = base.obj
    return base if isinstance(base, MappedFile) else None


def file_of(column: Any) -> MappedFile | None:
    """The mapped file that rows of this column come from, if any."""
    if isinstance(column, Picked):
        return file_of(column.column)
    return owner(column.codes if isinstance(column, Strings) else column)


class Picked:
    """Rows of a mapped column that are taken when somebody looks at them."""

    __slots__ = ("_taken", "column", "rows")

    def __init__(self, column: Array | Strings, rows: Array) -> None:
        self.column, self.rows = column, rows
        self._taken: Array | Strings | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        tail = () if isinstance(self.column, Strings) else self.column.shape[1:]
        return (len(self.rows), *tail)

    def __getitem__(self, rows: slice) -> Picked:
        return Picked(self.column, self.rows[rows])

    def taken(self) -> Array | Strings:
        if self._taken is None:
            if len(self.rows) == 1:
                row = int(self.rows[0])
                self._taken = self.column[row : row + 1]
            else:
                self._taken = self.column[self.rows]
        return self._taken


@dataclass(frozen=True)
class Window:
    """Where in which file an array lies."""

    path: Path
    stamp: Stamp
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str

    def open(self) -> Array:
        """
        Raises
        ------
        DataError : the file is gone or was replaced since.
        """
        try:
            mapped = map_file(self.path)
        except OSError as error:
            raise DataError(f"cannot be opened again ({error.strerror})", path=self.path) from error
        if mapped.stamp[1:] != self.stamp[1:]:
            raise DataError("was changed after it had been opened", path=self.path, fix="start again with the new file")
        return np.ndarray(self.shape, np.dtype(self.dtype), mapped, self.offset, self.strides)


def pack(column: Any) -> Any:
    """What to pickle for a column: windows where the numbers are in a mapped file, else the numbers."""
    if isinstance(column, Picked):
        return ("picked", pack(column.column), column.rows)
    if isinstance(column, Strings):
        words = column.vocabulary
        return ("strings", pack(column.codes), pack(words.blob), pack(words.offsets), words.source)
    mapped = owner(column)
    if mapped is None or column.size == 0:
        return column
    offset = column.__array_interface__["data"][0] - mapped.address
    return Window(mapped.path, mapped.stamp, offset, column.shape, column.strides, column.dtype.str)


def unpack(packed: Any) -> Any:
    """The column that :func:`pack` described."""
    if isinstance(packed, Window):
        return packed.open()
    if isinstance(packed, np.ndarray):
        return packed
    kind, *parts = packed
    if kind == "picked":
        return Picked(unpack(parts[0]), parts[1])
    codes, blob, offsets = (unpack(part) for part in parts[:3])
    return Strings(codes, Vocabulary(blob, offsets, parts[3]))
