"""Identities over time."""

from __future__ import annotations

import numpy as np

from ehps.inference.frames import NOBODY, People
from ehps.inference.tracking import Tracker


def walk(step: int, hidden: range = range(0)) -> tuple[np.ndarray, list[str]]:
    """Boxes of two people who walk towards and past each other, ``b`` being hidden for a while; who is who."""
    left, right = [10.0 + 8 * step, 50, 40, 100], [330.0 - 8 * step, 60, 44, 104]
    if step in hidden:
        return np.array([left]), ["a"]
    return (np.array([left, right]), ["a", "b"]) if step % 2 else (np.array([right, left]), ["b", "a"])


def followed(tracker: Tracker, steps: range, hidden: range) -> list[dict[str, int]]:
    out = []
    for step in steps:
        boxes, names = walk(step, hidden)
        out.append(dict(zip(names, tracker.update(People.of(boxes), step).tracks.tolist(), strict=True)))
    return out


def test_two_people_who_cross_keep_their_numbers() -> None:
    for hidden in (range(0), range(18, 23)):
        numbers = followed(Tracker(30), range(41), hidden)
        assert len({one["a"] for one in numbers}) == 1
        assert len({one["b"] for one in numbers if "b" in one}) == 1
        assert numbers[0]["a"] != numbers[0]["b"]


def test_replayed_it_gives_the_same_numbers() -> None:
    hidden = range(18, 23)
    whole = followed(Tracker(30), range(41), hidden)
    again = Tracker(30)
    followed(again, range(20), hidden)
    assert followed(again, range(20, 41), hidden) == whole[20:]


def test_numbers_are_not_used_again() -> None:
    tracker, box = Tracker(10), np.array([[0, 0, 10, 20]])
    first = tracker.update(People.of(box), 0).tracks[0]
    for step in range(1, 40):
        tracker.update(NOBODY, step)
    assert tracker.update(People.of(box), 40).tracks[0] > first


def test_given_numbers_are_kept() -> None:
    tracker = Tracker(10)
    boxes = np.array([[0, 0, 10, 20], [50, 0, 10, 20]])
    assert tracker.update(People.of(boxes, tracks=np.array([7, -1])), 0).tracks.tolist() == [7, 8]
    assert tracker.update(People.of(boxes[::-1]), 1).tracks.tolist() == [8, 7]
