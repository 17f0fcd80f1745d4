"""Which raw datasets lie on a disk: complete, in part, or in a variant that does not convert.

Folder names are the users' own; datasets are recognised by what the cards say they need. A need that several
datasets share (a folder ``images``, say) only counts where another one, or the folder's name, speaks for the dataset.
A folder is listed once, and not to its end when it holds more than a dataset's root does: disks are slow and full.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from ehps.converters import layout, registry
from ehps.converters.base import DatasetCard
from ehps.errors import DataError
from ehps.progress import over

COMMON = ("images", "annotations", "data", "videos", "sequences", "test", "train", "trainval", "valid", "validation")
# From the benchmark of converters: one core, SMPL-X with all derived columns.
ROWS_A_SECOND = 5000
BYTES_A_ROW = 6600


@dataclass
class Finding:
    """What is there of one dataset.

    Attributes
    ----------
    state : ``found`` (at least one split is complete), ``partial``, ``wrong variant`` or ``absent``.
    splits : those that are complete.
    missing : what ``split`` lacks, which is another one.
    note : what the folder holds instead, what is still packed, what it is taken for.
    otherwise : what it is if the images that seem to be one folder too deep are where the labels say.
    """

    card: DatasetCard
    state: str
    folder: Path | None = None
    splits: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    split: str = ""
    note: str = ""
    otherwise: Finding | None = None

    @property
    def expected(self) -> str:
        """Size of the output and time on one core, from the published count."""
        counts = [self.card.splits[s] for s in self.splits or self.card.splits]
        rows = sum(count for count in counts if count)
        if not rows:
            return "not known"
        minutes = rows / ROWS_A_SECOND / 60
        time = f"{minutes:.0f} min" if minutes >= 1 else "under a minute"
        megabytes = rows * BYTES_A_ROW / 1e6
        size = f"{megabytes / 1000:.1f} GB" if megabytes >= 100 else f"{megabytes:.0f} MB"
        return f"{size}, {time} a core"

    @property
    def lacks(self) -> str:
        """In a line for people: what is wrong or missing, alternatives left out."""
        if self.state == "wrong variant":
            return self.note
        needs = [_first_of(need) for need in self.missing[:4]]
        if len(self.missing) > 4:
            needs.append(f"{len(self.missing) - 4} more")
        what = ", ".join(needs)
        if self.state == "found" and what:
            what = f"for {self.split}: {what}"
        return "; ".join(text for text in (self.note, what) if text)


def survey(disk: Path, depth: int = 3) -> list[Finding]:
    """One finding per dataset card, in the order of their ids.

    Parameters
    ----------
    disk : folder that holds raw datasets, at most ``depth`` levels down; deeper below a folder named after one.

    Raises
    ------
    DataError : there is no such folder, or it cannot be read.
    """
    if not disk.is_dir():
        raise DataError("no such folder", path=disk, fix="give the folder that holds your raw datasets")
    layout.forget()
    if not layout.listing(disk).readable:
        raise DataError("cannot be read", path=disk, fix="ask its owner for the right to list it")
    searches = [_Search(card) for card in registry.cards()]
    for folder in over(layout.folders(disk, depth), "looking through folders"):
        archives = {_plain(layout.unpacked(name)) for name in _packed(folder)}
        for search in searches:
            search.look(folder, archives)
    return [search.finding(depth) for search in over(searches, "comparing with datasets")]


def only_by_name(card: DatasetCard) -> bool:
    """Whether nothing in its usual folder has a name of its own, so that only the folder's name gives it away."""
    return not any(_own(need.split("|")[0].strip()) for need in layout.needs(card, card.default_split))


