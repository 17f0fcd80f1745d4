"""Which raw datasets lie on a disk: complete, in part, or in a variant that does not convert.

Folder names are the users' own; datasets are recognised by what the cards say they need. A need that several
datasets share (a folder ``images``, say) only counts where another one, or the folder's name, speaks for the dataset.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ehps.converters import layout, registry
from ehps.converters.base import DatasetCard
from ehps.errors import DataError

COMMON = ("images", "annotations", "data", "videos", "sequences", "test", "train", "trainval", "validation")
# From the benchmark of converters: one core, SMPL-X with all derived columns.
ROWS_A_SECOND = 5000
BYTES_A_ROW = 6600


@dataclass
class Finding:
    """What is there of one dataset.

    Attributes
    ----------
    state : ``found`` (at least one split is complete), ``partial``, ``wrong variant`` or ``absent``.
    splits : those that are complete. missing : what the others, or all, lack.
    """

    card: DatasetCard
    state: str
    folder: Path | None = None
    splits: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    note: str = ""

    @property
    def command(self) -> str:
        """What converts it, where it can be converted."""
        if self.state != "found" or not registry.available(self.card.id):
            return ""
        split = self.splits[0]
        return f"ehps convert {self.card.id} {self.folder} --split {split} --out {self.card.id}_{split}.h5"

    @property
    def expected(self) -> str:
        """Size of the output and time on one core, from the published count."""
        counts = [self.card.splits[s] for s in self.splits or self.card.splits]
        rows = sum(count for count in counts if count)
        if not rows:
            return "not known"
        minutes = rows / ROWS_A_SECOND / 60
        time = f"{minutes:.0f} min" if minutes >= 1 else "under a minute"
        return f"{rows * BYTES_A_ROW / 1e9:.1f} GB, {time} a core"


def survey(disk: Path, depth: int = 3) -> list[Finding]:
    """One finding per dataset card, in the order of their ids.

    Parameters
    ----------
    disk : folder that holds raw datasets, at most ``depth`` levels down.

    Raises
    ------
    DataError : there is no such folder.
    """
    if not disk.is_dir():
        raise DataError("no such folder", path=disk, fix="give the folder that holds your raw datasets")
    folders = list(_folders(disk, depth))
    return [_examine(card, folders) for card in registry.cards()]


def _examine(card: DatasetCard, folders: Sequence[Path]) -> Finding:
    best = max(
        (found for n, folder in enumerate(folders) if (found := _score(card, folder, n)) is not None),
        key=lambda found: found[0],
        default=None,
    )
    if best is not None and best[1].state == "found":
        return best[1]
    for folder in folders:
        for pattern, note in card.variants.items():
            if layout.there(folder, pattern):
                return Finding(card, "wrong variant", folder, missing=_all_missing(card, folder), note=note)
    if best is not None:
        return best[1]
    named = next((folder for folder in folders if _named(card, folder)), None)
    if named is None:
        return Finding(card, "absent")
    packed = [name for name in _names(named) if name.lower().endswith(layout.ARCHIVES)]
    note = f"still packed: {', '.join(packed[:3])}" if packed else ""
    return Finding(card, "partial", named, missing=_all_missing(card, named), note=note)


def _score(card: DatasetCard, folder: Path, number: int) -> tuple[tuple[int, int, int], Finding] | None:
    """How much of the dataset is in ``folder``, and what; None when nothing there speaks for it."""
    absent = {split: layout.missing(card, folder, split) for split in card.splits}
    met = {need for split in card.splits for need in layout.needs(card, split) if need not in absent[split]}
    telling = sum(_tells(folder, need) for need in met)
    if not met or not (telling or _named(card, folder)):
        return None
    complete = [split for split in card.splits if not absent[split]]
    wanted = next((split for split in card.splits if absent[split]), card.default_split)
    state = "found" if complete else "partial"
    return (len(complete), telling, -number), Finding(card, state, folder, complete, absent[wanted])


def _all_missing(card: DatasetCard, folder: Path) -> list[str]:
    return layout.missing(card, folder, card.default_split)


def _tells(folder: Path, need: str) -> bool:
    """Whether what meets a need has a name that hardly any other dataset uses."""
    words = [word.strip() for word in need.split("|")]
    return any(_own(word) and layout.there(folder, word) for word in words)


def _own(pattern: str) -> bool:
    parts = [re.sub(r"[^a-z]", "", part.split(".")[0].lower()) for part in pattern.split("/")]
    return pattern.endswith(".smc") or any(len(part) >= 4 and part not in COMMON for part in parts)


def _named(card: DatasetCard, folder: Path) -> bool:
    """Whether a folder is called like the dataset, in anybody's spelling."""
    plain = re.sub(r"[^a-z0-9]", "", folder.name.lower())
    return plain in {re.sub(r"[^a-z0-9]", "", word.lower()) for word in (card.id, card.name)}


def _folders(disk: Path, depth: int) -> Iterator[Path]:
    """``disk`` and the folders below it, level by level; wide ones hold frames and are not looked into."""
    level = [disk]
    for remaining in range(depth, -1, -1):
        yield from level
        if remaining:
            level = [child for folder in level for child in _children(folder)]


def _children(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith((".", "__MACOSX")))
    except OSError:
        return []
    return [folder / name for name in names] if len(names) <= layout.WIDE else []


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
