"""Bodies of a file as its camera sees them, for :mod:`ehps.humandata.drawing`: joints and surfaces on images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ehps.arrays import Array
from ehps.body import cameras
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams
from ehps.body.surfaces import Colour, Surfaces, before_one_camera, from_the_side, painted
from ehps.body.topology import NAMES, TOPOLOGY
from ehps.body.variants import params_of
from ehps.errors import DataError
from ehps.humandata import frames, merging
from ehps.humandata.core import HumanData
from ehps.humandata.schema import FISHEYE, H36M

CAMERA = ("meta/focal_length", "meta/principal_point")
LENSES = {
    "meta/dist_coeffs": ("opencv", CAMERA),
    FISHEYE: ("fisheye", CAMERA),
    H36M: ("h36m", ("meta/h36m_focal_length", "meta/h36m_principal_point")),
}
"""Column of distortion coefficients -> the lens, and the columns of its camera."""


class ProjectedBodies:
    """Joints and surfaces of a file's rows on their images, evaluated when they are asked for.

    Parameters
    ----------
    hd : with body parameters in the camera frame and a camera.
    models : of the parameters' model type.

    Raises
    ------
    DataError : there are no parameters, or no camera to project them with.
    PassportError : the parameters are not known to be in the camera frame, or whose model they belong to.
    BodyModelError : there is no model of that type.
    """

    def __init__(self, hd: HumanData, models: BodyModels) -> None:
        model_type = hd.body_model
        if model_type is None:
            raise DataError("has no body parameters, so that there is no body to draw", path=hd.source)
        if lacking := lacking_columns(hd):
            raise DataError(
                f"has no {' and '.join(lacking)}: where its bodies are in the image is not known", path=hd.source
            )
        models = models.of(params_of(hd[:0], model_type))
        models.require(model_type)
        self.hd, self.models, self.model_type = hd, models, model_type
        self.convention = TOPOLOGY[model_type].convention
        self.name = NAMES[model_type]

    def joints(self, rows: Sequence[int]) -> Array:
        """(n, J, 3) pixels and confidence of the model's joints."""
        part = self.hd[list(rows)]
        return in_image(part, self.models.joints(self._params(part)))

    def surfaces(self, rows: Sequence[int]) -> Surfaces:
        """Surfaces of rows of one image."""
        part = self.hd[list(rows)]
        vertices = self.models.mesh(self._params(part)).astype(np.float64)
        seen = in_image(part, vertices)
        pixels = np.where(seen[..., 2:] > 0, seen[..., :2], np.nan).astype(np.float64)
        return Surfaces(vertices, pixels, before_one_camera(vertices, *_camera(part, CAMERA)))

    def painted(self, image: Array, found: Surfaces, colours: Sequence[Colour], origin: Array, factor: float) -> Array:
        """A copy of ``image`` with surfaces over it; see :func:`ehps.body.surfaces.painted`."""
        return painted(image, found, self.models.faces(self.model_type), colours, origin, factor)

    def from_the_side(self, found: Surfaces, colours: Sequence[Colour], height: int) -> Array:
        """(height, W, 3) people seen from the side; see :func:`ehps.body.surfaces.from_the_side`."""
        return from_the_side(found, self.models.faces(self.model_type), colours, height)

    def _params(self, part: HumanData) -> BodyParams:
        return params_of(part, self.model_type)


def lens_column(hd: HumanData) -> str | None:
    """The one of :data:`LENSES` that a file has, None where its images are those of a pinhole."""
    return next((name for name in LENSES if name in hd), None)


def is_pinhole(hd: HumanData, row: int) -> bool:
    """Whether the image of a row is that of a pinhole, so that focal length and principal point say where points are.

    Elsewhere the file's own 2D points do: a pinhole is some pixels off distorted images, and tens off a fisheye's.
    """
    distortion = hd[merging.DISTORTION][row] if merging.DISTORTION in hd else np.zeros(0)
    return FISHEYE not in hd and not np.any(distortion)


def lacking_columns(hd: HumanData) -> list[str]:
    """Columns without which the bodies of a file cannot be projected, and that it does not have."""
    needed = (f"{hd.body_model}/betas", f"{hd.body_model}/transl", *CAMERA)
    return [name for name in needed if name not in hd and name not in hd.misc]


def _camera(part: HumanData, names: tuple[str, str]) -> tuple[Array, Array]:
    """Focal lengths and principal points (n, 2)."""
    focal, centre = (frames.per_row(part, name, (2,)) for name in names)
    return focal, centre


def in_image(part: HumanData, points: Array) -> Array:
    """(n, K, 3) pixels and confidence of points (n, K, 3) through the lens of the images."""
    column = lens_column(part)
    if column is None:
        return cameras.keypoints2d(points, *_camera(part, CAMERA))
    lens, names = LENSES[column]
    names = names if all(name in part for name in names) else CAMERA
    bent = np.asarray(part[column], np.float64)
    return cameras.keypoints2d(points, *_camera(part, names), bent, lens=lens)
