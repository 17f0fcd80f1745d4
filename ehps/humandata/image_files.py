"""Image files: where an ``image_path`` leads, how large the image is by its header, and what its pixels are.

``image_path`` means the pixels as they are stored: the orientation that EXIF may ask for is not applied, as OpenCV
reads with ``IMREAD_IGNORE_ORIENTATION``. Everything that opens an image of a HumanData file does it here.
"""

from __future__ import annotations

import os
import stat
import struct
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ehps.arrays import Array
from ehps.errors import DataError, UsageError

PIXELS = "EHPS_MAX_PIXELS"
"""Environment variable: the most pixels that an image may have, by its header."""

LINKED = "EHPS_LINKED_FOLDERS"
"""Environment variable: folders that links in an image folder may lead to, separated as in PATH."""

MOST_PIXELS = 150_000_000
SHOWN = 120
AGAIN = "copy or unpack this image again"
PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8"
JPEG_END = b"\xff\xd9"
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""JPEG markers of segments that hold the size."""

ALONE = frozenset((0x01, *range(0xD0, 0xD9)))
"""JPEG markers without a segment."""

SCAN = 0xDA
PILLOW_ERRORS = (OSError, ValueError, SyntaxError, TypeError, LookupError, OverflowError, struct.error)
TOO_LARGE = (1 << 31, 1 << 31)
SEGMENTS = 10_000


class OutsideError(DataError):
    """A path of a data file leads out of the folder that was given for it."""


class MissingImageError(DataError):
    """There is no such image."""


class ImageFolder:
    """The folder that the paths of a data file are relative to; no path leads out of it.

    Links are followed inside the folder, and out of it only into folders that the environment variable
    ``EHPS_LINKED_FOLDERS`` names.

    Parameters
    ----------
    root : the folder, or a link to it.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        trusted = [folder for folder in os.environ.get(LINKED, "").split(os.pathsep) if folder]
        self._inside = [os.path.realpath(folder) for folder in (str(self.root), *trusted)]
        self._folders: set[str] = set()

    def locate(self, name: str, row: int | None = None, column: str = "image_path") -> Path:
        """Where ``name`` is, whether there is such a file or not.

        Parameters
        ----------
        row : that names it, for the message.
        column : that names it, for the message.

        Raises
        ------
        OutsideError : it is absolute, has ``..``, or is a link out of the folder.
        """
        parts = name.replace("\\", "/").split("/")
        if not parts[-1] or ".." in parts or "\0" in name or os.path.isabs(name) or name[0] == "\\" or name[1:2] == ":":
            raise self._outside(name, row, column, "is not a path below the folder of the images")
        folder = name.rpartition("/")[0]
        if folder not in self._folders:
            place = self.root / folder
            if not self._holds(place):
                raise self._outside(name, row, column, "leads out of the folder of the images by a link")
            if place.is_dir():
                self._folders.add(folder)
        path = self.root / name
        if path.is_symlink() and not self._holds(path):
            raise self._outside(name, row, column, "leads out of the folder of the images by a link")
        return path

    def _holds(self, path: Path) -> bool:
        real = os.path.realpath(path)
        return any(real == folder or real.startswith(os.path.join(folder, "")) for folder in self._inside)

    def _outside(self, name: str, row: int | None, column: str, what: str) -> OutsideError:
        shown = repr(name if len(name) <= SHOWN else f"{name[:SHOWN]}...")
        linked = what.endswith("link")
        return OutsideError(
            f"{column} {shown}{'' if row is None else f' of row {row}'} {what}; it was not opened",
            path=self.root,
            fix=f"if you trust the link, name the folder that it leads to in the environment variable {LINKED}"
            if linked
            else "correct the path, or leave the row out",
        )


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


def header_size(path: Path) -> tuple[int, int]:
    """Height and width as stored, from the header; nothing is decoded, and of most files only both ends are read.

    Raises
    ------
    MissingImageError : there is no such file.
    DataError : it is no image, is cut short as far as its format tells, or declares more pixels than are read.
    """
    with _opened(path) as file:
        return _checked_size(file, os.fstat(file.fileno()).st_size, path)


