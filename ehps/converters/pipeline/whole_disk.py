"""All that lies on a disk: which conversions of it will succeed, and all of these, one after another.

The layout is what :mod:`ehps.converters.disk_survey` finds. Beyond that some units are read, and their images looked
for: labels without images are the usual state of a disk, and a conversion that finds none fails at its end.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ehps.converters import registry
from ehps.converters.base import Converter, DatasetCard, Unit
from ehps.converters.disk_survey import Finding, still_packed, survey
from ehps.converters.pipeline.conversions import Result
from ehps.converters.pipeline.rows import below_root
from ehps.converters.readers.images import ImageIndex
from ehps.errors import EhpsError
from ehps.progress import counting

TESTED = {
    "agora": ("validation",),
    "arctic": ("val",),
    "egobody_ego": ("test",),
    "egobody_kinect": ("test",),
    "ehf": ("val",),
    "emdb": ("emdb1", "emdb2"),
    "h36m": ("test",),
    "lsp": ("test",),
    "mscoco": ("val",),
    "pw3d": ("test",),
    "renbody": ("test",),
    "renbody_hires": ("test",),
    "rich": ("test",),
    "ssp3d": ("test",),
    "ubody": ("test",),
}
"""Splits that test protocols are for; of all others the benchmark uses what they train on."""
TRAINED = ("train", "trainval")
LOOKED_AT = 3  # units of a split: the first, one in the middle, the last
LARGE = 100_000_000  # bytes of a file that is not read only to look for its images


@dataclass(frozen=True)
class Planned:
    """One conversion of what lies on a disk.

    Attributes
    ----------
    obstacle : why it would fail; nothing where it will succeed.
    note : what is to be known of it: images that are not there, archives beside.
    damaged : whether that is because its files cannot be read.
    frames : whether its images have to be made out of the raw files.
    body_models : folder that it takes body models from, None without.
    """

    card: DatasetCard
    folder: Path
    split: str
    obstacle: str = ""
    note: str = ""
    damaged: bool = False
    frames: bool = False
    body_models: Path | None = None

    @property
    def file(self) -> str:
        """Name of the output."""
        return f"{self.card.id}_{self.split}.h5"

    @property
    def frames_folder(self) -> str | None:
        """Name of the folder for images that are made."""
        return f"{self.card.id}_frames" if self.frames else None

    @property
    def left_out(self) -> Result:
        """What becomes of it where there is an obstacle."""
        state = "failed" if self.damaged else "left out"
        return Result(self.card.id, self.split, self.file, state, note=self.obstacle)

    def arguments(self, out: Path) -> dict[str, Any]:
        """Of :func:`ehps.converters.pipeline.convert`, for an output in a folder."""
        return {
            "dataset": self.card.id,
            "raw": self.folder,
            "split": self.split,
            "out": out / self.file,
            "body_models": self.body_models,
            "frames": out / self.frames_folder if self.frames_folder else None,
        }

    @property
    def command(self) -> str:
        """What converts it; nothing where that would fail."""
        if self.obstacle:
            return ""
        words = ["ehps", "convert", self.card.id, str(self.folder), "--split", self.split, "--out", self.file]
        words += ["--frames", self.frames_folder] if self.frames_folder else []
        words += ["--body-models", str(self.body_models)] if self.body_models else []
        return shlex.join(words)


def findings_on(disk: Path) -> list[Finding]:
    """What :func:`~ehps.converters.disk_survey.survey` finds; folders within one of their name, which look as if
    unpacked too deep, are taken as they are where the labels have them so (UBody's clips).

    Raises
    ------
    DataError : there is no such folder, or it cannot be read.
    """
    return [_as_labelled(finding) for finding in survey(disk)]


def _as_labelled(finding: Finding) -> Finding:
    other = finding.otherwise
    if other is None or other.folder is None or not registry.available(other.card.id):
        return finding
    try:
        look = _Look.at(registry.converter(other.card.id)(other.folder, other.splits[0], {}))
    except Exception:  # of damaged files, which nobody has thought of: the doubt stays
        return finding
    return other if look.images > look.missing else finding


def plan(findings: Sequence[Finding], body_models: Path | None, *, progress: bool = False) -> list[Planned]:
    """The conversions of what was found, those that would fail with the reason; a few units of each are read.

    Parameters
    ----------
    body_models : folder of body models, None where there is none.
    progress : print how far this is.
    """
    wanted = [
        (finding, split)
        for finding in findings
        if finding.state == "found" and registry.available(finding.card.id)
        for split in splits_of(finding)
    ]
    planned = []
    with counting("looking at images, dataset by dataset,", len(wanted), show=progress) as advance:
        for finding, split in wanted:
            planned.append(_planned(finding, split, body_models))
            advance(1)
    return planned


def splits_of(finding: Finding) -> list[str]:
    """Those of the complete splits that the benchmark trains on and tests on, else the first."""
    trained = next((split for split in finding.card.splits if split in TRAINED and split in finding.splits), None)
    used = [split for split in finding.splits if split in (trained, *TESTED.get(finding.card.id, ()))]
    return used or finding.splits[:1]


def _planned(finding: Finding, split: str, body_models: Path | None) -> Planned:
    card, folder = finding.card, finding.folder
    assert folder is not None
    cls = registry.converter(card.id)
    converter = cls(folder, split, {})
    obstacle, note, frames = "", "", False
    try:
        look = _Look.at(converter)
    except EhpsError as error:
        return Planned(card, folder, split, str(error), damaged=True)
    except Exception as error:  # of a damaged file, that no reader has thought of
        return Planned(card, folder, split, f"cannot be read ({type(error).__name__}: {error})", damaged=True)
    if look.missing:
        packed = "; ".join(still_packed(folder))
        where = f"; {packed}" if packed else ""
        note = f"{look.missing:,} of {look.images:,} images that were looked for are not there, {look.first} for one"
        if hasattr(converter, "extract_frames"):
            frames, note = True, "its images are made out of its raw files"
        elif look.missing == look.images:
            obstacle, note = f"no image is there, {look.first} for one{where}", ""
        else:
            note += where
    elif look.unread:
        note = look.unread
    model = converter.body_model
    if not obstacle and model is not None:
        if body_models is None:
            note = "; ".join(filter(None, [note, f"without {model} models: no joints, no boxes made of them"]))
        else:
            try:
                converter.bodies(body_models)
            except EhpsError as error:
                obstacle = str(error)
    models = None if model is None else body_models
    return Planned(card, folder, split, obstacle, note, frames=frames, body_models=models)


@dataclass(frozen=True)
class _Look:
    """How many images of some units there are, and are not; why none was looked for."""

    images: int
    missing: int
    first: str = ""
    unread: str = ""

    @classmethod
    def at(cls, converter: Converter) -> _Look:
        """Read some units and look for their images."""
        units = converter.units()
        index, names, absent = ImageIndex(converter.root), dict[str, None](), list[str]()
        large = [unit for unit in _some(units) if unit.path.is_file() and unit.path.stat().st_size > LARGE]
        for unit in _some(units):
            if unit not in large:
                names |= dict.fromkeys(map(below_root, converter.read(unit).image_path))
        absent = index.missing(names)
        unread = f"images were not looked for: {large[0].path.name} is large" if large and not names else ""
        return cls(len(names), len(absent), absent[0] if absent else "", unread)


def _some(units: Sequence[Unit]) -> list[Unit]:
    chosen = sorted({0, len(units) // 2, len(units) - 1} if units else ())
    return [units[i] for i in chosen[:LOOKED_AT]]
