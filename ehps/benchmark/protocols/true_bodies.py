"""The true bodies of a test set: which rows a protocol tests, their parameters, and their meshes.

Parameters of any HumanData rows, predictions included, are read here as :class:`~ehps.body.params.BodyParams`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ehps.arrays import Array
from ehps.benchmark.protocols.protocol import Protocol
from ehps.body import rotations
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams, smplx_params
from ehps.body.topology import TOPOLOGY
from ehps.body.variants import genders_of, neutral_betas, params_of
from ehps.errors import DataError, UsageError
from ehps.humandata import frames
from ehps.humandata.core import HumanData
from ehps.humandata.image_files import images_of
from ehps.humandata.instance_ids import place_in_image
from ehps.humandata.passport import UNKNOWN
from ehps.humandata.pickles import load_npy

EXTREME = 3.0  # |beta| beyond which a shape is not trusted
SMPLX_VERTICES = TOPOLOGY["smplx"].vertices
EXCLUDED = "meta/excluded_from_test"
"""(N,) bool, never stored: rows that an exclusion list names. They keep their numbers and are not tested."""


def parameters(hd: HumanData, rows: Array, *, model_type: str = "smplx") -> BodyParams:
    """Parameters of some rows, each of its own gender's model (kids with their extra coefficient).

    Raises
    ------
    DataError : the file has no parameters of that model type.
    """
    if f"{model_type}/betas" not in hd:
        raise DataError(f"has no {model_type} parameters", path=hd.source, fix="convert it with body models")
    other = [name for name in hd.columns if not name.startswith(f"{model_type}/") and name != "meta/gender"]
    return params_of(hd.without(other)[rows], model_type)


def check_bodies(hd: HumanData, rows: Array, model_type: str, *, placed: bool = False) -> None:
    """Refuse bodies without a pose, which would be taken for unposed ones, and numbers that are none.

    Parameters
    ----------
    placed : they need a place in front of the camera too.

    Raises
    ------
    DataError : a column is missing, or a value of these rows is not finite.
    """
    names = [name for name in hd.columns if name.startswith(f"{model_type}/")]
    for name in ("global_orient", "body_pose", *(("transl",) if placed else ())):
        if names and f"{model_type}/{name}" not in names:
            raise DataError(f"has no {model_type}/{name}", path=hd.source, fix="write that of every row")
    for name in names:
        values = hd[name][rows]
        if not isinstance(values, np.ndarray) or values.dtype.kind != "f":
            continue
        bad = ~np.isfinite(values.reshape(len(rows), -1)).all(axis=1)
        if bad.any():
            count, first = int(bad.sum()), int(np.asarray(rows)[bad][0])
            raise DataError(
                f"{name} is not finite in {count} of {len(rows)} rows (first: row {first})",
                path=hd.source,
                fix="write numbers there, or leave those rows out of the test set",
            )


def neutral(hd: HumanData, rows: Array, models: BodyModels) -> BodyParams:
    """Parameters of some rows for the neutral SMPL-X.

    Shapes are ``betas_neutral`` where the file has them, otherwise gendered ones refitted to the neutral model.
    """
    params = parameters(hd, rows)
    own = hd["smplx/betas_neutral"][rows] if "smplx/betas_neutral" in hd else None
    return params.with_(
        gender=np.full(len(params), "neutral"),
        betas=neutral_shapes(params.betas, params.gender, models) if own is None else np.asarray(own, np.float64),
        betas_extra=None,
    )


def neutral_shapes(betas: Array, gender: Array, models: BodyModels) -> Array:
    """Betas of the neutral SMPL-X whose rest shapes are nearest to those of gendered models.

    Parameters
    ----------
    betas : (N, B).
    gender : (N,) genders of the models that they belong to.

    Returns
    -------
    (N, B) where all are neutral already, otherwise (N, max(B, 10)): neutral shapes as they are, others with 10 betas.
    """
    own = gender == "neutral"
    if own.all():
        return betas
    n, still = len(betas), np.zeros((1, 63))
    params = smplx_params(
        gender=gender,
        betas=betas,
        global_orient=np.broadcast_to(still[:, :3], (n, 3)),
        body_pose=np.broadcast_to(still, (n, 63)),
        transl=np.broadcast_to(still[:, :3], (n, 3)),
    )
    fitted = neutral_betas(params, models)[0]
    shapes = np.zeros((n, max(betas.shape[1], fitted.shape[1])))
    shapes[:, : fitted.shape[1]] = fitted
    shapes[own, : betas.shape[1]] = betas[own]
    return shapes


def true_parameters(
    protocol: Protocol, hd: HumanData, rows: Array, models: BodyModels
) -> tuple[BodyParams, dict[str, int]]:
    """Parameters of the true bodies of some rows, as the protocol wants them.

    Returns
    -------
    Parameters, and counts of what was treated specially: ``extreme_betas`` are compared as the mean shape,
    ``refitted_betas`` were those of another gender's model.

    Raises
    ------
    DataError : the file has no parameters of the protocol's model type.
    """
    special: dict[str, int] = {}
    if protocol.truth == "neutral-parameters" and protocol.body == "smplx":
        params = neutral(hd, rows, models)
        if "smplx/betas_neutral" not in hd and (other := int((genders_of(hd[rows]) != "neutral").sum())):
            special["refitted_betas"] = other
        looking_ahead = np.zeros((len(params), 3))
        params = params.with_(leye_pose=looking_ahead, reye_pose=looking_ahead)
    else:
        params = parameters(hd, rows, model_type=protocol.body)
        if protocol.truth != "gendered-parameters":
            params = params.with_(gender=np.full(len(params), "neutral"), betas_extra=None)
    if protocol.extreme_betas != "mean-shape":
        return params, special
    extreme = np.abs(params.betas).max(1) > EXTREME
    params = params.with_(betas=np.where(extreme[:, None], 0.0, params.betas))
    return params, special | {"extreme_betas": int(extreme.sum())}


def given(hd: HumanData, rows: Array, images: Path | None, rotation: tuple[float, float, float] | None) -> Array:
    """Vertices of the files named in ``vertices3d_path`` (``.ply``, ``.npy``), rotated: (N, 10475, 3) float64."""
    from ehps.body.ply import read_vertices

    if "vertices3d_path" not in hd:
        what = "" if hd.passport.dataset == UNKNOWN else f"is {hd.passport.dataset}, "
        raise DataError(
            f"{what}has no vertices3d_path: the protocol compares with given meshes",
            path=hd.source,
            fix="take a protocol that makes the true bodies from parameters (`ehps benchmark protocols`)",
        )
    if images is None:
        raise UsageError("the image folder is needed: the true meshes lie beside the images")
    folder, meshes = images_of(hd, images), []
    for row, name in zip(np.asarray(rows).tolist(), hd["vertices3d_path"][rows], strict=True):
        path = folder.below(name, row, "vertices3d_path")
        meshes.append(_array(path) if path.suffix == ".npy" else read_vertices(path, SMPLX_VERTICES))
        if not np.isfinite(meshes[-1]).all():
            raise DataError("holds vertices that are not finite", path=path)
    out = np.stack(meshes).astype(np.float64)
    return out if rotation is None else out @ rotations.to_matrix(np.array(rotation)).T


def _array(path: Path) -> Array:
    vertices = load_npy(path)
    if vertices.dtype.kind != "f":
        raise DataError(f"holds {vertices.dtype}, not the points of a mesh", path=path)
    if vertices.shape[-2:] != (SMPLX_VERTICES, 3):
        raise DataError(f"has shape {vertices.shape}, not that of a SMPL-X mesh", path=path)
    return np.asarray(vertices.reshape(SMPLX_VERTICES, 3))


def rows_to_test(protocol: Protocol, hd: HumanData, *, all_persons: bool = False) -> Array:
    """Rows of a test set that the protocol compares: valid ones, every ``step``-th, without those excluded.

    Parameters
    ----------
    all_persons : keep those that are not valid too, which detection metrics need.

    Raises
    ------
    UsageError : the file keeps every N-th row of the dataset, with another N than the protocol's.
    DataError : the file lacks a column that a change of the protocol asks for.
    PassportError : the protocol compares the file's parameters, and it is not known in which frame they are, or whose
        body model they belong to.
    """
    if protocol.truth not in ("given-vertices", "image-labels") and hd.body_model is not None:
        frames.required(hd, "evaluation")
    if protocol.with_betas and hd.body_model is not None:
        genders_of(hd[:0])
    rows = _every_step(protocol, hd)
    if EXCLUDED in hd:
        rows = rows[~np.asarray(hd[EXCLUDED])[rows]]
    if all_persons:
        return rows
    return rows[counts(protocol, hd)[rows]]


def _every_step(protocol: Protocol, hd: HumanData) -> Array:
    """Rows of a test set that the protocol's ``step`` leaves."""
    step = protocol.step
    if step == 1:
        return np.arange(len(hd))
    if counts_annotations(protocol, hd):
        number = numbers(hd, column := f"meta/{protocol.count_by}", np.arange(len(hd)))
        if not (number >= 1).all():
            raise DataError(f"{column} holds {number.min()}: annotations are counted from 1", path=hd.source)
        return np.flatnonzero((number - 1) % step == protocol.first % step)
    if hd.passport.sampling > 1:
        if hd.passport.sampling != step:
            raise UsageError(
                f"{hd.source} keeps every {hd.passport.sampling}th row, {protocol.id} tests every {step}th",
                fix=f"use {protocol.name}[step={hd.passport.sampling}] or convert without sampling",
            )
        return np.arange(len(hd))
    declared = "" if protocol.base is None else protocol.base.step_per
    if protocol.step_per not in ("", declared) and f"meta/{protocol.step_per}" not in hd:
        raise lacks(hd, f"meta/{protocol.step_per}", protocol)
    return np.flatnonzero(_index_in_group(hd, protocol.step_per) % step == protocol.first % step)


