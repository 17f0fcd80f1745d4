"""Conversions between variants of body parameters keep the body, and say what they cannot keep."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ehps.body.hands import expand
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams
from ehps.body.variants import genders_of, neutral_betas, params_of, with_hand_mean, with_neutral_betas, with_num_betas
from ehps.errors import DataError, PassportError, UsageError
from ehps.humandata import HumanData, Passport
from tests.body.test_fast_joints import random_params

OWN = np.array(["male", "female", "neutral", "female"])
PERSONS = {"smplx": OWN, "smplh": "female", "smpl": "female"}


def stored(params: BodyParams, *, flat: bool | None = False, gender: str = "per-instance") -> HumanData:
    columns: dict = {f"{params.model_type}/{name}": value.astype(np.float32) for name, value in params.arrays().items()}
    columns["meta/gender"] = params.gender.tolist()
    passport = Passport(
        body_model=params.model_type,
        num_betas=params.betas.shape[1],
        gender=gender,
        flat_hand_mean=flat,
        dataset="made up",
    )
    return HumanData(columns, passport=passport, misc={"flat_hand_mean": flat})


@pytest.mark.parametrize("model_type", ["smplx", "smplh", "smpl"])
def test_parameters_come_back_from_columns(models: BodyModels, model_type: str) -> None:
    params = random_params(model_type, 4, np.random.default_rng(0), gender=PERSONS[model_type])
    back = params_of(stored(params))
    np.testing.assert_allclose(models.joints(back), models.joints(params), atol=1e-5)


def test_absent_parts_are_zero(models: BodyModels) -> None:
    params = random_params("smplx", 2, np.random.default_rng(1))
    hd = stored(params).without(["smplx/jaw_pose", "smplx/expression", "smplx/transl"])
    expected = params.with_(jaw_pose=np.zeros((2, 3)), expression=np.zeros((2, 10)), transl=np.zeros((2, 3)))
    np.testing.assert_allclose(models.joints(params_of(hd)), models.joints(expected), atol=1e-5)


def test_a_neutral_fit_ignores_the_persons_gender() -> None:
    hd = stored(random_params("smplx", 4, np.random.default_rng(2), gender=OWN), gender="neutral")
    assert set(genders_of(hd)) == {"neutral"}
    hd.passport = hd.passport.with_(gender="per-instance")
    assert genders_of(hd).tolist() == OWN.tolist()


def test_files_without_bodies_are_named() -> None:
    with pytest.raises(DataError, match="no body parameters"):
        params_of(HumanData({"bbox_xywh": np.zeros((1, 5))}))


def test_parameters_of_another_shape_are_named() -> None:
    hd = stored(random_params("smpl", 2, np.random.default_rng(2)))
    for name, value in (("body_pose", np.zeros((2, 21, 3))), ("transl", np.zeros((2, 4))), ("betas", ["a", "b"])):
        with pytest.raises(DataError, match=rf"smpl/{name} (has rows of shape|does not hold numbers).*expected"):
            params_of(hd.with_columns({f"smpl/{name}": value}))


@pytest.mark.parametrize("stated", [None, "unknown", "per-instance"])
def test_a_gender_that_nobody_states_is_not_taken_for_neutral(stated: str | None) -> None:
    hd = stored(random_params("smplx", 2, np.random.default_rng(2))).without(["meta/gender"])
    hd.passport = hd.passport.with_(gender=stated)
    with pytest.raises(PassportError, match=r"which gender's body model.*--declare gender=neutral"):
        genders_of(hd)
    odd = hd.with_columns({"meta/gender": ["male", "cat"]})
    with pytest.raises(DataError, match="words that are none of"):
        genders_of(odd)


def test_num_betas_cuts_or_appends_and_tells_the_passport(models: BodyModels) -> None:
    rng = np.random.default_rng(3)
    hd = stored(random_params("smplx", 3, rng, betas=rng.normal(size=(3, 11))))
    longer, shorter = with_num_betas(hd, 16), with_num_betas(hd, 10)
    assert longer["smplx/betas"].shape == (3, 16)
    assert (longer.passport.num_betas, shorter.passport.num_betas, hd.passport.num_betas) == (16, 10, 11)
    np.testing.assert_array_equal(shorter["smplx/betas"], hd["smplx/betas"][:, :10])
    np.testing.assert_allclose(models.joints(params_of(longer)), models.joints(params_of(hd)), atol=1e-6)
    HumanData.concat([shorter, with_num_betas(longer, 10)])
    with pytest.raises(UsageError):
        with_num_betas(hd, 0)


@pytest.mark.parametrize("model_type", ["smplx", "smplh"])
def test_changing_the_hand_mean_keeps_the_body(models: BodyModels, model_type: str) -> None:
    hd = stored(random_params(model_type, 4, np.random.default_rng(4), gender=PERSONS[model_type]))
    flat = with_hand_mean(hd, True, models)
    assert flat.passport.flat_hand_mean is True
    assert flat.misc["flat_hand_mean"] is True
    assert np.abs(flat[f"{model_type}/left_hand_pose"] - hd[f"{model_type}/left_hand_pose"]).max() > 0.05
    np.testing.assert_allclose(models.joints(params_of(flat)), models.joints(params_of(hd)), atol=1e-5)
    back = with_hand_mean(flat, False, models)
    np.testing.assert_allclose(back[f"{model_type}/right_hand_pose"], hd[f"{model_type}/right_hand_pose"], atol=1e-6)
    assert with_hand_mean(hd, False, models) is hd


def test_hands_of_unknown_mean_are_not_converted(body_models: Path) -> None:
    hd = stored(random_params("smplx", 1, np.random.default_rng(5)), flat=None)
    with pytest.raises(PassportError, match="relative to the mean hand"):
        with_hand_mean(hd, True, body_models)
    with pytest.raises(DataError, match="no hand poses"):
        with_hand_mean(stored(random_params("smpl", 1, np.random.default_rng(5))), True, body_models)


def test_neutral_betas_are_the_least_squares_solution(models: BodyModels) -> None:
    """Compared with numpy's solver on explicit vertices."""
    params = random_params("smplx", 3, np.random.default_rng(6), gender=np.array(["male", "female", "male"]))
    betas, residual = neutral_betas(params, models)
    neutral = models.get("smplx", "neutral")
    basis = neutral.shapedirs[:, :, :10].reshape(-1, 10).astype(float)
    for row in range(3):
        own = models.get("smplx", str(params.gender[row]))
        shaped = own.v_template + own.shapedirs[:, :, :10] @ params.betas[row]
        gap = (shaped - neutral.v_template).reshape(-1)
        expected, *_ = np.linalg.lstsq(basis, gap, rcond=None)
        np.testing.assert_allclose(basis @ betas[row], basis @ expected, atol=1e-5)
        left = (gap - basis @ expected).reshape(-1, 3)
        assert residual[row] == pytest.approx(np.sqrt((left**2).sum(axis=1).mean()), rel=1e-4)


