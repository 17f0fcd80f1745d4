"""Which images are on the disk and how large they are, without decoding any."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ehps.arrays import Array
from ehps.converters.readers import listings, opened, raw_files
from ehps.errors import EhpsError
from ehps.humandata import image_files, zip_archives
from ehps.humandata.image_files import header as read_header
from ehps.humandata.image_headers import Header
from ehps.video_frames import is_video

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
JPEG = (".jpg", ".jpeg")
ASKED = 3  # images, where one size is taken for that of all
QUARTER_TURN = 5  # the first EXIF orientation that exchanges height and width


class ImageIndex:
    """Images below a dataset's root, or below a second folder for frames cut out of videos.

    Each folder is listed once, which is a thousand times cheaper than asking for each file on a network disk. An image
    that is not there under its own name is looked for in the archives that stand for its folder (see
    :mod:`ehps.humandata.zip_archives`), then under a name that differs in letter case, or in its ending where no image
    of the folder has that which is asked for.

    Parameters
    ----------
    shared : folder by which processes hand each other what they have listed, see :mod:`.listings`.

    Attributes
    ----------
    visited : folder (as given in image paths), or archive in its place -> its modification times below root and frames,
        0 where absent; they change when files are added or removed.
    read : folder -> name -> state of the images whose headers were read (see :func:`.image_files.state`), nothing where
        absent; it changes when an image is replaced in its place.
    """

    def __init__(self, root: Path, frames: Path | None = None, shared: Path | None = None) -> None:
        self.bases = (root,) if frames is None else (root, frames)
        self._shared = shared
        self._names: dict[str, tuple[frozenset[str], ...]] = {}
        self._archives: dict[str, list[tuple[Path, str]]] = {}
        self._alike: dict[str, list[tuple[Path, _Spellings]]] = {}
        self._headers: dict[str, Header] = {}
        self.visited: dict[str, list[int]] = {}
        self.read: dict[str, dict[str, str]] = {}

    def locate(self, image_path: str) -> Path | None:
        """Where the image is, in an archive or a video too; None when it is missing.

        Raises
        ------
        DataError : an archive that stands for its folder is damaged or split, or the video that it is a frame of is.
        """
        folder, _, name = image_path.rpartition("/")
        for base, names in zip(self.bases, self._listings(folder), strict=True):
            if name in names:
                return base / image_path
        if is_video(folder):
            frames = (base / image_path for base in self.bases if (base / folder).is_file())
            return next(filter(image_files.is_there, frames), None)
        for archive, beginning in self._archives_of(folder):
            if zip_archives.holds(archive, beginning + name):
                return archive / (beginning + name)
        for place, alike in self._spellings(folder):
            if other := alike.nearest(name):
                return place / other
        return None

    def path_on_disk(self, image_path: str) -> str:
        """The path with the image's name on the disk, which may have another ending or letter case; as it is where
        the image is missing."""
        where = self.locate(image_path)
        return image_path if where is None else image_path[: image_path.rfind("/") + 1] + where.name

    def missing(self, image_paths: Iterable[str]) -> list[str]:
        """Those that are not there, each once, in order."""
        return [path for path in dict.fromkeys(image_paths) if self.locate(path) is None]

    def present(self, image_paths: Sequence[str]) -> npt.NDArray[np.bool_]:
        """(N,) bool."""
        return np.fromiter((self.locate(path) is not None for path in image_paths), bool, len(image_paths))

    def none_below(self, image_paths: Sequence[str]) -> bool:
        """Whether the top folders of these paths hold no image and no archive at all, at any depth."""
        tops = sorted({path.split("/", 1)[0] for path in image_paths})
        for top in tops:
            self.locate(f"{top}/?")  # so that the answer is asked anew when the folder has changed
        return not any(_images_below(base / top) for base in self.bases for top in tops)

    def forget(self) -> None:
        """List folders and read headers anew from now on (new frames were written)."""
        for known in (self._names, self._archives, self._alike, self._headers, self.visited, self.read):
            known.clear()

    def header(self, image_path: str) -> Header:
        """What the image says of itself."""
        if image_path not in self._headers:
            where = self.locate(image_path)
            folder, _, name = image_path.rpartition("/")
            self.read.setdefault(folder, {})[name] = _state(where)
            self._headers[image_path] = Header(unreadable="is missing") if where is None else read_header(where)
        return self._headers[image_path]

    def unchanged(self, visited: Mapping[str, list[int]], read: Mapping[str, Mapping[str, str]]) -> bool:
        """Whether folders, archives and images are now what :attr:`visited` and :attr:`read` say."""
        try:
            return all(self._changed(folder) == changed for folder, changed in visited.items()) and all(
                _state(self.locate(f"{folder}/{name}" if folder else name)) == state
                for folder, names in read.items()
                for name, state in names.items()
            )
        except EhpsError:  # an archive or a video that cannot be read now
            return False

    def size(self, image_path: str) -> tuple[int, int]:
        """Height and width as stored, (0, 0) when the image cannot be read."""
        header = self.header(image_path)
        return header.height, header.width

    def sizes(self, image_paths: Sequence[str]) -> Array:
        """(N, 2) int height and width, zeros where an image cannot be read."""
        return np.array([self.size(path) for path in image_paths], np.int64).reshape(-1, 2)

    def usual_size(self, image_paths: Sequence[str]) -> tuple[int, int]:
        """Height and width that most of the first, the middle and the last of a camera's images have, or others where
        these cannot be read or are stored turned; zeros where all are."""
        last = len(image_paths) - 1
        order = dict.fromkeys([*(image_paths[k] for k in (0, last // 2, last) if last >= 0), *image_paths])
        sizes = (self.size(path) for path in order if self.header(path).orientation < QUARTER_TURN)
        found = Counter(islice((size for size in sizes if any(size)), ASKED))
        return found.most_common(1)[0][0] if found else (0, 0)

    def _changed(self, name: str) -> list[int]:
        """When a folder or an archive was last changed, below each base."""
        if name not in self.visited:
            self.visited[name] = [_changed(base / name) for base in self.bases]
        return self.visited[name]

    def _listings(self, folder: str) -> tuple[frozenset[str], ...]:
        """Names of the files in a folder, below each base."""
        if folder not in self._names:
            self._names[folder] = tuple(listings.names_in(base / folder, self._shared) for base in self.bases)
            self._changed(folder)
        return self._names[folder]

    def _archives_of(self, folder: str) -> list[tuple[Path, str]]:
        """Archives that stand for a folder, and the beginning of its files' names in each."""
        if folder not in self._archives:
            beginnings = zip_archives.in_place_of(folder)
            for name, _ in beginnings:
                self._changed(name)
            self._archives[folder] = [
                (base / name, beginning)
                for base in self.bases
                for name, beginning in beginnings
                if zip_archives.is_there(base / name)
            ]
        return self._archives[folder]

    def _spellings(self, folder: str) -> list[tuple[Path, _Spellings]]:
        """Places of a folder's images, on the disk and in archives, and the names that there are in each."""
        if folder not in self._alike:
            listed = [(base / folder, names) for base, names in zip(self.bases, self._listings(folder), strict=True)]
            listed += [
                (a / beginning, zip_archives.names_in(a, beginning)) for a, beginning in self._archives_of(folder)
            ]
            self._alike[folder] = [(place, _Spellings(names)) for place, names in listed]
        return self._alike[folder]


