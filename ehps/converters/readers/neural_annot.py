"""Fits published with NeuralAnnot, and in its form by others: one record a person, keyed by annotation id.

A record is ``{smplx_param | smpl_param, cam_param}``: the neutral model in the frame of a virtual camera per person,
hands relative to the mean hand, no eye poses. Parts that were not estimated are absent.
Source: Moon et al., "NeuralAnnot", CVPRW 2022, and its release.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.body.params import BodyParams, smpl_params, smplx_params
from ehps.converters.base import Camera, drop
from ehps.converters.options import Option
from ehps.converters.readers import raw_files
from ehps.errors import DataError

Records = Sequence[dict[str, Any]]

SMPLX = {
    "root_pose": 3,
    "body_pose": 63,
    "lhand_pose": 45,
    "rhand_pose": 45,
    "jaw_pose": 3,
    "shape": 10,
    "expr": 10,
    "trans": 3,
}


SMPL = "neuralannot-smpl"
"""The choice of ``fits`` that takes the SMPL bodies of the release instead of SMPL-X ones."""


def option(meaning: str, choices: Sequence[str] = ("neuralannot", "none")) -> Option:
    """The option ``fits`` of datasets that have no other ones."""
    return Option("fits", meaning, "neuralannot", choices=tuple(choices))


def chosen(folder: Path, names: Sequence[str], fits: str) -> tuple[Mapping[str, Any] | None, list[str]]:
    """The fits in :func:`chosen_file`, by key, or None."""
    path, notes = chosen_file(folder, names, fits)
    return (None if path is None else raw_files.keyed_json(path)), notes


def chosen_file(folder: Path, names: Sequence[str], fits: str) -> tuple[Path | None, list[str]]:
    """The first of ``names`` that is in ``folder``; None, with a note for the report, when ``fits`` is ``none`` or
    there are none.

    Raises
    ------
    DataError : SMPL fits, which nobody gets without asking for them, are not there.
    """
    if fits == "none":
        return None, ["fits=none was asked for: keypoints and boxes only"]
    if path := _first(folder, names):
        return path, []
    if fits == SMPL:
        what = f"has no {' or '.join(names)}, the fits of fits={SMPL}"
        raise DataError(what, path=folder, fix="get it from the NeuralAnnot release, or choose other fits")
    why = f"{names[0]} is absent" if names else "none exist for this split"
    return None, [f"no fits ({why}): keypoints and boxes only"]


def stamp(folder: Path, names: Sequence[str]) -> tuple[int, int] | None:
    """Size and modification time of the file that :func:`chosen` reads, for units whose path is that of the
    annotations: what was made of other fits is then not taken up again."""
    path = _first(folder, names)
    return (path.stat().st_size, path.stat().st_mtime_ns) if path else None


def _first(folder: Path, names: Sequence[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def with_fit(
    people: Records, fits: Mapping[str, Any] | None, dropped: dict[str, list[str]], reason: str
) -> tuple[Records, Records]:
    """Annotations that have a fit, and the fits; the others are counted. All, and no fits, where ``fits`` is None."""
    if fits is None:
        return people, []
    drop(dropped, reason, (str(a["id"]) for a in people if str(a["id"]) not in fits))
    people = [a for a in people if str(a["id"]) in fits]
    return people, [fits[str(a["id"])] for a in people]


def smplx(records: Records) -> tuple[BodyParams, Camera]:
    """SMPL-X and camera of each person; absent parts are zero (the mean hand, a neutral face)."""
    values = {key: _values(records, "smplx_param", key, size) for key, size in SMPLX.items()}
    body = smplx_params(
        gender="neutral",
        betas=values["shape"],
        global_orient=values["root_pose"],
        body_pose=values["body_pose"],
        transl=values["trans"],
        left_hand_pose=values["lhand_pose"],
        right_hand_pose=values["rhand_pose"],
        jaw_pose=values["jaw_pose"],
        expression=values["expr"],
    )
    return body, camera(records)


def bodies(records: Records, fits: str) -> tuple[BodyParams, Camera]:
    """Bodies and cameras of the choice ``fits``: :func:`smpl` or :func:`smplx`."""
    return smpl(records) if fits == SMPL else smplx(records)


def world_smpl(values: Mapping[str, Array]) -> BodyParams:
    """SMPL of ``pose`` (N, 72), ``shape`` and ``trans``, as studio releases have them, in the world."""
    return smpl_params(gender="neutral", betas=values["shape"], pose=values["pose"], transl=values["trans"])


def world_smplx(values: Mapping[str, Array]) -> BodyParams:
    """SMPL-X of ``root_pose`` (N, 3), ``body_pose`` (N, 63), ``shape`` and ``trans``, as studio releases have them, in
    the world; hands and face, which were not estimated, are left out."""
    body = smplx_params(
        gender="neutral",
        betas=values["shape"],
        global_orient=values["root_pose"],
        body_pose=values["body_pose"],
        transl=values["trans"],
    )
    absent = ("left_hand_pose", "right_hand_pose", "jaw_pose", "leye_pose", "reye_pose", "expression")
    return body.with_(**dict.fromkeys(absent))


def smpl(records: Records) -> tuple[BodyParams, Camera]:
    """SMPL and camera of each person."""
    values = {
        key: _values(records, "smpl_param", key, size) for key, size in (("pose", 72), ("shape", 10), ("trans", 3))
    }
    body = smpl_params(gender="neutral", betas=values["shape"], pose=values["pose"], transl=values["trans"])
    return body, camera(records)


def camera(records: Records) -> Camera:
    """The virtual camera of each person, pixels of the full image."""
    focal = np.array([np.ravel(r["cam_param"]["focal"]) for r in records], float).reshape(-1, 2)
    centre = np.array([np.ravel(r["cam_param"]["princpt"]) for r in records], float).reshape(-1, 2)
    return Camera(focal, centre, virtual=True)


def _values(records: Records, kind: str, key: str, size: int) -> Array:
    return np.array([np.ravel(r[kind].get(key, np.zeros(size))) for r in records], float).reshape(-1, size)
