"""What an image file says of itself: size, EXIF orientation, and whether it is whole; nothing is decoded.

A JPEG, PNG, BMP or WebP takes one open and two or three small reads; other formats go through Pillow. A file is cut
short when it ends before its own end marker (JPEG, PNG) or before the bytes that its header announces (BMP, WebP).
Source: ITU-T T.81, RFC 2083 and the eXIf extension, the RIFF container of WebP, EXIF 2.3.
"""

from __future__ import annotations

import itertools
import os
import stat
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from ehps.errors import UsageError

FIRST = 4096  # bytes that are read at once
EXIF_BYTES = 4096  # of an EXIF block, within which its first directory lies
PIECE = 1 << 20
SEGMENTS = 100_000  # that are walked through; more are in no image but in files made to keep a reader busy
MOST_PIXELS = 178_956_970  # what Pillow decodes; more is a damaged header or a file made to fill the memory
PIXELS = "EHPS_MAX_PIXELS"
"""Environment variable: the most pixels that an image may have, instead of :data:`MOST_PIXELS`."""

FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers that state a JPEG's size
BARE = {0x01, *range(0xD0, 0xD9)}  # markers without a length
ORIENTATION = 0x0112
PILLOW_ERRORS = (OSError, ValueError, SyntaxError, TypeError, LookupError, OverflowError, struct.error)
SHORT = 3  # an EXIF type of two bytes

At = Callable[[int, int], bytes]
"""Bytes of a file: from which on, and how many."""


@dataclass(frozen=True)
class Header:
    """An image as it is stored.

    Attributes
    ----------
    height : rows of stored pixels, before any orientation is applied; 0 where the file cannot be read.
    width : columns likewise.
    orientation : EXIF orientation, 1 where none is stated; 5 to 8 are quarter turns.
    unreadable : why the file cannot be read, empty where it can.
    """

    height: int = 0
    width: int = 0
    orientation: int = 1
    unreadable: str = ""


class _DamagedError(Exception):
    """Why a file is no whole image."""


def most_pixels() -> int:
    """The most pixels that an image may have: ``EHPS_MAX_PIXELS``, else :data:`MOST_PIXELS`.

    Raises
    ------
    UsageError : the variable is not a whole number above 0.
    """
    given = os.environ.get(PIXELS)
    if given is None:
        return MOST_PIXELS
    if not given.isdecimal() or int(given) < 1:
        raise UsageError(f"{PIXELS} is {given!r}, not a whole number of pixels", fix=f"set it to {MOST_PIXELS}, say")
    return int(given)


def most_bytes() -> int:
    """The most bytes that an image file may have: 16 for each of :func:`most_pixels`."""
    return 16 * most_pixels()


