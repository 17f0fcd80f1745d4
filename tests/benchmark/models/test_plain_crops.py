"""The plain crops and the camera of the full image against each other and against the libraries the authors used."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.benchmark.models import plain_crops

IMAGE = np.random.default_rng(3).integers(0, 256, (60, 80, 3), dtype=np.uint8)
BOXES = {
    "inside": ((40.3, 31.7), 0.2), "over two edges": ((5.2, 8.9), 0.31), "all of it": ((40.0, 30.0), 0.43),
    "larger than the crop": ((40.6, 30.2), 1.57),
}  # fmt: skip


def test_a_window_is_truncated_towards_zero() -> None:
    assert plain_crops.window((100.7, 50.2), 0.5) == (50, 0, 150, 100)
    assert plain_crops.window((20.4, 30.9), 0.5) == (-29, -19, 70, 80)  # -29.6 and -19.1, not -30 and -20


def test_a_window_is_up_to_a_pixel_smaller_or_larger_than_its_box() -> None:
    sides = set()
    for tenth in range(30):
        left, _, right, _ = plain_crops.window((30.05 + tenth / 10, 30.0), 0.307)
        sides.add(right - left)
    assert sides == {60, 61, 62}


@pytest.mark.parametrize("box", BOXES)
def test_a_crop_is_the_one_of_the_libraries(box: str) -> None:
    cut = plain_crops.cut(IMAGE, plain_crops.window(*BOXES[box]))
    bilinear = cv2.resize(cut, (224, 224), interpolation=cv2.INTER_LINEAR)
    bicubic = np.asarray(Image.fromarray(cut).resize((224, 224), Image.Resampling.BICUBIC))
    assert np.abs(plain_crops.smpler_crop(IMAGE, *BOXES[box]).astype(int) - bilinear).max() <= 1
    assert np.abs(plain_crops.pymaf_crop(IMAGE, *BOXES[box]).astype(int) - bicubic).max() <= 1


def test_what_is_outside_the_image_is_black() -> None:
    crop = plain_crops.smpler_crop(
        np.full((60, 80, 3), 255, np.uint8), (5.2, 8.9), 0.31
    )  # -25.8 .. 36.2, -22.1 .. 39.9
    left = round(224 * 25 / 61)
    top = round(224 * 22 / 61)
    assert not crop[: top - 3].any()
    assert not crop[:, : left - 3].any()
    assert (crop[top + 3 :, left + 3 :] == 255).all()


def test_a_point_of_the_crop_is_the_same_point_through_the_full_image() -> None:
    camera, box, size = (0.9, 0.03, -0.2), (310.0, 215.0, 180.0), (480, 640)
    sx, sy, tx, ty = plain_crops.full_image_camera(camera, box, size)
    s, x, y = camera
    for point in ((0.0, 0.0), (0.4, -0.8), (-0.3, 0.6)):
        in_crop = (s * (point[0] + x), s * (point[1] + y))
        pixel = (box[0] + in_crop[0] * box[2] / 2, box[1] + in_crop[1] * box[2] / 2)
        in_image = (sx * (point[0] + tx), sy * (point[1] + ty))
        assert (320 * (in_image[0] + 1), 240 * (in_image[1] + 1)) == pytest.approx(pixel)


def test_the_truncated_window_moves_a_point_by_less_than_a_pixel_of_the_image() -> None:
    for tenth in range(30):
        centre, scale = (40.05 + tenth / 10, 33.0), 0.307
        left, _, right, _ = plain_crops.window(centre, scale)
        side = 200 * scale
        for share in (0.0, 0.5, 1.0):  # of the crop
            assert abs(left + share * (right - left) - (centre[0] - side / 2 + share * side)) < 1
