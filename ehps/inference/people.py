"""Who is in the frames: by boxes that are given, by one person an image, by a detector, or as a HumanData file says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array, Mask
from ehps.errors import DataError, UsageError
from ehps.humandata.core import HumanData
from ehps.inference.boxes import Boxes, numbered, read_boxes
from ehps.inference.detectors import Detect, load_detector
from ehps.inference.frames import NOBODY, Frame, People
from ehps.inference.sources import Source

WAYS = "give their boxes with --boxes FILE, say --whole for one person an image, or name a detector with --detector"


@dataclass(frozen=True)
class Rules:
    """Which of the people that were found are taken.

    Attributes
    ----------
    score : least score.
    nms : of two boxes whose intersection over union is larger, the one with the lower score is left out; 1 for none.
    smallest : least (width, height), pixels.
    inclusive : count pixels of boxes from the first to the last, as the detectors of the originals do.
    largest_only : take only the person with the largest box.
    """

    score: float = 0.5
    nms: float = 0.7
    smallest: tuple[float, float] = (0.0, 0.0)
    inclusive: bool = False
    largest_only: bool = False


RULES = {
    "": Rules(),
    "smpler-x": Rules(score=0.0, nms=0.5, smallest=(50, 150), inclusive=True),
    "smplest-x": Rules(score=0.5, nms=0.5, smallest=(50, 150)),
}
"""What the originals' own inference takes, by ``--as``; SMPLer-X's with its option for several people."""


@dataclass
class Finder:
    """Finds the people of frames.

    Attributes
    ----------
    facts : what was chosen, JSON-able.
    dropped : reason -> how many boxes were left out for it, so far.
    as_they_are : the people are rows of the file; boxes without an area inside are not left out here, as evaluation
        does not.
    tracked : whether it is known, of some of them, who is the same person.
    """

    find: Callable[[Sequence[Frame]], list[People]]
    facts: dict[str, Any]
    boxes: Boxes | None = None
    dropped: Counter[str] = field(default_factory=Counter)
    as_they_are: bool = False
    tracked: bool = False

    def __call__(self, frames: Sequence[Frame]) -> list[People]:
        """The people of each frame that can be read, nobody in others; boxes without an area inside are left out."""
        readable = [frame for frame in frames if not frame.fault]
        found = iter(self.find(readable) if readable else [])
        return [NOBODY if frame.fault else self._inside(frame, next(found)) for frame in frames]

    def _inside(self, frame: Frame, people: People) -> People:
        if self.as_they_are:
            return people
        height, width = frame.size
        x, y, w, h = people.boxes.astype(float).T
        flat = ~((w > 0) & (h > 0) & np.isfinite(x + y + w + h))
        outside = ~flat & ((x + w <= 0) | (y + h <= 0) | (x >= width) | (y >= height))
        for reason, dropped in (("has no area", flat), ("is outside its image", outside)):
            if dropped.any():
                self.dropped[reason] += int(dropped.sum())
        return people[~(flat | outside)]


def finder(
    source: Source,
    *,
    boxes: Path | None = None,
    whole: bool = False,
    detector: str | None = None,
    rules: Rules = RULES[""],
) -> Finder:
    """How the people of an input are found.

    Raises
    ------
    UsageError : in no way, or in several.
    DataError : the boxes or the detector cannot be read.
    """
    asked = [name for name, on in (("--boxes", boxes), ("--whole", whole), ("--detector", detector)) if on]
    if len(asked) > 1:
        raise UsageError(f"{' and '.join(asked)} contradict each other", fix="pass one of them")
    if boxes is not None:
        read = read_boxes(boxes)
        if read.by_number and boxes.suffix.lower() == ".json" and source.kind != "video":
            raise DataError(
                "names images by image_id alone, which says nothing of files",
                path=boxes,
                fix="give annotations with their images, or results with file_name",
            )
        if source.names is not None and all(read.key_of(name, k) is None for k, name in enumerate(source.names)):
            key = next(iter((*read.by_image, *read.by_number)))
            what = f"has no box of any image of the input: it names {key}, the input has {source.names[0]}"
            raise DataError(what, path=boxes, fix="write the paths of the images as they are below the input")
        given: dict[str, Any] = {"people": "boxes", "boxes": boxes.name, "sha256": read.sha256}
        tracked = any((people.tracks >= 0).any() for people in (*read.by_image.values(), *read.by_number.values()))
        return Finder(lambda frames: [read.of(frame) for frame in frames], given, read, tracked=tracked)
    if whole:
        return Finder(lambda frames: [_whole(frame) for frame in frames], {"people": "whole image"})
    if detector is not None:
        found = load_detector(detector)
        facts = {"people": "detector", **found.facts, "rules": asdict(rules)}
        return Finder(lambda frames: _detected(found.detect, frames, rules), facts)
    if source.data is not None:
        tracks = _tracks(source.data)
        facts = {"people": "rows of the file"}
        return Finder(_rows_of(source.data, tracks), facts, as_they_are=True, tracked=bool((tracks >= 0).any()))
    raise UsageError("who is in it is not known", path=Path(source.name), fix=WAYS)


def _whole(frame: Frame) -> People:
    height, width = frame.size
    return People.of(np.array([[0, 0, width, height]]))


def _tracks(hd: HumanData) -> Array:
    """(N,) track of each row, -1 where it has none."""
    if "meta/track_id" not in hd:
        return np.full(len(hd), -1)
    return np.array(numbered(np.asarray(hd["meta/track_id"]).tolist()), np.int64)


def _rows_of(hd: HumanData, track_of: Array) -> Callable[[Sequence[Frame]], list[People]]:
    codes = hd["image_path"].codes
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(codes.max(initial=-1) + 2))
    used = np.unique(codes)
    place = dict(zip(hd["image_path"].vocabulary.texts(used), used.tolist(), strict=True))

    def find(frames: Sequence[Frame]) -> list[People]:
        out = []
        for frame in frames:
            code = place[frame.image_path]
            rows = order[starts[code] : starts[code + 1]]
            out.append(People.of(np.asarray(hd["bbox_xywh"][rows], float)[:, :4], tracks=track_of[rows], rows=rows))
        return out

    return find


def _detected(detect: Detect, frames: Sequence[Frame], rules: Rules) -> list[People]:
    found = detect([frame.pixels for frame in frames])
    return [People.of(*chosen(boxes, scores, rules)) for boxes, scores in found]


def chosen(boxes: Array, scores: Array, rules: Rules) -> tuple[Array, Array]:
    """Boxes (P, 4) and scores (P,) that the rules take, the best first."""
    order = np.argsort(-np.asarray(scores), kind="stable")
    boxes, scores = np.asarray(boxes, float)[order], np.asarray(scores, float)[order]
    keep = (scores >= rules.score) & (boxes[:, 2] >= rules.smallest[0]) & (boxes[:, 3] >= rules.smallest[1])
    boxes, scores = boxes[keep], scores[keep]
    keep = suppressed(boxes, rules.nms, inclusive=rules.inclusive)
    boxes, scores = boxes[keep], scores[keep]
    if rules.largest_only and len(boxes):
        largest = [int(np.argmax(boxes[:, 2] * boxes[:, 3]))]
        boxes, scores = boxes[largest], scores[largest]
    return boxes, scores


def suppressed(boxes: Array, limit: float, *, inclusive: bool = False) -> Mask:
    """(P,) which of boxes (P, 4), the best first, no better one overlaps by more than ``limit``."""
    kept = np.zeros(len(boxes), bool)
    for k in range(len(boxes)):
        others = np.flatnonzero(kept[:k])
        kept[k] = not len(others) or overlap(boxes[k : k + 1], boxes[others], inclusive=inclusive).max() <= limit
    return kept


def overlap(one: Array, other: Array, *, inclusive: bool = False) -> Array:
    """(P, Q) intersection over union of boxes (P, 4) and (Q, 4) x, y, w, h.

    Parameters
    ----------
    inclusive : the last pixel belongs to a box, so that it is one pixel wider and higher where it meets another.
    """
    more = float(inclusive)
    a, b = np.asarray(one, float)[:, None], np.asarray(other, float)[None]
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    common = np.prod((high - low + more).clip(0), axis=-1)
    area_a, area_b = (np.prod(box[..., 2:] + more, axis=-1) for box in (a, b))
    union = area_a + area_b - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def with_rules(rules: Rules, **given: Any) -> Rules:
    """``rules`` with those of ``given`` that are not None."""
    return replace(rules, **{name: value for name, value in given.items() if value is not None})
