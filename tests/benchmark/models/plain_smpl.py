"""SMPL, 6-D rotations and bilinear sampling written out with loops, for the plain networks beside this file."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Smpl:
    """Arrays of one SMPL file: V vertices, 24 joints; metres.

    Attributes
    ----------
    template : (V, 3).
    shapedirs : (V, 3, 10).
    posedirs : (V, 3, 207).
    J_regressor : (24, V).
    weights : (V, 24).
    parents : 24 numbers, the first is not used.
    """

    template: Tensor
    shapedirs: Tensor
    posedirs: Tensor
    J_regressor: Tensor
    weights: Tensor
    parents: list[int]


@dataclass
class Stage:
    """What is known of N persons after one step.

    Attributes
    ----------
    rotmats : (N, 24, 3, 3).
    betas : (N, 10).
    camera : (N, 3) s, tx, ty of the crop.
    vertices : (N, V, 3) metres.
    points : (N, P, 2) where the next step looks, in [-1, 1] from edge to edge of the crop.
    """

    rotmats: Tensor
    betas: Tensor
    camera: Tensor
    vertices: Tensor
    points: Tensor


def skinned(smpl: Smpl, rotmats: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
    """(24, 3, 3) and (10,) of one person -> (V, 3) vertices and (24, 3) joints of the posed skeleton, metres."""
    shaped = smpl.template + smpl.shapedirs @ betas  # (V, 3)
    rest_joints = smpl.J_regressor @ shaped  # (24, 3)
    identity = torch.eye(3, dtype=rotmats.dtype)
    bending = torch.cat([(rotmats[j] - identity).reshape(9) for j in range(1, 24)])  # (207,)
    rest = shaped + smpl.posedirs @ bending

    turns, joints = [rotmats[0]], [rest_joints[0]]
    for j in range(1, 24):
        parent = smpl.parents[j]
        turns.append(turns[parent] @ rotmats[j])
        joints.append(joints[parent] + turns[parent] @ (rest_joints[j] - rest_joints[parent]))

    vertices = torch.zeros_like(rest)
    for j in range(24):
        moved = (rest - rest_joints[j]) @ turns[j].T + joints[j]
        vertices += smpl.weights[:, j : j + 1] * moved
    return vertices, torch.stack(joints)


def rotation(numbers: Tensor) -> Tensor:
    """6 numbers, the two columns interleaved -> (3, 3)."""
    first, second = numbers[[0, 2, 4]], numbers[[1, 3, 5]]
    x = first / first.norm()
    y = second - (x @ second) * x
    y = y / y.norm()
    z = torch.stack((x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]))
    return torch.stack((x, y, z), dim=1)


def rotations(numbers: Tensor) -> Tensor:
    """(144,) -> (24, 3, 3)."""
    return torch.stack([rotation(numbers[6 * j : 6 * j + 6]) for j in range(24)])


def sampled(feature: Tensor, points: Tensor) -> Tensor:
    """Bilinear values (P, C) of a map (C, H, W) at (P, 2) x, y.

    -1 and 1 are the centres of the first and last pixels; beyond them the map is zero.
    """
    channels, height, width = feature.shape
    pixels = feature.permute(1, 2, 0).contiguous()
    found = torch.zeros((len(points), channels), dtype=feature.dtype)
    for p, (x, y) in enumerate(points.tolist()):
        x, y = (x + 1) / 2 * (width - 1), (y + 1) / 2 * (height - 1)
        left, top = math.floor(x), math.floor(y)
        for column, row in ((left, top), (left + 1, top), (left, top + 1), (left + 1, top + 1)):
            if 0 <= column < width and 0 <= row < height:
                found[p] += (1 - abs(x - column)) * (1 - abs(y - row)) * pixels[row, column]
    return found
