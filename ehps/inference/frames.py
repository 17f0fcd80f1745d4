"""What passes from an input to the network: frames, and who is in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ehps.arrays import Array, Mask

NOTHING = np.zeros((0, 0, 3), np.uint8)


@dataclass(frozen=True, eq=False)
class Frame:
    """One image of an input.

    Attributes
    ----------
    index : place in the input, from 0.
    image_path : of an image file, relative to the folder of the input, / separated; of a video its name and the number
        of its frame (``clip.mp4/000012.jpg``).
    pixels : (H, W, 3) uint8 RGB, upright; empty where the image cannot be read.
    time : seconds from the first frame of a video by its own clock, None for images.
    number : of the frame in its whole video, from 0; of images their place in the input.
    path : the file whose pixels as stored these are; None of videos, and of images that were made upright.
    turned : quarter turns, clockwise, that made the stored pixels upright.
    mirrored : whether they were mirrored, left to right, before they were turned.
    fault : why it cannot be read, empty where it can.
    """

    index: int
    image_path: str
    pixels: Array
    time: float | None = None
    number: int = -1
    path: Path | None = None
    turned: int = 0
    mirrored: bool = False
    fault: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width), pixels, upright."""
        return self.pixels.shape[0], self.pixels.shape[1]


@dataclass(frozen=True, eq=False)
class People:
    """The P people of a frame.

    Attributes
    ----------
    boxes : (P, 4) float32 x, y, w, h, pixels of the frame, as found or given.
    scores : (P,) float32, 1 where a box was given without one.
    tracks : (P,) int64, the same number for the same person in all frames; -1 where that is not known.
    rows : (P,) int64, row of the file that the box is of, for an input that is a HumanData file; -1 for others.
    """

    boxes: Array
    scores: Array
    tracks: Array
    rows: Array

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, chosen: Mask | Array | slice) -> People:
        return People(self.boxes[chosen], self.scores[chosen], self.tracks[chosen], self.rows[chosen])

    @classmethod
    def of(
        cls, boxes: Array, scores: Array | None = None, tracks: Array | None = None, rows: Array | None = None
    ) -> People:
        """From what is known of them; ``boxes`` (P, 4)."""
        n = len(boxes)
        return cls(
            np.asarray(boxes, np.float32).reshape(n, 4),
            np.ones(n, np.float32) if scores is None else np.asarray(scores, np.float32),
            np.full(n, -1) if tracks is None else np.asarray(tracks, np.int64),
            np.full(n, -1) if rows is None else np.asarray(rows, np.int64),
        )


NOBODY = People.of(np.zeros((0, 4)))
