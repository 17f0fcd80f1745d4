"""Which images of a file cannot be used: not there, not readable, of another size than its rows say.

Each image is looked at once: whether it is there by listing its folder, its size by its header, and on request all of
its pixels by decoding it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ehps.arrays import Array, Mask
from ehps.errors import DataError
from ehps.humandata.image_files import (
    ImageFolder,
    MissingImageError,
    OutsideError,
    decoded_size,
    images_of,
    is_there,
    stored_size,
)
from ehps.humandata.strings import Strings
from ehps.humandata.table import Table
from ehps.progress import counting

SIZE = ("meta/height", "meta/width")
MISSING, UNREADABLE, OTHER_SIZE = "no such image", "image cannot be read", "image of another size"
OUTSIDE = "image path leads out of the folder"
KINDS = (MISSING, UNREADABLE, OTHER_SIZE, OUTSIDE)
WRONG_FOLDER = 0.9  # share of absent images from which on it is the folder that is wrong, not the images
HEADERS, DECODED = 256, 4  # images that a thread takes at a time
THREADS = 16  # that read headers: on a network drive they wait most of the time

Look = tuple[int, tuple[int, int], tuple[str, str] | None]  # place, height and width, kind and reason of a fault


@dataclass(frozen=True)
class ImageFault:
    """One image that cannot be used.

    Attributes
    ----------
    image_path : as the rows name it.
    kind : one of :data:`KINDS`.
    reason : what is wrong in words.
    row : the first that names it.
    """

    image_path: str
    kind: str
    reason: str
    row: int


@dataclass(frozen=True)
class ImageCheck:
    """What :func:`check_images` found.

    Attributes
    ----------
    images : how many were looked at.
    faults : in the order of the rows that name them first.
    wrong : (N,) for every row of the file 0, or 1 + the place of its image in ``faults``.
    """

    images: int
    faults: list[ImageFault]
    wrong: Array

    def rows(self, kind: str) -> Mask:
        """(N,) rows whose image has a fault of this kind."""
        kinds = np.array([False, *(fault.kind == kind for fault in self.faults)])
        return np.asarray(kinds[self.wrong])

    @property
    def of_another_folder(self) -> bool:
        """Whether all or nearly all images are absent, as where the folder is not the one they are below."""
        absent = sum(fault.kind == MISSING for fault in self.faults)
        return absent > 0 and absent >= WRONG_FOLDER * self.images

    def summary(self, shown: int = 3) -> str:
        """How many images have which fault, and the first of them."""
        counts = {kind: sum(fault.kind == kind for fault in self.faults) for kind in KINDS}
        words = ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count)
        first = "; ".join(f"{f.image_path} (row {f.row}): {f.reason}" for f in self.faults[:shown])
        more = f"; and {len(self.faults) - shown:,} more" if len(self.faults) > shown else ""
        return f"{len(self.faults):,} of {self.images:,} images cannot be used ({words}): {first}{more}"

    def exclusions(self, hd: Table) -> list[dict[str, str]]:
        """An exclusion list of the images (see :mod:`ehps.humandata.exclusions`) of the file that was looked at."""
        stated = hd["meta/dataset"] if "meta/dataset" in hd else [hd.passport.dataset] * len(hd)
        return [
            {"dataset": str(stated[fault.row]), "id": fault.image_path, "reason": fault.reason} for fault in self.faults
        ]


def check_images(
    hd: Table,
    images: str | Path | ImageFolder,
    *,
    rows: Array | None = None,
    decode: bool = False,
    jobs: int | None = None,
    show: bool | None = None,
    list_outside: bool = False,
) -> ImageCheck:
    """Look at every image of a file once.

    Parameters
    ----------
    images : folder that ``image_path`` is relative to, or all folders of a merged file.
    rows : the rows whose images are looked at, all by default.
    decode : decode all pixels, strictly, instead of reading headers alone.
    jobs : threads; by default one a core for decoding, more for headers. Each holds one image at a time.
    show : print how far this is; as the program wants it by default.
    list_outside : count an image path that leads out of ``images`` among the faults and go on; it is not opened.

    Raises
    ------
    OutsideError : an image path leads out of ``images``, without ``list_outside``.
    DataError : there are no image paths.
    """
    column = _paths(hd)
    codes = column.codes if rows is None else column.codes[rows]
    used, first, place = np.unique(codes, return_index=True, return_inverse=True)  # (U,), (U,), (len(rows),)
    first_row = first if rows is None else np.asarray(rows)[first]
    names = _Names(column, used)
    folder = images if isinstance(images, ImageFolder) else images_of(hd, images)
    found: dict[int, tuple[str, str]] = {}
    there = _present(folder, names, first_row, found, list_outside)
    sizes = np.zeros((len(used), 2), np.int64)
    threads = jobs or (os.cpu_count() or 1 if decode else THREADS)
    with counting(f"{'decoding' if decode else 'checking'} images", len(there), show=show) as advance:
        for at, size, fault in _looked_at(folder, names, there, decode, threads):
            sizes[at] = size
            if fault:
                found[at] = fault
            advance(1)
    if all(name in hd and np.ndim(hd[name]) == 1 and not isinstance(hd[name], Strings) for name in SIZE):
        stated = np.stack([np.asarray(hd[name]) for name in SIZE], axis=1)
        _compare(stated if rows is None else stated[rows], sizes, place, found)
    order = sorted(found, key=lambda at: int(first_row[at]))
    faults = [ImageFault(names[at], *found[at], int(first_row[at])) for at in order]
    number = np.zeros(len(used), np.int64)
    number[order] = np.arange(1, len(order) + 1)
    wrong = np.zeros(len(hd), np.int64)
    wrong[slice(None) if rows is None else rows] = number[place]
    return ImageCheck(len(used), faults, wrong)


def require_images(
    hd: Table, images: str | Path | ImageFolder, *, rows: Array | None = None, show: bool | None = None
) -> None:
    """See that every image is there, has a sound header, and has the size that its rows say.

    Raises
    ------
    DataError : some are not; it names their number and the first.
    """
    check = check_images(hd, images, rows=rows, show=show)
    if check.faults:
        raise DataError(
            check.summary(),
            path=images.root if isinstance(images, ImageFolder) else images,
            fix="check the image folder that was given, or list such images with "
            "`ehps humandata verify FILE --images DIR --exclude-to LIST` and leave them out with --exclude LIST",
        )


def stated_sizes(hd: Table) -> Array:
    """(N, 2) height and width of each row's image as the row says, 0 where it does not."""
    if not all(name in hd for name in SIZE):
        return np.zeros((len(hd), 2), np.int64)
    return np.stack([np.asarray(hd[name], np.int64) for name in SIZE], axis=1)


