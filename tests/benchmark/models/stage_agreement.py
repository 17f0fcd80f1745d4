"""Stages of PyMAF and SMPLer: what the networks call them, and how far they may be from the plain ones."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ehps.benchmark.models.outputs import SmplPrediction
from ehps.body.model_file import BodyModel
from tests.benchmark.models.plain_smpl import Smpl, Stage

# In SmplPrediction.extras: each (N, stages, ...), the first estimate first.
ROTATIONS = "stage_rotations"
BETAS = "stage_betas"
CAMERA = "stage_cameras"

DEGREES = 0.015  # rounding reaches 0.004; the smallest fault (GELU by tanh) 0.022
TOLERANCE = 2e-3  # betas, camera, metres


def bent_more(model: BodyModel) -> BodyModel:
    """The stand-in with ten times the pose correctives, which are too small to be missed otherwise."""
    return replace(model, posedirs=10 * model.posedirs)


def plain_arrays(model: BodyModel) -> Smpl:
    """The same arrays for the plain implementations."""
    names = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights")
    arrays = [torch.as_tensor(getattr(model, name), dtype=torch.float32) for name in names]
    return Smpl(*arrays, parents=model.parents.tolist())


def angles(one: Tensor, other: Tensor) -> Tensor:
    """(..., 3, 3) twice -> (...) degrees between them."""
    distance = (one.double() - other.double()).flatten(-2).norm(dim=-1)  # 2 sqrt(2) sin(angle / 2)
    return torch.rad2deg(2 * torch.asin((distance / 8**0.5).clamp(max=1)))


def check_stages(prediction: SmplPrediction, expected: list[Stage]) -> None:
    """Every stage of every person (PyMAF's next one shows the mesh that it looks at), and the last as the answer."""
    extras = prediction.extras
    assert extras[ROTATIONS].shape[1] == len(expected)
    for s, stage in enumerate(expected):
        worst = angles(extras[ROTATIONS][:, s], stage.rotmats).max()
        assert worst < DEGREES, f"stage {s}: {worst:.4f} degrees"
        close(extras[BETAS][:, s], stage.betas, f"stage {s}: betas")
        close(extras[CAMERA][:, s], stage.camera, f"stage {s}: camera")
    last = expected[-1]
    assert angles(prediction.global_orient, last.rotmats[:, 0]).max() < DEGREES
    assert angles(prediction.body_pose, last.rotmats[:, 1:]).max() < DEGREES
    close(prediction.betas, last.betas, "betas")
    close(prediction.camera, last.camera, "camera")


def close(ours: Tensor, theirs: Tensor, what: str) -> None:
    """Refuse a difference above ``TOLERANCE``."""
    assert ours.shape == theirs.shape
    worst = (ours - theirs).abs().max()
    assert worst < TOLERANCE, f"{what}: {worst:.5f}"
