"""Boxes ``x, y, w, h, confidence`` in pixels, from keypoints, as the HumanData format wants them.

The extent of the visible points (max - min), scaled about its centre (1.2 for the body, 1.0 for hands and
face) and clipped to the image. A box without a visible point inside the image, or with no area left, is all
zeros with confidence 0. So is the box of a hand or face of which fewer than :data:`LEAST_PART_POINTS` points are
visible. Everything is an array operation over the N instances.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ehps.arrays import Array
from ehps.errors import DataError
from ehps.humandata.keypoints import Convention, part_indices, point_names

TOLERANCE = 1.0  # pixels that a box may reach beyond its image, and a point beyond its box: what float32 rounds
BODY_SCALE = 1.2
PART_SCALE = 1.0
LEAST_PART_POINTS = 6
"""Visible points that a face or a hand needs for a box.

Nose, eyes and ears, all that most body conventions have of a head, lie in one line, and two finger tips are no hand.
Six are those five with the top or the base of the head, or the five finger tips of SMPL with its hand joint.
"""
TWIN = "_openpose"  # at the end of the name of a point that OpenPose found
PART_COLUMNS = {
    "face_bbox_xywh": "head",
    "lhand_bbox_xywh": "left_hand",
    "rhand_bbox_xywh": "right_hand",
}


def from_keypoints(points: Array, size: npt.ArrayLike, scale: float = BODY_SCALE) -> Array:
    """Boxes around the visible points of each instance.

    Parameters
    ----------
    points : (N, J, 3) x, y pixels and confidence, or (N, J, 2) with all points visible. Points with
        confidence <= 0 or a coordinate that is not finite are ignored.
    size : (N, 2) or (2,) height and width of the images, pixels.
    scale : of width and height, about the centre, before clipping.

    Returns
    -------
    (N, 5) float32 x, y, w, h, confidence 1; zeros where no visible point lies inside the image or no
    area is left.
    """
    points = np.asarray(points)
    if points.ndim != 3 or points.shape[-1] not in (2, 3):
        raise DataError(f"points of shape {points.shape}; boxes need (N, J, 3)")
    x, y = points[..., 0].astype(np.float64), points[..., 1].astype(np.float64)
    visible = _visible(points)
    width, height = _width_height(size, len(points)).T[:, :, None]
    inside = visible & (x >= 0) & (x <= width) & (y >= 0) & (y <= height)
    low = np.stack([np.where(visible, v, np.inf).min(axis=1, initial=np.inf) for v in (x, y)], 1)
    high = np.stack([np.where(visible, v, -np.inf).max(axis=1, initial=-np.inf) for v in (x, y)], 1)
    usable: Array = inside.any(axis=1)
    low[~usable] = high[~usable] = 0
    boxes = np.concatenate([low, high - low, usable[:, None]], axis=1)
    return clip(_grown(boxes, scale), size).astype(np.float32)


def part_boxes(points: Array, names: Convention, size: npt.ArrayLike, scale: float = PART_SCALE) -> dict[str, Array]:
    """Face and hand boxes: ``face_bbox_xywh``, ``lhand_bbox_xywh``, ``rhand_bbox_xywh``, (N, 5) each.

    Parameters
    ----------
    points : (N, J, 3) pixels and confidence.
    names : the J point names, or their convention. Where fewer than :data:`LEAST_PART_POINTS` points of a part are
        visible (or known to the convention) its box gets confidence 0.
    size : (N, 2) or (2,) height and width, pixels.
    """
    points, names = np.asarray(points), point_names(names)
    made = {}
    for column, part in PART_COLUMNS.items():
        index = part_indices(names, part)
        made[column] = from_keypoints(points[:, index], size, scale)
        made[column][_count_visible(points[:, index], [names[i] for i in index]) < LEAST_PART_POINTS] = 0
    return made


def _visible(points: Array) -> Array:
    """(N, J) points that are finite and, where they have a confidence, have one above 0."""
    finite = np.isfinite(points[..., :2]).all(axis=2)
    return np.asarray(finite & (points[..., 2] > 0) if points.shape[-1] == 3 else finite)  # False for NaN too


def _count_visible(points: Array, names: Sequence[str]) -> Array:
    """(N,) visible points; OpenPose's detection of a point that the convention also has is the same point."""
    _, place = np.unique([name.removesuffix(TWIN) for name in names], return_inverse=True)
    one_hot = np.eye(len(names))[place]
    return np.asarray((_visible(points) @ one_hot > 0).sum(axis=1))


