"""Meshes, whole or of some vertices only.

Vertices are made block by block, each from those joints and pose blend shapes alone that move any of its own: most
of the weights of a model are zero, and of its blend shapes those of the fingers, say, for all that is no hand.

The ``smplx`` package's own model classes are not used: they unpickle model files without restriction, cannot read the
official SMPL pickles without chumpy, and release 0.1.28 silently cuts files of fewer than 300 shape columns
to 10 betas. Here the arrays come from :mod:`ehps.body.model_file`, with as many betas as the parameters have, and
rest joints from the regressor's products, which are made once a model.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
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

    from ehps.body.torch_joints import Chain


KEPT = 4  # selections of vertices that are remembered of each model
BATCH = {"cpu": 64, "cuda": 512}
"""Bodies at a time, by kind of device: enough for matrix products to be quick."""
BLOCK = 256
"""Vertices at a time on a processor: what is made of them for a batch stays in its cache."""
TURNED = 64  # vertices at a time, so that both orders of their directions stay in the processor's cache


def vertices(
    model: BodyModel,
    params: BodyParams,
    kid: Array | None = None,
    *,
    ids: Array | None = None,
    batch: int | None = None,
    device: str = "cpu",
) -> Array:
    """Vertices (N, V, 3) float32 of rows that all belong to one model, metres, in the frame of the parameters.

    They lie in memory coordinate by coordinate, as what is computed along vertices wants them.

    Parameters
    ----------
    kid : (V, 3) child template, for parameters with ``betas_extra``.
    ids : (M,) numbers of the vertices that are wanted; (N, M, 3) is returned, for M / V of the work.
    batch : bodies at a time; :data:`BATCH` by default.

    Raises
    ------
    BodyModelError : the parameters have more non-zero betas than the model.
    """
    import torch

    skin = _skin(model, device, ids)
    place = skin.joints.device

    def tensor(array: Array) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(place)

    betas = fitting_columns(np.asarray(params.betas), model.shapedirs.shape[2], "betas")
    blends = [(tensor(betas), skin.shape.first(betas.shape[1]))]
    if kid is not None:
        directions = _directions(model, np.asarray(kid - model.v_template)[:, :, None], ids)
        blends.append((tensor(np.asarray(params.betas_extra).reshape(len(params), 1)), directions.to(place)))
    if params.expression is not None and model.exprdirs is not None:
        expression = fitting_columns(np.asarray(params.expression), model.exprdirs.shape[2], "expression coefficients")
        blends.append((tensor(expression), skin.expression.first(expression.shape[1])))
    transl = tensor(params.transl)  # N x 3
    pose = tensor(full_pose(model, params))  # N x J x 3
    out = np.empty((len(params), 3, len(skin.template) // 3), np.float32)
    step = BATCH.get(place.type, BATCH["cuda"]) if batch is None else batch
    with torch.no_grad():
        for start in range(0, len(params), step):
            part = slice(start, start + step)
            own = [(coefficients[part], directions) for coefficients, directions in blends]
            _posed(skin, own, pose[part], transl[part], out[part])
    return out.transpose(0, 2, 1)


def _posed(
    skin: _Skin,
    blends: Sequence[tuple[torch.Tensor, _Directions]],
    pose: torch.Tensor,
    transl: torch.Tensor,
    out: Array,
) -> None:
    """Fill ``out`` (n, 3, M) with vertices of axis-angle ``pose`` (n, J, 3).

    Parameters
    ----------
    blends : coefficients (n, K), and what each moves.
    transl : (n, 3).
    """
    import torch

    from ehps.body.torch_joints import axis_angle_to_matrix

    n = len(pose)
    rotations = axis_angle_to_matrix(pose)  # n x J x 3 x 3
    identity = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
    turned = (rotations[:, 1:] - identity).reshape(n, -1).T.contiguous()  # 9 (J - 1) x n
    on_cpu = pose.device.type == "cpu"
    moved = torch.from_numpy(out) if on_cpu else pose.new_empty(out.shape)
    shaped = moved.view(n, -1)  # n x 3M: the same memory, in which shapes give way to vertices block by block
    (coefficients, directions), *others = blends
    torch.addmm(skin.template, coefficients, directions.vertices, out=shaped)
    rest = torch.addmm(skin.joints, coefficients, directions.joints)  # n x 3J
    for coefficients, directions in others:
        shaped.addmm_(coefficients, directions.vertices)
        rest.addmm_(coefficients, directions.joints)
    rest = rest.view(n, -1, 3)
    turns, places = skin.chain(rotations, rest)
    offsets = places - (turns @ rest[..., None]).squeeze(-1)  # n x J x 3
    motion = torch.cat((turns, offsets[..., None]), dim=-1).permute(1, 0, 2, 3).flatten(1)  # J x 12n
    for block in skin.blocks:
        own = moved[:, :, block.vertices]  # n x 3 x m
        bent = (turned.index_select(0, block.features).T @ block.pose).view(n, 3, -1)
        bent += own
        blended = (motion.index_select(0, block.joints).T @ block.weights).view(n, 3, 4, -1)
        torch.add(blended[:, :, 3], transl[:, :, None], out=own)
        for k in range(3):
            own.addcmul_(blended[:, :, k], bent[:, None, k])
    if not on_cpu:
        out[:] = moved.cpu().numpy()


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


@dataclass(frozen=True)
class _Directions:
    """What K coefficients move: rest joints (K, 3J), joint by joint, and vertices (K, 3M), coordinate by coordinate."""

    joints: torch.Tensor
    vertices: torch.Tensor

    def first(self, count: int) -> _Directions:
        """Those of the first coefficients."""
        return _Directions(self.joints[:count], self.vertices[:count])

    def to(self, device: str | torch.device) -> _Directions:
        return _Directions(self.joints.to(device), self.vertices.to(device))


@dataclass(frozen=True)
class _Block:
    """Some of the vertices, m of them: what moves any of them, and nothing else.

    Attributes
    ----------
    vertices : which of those wanted.
    features : (f,) numbers of the elements of joints' rotations that bend them.
    pose : (f, 3m) by how much, coordinate by coordinate.
    joints : (j,) numbers of the joints that they follow.
    weights : (j, m).
    """

    vertices: slice
    features: torch.Tensor
    pose: torch.Tensor
    joints: torch.Tensor
    weights: torch.Tensor

    @classmethod
    def of(cls, vertices: slice, posedirs: Array, weights: Array, device: str) -> _Block:
        """The block of m vertices.

        Parameters
        ----------
        vertices : which of those wanted.
        posedirs : (m, 3, F).
        weights : (m, J).
        device : where the tensors go.
        """
        import torch

        features, joints = np.flatnonzero(posedirs.any(axis=(0, 1))), np.flatnonzero(weights.any(axis=0))
        return cls(
            vertices=vertices,
            features=torch.from_numpy(features).to(device),
            pose=_along_vertices(posedirs[:, :, features]).to(device),
            joints=torch.from_numpy(joints).to(device),
            weights=torch.from_numpy(np.ascontiguousarray(weights[:, joints].T, np.float32)).to(device),
        )


@dataclass(frozen=True)
class _Skin:
    """The arrays of a model as tensors on one device, of J chain joints and the M vertices wanted."""

    template: torch.Tensor  # 3M, coordinate by coordinate
    joints: torch.Tensor  # 3J, joint by joint
    shape: _Directions
    expression: _Directions
    chain: Chain
    blocks: list[_Block]


_skins: weakref.WeakKeyDictionary[BodyModel, dict[tuple[str, bytes], _Skin]] = weakref.WeakKeyDictionary()


def _skin(model: BodyModel, device: str, ids: Array | None) -> _Skin:
    from ehps.body.torch_joints import Chain

    known = _skins.setdefault(model, {})
    key = device, b"" if ids is None else np.asarray(ids, np.int64).tobytes()
    if key not in known:
        while len(known) >= KEPT:
            known.pop(next(iter(known)))
        chosen = np.arange(len(model.v_template)) if ids is None else np.asarray(ids)
        expression = model.exprdirs if model.exprdirs is not None else np.zeros((len(model.v_template), 3, 0))
        template = _directions(model, model.v_template[:, :, None], ids).to(device)
        step = BLOCK if device == "cpu" else max(len(chosen), 1)
        blocks = [slice(start, start + step) for start in range(0, len(chosen), step)]
        known[key] = _Skin(
            template=template.vertices[0],
            joints=template.joints[0],
            shape=_directions(model, model.shapedirs, ids).to(device),
            expression=_directions(model, expression, ids).to(device),
            chain=Chain(model.parents).to(device),
            blocks=[_Block.of(v, model.posedirs[chosen[v]], model.weights[chosen[v]], device) for v in blocks],
        )
    return known[key]


def _directions(model: BodyModel, moved: Array, ids: Array | None) -> _Directions:
    """Of ``moved`` (V, 3, K) for every vertex, for rest joints and the vertices wanted."""
    import torch

    columns = moved.shape[2]
    used = np.flatnonzero(model.J_regressor.any(axis=0))  # a joint is a mean of few vertices
    joints = model.J_regressor[:, used] @ moved[used].reshape(len(used), 3 * columns)  # J x 3K
    joints = joints.reshape(3 * len(joints), columns)
    return _Directions(
        torch.from_numpy(np.ascontiguousarray(joints.T, np.float32)),
        _along_vertices(moved if ids is None else moved[ids]),
    )


def _along_vertices(moved: Array) -> torch.Tensor:
    """(K, 3M) float32 of (M, 3, K), coordinate by coordinate."""
    import torch

    out = np.empty(moved.shape[::-1], np.float32)
    for start in range(0, len(moved), TURNED):
        out[:, :, start : start + TURNED] = moved[start : start + TURNED].transpose(2, 1, 0)
    return torch.from_numpy(out).flatten(1)
