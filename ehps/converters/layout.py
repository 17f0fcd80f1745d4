"""Is the raw dataset there, and whole? Asked before anything is read, so that a wrong folder costs a second."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from ehps.converters.base import DatasetCard
from ehps.errors import DataError, UsageError

# ``a.zip``, and parts of one as ``a.zip.001``, ``a.z01``, ``a.tar.gzaa``, ``a.tar.gz.part_aa``
ARCHIVE = re.compile(r"\.(zip|7z|rar|tgz|z\d\d|tar(\.(gz|bz2|xz))?)(\.\d+|\.?(part)?[-_]?[a-z]{2})?$", re.IGNORECASE)
WIDE = 200  # children of a folder that are looked into when guessing


def needs(card: DatasetCard, split: str) -> tuple[str, ...]:
    """What must be below the root for ``split``: patterns as in :class:`~ehps.converters.base.DatasetCard`."""
    return (*card.needs, *card.split_needs.get(split, ()))


def missing(card: DatasetCard, root: Path, split: str, there: Callable[[Path, str], bool] | None = None) -> list[str]:
    """The needs that ``root`` does not meet; empty when the layout is complete.

    ``there`` says whether a pattern is below a folder, as the function of that name here.
    """
    return [need for need in needs(card, split) if not _met(root, need, there)]


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
    for folder in (root, *_below(root, depth), *list(root.resolve().parents)[:2]):
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


def _met(root: Path, need: str, is_there: Callable[[Path, str], bool] | None = None) -> bool:
    return any((is_there or there)(root, alternative.strip()) for alternative in need.split("|"))


def there(root: Path, pattern: str) -> bool:
    """Whether a path (``*`` allowed, a folder where it ends in ``/``) is below ``root``."""
    try:
        if "*" not in pattern and "?" not in pattern:
            path = root / pattern
            return path.is_dir() if pattern.endswith("/") else path.exists()
        return next(iter(root.glob(pattern)), None) is not None
    except OSError:
        return False


def _below(root: Path, depth: int) -> Iterator[Path]:
    """Folders below ``root``, level by level; wide folders are frames, not dataset roots, and are cut short."""
    level = [root]
    for _ in range(depth):
        level = [child for folder in level for child in _folders(folder)]
        yield from level


def _folders(folder: Path) -> list[Path]:
    try:
        children = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError:
        return []
    return children[:WIDE]
