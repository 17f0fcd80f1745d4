"""COCO-WholeBody annotations, as MSCOCO and UBody share them.

Facts: the data format page of COCO-WholeBody (133 points: 17 body, 6 feet, 68 face, 21 + 21 hands). Their fits are
read by :mod:`ehps.converters.readers.neural_annot`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.converters import ranges
from ehps.converters.base import Keypoints
from ehps.converters.readers import raw_files
from ehps.converters.readers.fields import FLAG, Field, numbers, optional

POINTS = {"keypoints": 17, "foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21}
FLAGS = ("face_valid", "lefthand_valid", "righthand_valid")
FIELDS: dict[str, Field] = {name: numbers(3 * count) for name, count in POINTS.items()} | optional(
    dict.fromkeys(("face_box", "lefthand_box", "righthand_box"), numbers(4)) | dict.fromkeys(FLAGS, FLAG)
)


def parted(record: dict[str, Any]) -> dict[str, Any]:
    """A person whose 133 points are one list in ``keypoints``, as some tools write them, in the form of the release.

    A part is valid where any of its points is labelled; boxes of parts, which such a file lacks, are left out.
    """
    points, lists = record["keypoints"], {}
    for name, size in POINTS.items():
        lists[name], points = points[: 3 * size], points[3 * size :]
    flags = zip(FLAGS, ("face_kpts", "lefthand_kpts", "righthand_kpts"), strict=True)
    return record | lists | {flag: bool(ranges.labelled(lists[name][2::3]).any()) for flag, name in flags}


def keypoints(annotations: Sequence[dict[str, Any]], *, valid_parts_only: bool = True) -> Keypoints:
    """The 133 points of each person; confidence 1 where labelled at all (visible or hidden), else 0.

    Parameters
    ----------
    valid_parts_only : hand and face points of a part that the annotation calls invalid get confidence 0, as
        COCO-WholeBody has it, where such points were not labelled.
    """
    n = len(annotations)
    points = np.concatenate(
        [np.array([a[k] for a in annotations], float).reshape(n, size, 3) for k, size in POINTS.items()], axis=1
    )
    points[..., 2] = ranges.labelled(points[..., 2])
    start = 23
    for flag, size in zip(FLAGS, (68, 21, 21), strict=True) if valid_parts_only else ():
        points[~raw_files.column(annotations, flag, False).astype(bool), start : start + size, 2] = 0
        start += size
    return Keypoints(points, "coco_wholebody")


def body_keypoints(annotations: Sequence[dict[str, Any]]) -> Keypoints:
    """The 17 points of COCO of each person, with confidences as in :func:`keypoints`."""
    points = raw_files.column(annotations, "keypoints").reshape(len(annotations), 17, 3).astype(float)
    points[..., 2] = ranges.labelled(points[..., 2])
    return Keypoints(points, "coco")


def part_boxes(annotations: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """(N, 5) boxes of face and hands; confidence 0 where the part is invalid or its box empty."""
    boxes = {}
    for name, key, flag in (
        ("face_bbox", "face_box", "face_valid"),
        ("lhand_bbox", "lefthand_box", "lefthand_valid"),
        ("rhand_bbox", "righthand_box", "righthand_valid"),
    ):
        box = raw_files.column(annotations, key, [0, 0, 0, 0]).reshape(len(annotations), 4).astype(float)
        good = raw_files.column(annotations, flag, False).astype(bool) & (box[:, 2] > 0) & (box[:, 3] > 0)
        boxes[name] = np.column_stack([box, good])
    return boxes


def validity(annotations: Sequence[dict[str, Any]], records: Sequence[dict[str, Any]]) -> dict[str, Array]:
    """Per-part flags: the fit's own where it has them (and the part at all), else those of the annotation."""
    flags = {}
    for flag, own, part in zip(
        FLAGS, ("face_valid", "lhand_valid", "rhand_valid"), ("expr", "lhand_pose", "rhand_pose"), strict=True
    ):
        flags[flag] = np.array(
            [
                bool(next((v for v in (r["smplx_param"].get(own), a.get(flag)) if v is not None), False))
                and bool(r["smplx_param"].get(part))
                for a, r in zip(annotations, records, strict=True)
            ],
            bool,
        )
    return flags
