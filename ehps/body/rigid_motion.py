"""Moving a body by a rigid motion, in its parameters.

A body turns about its pelvis, not about the origin, so a rotation changes ``transl`` by an amount that
depends on the rest pelvis, hence on model, gender, betas and expression. Forgetting it misplaces a person by
tens of centimetres. The 17 face-contour points are chosen by the body's orientation and therefore do not move
along: compute joints from the parameters in the camera frame, always.
"""

from __future__ import annotations

import numpy as np

from ehps.arrays import Array
from ehps.body import rotations
from ehps.body.params import BodyParams
from ehps.body.topology import POSE_PARTS, TOPOLOGY
from ehps.humandata.keypoints import flip_order

MIRROR = np.array([-1.0, 1.0, 1.0])
TURNED = -MIRROR  # of a rotation's axis: what turns about x does so in the mirror too


def to_camera(params: BodyParams, rotation: Array, translation: Array, rest_pelvis: Array) -> BodyParams:
    """The same bodies after x -> rotation @ x + translation.

    Parameters
    ----------
    params : bodies in the world.
    rotation : (3, 3) or (N, 3, 3), world to camera.
    translation : (3,) or (N, 3), world to camera, metres.
    rest_pelvis : (N, 3) pelvis of the unposed body of each shape, from ``FastJoints.rest_pelvis`` or
        ``BodyModels.rest_pelvis``.

    Returns
    -------
    Parameters with new ``global_orient`` (float64, angle at most pi) and ``transl``; all else is shared.

    Raises
    ------
    ValueError : a rotation is a reflection, has a scale, or is not orthonormal; shapes do not fit.
    """
    n = len(params)
    turn = np.broadcast_to(rotations.proper(rotation), (n, 3, 3))
    shift = np.broadcast_to(np.asarray(translation, np.float64), (n, 3))
    pelvis = np.asarray(rest_pelvis, np.float64)
    if pelvis.shape != (n, 3):
        raise ValueError(f"rest_pelvis is {pelvis.shape}, expected {(n, 3)}")
    orient = rotations.to_axis_angle(turn @ rotations.to_matrix(params.global_orient))
    moved = np.einsum("nij,nj->ni", turn, pelvis + params.transl)
    return params.with_(global_orient=orient, transl=moved + shift - pelvis)


def in_the_mirror(params: BodyParams, rest_pelvis: Array) -> BodyParams:
    """The bodies that a mirror shows, x -> -x, as bodies whose left is the right of what stands before it.

    Coefficients of shape and expression are kept: exact where the model is the same on both sides, which the released
    ones are within millimetres.

    Parameters
    ----------
    params : bodies in the camera frame; hands as axis-angle.
    rest_pelvis : (N, 3) pelvis of the unposed body of each shape, as for :func:`to_camera`.

    Returns
    -------
    Parameters with all rotations and ``transl`` mirrored, and left and right exchanged.
    """
    topology = TOPOLOGY[params.model_type]
    order = flip_order(topology.convention)[1 : 1 + params.body_pose.shape[1]] - 1
    seen = {name: value * TURNED for name, value in params.arrays().items() if name in POSE_PARTS[params.model_type]}
    seen["body_pose"] = seen["body_pose"][:, order]
    for left, right in (("left_hand_pose", "right_hand_pose"), ("leye_pose", "reye_pose")):
        if left in seen:
            seen[left], seen[right] = seen[right], seen[left]
    pelvis = np.asarray(rest_pelvis, np.float64)
    return params.with_(**seen, transl=(pelvis + params.transl) * MIRROR - pelvis)


def from_center(rotation: Array, center: Array) -> Array:
    """(..., 3) translation -R C of the extrinsics whose camera centre is C: for files that store centres."""
    return -np.einsum("...ij,...j->...i", np.asarray(rotation, np.float64), np.asarray(center, np.float64))


def split(extrinsic: Array) -> tuple[Array, Array]:
    """Rotation (..., 3, 3) and translation (..., 3) of (..., 4, 4) or (..., 3, 4) matrices, float64."""
    extrinsic = np.asarray(extrinsic, np.float64)
    if extrinsic.shape[-2:] not in ((4, 4), (3, 4)):
        raise ValueError(f"extrinsics are (..., 4, 4) or (..., 3, 4), not {extrinsic.shape}")
    return extrinsic[..., :3, :3], extrinsic[..., :3, 3]


def apply(points: Array, rotation: Array, translation: Array) -> Array:
    """Points (N, J, 3) after x -> R x + t, with (3, 3)/(3,) or one motion a row."""
    moved = np.einsum("...ij,...kj->...ki", np.asarray(rotation), np.asarray(points))
    return np.asarray(moved + np.asarray(translation)[..., None, :])