def read(path: Path) -> bytes:
    """The bytes of an image file.

    Raises
    ------
    MissingImageError : there is no such file.
    DataError : it is no regular file, too large to be an image, or cannot be read.
    """
    with _opened(path) as file:
        length, most = os.fstat(file.fileno()).st_size, 16 * most_pixels()
        if length > most:
            what = f"has {length / 1e9:.1f} GB, more than an image of {most_pixels():,} pixels can have"
            raise DataError(what, path=path, fix=f"raise {PIXELS} if it is one")
        try:
            return file.read()
        except OSError as error:
            raise DataError(f"image cannot be read ({error.strerror})", path=path, fix=AGAIN) from None


def decode(data: bytes, path: Path, shrink: int = 1) -> tuple[Array, int, tuple[int, int]]:
    """Pixels of an image file's bytes.

    Parameters
    ----------
    path : the file, for messages.
    shrink : 1, 2, 4 or 8: a JPEG may be averaged down by that much while it is decoded.

    Returns
    -------
    (H, W, 3) uint8 RGB as stored, how many times smaller than the file they are (1 or ``shrink``), and height and
    width of the file.

    Raises
    ------
    DataError : not an image, cut short, or with more pixels than are read.
    """
    import cv2

    height, width = size = _checked_size(BytesIO(data), len(data), path)
    if data.startswith(JPEG):
        small = (-(-height // shrink), -(-width // shrink))
        pixels = _decoded_jpeg(data, path, small if shrink > 1 else (0, 0))
        if pixels is not None and pixels.shape[:2] == small:
            return pixels, shrink, size
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        decoded = None
    if decoded is None or decoded.shape[:2] != size:
        raise DataError("not a readable image", path=path, fix=AGAIN)
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False), 1, size


def read_pixels(path: Path) -> Array:
    """(H, W, 3) uint8 RGB as stored.

    Raises
    ------
    MissingImageError : there is no such file.
    DataError : it cannot be read, see :func:`read` and :func:`decode`.
    """
    return decode(read(path), path)[0]


def _decoded_jpeg(data: bytes, path: Path, least: tuple[int, int]) -> Array | None:
    """(H, W, 3) by libjpeg-turbo, None where it is not installed or does not know this kind of JPEG."""
    try:
        import simplejpeg
    except ImportError:
        return None
    try:
        pixels: Array = simplejpeg.decode_jpeg(data, "RGB", min_height=least[0], min_width=least[1])
        return pixels
    except ValueError as error:
        if "truncated" in str(error).lower() or "premature" in str(error).lower():
            raise DataError("is cut short", path=path, fix=AGAIN) from None
        return None


def _opened(path: Path) -> BinaryIO:
    """A regular file; pipes, sockets and devices are not opened, as that may wait for ever."""
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            what = "is a folder" if stat.S_ISDIR(mode) else "is a pipe, socket or device"
            raise DataError(f"{what}, not an image", path=path, fix="give the folder of the images")
        return open(path, "rb")
    except (FileNotFoundError, NotADirectoryError):
        fix = "check the image folder that was given for this dataset"
        raise MissingImageError("no such image", path=path, fix=fix) from None
    except OSError as error:
        raise DataError(f"image cannot be read ({error.strerror})", path=path, fix=AGAIN) from None


# -- headers ----------------------------------------------------------------------------------------------


def _checked_size(file: BinaryIO, length: int, path: Path) -> tuple[int, int]:
    """Height and width, after all that can be known without decoding."""
    if not length:
        raise DataError("has 0 bytes", path=path, fix=AGAIN)
    try:
        head = file.read(32)
        size, whole = _size(file, head, length)
    except OSError as error:
        raise DataError(f"image cannot be read ({error.strerror or error})", path=path, fix=AGAIN) from None
    if size is None:
        raise DataError("not a readable image", path=path, fix=AGAIN)
    height, width = size
    if height * width > most_pixels():
        declared = "too many" if size == TOO_LARGE else f"{width} x {height}"
        what = f"declares {declared} pixels, more than the {most_pixels():,} that are read"
        raise DataError(what, path=path, fix=f"set {PIXELS} to a higher number if the image is right")
    if not whole:
        raise DataError("is cut short", path=path, fix=AGAIN)
    return height, width


def _size(file: BinaryIO, head: bytes, length: int) -> tuple[tuple[int, int] | None, bool]:
    """Height and width, None where there is no header of an image, and whether the end is there."""
    if head.startswith(PNG):
        if len(head) < 24 or head[12:16] != b"IHDR":
            return None, False
        width, height = struct.unpack(">II", head[16:24])
        return _positive(height, width), _ends(file, b"IEND", 24, length)
    if head.startswith(JPEG):
        size, scan = _jpeg_size(file)
        return size, _ends(file, JPEG_END, scan, length)
    whole = length
    if head.startswith(b"BM"):
        whole = int.from_bytes(head[2:6], "little")
    elif head.startswith(b"RIFF"):
        whole = int.from_bytes(head[4:8], "little") + 8
    return _other_size(file), length >= whole


def _positive(height: int, width: int) -> tuple[int, int] | None:
    return (height, width) if height > 0 and width > 0 else None


def _jpeg_size(file: BinaryIO) -> tuple[tuple[int, int] | None, int]:
    """Height and width of a JPEG, None where they are not there, and where its segments end."""
    place, size = 2, None
    for _ in range(SEGMENTS):
        file.seek(place)
        head = file.read(9)
        if len(head) < 4 or head[0] != 0xFF:
            break
        marker, length = head[1], int.from_bytes(head[2:4], "big")
        if marker in FRAMES and len(head) == 9:
            size = _positive(*struct.unpack(">HH", head[5:9]))
        if marker in (SCAN, JPEG_END[1]):
            break
        place += 1 if marker == 0xFF else 2 if marker in ALONE else 2 + length
    return size, place


def _ends(file: BinaryIO, mark: bytes, start: int, length: int) -> bool:
    """Whether ``mark`` follows after ``start``: at the end, before what programs append, or anywhere."""
    for tail in (16, 1 << 16, length):
        file.seek(max(start, length - tail))
        if mark in file.read():
            return True
    return False


def _other_size(file: BinaryIO) -> tuple[int, int] | None:
    """Height and width of any other format that Pillow knows."""
    image_module = _pillow()
    try:
        file.seek(0)
        with image_module.open(file) as image:
            return _positive(image.height, image.width)
    except image_module.DecompressionBombError:
        return TOO_LARGE
    except PILLOW_ERRORS:
        return None


def _pillow() -> Any:
    """``PIL.Image``, silent about what is wrong with a file, and with no lower limit on pixels than here."""
    from PIL import Image

    warnings.filterwarnings("ignore", module="PIL")
    if Image.MAX_IMAGE_PIXELS is not None and most_pixels() > 2 * Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = most_pixels()
    return Image


def decoded_size(path: Path) -> tuple[int, int]:
    """Height and width of an image of which every pixel was decoded, strictly.

    Raises
    ------
    MissingImageError : there is no such file.
    DataError : it cannot be decoded, or not wholly.
    """
    data = read(path)
    height, width = decode(data, path)[2]
    if not data.startswith((JPEG, PNG)):
        _load_strictly(data, path)
    return height, width


def _load_strictly(data: bytes, path: Path) -> None:
    """Decode once more with Pillow, which does not fill up what is missing, as OpenCV may."""
    image_module = _pillow()
    try:
        with image_module.open(BytesIO(data)) as image:
            image.load()
    except (*PILLOW_ERRORS, image_module.DecompressionBombError):
        raise DataError("not a readable image", path=path, fix=AGAIN) from None
