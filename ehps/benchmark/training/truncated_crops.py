"""The crop that PyMAF and SMPLer were evaluated with: a window of whole pixels, resized.

Facts: the public SPIN preprocessing, which both took over. The box's corners are mapped back from the crop and cut to
whole pixels, so that the crop differs by up to a pixel from :func:`ehps.benchmark.training.crops.affine`. For numbers
of released weights; training takes the affine map.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from ehps.arrays import Array
from ehps.errors import DataError
from ehps.humandata import image_files

Resize = Literal["bicubic", "bilinear"]
"""``bicubic`` averages what it shrinks (Pillow, PyMAF); ``bilinear`` does not (OpenCV, SMPLer)."""


def window(box: Array, size: int = 224) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the whole pixels of a square box (4,) x, y, w, h; the last two are outside.

    Computed as the original does, through the inverse of the map to the crop: another way of rounding would move sides
    that lie on whole pixels.
    """
    x, y, side = float(box[0]), float(box[1]), float(box[2])
    to_crop = np.eye(3)
    to_crop[[0, 1], [0, 1]] = size / side
    to_crop[:2, 2] = size * (0.5 - np.array((x + side / 2, y + side / 2)) / side)
    back = np.linalg.inv(to_crop)
    left, top = (back @ (0.0, 0.0, 1.0))[:2].astype(int).tolist()  # towards zero, outside the image too
    right, bottom = (back @ (size, size, 1.0))[:2].astype(int).tolist()
    return left, top, right, bottom


def crop(path: Path, box: Array, resize: Resize, size: int = 224) -> tuple[Array, Array]:
    """(size, size, 3) uint8 RGB of the person in a square box of the image at ``path``, see :func:`truncated_crop`; and
    the (2, 3) map from pixels of the image to the crop.

    Raises
    ------
    DataError : the file is absent or not an image, or the box has no whole pixel.
    """
    pixels, _, _ = image_files.decode(image_files.read(path), path, 1)
    left, top, right, bottom = window(box, size)
    scale = size / np.array((right - left, bottom - top), float).clip(1)
    matrix = np.concatenate((np.diag(scale), -(scale * (left, top))[:, None]), axis=1)
    return truncated_crop(pixels, box, resize, size), matrix


def truncated_crop(pixels: Array, box: Array, resize: Resize, size: int = 224) -> Array:
    """(size, size, 3) uint8 of what is in a square box, black outside the image.

    Parameters
    ----------
    pixels : (H, W, 3) uint8.
    box : (4,) x, y, w, h, square, as :func:`ehps.benchmark.crop_boxes.square` makes it.
    resize : how the window becomes the crop.

    Raises
    ------
    DataError : the box has no whole pixel.
    """
    left, top, right, bottom = window(box, size)
    width, height = right - left, bottom - top
    if width <= 0 or height <= 0:
        raise DataError(f"the box {np.asarray(box).tolist()} (x, y, w, h) is smaller than a pixel")
    cut = np.zeros((height, width, 3), np.uint8)
    inside = pixels[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
    if inside.size:
        row, column = max(0, -top), max(0, -left)
        cut[row : row + inside.shape[0], column : column + inside.shape[1]] = inside
    if resize == "bilinear":
        out: Array = cv2.resize(cut, (size, size), interpolation=cv2.INTER_LINEAR)
        return out
    from PIL import Image

    return np.asarray(Image.fromarray(cut).resize((size, size), Image.Resampling.BICUBIC))