class _Spellings:
    """Images of a folder by what their names have in common with other spellings of them."""

    def __init__(self, names: Iterable[str]) -> None:
        self.by_stem: dict[str, list[str]] = {}
        for name in sorted(filter(is_image, names)):
            self.by_stem.setdefault(_split(name)[0], []).append(name)
        self.endings = {_split(name)[1] for names in self.by_stem.values() for name in names}

    def nearest(self, name: str) -> str | None:
        """The one image that ``name`` is another spelling of; None where there is none, or several equally near."""
        stem, ending = _split(name)
        names = self.by_stem.get(stem, [])
        for alike in (
            [other for other in names if _split(other)[1] == ending],
            [other for other in names if ending in JPEG and _split(other)[1] in JPEG],
            names if ending in SUFFIXES and ending not in self.endings else [],
        ):
            if alike:
                return alike[0] if len(alike) == 1 else None
        return None


def _split(name: str) -> tuple[str, str]:
    """Stem and ending of a name in lower case, the ending with its dot."""
    stem, dot, ending = name.casefold().rpartition(".")
    return stem, dot + ending


def is_image(name: str) -> bool:
    """Whether a file's name ends as an image's does."""
    return name.lower().endswith(SUFFIXES)


def scale_between(labelled: Array, stored: Array) -> Array:
    """Pixels of the stored image per pixel of the labelled one, (N,); 0 where their aspects differ by more than what a
    resize to whole pixels rounds.

    Parameters
    ----------
    labelled : (N, 2) height and width that the labels are for.
    stored : (N, 2) those of the images.
    """
    labelled, stored = np.maximum(labelled, 1).astype(float), np.asarray(stored, float)
    least, most = ((stored - 1) / labelled).max(axis=1), ((stored + 1) / labelled).min(axis=1)
    longer = labelled.argmax(axis=1)[:, None]
    scale = np.take_along_axis(stored / labelled, longer, axis=1)[:, 0]
    return np.where(least < most, scale, 0)


