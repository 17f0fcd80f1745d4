"""The box that a network sees, and the virtual camera that belongs to it.

Facts: the public SMPLer-X preprocessing. A box is cleaned, widened to 3:4 about its centre and scaled; the camera is
a pinhole of focal length 5000 with principal point (96, 128) in the 256 x 192 frame of that box, whatever the image's
real camera. Models for SMPL see a square box and predict a weak-perspective camera of it (the public PyMAF source).
"""

from __future__ import annotations

import numpy as np

from ehps.arrays import Array, Mask

ASPECT = 384 / 512
FOCAL = 5000.0
FRAME = (256, 192)  # height, width


def widen(boxes: Array, sizes: Array, ratio: float = 1.25) -> tuple[Array, Array]:
    """Boxes as the network wants them.

    Parameters
    ----------
    boxes : (N, 4+) x, y, w, h pixels.
    sizes : (N, 2) height, width of the images.
    ratio : scale about the centre, after widening to 3:4.

    Returns
    -------
    (N, 4) float32 x, y, w, h, which may leave the image, and (N,) bool: False where clipping left no area.
    """
    boxes = np.asarray(boxes, np.float64)[:, :4]
    x, y, w, h = np.where(np.isfinite(boxes).all(axis=1), boxes.T, 0)  # each (N,)
    height, width = np.asarray(sizes, np.float64).T  # each (N,)
    x1, y1 = np.maximum(x, 0), np.maximum(y, 0)
    x2 = np.minimum(width - 1, x1 + np.maximum(0, w - 1))
    y2 = np.minimum(height - 1, y1 + np.maximum(0, h - 1))
    valid = (w * h > 0) & (x2 > x1) & (y2 > y1)
    w, h = x2 - x1, y2 - y1
    cx, cy = x1 + w / 2, y1 + h / 2
    wide = w > ASPECT * h
    w, h = np.where(wide, w, h * ASPECT) * ratio, np.where(wide, w / ASPECT, h) * ratio
    return np.stack((cx - w / 2, cy - h / 2, w, h), axis=1).astype(np.float32), valid


def virtual_camera(boxes: Array, frame: tuple[int, int] = FRAME) -> tuple[Array, Array]:
    """Focal lengths (N, 2) and principal points (N, 2), full-image pixels, of the virtual cameras of boxes.

    Parameters
    ----------
    boxes : (N, 4) x, y, w, h, as they were cropped.
    frame : (height, width) of the frame of the box in which the focal length is 5000.
    """
    height, width = frame
    focal = FOCAL * boxes[:, 2:4] / np.array((width, height))
    centre = boxes[:, :2] + boxes[:, 2:4] / 2
    return focal.astype(np.float32), centre.astype(np.float32)


def square(boxes: Array, ratio: float = 1.2) -> Array:
    """(N, 4) x, y, w, h of the squares that models for SMPL see about tight person boxes (N, 4+) x, y, w, h.

    The side is ``ratio`` times the longer side of the box; files of that family store it as ``scale``, side / 200.
    PyMAF's evaluation on COCO takes 1.25.
    """
    boxes = np.asarray(boxes, np.float64)[:, :4]
    side = ratio * boxes[:, 2:].max(axis=1, keepdims=True)  # N x 1
    centre = boxes[:, :2] + boxes[:, 2:] / 2
    return np.concatenate((centre - side / 2, side, side), axis=1)


def with_area(boxes: Array) -> Mask:
    """(N,) whether boxes (N, 4+) x, y, w, h are finite and have an area."""
    boxes = np.asarray(boxes, np.float64)[:, :4]
    return np.asarray(np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1))


def full_image_camera(camera: Array, boxes: Array, sizes: Array) -> Array:
    """(N, 4) sx, sy, tx, ty: the weak-perspective camera of the full image, from that of a square box.

    With it, sx (X + tx) and sy (Y + ty) go from -1 to 1 across the image.

    Parameters
    ----------
    camera : (N, 3) s, tx, ty of the box.
    boxes : (N, 4) x, y, w, h, square.
    sizes : (N, 2) height, width of the images.
    """
    camera, boxes = np.asarray(camera, np.float64), np.asarray(boxes, np.float64)
    half = np.asarray(sizes, np.float64)[:, ::-1] / 2  # N x 2, x and y
    scale = camera[:, :1] * boxes[:, 2:3] / (2 * half)
    shift = camera[:, 1:] + (boxes[:, :2] + boxes[:, 2:4] / 2 - half) / half / scale
    return np.concatenate((scale, shift), axis=1)