def counts_annotations(protocol: Protocol, hd: HumanData) -> bool:
    """Whether the file has the numbers of annotations by which the protocol counts; rows are counted otherwise.

    Raises
    ------
    DataError : a change of the protocol asks for a column that the file lacks.
    """
    column, declared = f"meta/{protocol.count_by}", "" if protocol.base is None else protocol.base.count_by
    if protocol.step > 1 and protocol.count_by not in ("", declared) and column not in hd:
        raise lacks(hd, column, protocol)
    return protocol.step > 1 and protocol.count_by != "" and column in hd


def nobody(protocol: Protocol, hd: HumanData, why: str = "no row is left to test") -> DataError:
    """What is said when no person of a test set counts under a protocol."""
    return DataError(
        f"{why} under {protocol.id} (which counts {protocol.conditions}; the file has {len(hd)} rows)",
        path=hd.source,
        fix="check those columns, or test under another protocol or with other conditions",
    )


def counts(protocol: Protocol, hd: HumanData) -> Array:
    """(N,) bool: rows that meet the protocol's conditions.

    A column that the file lacks excludes nothing where the registered protocol names it.
    """
    ok = np.ones(len(hd), bool)
    for condition in protocol.valid:
        column = condition_column(condition)
        if column not in hd:
            if condition not in (protocol.base or protocol).valid:
                raise lacks(hd, column, protocol)
            continue
        if " in " in condition:
            values = numbers(hd, column, np.arange(len(hd)))
            low, high = (float(v) for v in condition.split(" in ")[1].split(".."))
            ok &= (values >= low) & (values <= high)
        else:
            ok &= flags(hd, column, np.arange(len(hd)))
    if protocol.extreme_betas == "drop" and f"{protocol.body}/betas" in hd:
        own = f"{protocol.body}/betas_neutral" if protocol.truth == "neutral-parameters" else ""
        if own and own not in hd and not (genders_of(hd) == "neutral").all():
            raise DataError(
                f"has no {own}, by which {protocol.id} would drop shapes: those of male and female models are others",
                path=hd.source,
                fix="`ehps humandata convert FILE --gender neutral --body-models DIR --out NEW` makes neutral ones",
            )
        betas = np.asarray(hd[own if own in hd else f"{protocol.body}/betas"])
        ok &= ~(np.abs(betas).max(axis=1) > EXTREME)
    return ok & of_images(protocol, hd["image_path"].tolist())


