"""Frames of videos: upright, with their true times, at their own rate or another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ehps import video_frames
from ehps.errors import DataError, UsageError
from ehps.inference.frames import NOTHING, Frame


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
    with video_frames.opened(path) as (container, stream):
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
    each of which the frame on screen is taken (as ffmpeg's filter of that name does). ``image_path`` is that of the
    frame in the video (``clip.mp4/000012.jpg``, see :mod:`ehps.humandata.video_images`); with ``fps``, whose numbers
    are not the video's own, it is ``clip.mp4-5fps/000012.jpg``. One that ends before its header says, or breaks off,
    gives what can be decoded and then one frame with a fault.

    Raises
    ------
    DataError : PyAV is not installed, or it cannot be opened.
    """
    index, number, last = 0, -1, 0.0
    folder, fault = path.name if fps is None else f"{path.name}-{fps:g}fps", ""
    with video_frames.opened(path) as (_, stream):
        import av

        stream.thread_type = "AUTO"
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
                    pixels = video_frames.upright(image)
                    yield Frame(index, f"{folder}/{number:06d}.jpg", pixels, time=time, number=number)
                index += 1
        except av.FFmpegError as error:
            fault = f"breaks off after {last:.2f} s ({error.strerror})"
    if not fault and expected and decoded[0] < expected:
        fault = f"ends after {decoded[0]:,} of {expected:,} frames"
    if fault and index >= start:
        yield Frame(index, f"{folder}/{number + 1:06d}.jpg", NOTHING, time=last, number=number + 1, fault=fault)


def _timed(stream: Any, fps: float | None, decoded: list[int]) -> Iterator[tuple[int, float, Any]]:
    """(number, seconds from the first frame, decoded frame); ``decoded`` counts the frames that the file has."""
    shown = _with_times(stream, decoded)
    if fps is None:
        for number, (time, image) in enumerate(shown):
            yield number, float(time), image
        return
    step = 1 / Fraction(fps).limit_denominator(100_000)
    length = 1 / Fraction(stream.average_rate) if stream.average_rate else step
    for index, image in video_frames.on_grid(shown, step, length):
        yield index, float(index * step), image


def _with_times(stream: Any, decoded: list[int]) -> Iterator[tuple[Fraction, Any]]:
    """Decoded frames with their times from the first one; where a time is not stated, or not later than the one
    before, a frame follows the one before by the average."""
    length = 1 / Fraction(stream.average_rate or stream.guessed_rate or 25)
    first: Fraction | None = None
    last: Fraction | None = None
    for image in stream.container.decode(stream):
        decoded[0] += 1
        stated = video_frames.seconds(image)
        first = stated if first is None and stated is not None else first
        time = None if stated is None or first is None else stated - first
        if last is not None and (time is None or time <= last):
            time = last + length
        last = time or Fraction(0)
        yield last, image
