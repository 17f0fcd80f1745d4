"""The true bodies of a test set, as a protocol wants them; and the parameters of HumanData rows as
BodyParams.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from ehps.benchmark.protocols import Protocol
from ehps.body.files import BodyModels
from ehps.body.params import BodyParams
from ehps.body.people import BodySet
from ehps.errors import DataError, UsageError
from ehps.humandata.core import HumanData

Array = npt.NDArray[Any]

EXTREME = 3.0
SMPLX_VERTICES = 10475


def parameters(hd: HumanData, rows: Array, *, kind: str = "smplx", gender: str = "own") -> BodyParams:
    """Parameters of some rows.

    Parameters
    ----------
    gender : ``own``: the model of each row (``meta/gender``; neutral where the file says so or has none),
        with its own betas; ``neutral``: the neutral model with neutral betas (see :func:`neutral_betas` for
        files that lack them).

    Raises
    ------
    DataError : the file has no parameters of that kind.
    """
    if f"{kind}/betas" not in hd:
        raise DataError(f"has no {kind} parameters", path=hd.source, fix="convert it with body models")
    n = len(rows)

    def column(name: str) -> Array | None:
        full = f"{kind}/{name}"
        return np.asarray(hd[full][rows], np.float64) if full in hd else None

    def shaped(name: str, *tail: int) -> Array | None:
        value = column(name)
        return None if value is None else value.reshape(n, *tail)

    def required(name: str, *tail: int) -> Array:
        value = shaped(name, *tail)
        if value is None:
            raise DataError(f"has no {kind}/{name} column", path=hd.source, fix="convert it again")
        return value

    betas = required("betas", -1)
    refit = shaped("betas_neutral", -1)
    extra = shaped("betas_extra", 1) if gender == "own" else None
    if gender == "neutral" and refit is not None:
        betas = refit
    transl = shaped("transl", 3)
    whole = kind != "smpl"
    return BodyParams(
        kind=kind,
        gender=own_gender(hd, rows) if gender == "own" else np.full(n, "neutral"),
        betas=betas,
        global_orient=required("global_orient", 3),
        body_pose=required("body_pose", 23 if kind == "smpl" else 21, 3),
        transl=np.zeros((n, 3)) if transl is None else transl,
        left_hand_pose=_or_zero(shaped("left_hand_pose", 15, 3), n, 15, 3) if whole else None,
        right_hand_pose=_or_zero(shaped("right_hand_pose", 15, 3), n, 15, 3) if whole else None,
        jaw_pose=_or_zero(shaped("jaw_pose", 3), n, 3) if kind == "smplx" else None,
        leye_pose=_or_zero(shaped("leye_pose", 3), n, 3) if kind == "smplx" else None,
        reye_pose=_or_zero(shaped("reye_pose", 3), n, 3) if kind == "smplx" else None,
        expression=_or_zero(shaped("expression", -1), n, 10) if kind == "smplx" else None,
        flat_hand_mean=bool(hd.passport.flat_hand_mean),
        betas_extra=extra,
    )


def _or_zero(value: Array | None, *shape: int) -> Array:
    return np.zeros(shape) if value is None else value


def own_gender(hd: HumanData, rows: Array) -> Array:
    """(N,) gender of the model that the rows' betas belong to."""
    if hd.passport.gender == "neutral" or "meta/gender" not in hd:
        return np.full(len(rows), "neutral")
    return np.array(hd["meta/gender"][rows].tolist(), dtype="<U7")


def neutral(hd: HumanData, rows: Array, models: BodyModels) -> BodyParams:
    """As :func:`parameters` with the neutral model; gendered shapes without ``betas_neutral`` are refitted to
    it.
    """
    params = parameters(hd, rows, gender="neutral")
    if "smplx/betas_neutral" in hd:
        return params
    return params.with_(betas=neutral_betas(params.betas, own_gender(hd, rows), models))


def neutral_betas(betas: Array, gender: Array, models: BodyModels) -> Array:
    """(N, B or 10): betas of the neutral SMPL-X that best imitate the gendered rest shapes, vertices in least
    squares.
    """
    if (gender == "neutral").all():
        return betas
    target = models.get("smplx", "neutral")
    basis = target.shapedirs[:, :, :10].reshape(-1, 10).astype(np.float64)
    inverse = np.linalg.pinv(basis)
    out = np.zeros((len(betas), 10))
    out[gender == "neutral"] = _ten(betas[gender == "neutral"])
    for name in ("male", "female"):
        rows = np.flatnonzero(gender == name)
        if not len(rows):
            continue
        source = models.get("smplx", name)
        directions = source.shapedirs[:, :, : betas.shape[1]].reshape(len(basis), -1).astype(np.float64)
        offset = (source.v_template - target.v_template).reshape(-1).astype(np.float64)
        out[rows] = betas[rows][:, : directions.shape[1]] @ (inverse @ directions).T + inverse @ offset
    return out


def _ten(betas: Array) -> Array:
    betas = betas[:, :10]
    return np.pad(betas, ((0, 0), (0, 10 - betas.shape[1])))


