"""Cameras as files describe them: camera matrices, one view of a recording, and the cameras of rows that views see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ehps.arrays import Array
from ehps.body import cameras
from ehps.converters.base import Camera, Rigid
from ehps.converters.readers import OTHER
from ehps.errors import DataError

ROUNDED = 1e-3  # pixels, and less: zeros of camera matrices


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


def lens_of(matrix: Array, path: Path, name: str) -> tuple[Array, Array]:
    """Focal lengths and principal points (..., 2) of (..., 3, 3) camera matrices, called ``name`` in their file.

    Raises
    ------
    DataError : a matrix is transposed or scaled, or none of a pinhole.
    """
    below = [matrix[..., 1, 0], matrix[..., 2, 0], matrix[..., 2, 1], matrix[..., 2, 2] - 1]
    if (np.abs(below) > ROUNDED).any():
        what = f"{name} is no camera matrix, with rows (f, skew, c), (0, f, c), (0, 0, 1)"
        raise DataError(what, path=path, fix=OTHER)
    return cameras.from_matrix(matrix)


def cameras_of(views: Sequence[CalibratedView], index: Array) -> tuple[Array, Camera, Rigid]:
    """Sizes (N, 2), cameras and extrinsics of rows of which each is seen by ``views[index]``, index (N,)."""

    def per_row(name: str) -> Array:
        return np.stack([getattr(view, name) for view in views])[index]

    distortion = None if all(view.distortion is None for view in views) else per_row("distortion")
    camera = Camera(per_row("focal"), per_row("principal_point"), distortion)
    return per_row("size"), camera, Rigid(per_row("rotation"), per_row("translation"))
