"""Packed crops: one file with a JPEG of each row's person, read by trainings and tests in place of image folders.

A crop is cut around the widened box, wide enough for the largest augmentation, at the size that a network sees; people
who are smaller in their image keep its pixels. :mod:`ehps.benchmark.training.pack_file` has the bytes.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ehps.arrays import Array, Mask
from ehps.benchmark.training import crops
from ehps.benchmark.training.pack_file import AGAIN, AVERAGED, BILINEAR, is_pack, read_head, read_index
from ehps.errors import DataError, UsageError
from ehps.foreign_files import regular
from ehps.humandata import image_files
from ehps.humandata.core import HumanData
from ehps.humandata.storage import h5
from ehps.humandata.storage.plan import digest
from ehps.progress import over

AUGMENTED = (25 / 12, 25 / 16)
"""Widths and heights of a 3:4 box that its crop can show at most: 1.25 times, turned by up to 60 degrees."""


class Pack:
    """An opened file of crops; what is opened again in a worker process.

    Attributes
    ----------
    facts : see :class:`Facts`.
    columns : name -> (N, ...) array of the index, by rising row; mapped where the pack is complete.
    complete : whether packing had come to its end.
    """

    def __init__(self, path: Path, *, check: bool = True) -> None:
        self.path = Path(path)
        self._file: BinaryIO | None = None
        with open(regular(self.path), "rb") as file:
            header, self.facts = read_head(file, self.path)
        self.columns, self.complete = read_index(self.path, header, check=check)

    def __len__(self) -> int:
        return len(self.columns["row"])

    def __str__(self) -> str:
        """What it holds, in words."""
        facts = self.facts
        unfinished = "" if self.complete else ", unfinished"
        of = f"of {facts.instances:,} rows of {facts.data}, content {facts.content}"
        return f"{self.path}: {len(self):,} {of}; {facts}{unfinished}"

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"], check=False)  # type: ignore[misc]

    def places(self, rows: Array) -> Array:
        """(n,) where rows are in the index, -1 for those that it lacks."""
        known = self.columns["row"]
        place = np.searchsorted(known, rows)
        found = np.zeros(len(rows), bool) if not len(known) else known[np.minimum(place, len(known) - 1)] == rows
        return np.where(found, place, -1)

    def jpeg(self, place: int) -> bytes:
        """The JPEG at a place of the index.

        Raises
        ------
        DataError : it is not as it was written.
        """
        if self._file is None:
            self._file = open(self.path, "rb", buffering=0)  # noqa: SIM115
        start, length = int(self.columns["offset"][place]), int(self.columns["nbytes"][place])
        data = os.pread(self._file.fileno(), length, start)
        if len(data) < length or zlib.crc32(data) != int(self.columns["crc"][place]):
            row = int(self.columns["row"][place])
            raise DataError(f"is damaged: the crop of row {row} is not as it was written", path=self.path, fix=AGAIN)
        return data

    def crop(
        self,
        place: int,
        box: Array,
        size: tuple[int, int],
        augmentation: crops.Augmentation = crops.NONE,
        *,
        antialias: bool = False,
    ) -> tuple[Array, Array]:
        """As :func:`ehps.benchmark.training.crops.crop`: (h, w, 3) pixels and the (2, 3) map from the full image."""
        scale, dx, dy = self.columns["map"][place].tolist()
        matrix = crops.affine(box, size, int(self.columns["size"][place, 1]), augmentation)
        sampling = float(box[2]) * augmentation.scale / size[1] * scale
        shrink = crops.shrinking(sampling * (1 + 1e-6)) if antialias else 1
        pixels, factor, _ = image_files.decode(self.jpeg(place), self.path, shrink)
        image_of = np.array(((1 / scale, 0, -dx / scale), (0, 1 / scale, -dy / scale), (0, 0, 1)))
        return crops.coloured(crops.sampled(pixels, factor, matrix @ image_of, size, shrink), augmentation), matrix

    def require(
        self,
        content: str,
        rows: Array,
        boxes: Array,
        *,
        size: tuple[int, int],
        ratio: float,
        antialias: bool,
        augment: bool,
    ) -> Array:
        """Places of ``rows``, all of which the pack must have as they are wanted.

        Parameters
        ----------
        content : hash of the data file.
        boxes : (n, 4) widened boxes of the rows.
        size : (height, width) that the model sees.
        ratio : scale of the stored boxes.
        antialias : whether the model sees large images averaged down.
        augment : whether crops are augmented.

        Raises
        ------
        DataError : it is of another data file, or lacks rows.
        UsageError : its crops are too narrow or too small, or were sampled otherwise.
        """
        places = self.require_rows(content, rows)
        have, grown = self.columns["box"][places], ratio / self.facts.box_ratio
        centre = have[:, :2] + have[:, 2:] / 2
        wanted = np.concatenate((centre - have[:, 2:] * grown / 2, have[:, 2:] * grown), axis=1)
        other = np.abs(wanted - boxes).max(axis=1) > 0.01 + 1e-5 * boxes[:, 2:].max(axis=1)
        if other.any():
            row = int(rows[np.argmax(other)])
            raise DataError(f"was packed with another box of row {row}", path=self.path, fix="pack the file again")
        self._require_view(size, ratio, antialias, augment, have)
        return places

    def require_rows(self, content: str, rows: Array) -> Array:
        """Places of ``rows`` of the data file with this content, see :meth:`require`."""
        facts = self.facts
        if content != facts.content:
            raise DataError(
                f"holds the crops of {facts.data} with content {facts.content[:12]}, not of content {content[:12]}",
                path=self.path,
                fix="pack this data file, or give its image folder",
            )
        places = self.places(rows)
        if (places < 0).any():
            raise self._lacking(rows, places < 0)
        return places

    def _require_view(self, size: tuple[int, int], ratio: float, antialias: bool, augment: bool, boxes: Array) -> None:
        facts = self.facts
        need = np.array(AUGMENTED if augment else (1, 1)) * ratio
        have = np.array(facts.wide) * facts.box_ratio
        fault, fix = "", ""
        if (need > have * (1 + 1e-6)).any():
            what = f"{need[0]:.3g} widths by {need[1]:.3g} heights of the stored box"
            fault = f"shows {have[0]:.3g} widths by {have[1]:.3g} heights of the stored box, {what} are needed"
            fix = f"pack with --for-training --box-ratio {ratio:g}" if augment else f"pack with --box-ratio {ratio:g}"
        elif size[0] / ratio > facts.scale[0] / facts.box_ratio * (1 + 1e-6):
            height, width = facts.scale
            fault = f"has boxes of {height}x{width} pixels at ratio {facts.box_ratio:g}, the model sees "
            fault += f"{size[0]}x{size[1]} at ratio {ratio:g}"
            fix = f"pack with --scale 512x384 or --box-ratio {ratio:g}"
        elif antialias != (facts.sampling == AVERAGED) and (boxes[:, 2] / facts.scale[1] >= 2).any():
            wanted = AVERAGED if antialias else BILINEAR
            fault = (
                f"has crops of large images that were {_words(facts.sampling)}, the model sees them {_words(wanted)}"
            )
            fix = f"pack with --sampling {wanted}"
        if fault:
            raise UsageError(fault, path=self.path, fix=fix)

    def _lacking(self, rows: Array, lacking: Mask) -> DataError:
        what = f"lacks {int(lacking.sum()):,} of {len(rows):,} rows, row {int(rows[np.argmax(lacking)])} for one"
        fix = "`ehps benchmark pack` with the same file goes on and adds them"
        return DataError(what if self.complete else f"is unfinished and {what}", path=self.path, fix=fix)

    def faults(self, show: bool | None = None) -> list[str]:
        """What is wrong with its crops: every one is read and decoded."""
        found = []
        for place in over(range(len(self)), "decoding crops", show=show):
            try:
                image_files.decode(self.jpeg(place), self.path)
            except DataError as error:
                found.append(f"row {int(self.columns['row'][place])}: {error.what}")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Facts, how many rows it has, whether it is complete, and its bytes."""
        size = self.path.stat().st_size
        return {
            "file": str(self.path),
            **asdict(self.facts),
            "rows": len(self),
            "complete": self.complete,
            "bytes": size,
        }


