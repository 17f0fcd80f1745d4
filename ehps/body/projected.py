"""Bodies of a file as its camera sees them, for :mod:`ehps.humandata.drawing`: joints and surfaces on images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ehps.arrays import Array
from ehps.body import cameras
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams
from ehps.body.rendering import drawn, shaded
from ehps.body.topology import NAMES, TOPOLOGY
from ehps.body.variants import params_of
from ehps.errors import DataError
from ehps.humandata import frames
from ehps.humandata.core import HumanData

CAMERA = ("meta/focal_length", "meta/principal_point")
LENSES = {
    "meta/dist_coeffs": ("opencv", CAMERA),
    "meta/h36m_dist_coeffs": ("h36m", ("meta/h36m_focal_length", "meta/h36m_principal_point")),
}
"""Column of distortion coefficients -> the lens, and the columns of its camera."""

OPACITY = 0.9
PALE = 0.55  # share of white in a person's colour: a surface shows its shape by its shades
GAP = 1.0  # metres
ACROSS = 1.0  # widest side view, image heights


@dataclass(frozen=True, eq=False)
class Surfaces:
    """Surfaces of P people of one image.

    Attributes
    ----------
    vertices : (P, V, 3) metres, each in the frame of its own camera.
    pixels : (P, V, 2) full-image pixels, NaN where the camera does not see them.
    shared : (P, V, 3) where they are before one camera for all; equal to ``vertices`` where all have the same.
    """

    vertices: Array
    pixels: Array
    shared: Array


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
        params_of(hd[:0], model_type)
        models.require(model_type)
        self.hd, self.models, self.model_type = hd, models, model_type
        self.convention = TOPOLOGY[model_type].convention
        self.name = NAMES[model_type]

    def joints(self, rows: Sequence[int]) -> Array:
        """(n, J, 3) pixels and confidence of the model's joints."""
        part = self.hd[list(rows)]
        return _seen(part, self.models.joints(self._params(part)))

    def surfaces(self, rows: Sequence[int]) -> Surfaces:
        """Surfaces of rows of one image."""
        part = self.hd[list(rows)]
        vertices = self.models.mesh(self._params(part)).astype(np.float64)
        seen = _seen(part, vertices)
        pixels = np.where(seen[..., 2:] > 0, seen[..., :2], np.nan).astype(np.float64)
        return Surfaces(vertices, pixels, _before_one_camera(vertices, *_camera(part, CAMERA)))

    def painted(
        self, image: Array, found: Surfaces, colours: Sequence[tuple[int, int, int]], origin: Array, factor: float
    ) -> Array:
        """A copy of ``image`` (H, W, 3), cut out at ``origin`` (x, y) and ``factor`` times as large, with surfaces."""
        pixels = (found.pixels - origin + 0.5) * factor - 0.5
        faces = self.models.faces(self.model_type)
        paint = shaded(found.vertices, faces, _pale(colours))
        return drawn(image, pixels, found.shared[..., 2], faces, paint, opacity=OPACITY)

    def from_the_side(self, found: Surfaces, colours: Sequence[tuple[int, int, int]], height: int) -> Array:
        """(height, W, 3) people seen at a right angle to the camera, which is on the left, without perspective.

        Empty stretches of more than a metre are shortened, and marked by two lines.
        """
        faces = self.models.faces(self.model_type)
        turned = found.shared @ np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])  # z to the right, x away
        breaks = _shorten_gaps(turned)
        flat = turned[np.isfinite(turned).all(axis=-1)]
        if not len(flat):
            return np.full((height, height // 3, 3), 255, np.uint8)
        low, high = flat.min(axis=0), flat.max(axis=0)
        scale = height * min(0.9 / (high[1] - low[1]), 0.9 * ACROSS / (high[0] - low[0]))
        width = max(height // 3, round(scale * (high[0] - low[0]) / 0.9))
        middle = (low[:2] + high[:2]) / 2
        pixels = (turned[..., :2] - middle) * scale + np.array([width, height]) / 2
        turned[..., 2] += 10 - low[2]  # before the viewer
        turned[..., :2] -= middle
        image = np.full((height, width, 3), 255, np.uint8)
        for place in breaks:
            x = round((place - middle[0]) * scale + width / 2)
            image[height // 4 : -height // 4, [x - 3, x + 3]] = 170
        return drawn(image, pixels, turned[..., 2], faces, shaded(turned, faces, _pale(colours)))

    def _params(self, part: HumanData) -> BodyParams:
        return params_of(part, self.model_type)


def lacking_columns(hd: HumanData) -> list[str]:
    """Columns without which the bodies of a file cannot be projected, and that it does not have."""
    needed = (f"{hd.body_model}/betas", f"{hd.body_model}/transl", *CAMERA)
    return [name for name in needed if name not in hd and name not in hd.misc]


def _shorten_gaps(points: Array) -> list[float]:
    """Move people (P, V, 3) along x, in place, to at most ``GAP`` apart; the middles of what was shortened."""
    with np.errstate(invalid="ignore"):
        low, high = points[..., 0].min(axis=1), points[..., 0].max(axis=1)
    order = [p for p in np.argsort(low).tolist() if np.isfinite(low[p])]
    breaks: list[float] = []
    end, shift = np.inf, 0.0
    for p in order:
        if low[p] - shift - end > GAP:
            shift = low[p] - end - GAP
            breaks.append(end + GAP / 2)
        points[p, :, 0] -= shift
        end = max(end if np.isfinite(end) else -np.inf, high[p] - shift)
    return breaks


def _pale(colours: Sequence[tuple[int, int, int]]) -> Array:
    return np.asarray(colours, float).reshape(-1, 3) * (1 - PALE) + 255 * PALE


def _camera(part: HumanData, names: tuple[str, str]) -> tuple[Array, Array]:
    """Focal lengths and principal points (n, 2)."""
    focal, centre = (frames.per_row(part, name, (2,)) for name in names)
    return focal, centre


def _seen(part: HumanData, points: Array) -> Array:
    """(n, K, 3) pixels and confidence of points (n, K, 3) through the lens of the images."""
    column = next((name for name in LENSES if name in part), None)
    if column is None:
        return cameras.keypoints2d(points, *_camera(part, CAMERA))
    lens, names = LENSES[column]
    names = names if all(name in part for name in names) else CAMERA
    bent = np.asarray(part[column], np.float64)
    return cameras.keypoints2d(points, *_camera(part, names), bent, lens=lens)


def _before_one_camera(vertices: Array, focal: Array, centre: Array) -> Array:
    """Bodies (P, V, 3) where the camera of the longest focal length sees them as large and at the same place.

    Predictions and many fits have an invented camera each, whose depths cannot be compared.
    """
    first = int(np.argmax(focal.mean(axis=1)))
    if (focal == focal[first]).all() and (centre == centre[first]).all():
        return vertices
    middle = vertices.mean(axis=1)
    depth = middle[:, 2] * focal[first].mean() / focal.mean(axis=1)
    at = middle[:, :2] / middle[:, 2:] * focal + centre
    there = np.concatenate([(at - centre[first]) / focal[first], np.ones((len(at), 1))], axis=1) * depth[:, None]
    return np.asarray(vertices + (there - middle)[:, None])
