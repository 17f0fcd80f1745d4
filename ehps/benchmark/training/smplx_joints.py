"""The 144 joints of the neutral SMPL-X from a network's parameters, on the device."""

from __future__ import annotations

from torch import Tensor, nn

from ehps.benchmark.training import rotations_6d
from ehps.body.models import BodyModels
from ehps.body.torch_joints import TorchJoints


class Skeleton(nn.Module):
    """Callable as :class:`ehps.benchmark.training.targets.Joints`.

    Hands go in as axis-angle: the model adds its mean hand to those numbers, as everywhere (flat_hand_mean
    False).
    """

    def __init__(self, body_models: BodyModels) -> None:
        super().__init__()
        self.joints = TorchJoints(body_models.get("smplx", "neutral"))

    def forward(self, parameters: dict[str, Tensor]) -> Tensor:
        """Rotation matrices (N, k, 3, 3) and coefficients by name -> (N, 144, 3) without translation."""
        # (N, 15, 3, 3) -> (N, 15, 3)
        hands = {name: rotations_6d.to_axis_angle(parameters[name]) for name in ("left_hand_pose", "right_hand_pose")}
        out: Tensor = self.joints(
            parameters["global_orient"][:, None],
            parameters["body_pose"],
            parameters["betas"],
            jaw_pose=parameters["jaw_pose"][:, None],
            expression=parameters["expression"],
            **hands,
        )
        return out
