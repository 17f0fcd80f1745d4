"""Moving bodies by moving their parameters."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ehps.body import rigid_motion, rotations
from ehps.body.models import BodyModels
from ehps.body.rigid_motion import to_camera
from tests.body.test_fast_joints import package, random_params


def random_motion(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    turns = np.array([cv2.Rodrigues(v)[0] for v in rng.normal(0, 1.5, (n, 3))])
    return turns, rng.normal(0, 3, (n, 3))


@pytest.mark.parametrize("model_type", ["smplx", "smplh", "smpl"])
def test_moved_parameters_give_moved_joints(models: BodyModels, model_type: str) -> None:
    rng = np.random.default_rng(0)
    own = np.array(["male", "female", "neutral", "male", "female", "neutral"])
    params = random_params(model_type, 6, rng, gender=own)
    R, t = random_motion(rng, 6)
    moved = to_camera(params, R, t, models.rest_pelvis(params))
    expected = np.einsum("nij,nkj->nki", R, models.joints(params, np.float64)) + t[:, None]
    # The 17 contour points follow the view, not the body.
    np.testing.assert_allclose(models.joints(moved, np.float64)[:, :127], expected[:, :127], atol=1e-9)


def test_moved_parameters_give_moved_joints_in_the_package(models: BodyModels) -> None:
    rng = np.random.default_rng(1)
    params = random_params("smplx", 4, rng, gender="male")
    (R, *_), (t, *_) = random_motion(rng, 1)
    moved = to_camera(params, R, t, models.rest_pelvis(params))
    before, vertices = package(models.folder, params)
    after, moved_vertices = package(models.folder, moved)
    np.testing.assert_allclose(after[:, :127], before[:, :127] @ R.T + t, atol=1e-4)
    np.testing.assert_allclose(moved_vertices, vertices @ R.T + t, atol=1e-4)


def test_transl_is_corrected_for_the_rest_pelvis(models: BodyModels) -> None:
    params = random_params("smplx", 1, np.random.default_rng(2))
    R, t = rotations.about("x", 180.0), np.zeros(3)
    moved = to_camera(params, R, t, models.rest_pelvis(params))
    forgotten = to_camera(params, R, t, np.zeros((1, 3)))
    gap = np.linalg.norm(moved.transl - forgotten.transl)
    assert gap == pytest.approx(np.linalg.norm((R - np.eye(3)) @ models.rest_pelvis(params)[0]))
    assert gap > 0.05


def test_rest_pelvis_is_the_posed_pelvis_less_transl(models: BodyModels) -> None:
    params = random_params("smplx", 5, np.random.default_rng(3), gender=np.array(["male", "female"] * 2 + ["male"]))
    posed = models.joints(params, np.float64)[:, 0] - params.transl
    np.testing.assert_allclose(models.rest_pelvis(params), posed, atol=1e-12)
    flat = params.with_(expression=np.zeros((5, 10)), betas=np.zeros((5, 10)))
    assert np.abs(models.rest_pelvis(flat) - posed).max() > 1e-4


def test_rest_pelvis_counts_the_child_template(models: BodyModels) -> None:
    params = random_params("smplx", 2, np.random.default_rng(4), betas_extra=np.array([[1.0], [0.0]]))
    posed = models.joints(params, np.float64)[:, 0] - params.transl
    np.testing.assert_allclose(models.rest_pelvis(params), posed, atol=1e-12)


def test_nothing_but_orientation_and_place_changes(models: BodyModels) -> None:
    params = random_params("smplx", 3, np.random.default_rng(5))
    R, t = random_motion(np.random.default_rng(6), 3)
    moved = to_camera(params, R, t, models.rest_pelvis(params))
    for name, value in params.arrays().items():
        if name not in ("global_orient", "transl"):
            assert moved.arrays()[name] is value
    assert np.linalg.norm(moved.global_orient, axis=1).max() <= np.pi + 1e-12


def test_reflections_scales_and_nonsense_are_refused(models: BodyModels) -> None:
    params = random_params("smplx", 1, np.random.default_rng(7))
    pelvis = models.rest_pelvis(params)
    for matrix, reason in [
        (np.diag([1.0, 1.0, -1.0]), "reflection"),
        (np.eye(3) * 1.2, "scales by 1.2"),
        (np.array([[1.0, 0.3, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), "not orthonormal"),
        (np.zeros((3, 3)), "not orthonormal"),
        (np.full((3, 3), np.nan), "NaN"),
    ]:
        with pytest.raises(ValueError, match=reason):
            to_camera(params, matrix, np.zeros(3), pelvis)


def test_rounded_rotations_are_made_orthonormal(models: BodyModels) -> None:
    rng = np.random.default_rng(8)
    (R, *_), _ = random_motion(rng, 1)
    params = random_params("smplx", 1, rng, global_orient=np.zeros((1, 3)))
    moved = to_camera(params, R.round(3), np.zeros(3), models.rest_pelvis(params))
    turned = cv2.Rodrigues(moved.global_orient[0])[0]
    np.testing.assert_allclose(turned @ turned.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(turned, R, atol=1e-3)


def test_a_pelvis_for_other_rows_is_refused(models: BodyModels) -> None:
    params = random_params("smpl", 2, np.random.default_rng(9))
    with pytest.raises(ValueError, match="rest_pelvis"):
        to_camera(params, np.eye(3), np.zeros(3), np.zeros(3))


def test_motions_move_points_and_take_centres() -> None:
    rng = np.random.default_rng(10)
    (R, *_), (t, *_) = random_motion(rng, 1)
    points = rng.normal(size=(4, 7, 3))
    there = rigid_motion.apply(points, R, t)
    np.testing.assert_allclose(there[2, 3], R @ points[2, 3] + t)
    np.testing.assert_allclose(
        rigid_motion.apply(points, R, rigid_motion.from_center(R, t)), (points - t) @ R.T, atol=1e-12
    )
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = R, t
    np.testing.assert_array_equal(rigid_motion.split(matrix[None])[0][0], R)
    np.testing.assert_array_equal(rigid_motion.split(matrix[:3])[1], t)


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_turns_about_an_axis_are_right_handed(axis: str) -> None:
    vector = np.eye(3)["xyz".index(axis)]
    angles = np.array([-200.0, -30.0, 0.0, 90.0])
    expected = [cv2.Rodrigues(np.radians(a) * vector)[0] for a in angles]
    np.testing.assert_allclose(rotations.about(axis, angles), expected, atol=1e-12)
    np.testing.assert_allclose(rotations.about(axis, 90.0), expected[-1], atol=1e-12)


def test_axis_angle_and_matrices_are_inverse() -> None:
    vectors = np.random.default_rng(11).normal(0, 1, (4, 5, 3))
    matrices = rotations.to_matrix(vectors)
    np.testing.assert_allclose(matrices[1, 2], cv2.Rodrigues(vectors[1, 2])[0], atol=1e-12)
    np.testing.assert_allclose(rotations.to_matrix(rotations.to_axis_angle(matrices)), matrices, atol=1e-12)
    assert rotations.to_matrix(np.zeros((0, 3))).shape == (0, 3, 3)
    assert rotations.to_axis_angle(np.zeros((0, 3, 3))).shape == (0, 3)


def test_what_is_read_only_is_turned_too() -> None:
    vectors = np.random.default_rng(12).normal(0, 1, (4, 3))
    matrices = rotations.to_matrix(vectors)
    vectors.flags.writeable = matrices.flags.writeable = False  # as columns of a file are
    np.testing.assert_array_equal(rotations.to_matrix(vectors), matrices)
    np.testing.assert_allclose(rotations.to_matrix(rotations.to_axis_angle(matrices)), matrices, atol=1e-12)
