"""In which frame parameters and 3D points are: what a file shows of it, and who may go on without knowing.

Files of others do not state it. SMPLer-X's released files are in the camera frame; extrinsics beside the parameters
(``meta`` R and T, ``cam_param`` or ``cam_params``) are the sign of world coordinates, but stand for reference in some.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from ehps.arrays import Array
from ehps.errors import DataError, PassportError, UsageError
from ehps.genders import GENDERS
from ehps.humandata.passport import CAMERA, LOCKED, UNITS, UNKNOWN
from ehps.humandata.strings import Strings
from ehps.humandata.table import Table

AnyTable = TypeVar("AnyTable", bound=Table)

GROUPS = ("meta", "cam_param", "cam_params")
ROTATIONS = ("R",)
TRANSLATIONS = ("T", "t")
MATRICES = ("RT", "extrinsic", "extrinsics", "cam_ext")
INTRINSICS = ("K", "intrinsic", "intrinsics", "cam_int")
REFERENCE = "meta/RT"
AXES = dict.fromkeys((*ROTATIONS, *MATRICES, *INTRINSICS), 2) | dict.fromkeys(TRANSLATIONS, 1)
DECLARABLE: Mapping[str, tuple[str, ...]] = {
    "frame": (CAMERA,),
    "gender": GENDERS,
    "body_model_version": ("1.0", "1.1", "1.2", "2020", "locked_head", "extended", "without_hand_pca", "stand-in"),
    "flat_hand_mean": ("true", "false"),
    "focal": ("image", "virtual"),
    "dataset": (),
    "split": (),
}
"""Fields of a passport that the owner of a file may state, and their values (any word where there are none)."""
POSED = ("/transl", "/global_orient", "/lhand_root", "/rhand_root")


@dataclass(frozen=True)
class Extrinsics:
    """World to camera of each row, and the columns or constants that say so.

    Attributes
    ----------
    rotation : (N, 3, 3).
    translation : (N, 3) metres.
    names : where they are from.
    """

    rotation: Array
    translation: Array
    names: tuple[str, ...]


def posed_columns(names: Iterable[str]) -> list[str]:
    """Those of the columns whose numbers are in some frame."""
    return [name for name in names if name.startswith("keypoints3d") or name.endswith(POSED)]


def extrinsic_names(table: Table) -> list[str]:
    """Columns and constants that hold extrinsics."""
    return _of_camera(table, (*ROTATIONS, *TRANSLATIONS, *MATRICES))


def intrinsic_names(table: Table) -> list[str]:
    """Columns and constants that hold camera matrices."""
    return _of_camera(table, INTRINSICS)


def _of_camera(table: Table, endings: Sequence[str]) -> list[str]:
    split = {name: name.rpartition("/") for name in (*table.columns, *table.misc)}
    return [name for name, (group, _, end) in split.items() if end in endings and _is_camera(group)]


def _is_camera(group: str) -> bool:
    return group in GROUPS or group.endswith(("/cam_param", "/cam_params"))


def one_for_all(name: str, value: Any) -> bool:
    """Whether a member is one camera for all rows, even where its length is the number of rows."""
    group, _, ending = name.rpartition("/")
    return ending in AXES and _is_camera(group) and _axes(value) == AXES[ending]


def _axes(value: Any) -> int:
    """Axes of an array or of lists in lists."""
    depth = 0
    while isinstance(value, list | tuple) and value:
        value, depth = value[0], depth + 1
    return depth + np.ndim(value)


def required(table: Table, reader: str = "") -> None:
    """Raise unless parameters and 3D points of ``table`` are known to be in the camera frame, as ``reader`` needs them.

    Raises
    ------
    PassportError : they are not.
    """
    if table.passport.frame != CAMERA and posed_columns(table.columns):
        raise PassportError(
            f"its bodies are in {_frame_of(table)}, and {f'{reader} needs them' if reader else 'are needed'} in the "
            "camera frame",
            path=table.source,
            fix=way_out(table),
        )


def require_full_head(table: Table, reader: str) -> None:
    """Raise where parameters are of the locked-head release of SMPL-X, whose shape space ``reader`` does not know.

    Raises
    ------
    PassportError : they are.
    """
    if str(table.passport.body_model_version).endswith(LOCKED):
        what = f"its bodies are of the locked-head release of SMPL-X, and {reader} takes betas for those of SMPL-X 1.1"
        fix = "`ehps humandata convert FILE --to smplx --body-models DIR --out NEW` fits SMPL-X 1.1 to them"
        raise PassportError(what, path=table.source, fix=fix)


def _frame_of(table: Table) -> str:
    stated = table.passport.frame
    return "an unknown frame" if stated == UNKNOWN else f"the frame {stated!r}"


def way_out(table: Table) -> str:
    """What to do with a file that is not known to be in the camera frame."""
    others = ""
    if table.body_model is not None and table.passport.gender in (None, UNKNOWN) and "meta/gender" not in table:
        others += " --declare gender=neutral|male|female"
    if table.passport.flat_hand_mean is None and f"{table.body_model}/left_hand_pose" in table:
        others += " --declare flat_hand_mean=true|false"
    command = "`ehps humandata convert FILE {}" + others + " --out NEW`"
    declare = command.format(f"--declare frame={CAMERA}")
    found = extrinsic_names(table)
    if table.passport.frame != UNKNOWN:
        return (
            f"{command.format('--frame camera')} moves them by {', '.join(found)}"
            if found
            else "write them as they are before the camera of each image"
        )
    if not found:
        return f"if they are in the camera frame (those that SMPLer-X published are), say so: {declare}"
    return (
        f"it has {', '.join(found)}: if its bodies are in the world, {command.format('--frame camera')} moves them; if "
        f"they are in the camera frame already, say so: {declare}"
    )


def extrinsics(table: Table) -> Extrinsics:
    """The extrinsics beside the parameters, one for each row.

    Raises
    ------
    PassportError : there are none.
    DataError : they are not (N, 3, 3) and (N, 3), or (N, 4, 4), or not finite; or two sets contradict each other.
    """
    there = extrinsic_names(table)
    groups = dict.fromkeys(name.rpartition("/")[0] for name in there)
    found = [pair for group in groups if (pair := _of_group(table, group)) is not None]
    if not found:
        raise PassportError(
            "has no extrinsics to move its bodies by"
            + (f": {', '.join(there)} alone do not say where the camera is" if there else ""),
            path=table.source,
            fix="add meta/R (N, 3, 3) and meta/T (N, 3), world to camera; or, if its bodies are in the camera frame "
            f"already, say so with --declare frame={CAMERA}",
        )
    for other in found[1:]:
        alike = np.allclose(found[0].rotation, other.rotation, atol=1e-4)
        if not alike or not np.allclose(found[0].translation, other.translation, atol=1e-4):
            raise DataError(
                f"{', '.join(found[0].names)} and {', '.join(other.names)} say different extrinsics",
                path=table.source,
                fix="leave out those that do not belong to the body parameters (HumanData.without)",
            )
    names = tuple(name for pair in found for name in pair.names)
    return Extrinsics(found[0].rotation, found[0].translation, names)


def _of_group(table: Table, group: str) -> Extrinsics | None:
    rotation = _first(table, [f"{group}/{name}" for name in ROTATIONS])
    translation = _first(table, [f"{group}/{name}" for name in TRANSLATIONS])
    if rotation and translation:
        turn = per_row(table, rotation, (3, 3))
        shift = per_row(table, translation, (3,))
        return Extrinsics(turn, shift, (rotation, translation))
    matrix = _first(table, [f"{group}/{name}" for name in MATRICES])
    if not matrix:
        return None
    whole = per_row(table, matrix, (4, 4), (3, 4))
    return Extrinsics(whole[:, :3, :3], whole[:, :3, 3], (matrix,))


def _first(table: Table, names: Iterable[str]) -> str:
    return next((name for name in names if name in table or name in table.misc), "")


def per_row(table: Table, name: str, *shapes: tuple[int, ...]) -> Array:
    """A column, or a constant that holds for all rows, as (N, *shape) float64 of one of the shapes.

    Vectors may be stored as (N, 3, 1) or (N, 1, 3).

    Raises
    ------
    DataError : it has another shape, or numbers that are not finite.
    """
    value: Any = table[name] if name in table else table.misc[name]
    try:
        array = np.zeros(0) if isinstance(value, Strings) else np.asarray(value, np.float64)
    except (TypeError, ValueError):
        array = np.zeros(0)
    n = len(table)
    for shape in shapes:
        if array.shape == shape:  # (3, 3) in a file of three rows is one rotation, too
            array = np.broadcast_to(array, (n, *shape))
        elif array.ndim > 1 and len(array) in (1, n) and array.size == len(array) * int(np.prod(shape)):
            array = np.broadcast_to(array.reshape(len(array), *shape), (n, *shape))
        else:
            continue
        odd = np.flatnonzero(~np.isfinite(array).all(axis=tuple(range(1, array.ndim))))
        if len(odd):
            raise DataError(f"{name} is not finite in {len(odd)} rows, the first is {odd[0]}", path=table.source)
        return array
    wanted = " or ".join(f"(N, {', '.join(map(str, shape))})" for shape in shapes)
    raise DataError(f"{name} has shape {array.shape}, expected {wanted} for {n} rows", path=table.source)


def in_camera(table: AnyTable, found: Extrinsics | None = None) -> AnyTable:
    """``table`` with a passport that states the camera frame; extrinsics stay as ``meta/RT`` only, for reference.

    Parameters
    ----------
    found : the extrinsics; by default those beside the parameters.

    Raises
    ------
    PassportError, DataError : there are extrinsics, and they are not to be understood; see :func:`extrinsics`.
    """
    gone = [name for name in extrinsic_names(table) if name != REFERENCE]
    columns: dict[str, Any] = {}
    if gone:
        found = found or extrinsics(table)
        matrix = np.zeros((len(table), 4, 4), np.float32)
        matrix[:, :3, :3], matrix[:, :3, 3], matrix[:, 3, 3] = found.rotation, found.translation, 1
        columns[REFERENCE] = matrix
    out = table.without(gone).with_columns(columns)
    out.misc = {name: value for name, value in table.misc.items() if name not in gone}
    out.passport = table.passport.with_(frame=CAMERA, units=UNITS)
    return out


def declared(table: AnyTable, facts: Mapping[str, str]) -> AnyTable:
    """``table`` with what its owner knows of it and its passport does not say; no parameter is changed.

    Parameters
    ----------
    facts : field of the passport -> value; :data:`DECLARABLE` has the fields. ``frame=opencv-camera`` says that
        parameters and 3D points are in the camera frame, in metres, radians and pixels.

    Raises
    ------
    UsageError : no such field, or no such value of it.
    PassportError : the passport says otherwise.
    """
    out = table[:]
    for name, value in facts.items():
        if name not in DECLARABLE:
            raise UsageError(f"{name}={value}: {name} cannot be declared", fix=f"known are {', '.join(DECLARABLE)}")
        if table.body_model is None and name in ("gender", "body_model_version", "flat_hand_mean"):
            raise UsageError(f"{name}={value}: there are no body parameters", path=table.source)
        words = DECLARABLE[name]
        if not value or (words and value not in words):
            raise UsageError(f"{name}={value}: no such {name}", fix=f"give {', '.join(words) or 'a word'}")
        meant = value == "true" if name == "flat_hand_mean" else value
        stated = getattr(table.passport, name)
        if stated not in (None, UNKNOWN, meant):
            raise PassportError(f"says that its {name} is {stated}; it cannot be declared {value}", path=table.source)
        if name == "frame":
            out = in_camera(out)
        else:
            out.passport = out.passport.with_(**{name: meant})
    return out
