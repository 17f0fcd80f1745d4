"""The joints of SMPL, SMPL-H and SMPL-X without their meshes, in PyTorch: for losses, metrics and fitting.

The same folded maps as :mod:`ehps.body.joints`, differentiable, on any device. Every step is a batched matrix
product over the whole batch; the only loop runs over the four doublings of the joint tree's depth.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ehps.arrays import Array
from ehps.body.folding import YAW_LIMIT, fold
from ehps.body.hands import mean_hands
from ehps.body.model_file import BodyModel
from ehps.body.topology import NECK_CHAIN, POSE_PARTS, TOPOLOGY
from ehps.errors import BodyModelError


class Chain(nn.Module):
    """Global rotations and places of the joints of a tree, in as many steps as its depth has binary digits.

    After step k every joint's transform reaches 2^k joints up the tree; the next step multiplies it by that of the
    joint there. Above the root stands one more joint that does nothing.

    Parameters
    ----------
    parents : (J,), -1 for the root, which comes first.
    """

    def __init__(self, parents: Array) -> None:
        super().__init__()
        count = len(parents)
        above = np.append(np.where(np.asarray(parents) < 0, count, parents), count)  # J + 1
        steps = []
        while (above[:count] < count).any():
            steps.append(above)
            above = above[above]
        self.register_buffer("above", torch.as_tensor(np.stack(steps)).long(), persistent=False)  # steps x (J + 1)
        self.register_buffer("identity", torch.eye(4), persistent=False)

    above: Tensor
    identity: Tensor

    def forward(self, rotations: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
        """Local rotations (N, J, 3, 3) and rest places (N, J, 3) -> global rotations and places, of the same shapes."""
        n, count = rest.shape[:2]
        identity = self.identity.to(rest.dtype)
        start = functional.pad(rest, (0, 0, 0, 1))  # N x (J + 1) x 3
        steps = (rest - start[:, self.above[0, :count]])[..., None]  # N x J x 3 x 1
        local = torch.cat((torch.cat((rotations, steps), -1), identity[3:].expand(n, count, 1, 4)), -2)  # N x J x 4 x 4
        motion = torch.cat((local, identity.expand(n, 1, 4, 4)), 1)  # N x (J + 1) x 4 x 4
        for above in self.above:
            motion = motion[:, above] @ motion
        return motion[:, :count, :3, :3], motion[:, :count, :3, 3]


class TorchJoints(nn.Module):
    """Joints of one body model.

    Parameters
    ----------
    model : what :func:`ehps.body.model_file.read_model` returns; it is folded here and not kept.
    num_betas : shape coefficients that ``forward`` takes.
    num_expression : expression coefficients that it takes.
    flat_hand_mean : False when hand poses are relative to the model's mean hand.
    contour : False leaves out the 17 face-contour points of SMPL-X, whose triangles jump with the head's yaw
        and which cost half of the time: 127 joints instead of 144.
    dtype : of the maps, hence of the results.

    Raises
    ------
    BodyModelError : the model has fewer shape or expression columns.
    """

    def __init__(
        self,
        model: BodyModel,
        num_betas: int = 10,
        num_expression: int = 10,
        *,
        flat_hand_mean: bool = False,
        contour: bool = True,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        folded = fold(model)
        have = (folded.shape.shape[2], folded.expression.shape[2])
        if num_betas > have[0] or (model.model_type == "smplx" and num_expression > have[1]):
            raise BodyModelError(
                f"has {have[0]} shape and {have[1]} expression columns, "
                f"{num_betas} and {num_expression} were asked for",
                path=model.path,
            )
        self.model_type, self.flat_hand_mean = model.model_type, flat_hand_mean
        self.topology = TOPOLOGY[model.model_type]
        self.num_betas = num_betas
        self.num_expression = num_expression if model.model_type == "smplx" else 0
        self.contour = contour and folded.contour_vertices is not None
        self.static = folded.static
        self.chain = Chain(model.parents)
        last = len(folded.template) if self.contour else folded.static

        def keep(name: str, array: Any, to: torch.dtype = dtype) -> None:
            self.register_buffer(name, torch.as_tensor(array).to(to).contiguous(), persistent=False)

        b, e = self.num_betas, self.num_expression
        keep("joints_template", folded.joints_template)
        keep("joints_map", _columns(folded.joints_shape[..., :b], folded.joints_expression[..., :e]))
        keep("template", folded.template[:last])
        keep("shape_map", _columns(folded.shape[:last, :, :b], folded.expression[:last, :, :e]))
        keep("pose_map", folded.pose[:last, :, 1:].reshape(3 * last, -1).T)
        keep("weights", folded.weights[: folded.static])
        keep("point_vertices", folded.point_vertices, torch.long)
        keep("point_weights", folded.point_weights)
        relative = self.topology.left_hand is not None and not flat_hand_mean
        keep("hands_mean", mean_hands(model) if relative else torch.zeros(0, 3))
        if self.contour:
            keep("contour_vertices", folded.contour_vertices, torch.long)
            keep("contour_skin", folded.weights[folded.contour_vertices])
            keep("contour_weights", folded.contour_weights)

    joints_template: Tensor
    joints_map: Tensor
    template: Tensor
    shape_map: Tensor
    pose_map: Tensor
    weights: Tensor
    point_vertices: Tensor
    point_weights: Tensor
    hands_mean: Tensor
    contour_vertices: Tensor
    contour_skin: Tensor
    contour_weights: Tensor

    def forward(
        self,
        global_orient: Tensor,
        body_pose: Tensor,
        betas: Tensor,
        *,
        left_hand_pose: Tensor | None = None,
        right_hand_pose: Tensor | None = None,
        jaw_pose: Tensor | None = None,
        leye_pose: Tensor | None = None,
        reye_pose: Tensor | None = None,
        expression: Tensor | None = None,
        transl: Tensor | None = None,
    ) -> Tensor:
        """Joints (N, J, 3) in metres, in the order of the ``smplx`` package.

        Poses are rotations of k joints, either axis-angle (N, k, 3) or (N, 3 k), or matrices (N, k, 3, 3); each part
        may choose, and absent parts are zero. The mean hand is added to axis-angle hands unless ``flat_hand_mean``;
        matrices are taken as they are. ``betas`` are (N, num_betas), ``expression`` (N, num_expression), ``transl``
        (N, 3).
        """
        parts = {
            "global_orient": global_orient,
            "body_pose": body_pose,
            "jaw_pose": jaw_pose,
            "leye_pose": leye_pose,
            "reye_pose": reye_pose,
            "left_hand_pose": left_hand_pose,
            "right_hand_pose": right_hand_pose,
        }
        rotations = self._rotations(parts)  # N x J x 3 x 3
        coefficients = self._coefficients(betas, expression)  # N x (B + E)
        n, chain = rotations.shape[:2]
        rest = self.joints_template + (coefficients @ self.joints_map).view(n, chain, 3)  # N x J x 3
        turns, places = self.chain(rotations, rest)  # N x J x 3 x 3, N x J x 3
        offsets = places - (turns @ rest[..., None]).squeeze(-1)  # N x J x 3
        motion = torch.cat([turns, offsets[..., None]], dim=-1).view(n, chain, 12)  # N x J x 3 x 4, flat
        identity = torch.eye(3, dtype=rest.dtype, device=rest.device)
        feature = (rotations[:, 1:] - identity).reshape(n, -1)  # N x 9 (J - 1)
        vertices = self.template + (feature @ self.pose_map + coefficients @ self.shape_map).view(n, -1, 3)  # N x U x 3
        fixed = _skin(self.weights, motion, vertices[:, : self.static])  # N x static x 3
        corners = fixed[:, self.point_vertices]  # N x P x 3 corners x 3
        joints = [places, (corners * self.point_weights[..., None]).sum(dim=2)]  # N x J x 3, N x P x 3
        if self.contour:
            joints.append(self._contour(rotations, motion, vertices))  # N x 17 x 3
        out = torch.cat(joints, dim=1)  # N x (J + P [+ 17]) x 3
        return out if transl is None else out + transl[:, None]

    def _coefficients(self, betas: Tensor, expression: Tensor | None) -> Tensor:
        if betas.shape[1] != self.num_betas:
            raise ValueError(f"betas are {tuple(betas.shape)}, this module takes {self.num_betas}")
        if not self.num_expression:
            return betas
        if expression is None:
            expression = betas.new_zeros(len(betas), self.num_expression)
        return torch.cat([betas, expression], dim=1)

    def _rotations(self, parts: dict[str, Tensor | None]) -> Tensor:
        """(N, J, 3, 3) from the parts by name, absent ones zero, the mean hand added to axis-angle."""
        first = parts["global_orient"]
        assert first is not None
        n = len(first)
        means: dict[str, Tensor] = {}
        if len(self.hands_mean):
            means["left_hand_pose"], means["right_hand_pose"] = self.hands_mean.split(15)
        matrices = []
        for name, k in POSE_PARTS[self.model_type].items():
            part = parts[name]
            if part is None:
                part = first.new_zeros(n, k, 3)
            if part.numel() == 9 * n * k:
                matrices.append(part.reshape(n, k, 3, 3))
                continue
            vectors = part.reshape(n, k, 3)
            if name in means:
                vectors = vectors + means[name]
            matrices.append(axis_angle_to_matrix(vectors))
        return torch.cat(matrices, dim=1)

    def _contour(self, rotations: Tensor, motion: Tensor, vertices: Tensor) -> Tensor:
        """(N, 17, 3): each instance's own contour triangles."""
        row = contour_rows(rotations[:, list(NECK_CHAIN)])  # N
        corners = self.contour_vertices[row]  # N x 51
        n, count = corners.shape
        base = vertices.gather(1, corners[..., None].expand(n, count, 3))  # N x 51 x 3
        moved = _skin(self.contour_skin[row], motion, base).view(n, count // 3, 3, 3)  # N x 17 x 3 corners x 3
        return (moved * self.contour_weights[row][..., None]).sum(dim=2)


def axis_angle_to_matrix(vectors: Tensor) -> Tensor:
    """(..., 3) axis-angle to (..., 3, 3), with finite gradients everywhere, zero included."""
    square = (vectors * vectors).sum(dim=-1, keepdim=True)
    small = square < 1e-8
    angle = torch.where(small, torch.ones_like(square), square).sqrt()
    half = torch.where(small, 0.5 - square / 48, torch.sin(angle / 2) / angle)
    w = torch.where(small, 1 - square / 8, torch.cos(angle / 2)).squeeze(-1)
    x, y, z = (vectors * half).unbind(-1)
    rows = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]
    return torch.stack(rows, dim=-1).view(*vectors.shape[:-1], 3, 3)


