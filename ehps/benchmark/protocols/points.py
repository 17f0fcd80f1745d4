"""Points of bodies, by name: vertices of parts, joints, the points at which bodies are laid on each other.

Points come from vertices (some of them, or rows of a regressor on the posed mesh, as the public evaluation code of
SMPLer-X, OSX, PyMAF and SMPLer does) or from the body model's own joints; the two differ by millimetres, so that a
protocol says which. Only the vertices that some wanted point depends on are made: 3DPW's 14 joints need a tenth of a
mesh.

Keys are ``vertices/<part>``, ``vertices/feet``, ``joints/<part>``, ``joints/limbs``, ``joints/moving``,
``anchor/<part>``, ``anchor/joints``, ``orientations``, and ``rest/all``: the vertices of the unposed body.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from ehps.arrays import Array
from ehps.benchmark.protocols.protocol import Protocol
from ehps.benchmark.protocols.tables import H36M_HIPS, LEFT_WRIST, NECK, PELVIS, RIGHT_WRIST, Tables
from ehps.body import rotations
from ehps.body.params import BodyParams
from ehps.body.topology import TOPOLOGY
from ehps.humandata.keypoints import point_names

REST = "rest/all"
SKELETON14 = (1, 2, 4, 5, 7, 8, 12, 15, 16, 17, 18, 19, 20, 21)
H36M14 = (6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10)
COCO_HIPS = (11, 12)
LIMBS = (1, 2, 4, 5, 7, 8, 16, 17, 18, 19, 20, 21)
STILL = (0, 7, 8, 10, 11, 20, 21, 22, 23)
MOVING = tuple(joint for joint in range(24) if joint not in STILL)
"""SMPL's joints without pelvis, ankles, feet, wrists and hands: those whose jitter EMDB's evaluation counts."""
FEET = (3216, 3387, 6617, 6787)
"""Vertices of SMPL under both feet, by which WHAM tells how far feet slide."""
ORIENTED = (0, 1, 2, 4, 5, 16, 17, 18, 19)
"""Joints whose orientations the 3DPW challenge compares."""
MODEL_JOINTS = {
    "body": tuple(range(22)),
    "left_hand": (LEFT_WRIST, *range(25, 40)),
    "right_hand": (RIGHT_WRIST, *range(40, 55)),
    "face": (NECK, *range(76, 127)),
}
"""AGORA's: 22 of the body, wrist and 15 of each hand, neck and 51 landmarks."""


def as_columns(vertices: Array) -> Array:
    """(V, 3N) float64 of (N, V, 3): what regressors are multiplied with."""
    n, count, _ = vertices.shape
    return np.asarray(vertices, np.float64).transpose(1, 0, 2).reshape(count, 3 * n)


def from_columns(columns: Array) -> Array:
    """(N, J, 3) of (J, 3N)."""
    out: Array = np.asarray(columns).reshape(len(columns), -1, 3).transpose(1, 0, 2)
    return out


def apply(regressor: Any, vertices: Array) -> Array:
    """(J, V) sparse matrix on (N, V, 3) vertices -> (N, J, 3) float64."""
    return from_columns(regressor @ as_columns(vertices))


@dataclass(frozen=True)
class Recipe:
    """How points follow from a body: one of the three, or joints and rows on the vertices after them.

    Attributes
    ----------
    vertices : numbers of the vertices that they are.
    matrix : sparse (P, V) rows on the vertices.
    joints : for each point the model joints of which it is the mean.
    order : of joints and rows together, where there are both.
    """

    vertices: Array | None = None
    matrix: Any = None
    joints: tuple[tuple[int, ...], ...] | None = None
    order: tuple[int, ...] = ()


