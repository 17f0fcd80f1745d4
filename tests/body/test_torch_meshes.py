"""Differentiable meshes against those that are stored."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ehps.body import meshes
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams
from ehps.body.torch_joints import axis_angle_to_matrix
from ehps.body.torch_meshes import TorchMesh
from ehps.errors import BodyModelError


@pytest.fixture(scope="module")
def mesh(models: BodyModels) -> TorchMesh:
    return TorchMesh(models.get("smpl", "neutral"))


@pytest.fixture(scope="module")
def pose() -> np.ndarray:
    return np.random.default_rng(0).normal(scale=0.5, size=(3, 24, 3))


@pytest.fixture(scope="module")
def betas() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(3, 10))


def tensors(pose: np.ndarray, betas: np.ndarray) -> tuple[Tensor, Tensor]:
    return axis_angle_to_matrix(torch.tensor(pose).float()), torch.tensor(betas).float()


def test_vertices_and_joints_are_those_of_the_stored_meshes(
    models: BodyModels, mesh: TorchMesh, pose: np.ndarray, betas: np.ndarray
) -> None:
    params = BodyParams(
        model_type="smpl",
        gender="neutral",
        global_orient=pose[:, 0],
        body_pose=pose[:, 1:],
        betas=betas,
        transl=np.zeros((3, 3)),
    )
    vertices, joints = mesh(*tensors(pose, betas))
    np.testing.assert_allclose(vertices, meshes.vertices(models.get("smpl", "neutral"), params), atol=2e-6)
    np.testing.assert_allclose(joints, models.fast_joints("smpl", "neutral")(params)[:, :24], atol=2e-6)
    torch.testing.assert_close(mesh.joints(*tensors(pose, betas)), joints)


def test_some_vertices_are_those_of_all(mesh: TorchMesh, pose: np.ndarray, betas: np.ndarray) -> None:
    ids = torch.tensor([5, 6889, 17])
    some, joints = mesh.of(ids)(*tensors(pose, betas))
    every, same = mesh(*tensors(pose, betas))
    torch.testing.assert_close(some, every[:, ids])
    torch.testing.assert_close(joints, same)


def test_lower_precision_around_it_does_not_reach_it(mesh: TorchMesh, pose: np.ndarray, betas: np.ndarray) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        lower = mesh(*tensors(pose, betas))[0]
    assert torch.equal(lower, mesh(*tensors(pose, betas))[0])


def test_gradients_reach_pose_and_shape(mesh: TorchMesh, pose: np.ndarray, betas: np.ndarray) -> None:
    rotations, coefficients = (values.requires_grad_() for values in tensors(pose, betas))
    mesh.of(torch.arange(9))(rotations, coefficients)[0].sum().backward()
    for values in (rotations, coefficients):
        assert values.grad is not None
        assert values.grad.abs().sum() > 0


def test_nothing_of_it_is_stored(mesh: TorchMesh) -> None:
    assert not mesh.state_dict()


def test_more_shape_columns_than_the_model_has_are_an_error(models: BodyModels) -> None:
    with pytest.raises(BodyModelError, match="999 were asked for"):
        TorchMesh(models.get("smpl", "neutral"), num_betas=999)
