"""Body parameters of meshes: the pose, shape and place at which a body model comes nearest to given vertices.

Gauss-Newton in blocks of meshes. Unknown are the world rotation of every joint, the betas, and one translation; a
vertex is linear in the last two and, to first order, in small turns of the joints, so that one matrix product over a
sample of the vertices gives the normal equations. The residual is that of all vertices.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ehps.arrays import Array
from ehps.body import meshes, rotations
from ehps.body.model_file import BodyModel
from ehps.body.params import BodyParams, genders
from ehps.body.topology import POSE_PARTS, TOPOLOGY
from ehps.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 16  # meshes at a time: their arms stay in a processor's cache
PER_JOINT = 10  # vertices of the sample that a joint moves most
STEPS = 12  # at most
CLOSE = 2e-5  # metres: steps end when the sample comes no nearer than by this, root mean square
DAMPING = 1e-4  # of turns, against the sum of squared lever arms of the sample (square metres)
PULL = 1e-6  # square metres a unit of squared betas: keeps what a mesh does not show near zero


@dataclass(frozen=True)
class Fitted:
    """What was found for N meshes.

    Attributes
    ----------
    params : of one model; hands absolute (``flat_hand_mean``).
    residual : (N,) metres, root mean square distance of the vertices that count.
    """

    params: BodyParams
    residual: Array


def fit(
    model: BodyModel,
    vertices: Array,
    *,
    start: Array | None = None,
    num_betas: int = 10,
    weights: Array | None = None,
    still: tuple[int, ...] = (),
    expression: Array | None = None,
) -> Fitted:
    """Parameters of one body model whose meshes are nearest to ``vertices``, least squares.

    Parameters
    ----------
    vertices : (N, V, 3) metres, in the topology of the model.
    start : (N, J, 3) axis-angle of the chain joints to start from; without it each joint starts from the turn of its
        own vertices.
    num_betas : shape coefficients to fit.
    weights : (V,) how much vertices count, 0 for those that have no place in ``vertices``; all alike by default.
    still : joints that keep their turn relative to their parent: that of ``start``, else none.
    expression : (N, E) of the meshes, which is kept; none by default.

    Raises
    ------
    DataError : another number of vertices, or one that counts is not finite.
    """
    vertices = np.asarray(vertices, np.float32)
    count = TOPOLOGY[model.model_type].vertices
    if vertices.ndim != 3 or vertices.shape[1:] != (count, 3):
        raise DataError(f"meshes of shape {vertices.shape[1:]}, expected ({count}, 3)")
    share = np.ones(count, np.float32) if weights is None else np.asarray(weights, np.float32)
    if not np.isfinite(vertices[:, share > 0]).all():
        raise DataError("a mesh has vertices that are not finite")
    n, joints = len(vertices), len(model.parents)
    pose, betas, transl = np.zeros((n, joints, 3)), np.zeros((n, num_betas)), np.zeros((n, 3))
    smile = np.zeros((n, 10)) if expression is None else np.asarray(expression, np.float64)
    sample = _sample(model, share, num_betas, still)
    for at in range(0, n, BLOCK):
        rows = slice(at, at + BLOCK)
        faces = _faces(model, sample.ids, smile[rows])
        found = _fit_block(sample, vertices[rows], None if start is None else start[rows], faces)
        pose[rows], betas[rows], transl[rows] = found
    params = _params(model, pose, betas, transl, smile)
    return Fitted(params, _residual(model, params, vertices, share))


@dataclass(frozen=True)
class _Sample:
    """Some vertices of a model as tensors: M vertices, J joints, B betas.

    Attributes
    ----------
    ids : (M,) their numbers.
    template : (M, 3).
    shape : (M, 3, B).
    corrections : (9 (J - 1), 3 M) what poses add, coordinates last.
    weights : (M, J) of the skin.
    below : (M, J) how much of a vertex hangs on a joint or those below it.
    joints : (J, 3) at rest.
    joint_shape : (J, 3, B).
    counts : (M,) square roots of how much the vertices count.
    leaders : of each joint the one that it turns with, itself where it turns by itself.
    free : (J, F) 1 where a joint turns with one of the F that turn by themselves.
    parents : of the joints, -1 for the root.
    """

    ids: Array
    template: Tensor
    shape: Tensor
    corrections: Tensor
    weights: Tensor
    below: Tensor
    joints: Tensor
    joint_shape: Tensor
    counts: Tensor
    leaders: list[int]
    free: Tensor
    parents: tuple[int, ...]


_Key = tuple[int, tuple[int, ...], bytes]
_samples: weakref.WeakKeyDictionary[BodyModel, dict[_Key, _Sample]] = weakref.WeakKeyDictionary()


def _sample(model: BodyModel, share: Array, num_betas: int, still: tuple[int, ...]) -> _Sample:
    import torch

    known = _samples.setdefault(model, {})
    key = num_betas, still, share.tobytes()
    if key in known:
        return known[key]
    known.clear()
    ids = _chosen(model, share)

    def tensor(array: Array) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, np.float32))

    shape = np.asarray(model.shapedirs[:, :, :num_betas], np.float64)
    below = np.array(model.weights[ids], np.float64)
    for joint in range(len(model.parents) - 1, 0, -1):
        below[:, model.parents[joint]] += below[:, joint]
    leader = list(range(len(model.parents)))
    for joint in sorted(still):
        leader[joint] = leader[model.parents[joint]]
    known[key] = _Sample(
        ids=ids,
        template=tensor(model.v_template[ids]),
        shape=tensor(shape[ids]),
        corrections=tensor(model.posedirs[ids].reshape(3 * len(ids), -1).T),
        weights=tensor(model.weights[ids]),
        below=tensor(below),
        joints=tensor(model.J_regressor @ model.v_template),
        joint_shape=tensor(np.tensordot(model.J_regressor, shape, 1)),
        counts=tensor(np.sqrt(share[ids])),
        leaders=leader,
        free=tensor(np.array(leader)[:, None] == np.unique(leader)),
        parents=tuple(int(parent) for parent in model.parents),
    )
    return known[key]


def _chosen(model: BodyModel, share: Array) -> Array:
    """Numbers of the vertices of the sample: of each joint some that it moves most, spread over them."""
    usable = np.flatnonzero(share > 0)
    main = model.weights[usable].argmax(axis=1)
    chosen = []
    for joint in range(model.weights.shape[1]):
        own = usable[main == joint]
        if len(own):
            chosen.append(own[np.unique(np.linspace(0, len(own) - 1, PER_JOINT).astype(int))])
    return np.sort(np.concatenate(chosen))


def _faces(model: BodyModel, ids: Array, expression: Array) -> _Faces:
    """(n, M, 3) and (n, J, 3): what expressions (n, E) add to the vertices of the sample and to the joints at rest."""
    import torch

    if model.exprdirs is None or not expression.any():
        return torch.zeros(1, 1, 3), torch.zeros(1, 1, 3)
    count = min(expression.shape[1], model.exprdirs.shape[2])
    directions = np.asarray(model.exprdirs[:, :, :count], np.float64)
    moved = np.einsum("mck,nk->nmc", directions[ids], expression[:, :count])
    joints = np.einsum("jck,nk->njc", np.tensordot(model.J_regressor, directions, 1), expression[:, :count])
    return torch.from_numpy(moved).float(), torch.from_numpy(joints).float()


def _fit_block(sample: _Sample, vertices: Array, start: Array | None, faces: _Faces) -> tuple[Array, Array, Array]:
    """Pose (n, J, 3) axis-angle, betas (n, B) and translation (n, 3) of some meshes.

    Parameters
    ----------
    faces : of :func:`_faces`.
    """
    import torch

    target = torch.from_numpy(np.ascontiguousarray(vertices[:, sample.ids]))
    n, joints, columns = len(target), len(sample.parents), sample.shape.shape[2]
    betas = torch.zeros((n, columns))
    if start is None:
        turns = _own_turns(sample, target)[:, sample.leaders]
    else:
        turns = _world(sample, torch.from_numpy(rotations.to_matrix(start)).float())
    state = _posed(sample, turns, betas, faces)
    transl = ((target - state.points) * sample.counts[:, None] ** 2).sum(1) / (sample.counts**2).sum()
    best = torch.full((n,), torch.inf)
    kept = turns, betas, transl
    for step in range(STEPS + 1):
        state = _posed(sample, turns, betas, faces)
        gap = target - state.points - transl[:, None]
        size = ((gap * sample.counts[:, None]) ** 2).sum((1, 2)).div((sample.counts**2).sum()).sqrt()
        kept = _better(size < best, (turns, betas, transl), kept)
        if step == STEPS or not (best - size > CLOSE).any():
            break
        best = torch.minimum(best, size)
        turn, shape, shift = _step(sample, state, gap, betas)
        turns = _exp(sample.free @ turn) @ turns
        betas, transl = betas + shape, transl + shift
    turns, betas, transl = kept
    parents = [max(parent, 0) for parent in sample.parents]
    local = turns[:, parents].transpose(2, 3) @ turns
    local[:, 0] = turns[:, 0]
    pose = rotations.to_axis_angle(local.double().numpy())
    return pose.reshape(n, joints, 3), betas.double().numpy(), transl.double().numpy()


_Faces = tuple["Tensor", "Tensor"]  # of _faces
_Unknowns = tuple["Tensor", "Tensor", "Tensor"]  # turns, betas, translation


def _better(mask: Tensor, new: _Unknowns, old: _Unknowns) -> _Unknowns:
    """``new`` for the meshes that the mask (n,) marks, else ``old``."""
    import torch

    turns, betas, transl = (
        torch.where(mask.view(-1, *[1] * (one.ndim - 1)), one, other) for one, other in zip(new, old, strict=True)
    )
    return turns, betas, transl


@dataclass(frozen=True)
class _State:
    """Bodies at given turns and betas, without translation.

    Attributes
    ----------
    points : (n, M, 3).
    arms : (n, M, J, 3) what a joint's turn moves a vertex about.
    shapes : (n, M, 3, B) how betas move it.
    """

    points: Tensor
    arms: Tensor
    shapes: Tensor


def _posed(sample: _Sample, turns: Tensor, betas: Tensor, faces: _Faces) -> _State:
    """Bodies whose joints are turned by ``turns`` (n, J, 3, 3), in the world."""
    import torch

    n, joints = turns.shape[:2]
    rest = sample.joints + faces[1] + torch.einsum("jck,nk->njc", sample.joint_shape, betas)  # n x J x 3
    parents = sample.parents
    local = turns[:, [parents[j] for j in range(1, joints)]].transpose(2, 3) @ turns[:, 1:]
    bent = (local - torch.eye(3)).flatten(1) @ sample.corrections  # n x 3M
    shaped = sample.template + faces[0] + torch.einsum("mck,nk->nmc", sample.shape, betas) + bent.view(n, -1, 3)
    places, moves = [rest[:, 0]], [sample.joint_shape[0].expand(n, -1, -1)]
    reach = torch.zeros((n, joints, joints, 3))  # joint, its child: from one to the other
    for j in range(1, joints):
        up = parents[j]
        bone = (turns[:, up] @ (rest[:, j] - rest[:, up])[..., None])[..., 0]
        places.append(places[up] + bone)
        moves.append(moves[up] + turns[:, up] @ (sample.joint_shape[j] - sample.joint_shape[up]))
        reach[:, up, j] = bone
    place = torch.stack(places, 1)  # n x J x 3
    off = shaped[:, :, None] - rest[:, None]  # n x M x J x 3
    arms = torch.einsum("njab,nmjb->nmja", turns, off * sample.weights[:, :, None])
    points = arms.sum(2) + torch.einsum("mj,njc->nmc", sample.weights, place)
    arms = arms + torch.einsum("mk,njkc->nmjc", sample.below, reach)
    blended = torch.einsum("mj,njab->nmab", sample.weights, turns)
    still = torch.stack(moves, 1) - turns @ sample.joint_shape  # n x J x 3 x B
    shapes = blended @ sample.shape + torch.einsum("mj,njck->nmck", sample.weights, still)
    return _State(points, arms, shapes)


def _step(sample: _Sample, state: _State, gap: Tensor, betas: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Turns (n, F, 3), betas (n, B) and translation (n, 3) to add, by the normal equations."""
    import torch

    arms_ = torch.einsum("nmjc,jf->nmfc", state.arms, sample.free)
    n, points, joints, _ = arms_.shape
    columns = state.shapes.shape[3]
    ones = torch.ones((n, points, 1))
    found = [arms_.flatten(2), state.shapes.flatten(2), gap, ones]  # 3J, 3B (coordinate first), 3, 1
    stacked = torch.cat(found, 2) * sample.counts[:, None]
    gram = stacked.transpose(1, 2) @ stacked
    a, b, g = 3 * joints, 3 * joints + 3 * columns, 3 * joints + 3 * columns + 3
    size = 3 * joints + columns + 3
    left, right = torch.zeros((n, size, size)), torch.zeros((n, size))
    turn, shape, shift = slice(0, a), slice(a, a + columns), slice(a + columns, size)
    # A turn w moves a vertex by w x arm: products of two such are (arm . arm') 1 - arm' arm^T.
    arms = gram[:, :a, :a].view(n, joints, 3, joints, 3)
    dot = torch.einsum("njckc->njk", arms)
    cross = dot[:, :, None, :, None] * torch.eye(3)[None, None, :, None, :] - arms.permute(0, 1, 4, 3, 2)
    left[:, turn, turn] = cross.reshape(n, a, a)
    left[:, turn, shape] = _crossed(gram[:, :a, a:b].view(n, joints, 3, 3, columns)).reshape(n, a, columns)
    arm = gram[:, :a, g].view(n, joints, 3)
    skew = torch.zeros((n, joints, 3, 3))
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        skew[:, :, i, j], skew[:, :, j, i] = -arm[:, :, k], arm[:, :, k]
    left[:, turn, shift] = skew.reshape(n, a, 3)
    left[:, shape, turn], left[:, shift, turn] = left[:, turn, shape].mT, left[:, turn, shift].mT
    shapes = gram[:, a:b, a:b].view(n, 3, columns, 3, columns)
    left[:, shape, shape] = torch.einsum("nckcl->nkl", shapes)
    moved = gram[:, a:b, g].view(n, 3, columns)
    left[:, shift, shape], left[:, shape, shift] = moved, moved.mT
    left[:, shift, shift] = torch.eye(3) * gram[:, g, g, None, None]
    right[:, turn] = _crossed(gram[:, :a, b:g].view(n, joints, 3, 3, 1)).reshape(n, a)
    right[:, shape] = torch.einsum("nckc->nk", gram[:, a:b, b:g].view(n, 3, columns, 3)) - PULL * betas
    right[:, shift] = gram[:, b:g, g]
    eased = torch.cat([torch.full((a,), DAMPING), torch.full((columns,), PULL), torch.zeros(3)])
    left += torch.diag(eased)
    done = torch.linalg.solve(left, right)
    return done[:, turn].view(n, joints, 3), done[:, shape], done[:, shift]