def check_size(size: tuple[int, ...], stated: Array, path: Path) -> None:
    """See that an image of ``size`` (height, width) is of the size (2,) that a row says, 0 where it says none.

    Raises
    ------
    DataError : it is not, so that boxes and points of the row are of another image.
    """
    height, width = stated.tolist()
    if min(height, width) <= 0 or size == (height, width):
        return
    what = f"has {size[1]} x {size[0]} pixels, its rows say {width} x {height}"
    raise DataError(what, path=path, fix="give the images that the file was made for")


class _Names:
    """Image paths by their place among those that are looked at, decoded when asked for."""

    def __init__(self, column: Strings, used: Array) -> None:
        self.vocabulary, self.used = column.vocabulary, used

    def __len__(self) -> int:
        return len(self.used)

    def __getitem__(self, at: int) -> str:
        return self.vocabulary[int(self.used[at])]


def _paths(hd: Table) -> Strings:
    if "image_path" not in hd or not isinstance(hd["image_path"], Strings):
        raise DataError("has no image paths", path=hd.source, fix="convert it again")
    column: Strings = hd["image_path"]
    return column


def _present(
    folder: ImageFolder, names: _Names, first_row: Array, found: dict[int, tuple[str, str]], list_outside: bool
) -> list[int]:
    """Places of the images that are there; the others are put into ``found``.

    Every folder is listed once, as asking for each file is slow on network drives; images that are in none are looked
    for in the archives that stand for their folders.
    """
    plain: dict[str, tuple[set[str], set[str]]] = {}
    there = []
    for at in range(len(names)):
        name = names[at]
        below, _, last = name.rpartition("/")
        if below in plain and last in plain[below][0]:  # the path itself is sound where its folder has the file
            there.append(at)
            continue
        try:
            path = folder.below(name, int(first_row[at]))
            if below not in plain:
                plain[below] = _listed(path.parent)
            if any(last in listed for listed in plain[below]) or is_there(folder.find(name)):
                there.append(at)
            else:
                found[at] = (MISSING, MISSING)
        except OutsideError as error:
            if not list_outside:
                raise
            found[at] = (OUTSIDE, error.what)
        except DataError as error:
            found[at] = (UNREADABLE, f"{Path(error.path or '').name} {error.what}")
    return there


def _listed(folder: Path) -> tuple[set[str], set[str]]:
    """Names of the regular files of a folder, and of what else is in it."""
    files, others = set[str](), set[str]()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                (files if entry.is_file(follow_symlinks=False) else others).add(entry.name)
    except OSError:
        return set(), set()
    return files, others


def _looked_at(folder: ImageFolder, names: _Names, there: list[int], decode: bool, threads: int) -> Iterator[Look]:
    """Place, height and width, and what is wrong, of every image that is there."""
    look = decoded_size if decode else stored_size

    def one(at: int) -> Look:
        try:
            return at, look(folder.find(names[at])), None
        except MissingImageError:
            return at, (0, 0), (MISSING, "link to a file that is not there")
        except DataError as error:
            return at, (0, 0), (UNREADABLE, error.what)

    step = DECODED if decode else HEADERS
    chunks = [there[start : start + step] for start in range(0, len(there), step)]
    pool = ThreadPoolExecutor(threads)
    try:
        for results in pool.map(lambda chunk: [one(at) for at in chunk], chunks):
            yield from results
    finally:
        pool.shutdown(cancel_futures=True)


def _compare(stated: Array, sizes: Array, place: Array, found: dict[int, tuple[str, str]]) -> None:
    """Put images into ``found`` of which a row states another size than the file has."""
    have = sizes[place]
    other = np.flatnonzero((have != stated).any(axis=1) & (have > 0).all(axis=1))
    for row in other[np.unique(place[other], return_index=True)[1]].tolist():
        (height, width), (h, w) = stated[row].tolist(), have[row].tolist()
        found[int(place[row])] = (OTHER_SIZE, f"has {w} x {h} pixels, its rows say {width} x {height}")
