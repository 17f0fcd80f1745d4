"""The stand-in body: files in the layout of SMPL-X, SMPL-H and SMPL that owe nothing to the licensed ones.

Same keys, array shapes, joint tree, landmark tables and vertex numbers of the named points as SMPL-X v1.1,
SMPL-H (16 betas) and SMPL v1.0, its own geometry: a mannequin with hands and a face, generated from round numbers.
Tests, the demo and the notebooks run on it; real files drop in without any other change. Every file carries a
key ``standin`` that real ones do not have.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.body.model_folder import LOCKED_HEAD
from ehps.body.standin import landmarks, model_tables
from ehps.body.standin.anatomy import GENDERS, NEUTRAL, PARENTS, SHAPES, Anatomy
from ehps.body.standin.helper_tables import write_helpers
from ehps.body.standin.mesh_layout import Mesh, make_mesh
from ehps.body.topology import TOPOLOGY

KINDS = ("smplx", "smplh", "smpl")
EXPRESSIONS = 10
DECIMALS = 8  # kept in the files: linear algebra differs beyond them from one run to the next
SHAPE_COLUMNS = {"smplx": 400, "smplh": 16, "smpl": 10}
LOWER = {"smplx": 0.0, "smplh": 0.125, "smpl": 0.125}
"""How much lower than SMPL-X's the origin of each model type lies, metres."""

HEAD = (15, 22, 23, 24)  # joints of SMPL-X that move the head: head, jaw, eyes
LOCKED_SIZE = 0.94  # of the locked head, relative to that of the other release

# The nearest SMPL-X joint of every joint of the model type; joints of SMPL-X that are absent go to their parents.
JOINTS = {
    "smplx": tuple(range(55)),
    "smplh": (*range(22), *range(25, 55)),
    "smpl": (*range(22), 28, 43),
}


def write_standin(
    folder: str | Path,
    *,
    models: Sequence[str] = KINDS,
    genders: Sequence[str] = ("male", "female", "neutral"),
    seed: int = 0,
    locked_head: bool = False,
) -> Path:
    """Write stand-in model files where the ``smplx`` package looks for them, and the helper files.

    Parameters
    ----------
    folder : gets ``smplx/SMPLX_*.npz``, ``smplh/SMPLH_*.pkl``, ``smpl/SMPL_*.pkl`` and the helper files of
        :mod:`ehps.body.standin.helper_tables`; existing files are overwritten.
    models, genders : which to write.
    seed : of what is arbitrary in the pose correctives and hand components.
    locked_head : write ``models_lockedhead/smplx/SMPLX_NEUTRAL.npz`` too.

    Returns
    -------
    The folder. The same arguments give the same bytes.
    """
    folder = Path(folder)
    for model_type in models:
        (folder / model_type).mkdir(parents=True, exist_ok=True)
        for gender in genders:
            arrays = standin_arrays(model_type, gender, seed)
            if model_type == "smplx":
                np.savez(folder / model_type / f"SMPLX_{gender.upper()}.npz", **arrays)
                continue
            with (folder / model_type / f"{model_type.upper()}_{gender.upper()}.pkl").open("wb") as out:
                pickle.dump(arrays, out, protocol=2)
    if locked_head:
        place = folder / LOCKED_HEAD / "smplx"
        place.mkdir(parents=True, exist_ok=True)
        np.savez(place / "SMPLX_NEUTRAL.npz", **locked_head_arrays(seed))
    write_helpers(folder, models)
    return folder


def locked_head_arrays(seed: int = 0) -> dict[str, Any]:
    """As :func:`standin_arrays` of neutral SMPL-X with a smaller head, which no beta changes, and other betas."""
    out = standin_arrays("smplx", "neutral", seed)
    head = out["weights"][:, list(HEAD)].sum(axis=1)[:, None]
    centre = out["J"][HEAD[0]]
    out["v_template"] = np.round(out["v_template"] - head * (1 - LOCKED_SIZE) * (out["v_template"] - centre), DECIMALS)
    shapes = len(SHAPES)
    out["shapedirs"][:, :, :shapes] = out["shapedirs"][:, :, :shapes][:, :, ::-1] * (1 - head[:, :, None])
    return out


