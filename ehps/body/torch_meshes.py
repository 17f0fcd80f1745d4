"""SMPL meshes from rotation matrices in PyTorch, differentiable, whole or of some vertices: for networks and losses.

What networks need inside their forward pass: no constant comes from the processor, nothing depends on values, and lower
precision around it does not reach it. :mod:`ehps.body.meshes` is for numbers that are stored.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ehps.arrays import Array
from ehps.body.model_file import BodyModel
from ehps.body.torch_joints import Chain
from ehps.errors import BodyModelError

ALONG_VERTICES = ("template", "shape_map", "pose_map", "weights")


class TorchMesh(nn.Module):
    """Linear blend skinning of one body model of J chain joints. All tensors are float32 and no part of a state dict.

    Parameters
    ----------
    model : what :func:`ehps.body.model_file.read_model` returns; not kept.
    num_betas : shape coefficients that ``forward`` takes.

    Raises
    ------
    BodyModelError : the model has fewer shape columns.
    """

    def __init__(self, model: BodyModel, num_betas: int = 10) -> None:
        super().__init__()
        columns = model.shapedirs.shape[2]
        if num_betas > columns:
            raise BodyModelError(f"has {columns} shape columns, {num_betas} were asked for", path=model.path)
        regressor = np.asarray(model.J_regressor, np.float64)  # J x V
        shape = np.asarray(model.shapedirs[:, :, :num_betas], np.float64)  # V x 3 x B

        def keep(name: str, array: Array) -> None:
            self.register_buffer(name, torch.as_tensor(np.ascontiguousarray(array, np.float32)), persistent=False)

        self.chain = Chain(model.parents)
        keep("joints_template", regressor @ model.v_template)  # J x 3
        keep("joints_map", np.einsum("jv,vcb->bjc", regressor, shape))  # B x J x 3
        keep("template", model.v_template.T)  # 3 x V
        keep("shape_map", shape.transpose(2, 1, 0))  # B x 3 x V
        keep("pose_map", model.posedirs.transpose(2, 1, 0))  # 9 (J - 1) x 3 x V
        keep("weights", model.weights.T)  # J x V
        keep("identity", np.eye(3))

    joints_template: Tensor
    joints_map: Tensor
    template: Tensor
    shape_map: Tensor
    pose_map: Tensor
    weights: Tensor
    identity: Tensor

    def of(self, ids: Tensor) -> TorchMesh:
        """The same for the vertices ``ids`` (M,) alone, for M / V of the work; on the same device."""
        part = TorchMesh.__new__(TorchMesh)
        nn.Module.__init__(part)
        part.chain = self.chain
        for name, array in self.named_buffers(recurse=False):
            chosen = array[..., ids] if name in ALONG_VERTICES else array
            part.register_buffer(name, chosen.contiguous(), persistent=False)
        return part

    def joints(self, rotations: Tensor, betas: Tensor) -> Tensor:
        """(N, J, 3) chain joints in metres of (N, J, 3, 3) rotations and (N, B) coefficients, without vertices."""
        with torch.autocast(rotations.device.type, enabled=False):
            return self._motion(rotations.float(), betas.float())[1]

    def forward(self, rotations: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
        """Vertices (N, V, 3) and chain joints (N, J, 3), metres, of (N, J, 3, 3) rotations and (N, B) coefficients."""
        with torch.autocast(rotations.device.type, enabled=False):
            rotations, betas = rotations.float(), betas.float()
            motion, joints = self._motion(rotations, betas)  # N x J x 3 x 4, N x J x 3
            n = len(rotations)
            turned = (rotations[:, 1:] - self.identity).reshape(n, -1)  # N x 9 (J - 1)
            bent = self.template + (turned @ self.pose_map.flatten(1)).view(n, *self.template.shape)  # N x 3 x V
            bent = bent + (betas @ self.shape_map.flatten(1)).view_as(bent)
            blended = motion.permute(0, 2, 3, 1) @ self.weights  # N x 3 x 4 x V
            moved = (blended[:, :, :3] * bent[:, None]).sum(dim=2) + blended[:, :, 3]  # N x 3 x V
            return moved.transpose(1, 2), joints

    def _motion(self, rotations: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
        """Motion of every joint (N, J, 3, 4) from rest, and where it is (N, J, 3)."""
        rest = self.joints_template + (betas @ self.joints_map.flatten(1)).view(-1, *self.joints_template.shape)
        turns, places = self.chain(rotations, rest)
        offsets = places - (turns @ rest[..., None]).squeeze(-1)  # N x J x 3
        return torch.cat((turns, offsets[..., None]), dim=-1), places
