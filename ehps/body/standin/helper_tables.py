"""Helper files of the stand-in body: vertex lists, joint regressors, kid templates, under their usual names."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from ehps.arrays import Array
from ehps.body.standin.anatomy import NEUTRAL, Anatomy
from ehps.body.standin.mesh_layout import Mesh, make_mesh
from ehps.body.standin.model_tables import fitted_regressor, rounded_shares

CHILD = {
    **{"stature": -0.30, "head": 0.22, "legs": -0.04, "hips": -0.012, "shoulders": -0.012, "muscle": -0.08},
    **{"neck": -0.1, "hands": -0.03, "belly": 0.01},
}
EYES = (23, 24)  # joints of SMPL-X
RIGHT_LEG_FIRST = [0, 4, 5, 6, 1, 2, 3, *range(7, 17)]
"""Rows of Human3.6M's regressor as OSX's file for SMPL-X has them."""


def write_helpers(folder: Path, models: Sequence[str]) -> None:
    """Write the helper files that go with ``models`` into ``folder``."""
    child = NEUTRAL.plus(CHILD)
    if "smplx" in models:
        mesh = make_mesh("smplx")
        hands = {"left_hand": mesh.left_hand, "right_hand": mesh.right_hand}
        with (folder / "MANO_SMPLX_vertex_ids.pkl").open("wb") as out:
            pickle.dump(hands, out, protocol=2)
        np.save(folder / "SMPL-X__FLAME_vertex_ids.npy", mesh.head)
        with (folder / "SMPLX_to_J14.pkl").open("wb") as out:
            pickle.dump(points_regressor(mesh, lsp_points).astype(np.float32), out, protocol=2)
        np.save(folder / "smplx_kid_template.npy", kid(mesh, child))
        np.save(folder / "J_regressor_h36m_smplx.npy", points_regressor(mesh, h36m_points)[RIGHT_LEG_FIRST])
        np.save(folder / "body_verts_smplx.npy", official_body(mesh))
    if "smpl" in models or "smplh" in models:
        mesh = make_mesh("smpl")
        np.save(folder / "smpl_kid_template.npy", kid(mesh, child))
        np.save(folder / "J_regressor_h36m.npy", points_regressor(mesh, h36m_points))
        np.save(folder / "J_regressor_extra.npy", points_regressor(mesh, extra_points))
        np.save(folder / "body_verts_smpl.npy", np.arange(len(mesh.positions(NEUTRAL)), dtype=np.uint32))
    if "smplx" in models and "smpl" in models:
        with (folder / "smplx2smpl.pkl").open("wb") as out:
            pickle.dump({"matrix": between(make_mesh("smplx"), make_mesh("smpl"))}, out, protocol=2)
        with (folder / "smpl2smplx_deftrafo_setup.pkl").open("wb") as out:
            pickle.dump({"mtx": between(make_mesh("smpl"), make_mesh("smplx"))}, out, protocol=2)
        eyes = make_mesh("smplx").weights[:, list(EYES)].max(axis=1)
        np.save(folder / "smplx_mask_ids.npy", np.flatnonzero(eyes < 0.5))


def kid(mesh: Mesh, child: Anatomy) -> Array:
    """(V, 3) a child's mesh about its own centroid, as AGORA distributes its templates."""
    vertices = mesh.positions(child)
    return np.round(vertices - vertices.mean(0), 8)


def points_regressor(mesh: Mesh, points: Any, near: int = 60) -> Array:
    """(K, V) rows summing to 1 for points that ``points(build)`` gives, fitted to a few builds."""
    builds = [NEUTRAL, *(NEUTRAL.plus(c) for c in ({"stature": 0.04}, {"girth": 0.1}, {"hips": 0.01}, {"legs": 0.03}))]
    vertices = np.stack([mesh.positions(b) for b in builds])
    wanted = np.stack([points(b) for b in builds])
    distance = np.linalg.norm(vertices[0][None] - wanted[0][:, None], axis=-1)
    ids = [np.sort(row) for row in np.argsort(distance, axis=1, kind="stable")[:, :near]]
    return rounded_shares(fitted_regressor(vertices, wanted, ids), 8)


def lsp_points(build: Anatomy) -> Array:
    """(14, 3) in ``lsp`` order: right ankle up to left ankle, right wrist over to left wrist, neck, head top.

    Hips, neck and head top are where image annotators place them, not where the joints are.
    """
    j, s, h = build.joints(), build.stature, build.head_scale()
    hip = np.array([0.035 * s, 0.03 * s, 0.005])
    right_hip, left_hip = j[2] + hip * (-1, 1, 1), j[1] + hip
    neck, top = j[12] + (0, 0.02 * s, 0.015 * s), j[15] + (0, 0.18 * h, 0.0)
    return np.stack([j[8], j[5], right_hip, left_hip, j[4], j[7], j[21], j[19], j[17], j[16], j[18], j[20], neck, top])


def h36m_points(build: Anatomy) -> Array:
    """(17, 3) in the order of Human3.6M's regressor: pelvis, left leg, right leg, spine to head top, left arm, right
    arm.
    """
    j, s, h = build.joints(), build.stature, build.head_scale()
    spine, neck = (j[3] + j[6]) / 2, j[12] + (0, 0.01 * s, 0.01 * s)
    nose, top = j[15] + (0, 0.05 * h, 0.09 * h), j[15] + (0, 0.18 * h, 0.0)
    hips = (j[1] + j[2]) / 2
    limbs = [j[1], j[4], j[7], j[2], j[5], j[8]]
    return np.stack([hips, *limbs, spine, neck, nose, top, j[16], j[18], j[20], j[17], j[19], j[21]])


def extra_points(build: Anatomy) -> Array:
    """(9, 3) in the order of J_regressor_extra: right hip, left hip, neck, head top, pelvis, thorax, spine, jaw and
    head.
    """
    lsp, h36m = lsp_points(build), h36m_points(build)
    hips = lsp[[2, 3]]
    return np.stack([*hips, lsp[12], lsp[13], hips.mean(axis=0), h36m[8], h36m[7], h36m[9], h36m[10]])


def official_body(mesh: Mesh, more: int = 114) -> Array:
    """Vertices outside hands and head, and the ``more`` of these that are nearest to them, uint32: as AGORA's list."""
    vertices = mesh.positions(NEUTRAL)
    elsewhere = np.unique(np.concatenate([mesh.left_hand, mesh.right_hand, mesh.head]))
    body = np.setdiff1d(np.arange(len(vertices)), elsewhere)
    distance = cKDTree(vertices[body]).query(vertices[elsewhere])[0]
    nearest = elsewhere[np.argsort(distance, kind="stable")[:more]]
    return np.sort(np.concatenate([body, nearest])).astype(np.uint32)


def between(source: Mesh, target: Mesh, near: int = 3) -> Any:
    """Sparse (V', V) shares summing to 1 by which the vertices of ``target`` follow the nearest ones of ``source``."""
    distance, ids = cKDTree(source.positions(NEUTRAL)).query(target.positions(NEUTRAL), k=near)
    weights = 1 / np.maximum(distance, 1e-4)
    weights /= weights.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(len(ids)), near)
    shape = (len(ids), len(source.positions(NEUTRAL)))
    return sparse.csc_matrix((weights.ravel(), (rows, ids.ravel())), shape=shape)
