from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import least_squares

from ehps.converters.translation import DOUBTFUL_PX, MIN_POINTS, shared_joints, solve
from ehps.humandata.keypoints import point_names

Array = npt.NDArray[Any]

FOCAL = np.array([[1200.0, 1250.0], [900.0, 900.0], [2000.0, 1800.0]])
CENTRE = np.array([[960.0, 540.0], [200.0, 333.0], [10.0, 1000.0]])
PELVIS = np.array([[0.3, -0.2, 4.0], [-1.0, 0.5, 2.5], [0.0, 2.0, 25.0]])


@pytest.fixture
def joints() -> Array:
    return np.random.default_rng(0).normal(0, [0.25, 0.5, 0.2], (3, 14, 3))


def project(joints: Array, pelvis: Array) -> Array:
    """(N, J, 3) by each row's camera matrix, confidence 1."""
    k = np.zeros((3, 3, 3))
    k[:, [0, 1], [0, 1]], k[:, :2, 2], k[:, 2, 2] = FOCAL, CENTRE, 1
    seen = np.einsum("nij,nkj->nki", k, joints + pelvis[:, None])
    return np.concatenate([seen[..., :2] / seen[..., 2:], np.ones((*seen.shape[:2], 1))], axis=2)


def test_the_place_is_found_from_exact_points(joints: Array) -> None:
    found = solve(joints, project(joints, PELVIS), FOCAL, CENTRE)
    np.testing.assert_allclose(found.pelvis, PELVIS, atol=1e-9)
    assert found.solved.all()
    assert found.valid().all()
    assert found.residual.max() < 1e-9


def test_noise_moves_it_little_and_the_residual_is_that_noise(joints: Array) -> None:
    points = project(joints, PELVIS)
    points[..., :2] += np.random.default_rng(1).normal(0, 1.5, points[..., :2].shape)
    found = solve(joints, points, FOCAL, CENTRE)
    for row in range(3):  # the same sum of squared pixels, minimised step by step

        def error(pelvis: Array, row: int = row) -> Array:
            at = joints[row] + pelvis
            pixels = FOCAL[row] * at[:, :2] / at[:, 2:] + CENTRE[row]
            return np.asarray((pixels - points[row, :, :2]).ravel())

        best = least_squares(error, PELVIS[row])
        assert np.linalg.norm(found.pelvis[row] - best.x) < 0.02 * PELVIS[row, 2]
        assert np.sqrt(2 * best.cost / 14) <= found.residual[row] < 1.02 * np.sqrt(2 * best.cost / 14)
    assert found.valid().all()


def test_points_without_confidence_do_not_count_and_weak_ones_count_little(joints: Array) -> None:
    points = project(joints, PELVIS)
    points[:, 3] = [4000, -4000, 0]
    points[:, 4] = np.nan
    found = solve(joints, points, FOCAL, CENTRE)
    np.testing.assert_allclose(found.pelvis, PELVIS, atol=1e-9)
    points[:, 3] = points[:, 5] + [30, 0, 0]
    errors = []
    for confidence in (1.0, 0.01):
        points[:, 3, 2] = confidence
        errors.append(np.linalg.norm(solve(joints, points, FOCAL, CENTRE).pelvis - PELVIS, axis=1))
    assert (errors[1] < 0.1 * errors[0]).all()


def test_a_gross_outlier_leaves_a_solution_that_is_flagged(joints: Array) -> None:
    points = project(joints, PELVIS)
    points[1, 2, :2] += [300, -200]
    found = solve(joints, points, FOCAL, CENTRE)
    assert found.solved.all()
    assert found.residual[1] > DOUBTFUL_PX
    assert found.valid().tolist() == [True, False, True]
    assert (found.pelvis[1] != 0).all()


def test_rows_that_cannot_be_solved_are_zero(joints: Array) -> None:
    points = project(joints, PELVIS)
    points[0, MIN_POINTS - 1 :, 2] = 0
    points[1, :, :2] = 400  # all in one place
    points[2, :, :2] = 2 * CENTRE[2] - points[2, :, :2]  # upside down: only behind the camera
    found = solve(joints, points, FOCAL, CENTRE)
    assert found.solved.tolist() == [False] * 3
    assert not found.pelvis.any()
    assert np.isnan(found.residual).all()
    assert not found.valid().any()


def test_fewest_points_that_do(joints: Array) -> None:
    points = project(joints, PELVIS)
    points[:, MIN_POINTS:, 2] = 0
    found = solve(joints, points, FOCAL, CENTRE)
    np.testing.assert_allclose(found.pelvis, PELVIS, atol=1e-8)


@pytest.mark.filterwarnings("error")
def test_no_rows_and_no_points_are_no_trouble() -> None:
    assert solve(np.zeros((0, 5, 3)), np.zeros((0, 5, 3)), np.zeros((0, 2)), np.zeros((0, 2))).pelvis.shape == (0, 3)
    assert not solve(np.zeros((2, 0, 3)), np.zeros((2, 0, 3)), FOCAL[:2], CENTRE[:2]).solved.any()


def test_openpose_points_are_the_joints_of_the_same_name() -> None:
    into, taken = shared_joints(point_names("openpose_25"), point_names("smpl_45"))
    pairs = dict(zip(taken.tolist(), into.tolist(), strict=True))
    body = {1: 12, 2: 17, 3: 19, 4: 21, 5: 16, 6: 18, 7: 20, 8: 0, 9: 2, 10: 5, 11: 8, 12: 1, 13: 4, 14: 7}
    head_and_feet = {0: 24, 15: 25, 16: 26, 17: 27, 18: 28, 19: 29, 20: 30, 21: 31, 22: 32, 23: 33, 24: 34}
    assert pairs == body | head_and_feet


def test_joints_of_other_regressors_are_not_taken_for_those_of_the_model() -> None:
    into, taken = shared_joints(point_names("smpl_24"), point_names("smpl_45"))
    pairs = dict(zip(taken.tolist(), into.tolist(), strict=True))
    limbs = {0: 8, 1: 5, 4: 4, 5: 7, 6: 21, 7: 19, 8: 17, 9: 16, 10: 18, 11: 20}
    assert pairs == limbs | {19: 24, 20: 26, 21: 25, 22: 28, 23: 27}
    assert not set(pairs) & {2, 3, *range(12, 19)}
