"""How much each term of the loss counts; a setting of trainings, which is read without torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ehps.benchmark import models


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms; 0 switches one off. Which of them a model has says its card.

    Attributes
    ----------
    pose : of the rotations.
    shape : of the betas.
    expression : of the expression coefficients.
    joints : of the joints relative to the pelvis.
    part_joints : of the joints relative to the wrists and the neck.
    projection : of the joints in the crop.
    image_points : of the joints that are predicted as image points with a depth.
    model_image_points : the same, where the truth is a projected body.
    left_hand_box, right_hand_box, face_box : of centre and size of the boxes.
    root : of the orientation of the body, beside its share of ``pose``.
    hand_roots : of the orientations of the hands, which the network predicts beside the body.
    hand_chains : of the orientations of the hands that follow from the body.
    rotation_form : ``matrix`` or ``axis-angle`` (as SMPLer-X).
    hand_depth : what the depth of a hand's image points is relative to: the ``wrist``, in a cube of 0.3 m, or the
        ``pelvis`` in one of 2 m, as for the body (the original does this for HumanData files and the other for AGORA).
    projection_trains : ``everything``, or the ``camera`` alone, as the original where AGORA is its only set.
    """

    pose: float = 10.0
    shape: float = 1.0
    expression: float = 1.0
    joints: float = 100.0
    part_joints: float = 100.0
    projection: float = 1.0
    image_points: float = 1.0
    model_image_points: float = 1.0
    left_hand_box: float = 1.0
    right_hand_box: float = 1.0
    face_box: float = 1.0
    root: float = 1.0
    hand_roots: float = 1.0
    hand_chains: float = 1.0
    rotation_form: str = "matrix"
    hand_depth: str = "wrist"
    projection_trains: str = "everything"

    def of(self, model: str) -> dict[str, Any]:
        """Those that the model reads, and those that nobody reads but somebody changed."""
        known = _read_by(model)
        values = dataclasses.asdict(self)
        return {name: value for name, value in values.items() if name in known or value != _DEFAULTS[name]}

    def faults(self, model: str, given: Iterable[str] = ()) -> list[str]:
        """What was changed, or is among ``given``, though the model has no such term."""
        known = _read_by(model)
        unread = [name for name in self.of(model) if name not in known]
        unread += [name for name in given if name in _DEFAULTS and name not in known and name not in unread]
        has = f"it has: {', '.join(sorted(known))}" if known else "its weights are the published ones"
        return [f"loss.{name} is nothing that {model} reads; {has}" for name in unread]


_DEFAULTS = {field.name: field.default for field in dataclasses.fields(LossWeights)}


def _read_by(model: str) -> set[str]:
    """Names that a model reads; all where it is not known here, as that of another package may be.

    Models for SMPL read none: they have the weights of their cards.
    """
    if model not in models.names():
        return set(_DEFAULTS)
    card = models.card(model)
    if card.body == "smpl":
        return set()
    return _DEFAULTS.keys() & {*card.losses, *card.loss_words}
