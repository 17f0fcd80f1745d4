"""Frames of videos: upright, with their true times, at their own rate or another."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.errors import DataError, UsageError
from ehps.extras import need
from ehps.inference.frames import NOTHING, Frame

AGAIN = "copy or download the video again"
HALF = Fraction(1, 2)


@dataclass(frozen=True)
class Described:
    """How many frames a video has by its header (None: unknown), frames a second, and what is to be known."""

    count: int | None
    rate: float
    notes: tuple[str, ...]


def describe(path: Path, fps: float | None, begin: float | None, end: float | None) -> Described:
    """What the header of a video says.

    Raises
    ------
    DataError : PyAV is not installed, or it is damaged, or has no images.
    """
    if fps is not None and not 0 < fps <= 1000:
        raise UsageError(f"--fps is {fps:g}", path=path, fix="give frames a second, above 0 and up to 1000")
    if (begin or 0) < 0 or (end is not None and end <= (begin or 0)):
        raise UsageError(
            f"--from {begin or 0:g} --to {end} is no stretch of time", path=path, fix="give --to above --from"
        )
    with _opened(path) as (container, stream):
        own = stream.average_rate or stream.guessed_rate
        rate = float(fps or own or 0)
        if not rate:
            raise DataError("does not say its frame rate", path=path, fix="say it with --fps")
        seconds = container.duration / 1e6 if container.duration else None
        if stream.duration and stream.time_base:
            seconds = float(stream.duration * stream.time_base)
        whole = stream.frames if not fps and stream.frames else None
        if seconds is not None:
            span = min(seconds, end if end is not None else seconds) - (begin or 0)
            if span <= 0:
                raise DataError(f"ends after {seconds:.2f} s", path=path, fix="choose other times with --from and --to")
            if whole is None or begin or end is not None:
                whole = max(1, round(span * rate))
    return Described(whole, rate, ())


def frames(
    path: Path, start: int = 0, *, fps: float | None = None, begin: float | None = None, end: float | None = None
) -> Iterator[Frame]:
    """Frames of a video from the ``start``-th on.

    Times are those that the video states for its frames, from its first one; with ``fps``, those of an even grid, at
    each of which the frame on screen is taken (as ffmpeg's filter of that name does). One that ends before its header
    says, or breaks off, gives what can be decoded and then one frame with a fault.

    Raises
    ------
    DataError : PyAV is not installed, or it cannot be opened.
    """
    index, number, last = 0, -1, 0.0
    fault = ""
    with _opened(path) as (_, stream):
        expected = stream.frames
        decoded = [0]
        try:
            for number, time, image in _timed(stream, fps, decoded):
                last = time
                if begin is not None and time < begin - 1e-9:
                    continue
                if end is not None and time >= end - 1e-9:
                    return
                if index >= start:
                    pixels = _pixels(image)
                    yield Frame(index, f"{path.name}/{number:06d}.jpg", pixels, time=time, number=number)
                index += 1
        except _av().FFmpegError as error:
            fault = f"breaks off after {last:.2f} s ({error.strerror})"
    if not fault and expected and decoded[0] < expected:
        fault = f"ends after {decoded[0]:,} of {expected:,} frames"
    if fault and index >= start:
        yield Frame(index, f"{path.name}/{number + 1:06d}.jpg", NOTHING, time=last, number=number + 1, fault=fault)


def _timed(stream: Any, fps: float | None, decoded: list[int]) -> Iterator[tuple[int, float, Any]]:
    """(number, seconds from the first frame, decoded frame); ``decoded`` counts the frames that the file has."""
    shown = _with_times(stream, decoded)
    if fps is None:
        for number, (time, image) in enumerate(shown):
            yield number, float(time), image
        return
    step, index, before = 1 / Fraction(fps).limit_denominator(100_000), 0, None
    length = 1 / Fraction(stream.average_rate) if stream.average_rate else step
    finish = Fraction(0)
    for time, image in shown:
        while before is not None and (index + HALF) * step <= time:
            yield index, float(index * step), before
            index += 1
        before, finish = image, time + length
    while before is not None and (index + HALF) * step <= finish:
        yield index, float(index * step), before
        index += 1


def _with_times(stream: Any, decoded: list[int]) -> Iterator[tuple[Fraction, Any]]:
    """Decoded frames with their times from the first one; where a time is not stated, or not later than the one
    before, a frame follows the one before by the average."""
    length = 1 / Fraction(stream.average_rate or stream.guessed_rate or 25)
    first: Fraction | None = None
    last: Fraction | None = None
    for image in stream.container.decode(stream):
        decoded[0] += 1
        stated = None if image.pts is None or image.time_base is None else image.pts * Fraction(image.time_base)
        first = stated if first is None and stated is not None else first
        time = None if stated is None or first is None else stated - first
        if last is not None and (time is None or time <= last):
            time = last + length
        last = time or Fraction(0)
        yield last, image


def _pixels(image: Any) -> Array:
    """(H, W, 3) uint8 RGB, turned as the video's display matrix says."""
    pixels = image.to_ndarray(format="rgb24")
    turns = round(_degrees(image) / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


def _degrees(image: Any) -> float:
    """Degrees, counter-clockwise, by which an image is to be turned."""
    if hasattr(image, "rotation"):
        return float(image.rotation)
    for side in image.side_data or ():  # PyAV before 14
        if getattr(side.type, "name", "") == "DISPLAYMATRIX":
            a, b = np.frombuffer(bytes(side), np.int32)[:2] / 65536
            return -math.degrees(math.atan2(b, a))
    return 0.0


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """PyAV's container and its stream of images.

    Raises
    ------
    DataError : PyAV is not installed, or the file cannot be opened as a video.
    """
    need("reading videos", "av")
    av = _av()
    try:
        container = av.open(str(path))
    except av.FFmpegError as error:
        raise DataError(f"is no video that can be opened ({error.strerror})", path=path, fix=AGAIN) from None
    with container:
        if not container.streams.video:
            raise DataError("has no images: it holds no video stream", path=path)
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        yield container, stream


def _av() -> Any:
    import av

    return av
