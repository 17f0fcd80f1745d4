"""The joints of SMPL, SMPL-H and SMPL-X without their meshes, in numpy.

All joints that the ``smplx`` package returns, in its order: 144 for SMPL-X (with the face contour), 73 for
SMPL-H, 45 for SMPL. Exact: the same function restricted to the two per cent of the vertices that joints need.

Arrays are laid out with the instances last, so that every step is a few passes over long contiguous rows and
the linear part is one matrix product. Instances are sorted by the row of the contour tables that they use, so
that instances with the same contour triangles share one product too.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ehps.arrays import Array
from ehps.body.folding import YAW_LIMIT, Folded, Maps, fitting_columns, fold, needed_vertices
from ehps.body.hands import COEFFICIENTS, RELATIVE, expand, mean_hands
from ehps.body.model_file import BodyModel, without_hands
from ehps.body.params import BodyParams
from ehps.body.topology import NAMES, NECK_CHAIN, POSE_PARTS, TOPOLOGY
from ehps.errors import BodyModelError

Precision = Literal["float32", "float64"] | type[np.float32] | type[np.float64]

CHUNK = 8192  # instances sorted by contour together: bounds memory
BLOCK = 512  # instances at a time: keeps the work arrays within the processor's second-level cache


class FastJoints:
    """Joints of one body model.

    Parameters
    ----------
    model : what :func:`ehps.body.model_file.read_model` returns; it is folded here and not kept.
    kid_template : optional (V, 3) centred child template, needed for parameters with ``betas_extra``.
    """

    def __init__(self, model: BodyModel, kid_template: Array | None = None) -> None:
        self.model_type, self.gender, self.version = model.model_type, model.gender, model.version
        self.topology = TOPOLOGY[model.model_type]
        self._folded = fold(model)
        self.hands = Hands(
            (model.hands_components_left, model.hands_components_right), self._folded.hands_mean, model.path
        )
        self.has_kid = kid_template is not None
        if kid_template is not None:
            self._folded = _with_kid(self._folded, model, kid_template)
        self._maps: dict[tuple[int, int, bool, str], Maps] = {}
        self._levels = tree_levels(model.parents)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the joints, in order."""
        from ehps.humandata.keypoints import point_names

        return point_names(self.topology.convention)

    def __len__(self) -> int:
        extra = 0 if self._folded.contour_weights is None else self._folded.contour_weights.shape[1]
        return self.topology.joints + len(self._folded.point_vertices) + extra

    def __call__(self, params: BodyParams, dtype: Precision = np.float32) -> Array:
        """Joints (N, J, 3) in metres, in the frame of ``global_orient`` and ``transl``.

        As many betas and expression coefficients are used as ``params`` has.

        Raises
        ------
        BodyModelError : the parameters are of another model type, or have more (non-zero) betas than the
            model has, or are children's and no child template was given.
        """
        real = np.dtype(dtype)
        maps, shape = self._prepare(params, real)
        out = np.empty((len(params), len(self), 3), real)
        for start in range(0, len(params), CHUNK):
            chunk = slice(start, start + CHUNK)
            out[chunk] = self._chunk(maps, params[chunk], shape[chunk])
        return out

    def _chunk(self, maps: Maps, params: BodyParams, shape: Array) -> Array:
        pose = _full_pose(self.model_type, params, self.hands).astype(shape.dtype, copy=False)
        transl = np.asarray(params.transl, shape.dtype)
        rows = contour_rows(pose[:, NECK_CHAIN, :]) if maps.contour_vertices is not None else None
        order = np.argsort(rows, kind="stable") if rows is not None else np.arange(len(pose))
        out = np.empty((len(pose), len(self), 3), shape.dtype)
        for start in range(0, len(order), BLOCK):
            block = order[start : start + BLOCK]
            x = self._block(maps, shape[block], pose[block], None if rows is None else rows[block])
            out[block] = x.transpose(2, 0, 1) + transl[block, None]
        return out

    def rest_pelvis(self, betas: Array, expression: Array | None = None, extra: Array | None = None) -> Array:
        """(N, 3) float64: the pelvis of the unposed body of this shape, about which ``global_orient`` turns.

        Parameters
        ----------
        betas (N, B), expression (N, E) or None, extra (N, 1) weights of the child template or None.
        """
        folded = self._folded
        coefficients, directions = self._shape(betas, expression, extra)
        rest: Array = folded.joints_template[0] + coefficients @ directions(folded, "joints")[0].T
        return rest

    def _shape(self, betas: Array, expression: Array | None, extra: Array | None) -> tuple[Array, Any]:
        """(N, K) coefficients and a function that gives the matching columns of the folded directions."""
        folded = self._folded
        columns = folded.shape.shape[2] - self.has_kid
        b = fitting_columns(np.asarray(betas), columns, "betas")
        parts = [b]
        kid = extra is not None and bool(np.any(extra))
        if kid:
            if not self.has_kid:
                raise BodyModelError(
                    "parameters of children, but no child template was given",
                    fix=f"put {self.model_type}_kid_template.npy (from AGORA) into the body-model folder",
                )
            parts.append(np.asarray(extra).reshape(len(b), 1))
        e = np.zeros((len(b), 0)) if expression is None or self.model_type != "smplx" else np.asarray(expression)
        e = fitting_columns(e, folded.expression.shape[2], "expression coefficients")
        parts.append(e)

        def directions(source: Folded, what: str) -> Array:
            shape = source.joints_shape if what == "joints" else source.shape
            express = source.joints_expression if what == "joints" else source.expression
            last = [shape[..., -1:]] if kid else []
            return np.concatenate([shape[..., : b.shape[1]], *last, express[..., : e.shape[1]]], axis=-1)

        return np.concatenate(parts, axis=1), directions

    def _prepare(self, params: BodyParams, real: np.dtype[Any]) -> tuple[Maps, Array]:
        """The maps for this number of coefficients, and the (N, K) coefficients."""
        if params.model_type != self.model_type:
            raise BodyModelError(
                f"{NAMES[params.model_type]} parameters were given to an {NAMES[self.model_type]} model"
            )
        shape, directions = self._shape(params.betas, params.expression, params.betas_extra)
        kid = params.betas_extra is not None and bool(np.any(params.betas_extra))
        key = (params.betas.shape[1], shape.shape[1], kid, real.str)
        if key not in self._maps:
            self._maps[key] = Maps(self._folded, directions, real)
        return self._maps[key], shape.astype(real, copy=False)

    def _block(self, maps: Maps, shape: Array, pose: Array, rows: Array | None) -> Array:
        """Joints (J, 3, n) of n instances, without ``transl``. ``rows``: contour rows, ascending."""
        n, chain = len(pose), self.topology.joints
        inputs = np.empty((maps.vertices.shape[1], n), pose.dtype)  # (9 J + K + 1) x n
        inputs[: 9 * chain] = rotation_rows(pose)  # n x J x 3 -> 9 J x n
        inputs[9 * chain : -1] = shape.T  # n x K -> K x n
        inputs[-1] = 1
        rest = (maps.joints @ inputs[9 * chain :]).reshape(chain, 3, n)  # J x 3 x n
        motion = self._chain(inputs[: 9 * chain].reshape(chain, 3, 3, n), rest)  # J x 3 x 4 x n
        out = np.empty((len(self), 3, n), pose.dtype)
        out[:chain] = motion[:, :, 3]
        motion[:, :, 3] -= _times(motion[:, :, :3], rest)  # J x 3 x n: from positions to offsets
        s = maps.static
        skinned = _skin(maps.weights[:s], motion, (maps.vertices[: 3 * s] @ inputs).reshape(s, 3, n))  # s x 3 x n
        fixed = chain + len(maps.points)
        out[chain:fixed] = (maps.points @ skinned.reshape(s, 3 * n)).reshape(-1, 3, n)  # P x 3 x n
        if rows is not None:
            cuts = np.flatnonzero(np.diff(rows, prepend=-1, append=-1))
            for first, last in pairwise(cuts.tolist()):
                vertices, weights, bary = maps.contour(int(rows[first]))
                base = (vertices @ inputs[:, first:last]).reshape(-1, 3, last - first)  # 51 x 3 x rows of this contour
                corners = _skin(weights, motion[..., first:last], base)
                corners = corners.reshape(len(bary), 3, 3, last - first)  # 17 x 3 corners x 3 x rows
                out[fixed:, :, first:last] = (corners * bary[:, :, None, None]).sum(axis=1)
        return out

    def _chain(self, rotations: Array, rest: Array) -> Array:
        """(J, 3, 4, n): global rotation and position of every joint, level by level from the pelvis."""
        chain, n = len(rest), rest.shape[-1]
        motion = np.empty((chain, 3, 4, n), rest.dtype)
        motion[0, :, :3], motion[0, :, 3] = rotations[0], rest[0]
        for children, parents in self._levels:
            above = motion[parents]  # level x 3 x 4 x n
            turn, local = above[:, :, :3], rotations[children]  # level x 3 x 3 x n
            product = turn[:, :, 0, None] * local[:, None, 0]
            product += turn[:, :, 1, None] * local[:, None, 1]
            product += turn[:, :, 2, None] * local[:, None, 2]
            motion[children, :, :3] = product
            motion[children, :, 3] = above[:, :, 3] + _times(turn, rest[children] - rest[parents])
        return motion