def recipe(key: str, protocol: Protocol, model_type: str, tables: Tables) -> Recipe:
    """How the points ``key`` of a protocol follow from bodies of a model type.

    Parameters
    ----------
    model_type : of the bodies: the protocol's, or smplx beside a SMPL truth.

    Raises
    ------
    BodyModelError : a helper file is missing that they need; the message says where to get it.
    """
    kind, _, part = key.partition("/")
    if kind in ("vertices", "rest"):
        return _vertices(part, protocol, model_type, tables)
    if kind == "joints":
        return _joints(part, protocol, model_type, tables)
    if part in ("left_hand", "right_hand", "face"):
        where = protocol.face_alignment if part == "face" else protocol.hand_alignment
        joint = {"face": NECK, "left_hand": LEFT_WRIST, "right_hand": RIGHT_WRIST}[part]
        if where.startswith("model-"):
            return Recipe(joints=((joint,),))
        if where.startswith("regressed-"):
            return Recipe(matrix=tables.regressor("smplx", "skeleton")[[joint]])
        part = "all"
    where = protocol.joint_alignment if part == "joints" else protocol.mesh_alignment
    if where.startswith("model-"):
        return _model_joints([(PELVIS,) if where == "model-pelvis" else (1, 2)], protocol, model_type, tables)
    by_h36m = protocol.joints.startswith("h36m")
    regressor = _regressor("h36m" if by_h36m else "skeleton", protocol, model_type, tables, anchor=True)
    if where == "regressed-pelvis":
        return Recipe(matrix=regressor[[PELVIS]])
    hips = H36M_HIPS if by_h36m else (1, 2)
    return Recipe(matrix=sparse.csr_matrix(regressor[list(hips)].mean(axis=0)))


def _vertices(part: str, protocol: Protocol, model_type: str, tables: Tables) -> Recipe:
    if part == "feet":
        if model_type != protocol.body:
            return Recipe(matrix=tables.conversion()[list(FEET)])
        return Recipe(vertices=np.array(FEET))
    if part == "body":
        return Recipe(vertices=tables.vertices(protocol.body, protocol.body_vertices))
    if part != "all":
        return Recipe(vertices=tables.vertices("smplx", part))
    if model_type != protocol.body:
        return Recipe(matrix=tables.conversion())
    return Recipe(vertices=np.arange(TOPOLOGY[model_type].vertices))


def _joints(part: str, protocol: Protocol, model_type: str, tables: Tables) -> Recipe:
    official = protocol.matching == "greedy-2d"
    if part == "moving":
        return _model_joints([(joint,) for joint in MOVING], protocol, model_type, tables)
    if part == "limbs":
        if protocol.joints in ("smpl24", "model22"):
            return _model_joints([(joint,) for joint in LIMBS], protocol, model_type, tables)
        return Recipe(matrix=_regressor("skeleton", protocol, model_type, tables)[list(LIMBS)])
    if part in ("left_hand", "right_hand", "face"):
        if official or protocol.hand_joints == "model16":
            return Recipe(joints=tuple((joint,) for joint in MODEL_JOINTS[part]))
        matrix = tables.regressor("smplx", part)
        return Recipe(matrix=matrix[1:] if protocol.hand_joints == "regressed20" else matrix)
    if protocol.joints.startswith("coco17"):
        return _coco(protocol, model_type, tables)
    if protocol.joints == "model22":
        return Recipe(joints=tuple((joint,) for joint in MODEL_JOINTS["body"]))
    if protocol.joints == "smpl24":
        return _model_joints([(joint,) for joint in range(24)], protocol, model_type, tables)
    if protocol.joints == "j14":
        return Recipe(matrix=tables.regressor("smplx", "j14"))
    if protocol.joints == "skeleton14":
        return Recipe(matrix=_regressor("skeleton", protocol, model_type, tables)[list(SKELETON14)])
    matrix = _regressor("h36m", protocol, model_type, tables)
    return Recipe(matrix=matrix if protocol.joints == "h36m17" else matrix[list(H36M14)])


def _coco(protocol: Protocol, model_type: str, tables: Tables) -> Recipe:
    """COCO's 17 points: joints of the model and face vertices, which follow its own joints; hips as the protocol says.

    Of a SMPL-X mesh that is taken to SMPL's, rows of SMPL's J_regressor, its vertices and its hips.
    """
    names = point_names("coco")
    as_smpl = model_type != protocol.body and protocol.prediction == "smplx2smpl"
    held = TOPOLOGY[protocol.body if as_smpl else model_type]
    known = {name: number for number, name in enumerate(point_names(held.convention))}
    of = tuple(known[name.removesuffix("_extra")] for name in names)
    extra = protocol.joints == "coco17"
    if not as_smpl and not extra:
        return Recipe(joints=tuple((joint,) for joint in of))
    if not as_smpl:
        rest = [number for number in range(len(of)) if number not in COCO_HIPS]
        order = np.argsort([*rest, *COCO_HIPS])
        matrix = tables.regressor(model_type, "hips")
        return Recipe(matrix=matrix, joints=tuple((of[number],) for number in rest), order=tuple(order.tolist()))
    skeleton = tables.regressor("smpl", "skeleton").toarray()
    rows = [
        skeleton[joint] if joint < held.joints else np.eye(1, held.vertices, held.picked[joint - held.joints])[0]
        for joint in of
    ]
    if extra:
        rows[COCO_HIPS[0] : COCO_HIPS[1] + 1] = list(tables.regressor("smpl", "hips").toarray())
    return Recipe(matrix=sparse.csr_matrix(sparse.csr_matrix(np.stack(rows)) @ tables.conversion()))


