"""Body parameters of N persons as arrays: what converters hand over and body models take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.body.topology import POSE_PARTS
from ehps.genders import BY_WORD


@dataclass(frozen=True)
class BodyParams:
    """SMPL, SMPL-H or SMPL-X parameters of N persons. Axis-angle in radians, metres.

    Attributes
    ----------
    model_type : smplx, smplh or smpl.
    gender : (N,) str, the gender of the *model* that the parameters belong to: male, female, neutral.
    betas : (N, B).
    global_orient : (N, 3), in whatever frame the owner says.
    body_pose : (N, 21, 3) for smplx and smplh, (N, 23, 3) for smpl.
    transl : (N, 3), in the frame of ``global_orient``.
    left_hand_pose : (N, 15, 3) axis-angle, or (N, K) PCA coefficients with K <= 45 where the dataset stores those (see
        :func:`ehps.body.hands.expand`); None for smpl.
    right_hand_pose : the same of the right hand.
    jaw_pose : (N, 3), smplx only.
    leye_pose : (N, 3), smplx only.
    reye_pose : (N, 3), smplx only.
    expression : (N, E), smplx only.
    flat_hand_mean : False when hand poses are relative to the model's mean hand, True when absolute.
    betas_neutral : optional (N, B), the shape refitted to the neutral model.
    betas_extra : optional (N, 1), AGORA: weight of the kid template, 0 for adults.
    locked_head : whether they belong to the locked-head release of SMPL-X, another template and shape space.
    version : release of the models that they are known to belong to (:class:`ehps.body.model_file.BodyModel`); models
        of another are refused. None where it is not known.
    source : file that they were read from, which errors name.
    """

    model_type: str
    gender: Array
    betas: Array
    global_orient: Array
    body_pose: Array
    transl: Array
    left_hand_pose: Array | None = None
    right_hand_pose: Array | None = None
    jaw_pose: Array | None = None
    leye_pose: Array | None = None
    reye_pose: Array | None = None
    expression: Array | None = None
    flat_hand_mean: bool = False
    betas_neutral: Array | None = field(default=None, kw_only=True)
    betas_extra: Array | None = field(default=None, kw_only=True)
    locked_head: bool = field(default=False, kw_only=True)
    version: str | None = field(default=None, kw_only=True)
    source: Path | None = field(default=None, kw_only=True)

    def __len__(self) -> int:
        return len(self.betas)

    def arrays(self) -> dict[str, Array]:
        """The numeric members that are there, by name."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: v for k, v in values.items() if isinstance(v, np.ndarray) and k != "gender"}

    def __getitem__(self, rows: Any) -> BodyParams:
        picked = {name: value[rows] for name, value in self.arrays().items()}
        return replace(self, gender=self.gender[rows], **picked)

    def with_(self, **changes: Any) -> BodyParams:
        return replace(self, **changes)