def standin_arrays(model_type: str, gender: str, seed: int = 0) -> dict[str, Any]:
    """All members of one model file by key, as the licensed file of that type has them."""
    mesh = make_mesh(model_type)
    build = GENDERS[gender]
    template = in_model_frame(model_type, mesh, build)
    joints = joints_in_model_frame(model_type, build)
    columns = shape_columns(model_type, gender)
    joint_count = len(JOINTS[model_type])
    shapedirs = np.zeros((len(template), 3, SHAPE_COLUMNS[model_type]), np.float32)
    used = min(columns.shape[2], SHAPE_COLUMNS[model_type])
    shapedirs[:, :, :used] = columns[:, :, :used]
    if model_type == "smplx":
        shapedirs[:, :, 300 : 300 + EXPRESSIONS] = expression_columns(model_type, gender)
    out: dict[str, Any] = {
        "v_template": np.round(template, DECIMALS),
        "shapedirs": shapedirs,
        "posedirs": model_posedirs(model_type, seed),
        "J_regressor": model_tables.rounded_shares(joint_regressor(model_type, gender), DECIMALS),
        "weights": model_tables.rounded_shares(model_weights(model_type, mesh.weights), DECIMALS),
        "f": mesh.faces.astype(np.uint32),
        "kintree_table": kintree(model_type),
        "J": joints[list(JOINTS[model_type])],
        "bs_type": "lrotmin",
        "bs_style": "lbs",
        "standin": "ehps stand-in body, invented geometry, not a licensed model",
    }
    if model_type != "smpl":
        out |= hand_members(seed)
    if model_type == "smplx":
        out |= landmark_members(model_type) | uv_members(mesh)
        out["joint2num"] = np.array({f"joint{j}": j for j in range(joint_count)}, dtype=object)
        out["part2num"] = np.array({f"part{j}": j for j in range(joint_count)}, dtype=object)
    if model_type == "smpl":
        from scipy import sparse

        out["J_regressor"] = sparse.csc_matrix(out["J_regressor"])
    return out


def in_model_frame(model_type: str, mesh: Mesh, build: Anatomy) -> Array:
    """(V, 3) the mesh of a build about the model's origin."""
    return np.asarray(mesh.positions(build) - build.origin() + (0, LOWER[model_type], 0))


def joints_in_model_frame(model_type: str, build: Anatomy) -> Array:
    """(55, 3) the SMPL-X joints of a build about the model's origin."""
    return np.asarray(build.joints() - build.origin() + (0, LOWER[model_type], 0))


def shape_columns(model_type: str, gender: str) -> Array:
    """(V, 3, 16) change of the mesh per unit of each beta."""
    return _shape_columns("smplx" if model_type == "smplx" else "smpl", gender)


@lru_cache(maxsize=6)
def _shape_columns(model_type: str, gender: str) -> Array:
    mesh, build = make_mesh(model_type), GENDERS[gender]
    rest = in_model_frame(model_type, mesh, build)
    return np.stack([in_model_frame(model_type, mesh, build.plus(s)) - rest for s in SHAPES], axis=2)


def expression_columns(model_type: str, gender: str) -> Array:
    """(V, 3, 10) change of the mesh per unit of each expression coefficient."""
    mesh = make_mesh(model_type)
    return np.stack([mesh.expression(GENDERS[gender], k) for k in range(EXPRESSIONS)], axis=2)


