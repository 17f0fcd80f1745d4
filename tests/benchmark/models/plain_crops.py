"""The crops of SPIN, as PyMAF and SMPLer were tested with, and the camera of the full image, with loops over pixels.

A square box has a centre and a ``scale``: its side in units of 200 pixels, already enlarged.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

SIDE = 224

Image = NDArray[np.uint8]
Window = tuple[int, int, int, int]


def window(centre: tuple[float, float], scale: float) -> Window:
    """Left, top, right, bottom (the last two not included) of the box, truncated towards zero to whole pixels.

    The corners of the crop, (1, 1) and (225, 225) counted from one, are mapped back to the image.
    """
    side = 200 * Fraction(scale)
    corners = []
    for corner in (1, SIDE + 1):
        for middle in centre:
            corners.append(math.trunc(Fraction(middle) - side / 2 + side * (corner - 1) / SIDE))
    left, top, right, bottom = corners
    return left, top, right, bottom


def cut(image: Image, where: Window) -> Image:
    """(H, W, 3) -> the pixels of the window; what is outside the image is black."""
    left, top, right, bottom = where
    height, width = image.shape[:2]
    found = np.zeros((bottom - top, right - left, 3), np.uint8)
    for y in range(top, bottom):
        for x in range(left, right):
            if 0 <= y < height and 0 <= x < width:
                found[y - top, x - left] = image[y, x]
    return found


def smpler_crop(image: Image, centre: tuple[float, float], scale: float) -> Image:
    """(H, W, 3) -> (224, 224, 3): bilinear, without smoothing."""
    return resized(cut(image, window(centre, scale)), bilinear_weights)


def pymaf_crop(image: Image, centre: tuple[float, float], scale: float) -> Image:
    """(H, W, 3) -> (224, 224, 3): bicubic, smoothed where it shrinks."""
    return resized(cut(image, window(centre, scale)), bicubic_weights)


def resized(image: Image, weights: Callable[[float, float, int], dict[int, float]]) -> Image:
    """(h, w, 3) -> (224, 224, 3), along the rows and then along the columns."""
    height, width = image.shape[:2]
    rows = np.zeros((height, SIDE, 3))
    for x in range(SIDE):
        for source, weight in weights((x + 0.5) * width / SIDE - 0.5, width / SIDE, width).items():
            rows[:, x] += weight * image[:, source]
    rows = np.clip(np.rint(rows), 0, 255)
    both = np.zeros((SIDE, SIDE, 3))
    for y in range(SIDE):
        for source, weight in weights((y + 0.5) * height / SIDE - 0.5, height / SIDE, height).items():
            both[y] += weight * rows[source]
    return np.clip(np.rint(both), 0, 255).astype(np.uint8)


def bilinear_weights(place: float, step: float, size: int) -> dict[int, float]:
    """Source pixel -> weight at ``place``; the pixels at the edge go on beyond it."""
    below = math.floor(place)
    found: dict[int, float] = {}
    for source in (below, below + 1):
        inside = min(max(source, 0), size - 1)
        found[inside] = found.get(inside, 0.0) + 1 - abs(place - source)
    return found


def bicubic_weights(place: float, step: float, size: int) -> dict[int, float]:
    """Source pixel -> weight at ``place``; the kernel is ``step`` times as wide where the image shrinks."""
    wide = max(step, 1.0)
    near = range(max(0, math.ceil(place - 2 * wide)), min(size, math.floor(place + 2 * wide) + 1))
    found = {source: cubic((source - place) / wide) for source in near}
    total = sum(found.values())
    return {source: weight / total for source, weight in found.items()}


def cubic(x: float) -> float:
    """Keys' kernel with a = -0.5."""
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    if x < 2:
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return 0.0


def full_image_camera(
    camera: tuple[float, float, float], box: tuple[float, float, float], size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Weak perspective of the crop in the full image.

    Parameters
    ----------
    camera : s, tx, ty of the crop: (s (x + tx), s (y + ty)) is -1 to 1 over its side.
    box : centre x, centre y and side, pixels.
    size : height and width of the image.

    Returns
    -------
    sx, sy, tx, ty: (sx (x + tx), sy (y + ty)) is -1 to 1 over the width and over the height of the image.
    """
    s, tx, ty = camera
    cx, cy, side = box
    height, width = size
    sx, sy = s * side / width, s * side / height
    return sx, sy, (cx - width / 2) / (width / 2) / sx + tx, (cy - height / 2) / (height / 2) / sy + ty
