"""What a training sample carries, and what is made of it on the device.

A loader worker hands over the stored parameters of a row and the map of its crop, packed into one vector.
Joints, projections and augmentation of the targets are computed here, in batches, on the device: joints of
the *stored* parameters are mirrored and turned, so that they match the augmented image exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol as Interface

import numpy as np
import torch
from torch import Tensor

from ehps.benchmark.training import rotations_6d
from ehps.body.torch_joints import axis_angle_to_matrix
from ehps.humandata import keypoints

JOINTS = 144

# name -> width of the packed float32 vector, in order; rotations are axis-angle, lengths metres, points pixels
LAYOUT: dict[str, int] = {
    "global_orient": 3,
    "body_pose": 63,
    "left_hand_pose": 45,
    "right_hand_pose": 45,
    "jaw_pose": 3,
    "betas": 10,
    "expression": 10,
    "transl": 3,
    "focal": 2,
    "principal_point": 2,
    "affine": 6,  # full image -> 256 x 192 frame of the crop, augmentation included
    "rotation": 1,
    "flip": 1,
    "has_body": 1,
    "has_left_hand": 1,
    "has_right_hand": 1,
    "has_face": 1,
    "has_shape": 1,
    "has_camera": 1,
    "has_model": 1,  # joints of the neutral SMPL-X are the truth; otherwise the stored points are
    "points2d": JOINTS * 3,
    "points3d": JOINTS * 4,
}
SLICES: dict[str, slice] = {}
_end = 0
for _name, _width in LAYOUT.items():
    SLICES[_name] = slice(_end, _end + _width)
    _end += _width
WIDTH = _end

BODY_PAIRS = ((1, 2), (4, 5), (7, 8), (10, 11), (13, 14), (16, 17), (18, 19), (20, 21))
LEFT_HAND = (*range(25, 40), *range(66, 71))
RIGHT_HAND = (*range(40, 55), *range(71, 76))
FACE = (22, 23, 24, *range(76, 144))
PELVIS, NECK, LEFT_WRIST, RIGHT_WRIST = 0, 12, 20, 21


class Joints(Interface):
    """Anything that turns parameters into the 144 SMPL-X joints, differentiably."""

    def __call__(self, parameters: dict[str, Tensor]) -> Tensor:
        """Rotation matrices and coefficients by name -> (N, 144, 3), root at the model's origin."""
        ...


@dataclass
class Targets:
    """Truth of a batch in the frame of the (augmented) crop.

    Attributes
    ----------
    rotations : (N, 53, 3, 3): root, 21 body, 15 left hand, 15 right hand, jaw.
    rotations_mask : (N, 53).
    betas : (N, 10).
    shape_mask : (N, 1).
    expression : (N, 10).
    face_mask : (N, 1).
    joints : (N, 144, 3) relative to the pelvis, metres.
    joints_mask : (N, 144).
    points : (N, 144, 2) pixels of the 256 x 192 frame.
    points_mask : (N, 144): known, inside the crop, and neither left of nor above the image (whatever lies on its
        other sides counts as seen where the crop shows its place, as in the original).
    known : (N, 144): their place is known, wherever it is.
    from_model : (N, 1): they are joints of the row's SMPL-X, not stored points.
    """

    rotations: Tensor
    rotations_mask: Tensor
    betas: Tensor
    shape_mask: Tensor
    expression: Tensor
    face_mask: Tensor
    joints: Tensor
    joints_mask: Tensor
    points: Tensor
    points_mask: Tensor
    known: Tensor
    from_model: Tensor


def _flip_order(pairs: tuple[tuple[int, int], ...], count: int, first: int) -> list[int]:
    order = list(range(count))
    for left, right in pairs:
        order[left - first], order[right - first] = right - first, left - first
    return order


_BODY_FLIP = _flip_order(BODY_PAIRS, 21, 1)
# root, body, then the hands exchanged, jaw
_FLIP53 = [0, *(1 + i for i in _BODY_FLIP), *range(37, 52), *range(22, 37), 52]


def unpack(packed: Tensor) -> dict[str, Tensor]:
    """(N, WIDTH) -> named views (N, width)."""
    return {name: packed[:, where] for name, where in SLICES.items()}


