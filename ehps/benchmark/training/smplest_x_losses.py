"""What SMPLest-X is trained for: parameters, 137 joints, their projections, and how the hands are turned.

Facts: the public SMPLest-X code. Terms are mean absolute differences, what is masked counting as none
(:mod:`ehps.benchmark.training.loss_terms`). A hand's orientation is the product of the rotations from the pelvis to the
wrist. The network says it twice, as a root of the hand by itself and by the rotations of the body; each is compared
with the truth, as a matrix. The projection has no boxes and no shifts.

The published terms reach neither the root of the face nor the cameras of hands and face, so their layers stay as they
are. The original takes the orientation of MANO for images of hands alone; a HumanData file has no such rows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ehps.benchmark.models.outputs import CAMERA, Prediction
from ehps.benchmark.training import targets
from ehps.benchmark.training.loss_terms import CELL, joint_terms, masked, parameter_terms, parameters, stack
from ehps.benchmark.training.loss_weights import LossWeights
from ehps.benchmark.training.objectives import WholeBody
from ehps.benchmark.training.supervised_joints import ROOT_OF, SUPERVISED
from ehps.benchmark.training.targets import Joints, Targets

# pelvis, three of the spine, collar, shoulder, elbow, wrist: places among the 53 rotations
TO_LEFT_HAND = (0, 3, 6, 9, 13, 16, 18, 20)
TO_RIGHT_HAND = (0, 3, 6, 9, 14, 17, 19, 21)


class SmplestXLoss(WholeBody):
    """The objective of SMPLest-X."""

    def terms(self, out: Prediction, packed: Tensor) -> dict[str, Tensor]:
        return losses(out, targets.make(packed, self.skeleton), self.skeleton, self.weights)


def losses(out: Prediction, truth: Targets, joints: Joints, weights: LossWeights) -> dict[str, Tensor]:
    """Weighted terms by name; their sum is what is minimised."""
    kept = SUPERVISED.to(out.betas.device)
    model = joints(parameters(out))[:, kept]  # (N, 137, 3)
    terms = parameter_terms(out, truth, weights)
    terms["root"] = weights.root * masked(out.global_orient, truth.rotations[:, 0], truth.rotations_mask[:, :1, None])
    terms |= joint_terms(model, truth.joints[:, kept], truth.joints_mask[:, kept], ROOT_OF, weights)
    projected = CAMERA.project(model + out.cam_trans[:, None])  # (N, 137, 2)
    terms["projection"] = weights.projection * masked(
        projected / CELL, truth.points[:, kept] / CELL, truth.points_mask[:, kept, None]
    )

    turned, known = hand_chains(truth.rotations), chain_mask(truth.rotations_mask)  # (N, 2, 3, 3), (N, 2)
    said = torch.stack((out.extras["left_hand_root"], out.extras["right_hand_root"]), dim=1)
    terms["hand_roots"] = weights.hand_roots * masked(said, turned, known[..., None, None])
    terms["hand_chains"] = weights.hand_chains * masked(hand_chains(stack(out)), turned, known[..., None, None])
    return terms


def hand_chains(rotations: Tensor) -> Tensor:
    """(N, 53, 3, 3) -> (N, 2, 3, 3): how the left and the right hand are turned in the camera."""
    turned = []
    for chain in (TO_LEFT_HAND, TO_RIGHT_HAND):
        product = rotations[:, chain[0]]
        for joint in chain[1:]:
            product = product @ rotations[:, joint]
        turned.append(product)
    return torch.stack(turned, dim=1)


def chain_mask(known: Tensor) -> Tensor:
    """(N, 53) -> (N, 2): whether all rotations of a chain are known."""
    return torch.stack([known[:, list(chain)].amin(dim=1) for chain in (TO_LEFT_HAND, TO_RIGHT_HAND)], dim=1)
