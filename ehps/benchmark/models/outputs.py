"""What every model of the benchmark returns, and the virtual camera that its translations refer to.

Facts: the public SMPLer-X and PyMAF sources. SMPL-X: the camera is a pinhole of focal 5000 with principal point
(96, 128) in the 256 x 192 (height x width) frame of the person's box, whatever the image's real camera; ``cam_trans``
is added to the body model's output, pelvis not subtracted. SMPL: weak perspective of the square 224-pixel box, read as
a pinhole of focal 5000 with principal point (112, 112).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import TypeVar

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
        return _in_float32(self)

    def axis_angle(self) -> dict[str, Tensor]:
        """Parameters as they are stored: rotations as (N, ..., 3) axis-angle, the rest unchanged."""
        return _with_axis_angle(self)


@dataclass(frozen=True)
class WeakPerspective:
    """Camera (s, tx, ty) of a square crop of ``size`` pixels, and the pinhole of ``focal`` pixels that it means."""

    focal: float = FOCAL
    size: int = 224

    def translation(self, camera: Tensor) -> Tensor:
        """(N, 3) s, tx, ty -> (N, 3) metres from the camera to the body's origin: tx, ty, depth."""
        depth = 2 * self.focal / (self.size * camera[:, 0] + 1e-9)
        return torch.stack((camera[:, 1], camera[:, 2], depth), dim=1)

    def project(self, points: Tensor, camera: Tensor) -> Tensor:
        """(N, J, 3) metres through the pinhole of (N, 3) s, tx, ty -> (N, J, 2), -1 to 1 across the crop."""
        seen = points + self.translation(camera)[:, None]  # N x J x 3
        return seen[..., :2] / seen[..., 2:] * (self.focal / (self.size / 2))


SQUARE_CAMERA = WeakPerspective()


@dataclass
class SmplPrediction:
    """SMPL of N persons as a network predicts them. Rotations are (..., 3, 3) matrices.

    Attributes
    ----------
    global_orient : (N, 3, 3).
    body_pose : (N, 23, 3, 3).
    betas : (N, 10), neutral model.
    camera : (N, 3) s, tx, ty: weak perspective of the square crop, 224 pixels.
    extras : whatever else a model predicts (its earlier stages, maps), for its own losses.
    """

    global_orient: Tensor
    body_pose: Tensor
    betas: Tensor
    camera: Tensor
    extras: dict[str, Tensor] = field(default_factory=dict)

    @property
    def cam_trans(self) -> Tensor:
        """(N, 3) metres: the translation that ``camera`` means, for focal 5000 in the 224-pixel crop."""
        return SQUARE_CAMERA.translation(self.camera)

    def float(self) -> SmplPrediction:
        """The same in float32 (after a forward pass in lower precision)."""
        return _in_float32(self)

    def axis_angle(self) -> dict[str, Tensor]:
        """Parameters as they are stored: rotations as (N, ..., 3) axis-angle, the rest unchanged."""
        return _with_axis_angle(self)


Predicted = TypeVar("Predicted", Prediction, SmplPrediction)


def _in_float32(prediction: Predicted) -> Predicted:
    values = {f.name: getattr(prediction, f.name).float() for f in fields(prediction) if f.name != "extras"}
    return replace(prediction, **values, extras={name: value.float() for name, value in prediction.extras.items()})


def _with_axis_angle(prediction: Prediction | SmplPrediction) -> dict[str, Tensor]:
    values = {f.name: getattr(prediction, f.name) for f in fields(prediction) if f.name != "extras"}
    return {
        name: rotations_6d.to_axis_angle(value) if name.endswith(("orient", "pose")) else value
        for name, value in values.items()
    }
