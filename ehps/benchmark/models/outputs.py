"""What every model of the benchmark returns, and the virtual camera that its translations refer to.

Facts: the public SMPLer-X source. The camera is a pinhole of focal 5000 with principal point (96, 128) in the
256 x 192 (height x width) frame of the person's box, whatever the image's real camera; ``cam_trans`` is
added to the body model's output, pelvis not subtracted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

import torch
from torch import Tensor

from ehps.benchmark.crop_boxes import FOCAL, FRAME
from ehps.benchmark.training import rotations_6d


@dataclass(frozen=True)
class VirtualCamera:
    """Pinhole of the crop. ``size`` is (height, width) of the frame in which ``focal`` is given, pixels."""

    focal: float = FOCAL
    size: tuple[int, int] = FRAME
    body_size: float = 2.5  # metres

    @property
    def depth(self) -> float:
        """Largest depth that a network can predict, metres (56.38)."""
        height, width = self.size
        return math.sqrt(self.focal * self.focal * self.body_size**2 / (height * width))

    def translation(self, raw: Tensor) -> Tensor:
        """(N, 3) network numbers -> (N, 3) metres: x, y as they are, z = sigmoid * depth."""
        return torch.cat((raw[:, :2], torch.sigmoid(raw[:, 2:]) * self.depth), dim=1)

    def project(self, points: Tensor) -> Tensor:
        """(N, J, 3) metres in the crop's camera -> (N, J, 2) pixels of the ``size`` frame."""
        height, width = self.size
        centre = torch.tensor((width / 2, height / 2), dtype=points.dtype, device=points.device)
        return points[..., :2] / (points[..., 2:] + 1e-4) * self.focal + centre


CAMERA = VirtualCamera()


@dataclass
class Prediction:
    """SMPL-X of N persons as a network predicts them. Rotations are (..., 3, 3) matrices.

    Attributes
    ----------
    global_orient : (N, 3, 3).
    body_pose : (N, 21, 3, 3).
    left_hand_pose : (N, 15, 3, 3), relative to the model's mean hand (flat_hand_mean False).
    right_hand_pose : (N, 15, 3, 3), likewise.
    jaw_pose : (N, 3, 3).
    betas : (N, 10), neutral model.
    expression : (N, 10).
    cam_trans : (N, 3) metres, in the virtual camera of the crop.
    extras : whatever else a model predicts (2D joints, part boxes), for its own losses.
    """

    global_orient: Tensor
    body_pose: Tensor
    left_hand_pose: Tensor
    right_hand_pose: Tensor
    jaw_pose: Tensor
    betas: Tensor
    expression: Tensor
    cam_trans: Tensor
    extras: dict[str, Tensor] = field(default_factory=dict)

    def float(self) -> Prediction:
        """The same in float32 (after a forward pass in lower precision)."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "extras"}
        extras = {name: value.float() for name, value in self.extras.items()}
        return Prediction(**{name: value.float() for name, value in values.items()}, extras=extras)

    def axis_angle(self) -> dict[str, Tensor]:
        """Parameters as they are stored: rotations as (N, ..., 3) axis-angle, the rest unchanged."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "extras"}
        return {
            name: rotations_6d.to_axis_angle(value) if name.endswith(("orient", "pose")) else value
            for name, value in values.items()
        }
