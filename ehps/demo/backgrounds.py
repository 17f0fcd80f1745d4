"""Painted surroundings for generated images, one recognisable scene a name."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[Any]
Rng = np.random.Generator


def background(rng: Rng, scene: str, size: tuple[int, int]) -> Image:
    """A (height, width, 3) RGB image of a ``scene``: plain, studio, indoor, outdoor, street or clutter."""
    height, width = size
    # Painted small and enlarged: surroundings are out of focus, and large images cost no more than small ones.
    small = (max(height // 3, 8), max(width // 3, 8))
    image = SCENES[scene](rng, small)
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    grain = rng.integers(-6, 7, (height // 2 + 1, width // 2 + 1, 1)).astype(np.int16)
    grain = grain.repeat(2, 0).repeat(2, 1)[:height, :width]
    return np.clip(image.astype(np.int16) + grain, 0, 255).astype(np.uint8)


def _gradient(size: tuple[int, int], top: Any, bottom: Any) -> Image:
    t = np.linspace(0, 1, size[0])[:, None, None]
    rows = np.asarray(top, float) * (1 - t) + np.asarray(bottom, float) * t
    return np.ascontiguousarray(np.broadcast_to(rows, (*size, 3)).astype(np.uint8))


def _near(rng: Rng, colour: Any, spread: float = 15) -> tuple[int, int, int]:
    r, g, b = np.clip(rng.normal(colour, spread), 0, 255).astype(int).tolist()
    return r, g, b


def _plain(rng: Rng, size: tuple[int, int]) -> Image:
    return _gradient(size, _near(rng, (205, 205, 200), 6), _near(rng, (150, 150, 150), 6))


def _studio(rng: Rng, size: tuple[int, int]) -> Image:
    image = _gradient(size, _near(rng, (40, 50, 90), 12), _near(rng, (15, 18, 35), 6))
    h, w = size
    for x in rng.integers(0, w, 3):
        cv2.ellipse(image, (int(x), 0), (w // 8, h // 2), 0, 0, 360, _near(rng, (90, 100, 160)), -1)
    cv2.rectangle(image, (0, int(h * 0.85)), (w, h), _near(rng, (70, 45, 30)), -1)
    return cv2.GaussianBlur(image, (0, 0), h / 25)


def _indoor(rng: Rng, size: tuple[int, int]) -> Image:
    h, w = size
    floor = int(h * rng.uniform(0.62, 0.75))
    image = _gradient(size, _near(rng, (215, 200, 175)), _near(rng, (190, 175, 150)))
    cv2.rectangle(image, (0, floor), (w, h), _near(rng, (125, 90, 60)), -1)
    for _ in range(rng.integers(2, 5)):  # images, shelves, windows
        x, y = int(rng.integers(0, w)), int(rng.integers(0, max(floor // 2, 1)))
        cv2.rectangle(image, (x, y), (x + w // 7, y + h // 5), _near(rng, (150, 150, 160), 50), -1)
    x = int(rng.integers(0, w))
    cv2.rectangle(image, (x, floor - h // 6), (x + w // 4, floor + h // 12), _near(rng, (90, 60, 60), 30), -1)
    return cv2.GaussianBlur(image, (0, 0), 1.2)


def _outdoor(rng: Rng, size: tuple[int, int]) -> Image:
    h, w = size
    horizon = int(h * rng.uniform(0.45, 0.6))
    image = _gradient(size, _near(rng, (110, 165, 225)), _near(rng, (215, 230, 240), 8))
    for _ in range(6):  # trees and hills
        x, r = int(rng.integers(0, w)), int(rng.integers(h // 10, h // 4))
        cv2.circle(image, (x, horizon), r, _near(rng, (50, 95, 50)), -1)
    cv2.rectangle(image, (0, horizon), (w, h), _near(rng, (105, 145, 75)), -1)
    return cv2.GaussianBlur(image, (0, 0), 1.5)


def _street(rng: Rng, size: tuple[int, int]) -> Image:
    h, w = size
    ground = int(h * rng.uniform(0.55, 0.65))
    image = _gradient(size, _near(rng, (190, 195, 205)), _near(rng, (225, 225, 225), 8))
    x = 0
    while x < w:  # houses with windows
        house = int(rng.integers(w // 8, w // 4))
        top = int(rng.integers(0, ground // 2 + 1))
        cv2.rectangle(image, (x, top), (x + house, ground), _near(rng, (150, 115, 95), 30), -1)
        for wy in range(top + 4, ground - 6, 12):
            for wx in range(x + 4, x + house - 6, 11):
                cv2.rectangle(image, (wx, wy), (wx + 5, wy + 6), (70, 80, 95), -1)
        x += house
    cv2.rectangle(image, (0, ground), (w, h), _near(rng, (110, 110, 112), 8), -1)
    return image


def _clutter(rng: Rng, size: tuple[int, int]) -> Image:
    h, w = size
    image = _gradient(size, _near(rng, (140, 140, 140), 40), _near(rng, (110, 110, 110), 40))
    for _ in range(40):
        centre = (int(rng.integers(0, w)), int(rng.integers(0, h)))
        axes = (int(rng.integers(3, w // 8 + 4)), int(rng.integers(3, h // 6 + 4)))
        cv2.ellipse(image, centre, axes, float(rng.uniform(0, 180)), 0, 360, _near(rng, (125, 125, 125), 60), -1)
    return image


SCENES = {
    "plain": _plain,
    "studio": _studio,
    "indoor": _indoor,
    "outdoor": _outdoor,
    "street": _street,
    "clutter": _clutter,
}
