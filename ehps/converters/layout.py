"""Is the raw dataset there, and whole? Asked before anything is read, so that a wrong folder costs a second."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

from ehps.converters.base import DatasetCard
from ehps.errors import DataError, UsageError

# ``a.zip``, and parts of one as ``a.zip.001``, ``a.z01``, ``a.tar.gzaa``, ``a.tar.gz.part_aa``
ARCHIVE = re.compile(r"\.(zip|7z|rar|tgz|z\d\d|tar(\.(gz|bz2|xz))?)(\.\d+|\.?(part)?[-_]?[a-z]{2})?$", re.IGNORECASE)
WIDE = 200  # folders in one that are looked into when guessing; more are frames
LISTED = 10_000  # names of one folder that are looked at when guessing
SAMPLED = 20  # folders that stand for all those of a wide one


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
    archives = [p.name for p in sorted(root.iterdir()) if packed(p.name)]
    if archives:
        more = f" and {len(archives) - 5} more" if len(archives) > 5 else ""
        what += f"; there are packed files: {', '.join(archives[:5])}{more}"
    source = card.get or f"see {card.homepage}"
    raise DataError(what, path=root, fix=f"to get it: {source} ({card.homepage})")


def _met(root: Path, need: str, quick: bool = False) -> bool:
    return any(there(root, alternative.strip(), quick) for alternative in need.split("|"))


def folders(root: Path, depth: int) -> Iterator[Path]:
    """``root`` and the folders below it, level by level; wide ones hold frames and are not looked into."""
    level = [root]
    for remaining in range(depth, -1, -1):
        yield from level
        if remaining:
            level = [folder / name for folder in level for name in _children(folder, root)]


def _children(folder: Path, root: Path) -> tuple[str, ...]:
    children = listing(folder).folders
    return children if len(children) <= WIDE or folder == root else ()


def there(root: Path, pattern: str, quick: bool = False) -> bool:
    """Whether something of a pattern is below ``root``.

    Parameters
    ----------
    root : the folder that the pattern begins in.
    pattern : a path with ``*``, ``?`` and ``[1-3]`` allowed; a folder where it ends in ``/``.
    quick : of a wide folder look at the first names only, as disks are slow and full.
    """
    return _match(str(root), pattern.rstrip("/").split("/"), pattern.endswith("/"), quick)


def _match(folder: str, parts: list[str], is_folder: bool, quick: bool) -> bool:
    part, below = parts[0], parts[1:]
    found = listing(folder, LISTED if quick else None)
    if not any(sign in part for sign in "*?["):
        if found.whole and part.lower() not in found.lower:
            return False
        path = os.path.join(folder, part)
        return (
            _match(path, below, is_folder, quick) if below else (os.path.isdir if is_folder else os.path.exists)(path)
        )
    names = found.folders if below or is_folder else found.folders + found.files
    matching = fnmatch.filter(names, part)
    if not below:
        return bool(matching)
    looked_into = matching[:SAMPLED] if quick and len(matching) > WIDE else matching
    return any(_match(os.path.join(folder, name), below, is_folder, quick) for name in looked_into)


@dataclass(frozen=True)
class Listing:
    """Names in a folder, hidden ones left out.

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
    _listing.cache_clear()


@lru_cache(maxsize=2048)
def _listing(folder: str, most: int | None) -> Listing:
    try:
        with os.scandir(folder) as entries:
            found = list(entries if most is None else islice(entries, most + 1))
            kept = [entry for entry in found if not entry.name.startswith((".", "__MACOSX"))]
            names = {entry.name for entry in kept if entry.is_dir()}
    except OSError:
        return Listing(readable=False)
    every = {entry.name for entry in kept}
    lower = frozenset(name.lower() for name in every)
    return Listing(tuple(sorted(names)), tuple(sorted(every - names)), lower, most is None or len(found) <= most)
