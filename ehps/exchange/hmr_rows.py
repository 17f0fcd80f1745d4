"""What the trainers that grew from SPIN share: boxes as centre and scale, 44 points, SMPL poses in one row.

Facts: the data loaders of 4D-Humans, TokenHMR, CameraHMR, BEDLAM and PromptHMR.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import ehps
from ehps.arrays import Array
from ehps.errors import DataError, PassportError, UsageError
from ehps.exchange.forms import Stated
from ehps.humandata import frames
from ehps.humandata.core import HumanData
from ehps.humandata.keypoints import CONVENTIONS, convert, point_names
from ehps.humandata.passport import CAMERA, Passport
from ehps.humandata.strings import Strings

POINTS = point_names("smpl_49")[:44]
"""25 points as OpenPose finds them, and 19 as annotators do."""
PELVIS = POINTS.index("pelvis_extra")
PIXELS = 200.0
"""What the side of a box is divided by to give its scale."""
OPTIONS = {"gender": "--gender", "flat_hand_mean": "--flat-hand-mean", "num_betas": "--num-betas", "frame": "--frame"}


def settled(name: str, stated: Stated, form: Any, path: Path) -> Any:
    """What holds for the file: what the form says, else what is stated of it.

    Parameters
    ----------
    name : a field of :class:`~ehps.exchange.forms.Stated`.
    form : what the form says, None where it leaves that open.

    Raises
    ------
    UsageError : neither does, or they contradict each other.
    """
    said = getattr(stated, name)
    if form is None and said is None:
        raise UsageError(f"does not say its {name}", path=path, fix=f"state it with {OPTIONS[name]}")
    if form is not None and said not in (None, form):
        raise UsageError(
            f"{OPTIONS[name]} {said} contradicts the form, in which {name} is {form}", path=path, fix="leave it out"
        )
    return said if form is None else form


def passport(form: str, model_type: str | None, num_betas: int | None, **facts: Any) -> Passport:
    """The passport of rows read from a form: in the camera frame, of a dataset that the file does not name."""
    return Passport(
        body_model=model_type,
        num_betas=num_betas,
        frame=CAMERA,
        converter=f"import of {form}, ehps {ehps.__version__}",
        **facts,
    )


# -- boxes ------------------------------------------------------------------------------------------------


def boxes(center: Array, side: Array) -> Array:
    """(N, 5) float32 boxes of centres (N, 2) and sides (N, 1) or (N, 2), pixels; confidence 0 where a side is 0."""
    side = np.broadcast_to(np.reshape(np.asarray(side, np.float64), (len(center), -1)), (len(center), 2))
    out = np.ones((len(center), 5))
    out[:, :2], out[:, 2:4] = center - side / 2, side
    out[~(side > 0).all(axis=1)] = 0
    return out.astype(np.float32)


def centres(hd: HumanData, program: str) -> tuple[Array, Array]:
    """Centres (N, 2) and sides (N, 2) of the boxes, float64 pixels.

    Raises
    ------
    DataError : the file has no boxes.
    """
    if "bbox_xywh" not in hd:
        raise DataError(f"has no bbox_xywh, which {program} needs", path=hd.source)
    box = np.asarray(hd["bbox_xywh"], np.float64)
    return box[:, :2] + box[:, 2:4] / 2, box[:, 2:4].copy()


# -- points -----------------------------------------------------------------------------------------------


def points(hd: HumanData, prefix: str, names: tuple[str, ...], left_out: list[str]) -> Array | None:
    """(N, K, C) float32 points of the column that has most of ``names``; None where no column has any.

    A name that the column lacks is taken from the point that may stand in for it, which is said.

    Parameters
    ----------
    prefix : keypoints2d or keypoints3d.
    left_out : sentences about points are added.
    """
    found = [name for name in hd.columns if name.startswith(prefix) and name in hd.keypoint_names]
    shared = {name: len(set(hd.keypoint_names[name]) & set(names)) for name in found}
    if not any(shared.values()):
        return None
    column = max(found, key=lambda name: shared[name])
    exact = hd.keypoints(column, names)
    out, _ = convert(np.asarray(hd[column], np.float32), hd.keypoint_names[column], names, approximate=True)
    stands_in = [name for name, a, b in zip(names, exact[0], out[0], strict=True) if (a != b).any()] if len(hd) else []
    if stands_in:
        left_out.append(f"{column}: {len(stands_in)} points are those that stand in for them: {', '.join(stands_in)}")
    lost = len(set(hd.keypoint_names[column]) - set(names))
    if lost:
        left_out.append(f"{column}: {lost} points that the form does not have")
    if len(found) > 1:
        others = ", ".join(name for name in found if name != column)
        left_out.append(f"{others}: the form has one set of points, that of {column}")
    return out


def without_points(hd: HumanData, prefix: str) -> list[str]:
    """A sentence about the columns of points of a form that has none such, if there are any."""
    found = [name for name in hd.columns if name.startswith(prefix)]
    return [f"{', '.join(found)}: the form has no such points"] if found else []


def point_columns(name: str, values: Array, names: tuple[str, ...]) -> tuple[dict[str, Array], dict[str, Any]]:
    """A keypoint column and its names, nothing where no point of any row has confidence."""
    values = np.asarray(values, np.float32)
    return ({name: values}, {name: names}) if (values[..., -1] > 0).any() else ({}, {})


# -- bodies -----------------------------------------------------------------------------------------------


def need_body(hd: HumanData, model_type: str, program: str, *, gender: bool = True) -> None:
    """Raise unless the file has bodies of this model in the camera frame, of the neutral gender where ``gender``.

    Raises
    ------
    UsageError : they are of another model, or none.
    PassportError : of another frame, gender or kind of hand pose.
    """
    if f"{model_type}/betas" not in hd:
        have = "no body parameters" if hd.body_model is None else f"bodies of {hd.body_model}"
        raise UsageError(f"has {have}, and {program} reads those of {model_type}", path=hd.source)
    frames.required(hd, program)
    if gender and genders(hd) != {"neutral"}:
        fix = "`ehps humandata convert FILE --gender neutral --body-models DIR --out NEW` fits the neutral model"
        raise PassportError(f"{program} reads bodies of the neutral model only", path=hd.source, fix=fix)
    if model_type == "smplx" and hd.passport.flat_hand_mean is not True:
        said = "relative to the mean hand" if hd.passport.flat_hand_mean is False else "not known to be absolute"
        fix = "`ehps humandata convert FILE --flat-hand-mean yes --body-models DIR --out NEW` makes them absolute"
        raise PassportError(f"its hand poses are {said}, and {program} needs absolute ones", path=hd.source, fix=fix)


def genders(hd: HumanData) -> set[str]:
    """Whose models the parameters of the rows belong to."""
    if "meta/gender" in hd:
        return set(hd["meta/gender"].unique())
    return {str(hd.passport.gender)}


def pose(hd: HumanData, model_type: str, parts: tuple[str, ...]) -> Array:
    """(N, 3 J) float32 rotations in the order of the parts; zeros of those that the file lacks."""
    from ehps.body.topology import POSE_PARTS

    joints = POSE_PARTS[model_type]
    values = [
        np.asarray(hd[f"{model_type}/{part}"], np.float32).reshape(len(hd), -1)
        if f"{model_type}/{part}" in hd
        else np.zeros((len(hd), 3 * joints[part]), np.float32)
        for part in parts
    ]
    return np.concatenate(values, axis=1)


def body_columns(model_type: str, rotations: Array, betas: Array, transl: Array | None) -> dict[str, Any]:
    """Columns of bodies whose rotations (N, 3 J) are those of all joints of the model in order; float32."""
    from ehps.body.params import smpl_params, smplx_params, smplx_pose

    n = len(betas)
    moved = np.zeros((n, 3)) if transl is None else transl
    if model_type == "smpl":
        params = smpl_params(gender="neutral", betas=betas, pose=rotations, transl=moved)
    else:
        parts: dict[str, Any] = smplx_pose(np.asarray(rotations).reshape(n, 55, 3))
        params = smplx_params(gender="neutral", betas=betas, transl=moved, **parts)
    return {
        f"{model_type}/{name}": value.astype(np.float32)
        for name, value in params.arrays().items()
        if not (name == "transl" and transl is None)
    }


# -- names ------------------------------------------------------------------------------------------------


def text_array(column: Strings) -> Array:
    """(N,) texts of fixed width, as ``np.load`` reads them without pickles."""
    codes, inverse = np.unique(column.codes, return_inverse=True)
    return np.array(column.vocabulary.texts(codes) or [""], str)[inverse.ravel()]


def others(hd: HumanData, held: set[str]) -> list[str]:
    """A sentence about the columns that are not among those held, if there are any."""
    rest = [name for name in hd.columns if name not in held and not name.startswith(("keypoints", "quality/"))]
    facts = list(hd.misc)
    said = [f"{', '.join(rest)}: the form has no place for them"] if rest else []
    return said + ([f"constants of the file: {', '.join(facts)}"] if facts else [])


SMPLX_POINTS = CONVENTIONS["smplx_127"]
