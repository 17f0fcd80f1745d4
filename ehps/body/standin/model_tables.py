"""Tables that a body model carries besides its mesh, computed for the stand-in: regressors, pose correctives,
landmark tables, the mean hand.

Shapes and meaning are those of SMPL-X v1.1 files; every number is invented or follows from the invented mesh.
"""

from __future__ import annotations

import numpy as np

from ehps.arrays import Array
from ehps.body.standin.anatomy import PARENTS


def fitted_regressor(positions: Array, joints: Array, candidates: list[Array]) -> Array:
    """(J, V) rows summing to 1 that give joints from vertices, for several shapes of the same mesh at once.

    Parameters
    ----------
    positions : (S, V, 3) the mesh in S shapes; the first is met exactly.
    joints : (S, J, 3) where the joints are in each.
    candidates : per joint, the vertices its row may use.
    """
    rows = np.zeros((joints.shape[1], positions.shape[1]))
    for j, ids in enumerate(candidates):
        points = positions[:, ids]
        equations = np.concatenate([points[0].T, (points[1:] - points[:1]).transpose(0, 2, 1).reshape(-1, len(ids))])
        wanted = np.concatenate([joints[0, j], (joints[1:, j] - joints[0, j]).ravel()])
        centre = points[0].mean(0)
        exact = np.vstack([(points[0] - centre).T, np.full(len(ids), 0.05)])
        target = np.append(joints[0, j] - centre, 0.05)
        row = np.full(len(ids), 1 / len(ids))
        loose = equations[3:]
        ridge = 0.02 * np.eye(len(ids))
        row = np.linalg.solve(loose.T @ loose * 4 + ridge, loose.T @ wanted[3:] * 4 + ridge @ row)
        row += np.linalg.lstsq(exact, target - exact @ row, rcond=None)[0]
        rows[j, ids] = row / row.sum()
    return rows


def rounded_shares(rows: Array, decimals: int) -> Array:
    """Rows summing to 1 with entries of few decimals: the largest of each row takes up the difference."""
    out = np.round(rows, decimals)
    largest = out.argmax(1)
    out[np.arange(len(out)), largest] += 1 - out.sum(1)
    return np.round(out, decimals)


def joint_candidates(weights: Array, template: Array, joints: Array, count: int = 120) -> list[Array]:
    """Per joint, the vertices of a ring around it: the nearest of those that move with it or its parent."""
    out = []
    for j, parent in enumerate(PARENTS):
        mine = weights[:, j] + (weights[:, parent] if parent >= 0 else 0)
        distance = np.linalg.norm(template - joints[j], axis=1)
        distance[(mine < 0.3) | (weights[:, j] < 0.02)] += 1.0
        ids = np.argsort(distance, kind="stable")[:count]
        out.append(np.sort(ids[distance[ids] < 1.0] if distance[ids[0]] < 1.0 else ids))
    return out


def pose_correctives(template: Array, normals: Array, weights: Array, joints: Array, rng: np.random.Generator) -> Array:
    """(V, 3, 486) smooth displacements around each joint, a few millimetres for a right-angle bend.

    The diagonal of R - I is negative in any bend: along the normal this fills out the outside of the joint.
    The off-diagonal elements shift the skin in a direction of their own.
    """
    out = np.zeros((len(template), 3, 9 * (len(joints) - 1)), np.float32)
    for j in range(1, len(joints)):
        # The last joints of fingers reach to the tips, the jaw and the head to the landmarks of the face.
        reach = {15: 0.09, 12: 0.08, 22: 0.05, 23: 0.012, 24: 0.012}.get(j, 0.06)
        if j >= 25:
            reach = 0.022 if j % 3 == 0 else 0.013
        offset = template - joints[j]
        near = np.exp(-(offset**2).sum(1) / (2 * reach**2)) - 0.02
        near *= np.clip(4 * (weights[:, j] + weights[:, PARENTS[j]]), 0, 1) * np.clip(8 * weights[:, j], 0.3, 1)
        ids = np.flatnonzero(near > 0)
        strength = (near[ids] * max(min(reach, 0.06), 0.03))[:, None]
        along = rng.normal(size=(9, 3)) * 0.05
        wave = rng.normal(size=(9, 3)) * 1.5 / reach
        for k in range(9):
            swing = np.cos(offset[ids] @ wave[k] * 0.5)[:, None]
            field = along[k] * swing
            if k in (0, 4, 8):
                field = field * 0.3 - 0.06 * normals[ids]
            out[ids, :, 9 * (j - 1) + k] = strength * field
    return out


