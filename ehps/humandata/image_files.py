"""Image files: where an ``image_path`` leads, how large the image is by its header, and what its pixels are.

``image_path`` means the pixels as they are stored: the orientation that EXIF may ask for is not applied, as OpenCV
reads with ``IMREAD_IGNORE_ORIENTATION``. Everything that opens an image of a HumanData file does it here.

An image ``a/b/c.jpg`` that is not on the disk is looked for in the zip archives ``a/b.zip`` and ``a.zip``, see
:mod:`ehps.humandata.zip_archives`. Where it is in one its path is ``a/b.zip/c.jpg``, which all functions here read, as
they read the frames of videos (``x/y.mp4/000012.png``), see :mod:`ehps.humandata.video_images`.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable, Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from ehps.arrays import Array
from ehps.errors import DataError, UsageError
from ehps.humandata import video_images, zip_archives
from ehps.humandata.image_headers import (
    PILLOW_ERRORS,
    PIXELS,
    Header,
    most_bytes,
    most_pixels,
    pillow,
    read_header,
)
from ehps.video_frames import is_video

if TYPE_CHECKING:
    from ehps.humandata.table import Table

LINKED = "EHPS_LINKED_FOLDERS"
"""Environment variable: folders that links in an image folder may lead to, separated as in PATH."""

FOLDERS = "image_folders"
"""In ``misc``: label that paths begin with -> the folder that the rest of the path is relative to; the empty label is
for paths that begin with none."""

SHOWN = 120
AGAIN = "copy or unpack this image again"
NO_IMAGE = "is no image that can be decoded"
LINKS_OUT = "leads out of the folder of the images by a link"
JPEG = b"\xff\xd8"
PNG = b"\x89PNG\r\n\x1a\n"
TIFF = {b"II*\0": "<", b"MM\0*": ">"}
ORIENTATION = 274  # the tag of TIFF, and of EXIF


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
    labelled : label -> folder of the images whose paths begin with it.
    trusted : further folders that links may lead to.
    """

    def __init__(
        self, root: str | Path, labelled: Mapping[str, Path] | None = None, trusted: Iterable[Path] = ()
    ) -> None:
        self.root, self.labelled = Path(root), dict(labelled or {})
        linked = [*map(str, trusted), *filter(None, os.environ.get(LINKED, "").split(os.pathsep))]
        own = (self.root, *self.labelled.values())
        self._inside = [os.path.realpath(folder) for folder in (*map(str, own), *linked)]
        self._folders: set[str] = set()
        self._archives: dict[str, list[tuple[Path, str]]] = {}

    def locate(self, name: str, row: int | None = None, column: str = "image_path") -> Path:
        """Where the image ``name`` is to be read: its file, or its place in an archive that stands for its folder; its
        path on the disk where there is no such image.

        Parameters
        ----------
        row : that names it, for the message.
        column : that names it, for the message.

        Raises
        ------
        OutsideError : it is absolute, has ``..``, or is, or lies in, a link out of the folder.
        DataError : the archive that stands for its folder cannot be read.
        """
        path = self._in_a_folder(name, row, column)
        try:
            linked = stat.S_ISLNK(os.lstat(path).st_mode)
        except (OSError, ValueError):
            return self._in_archive(name, path)
        if linked and not self._holds(path):
            raise self._outside(name, row, column, LINKS_OUT)
        return path

    def find(self, name: str) -> Path:
        """As :meth:`locate`, of a path that was looked at before: that it stays inside is not looked at again.

        Raises
        ------
        OutsideError : the archive that stands for its folder is a link out of the folder.
        DataError : that archive cannot be read.
        """
        path = self.place(name)
        return path if os.path.lexists(path) else self._in_archive(name, path)

    def _in_archive(self, name: str, path: Path) -> Path:
        """The place of an image in the archive that stands for its folder, ``path`` where it is in none."""
        folder, _, last = name.replace("\\", "/").rpartition("/")
        try:
            if folder not in self._archives:
                self._archives[folder] = self._archives_of(folder)
            for archive, beginning in self._archives[folder]:
                if zip_archives.holds(archive, beginning + last):
                    return archive / f"{beginning}{last}"
        except DataError as error:
            raise type(error)(f"{error.what} (for {name})", path=error.path, fix=error.fix) from None
        return path

    def _archives_of(self, folder: str) -> list[tuple[Path, str]]:
        label, _, rest = folder.partition("/")
        base, below = (self.labelled[label], rest) if label in self.labelled else (self.root, folder)
        there = []
        for archive, beginning in ((base / path, beginning) for path, beginning in zip_archives.in_place_of(below)):
            if os.path.lexists(archive) and not self._holds(archive):
                raise self._outside(archive.name, None, "the archive", LINKS_OUT)
            if zip_archives.is_there(archive):
                there.append((archive, beginning))
        return there

    def below(self, name: str, row: int | None = None, column: str = "image_path") -> Path:
        """The path ``name`` on the disk, whether there is such a file or not.

        Parameters
        ----------
        row : that names it, for the message.
        column : that names it, for the message.

        Raises
        ------
        OutsideError : it is absolute, has ``..``, or is a link out of the folder.
        """
        path = self._in_a_folder(name, row, column)
        if path.is_symlink() and not self._holds(path):
            raise self._outside(name, row, column, LINKS_OUT)
        return path

    def _in_a_folder(self, name: str, row: int | None, column: str) -> Path:
        """The path ``name`` in a folder that is inside; whether it is a link itself is not looked at."""
        parts = name.replace("\\", "/").split("/")
        if not parts[-1] or ".." in parts or "\0" in name or os.path.isabs(name) or name[0] == "\\" or name[1:2] == ":":
            raise self._outside(name, row, column, "is not a path below the folder of the images")
        folder = name.rpartition("/")[0]
        if folder not in self._folders:
            place = self.place(folder)
            if not self._holds(place):
                raise self._outside(name, row, column, LINKS_OUT)
            if place.is_dir() or self._archives.get(folder):
                self._folders.add(folder)
        return self.place(name)

    def place(self, name: str) -> Path:
        """Where a path of the file, or a folder in it, leads to; that it stays inside is not looked at."""
        if not self.labelled:
            return self.root / name
        label, _, rest = name.partition("/")
        return self.labelled[label] / rest if label in self.labelled else self.root / name

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


