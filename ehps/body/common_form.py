"""Files brought to one form of body parameters, so that they can be merged, with what that costs in millimetres.

How many betas, hands absolute or relative to the mean hand, whose model: each change is stated in the passport.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ehps.arrays import Array
from ehps.body import rotations
from ehps.body.folding import fitting_columns
from ehps.body.hands import mean_hands
from ehps.body.model_file import BodyModel
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams, genders
from ehps.body.topology import TOPOLOGY
from ehps.body.variants import hands_not_stated, params_of, with_full_hands, with_hand_mean, with_num_betas
from ehps.errors import DataError, PassportError, UsageError
from ehps.humandata import merging
from ehps.humandata.core import HumanData

MEASURED = 256  # rows on which vertices are compared, spread over the file
RESIDUAL = "meta/neutral_residual_m"
BLOCK = 32


@dataclass(frozen=True)
class Changed:
    """A file in another form.

    Attributes
    ----------
    data : the file; its passport says what was changed and what was lost.
    said : the same, a sentence a change.
    """

    data: HumanData
    said: tuple[str, ...]


def changed(
    hd: HumanData,
    models: BodyModels | None,
    *,
    gender: str | None = None,
    num_betas: int | None = None,
    flat_hand_mean: bool | None = None,
) -> Changed:
    """The file with another gender's model, number of betas or mean of the hands, in this order.

    Parameters
    ----------
    models : needed for ``gender`` and ``flat_hand_mean``; for ``num_betas`` they tell the loss in millimetres.
    gender : ``neutral``; see :func:`with_neutral_models`.
    num_betas : further betas are cut off, or zeros appended.
    flat_hand_mean : True for absolute hand poses, False for such relative to the mean hand.

    Raises
    ------
    UsageError : body models are needed and not given, another gender than neutral is asked for, or ``num_betas`` is
        not positive.
    DataError : the file has no body parameters, or no hands.
    PassportError : it does not say what is to be changed.
    BodyModelError : a body model is missing.
    """
    if gender not in (None, "neutral"):
        raise UsageError(f"bodies of any gender can be fitted with the neutral model, not with {gender}")
    if models is None and (gender is not None or flat_hand_mean is not None):
        what = "another gender's shape is found" if gender else "the mean hand is taken"
        raise UsageError(f"{what} with the body models", fix="pass --body-models DIR")
    if hd.body_model is None:
        raise DataError("has no body parameters", path=hd.source, fix="convert it again with body models")
    said: list[str] = []
    width = int(hd[f"{hd.body_model}/betas"].shape[1])
    if gender is not None and models is not None:
        hd, sentence = _neutral(hd, models, num_betas or width)
        said += sentence
    if num_betas is not None and num_betas != hd[f"{hd.body_model}/betas"].shape[1]:
        hd, sentence = _betas(hd, models, num_betas)
        said += sentence
    if flat_hand_mean is not None and models is not None:
        before, hd = hd, with_hand_mean(hd, flat_hand_mean, models)
        if hd is not before:
            said.append(f"hand poses made {'absolute' if flat_hand_mean else 'relative to the mean hand'}")
    if said:
        hd = hd[:]
        hd.passport = hd.passport.with_(changes="; ".join(filter(None, [hd.passport.changes, *said])))
    return Changed(hd, tuple(said))


def with_neutral_models(hd: HumanData, models: BodyModels, num_betas: int) -> HumanData:
    """The file with parameters of the neutral model, which put its bodies where those of their own models are.

    Betas and a translation are the least-squares solution over the vertices of the unposed body, and the translation
    moves with the body's orientation. Poses are kept (hands relative to the mean hand of their own model become
    relative to the neutral one's), children keep their weight of the kid template. :data:`RESIDUAL` has the root mean
    square distance of the unposed vertices. Rows of the neutral model keep their betas.

    Raises
    ------
    DataError : the file has no body parameters.
    PassportError : it does not say whose model they belong to, or the models are of different releases.
    BodyModelError : a model is missing.
    """
    hd = with_full_hands(hd, models)
    params = params_of(hd, any_frame=True)
    models = models.of(params)
    model_type, n = params.model_type, len(hd)
    betas, offset, residual = np.zeros((n, num_betas)), np.zeros((n, 3)), np.zeros(n)
    weight = np.zeros(n) if params.betas_extra is None else np.asarray(params.betas_extra, float).reshape(n)
    own_hands = {side: getattr(params, f"{side}_hand_pose") for side in ("left", "right")}
    for gender in np.unique(params.gender):
        rows = np.flatnonzero(params.gender == gender)
        if gender == "neutral":
            width = min(params.betas.shape[1], num_betas)
            betas[rows, :width] = params.betas[rows, :width]
            continue
        own, neutral = models.get(model_type, str(gender)), models.get(model_type, "neutral")
        fit = _fit(own, neutral, num_betas)
        shape = fitting_columns(np.asarray(params.betas[rows], np.float64), fit.columns, "betas")
        known = np.zeros((len(rows), fit.columns + 1))
        known[:, : shape.shape[1]] = shape
        known[:, -1] = 1 - weight[rows]  # the kid template is the same for all models
        solved = known @ fit.solution.T
        betas[rows, : fit.betas], offset[rows] = solved[:, :-3], solved[:, -3:]
        square = np.einsum("ni,ij,nj->n", known, fit.rest, known)
        residual[rows] = np.sqrt(np.maximum(square, 0) / TOPOLOGY[model_type].vertices)
        if f"{model_type}/left_hand_pose" in hd and hd.passport.flat_hand_mean is not True:
            gap = mean_hands(own) - mean_hands(neutral)
            if hd.passport.flat_hand_mean is None and np.abs(gap).max() > 0:
                raise hands_not_stated(hd)
            own_hands["left"][rows] += gap[:15]
            own_hands["right"][rows] += gap[15:]
    fitted = params.with_(gender=genders("neutral", n), betas=betas)
    before, after = models.rest_pelvis(params), models.rest_pelvis(fitted)
    turn = rotations.to_matrix(np.asarray(params.global_orient, np.float64))
    moved = np.einsum("nij,nj->ni", turn, offset + after - before)
    changing = (params.gender != "neutral")[:, None]
    transl = np.where(changing, params.transl + before - after + moved, params.transl)
    columns: dict[str, Any] = {
        f"{model_type}/betas": betas.astype(np.float32),
        f"{model_type}/transl": transl.astype(np.float32),
        RESIDUAL: residual.astype(np.float32),
        merging.GENDER: ["neutral"] * n,
    }
    for side, pose in own_hands.items():
        name = f"{model_type}/{side}_hand_pose"
        if name in hd:
            columns[name] = pose.reshape(hd[name].shape).astype(np.float32)
    if merging.SUBJECT not in hd:
        columns[merging.SUBJECT] = hd[merging.GENDER] if merging.GENDER in hd else params.gender.tolist()
    gone = [name for name in (f"{model_type}/betas_neutral", "meta/betas_neutral_residual") if name in hd]
    out = hd.without(gone).with_columns(columns)
    out.passport = hd.passport.with_(gender="neutral", num_betas=num_betas)
    return out


class _Fit(NamedTuple):
    """Of one gender: betas and offset are ``solution @ [own betas, 1]``, the sum of squared distances of vertices is
    ``[own betas, 1] rest [own betas, 1]``.

    Attributes
    ----------
    solution : (betas + 3, columns + 1).
    rest : (columns + 1, columns + 1).
    columns : own betas.
    betas : neutral betas, as many as the model has of those asked for.
    """

    solution: Array
    rest: Array
    columns: int
    betas: int


@lru_cache(maxsize=8)
def _fit(own: BodyModel, neutral: BodyModel, num_betas: int) -> _Fit:
    if own.version != neutral.version:
        raise PassportError(
            f"the {own.gender} model is release {own.version}, the neutral one {neutral.version}",
            path=own.path.parent,
            fix="put models of one release into the folder",
        )
    size = own.v_template.size
    columns = min(own.shapedirs.shape[2], 32)
    shapes = neutral.shapedirs[:, :, :num_betas].reshape(size, -1).astype(np.float64)
    shifts = np.tile(np.eye(3), (size // 3, 1))
    basis = np.concatenate([shapes, shifts], axis=1)  # (3 V, betas + 3)
    gendered = own.shapedirs[:, :, :columns].reshape(size, -1).astype(np.float64)
    gap = (own.v_template.astype(np.float64) - neutral.v_template).reshape(-1, 1)
    target = np.concatenate([gendered, gap], axis=1)
    solution = np.linalg.pinv(basis.T @ basis, hermitian=True) @ (basis.T @ target)
    rest = target - basis @ solution
    return _Fit(solution, rest.T @ rest, columns, shapes.shape[1])


def _neutral(hd: HumanData, models: BodyModels, num_betas: int) -> tuple[HumanData, list[str]]:
    if hd.passport.gender == "neutral":
        return hd, []
    out = with_neutral_models(hd, models, num_betas)
    residual = out[RESIDUAL] * 1000
    rows = int((residual > 0).sum())
    sentence = f"{rows} bodies fitted with {num_betas} betas of the neutral model"
    if rows:
        worst = f"{np.median(residual[residual > 0]):.2f} mm in the median, {residual.max():.2f} mm at most"
        sentence += f": unposed vertices {worst} (root mean square of a body); {_distances(hd, out, models)}"
    gone = [name for name in hd.columns if name not in out]
    return out, [sentence + (f"; {', '.join(gone)} left out" if gone else "")]


def _betas(hd: HumanData, models: BodyModels | None, num_betas: int) -> tuple[HumanData, list[str]]:
    out = with_num_betas(hd, num_betas)
    before = np.asarray(hd[f"{hd.body_model}/betas"], np.float64)
    width = before.shape[1]
    if num_betas >= width:
        return out, [f"betas filled up with zeros from {width} to {num_betas}"]
    norms = np.linalg.norm(before[:, num_betas:], axis=1)
    sentence = f"betas cut from {width} to {num_betas}"
    if len(norms):
        sentence += f": norm of those cut {np.median(norms):.2g} in the median, {norms.max():.2g} at most"
        sentence += f"; {_distances(hd, out, models)}" if models is not None else "; not measured in millimetres"
    return out, [sentence]


def _distances(before: HumanData, after: HumanData, models: BodyModels) -> str:
    """How far vertices of posed bodies are from where they were, in words."""
    rows = np.unique(np.linspace(0, len(before) - 1, min(MEASURED, len(before))).astype(int))
    away = vertex_distances(params_of(before, any_frame=True)[rows], params_of(after, any_frame=True)[rows], models)
    of = f"all {len(before)}" if len(rows) == len(before) else f"{len(rows)} of {len(before)}"
    return (
        f"posed vertices {1000 * np.median(away):.2f} mm away in the median, {1000 * away.max():.2f} mm at most (mean "
        f"of a body, {of} rows)"
    )


def vertex_distances(one: BodyParams, other: BodyParams, models: BodyModels) -> Array:
    """(N,) metres: mean distance of the vertices of posed bodies, row by row."""
    away = np.zeros(len(one))
    for start in range(0, len(one), BLOCK):
        part = slice(start, start + BLOCK)
        gap = models.mesh(one[part]).astype(np.float64) - models.mesh(other[part])
        away[part] = np.linalg.norm(gap, axis=2).mean(axis=1)
    return away
