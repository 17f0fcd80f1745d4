"""Bodies that belong to one release of a body model are not taken for those of another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ehps.benchmark.training import training_sets
from ehps.body.model_file import BodyModel
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams, smpl_params
from ehps.body.refits import RESIDUAL, with_model
from ehps.body.variants import params_of, with_hand_mean
from ehps.errors import PassportError, UsageError
from ehps.humandata import HumanData


def write_release(folder: Path, model: BodyModel) -> BodyModels:
    """SMPL 1.0 whose shape space is that of ``model`` in another order, about another mean."""
    path = folder / "smpl" / "SMPL_NEUTRAL.npz"
    path.parent.mkdir(parents=True)
    directions = model.shapedirs[:, :, :10]
    np.savez(
        path,
        v_template=model.v_template + 0.5 * directions[:, :, 1],
        shapedirs=np.ascontiguousarray(directions[:, :, ::-1]),
        posedirs=model.posedirs,
        J_regressor=model.J_regressor,
        weights=model.weights,
        f=model.faces,
        kintree_table=np.stack([model.parents, np.arange(24)]),
    )
    return BodyModels(folder)


@pytest.fixture(scope="module")
def other(models: BodyModels, tmp_path_factory: pytest.TempPathFactory) -> BodyModels:
    return write_release(tmp_path_factory.mktemp("release"), models.get("smpl", "neutral"))


@pytest.fixture(scope="module")
def people() -> BodyParams:
    rng = np.random.default_rng(5)
    pose = 0.2 * rng.normal(size=(3, 24, 3))
    return smpl_params(gender="neutral", betas=rng.normal(size=(3, 10)), pose=pose, transl=rng.normal(size=(3, 3)))


def file_of(params: BodyParams, version: str) -> HumanData:
    columns = {f"smpl/{name}": value for name, value in params.arrays().items()}
    hd = HumanData({"image_path": [f"{row}.jpg" for row in range(len(params))], **columns})
    hd.passport = replace(
        hd.passport, body_model="smpl", body_model_version=version, gender="neutral", num_betas=10, dataset="some"
    )
    hd.source = Path("some.h5")
    return hd


def test_bodies_of_another_release_are_refused_by_whatever_evaluates_them(
    models: BodyModels, other: BodyModels, people: BodyParams
) -> None:
    params = params_of(file_of(people, "1.0"))
    assert other.version("smpl", "neutral") == "1.0"
    np.testing.assert_array_equal(other.joints(params), other.joints(people))
    for evaluate in (models.joints, models.mesh, models.heights, models.rest_pelvis):
        with pytest.raises(PassportError, match=r"some\.h5.*SMPL 1\.0.*is stand-in.*--from-models"):
            evaluate(params)


def test_the_hands_of_another_release_are_not_changed(models: BodyModels) -> None:
    hands = {f"smplx/{side}_hand_pose": np.zeros((2, 15, 3), np.float32) for side in ("left", "right")}
    hd = HumanData({"image_path": ["0.jpg", "1.jpg"], "smplx/betas": np.zeros((2, 10), np.float32), **hands})
    hd.passport = replace(
        hd.passport, body_model="smplx", body_model_version="1.0", gender="neutral", flat_hand_mean=False
    )
    with pytest.raises(PassportError, match=r"SMPL-X 1\.0, the neutral model"):
        with_hand_mean(hd, True, models)


def test_what_a_file_does_not_say_passes(models: BodyModels, people: BodyParams) -> None:
    for version in ("unknown", "stand-in", "1.0+stand-in"):
        np.testing.assert_array_equal(models.joints(params_of(file_of(people, version))), models.joints(people))


def test_another_release_is_fitted_to_them(models: BodyModels, other: BodyModels, people: BodyParams) -> None:
    hd = file_of(people, "1.0")
    out = with_model(hd, models, "smpl", source=other, show=False)
    assert out.passport.body_model_version == "stand-in"
    assert out[RESIDUAL].max() < 2e-4  # both have the same bodies
    shifted = people.betas[:, ::-1] + 0.5 * np.eye(10)[1]
    np.testing.assert_allclose(out["smpl/betas"], shifted, atol=0.05)
    away = models.mesh(params_of(out)) - other.mesh(people)
    assert np.abs(away).max() < 1e-3
    with pytest.raises(UsageError, match=r"already.*--from-models"):
        with_model(out, models, "smpl", show=False)


def test_sets_of_two_releases_are_not_trained_together(models: BodyModels, people: BodyParams) -> None:
    own, unsaid, older = (file_of(people, version) for version in ("stand-in", "unknown", "1.0"))
    training_sets._require_one_release([own, unsaid, own], "smpl", models)
    with pytest.raises(PassportError, match=r"SMPL 1\.0, those of some\.h5 of stand-in"):
        training_sets._require_one_release([own, older], "smpl", models)


def test_a_set_of_another_release_than_the_model_that_is_trained_is_refused(
    models: BodyModels, people: BodyParams
) -> None:
    with pytest.raises(PassportError, match=r"SMPL 1\.0, the neutral model"):
        training_sets._require_one_release([file_of(people, "1.0")], "smpl", models)
