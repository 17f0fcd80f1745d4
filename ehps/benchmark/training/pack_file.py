"""The bytes of a file of packed crops (see :mod:`ehps.benchmark.training.packs`).

Layout, little-endian: a header of 64 bytes (``_HEADER``), facts as JSON, then JPEG files and segments of an index in
the order of their writing. A segment has a head (``_SEGMENT``) and one array a column of ``COLUMNS``, each beginning at
a multiple of 64 bytes so that it can be mapped. Segments written while packing know the one before; the last one of a
complete pack is ``whole``: it has every row, in order. The header names the newest segment and is written after it, so
that a process that is killed leaves the state before, with bytes behind ``end`` that nobody needs.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ehps.arrays import Array
from ehps.errors import DataError
from ehps.humandata.memory_map import map_file
from ehps.json_files import misfit
from ehps.suffixes import PACK

MAGIC, SEGMENT_MAGIC = b"ehpspack", b"ehpssegm"
LAYOUT = 1
ALIGNMENT = 64
COLUMNS = {
    "row": "<i8",
    "offset": "<i8",
    "nbytes": "<i4",
    "crc": "<u4",
    "size": "2<i4",  # height, width of the image
    "box": "4<f4",  # x, y, w, h of the widened box in the image
    "map": "3<f8",  # scale and shift (x, y): pixel of the image -> pixel of the JPEG
}
"""Columns of the index; CRC-32 of the JPEG."""
AGAIN = "copy or pack it again"

_HEADER = struct.Struct("<8sIIQQ")  # magic, layout, bytes of the facts, place of the newest segment, end; then a CRC-32
_SEGMENT = struct.Struct("<8sQQII")  # magic, rows, place of the segment before (0: none), whole, CRC-32 of the columns
AVERAGED, BILINEAR = "averaged", "bilinear"


@dataclass(frozen=True)
class Facts:
    """What the crops are of, and how they were made.

    Attributes
    ----------
    content : hash of the data file.
    data : its name.
    instances : its rows, packed or not.
    scale : (height, width) pixels of the box; smaller ones in their image keep its pixels.
    box_ratio : scale of the stored boxes.
    wide : widths and heights of the box that the crops show.
    quality : of the JPEG files.
    sampling : ``averaged`` or ``bilinear``: whether large images were averaged down first.
    """

    content: str
    data: str
    instances: int
    scale: tuple[int, int]
    box_ratio: float
    wide: tuple[float, float]
    quality: int
    sampling: str

    def __str__(self) -> str:
        """How the crops were made, in words."""
        height, width = self.scale
        wide = "training" if self.wide != (1, 1) else "testing"
        return f"{height}x{width} for {wide}, box ratio {self.box_ratio:g}, quality {self.quality}, {self.sampling}"


_FACTS = {
    "content": str,
    "data": str,
    "instances": int,
    "scale": [int],
    "box_ratio": float,
    "wide": [float],
    "quality": int,
    "sampling": (str,),
}


@dataclass(frozen=True)
class Header:
    """Where things are: bytes of the facts, place of the newest segment (0: none), and end of what is needed."""

    facts: int
    segment: int
    end: int

    def packed(self) -> bytes:
        words = _HEADER.pack(MAGIC, LAYOUT, self.facts, self.segment, self.end)
        return (words + struct.pack("<I", zlib.crc32(words))).ljust(ALIGNMENT, b"\0")


def read_head(file: BinaryIO, path: Path) -> tuple[Header, Facts]:
    """Header and facts of an opened file.

    Raises
    ------
    DataError : it is no pack, cut short, damaged, or of a newer version.
    """
    head = file.read(ALIGNMENT)
    if not head.startswith(MAGIC):
        raise DataError("is no file of packed crops", path=path, fix="make it with `ehps benchmark pack`")
    if len(head) < ALIGNMENT:
        raise DataError(f"is cut short: it has {len(head)} bytes", path=path, fix=AGAIN)
    words = head[: _HEADER.size]
    if struct.unpack_from("<I", head, _HEADER.size)[0] != zlib.crc32(words):
        raise DataError("is damaged: its header is not as it was written", path=path, fix=AGAIN)
    _, layout, facts, segment, end = _HEADER.unpack(words)
    if layout > LAYOUT:
        what = f"has layout {layout}, newer than this version of ehps understands"
        raise DataError(what, path=path, fix="update ehps")
    size = os.fstat(file.fileno()).st_size
    if size < end:
        raise DataError(f"is cut short: it has {size:,} bytes of {end:,}", path=path, fix=AGAIN)
    text = file.read(facts)
    try:
        checksum, content = text[:8], json.loads(text[8:])
        if int(checksum, 16) != zlib.crc32(text[8:]) or misfit(content, _FACTS):
            raise ValueError
    except ValueError:
        raise DataError("is damaged: what it says of itself is not as it was written", path=path, fix=AGAIN) from None
    content = {**content, "scale": tuple(content["scale"]), "wide": tuple(content["wide"])}
    return Header(facts, segment, end), Facts(**content)


def facts_bytes(facts: Facts) -> bytes:
    """Facts as they are stored: CRC-32 in hexadecimal, and JSON."""
    text = json.dumps(asdict(facts), sort_keys=True).encode()
    return f"{zlib.crc32(text):08x}".encode() + text


def segment_bytes(columns: Mapping[str, Array], before: int, *, whole: bool) -> bytes:
    """An index segment as it is stored."""
    count = len(columns["row"])
    parts = [np.ascontiguousarray(columns[name], np.dtype(form).base).tobytes() for name, form in COLUMNS.items()]
    body = b"".join(part.ljust(aligned(len(part)), b"\0") for part in parts)
    head = _SEGMENT.pack(SEGMENT_MAGIC, count, before, whole, zlib.crc32(body)).ljust(ALIGNMENT, b"\0")
    return head + body


def aligned(place: int) -> int:
    """The next multiple of the alignment."""
    return -(-place // ALIGNMENT) * ALIGNMENT


def read_index(path: Path, header: Header, *, check: bool = True) -> tuple[dict[str, Array], bool]:
    """The index by rising row, and whether it is whole.

    Parameters
    ----------
    check : compare the index with its checksums, which reads all of it.

    Raises
    ------
    DataError : it is damaged.
    """
    if not header.segment:
        return {name: np.zeros(0, form) for name, form in COLUMNS.items()}, False
    found: list[dict[str, Array]] = []
    place, complete = header.segment, False
    while place:
        columns, before, whole = _segment(path, place, header.end, check)
        complete = whole and not found
        found.append(columns)
        place = 0 if whole else before
    return (found[0], True) if complete else (joined(found), False)


def _segment(path: Path, place: int, end: int, check: bool) -> tuple[dict[str, Array], int, bool]:
    broken = DataError("is damaged: its index is not as it was written", path=path, fix=AGAIN)
    mapped = map_file(path)
    if place + ALIGNMENT > end:
        raise broken
    magic, count, before, whole, crc = _SEGMENT.unpack_from(mapped, place)
    start = place + ALIGNMENT
    lengths = [aligned(count * np.dtype(form).itemsize) for form in COLUMNS.values()]
    if magic != SEGMENT_MAGIC or start + sum(lengths) > end or before >= place:
        raise broken
    with memoryview(mapped) as view, view[start : start + sum(lengths)] as body:
        if check and zlib.crc32(body) != crc:
            raise broken
    columns = {}
    for (name, form), length in zip(COLUMNS.items(), lengths, strict=True):
        columns[name] = np.frombuffer(mapped, np.dtype(form), count, start)
        start += length
    return columns, before, bool(whole)


def joined(parts: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Columns of several indices in one, by rising row."""
    columns = {name: np.concatenate([part[name] for part in parts]) for name in COLUMNS}
    order = np.argsort(columns["row"], kind="stable")
    return {name: value[order] for name, value in columns.items()}


def is_pack(images: Path) -> bool:
    """Whether images are given as a packed file, by its name or its first bytes."""
    if images.suffix in PACK:
        return not images.is_dir()
    if not images.is_file():
        return False
    with open(images, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC
