"""Frames of videos, by PyAV: how a video is opened and searched, how its frames are turned, and which has which number.

A frame's number counts the frames of a video from 0 in the order in which they come on screen, at the video's own
rate. Its pixels are turned as the video's display matrix says.
"""

from __future__ import annotations

import math
import os
import re
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.errors import DataError
from ehps.extras import need

SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".ts")
FRAME = re.compile(r"([0-9]{1,9})\.[A-Za-z]{3,4}")
"""Name of a frame as of an image file."""

AGAIN = "copy or download the video again"
HALF = Fraction(1, 2)
# Only these store the time of every frame. Others (MPEG-PS, AVI) say a few or none, and what the decoder makes of them
# after a seek is not always what it is from the start.
SEEKABLE = ("mov", "matroska")
DESCRIBED = 256  # videos whose frames are listed
DECODERS = 4  # that are kept open by a process
RECENT = 16  # frames that a decoder keeps: threads ask for those of a video nearly in order
Stamp = tuple[int, int, int]


def is_video(name: str) -> bool:
    """Whether a file's name ends as a video's does."""
    return name.lower().endswith(SUFFIXES)


@contextmanager
def opened(path: Path, task: str = "reading videos") -> Iterator[tuple[Any, Any]]:
    """PyAV's container and its stream of images.

    Raises
    ------
    UsageError : PyAV is not installed.
    DataError : the file cannot be opened as a video, or has no images.
    """
    container = _open(path, task)
    with container:
        yield container, container.streams.video[0]


def _open(path: Path, task: str) -> Any:
    need(task, "av")
    import av

    try:
        container = av.open(str(path))
    except av.FFmpegError as error:
        raise DataError(f"damaged video ({error.strerror})", path=path, fix=AGAIN) from None
    if not container.streams.video:
        container.close()
        raise DataError("has no images: it holds no video stream", path=path, fix="take another video")
    return container


