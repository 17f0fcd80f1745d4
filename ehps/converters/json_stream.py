"""Values of a json file one after another: of files of several GB, a few MB at a time are in memory.

:func:`walk` and :func:`values` read the file as a window of text that moves along; what is in it is parsed by the json
module's own scanner. :func:`objects` only finds where objects lie, from brackets and quotes, several times as fast.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import orjson

from ehps.errors import DataError

Array = npt.NDArray[Any]

BLOCK = 1 << 22
NEAR = 16  # so close to the end of the window, an error or an end may only mean that a value goes on behind it
AGAIN = "download or unpack it again"

Keys = tuple[str | int, ...]

STEP = np.zeros(256, np.int8)
STEP[list(b"{[")], STEP[list(b"}]")] = 1, -1
LONGEST = 256  # bytes that the key of a list and the white space around it may take

_LIST = re.compile(rb'"(\w+)"\s*:\s*\[$')
_BLANK = re.compile(r"[ \t\r\n]*")
_scan = json.JSONDecoder().raw_decode


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


def walk(path: Path, depth: int) -> Iterator[tuple[Keys, int, int, Any]]:
    """Keys, first byte, byte behind the last, and value of everything ``depth`` levels down, in the order of the file.

    Of ``{"images": [{}, {}]}``, depth 2 gives ``("images", 0)`` and ``("images", 1)``. A value that lies less deep and
    is no object or list is given where it lies.

    Raises
    ------
    DataError : the file is missing, ends in the middle, or is not json.
    """
    with _window(path) as text:
        yield from _below(text, (), depth)
        if text.peek():
            raise text.broken()


def values(path: Path, start: int, stop: int) -> Iterator[tuple[int, int, Any]]:
    """First byte, byte behind the last, and value of each of the values between two bytes, commas between them.

    Raises
    ------
    DataError : the file is missing, or holds something else there.
    """
    with _window(path, start) as text:
        while text.place < stop:
            begin, value = text.value()
            yield begin, text.place, value
            if text.place < stop:
                text.take(",")


def objects(path: Path) -> dict[str, Array]:
    """Lists of the file's one object by key: (N, 2) first bytes of the objects in it, and the bytes behind them.

    Objects are not parsed, so one that is no json goes unnoticed.

    Raises
    ------
    DataError : the file is missing, ends in the middle, or is no object.
    """
    depth, quoted, slashes = 0, False, 0
    opened, starts, stops = ([np.zeros(0, np.int64)] for _ in range(3))
    offset = 0
    with _opened(path) as file:
        if file.read(LONGEST).lstrip(BOM_UTF8 + b" \t\r\n")[:1] != b"{":
            raise DataError("is no JSON object", path=path, fix=AGAIN)
        file.seek(0)
        while data := file.read(BLOCK):
            block = np.frombuffer(data, np.uint8)
            quotes = _unescaped(block, slashes)
            slashes = len(data) - len(data.rstrip(b"\\")) + (slashes if not data.strip(b"\\") else 0)
            places = np.flatnonzero(STEP[block])
            places = places[(np.searchsorted(quotes, places) + quoted) % 2 == 0]
            step = STEP[block[places]]
            after = depth + np.cumsum(step)
            opened.append(offset + places[(step > 0) & (after == 2)])
            starts.append(offset + places[(step > 0) & (after == 3) & (block[places] == ord("{"))])
            stops.append(offset + places[(step < 0) & (after == 2) & (block[places] == ord("}"))] + 1)
            depth, quoted = int(after[-1]) if len(after) else depth, bool((quoted + len(quotes)) % 2)
            offset += len(data)
        if depth or quoted:
            raise DataError("is not complete JSON: it ends in the middle", path=path, fix=AGAIN)
        spans = np.stack([np.concatenate(starts), np.concatenate(stops)], axis=1)
        of = np.searchsorted(np.concatenate(opened), spans[:, 0]) - 1
        keys = [_list_at(file, place) for place in np.concatenate(opened).tolist()]
        return {key: spans[of == k] for k, key in enumerate(keys) if key is not None}


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


def _list_at(file: BinaryIO, place: int) -> str | None:
    """The key of what begins at a place, None when it is no list."""
    file.seek(max(place - LONGEST, 0))
    match = _LIST.search(file.read(min(place, LONGEST) + 1))
    return match[1].decode() if match else None


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with open(path, "rb") as file:
            yield file
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", path=path, fix=AGAIN) from None


@contextmanager
def _window(path: Path, start: int = 0) -> Iterator[_Window]:
    with _opened(path) as file:
        file.seek(start)
        if start == 0 and file.read(len(BOM_UTF8)) != BOM_UTF8:
            file.seek(0)
        yield _Window(path, file)


def _below(text: _Window, keys: Keys, depth: int) -> Iterator[tuple[Keys, int, int, Any]]:
    bracket = text.peek()
    if depth == 0 or bracket not in ("{", "["):
        start, value = text.value()
        yield keys, start, text.place, value
        return
    end = {"{": "}", "[": "]"}[bracket]
    text.take(bracket)
    number = 0
    while text.peek() != end:
        if number:
            text.take(",")
        key: str | int = number
        if bracket == "{":
            key = str(text.value()[1])
            text.take(":")
        yield from _below(text, (*keys, key), depth - 1)
        number += 1
    text.take(end)


class _Window:
    """Part of a file as text in which a character is a byte (Latin-1), and the place that was reached in it."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self.file = path, file
        self.text, self.at, self.offset = "", 0, file.tell()

    @property
    def place(self) -> int:
        """In bytes from the start of the file."""
        return self.offset + self.at

    def peek(self) -> str:
        """The next character that is not blank, nothing at the end of the file."""
        while True:
            match = _BLANK.match(self.text, self.at)
            assert match is not None
            self.at = match.end()
            if self.at < len(self.text) or not self._more():
                return self.text[self.at : self.at + 1]

    def take(self, character: str) -> None:
        if self.peek() != character:
            raise self.broken()
        self.at += 1

    def value(self) -> tuple[int, Any]:
        """The first byte of the next value, and the value."""
        self.peek()
        start = self.place
        while True:
            try:
                value, end = _scan(self.text, self.at)
                if end < len(self.text) - NEAR or not self._more():  # numbers are cut without an error
                    break
            except json.JSONDecodeError as error:
                cut = error.pos > len(self.text) - NEAR or error.msg.startswith("Unterminated")
                if not cut:
                    raise self.broken(error.pos) from None
                if not self._more():
                    raise self.broken(len(self.text)) from None
            except RecursionError:
                raise self.broken() from None
        if not self.text.isascii():
            value = json.loads(self.text[self.at : end].encode("latin-1"))
        self.at = end
        return start, value

    def _more(self) -> bool:
        """Drop what was passed and read on, twice as much each time that a value is longer; False at the end."""
        block = self.file.read(max(BLOCK, len(self.text) - self.at))
        if block:
            self.offset += self.at
            self.text, self.at = self.text[self.at :] + block.decode("latin-1"), 0
        return bool(block)

    def broken(self, at: int | None = None) -> DataError:
        """The error to raise for what is ``at`` a place of the window, or at the place that was reached."""
        at = self.at if at is None else at
        if at == len(self.text):
            return DataError("is not complete JSON: it ends in the middle", path=self.path, fix=AGAIN)
        return DataError(f"is not JSON at byte {self.offset + at}", path=self.path, fix=AGAIN)
