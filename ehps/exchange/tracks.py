"""One person after the other instead of one row after the other: what animations are made of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ehps.arrays import Array
from ehps.errors import DataError, UsageError
from ehps.humandata.core import HumanData

UNSAFE = re.compile(r"[^\w.-]+")
FRAME = re.compile(r"([0-9]+)\.[^.]*$")
NOBODY = "-1"
FPS_FIX = "say how many frames there are in a second with --fps"


@dataclass(frozen=True, eq=False)
class Track:
    """One person through a sequence.

    Attributes
    ----------
    sequence : its name; of rows that belong to none, that of their image.
    name : of the person within the sequence.
    rows : (T,) of the file, in order of time.
    times : (T,) seconds from the sequence's first image, growing; (1,) zero for a single image.
    """

    sequence: str
    name: str
    rows: Array
    times: Array


def tracks_of(hd: HumanData, fps: float | None = None) -> list[Track]:
    """The people of a file, in the order of their first rows.

    Rows are of one person where sequence (``meta/sequence_name``, else the folder of the image) and ``meta/track_id``
    agree. Without ``meta/track_id`` every row is a person of its own, in an image of its own; where it is -1, which is
    nobody's, in the sequence.

    Parameters
    ----------
    fps : frames a second, for files without ``meta/time``: the number of a frame is ``meta/frame_id``, else the one at
        the end of the image's name.

    Raises
    ------
    UsageError : the times are not known.
    DataError : a person is in an image twice.
    """
    if "meta/track_id" not in hd:
        return [
            Track(str(path), str(place), np.array([row]), np.zeros(1))
            for row, (path, place) in enumerate(_placed(hd["image_path"]))
        ]
    sequences, ids = _sequences(hd), np.asarray(hd["meta/track_id"]).astype(str)
    members: dict[tuple[str, str], list[int]] = {}
    for row, (sequence, name) in enumerate(zip(sequences.tolist(), ids.tolist(), strict=True)):
        members.setdefault((sequence, f"row_{row}" if name == NOBODY else name), []).append(row)
    still = all(len(rows) == 1 for rows in members.values())
    times = np.zeros(len(hd)) if still else _times(hd, fps)
    first: dict[str, float] = {}
    for sequence, time in zip(sequences.tolist(), times.tolist(), strict=True):
        first[sequence] = min(time, first.get(sequence, time))
    found = []
    for (sequence, name), listed in members.items():
        rows = np.array(listed)[np.argsort(times[listed], kind="stable")]
        own = times[rows] - first[sequence]
        if (same := np.flatnonzero(np.diff(own) <= 0)).size:
            one, other = hd["image_path"][int(rows[same[0]])], hd["image_path"][int(rows[same[0] + 1])]
            raise DataError(f"person {name} of {sequence} is at one time in {one} and in {other}", path=hd.source)
        found.append(Track(sequence, name, rows, own))
    return found


class FileNames:
    """Names of files that differ from each other, by more than upper and lower case."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, *words: str) -> str:
        """A name for what ``words`` call it, without what file systems do not take; with a number where it is taken."""
        stem = name = UNSAFE.sub("_", "_".join(words)).strip("._") or "unnamed"
        number = 1
        while name.lower() in self._taken:
            number += 1
            name = f"{stem}-{number}"
        self._taken.add(name.lower())
        return name


def by_sequence(tracks: list[Track]) -> dict[str, list[Track]]:
    """The people of each sequence (of each image, where rows belong to none)."""
    found: dict[str, list[Track]] = {}
    for track in tracks:
        found.setdefault(track.sequence, []).append(track)
    return found


STILL = 1 / 30  # seconds: the time of a frame where there is one only


@dataclass(frozen=True, eq=False)
class EvenSteps:
    """Times at even steps instead of ``before`` (T,), and what was known at those, brought to them.

    Attributes
    ----------
    times : (S,) seconds; ``before`` itself where that is even.
    rate : steps a second.
    """

    before: Array
    times: Array
    rate: float

    def points(self, values: Array) -> Array:
        """(S, 3) of (T, 3), interpolated."""
        if self.times is self.before:
            return values
        return np.stack(
            [np.interp(self.times, self.before, values[:, axis]) for axis in range(values.shape[1])], axis=1
        )

    def rotations(self, vectors: Array) -> Array:
        """(S, J, 3) axis-angle of (T, J, 3), interpolated on the sphere."""
        from scipy.spatial.transform import Rotation, Slerp

        if self.times is self.before:
            return vectors
        joints = [Slerp(self.before, Rotation.from_rotvec(vectors[:, j]))(self.times) for j in range(vectors.shape[1])]
        return np.stack([joint.as_rotvec() for joint in joints], axis=1)


def even_steps(times: Array) -> EvenSteps:
    """Even steps through times (T,): the same where they are evenly apart, else of the median step."""
    if len(times) == 1:
        return EvenSteps(times, times, 1 / STILL)
    if (rate := even_rate(times)) is not None:
        return EvenSteps(times, times, rate)
    begin, end, step = float(times[0]), float(times[-1]), float(np.median(np.diff(times)))
    count = max(2, round((end - begin) / step) + 1)
    return EvenSteps(times, np.linspace(begin, end, count), (count - 1) / (end - begin))


def even_rate(times: Array) -> float | None:
    """Frames a second of times (T,) that are evenly apart, to a thousandth of a step; None where they are not."""
    steps = np.array([b - a for a, b in pairwise(times.tolist())])
    if not len(steps):
        return None
    step = float(np.median(steps))
    return 1 / step if np.abs(steps - step).max() <= 1e-3 * step + 1e-6 else None


def beginnings(count: int) -> str:
    """What is lost of people who come later than their sequence, in forms with a file a person."""
    return f"when {count} people come, who are not there from the first image on: each file begins with its person"


def _placed(paths: Array) -> list[tuple[str, int]]:
    """Each path, and how many rows before have the same."""
    seen: dict[str, int] = {}
    out = []
    for path in map(str, paths):
        out.append((path, seen.get(path, 0)))
        seen[path] = seen.get(path, 0) + 1
    return out


def _sequences(hd: HumanData) -> Array:
    if "meta/sequence_name" in hd:
        return np.asarray(hd["meta/sequence_name"]).astype(str)
    return np.array([str(path).rpartition("/")[0] for path in hd["image_path"]], dtype=str)


def _times(hd: HumanData, fps: float | None) -> Array:
    """(N,) seconds.

    Raises
    ------
    UsageError : neither the file nor the caller tells them.
    """
    if fps is not None:
        return frame_numbers(hd) / fps
    if "meta/time" not in hd:
        raise UsageError("does not say at which times its images are", path=hd.source, fix=FPS_FIX)
    return np.asarray(hd["meta/time"], np.float64)


def frame_numbers(hd: HumanData) -> Array:
    """(N,) numbers of the frames: ``meta/frame_id`` where it is a number, else what images' names end in.

    Raises
    ------
    DataError : there are none.
    """
    if "meta/frame_id" in hd and np.asarray(hd["meta/frame_id"]).dtype.kind in "biuf":
        return np.asarray(hd["meta/frame_id"], np.float64)
    numbers = [FRAME.search(str(path)) for path in hd["image_path"]]
    if not all(numbers):
        path = next(str(p) for p, number in zip(hd["image_path"], numbers, strict=True) if number is None)
        raise DataError(f"has no meta/frame_id, and {path} does not end in a number", path=hd.source)
    return np.array([float(number[1]) for number in numbers if number])
