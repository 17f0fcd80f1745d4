"""Full meshes, through the ``smplx`` package's skinning function.

The package's own model classes are not used: they unpickle model files without restriction, cannot read the
official SMPL pickles without chumpy, and release 0.1.28 silently cuts files of fewer than 300 shape columns
to 10 betas. Here the arrays come from :mod:`ehps.body.model_folder`, with as many betas as the parameters have.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ehps.arrays import Array
from ehps.body.bodies import groups
from ehps.body.folding import fitting_columns
from ehps.body.joints import full_pose
from ehps.body.model_folder import BodyModel, BodyModels, kid_template
from ehps.body.params import BodyParams
from ehps.body.topology import TOPOLOGY

if TYPE_CHECKING:
    import torch


BATCH = 64  # bodies at a time: the package needs 1.5 MB of work space for each


def mesh(models: BodyModels, params: BodyParams, *, batch: int = BATCH, device: str = "cpu") -> Array:
    """Vertices (N, V, 3) float32, metres, in the frame of the parameters; rows of several genders at once.

    Raises
    ------
    BodyModelError : a model (or the child template that ``betas_extra`` needs) is missing, or the parameters
        have more non-zero betas than their model.
    """
    out = np.empty((len(params), TOPOLOGY[params.model_type].vertices, 3), np.float32)
    for gender, kid, rows in groups(params):
        model = models.get(params.model_type, gender)
        template = kid_template(models.folder, params.model_type) if kid else None
        out[rows] = _vertices(_skin(model, device), model, params[rows], template, batch)
    return out


@dataclass
class _Skin:
    """The arrays of a model as tensors on one device."""

    template: torch.Tensor
    shape: torch.Tensor
    expression: torch.Tensor
    pose: torch.Tensor
    regressor: torch.Tensor
    weights: torch.Tensor
    parents: torch.Tensor


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


def _vertices(skin: _Skin, model: BodyModel, params: BodyParams, kid: Array | None, batch: int) -> Array:
    """Vertices of rows that all belong to one model."""
    import torch
    from smplx.lbs import lbs

    device = skin.template.device
    betas = fitting_columns(np.asarray(params.betas), model.shapedirs.shape[2], "betas")
    directions = [skin.shape[:, :, : betas.shape[1]]]
    coefficients = [betas]
    if kid is not None:
        difference = torch.from_numpy((kid - model.v_template).astype(np.float32)).to(device)
        directions.append(difference[:, :, None])
        coefficients.append(np.asarray(params.betas_extra).reshape(len(params), 1))
    if params.expression is not None and model.exprdirs is not None:
        expression = fitting_columns(np.asarray(params.expression), model.exprdirs.shape[2], "expression coefficients")
        directions.append(skin.expression[:, :, : expression.shape[1]])
        coefficients.append(expression)
    shapedirs = torch.cat(directions, dim=2)

    def rows(array: Array) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(device)

    shape, transl = rows(np.concatenate(coefficients, axis=1)), rows(params.transl)
    pose = rows(full_pose(model, params).reshape(len(params), -1))
    out = np.empty((len(params), *skin.template.shape), np.float32)
    with torch.no_grad():
        for start in range(0, len(params), batch):
            part = slice(start, start + batch)
            vertices, _ = lbs(
                shape[part],
                pose[part],
                skin.template,
                shapedirs,
                skin.pose,
                skin.regressor,
                skin.parents,
                skin.weights,
            )
            out[part] = (vertices + transl[part, None]).cpu().numpy()
    return out
