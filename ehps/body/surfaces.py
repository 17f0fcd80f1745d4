"""Surfaces of the people of one image, drawn on it and seen from the side: for files, predictions and reports alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ehps.arrays import Array
from ehps.body.cameras import project
from ehps.body.rendering import draw_over, shaded

Colour: TypeAlias = tuple[int, int, int]

OPACITY = 0.9
PALE = 0.4  # share of white in a person's colour: a surface shows its shape by its shades
GAP = 0.5  # metres
ACROSS = 1.0  # widest side view, image heights
STEP = 0.5  # metres: what a side view of a given width shows is rounded up to this, so that it holds still in a video


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


def surfaces_of(vertices: Array, focal: Array, centre: Array, one_focal: float | None = None) -> Surfaces:
    """Surfaces (P, V, 3) of people, each in its own camera of focal length and principal point (P, 2).

    ``one_focal`` is the focal length of the camera for all; see :func:`before_one_camera`.
    """
    points = np.asarray(vertices, np.float64)
    focal, centre = np.asarray(focal, np.float64), np.asarray(centre, np.float64)
    return Surfaces(points, project(points, focal, centre), before_one_camera(points, focal, centre, one_focal))


def before_one_camera(vertices: Array, focal: Array, centre: Array, one_focal: float | None = None) -> Array:
    """Bodies (P, V, 3) where one camera sees them as large and at the same place.

    Predictions and many fits have an invented camera each, whose depths cannot be compared. The camera for all is that
    of the longest focal length, or one of ``one_focal`` pixels whose principal point is the middle of theirs.
    """
    if not len(vertices):
        return vertices
    first = int(np.argmax(focal.mean(axis=1)))
    one = focal[first] if one_focal is None else np.full(2, one_focal)
    at_one = centre[first] if one_focal is None else centre.mean(axis=0)
    if (focal == one).all() and (centre == at_one).all():
        return vertices
    middle = vertices.mean(axis=1)
    depth = middle[:, 2] * one.mean() / focal.mean(axis=1)
    at = middle[:, :2] / middle[:, 2:] * focal + centre
    there = np.concatenate([(at - at_one) / one, np.ones((len(at), 1))], axis=1) * depth[:, None]
    return np.asarray(vertices + (there - middle)[:, None])


def painted(
    image: Array,
    found: Surfaces,
    faces: Array,
    colours: Sequence[Colour],
    origin: Array | tuple[float, float] = (0, 0),
    factor: float = 1.0,
) -> Array:
    """A copy of ``image`` (H, W, 3), cut out at ``origin`` (x, y) and ``factor`` times as large, with surfaces."""
    out = np.array(image, np.uint8, order="C")
    paint(out, found, faces, colours, origin, factor)
    return out


def paint(
    image: Array,
    found: Surfaces,
    faces: Array,
    colours: Sequence[Colour],
    origin: Array | tuple[float, float] = (0, 0),
    factor: float = 1.0,
) -> None:
    """As :func:`painted`, on ``image`` itself."""
    pixels = (found.pixels - origin + 0.5) * factor - 0.5
    shades = shaded(found.vertices, faces, pale(colours))
    draw_over(image, pixels, found.shared[..., 2], faces, shades, opacity=OPACITY)


def from_the_side(
    found: Surfaces, faces: Array, colours: Sequence[Colour], height: int, width: int | None = None
) -> Array:
    """(height, W, 3) people seen at a right angle to the camera, which is on the left, without perspective.

    Empty stretches of more than half a metre are shortened, and marked by two lines. Without ``width`` it is as wide as
    they need.
    """
    side = side_view(found.shared, height, width)
    draw_over(side.ground, side.pixels, side.points[..., 2], faces, shaded(side.points, faces, pale(colours)))
    return side.ground


@dataclass(frozen=True, eq=False)
class SideView:
    """Points of people as a camera beside them sees them.

    Attributes
    ----------
    ground : (H, W, 3) uint8, white, marked where distances are shortened.
    pixels : (P, K, 2) where the points are on it.
    points : (P, K, 3) metres, in the frame of the camera beside them.
    """

    ground: Array
    pixels: Array
    points: Array


def side_view(shared: Array, height: int, width: int | None = None) -> SideView:
    """Points (P, K, 3) before one camera as :func:`from_the_side` shows them."""
    turned = shared @ np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])  # z to the right, x away
    breaks = _shorten_gaps(turned)
    flat = turned[np.isfinite(turned).all(axis=-1)]
    if not len(flat):
        wide = width or max(1, height // 3)
        return SideView(np.full((height, wide, 3), 255, np.uint8), np.full((*turned.shape[:2], 2), np.nan), turned)
    low, high = flat.min(axis=0), flat.max(axis=0)
    extent = np.maximum(high - low, 1e-6)
    if width is None:
        scale = height * min(0.9 / extent[1], 0.9 * ACROSS / extent[0])
        width = max(height // 3, round(scale * extent[0] / 0.9))
    else:
        across, tall = np.ceil(extent[:2] / STEP) * STEP
        scale = 0.9 * min(height / tall, width / across)
    middle = (low[:2] + high[:2]) / 2
    pixels = (turned[..., :2] - middle) * scale + np.array([width, height]) / 2
    turned[..., 2] += 10 - low[2]  # before the viewer
    turned[..., :2] -= middle
    ground = np.full((height, width, 3), 255, np.uint8)
    for place in breaks:
        x = round((place - middle[0]) * scale + width / 2)
        ground[height // 4 : -height // 4, np.clip([x - 3, x + 3], 0, width - 1)] = 170
    return SideView(ground, pixels, turned)


def pale(colours: Sequence[Colour]) -> Array:
    """(P, 3) colours of surfaces from those of people."""
    return np.asarray(colours, float).reshape(-1, 3) * (1 - PALE) + 255 * PALE


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
