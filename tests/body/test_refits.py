"""Files whose bodies are fitted with another model type or release."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ehps.benchmark.training.samples import check_meaning
from ehps.body.helper_files import transferred_vertices, vertex_transfer
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams, smpl_params, smplh_params, smplx_params
from ehps.body.refits import RESIDUAL, refitted, with_model
from ehps.body.variants import params_of
from ehps.cli import main
from ehps.errors import BodyModelError, UsageError
from ehps.humandata import HumanData

N = 4


def locked_head() -> BodyParams:
    rng = np.random.default_rng(2)
    return smplx_params(
        gender="neutral",
        betas=0.7 * rng.normal(size=(N, 16)),
        global_orient=rng.normal(size=(N, 3)),
        body_pose=0.3 * rng.normal(size=(N, 21, 3)),
        transl=rng.normal((0, 0, 5), 1, (N, 3)),
        jaw_pose=0.1 * np.abs(rng.normal(size=(N, 3))),
        flat_hand_mean=True,
    ).with_(locked_head=True)


def smpl() -> BodyParams:
    rng = np.random.default_rng(3)
    pose = 0.3 * rng.normal(size=(N, 24, 3))
    transl = rng.normal((0, 0, 5), 1, (N, 3))
    return smpl_params(
        gender=["male", "female", "neutral", "male"], betas=rng.normal(size=(N, 10)), pose=pose, transl=transl
    )


def smplh() -> BodyParams:
    rng = np.random.default_rng(4)
    pose = 0.25 * rng.normal(size=(N, 52, 3))
    transl = rng.normal((0, 0, 5), 1, (N, 3))
    return smplh_params(gender="neutral", betas=rng.normal(size=(N, 16)), pose=pose, transl=transl)


def file_of(params: BodyParams, models: BodyModels) -> HumanData:
    model_type = params.model_type
    columns = {f"{model_type}/{name}": value.astype(np.float32) for name, value in params.arrays().items()}
    hd = HumanData(
        {
            "image_path": [f"{i}.jpg" for i in range(N)],
            **columns,
            "meta/gender": params.gender.tolist(),
            "meta/focal_length": np.full((N, 2), 1000, np.float32),
            "meta/principal_point": np.full((N, 2), 500, np.float32),
            "quality/reprojection_px": np.ones(N, np.float32),
        }
    )
    hd.passport = replace(
        hd.passport,
        body_model=model_type,
        body_model_version=models.of(params).version(model_type, params.gender),
        gender="per-instance",
        num_betas=params.betas.shape[1],
        flat_hand_mean=None if model_type == "smpl" else params.flat_hand_mean,
        dataset="some",
    )
    return hd


def root_mean_square(away: np.ndarray) -> np.ndarray:
    return np.sqrt((away**2).sum(axis=2).mean(axis=1))


def test_locked_heads_become_the_other_release_and_can_be_trained_on(models: BodyModels) -> None:
    true = locked_head()
    out = with_model(file_of(true, models), models, "smplx", show=False)
    assert out.passport.body_model_version == "stand-in"
    assert "locked_head" in str(out.passport.changes)
    found = params_of(out)
    assert not found.locked_head
    away = root_mean_square(models.mesh(found) - models.mesh(true))
    np.testing.assert_allclose(out[RESIDUAL], away, rtol=1e-2)
    assert away.max() < 0.005
    np.testing.assert_allclose(found.jaw_pose, true.jaw_pose, atol=1e-5)
    check_meaning(out)


def test_the_fit_is_nearer_than_keeping_poses_and_fitting_shapes_alone(models: BodyModels) -> None:
    true = locked_head()
    done = refitted(true, models, "smplx")
    own, other = models.locked_head().get("smplx", "neutral"), models.get("smplx", "neutral")
    rest = own.v_template + own.shapedirs[:, :, :16] @ true.betas[0]
    gap = (rest - other.v_template).reshape(-1)
    basis = np.concatenate([other.shapedirs[:, :, :10].reshape(gap.size, 10), np.tile(np.eye(3), (10475, 1))], axis=1)
    unposed = gap - basis @ np.linalg.lstsq(basis, gap, rcond=None)[0]
    assert done.residual[0] < 1.05 * root_mean_square(unposed.reshape(1, -1, 3))[0]


def test_smpl_becomes_smplx_at_the_vertices_that_both_have(models: BodyModels) -> None:
    true = smpl()
    out = with_model(file_of(true, models), models, "smplx", gender="neutral", show=False)
    found = params_of(out)
    target = np.stack([vertex_transfer(models.folder, "smpl", "smplx") @ mesh for mesh in models.mesh(true)])
    shared = transferred_vertices(models.folder)
    away = root_mean_square((models.mesh(found) - target)[:, shared])
    np.testing.assert_allclose(out[RESIDUAL], away, rtol=1e-2)
    assert away.max() < 0.012
    assert not found.jaw_pose.any() or np.abs(found.jaw_pose).max() < 1e-5
    assert out["meta/gender"].tolist() == ["neutral"] * N
    assert out["meta/subject_gender"].tolist() == true.gender.tolist()
    assert not [name for name in out.columns if name.startswith(("smpl/", "quality/"))]
    np.testing.assert_allclose(models.joints(found)[:, :22], models.joints(true)[:, :22], atol=0.04)


def test_joints_of_the_new_bodies_are_in_the_file(models: BodyModels) -> None:
    out = with_model(file_of(smplh(), models), models, "smplx", show=False)
    points, pixels = out["keypoints3d_smplx"], out["keypoints2d_smplx"]
    np.testing.assert_allclose(points[..., :3], models.joints(params_of(out)), atol=1e-4)
    np.testing.assert_allclose(pixels[..., :2], points[..., :2] / points[..., 2:3] * 1000 + 500, rtol=1e-4)
    assert out.keypoint_names["keypoints3d_smplx"][:2] == ("pelvis", "left_hip")
    assert not out.validate()


@pytest.mark.parametrize(("make", "target"), [(smplh, "smpl"), (smpl, "smplh"), (locked_head, "smpl")])
def test_every_way_ends_near_the_body(models: BodyModels, make: object, target: str) -> None:
    done = refitted(make(), models, target)  # type: ignore[operator]
    assert done.params.model_type == target
    assert done.residual.max() < 0.02


def test_what_there_is_already_and_matrices_that_are_missing_are_said(
    body_models: Path, models: BodyModels, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="are SMPL of that release already"):
        with_model(file_of(smpl(), models), models, "smpl")
    for name in ("smpl", "smplx"):
        (tmp_path / name).symlink_to(body_models / name)
    with pytest.raises(BodyModelError, match=r"smpl2smplx_deftrafo_setup.pkl.*is not there"):
        refitted(smpl(), BodyModels(tmp_path), "smplx")


def test_the_command_fits_and_says_how_near(body_models: Path, models: BodyModels, tmp_path: Path) -> None:
    file_of(smpl(), models).save(tmp_path / "a.h5")
    arguments = ["humandata", "convert", str(tmp_path / "a.h5"), "--to", "smplx", "--gender", "neutral"]
    arguments += ["--out", str(tmp_path / "b.h5"), "--body-models", str(body_models)]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert "4 bodies of SMPL stand-in fitted with 10 betas of SMPL-X" in " ".join(done.stderr.split())
    out = HumanData.open(tmp_path / "b.h5")
    assert out.body_model == "smplx"
    assert out[RESIDUAL].shape == (N,)