def _model_joints(of: Sequence[tuple[int, ...]], protocol: Protocol, model_type: str, tables: Tables) -> Recipe:
    """Means of some model joints; of a SMPL-X mesh that is taken to SMPL's, those that SMPL's J_regressor gives."""
    if model_type == protocol.body or protocol.prediction == "regressors":
        return Recipe(joints=tuple(of))
    matrix = _regressor("skeleton", protocol, model_type, tables)
    return Recipe(matrix=sparse.csr_matrix(np.stack([matrix[list(rows)].toarray().mean(axis=0) for rows in of])))


def _regressor(name: str, protocol: Protocol, model_type: str, tables: Tables, *, anchor: bool = False) -> Any:
    """A regressor on the vertices of ``model_type``, through SMPL's where a SMPL-X mesh is taken to it.

    The pelvis of such a mesh is that of SMPL-X, as in the public code of SMPLest-X, unless it is Human3.6M's.
    """
    if model_type == protocol.body or protocol.prediction == "regressors" or (anchor and name == "skeleton"):
        return tables.regressor(model_type, name)
    return sparse.csr_matrix(tables.regressor(protocol.body, name) @ tables.conversion())


class Plan:
    """The points that some keys name, on bodies of one model type: recipes, and the vertices that they need.

    Parameters
    ----------
    keys : of the points wanted.
    model_type : of the bodies.
    """

    def __init__(self, keys: Collection[str], protocol: Protocol, model_type: str, tables: Tables) -> None:
        self.protocol, self.model_type, self.models = protocol, model_type, tables.models
        self.recipes = {
            key: recipe(key, protocol, model_type, tables)
            for key in keys
            if key not in ("orientations", REST) and not self._at_origin(key)
        }
        self.rest = Plan(["vertices/all"], protocol, model_type, tables) if REST in keys else None
        needed = [r.vertices for r in self.recipes.values() if r.vertices is not None]
        needed += [np.unique(r.matrix.indices) for r in self.recipes.values() if r.matrix is not None]
        self.ids = np.unique(np.concatenate(needed)).astype(np.int64) if needed else np.zeros(0, np.int64)
        whole = len(self.ids) == TOPOLOGY[model_type].vertices
        matrices = [r.matrix.indices for r in self.recipes.values() if r.matrix is not None]
        columns = np.unique(np.concatenate(matrices)) if matrices else self.ids[:0]
        self.regressed = np.searchsorted(self.ids, columns)
        """Which of the vertices that are made regressors use."""
        for key, one in self.recipes.items():
            if one.matrix is not None:
                self.recipes[key] = replace(one, matrix=one.matrix[:, columns])
            elif one.vertices is not None and not whole:
                self.recipes[key] = Recipe(vertices=np.searchsorted(self.ids, one.vertices))

    def _at_origin(self, key: str) -> bool:
        kind, _, part = key.partition("/")
        own = {"joints": self.protocol.joint_alignment, "face": self.protocol.face_alignment}
        alignment = own.get(part, "as-mesh" if part == "all" else self.protocol.hand_alignment)
        if alignment == "as-mesh":
            alignment = self.protocol.mesh_alignment
        return kind == "anchor" and alignment == "model-origin"

    def bodies(self, params: BodyParams, *, device: str = "cpu", rest_gender: Array | None = None) -> Bodies:
        """Bodies of parameters of the plan's model type.

        Parameters
        ----------
        rest_gender : (N,) of the models of the unposed bodies, their own by default.
        """
        whole = len(self.ids) == TOPOLOGY[self.model_type].vertices
        made = None
        if len(self.ids):
            there = params.with_(transl=np.zeros((len(params), 3)))
            made = self.models.mesh(there, ids=None if whole else self.ids, device=device)
        joints = None
        if any(one.joints is not None for one in self.recipes.values()):
            joints = self.models.joints(params, "float64")
        rest = None
        if self.rest is not None:
            gender = params.gender if rest_gender is None else rest_gender
            rest = self.rest.bodies(unposed(params).with_(gender=gender), device=device)
        return Bodies(self, made, joints, params, rest)

    def meshes(self, vertices: Array, joints: Array | None = None) -> Bodies:
        """Bodies of whole meshes (N, V, 3), with the body model's joints (N, J, 3) where they are given."""
        return Bodies(self, vertices[:, self.ids], joints, None)