def condition_column(condition: str) -> str:
    """The column that a condition of ``valid`` is about."""
    return f"meta/{condition.split()[0]}"


def numbers(hd: HumanData, column: str, rows: Array) -> Array:
    """(N,) a number of each of some rows.

    Raises
    ------
    DataError : the column holds something else.
    """
    values = np.asarray(hd[column][rows])
    if values.shape != (len(rows),) or values.dtype.kind not in "biuf":
        raise DataError(f"{column} is not one number a row", path=hd.source, fix="write numbers there")
    return values


def flags(hd: HumanData, column: str, rows: Array) -> Array:
    """(N,) bool of some rows.

    Raises
    ------
    DataError : the column holds something else than numbers.
    """
    values = numbers(hd, column, rows)
    if (unknown := np.isnan(values)).any():
        count, first = int(unknown.sum()), int(np.asarray(rows)[unknown][0])
        said = f"{column} is not a number in {count} of {len(rows)} rows (first: row {first})"
        raise DataError(said, path=hd.source, fix="write 0 or 1 there")
    return values.astype(bool)


def of_images(protocol: Protocol, names: Sequence[str]) -> Array:
    """(N,) bool: images that the protocol looks at, by the names of their files."""
    if not protocol.only_images:
        return np.ones(len(names), bool)
    files = [name.rpartition("/")[2] for name in names]
    return np.array([any(part in file for part in protocol.only_images) for file in files], bool)


def lacks(hd: HumanData, column: str, protocol: Protocol) -> DataError:
    """What is said when a test set has no column that a protocol needs."""
    return DataError(
        f"has no {column}, which {protocol.id} asks for",
        path=hd.source,
        fix="convert the dataset again, or test under another protocol",
    )


def _index_in_group(hd: HumanData, group: str) -> Array:
    """(N,) index of each row within its ``meta/<group>``, from 0."""
    if not group or f"meta/{group}" not in hd:
        return np.arange(len(hd))
    column = hd[f"meta/{group}"]
    codes = column.codes if hasattr(column, "codes") else np.unique(column, return_inverse=True)[1]
    return place_in_image(codes)


def sequence_names(hd: HumanData, rows: Array) -> list[str]:
    """The video, take or folder that each row belongs to, over which intervals are resampled."""
    for name in ("meta/sequence_name", "meta/sequence", "meta/video", "meta/scene"):
        if name in hd:
            return [str(v) for v in hd[name][rows]]
    return [path.rpartition("/")[0] for path in hd["image_path"][rows]]
