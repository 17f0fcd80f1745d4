"""Frames out of videos, on request (``--frames DIR``): only those that rows name, bit-exact indices, resumable.

Of a long video only what is wanted is decoded, from the key frame before it on. A frame's time says its index, which
is thus the same as after decoding from the start.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ehps import video_frames
from ehps.atomic import replacing
from ehps.converters.readers import AGAIN, opened
from ehps.errors import DataError
from ehps.humandata.image_files import ImageFolder
from ehps.video_frames import seconds

FRAME = re.compile(r"(?:.*_)?([0-9]{1,9})\.(?:jpg|jpeg|png|bmp|webp|tiff?)", re.IGNORECASE | re.DOTALL)
SEEK_FROM = 5  # seconds from which on a second search for a key frame costs less than decoding what is before
MARGIN = 1  # seconds; more than frames are stored out of the order of their times


def by_folder(image_paths: Sequence[str]) -> dict[str, list[str]]:
    """Image paths grouped by their folder, in order, each once."""
    groups: dict[str, list[str]] = {}
    for path in dict.fromkeys(image_paths):
        groups.setdefault(path.rsplit("/", 1)[0], []).append(path)
    return groups


def image_size(video: Path, default: npt.ArrayLike) -> npt.NDArray[Any]:
    """(2,) height and width of a video's images; ``default`` where it is not there or cannot be opened."""
    try:
        with _opened(video) as (_, stream):
            return np.array([stream.height, stream.width])
    except DataError:
        return np.asarray(default)


def rate(video: Path) -> Fraction:
    """Frames a second of a video's own: extracted at this rate, each of its frames has one number.

    Raises
    ------
    DataError : it is absent or damaged, or does not say it.
    """
    with _opened(video) as (_, stream):
        if not stream.average_rate:
            raise DataError("does not say its frame rate", path=video, fix="extract the frames yourself")
        return Fraction(stream.average_rate)


def extract(video: Path, image_paths: Sequence[str], folder: Path, *, fps: float | Fraction, first: int = 0) -> int:
    """Write the frames of ``video`` that ``image_paths`` name below ``folder``; returns how many were written.
    Frames past the end of the video, and images whose names are no numbers, are not there afterwards: the pipeline
    counts their rows as missing images.

    The number at the end of a file name counts frames at ``fps`` from ``first``. Images that are there already are
    kept, so an interrupted extraction goes on where it stopped. A video of another rate is brought to ``fps``
    as ffmpeg's filter of that name does: each of its frames goes to the output frame nearest in time.

    Raises
    ------
    DataError : PyAV is not installed, or the video is absent or damaged.
    OutsideError : an image path leads out of ``folder``.
    """
    import cv2

    wanted = {}
    for target in map(ImageFolder(folder).below, image_paths):
        if (found := FRAME.fullmatch(target.name)) and not target.exists():
            wanted[int(found[1]) - first] = target
    if not wanted:
        return 0
    last = max(wanted)
    written = 0
    for index, frame in _frames_at(video, fps, min(wanted)):
        if index in wanted:
            target = wanted[index]
            ok, data = cv2.imencode(target.suffix, frame.to_ndarray(format="bgr24"))
            if not ok:
                raise DataError(f"cannot encode an image as {target.suffix}", path=target)
            with replacing(target, lasting=False) as temporary:
                temporary.write_bytes(data.tobytes())
            written += 1
        if index >= last:
            break
    return written


def _frames_at(video: Path, fps: float | Fraction, first: int) -> Iterator[tuple[int, Any]]:
    """(index, decoded frame) at a constant rate, in order, from index ``first`` or an earlier one on."""
    step = 1 / Fraction(fps)
    if first * step > SEEK_FROM:
        with _opened(video) as (container, stream):
            sought = _sought(container, stream, first * step)
            if sought is not None:
                yield from _resampled(stream, *sought, step)
                return
    with _opened(video) as (container, stream):  # anew: what a search in vain leaves behind is not the start
        yield from _resampled(stream, container.decode(stream), None, step)


@contextmanager
def _opened(video: Path) -> Iterator[tuple[Any, Any]]:
    """PyAV's container and its stream of images.

    Raises
    ------
    UsageError : PyAV is not installed.
    DataError : the video is absent or damaged (or turns out to be while it is open).
    """
    if not opened.is_file(video):
        raise DataError("no such video", path=video, fix="unpack the videos, or extract the frames yourself")
    with video_frames.opened(video, "extracting frames") as found:
        import av

        try:
            yield found
        except av.FFmpegError as error:
            raise DataError(f"damaged video ({error.strerror})", path=video, fix=AGAIN) from None


def _sought(container: Any, stream: Any, instant: Fraction) -> tuple[Iterator[Any], Fraction] | None:
    """Decoded frames from a key frame at or before ``instant`` on (seconds from the video's first frame), and the time
    of that first frame; None where they cannot be had without decoding all."""
    import av

    try:
        start = seconds(next(container.decode(stream)))
    except (av.FFmpegError, StopIteration):
        return None
    if start is None or not video_frames.is_seekable(container):
        return None
    unit = Fraction(stream.time_base)
    near = floor((start + instant - MARGIN) / unit)
    frames = video_frames.from_key_frame(container, stream, near, latest=(start + instant) / unit)
    return None if frames is None else (frames, start)


def _resampled(stream: Any, frames: Iterator[Any], start: Fraction | None, step: Fraction) -> Iterator[tuple[int, Any]]:
    """(index, frame) at one index every ``step`` seconds from ``start``, or from the first frame where that is None."""
    length = 1 / Fraction(stream.average_rate) if stream.average_rate else step
    return video_frames.on_grid(_timed(frames, start, length), step, length)


def _timed(frames: Iterator[Any], start: Fraction | None, length: Fraction) -> Iterator[tuple[Fraction, Any]]:
    """Frames with their seconds from ``start``; one of which the video does not say it follows the one before."""
    end = Fraction(0)
    for frame in frames:
        time = seconds(frame)
        time = end if time is None else time
        start = time if start is None else start
        yield time - start, frame
        end = time + length
