"""Variables of MATLAB files of the versions 5 to 7.2: numbers, text, and cells and structs of them.

After 128 bytes of header comes one element a variable, possibly compressed. An element is a type and a size, then its
data; those of a variable are elements again: flags with its class, dimensions, name, and what the class has.

A damaged file leads scipy's compiled reader to memory that is not its own, which ends the process. So files are read
here, where each type, size and count is compared with the bytes that are there before anything is made of it.
Source: MathWorks, MAT-File Format; arrays are those of ``scipy.io.loadmat``.
"""

from __future__ import annotations

import math
import sys
import zlib
from collections import Counter
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from struct import Struct, unpack_from
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ehps.errors import DataError
from ehps.foreign_files import check_unfolded

Array = npt.NDArray[Any]

HEADER = 128
BLOCK = 1 << 16
HEAD = 1024  # bytes of a variable in which its flags, dimensions and name end

MATRIX, COMPRESSED = 14, 15
INTEGERS, NAMES = (5, 6), (1, 16)
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
TEXTS = {1: "ascii", 2: "ascii", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
"""Types of elements."""

CELL, STRUCT, CHAR, NUMERIC, OPAQUE = 1, 2, 4, range(6, 16), 17
NOT_READ = {3: "an object", 5: "a sparse array", 16: "a function", OPAQUE: "an object", 18: "an object"}
"""Classes of arrays."""

COMPLEX = 1 << 11  # of the flags
MAX_AXES = 32
MAX_FIELDS = 1 << 16
MAX_DEPTH = 64  # of cells and structs within one another
ITEM = 128  # bytes that the smallest array takes

PLAIN = "take the original file; it has numbers, text, cells and structs"


class DamagedError(Exception):
    """What is not as the format asks, a sentence without a full stop."""


@dataclass
class Limit:
    """Counts the bytes of memory that variables of a file ask for."""

    path: Path
    stored: int
    asked: int = 0

    def add(self, nbytes: int) -> None:
        """
        Raises
        ------
        DataError : they ask for more than their file may.
        """
        self.asked += nbytes
        check_unfolded(self.asked, self.stored, self.path)


class Header(NamedTuple):
    """What an array begins with.

    Attributes
    ----------
    kind : its class.
    is_complex : whether its numbers are.
    shape : its dimensions.
    size : their product.
    name : empty within cells and structs.
    at : where the rest of the array begins.
    """

    kind: int
    is_complex: bool
    shape: tuple[int, ...]
    size: int
    name: str
    at: int


def read(file: BufferedReader, path: Path, wanted: list[str]) -> dict[str, Array]:
    """Those of the wanted variables that are there, axes in MATLAB's order; of the others only headers are read.

    Raises
    ------
    DamagedError : the file is not as its format asks.
    DataError : a wanted variable is of a class that is not read, or they ask for more memory than their file may.
    """
    limit = Limit(path, path.stat().st_size)
    start = file.read(HEADER)
    order = {b"IM": "<", b"MI": ">"}.get(start[126:])
    if order is None or unpack_from(f"{order}H", start, 124)[0] != 0x100:
        raise DamagedError("its header is none of the versions 5 to 7.2")
    found: dict[str, Array] = {}
    at = HEADER
    while at < limit.stored:
        tag = file.read(8)
        if len(tag) < 8:
            raise DamagedError(f"it ends within the first 8 bytes of the variable at byte {at}")
        kind, size = unpack_from(f"{order}II", tag)
        if kind not in (MATRIX, COMPRESSED):
            raise DamagedError(f"at byte {at} begins no variable, but an element of type {kind}")
        if (missing := at + 8 + size - limit.stored) > 0:
            raise DamagedError(f"the last {missing} of {size} bytes of the variable at byte {at} are not there")
        end = at + 8 + size
        head = _unfolded(file, at, end, kind, 8 + HEAD)
        kept, length = unpack_from(f"{order}II", head) if len(head) >= 8 else (0, 0)
        if kept != MATRIX:
            raise DamagedError(f"the variable at byte {at} unfolds to something else")
        name = _Elements(head, order, limit).header(8, len(head)).name
        if name in wanted and name not in found:
            limit.add(length)
            found[name] = _array(_unfolded(file, at, end, kind, 8 + length + 1), length, name, order, limit)
        at = end
        file.seek(at)
    return found


def _unfolded(file: BufferedReader, at: int, end: int, kind: int, most: int) -> memoryview:
    """The first ``most`` bytes of a variable that is in the places given, without its compression; those whose
    compression is not ended are as good as others."""
    if kind != COMPRESSED:
        file.seek(at)
        stored = np.empty(min(most, end - at), np.uint8)
        return memoryview(stored)[: file.readinto(stored)]
    file.seek(at + 8)
    data, stream = bytearray(), zlib.decompressobj()
    try:
        while len(data) < most and (block := file.read(min(BLOCK, end - file.tell()))):
            data += stream.decompress(block, most - len(data))
    except zlib.error:
        raise DamagedError(f"the compression of the variable at byte {at} is broken") from None
    return memoryview(data)


def _array(data: memoryview, length: int, name: str, order: str, limit: Limit) -> Array:
    """What is in a variable of a tag and ``length`` bytes."""
    try:
        if len(data) != 8 + length:
            raise DamagedError(f"{8 + length} bytes unfold to {'more' if len(data) > 8 + length else len(data)}")
        return _Elements(data, order, limit).array(8, len(data))
    except DamagedError as error:
        raise DamagedError(f"in {name}, {error}") from None


@dataclass
class _Elements:
    """Bytes of a variable, read from a place ``at`` up to a place ``end``."""

    data: memoryview
    order: str
    limit: Limit

    def __post_init__(self) -> None:
        self.tag = Struct(f"{self.order}II").unpack_from
        self.dtypes = {kind: np.dtype(self.order + code) for kind, code in NUMBERS.items()}

    def element(self, at: int, end: int) -> tuple[int, int, int, int]:
        """Type, beginning and size of the data of an element, and where the next one begins."""
        if at + 8 > end:
            raise DamagedError("an element is missing")
        kind, size = self.tag(self.data, at)
        if small := kind >> 16:  # size and type in 4 bytes, up to 4 bytes of data in the next
            if small > 4:
                raise DamagedError(f"{small} bytes of data are said to be in 4")
            return kind & 0xFFFF, at + 4, small, at + 8
        if (missing := at + 8 + size - end) > 0:
            raise DamagedError(f"the last {missing} of {size} bytes of an element are not there")
        return kind, at + 8, size, min(at + 8 + size + -size % 8, end)

    def integers(self, at: int, end: int) -> tuple[tuple[int, ...], int]:
        """Integers of 4 bytes, and where the next element begins."""
        kind, start, size, after = self.element(at, end)
        if kind not in INTEGERS or size % 4 or size > 4 * MAX_AXES:
            raise DamagedError(f"flags, dimensions or lengths are {size} bytes of type {kind}")
        return unpack_from(f"{self.order}{size // 4}i", self.data, start), after

    def string(self, at: int, end: int) -> tuple[bytes, int]:
        """A name or names, and where the next element begins."""
        kind, start, size, after = self.element(at, end)
        if kind not in NAMES:
            raise DamagedError(f"a name is of type {kind}")
        return bytes(self.data[start : start + size]), after

    def header(self, at: int, end: int) -> Header:
        """What an array begins with that is in the places given."""
        flags, at = self.integers(at, end)
        if len(flags) != 2:
            raise DamagedError(f"an array has {len(flags)} flags")
        kind = flags[0] & 0xFF
        shape: tuple[int, ...] = ()
        if kind != OPAQUE:
            shape, at = self.integers(at, end)
            if len(shape) < 2:
                raise DamagedError(f"an array has {len(shape)} dimensions")
            if min(shape) < 0 or math.prod(filter(None, shape)) > sys.maxsize // 16:
                raise DamagedError(f"an array has dimensions {shape}")
        name, at = self.string(at, end)
        return Header(kind, bool(flags[0] & COMPLEX), shape, math.prod(shape), name.decode("latin-1"), at)

    def array(self, at: int, end: int, depth: int = 0) -> Array:
        """The array that is in the places given, of any class."""
        if at == end:
            return np.zeros((1, 0))
        if depth > MAX_DEPTH:
            raise DamagedError(f"cells or structs are nested more than {MAX_DEPTH} deep")
        header = self.header(at, end)
        if header.kind in NUMERIC:
            return self.numbers(header, end)
        if header.kind == CHAR:
            return self.text(header, end)
        if header.kind == CELL:
            return self.cells(header, end, depth)
        if header.kind == STRUCT:
            return self.structs(header, end, depth)
        if header.kind not in NOT_READ:
            raise DamagedError(f"an array is of class {header.kind}")
        what = f"holds {NOT_READ[header.kind]}; what is read are numbers, text, and cells and structs of them"
        raise DataError(what, path=self.limit.path, fix=PLAIN)

    def numbers(self, header: Header, end: int) -> Array:
        parts, at = [], header.at
        for _ in range(1 + header.is_complex):
            kind, start, size, at = self.element(at, end)
            dtype = self.dtypes.get(kind)
            if dtype is None:
                raise DamagedError(f"numbers are of type {kind}")
            if size != header.size * dtype.itemsize:
                raise DamagedError(f"{header.shape} numbers of {dtype.itemsize} bytes are in {size} bytes")
            parts.append(np.ndarray(header.shape, dtype, self.data, start, order="F"))
        self.ended(at, end)
        if len(parts) == 1:
            return parts[0]
        values = parts[0].astype("c8" if parts[0].itemsize == 4 else "c16")
        values.imag = parts[1]
        return values

    def text(self, header: Header, end: int) -> Array:
        """Strings, of which each is what MATLAB has along the last axis."""
        kind, start, size, at = self.element(header.at, end)
        self.ended(at, end)
        if not header.size:
            return np.zeros((0,) * (len(header.shape) - 1), "U1")
        self.limit.add(4 * header.size)
        if not size:  # such files exist
            text = " " * header.size
        elif kind in TEXTS:
            ending = {"<": "-le", ">": "-be"}[self.order] if TEXTS[kind] in ("utf-16", "utf-32") else ""
            text = str(self.data[start : start + size], TEXTS[kind] + ending, "replace")
        else:
            raise DamagedError(f"a text is of type {kind}")
        if len(text) < header.size:
            raise DamagedError(f"a text of {header.shape} letters has {len(text)}")
        letters = np.ndarray(header.shape, "U1", np.array(text), order="F")
        return np.ascontiguousarray(letters).view(f"U{header.shape[-1]}").reshape(header.shape[:-1])

    def cells(self, header: Header, end: int, depth: int) -> Array:
        at = header.at
        values = self.places(header, 1, end - at)
        for i in range(header.size):
            values[i], at = self.item(at, end, depth)
        self.ended(at, end)
        return values.reshape(header.shape, order="F")

    def structs(self, header: Header, end: int, depth: int) -> Array:
        """Records of objects, one a struct; objects without a value where there are no fields."""
        length, at = self.integers(header.at, end)
        stored, at = self.string(at, end)
        if len(length) != 1 or length[0] < 1 or len(stored) % length[0]:
            raise DamagedError(f"names of fields are {len(stored)} bytes, for {length} each")
        if len(stored) // length[0] > MAX_FIELDS:
            raise DamagedError(f"a struct has {len(stored) // length[0]} fields")
        names, seen = [], Counter[str]()
        for i in range(0, len(stored), length[0]):
            text, ended, _ = stored[i : i + length[0]].partition(b"\0")
            name = text.decode("utf-8", "replace")
            names.append(f"_{seen[name]}_{name}" if seen[name] else name)  # files with one name for several exist
            seen[name] += 1
            if not name or not ended:
                raise DamagedError(f"a struct has a field {name!r}")
        if len(set(names)) < len(names):
            raise DamagedError("two fields of a struct have one name")
        values = self.places(header, len(names), end - at)
        if names:
            values = np.empty(header.size, [(name, object) for name in names])
        for i in range(header.size):
            for name in names:
                values[name][i], at = self.item(at, end, depth)
        self.ended(at, end)
        return values.reshape(header.shape, order="F")

    def places(self, header: Header, fields: int, left: int) -> Array:
        """(size,) objects, for arrays that are in the ``left`` bytes."""
        if 8 * header.size * fields > left:
            raise DamagedError(f"{header.shape} cells or structs of {fields} fields are in {left} bytes")
        self.limit.add(ITEM * header.size * max(fields, 1))
        return np.empty(header.size, object)

    def item(self, at: int, end: int, depth: int) -> tuple[Array, int]:
        """The array of a cell or field, and where the next one begins."""
        kind, start, size, after = self.element(at, end)
        if kind != MATRIX:
            raise DamagedError(f"in a cell or field is an element of type {kind}")
        return self.array(start, start + size, depth + 1), after

    def ended(self, at: int, end: int) -> None:
        """Check that no element is left between what was read of an array and its end."""
        if end - at >= 8:
            raise DamagedError(f"{end - at} bytes are left behind the last element of an array")
