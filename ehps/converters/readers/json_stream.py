"""Json files of several GB: their objects are found from brackets and quotes, a few MB at a time, and parsed singly.

Looking for brackets is many times as fast as parsing, and what is found can be shared out among processes.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import orjson

from ehps.arrays import Array
from ehps.converters.readers import AGAIN, OTHER, opened
from ehps.errors import DataError

BLOCK = 1 << 22
LONGEST = 256  # bytes that a key and the white space around it may take
STEP = np.zeros(256, np.int8)
STEP[list(b"{[")], STEP[list(b"}]")] = 1, -1

_KEY = re.compile(rb'"([^"\\]*)"\s*:\s*$')


def parse(data: bytes) -> Any:
    """The value of a json text, NaN and infinity included, which orjson does not take.

    Raises
    ------
    ValueError, RecursionError : it is none.
    """
    try:
        return orjson.loads(data)
    except ValueError:
        return json.loads(data)


def why_not(error: Exception) -> str:
    """What is wrong with a text that :func:`parse` does not take."""
    if isinstance(error, json.JSONDecodeError):
        return f"from line {error.lineno}, column {error.colno} on"
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is no UTF-8"
    return "its lists are nested too deeply" if isinstance(error, RecursionError) else "a number is too long"


class Listed(NamedTuple):
    """A list in a file: first byte inside its brackets, the byte behind the last one, and (N, 2) first bytes of the
    objects in it, and the bytes behind them."""

    start: int
    stop: int
    objects: Array


def objects(path: Path) -> dict[str, Listed]:
    """Lists of the file's one object by key. They are not parsed, so an object that is no json goes unnoticed.

    Raises
    ------
    DataError : the file is missing, ends in the middle, or is no object.
    """
    with _opened(path) as file:
        b = _brackets(path, file)
        values = _spans(b, 2)
        lists = b.character[(b.step > 0) & (b.depth == 2)] == ord("[")
        spans = _spans(b, 3)[b.character[(b.step > 0) & (b.depth == 3)] == ord("{")]
        of = np.searchsorted(values[:, 0], spans[:, 0]) - 1
        return {
            _key_before(file, start): Listed(start + 1, stop - 1, spans[of == k])
            for k, (start, stop) in enumerate(values.tolist())
            if lists[k]
        }


def entries(path: Path) -> Iterator[tuple[str, str, Any]]:
    """Both keys and value of every object or list two levels down, as of ``{"1": {"2": {...}}}``, one at a time.

    Raises
    ------
    DataError : the file is missing, ends in the middle, is no object, or an entry is not json.
    """
    with _opened(path) as file:
        b = _brackets(path, file)
        above = b.place[(b.step > 0) & (b.depth == 2)]
        for start, stop in _spans(b, 3).tolist():
            first = _key_before(file, int(above[np.searchsorted(above, start) - 1]))
            second = _key_before(file, start)
            file.seek(start)
            try:
                yield first, second, parse(file.read(stop - start))
            except (ValueError, RecursionError) as error:
                raise DataError(f"{first}/{second} is not JSON ({why_not(error)})", path=path, fix=AGAIN) from None


class _Brackets(NamedTuple):
    """Brackets outside of strings, (N,) each: byte, character, +1 or -1, and how deep the file is behind it; of a
    closing one, how deep it was before."""

    place: Array
    character: Array
    step: Array
    depth: Array


def _spans(brackets: _Brackets, depth: int) -> Array:
    """(N, 2) first bytes, and bytes behind, of what lies ``depth`` brackets deep."""
    start, stop = (brackets.place[(brackets.step == sign) & (brackets.depth == depth)] for sign in (1, -1))
    return np.stack([start, stop + 1], axis=1)


def _brackets(path: Path, file: BinaryIO, deepest: int = 3) -> _Brackets:
    """Those of the file's object that are no deeper than ``deepest``.

    Raises
    ------
    DataError : the file is no object, or ends in the middle.
    """
    if file.read(LONGEST).lstrip(BOM_UTF8 + b" \t\r\n")[:1] != b"{":
        raise DataError("is no JSON object", path=path, fix=OTHER)
    file.seek(0)
    found: list[_Brackets] = []
    depth, quoted, slashes, offset = 0, False, 0, 0
    while data := file.read(BLOCK):
        block = np.frombuffer(data, np.uint8)
        quotes = _unescaped(block, slashes)
        slashes = len(data) - len(data.rstrip(b"\\")) + (slashes if not data.strip(b"\\") else 0)
        place = np.flatnonzero(STEP[block])
        place = place[(np.searchsorted(quotes, place) + quoted) % 2 == 0]
        step = STEP[block[place]]
        behind = depth + np.cumsum(step)
        level = (behind + (step < 0)).astype(np.int32)
        near = level <= deepest
        found.append(_Brackets(offset + place[near], block[place][near], step[near], level[near]))
        depth, quoted = int(behind[-1]) if len(behind) else depth, bool((quoted + len(quotes)) % 2)
        offset += len(data)
    if depth or quoted:
        raise DataError("is not complete JSON: it ends in the middle", path=path, fix=AGAIN)
    return _Brackets(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _unescaped(block: Array, slashes: int) -> Array:
    """Places of the quotes that open or close strings; ``slashes`` backslashes stand before the block."""
    quotes = np.flatnonzero(block == ord('"'))
    before = np.where(quotes > 0, block[quotes - 1], ord("\\") if slashes else 0)
    escaped = []
    for k in np.flatnonzero(before == ord("\\")).tolist():
        run = int(quotes[k])
        while run > 0 and block[run - 1] == ord("\\"):
            run -= 1
        if (quotes[k] - run + (slashes if run == 0 else 0)) % 2:
            escaped.append(k)
    return np.delete(quotes, escaped)


def _key_before(file: BinaryIO, place: int) -> str:
    """The key of the value that begins at a place, nothing where there is none (of items of lists)."""
    file.seek(max(place - LONGEST, 0))
    match = _KEY.search(file.read(min(place, LONGEST)))
    return match[1].decode() if match else ""


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    opened.note(path)
    try:
        with open(path, "rb") as file:
            yield file
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", path=path, fix=AGAIN) from None
