"""Measures against numbers computed another way."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ehps.benchmark.protocols import point_errors


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def similarity(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    turns = Rotation.random(len(points), random_state=rng).as_matrix()
    scale, shift = rng.uniform(0.5, 2, len(points)), rng.normal(size=(len(points), 1, 3))
    return scale[:, None, None] * np.einsum("nij,nvj->nvi", turns, points) + shift


def test_a_moved_turned_and_scaled_copy_has_no_procrustes_error(rng: np.random.Generator) -> None:
    target = rng.normal(size=(5, 40, 3))
    assert point_errors.distances(point_errors.procrustes(similarity(target, rng), target), target).max() < 1e-12


def test_a_mirrored_copy_keeps_a_procrustes_error(rng: np.random.Generator) -> None:
    target = rng.normal(size=(3, 40, 3))
    mirrored = target * (-1, 1, 1)
    assert point_errors.distances(point_errors.procrustes(mirrored, target), target).mean(axis=1).min() > 0.1


def test_procrustes_is_the_least_squares_similarity(rng: np.random.Generator) -> None:
    points, target = rng.normal(size=(1, 12, 3)), rng.normal(size=(1, 12, 3))
    moved = point_errors.procrustes(points, target)
    a, b = points[0] - points[0].mean(0), target[0] - target[0].mean(0)
    turn, residual = Rotation.align_vectors(b, a)
    scale = (turn.apply(a) * b).sum() / (a * a).sum()
    expected = scale * turn.apply(a) + target[0].mean(0)
    np.testing.assert_allclose(moved[0], expected, atol=1e-10)
    assert residual > 0


def test_flat_and_constant_points_are_handled(rng: np.random.Generator) -> None:
    target = rng.normal(size=(1, 10, 3))
    same_place = np.ones((1, 10, 3))
    moved = point_errors.procrustes(same_place, target)
    np.testing.assert_allclose(moved[0], np.tile(target[0].mean(0), (10, 1)), atol=1e-12)


def test_error_of_a_shifted_copy_is_the_length_of_the_shift(rng: np.random.Generator) -> None:
    target = rng.normal(size=(4, 20, 3))
    shift = np.array([0.3, 0, 0.4])
    np.testing.assert_allclose(point_errors.mean_error(point_errors.distances(target + shift, target)), 0.5)


def test_masked_points_do_not_count_and_nothing_visible_is_nan() -> None:
    a, b = np.zeros((2, 3, 3)), np.zeros((2, 3, 3))
    a[:, 0, 0], a[:, 1, 0], a[:, 2, 0] = 1, 2, 30
    mask = np.array([[True, True, False], [False, False, False]])
    out = point_errors.mean_error(point_errors.distances(a, b), mask)
    assert out[0] == 1.5
    assert np.isnan(out[1])


def test_a_distance_at_the_limit_is_within_it() -> None:
    assert point_errors.share_within(np.array([[0.05, 0.0501, 0.0]]), 0.05) == pytest.approx(2 / 3)
    limits = np.arange(200) / 1000
    found = point_errors.area_under_curve(np.array([[0.0, 0.0], [0.0995, 0.3]]), limits)
    np.testing.assert_allclose(found, [1, (99.5 / 199) / 2])


def test_the_hand_value_is_the_mean_of_the_present_hands() -> None:
    left, right = np.array([1.0, np.nan, np.nan]), np.array([3.0, 4.0, np.nan])
    np.testing.assert_array_equal(point_errors.mean_of_present(left, right), [2.0, 4.0, np.nan])


def test_inside_is_strict_and_takes_height_before_width() -> None:
    points = np.array([[[0, 5], [5, 0], [19.9, 9.9], [20, 5], [5, 10], [5, 5], [np.nan, 5]]], float)
    seen = point_errors.inside(points, np.array([[10, 20]]))
    assert seen.tolist() == [[False, False, True, False, False, True, False]]


def test_points_behind_the_camera_project_to_nothing() -> None:
    points = np.array([[[1, 2, 4], [1, 2, -4], [1, 2, 0]]], float)
    out = point_errors.project(points, np.array([[100, 200.0]]), np.array([[10, 20.0]]))
    np.testing.assert_allclose(out[0, 0], [35, 120])
    assert np.isnan(out[0, 1:]).all()


@pytest.mark.parametrize("away", [60.0, 1e6])
def test_a_fit_far_from_the_origin_and_one_of_a_single_place(away: float) -> None:
    rng = np.random.default_rng(0)
    near = rng.normal(size=(3, 40, 3))
    far = near + np.array([3.0, -2.0, away])
    target = 1.3 * near[..., [1, 2, 0]] + 5
    np.testing.assert_allclose(point_errors.fit(far, target)(far), target, atol=1e-9)
    same = np.broadcast_to(far[:, :1], far.shape)
    np.testing.assert_allclose(
        point_errors.fit(same, target)(same), np.broadcast_to(target.mean(1, keepdims=True), far.shape)
    )
