"""Rows that repeat an earlier row of the same image: one person annotated twice.

Two annotations of one person are never equal. Their boxes overlap, and their points lie near each other for the size of
the person; of two people in one place only the boxes do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ehps.arrays import Array
from ehps.humandata.audit.own_points import own_points
from ehps.humandata.core import HumanData
from ehps.humandata.strings import Strings

MODELS = ("smplx", "smplh", "smpl")
NEIGHBOURS = 64  # rows of an image, ordered by the middle of their boxes, that each is compared with
FEWEST = 4  # points that both rows have, below which their distance says nothing
CHUNK = 20_000


@dataclass(frozen=True)
class Repeats:
    """For every row which earlier row it repeats.

    Attributes
    ----------
    of : (N,) row number, -1 where it repeats none.
    overlap : (N,) intersection over union of the two boxes.
    distance : (N,) mean distance of the points that both have, pixels; NaN where they have none.
    """

    of: Array
    overlap: Array
    distance: Array

    def sentence(self, row: int) -> str:
        """What row ``row`` repeats, in words."""
        near = "" if np.isnan(self.distance[row]) else f", points {self.distance[row]:.1f} px apart"
        return f"repeats row {self.of[row]} of the same image: boxes overlap {self.overlap[row]:.0%}{near}"


def repeats(hd: HumanData, limits: Mapping[str, float]) -> Repeats:
    """Rows that repeat an earlier one of the same image.

    Parameters
    ----------
    limits : ``duplicate_overlap``, the least overlap of the boxes, and ``duplicate_distance``, the largest mean
        distance of the points as a share of the longer side of the box.
    """
    n = len(hd)
    found = Repeats(np.full(n, -1), np.zeros(n), np.full(n, np.nan))
    if not n or "bbox_xywh" not in hd:
        return found
    image = _images(hd)
    box = np.asarray(hd["bbox_xywh"], np.float64)
    usable = np.flatnonzero((box[:, 4] > 0) & np.isfinite(box[:, :4]).all(axis=1) & (box[:, 2:4] > 0).all(axis=1))
    middle = box[usable, 0] + box[usable, 2] / 2
    order = usable[np.lexsort((middle, image[usable]))]
    for step in range(1, NEIGHBOURS + 1):
        a, b = order[:-step], order[step:]
        same = image[a] == image[b]
        if not same.any():
            break
        a, b = a[same], b[same]
        overlap = _iou(box[a], box[b])
        near = np.flatnonzero(overlap >= limits["duplicate_overlap"])
        for start in range(0, len(near), CHUNK):
            some = near[start : start + CHUNK]
            _compare(hd, a[some], b[some], overlap[some], found, limits["duplicate_distance"])
    return found


def _compare(hd: HumanData, a: Array, b: Array, overlap: Array, found: Repeats, share: float) -> None:
    """Put those of the pairs of rows ``a``, ``b`` that are one person into ``found``, at the later row.

    ``share`` of the longer side of the box is the largest distance of the points.
    """
    boxes = [np.asarray(hd["bbox_xywh"][rows], np.float64) for rows in (a, b)]
    side = np.max([box[:, 2:4].max(axis=1) for box in boxes], axis=0)
    distance = _distance(hd, a, b)
    equal = (boxes[0] == boxes[1]).all(axis=1) & _same_place(hd, a, b)
    equal &= np.isnan(distance) | (hd.body_model is not None)
    with np.errstate(invalid="ignore"):
        twice = equal | (distance <= share * side)
    for first, second, shared, pixels in zip(a[twice], b[twice], overlap[twice], distance[twice], strict=True):
        early, late = min(first, second), max(first, second)
        if found.of[late] < 0 or early < found.of[late]:
            found.of[late], found.overlap[late], found.distance[late] = early, shared, pixels


def _distance(hd: HumanData, a: Array, b: Array) -> Array:
    """(P,) mean distance in pixels of the points that both rows of a pair have, NaN where they are too few."""
    out = np.full(len(a), np.nan)
    names = [own_points(hd), *(f"keypoints2d_{model}" for model in MODELS)]
    for name in names:
        if name is None or name not in hd:
            continue
        first, second = (np.asarray(hd[name][rows], np.float64) for rows in (a, b))
        both = (first[..., 2] > 0) & (second[..., 2] > 0)
        both &= np.isfinite(first).all(axis=2) & np.isfinite(second).all(axis=2)
        apart = np.linalg.norm(np.where(both[..., None], first[..., :2] - second[..., :2], 0), axis=2)
        count = both.sum(axis=1)
        measured = np.where(count >= FEWEST, apart.sum(axis=1) / np.maximum(count, 1), np.nan)
        out = np.where(np.isnan(out), measured, out)
    return out


def _same_place(hd: HumanData, a: Array, b: Array) -> Array:
    """(P,) whether the parameters that say where a person is are equal, true where there are none."""
    same = np.ones(len(a), bool)
    for name in (f"{hd.body_model}/transl", f"{hd.body_model}/global_orient"):
        if name in hd:
            first, second = (np.asarray(hd[name][rows]).reshape(len(rows), -1) for rows in (a, b))
            same &= ((first == second) | (np.isnan(first) & np.isnan(second))).all(axis=1)
    return same


def _images(hd: HumanData) -> Array:
    """(N,) a number for the image of each row: rows of several datasets may share a path, not an image."""
    codes = np.asarray(hd["image_path"].codes, np.int64)
    if "meta/dataset" not in hd or not isinstance(hd["meta/dataset"], Strings):
        return codes
    sets: Strings = hd["meta/dataset"]
    return codes * (len(sets.vocabulary) + 1) + sets.codes


def _iou(a: Array, b: Array) -> Array:
    """(P,) intersection over union of the boxes of each pair, (P, 4+) xywh each."""
    low = np.maximum(a[:, :2], b[:, :2])
    high = np.minimum(a[:, :2] + a[:, 2:4], b[:, :2] + b[:, 2:4])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    return np.asarray(shared / (a[:, 2:4].prod(axis=1) + b[:, 2:4].prod(axis=1) - shared))