def scale(boxes: Array, factor: float) -> Array:
    """Boxes (N, 4+) xywh grown about their centres; further columns are kept."""
    return _grown(boxes, factor)


def _grown(boxes: Array, factor: float) -> Array:
    boxes = np.array(boxes, copy=True)
    extent = boxes[:, 2:4] * factor
    boxes[:, :2] += (boxes[:, 2:4] - extent) / 2
    boxes[:, 2:4] = extent
    return boxes


def clip(boxes: Array, size: npt.ArrayLike) -> Array:
    """Boxes (N, 4+) xywh cut to the image, 0 <= x and x + w <= width. Those left without area, and those
    with a number that is not finite, become zeros, confidence included.

    Parameters
    ----------
    size : (N, 2) or (2,) height and width, pixels.
    """
    boxes = np.array(boxes, copy=True)
    width_height = _width_height(size, len(boxes))
    low = np.clip(boxes[:, :2], 0, width_height)
    high = np.clip(boxes[:, :2] + boxes[:, 2:4], 0, width_height)
    boxes[:, :2], boxes[:, 2:4] = low, high - low
    finite = np.isfinite(boxes[:, :4].sum(axis=1))
    empty = ~(finite & (boxes[:, 2] > 0) & (boxes[:, 3] > 0))
    boxes[empty] = 0
    return boxes


def joints_inside(points: Array, boxes: Array, size: npt.ArrayLike) -> Array:
    """Share of the visible joints within the image that lie in the box, (N,) 0..1; NaN where no joint is in the image.

    A joint within :data:`TOLERANCE` of the box counts as inside: the joint that a box ends at must not fall out of it
    by the last bit of a float.

    Parameters
    ----------
    points : (N, J, 3) x, y pixels and confidence.
    boxes : (N, 4+) xywh, pixels.
    size : (N, 2) or (2,) height and width of the images, pixels.
    """
    points, boxes = np.asarray(points, np.float64), np.asarray(boxes, np.float64)
    width_height = _width_height(size, len(points))[:, None]
    at = points[..., :2]
    seen = (points[..., 2] > 0) & ((at >= 0) & (at <= width_height)).all(axis=2)
    low = boxes[:, None, :2]
    inside = ((at >= low - TOLERANCE) & (at <= low + boxes[:, None, 2:4] + TOLERANCE)).all(axis=2)
    count = seen.sum(axis=1)
    return np.where(count > 0, (inside & seen).sum(axis=1) / np.maximum(count, 1), np.nan)


def iou(a: Array, b: Array) -> Array:
    """Intersection over union of every box of ``a`` (..., N, 4+) with every box of ``b`` (..., M, 4+): (..., N, M),
    0..1."""
    a, b = np.asarray(a, np.float64)[..., :, None, :], np.asarray(b, np.float64)[..., None, :, :]
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., :2] + a[..., 2:4], b[..., :2] + b[..., 2:4])
    shared = np.clip(high - low, 0, None).prod(axis=-1)
    union = a[..., 2:4].prod(axis=-1) + b[..., 2:4].prod(axis=-1) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def largest_overlaps(boxes: Array, image: Array) -> Array:
    """(N,) largest IoU of each box with another one of its image, 0 for one alone, NaN where there is no box.

    Parameters
    ----------
    boxes : (N, 5) xywh, pixels, and confidence.
    image : (N,) numbers, equal for boxes of one image.
    """
    order = np.argsort(image, kind="stable")
    _, first, count = np.unique(image[order], return_index=True, return_counts=True)
    out = np.zeros(len(boxes))
    for people in np.unique(count[count > 1]).tolist():
        rows = order[first[count == people][:, None] + np.arange(people)]  # (images, people)
        shared = iou(boxes[rows], boxes[rows])
        shared[:, np.arange(people), np.arange(people)] = 0
        out[rows] = shared.max(axis=2)
    out[boxes[:, 4] <= 0] = np.nan
    return out


def _width_height(size: npt.ArrayLike, n: int) -> Array:
    """(N, 2) width and height from height and width."""
    return np.broadcast_to(np.asarray(size, np.float64), (n, 2))[:, ::-1]
