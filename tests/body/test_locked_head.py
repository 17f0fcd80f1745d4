"""The locked-head release of SMPL-X is a body model of its own, and never mistaken for the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ehps.benchmark.training.samples import check_meaning
from ehps.body.model_folder import inventory
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams, smplx_params
from ehps.body.variants import models_of, params_of
from ehps.errors import BodyModelError, PassportError
from ehps.humandata import HumanData
from ehps.humandata.passport import merged_passport


@pytest.fixture
def people() -> BodyParams:
    rng = np.random.default_rng(3)
    return smplx_params(
        gender="neutral",
        betas=rng.normal(size=(3, 16)),
        global_orient=rng.normal(size=(3, 3)),
        body_pose=0.3 * rng.normal(size=(3, 21, 3)),
        transl=rng.normal(size=(3, 3)),
        flat_hand_mean=True,
    )


def file_of(params: BodyParams, models: BodyModels) -> HumanData:
    names = ("betas", "global_orient", "body_pose", "transl", "left_hand_pose", "right_hand_pose")
    hd = HumanData({f"smplx/{name}": np.asarray(getattr(params, name), np.float32) for name in names})
    hd.passport = replace(
        hd.passport,
        body_model="smplx",
        body_model_version=models.of(params).version("smplx", "neutral"),
        gender="neutral",
        num_betas=16,
        flat_hand_mean=True,
        dataset="bedlam2" if params.locked_head else "agora",
    )
    return hd


def test_joints_and_meshes_are_those_of_the_smplx_package_on_the_locked_head_file(
    body_models: Path, models: BodyModels, people: BodyParams
) -> None:
    import smplx
    import torch

    locked = people.with_(locked_head=True)
    body = smplx.create(
        str(body_models / "models_lockedhead"),
        model_type="smplx",
        gender="neutral",
        num_betas=16,
        use_pca=False,
        flat_hand_mean=True,
        batch_size=3,
    )
    out = body(
        **{
            name: torch.as_tensor(getattr(people, name), dtype=torch.float32).reshape(3, -1)
            for name in ("betas", "global_orient", "body_pose", "transl", "left_hand_pose", "right_hand_pose")
        }
    )
    assert np.abs(models.mesh(locked) - out.vertices.detach().numpy()).max() < 1e-4
    assert np.abs(models.joints(locked)[:, :55] - out.joints.detach().numpy()[:, :55]).max() < 1e-4
    assert np.abs(models.joints(locked) - models.joints(people)).max() > 0.01


def test_shape_does_not_move_the_locked_head(models: BodyModels, people: BodyParams) -> None:
    rest = people.with_(global_orient=np.zeros((3, 3)), body_pose=np.zeros((3, 21, 3)), transl=np.zeros((3, 3)))
    head = models.get("smplx", "neutral").weights[:, [15, 22, 23, 24]].sum(axis=1) > 0.999
    assert head.sum() > 1000
    moved = models.mesh(rest.with_(locked_head=True))[:, head]
    assert np.ptp(moved, axis=0).max() < 1e-6
    assert np.ptp(models.mesh(rest)[:, head], axis=0).max() > 1e-3


def test_a_file_of_the_locked_head_is_read_with_it(models: BodyModels, people: BodyParams) -> None:
    locked = people.with_(locked_head=True)
    hd = file_of(locked, models)
    assert hd.passport.body_model_version == "stand-in locked_head"
    assert params_of(hd).locked_head
    np.testing.assert_allclose(models.joints(params_of(hd)), models.joints(locked), atol=1e-5)
    assert models_of(hd, models) is models.locked_head()


def test_a_folder_without_it_is_refused_with_what_to_do(body_models: Path, people: BodyParams, tmp_path: Path) -> None:
    (tmp_path / "smplx").symlink_to(body_models / "smplx")
    with pytest.raises(BodyModelError, match=r"locked-head release.*smplx_lockedhead_20230207.zip"):
        BodyModels(tmp_path).joints(people.with_(locked_head=True))
    found = {line.name: line.path for line in inventory(tmp_path)}
    assert found["SMPL-X neutral, locked head"] is None
    assert found["SMPL-X neutral"] is not None


def test_the_folder_of_the_locked_head_itself_may_be_given(body_models: Path, people: BodyParams) -> None:
    given = BodyModels(body_models / "models_lockedhead")
    assert given.locked_head() is given
    locked = people.with_(locked_head=True)
    np.testing.assert_array_equal(given.joints(locked), BodyModels(body_models).joints(locked))


def test_it_is_neither_merged_with_the_other_release_nor_trained_as_it(models: BodyModels, people: BodyParams) -> None:
    locked, other = file_of(people.with_(locked_head=True), models), file_of(people, models)
    with pytest.raises(PassportError, match="body_model_version"):
        merged_passport([locked.passport, other.passport])
    with pytest.raises(PassportError, match=r"locked-head release.*convert FILE --to smplx"):
        check_meaning(locked)
    check_meaning(other)