def make(packed: Tensor, joints: Joints, frame: tuple[int, int] = (256, 192)) -> Targets:
    """Targets of a batch from its packed vectors (N, WIDTH), on their device."""
    t = unpack(packed)
    n = len(packed)
    stored = _rotations(t)  # (N, 53, 3, 3)
    with torch.no_grad():
        model = joints(_parameters(stored, t))  # (N, 144, 3)
        camera_points = model + t["transl"][:, None]
        own3d = t["points3d"].reshape(n, JOINTS, 4)
        own2d = t["points2d"].reshape(n, JOINTS, 3)
        from_model = t["has_model"] > 0  # (N, 1)
        relative = model - model[:, PELVIS : PELVIS + 1]
        own_relative = own3d[..., :3] - own3d[:, PELVIS : PELVIS + 1, :3]
        relative = torch.where(from_model[..., None], relative, own_relative)
        mask3d = torch.where(from_model, _model_mask(t), (own3d[..., 3] > 0).float())
        projected = _project(camera_points, t["focal"], t["principal_point"])  # (N, 144, 2)
        use_model = from_model & (t["has_camera"] > 0)
        full = torch.where(use_model[..., None], projected, own2d[..., :2])
        known = torch.where(use_model, _model_mask(t), (own2d[..., 2] > 0).float())
        mask2d = known * (full > 0).all(dim=-1)  # left of or above the image: unseen in the original too
        matrix = t["affine"].reshape(n, 2, 3)
        points = full @ matrix[:, :, :2].transpose(1, 2) + matrix[:, None, :, 2]  # (N, 144, 2) in the crop
        flip, turn = t["flip"][:, 0] > 0, rotations_6d.about_z(-t["rotation"][:, 0])  # (N,), (N, 3, 3)
        order = torch.as_tensor(np.array(keypoints.flip_order("smplx")), device=packed.device)
        relative, mask3d = _mirror_points(relative, flip, order), _mirror_rows(mask3d, flip, order)
        relative = relative @ turn.transpose(1, 2)
        points, mask2d, known = (_mirror_rows(values, flip, order) for values in (points, mask2d, known))
        height, width = frame
        x, y = points[..., 0], points[..., 1]
        seen = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        order53 = torch.as_tensor(_FLIP53, device=packed.device)
        chosen = torch.where(flip[:, None, None, None], rotations_6d.mirror(stored[:, order53]), stored)
        chosen = torch.cat((turn[:, None] @ chosen[:, :1], chosen[:, 1:]), dim=1)  # only the root turns
        mask53 = _mirror_rows(_rotation_mask(t), flip, order53)
    return Targets(
        rotations=chosen,
        rotations_mask=mask53,
        betas=t["betas"],
        shape_mask=t["has_shape"],
        expression=t["expression"],
        face_mask=t["has_face"],
        joints=relative,
        joints_mask=mask3d,
        points=torch.nan_to_num(points),
        points_mask=mask2d * seen,
        known=known,
        from_model=use_model.float(),
    )


def _rotations(t: dict[str, Tensor]) -> Tensor:
    """(N, 53, 3, 3) of the stored parameters."""
    names = ("global_orient", "body_pose", "left_hand_pose", "right_hand_pose", "jaw_pose")
    vectors = torch.cat([t[name] for name in names], dim=1)
    return axis_angle_to_matrix(vectors.reshape(len(vectors), 53, 3))


def _parameters(stored: Tensor, t: dict[str, Tensor]) -> dict[str, Tensor]:
    """What :class:`Joints` takes, of the stored rotations (N, 53, 3, 3)."""
    return {
        "global_orient": stored[:, 0],
        "body_pose": stored[:, 1:22],
        "left_hand_pose": stored[:, 22:37],
        "right_hand_pose": stored[:, 37:52],
        "jaw_pose": stored[:, 52],
        "betas": t["betas"],
        "expression": t["expression"],
    }


def _rotation_mask(t: dict[str, Tensor]) -> Tensor:
    """(N, 53): which rotations the row has."""
    widths = (("has_body", 22), ("has_left_hand", 15), ("has_right_hand", 15), ("has_face", 1))
    return torch.cat([t[name].expand(-1, width) for name, width in widths], dim=1)


def _model_mask(t: dict[str, Tensor]) -> Tensor:
    """(N, 144): which model joints the row's annotation says something about."""
    mask = t["has_body"].expand(-1, JOINTS).clone()
    for name, where in (("has_left_hand", LEFT_HAND), ("has_right_hand", RIGHT_HAND), ("has_face", FACE)):
        mask[:, list(where)] *= t[name]
    return mask


def _project(points: Tensor, focal: Tensor, principal_point: Tensor) -> Tensor:
    """(N, 144, 3) metres -> (N, 144, 2) pixels, through the camera of each row (N, 2), (N, 2)."""
    z = points[..., 2:].clamp_min(1e-3)
    return points[..., :2] / z * focal[:, None] + principal_point[:, None]


def _mirror_rows(values: Tensor, flip: Tensor, order: Tensor) -> Tensor:
    """Rows exchanged between the sides where ``flip`` (N,)."""
    shape = (len(flip),) + (1,) * (values.ndim - 1)
    return torch.where(flip.reshape(shape), values[:, order], values)


def _mirror_points(points: Tensor, flip: Tensor, order: Tensor) -> Tensor:
    mirrored = points[:, order] * torch.tensor((-1.0, 1.0, 1.0), dtype=points.dtype, device=points.device)
    return torch.where(flip[:, None, None], mirrored, points)
