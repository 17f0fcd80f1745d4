"""Draws persons on images: keypoints with limbs, boxes, texts.

Images are (H, W, 3) uint8 RGB arrays, drawn on in place and returned; (0, 0) is the centre of a pixel.
The person's left is warm (orange), the right cool (blue), the middle and the casing of limbs in the colour
of the person, so that both sides and persons can be told apart. Line widths follow the size of the person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from ehps.arrays import Array
from ehps.humandata.drawing import skeleton
from ehps.humandata.keypoints import Convention, point_names

Image: TypeAlias = npt.NDArray[np.uint8]
Colour: TypeAlias = tuple[int, int, int]

PERSON_COLOURS: tuple[Colour, ...] = (
    (60, 220, 90),
    (230, 60, 220),
    (250, 220, 40),
    (40, 220, 230),
    (245, 70, 70),
    (150, 110, 255),
    (170, 240, 40),
    (255, 150, 190),
    (0, 170, 130),
    (200, 160, 110),
)
SIDE_COLOURS: dict[str, Colour] = {"left": (255, 150, 30), "right": (50, 140, 255)}
BOX_LABELS = {
    "bbox_xywh": "body",
    "face_bbox_xywh": "face",
    "lhand_bbox_xywh": "L hand",
    "rhand_bbox_xywh": "R hand",
}

_SHIFT = 4  # fractional bits of the coordinates given to OpenCV
_FAR = 1e5  # pixels; projections behind the camera can be anywhere
_ON_THE_FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_eyeball", "right_eyeball")
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def person_colour(index: int) -> Colour:
    """The colour of the index-th person of an image."""
    return PERSON_COLOURS[index % len(PERSON_COLOURS)]


def draw_keypoints(
    image: Image,
    points: Array,
    convention: Convention,
    *,
    colours: Sequence[Colour] | None = None,
    limbs: bool = True,
) -> Image:
    """Draw the visible points of persons, and the limbs between them.

    Parameters
    ----------
    points : (N, J, 3) or (J, 3) x, y pixels and confidence. Points with confidence <= 0 are not drawn.
    convention : name or names of the J points.
    colours : one for each person; told apart automatically by default.
    limbs : False draws rings only (white dots on hands and face), for a second set of points over a first.
    """
    people = np.asarray(points, np.float64)
    people = people[None] if people.ndim == 2 else people
    names = point_names(convention)
    for index, person in enumerate(people):
        colour = colours[index] if colours else person_colour(index)
        seen = _visible(person)
        if not seen.any():
            continue
        xy, shown = person[seen, :2], [name for name, s in zip(names, seen, strict=True) if s]
        widths = _widths(xy, shown)
        if limbs:
            _draw_limbs(image, xy, shown, widths, colour)
            _draw_dots(image, xy, shown, widths, colour)
        else:
            for place, name, width in zip(xy, shown, widths, strict=True):
                if skeleton.is_face(name) or skeleton.is_hand(name):  # too close together for rings
                    circle(image, place, max(0.6, 0.6 * width), (255, 255, 255))
                    continue
                radius = max(1.2, 1.6 * width)
                if radius > 2:
                    circle(image, place, radius, (0, 0, 0), 3)
                circle(image, place, radius, (255, 255, 255), 1)
    return image


def draw_boxes(
    image: Image,
    boxes: Mapping[str, Array] | Array,
    *,
    colours: Sequence[Colour] | None = None,
    labels: Sequence[str] | None = None,
    scale: float = 1.0,
) -> Image:
    """Draw boxes with confidence > 0.

    Parameters
    ----------
    boxes : box column -> (N, 4 or 5) x, y, w, h, confidence; a bare array is ``bbox_xywh``. Parts are
        labelled with what they are.
    labels : texts for the N body boxes, ``body`` by default.
    scale : of lines and letters, for large images that are looked at from farther away.
    """
    columns = boxes if isinstance(boxes, Mapping) else {"bbox_xywh": boxes}
    for column, rows in columns.items():
        kind = BOX_LABELS.get(column, column.removesuffix("_bbox_xywh").removesuffix("_xywh"))
        is_body = column == "bbox_xywh"
        for index, box in enumerate(np.asarray(rows, np.float64)):
            if not np.isfinite(box).all() or (len(box) > 4 and box[4] <= 0) or (box[2:4] <= 0).any():
                continue
            colour = colours[index] if colours else person_colour(index)
            corners = np.array([[box[0], box[1]], [box[0] + box[2], box[1] + box[3]]])
            thin = max(1, round(scale * (1 if not is_body or max(box[2:4]) < 350 * scale else 2)))
            rectangle(image, corners, (0, 0, 0), thin + 2)
            rectangle(image, corners, colour, thin)
            label = labels[index] if labels and is_body else kind
            height = float(np.clip(max(box[2:4]) / 14, 9, 16 * scale)) if is_body else 9.0 * scale
            place = _label_place(image, corners, height, text_length(label, height), is_body)
            text(image, label, place, height, colour, boxed=True)
    return image


def text(
    image: Image, words: str, place: Sequence[float], height: float, colour: Colour, *, boxed: bool = False
) -> Image:
    """Write ``words`` with the left end of the baseline at ``place`` (x, y), letters ``height`` pixels tall.

    ``boxed`` puts a field of ``colour`` behind dark or light letters, whichever reads better.
    """
    size = height / 21.0
    thickness = max(1, round(height / 11))
    words = words.encode("ascii", "replace").decode()
    (length, tall), base = cv2.getTextSize(words, _FONT, size, thickness)
    x, y = round(float(place[0])), round(float(place[1]))
    if boxed:
        corner = (x - 2, y - tall - 3), (x + length + 2, y + base // 2 + 1)
        cv2.rectangle(image, *corner, colour, cv2.FILLED)
        colour = (0, 0, 0) if np.dot(colour, (0.3, 0.59, 0.11)) > 120 else (255, 255, 255)
    cv2.putText(image, words, (x, y), _FONT, size, colour, thickness, cv2.LINE_AA)
    return image


def text_length(words: str, height: float) -> int:
    """Pixels that :func:`text` needs for ``words``."""
    return int(cv2.getTextSize(words, _FONT, height / 21.0, max(1, round(height / 11)))[0][0])


def line(image: Image, a: Array, b: Array, colour: Colour, width: int) -> None:
    """An anti-aliased line between two points given to a fraction of a pixel."""
    ends = _fixed(np.stack([a, b]))
    cv2.line(image, ends[0].tolist(), ends[1].tolist(), colour, width, cv2.LINE_AA, _SHIFT)


def circle(image: Image, place: Array, radius: float, colour: Colour, width: int = cv2.FILLED) -> None:
    """An anti-aliased circle; filled unless a line width is given."""
    centre = _fixed(np.asarray(place)).tolist()
    cv2.circle(image, centre, max(1, round(radius * 2**_SHIFT)), colour, width, cv2.LINE_AA, _SHIFT)


def rectangle(image: Image, corners: Array, colour: Colour, width: int) -> None:
    """A rectangle from its two corners (2, 2)."""
    low, high = _fixed(corners).tolist()
    cv2.rectangle(image, low, high, colour, width, cv2.LINE_AA, _SHIFT)


def _fixed(xy: Array) -> npt.NDArray[np.int32]:
    return np.round(np.clip(xy, -_FAR, _FAR) * 2**_SHIFT).astype(np.int32)


def _visible(person: Array) -> npt.NDArray[np.bool_]:
    seen = np.isfinite(person[:, :2]).all(axis=1) & (np.abs(person[:, :2]).max(axis=1) < _FAR)
    return seen & (person[:, 2] > 0) if person.shape[1] > 2 else seen


def _widths(xy: Array, names: Sequence[str]) -> Array:
    """(J,) line widths: of the body by its extent, of hands and face by theirs."""
    face = np.array([skeleton.is_face(name) for name in names])
    hand = np.array([skeleton.is_hand(name) for name in names])
    widths = np.empty(len(names))
    for members, share, most in ((~face & ~hand, 130, 30), (face, 110, 6), (hand, 60, 10)):
        if members.any():
            extent = np.linalg.norm(np.ptp(xy[members], axis=0))
            if members is hand:  # both hands together say nothing about the size of one
                extent = min(extent, np.linalg.norm(np.ptp(xy, axis=0)) / 6)
            widths[members] = np.clip(extent / share, 0.7, most)
    small = [name.removesuffix("_openpose") in _ON_THE_FACE for name in names]
    widths[small] = np.maximum(0.5 * widths[small], 0.7)
    return widths


def _draw_limbs(image: Image, xy: Array, names: Sequence[str], widths: Array, colour: Colour) -> None:
    pairs = skeleton.limbs(names)
    for casing in (True, False):
        for a, b in pairs:
            if skeleton.is_face(names[a]) and casing:
                continue
            width = max(1, round(min(widths[a], widths[b])))
            sides = {skeleton.side(names[a]), skeleton.side(names[b])} - {"middle"}
            inner = SIDE_COLOURS[sides.pop()] if len(sides) == 1 else colour
            if casing:
                wide = width + (max(2, round(0.8 * width)) if min(widths[a], widths[b]) > 1 else 1)
                line(image, xy[a], xy[b], colour, wide)
            else:
                line(image, xy[a], xy[b], inner, width)


def _draw_dots(image: Image, xy: Array, names: Sequence[str], widths: Array, colour: Colour) -> None:
    for place, name, width in zip(xy, names, widths, strict=True):
        inner = SIDE_COLOURS.get(skeleton.side(name), colour)
        if skeleton.is_face(name):
            circle(image, place, max(0.6, 0.9 * width), inner)
        else:
            radius = max(1.0, 1.5 * width)
            if radius > 1.4:
                circle(image, place, radius + 1, (0, 0, 0))
            circle(image, place, radius, inner)


def _label_place(image: Image, corners: Array, height: float, length: int, above: bool) -> tuple[float, float]:
    """Just above the box, or just inside it where there is no room above; parts below their box."""
    x = max(2.0, min(corners[0, 0] + 2.0, image.shape[1] - length - 3.0))
    y = corners[0, 1] - 4 if above else corners[1, 1] + height + 5
    if y < height + 4:
        y = corners[0, 1] + height + 5
    if y > image.shape[0] - 3:
        y = corners[1, 1] - 4
    return x, float(np.clip(y, height + 3, image.shape[0] - 3))
