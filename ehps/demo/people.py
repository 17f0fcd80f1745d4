"""People for generated images: plausible poses, shapes, hands and faces, drawn from named styles.

Joint angles are degrees about the axes of the rest pose (SMPL family: T-pose, y up, facing +z, the left arm along
+x). Mirrored joints are drawn one by one, so that people are not symmetric.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from ehps.arrays import Array
from ehps.body.params import BodyParams, smpl_params, smplx_params

Angles = tuple[float, float, float]

JOINTS = {
    "hip": (1, 2),
    "spine": (3, 6, 9),
    "knee": (4, 5),
    "ankle": (7, 8),
    "neck": (12, 15),
    "collar": (13, 14),
    "shoulder": (16, 17),
    "elbow": (18, 19),
    "wrist": (20, 21),
}
PAIRED = ("hip", "knee", "ankle", "collar", "shoulder", "elbow", "wrist")


@dataclass(frozen=True)
class PoseStyle:
    """Means and standard deviations of joint angles, in degrees, given for the left side of paired joints.

    ``shape`` is the standard deviation of betas; ``alternate`` swings paired joints in opposite directions.
    """

    mean: Mapping[str, Angles]
    spread: Mapping[str, Angles]
    shape: float = 0.8
    alternate: Mapping[str, Angles] = field(default_factory=dict)


RELAXED: dict[str, Angles] = {"shoulder": (0, 0, -68), "elbow": (0, -20, 0)}
CALM: dict[str, Angles] = {
    "spine": (4, 4, 3),
    "neck": (6, 10, 4),
    "shoulder": (8, 8, 10),
    "elbow": (0, 12, 0),
    "wrist": (8, 8, 8),
    "hip": (4, 3, 4),
    "knee": (4, 0, 0),
    "ankle": (4, 4, 2),
    "collar": (2, 2, 2),
}

STYLES: dict[str, PoseStyle] = {
    "standing": PoseStyle(RELAXED, CALM),
    "walking": PoseStyle(
        {**RELAXED, "knee": (18, 0, 0), "spine": (3, 0, 0)},
        CALM,
        alternate={"hip": (-26, 0, 0), "knee": (16, 0, 0), "shoulder": (0, 22, 0)},
    ),
    "gesturing": PoseStyle(
        {"shoulder": (0, -20, -52), "elbow": (0, -65, 0), "hip": (0, 0, 2)},
        {**CALM, "shoulder": (18, 22, 16), "elbow": (10, 30, 0), "wrist": (20, 20, 20), "neck": (8, 14, 6)},
    ),
    "sitting": PoseStyle(
        {"shoulder": (0, -15, -62), "elbow": (0, -50, 0), "hip": (-85, 0, 6), "knee": (85, 0, 0)}, CALM
    ),
    "sports": PoseStyle(
        {"shoulder": (0, -10, 0), "elbow": (0, -45, 0), "hip": (-35, 0, 10), "knee": (45, 0, 0), "spine": (6, 0, 0)},
        {
            "shoulder": (35, 35, 50),
            "elbow": (10, 35, 0),
            "hip": (40, 15, 15),
            "knee": (35, 0, 0),
            "spine": (14, 12, 10),
            "neck": (12, 20, 8),
            "wrist": (20, 20, 20),
            "ankle": (15, 8, 4),
            "collar": (5, 5, 5),
        },
        shape=1.0,
    ),
    "hands": PoseStyle(  # both hands in front of the chest, as in close-ups and signing
        {"shoulder": (0, -38, -58), "elbow": (-30, -105, 0), "hip": (0, 0, 2)},
        {**CALM, "shoulder": (12, 14, 10), "elbow": (20, 18, 0), "wrist": (25, 25, 25), "neck": (6, 8, 4)},
    ),
}
MIXED = ("standing", "walking", "gesturing")


def random_people(
    n: int,
    rng: np.random.Generator,
    *,
    style: str = "standing",
    model_type: str = "smplx",
    num_betas: int = 10,
    gender: Any = "neutral",
    flat_hand_mean: bool = False,
) -> BodyParams:
    """Draw ``n`` people; root orientation small, translation zero, body frame (y up, facing +z).

    Parameters
    ----------
    style : a name of ``STYLES``, or ``mixed``: each person one of standing, walking, gesturing.
    model_type : ``smplx``, ``smplh`` or ``smpl``.
    gender : one word or (n,) words: the body model of each.
    flat_hand_mean : whether hand poses are absolute or relative to a mean hand.
    """
    names = rng.choice(MIXED, n) if style == "mixed" else np.full(n, style)
    pose, betas = np.zeros((n, 22, 3)), np.zeros((n, num_betas))
    for name in np.unique(names):
        rows = np.flatnonzero(names == name)
        pose[rows] = _pose(len(rows), rng, STYLES[name])
        betas[rows] = rng.normal(0, STYLES[name].shape, (len(rows), num_betas))
    pose[:, 0] = np.radians(rng.normal(0, [4, 0, 4], (n, 3)))
    betas = np.clip(betas, -2.5, 2.5)
    if model_type == "smpl":
        hands = np.radians(rng.normal(0, 8, (n, 2, 3)))
        return smpl_params(
            gender=gender, betas=betas, pose=np.concatenate([pose, hands], axis=1), transl=np.zeros((n, 3))
        )
    curl = rng.uniform(0, 0.9, (n, 2)) if flat_hand_mean else rng.uniform(-0.35, 0.45, (n, 2))
    drawn = smplx_params(
        gender=gender,
        betas=betas,
        global_orient=pose[:, 0],
        body_pose=pose[:, 1:],
        transl=np.zeros((n, 3)),
        left_hand_pose=_hand(rng, curl[:, 0], -1),
        right_hand_pose=_hand(rng, curl[:, 1], 1),
        jaw_pose=np.column_stack([rng.uniform(0, 0.25, n), rng.normal(0, 0.03, (n, 2))]),
        leye_pose=rng.normal(0, 0.08, (n, 3)),
        reye_pose=rng.normal(0, 0.08, (n, 3)),
        expression=rng.normal(0, 0.8, (n, 10)),
        flat_hand_mean=flat_hand_mean,
    )
    if model_type == "smplh":
        face = dict.fromkeys(("jaw_pose", "leye_pose", "reye_pose", "expression"))
        return drawn.with_(model_type="smplh", **face)
    return drawn


def motion(
    n_frames: int,
    rng: np.random.Generator,
    *,
    style: str = "standing",
    model_type: str = "smplx",
    num_betas: int = 10,
    gender: str = "neutral",
    flat_hand_mean: bool = False,
    frames_between_poses: int = 25,
) -> BodyParams:
    """One person moving smoothly from pose to pose of a style: ``n_frames`` rows with the same betas.

    Every ``frames_between_poses`` frames a new pose is reached; between two, each joint turns about one axis, slowly
    at both ends. Translation is zero and other arguments are as for :func:`random_people`.
    """
    poses = 2 + (n_frames - 1) // frames_between_poses
    keys = random_people(
        poses,
        rng,
        style=style,
        model_type=model_type,
        num_betas=num_betas,
        gender=gender,
        flat_hand_mean=flat_hand_mean,
    )
    before, share = np.divmod(np.arange(n_frames) / frames_between_poses, 1)
    start = before.astype(int)
    eased = share * share * (3 - 2 * share)
    still = keys[np.zeros(n_frames, int)]
    moved = {}
    for name, values in keys.arrays().items():
        first, last = values[start], values[start + 1]
        if name.endswith("_pose") or name == "global_orient":
            moved[name] = _turned(first, last, eased)
        elif name == "expression":
            moved[name] = first + eased[:, None] * (last - first)
    return still.with_(**moved)


def _turned(first: Array, last: Array, share: Array) -> Array:
    """(n, ..., 3) axis-angle rotations a ``share`` (n,) of the shortest way from ``first`` to ``last``."""
    per_row = first[0].size // 3
    start, end = (Rotation.from_rotvec(v.reshape(-1, 3)) for v in (first, last))
    way = (start.inv() * end).as_rotvec() * np.repeat(share, per_row)[:, None]
    return np.asarray((start * Rotation.from_rotvec(way)).as_rotvec().reshape(first.shape))


def _pose(n: int, rng: np.random.Generator, style: PoseStyle) -> Array:
    """(n, 22, 3) axis-angle of root (zero) and body."""
    degrees = np.zeros((n, 22, 3))
    phase = rng.uniform(-1, 1, n)[:, None]
    for name, joints in JOINTS.items():
        mean = np.array(style.mean.get(name, (0, 0, 0)), float)
        spread = np.array(style.spread.get(name, (0, 0, 0)), float)
        swing = np.array(style.alternate.get(name, (0, 0, 0)), float)
        for side, joint in enumerate(joints):
            drawn = mean + spread * np.clip(rng.normal(size=(n, 3)), -2, 2)
            drawn = drawn + swing * phase * (1 - 2 * side)
            if name == "knee":
                drawn[:, 0] = np.maximum(drawn[:, 0], 0)
            if name == "elbow":
                drawn[:, 1] = np.minimum(drawn[:, 1], 0)
            # Right joints mirror left ones: the same angle about x, the opposite about y and z.
            mirror = np.array([1, -1, -1]) if name in PAIRED and side == 1 else np.ones(3)
            degrees[:, joint] = drawn * mirror
    return Rotation.from_euler("xyz", degrees.reshape(-1, 3), degrees=True).as_rotvec().reshape(n, 22, 3)


def _hand(rng: np.random.Generator, curl: Array, sign: int) -> Array:
    """(n, 15, 3) finger joints; the left hand curls about -z, the right about +z."""
    n = len(curl)
    pose = rng.normal(0, 0.06, (n, 15, 3))
    fingers = curl[:, None] * rng.uniform(0.6, 1.2, (n, 12))
    pose[:, :12, 2] += sign * fingers
    pose[:, 12:, 1] += -sign * 0.25 * curl[:, None]
    return pose
