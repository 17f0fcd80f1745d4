"""Frames of videos: upright, with their true times, at their own rate or another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ehps import video_frames
from ehps.errors import DataError, UsageError
from ehps.inference.frames import NOTHING, Frame

SHORT = 0.5  # seconds by which a header that does not count frames may be off


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
        seconds = _stated_seconds(container, stream) or (container.duration / 1e6 if container.duration else None)
        whole = stream.frames if not fps and stream.frames else None
        if seconds is not None:
            span = min(seconds, end if end is not None else seconds) - (begin or 0)
            if span <= 0:
                what, fix = f"ends after {seconds:.2f} s", "choose other times with --from and --to"
                raise UsageError(what, path=path, fix=fix)
            if whole is None or begin or end is not None:
                whole = max(1, round(span * rate))
        shape = stream.codec_context.sample_aspect_ratio or 1
    notes = () if shape == 1 else (f"its pixels are {float(shape):g} times as wide as high; people are seen as stored",)
    return Described(whole, rate, notes)


def _stated_seconds(container: Any, stream: Any) -> float | None:
    """How long the images last by the header, None where it says nothing of them alone."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    words = stream.metadata.get("DURATION", "").split(":")  # of Matroska
    with suppress(ValueError):
        hours, minutes, seconds = map(float, words)
        return hours * 3600 + minutes * 60 + seconds
    return container.duration / 1e6 if container.duration and len(container.streams) == 1 else None


@dataclass
class _Decoded:
    """How many frames were decoded, and the time of the last one."""

    count: int = 0
    seconds: float = 0.0


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
    with video_frames.opened(path) as (container, stream):
        import av

        stream.thread_type = "AUTO"
        expected, stated = stream.frames, _stated_seconds(container, stream)
        length = float(1 / (stream.average_rate or stream.guessed_rate or 25))
        decoded = _Decoded()
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
    if not fault and expected and decoded.count < expected:
        fault = f"ends after {decoded.count:,} of {expected:,} frames"
    if not fault and not expected and stated and decoded.seconds + 2 * length + SHORT < stated:
        fault = f"ends after {decoded.seconds + length:.2f} of {stated:.2f} s"
    if fault and index >= start:
        yield Frame(index, f"{folder}/{number + 1:06d}.jpg", NOTHING, time=last, number=number + 1, fault=fault)


def _timed(stream: Any, fps: float | None, decoded: _Decoded) -> Iterator[tuple[int, float, Any]]:
    """(number, seconds from the first frame, decoded frame); ``decoded`` is kept up."""
    shown = _with_times(stream, decoded)
    if fps is None:
        for number, (time, image) in enumerate(shown):
            yield number, float(time), image
        return
    step = 1 / Fraction(fps).limit_denominator(100_000)
    length = 1 / Fraction(stream.average_rate) if stream.average_rate else step
    for index, image in video_frames.on_grid(shown, step, length):
        yield index, float(index * step), image


def _with_times(stream: Any, decoded: _Decoded) -> Iterator[tuple[Fraction, Any]]:
    """Decoded frames with their times from the first one; where a time is not stated, or not later than the one
    before, a frame follows the one before by the average."""
    length = 1 / Fraction(stream.average_rate or stream.guessed_rate or 25)
    first: Fraction | None = None
    last: Fraction | None = None
    for image in stream.container.decode(stream):
        decoded.count += 1
        stated = video_frames.seconds(image)
        first = stated if first is None and stated is not None else first
        time = None if stated is None or first is None else stated - first
        if last is not None and (time is None or time <= last):
            time = last + length
        last = time or Fraction(0)
        decoded.seconds = float(last)
        yield last, image
