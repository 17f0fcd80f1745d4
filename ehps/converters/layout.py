"""Is the raw dataset there, and whole? Asked before anything is read, so that a wrong folder costs a second."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice
from pathlib import Path

from ehps.converters.base import DatasetCard
from ehps.errors import DataError, UsageError
from ehps.humandata import zip_archives

# ``a.zip``, and parts of one as ``a.zip.001``, ``a.z01``, ``a.tar.gzaa``, ``a.tar.gz.part_aa``
ARCHIVE = re.compile(r"\.(zip|7z|rar|tgz|z\d\d|tar(\.(gz|bz2|xz))?)(\.\d+|\.?(part)?[-_]?[a-z]{2})?$", re.IGNORECASE)
IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
LABELS = (".json", ".npz", ".npy", ".pkl", ".csv", ".mat", ".h5", ".hdf5", ".parquet", ".smc", ".ply", ".obj")
WIDE = 200  # folders in one that are looked into when guessing; more are frames
LISTED = 10_000  # names of one folder that are looked at when guessing
SAMPLED = 20  # folders that stand for all those of a wide one
FEW = 3  # folders that stand for all those beside them


def needs(card: DatasetCard, split: str) -> tuple[str, ...]:
    """What must be below the root for ``split``: patterns as in :class:`~ehps.converters.base.DatasetCard`."""
    return (*card.needs, *card.split_needs.get(split, ()))


def missing(card: DatasetCard, root: Path, split: str, quick: bool = False) -> list[str]:
    """The needs that ``root`` does not meet; empty when the layout is complete.

    Parameters
    ----------
    card : of the dataset.
    root : where it should be.
    split : whose needs count.
    quick : see :func:`there`.
    """
    return [need for need in needs(card, split) if not _met(root, need, quick)]


def packed(name: str) -> bool:
    """Whether a file is an archive, or a part of one, by its name."""
    return ARCHIVE.search(name) is not None


def unpacked(name: str) -> str:
    """The name of an archive without what makes it one."""
    return ARCHIVE.sub("", name)


def locate(card: DatasetCard, root: Path, split: str, depth: int = 2) -> Path | None:
    """The folder near ``root`` (itself, its children to ``depth``, two levels up) that holds the dataset."""
    wanted = needs(card, split)
    if not wanted:
        return None
    for folder in (*folders(root, depth), *list(root.resolve().parents)[:2]):
        if all(_met(folder, need) for need in wanted):
            return folder
    return None


def check(card: DatasetCard, root: Path, split: str) -> None:
    """Raise unless ``root`` has all that the card says it needs for ``split``.

    Raises
    ------
    UsageError : the dataset has no such split.
    DataError : something is missing; the message lists it, says where to get it, and names the right folder when
        one level too high or too low was given.
    """
    if split not in card.splits:
        raise UsageError(f"{card.name} has no split {split!r}", fix=f"it has {', '.join(card.splits)}")
    if root.is_file():
        raise DataError(f"is a file; {card.name} is a folder", path=root, fix="unpack it and give the folder")
    if not root.is_dir():
        raise DataError("no such folder", path=root, fix=f"give the folder that holds {card.name}")
    forget()
    absent = missing(card, root, split)
    if not absent:
        return
    what = f"{card.name} ({split}) is not complete here; missing: {', '.join(absent)}"
    elsewhere = locate(card, root, split)
    if elsewhere is not None:
        raise DataError(what, path=root, fix=f"it is complete in {elsewhere}: give that folder")
    deep = [(need, found) for need in absent if (found := too_deep(root, need))]
    if deep:
        what += f"; {told(root, deep[0][0], deep[0][1])}"
        if len(deep) == len(absent):
            raise DataError(what, path=root, fix="move what is in the inner folder one folder up")
    archives = [p.name for p in sorted(root.iterdir()) if packed(p.name)]
    if archives:
        more = f" and {len(archives) - 5} more" if len(archives) > 5 else ""
        what += f"; there are packed files: {', '.join(archives[:5])}{more}"
    what += "".join(f"; {damage}" for damage in _damaged(root, absent))
    if others := [name for name in card.splits if name != split and not missing(card, root, name, quick=True)]:
        what += f"; complete here: --split {' or '.join(others)}"
    source = card.get or f"see {card.homepage}"
    raise DataError(what, path=root, fix=f"to get it: {source} ({card.homepage})")


def _damaged(root: Path, absent: list[str]) -> list[str]:
    """What is wrong with archives in the place of what is missing."""
    places = [_archives(root, pattern, quick=True) for need in absent for pattern in alternatives(need)]
    found = []
    for archive in dict.fromkeys(archive for archives in places for archive, _ in archives):
        try:
            zip_archives.endings_in(archive)
        except DataError as error:
            found.append(f"{archive.relative_to(root).as_posix()} {error.what}")
    return found


def told(root: Path, need: str, found: Path) -> str:
    """In words, that what meets a need is one folder too deep, as :func:`too_deep` found it."""
    return f"{alternatives(need)[0]} is one folder too deep: {found.relative_to(root).as_posix()}"


def _met(root: Path, need: str, quick: bool = False) -> bool:
    return any(there(root, alternative, quick) for alternative in alternatives(need))


@cache
def alternatives(need: str) -> tuple[str, ...]:
    """The patterns of a need, any of which will do."""
    return tuple(word.strip() for word in need.split("|"))


def folders(root: Path, depth: int) -> Iterator[Path]:
    """``root`` and the folders below it, level by level; wide ones hold frames and are not looked into.

    Links to folders are followed, but no folder is visited twice, nor is one that ``root`` is in.
    """
    seen = {_identity(folder) for folder in root.resolve().parents}
    level = [root]
    for remaining in range(depth, -1, -1):
        level = [folder for folder in level if _is_new(folder, seen)]
        yield from level
        if remaining:
            level = [folder / name for folder in level for name in _children(folder, root)]


def _is_new(folder: Path, seen: set[tuple[int, int] | None]) -> bool:
    identity = _identity(folder)
    new = identity not in seen
    seen.add(identity)
    return new


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _children(folder: Path, root: Path) -> tuple[str, ...]:
    children = listing(folder).folders
    return children if len(children) <= WIDE or folder == root else ()


def there(root: Path, pattern: str, quick: bool = False) -> bool:
    """Whether something of a pattern is below ``root``, which is no folder that was unpacked into itself; a zip archive
    of images will do in the place of their folder or of one above it.

    Parameters
    ----------
    root : the folder that the pattern begins in.
    pattern : a path with ``*``, ``?`` and ``[1-3]`` allowed; a folder where it ends in ``/``.
    quick : of a wide folder look at the first names only, as disks are slow and full.
    """
    found = _find(str(root), pattern, quick)
    if found is None:
        return any(_has_images(archive, below) for archive, below in _archives(root, pattern, quick))
    return inside_itself(Path(found)) is None


def _archives(root: Path, pattern: str, quick: bool) -> Iterator[tuple[Path, str]]:
    """Zip archives in the place of what a pattern names or of a folder above it, with the rest of the pattern."""
    parts = pattern.rstrip("/").split("/")
    for count in range(len(parts), 0, -1):
        for found in _every(str(root), [*parts[: count - 1], f"{parts[count - 1]}.zip"], False, quick):
            yield Path(found), "/".join(parts[count:])


def _has_images(archive: Path, pattern: str) -> bool:
    """Whether an archive has images in a folder of this pattern, or of such names, and no labels: these are not read
    from it. A damaged one has none."""
    try:
        endings = zip_archives.endings_in(archive)
        if endings.isdisjoint(IMAGES) or not endings.isdisjoint(LABELS):
            return False
        folder, _, name = pattern.rpartition("/")
        if not name.lower().endswith(IMAGES):
            return bool(zip_archives.folders_matching(archive, pattern))
        inside = zip_archives.folders_matching(archive, folder)
        return any(fnmatch.filter(zip_archives.names_in(archive, f"{inner}/" * bool(inner)), name) for inner in inside)
    except DataError:
        return False


def inside_itself(folder: Path) -> Path | None:
    """Where the content of a folder is that holds nothing but one of its own name (``images/images``), as archives
    leave it that are unpacked once too deep; or of one whose folders all are such. None for any other."""
    found = listing(folder)
    if not found.folders or any(not packed(name) for name in found.files):
        return None
    if found.folders == (folder.name,):
        return folder / folder.name
    below = [_only_itself(folder / name) for name in found.folders[:FEW]]
    return below[0] if all(below) else None


def _only_itself(folder: Path) -> Path | None:
    found = listing(folder)
    return folder / folder.name if found.folders == (folder.name,) and not found.files else None


@lru_cache(maxsize=2048)
def too_deep(root: Path, need: str) -> Path | None:
    """Where what meets a need is, when it is one folder deeper than the need says; else None."""
    for pattern in alternatives(need):
        found = _find(str(root), pattern, quick=True)
        if found is not None and (content := inside_itself(Path(found))):
            return content
        parts = pattern.rstrip("/").split("/")
        for depth in range(1, len(parts)):
            above = _find(str(root), "/".join(parts[:depth]), quick=True)
            inner = "" if above is None else _inner_folder(Path(above), parts[depth - 1])
            if inner and (found := _find(os.path.join(above or "", inner), "/".join(parts[depth:]), quick=True)):
                return Path(found)
    return None


def _inner_folder(folder: Path, name: str) -> str:
    """The folder in a folder that is called as it is, or is all that it holds."""
    found = listing(folder)
    alone = found.folders[0] if len(found.folders) == 1 and not found.files else ""
    return name if name in found.folders else alone


def images_too_deep(root: Path, depth: int = 2) -> Path | None:
    """The first folder below ``root`` whose images are inside another of its name, as :func:`inside_itself` says."""
    for folder in islice(folders(root, depth), 1, None):
        inner = inside_itself(folder)
        if inner and any(
            name.lower().endswith(IMAGES) for below in folders(inner, depth + 1) for name in listing(below).files
        ):
            return inner
    return None


def misplaced(root: Path, path: str) -> Path | None:
    """Where a file is that is not at ``path`` below ``root``: one folder deeper or less deep; else None."""
    parts = path.split("/")
    for depth in range(len(parts)):
        deeper = "/".join([*map(glob.escape, parts[:depth]), "*", *map(glob.escape, parts[depth:])])
        less = "/".join(map(glob.escape, parts[:depth] + parts[depth + 1 :]))
        for pattern in (deeper, less) if depth < len(parts) - 1 else (deeper,):
            if found := _find(str(root), pattern, quick=True):
                return Path(found)
    return None


@lru_cache(maxsize=4096)
def _find(folder: str, pattern: str, quick: bool) -> str | None:
    """The first of what a pattern matches."""
    return next(_every(folder, pattern.rstrip("/").split("/"), pattern.endswith("/"), quick), None)


def _every(folder: str, parts: list[str], is_folder: bool, quick: bool) -> Iterator[str]:
    """What a pattern matches, in order."""
    part, below = parts[0], parts[1:]
    found = listing(folder, LISTED if quick else None)
    if not ("*" in part or "?" in part or "[" in part):
        if found.whole and part.lower() not in found.lower:
            return
        path = os.path.join(folder, part)
        if below:
            yield from _every(path, below, is_folder, quick)
        elif os.path.isdir(path) or (not is_folder and os.path.isfile(path)):
            yield path
        return
    names = found.folders if below or is_folder else found.folders + found.files
    matching = fnmatch.filter(names, part)
    if not below:
        yield from (os.path.join(folder, name) for name in matching)
        return
    looked_into = matching[:SAMPLED] if quick and len(matching) > WIDE else matching
    for name in looked_into:
        yield from _every(os.path.join(folder, name), below, is_folder, quick)


@dataclass(frozen=True)
class Listing:
    """Names in a folder; hidden ones, pipes, devices and links that lead nowhere are left out.

    Attributes
    ----------
    folders : sorted.
    files : sorted.
    lower : all of them, in small letters.
    whole : whether there are no more.
    readable : whether the folder could be listed.
    """

    folders: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    lower: frozenset[str] = frozenset()
    whole: bool = True
    readable: bool = True


def listing(folder: Path | str, most: int | None = LISTED) -> Listing:
    """What is in a folder, which is listed once until :func:`forget`; ``most`` names, or all."""
    return _listing(str(folder), most)


def forget() -> None:
    """List folders anew from now on."""
    for remembered in (_listing, _find, too_deep):
        remembered.cache_clear()


@lru_cache(maxsize=2048)
def _listing(folder: str, most: int | None) -> Listing:
    try:
        with os.scandir(folder) as entries:
            found = list(entries if most is None else islice(entries, most + 1))
            kept = [entry for entry in found if not entry.name.startswith((".", "__MACOSX")) and _is_data(entry)]
            names = {entry.name for entry in kept if entry.is_dir()}
    except (OSError, ValueError):  # no right to read it, or a name that no folder can have
        return Listing(readable=False)
    every = {entry.name for entry in kept}
    lower = frozenset(name.lower() for name in every)
    return Listing(tuple(sorted(names)), tuple(sorted(every - names)), lower, most is None or len(found) <= most)


def _is_data(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir() or entry.is_file()
    except OSError:  # a link to itself
        return False
