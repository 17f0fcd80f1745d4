"""Files whose bodies are of another model type or release than is wanted: SMPL, SMPL-H and SMPL-X fitted to each other.

The mesh of every row is taken to the topology of the other model (by the matrices of the SMPL-X site where they differ)
and the model is fitted to it, see :mod:`ehps.body.fitting`. What that costs is a number in every row, :data:`RESIDUAL`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.body.fitting import Fitted, fit
from ehps.body.helper_files import transferred_vertices, vertex_transfer
from ehps.body.joints import full_pose
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams, genders, groups
from ehps.body.projected import in_image, lacking_columns
from ehps.body.topology import NAMES, TOPOLOGY
from ehps.body.variants import genders_of, has_locked_head, params_of
from ehps.errors import DataError, UsageError
from ehps.humandata import merging
from ehps.humandata.core import HumanData
from ehps.humandata.keypoints import point_names
from ehps.progress import counting

RESIDUAL = "meta/refit_residual_m"
BLOCK = 256  # bodies at a time: bounds memory
FACE = (22, 23, 24)  # chain joints of SMPL-X that no vertex of SMPL tells: jaw and eyes
SHARED = 22  # chain joints that all model types begin with


def refitted(
    params: BodyParams,
    models: BodyModels,
    model_type: str,
    *,
    source: BodyModels | None = None,
    gender: str | None = None,
    num_betas: int = 10,
) -> Fitted:
    """Parameters of another model type or release for the same bodies in the same frame.

    Jaw, eyes and expression are kept between releases of SMPL-X and stay zero where the bodies are SMPL's.

    Parameters
    ----------
    params : of one model type and release.
    models : to fit; for SMPL or SMPL-H and SMPL-X with the matrices between their vertices.
    model_type : smplx, smplh or smpl.
    source : the models that ``params`` belong to, ``models`` by default.
    gender : of the models to fit; each row's own by default.
    num_betas : to fit.

    Returns
    -------
    As of :func:`ehps.body.fitting.fit`, with absolute hands.

    Raises
    ------
    BodyModelError : a model or a matrix is missing.
    PassportError : the parameters belong to another release than ``source``.
    """
    source = source or models
    n, topology = len(params), TOPOLOGY[model_type]
    params = source.of(params).with_full_hands(params)
    transfer, weights = None, None
    if TOPOLOGY[params.model_type].vertices != topology.vertices:
        before, after = ("smplx", "smpl") if params.model_type == "smplx" else ("smpl", "smplx")
        transfer = vertex_transfer(models.folder, before, after)
        ids = transferred_vertices(models.folder) if after == "smplx" else None
        if ids is not None:
            weights = np.zeros(topology.vertices)
            weights[ids] = 1
    wanted = params.gender if gender is None else genders(gender, n)
    start = _start(params, source, model_type)
    own_face = params.model_type == model_type == "smplx"
    found: list[tuple[Array, Fitted]] = []
    for own, _, rows in groups(params.with_(gender=wanted)):
        model = models.get(model_type, own)
        for at in range(0, len(rows), BLOCK):
            some = rows[at : at + BLOCK]
            meshes = source.mesh(params[some])
            if transfer is not None:
                meshes = np.stack([np.asarray(transfer @ mesh) for mesh in meshes])
            result = fit(
                model,
                meshes,
                start=start[some],
                num_betas=num_betas,
                weights=weights,
                still=FACE if model_type == "smplx" else (),
                expression=None if params.expression is None or not own_face else params.expression[some],
            )
            found.append((some, result))
    return _joined(found, n)


def with_model(
    hd: HumanData,
    models: BodyModels,
    model_type: str,
    *,
    source: BodyModels | None = None,
    gender: str | None = None,
    num_betas: int = 10,
    show: bool | None = None,
) -> HumanData:
    """The file with parameters of ``model_type`` in place of its own, joints of the new bodies, and :data:`RESIDUAL`.

    Columns of joints of the former model type stay, under its name; the quality of the former parameters does not.

    Parameters
    ----------
    source : the models that the file's bodies belong to, ``models`` by default.
    gender : neutral, or each row's own by default.
    show : progress.

    Raises
    ------
    DataError : the file has no body parameters.
    UsageError : it has those of ``model_type`` already, and of that release.
    PassportError : it does not say whose model they belong to, or what its hands are relative to; or they belong to
        another release than ``source``.
    BodyModelError : a model or a matrix between vertices is missing.
    """
    own = hd.body_model
    if own is None:
        raise DataError("has no body parameters", path=hd.source, fix="convert it again with body models")
    source = source or models
    if has_locked_head(hd):
        source = source.locked_head()
    source.require(own)
    if own == model_type and (source is models or _same_release(hd, source, models)):
        fix = f"pass --from-models with the {NAMES[own]} that they belong to if that is another release"
        raise UsageError(f"its bodies are {NAMES[own]} of that release already", path=hd.source, fix=fix)
    n = len(hd)
    parts: list[tuple[Array, Fitted]] = []
    with counting(f"fitting {NAMES[model_type]}", n, show=show) as advance:
        for at in range(0, n, BLOCK):
            rows = np.arange(at, min(at + BLOCK, n))
            part = params_of(hd[rows], own)
            parts.append((rows, refitted(part, models, model_type, source=source, gender=gender, num_betas=num_betas)))
            advance(len(rows))
    done = _joined(parts, n)
    gone = [name for name in hd.columns if name.startswith((f"{own}/", "quality/"))]
    columns: dict[str, Any] = {
        f"{model_type}/{name}": value.astype(np.float32) for name, value in done.params.arrays().items()
    }
    columns[RESIDUAL] = done.residual.astype(np.float32)
    columns[merging.GENDER] = done.params.gender.tolist()
    if merging.SUBJECT not in hd and merging.GENDER in hd:
        columns[merging.SUBJECT] = hd[merging.GENDER]
    out = hd.without(gone).with_columns(columns)
    out.quality = {}
    version = models.version(model_type, done.params.gender)
    millimetres = 1000 * done.residual
    said = f"{n:,} bodies of {_named(hd, own)} fitted with {num_betas} betas of {NAMES[model_type]} {version}"
    if n:
        said += f": vertices {np.median(millimetres):.2f} mm away in the median, {millimetres.max():.2f} mm at most "
        said += "(root mean square of a body)"
    out.passport = hd.passport.with_(
        body_model=model_type,
        body_model_version=version,
        num_betas=num_betas,
        gender="neutral" if (done.params.gender == "neutral").all() else "per-instance",
        flat_hand_mean=None if model_type == "smpl" else True,
        changes="; ".join(filter(None, [hd.passport.changes, said])),
    )
    return with_joints(out, models, model_type)


def _same_release(hd: HumanData, source: BodyModels, models: BodyModels) -> bool:
    own, words = str(hd.body_model), np.unique(genders_of(hd))
    return source.version(own, words) == models.version(own, words)


def _named(hd: HumanData, model_type: str) -> str:
    return f"{NAMES[model_type]} {hd.passport.body_model_version}"


def _start(params: BodyParams, source: BodyModels, model_type: str) -> Array:
    """(N, J, 3) axis-angle of the chain joints of another model type: those that both have."""
    start = np.zeros((len(params), TOPOLOGY[model_type].joints, 3))
    before, after = TOPOLOGY[params.model_type], TOPOLOGY[model_type]
    own = source.of(params)
    for gender, _, rows in groups(params):
        pose = full_pose(own.get(params.model_type, gender), params[rows])
        start[rows, :SHARED] = pose[:, :SHARED]
        if params.model_type == model_type:
            start[rows] = pose
        for side in ("left_hand", "right_hand"):
            fingers, there = getattr(before, side), getattr(after, side)
            if fingers is not None and there is not None:
                start[rows, there] = pose[:, fingers]
    return start


def _joined(parts: list[tuple[Array, Fitted]], n: int) -> Fitted:
    """One result of those of some rows each."""
    first = parts[0][1].params
    arrays = {name: np.zeros((n, *value.shape[1:])) for name, value in first.arrays().items()}
    gender, residual = np.empty(n, first.gender.dtype), np.zeros(n)
    for rows, part in parts:
        for name, value in part.params.arrays().items():
            arrays[name][rows] = value
        gender[rows], residual[rows] = part.params.gender, part.residual
    return Fitted(first.with_(gender=gender, **arrays), residual)


def with_joints(hd: HumanData, models: BodyModels, model_type: str) -> HumanData:
    """The file with joints of its bodies in metres and, where it has a camera, in pixels."""
    n = len(hd)
    names = point_names(TOPOLOGY[model_type].convention)
    columns: dict[str, Any] = {f"keypoints3d_{model_type}": np.ones((n, len(names), 4), np.float32)}
    camera = not lacking_columns(hd)
    if camera:
        columns[f"keypoints2d_{model_type}"] = np.zeros((n, len(names), 3), np.float32)
    for at in range(0, n, BLOCK):
        rows = slice(at, at + BLOCK)
        joints = models.joints(params_of(hd[rows]))
        columns[f"keypoints3d_{model_type}"][rows, :, :3] = joints
        if camera:
            columns[f"keypoints2d_{model_type}"][rows] = in_image(hd[rows], joints)
    return hd.with_columns(columns, keypoint_names=dict.fromkeys(columns, names))