def mesh(
    protocol: Protocol, hd: HumanData, rows: Array, bodies: BodySet, root: Path | None
) -> tuple[Array, dict[str, int]]:
    """True meshes (N, V, 3) of some rows, metres, and how many were treated specially.

    ``extreme_betas``: rows compared with the mean shape.

    Raises
    ------
    DataError : the file lacks what the protocol needs (given vertices, parameters).
    """
    if protocol.truth == "given-vertices":
        return given(hd, rows, root, protocol.truth_rotation), {}
    if protocol.truth == "gendered-smpl":
        return bodies.mesh(parameters(hd, rows, kind="smpl")), {}
    if protocol.truth == "gendered-parameters":
        return bodies.mesh(parameters(hd, rows)), {}
    if protocol.truth != "neutral-parameters":
        raise UsageError(f"protocol {protocol.id} wants an unknown truth {protocol.truth!r}")
    params = neutral(hd, rows, bodies.models)
    extreme = np.abs(params.betas).max(1) > EXTREME
    if protocol.extreme_betas == "mean-shape":
        params = params.with_(betas=np.where(extreme[:, None], 0.0, params.betas))
        return bodies.mesh(params), {"extreme_betas": int(extreme.sum())}
    return bodies.mesh(params), {}


def given(hd: HumanData, rows: Array, root: Path | None, rotation: tuple[float, float, float] | None) -> Array:
    """(N, 10475, 3) float64 vertices from the files named in ``vertices3d_path`` (``.ply``, ``.npy``),
    rotated.
    """
    from ehps.body.ply import read_vertices

    if "vertices3d_path" not in hd:
        raise DataError(
            "has no vertices3d_path column, which this protocol needs", path=hd.source, fix="convert it again"
        )
    if root is None:
        raise UsageError("the folder of the raw data is needed to find the true meshes")
    meshes = []
    for name in hd["vertices3d_path"][rows]:
        path = Path(root) / name
        meshes.append(_array(path) if path.suffix == ".npy" else read_vertices(path, SMPLX_VERTICES))
    out = np.stack(meshes).astype(np.float64)
    return out if rotation is None else out @ Rotation.from_rotvec(rotation).as_matrix().T


def _array(path: Path) -> Array:
    try:
        vertices = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"not a readable array ({error})", path=path) from None
    if vertices.shape[-2:] != (SMPLX_VERTICES, 3):
        raise DataError(f"has shape {vertices.shape}, not that of a SMPL-X mesh", path=path)
    return np.asarray(vertices.reshape(SMPLX_VERTICES, 3))


def rows_to_test(protocol: Protocol, hd: HumanData, *, all_persons: bool = False) -> Array:
    """Rows of a test set that the protocol compares: valid ones, sub-sampled.

    With ``all_persons`` the invalid ones too (detection metrics need them).

    Raises
    ------
    UsageError : the file is sub-sampled in another way than the protocol wants.
    """
    rows = np.arange(len(hd))
    step = protocol.step
    if hd.passport.sampling > 1 and step > 1:
        if hd.passport.sampling != step:
            raise UsageError(
                f"{hd.source} keeps every {hd.passport.sampling}th row, {protocol.id} tests every {step}th",
                fix=f"use {protocol.name}[step={hd.passport.sampling}] or convert without sampling",
            )
        step = 1
    if step > 1:
        rows = rows[_position_in_group(hd, protocol.step_per) % step == 0]
    if all_persons:
        return rows
    return rows[counts(protocol, hd)[rows]]


def counts(protocol: Protocol, hd: HumanData) -> Array:
    """(N,) bool: rows that meet the protocol's validity conditions; columns that the file lacks exclude
    nothing.
    """
    ok = np.ones(len(hd), bool)
    for condition in protocol.valid:
        column = f"meta/{condition.split()[0]}"
        if column not in hd:
            continue
        values = np.asarray(hd[column])
        if " in " in condition:
            low, high = (float(v) for v in condition.split(" in ")[1].split(".."))
            ok &= (values >= low) & (values <= high)
        else:
            ok &= values.astype(bool)
    if protocol.only_images:
        names = hd["image_path"].tolist()
        ok &= np.array([any(part in name for part in protocol.only_images) for name in names], bool)
    return ok


def _position_in_group(hd: HumanData, group: str) -> Array:
    """(N,) how manieth row of its ``meta/<group>`` each row is."""
    if not group or f"meta/{group}" not in hd:
        return np.arange(len(hd))
    column = hd[f"meta/{group}"]
    codes = column.codes if hasattr(column, "codes") else np.unique(column, return_inverse=True)[1]
    order = np.argsort(codes, kind="stable")
    starts = np.r_[0, np.flatnonzero(np.diff(codes[order])) + 1]
    sizes = np.diff(np.r_[starts, len(codes)])
    position = np.empty(len(codes), int)
    position[order] = np.arange(len(codes)) - np.repeat(starts, sizes)
    return position


def sequence_names(hd: HumanData, rows: Array) -> list[str]:
    """The video, take or folder each row belongs to: for bootstrap over sequences instead of frames."""
    for name in ("meta/sequence_name", "meta/sequence", "meta/video", "meta/scene"):
        if name in hd:
            return [str(v) for v in hd[name][rows]]
    return [path.rpartition("/")[0] for path in hd["image_path"][rows]]