def read_header(source: Path | BinaryIO, length: int | None = None) -> Header:
    """Size and orientation of an image as stored, or why it cannot be read; pipes and devices are not read.

    Parameters
    ----------
    source : a path, or an open file, of which the first bytes suffice.
    length : bytes of the open file; nothing is said of its end where it is None.
    """
    try:
        if not isinstance(source, Path):
            return _header(source, length)
        handle = os.open(source, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(handle, "rb", buffering=0) as file:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise _DamagedError("is no regular file")
            return _header(file, status.st_size)
    except _DamagedError as error:
        return Header(unreadable=str(error))
    except (OSError, ValueError) as error:
        return Header(unreadable=getattr(error, "strerror", None) or "is no image")


def header_size(source: Path | BinaryIO) -> tuple[int, int]:
    """Height and width as stored, (0, 0) when the file cannot be read."""
    header = read_header(source)
    return header.height, header.width


def _header(file: BinaryIO, length: int | None) -> Header:
    """The header of an open file; ``length`` of the whole file is None where only its beginning is there."""
    file.seek(0)
    first = file.read(FIRST)
    if not first:
        raise _DamagedError("has 0 bytes")

    def at(start: int, count: int) -> bytes:
        if start + count <= len(first):
            return first[start : start + count]
        file.seek(start)
        return file.read(count)

    try:
        if first[:2] == b"\xff\xd8":
            header = _jpeg(at, length)
        elif first[:8] == b"\x89PNG\r\n\x1a\n":
            header = _png(at, length)
        elif first[:4] == b"RIFF" and first[8:12] == b"WEBP":
            header = _webp(at, length)
        elif first[:2] == b"BM":
            header = _bmp(at, length)
        else:
            header = _by_pillow(file, length)
    except (struct.error, IndexError):
        raise _DamagedError("ends within its header") from None
    if header.height <= 0 or header.width <= 0:
        raise _DamagedError("states no size")
    if header.height * header.width > most_pixels():
        raise _DamagedError(f"states {header.width} x {header.height} pixels, more than {most_pixels():,} ({PIXELS})")
    return header


def _jpeg(at: At, length: int | None) -> Header:
    header, place = Header(), 2
    for segment in itertools.count():
        marker = at(place, 10)
        if segment > SEGMENTS:
            raise _DamagedError("is a damaged JPEG")
        if len(marker) < 4:
            raise _DamagedError("ends within its header")
        if marker[0] != 0xFF:
            raise _DamagedError("is a damaged JPEG")
        kind = marker[1]
        if kind == 0xFF:  # padding
            place += 1
            continue
        if kind in BARE:
            place += 2
            continue
        if kind == 0xD9:
            raise _DamagedError("holds no pixels")
        count = int.from_bytes(marker[2:4], "big")
        if kind in FRAMES:
            height, width = struct.unpack(">HH", marker[5:9])
            header = replace(header, height=height, width=width)
            if length is None:
                return header
        elif kind == 0xE1 and header.orientation == 1:
            block = at(place + 4, min(max(count - 2, 0), EXIF_BYTES))
            if block[:6] == b"Exif\0\0":
                header = replace(header, orientation=_orientation(block[6:]))
        elif kind == 0xDA:
            break
        place += 2 + count
    if length is not None and not _has_jpeg_end(at, place, length):
        raise _DamagedError("is cut short")
    return header


def _has_jpeg_end(at: At, scan: int, length: int) -> bool:
    """Whether the end marker comes behind the first scan, in whose pixels it cannot occur; cameras write things after
    it."""
    tail = max(scan, length - FIRST)
    if b"\xff\xd9" in at(tail, length - tail):
        return True
    return any(b"\xff\xd9" in at(start, PIECE + 1) for start in range(scan, tail, PIECE))


def _png(at: At, length: int | None) -> Header:
    if at(12, 4) != b"IHDR":
        raise _DamagedError("is a damaged PNG")
    width, height = struct.unpack(">II", at(16, 8))
    header, place = Header(height, width), 8
    for _ in range(SEGMENTS):
        chunk = at(place, 8)
        if length is None and len(chunk) < 8:
            break
        count, kind = struct.unpack(">I4s", chunk)
        if kind == b"IDAT":
            break
        if kind == b"eXIf":
            header = replace(header, orientation=_orientation(at(place + 8, min(count, EXIF_BYTES))))
        place += 12 + count
    if length is not None and at(length - 8, 4) != b"IEND" and not _has_png_end(at, place):
        raise _DamagedError("is cut short")
    return header


def _has_png_end(at: At, place: int) -> bool:
    """Whether the last chunk comes in a file that has something behind it."""
    for _ in range(SEGMENTS):
        if len(start := at(place, 8)) < 8:
            break
        count, kind = struct.unpack(">I4s", start)
        if kind == b"IEND":
            return True
        place += 12 + count
    return False


def _webp(at: At, length: int | None) -> Header:
    (announced,) = struct.unpack("<I", at(4, 4))
    if length is not None and announced + 8 > length + 1:  # the last byte may be padding
        raise _DamagedError("is cut short")
    kind = at(12, 4)
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", at(26, 4))
        return Header(height & 0x3FFF, width & 0x3FFF)
    if kind == b"VP8L":
        (bits,) = struct.unpack("<I", at(21, 4))
        return Header((bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1)
    if kind != b"VP8X":
        raise _DamagedError("is a damaged WebP")
    width, height = (int.from_bytes(at(start, 3), "little") + 1 for start in (24, 27))
    return Header(height, width, _webp_orientation(at, announced + 8) if at(20, 1)[0] & 8 else 1)


def _webp_orientation(at: At, end: int) -> int:
    place = 12
    for _ in range(SEGMENTS):
        if place + 8 > end:
            break
        kind, count = struct.unpack("<4sI", at(place, 8))
        if kind == b"EXIF":
            return _orientation(at(place + 8, min(count, EXIF_BYTES)).removeprefix(b"Exif\0\0"))
        place += 8 + count + count % 2
    return 1


def _bmp(at: At, length: int | None) -> Header:
    (pixels, size) = struct.unpack("<II", at(10, 8))
    if size == 12:
        width, height, _, depth = struct.unpack("<HHHH", at(18, 8))
        packed = 0
    else:
        width, height, _, depth, packed = struct.unpack("<iiHHI", at(18, 16))
    height = abs(height)  # negative where the first row is the top one
    needed = pixels + (width * depth + 31) // 32 * 4 * height
    if length is not None and packed in (0, 3) and needed > length:  # neither run lengths nor an embedded file
        raise _DamagedError("is cut short")
    return Header(height, width)


def _by_pillow(file: BinaryIO, length: int | None) -> Header:
    from PIL import TiffImagePlugin

    file.seek(0)
    try:
        with pillow().open(file) as image:
            if not isinstance(image, TiffImagePlugin.TiffImageFile):
                return Header(image.height, image.width)
            tags = image.tag_v2
            header = Header(int(tags[257]), int(tags[256]), _known(int(tags.get(274, 1))))  # Pillow's size is turned
            starts, counts = (tags.get(strips) or tags.get(tiles) or (0,) for strips, tiles in ((273, 324), (279, 325)))
    except pillow().DecompressionBombError as error:
        raise _DamagedError(f"states more than {most_pixels():,} pixels ({PIXELS})") from error
    except PILLOW_ERRORS as error:
        raise _DamagedError("is no image") from error
    if length is not None and max(start + count for start, count in zip(starts, counts, strict=False)) > length:
        raise _DamagedError("is cut short")
    return header


def pillow() -> Any:
    """``PIL.Image``, silent about what is wrong with a file, and with no lower limit on pixels than here."""
    from PIL import Image

    warnings.filterwarnings("ignore", module="PIL")
    if Image.MAX_IMAGE_PIXELS is not None and most_pixels() > 2 * Image.MAX_IMAGE_PIXELS + 1:
        Image.MAX_IMAGE_PIXELS = most_pixels()
    return Image


def _orientation(exif: bytes) -> int:
    """The orientation that the first directory of an EXIF block states; 1 where it states none."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None or len(exif) < 8:
        return 1
    (start,) = struct.unpack(f"{order}I", exif[4:8])
    if start + 2 > len(exif):
        return 1
    (entries,) = struct.unpack(f"{order}H", exif[start : start + 2])
    for place in range(start + 2, min(start + 2 + 12 * entries, len(exif) - 11), 12):
        tag, kind = struct.unpack(f"{order}HH", exif[place : place + 4])
        if tag == ORIENTATION and kind == SHORT:
            return _known(int(struct.unpack(f"{order}H", exif[place + 8 : place + 10])[0]))
    return 1


def _known(orientation: int) -> int:
    return orientation if 1 <= orientation <= 8 else 1
