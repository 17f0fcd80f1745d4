"""How much each term of the loss counts; a setting of trainings, which is read without torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms; 0 switches one off.

    Attributes
    ----------
    pose : of the rotations.
    shape : of the betas.
    expression : of the expression coefficients.
    joints : of the joints relative to the pelvis.
    part_joints : of the joints relative to the wrists and the neck.
    projection : of the joints in the crop.
    rotation_form : ``matrix`` or ``axis-angle`` (as the original).
    """

    pose: float = 10.0
    shape: float = 1.0
    expression: float = 1.0
    joints: float = 100.0
    part_joints: float = 100.0
    projection: float = 1.0
    rotation_form: str = "matrix"
