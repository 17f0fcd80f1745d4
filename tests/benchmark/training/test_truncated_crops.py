"""Square boxes, the exact crop of PyMAF and SMPLer, and the camera of the full image."""

import cv2
import numpy as np
import pytest
from PIL import Image

from ehps.benchmark import crop_boxes
from ehps.benchmark.training import crops, truncated_crops
from ehps.benchmark.training.truncated_crops import truncated_crop, window
from ehps.errors import DataError


def image(height: int = 120, width: int = 160) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 256, (height, width, 3), np.uint8)


def test_a_square_is_of_the_longer_side_about_the_same_centre() -> None:
    boxes = np.array([[10, 20, 40, 100, 0.9], [0, 0, 60, 30, 1]])
    np.testing.assert_allclose(crop_boxes.square(boxes), [[-30, 10, 120, 120], [-6, -21, 72, 72]])
    assert crop_boxes.square(boxes, 1.25)[0, 2] == 125


def test_the_window_is_cut_towards_zero_to_whole_pixels() -> None:
    centre, side = np.array([30.3, 80.6]), 77.7
    low = centre - side / 2  # (-8.55, 41.75), and (69.15, 119.45) at the other end
    assert window(np.array([*low, side, side])) == (-8, 41, 69, 119)
    assert np.floor(low[0]) == -9  # what another rounding would take


def test_sides_on_whole_pixels_stay_there() -> None:
    for x, side in ((0, 224), (10, 112), (3, 448), (-20, 100)):
        assert window(np.array([x, x, side, side])) == (x, x, x + side, x + side)


def test_what_is_outside_the_image_is_black() -> None:
    pixels = image()
    crop = truncated_crop(pixels, np.array([-10, 50, 112, 112]), "bilinear", size=112)
    assert not crop[:, :10].any()
    assert not crop[70:].any()
    np.testing.assert_array_equal(crop[:70, 10:], pixels[50:, :102])
    assert not truncated_crop(pixels, np.array([500, 500, 100, 100]), "bicubic").any()


@pytest.mark.parametrize("resize", ["bicubic", "bilinear"])
def test_the_window_is_resized_by_the_library_of_the_original(resize: truncated_crops.Resize) -> None:
    pixels = image(600, 600)
    cut = pixels[33:533, 21:521]
    by = {
        "bicubic": np.asarray(Image.fromarray(cut).resize((224, 224), Image.Resampling.BICUBIC)),
        "bilinear": cv2.resize(cut, (224, 224), interpolation=cv2.INTER_LINEAR),
    }
    np.testing.assert_array_equal(truncated_crop(pixels, np.array([21.5, 33.4, 500, 500]), resize), by[resize])


def test_only_bicubic_averages_what_it_shrinks() -> None:
    noise = image(896, 896)
    box = np.array([0, 0, 896, 896])
    assert truncated_crop(noise, box, "bicubic").std() < 0.6 * truncated_crop(noise, box, "bilinear").std()


def test_the_affine_map_differs_by_less_than_a_pixel_of_the_image() -> None:
    box = np.array([20.7, 10.2, 93.6, 93.6])
    left, top, right, bottom = window(box)
    matrix = crops.affine(box, (224, 224), 160)
    back = crops.transform(np.array([[0, 0], [224, 224.0]]), cv2.invertAffineTransform(matrix))
    assert np.abs(back - [[left, top], [right, bottom]]).max() < 1
    assert np.abs(back - [[left, top], [right, bottom]]).max() > 0.1


def test_a_box_below_a_pixel_is_an_error() -> None:
    with pytest.raises(DataError, match="smaller than a pixel"):
        truncated_crop(image(), np.array([5.2, 5.2, 0.4, 0.4]), "bilinear")


def test_a_point_falls_on_the_same_pixel_by_both_cameras() -> None:
    camera, box, size = np.array([[0.9, 0.1, -0.2]]), np.array([[40, 10, 90, 90.0]]), np.array([[120, 200]])
    point = np.array([0.3, -0.4])
    in_crop = camera[0, 0] * (point + camera[0, 1:])  # -1 to 1 across the box
    pixel = box[0, :2] + (in_crop + 1) / 2 * box[0, 2:]
    sx, sy, tx, ty = crop_boxes.full_image_camera(camera, box, size)[0]
    across = np.array([sx * (point[0] + tx), sy * (point[1] + ty)])  # -1 to 1 across the image
    np.testing.assert_allclose((across + 1) / 2 * [200, 120], pixel)
