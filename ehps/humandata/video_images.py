"""Frames of videos as images: ``x/y.mp4/000012.png`` is frame 12 of the video ``x/y.mp4``, see
:mod:`ehps.numbered_frames`. The ending of the name may be that of any image; what is read is an uncompressed BMP."""

from __future__ import annotations

from pathlib import Path

from ehps import numbered_frames
from ehps.humandata.image_headers import Header


def holds(path: Path, name: str) -> bool:
    """Whether a video has a frame of this name.

    Raises
    ------
    UsageError : PyAV is not installed.
    DataError : the video is damaged.
    """
    number = _number(name)
    return number is not None and number < numbered_frames.describe(path).count


def header(path: Path, name: str) -> Header | None:
    """Size of a frame, upright; None where there is no such frame.

    Raises
    ------
    UsageError : PyAV is not installed.
    DataError : the video is damaged.
    """
    return Header(*numbered_frames.describe(path).size) if holds(path, name) else None


def read(path: Path, name: str) -> bytes | None:
    """The bytes of a BMP file of a frame, None where there is no such frame.

    Raises
    ------
    UsageError : PyAV is not installed.
    DataError : the video is damaged.
    """
    import cv2

    number = _number(name)
    if number is None or number >= numbered_frames.describe(path).count:
        return None
    data = cv2.imencode(".bmp", cv2.cvtColor(numbered_frames.frame(path, number), cv2.COLOR_RGB2BGR))[1]
    return data.tobytes()


def _number(name: str) -> int | None:
    found = numbered_frames.FRAME.fullmatch(name)
    return None if found is None else int(found[1])
