"""Projection and distortion, against OpenCV and against first principles."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ehps.body import cameras

FOCAL, CENTER = np.array([1100.0, 1050.0]), np.array([960.0, 540.0])
FIVE = np.array([-0.28, 0.09, 0.0012, -0.0008, -0.01])
WIDE = np.array([0.05, -0.012, 0.004, -0.0006])
EIGHT = np.array([0.5, -2.7, 0.0007, -0.0002, 1.6, 0.38, -2.5, 1.5])


def points(n: int = 6, j: int = 9, spread: float = 0.35) -> np.ndarray:
    rng = np.random.default_rng(0)
    depth = rng.uniform(1, 6, (n, j, 1))
    return np.concatenate([rng.uniform(-spread, spread, (n, j, 2)) * depth, depth], axis=2)


def opencv(xyz: np.ndarray, distortion: np.ndarray | None) -> np.ndarray:
    K = np.array([[FOCAL[0], 0, CENTER[0]], [0, FOCAL[1], CENTER[1]], [0, 0, 1]])
    flat, _ = cv2.projectPoints(xyz.reshape(-1, 3), np.zeros(3), np.zeros(3), K, distortion)
    return flat.reshape(*xyz.shape[:2], 2)


@pytest.mark.parametrize("distortion", [None, FIVE[:2], FIVE[:4], FIVE, EIGHT], ids=["pinhole", "2", "4", "5", "8"])
def test_projection_equals_opencvs(distortion: np.ndarray | None) -> None:
    given = distortion if distortion is None or len(distortion) > 2 else np.append(distortion, [0, 0])
    xyz = points()
    np.testing.assert_allclose(cameras.project(xyz, FOCAL, CENTER, distortion), opencv(xyz, given), atol=1e-9)


def test_every_row_may_have_its_own_camera() -> None:
    xyz = points(3)
    scale = np.array([1.0, 2.0, 0.5])[:, None]
    lenses = np.stack([EIGHT, 0 * EIGHT, EIGHT])
    out = cameras.project(xyz, FOCAL * scale, CENTER * scale, lenses)
    np.testing.assert_allclose(out[1], 2 * opencv(xyz, None)[1])
    np.testing.assert_allclose(out[2], 0.5 * opencv(xyz, EIGHT)[2])


def test_other_numbers_of_coefficients_are_refused() -> None:
    with pytest.raises(ValueError, match="7 distortion coefficients"):
        cameras.project(points(), FOCAL, CENTER, np.zeros(7))


def test_points_behind_the_camera_have_no_projection() -> None:
    xyz = np.array([[[0.1, 0.2, 2.0], [0.1, 0.2, -2.0], [0.0, 0.0, 0.0]]])
    flat = cameras.project(xyz, FOCAL, CENTER)
    assert np.isfinite(flat[0, 0]).all()
    assert np.isnan(flat[0, 1:]).all()
    seen = cameras.keypoints2d(xyz, FOCAL, CENTER, FIVE)
    assert seen.dtype == np.float32
    np.testing.assert_array_equal(seen[0, :, 2], [1, 0, 0])
    np.testing.assert_array_equal(seen[0, 1:], 0)


def test_points_beyond_the_turn_of_the_lens_are_not_thrown_back_into_the_image() -> None:
    barrel = np.array([-0.3, 0.0, 0.0, 0.0, 0.0])  # r (1 - 0.3 r^2) turns at r = 1.054
    assert cameras.distortion_limit(barrel) == pytest.approx(np.sqrt(1 / 0.9), abs=0.01)
    assert cameras.distortion_limit(np.zeros((2, 5))).tolist() == [np.inf, np.inf]
    xyz = np.array([[[0.9, 0.0, 1.0], [1.8, 0.0, 1.0]]])
    inside = cameras.project(xyz, FOCAL, CENTER, barrel)[0, 1]
    assert 0 < inside[0] < 1920  # what the formula alone would say
    np.testing.assert_array_equal(cameras.keypoints2d(xyz, FOCAL, CENTER, barrel)[0, :, 2], [1, 0])


def test_h36m_lens_is_nearly_opencvs() -> None:
    xyz = points()
    k, p = np.array([-0.21, 0.24, -0.002]), np.array([-0.0009, -0.0016])
    theirs = opencv(xyz, np.array([k[0], k[1], p[0], p[1], k[2]]))
    own = cameras.project_h36m(xyz, FOCAL, CENTER, k, p)
    assert 0.01 < np.abs(own - theirs).max() < 2
    np.testing.assert_allclose(
        cameras.project_h36m(xyz, FOCAL, CENTER, k, 0 * p), opencv(xyz, np.array([k[0], k[1], 0, 0, k[2]])), atol=1e-9
    )


def test_h36m_lens_by_its_formula() -> None:
    k, p = (-0.2, 0.2, -0.002), (-0.001, -0.0015)
    x, y = 0.3, -0.2
    r2 = x * x + y * y
    gain = 1 + k[0] * r2 + k[1] * r2**2 + k[2] * r2**3 + p[1] * x + p[0] * y
    expected = [1100 * (x * gain + p[1] * r2) + 960, 1050 * (y * gain + p[0] * r2) + 540]
    out = cameras.project_h36m(np.array([[[0.6, -0.4, 2.0]]]), FOCAL, CENTER, np.array([k]), np.array([p]))
    np.testing.assert_allclose(out[0, 0], expected)


def test_keypoints_of_the_h36m_lens_take_its_coefficients_in_opencvs_order() -> None:
    xyz = points(3)
    k, p = FIVE[[0, 1, 4]], FIVE[2:4]
    seen = cameras.keypoints2d(xyz, FOCAL, CENTER, np.tile(FIVE, (3, 1)), lens="h36m")
    expected = cameras.project_h36m(xyz, FOCAL, CENTER, k, p)
    np.testing.assert_allclose(seen[..., :2], expected, rtol=1e-6)
    assert (seen[..., 2] == 1).all()
    assert np.abs(seen - cameras.keypoints2d(xyz, FOCAL, CENTER, FIVE)).max() > 0.05
    np.testing.assert_array_equal(
        cameras.keypoints2d(xyz, FOCAL, CENTER, lens="h36m"), cameras.keypoints2d(xyz, FOCAL, CENTER)
    )


def fisheye(xyz: np.ndarray, distortion: np.ndarray, scale: float = 1) -> np.ndarray:
    K = np.diag([scale * FOCAL[0], scale * FOCAL[1], 1])
    K[:2, 2] = scale * CENTER
    flat, _ = cv2.fisheye.projectPoints(xyz.reshape(1, -1, 3), np.zeros(3), np.zeros(3), K, distortion)
    return flat.reshape(*xyz.shape[:2], 2)


@pytest.mark.parametrize("spread", [0.35, 3.0, 200.0], ids=["within 26 degrees", "83 degrees", "89.8 degrees"])
def test_fisheyes_project_as_opencvs_up_to_a_right_angle(spread: float) -> None:
    xyz = points(spread=spread)
    xyz[0, 0] = 0, 0, 2
    xyz[0, 1] = 0.4, -0.3, 1e-7
    out = cameras.project(xyz, FOCAL, CENTER, WIDE, lens="fisheye")
    np.testing.assert_allclose(out, fisheye(xyz, WIDE), rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        cameras.project(xyz.astype(np.float32), FOCAL, CENTER, WIDE, lens="fisheye"), out, rtol=0, atol=1e-3
    )


def test_every_row_may_have_its_own_fisheye() -> None:
    xyz, lenses = points(3), np.stack([WIDE, 0 * WIDE, -WIDE])
    scale = np.array([1.0, 2.0, 0.5])[:, None]
    seen = cameras.keypoints2d(xyz, FOCAL * scale, CENTER * scale, lenses, lens="fisheye")
    expected = np.concatenate([fisheye(xyz[k : k + 1], lenses[k], scale[k, 0]) for k in range(3)])
    np.testing.assert_allclose(seen[..., :2], expected, rtol=1e-6)
    assert (seen[..., 2] == 1).all()
    pinhole = cameras.project(xyz, FOCAL * scale, CENTER * scale)
    assert np.abs(seen[1, :, :2] - pinhole[1]).max() > 10  # zeros are no pinhole


def test_fisheyes_do_not_see_what_is_behind_them() -> None:
    xyz = np.array([[[0.4, 0.3, 1.0], [0.4, 0.3, 0.0], [0.4, 0.3, -1.0], [0.0, 0.0, 0.0], [0.0, 0.0, -1.0]]])
    seen = cameras.keypoints2d(xyz, FOCAL, CENTER, WIDE, lens="fisheye")
    np.testing.assert_array_equal(seen[0, :, 2], [1, 0, 0, 0, 0])
    assert np.isnan(cameras.project(xyz, FOCAL, CENTER, WIDE, lens="fisheye")[0, 1:]).all()


def test_points_beyond_the_turn_of_a_fisheye_are_not_thrown_back_into_the_image() -> None:
    tight = np.array([-0.3, 0.0, 0.0, 0.0])  # theta (1 - 0.3 theta^2) turns at theta = 1.054
    assert np.arctan(cameras.distortion_limit(tight, lens="fisheye")) == pytest.approx(np.sqrt(1 / 0.9), abs=1e-3)
    limits = cameras.distortion_limit(np.stack([0 * tight, tight, WIDE]), lens="fisheye")
    assert np.isinf(limits).tolist() == [True, False, True]
    ray = [np.sin, lambda angle: 0 * angle, np.cos]
    angles = np.array([0.9, 1.04, 1.07, 1.5])
    xyz = np.stack([axis(angles) for axis in ray], axis=-1)[None]
    assert (cameras.project(xyz, FOCAL, CENTER, tight, lens="fisheye")[0, :, 0] < 1920).all()
    seen = cameras.keypoints2d(xyz, FOCAL, CENTER, tight, lens="fisheye")
    np.testing.assert_array_equal(seen[0, :, 2], [1, 1, 0, 0])


@pytest.mark.parametrize(
    ("lens", "count", "words"),
    [
        ("panorama", 4, "unknown lens 'panorama'; expected opencv, h36m, fisheye"),
        ("h36m", 8, "8 distortion coefficients; the lens h36m has 5"),
        ("fisheye", 5, "5 distortion coefficients; the lens fisheye has 4: k1 k2 k3 k4"),
    ],
)
def test_other_lenses_are_refused(lens: str, count: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        cameras.keypoints2d(points(), FOCAL, CENTER, np.zeros(count), lens=lens)


def test_the_turn_of_a_lens_is_found_for_every_row() -> None:
    lenses = np.array([[-0.4, 0, 0, 0, 0], [0.1, 0, 0, 0, 0], [-0.4, 0, 0, 0, 0], [-0.1, 0, 0, 0, 0]])
    turns = [np.sqrt(1 / 1.2), np.inf, np.sqrt(1 / 1.2), np.sqrt(1 / 0.3)]  # where r (1 + k r^2) stops to grow
    np.testing.assert_allclose(cameras.distortion_limit(lenses), turns, atol=0.006)
    assert cameras.distortion_limit(lenses[0]).shape == ()


def test_intrinsics_of_matrices() -> None:
    K = np.array([[[1.0, 0, 5], [0, 2, 6], [0, 0, 1]], [[3, 0, 7], [0, 4, 8], [0, 0, 1]]])
    focal, principal_point = cameras.from_matrix(K)
    np.testing.assert_array_equal(focal, [[1, 2], [3, 4]])
    np.testing.assert_array_equal(principal_point, [[5, 6], [7, 8]])


def test_turns_are_given_in_degrees() -> None:
    np.testing.assert_allclose(cameras.rotate_x(90) @ [0, 1, 0], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(cameras.rotate_y(90) @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(cameras.rotate_z(np.array([90.0, 0.0]))[0] @ [1, 0, 0], [0, 1, 0], atol=1e-12)


def test_unreal_locations() -> None:
    np.testing.assert_allclose(cameras.unreal_to_opencv([100, 200, 300]), [2.0, -3.0, 1.0])
