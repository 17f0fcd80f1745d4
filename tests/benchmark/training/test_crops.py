"""Boxes and crops against the formulas of the original preprocessing."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from ehps.benchmark import crop_boxes
from ehps.benchmark.training import crops
from ehps.benchmark.training.crops import Augmentation
from ehps.errors import DataError


def test_a_box_is_clipped_then_widened_then_scaled() -> None:
    boxes, valid = crop_boxes.widen(np.array([[-10, 20, 60, 100, 1.0]]), np.array([[90, 200]]), 1.25)
    # x1 = 0, y1 = 20, x2 = 0 + 59, y2 = min(89, 20 + 99): 59 x 69, widened to 3:4 by the height
    w, h = 59, 59 / 0.75
    np.testing.assert_allclose(boxes[0], [29.5 - w * 1.25 / 2, 54.5 - h * 1.25 / 2, w * 1.25, h * 1.25], rtol=1e-6)
    assert valid.all()


def test_a_box_outside_its_image_is_not_valid() -> None:
    outside = np.array([[300, 10, 20, 20], [10, 10, 0, 20], [10, 10, 30, 30]], float)
    assert crop_boxes.widen(outside, np.full((3, 2), 100), 1.0)[1].tolist() == [False, False, True]


def test_the_map_is_that_of_three_points() -> None:
    """As OpenCV makes it from the centre, half the height down and half the width right."""
    box, size, turn, scale = np.array([20.0, 30.0, 60.0, 80.0]), (256, 192), 0.3, 1.1
    matrix = crops.affine(box, size, 500, Augmentation(scale=scale, rotation=turn))
    c, s = np.cos(turn), np.sin(turn)
    centre = np.array([50.0, 70.0])
    down, right = np.array([-s, c]) * 80 * scale / 2, np.array([c, s]) * 60 * scale / 2
    source = np.stack([centre, centre + down, centre + right]).astype(np.float32)
    target = np.array([[96, 128], [96, 256], [192, 128]], np.float32)
    np.testing.assert_allclose(matrix, cv2.getAffineTransform(source, target), atol=1e-4)


def test_a_flip_mirrors_the_image_before_the_crop(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    cv2.imwrite(str(tmp_path / "b.png"), image[:, ::-1, ::-1])
    box = np.array([10.0, 5.0, 30.0, 40.0])
    flipped, matrix, size = crops.crop(tmp_path / "a.png", box, (64, 48), Augmentation(flip=True))
    mirrored_box = np.array([80 - 1 - (10 + 15) - 15.0, 5.0, 30.0, 40.0])
    direct, _, _ = crops.crop(tmp_path / "b.png", mirrored_box, (64, 48))
    assert size == (60, 80)
    assert np.abs(flipped.astype(int) - direct.astype(int)).max() <= 2
    np.testing.assert_allclose(crops.transform(np.array([25.0, 25.0]), matrix), (24, 32))


def test_half_resolution_is_every_second_pixel_of_the_full_crop(tmp_path: Path) -> None:
    """The released networks keep even rows and columns of 512 x 384: the same map straight at 256 x 192."""
    image = np.random.default_rng(1).integers(0, 255, (200, 150, 3), np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 3)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    box = np.array([12.0, 9.0, 96.0, 128.0])
    full, _, _ = crops.crop(tmp_path / "a.png", box, (512, 384))
    half, _, _ = crops.crop(tmp_path / "a.png", box, (256, 192))
    assert np.abs(full[::2, ::2].astype(int) - half.astype(int)).max() <= 1


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_antialiased_crops_show_the_same_place(tmp_path: Path, suffix: str) -> None:
    y, x = np.mgrid[:640, :480]
    image = np.stack([x / 480 * 255, y / 640 * 255, (x + y) / 1120 * 255], axis=-1).astype(np.uint8)
    path = tmp_path / f"a.{suffix}"
    cv2.imwrite(str(path), image[..., ::-1])
    box = np.array([30.0, 40.0, 420.0, 560.0])
    plain, _, _ = crops.crop(path, box, (64, 48))
    smooth, _, _ = crops.crop(path, box, (64, 48), antialias=True)
    # the ramps are 4.7 levels a crop pixel: a shift of half a pixel would show
    difference = plain[2:-2, 2:-2].astype(int) - smooth[2:-2, 2:-2]
    assert np.abs(difference.mean(axis=(0, 1))).max() < 0.7
    assert np.abs(difference).max() <= 4


def test_antialiasing_removes_a_pattern_finer_than_the_crop(tmp_path: Path) -> None:
    image = np.zeros((512, 384, 3), np.uint8)
    image[:, ::8] = image[:, 1::8] = image[:, 2::8] = image[:, 3::8] = 255
    cv2.imwrite(str(tmp_path / "a.png"), image)
    box = np.array([0.0, 0.0, 384.0, 512.0])
    plain, _, _ = crops.crop(tmp_path / "a.png", box, (64, 48))
    smooth, _, _ = crops.crop(tmp_path / "a.png", box, (64, 48), antialias=True)
    assert plain.std() == 0  # sampling sees the bright columns only
    assert plain.mean() == 255
    assert smooth[2:-2, 2:-2].std() < 5
    assert abs(smooth[2:-2, 2:-2].mean() - 127) < 5


def test_augmentation_stays_within_its_limits() -> None:
    rng = np.random.default_rng(0)
    drawn = [crops.draw(rng) for _ in range(2000)]
    scale, turn = np.array([a.scale for a in drawn]), np.array([a.rotation for a in drawn])
    assert scale.min() == 0.75
    assert scale.max() == 1.25
    assert np.abs(np.rad2deg(turn)).max() == pytest.approx(60)
    assert 0.36 < (turn == 0).mean() < 0.44
    assert 0.46 < np.mean([a.flip for a in drawn]) < 0.54
    colours = np.array([a.colour for a in drawn])
    assert 0.8 <= colours.min() < colours.max() <= 1.2


def test_a_missing_and_a_broken_image_are_named(tmp_path: Path) -> None:
    box = np.array([0.0, 0.0, 10.0, 10.0])
    with pytest.raises(DataError, match=r"a\.jpg: no such image"):
        crops.crop(tmp_path / "a.jpg", box, (8, 8))
    (tmp_path / "b.jpg").write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"b\.jpg: is no image"):
        crops.crop(tmp_path / "b.jpg", box, (8, 8))
    encoded = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8))[1].tobytes()
    (tmp_path / "c.jpg").write_bytes(encoded[: len(encoded) // 3])
    with pytest.raises(DataError, match=r"c\.jpg: is cut short"):
        crops.crop(tmp_path / "c.jpg", box, (8, 8))


def test_kept_images_give_the_same_crops_and_are_read_once(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8))
    box, kept = np.array([50, 20, 120, 160], float), crops.Kept(megabytes=1)
    fresh, matrix, size = crops.crop(path, box, (64, 48), antialias=True)
    for _ in range(2):
        again, same_matrix, same_size = crops.crop(path, box, (64, 48), antialias=True, kept=kept)
        assert (again == fresh).all()
        assert (same_matrix == matrix).all()
        assert same_size == size
        path.unlink(missing_ok=True)  # the second time it can only come from memory


def test_no_more_is_kept_than_there_is_room(tmp_path: Path) -> None:
    kept = crops.Kept(megabytes=0.1)
    kept.add(tmp_path / "large.png", np.zeros((300, 300, 3), np.uint8), 1, (300, 300))
    assert kept.get(tmp_path / "large.png", 1) is None
