"""Cameras of multi-view recordings: one view as files describe it, and the cameras of rows that views see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ehps.arrays import Array
from ehps.converters.base import Camera, Rigid


@dataclass(frozen=True)
class CalibratedView:
    """One camera of a recording.

    Attributes
    ----------
    name : as in the paths of its images.
    size : height and width of its images, pixels.
    focal : (2,) in x and y, pixels of these images.
    principal_point : (2,) x, y, pixels of these images.
    rotation : (3, 3), takes the world to this camera.
    translation : (3,) metres, takes the world to this camera.
    distortion : (K,) coefficients of its lens, None where images are those of a pinhole.
    """

    name: str
    size: Sequence[int]
    focal: Array
    principal_point: Array
    rotation: Array
    translation: Array
    distortion: Array | None = None


def cameras_of(views: Sequence[CalibratedView], index: Array) -> tuple[Array, Camera, Rigid]:
    """Sizes (N, 2), cameras and extrinsics of rows of which each is seen by ``views[index]``, index (N,)."""

    def per_row(name: str) -> Array:
        return np.stack([getattr(view, name) for view in views])[index]

    distortion = None if all(view.distortion is None for view in views) else per_row("distortion")
    camera = Camera(per_row("focal"), per_row("principal_point"), distortion)
    return per_row("size"), camera, Rigid(per_row("rotation"), per_row("translation"))
