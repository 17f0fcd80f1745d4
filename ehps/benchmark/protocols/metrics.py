"""PVE, PA-PVE and PA-MPJPE of each instance: between SMPL-X meshes by part, and between the 14 SMPL joints of 3DPW.

Facts: the public evaluation code of SMPLer-X (its readers of AGORA, UBody, EgoBody, EHF and 3DPW). Results
are metres, ``(part, metric) -> (N,)``, NaN where a sample has nothing to compare.
"""

from __future__ import annotations

import numpy as np

from ehps.arrays import Array
from ehps.benchmark.protocols.point_errors import aligned, inside, mean_error, mean_of_present, procrustes, project
from ehps.benchmark.protocols.regressors import SMPL14, SmplxRegressors, apply

Errors = dict[tuple[str, str], Array]

HANDS = ("left_hand", "right_hand")


def mesh_errors(predicted: Array, true: Array, reg: SmplxRegressors, visible: Visibility | None = None) -> Errors:
    """All SMPL-X errors of (N, 10475, 3) meshes.

    ``all``: pelvis-aligned; each hand: aligned at its regressed wrist; ``hand``: mean of both; ``face``:
    aligned at the neck; PA errors fit each part on its own. With ``visible``, alignment still uses all
    points, errors the visible ones.
    """
    out: Errors = {}
    p0, t0 = apply(reg.anchors, predicted), apply(reg.anchors, true)
    whole = visible.vertices if visible else None

    def part(mask: Array | None, ids: Array) -> Array | None:
        return None if mask is None else mask[:, ids]

    moved = aligned(predicted, true, p0[:, 0], t0[:, 0])
    out["all", "PVE"] = mean_error(moved, true, whole)
    out["all", "PA-PVE"] = mean_error(procrustes(predicted, true), true, whole)
    anchors = {"face": 1, "left_hand": 2, "right_hand": 3}
    for name, anchor in anchors.items():
        ids = getattr(reg, name)
        p, t, mask = predicted[:, ids], true[:, ids], part(whole, ids)
        out[name, "PVE"] = mean_error(aligned(p, t, p0[:, anchor], t0[:, anchor]), t, mask)
        out[name, "PA-PVE"] = mean_error(procrustes(p, t), t, mask)
    p, t = apply(reg.body14, predicted), apply(reg.body14, true)
    out["body", "PA-MPJPE"] = mean_error(procrustes(p, t), t, visible.body14 if visible else None)
    for name in HANDS:
        regressor = getattr(reg, f"{name}_joints")
        p, t = apply(regressor, predicted), apply(regressor, true)
        mask = getattr(visible, f"{name}_joints") if visible else None
        out[name, "PA-MPJPE"] = mean_error(procrustes(p, t), t, mask)
    for metric in ("PVE", "PA-PVE", "PA-MPJPE"):
        out["hand", metric] = mean_of_present(*(out[name, metric] for name in HANDS))
    return out


class Visibility:
    """Which true points fall strictly inside the image under the *predicted* translation and camera (UBody).

    Parameters
    ----------
    true : (N, 10475, 3) true meshes around the model's origin (their own translation taken off).
    transl : (N, 3) of the prediction, metres.
    focal : (N, 2) of the prediction, pixels.
    principal_point : (N, 2) of the prediction, pixels.
    sizes : (N, 2) height, width of the images.
    """

    def __init__(
        self, true: Array, transl: Array, focal: Array, principal_point: Array, sizes: Array, reg: SmplxRegressors
    ) -> None:
        placed = true + transl[:, None]

        def seen(points: Array) -> Array:
            return inside(project(points, focal, principal_point), sizes)

        self.vertices = seen(placed)
        self.body14 = seen(apply(reg.body14, placed))
        self.left_hand_joints = seen(apply(reg.left_hand_joints, placed))
        self.right_hand_joints = seen(apply(reg.right_hand_joints, placed))


def only_valid_hands(errors: Errors, left: Array, right: Array) -> None:
    """Leave out hands that are not flagged valid (N,), and average the others again; in place."""
    for metric in ("PVE", "PA-PVE", "PA-MPJPE"):
        for name, flag in (("left_hand", left), ("right_hand", right)):
            errors[name, metric] = np.where(flag, errors[name, metric], np.nan)
        errors["hand", metric] = mean_of_present(*(errors[name, metric] for name in HANDS))


def smpl14_errors(predicted: Array, true_joints: Array, reg: SmplxRegressors) -> Errors:
    """3DPW as SMPLer-X: rows of the SMPL-X regressor on the predicted mesh against those of SMPL.

    ``predicted`` is (N, 10475, 3), ``true_joints`` (N, 24, 3).
    Pelvis row 0 of each is aligned for MPJPE; PA-MPJPE fits the 14.
    """
    joints = apply(reg.skeleton, predicted)  # (N, 55, 3)
    rows = list(SMPL14)
    p, t = joints[:, rows], true_joints[:, rows]
    return {
        ("body", "MPJPE"): mean_error(aligned(p, t, joints[:, 0], true_joints[:, 0]), t),
        ("body", "PA-MPJPE"): mean_error(procrustes(p, t), t),
    }


def official_errors(
    predicted: Array, true: Array, predicted_joints: Array, true_joints: Array, reg: SmplxRegressors
) -> Errors:
    """AGORA's part errors of matched persons: ``MVE`` and ``MPJPE`` of body, hands and face.

    Parameters
    ----------
    predicted : (N, 10475, 3) meshes.
    true : (N, 10475, 3) meshes.
    predicted_joints : (N, >= 127, 3) model joints.
    true_joints : (N, >= 127, 3) model joints.

    Notes
    -----
    Body: mid-point of the hips aligned, joints 0..21, vertices outside hands and head. Hands: wrist aligned,
    wrist and 15 joints. Face: neck aligned, neck and 51 landmarks.
    """
    pj, tj = predicted_joints, true_joints
    anchors = {
        "body": (pj[:, 1:3].mean(1), tj[:, 1:3].mean(1)),
        "left_hand": (pj[:, 20], tj[:, 20]),
        "right_hand": (pj[:, 21], tj[:, 21]),
        "face": (pj[:, 12], tj[:, 12]),
    }
    joints = {
        "body": list(range(22)),
        "left_hand": [20, *range(25, 40)],
        "right_hand": [21, *range(40, 55)],
        "face": [12, *range(76, 127)],
    }
    out: Errors = {}
    for part, (p0, t0) in anchors.items():
        ids, js = getattr(reg, part), joints[part]
        out[part, "MVE"] = mean_error(aligned(predicted[:, ids], true[:, ids], p0, t0), true[:, ids])
        out[part, "MPJPE"] = mean_error(aligned(pj[:, js], tj[:, js], p0, t0), tj[:, js])
    return out
