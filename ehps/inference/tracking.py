"""Who is the same person from frame to frame: boxes that overlap what was expected, assigned at least cost.

A track's box is expected where it would be if it went on as it did (constant velocity, smoothed). A track that is not
found for a while is kept, so that somebody who is hidden for a moment keeps the number. Everything follows from the
boxes of the frames before, in order: replayed, it gives the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ehps.arrays import Array
from ehps.inference.frames import People
from ehps.inference.people import overlap

LEAST_OVERLAP = 0.2  # with the expected box, for the same person
PATIENCE = 2.0  # seconds for which a person may be hidden; frames where there are no times
PATIENT_FRAMES = 30
STEADY = 0.6  # share of the newest change in a track's velocity


@dataclass
class _Track:
    number: int
    box: Array  # (4,) centre x, y, width, height
    velocity: Array  # (4,) a step
    step: float  # when it was seen last, in steps


class Tracker:
    """Numbers people from 1 on, frame after frame; numbers are never used again."""

    def __init__(self, rate: float | None = None) -> None:
        """``rate``: frames a second, for how long somebody may be hidden."""
        self.patience = PATIENCE * rate if rate else PATIENT_FRAMES
        self._tracks: list[_Track] = []
        self._next = 1

    def update(self, people: People, step: float) -> People:
        """The people of the next frame with their numbers; those who have one keep it.

        Parameters
        ----------
        step : time of the frame in frames of the input, growing.
        """
        from scipy.optimize import linear_sum_assignment

        self._tracks = [track for track in self._tracks if step - track.step <= self.patience]
        tracks = people.tracks.copy()
        boxes = _centred(people.boxes)
        given = tracks >= 0
        self._next = max(self._next, int(tracks.max(initial=0)) + 1)
        free = np.flatnonzero(~given)
        known = [track for track in self._tracks if track.number not in set(tracks[given].tolist())]
        if len(free) and known:
            expected = np.stack([track.box + track.velocity * (step - track.step) for track in known])
            common = overlap(_cornered(expected), people.boxes[free])  # tracks x people
            for k, person in zip(*linear_sum_assignment(-common), strict=True):
                if common[k, person] >= LEAST_OVERLAP:
                    tracks[free[person]] = known[k].number
        for person in np.flatnonzero(tracks < 0):
            tracks[person] = self._next
            self._next += 1
        for number, box in zip(tracks.tolist(), boxes, strict=True):
            self._see(number, box, step)
        return People(people.boxes, people.scores, tracks, people.rows)

    def _see(self, number: int, box: Array, step: float) -> None:
        track = next((one for one in self._tracks if one.number == number), None)
        if track is None:
            self._tracks.append(_Track(number, box, np.zeros(4), step))
            return
        passed = step - track.step
        if passed > 0:
            track.velocity = (1 - STEADY) * track.velocity + STEADY * (box - track.box) / passed
        track.box, track.step = box, step


def _centred(boxes: Array) -> Array:
    boxes = np.asarray(boxes, float)
    return np.concatenate([boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:]], axis=1)


def _cornered(boxes: Array) -> Array:
    size = boxes[:, 2:].clip(1e-3)
    return np.concatenate([boxes[:, :2] - size / 2, size], axis=1)
