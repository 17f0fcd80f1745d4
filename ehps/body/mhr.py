"""Momentum Human Rig (MHR): bodies of files that have its parameters, fitted with SMPL-X.

The rig itself is Meta's package ``mhr`` with ``pymomentum``; of it only vertices are asked. They are centimetres with y
up; negating y and z gives the camera frame. A barycentric map of Meta's takes them to the vertices of SMPL-X, to which
the parameters are fitted (:mod:`ehps.body.fitting`).
Source: facebookresearch/MHR (README, mhr/mhr.py, tools/mhr_smpl_conversion); that its mapped noses, eyes, ears, toes
and finger tips lie within 9 mm of the 70 points of SAM 3D Body was measured on the four sample files beside that tool.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ehps.arrays import Array
from ehps.body.fitting import Fitted, fit
from ehps.body.meshes import picked_joints
from ehps.body.models import BodyModels
from ehps.body.refits import FACE, RESIDUAL, with_joints
from ehps.body.topology import TOPOLOGY
from ehps.errors import BodyModelError, DataError, UsageError
from ehps.extras import installed
from ehps.humandata import merging
from ehps.humandata.core import HumanData
from ehps.humandata.keypoints import point_names
from ehps.humandata.pickles import load_npz
from ehps.progress import counting

MODEL, SHAPE, EXPRESSION = "mhr/model_params", "mhr/shape_params", "mhr/expr_params"
DISTANCE = "meta/mhr_distance_m"
POINTS = "keypoints3d_original"
LIMIT = 0.008
"""Mean distance of the vertices in metres from which on Meta's tool calls a fit a failure."""
FOLDER = "mhr"
FILES = ("lod1.fbx", "compact_v6_1.model", "corrective_blendshapes_lod1.npz", "corrective_activation.npz")
MAP = "mhr2smplx_mapping.npz"
PACKAGES = ("mhr", "pymomentum")
SOURCE = "github.com/facebookresearch/MHR"
BLOCK = 64  # bodies at a time: their two meshes take 90 MB
TO_CAMERA = np.array([0.01, -0.01, -0.01])
ON_SURFACE = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
    *(f"{side}_{part}" for side in ("left", "right") for part in ("bigtoe", "smalltoe")),
    *(f"{side}_{tip}" for side in ("left", "right") for tip in ("thumb", "index", "middle", "ring", "pinky")),
)
"""Points that are vertices of SMPL-X, and lie within a centimetre of those of the same name of SAM 3D Body."""
AT_POINTS = 0.02  # metres: bodies that are so near to their 3D points are in their place
OFF_POINTS = 0.05  # metres: points that are so far off, once the body is in its place, are not its own


class Rig(Protocol):
    """What gives the meshes."""

    faces: Array
    """(F, 3) vertex numbers."""

    def vertices(self, model_params: Array, shape_params: Array, expr_params: Array) -> Array:
        """(N, V, 3) centimetres, y up."""
        ...


class MHR:
    """Meta's rig at the level of detail that the map is for.

    Parameters
    ----------
    folder : that of the body models; the rig is in ``mhr`` or ``mhr/assets`` below it.

    Raises
    ------
    UsageError : a package that it needs is not installed.
    BodyModelError : a file is missing.
    """

    def __init__(self, folder: Path) -> None:
        if missing := [name for name in PACKAGES if not installed(name)]:
            raise UsageError(
                f"fitting SMPL-X to Momentum Human Rig needs the Python packages {' and '.join(PACKAGES)}; "
                f"not installed: {', '.join(missing)}",
                fix=f"run pip install mhr pymomentum-cpu, or install them with pixi as {SOURCE} says",
            )
        import torch
        from mhr import mhr

        places = folder / FOLDER, folder / FOLDER / "assets"
        found = next((place for place in places if (place / FILES[0]).is_file()), places[0])
        if absent := [name for name in FILES if not (found / name).is_file()]:
            fix = f"unpack assets.zip of the releases of {SOURCE} into it"
            raise BodyModelError(f"has no {', '.join(absent)}", path=found, fix=fix)
        self._model = mhr.MHR.from_files(found, device=torch.device("cpu"), lod=1)
        self.faces = np.asarray(self._model.character.mesh.faces)

    def vertices(self, model_params: Array, shape_params: Array, expr_params: Array) -> Array:
        import torch

        shape, model, expression = (
            torch.from_numpy(np.ascontiguousarray(values, np.float32))
            for values in (shape_params, model_params, expr_params)
        )
        with torch.no_grad():
            found = self._model(identity_coeffs=shape, model_parameters=model, face_expr_coeffs=expression)
        return np.asarray(found[0].numpy())


