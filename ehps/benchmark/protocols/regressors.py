"""What evaluation takes from SMPL-X meshes: regressed joints and the vertex sets of hands and head.

Regressed joints are the neutral model's J_regressor applied to the *posed* mesh, as SMPLer-X evaluates; they
differ from the model's own joints by millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from ehps.arrays import Array
from ehps.body.helper_files import j14_regressor, vertex_ids
from ehps.body.models import BodyModels

PELVIS, NECK, LEFT_WRIST, RIGHT_WRIST = 0, 12, 20, 21
# thumb, index, middle, ring, pinky: three knuckles (rows of J_regressor) and the tip (a vertex)
LEFT_FINGERS = (
    ((37, 38, 39), 5361),
    ((25, 26, 27), 4933),
    ((28, 29, 30), 5058),
    ((34, 35, 36), 5169),
    ((31, 32, 33), 5286),
)
RIGHT_FINGERS = (
    ((52, 53, 54), 8079),
    ((40, 41, 42), 7669),
    ((43, 44, 45), 7794),
    ((49, 50, 51), 7905),
    ((46, 47, 48), 8022),
)
SMPL14 = (1, 2, 4, 5, 7, 8, 12, 15, 16, 17, 18, 19, 20, 21)


def apply(regressor: Any, vertices: Array) -> Array:
    """(J, V) sparse matrix on (N, V, 3) vertices -> (N, J, 3) float64."""
    n, count, _ = vertices.shape
    flat = np.asarray(vertices, np.float64).transpose(1, 0, 2).reshape(count, 3 * n)
    out: Array = np.asarray(regressor @ flat).reshape(-1, n, 3).transpose(1, 0, 2)
    return out


@dataclass(frozen=True, eq=False)
class SmplxRegressors:
    """Sparse regressors and vertex numbers of SMPL-X.

    Attributes
    ----------
    skeleton : (55, V), all rows of the neutral model's regressor.
    anchors : (4, V), pelvis, neck, left wrist, right wrist.
    body14 : (14, V), the LSP joints.
    left_hand_joints : (21, V), wrist, then knuckles and tip of each finger, thumb first.
    right_hand_joints : (21, V), likewise.
    left_hand : (778,) vertex numbers.
    right_hand : (778,) vertex numbers.
    face : (5023,) vertex numbers.
    body : vertex numbers of all but hands and head.
    """

    skeleton: Any
    anchors: Any
    body14: Any
    left_hand_joints: Any
    right_hand_joints: Any
    left_hand: Array
    right_hand: Array
    face: Array
    body: Array

    @classmethod
    def load(cls, models: BodyModels) -> SmplxRegressors:
        """From the neutral model and the helper files beside it.

        Raises
        ------
        BodyModelError : one of them is missing.
        """
        neutral = np.asarray(models.get("smplx", "neutral").J_regressor, np.float64)
        ids = vertex_ids(models.folder)
        count = neutral.shape[1]

        def hand(wrist: int, fingers: tuple[tuple[tuple[int, ...], int], ...]) -> Any:
            rows = [neutral[wrist]]
            for knuckles, tip in fingers:
                rows += [*neutral[list(knuckles)], np.eye(1, count, tip)[0]]
            return sparse.csr_matrix(np.stack(rows))

        elsewhere = np.unique(np.concatenate([ids["left_hand"], ids["right_hand"], ids["face"]]))
        return cls(
            skeleton=sparse.csr_matrix(neutral),
            anchors=sparse.csr_matrix(neutral[[PELVIS, NECK, LEFT_WRIST, RIGHT_WRIST]]),
            body14=sparse.csr_matrix(j14_regressor(models.folder)),
            left_hand_joints=hand(LEFT_WRIST, LEFT_FINGERS),
            right_hand_joints=hand(RIGHT_WRIST, RIGHT_FINGERS),
            left_hand=ids["left_hand"],
            right_hand=ids["right_hand"],
            face=ids["face"],
            body=np.setdiff1d(np.arange(count), elsewhere),
        )
