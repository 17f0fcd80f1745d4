"""Pickled ``.npz`` members that every numpy since 1.17 and Python since 3.8 can load.

A dict member of HumanData is a pickle of a 0-d object array. numpy 2 writes the module name ``numpy._core`` into
pickles, which numpy below 1.26 does not have; the loaders people run are older than that. So the stream is written
here: protocol 4, ``numpy.core`` names, arrays block by block so that a memory-mapped column is never in memory whole,
lists of numbers and texts without a Python object for each. Facts: pickletools' description of the opcodes.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.humandata.strings import Strings

BLOCK = 1 << 22


@dataclass(frozen=True)
class AsList:
    """A column (N,) of numbers to be stored as a list of N Python scalars."""

    values: Array


def stored_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What a column is stored as: continuous values as float32, the rest as they are, little-endian."""
    return np.dtype("<f4") if dtype.kind == "f" else dtype.newbyteorder("<")


def blocks(array: Array, dtype: np.dtype[Any]) -> Iterator[bytes]:
    """The bytes of ``array`` in C order as ``dtype``, some rows at a time."""
    if array.ndim == 0 or array.size == 0:
        yield np.asarray(array, dtype).tobytes()
        return
    step = max(1, BLOCK // max(1, array[:1].size * dtype.itemsize))
    for start in range(0, len(array), step):
        yield np.asarray(array[start : start + step], dtype).tobytes()


def dump(value: Any, write: Callable[[bytes], Any]) -> None:
    """Write ``value`` as the pickle of a 0-d object array.

    Dicts with str keys, lists, str, numbers, bool, None, numeric arrays, :class:`AsList` (a list of numbers) and
    :class:`~ehps.humandata.strings.Strings` (a list of texts) can be written; TypeError for anything else.
    """
    _Writer(write).whole(value)


def dumps(value: Any) -> bytes:
    """``value`` as a pickle of its own, of what :func:`dump` can write."""
    parts: list[bytes] = []
    writer = _Writer(parts.append)
    writer.write(pickle.PROTO + b"\x04")
    writer.save(value)
    writer.write(pickle.STOP)
    return b"".join(parts)


class _Writer:
    def __init__(self, write: Callable[[bytes], Any]) -> None:
        self.write = write
        self.memo: dict[tuple[str, str], int] = {}

    def whole(self, value: Any) -> None:
        self.write(pickle.PROTO + b"\x04")
        self._array_head((), np.dtype(object))
        self.write(b"](")  # the list that holds the one object
        self.save(value)
        self.write(b"e" + b"tb" + pickle.STOP)

    def save(self, value: Any) -> None:
        if isinstance(value, np.generic):
            value = value.item()
        if value is None:
            self.write(pickle.NONE)
        elif isinstance(value, bool):
            self.write(pickle.NEWTRUE if value else pickle.NEWFALSE)
        elif isinstance(value, int):
            self.write(_integer(value))
        elif isinstance(value, float):
            self.write(pickle.BINFLOAT + struct.pack(">d", value))
        elif isinstance(value, str):
            self._text(value)
        elif isinstance(value, Mapping):
            self.write(b"}(")
            for key, item in value.items():
                self._text(str(key))
                self.save(item)
            self.write(pickle.SETITEMS)
        elif isinstance(value, list | tuple):
            self.write(b"](")
            for item in value:
                self.save(item)
            self.write(pickle.APPENDS)
        elif isinstance(value, Strings):
            self._texts(value)
        elif isinstance(value, AsList):
            self._scalars(value.values)
        elif isinstance(value, np.ndarray):
            self._array(value)
        else:
            raise TypeError(f"a {type(value).__name__} cannot be stored in an npz")

    def _text(self, text: str) -> None:
        self._once("text", text, lambda: self.write(_unicode(text)))

    def _once(self, kind: str, name: str, write: Callable[[], Any]) -> None:
        key = (kind, name)
        if key in self.memo:
            self.write(pickle.LONG_BINGET + struct.pack("<I", self.memo[key]))
            return
        write()
        self.memo[key] = len(self.memo)
        self.write(pickle.MEMOIZE)

    def _named(self, module: str, name: str) -> None:
        self._once(module, name, lambda: self.write(f"c{module}\n{name}\n".encode()))

    def _texts(self, column: Strings) -> None:
        codes, inverse = np.unique(column.codes, return_inverse=True)
        for code in codes.tolist():
            self._text(column.vocabulary[code])
            self.write(pickle.POP)
        places = np.array([self.memo["text", column.vocabulary[code]] for code in codes.tolist()], "<u4")
        out = np.empty(len(column), [("op", "S1"), ("place", "<u4")])
        out["op"], out["place"] = pickle.LONG_BINGET, places[inverse.ravel()] if len(codes) else 0
        self.write(b"](" + out.tobytes() + pickle.APPENDS)

    def _scalars(self, values: Array) -> None:
        self.write(b"](")
        step = BLOCK // 16
        for start in range(0, len(values), step):
            self.write(_scalar_opcodes(np.asarray(values[start : start + step])))
        self.write(pickle.APPENDS)

    def _array(self, array: Array) -> None:
        dtype = stored_dtype(array.dtype)
        if dtype.kind not in "biufc":
            raise TypeError(f"an array of {dtype} cannot be stored in an npz")
        self._array_head(array.shape, dtype)
        self.write(pickle.BINBYTES8 + struct.pack("<Q", array.size * dtype.itemsize))
        for block in blocks(array, dtype):
            self.write(block)
        self.write(b"tb")

    def _array_head(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Everything of an array but its data: ``_reconstruct(ndarray, (0,), b"b")`` and the start of its state."""
        self._named("numpy.core.multiarray", "_reconstruct")
        self._named("numpy", "ndarray")
        self.write(b"K\x00\x85C\x01b\x87R(K\x01(" + b"".join(map(_integer, shape)) + b"t")
        self._named("numpy", "dtype")
        self.write(_unicode(dtype.str[1:]) + b"\x89\x88\x87R")
        flags = 63 if dtype.hasobject else 0
        order = dtype.str[0]
        self.write(b"(K\x03" + _unicode(order) + b"NNN" + _integer(-1) * 2 + _integer(flags) + b"tb\x89")


def _scalar_opcodes(values: Array) -> bytes:
    if values.dtype.kind == "b":
        return np.where(values, 0x88, 0x89).astype("u1").tobytes()
    if values.dtype.kind == "f":
        floats = np.empty(len(values), [("op", "S1"), ("value", ">f8")])
        floats["op"], floats["value"] = pickle.BINFLOAT, values
        return floats.tobytes()
    if values.dtype.kind not in "iu":
        raise TypeError(f"a list of {values.dtype} cannot be stored in an npz")
    if len(values) and (values.min() < -(2**31) or values.max() >= 2**31):
        return b"".join(map(_integer, values.tolist()))
    integers = np.empty(len(values), [("op", "S1"), ("value", "<i4")])
    integers["op"], integers["value"] = pickle.BININT, values
    return integers.tobytes()


def _integer(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return pickle.BININT + struct.pack("<i", value)
    encoded = pickle.encode_long(value)
    return pickle.LONG1 + bytes([len(encoded)]) + encoded


def _unicode(text: str) -> bytes:
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) < 256:
        return pickle.SHORT_BINUNICODE + bytes([len(encoded)]) + encoded
    return pickle.BINUNICODE + struct.pack("<I", len(encoded)) + encoded