@dataclass(frozen=True)
class SurfaceMap:
    """Where the vertices of SMPL-X are on the surface of the rig.

    Attributes
    ----------
    corners : (10475, 3) vertex numbers of the rig.
    weights : (10475, 3) of these, barycentric.
    """

    corners: Array
    weights: Array

    def apply(self, vertices: Array) -> Array:
        """(N, 10475, 3) float32 metres in the camera's axes, of the rig's vertices (N, V, 3) in centimetres."""
        weights = self.weights.astype(np.float32)[:, :, None]
        found = sum(weights[:, k] * vertices[:, self.corners[:, k]] for k in range(3))
        return np.asarray(found * TO_CAMERA.astype(np.float32), np.float32)


def surface_map(folder: Path, faces: Array) -> SurfaceMap:
    """The map of Meta's conversion tool.

    Parameters
    ----------
    folder : that of the body models; the map is in ``mhr`` or ``mhr/assets`` below it.
    faces : (F, 3) of the rig.

    Raises
    ------
    BodyModelError : it is missing, or is for other surfaces.
    """
    places = folder / FOLDER / MAP, folder / FOLDER / "assets" / MAP
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        fix = f"copy tools/mhr_smpl_conversion/assets/{MAP} of {SOURCE} into it"
        raise BodyModelError(f"has no {MAP}", path=folder / FOLDER, fix=fix)
    held = load_npz(path)
    vertices = TOPOLOGY["smplx"].vertices
    ids, weights = (held.get(name, np.zeros(0)) for name in ("triangle_ids", "baryc_coords"))
    fits = ids.shape == (vertices,) and ids.dtype.kind in "iu" and weights.shape == (vertices, 3)
    if not fits or ids.min() < 0 or ids.max() >= len(faces) or np.abs(weights.sum(axis=1) - 1).max() > 1e-3:
        raise BodyModelError(f"is no map from {len(faces)} triangles to {vertices} vertices", path=path)
    return SurfaceMap(faces[ids], weights)


def has_mhr(hd: HumanData) -> bool:
    """Whether bodies of the file are those of the rig, and of no other model."""
    return hd.body_model is None and MODEL in hd and SHAPE in hd


def with_smplx(
    hd: HumanData, models: BodyModels, *, rig: Rig | None = None, num_betas: int = 10, show: bool | None = None
) -> HumanData:
    """The rows that SMPL-X can be fitted to, with its parameters and joints beside those of the rig.

    Left out are rows without a usable fit of the rig, whose surface is not on their own 3D points, and whose SMPL-X is
    further than :data:`LIMIT` from it; the passport says how many of each. The mean distance of the vertices is
    :data:`DISTANCE`, their root mean square distance :data:`RESIDUAL`. Bodies are put where the 3D points are, unless
    they are there.

    Parameters
    ----------
    hd : with ``mhr/*`` and the 70 points of SAM 3D Body in the camera frame.
    models : with the neutral SMPL-X, and the files of :class:`MHR` and its map.
    rig : what gives the meshes; :class:`MHR` by default.
    num_betas : to fit.
    show : progress.

    Raises
    ------
    UsageError : the rig's packages are not installed.
    BodyModelError : a file of the body models is missing.
    DataError : there is nothing to fit to, or no row is left.
    """
    if not has_mhr(hd):
        raise DataError(f"has no {MODEL}", path=hd.source, fix="convert it again with this version")
    names = hd.keypoint_names.get(POINTS, ())
    if lacking := [name for name in ON_SURFACE if name not in names]:
        what = f"has no 3D points {lacking[0]}, ... by which the place of a body is known"
        raise DataError(what, path=hd.source, fix="convert it again with this version")
    rig = MHR(models.folder) if rig is None else rig
    to_smplx = surface_map(models.folder, rig.faces)
    model = models.get("smplx", "neutral")
    fitted = np.isfinite(np.asarray(hd[MODEL])).all(axis=1) & np.isfinite(np.asarray(hd[SHAPE])).all(axis=1)
    if "meta/mhr_valid" in hd:
        fitted &= np.asarray(hd["meta/mhr_valid"])
    rows = np.flatnonzero(fitted)
    found: list[_Block] = []
    with counting("fitting SMPL-X", len(rows), show=show) as advance:
        for at in range(0, len(rows), BLOCK):
            part = hd[rows[at : at + BLOCK]]
            meshes = to_smplx.apply(rig.vertices(*_parameters(part)))
            offset, spread = _from_points(meshes, np.asarray(part[POINTS]), names)
            result = fit(model, meshes, num_betas=num_betas, still=FACE)
            away = np.linalg.norm(models.mesh(result.params) - meshes, axis=2).mean(axis=1)
            found.append(_Block(result, away, offset, spread))
            advance(len(part))
    return _with_columns(hd, rows, found, models, num_betas)


