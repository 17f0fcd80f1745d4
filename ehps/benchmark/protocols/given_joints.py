"""Joints instead of bodies: true ones that a dataset gives itself (``keypoints3d_original``), and predicted ones of
SMPL (``keypoints3d_smpl``, ``meta/orientations``), as they are sent to the 3DPW challenge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ehps.arrays import Array
from ehps.benchmark.protocols.measures import Measure
from ehps.benchmark.protocols.points import H36M14, LIMBS, Bodies
from ehps.benchmark.protocols.protocol import Protocol
from ehps.benchmark.protocols.tables import H36M_HIPS, PELVIS
from ehps.errors import DataError
from ehps.humandata import keypoints
from ehps.humandata.core import HumanData

COLUMN = "keypoints3d_original"
PREDICTED = "keypoints3d_smpl"
ORIENTATIONS = "meta/orientations"
"""Columns of predictions without bodies: (N, 24, 4) joints, (N, 9, 3, 3) rotations of some of them, camera frame."""
CONVENTION = "h36m"
GIVEN = ("joints/body", "anchor/joints")
"""Keys of the points that are made of a dataset's own joints."""


@dataclass(frozen=True, eq=False)
class GivenJoints:
    """Joints of N people, asked for by the keys of :mod:`ehps.benchmark.protocols.points`.

    Attributes
    ----------
    joints : (N, P, 3) those that are compared, camera frame, metres.
    anchor : (N, 3) the point at which people are laid on each other.
    whole : (N,) bool, whether a row has all of these.
    bodies : the same people's bodies, where their meshes are compared too.
    """

    joints: Array
    anchor: Array
    whole: Array
    bodies: Bodies | None = None

    def __len__(self) -> int:
        return len(self.joints)

    def points(self, key: str) -> Array:
        """(N, P, 3): ``joints/body`` and ``anchor/joints`` are given, whatever else is of the bodies."""
        if key in GIVEN:
            return {"joints/body": self.joints, "anchor/joints": self.anchor[:, None]}[key]
        assert self.bodies is not None
        return self.bodies.points(key)

    def part(self, rows: slice) -> GivenJoints:
        """Some of the people."""
        bodies = None if self.bodies is None else self.bodies.part(rows)
        return GivenJoints(self.joints[rows], self.anchor[rows], self.whole[rows], bodies)


def given_joints(hd: HumanData, rows: Array, protocol: Protocol) -> GivenJoints:
    """The joints of some rows.

    Raises
    ------
    DataError : the file has no such column, or a joint that the protocol compares is in none of its rows.
    """
    if COLUMN not in hd:
        raise DataError(
            f"has no {COLUMN}: {protocol.id} compares with joints that the dataset gives",
            path=hd.source,
            fix="convert a dataset that has them, such as Human3.6M",
        )
    found = named_points(hd, COLUMN, rows, CONVENTION)
    there = (found[..., 3] > 0) & np.isfinite(found[..., :3]).all(axis=-1)
    compared = list(H36M14) if protocol.joints == "h36m14" else list(range(17))
    at = [PELVIS] if protocol.joint_alignment == "regressed-pelvis" else list(H36M_HIPS)
    needed = sorted({*compared, *at}) if protocol.has("MPJPE") else compared
    absent = [joint for joint in needed if not there[:, joint].any()]
    if absent:
        names = keypoints.point_names(CONVENTION)
        raise DataError(
            f"{COLUMN} has no {', '.join(names[joint] for joint in absent)}, which {protocol.id} compares",
            path=hd.source,
            fix="convert a dataset that has the joints of Human3.6M",
        )
    points = np.where(there[..., None], found[..., :3], 0.0)
    return GivenJoints(points[:, compared], points[:, at].mean(axis=1), np.asarray(there[:, needed].all(axis=1)))


def named_points(hd: HumanData, column: str, rows: Array, convention: str) -> Array:
    """(N, P, C) float64 points of some rows of a column, in the order of a convention; 0 where it has no such point.

    Raises
    ------
    DataError : the file does not say which points the column holds.
    """
    if column not in hd.keypoint_names:
        raise DataError(f"does not say which points {column} holds", path=hd.source, fix="convert it again")
    return keypoints.convert(np.asarray(hd[column][rows], np.float64), hd.keypoint_names[column], convention)[0]


@dataclass(frozen=True, eq=False)
class PredictedJoints:
    """What is predicted of N people, asked for by the keys of :mod:`ehps.benchmark.protocols.points`.

    Attributes
    ----------
    joints : (N, 24, 3) of SMPL, camera frame, metres; None where there are none.
    turned : (N, 9, 3, 3) orientations of joints, camera frame; None where there are none.
    """

    joints: Array | None
    turned: Array | None

    def __len__(self) -> int:
        return len(next(one for one in (self.joints, self.turned) if one is not None))

    def has(self, measure: Measure) -> bool:
        """Whether all points that a measure takes are there."""
        return all(
            (self.turned if key == "orientations" else self.joints) is not None
            and key in ("orientations", "joints/body", "joints/limbs", "anchor/joints")
            for key in measure.keys
        )

    def points(self, key: str) -> Array:
        """(N, P, 3) of ``joints/body``, ``joints/limbs`` or ``anchor/joints``; (N, 9, 3, 3) ``orientations``."""
        if key == "orientations":
            assert self.turned is not None
            return self.turned
        assert self.joints is not None
        return {
            "joints/body": self.joints,
            "joints/limbs": self.joints[:, list(LIMBS)],
            "anchor/joints": self.joints[:, :1],
        }[key]

    def part(self, rows: slice | Array) -> PredictedJoints:
        """Some of the people."""
        joints, turned = (None if one is None else one[rows] for one in (self.joints, self.turned))
        return PredictedJoints(joints, turned)


def predicted_joints(hd: HumanData, protocol: Protocol) -> PredictedJoints | None:
    """The joints of predictions that hold no bodies; None where they do, or the protocol compares others."""
    if hd.body_model is not None or (protocol.joints, protocol.joint_alignment) != ("smpl24", "model-pelvis"):
        return None
    if PREDICTED not in hd and ORIENTATIONS not in hd:
        return None
    every = np.arange(len(hd))
    joints = named_points(hd, PREDICTED, every, "smpl")[..., :3] if PREDICTED in hd else None
    return PredictedJoints(joints, np.asarray(hd[ORIENTATIONS], np.float64) if ORIENTATIONS in hd else None)