def upright(frame: Any) -> Array:
    """(H, W, 3) uint8 RGB of a decoded frame, turned as the video's display matrix says."""
    pixels: Array = frame.to_ndarray(format="rgb24")
    turns = round(_degrees(frame) / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


def _degrees(frame: Any) -> float:
    """Degrees, counter-clockwise, by which a frame is to be turned."""
    if hasattr(frame, "rotation"):
        return float(frame.rotation)
    for side in frame.side_data or ():  # PyAV before 14
        if getattr(side.type, "name", "") == "DISPLAYMATRIX":
            a, b = np.frombuffer(bytes(side), np.int32)[:2] / 65536
            return -math.degrees(math.atan2(b, a))
    return 0.0


def seconds(frame: Any) -> Fraction | None:
    """Time on the video's own clock at which a frame comes on screen, None where the video does not say."""
    return None if frame.pts is None or frame.time_base is None else frame.pts * Fraction(frame.time_base)


def is_seekable(container: Any) -> bool:
    """Whether the file tells the time of every frame, by which frames after a search are known."""
    return container.format.name.split(",")[0] in SEEKABLE


def from_key_frame(container: Any, stream: Any, time: int, latest: Fraction | int) -> Iterator[Any] | None:
    """Decoded frames from a key frame on; None where a search does not lead to one.

    Parameters
    ----------
    time : near which the key frame is sought, at it or before, in units of the stream.
    latest : the time that the key frame may have at most, in the same units.
    """
    import av

    try:
        container.seek(time, stream=stream)
        frames = container.decode(stream)
        # Frames that come on screen before the key frame may have lost what they depend on.
        key = next(frame for frame in frames if frame.key_frame)
    except (av.FFmpegError, StopIteration):
        return None
    return None if key.pts is None or key.pts > latest else chain([key], frames)


def on_grid(timed: Iterator[tuple[Fraction, Any]], step: Fraction, length: Fraction) -> Iterator[tuple[int, Any]]:
    """(index, frame): the frame on screen at each instant of an even grid, as ffmpeg's filter ``fps`` takes it.

    Parameters
    ----------
    timed : seconds and frame, in order; fractions, so that no index hangs on a rounding.
    step : seconds from one instant to the next; the first one taken is that of the first frame.
    length : seconds that the last frame is on screen.
    """
    index, shown, end = 0, None, Fraction(0)
    for time, frame in timed:
        if shown is None:
            index = math.floor(time / step + HALF)
        # A frame is on screen until the next one's time: fill every instant before it.
        while shown is not None and (index + HALF) * step <= time:
            yield index, shown
            index += 1
        shown, end = frame, time + length
    while shown is not None and (index + HALF) * step <= end:
        yield index, shown
        index += 1


# -- frames by their numbers ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Description:
    """What is in a video.

    Attributes
    ----------
    size : height and width of its frames, upright.
    count : of its frames.
    times : (count,) int64 of the frames as they come on screen, in units of the stream; None of videos that cannot be
        searched.
    keys : (K,) int64 times of the key frames.
    """

    size: tuple[int, int]
    count: int
    times: Array | None
    keys: Array


def describe(path: Path) -> Description:
    """What is in a video: it is read once, but of its frames only the first is decoded.

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
    times, keys = [], []
    with opened(path) as (container, stream):
        import av

        try:
            first = next(container.decode(stream), None)
        except av.FFmpegError as error:
            raise DataError(f"damaged video ({error.strerror})", path=path, fix=AGAIN) from None
        if first is None:
            raise DataError("damaged video (no frame can be decoded)", path=path, fix=AGAIN)
        size = upright(first).shape[:2]
        searched = is_seekable(container)
    with opened(path) as (container, stream):
        try:
            for packet in container.demux(stream):
                if packet.size and not getattr(packet, "is_discard", False):
                    times.append(packet.pts)
                    if packet.is_keyframe:
                        keys.append(packet.pts)
        except av.FFmpegError:
            pass  # it is cut short: it has the frames until there
    known = None not in times and len(set(times)) == len(times)
    if not (searched and known):
        return Description(size, len(times), None, np.zeros(0, np.int64))
    return Description(size, len(times), np.sort(np.array(times, np.int64)), np.sort(np.array(keys, np.int64)))


@lru_cache(maxsize=DECODERS)
def _decoder(path: Path, stamp: Stamp, process: int) -> _Decoder:
    """One that this process has made: what a forked one inherits reads from the file of its parent."""
    return _Decoder(path, _described(path, stamp))


class _Decoder:
    """An open video, and the frames that were decoded last."""

    def __init__(self, path: Path, known: Description) -> None:
        self.path, self.known, self.times = path, known, known.times
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
            index = self._next if self.times is None else int(np.searchsorted(self.times, found.pts or 0))
            if self.times is not None and (
                found.pts is None or self.times[min(index, len(self.times) - 1)] != found.pts
            ):
                self.times = None  # the file and the decoder do not agree on times: frames are counted from the start
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

    def _search(self, number: int) -> None:
        """Go on at the key frame before, unless decoding is beyond it but not beyond the frame."""
        if self.times is not None:
            time = self.times[number]
            before = int(np.searchsorted(self.known.keys, time, "right")) - 1
            key = int(self.known.keys[before]) if before >= 0 else None
            if key is not None and number >= self._next and np.searchsorted(self.times, key) <= self._next:
                return
            frames = None if key is None else from_key_frame(self._container, self._stream, key, int(time))
            if frames is not None:
                self._frames = frames
                return
        if self.times is not None or number < self._next:
            self._restart()

    def _restart(self) -> None:
        self._container = _open(self.path, "reading videos")
        self._stream = self._container.streams.video[0]
        self._stream.codec_context.thread_count = 1  # a forked process has no other thread to wait for
        self._frames = self._container.decode(self._stream)
        self._next = 0
        self._recent.clear()