@dataclass(frozen=True)
class _Block:
    """Fits of some rows.

    Attributes
    ----------
    fitted : SMPL-X.
    away : (N,) metres, mean distance of its vertices from the rig's surface.
    offset : (N, 3) metres from the surface to the row's own 3D points.
    spread : (N,) metres, mean distance of these that is left then; NaN where there are none.
    """

    fitted: Fitted
    away: Array
    offset: Array
    spread: Array


def _parameters(hd: HumanData) -> tuple[Array, Array, Array]:
    expression = np.nan_to_num(np.asarray(hd[EXPRESSION])) if EXPRESSION in hd else np.zeros((len(hd), 72), np.float32)
    return np.asarray(hd[MODEL]), np.asarray(hd[SHAPE]), expression


def _from_points(meshes: Array, points: Array, names: tuple[str, ...]) -> tuple[Array, Array]:
    """Offset (N, 3) of the points (N, K, 4) from the meshes, and (N,) how far they are off once it is made up for."""
    joints, _ = picked_joints(meshes)
    own, smplx = list(names), list(point_names(TOPOLOGY["smplx"].convention))
    theirs = points[:, [own.index(name) for name in ON_SURFACE]].astype(np.float64)
    gap = theirs[..., :3] - joints[:, [smplx.index(name) for name in ON_SURFACE]]
    seen = theirs[..., 3:] > 0
    count = seen.sum(axis=1)
    offset = np.where(seen, gap, 0).sum(axis=1) / np.maximum(count, 1)
    left = np.linalg.norm(gap - offset[:, None], axis=2)[..., None]
    spread = np.where(seen, left, 0).sum(axis=1)[:, 0] / np.maximum(count[:, 0], 1)
    return offset, np.where(count[:, 0] > 0, spread, np.nan)


def _with_columns(hd: HumanData, rows: Array, found: list[_Block], models: BodyModels, num_betas: int) -> HumanData:
    """The rows of a file whose fits can be used."""
    away, spread = (np.concatenate([getattr(one, name) for one in found] or [[]]) for name in ("away", "spread"))
    offset = np.concatenate([one.offset for one in found] or [np.zeros((0, 3))])
    placed = spread <= OFF_POINTS
    keep = placed & (away <= LIMIT)
    left_out = {
        "without a fit of the rig that may be used": len(hd) - len(rows),
        "whose rig is not on their own 3D points": int((~placed).sum()),
        f"with a distance above {1000 * LIMIT:g} mm": int((placed & ~keep).sum()),
    }
    gone = ", ".join(f"{count:,} {what}" for what, count in left_out.items() if count)
    if not keep.any():
        raise DataError(f"no row can be fitted: {gone}", path=hd.source, fix="look at it with `ehps humandata view`")
    moved = bool(np.median(np.linalg.norm(offset[keep], axis=1)) > AT_POINTS)
    columns: dict[str, Any] = {}
    arrays = [one.fitted.params.arrays() for one in found]
    for name in arrays[0]:
        columns[f"smplx/{name}"] = np.concatenate([values[name] for values in arrays])[keep].astype(np.float32)
    if moved:
        columns["smplx/transl"] += offset[keep].astype(np.float32)
    columns[RESIDUAL] = np.concatenate([one.fitted.residual for one in found])[keep].astype(np.float32)
    columns[DISTANCE] = away[keep].astype(np.float32)
    columns[merging.GENDER] = ["neutral"] * int(keep.sum())
    millimetres = 1000 * away[keep]
    said = f"SMPL-X fitted with {num_betas} betas to the surface of {int(keep.sum()):,} rigs: vertices "
    said += f"{np.median(millimetres):.2f} mm away in the median, {millimetres.max():.2f} mm at most (mean of a body)"
    said += ", bodies put where the 3D points are" if moved else ""
    said += f"; left out: {gone}" if gone else ""
    kept = hd[rows[keep]]
    out = kept.without([name for name in hd.columns if name.startswith("quality/")]).with_columns(columns)
    out.quality = {}
    out.passport = hd.passport.with_(
        body_model="smplx",
        body_model_version=models.version("smplx", "neutral"),
        num_betas=num_betas,
        gender="neutral",
        flat_hand_mean=True,
        changes="; ".join(filter(None, [hd.passport.changes, said])),
    )
    return with_joints(out, models, "smplx")