def _crossed(products: Tensor) -> Tensor:
    """Cross products (n, J, 3, K) out of the products (n, J, 3, 3, K) of all coordinates of two vectors."""
    import torch

    pairs = ((1, 2), (2, 0), (0, 1))
    return torch.stack([products[:, :, i, j] - products[:, :, j, i] for i, j in pairs], 2)


def _own_turns(sample: _Sample, target: Tensor) -> Tensor:
    """(n, J, 3, 3) turn of the vertices of each joint from the template to the target, that of its parent for joints
    that have none of their own."""
    import torch

    weights = sample.weights * sample.counts[:, None] ** 2  # M x J
    total = weights.sum(0).clamp_min(1e-9)
    before = (weights.T @ sample.template) / total[:, None]  # J x 3
    spread = torch.einsum("mj,nmc,mjd->njcd", weights, target, sample.template[:, None] - before)
    u, size, v = torch.linalg.svd(spread)
    sign = torch.ones_like(size)
    sign[..., 2] = torch.linalg.det(u @ v).sign()
    turns: Tensor = u @ torch.diag_embed(sign) @ v
    flat = (size[..., 1] < 1e-9) | (weights.sum(0) < 1e-3)
    for joint, parent in enumerate(sample.parents):
        if parent >= 0:
            turns[:, joint] = torch.where(flat[:, joint, None, None], turns[:, parent], turns[:, joint])
    return turns


