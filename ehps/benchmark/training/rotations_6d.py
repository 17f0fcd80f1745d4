"""Rotations in torch: the 6D form that networks predict, and the axis-angle form that files store.

6D rows are viewed as 3 x 2 with interleaved entries (0, 2, 4 | 1, 3, 5): the two are the first two *columns*
of the matrix after Gram-Schmidt, the third is their cross product. This is the layout of the released
SMPLer-X weights; the cross product is taken over the last axis whatever the batch size.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ehps.body.torch_joints import axis_angle_to_matrix


def from_6d(values: Tensor) -> Tensor:
    """(..., 6) -> (..., 3, 3) proper rotation matrices."""
    pair = values.reshape(*values.shape[:-1], 3, 2)
    first = functional.normalize(pair[..., 0], dim=-1, eps=1e-12)
    along = (first * pair[..., 1]).sum(-1, keepdim=True)
    second = functional.normalize(pair[..., 1] - along * first, dim=-1, eps=1e-12)
    third = torch.linalg.cross(first, second, dim=-1)
    return torch.stack((first, second, third), dim=-1)


def from_rows(values: Tensor) -> Tensor:
    """(N, 6 K), as a linear layer gives them -> (N, K, 3, 3)."""
    return from_6d(values.unflatten(1, (-1, 6)))


def to_quaternion(matrices: Tensor) -> Tensor:
    """(..., 3, 3) -> (..., 4) unit quaternions, real part first and not negative.

    The largest of the four components is divided by, so it is exact for every rotation, half turns included.
    """
    m00, m11, m22 = matrices[..., 0, 0], matrices[..., 1, 1], matrices[..., 2, 2]
    squares = torch.stack((1 + m00 + m11 + m22, 1 + m00 - m11 - m22, 1 - m00 + m11 - m22, 1 - m00 - m11 + m22), dim=-1)
    x, y, z = _antisymmetric(matrices).unbind(-1)
    xy = matrices[..., 0, 1] + matrices[..., 1, 0]
    xz = matrices[..., 0, 2] + matrices[..., 2, 0]
    yz = matrices[..., 1, 2] + matrices[..., 2, 1]
    rows = torch.stack(
        (
            torch.stack((squares[..., 0], x, y, z), -1),
            torch.stack((x, squares[..., 1], xy, xz), -1),
            torch.stack((y, xy, squares[..., 2], yz), -1),
            torch.stack((z, xz, yz, squares[..., 3]), -1),
        ),
        dim=-2,
    )
    best = squares.argmax(-1)[..., None, None].expand(*squares.shape[:-1], 1, 4)
    quaternion = functional.normalize(rows.gather(-2, best).squeeze(-2), dim=-1)
    return torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)


def _antisymmetric(matrices: Tensor) -> Tensor:
    return torch.stack(
        (
            matrices[..., 2, 1] - matrices[..., 1, 2],
            matrices[..., 0, 2] - matrices[..., 2, 0],
            matrices[..., 1, 0] - matrices[..., 0, 1],
        ),
        dim=-1,
    )


def to_axis_angle(matrices: Tensor) -> Tensor:
    """(..., 3, 3) -> (..., 3) radians, angle in [0, pi]."""
    quaternion = to_quaternion(matrices)
    real, imaginary = quaternion[..., :1], quaternion[..., 1:]
    square = (imaginary * imaginary).sum(-1, keepdim=True)
    small = square < 1e-12
    norm = torch.where(small, torch.ones_like(square), square).sqrt()
    scale = torch.where(small, 2 / real.clamp_min(0.5), 2 * torch.atan2(norm, real) / norm)
    return imaginary * scale


def mirror(matrices: Tensor) -> Tensor:
    """The rotations (..., 3, 3) of the scene mirrored in x (axis-angle y and z negated)."""
    sign = torch.ones_like(matrices[..., 0])  # (..., 3)
    sign[..., 0] = -1
    return sign[..., :, None] * matrices * sign[..., None, :]  # M R M with M = diag(-1, 1, 1)


def about_z(angle: Tensor) -> Tensor:
    """(N,) radians -> (N, 3, 3)."""
    zero = torch.zeros_like(angle)
    return axis_angle_to_matrix(torch.stack((zero, zero, angle), dim=-1))