@lru_cache(maxsize=9)
def joint_regressor(model_type: str, gender: str) -> Array:
    """(J, V) rows summing to 1, fitted to the build's own joints in the mean shape and along every beta."""
    mesh, build = make_mesh(model_type), GENDERS[gender]
    template, joints = in_model_frame(model_type, mesh, build), joints_in_model_frame(model_type, build)
    joints_all = np.stack([joints, *(joints_in_model_frame(model_type, build.plus(s)) for s in SHAPES)])
    shapes = np.concatenate([template[None], template + shape_columns(model_type, gender).transpose(2, 0, 1)])
    rows = model_tables.fitted_regressor(
        shapes, joints_all, model_tables.joint_candidates(mesh.weights, template, joints)
    )
    return rows[list(JOINTS[model_type])]


def model_weights(model_type: str, weights: Array) -> Array:
    """(V, J) skinning weights of the model type: those of joints it lacks are given to the next one up the tree."""
    kept = {j: n for n, j in enumerate(JOINTS[model_type])}
    out = np.zeros((len(weights), len(kept)))
    for j in range(55):
        heir = j
        if model_type == "smpl" and j >= 25:
            heir = 28 if j < 40 else 43
        while heir not in kept:
            heir = PARENTS[heir]
        out[:, kept[heir]] += weights[:, j]
    return out


@lru_cache(maxsize=6)
def model_posedirs(model_type: str, seed: int) -> Array:
    """(V, 3, 9 (J - 1)) float32 pose correctives of the model type; the same for all genders."""
    mesh = make_mesh(model_type)
    template = mesh.positions(NEUTRAL)
    full = model_tables.pose_correctives(
        template, vertex_normals(template, mesh.faces), mesh.weights, NEUTRAL.joints(), np.random.default_rng(seed)
    )
    kept = np.array(JOINTS[model_type][1:]) - 1
    return np.ascontiguousarray(full.reshape(len(template), 3, 54, 9)[:, :, kept].reshape(len(template), 3, -1))


def vertex_normals(vertices: Array, faces: Array) -> Array:
    """(V, 3) unit normals, averaged over the faces around each vertex by area."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    out = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(out, faces[:, k], normal)
    return np.asarray(out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12))


def kintree(model_type: str) -> Array:
    """(2, J) uint32: parents with 2^32 - 1 for the root, and the joints' own numbers."""
    parents = np.array(TOPOLOGY[model_type].parents, np.int64) % 2**32
    return np.stack([parents, np.arange(len(parents))]).astype(np.uint32)


def hand_members(seed: int) -> dict[str, Array]:
    """The mean hands and their components, as SMPL-H and SMPL-X files name them."""
    rng = np.random.default_rng(seed + 1)
    (mean_l, mean_r), (rows_l, rows_r) = model_tables.hand_means(), model_tables.hand_components(rng)
    coefficients = rng.normal(size=(60, 45)) * np.linspace(0.6, 0.02, 45)
    return {
        **{"hands_meanl": mean_l, "hands_meanr": mean_r, "hands_componentsl": rows_l, "hands_componentsr": rows_r},
        **{"hands_coeffsl": coefficients, "hands_coeffsr": coefficients.copy()},
    }


@lru_cache(maxsize=1)
def landmark_members(model_type: str) -> dict[str, Array]:
    """The static and dynamic face landmark tables; found on the neutral build and the same for all genders."""
    mesh = make_mesh(model_type)
    index, bary = landmarks.static_landmarks(mesh)
    rim, rim_bary = landmarks.contour_landmarks(mesh)
    return {
        "lmk_faces_idx": index.astype(np.int64),
        "lmk_bary_coords": bary,
        "dynamic_lmk_faces_idx": rim.astype(np.int64),
        "dynamic_lmk_bary_coords": rim_bary,
    }


def uv_members(mesh: Mesh) -> dict[str, Array]:
    """A valid if plain texture atlas: the front view, one texture coordinate a vertex."""
    flat = mesh.positions(NEUTRAL)[:, :2]
    low, high = flat.min(0), flat.max(0)
    return {"vt": (flat - low) / (high - low), "ft": mesh.faces.astype(np.uint32)}
