"""Helper files of the stand-in body: vertex lists, joint regressors, kid templates, under their usual names."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.body.standin.anatomy import NEUTRAL, Anatomy
from ehps.body.standin.mesh_layout import Mesh, make_mesh
from ehps.body.standin.model_tables import fitted_regressor, rounded_shares

CHILD = {
    **{"stature": -0.30, "head": 0.22, "legs": -0.04, "hips": -0.012, "shoulders": -0.012, "muscle": -0.08},
    **{"neck": -0.1, "hands": -0.03, "belly": 0.01},
}


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
    if "smpl" in models or "smplh" in models:
        mesh = make_mesh("smpl")
        np.save(folder / "smpl_kid_template.npy", kid(mesh, child))


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
