"""Frames of videos, by PyAV: how a video is opened and searched, how its frames are turned, and what is on screen when.

Pixels are turned as the video's display matrix says. Frames by their numbers: :mod:`ehps.numbered_frames`.
"""

from __future__ import annotations

import gc
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.errors import DataError
from ehps.extras import need

SUFFIXES = (
    *(".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".ts"),
    *(".3gp", ".mts", ".m2ts", ".ogv", ".gif"),
)
AGAIN = "copy or download the video again"
HALF = Fraction(1, 2)
# Only these store the time of every frame. Others (MPEG-PS, AVI) say a few or none, and what the decoder makes of them
# after a seek is not always what it is from the start.
SEEKABLE = ("mov", "matroska")

# Freeing a decoder waits for its threads, which a forked process does not have: what it inherits is never collected.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=gc.freeze)


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
    container = open_video(path, task)
    with container:
        yield container, container.streams.video[0]


def open_video(path: Path, task: str = "reading videos") -> Any:
    """PyAV's container, which has a stream of images; see :func:`opened`."""
    need(task, "av")
    import av

    try:
        # titles that old programs wrote are not in UTF-8
        container = av.open(str(path), metadata_errors="replace")
    except av.FFmpegError as error:
        raise DataError(f"damaged video ({error.strerror})", path=path, fix=AGAIN) from None
    if not container.streams.video:
        container.close()
        raise DataError("has no images: it holds no video stream", path=path, fix="take another video")
    return container


def upright(frame: Any) -> Array:
    """(H, W, 3) uint8 RGB of a decoded frame, turned and mirrored as the video's display matrix says."""
    pixels: Array = _in_rgb(frame).to_ndarray()
    matrix = _display_matrix(frame)
    if matrix is None:
        return pixels
    (a, b), (c, d) = matrix
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return np.ascontiguousarray(pixels[:: _sign(d), :: _sign(a)])
    return np.ascontiguousarray(pixels.transpose(1, 0, 2)[:: _sign(b), :: _sign(c)])


def _sign(value: float) -> int:
    return -1 if value < 0 else 1


def _in_rgb(frame: Any) -> Any:
    """The frame as RGB, by one thread: others would belong to the frame, and a forked process that frees it waits for
    them."""
    try:
        return frame.reformat(format="rgb24", threads=1)
    except TypeError:  # of an older PyAV, which has no others
        return frame.reformat(format="rgb24")


def _display_matrix(frame: Any) -> Array | None:
    """(2, 2): a pixel at x, y is shown at (x, y) @ matrix, moved into the image; None where the video says nothing."""
    for side in frame.side_data or ():
        if getattr(side.type, "name", "") == "DISPLAYMATRIX":
            return np.frombuffer(bytes(side), np.int32)[[0, 1, 3, 4]].reshape(2, 2) / 65536
    return None


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