def full_pose(model: BodyModel, params: BodyParams) -> Array:
    """(N, J, 3) axis-angle of all chain joints; hands expanded, the mean hand added if they are relative.

    Raises
    ------
    BodyModelError : the model's file has no hand components, or no mean hand, and they are needed.
    """
    relative = TOPOLOGY[model.model_type].left_hand is not None and not params.flat_hand_mean
    mean = mean_hands(model) if relative else None
    components = (model.hands_components_left, model.hands_components_right)
    return _full_pose(model.model_type, params, Hands(components, mean, model.path))


@dataclass(frozen=True)
class Hands:
    """What a model's file has of hands: components (45, 45) of left and right, mean (30, 3); None without."""

    components: tuple[Array | None, ...]
    mean: Array | None
    path: Path


def _full_pose(model_type: str, params: BodyParams, hands: Hands) -> Array:
    """As :func:`full_pose`; hands that are not posed are flat where there is no mean hand."""
    n = len(params)
    bases = dict(zip(("left_hand_pose", "right_hand_pose"), hands.components, strict=True))
    posed = any(getattr(params, name) is not None for name in bases)
    if hands.mean is None and posed and model_type != "smpl" and not params.flat_hand_mean:
        raise without_hands(model_type, RELATIVE, hands.path)
    parts = []
    for name, k in POSE_PARTS[model_type].items():
        part, basis = getattr(params, name), bases.get(name)
        if part is None:
            part = np.zeros((n, k, 3))
        elif name in bases and part.ndim == 2:
            if basis is None:
                raise without_hands(model_type, COEFFICIENTS, hands.path)
            part = expand(part, basis)  # N x coefficients -> N x 15 x 3
        parts.append(np.asarray(part).reshape(n, k, 3))
    pose = np.concatenate(parts, axis=1)  # N x J x 3
    if hands.mean is not None and not params.flat_hand_mean:
        pose[:, -30:] += hands.mean
    return pose