def _words(sampling: str) -> str:
    return "averaged down" if sampling == AVERAGED else "sampled bilinearly"


def content_of(source: Path | HumanData) -> str:
    """Hash of a data file by which its pack knows it; the same for ``.h5`` and ``.npz`` of one content."""
    if isinstance(source, HumanData):
        return digest(source)
    return h5.content_hash(source) if source.suffix.lower() == ".h5" else digest(HumanData.open(source))


def require_sizes(hd: HumanData) -> None:
    """
    Raises
    ------
    DataError : the file does not say how large its images are.
    """
    for name in ("meta/height", "meta/width"):
        if name not in hd:
            raise DataError(f"has no {name}, which packed crops need", path=hd.source, fix="convert it again")


def described(images: Path) -> str:
    """How the crops of a pack differ from those of its images, in words; empty for a folder."""
    return f"packed {Pack(images).facts}" if is_pack(images) else ""


def check_alone(images: Path, folders: Mapping[str, Path]) -> None:
    """
    Raises
    ------
    UsageError : a pack stands for one label of a merged file.
    """
    for label, folder in folders.items():
        if is_pack(folder) or is_pack(images):
            pack = folder if is_pack(folder) else images
            what = f"is a packed file, which has the crops of all image folders, but {label} has images of its own"
            raise UsageError(what, path=pack, fix="give it alone")
