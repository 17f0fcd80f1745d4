"""Fits published with NeuralAnnot, and in its form by others: one record a person, keyed by annotation id.

A record is ``{smplx_param | smpl_param, cam_param}``: the neutral model in the frame of a virtual camera per person,
hands relative to the mean hand, no eye poses. Parts that were not estimated are absent, null or empty.
Source: Moon et al., "NeuralAnnot", CVPRW 2022, and its release.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.body.params import BodyParams, smpl_params, smplx_params
from ehps.converters.base import Camera, Instances, drop
from ehps.converters.options import Option
from ehps.converters.readers import fields, opened, raw_files
from ehps.converters.readers.fields import FLAG, OBJECT, Field, numbers, optional
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
NEEDED: dict[str, dict[str, Field]] = {
    "smplx_param": {name: numbers(SMPLX[name]) for name in ("root_pose", "body_pose", "shape", "trans")},
    "smpl_param": {"pose": numbers(72), "shape": numbers(10), "trans": numbers(3)},
    "cam_param": {"focal": numbers(2), "princpt": numbers(2)},
}
UNFITTED = {
    "lhand_pose": "fits without a left hand: zeros (the mean hand)",
    "rhand_pose": "fits without a right hand: zeros (the mean hand)",
    "jaw_pose": "fits without a jaw: zeros (closed)",
    "expr": "fits without an expression: zeros (neutral)",
}
"""Parts of a SMPL-X fit that may not have been estimated -> what the report says of such fits."""
PARTS = optional(
    {name: numbers(SMPLX[name]) for name in UNFITTED}
    | dict.fromkeys(("face_valid", "lhand_valid", "rhand_valid"), FLAG)
)


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


def _first(folder: Path, names: Sequence[str]) -> Path | None:
    return next((folder / name for name in names if opened.is_file(folder / name)), None)


def with_fit(
    people: Records, fits: Mapping[str, Any] | None, dropped: dict[str, list[str]], reason: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Annotations that have a whole fit, and the fits; the others are counted: one that lacks pose, shape or place is
    no fit. All, and no fits, where ``fits`` is None.

    Raises
    ------
    DataError : most of the fits are of another form.
    """
    if fits is None:
        return list(people), []
    drop(dropped, reason, (str(a["id"]) for a in people if str(a["id"]) not in fits))
    people = [a for a in people if str(a["id"]) in fits]
    return usable(people, [fits[str(a["id"])] for a in people], raw_files.source_of(fits), dropped, reason)


def usable(
    people: Sequence[Any], records: Records, path: Path, dropped: dict[str, list[str]], reason: str
) -> tuple[list[Any], list[dict[str, Any]]]:
    """People whose fits are whole and of the right form, and these fits; the others are counted."""
    kind = "smplx_param" if any(isinstance(r, dict) and "smplx_param" in r for r in records) else "smpl_param"
    odd = fields.odd_ones(records, {kind: OBJECT, "cam_param": OBJECT, "fit_err": numbers(optional=True)}, "fits")
    for inner in (kind, "cam_param"):
        known = NEEDED[inner] | (PARTS if inner == "smplx_param" else {})
        found = fields.odd_ones([{} if i in odd else r[inner] for i, r in enumerate(records)], known, inner)
        odd = {i: (why, f"{inner} {said}") for i, (why, said) in found.items() if i not in odd} | odd
    odd = {
        i: (reason if why.startswith("no ") else f"fit of another form: {why}", said) for i, (why, said) in odd.items()
    }
    labels = [f"entry {a['id'] if isinstance(a, dict) else a}" for a in people]
    keep = np.flatnonzero(fields.drop_odd(odd, labels, path, dropped)).tolist()
    return [people[i] for i in keep], [records[i] for i in keep]


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


def add_fits(rows: Instances, records: Records, fits: str = "") -> None:
    """Give each person the body and camera of the choice ``fits``, :func:`smpl` or :func:`smplx`, and count the parts
    that were not fitted."""
    rows.body, rows.camera = smpl(records) if fits == SMPL else smplx(records)
    if fits != SMPL:
        rows.counts |= unfitted(records)


def unfitted(records: Records) -> dict[str, int]:
    """What the report says of fits that lack a part -> how many there are."""
    lacking = {what: sum(_is_absent(r["smplx_param"].get(key)) for r in records) for key, what in UNFITTED.items()}
    return {what: number for what, number in lacking.items() if number}


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
    absent = np.zeros(size)
    parts = [r[kind].get(key) for r in records]
    return np.array([absent if _is_absent(part) else np.ravel(part) for part in parts], float).reshape(-1, size)


def _is_absent(part: Any) -> bool:
    return part is None or not np.size(part)