def rotation_rows(pose: Array) -> Array:
    """(9 J, N) rotation matrices, row by row, of (N, J, 3) axis-angle; through unit quaternions, so that
    neither small nor large angles lose digits."""
    n, joints, _ = pose.shape
    v = np.ascontiguousarray(pose.transpose(2, 1, 0))  # 3 x J x N
    half = np.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]) * pose.dtype.type(0.5)
    w = np.cos(half)
    tiny = half < np.finfo(pose.dtype).tiny ** 0.5
    scale = np.sin(half) / np.where(tiny, 1, half)
    scale[tiny] = 1
    x, y, z = v * (scale * pose.dtype.type(np.sqrt(0.5)))  # twice their products are 2 q q
    w *= pose.dtype.type(np.sqrt(2.0))
    out = np.empty((joints, 9, n), pose.dtype)  # J x 9 x N
    xx, yy, zz = x * x, y * y, z * z
    out[:, 0], out[:, 4], out[:, 8] = 1 - (yy + zz), 1 - (xx + zz), 1 - (xx + yy)
    xy, xz, yz, wx, wy, wz = x * y, x * z, y * z, w * x, w * y, w * z
    out[:, 1], out[:, 3] = xy - wz, xy + wz
    out[:, 2], out[:, 6] = xz + wy, xz - wy
    out[:, 5], out[:, 7] = yz - wx, yz + wx
    return out.reshape(9 * joints, n)


