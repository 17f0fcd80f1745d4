"""Projection, distortion, crops and image edits, against OpenCV and against first principles."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ehps.body import cameras

FOCAL, CENTER = np.array([1100.0, 1050.0]), np.array([960.0, 540.0])
FIVE = np.array([-0.28, 0.09, 0.0012, -0.0008, -0.01])
EIGHT = np.array([0.5, -2.7, 0.0007, -0.0002, 1.6, 0.38, -2.5, 1.5])


def points(n: int = 6, j: int = 9, spread: float = 0.35) -> np.ndarray:
    rng = np.random.default_rng(0)
    depth = rng.uniform(1, 6, (n, j, 1))
    return np.concatenate([rng.uniform(-spread, spread, (n, j, 2)) * depth, depth], axis=2)


def opencv(xyz: np.ndarray, distortion: np.ndarray | None) -> np.ndarray:
    K = cameras.to_matrix(FOCAL, CENTER)
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


@pytest.mark.parametrize("lens", [FIVE, EIGHT], ids=["5", "8"])
def test_undistort_inverts_the_distortion(lens: np.ndarray) -> None:
    xyz = points()
    bent = cameras.project(xyz, FOCAL, CENTER, lens)
    straight = cameras.project(xyz, FOCAL, CENTER)
    assert np.abs(bent - straight).max() > 3
    np.testing.assert_allclose(cameras.undistort(bent, FOCAL, CENTER, lens), straight, atol=1e-5)


def test_h36m_lens_with_doubled_mixed_terms_is_opencvs() -> None:
    xyz = points()
    k, p = np.array([-0.21, 0.24, -0.002]), np.array([-0.0009, -0.0016])
    theirs = opencv(xyz, np.array([k[0], k[1], p[0], p[1], k[2]]))
    np.testing.assert_allclose(cameras.project_h36m(xyz, FOCAL, CENTER, k, p, m=2), theirs, atol=1e-9)
    own = cameras.project_h36m(xyz, FOCAL, CENTER, k, p)
    assert 0.01 < np.abs(own - theirs).max() < 2


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


@pytest.mark.parametrize(("lens", "count", "words"), [("fisheye", 5, "unknown lens"), ("h36m", 8, "8 distortion")])
def test_other_lenses_are_refused(lens: str, count: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        cameras.keypoints2d(points(), FOCAL, CENTER, np.zeros(count), lens=lens)


def test_the_turn_of_a_lens_is_found_for_every_row() -> None:
    lenses = np.array([[-0.4, 0, 0, 0, 0], [0.1, 0, 0, 0, 0], [-0.4, 0, 0, 0, 0], [-0.1, 0, 0, 0, 0]])
    turns = [np.sqrt(1 / 1.2), np.inf, np.sqrt(1 / 1.2), np.sqrt(1 / 0.3)]  # where r (1 + k r^2) stops to grow
    np.testing.assert_allclose(cameras.distortion_limit(lenses), turns, atol=0.006)
    assert cameras.distortion_limit(lenses[0]).shape == ()


def test_weak_perspective_in_both_conventions() -> None:
    body = np.random.default_rng(1).uniform(-0.5, 0.5, (2, 8, 3))
    camera = np.array([[0.9, 0.1, -0.05], [0.7, -0.2, 0.1]])
    center, side = np.array([[400.0, 300.0], [700.0, 200.0]]), np.array([260.0, 320.0])
    hmr = cameras.project_weak(body, camera, center, side)
    np.testing.assert_allclose(hmr[0, 0], [400, 300] + 130 * 0.9 * (body[0, 0, :2] + camera[0, 1:]))
    eft = cameras.project_weak(body, cameras.shift_before_scale(camera), center, side)
    np.testing.assert_allclose(eft[1, 3], [700, 200] + 160 * (0.7 * body[1, 3, :2] + camera[1, 1:]))


def test_crop_camera_in_the_full_image_projects_the_same_point_to_the_same_pixel() -> None:
    """s (X + t) on the crop is f (X + t') / z in the image, exactly for points at the body's own depth."""
    camera = np.array([[0.9, 0.1, -0.05], [0.7, -0.2, 0.1]])
    center, side = np.array([[400.0, 300.0], [700.0, 200.0]]), np.array([260.0, 320.0])
    image_center = np.array([640.0, 360.0])
    body = np.zeros((2, 5, 3))
    body[..., :2] = np.random.default_rng(2).uniform(-0.5, 0.5, (2, 5, 2))
    s, t = camera[:, None, :1], camera[:, None, 1:]
    expected = center[:, None] + side[:, None, None] / 2 * s * (body[..., :2] + t)
    shift = cameras.crop_to_full(camera, center, side, 1468.6, image_center)
    full = cameras.project(body + shift[:, None], np.array([1468.6, 1468.6]), image_center)
    np.testing.assert_allclose(full, expected, atol=1e-9)
    own = cameras.weak_to_full(camera, side, 5000.0)
    crop = cameras.project(body + own[:, None], np.array([5000.0, 5000.0]), center)
    np.testing.assert_allclose(crop, expected, atol=1e-6)
    np.testing.assert_allclose(cameras.project_weak(body, camera, center, side), expected)


def test_focal_lengths() -> None:
    assert cameras.focal_of_fov(90.0, 1000) == pytest.approx(500)
    assert cameras.focal_of_lens(50, 36, 3840) == pytest.approx(5333.333, abs=1e-3)
    np.testing.assert_allclose(cameras.default_focal(np.array([[720, 1280]])), [1468.6], atol=0.05)


def test_matrices_and_pairs_are_inverse() -> None:
    K = cameras.to_matrix(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([5.0, 6.0]))
    assert K.shape == (2, 3, 3)
    np.testing.assert_array_equal(K[1], [[3, 0, 5], [0, 4, 6], [0, 0, 1]])
    np.testing.assert_array_equal(cameras.from_matrix(K)[0], [[1, 2], [3, 4]])


def test_resize_and_crop_move_pixels_as_the_image_moves() -> None:
    xyz = points()
    before = cameras.project(xyz, FOCAL, CENTER)
    f, c = cameras.resized(FOCAL, CENTER, np.array([0.5, 0.25]))
    np.testing.assert_allclose(cameras.project(xyz, f, c), before * [0.5, 0.25])
    moved = cameras.project(xyz, FOCAL, cameras.cropped(CENTER, np.array([100, 40])))
    np.testing.assert_allclose(moved, before - [100, 40])


@pytest.mark.parametrize("turns", [0, 1, 2, 3, -1])
def test_quarter_turns_of_image_and_camera_agree(turns: int) -> None:
    size = (1080, 1920)
    xyz = points()
    f, c, new_size, R = cameras.rotate90(FOCAL, CENTER, size, turns)
    assert new_size == (size if turns % 2 == 0 else size[::-1])
    turned = cameras.project(xyz @ R.T, f, c)
    np.testing.assert_allclose(turned, cameras.rotate90_pixels(cameras.project(xyz, FOCAL, CENTER), size, turns))
    image = np.zeros(size, np.uint8)
    image[200, 1500] = 255
    v, u = np.argwhere(np.rot90(image, -turns))[0]
    np.testing.assert_array_equal(cameras.rotate90_pixels(np.array([1500, 200]), size, turns), [u, v])


def test_turns_are_given_in_degrees() -> None:
    np.testing.assert_allclose(cameras.rotate_x(90) @ [0, 1, 0], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(cameras.rotate_y(90) @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(cameras.rotate_z(np.array([90.0, 0.0]))[0] @ [1, 0, 0], [0, 1, 0], atol=1e-12)


def test_unreal_locations() -> None:
    np.testing.assert_allclose(cameras.unreal_to_opencv([100, 200, 300]), [2.0, -3.0, 1.0])
    for frame in cameras.FRAMES.values():
        assert np.linalg.det(frame) == pytest.approx(1)
