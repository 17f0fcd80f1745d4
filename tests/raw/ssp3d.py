"""An SSP-3D tree with everything that its file holds against a reader."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ehps.converters.base import Rigid
from ehps.demo.people import random_people
from ehps.demo.raw import stage
from ehps.demo.raw.stage import Look, PaintedView, Truth
from ehps.humandata import keypoints
from tests.raw.checks import blank

VIEW = PaintedView(512, 512, 5000.0)
NAMES = (
    "goal_clip_3_person_0_frame_12.png",
    "ball_clip_1_person_2_frame_7.png",
    "ball_clip_1_person_2_frame_107.png",
    "vault_clip_2_person_0_frame_1.png",
    "swim_frame_clip_9_person_1_frame_60.png",
    "away_clip_1_person_0_frame_5.png",
)
ABSENT = 5  # whose image was not unpacked
UNSEEN = (1, 3)  # row, joint
CUT = 3  # partly outside the image


@dataclass
class Tree:
    """A raw tree: its arrays, and the people that a conversion must find, in the order of the rows."""

    root: Path
    truth: Truth
    labels: dict[str, npt.NDArray[Any]]


def write_fixture(root: Path, models: Path, rng: np.random.Generator, *, painted: bool = False) -> Tree:
    """Six rows in no order of names, both genders, rows 1 and 2 of one clip, 3 cut by the border, 5 without image."""
    n = len(NAMES)
    genders = np.array(["m", "f", "f", "m", "f", "m"])
    image, pelvis = stage.places(rng, [1] * n, VIEW, share=(0.5, 0.7))
    pelvis[:, 0] += rng.uniform(0.1, 0.3, n)  # row and column of the middle differ
    pelvis[CUT, 0] += 1.15
    params = random_people(n, rng, style="sports", model_type="smpl", gender=genders)
    params.betas[2] = params.betas[1]
    facing = stage.orientations(rng, n, yaw=20, tilt=8)
    cast = stage.cast(models, params, Rigid(np.eye(3), np.zeros(3)), image, pelvis, facing)
    points = cast.points(VIEW)
    joints, found = keypoints.convert(
        np.concatenate([points, np.ones((n, points.shape[1], 1))], -1), "smpl_45", "coco", approximate=True
    )
    joints[..., 2] *= found * 0.8
    joints[UNSEEN][2] = 0
    low, high = points.min(1), points.max(1)
    labels = {
        "fnames": np.array(NAMES),
        "shapes": cast.params.betas,
        "poses": np.concatenate([cast.params.global_orient, cast.params.body_pose.reshape(n, 69)], axis=1),
        "cam_trans": cast.params.transl,
        "joints2D": joints,
        "bbox_centres": ((low + high) / 2)[:, ::-1],
        "bbox_whs": (high - low).max(1),
        "genders": genders,
    }
    root.mkdir(parents=True, exist_ok=True)
    np.savez(root / "labels.npz", **labels)
    paths = [f"images/{name}" for name in NAMES]
    there = [path for k, path in enumerate(paths) if k != ABSENT]
    if painted:
        stage.paint(root, paths, cast, VIEW, models, rng, scene=Look().scene)
        (root / paths[ABSENT]).unlink()
    else:
        blank(root, there, 512, 512)
    blank(root, [f"silhouettes/{name}" for name in NAMES], 512, 512)
    return Tree(root, cast.truth(paths, VIEW)[[k for k in range(n) if k != ABSENT]], labels)
