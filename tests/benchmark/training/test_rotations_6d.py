"""Rotation forms against scipy."""

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from ehps.benchmark.training import rotations_6d
from ehps.body.torch_joints import axis_angle_to_matrix


def test_six_numbers_are_interleaved_columns() -> None:
    R = torch.tensor(Rotation.random(50, random_state=np.random.default_rng(0)).as_matrix())
    six = torch.empty(50, 6, dtype=R.dtype)
    six[:, 0::2], six[:, 1::2] = R[:, :, 0], R[:, :, 1]
    np.testing.assert_allclose(rotations_6d.from_6d(six), R, atol=1e-12)


def test_any_six_numbers_give_a_proper_rotation_whatever_the_batch() -> None:
    values = torch.randn(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    R = rotations_6d.from_6d(values)
    np.testing.assert_allclose(R @ R.transpose(1, 2), torch.eye(3).expand(3, 3, 3), atol=1e-12)
    np.testing.assert_allclose(torch.linalg.det(R), 1)
    one = torch.cat([rotations_6d.from_6d(values[i : i + 1]) for i in range(3)])
    np.testing.assert_array_equal(R, one)


def test_axis_angle_and_back_up_to_half_turns() -> None:
    rng = np.random.default_rng(1)
    axis = rng.normal(size=(200, 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    angle = np.concatenate([rng.uniform(0, np.pi, 150), np.pi - 10.0 ** -rng.uniform(1, 12, 40), np.zeros(10)])
    vectors = axis * angle[:, None]
    R = axis_angle_to_matrix(torch.tensor(vectors))
    np.testing.assert_allclose(R, Rotation.from_rotvec(vectors).as_matrix(), atol=1e-12)
    back = rotations_6d.to_axis_angle(R)
    np.testing.assert_allclose(Rotation.from_rotvec(back.numpy()).as_matrix(), R, atol=1e-7)
    assert back.norm(dim=1).max() <= np.pi + 1e-9


def test_gradients_are_finite_at_no_rotation_and_at_half_turns() -> None:
    vectors = torch.tensor([[0.0, 0, 0], [np.pi, 0, 0], [0, 1e-9, 0]], requires_grad=True)
    rotations_6d.to_axis_angle(axis_angle_to_matrix(vectors)).sum().backward()
    assert vectors.grad is not None
    assert torch.isfinite(vectors.grad).all()


def test_mirroring_negates_y_and_z_of_axis_angle() -> None:
    vectors = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mirrored = rotations_6d.to_axis_angle(rotations_6d.mirror(axis_angle_to_matrix(vectors)))
    expected = Rotation.from_rotvec(vectors.numpy() * (1, -1, -1)).as_matrix()
    np.testing.assert_allclose(Rotation.from_rotvec(mirrored.numpy()).as_matrix(), expected, atol=1e-12)
