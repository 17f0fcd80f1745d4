"""Training losses: terms that several models share, and those of the ones that predict SMPL-X alone.

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
    model = joints(parameters(out))  # (N, 144, 3)
    terms = parameter_terms(out, truth, weights)
    terms |= joint_terms(model, truth.joints, truth.joints_mask, _ROOT_OF, weights)
    projected = CAMERA.project(model + out.cam_trans[:, None])  # (N, 144, 2)
    terms["projection"] = weights.projection * masked(
        projected / CELL, truth.points / CELL, truth.points_mask[..., None]
    )
    return terms


def parameter_terms(out: Prediction, truth: Targets, weights: LossWeights) -> dict[str, Tensor]:
    """Rotations, shape and expression."""
    return {
        "pose": weights.pose * _pose(stack(out), truth, weights.rotation_form),
        "shape": weights.shape * masked(out.betas, truth.betas, truth.shape_mask),
        "expression": weights.expression * masked(out.expression, truth.expression, truth.face_mask),
    }


def joint_terms(
    predicted: Tensor, truth: Tensor, mask: Tensor, root_of: Tensor, weights: LossWeights
) -> dict[str, Tensor]:
    """Joints relative to the pelvis, which is the first, and to the root of their part.

    Parameters
    ----------
    predicted, truth : (N, J, 3) metres.
    mask : (N, J).
    root_of : (J,) which joint is the root of each.
    """
    roots = root_of.to(predicted.device)
    both = mask * mask[:, roots]
    return {
        "joints": weights.joints * masked(predicted - predicted[:, :1], truth, mask[..., None]),
        "part_joints": weights.part_joints
        * masked(predicted - predicted[:, roots], truth - truth[:, roots], both[..., None]),
    }


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
        return masked(predicted, truth.rotations, mask[..., None, None])
    if form == "axis-angle":
        return masked(
            rotations_6d.to_axis_angle(predicted), rotations_6d.to_axis_angle(truth.rotations), mask[..., None]
        )
    raise UsageError(f"no rotation form {form!r}", fix="use matrix or axis-angle")


def masked(value: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute difference; where ``mask``, which is broadcast, is 0 it counts as none."""
    return ((value - target).abs() * mask).mean()
