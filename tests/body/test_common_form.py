"""Files in one form of body parameters: the bodies stay where they are, and what is lost is stated in millimetres."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ehps.body.common_form import RESIDUAL, changed, vertex_distances, with_neutral_models
from ehps.body.models import BodyModels
from ehps.body.variants import params_of
from ehps.cli import main
from ehps.errors import DataError, PassportError, UsageError
from ehps.humandata import HumanData
from tests.body.test_fast_joints import random_params
from tests.body.test_variants import OWN, stored


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def numbers(text: str, before: str) -> list[float]:
    """The two numbers in front of ``in the median`` and ``at most`` after some words."""
    found = re.search(before + r".*?([\d.e-]+)(?: mm[^,;]*)? in the median, ([\d.e-]+)", text)
    assert found, text
    return [float(found[1]), float(found[2])]


def test_cut_betas_are_stated_by_norm_and_by_vertices(models: BodyModels, tmp_path: Path, body_models: Path) -> None:
    rng = np.random.default_rng(0)
    hd = stored(random_params("smplx", 3, rng, betas=rng.normal(size=(3, 11)), gender=OWN[:3]))
    hd.save(tmp_path / "in.h5")
    result = call(
        "humandata",
        "convert",
        tmp_path / "in.h5",
        tmp_path / "a/out.h5",
        "--num-betas",
        "10",
        "--body-models",
        body_models,
    )
    assert result.exit_code == 0, result.output
    out = HumanData.open(tmp_path / "a/out.h5")
    said = str(out.passport.changes)
    assert said.startswith("betas cut from 11 to 10")
    assert said in result.stderr
    norms = np.abs(hd["smplx/betas"][:, 10])
    assert numbers(said, "norm of those cut") == pytest.approx([np.median(norms), norms.max()], rel=0.05)
    gap = models.mesh(params_of(hd)) - models.mesh(params_of(out))
    away = 1000 * np.sqrt((gap.astype(float) ** 2).sum(axis=2)).mean(axis=1)
    assert numbers(said, "posed vertices") == pytest.approx([np.median(away), away.max()], abs=0.006)
    assert out.validate() == HumanData.open(tmp_path / "in.h5").validate()


def test_added_betas_are_zeros_and_lose_nothing(models: BodyModels) -> None:
    hd = stored(random_params("smplx", 2, np.random.default_rng(1)))
    done = changed(hd, None, num_betas=16)
    assert done.said == ("betas filled up with zeros from 10 to 16",)
    assert vertex_distances(params_of(hd), params_of(done.data), models).max() < 1e-6
    assert changed(hd, None, num_betas=10).said == ()


@pytest.mark.parametrize("coefficients", [6, 12])
def test_hand_coefficients_become_absolute_rotations(models: BodyModels, coefficients: int) -> None:
    rng = np.random.default_rng(2)
    hd = stored(random_params("smplx", 4, rng, gender=OWN))
    pca = {side: rng.normal(size=(4, coefficients)).astype(np.float32) for side in ("left", "right")}
    out = changed(
        hd.with_columns({f"smplx/{side}_hand_pose": value for side, value in pca.items()}), models, flat_hand_mean=True
    ).data
    for row, gender in enumerate(OWN):
        model = models.get("smplx", str(gender))
        sides = (("left", model.hands_components_left, model.hands_mean_left),)
        sides += (("right", model.hands_components_right, model.hands_mean_right),)
        for side, components, mean in sides:
            expected = np.asarray(mean, float).ravel() + sum(
                float(pca[side][row, k]) * components[k].astype(float) for k in range(coefficients)
            )
            np.testing.assert_allclose(out[f"smplx/{side}_hand_pose"][row].ravel(), expected, atol=1e-5)
    assert out.passport.flat_hand_mean is True
    assert out.passport.changes == "hand poses made absolute"


def test_the_mean_of_the_hands_is_changed_without_moving_a_vertex(models: BodyModels) -> None:
    hd = stored(random_params("smplx", 4, np.random.default_rng(3), gender=OWN))
    out = changed(hd, models, flat_hand_mean=True).data
    assert vertex_distances(params_of(hd), params_of(out), models).max() < 1e-6
    assert changed(out, models, flat_hand_mean=False).data.passport.flat_hand_mean is False


@pytest.mark.parametrize("model_type", ["smplx", "smpl"])
def test_neutral_bodies_are_the_least_squares_solution(models: BodyModels, model_type: str) -> None:
    """Compared with numpy's solver over explicit vertices, and with the vertices of the posed bodies."""
    own = np.array(["male", "female", "male"])
    params = random_params(model_type, 3, np.random.default_rng(4), gender=own)
    out = with_neutral_models(stored(params), models, 10)
    neutral = models.get(model_type, "neutral")
    basis = neutral.shapedirs[:, :, :10].reshape(-1, 10).astype(float)
    basis = np.concatenate([basis, np.tile(np.eye(3), (len(basis) // 3, 1))], axis=1)
    for row in range(3):
        model = models.get(model_type, str(own[row]))
        gap = (model.v_template + model.shapedirs[:, :, :10] @ params.betas[row] - neutral.v_template).reshape(-1)
        expected, *_ = np.linalg.lstsq(basis, gap, rcond=None)
        found = out[f"{model_type}/betas"][row].astype(float)
        np.testing.assert_allclose(basis[:, :10] @ found, basis[:, :10] @ expected[:10], atol=1e-5)
        left = (gap - basis @ expected).reshape(-1, 3)
        assert out[RESIDUAL][row] == pytest.approx(np.sqrt((left**2).sum(axis=1).mean()), rel=1e-4)
    standing = random_params(model_type, 3, np.random.default_rng(5), gender=own)
    still = {name: np.zeros_like(value) for name, value in standing.arrays().items() if name.endswith("pose")}
    standing = standing.with_(**still, flat_hand_mean=True)
    if model_type == "smplx":
        standing = standing.with_(expression=np.zeros_like(standing.expression))
    fitted = with_neutral_models(stored(standing, flat=True), models, 10)
    gap = models.mesh(standing).astype(float) - models.mesh(params_of(fitted))
    rms = np.sqrt((gap**2).sum(axis=2).mean(axis=1))
    np.testing.assert_allclose(rms, fitted[RESIDUAL], rtol=0.02)  # a body that is turned, but not posed
    np.testing.assert_allclose(gap.mean(axis=1), 0, atol=2e-5)  # no other translation is better


def test_neutral_bodies_keep_hands_children_and_rows_that_were_neutral(models: BodyModels) -> None:
    params = random_params("smplx", 4, np.random.default_rng(6), gender=OWN)
    params = params.with_(betas_extra=np.array([[0.0], [0.6], [0.0], [1.0]]))
    hd = stored(params).with_columns({"smplx/betas_neutral": np.ones((4, 10), np.float32)})
    done = changed(hd, models, gender="neutral")
    out = done.data
    assert out.passport.gender == "neutral"
    assert out["meta/gender"].tolist() == ["neutral"] * 4
    assert out["meta/subject_gender"].tolist() == OWN.tolist()
    assert "smplx/betas_neutral left out" in done.said[0]
    for name in ("betas", "transl"):
        np.testing.assert_array_equal(out[f"smplx/{name}"][2], hd[f"smplx/{name}"][2])
    assert out[RESIDUAL][2] == 0
    away = vertex_distances(params_of(hd), params_of(out), models)
    kept = params_of(hd.with_columns({"meta/gender": ["neutral"] * 4}))  # betas taken for those of another model
    assert (away[[0, 1]] < vertex_distances(params_of(hd), kept, models)[[0, 1]]).all()
    assert out[RESIDUAL][3] < 1e-6 or away[3] < 0.02  # a whole child is the kid template, whoever's model it is on
    assert numbers(done.said[0], "; posed vertices") == pytest.approx(
        [1000 * np.median(away), 1000 * away.max()], abs=0.006
    )
    assert changed(out, models, gender="neutral").said == ()


def test_what_cannot_be_changed_is_refused(models: BodyModels) -> None:
    hd = stored(random_params("smplx", 2, np.random.default_rng(7), gender=OWN[:2]))
    for wanted in ({"gender": "neutral"}, {"flat_hand_mean": True}):
        with pytest.raises(UsageError, match="body models"):
            changed(hd, None, **wanted)
    with pytest.raises(UsageError, match="not with male"):
        changed(hd, models, gender="male")
    with pytest.raises(DataError, match="no body parameters"):
        changed(HumanData({"bbox_xywh": np.zeros((1, 5))}), models, num_betas=10)
    with pytest.raises(PassportError, match="relative to the mean hand"):
        changed(stored(random_params("smplx", 1, np.random.default_rng(8)), flat=None), models, flat_hand_mean=True)


def test_the_file_that_is_read_is_never_written(tmp_path: Path) -> None:
    path = stored(random_params("smplx", 1, np.random.default_rng(9))).save(tmp_path / "in.h5")
    content = path.read_bytes()
    for command in ("convert --num-betas 11", "sample --limit 1", "export"):
        name, *words = command.split()
        for extra in ((), ("--overwrite",)):
            result = call("humandata", name, path, "--out", path, *words, *extra)
            assert result.exit_code == 2, result.output
            assert "is the file that is read" in result.stderr
        other = tmp_path / "other.h5"
        other.write_bytes(b"kept")
        result = call("humandata", name, path, "--out", other, *words)
        assert (result.exit_code, other.read_bytes()) == (2, b"kept")
        assert "--overwrite" in result.stderr
        assert call("humandata", name, path, "--out", other, *words, "--overwrite").exit_code == 0
    assert path.read_bytes() == content
    assert "give one file" in call("humandata", "convert", path, "--num-betas", "11").stderr