def contour_rows(neck_chain: Tensor) -> Tensor:
    """(N,) rows of the contour tables from the (N, 5, 3, 3) rotations of pelvis, spine and neck."""
    with torch.no_grad():
        column = neck_chain[:, -1, :, :1]  # N x 3 x 1: only the first column of the product matters
        for joint in range(neck_chain.shape[1] - 2, -1, -1):
            column = neck_chain[:, joint] @ column
        x, y, z = column.squeeze(-1).unbind(-1)
        yaw = torch.atan2(z, torch.hypot(x, y)) * (180 / math.pi)
        rounded = yaw.clamp(max=YAW_LIMIT).round().long()
        left = torch.where(rounded < -YAW_LIMIT, 2 * YAW_LIMIT, YAW_LIMIT - rounded)
        return torch.where(rounded >= 0, rounded, left)


def _skin(weights: Tensor, motion: Tensor, vertices: Tensor) -> Tensor:
    """(N, U, 3) vertices moved by the joint motions (N, J, 12), weighted by (U, J) or (N, U, J)."""
    # One product for all instances where they share weights: einsum folds the batch into the columns.
    blended = torch.einsum("uj,njk->nuk", weights, motion) if weights.dim() == 2 else weights @ motion  # N x U x 12
    a = blended.unflatten(-1, (3, 4))  # N x U x 3 x 4
    x, y, z = vertices[..., 0:1], vertices[..., 1:2], vertices[..., 2:3]
    return a[..., 0] * x + a[..., 1] * y + a[..., 2] * z + a[..., 3]


def _columns(shape: Any, expression: Any) -> Tensor:
    """(B + E, 3 K) from (K, 3, B) and (K, 3, E): coefficients times this gives flat points."""
    both = torch.cat([torch.as_tensor(shape), torch.as_tensor(expression)], dim=2)  # K x 3 x (B + E)
    return both.reshape(-1, both.shape[2]).T