class _Search:
    """What is seen of one dataset, folder by folder."""

    def __init__(self, card: DatasetCard) -> None:
        self.card = card
        self.names = _names(card)
        self.twins = _twins(card)
        self.score = (0, 0, False)  # complete splits, telling needs, whether the folder is called so
        self.best: Finding | None = None
        self.mistaken: Finding | None = None
        self.named: Path | None = None
        self.packed: Path | None = None

    def look(self, folder: Path, archives: set[str]) -> None:
        self._score(folder)
        if self.mistaken is None:
            note = next(
                (note for pattern, note in self.card.variants.items() if layout.there(folder, pattern, quick=True)),
                None,
            )
            if note is not None:
                self.mistaken = self._nothing("wrong variant", folder, note)
        if self.named is None and _plain(folder.name) in self.names:
            self.named = folder
        if self.packed is None and archives & self.names:
            self.packed = folder

    def finding(self, depth: int) -> Finding:
        if self.named is not None and not (self.best and self.best.state == "found"):
            for below in layout.folders(self.named, depth):  # deeper than the others are looked for
                self._score(below)
        best, mistaken = self.best, self.mistaken
        if best is not None and best.folder is not None and best.state == "found":
            if inner := layout.images_too_deep(best.folder):
                note = layout.told(best.folder, inner.parent.relative_to(best.folder).as_posix(), inner)
                return replace(best, state="partial", splits=[], note=note, otherwise=best)
            if self.twins and not _is_called(self.names, best.folder):
                others = " or ".join(twin.name for twin in self.twins)
                return replace(best, note=f"or is it {others}? They look alike: name the folder after the dataset")
            return best
        if mistaken is not None and (best is None or _one_in_the_other(best.folder, mistaken.folder)):
            return mistaken
        if best is not None:
            also = [f"{mistaken.note} ({mistaken.folder})"] if mistaken is not None else []
            return replace(best, note="; ".join(filter(None, [best.note, *still_packed(best.folder), *also])))
        if self.named is not None:
            readable = layout.listing(self.named).readable
            note = "; ".join(still_packed(self.named)) if readable else "this folder cannot be read"
            return self._nothing("partial", self.named, note)
        if self.packed is not None:
            own = [name for name in _packed(self.packed) if _plain(layout.unpacked(name)) in self.names]
            return self._nothing("partial", self.packed, f"still packed: {', '.join(own)}")
        return Finding(self.card, "absent")

    def _score(self, folder: Path) -> None:
        """Keep ``folder`` where more of the dataset is in it than in those before."""
        every = {need for split in self.card.splits for need in layout.needs(self.card, split)}
        telling = sum(_tells(folder, need) for need in every)
        named = _plain(folder.name) in self.names
        if not (telling or named):
            return
        if any(_is_called(_names(twin), folder) for twin in self.twins) and not _is_called(self.names, folder):
            return
        absent = {split: layout.missing(self.card, folder, split, quick=True) for split in self.card.splits}
        deep = {need: found for need in every if (found := _too_deep(folder, need, absent))}
        if not deep and all(need in absent[split] for split in absent for need in layout.needs(self.card, split)):
            return
        complete = [split for split in absent if not absent[split]]
        score = len(complete), telling, named
        if self.best is None or score > self.score:
            wanted = next((split for split in absent if absent[split]), self.card.default_split)
            self.score = score
            state = "found" if complete else "partial"
            note = "; ".join(layout.told(folder, need, found) for need, found in sorted(deep.items()))
            missing = [need for need in absent[wanted] if need not in deep]
            self.best = Finding(self.card, state, folder, complete, missing, wanted, note)

    def _nothing(self, state: str, folder: Path, note: str) -> Finding:
        split = self.card.default_split
        missing = layout.missing(self.card, folder, split, quick=True)
        return Finding(self.card, state, folder, missing=missing, split=split, note=note)


def _twins(card: DatasetCard) -> list[DatasetCard]:
    """Other datasets whose folders look the same and are not the same download."""
    alike = [c for c in registry.cards() if (c.needs, c.split_needs) == (card.needs, card.split_needs)]
    return [other for other in alike if other.homepage != card.homepage]


def _tells(folder: Path, need: str) -> bool:
    """Whether what meets a need, be it a folder too deep, has a name that hardly any other dataset uses."""
    words = layout.alternatives(need)
    telling = [word for word in words if _own(word)]
    return any(layout.there(folder, word, quick=True) or layout.too_deep(folder, word) for word in telling)


def _too_deep(folder: Path, need: str, absent: Mapping[str, Sequence[str]]) -> Path | None:
    """Where what would meet a need that is not met is, one folder too deep."""
    lacking = any(need in needs for needs in absent.values())
    return layout.too_deep(folder, need) if lacking else None


@cache
def _own(pattern: str) -> bool:
    parts = [re.sub(r"[^a-z]", "", part.split(".")[0].lower()) for part in pattern.split("/")]
    return pattern.endswith(".smc") or any(len(part) >= 4 and part not in COMMON for part in parts)


def _names(card: DatasetCard) -> set[str]:
    """What its folders and archives are called, in anybody's spelling; the layout begins with the root's own name."""
    return {_plain(word) for word in (card.id, card.name, card.layout.split("/")[0])}


def _first_of(need: str) -> str:
    first, *others = (word.strip() for word in need.split("|"))
    return f"{first} (or another of {len(others) + 1})" if others else first


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _is_called(names: set[str], folder: Path | None) -> bool:
    """Whether a folder, or one that it is in, has one of the names."""
    return folder is not None and any(_plain(part) in names for part in folder.parts)


def _one_in_the_other(first: Path | None, second: Path | None) -> bool:
    if first is None or second is None:
        return False
    return first.is_relative_to(second) or second.is_relative_to(first)


def still_packed(folder: Path | None) -> list[str]:
    """What to say of archives that nothing beside them is named after."""
    packed = [] if folder is None else _packed(folder)
    more = f" and {len(packed) - 3} more" if len(packed) > 3 else ""
    return [f"still packed: {', '.join(packed[:3])}{more}"] if packed else []


def _packed(folder: Path) -> list[str]:
    found = layout.listing(folder)
    unpacked = {name.lower() for name in found.folders}
    return [name for name in found.files if layout.packed(name) and layout.unpacked(name).lower() not in unpacked]
