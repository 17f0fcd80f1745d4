"""Training losses: the parameter, joint and projection terms of SMPLer-X.

Facts: the public SMPLer-X training code. All are absolute differences times a validity mask, averaged over
every element (masked ones included), then weighted and summed. Hands are also compared relative to their
wrist, the face to the neck. Rotations are compared as matrices by default: axis-angle numbers jump at half
turns, where people who face the camera are.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ehps.benchmark.models.outputs import CAMERA, Prediction
from ehps.benchmark.training import rotations_6d
from ehps.benchmark.training.loss_weights import LossWeights
from ehps.benchmark.training.targets import (
    FACE,
    JOINTS,
    LEFT_HAND,
    LEFT_WRIST,
    NECK,
    PELVIS,
    RIGHT_HAND,
    RIGHT_WRIST,
    Joints,
    Targets,
)
from ehps.errors import UsageError

CELL = 16  # pixels of the 256 x 192 frame in a cell of the 16 x 12 grid, the unit of 2D losses

_ROOT_OF = torch.full((JOINTS,), PELVIS)
_ROOT_OF[list(LEFT_HAND)] = LEFT_WRIST
_ROOT_OF[list(RIGHT_HAND)] = RIGHT_WRIST
_ROOT_OF[list(FACE)] = NECK


def losses(out: Prediction, truth: Targets, joints: Joints, weights: LossWeights) -> dict[str, Tensor]:
    """Weighted terms by name; their sum is what is minimised."""
    predicted = stack(out)  # (N, 53, 3, 3)
    model = joints(parameters(out))  # (N, 144, 3)
    terms = {
        "pose": weights.pose * _pose(predicted, truth, weights.rotation_form),
        "shape": weights.shape * _masked(out.betas, truth.betas, truth.shape_mask),
        "expression": weights.expression * _masked(out.expression, truth.expression, truth.face_mask),
    }
    mask = truth.joints_mask[..., None]  # (N, 144, 1)
    terms["joints"] = weights.joints * _masked(model - model[:, PELVIS : PELVIS + 1], truth.joints, mask)
    roots = _ROOT_OF.to(model.device)  # (144,)
    both = mask * truth.joints_mask[:, roots][..., None]
    terms["part_joints"] = weights.part_joints * _masked(
        model - model[:, roots], truth.joints - truth.joints[:, roots], both
    )
    projected = CAMERA.project(model + out.cam_trans[:, None])  # (N, 144, 2)
    terms["projection"] = weights.projection * _masked(
        projected / CELL, truth.points / CELL, truth.points_mask[..., None]
    )
    return terms


def parameters(out: Prediction) -> dict[str, Tensor]:
    """What :class:`~ehps.benchmark.training.targets.Joints` takes."""
    names = ("global_orient", "body_pose", "left_hand_pose", "right_hand_pose", "jaw_pose", "betas", "expression")
    return {name: getattr(out, name) for name in names}


def stack(out: Prediction) -> Tensor:
    """(N, 53, 3, 3): root, body, left hand, right hand, jaw."""
    return torch.cat(
        (
            out.global_orient[:, None],
            out.body_pose,
            out.left_hand_pose,
            out.right_hand_pose,
            out.jaw_pose[:, None],
        ),
        dim=1,
    )


def _pose(predicted: Tensor, truth: Targets, form: str) -> Tensor:
    mask = truth.rotations_mask
    if form == "matrix":
        return _masked(predicted, truth.rotations, mask[..., None, None])
    if form == "axis-angle":
        return _masked(
            rotations_6d.to_axis_angle(predicted), rotations_6d.to_axis_angle(truth.rotations), mask[..., None]
        )
    raise UsageError(f"no rotation form {form!r}", fix="use matrix or axis-angle")


def _masked(value: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    return ((value - target).abs() * mask).mean()