def hand_means() -> tuple[Array, Array]:
    """(45,), (45,) a relaxed left and right hand: axis-angle of index, middle, pinky, ring, thumb, 3 joints each."""
    left = np.zeros((5, 3, 3))
    left[:4, :, 2] = [(-0.22, -0.42, -0.25), (-0.32, -0.50, -0.28), (-0.42, -0.48, -0.30), (-0.40, -0.50, -0.28)]
    left[:4, 0, 1] = 0.05, 0.01, -0.07, -0.03
    left[:4, 0, 0] = 0.06, 0.02, -0.12, -0.04
    left[4] = (0.30, -0.10, -0.08), (0.06, 0.16, -0.10), (0.04, 0.22, -0.12)
    right = left * (1, -1, -1)
    return left.ravel(), right.ravel()


def hand_components(rng: np.random.Generator) -> tuple[Array, Array]:
    """(45, 45) orthonormal rows for the left hand and their mirror image; the first ones close the fingers."""
    first = np.zeros((6, 5, 3, 3))
    first[0, :4, :, 2] = -1.0
    first[1, :4, 0, 1] = 1.0, 0.3, -1.0, -0.4
    first[2, 4] = (0.5, 0.6, -0.5), (0.0, 0.9, -0.2), (0.0, 0.9, -0.2)
    first[3, 0, :, 2] = -1.0
    first[3, 2, :, 2] = 1.0
    first[4, :4, 0, 2] = -1.0
    first[4, :4, 2, 2] = 1.0
    first[5, 1, :, 2] = -1.0
    first[5, 3, :, 2] = 1.0
    basis = np.concatenate([first.reshape(6, 45), rng.normal(size=(39, 45))])
    q, r = np.linalg.qr(basis.T)
    left = (q * np.sign(np.diag(r))).T
    right = (left.reshape(45, 15, 3) * (1, -1, -1)).reshape(45, 45)
    return left, right


def nearest_on_mesh(points: Array, vertices: Array, faces: Array, allowed: Array) -> tuple[Array, Array]:
    """Face index (N,) and barycentric coordinates (N, 3) of the closest ``allowed`` face to each point."""
    corners = vertices[faces[allowed]]
    rank = np.linalg.norm(points[:, None] - corners.mean(1), axis=-1)
    index, coordinates = [], []
    for p, order in zip(points, np.argsort(rank, axis=1, kind="stable")[:, :24], strict=True):
        bary = barycentric(p, corners[order])
        missed = np.linalg.norm(np.einsum("fc,fcx->fx", bary, corners[order]) - p, axis=1)
        best = int(missed.argmin())
        index.append(allowed[order[best]])
        coordinates.append(bary[best])
    return np.array(index), np.array(coordinates)


def barycentric(p: Array, triangles: Array) -> Array:
    """(F, 3) coordinates of p (3,) in triangles (F, 3, 3), clipped to the inside (sum 1, none negative)."""
    u, v, w = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0], p - triangles[:, 0]
    uu, uv, vv = (u * u).sum(1), (u * v).sum(1), (v * v).sum(1)
    wu, wv = (w * u).sum(1), (w * v).sum(1)
    scale = np.maximum(uu * vv - uv**2, 1e-18)
    b, c = (vv * wu - uv * wv) / scale, (uu * wv - uv * wu) / scale
    out = np.clip(np.stack([1 - b - c, b, c], 1), 0, 1)
    return np.asarray(out / out.sum(1, keepdims=True))


def first_hits(origin: Array, directions: Array, vertices: Array, faces: Array, allowed: Array) -> tuple[Array, Array]:
    """Face index (N,) and barycentric coordinates (N, 3) where rays from ``origin`` (3,) leave the mesh.

    The farthest hit counts, of the ``allowed`` faces only.

    Raises
    ------
    ValueError : a ray meets no allowed face.
    """
    corners = vertices[faces[allowed]] - origin
    # The direction is a positive combination of the three corners exactly when the ray passes between them.
    shares = np.linalg.solve(corners.transpose(0, 2, 1)[None], directions[:, None, :, None])[..., 0]
    total = shares.sum(-1)
    inside = (shares >= -1e-9).all(-1) & (total > 0)
    if not inside.any(1).all():
        raise ValueError("a ray misses the mesh")
    best = np.where(inside, 1 / np.where(total > 0, total, 1), -1).argmax(1)
    chosen = np.clip(shares[np.arange(len(best)), best], 0, None)
    return allowed[best], chosen / chosen.sum(1, keepdims=True)
