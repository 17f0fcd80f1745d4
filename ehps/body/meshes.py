"""Meshes, whole or of some vertices only, with the ``smplx`` package's rotations and joint chain.

The package's own model classes are not used: they unpickle model files without restriction, cannot read the
official SMPL pickles without chumpy, and release 0.1.28 silently cuts files of fewer than 300 shape columns
to 10 betas. Here the arrays come from :mod:`ehps.body.model_file`, with as many betas as the parameters have, and
rest joints from the regressor's products, which are made once a model.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ehps.arrays import Array
from ehps.body.folding import fitting_columns
from ehps.body.joints import full_pose
from ehps.body.model_file import BodyModel
from ehps.body.params import BodyParams
from ehps.body.topology import TOPOLOGY

if TYPE_CHECKING:
    import torch


KEPT = 4  # selections of vertices that are remembered of each model
BATCH = 64  # bodies at a time: a whole mesh of SMPL-X needs 1.5 MB of work space


def vertices(
    model: BodyModel,
    params: BodyParams,
    kid: Array | None = None,
    *,
    ids: Array | None = None,
    batch: int = BATCH,
    device: str = "cpu",
) -> Array:
    """Vertices (N, V, 3) float32 of rows that all belong to one model, metres, in the frame of the parameters.

    Parameters
    ----------
    kid : (V, 3) child template, for parameters with ``betas_extra``.
    ids : (M,) numbers of the vertices that are wanted; (N, M, 3) is returned, for M / V of the work.

    Raises
    ------
    BodyModelError : the parameters have more non-zero betas than the model.
    """
    import torch

    skin = _skin(model, device, ids)
    place = skin.template.device

    def tensor(array: Array) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(place)

    betas = fitting_columns(np.asarray(params.betas), model.shapedirs.shape[2], "betas")
    columns = [skin.shape[:, :, : betas.shape[1]]]
    coefficients = [betas]
    if kid is not None:
        columns.append(_directions(model, np.asarray(kid - model.v_template)[:, :, None], ids).to(place))
        coefficients.append(np.asarray(params.betas_extra).reshape(len(params), 1))
    if params.expression is not None and model.exprdirs is not None:
        expression = fitting_columns(np.asarray(params.expression), model.exprdirs.shape[2], "expression coefficients")
        columns.append(skin.expression[:, :, : expression.shape[1]])
        coefficients.append(expression)
    directions = torch.cat(columns, dim=2)  # (J + M) x 3 x K, K = B + kid + E
    shape = tensor(np.concatenate(coefficients, axis=1))  # N x K
    transl = tensor(params.transl)  # N x 3
    pose = tensor(full_pose(model, params).reshape(len(params), -1))  # N x J x 3 -> N x 3J
    out = np.empty((len(params), len(skin.weights), 3), np.float32)
    with torch.no_grad():
        for start in range(0, len(params), batch):
            part = slice(start, start + batch)
            posed = _posed(skin, directions, shape[part], pose[part])  # n x M x 3
            out[part] = (posed + transl[part, None]).cpu().numpy()
    return out


def _posed(skin: _Skin, directions: torch.Tensor, shape: torch.Tensor, pose: torch.Tensor) -> torch.Tensor:
    """(n, M, 3) vertices of ``shape`` (n, K) and axis-angle ``pose`` (n, 3J), around the model's origin."""
    import torch
    from smplx.lbs import batch_rigid_transform, batch_rodrigues

    n, joints = len(shape), len(skin.parents)
    rotations = batch_rodrigues(pose.reshape(-1, 3)).view(n, joints, 3, 3)
    rest = skin.template + (shape @ directions.flatten(0, 1).T).view(n, -1, 3)  # n x (J + M) x 3
    turned = rotations[:, 1:] - torch.eye(3, dtype=rotations.dtype, device=rotations.device)
    bent = rest[:, joints:] + (turned.reshape(n, -1) @ skin.pose).view(n, -1, 3)  # n x M x 3
    _, motion = batch_rigid_transform(rotations, rest[:, :joints], skin.parents)  # n x J x 4 x 4
    blended = (skin.weights @ motion[:, :, :3].reshape(n, joints, 12)).view(n, -1, 3, 4)  # n x M x 3 x 4
    return torch.matmul(blended[..., :3], bent[..., None])[..., 0] + blended[..., 3]