def images_of(table: Table, root: str | Path, given: Mapping[str, Path] | None = None) -> ImageFolder:
    """Where the images of a file are: the one place that decides it, for merged files too.

    A label's images are in the folder ``given`` for it, else in that of its name below ``root``, else in the one that
    the file names.

    Parameters
    ----------
    root : folder that paths without a label are relative to.
    given : label -> folder.

    Raises
    ------
    UsageError : a folder is given for a label that the file does not have.
    """
    stated = {label: folder for label, folder in stated_folders(table.misc, table.source).items() if label}
    for label in given or {}:
        if label not in stated:
            known = f"it has {', '.join(stated)}" if stated else "it is not merged: give one folder"
            raise UsageError(f"has no images labelled {label!r}", path=table.source, fix=known)
    below = {label: Path(root) / label for label in stated if (Path(root) / label).is_dir()}
    return ImageFolder(root, {**stated, **below, **(given or {})})


def stated_folders(misc: Mapping[str, Any], source: Path | None) -> dict[str, Path]:
    """Label -> folder, as a merged file names them; relative ones are relative to the file's folder."""
    named = misc.get(FOLDERS)
    base = Path() if source is None else source.parent
    return {str(label): base / str(folder) for label, folder in named.items()} if isinstance(named, Mapping) else {}


def is_there(path: Path) -> bool:
    """Whether there is an image file, a file of this name in an archive, or such a frame in a video; whether it can be
    read is not looked at.

    Raises
    ------
    UsageError : it is in a video, and PyAV is not installed.
    DataError : the archive or video cannot be read.
    """
    where = _inside(path)
    return path.is_file() if where is None else bool(where.reader.holds(where.path, where.name))


def header(path: Path) -> Header:
    """What an image says of itself, or why it cannot be read; nothing is decoded.

    Raises
    ------
    UsageError : it is in a video, and PyAV is not installed.
    """
    where = _inside(path)
    if where is None:
        return read_header(path)
    try:
        return where.reader.header(where.path, where.name) or Header(unreadable="is missing")
    except DataError as error:
        return Header(unreadable=error.what)


def state(path: Path) -> str:
    """What tells whether an image was replaced: size and time of the last change of its file, or of the archive or the
    video that it is in; empty where there is none."""
    try:
        where = _inside(path)
        if where is not None and not where.reader.holds(where.path, where.name):
            return ""
        status = os.stat(path if where is None else where.path)
    except (OSError, DataError):
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"


def stored_size(path: Path) -> tuple[int, int]:
    """Height and width as stored, from the header; nothing is decoded, and of most files only both ends are read.

    Raises
    ------
    MissingImageError : there is no such file.
    UsageError : it is in a video, and PyAV is not installed.
    DataError : it is no image, is cut short as far as its format tells, or states more pixels than are read.
    """
    where = _inside(path)
    if where is None:
        with _opened(path) as file:
            return _size(read_header(file, os.fstat(file.fileno()).st_size), path)
    found = where.reader.header(where.path, where.name)
    if found is None:
        raise _missing(path)
    return _size(found, path)


def read(path: Path) -> bytes:
    """The bytes of an image file; those of a BMP of a video's frame.

    Raises
    ------
    MissingImageError : there is no such file.
    UsageError : it is in a video, and PyAV is not installed.
    DataError : it is no regular file, too large to be an image, or cannot be read.
    """
    try:
        file = _opened(path)
    except MissingImageError:
        where = _inside(path)
        data: bytes | None = None if where is None else where.reader.read(where.path, where.name)
        if data is None:
            raise
        return data
    with file:
        length = os.fstat(file.fileno()).st_size
        if length > most_bytes():
            what = f"has {length / 1e9:.1f} GB, more than an image of {most_pixels():,} pixels can have"
            raise DataError(what, path=path, fix=f"raise {PIXELS} if it is one")
        try:
            return file.read()
        except OSError as error:
            raise DataError(f"cannot be read ({error.strerror})", path=path, fix=AGAIN) from None