def image_names(root: Path, folder: str) -> list[str]:
    """Names of the images in ``folder`` below ``root`` and in archives that stand for it, sorted; without hidden files,
    as some are while they are written.

    Raises
    ------
    DataError : an archive that stands for the folder is damaged or split, and the folder is not there unpacked.
    """
    opened.note(root / folder)
    names = {*listings.files_in(root / folder)}
    for name, beginning in zip_archives.in_place_of(folder):
        if _is_archive(archive := root / name):
            names |= zip_archives.names_in(archive, beginning)
    return sorted(name for name in names if is_image(name) and name[0] != ".")


def is_image_folder(root: Path, folder: str) -> bool:
    """Whether there is such a folder below ``root``, or such a one in an archive that stands for it or for one above.

    Raises
    ------
    DataError : such an archive is damaged or split, and what it stands for is not there unpacked.
    """
    if opened.is_folder(root / folder):
        return True
    for name, beginning in zip_archives.in_place_of(folder):
        if _is_archive(archive := root / name) and beginning[:-1] in zip_archives.folders_in(archive):
            return True
    return False


def image_folders(root: Path, pattern: str) -> list[str]:
    """Folders below ``root`` that a pattern such as ``*/*/rgb`` matches, on the disk or in archives that stand for them
    or for ones above, sorted, relative to ``root``; also those of a split archive, which reading them refuses.

    Raises
    ------
    DataError : an archive is damaged, and what it stands for is not there unpacked; or one that stands for a folder
        above is split, and nothing else is found.
    """
    found: set[str] = set()
    in_parts: list[Path] = []
    above, parts = [""], pattern.split("/")
    for depth, part in enumerate(parts):
        rest, below = "/".join(parts[depth + 1 :]), list[str]()
        for folder in above:
            for name in _names(root / folder, part):
                path = root / folder / name
                ending = next(filter(name.endswith, (zip_archives.ZIP, *zip_archives.PARTS)), "")
                if not fnmatchcase(stem := name.removesuffix(ending), part):
                    continue
                if not ending and opened.is_folder(path):
                    below.append(f"{folder}{name}/")
                elif ending in zip_archives.PARTS and not rest:
                    found.add(folder + stem)
                elif ending in zip_archives.PARTS:
                    in_parts.append(path.with_name(stem + zip_archives.ZIP))
                elif ending and _is_archive(path):
                    inside = zip_archives.folders_matching(path, rest)
                    found |= {f"{folder}{stem}/{inner}".rstrip("/") for inner in inside}
        above = below
    found |= {folder[:-1] for folder in above}
    if not found and in_parts:
        zip_archives.is_there(in_parts[0])
    return sorted(found)


def folders_below(root: Path, folder: str) -> list[str]:
    """``folder`` and all folders in it, at any depth, on the disk or in archives that stand for them or for ones above,
    sorted, relative to ``root``.

    Raises
    ------
    DataError : an archive is damaged, and what it stands for is not there unpacked.
    """
    found = {folder}
    for path in (root / folder).rglob("*"):
        place = path.relative_to(root).as_posix()
        if path.is_dir():
            found.add(place)
        elif path.suffix == zip_archives.ZIP and _is_archive(path):
            stem = place.removesuffix(zip_archives.ZIP)
            found |= {f"{stem}/{inner}".rstrip("/") for inner in zip_archives.folders_in(path)}
    for name, beginning in zip_archives.in_place_of(folder):
        if _is_archive(path := root / name):
            inside = (inner for inner in zip_archives.folders_in(path) if inner.startswith(beginning))
            found |= {f"{folder}/{inner[len(beginning) :]}".rstrip("/") for inner in inside}
    return sorted(found)


def _names(folder: Path, part: str) -> list[str]:
    """Names in a folder among which those are that a part of a pattern matches, and archives in their place."""
    if any(sign in part for sign in "*?["):
        return raw_files.listing(folder)
    names = [part, *(f"{part}{ending}" for ending in (zip_archives.ZIP, *zip_archives.PARTS))]
    return [name for name in names if opened.is_folder(folder / name) or opened.is_file(folder / name)]


def _is_archive(path: Path) -> bool:
    opened.note(path)
    return zip_archives.is_there(path)


def _images_below(folder: Path) -> bool:
    """Whether there is an image or an archive in a folder, at any depth, or an archive in its place."""
    if folder.with_name(folder.name + zip_archives.ZIP).is_file():
        return True
    return any(is_image(name) or name.endswith(zip_archives.ZIP) for _, _, names in os.walk(folder) for name in names)


def _state(path: Path | None) -> str:
    return "" if path is None else image_files.state(path)


def _changed(folder: Path) -> int:
    try:
        return os.stat(folder).st_mtime_ns
    except (OSError, ValueError):
        return 0
