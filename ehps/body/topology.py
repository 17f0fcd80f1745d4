"""What every release of SMPL, SMPL-H and SMPL-X has in common: counts, joint trees, landmark vertices.

These are public facts of the models' layouts (the ``smplx`` package lists the same vertex numbers); no
geometry is here.
"""

from __future__ import annotations

from dataclasses import dataclass

BODY = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)


def _fingers(wrist: int, first: int) -> tuple[int, ...]:
    """Parents of five three-joint fingers whose joints are numbered from ``first``."""
    return tuple(wrist if k % 3 == 0 else first + k - 1 for k in range(15))


# nose, right eye, left eye, right ear, left ear; left then right big toe, small toe, heel;
# left then right tips of thumb, index, middle, ring, pinky.
SMPLX_VERTICES = (
    *(9120, 9929, 9448, 616, 6),
    *(5770, 5780, 8846, 8463, 8474, 8635),
    *(5361, 4933, 5058, 5169, 5286),
    *(8079, 7669, 7794, 7905, 8022),
)
SMPL_VERTICES = (
    *(332, 6260, 2800, 4071, 583),
    *(3216, 3226, 3387, 6617, 6624, 6787),
    *(2746, 2319, 2445, 2556, 2673),
    *(6191, 5782, 5905, 6016, 6133),
)

NECK_CHAIN = (0, 3, 6, 9, 12)
"""Joints whose rotations, multiplied from the pelvis on, give the yaw that picks the face contour."""


@dataclass(frozen=True)
class Topology:
    """Layout of one model type.

    Attributes
    ----------
    vertices, faces : counts.
    parents : parent of each chain joint, -1 for the pelvis.
    picked : the 21 vertices that follow the chain joints in the package's joint order.
    left_hand, right_hand : slices of the 15 finger joints, None for SMPL.
    convention : the keypoint convention of all joints that the package returns.
    landmarks : True when 51 face and 17 contour landmarks follow.
    """

    vertices: int
    faces: int
    parents: tuple[int, ...]
    picked: tuple[int, ...]
    left_hand: slice | None
    right_hand: slice | None
    convention: str
    landmarks: bool

    @property
    def joints(self) -> int:
        return len(self.parents)


TOPOLOGY = {
    "smplx": Topology(
        vertices=10475,
        faces=20908,
        parents=(*BODY, 15, 15, 15, *_fingers(20, 25), *_fingers(21, 40)),
        picked=SMPLX_VERTICES,
        left_hand=slice(25, 40),
        right_hand=slice(40, 55),
        convention="smplx",
        landmarks=True,
    ),
    "smplh": Topology(
        vertices=6890,
        faces=13776,
        parents=(*BODY, *_fingers(20, 22), *_fingers(21, 37)),
        picked=SMPL_VERTICES,
        left_hand=slice(22, 37),
        right_hand=slice(37, 52),
        convention="smplh_73",
        landmarks=False,
    ),
    "smpl": Topology(
        vertices=6890,
        faces=13776,
        parents=(*BODY, 20, 21),
        picked=SMPL_VERTICES,
        left_hand=None,
        right_hand=None,
        convention="smpl_45",
        landmarks=False,
    ),
}
POSE_PARTS = {
    "smplx": {
        "global_orient": 1,
        "body_pose": 21,
        "jaw_pose": 1,
        "leye_pose": 1,
        "reye_pose": 1,
        "left_hand_pose": 15,
        "right_hand_pose": 15,
    },
    "smplh": {"global_orient": 1, "body_pose": 21, "left_hand_pose": 15, "right_hand_pose": 15},
    "smpl": {"global_orient": 1, "body_pose": 23},
}
"""Parameters that turn chain joints, in the joints' order, and how many joints each turns."""

NAMES = {"smplx": "SMPL-X", "smplh": "SMPL-H", "smpl": "SMPL"}
SITES = {"smplx": "smpl-x.is.tue.mpg.de", "smpl": "smpl.is.tue.mpg.de", "smplh": "mano.is.tue.mpg.de"}


def model_type_of(vertices: int, joints: int) -> str | None:
    """smplx, smplh or smpl from a file's sizes, None when it is no body of these."""
    for model_type, topology in TOPOLOGY.items():
        if (vertices, joints) == (topology.vertices, topology.joints):
            return model_type
    return None