class Bodies:
    """N bodies, and whatever a plan wants of them, each made once.

    Parameters
    ----------
    plan : which points there are.
    vertices : (N, M, 3) those that the plan needs, None when it needs none: without the translation of ``params``,
        which is added in float64, as float32 has no tenth of a millimetre left a kilometre away.
    joints : (N, J, 3) of the body model, None when none is needed.
    params : their parameters, None for given meshes.
    rest : the same bodies unposed, where the plan wants them.
    """

    def __init__(
        self,
        plan: Plan,
        vertices: Array | None,
        joints: Array | None,
        params: BodyParams | None,
        rest: Bodies | None = None,
    ) -> None:
        self.plan, self.joints, self.params, self.rest = plan, joints, params, rest
        self._vertices = vertices
        self._made: dict[str, Array] = {}

    def __len__(self) -> int:
        held = next(one for one in (self._vertices, self.joints, self.params) if one is not None)
        return len(held)

    def part(self, rows: slice) -> Bodies:
        """Some of the bodies, with the points that were made of them already."""
        vertices, joints = (None if one is None else one[rows] for one in (self._vertices, self.joints))
        params, rest = None if self.params is None else self.params[rows], self.rest and self.rest.part(rows)
        part = Bodies(self.plan, vertices, joints, params, rest)
        part._made = {key: points[rows] for key, points in self._made.items()}
        return part

    def points(self, key: str) -> Array:
        """(N, P, 3) metres; for ``orientations`` (N, P, 3, 3) rotations of joints in the frame of the parameters."""
        if key not in self._made:
            self._made[key] = self._make(key)
        return self._made[key]

    def _make(self, key: str) -> Array:
        if key == "orientations":
            assert self.params is not None
            return orientations(self.params)
        if key == REST:
            assert self.rest is not None
            return self.rest.points("vertices/all")
        one = self.plan.recipes.get(key)
        if one is None:  # laid on each other at the body model's origin
            assert self.params is not None
            return np.asarray(self.params.transl, np.float64)[:, None]
        if one.joints is not None:
            assert self.joints is not None
            joints = np.stack([self.joints[:, list(of)].mean(axis=1) for of in one.joints], axis=1)
            if one.matrix is None:
                return joints
            return np.concatenate([joints, self._regressed(one)], axis=1)[:, list(one.order)]
        if one.vertices is None:
            return self._regressed(one)
        made = self._precise
        if len(one.vertices) < made.shape[2]:
            made = np.take(made, one.vertices, axis=2)
        return made.transpose(0, 2, 1)

    def _regressed(self, one: Recipe) -> Array:
        return from_columns(one.matrix @ self._columns)

    @cached_property
    def _precise(self) -> Array:
        """(N, 3, M) float64: errors are computed along points."""
        assert self._vertices is not None
        made = np.ascontiguousarray(self._vertices.transpose(0, 2, 1), np.float64)
        return made if self.params is None else made + np.asarray(self.params.transl, np.float64)[:, :, None]

    @cached_property
    def _columns(self) -> Array:
        """(M, 3N) float64 of the vertices that regressors use."""
        assert self._vertices is not None
        made = as_columns(self._vertices[:, self.plan.regressed])
        return made if self.params is None else made + np.asarray(self.params.transl, np.float64).reshape(-1)


def unposed(params: BodyParams) -> BodyParams:
    """The same shapes in the rest pose at the origin, hands flat whatever poses of hands are relative to."""
    keep = ("betas", "betas_extra", "betas_neutral")
    still = {name: np.zeros_like(one) for name, one in params.arrays().items() if name not in keep}
    return params.with_(**still, flat_hand_mean=True)


def orientations(params: BodyParams) -> Array:
    """(N, 9, 3, 3) rotations of the joints :data:`ORIENTED` from the rest pose, in the frame of the parameters."""
    parents = TOPOLOGY[params.model_type].parents
    pose = np.concatenate([params.global_orient[:, None], params.body_pose[:, :21]], axis=1)  # N x 22 x 3
    local = rotations.to_matrix(pose.reshape(-1, 3)).reshape(*pose.shape[:2], 3, 3)
    turned = [local[:, 0]]
    for joint in range(1, 22):
        turned.append(turned[parents[joint]] @ local[:, joint])
    return np.stack([turned[joint] for joint in ORIENTED], axis=1)
