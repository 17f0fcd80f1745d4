"""Writing predictions as the files that AGORA's server takes; their form is in
:mod:`ehps.benchmark.suites.agora_files`.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.benchmark.protocols.agora_official import GIVEN, LARGE, PROJECTED, pixels, resized, sizes_of
from ehps.benchmark.suites.agora_files import (
    BETAS,
    EXPRESSIONS,
    JOINTS_3D,
    MOST_BETAS,
    TYPES,
    check,
    image_name,
    shapes,
)
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams
from ehps.body.topology import NAMES, POSE_PARTS
from ehps.body.variants import params_of, with_hand_mean
from ehps.errors import DataError, UsageError
from ehps.humandata import frames
from ehps.humandata.core import HumanData
from ehps.humandata.instance_ids import place_in_image

BATCH = 256


def export(predictions: HumanData, out: Path, models: BodyModels, *, vertices: bool = False) -> int:
    """Write predictions as files for the server, in the folder ``out``.

    Images are called by their names without folder and ending; ``K`` is ``meta/person_id`` where the predictions have
    it, the place in the image otherwise.

    Parameters
    ----------
    predictions : SMPL-X or SMPL in the camera frame. Pixels of joints are those of ``keypoints2d_agora`` where there
        are some, otherwise projected through each row's own camera, scaled to 3840 x 2160 by ``meta/height`` and
        ``meta/width``.
    vertices : write meshes and joints instead of parameters.

    Returns
    -------
    Number of files.

    Raises
    ------
    UsageError : ``out`` has pickles already.
    DataError : the server would refuse the predictions, or read something else in them.
    """
    if out.is_dir() and any(out.glob("*.pkl")):
        raise UsageError("has pickles already, which would be sent along", path=out, fix="write to another folder")
    if not vertices:
        frames.require_full_head(predictions, "AGORA's server")
    hd = with_hand_mean(predictions, False, models) if predictions.passport.flat_hand_mean else predictions
    params = params_of(hd)
    if params.model_type not in TYPES:
        raise DataError(f"has {NAMES[params.model_type]} bodies; AGORA takes SMPL-X or SMPL", path=hd.source)
    names = file_names(hd)
    points = _points(hd, params, models)
    kids = _check_bodies(hd, params, vertices=vertices)
    out.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(names), BATCH):
        rows = np.arange(start, min(start + BATCH, len(names)))
        contents = (
            _meshes(params[rows], points[rows], models)
            if vertices
            else _parameters(params[rows], points[rows], kids[rows])
        )
        for name, content in zip(names[start : start + BATCH], contents, strict=True):
            check(content, out / name)
            (out / name).write_bytes(pickled(content))
    return len(names)


def file_names(hd: HumanData) -> list[str]:
    """(N,) file of each prediction.

    Raises
    ------
    DataError : two people of an image have one number, two images one name, or a name is none that the tool finds.
    """
    paths = hd["image_path"].tolist()
    stems = [image_name(path) for path in paths]
    distinct, code = np.unique(stems, return_inverse=True)
    owner: dict[str, str] = {}
    for stem, path in zip(stems, paths, strict=True):
        if not stem or "." in stem:
            raise DataError(f"{path!r} has a name with a dot in it, which the tool cuts off there", path=hd.source)
        if owner.setdefault(stem, path) != path:
            what = f"{owner[stem]} and {path} are both called {stem} there"
            raise DataError(what, path=hd.source, fix="predict one size of the images, one split at a time")
    persons = place_in_image(code)
    if "meta/person_id" in hd:
        persons = np.asarray(hd["meta/person_id"])
        if persons.dtype.kind not in "iu" or (persons < 0).any():
            raise DataError("meta/person_id is no number from 0 on", path=hd.source, fix="leave the column out")
    files = [f"{distinct[c]}_personId_{person}.pkl" for c, person in zip(code, persons.tolist(), strict=True)]
    found, counts = np.unique(files, return_counts=True)
    if (counts > 1).any():
        what = (
            f"{counts.max()} predictions would be {found[counts.argmax()]}: more than one person has one meta/person_id"
        )
        raise DataError(what, path=hd.source, fix="number the people of each image, or leave the column out")
    return files


def _points(hd: HumanData, params: BodyParams, models: BodyModels) -> Array:
    """(N, J, 2) pixels of 3840 x 2160, NaN where a person has fewer joints."""
    rows = np.arange(len(hd))
    sizes = sizes_of(hd, rows)
    if not (sizes > 0).all():
        raise DataError("does not say how large the images are (meta/height, meta/width)", path=hd.source)
    if GIVEN in hd:
        given = np.asarray(hd[GIVEN], np.float64)
        own = np.where(given[..., 2:3] > 0, given[..., :2], np.nan)
    else:
        own = pixels(hd, rows, params, models, PROJECTED)
    return resized(own, sizes, np.broadcast_to(LARGE, sizes.shape))


def _check_bodies(hd: HumanData, params: BodyParams, *, vertices: bool) -> Array:
    """(N,) bool, which are children.

    Raises
    ------
    DataError : the server would make other bodies of them.
    """
    extra = np.zeros(len(params)) if params.betas_extra is None else np.asarray(params.betas_extra).reshape(len(params))
    for name, value in params.arrays().items():
        if not np.isfinite(value).all():
            raise DataError(f"{params.model_type}/{name} is not finite in some rows", path=hd.source)
    kids: Array = extra != 0
    if vertices:
        return kids
    smpl = params.model_type == "smpl"
    wrong: dict[str, Array] = {
        "has more betas than AGORA would read": np.any(params.betas[:, BETAS:], axis=1) & (kids | smpl),
        "has more betas than the server takes": np.any(params.betas[:, MOST_BETAS:], axis=1),
    }
    if smpl:
        wrong["is of a gender's model, for which AGORA takes the neutral one"] = params.gender != "neutral"
    else:
        wrong["is a girl of the female model, for which AGORA takes the neutral one"] = kids & (
            params.gender == "female"
        )
    if params.expression is not None:
        wrong["has more than 10 expression coefficients"] = np.any(params.expression[:, EXPRESSIONS:], axis=1)
    for what, rows in wrong.items():
        if rows.any():
            where = f"row {int(np.flatnonzero(rows)[0])}"
            raise DataError(f"{where} {what}", path=hd.source, fix="write the meshes instead (`--vertices`)")
    return kids


def _parameters(params: BodyParams, points: Array, kids: Array) -> Iterator[dict[str, Any]]:
    model_type = params.model_type
    count = BETAS if model_type == "smpl" else min(max(params.betas.shape[1], BETAS), MOST_BETAS)
    betas = _columns(params.betas, count)
    for i, kid in enumerate(kids.tolist()):
        own = betas[i]
        content: dict[str, Any] = {"pose2rot": True}
        if kid:
            assert params.betas_extra is not None
            own = np.append(own[:BETAS], np.asarray(params.betas_extra).reshape(len(params))[i])
            content |= {"kid_flag": True, "age": "kid"}
        if model_type == "smplx":
            content |= {"gender": str(params.gender[i]), "num_betas": len(own)}
        values = {name: getattr(params, name)[i] for name in POSE_PARTS[model_type]}
        values |= {"transl": params.transl[i], "betas": own}
        if model_type == "smplx":
            values["expression"] = _columns(np.asarray(params.expression), EXPRESSIONS)[i]
        wanted = shapes(model_type, len(own), matrices=False)
        content["params"] = {name: np.asarray(values[name]).reshape(shape) for name, shape in wanted.items()}
        yield content | {"joints": _present(points[i])}


def _meshes(params: BodyParams, points: Array, models: BodyModels) -> Iterator[dict[str, Any]]:
    vertices = np.ascontiguousarray(models.mesh(params))
    joints = models.joints(params, "float64")[:, : JOINTS_3D[params.model_type]]
    for i in range(len(params)):
        yield {"joints": _present(points[i]), "verts": vertices[i], "allSmplJoints3d": joints[i]}


def _present(points: Array) -> Array:
    return points[~np.isnan(points).any(axis=1)]


def _columns(values: Array, count: int) -> Array:
    """(N, count): zeros behind those that there are, or without those behind."""
    out = np.zeros((len(values), count), values.dtype)
    out[:, : min(count, values.shape[1])] = values[:, :count]
    return out


def pickled(content: dict[str, Any]) -> bytes:
    """Bytes that the numpy of the server can read: version 2 calls a module by a name that version 1 does not know.

    Protocol 2 writes such names as lines.
    """
    return pickle.dumps(content, protocol=2).replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
