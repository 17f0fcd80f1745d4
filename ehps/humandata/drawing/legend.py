"""What the marks of a drawing mean: a strip of them with words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import cv2
import numpy as np

from ehps.humandata.core import HumanData
from ehps.humandata.drawing.persons import SIDE_COLOURS, Colour, Image, circle, line, text, text_length

Mark: TypeAlias = Literal["line", "ring", "box", "surface", "none"]

MODEL_JOINTS = {
    "keypoints2d_smplx": "joints of SMPL-X",
    "keypoints2d_smplh": "joints of SMPL-H",
    "keypoints2d_smpl": "joints of SMPL",
}
OWN_POINTS = "the dataset's own points"
_GREY: Colour = (120, 120, 120)
_INK: Colour = (30, 30, 30)
_LETTER, _ROW, _MARK, _GAP = 12.0, 24, 24, 18


@dataclass(frozen=True)
class Entry:
    """A mark and what it means."""

    mark: Mark
    words: str
    colour: Colour = _GREY


def legend(entries: Sequence[Entry], width: int) -> Image:
    """White strip (H, width, 3) with the entries in as many rows as they need."""
    places: list[tuple[int, int]] = []
    x, row = _GAP, 0
    for entry in entries:
        length = (0 if entry.mark == "none" else _MARK + 6) + text_length(entry.words, _LETTER)
        if x + length > width - 4 and x > _GAP:
            x, row = _GAP, row + 1
        places.append((x, row))
        x += length + _GAP
    image = np.full(((row + 1) * _ROW + 6, width, 3), 255, np.uint8)
    for entry, (x, row) in zip(entries, places, strict=True):
        middle = row * _ROW + _ROW // 2 + 2
        if entry.mark != "none":
            _draw_mark(image, entry, x, middle)
            x += _MARK + 6
        text(image, entry.words, (x, middle + 5), _LETTER, _INK)
    return image


def entries_of(hd: HumanData, limbs: str, rings: Sequence[str], boxes: bool, surface: str) -> list[Entry]:
    """What is to be explained of a drawing of rows of ``hd``.

    Parameters
    ----------
    limbs : what the points with limbs are, empty when there are none.
    rings : what the points drawn as rings are.
    surface : name of the body model whose surface is drawn, empty when none is.
    """
    found = [Entry("none", origin_of(hd))]
    if limbs:
        found += [Entry("line", f"{side} side of the person", SIDE_COLOURS[side]) for side in ("left", "right")]
        found.append(Entry("line", limbs))
    found += [Entry("ring", words) for words in rings]
    if boxes:
        found.append(Entry("box", "box and its row" if not is_predicted(hd) else "box that was cropped, and its row"))
    if surface:
        found.append(Entry("surface", f"surface of {surface}, on the right from the side (|| distance shortened)"))
    return found


def points_in_words(column: str) -> str:
    """What a column of points is."""
    return MODEL_JOINTS.get(column, f"{OWN_POINTS} ({column})")


def is_predicted(hd: HumanData) -> bool:
    """Whether the bodies are what a network said."""
    return "checkpoint_sha256" in hd.misc or hd.passport.converter.endswith("prediction")


def origin_of(hd: HumanData) -> str:
    """Where what is drawn comes from: ``predicted``, with the checkpoint, or the dataset's annotation."""
    known = [word for word in (hd.passport.dataset, hd.passport.split) if word != "unknown"]
    where = " ".join(known) or (hd.source.name if hd.source else "data")
    if not is_predicted(hd):
        return f"annotation of {where}"
    checkpoint = str(hd.misc.get("checkpoint_sha256", ""))[:8]
    return f"PREDICTED on {where}" + (f" by checkpoint {checkpoint}" if checkpoint else "")


def _draw_mark(image: Image, entry: Entry, x: int, middle: int) -> None:
    if entry.mark == "line":
        line(image, np.array([x, middle]), np.array([x + _MARK, middle]), entry.colour, 4)
        circle(image, np.array([x + _MARK / 2, middle]), 5.5, entry.colour)
    elif entry.mark == "ring":
        circle(image, np.array([x + _MARK / 2, middle]), 6, (0, 0, 0), 3)
        circle(image, np.array([x + _MARK / 2, middle]), 6, (255, 255, 255), 1)
    else:
        filled = cv2.FILLED if entry.mark == "surface" else 2
        corners = (x + 2, middle - 7), (x + _MARK - 2, middle + 7)
        cv2.rectangle(
            image, *corners, (200, 200, 200) if entry.mark == "surface" else entry.colour, filled, cv2.LINE_AA
        )