def test_neutral_rows_keep_their_betas(models: BodyModels) -> None:
    params = random_params("smplx", 2, np.random.default_rng(7))
    betas, residual = neutral_betas(params, models)
    np.testing.assert_allclose(betas, params.betas, atol=1e-6)
    assert residual.max() < 1e-6
    cut, left = neutral_betas(params, models, num_betas=4)
    np.testing.assert_allclose(cut, params.betas[:, :4], atol=1e-12)
    assert left.min() > 1e-4


def test_ridge_shrinks_the_betas(models: BodyModels) -> None:
    params = random_params("smpl", 4, np.random.default_rng(8), gender="female")
    free, best = neutral_betas(params, models)
    held, worse = neutral_betas(params, models, ridge=10.0)
    assert (np.linalg.norm(held, axis=1) < np.linalg.norm(free, axis=1)).all()
    assert (worse > best).all()


def test_neutral_betas_of_two_releases_are_refused(body_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = BodyModels(body_models)
    other = replace(models.get("smpl", "male"), version="1.1")
    monkeypatch.setattr(
        models, "get", lambda model_type, g, get=models.get: other if g == "male" else get(model_type, g)
    )
    params = random_params("smpl", 1, np.random.default_rng(9), gender="male")
    with pytest.raises(PassportError, match=r"release 1\.1"):
        neutral_betas(params, models)


def test_refit_is_written_beside_the_original(models: BodyModels) -> None:
    hd = stored(random_params("smplx", 4, np.random.default_rng(10), gender=OWN))
    out = with_neutral_betas(hd, models)
    assert out["smplx/betas_neutral"].shape == (4, 10)
    np.testing.assert_array_equal(out["smplx/betas"], hd["smplx/betas"])
    residual = out["meta/betas_neutral_residual"]
    assert residual[OWN == "neutral"].max() < 1e-5
    assert (residual[OWN != "neutral"] > 1e-4).all()


def test_hand_coefficients_expand_linearly() -> None:
    components = np.arange(45 * 45, dtype=float).reshape(45, 45)
    np.testing.assert_array_equal(expand(np.array([[0.0, 2.0]]), components)[0].ravel(), 2 * components[1])
    with pytest.raises(ValueError, match="46 coefficients"):
        expand(np.zeros((1, 46)), components)


def test_parameters_with_hands_that_may_be_either_are_refused() -> None:
    hd = HumanData(
        {
            "image_path": ["a"],
            "smplx/betas": np.zeros((1, 10)),
            "smplx/left_hand_pose": np.zeros((1, 15, 3)),
            "smplx/right_hand_pose": np.zeros((1, 15, 3)),
        },
        passport=Passport(body_model="smplx", gender="neutral"),
    )
    with pytest.raises(PassportError, match="relative to the mean hand"):
        params_of(hd)
    assert not params_of(hd, any_frame=True).flat_hand_mean
    assert len(params_of(hd.without(["smplx/left_hand_pose", "smplx/right_hand_pose"]))) == 1
    for flat in (True, False):
        hd.passport = hd.passport.with_(flat_hand_mean=flat)
        assert params_of(hd).flat_hand_mean is flat
