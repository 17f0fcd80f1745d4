"""COCO-WholeBody annotations and NeuralAnnot-style fits, as MSCOCO and UBody share them.

Facts: the data format page of COCO-WholeBody (133 points: 17 body, 6 feet, 68 face, 21 + 21 hands) and the
fits published with NeuralAnnot (Moon et al., CVPRW 2022) and OSX (Lin et al., CVPR 2023): SMPL-X of the neutral
model in the frame of a virtual camera per person, hands relative to the mean hand, no eye poses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ehps.body.params import BodyParams, smplx_params
from ehps.converters import raw
from ehps.converters.base import Camera, Keypoints

Array = npt.NDArray[Any]

POINTS = {"keypoints": 17, "foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21}
FLAGS = ("face_valid", "lefthand_valid", "righthand_valid")
SMPLX = {"root_pose": 3, "body_pose": 63, "lhand_pose": 45, "rhand_pose": 45, "jaw_pose": 3, "shape": 10,
         "expr": 10, "trans": 3}  # fmt: skip


def keypoints(annotations: Sequence[dict[str, Any]]) -> Keypoints:
    """The 133 points of each person; confidence 1 where labelled at all (visible or hidden), else 0.

    Hand and face points of a part that the annotation calls invalid get confidence 0.
    """
    n = len(annotations)
    points = np.concatenate(
        [np.array([a[k] for a in annotations], float).reshape(n, size, 3) for k, size in POINTS.items()], axis=1
    )
    points[..., 2] = points[..., 2] > 0
    start = 23
    for flag, size in zip(FLAGS, (68, 21, 21), strict=True):
        points[~raw.column(annotations, flag, False).astype(bool), start : start + size, 2] = 0
        start += size
    return Keypoints(points, "coco_wholebody")


def part_boxes(annotations: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """(N, 5) boxes of face and hands; confidence 0 where the part is invalid or its box empty."""
    boxes = {}
    for name, key, flag in (("face_bbox", "face_box", "face_valid"), ("lhand_bbox", "lefthand_box", "lefthand_valid"),
                            ("rhand_bbox", "righthand_box", "righthand_valid")):  # fmt: skip
        box = raw.column(annotations, key, [0, 0, 0, 0]).reshape(len(annotations), 4).astype(float)
        good = raw.column(annotations, flag, False).astype(bool) & (box[:, 2] > 0) & (box[:, 3] > 0)
        boxes[name] = np.column_stack([box, good])
    return boxes


def fits(records: Sequence[dict[str, Any]]) -> tuple[BodyParams, Camera]:
    """Neutral SMPL-X and the virtual camera of each person, from ``{smplx_param, cam_param}`` records."""

    def values(key: str) -> Array:
        size = SMPLX[key]
        return np.array([np.ravel(r["smplx_param"].get(key, np.zeros(size))) for r in records]).reshape(-1, size)

    body = smplx_params(
        gender="neutral",
        betas=values("shape"),
        global_orient=values("root_pose"),
        body_pose=values("body_pose"),
        transl=values("trans"),
        left_hand_pose=values("lhand_pose"),
        right_hand_pose=values("rhand_pose"),
        jaw_pose=values("jaw_pose"),
        expression=values("expr"),
    )
    focal = np.array([np.ravel(r["cam_param"]["focal"]) for r in records], float).reshape(-1, 2)
    centre = np.array([np.ravel(r["cam_param"]["princpt"]) for r in records], float).reshape(-1, 2)
    return body, Camera(focal, centre, virtual=True)


def validity(annotations: Sequence[dict[str, Any]], records: Sequence[dict[str, Any]]) -> dict[str, Array]:
    """Per-part flags: the fit's own where it has them (and the part at all), else those of the annotation."""
    flags = {}
    for flag, own, part in zip(FLAGS, ("face_valid", "lhand_valid", "rhand_valid"),
                               ("expr", "lhand_pose", "rhand_pose"), strict=True):  # fmt: skip
        flags[flag] = np.array(
            [
                bool(r["smplx_param"].get(own, a.get(flag, False))) and part in r["smplx_param"]
                for a, r in zip(annotations, records, strict=True)
            ],
            bool,
        )
    return flags
