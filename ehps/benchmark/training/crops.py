"""From a box in an image to the pixels a network sees.

Facts: the public SMPLer-X preprocessing. An affine map without half-pixel shift takes the widened box
(:mod:`ehps.benchmark.crop_boxes`) to the crop (box centre to the crop's middle, bilinear, black
outside). The released networks see every second pixel of a 512 x 384 crop, which is this map straight at 256
x 192.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ehps.arrays import Array
from ehps.humandata import image_files


@dataclass(frozen=True)
class Augmentation:
    """One draw.

    Attributes
    ----------
    scale : of the box.
    rotation : radians.
    flip : whether the image is mirrored.
    colour : factors of red, green, blue.
    """

    scale: float = 1.0
    rotation: float = 0.0
    flip: bool = False
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)


NONE = Augmentation()
LEVELS = np.arange(256, dtype=np.float32)[:, None]


def draw(rng: np.random.Generator, turned: float = 0.6, colour: float = 0.2) -> Augmentation:
    """Scale 1 +- 0.25 (clipped normal), rotation 30 degrees x normal clipped at 2 with probability ``turned``,
    1 +- ``colour`` a channel, flip with probability 0.5."""
    scale = 1 + 0.25 * float(np.clip(rng.standard_normal(), -1, 1))
    angle = np.deg2rad(30) * float(np.clip(rng.standard_normal(), -2, 2))
    rotation = float(angle) if rng.random() < turned else 0.0
    flip = bool(rng.random() < 0.5)
    r, g, b = rng.uniform(1 - colour, 1 + colour, 3).tolist()
    return Augmentation(scale, rotation, flip, (r, g, b))


def affine(box: Array, size: tuple[int, int], image_width: int, augmentation: Augmentation = NONE) -> Array:
    """(2, 3) map from pixels of the full image to pixels of a crop of ``size`` (height, width).

    A flip mirrors the image first (u -> width - 1 - u), then the box is cropped.
    """
    x, y, w, h = (float(v) for v in box[:4])
    cx, cy = x + w / 2, y + h / 2
    if augmentation.flip:
        cx = image_width - 1 - cx
    c, s = np.cos(augmentation.rotation), np.sin(augmentation.rotation)
    scale = np.array((size[1] / (w * augmentation.scale), size[0] / (h * augmentation.scale)))
    linear = scale[:, None] * np.array(((c, s), (-s, c)))  # (2, 2)
    shift = np.array((size[1] / 2, size[0] / 2)) - linear @ np.array((cx, cy))
    out = np.concatenate((linear, shift[:, None]), axis=1)  # (2, 3)
    if augmentation.flip:
        out = out @ np.array(((-1.0, 0, image_width - 1), (0, 1, 0), (0, 0, 1)))
    return out


def transform(points: Array, matrix: Array) -> Array:
    """(..., 2) pixels through a (2, 3) map."""
    out: Array = points @ matrix[:, :2].T + matrix[:, 2]
    return out


def crop(
    path: Path,
    box: Array,
    size: tuple[int, int],
    augmentation: Augmentation = NONE,
    *,
    antialias: bool = False,
    kept: Kept | None = None,
) -> tuple[Array, Array, tuple[int, int]]:
    """The person in ``box`` of the image at ``path``.

    Parameters
    ----------
    box : (4,) x, y, w, h, widened already.
    size : (height, width) of the crop.
    antialias : average large images down by 2, 4 or 8 (while decoding, for JPEG) before sampling; without,
        the crop is sampled bilinearly from the full image as the released weights expect.
    kept : decoded images to take from and add to.

    Returns
    -------
    (h, w, 3) uint8 RGB, the (2, 3) map from full-image pixels to the crop, and the image's (height,
    width).

    Raises
    ------
    DataError : the file is absent or not an image.
    """
    shrink = shrinking(float(box[2]) * augmentation.scale / size[1]) if antialias else 1
    found = kept.get(path, shrink) if kept is not None else None
    if found is None:
        pixels_read, factor, (height, width) = image_files.decode(image_files.read(path), path, shrink)
        if kept is not None:
            kept.add(path, pixels_read, factor, (height, width))
    else:
        pixels_read, factor, (height, width) = found
    matrix = affine(box, size, width, augmentation)
    return coloured(sampled(pixels_read, factor, matrix, size, shrink), augmentation), matrix, (height, width)


def shrinking(sampling: float) -> int:
    """How many times a large image is averaged down before a crop that takes every ``sampling``-th of its pixels."""
    return next((k for k in (8, 4, 2) if sampling >= k), 1)


def sampled(pixels_read: Array, factor: int, matrix: Array, size: tuple[int, int], shrink: int = 1) -> Array:
    """(h, w, 3) crop of ``size`` from an image.

    Parameters
    ----------
    pixels_read : (H, W, 3) uint8, the image ``factor`` times smaller than it is.
    matrix : (2, 3) map from pixels of the full image to the crop.
    shrink : how many times the image is averaged down before, ``factor`` included.
    """
    if factor < shrink:
        return _warp_area(pixels_read, matrix, size, shrink)
    return _warp(pixels_read, matrix @ _grow(factor), size)


def coloured(pixels: Array, augmentation: Augmentation) -> Array:
    """(h, w, 3) uint8 with the draw's factors of red, green and blue."""
    if augmentation.colour == NONE.colour:
        return pixels
    factors = np.asarray(augmentation.colour, np.float32)
    table = np.minimum(LEVELS * factors, 255).astype(np.uint8)  # (256, 3)
    out: Array = cv2.LUT(pixels, table[None])
    return out