def size_of(data: bytes, path: Path) -> tuple[int, int]:
    """Height and width of an image file's bytes, as stored; whether a JPEG is whole is not looked at.

    Raises
    ------
    DataError : they are no image.
    """
    if data.startswith(JPEG):
        with suppress(ImportError, ValueError):
            import simplejpeg

            height, width, *_ = simplejpeg.decode_jpeg_header(data)
            return height, width
    return _size(read_header(BytesIO(data), len(data)), path)


def read_for_others(path: Path) -> bytes:
    """As :func:`read`, of a video's frame those of a PNG, which any program reads."""
    where = _inside(path) if is_video(os.fspath(path).rpartition(os.sep)[0]) else None
    if where is None or where.reader is not video_images:
        return read(path)
    import cv2

    return cv2.imencode(".png", cv2.cvtColor(read_pixels(path), cv2.COLOR_RGB2BGR))[1].tobytes()


class _Inside(NamedTuple):
    """A file that holds images: what reads it, where it is, and the name of an image in it."""

    reader: ModuleType
    path: Path
    name: str


def _inside(path: Path) -> _Inside | None:
    """What holds an image that is no file of its own; None of a path on the disk."""
    if os.path.lexists(path):
        return None
    whole = above = os.fspath(path)
    while above != (above := os.path.dirname(above)):
        if not (above.endswith(zip_archives.ZIP) or is_video(above)):
            if os.path.isdir(above):
                break
        elif os.path.isfile(above):
            reader = zip_archives if above.endswith(zip_archives.ZIP) else video_images
            return _Inside(reader, Path(above), whole[len(above) + 1 :].replace(os.sep, "/"))
    return None


def _missing(path: Path) -> MissingImageError:
    return MissingImageError("no such image", path=path, fix="check the image folder that was given for this dataset")


def decode(data: bytes, path: Path, shrink: int = 1, *, deep: bool = False) -> tuple[Array, int, tuple[int, int]]:
    """Pixels of an image file's bytes.

    Parameters
    ----------
    path : the file, for messages.
    shrink : 1, 2, 4 or 8: a JPEG may be averaged down by that much while it is decoded.
    deep : keep numbers of more than eight bits, which are labels, not brightness.

    Returns
    -------
    (H, W, 3) RGB as stored, uint8 unless ``deep``, how many times smaller than the file they are (1 or ``shrink``),
    and height and width of the file.

    Raises
    ------
    DataError : not an image, cut short, or with more pixels than are read.
    """
    import cv2

    height, width = size = _size(read_header(BytesIO(data), len(data)), path)
    if data.startswith(JPEG):
        small = (-(-height // shrink), -(-width // shrink))
        pixels = _decoded_jpeg(data, path, small if shrink > 1 else (0, 0))
        if pixels is not None and pixels.shape[:2] == small:
            return pixels, shrink, size
    try:
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION | (cv2.IMREAD_ANYDEPTH if deep else 0)
        decoded = cv2.imdecode(np.frombuffer(_without_orientation(data), np.uint8), flags)
    except cv2.error:
        decoded = None
    if decoded is None or decoded.shape[:2] != size:
        raise DataError(NO_IMAGE, path=path, fix=AGAIN)
    colours = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
    return colours if deep else colours.astype(np.uint8, copy=False), 1, size


def _without_orientation(data: bytes) -> bytes:
    """The bytes of an image; those of a TIFF without its orientation, by which OpenCV turns it whatever it is told."""
    order = TIFF.get(data[:4])
    if order is None:
        return data
    with suppress(struct.error):  # where the file ends before
        (start,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, start)
        for place in range(start + 2, start + 2 + 12 * count, 12):
            if struct.unpack_from(f"{order}H", data, place) == (ORIENTATION,):
                return data[: place + 8] + struct.pack(f"{order}H", 1) + data[place + 10 :]
    return data


def read_pixels(path: Path, *, deep: bool = False) -> Array:
    """(H, W, 3) RGB as stored, uint8; with ``deep`` in the bits of the file, for images of labels.

    Raises
    ------
    MissingImageError : there is no such file.
    DataError : it cannot be read, see :func:`read` and :func:`decode`.
    """
    return decode(read(path), path, deep=deep)[0]


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
        raise _missing(path) from None
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", path=path, fix=AGAIN) from None


def _size(found: Header, path: Path) -> tuple[int, int]:
    if found.unreadable:
        raise DataError(found.unreadable, path=path, fix=AGAIN)
    return found.height, found.width


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
    image_module = pillow()
    try:
        with image_module.open(BytesIO(data)) as image:
            image.load()
    except (*PILLOW_ERRORS, image_module.DecompressionBombError):
        raise DataError(NO_IMAGE, path=path, fix=AGAIN) from None