def smplx_params(
    *,
    gender: Any,
    betas: Array,
    global_orient: Array,
    body_pose: Array,
    transl: Array,
    left_hand_pose: Array | None = None,
    right_hand_pose: Array | None = None,
    jaw_pose: Array | None = None,
    leye_pose: Array | None = None,
    reye_pose: Array | None = None,
    expression: Array | None = None,
    flat_hand_mean: bool = False,
    betas_neutral: Array | None = None,
    betas_extra: Array | None = None,
) -> BodyParams:
    """SMPL-X parameters from arrays in any of the usual shapes ((N, 63), (N, 21, 3), ...); absent parts are zero.

    ``gender`` is one word for all rows or (N,) words; ``m``/``f``/``n`` are understood. Parameters of the locked-head
    release are ``smplx_params(...).with_(locked_head=True)``.
    """
    n = len(betas)

    def shaped(value: Array | None, *tail: int) -> Array:
        return np.zeros((n, *tail)) if value is None else np.asarray(value, float).reshape(n, *tail)

    def hand(value: Array | None) -> Array:
        if value is None or np.size(value) == n * 45:
            return shaped(value, 15, 3)
        return np.asarray(value, float).reshape(n, -1)

    return BodyParams(
        model_type="smplx",
        gender=genders(gender, n),
        betas=np.asarray(betas, float),
        global_orient=shaped(global_orient, 3),
        body_pose=shaped(body_pose, 21, 3),
        transl=shaped(transl, 3),
        left_hand_pose=hand(left_hand_pose),
        right_hand_pose=hand(right_hand_pose),
        jaw_pose=shaped(jaw_pose, 3),
        leye_pose=shaped(leye_pose, 3),
        reye_pose=shaped(reye_pose, 3),
        expression=np.zeros((n, 10)) if expression is None else shaped(expression, np.size(expression) // max(n, 1)),
        flat_hand_mean=flat_hand_mean,
        betas_neutral=betas_neutral,
        betas_extra=betas_extra,
    )


def smplx_pose(pose: Array) -> dict[str, Array]:
    """Named parts of (N, 55, 3) SMPL-X poses in the order of the model's joints."""
    return _pose_parts("smplx", pose)


def smpl_params(*, gender: Any, betas: Array, pose: Array, transl: Array) -> BodyParams:
    """SMPL parameters; ``pose`` is (N, 72) or (N, 24, 3), root first."""
    n = len(betas)
    pose = np.asarray(pose, float).reshape(n, 24, 3)
    return BodyParams(
        model_type="smpl",
        gender=genders(gender, n),
        betas=np.asarray(betas, float),
        transl=np.asarray(transl, float).reshape(n, 3),
        **_pose_parts("smpl", pose),
    )


def smplh_params(*, gender: Any, betas: Array, pose: Array, transl: Array, flat_hand_mean: bool = False) -> BodyParams:
    """SMPL-H parameters; ``pose`` is (N, 156) or (N, 52, 3): root, 21 body joints, left hand, right hand."""
    n = len(betas)
    pose = np.asarray(pose, float).reshape(n, 52, 3)
    return BodyParams(
        model_type="smplh",
        gender=genders(gender, n),
        betas=np.asarray(betas, float),
        transl=np.asarray(transl, float).reshape(n, 3),
        flat_hand_mean=flat_hand_mean,
        **_pose_parts("smplh", pose),
    )


def _pose_parts(model_type: str, pose: Array) -> dict[str, Any]:
    """Named parts, (N, 3) or (N, k, 3), of (N, J, 3) poses."""
    parts, first = {}, 0
    for name, joints in POSE_PARTS[model_type].items():
        parts[name] = pose[:, first] if joints == 1 else pose[:, first : first + joints]
        first += joints
    return parts


def genders(words: Any, n: int) -> Array:
    """(N,) array of ``male``/``female``/``neutral`` from one word or N words, or their first letters.

    Raises
    ------
    ValueError : a word that is none of these.
    """
    values = np.broadcast_to(np.asarray(words, dtype=object), (n,))
    distinct = {w: BY_WORD.get(str(w).strip().lower()) for w in set(values.tolist())}
    for word, gender in distinct.items():
        if gender is None:
            raise ValueError(f"unknown gender {word!r}; expected male, female or neutral")
    return np.array([distinct[w] for w in values.tolist()], dtype="<U7")


def groups(params: BodyParams) -> Iterator[tuple[str, bool, Array]]:
    """(gender, is a child, row numbers) for the rows that use the same model."""
    kid = np.zeros(len(params), bool)
    if params.betas_extra is not None:
        kid = np.any(np.asarray(params.betas_extra).reshape(len(params), -1) != 0, axis=1)
    for gender in np.unique(params.gender):
        for child in (False, True):
            rows = np.flatnonzero((params.gender == gender) & (kid == child))
            if len(rows):
                yield str(gender), child, rows