def regressed_joints(model: BodyModel, vertices: Array) -> tuple[Array, Array]:
    """Joints (N, 144, 3) of SMPL-X meshes (N, 10475, 3), and (144,) which of them are known.

    Chain joints are regressed from the posed mesh, which is millimetres off the model's own; picked vertices and
    face landmarks are exact; the face contour needs the pose and stays unknown.
    """
    chain = np.einsum("jv,nvc->njc", model.J_regressor, vertices)  # N x 55 x 3
    picked = vertices[:, list(TOPOLOGY["smplx"].picked)]  # N x 21 x 3
    assert model.lmk_faces_idx is not None
    assert model.lmk_bary_coords is not None
    corners = vertices[:, model.faces[model.lmk_faces_idx]]  # N x 51 x 3 corners x 3
    marks = np.einsum("nlkc,lk->nlc", corners, model.lmk_bary_coords)  # N x 51 x 3
    known = np.concatenate([chain, picked, marks], axis=1)  # N x 127 x 3
    out = np.zeros((len(vertices), 144, 3))
    out[:, : known.shape[1]] = known
    return out, np.arange(144) < known.shape[1]


def picked_joints(vertices: Array) -> tuple[Array, Array]:
    """As :func:`regressed_joints` without a body model: only the 21 points that are vertices are known."""
    chain = TOPOLOGY["smplx"].joints
    picked = list(TOPOLOGY["smplx"].picked)
    out = np.zeros((len(vertices), 144, 3))
    out[:, chain : chain + len(picked)] = vertices[:, picked]
    known = (np.arange(144) >= chain) & (np.arange(144) < chain + len(picked))
    return out, known


@dataclass
class _Skin:
    """The arrays of a model as tensors on one device: of its J chain joints, then of the M vertices wanted."""

    template: torch.Tensor  # (J + M) x 3
    shape: torch.Tensor  # (J + M) x 3 x S
    expression: torch.Tensor  # (J + M) x 3 x E
    pose: torch.Tensor  # 9 (J - 1) x 3M
    weights: torch.Tensor  # M x J
    parents: torch.Tensor  # J


_skins: weakref.WeakKeyDictionary[BodyModel, dict[tuple[str, bytes], _Skin]] = weakref.WeakKeyDictionary()


def _skin(model: BodyModel, device: str, ids: Array | None) -> _Skin:
    import torch

    known = _skins.setdefault(model, {})
    key = device, b"" if ids is None else np.asarray(ids, np.int64).tobytes()
    if key not in known:
        while len(known) >= KEPT:
            known.pop(next(iter(known)))
        chosen = slice(None) if ids is None else np.asarray(ids)
        expression = model.exprdirs if model.exprdirs is not None else np.zeros((len(model.v_template), 3, 0))
        posedirs = model.posedirs[chosen]
        known[key] = _Skin(
            template=_directions(model, model.v_template[:, :, None], ids)[:, :, 0].to(device),
            shape=_directions(model, model.shapedirs, ids).to(device),
            expression=_directions(model, expression, ids).to(device),
            pose=torch.from_numpy(np.ascontiguousarray(posedirs.reshape(3 * len(posedirs), -1).T, np.float32)).to(
                device
            ),
            weights=torch.from_numpy(np.ascontiguousarray(model.weights[chosen], np.float32)).to(device),
            parents=torch.from_numpy(model.parents).to(device),
        )
    return known[key]


def _directions(model: BodyModel, moved: Array, ids: Array | None) -> torch.Tensor:
    """(J + M, 3, K) what moves rest joints and the vertices wanted, of ``moved`` (V, 3, K) for every vertex."""
    import torch

    vertices, _, columns = moved.shape
    joints = (model.J_regressor @ moved.reshape(vertices, 3 * columns)).reshape(len(model.J_regressor), 3, columns)
    both = np.concatenate([joints, moved if ids is None else moved[ids]])
    return torch.from_numpy(np.ascontiguousarray(both, np.float32))
