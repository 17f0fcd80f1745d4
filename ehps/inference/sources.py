"""Inputs: an image, a folder or pattern of images, a video, a HumanData file."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ehps.arrays import Array
from ehps.errors import DataError, UsageError
from ehps.humandata import image_files
from ehps.humandata.core import HumanData
from ehps.humandata.image_files import ImageFolder, images_of
from ehps.humandata.image_headers import PILLOW_ERRORS, pillow
from ehps.humandata.storage import h5
from ehps.inference import videos
from ehps.inference.frames import NOTHING, Frame
from ehps.suffixes import HUMANDATA
from ehps.video_frames import SUFFIXES as VIDEOS

IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
KNOWN = "an image, a folder or pattern of images, a video, or a HumanData file (.h5, .npz)"
ORIENTATION = 0x0112  # the EXIF tag
UPRIGHT = {
    1: (False, 0),
    2: (True, 0),
    3: (False, 2),
    4: (True, 2),
    5: (True, 3),
    6: (False, 1),
    7: (True, 1),
    8: (False, 3),
}
"""EXIF orientation -> whether the stored image is mirrored, left to right, and the quarter turns, clockwise, that make it
upright after that."""


@dataclass(frozen=True)
class Source:
    """An input.

    Attributes
    ----------
    name : of the file, folder or pattern.
    kind : what it is.
    count : number of frames, None where that is known only after decoding.
    rate : frames a second of a video, None of images.
    facts : what tells it from another input, JSON-able.
    frames : frames from the n-th on, in order; the same whatever they begin with.
    notes : what is to be known about it, a sentence each.
    data : the file, of an input that is HumanData.
    """

    name: str
    kind: Literal["images", "video", "humandata"]
    count: int | None
    rate: float | None
    facts: dict[str, Any]
    frames: Callable[[int], Iterator[Frame]]
    notes: tuple[str, ...] = ()
    data: HumanData | None = None


def open_source(
    given: str,
    *,
    images: Path | None = None,
    fps: float | None = None,
    begin: float | None = None,
    end: float | None = None,
) -> Source:
    """An input by its name.

    Parameters
    ----------
    images : folder of the images of a HumanData file; where the file is by default.
    fps : bring a video to this rate.
    begin : seconds of a video to begin at.
    end : seconds of a video to end before.

    Raises
    ------
    UsageError : times for what is no video, or a pattern that nothing matches.
    DataError : there is no such input, or nothing in it that can be read.
    """
    path = Path(given)
    suffix = path.suffix.lower()
    is_video = path.is_file() and suffix in VIDEOS
    if not is_video and any(value is not None for value in (fps, begin, end)):
        raise UsageError("--fps, --from and --to are for videos", path=path)
    if is_video:
        return _video(path, fps, begin, end)
    if path.is_file() and suffix in HUMANDATA:
        return _humandata(path, images or path.parent)
    if path.is_dir():
        below = _below(path)
        return _images(str(path), path, below.images, below.others)
    if path.is_file():
        if suffix not in IMAGES:
            raise DataError(f"is not {KNOWN}", path=path)
        return _images(str(path), path.parent, [path.name], 0)
    if any(mark in given for mark in "*?["):
        found = [Path(name) for name in glob.glob(given, recursive=True)]
        matched = [file for file in found if file.is_file() and file.suffix.lower() in IMAGES]
        if not matched:
            raise UsageError(f"no image matches {given}", fix="put the pattern in quotation marks")
        root = Path(os.path.commonpath([file.parent for file in matched]))
        names = sorted((file.relative_to(root).as_posix() for file in matched), key=natural)
        return _images(given, root, names, len([file for file in found if file.is_file()]) - len(matched))
    raise DataError("there is no such file or folder", path=path, fix=f"give {KNOWN}")


def natural(name: str) -> tuple[Any, ...]:
    """A key by which ``a2`` is before ``a10``."""
    return tuple((int(part), "") if part.isdecimal() else (-1, part.lower()) for part in re.split(r"(\d+)", name))


@dataclass(frozen=True)
class _Names:
    images: list[str]
    others: int


def _below(folder: Path) -> _Names:
    """Images below a folder in natural order, and how many other files there are."""
    found, others = [], 0
    for place, _, files in os.walk(folder):
        for name in files:
            if Path(name).suffix.lower() in IMAGES and name[0] != ".":
                found.append((Path(place) / name).relative_to(folder).as_posix())
            else:
                others += 1
    if not found:
        raise DataError("there is no image below this folder", path=folder, fix=f"images end in {', '.join(IMAGES)}")
    return _Names(sorted(found, key=natural), others)


def _state(path: Path) -> str:
    """Size and time of change; nothing of a link that leads nowhere."""
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{status.st_size}\0{status.st_mtime_ns}"


def _images(given: str, root: Path, names: Sequence[str], others: int) -> Source:
    folder = ImageFolder(root)
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{name}\0{_state(root / name)}\n".encode())

    def frames(start: int) -> Iterator[Frame]:
        for index in range(start, len(names)):
            yield upright_frame(folder, names[index], index)

    notes = (f"{others:,} files that are no images are left out",) if others else ()
    facts = {"kind": "images", "name": given, "images": len(names), "sha256": digest.hexdigest()}
    return Source(given, "images", len(names), None, facts, frames, notes)


def upright_frame(folder: ImageFolder, name: str, index: int) -> Frame:
    """An image file, upright as its EXIF orientation says; with a fault where it cannot be read."""
    try:
        path = folder.locate(name)
        data = image_files.read(path)
        pixels, _, _ = image_files.decode(data, path)
    except DataError as error:
        return Frame(index, name, NOTHING, number=index, fault=error.what)
    mirrored, turns = UPRIGHT[_orientation(data)]
    if not (mirrored or turns):
        return Frame(index, name, pixels, number=index, path=path)
    turned = np.rot90(pixels[:, ::-1] if mirrored else pixels, -turns)
    return Frame(index, name, np.ascontiguousarray(turned), number=index, turned=turns, mirrored=mirrored)


def _orientation(data: bytes) -> int:
    module = pillow()
    try:
        with module.open(BytesIO(data)) as image:
            found = image.getexif().get(ORIENTATION, 1)
    except (*PILLOW_ERRORS, module.DecompressionBombError):
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _video(path: Path, fps: float | None, begin: float | None, end: float | None) -> Source:
    opened = videos.describe(path, fps, begin, end)
    status = path.stat()
    facts = {
        "kind": "video",
        "name": path.name,
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "fps": fps,
        "from": begin,
        "to": end,
    }

    def frames(start: int) -> Iterator[Frame]:
        return videos.frames(path, start, fps=fps, begin=begin, end=end)

    return Source(str(path), "video", opened.count, opened.rate, facts, frames, opened.notes)


def _humandata(path: Path, images: Path) -> Source:
    hd = HumanData.open(path)
    for name in ("image_path", "bbox_xywh"):
        if name not in hd:
            raise DataError(f"has no {name} column", path=path, fix="convert it again")
    folder = images_of(hd, images)
    codes = hd["image_path"].codes
    distinct: Array = np.sort(np.unique(codes, return_index=True)[1])
    names = [str(hd["image_path"][int(row)]) for row in distinct]

    def frames(start: int) -> Iterator[Frame]:
        for index in range(start, len(names)):
            try:
                place = folder.locate(names[index], int(distinct[index]))
                pixels = image_files.read_pixels(place)
            except DataError as error:
                yield Frame(index, names[index], NOTHING, number=index, fault=error.what)
            else:
                yield Frame(index, names[index], pixels, number=index, path=place)

    content = h5.content_hash(path) if path.suffix.lower() == ".h5" else None
    status = path.stat()
    stamp = content or f"{status.st_size} {status.st_mtime_ns}"
    facts = {"kind": "humandata", "name": path.name, "content": stamp}
    return Source(str(path), "humandata", len(names), None, facts, frames, data=hd)
