"""Between the variants of body parameters: how many betas, which mean hand, which gender's shape space.

Each conversion is one named function that changes the columns and the passport together. What cannot be
converted exactly is fitted, and says how well it fits.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ehps.arrays import Array
from ehps.body.folding import fitting_columns
from ehps.body.hands import COEFFICIENTS, expand, mean_hands
from ehps.body.model_file import BodyModel, without_hands
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams, genders
from ehps.body.topology import NAMES, POSE_PARTS, TOPOLOGY
from ehps.errors import DataError, PassportError, UsageError
from ehps.genders import GENDERS
from ehps.humandata import frames, merging
from ehps.humandata.core import HumanData
from ehps.humandata.passport import LOCKED, UNKNOWN


def params_of(hd: HumanData, model_type: str | None = None, *, any_frame: bool = False) -> BodyParams:
    """The body parameters of all rows, float64, in the camera frame; parts that the file lacks are zero.

    Parameters
    ----------
    model_type : smplx, smplh or smpl; the file's own when not given.
    any_frame : take them in whatever frame they are, and hands as relative to the mean hand where the file does not
        say: for what neither frame nor hands matter to.

    Raises
    ------
    DataError : the file has no such parameters, or some of another shape.
    PassportError : it does not say which gender's model they belong to, that they are in the camera frame, or what its
        hand poses are relative to.
    """
    model_type = _model_type_of(hd, model_type)
    if not any_frame:
        frames.required(hd)
        if hd.passport.flat_hand_mean is None and f"{model_type}/left_hand_pose" in hd:
            raise hands_not_stated(hd)
    n = len(hd)
    values: dict[str, Array] = {}
    for name, joints in POSE_PARTS[model_type].items():
        tail = (3,) if joints == 1 else (joints, 3)
        full = f"{model_type}/{name}"
        values[name] = _shaped(hd, full, tail) if full in hd else np.zeros((n, *tail))
    if model_type == "smplx":
        known = "smplx/expression" in hd
        values["expression"] = _shaped(hd, "smplx/expression", (-1,)) if known else np.zeros((n, 10))
    extra = f"{model_type}/betas_extra"
    return BodyParams(
        model_type=model_type,
        gender=genders_of(hd),
        betas=_shaped(hd, f"{model_type}/betas", (-1,)),
        transl=_shaped(hd, f"{model_type}/transl", (3,)) if f"{model_type}/transl" in hd else np.zeros((n, 3)),
        flat_hand_mean=bool(hd.passport.flat_hand_mean),
        betas_extra=_shaped(hd, extra, (1,)) if extra in hd else None,
        locked_head=model_type == "smplx" and has_locked_head(hd),
        version=stated_version(hd) if model_type == hd.passport.body_model else None,
        source=hd.source,
        **values,
    )


def has_locked_head(hd: HumanData) -> bool:
    """Whether the bodies of a file belong to the locked-head release of SMPL-X."""
    return str(hd.passport.body_model_version).endswith(LOCKED)


def stated_version(hd: HumanData) -> str | None:
    """Release of the models that the bodies of a file belong to; None where it does not say."""
    version = hd.passport.body_model_version
    return None if version == UNKNOWN else version


def models_of(hd: HumanData, models: BodyModels) -> BodyModels:
    """The models that the bodies of a file belong to: ``models``, or those of the locked-head release.

    Raises
    ------
    BodyModelError : the locked-head release is not there.
    PassportError : they are known to belong to another release than these models, or it is not known of which gender.
    """
    models = models.locked_head() if has_locked_head(hd) else models
    if version := stated_version(hd):
        models.require_version(version, _model_type_of(hd, None), genders_of(hd), source=hd.source)
    return models


def _shaped(hd: HumanData, name: str, tail: tuple[int, ...]) -> Array:
    """(N, *tail) float64 of a column, -1 for any number.

    Raises
    ------
    DataError : it holds texts, or has another shape.
    """
    column = hd[name]
    size = int(np.prod(column.shape[1:])) if isinstance(column, np.ndarray) and column.dtype.kind in "biuf" else -1
    if size < 0 or (tail != (-1,) and size != int(np.prod(tail))):
        found = f"has rows of shape {column.shape[1:]}" if size >= 0 else "does not hold numbers"
        wanted = "(B,)" if tail == (-1,) else str(tail)
        raise DataError(f"{name} {found}, expected {wanted}", path=hd.source)
    return np.asarray(column, np.float64).reshape(len(hd), *(tail if tail != (-1,) else (size,)))


def genders_of(hd: HumanData) -> Array:
    """(N,) gender of the model that each row's parameters belong to.

    The passport decides: in files fitted with the neutral model, ``meta/gender`` describes the person only.

    Raises
    ------
    PassportError : neither passport nor rows say it.
    DataError : a word that is none of a gender.
    """
    if hd.passport.gender in GENDERS:
        return genders(hd.passport.gender, len(hd))
    if merging.GENDER not in hd:
        raise merging.unknown_gender(hd)
    try:
        return genders(hd[merging.GENDER].tolist(), len(hd))
    except (ValueError, AttributeError):
        raise DataError(
            f"{merging.GENDER} has words that are none of {', '.join(GENDERS)}",
            path=hd.source,
            fix="`ehps humandata validate` names the rows",
        ) from None


def with_num_betas(hd: HumanData, n: int) -> HumanData:
    """The file with ``n`` shape coefficients: further ones cut off, or zeros appended.

    Cutting loses what those coefficients said (sub-millimetre to millimetres); appending is exact. The columns
    keep their meaning: the shape space and its release stay the same.

    Raises
    ------
    DataError : the file has no body parameters.
    UsageError : ``n`` is not positive.
    """
    if n < 1:
        raise UsageError(f"{n} betas were asked for")
    model_type = _model_type_of(hd, None)
    betas = np.asarray(hd[f"{model_type}/betas"])
    fitted = np.zeros((len(betas), n), betas.dtype)
    fitted[:, : betas.shape[1]] = betas[:, :n]
    out = hd.with_columns({f"{model_type}/betas": fitted})
    out.passport = hd.passport.with_(num_betas=n)
    return out


def with_hand_mean(hd: HumanData, flat_hand_mean: bool, models: BodyModels) -> HumanData:
    """The file with hand poses relative to the model's mean hand (False) or absolute (True). Exact.

    Raises
    ------
    DataError : the file has no hand poses.
    PassportError : the file does not say which of the two its hands are.
    BodyModelError : a model, whose mean hand is needed, is missing.
    """
    model_type = _model_type_of(hd, None)
    if TOPOLOGY[model_type].left_hand is None:
        raise DataError(f"has {NAMES[model_type]} parameters, which have no hand poses", path=hd.source)
    now = hd.passport.flat_hand_mean
    if now is None:
        raise hands_not_stated(hd)
    if now == flat_hand_mean:
        return hd
    hd = with_full_hands(hd, models)
    models = models_of(hd, models)
    sign = 1.0 if flat_hand_mean else -1.0
    own = genders_of(hd)
    columns = {}
    for side in ("left", "right"):
        name = f"{model_type}/{side}_hand_pose"
        if name not in hd:
            continue
        stored = np.asarray(hd[name])
        pose = stored.astype(np.float64).reshape(len(hd), 15, 3)
        for gender in np.unique(own):
            mean = mean_hands(models.get(model_type, str(gender)))
            pose[own == gender] += sign * (mean[:15] if side == "left" else mean[15:])
        columns[name] = pose.reshape(stored.shape).astype(stored.dtype)
    out = hd.with_columns(columns)
    out.passport = hd.passport.with_(flat_hand_mean=flat_hand_mean)
    out.misc = {**hd.misc, "flat_hand_mean": flat_hand_mean}
    return out


def hands_not_stated(hd: HumanData) -> PassportError:
    """The error of a file whose hand poses may be absolute or relative."""
    return PassportError(
        "does not say whether its hand poses are relative to the mean hand",
        path=hd.source,
        fix="say so: `ehps humandata convert FILE --declare flat_hand_mean=false --out NEW` if zeros are a relaxed "
        "hand, true if a flat one",
    )


def with_full_hands(hd: HumanData, models: BodyModels) -> HumanData:
    """The file with hand poses as (N, 15, 3) rotations where it has coefficients of the hand components. Exact.

    Raises
    ------
    BodyModelError : a model, or its hand components, are missing.
    """
    model_type = _model_type_of(hd, None)
    models = models_of(hd, models)
    columns = {}
    for side in ("left", "right"):
        name = f"{model_type}/{side}_hand_pose"
        if name not in hd or np.prod(hd[name].shape[1:]) == 45:
            continue
        coefficients = np.asarray(hd[name], np.float64).reshape(len(hd), -1)
        full, own = np.zeros((len(hd), 15, 3)), genders_of(hd)
        for gender in np.unique(own):
            model = models.get(model_type, str(gender))
            components = model.hands_components_left if side == "left" else model.hands_components_right
            if components is None:
                raise without_hands(model_type, COEFFICIENTS, model.path)
            if coefficients.shape[1] > len(components):
                raise DataError(f"{name} has rows of {coefficients.shape[1]} numbers", path=hd.source)
            full[own == gender] = expand(coefficients[own == gender], components)
        columns[name] = full.astype(np.float32)
    return hd.with_columns(columns) if columns else hd


def neutral_betas(
    params: BodyParams, models: BodyModels, *, num_betas: int = 10, ridge: float = 0.0
) -> tuple[Array, Array]:
    """Shapes of the neutral model that imitate gendered ones, by least squares over the unposed vertices.

    The neutral body is fitted at the same place, so ``transl`` and all poses can be kept.

    Parameters
    ----------
    params : of any genders; neutral rows keep their betas, up to ``num_betas``.
    num_betas : coefficients to fit.
    ridge : weight of the squared betas against the squared vertex distances (metres), for smaller betas.

    Returns
    -------
    betas (N, num_betas) float64, and the residual (N,): root mean square vertex distance in metres.

    Raises
    ------
    BodyModelError : a model is missing, or the parameters have more betas than theirs.
    PassportError : the folder mixes releases, whose shape spaces cannot be compared.
    """
    models = models.of(params)
    betas = np.zeros((len(params), num_betas))
    residual = np.zeros(len(params))
    for gender in np.unique(params.gender):
        rows = np.flatnonzero(params.gender == gender)
        own = np.asarray(params.betas[rows], np.float64)
        fit = _fit(
            models.get(params.model_type, str(gender)), models.get(params.model_type, "neutral"), num_betas, ridge
        )
        own = fitting_columns(own, fit.gain.shape[1], "betas")
        b = own.shape[1]
        betas[rows] = own @ fit.gain[:, :b].T + fit.constant
        known = np.concatenate([own, np.ones((len(rows), 1))], axis=1)
        kept = np.r_[:b, len(fit.gram) - 1]
        square = np.einsum("ni,ij,nj->n", known, fit.gram[np.ix_(kept, kept)], known)
        residual[rows] = np.sqrt(np.maximum(square, 0) / TOPOLOGY[params.model_type].vertices)
    return betas, residual


def with_neutral_betas(hd: HumanData, models: BodyModels) -> HumanData:
    """The file with ``<model>/betas_neutral`` beside its betas, and the fit's residual in metres in
    ``meta/betas_neutral_residual``. The original betas and genders stay."""
    model_type = _model_type_of(hd, None)
    betas, residual = neutral_betas(params_of(hd, model_type, any_frame=True), models)
    return hd.with_columns(
        {
            f"{model_type}/betas_neutral": betas.astype(np.float32),
            "meta/betas_neutral_residual": residual.astype(np.float32),
        }
    )


class _Fit(NamedTuple):
    """Neutral betas are ``gain @ betas + constant``; the squared residual is [betas 1] gram [betas 1]."""

    gain: Array
    constant: Array
    gram: Array


FITTED_COLUMNS = 32  # of the gendered shape space: more than any data set uses


@lru_cache(maxsize=8)
def _fit(own: BodyModel, neutral: BodyModel, num_betas: int, ridge: float) -> _Fit:
    if own.version != neutral.version:
        raise PassportError(
            f"the {own.gender} model is release {own.version}, the neutral one {neutral.version}",
            path=own.path.parent,
            fix="put models of one release into the folder",
        )
    columns = own.shapedirs.shape[2]
    gendered = own.shapedirs[:, :, : min(columns, FITTED_COLUMNS)].reshape(own.v_template.size, -1)
    basis = neutral.shapedirs[:, :, :num_betas].reshape(own.v_template.size, -1).astype(np.float64)
    gap = (own.v_template.astype(np.float64) - neutral.v_template).reshape(-1, 1)
    target = np.concatenate([gendered.astype(np.float64), gap], axis=1)
    if own.gender == "neutral":
        solution = np.eye(basis.shape[1], target.shape[1])
        solution[:, -1] = 0
    else:
        gram = basis.T @ basis + ridge * np.eye(basis.shape[1])
        # The pseudo-inverse leaves a shape column that moves nothing at zero instead of failing.
        solution = np.linalg.pinv(gram, hermitian=True) @ (basis.T @ target)
    rest = target - basis @ solution
    filled = np.zeros((num_betas, target.shape[1]))
    filled[: len(solution)] = solution
    return _Fit(filled[:, :-1], filled[:, -1], rest.T @ rest)


def _model_type_of(hd: HumanData, model_type: str | None) -> str:
    model_type = model_type or hd.body_model
    if model_type is None or f"{model_type}/betas" not in hd:
        raise DataError(
            f"has no {model_type or 'body'} parameters", path=hd.source, fix="convert it again with body models"
        )
    return model_type
