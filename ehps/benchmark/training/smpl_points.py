"""The points by which models for SMPL are compared, from SMPL's parameters: on the device, differentiable.

Facts: the public PyMAF and SMPLer sources. PyMAF compares the 24 points of SPIN (``smpl_24``), of which nine come from
``J_regressor_extra.npy``; SMPLer 14 of Human3.6M, from ``J_regressor_h36m.npy``. Both have hips as people mark them.
Truths whose hips are those of a body model are compared with SMPL's own, which are the last two points here.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ehps.arrays import Array
from ehps.body.helper_files import HELPERS, extra_regressor, find_helper, h36m_regressor
from ehps.body.models import BodyModels
from ehps.body.topology import TOPOLOGY
from ehps.body.torch_meshes import TorchMesh
from ehps.humandata import keypoints

MARKED = keypoints.point_names("smpl_24")
POINTS = (*MARKED, "right_hip", "left_hip")
ROWS_14 = (*range(13), 18, 24, 25)
"""SMPLer's points among :data:`POINTS`."""

_EXTRA = keypoints.point_names("smpl_54")[45:]  # rows of J_regressor_extra
_H36M_ROWS = (6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10)
_MARKED_HIPS, _OWN_HIPS = slice(2, 4), slice(-2, None)


class BodyPoints(nn.Module):
    """K points, the last two of which are the model's own hips; the third and fourth are those that people mark.

    Parameters
    ----------
    mesh : of the neutral SMPL.
    matrix : (K, 24 + V) shares of joints and vertices; zeros where a point cannot be had.
    rows : where they are among :data:`POINTS`.
    """

    def __init__(self, mesh: TorchMesh, matrix: Array, rows: tuple[int, ...]) -> None:
        super().__init__()
        self.names, self.rows = tuple(POINTS[row] for row in rows), list(rows)
        ids = np.flatnonzero(matrix[:, 24:].any(axis=0))
        self.mesh = mesh.of(torch.as_tensor(ids))
        shares = np.concatenate((matrix[:, :24], matrix[:, 24 + ids]), axis=1)
        self.register_buffer("shares", torch.as_tensor(shares, dtype=torch.float32), persistent=False)
        self.register_buffer("known", torch.as_tensor(matrix.any(axis=1)).float(), persistent=False)  # K
        order = np.array(keypoints.flip_order(self.names))
        self.register_buffer("flipped", torch.as_tensor(order), persistent=False)  # K

    shares: Tensor
    known: Tensor
    flipped: Tensor

    def forward(self, rotations: Tensor, betas: Tensor) -> Tensor:
        """(N, 24, 3, 3) and (N, 10) -> (N, K, 3) metres, the model's origin at 0."""
        vertices, joints = self.mesh(rotations, betas)
        return self.shares @ torch.cat((joints, vertices), dim=1)


def marked_points(body_models: BodyModels, mesh: TorchMesh) -> tuple[BodyPoints, str]:
    """The 26 of :data:`POINTS`, and what is to be said of them."""
    matrix, note = _own_matrix(body_models)
    return BodyPoints(mesh, matrix, tuple(range(len(POINTS)))), note


def regressed_points(body_models: BodyModels, mesh: TorchMesh) -> tuple[BodyPoints, Tensor, str]:
    """SMPLer's 16, the shares (24 + V,) of the pelvis, and what is to be said of them."""
    matrix, note = _own_matrix(body_models)
    matrix = matrix[list(ROWS_14)]
    pelvis = np.zeros(matrix.shape[1])
    if find_helper(body_models.folder, "h36m_smpl") is None:
        pelvis[0] = 1
        note = f"without J_regressor_h36m.npy ({HELPERS['h36m_smpl'].source}) SMPL's own joints are compared"
    else:
        regressor = h36m_regressor(body_models.folder, "smpl")
        matrix[:14] = 0
        matrix[:14, 24:] = regressor[list(_H36M_ROWS)]
        pelvis[24:], note = regressor[0], ""
    return BodyPoints(mesh, matrix, ROWS_14), torch.as_tensor(pelvis, dtype=torch.float32), note


def _own_matrix(body_models: BodyModels) -> tuple[Array, str]:
    """(26, 24 + V) shares of SMPL's joints and vertices in :data:`POINTS`."""
    own, count = keypoints.point_names("smpl_45"), TOPOLOGY["smpl"].vertices
    there = find_helper(body_models.folder, "extra_smpl") is not None
    extra = extra_regressor(body_models.folder) if there else np.zeros((len(_EXTRA), count))
    matrix = np.zeros((len(POINTS), 24 + count))
    for row, name in enumerate(POINTS):
        if name in _EXTRA:
            matrix[row, 24:] = extra[_EXTRA.index(name)]
        else:
            at = own.index(name)
            matrix[row, at if at < 24 else 24 + TOPOLOGY["smpl"].picked[at - 24]] = 1
    source = HELPERS["extra_smpl"].source
    note = f"without J_regressor_extra.npy ({source}) 9 of 24 points are not compared, and hips are SMPL's own"
    return matrix, "" if there else note


def hips_once(mask: Tensor) -> Tensor:
    """(N, K) known points, of which SMPL's own hips only where people did not mark them."""
    out = mask.clone()
    out[:, _OWN_HIPS] = mask[:, _OWN_HIPS] * (mask[:, _MARKED_HIPS] == 0)
    return out


def have_hips(mask: Tensor) -> tuple[Tensor, Tensor]:
    """(N,) each, of (N, K) known points: both hips that people mark are there, and both hips of either kind are."""
    marked = (mask[:, _MARKED_HIPS] > 0).all(dim=1)
    return marked, marked | (mask[:, _OWN_HIPS] > 0).all(dim=1)


def about_hips(points: Tensor, marked: Tensor) -> Tensor:
    """(..., K, 3) less the middle of the hips: those that people mark where ``marked`` (...), else SMPL's own."""
    middle = torch.where(
        marked[..., None, None],
        points[..., _MARKED_HIPS, :].mean(dim=-2, keepdim=True),
        points[..., _OWN_HIPS, :].mean(dim=-2, keepdim=True),
    )
    return points - middle
