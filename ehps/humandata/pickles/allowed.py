"""Unpickling that cannot run anything: the machinery behind :mod:`ehps.humandata.pickles`.

A pickle names functions and classes and asks for them to be called. Here no such request is ever carried out:
every name on the allow-list becomes a :class:`Recorded` class that only notes the arguments it was given, and
when the stream is at its end the notes are turned into plain data by code of this package (arrays with
``numpy.frombuffer``, frames from their blocks, ...). Any other name ends the reading.

This module holds the notes and how they are resolved; :mod:`ehps.humandata.pickles.unpickler` reads the stream,
``numpy_arrays``, ``sparse_and_chumpy``, ``torch_tensors`` and ``pandas_frames`` know the libraries.
"""

from __future__ import annotations

import collections
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ehps.arrays import Array
from ehps.errors import DataError, UnsafeFileError
from ehps.foreign_files import memory_limit

MAX_DEPTH = 100
MAX_VALUES = 200_000_000
MAX_DENSE_BYTES = 1 << 30  # of an array that a few bytes in the file can ask for


GET_IT = "Get the file again from its publisher, or have its author save plain arrays; do not unpickle it otherwise"
DAMAGED = "Download or copy it again; the file is probably incomplete"

ATOMS = frozenset({bool, int, float, complex, str, bytes, type(None)})


def check_text(array: Array) -> None:
    """ValueError when a text array holds numbers that are no characters; using them would crash later."""
    if array.dtype.kind != "U" or not array.nbytes:
        return
    points = np.ravel(array, order="K").view(np.dtype("u4").newbyteorder(array.dtype.byteorder))
    if points.max() > 0x10FFFF or ((points >= 0xD800) & (points < 0xE000)).any():
        raise ValueError("texts with impossible characters")


class Recorded:
    """What a pickle asked for: the name of a function or class, the arguments, and the state set afterwards."""

    __slots__ = ("args", "state")
    name: ClassVar[str]
    rebuild: ClassVar[Any]  # what Allow.rebuild says
    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: Any) -> Recorded:
        self = object.__new__(cls)
        self.args, self.state = args, None
        return self

    def __setstate__(self, state: Any) -> None:
        self.state = state


class Call:
    """A harmless function that may really be called while reading; a pickle cannot attach a state to it."""

    __slots__ = ("function",)
    function: Callable[..., Any]

    def __init__(self, function: Callable[..., Any]) -> None:
        object.__setattr__(self, "function", function)

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)

    def __setattr__(self, name: str, value: Any) -> None:
        raise pickle.UnpicklingError("a function has no state")

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a function has no state")


@dataclass(frozen=True)
class Allow:
    """A family of names that a pickle may use beyond the base list.

    Attributes
    ----------
    title : what it stands for, in messages.
    names : ``module.name``, or ``module.*`` for everything in a module and its sub-modules.
    rebuild : makes plain data of what was recorded; raises for names it does not know.
    constants : names that are values rather than functions or classes.
    """

    title: str
    names: tuple[str, ...]
    rebuild: Callable[[Recorded, Resolver], Any]
    constants: Mapping[str, Any] = field(default_factory=dict)

    def covers(self, module: str, name: str) -> bool:
        full = f"{module}.{name}"
        return any(
            full.startswith(pattern[:-1]) if pattern.endswith(".*") else full == pattern for pattern in self.names
        )


def refused(where: str, name: str) -> UnsafeFileError:
    return UnsafeFileError(f"refused: the file asks for {name}; nothing was run", path=where, fix=GET_IT)


class Resolver:
    """Turns what was recorded into plain data, within limits of depth and number of values."""

    def __init__(self, where: str) -> None:
        self.where = where
        # id -> the recorded object, kept alive; its value; how many values are in that
        self._done: dict[int, tuple[Any, Any, int]] = {}
        self._open: set[int] = set()
        self._count = 0
        self._bytes = memory_limit()

    def fail(self, what: str) -> DataError:
        return DataError(what, path=self.where, fix=DAMAGED)

    def __call__(self, value: Any) -> Any:
        kind = type(value)
        if kind in ATOMS:
            return value
        if kind in (slice, range, bytearray):
            return bytes(value) if kind is bytearray else value
        key = id(value)
        if key in self._done:
            _, result, count = self._done[key]
            self._counted(count)  # again: whoever goes through the result meets them again
            return result
        if key in self._open:
            raise self.fail("a value contains itself")
        if len(self._open) >= MAX_DEPTH:
            raise self.fail(f"values are nested more than {MAX_DEPTH} deep")
        self._open.add(key)
        before = self._count
        try:
            result = self._resolve(value, kind)
        except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError) as error:
            name = value.name if isinstance(value, Recorded) else kind.__name__
            raise self.fail(f"holds a {name} of an unknown form ({error})") from None
        finally:
            self._open.discard(key)
        self._done[key] = (value, result, self._count - before)
        return result

    def _resolve(self, value: Any, kind: type) -> Any:
        if isinstance(value, Recorded):
            self._counted(1)
            return type(value).rebuild(value, self)
        if kind is list:
            return self.items(value)
        if kind is tuple:
            return tuple(self.items(value))
        if kind in (dict, collections.OrderedDict):
            keys, values = self.items(list(value)), self.items(list(value.values()))
            return dict(zip(keys, values, strict=True))
        if kind in (set, frozenset):
            return kind(self.items(list(value)))
        if isinstance(value, type) and issubclass(value, Recorded):
            raise refused(self.where, value.name)
        raise refused(self.where, f"{kind.__module__}.{kind.__qualname__}")

    def items(self, values: Sequence[Any]) -> Sequence[Any]:
        """All of ``values`` resolved; at C speed where they are all plain scalars."""
        self._counted(len(values))
        if ATOMS.issuperset(map(type, values)):
            return values
        return [self(value) for value in values]

    def array(self, value: Any) -> Array:
        """``value`` as an array, or an error."""
        result = self(value)
        if not isinstance(result, np.ndarray):
            raise TypeError(f"expected an array, got {type(result).__name__}")
        return result

    def spend(self, nbytes: int) -> None:
        """Note that an array of so many bytes is made; many arrays can share the bytes of one in a file."""
        self._bytes -= nbytes
        if self._bytes < 0:
            raise self.fail("asks for more memory than this machine has")

    def _counted(self, n: int) -> None:
        self._count += n
        if self._count > MAX_VALUES:
            raise self.fail(f"holds more than {MAX_VALUES} values")
