"""Frames out of videos, on request (``--frames DIR``): only those that rows name, bit-exact indices, resumable."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from ehps.errors import DataError

HALF = Fraction(1, 2)


def by_folder(image_paths: Sequence[str]) -> dict[str, list[str]]:
    """Image paths grouped by their folder, in order, each once."""
    groups: dict[str, list[str]] = {}
    for path in dict.fromkeys(image_paths):
        groups.setdefault(path.rsplit("/", 1)[0], []).append(path)
    return groups


def extract(video: Path, image_paths: Sequence[str], folder: Path, *, fps: float, first: int = 0) -> int:
    """Write the frames of ``video`` that ``image_paths`` name below ``folder``; returns how many were written.
    Frames past the end of the video are not there afterwards: the pipeline counts their rows as missing images.

    The number in a file name counts frames at ``fps`` from ``first``. Pictures that are there already are
    kept, so an interrupted extraction goes on where it stopped. A video of another rate is brought to ``fps``
    as ffmpeg's filter of that name does: each of its frames goes to the output frame nearest in time.

    Raises
    ------
    DataError : PyAV is not installed, or the video is absent or damaged.
    """
    import cv2

    wanted = {int(Path(p).stem) - first: folder / p for p in image_paths if not (folder / p).exists()}
    if not wanted:
        return 0
    last = max(wanted)
    written = 0
    for index, frame in _frames_at(video, fps):
        if index in wanted:
            target = wanted[index]
            ok, data = cv2.imencode(target.suffix, frame.to_ndarray(format="bgr24"))
            if not ok:
                raise DataError(f"cannot encode a picture as {target.suffix}", path=target)
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(f".{target.name}")
            partial.write_bytes(data.tobytes())
            os.replace(partial, target)
            written += 1
        if index >= last:
            break
    return written


def _frames_at(video: Path, fps: float) -> Iterator[tuple[int, Any]]:
    """(index, decoded frame) at a constant rate; times are fractions, so that no index hangs on a rounding."""
    try:
        import av
    except ImportError:
        raise DataError("frames come out of videos with PyAV, which is not installed", path=video,
                        fix="pip install 'ehps[video]'") from None  # fmt: skip
    if not video.is_file():
        raise DataError("no such video", path=video, fix="unpack the videos, or extract the frames yourself")
    step = 1 / Fraction(fps)
    index, shown, start, end = 0, None, None, Fraction(0)
    try:
        with av.open(str(video)) as container:
            if not container.streams.video:
                raise DataError("has no pictures", path=video, fix="download it again")
            stream = container.streams.video[0]
            length = 1 / Fraction(stream.average_rate or fps)
            for frame in container.decode(stream):
                pts, base = frame.pts, frame.time_base
                time = end if pts is None or base is None else pts * base
                start = time if start is None else start
                # A frame is on screen until the next one's time: fill every output instant before it.
                while shown is not None and (index + HALF) * step <= time - start:
                    yield index, shown
                    index += 1
                shown, end = frame, time + length
    except av.FFmpegError as error:
        raise DataError(f"damaged video ({error})", path=video, fix="download it again") from None
    while shown is not None and start is not None and (index + HALF) * step <= end - start:
        yield index, shown
        index += 1
