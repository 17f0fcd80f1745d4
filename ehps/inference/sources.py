"""Inputs: an image, a folder, pattern or zip archive of images, a video, a HumanData file.

Two inputs with the same facts give the same frames: the facts hold no path, so that it does not matter from where, and
how, a file is named.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np

from ehps.arrays import Array
from ehps.errors import DataError, UsageError
from ehps.humandata import image_files, zip_archives
from ehps.humandata.core import HumanData
from ehps.humandata.image_checks import check_size, stated_sizes
from ehps.humandata.image_files import ImageFolder, OutsideError, images_of
from ehps.humandata.image_headers import PILLOW_ERRORS, pillow
from ehps.humandata.storage import h5
from ehps.inference import videos
from ehps.inference.frames import NOTHING, Frame
from ehps.suffixes import HUMANDATA
from ehps.video_frames import SUFFIXES as VIDEOS

IMAGES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"),
    *(".jp2", ".avif"),
)
KNOWN = "an image, a folder, pattern or zip archive of images, a video, or a HumanData file (.h5, .npz)"
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
"""EXIF orientation -> whether the stored image is mirrored, left to right, and quarter turns, clockwise, that make it
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
    names : image path of each frame, None of a video.
    """

    name: str
    kind: Literal["images", "video", "humandata"]
    count: int | None
    rate: float | None
    facts: dict[str, Any]
    frames: Callable[[int], Iterator[Frame]]
    notes: tuple[str, ...] = ()
    data: HumanData | None = None
    names: Sequence[str] | None = None


def open_source(
    given: str,
    *,
    images: Path | None = None,
    fps: float | None = None,
    begin: float | None = None,
    end: float | None = None,
    out: Path | None = None,
) -> Source:
    """An input by its name.

    Parameters
    ----------
    images : folder of the images of a HumanData file; where the file is by default.
    fps : bring a video to this rate.
    begin : seconds of a video to begin at.
    end : seconds of a video to end before.
    out : the folder of the results, whose overlays are no input where it is below a folder of images.

    Raises
    ------
    UsageError : times for what is no video, ``images`` for what is no HumanData file, a pattern that nothing matches,
        or results are to be written among the images.
    DataError : there is no such input, or nothing in it that can be read.
    """
    if not given:
        raise UsageError("the input has no name", fix=f"give {KNOWN}")
    path = Path(given)
    suffix = path.suffix.lower()
    is_video = path.is_file() and suffix in VIDEOS
    if images is not None and not (path.is_file() and suffix in HUMANDATA):
        raise UsageError("--images is for HumanData files", path=path, fix="leave it out")
    if not is_video and any(value is not None for value in (fps, begin, end)):
        raise UsageError("--fps, --from and --to are for videos", path=path)
    if is_video:
        return _video(path, fps, begin, end)
    if path.is_file() and suffix in HUMANDATA:
        return _humandata(path, images or path.parent)
    if path.is_dir():
        return _folder(path, out)
    if path.is_file():
        if suffix in IMAGES:
            return _images(str(path), path.parent, _Named([path.name], {}, 0), [Path(os.path.realpath(path)).parent])
        if suffix != zip_archives.ZIP:
            endings = ", ".join((*IMAGES, *VIDEOS, zip_archives.ZIP, *HUMANDATA))
            raise DataError("has an ending that is not known", path=path, fix=f"inputs end in {endings}")
        zip_archives.files_in(path)  # or says why it cannot be read
        named = _named(path.parent, [path])
        if not named.images:
            raise DataError("holds no image", path=path, fix=f"images end in {', '.join(IMAGES)}")
        return _images(str(path), path.parent, named)
    if any(mark in given for mark in "*?["):
        return _pattern(given, out)
    if os.path.lexists(path):
        what = "is a link to nothing" if path.is_symlink() and not path.exists() else "is a pipe, socket or device"
        raise DataError(what, path=path, fix=f"give {KNOWN}")
    raise DataError("there is no such file or folder", path=path, fix=f"give {KNOWN}")


def _folder(path: Path, out: Path | None) -> Source:
    """Images below a folder; neither hidden folders nor links to folders are gone into."""
    below = os.path.realpath(out) if out is not None else ""
    if below == os.path.realpath(path):
        raise UsageError("the results cannot be written among the images", path=path, fix="give another --out")
    files: list[Path] = []
    links = 0
    for place, folders, names in os.walk(path):
        links += sum(os.path.islink(os.path.join(place, folder)) for folder in folders)
        folders[:] = [
            folder
            for folder in folders
            if folder[0] != "." and not (below and os.path.realpath(os.path.join(place, folder)) == below)
        ]
        files += [Path(place) / name for name in names]
    named = _named(path, files)
    if not named.images:
        fix = f"images end in {', '.join(IMAGES)}"
        if links:
            fix += f"; {links:,} links to folders were not followed: give these folders"
        raise DataError("there is no image below this folder", path=path, fix=fix)
    notes = (f"{links:,} links to folders are not followed",) if links else ()
    source = _images(str(path), path, named)
    return replace(source, notes=(*source.notes, *notes))


def _pattern(given: str, out: Path | None) -> Source:
    """Images that a pattern matches, each once, though links may lead to its folder in several ways."""
    below = os.path.join(os.path.realpath(out), "") if out is not None else ""
    found: dict[str, Path] = {}
    for name in sorted(glob.glob(given, recursive=True), key=lambda name: (len(Path(name).parts), name)):
        folder, last = os.path.split(name)
        real = os.path.join(os.path.realpath(folder), last)
        if os.path.isfile(name) and not (below and real.startswith(below)):
            found.setdefault(real, Path(name))
    files = list(found.values())
    matched = [file.parent for file in files if file.suffix.lower() in (*IMAGES, zip_archives.ZIP)]
    if not matched:
        raise UsageError(f"no image matches {given}", fix=f"images end in {', '.join(IMAGES)}")
    root = Path(os.path.commonpath(matched))
    return _images(given, root, _named(root, files))


def natural(name: str) -> tuple[Any, ...]:
    """A key by which ``a2`` is before ``a10``."""
    return tuple((int(part), "") if part.isdecimal() else (-1, part.lower()) for part in re.split(r"(\d+)", name))


@dataclass(frozen=True)
class _Named:
    """Images by their names below a folder, in natural order.

    Attributes
    ----------
    images : those in archives as ``a.zip/x.jpg``; the archive itself where it cannot be read.
    unreadable : name of such an archive -> why.
    others : number of files that are no images.
    """

    images: list[str]
    unreadable: dict[str, str]
    others: int


def _named(root: Path, files: Sequence[Path]) -> _Named:
    found: list[str] = []
    unreadable: dict[str, str] = {}
    others = 0
    for file in files:
        name = file.relative_to(root).as_posix()
        own = [name] if _is_image(name) else []
        if file.suffix.lower() == zip_archives.ZIP:
            try:
                own = [f"{name}/{inner}" for inner in zip_archives.files_in(file) if _is_image(inner)]
            except DataError as error:
                unreadable[name] = error.what
        found += own
        others += not own and name not in unreadable
    images = sorted([*found, *unreadable], key=lambda name: (natural(name), name))
    return _Named(images, unreadable, others)


def _is_image(name: str) -> bool:
    """By its ending; hidden files, and those in hidden folders of an archive, are none."""
    path = PurePosixPath(name)
    return path.suffix.lower() in IMAGES and not any(part[0] == "." for part in path.parts)


def _images(given: str, root: Path, named: _Named, trusted: Sequence[Path] = ()) -> Source:
    """Source of the images ``named`` below ``root``; links may lead to folders that are ``trusted`` too."""
    folder, names = ImageFolder(root, trusted=trusted), named.images
    facts = {"kind": "images", "images": len(names), "image_files": _digest((name, root / name) for name in names)}

    def frames(start: int) -> Iterator[Frame]:
        for index in range(start, len(names)):
            name = names[index]
            if name in named.unreadable:
                yield Frame(index, name, NOTHING, number=index, fault=named.unreadable[name])
            else:
                yield upright_frame(folder, name, index)

    notes = (f"{named.others:,} files whose names do not end as images' do are left out",) if named.others else ()
    return Source(given, "images", len(names), None, facts, frames, notes, names=names)


def _place(folder: ImageFolder, name: str) -> Path:
    """Where an image is, for what says whether it was replaced: one that may not be opened is nowhere."""
    try:
        return folder.locate(name)
    except DataError:
        return folder.root / "nowhere"


def _digest(images: Iterable[tuple[str, Path]]) -> str:
    """Of the names of images and what tells whether they were replaced."""
    digest = hashlib.sha256()
    for name, path in images:
        digest.update(f"{name}\0{image_files.state(path)}\n".encode())
    return digest.hexdigest()


def upright_frame(folder: ImageFolder, name: str, index: int) -> Frame:
    """An image file, upright as its EXIF orientation says; with a fault where it cannot be read."""
    try:
        path = folder.locate(name)
        data = image_files.read(path)
        pixels, _, _ = image_files.decode(data, path)
    except DataError as error:
        return Frame(index, name, NOTHING, number=index, fault=_fault(error))
    mirrored, turns = UPRIGHT[_orientation(data)]
    if not (mirrored or turns):
        return Frame(index, name, pixels, number=index, path=path)
    turned = np.rot90(pixels[:, ::-1] if mirrored else pixels, -turns)
    return Frame(index, name, np.ascontiguousarray(turned), number=index, turned=turns, mirrored=mirrored)


def _fault(error: DataError) -> str:
    return f"{error.what}: {error.fix}" if isinstance(error, OutsideError) else error.what


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
        "from": begin or None,
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
    if not len(hd):
        raise DataError("has no rows", path=path, fix="give a file with people")
    folder = images_of(hd, images)
    codes = hd["image_path"].codes
    distinct: Array = np.sort(np.unique(codes, return_index=True)[1])
    names = [str(hd["image_path"][int(row)]) for row in distinct]
    places = [_place(folder, name) for name in names]
    if not any(image_files.state(place) for place in places):
        what = f"none of its {len(names):,} images is below {folder.root} ({names[0]} for one)"
        raise DataError(what, path=path, fix="give the folder of the images with --images")
    sizes = stated_sizes(hd[distinct])

    def frames(start: int) -> Iterator[Frame]:
        for index in range(start, len(names)):
            try:
                place = folder.locate(names[index], int(distinct[index]))
                pixels = image_files.read_pixels(place)
                check_size(pixels.shape[:2], sizes[index], place)
            except DataError as error:
                yield Frame(index, names[index], NOTHING, number=index, fault=_fault(error))
            else:
                yield Frame(index, names[index], pixels, number=index, path=place)

    content = h5.content_hash(path) if path.suffix.lower() == ".h5" else None
    facts = {
        "kind": "humandata",
        "name": path.name,
        "content": content or image_files.state(path),
        "image_files": _digest(zip(names, places, strict=True)),
    }
    return Source(str(path), "humandata", len(names), None, facts, frames, data=hd, names=names)
