"""Full meshes, through the ``smplx`` package's skinning function.

The package's own model classes are not used: they unpickle model files without restriction, cannot read the
official SMPL pickles without chumpy, and release 0.1.28 silently cuts files of fewer than 300 shape columns
to 10 betas. Here the arrays come from :mod:`ehps.body.model_file`, with as many betas as the parameters have.
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


BATCH = 64  # bodies at a time: the package needs 1.5 MB of work space for each


def vertices(
    model: BodyModel, params: BodyParams, kid: Array | None = None, *, batch: int = BATCH, device: str = "cpu"
) -> Array:
    """Vertices (N, V, 3) float32 of rows that all belong to one model, metres, in the frame of the parameters.

    Parameters
    ----------
    kid : (V, 3) child template, for parameters with ``betas_extra``.

    Raises
    ------
    BodyModelError : the parameters have more non-zero betas than the model.
    """
    import torch
    from smplx.lbs import lbs

    skin = _skin(model, device)
    place = skin.template.device

    def tensor(array: Array) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(place)

    betas = fitting_columns(np.asarray(params.betas), model.shapedirs.shape[2], "betas")
    directions = [skin.shape[:, :, : betas.shape[1]]]
    coefficients = [betas]
    if kid is not None:
        directions.append(tensor(kid - model.v_template)[:, :, None])
        coefficients.append(np.asarray(params.betas_extra).reshape(len(params), 1))
    if params.expression is not None and model.exprdirs is not None:
        expression = fitting_columns(np.asarray(params.expression), model.exprdirs.shape[2], "expression coefficients")
        directions.append(skin.expression[:, :, : expression.shape[1]])
        coefficients.append(expression)
    shapedirs = torch.cat(directions, dim=2)  # V x 3 x K, K = B + kid + E
    shape = tensor(np.concatenate(coefficients, axis=1))  # N x K
    transl = tensor(params.transl)  # N x 3
    pose = tensor(full_pose(model, params).reshape(len(params), -1))  # N x J x 3 -> N x 3J
    out = np.empty((len(params), *skin.template.shape), np.float32)
    with torch.no_grad():
        for start in range(0, len(params), batch):
            part = slice(start, start + batch)
            # n x V x 3
            posed, _ = lbs(
                shape[part],
                pose[part],
                skin.template,
                shapedirs,
                skin.pose,
                skin.regressor,
                skin.parents,
                skin.weights,
            )
            out[part] = (posed + transl[part, None]).cpu().numpy()
    return out


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
    """The arrays of a model as tensors on one device."""

    template: torch.Tensor  # V x 3
    shape: torch.Tensor  # V x 3 x S
    expression: torch.Tensor  # V x 3 x E
    pose: torch.Tensor  # 9 (J - 1) x 3V
    regressor: torch.Tensor  # J x V
    weights: torch.Tensor  # V x J
    parents: torch.Tensor  # J


_skins: weakref.WeakKeyDictionary[BodyModel, dict[str, _Skin]] = weakref.WeakKeyDictionary()


def _skin(model: BodyModel, device: str) -> _Skin:
    import torch

    known = _skins.setdefault(model, {})
    if device not in known:

        def tensor(array: Array) -> torch.Tensor:
            return torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(device)

        vertices = len(model.v_template)
        expression = model.exprdirs if model.exprdirs is not None else np.zeros((vertices, 3, 0))
        known[device] = _Skin(
            template=tensor(model.v_template),
            shape=tensor(model.shapedirs),
            expression=tensor(expression),
            pose=tensor(model.posedirs.reshape(3 * vertices, -1).T),
            regressor=tensor(model.J_regressor),
            weights=tensor(model.weights),
            parents=torch.from_numpy(model.parents).to(device),
        )
    return known[device]
