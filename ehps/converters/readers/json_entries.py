"""A json file of several GB as a mapping from its keys to its entries, of which one at a time is in memory.

Fit files are one object ``{"<number>": {...}, ...}`` with up to millions of entries; parsed whole, two million of
them take 30 GB. Here the file is searched once for its keys, which costs 16 bytes an entry to remember and a few
seconds a GB; entries are parsed when asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ehps.arrays import Array
from ehps.converters.readers import AGAIN, OTHER, opened
from ehps.converters.readers.json_stream import parse, why_not
from ehps.errors import DataError

KEY = re.compile(rb'"(-?\d{1,18})"\s*:\s*(?=\S)')
LONGEST = 64  # bytes that a key and the white space around it may take
BLOCK = 1 << 22


class KeyedJson(Mapping[str, Any]):
    """Entries by key; a key may be given as text or number.

    Attributes
    ----------
    keys_sorted : (N,) int64.
    starts : (N,) bytes, where the entry of each key begins.
    stops : (N,) bytes, where its successor's key begins.
    """

    def __init__(self, path: Path | str) -> None:
        """
        Raises
        ------
        DataError : the file is missing, truncated, or not an object of objects keyed by numbers.
        """
        self.path = Path(path)
        opened.note(path)
        try:
            keys, befores, starts, size = _index(self.path)
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror or error}", path=path, fix=AGAIN) from None
        order = np.argsort(keys, kind="stable")
        self.keys_sorted, self.starts = keys[order], starts[order]
        self.stops = np.append(befores[1:], size)[order]
        self._last = size
        self._check_ends(int(starts[-1]) if len(starts) else 0)

    def __len__(self) -> int:
        return len(np.unique(self.keys_sorted))

    def __iter__(self) -> Iterator[str]:
        return map(str, np.unique(self.keys_sorted).tolist())

    def __contains__(self, key: object) -> bool:
        return self._place(key) >= 0

    def __getitem__(self, key: str | int) -> Any:
        if key not in self:
            raise KeyError(key)
        return self.take([key])[0]

    def has(self, keys: Array) -> npt.NDArray[np.bool_]:
        """(M,) which of the integers ``keys`` have an entry."""
        if not len(self.keys_sorted):
            return np.zeros(len(keys), bool)
        place = np.minimum(np.searchsorted(self.keys_sorted, keys), len(self.keys_sorted) - 1)
        return np.asarray(self.keys_sorted[place] == keys)

    def take(self, keys: Iterable[str | int]) -> list[Any]:
        """Entries of keys that are there, in their order.

        Raises
        ------
        DataError : an entry is not json.
        """
        opened.note(self.path)
        with open(self.path, "rb", buffering=0) as file:
            return [self._entry(file, key) for key in keys]

    def _place(self, key: object) -> int:
        """Index of a key, -1 when it is not there; of equal keys the last counts, as in json."""
        try:
            number = int(key)  # type: ignore[call-overload]
        except (TypeError, ValueError):
            return -1
        place = int(np.searchsorted(self.keys_sorted, number, side="right")) - 1
        return place if place >= 0 and self.keys_sorted[place] == number else -1

    def _entry(self, file: FileIO, key: str | int) -> Any:
        place = self._place(key)
        start, stop = int(self.starts[place]), int(self.stops[place])
        end = b"}" if stop == self._last else b","
        file.seek(start)
        try:
            return parse(file.read(stop - start).rstrip().removesuffix(end))
        except (ValueError, RecursionError) as error:
            raise DataError(f"entry {key} is not JSON ({why_not(error)})", path=self.path, fix=AGAIN) from None

    def _check_ends(self, last: int) -> None:
        with open(self.path, "rb") as file:
            head = file.read(LONGEST).lstrip(b"\xef\xbb\xbf \t\r\n")
            file.seek(max(self._last - LONGEST, 0))
            tail = file.read().rstrip()
        known = b"" if not len(self) else b'"'
        if not head.startswith(b"{") or not head[1:].lstrip().startswith(known or b"}"):
            raise DataError("is not an object keyed by numbers", path=self.path, fix=OTHER)
        if not tail.endswith(b"}"):
            raise DataError("is not complete JSON: it ends in the middle", path=self.path, fix=AGAIN)
        if last:
            self.take([int(self.keys_sorted[np.flatnonzero(self.starts == last)[0]])])


def _index(path: Path) -> tuple[Array, Array, Array, int]:
    """Keys in the order of the file, where each key and its entry begin, and the size of the file."""
    keys: list[Array] = []
    befores: list[Array] = []
    starts: list[Array] = []
    with open(path, "rb") as file:
        rest, offset, last = b"", 0, -1
        while block := file.read(BLOCK):
            text = rest + block
            found = [(int(m[1]), offset + m.start(), offset + m.end()) for m in KEY.finditer(text)]
            block_keys, before, start = np.array(found, np.int64).reshape(-1, 3).T
            new = before > last
            keys.append(block_keys[new])
            befores.append(before[new])
            starts.append(start[new])
            last = int(before[-1]) if len(before) else last
            rest = text[-LONGEST:]
            offset += len(text) - len(rest)
        size = offset + len(rest)
    joined = [np.concatenate(parts or [np.zeros(0, np.int64)]) for parts in (keys, befores, starts)]
    return joined[0], joined[1], joined[2], size


def keyed_json(path: Path | str) -> KeyedJson:
    """The entries of ``path``; the file is searched once in a process as long as it does not change.

    Raises
    ------
    DataError : see :class:`KeyedJson`.
    """
    return _remembered(Path(path))


@opened.remembered(2)
def _remembered(path: Path) -> KeyedJson:
    return KeyedJson(path)