def _world(sample: _Sample, local: Tensor) -> Tensor:
    """Turns in the world of turns (n, J, 3, 3) relative to the parents."""
    import torch

    turns = [local[:, 0]]
    for joint in range(1, len(sample.parents)):
        turns.append(turns[sample.parents[joint]] @ local[:, joint])
    return torch.stack(turns, 1)


def _exp(turn: Tensor) -> Tensor:
    """Rotations (n, J, 3, 3) of axis-angle (n, J, 3)."""
    from smplx.lbs import batch_rodrigues

    out: Tensor = batch_rodrigues(turn.reshape(-1, 3)).view(*turn.shape, 3)
    return out


def _params(model: BodyModel, pose: Array, betas: Array, transl: Array, expression: Array) -> BodyParams:
    parts: dict[str, Any] = {}
    first = 0
    for name, joints in POSE_PARTS[model.model_type].items():
        parts[name] = pose[:, first] if joints == 1 else pose[:, first : first + joints]
        first += joints
    if model.model_type == "smplx":
        parts["expression"] = expression
    return BodyParams(
        model_type=model.model_type,
        gender=genders(model.gender, len(pose)),
        betas=betas,
        transl=transl,
        flat_hand_mean=True,
        **parts,
    )


def _residual(model: BodyModel, params: BodyParams, vertices: Array, share: Array) -> Array:
    """(N,) root mean square distance of the vertices that count."""
    out = np.zeros(len(params))
    for at in range(0, len(params), BLOCK):
        rows = slice(at, at + BLOCK)
        square = ((meshes.vertices(model, params[rows]) - vertices[rows]) ** 2).sum(axis=2)
        out[rows] = np.sqrt(np.where(share > 0, square, 0) @ share / share.sum())
    return out