class Kept:
    """Decoded images of a small dataset, kept in memory up to ``megabytes``; what comes later is decoded anew."""

    def __init__(self, megabytes: float) -> None:
        self.room = int(megabytes * 1e6)
        self._images: dict[tuple[Path, int], tuple[Array, int, tuple[int, int]]] = {}

    def get(self, path: Path, shrink: int) -> tuple[Array, int, tuple[int, int]] | None:
        """The image shrunk ``shrink`` times, else the full one, else None."""
        return self._images.get((path, shrink)) or self._images.get((path, 1))

    def add(self, path: Path, pixels_read: Array, factor: int, size: tuple[int, int]) -> None:
        """Keep an image that is ``factor`` times smaller than its file, if there is room."""
        if pixels_read.nbytes <= self.room:
            self.room -= pixels_read.nbytes
            self._images[path, factor] = (pixels_read, factor, size)


def _grow(factor: int) -> Array:
    """(3, 3) map from pixels of an image shrunk ``factor`` times to those of the full one (centres of blocks)."""
    half = (factor - 1) / 2
    return np.array(((factor, 0, half), (0, factor, half), (0, 0, 1.0)))


def _warp(pixels_read: Array, matrix: Array, size: tuple[int, int]) -> Array:
    out: Array = cv2.warpAffine(pixels_read, matrix, (size[1], size[0]), flags=cv2.INTER_LINEAR, borderValue=0)
    return out


def _warp_area(pixels_read: Array, matrix: Array, size: tuple[int, int], k: int) -> Array:
    """Average k x k blocks of the part that is needed, then warp."""
    inverse = np.linalg.inv(np.vstack((matrix, (0, 0, 1))))[:2]
    # the crop's corners in the image: (4, 2)
    corners = transform(np.array(((0, 0), (size[1], 0), (0, size[0]), (size[1], size[0])), float), inverse)
    limits = np.array((pixels_read.shape[1], pixels_read.shape[0]))
    low = np.clip(np.floor(corners.min(0) / k - 1) * k, 0, limits).astype(int)
    high = np.clip(np.ceil(corners.max(0) / k + 1) * k, 0, limits).astype(int)
    if (high - low < k).any():
        return np.zeros((*size, 3), np.uint8)
    part = pixels_read[low[1] : high[1], low[0] : high[0]]
    blocks = (part.shape[1] // k, part.shape[0] // k)
    small = cv2.resize(part[: blocks[1] * k, : blocks[0] * k], blocks, interpolation=cv2.INTER_AREA)
    move = _grow(k)
    move[:2, 2] += low
    return _warp(small, matrix @ move, size)
