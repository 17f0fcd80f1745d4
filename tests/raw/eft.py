"""Fits in the form of EFT, made from people whose joints the smplx package gives and placed with plain algebra."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from ehps.body.params import BodyParams
from ehps.converters.base import Rigid
from ehps.demo.people import random_people
from ehps.demo.raw import stage
from ehps.demo.raw.stage import Truth

Array = npt.NDArray[Any]

SPIN_24 = (8, 5, 2, 1, 4, 7, 21, 19, 17, 16, 18, 20, 12, 15, -1, -1, -1, -1, -1, 24, 26, 25, 28, 27)
"""Joint of the smplx package's SMPL (45) for each of SPIN's 24 points, -1 for none; the head stands for its top."""

LIMBS = [0, 1, 4, 5, 6, 7, 8, 9, 10, 11]
"""Points of SPIN's 24 that are joints of SMPL: ankles, knees, wrists, elbows, shoulders."""


@dataclass
class Seat:
    """Where the middle of a person's body is to be seen, how large, and the square that the fit was made on.

    Attributes
    ----------
    x, y : pixels of the pelvis. scale : pixels a metre. centre, side : of the square.
    """

    x: float
    y: float
    scale: float
    centre: tuple[float, float]
    side: float


@dataclass
class Fits:
    """N people: EFT's records (without names), and what they mean.

    Attributes
    ----------
    joints : (N, 45, 3) in the model's own frame, translation zero.
    params : the parameters behind the records, likewise.
    """

    records: list[dict[str, Any]]
    params: BodyParams
    joints: Array

    def weak_points(self) -> Array:
        """(N, 45, 2) pixels by the weak-perspective formula of the format."""
        out = []
        for record, joints in zip(self.records, self.joints, strict=True):
            s, tx, ty = record["parm_cam"]
            b = 200 * record["bbox_scale"]
            out.append(np.array(record["bbox_center"]) + b / 2 * (s * joints[:, :2] + np.array([tx, ty])))
        return np.array(out)

    def truth(self, paths: Sequence[str], rows: Sequence[int] | None = None) -> Truth:
        """People ``rows`` as the long lens of the format page sees them: focal length 5000 b / 224."""
        rows = range(len(self.records)) if rows is None else rows
        joints, points = [], []
        for k in rows:
            s, tx, ty = self.records[k]["parm_cam"]
            b = 200 * self.records[k]["bbox_scale"]
            f = 5000 * b / 224
            moved = self.joints[k] + np.array([tx / s, ty / s, 2 * f / (s * b)])
            joints.append(moved)
            points.append(np.array(self.records[k]["bbox_center"]) + f * moved[:, :2] / moved[:, 2:])
        return Truth(list(paths), np.array(joints), np.array(points), np.full(len(joints), "neutral"))


def make(models: Path, rng: np.random.Generator, seats: Sequence[Seat], style: str = "sports") -> Fits:
    """People on their seats. Of the first, the left knee is straight (an identity); the second faces the camera
    exactly (a half turn)."""
    n = len(seats)
    params = random_people(n, rng, style=style, model_type="smpl", gender="neutral")
    params.body_pose[0, 3] = 0
    facing = stage.orientations(rng, n, spread=30, tilt=5)
    if n > 1:
        facing[1] = stage.FRONT
        params.global_orient[1] = 0
    cast = stage.cast(models, params, Rigid(np.eye(3), np.zeros(3)), np.zeros(n, int), np.zeros((n, 3)), facing)
    still = cast.params.with_(transl=np.zeros((n, 3)))
    joints = stage.package(models, still)[0]
    pose = np.concatenate([still.global_orient[:, None], still.body_pose], axis=1)
    records = []
    for k, seat in enumerate(seats):
        half = seat.side / 2
        s = seat.scale / half
        shift = (np.array([seat.x, seat.y]) - seat.centre) / half - s * joints[k, 0, :2]
        records.append(
            {
                "parm_pose": Rotation.from_rotvec(pose[k]).as_matrix().tolist(),
                "parm_shape": still.betas[k].tolist(),
                "parm_cam": [s, *shift.tolist()],
                "bbox_scale": seat.side / 200,
                "bbox_center": list(seat.centre),
                "smpltype": "smpl",
                "annotId": 0,
            }
        )
    fits = Fits(records, still, joints)
    for record, points in zip(records, fits.weak_points(), strict=True):
        record["gt_keypoint_2d"] = labelled(points).tolist()
        record["joint_validity_openpose18"] = [1.0] * 18
    return fits


def labelled(points: Array) -> Array:
    """(49, 3) annotation of a person with joints ``points`` (45, 2): OpenPose's rows empty."""
    out = np.zeros((49, 3))
    for row, joint in enumerate(SPIN_24):
        if joint >= 0:
            out[25 + row] = [*points[joint], 1]
    return out


def dump(path: Path, records: Sequence[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"ver": 1.0, "data": list(records), "meta": {"dbname": "x", "rawname": "y"}}))
