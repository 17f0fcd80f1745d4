"""What SMPLer-X is trained for: parameters, 137 joints, their places in the image, and the boxes of hands and face.

Facts: the public SMPLer-X code. Terms are mean absolute differences, what is masked counting as none
(:mod:`ehps.benchmark.training.loss_terms`); image points are in patches, 16 x 12 a crop.

Hands are compared in the 16 x 16 grid of the box that the network predicts for them, detached, as it sees no more of
them: image points, projected joints and what they are compared with are moved there, and what lies outside counts as
unseen. The projected joints of a hand, and those of the face, are then shifted by their mean distance from the seen
truth, so that only their shape counts. The original leaves all this out of batches in which nobody has a hand box; here
a row does not depend on the others.

Depth of an image point: 0 to 16 through a cube of 2 m about the pelvis, for hands of 0.3 m about the wrist, see
:class:`~ehps.benchmark.training.loss_weights.LossWeights`. Beyond the cube, and where the joint in space is not known,
x and y are compared alone (the original drops a point beyond the cube whole).

How the authors make a box from points is not published; here it is the extent of the part's known points in the turned
and mirrored crop, 1.2 times as large, as the boxes of HumanData files are read, but not clipped to the image. It is
compared where as many points are known as such a file asks of a box, and where its centre is in the crop: a heat map
names no other.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ehps.benchmark.models.outputs import CAMERA, Prediction
from ehps.benchmark.training import targets
from ehps.benchmark.training.loss_terms import CELL, joint_terms, masked, parameter_terms, parameters
from ehps.benchmark.training.loss_weights import LossWeights
from ehps.benchmark.training.objectives import WholeBody
from ehps.benchmark.training.supervised_joints import (
    BODY,
    FACE,
    LEFT_HAND,
    LEFT_WRIST,
    PELVIS,
    RIGHT_HAND,
    RIGHT_WRIST,
    ROOT_OF,
    SUPERVISED,
)
from ehps.benchmark.training.targets import Joints, Targets
from ehps.humandata.boxes import LEAST_PART_POINTS

GRID = 16  # cells of a hand's box, and of all depths
LEAST_SIDE = 0.25  # patches: the network cuts a wider box out where it predicts a smaller one
HALF_BODY, HALF_HAND = 1.0, 0.15  # metres from the middle of the cube of depths
BOX_SCALE = 1.2
PARTS = {"left_hand": LEFT_HAND, "right_hand": RIGHT_HAND, "face": FACE}
POINTS = slice(0, RIGHT_HAND.stop)  # the joints that are predicted as image points


class SmplerXLoss(WholeBody):
    """The objective of SMPLer-X, in all sizes."""

    def terms(self, out: Prediction, packed: Tensor) -> dict[str, Tensor]:
        return losses(out, targets.make(packed, self.skeleton), self.skeleton, self.weights)


def losses(out: Prediction, truth: Targets, joints: Joints, weights: LossWeights) -> dict[str, Tensor]:
    """Weighted terms by name; their sum is what is minimised."""
    kept = SUPERVISED.to(out.betas.device)
    model = joints(parameters(out))[:, kept]  # (N, 137, 3)
    space, known3d = truth.joints[:, kept], truth.joints_mask[:, kept]
    terms = parameter_terms(out, truth, weights)
    terms |= joint_terms(model, space, known3d, ROOT_OF, weights)

    flat, seen = truth.points[:, kept] / CELL, truth.points_mask[:, kept]  # (N, 137, 2) patches, (N, 137)
    body = model.detach() if weights.projection_trains == "camera" else model
    projected = CAMERA.project(body + out.cam_trans[:, None]) / CELL  # (N, 137, 2)
    for name in ("left_hand", "right_hand"):
        box, part = out.extras[f"{name}_bbox"] / (2 * CELL), PARTS[name]  # (N, 4) patches
        flat = _with(flat, part, in_grid(flat[:, part], box))
        projected = _with(projected, part, in_grid(projected[:, part], box))
        inside = ((flat[:, part] >= 0) & (flat[:, part] < GRID)).all(dim=-1)
        seen = _with(seen, part, seen[:, part] * inside)
    for part in PARTS.values():
        projected = _with(projected, part, shifted(projected[:, part], flat[:, part], seen[:, part]))
    terms["projection"] = weights.projection * masked(projected, flat, seen[..., None])

    hands = (out.extras["left_hand_joint_img"], out.extras["right_hand_joint_img"])
    points = torch.cat((out.extras["joint_img"][:, BODY], *hands), dim=1)  # (N, 65, 3)
    depth, known = depths(space, known3d, weights.hand_depth)  # (N, 65)
    placed = torch.cat((flat[:, POINTS], depth[..., None]), dim=2)  # (N, 65, 3)
    compared = torch.stack((seen[:, POINTS], seen[:, POINTS], seen[:, POINTS] * known), dim=2)
    terms["image_points"] = weights.image_points * masked(points, placed, compared)
    terms["model_image_points"] = weights.model_image_points * masked(
        points, placed, compared * truth.from_model[..., None]
    )

    for name, part in PARTS.items():
        centre, size, valid = part_box(truth.points[:, kept[part]] / CELL, truth.known[:, kept[part]])
        differences = [
            masked(out.extras[f"{name}_bbox_{what}"], value, valid)
            for what, value in (("center", centre), ("size", size))
        ]
        terms[f"{name}_box"] = getattr(weights, f"{name}_box") * sum(differences)
    return terms


def in_grid(points: Tensor, box: Tensor) -> Tensor:
    """Points (N, P, 2) in the cells of boxes (N, 4) x1, y1, x2, y2 of the same units: 0 to 16 from side to side."""
    corner, end = box.detach()[:, None].split(2, dim=-1)  # (N, 1, 2)
    return (points - corner) * (GRID / (end - corner).clamp_min(LEAST_SIDE))


def shifted(points: Tensor, truth: Tensor, seen: Tensor) -> Tensor:
    """Points (N, P, 2) moved so that those that are ``seen`` (N, P) have the same mean as the truth (N, P, 2)."""
    weight = seen[..., None]
    mean = ((truth - points) * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp_min(1)  # (N, 1, 2)
    return points + mean


def depths(joints: Tensor, known: Tensor, hand_depth: str) -> tuple[Tensor, Tensor]:
    """The depth of the 65 image points, in cells of 16 through the cube of their part.

    Parameters
    ----------
    joints : (N, 137, 3) metres, camera axes.
    known : (N, 137).
    hand_depth : ``wrist`` or ``pelvis``.

    Returns
    -------
    (N, 65) depths, and (N, 65) where they are known and inside the cube
    """
    root = torch.full((POINTS.stop,), PELVIS, device=joints.device)
    half = torch.full((POINTS.stop,), HALF_BODY, device=joints.device)
    if hand_depth == "wrist":
        root[LEFT_HAND], root[RIGHT_HAND] = LEFT_WRIST, RIGHT_WRIST
        half[BODY.stop :] = HALF_HAND
    z = joints[..., 2]
    cells = ((z[:, POINTS] - z[:, root]) / half + 1) / 2 * GRID
    both = known[:, POINTS] * known[:, root]
    return cells, both * ((cells >= 0) & (cells < GRID))


def part_box(points: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The box of a hand or a face about its known points.

    Parameters
    ----------
    points : (N, P, 2) patches.
    known : (N, P).

    Returns
    -------
    (N, 2) centre and (N, 2) width and height, patches, and (N, 1) whether there is such a box
    """
    there = known[..., None] > 0
    low = points.masked_fill(~there, torch.inf).amin(dim=1)
    high = points.masked_fill(~there, -torch.inf).amax(dim=1)
    centre, size = (low + high) / 2, (high - low) * BOX_SCALE
    height, width = CAMERA.size
    ends = torch.tensor((width, height), device=points.device) / CELL
    valid = (known > 0).sum(1) >= LEAST_PART_POINTS
    valid = valid & ((centre >= 0) & (centre < ends)).all(dim=1)  # not a number compares as false
    zero = torch.zeros_like(centre)
    return torch.where(valid[:, None], centre, zero), torch.where(valid[:, None], size, zero), valid[:, None].float()


def _with(values: Tensor, part: slice, new: Tensor) -> Tensor:
    """``values`` (N, J, ...) with another part of the joints."""
    return torch.cat((values[:, : part.start], new, values[:, part.stop :]), dim=1)
