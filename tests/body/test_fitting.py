"""A body model fitted to meshes finds the bodies that they are of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ehps.body import fitting
from ehps.body.joints import full_pose
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams, smpl_params, smplx_params
from ehps.errors import DataError


def bodies(n: int, seed: int = 0) -> BodyParams:
    rng = np.random.default_rng(seed)
    return smplx_params(
        gender="neutral",
        betas=rng.normal(size=(n, 10)),
        global_orient=1.5 * rng.normal(size=(n, 3)),
        body_pose=0.4 * rng.normal(size=(n, 21, 3)),
        transl=rng.normal(size=(n, 3)),
        left_hand_pose=0.3 * rng.normal(size=(n, 15, 3)),
        right_hand_pose=0.3 * rng.normal(size=(n, 15, 3)),
        jaw_pose=0.1 * rng.normal(size=(n, 3)),
        flat_hand_mean=True,
    )


@pytest.mark.parametrize("known", [True, False], ids=["from the true pose", "from nothing"])
def test_meshes_of_a_model_give_back_their_parameters(models: BodyModels, known: bool) -> None:
    model, true = models.get("smplx", "neutral"), bodies(18)
    found = fitting.fit(model, models.mesh(true), start=full_pose(model, true) if known else None)
    assert found.residual.max() < 1e-4
    assert np.abs(found.params.betas - true.betas).max() < 0.05
    assert np.abs(models.joints(found.params) - models.joints(true)).max() < 5e-4


def test_residual_is_the_root_mean_square_distance_that_the_smplx_package_gives(
    body_models: Path, models: BodyModels
) -> None:
    import smplx
    import torch

    model, true = models.get("smplx", "neutral"), bodies(3)
    rng = np.random.default_rng(1)
    meshes = models.mesh(true) + 0.005 * rng.normal(size=(3, 10475, 3)).astype(np.float32)
    found = fitting.fit(model, meshes)
    body = smplx.create(
        str(body_models), model_type="smplx", use_pca=False, flat_hand_mean=True, num_betas=10, batch_size=3
    )
    names = ("betas", "global_orient", "body_pose", "transl", "left_hand_pose", "right_hand_pose")
    names += ("jaw_pose", "leye_pose", "reye_pose", "expression")
    given = {name: torch.as_tensor(getattr(found.params, name), dtype=torch.float32).reshape(3, -1) for name in names}
    away = body(**given).vertices.detach().numpy() - meshes
    np.testing.assert_allclose(found.residual, np.sqrt((away**2).sum(axis=2).mean(axis=1)), rtol=1e-3)
    assert found.residual.max() < 0.005 * np.sqrt(3) * 1.1


def test_vertices_that_do_not_count_change_nothing(models: BodyModels) -> None:
    model, true = models.get("smplx", "neutral"), bodies(2)
    meshes = np.array(models.mesh(true))
    lost = model.weights[:, [15, 22, 23, 24]].sum(axis=1) > 0.5
    meshes[:, lost] = np.nan
    found = fitting.fit(model, meshes, weights=~lost)
    assert found.residual.max() < 1e-4
    with pytest.raises(DataError, match="not finite"):
        fitting.fit(model, meshes)


def test_joints_that_stay_keep_their_turn(models: BodyModels) -> None:
    model, true = models.get("smplx", "neutral"), bodies(2)
    start = full_pose(model, true)
    start[:, 22] = (0.3, 0, 0)
    found = fitting.fit(model, models.mesh(true), start=start, still=(22, 23, 24))
    np.testing.assert_allclose(found.params.jaw_pose, start[:, 22], atol=1e-5)
    np.testing.assert_allclose(found.params.leye_pose, 0, atol=1e-5)


def test_joints_that_stay_have_no_turn_where_nothing_says_theirs(models: BodyModels) -> None:
    model, true = models.get("smplx", "neutral"), bodies(3).with_(jaw_pose=np.zeros((3, 3)))
    found = fitting.fit(model, models.mesh(true), still=(22, 23, 24))
    assert np.abs(found.params.jaw_pose).max() < 1e-6
    assert found.residual.max() < 1e-4


def test_a_given_expression_is_kept(models: BodyModels) -> None:
    model, true = models.get("smplx", "neutral"), bodies(2)
    true = true.with_(expression=np.random.default_rng(4).normal(size=(2, 10)))
    found = fitting.fit(model, models.mesh(true), expression=true.expression)
    assert found.residual.max() < 1e-4
    np.testing.assert_array_equal(found.params.expression, true.expression)


def test_smpl_is_fitted_too(models: BodyModels) -> None:
    rng = np.random.default_rng(5)
    pose = 0.3 * rng.normal(size=(2, 24, 3))
    true = smpl_params(gender="female", betas=rng.normal(size=(2, 10)), pose=pose, transl=rng.normal(size=(2, 3)))
    found = fitting.fit(models.get("smpl", "female"), models.mesh(true))
    assert found.residual.max() < 1e-4
    assert found.params.gender.tolist() == ["female", "female"]


def test_another_topology_is_refused(models: BodyModels) -> None:
    with pytest.raises(DataError, match="expected \\(6890, 3\\)"):
        fitting.fit(models.get("smpl", "neutral"), np.zeros((1, 10475, 3)))