def contour_rows(neck_chain: Array) -> Array:
    """(N,) row of the contour tables for the (N, 5, 3) axis-angle of pelvis, three spine joints and neck.

    The yaw is that of their product, the root's rotation included: the contour is the silhouette as seen
    along the z axis, so it changes when the whole body turns.
    """
    n, k, _ = neck_chain.shape
    turns = rotation_rows(neck_chain).reshape(k, 3, 3, n)  # 5 x 3 x 3 x N
    first = turns[-1][:, 0]  # 3 x N: only the first column of the product matters
    for turn in turns[-2::-1]:
        first = turn[:, 0] * first[0] + turn[:, 1] * first[1] + turn[:, 2] * first[2]
    yaw = np.degrees(np.arctan2(first[2], np.hypot(first[0], first[1])))
    rounded = np.rint(np.minimum(yaw, YAW_LIMIT)).astype(np.int64)
    beyond = 2 * YAW_LIMIT
    return np.where(rounded >= 0, rounded, np.where(rounded < -YAW_LIMIT, beyond, YAW_LIMIT - rounded))


def _skin(weights: Array, motion: Array, vertices: Array) -> Array:
    """(U, 3, n) vertices moved by the weighted joint motions; weights (U, J), motion (J, 3, 4, n)."""
    joints, n = len(motion), motion.shape[-1]
    if not motion.flags.c_contiguous:
        motion = np.ascontiguousarray(motion)
    blended = (weights @ motion.reshape(joints, 12 * n)).reshape(-1, 3, 4, n)  # U x 3 x 4 x n
    moved: Array = _times(blended[:, :, :3], vertices)
    moved += blended[:, :, 3]
    return moved


def _times(matrices: Array, vectors: Array) -> Array:
    """(K, 3, n) products of (K, 3, 3, n) matrices and (K, 3, n) vectors."""
    out: Array = matrices[:, :, 0] * vectors[:, None, 0]
    out += matrices[:, :, 1] * vectors[:, None, 1]
    out += matrices[:, :, 2] * vectors[:, None, 2]
    return out


def tree_levels(parents: Array) -> list[tuple[Array, Array]]:
    """Joints by their depth in the tree, the root left out, each level with its parents."""
    depth = np.zeros(len(parents), int)
    for joint in range(1, len(parents)):
        depth[joint] = depth[parents[joint]] + 1
    levels = [np.flatnonzero(depth == d) for d in range(1, depth.max() + 1)]
    return [(level, parents[level]) for level in levels]


def _with_kid(folded: Folded, model: BodyModel, kid: Array) -> Folded:
    difference = kid - model.v_template.astype(np.float64)
    return folded.with_kid(model.J_regressor @ difference, difference[needed_vertices(model)[0]])
