"""Frames of videos by their numbers: counted from 0 in the order in which they come on screen, at the video's own rate.

Of a video it is known which frame comes when, so that decoding begins at the key frame before the one that is wanted,
and how many there are. Where the file does not tell it reliably, frames are counted by decoding from the start.
"""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.errors import DataError
from ehps.video_frames import AGAIN, from_key_frame, is_seekable, open_video, opened, upright

FRAME = re.compile(r"([0-9]{1,9})\.[A-Za-z]{3,4}")
"""Name of a frame as of an image file."""

DESCRIBED = 256  # videos whose frames are listed
DECODERS = 4  # that are kept open by a process
SEARCHES = 2  # one key frame further back, where the nearest comes on screen after the frame
RECENT = 16  # frames that a decoder keeps: threads ask for those of a video nearly in order
Stamp = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Description:
    """What is in a video.

    Attributes
    ----------
    size : height and width of its frames, upright.
    count : of its frames.
    times : (count,) int64 of the frames as they come on screen, in units of the stream; None of videos that cannot be
        searched.
    keys : (K,) int64 numbers of the key frames, rising.
    inferred : times are those of a constant rate, which the file's index has.
    """

    size: tuple[int, int]
    count: int
    times: Array | None
    keys: Array
    inferred: bool = False


def describe(path: Path) -> Description:
    """What is in a video. Only the first frame is decoded, and the whole file read only where its index does not tell.

    Raises
    ------
    UsageError : PyAV is not installed.
    DataError : there is no such video, it is damaged, or has no images.
    """
    return _described(path, _stamp(path))


def frame(path: Path, number: int) -> Array:
    """(H, W, 3) uint8 RGB, upright, of one frame.

    A few videos stay open, each with its decoder, so that frames that are asked for in order are decoded once; for
    others decoding begins at the key frame before.

    Raises
    ------
    UsageError : PyAV is not installed.
    DataError : there is no such video, it is damaged, or has no such frame.
    """
    return _decoder(path, _stamp(path), os.getpid()).frame(number)


def _stamp(path: Path) -> Stamp:
    try:
        status = os.stat(path)
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", path=path, fix=AGAIN) from None
    return status.st_mtime_ns, status.st_size, status.st_ino


@lru_cache(maxsize=DESCRIBED)
def _described(path: Path, stamp: Stamp) -> Description:
    with opened(path) as (container, stream):
        import av

        stream.codec_context.thread_count = 1
        try:
            first = next(container.decode(stream), None)
        except av.FFmpegError as error:
            raise DataError(f"damaged video ({error.strerror})", path=path, fix=AGAIN) from None
        if first is None:
            raise DataError("damaged video (no frame can be decoded)", path=path, fix=AGAIN)
        size = upright(first).shape[:2]
        return _by_index(container, stream, first, size) or _by_packets(path, size)


def _by_index(container: Any, stream: Any, first: Any, size: tuple[int, int]) -> Description | None:
    """By the index at the front or the end of an mp4 whose frames come at a constant rate; None of other videos. The
    index has the times at which frames are decoded, which are then those at which they come on screen, but for a
    shift."""
    index = getattr(stream, "index_entries", None)
    if index is None or first.pts is None or not container.format.name.startswith("mov") or len(index) < 2:
        return None
    entries = list(index)
    steps = np.diff([entry.timestamp for entry in entries])
    if len(entries) != stream.frames or steps[0] <= 0 or (steps != steps[0]).any():
        return None
    if any(entry.is_discard for entry in entries):
        return None
    keys = np.flatnonzero([entry.is_keyframe for entry in entries])
    return Description(size, len(entries), first.pts + steps[0] * np.arange(len(entries)), keys, inferred=True)


def _by_packets(path: Path, size: tuple[int, int]) -> Description:
    """By reading all of the file."""
    times, keys = [], []
    with opened(path) as (container, stream):
        import av

        searched = is_seekable(container)
        try:
            for packet in container.demux(stream):
                if packet.size and not getattr(packet, "is_discard", False):
                    times.append(packet.pts)
                    if packet.is_keyframe:
                        keys.append(packet.pts)
        except av.FFmpegError:
            pass  # it is cut short: it has the frames until there
    if not searched or None in times or len(set(times)) != len(times):
        return Description(size, len(times), None, np.zeros(0, np.int64))
    ordered = np.sort(np.array(times, np.int64))
    return Description(size, len(times), ordered, np.searchsorted(ordered, np.sort(np.array(keys, np.int64))))


@lru_cache(maxsize=DECODERS)
def _decoder(path: Path, stamp: Stamp, process: int) -> _Decoder:
    """One that this process has made: what a forked one inherits reads from the file of its parent."""
    return _Decoder(path, _described(path, stamp))


class _Decoder:
    """An open video, and the frames that were decoded last."""

    def __init__(self, path: Path, known: Description) -> None:
        self.path, self.known = path, known
        self._lock = Lock()
        self._recent: OrderedDict[int, Any] = OrderedDict()
        self._container: Any = None
        self._stream: Any = None
        self._frames: Iterator[Any] = iter(())
        self._next = 0  # the frame that the decoder gives next
        self._restart()

    def frame(self, number: int) -> Array:
        import av

        if not 0 <= number < self.known.count:
            raise DataError(f"has {self.known.count:,} frames, none of number {number}", path=self.path)
        with self._lock:
            try:
                if number not in self._recent:
                    self._decode(number)
                return upright(self._recent[number])
            except (KeyError, av.FFmpegError) as error:
                self._restart()
                why = f" ({error.strerror})" if isinstance(error, av.FFmpegError) else ""
                raise DataError(
                    f"damaged video: frame {number} cannot be decoded{why}", path=self.path, fix=AGAIN
                ) from None

    def _decode(self, number: int) -> None:
        """Decode until the frame is among the recent ones, or past it."""
        if number < self._next or number > self._next + RECENT:
            self._search(number)
        for found in self._frames:
            index = self._number_of(found)
            if index is None:  # the file and the decoder do not agree on times
                exact = _by_packets(self.path, self.known.size)
                self.known = exact if self.known.inferred else replace(exact, times=None)
                self._restart()
                return self._decode(number)
            self._next = index + 1
            self._recent[index] = found
            self._recent.move_to_end(index)
            while len(self._recent) > RECENT:
                self._recent.popitem(last=False)
            if index >= number:
                return None
        return None

    def _number_of(self, frame: Any) -> int | None:
        """By the frame's time, or the one that comes next; None where no frame should have this time."""
        times = self.known.times
        if times is None:
            return self._next
        index = 0 if frame.pts is None else int(np.searchsorted(times, frame.pts))
        return index if index < len(times) and times[index] == frame.pts else None

    def _search(self, number: int) -> None:
        """Go on at a key frame before, unless decoding is beyond it but not beyond the frame."""
        times, keys = self.known.times, self.known.keys
        if times is None:
            if number < self._next:
                self._restart()
            return
        before = keys[: np.searchsorted(keys, number, "right")].tolist()
        if number >= self._next and before and before[-1] <= self._next:
            return
        for key in before[: -1 - SEARCHES : -1]:
            frames = from_key_frame(self._container, self._stream, int(times[key]), int(times[number]))
            if frames is not None:
                self._frames = frames
                return
        self._restart()

    def _restart(self) -> None:
        self._container = open_video(self.path)
        self._stream = self._container.streams.video[0]
        self._stream.codec_context.thread_count = 1  # a forked process has no other thread to wait for
        self._frames = self._container.decode(self._stream)
        self._next = 0
        self._recent.clear()
