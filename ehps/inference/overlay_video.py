"""Overlays as a video: parts that are whole files by themselves, joined without encoding anything again.

The same images and times give the same bytes, whatever machine they are encoded on: one thread, nothing of the clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ehps.arrays import Array
from ehps.atomic import replacing
from ehps.errors import DataError
from ehps.extras import need

CLOCK = 60_000
"""Ticks a second; usual frame rates and milliseconds are whole numbers of them. MPEG-4 knows no more than 65,535."""

ENCODERS: tuple[tuple[str, dict[str, str]], ...] = (
    ("libx264", {"preset": "superfast", "crf": "20", "bf": "0", "threads": "1", "mbtree": "0"}),
    ("libopenh264", {"b": "8M", "threads": "1"}),
    ("mpeg4", {"flags": "+qscale", "global_quality": "354", "bf": "0", "threads": "1"}),
)
"""Of H.264 the first that PyAV has, else MPEG-4; frames are stored in the order in which they are shown. The macroblock
tree of x264 reads memory that it has not written, so that the same images would not always give the same bytes."""

AGAIN = "remove it, so that it is drawn again"
_OPTIONS = {
    "fflags": "+bitexact",
    "movflags": "+faststart",
    "video_track_timescale": str(CLOCK),
    "movie_timescale": str(CLOCK),
}


def write_segment(path: Path, shots: Iterable[tuple[float, Array]], *, fps: float) -> Path:
    """Write images with their times as a video that begins at the first of them.

    Parameters
    ----------
    path : ``.mp4``, replaced as a whole.
    shots : seconds from the beginning of the video that it is a part of, and (H, W, 3) uint8 RGB; in order, all of one
        size. A side that is odd gets its last row or column twice.
    fps : how long the last one stays, and a hint for the encoder.

    Raises
    ------
    DataError : there is no image, or one is not later than the one before.
    """
    need("writing a video", "av")
    import av

    with replacing(path) as temporary, av.open(str(temporary), "w", format="mp4", options=_OPTIONS) as container:
        stream, last = None, -1
        for time, image in shots:
            if stream is None:
                stream = _stream(container, image, fps)
            tick = round(time * CLOCK)
            if tick <= last:
                raise DataError(f"has a frame at {time:.6f} s that is not after the one before", path=path)
            last = tick
            frame = _encodable(_even(image))
            frame.pts, frame.time_base = tick, Fraction(1, CLOCK)
            _mux(container, stream.encode(frame), fps)
        if stream is None:
            raise DataError("has no frame to write", path=path)
        _mux(container, stream.encode(), fps)
    return path


def join_segments(paths: Sequence[Path], out: Path) -> Path:
    """Write the parts of a video, in order, into one file; their encoded images are copied as they are.

    Raises
    ------
    DataError : a part is of another size or encoded otherwise than the first, or cannot be read.
    """
    need("writing a video", "av")
    import av

    with replacing(out) as temporary, av.open(str(temporary), "w", format="mp4", options=_OPTIONS) as container:
        stream: Any = None
        for path in paths:
            try:
                with av.open(str(path)) as part:
                    source, packets = _encoded(part, path)
                    if stream is None:
                        stream, kind = container.add_stream_from_template(source), _kind(source)
                    if _kind(source) != kind:
                        raise DataError(f"is encoded otherwise than {paths[0].name}", path=path, fix=AGAIN)
                    for packet in packets:
                        packet.stream = stream
                        container.mux(packet)
            except av.FFmpegError as error:
                raise DataError(f"damaged video ({error.strerror})", path=path, fix=AGAIN) from None
    return out


def _encoded(part: Any, path: Path) -> tuple[Any, list[Any]]:
    """The stream of images of an opened video, and its packets."""
    streams = part.streams.video
    packets = [packet for packet in part.demux(streams[0]) if packet.dts is not None] if streams else []
    if not packets or len(packets) < streams[0].frames or any(packet.is_corrupt for packet in packets):
        raise DataError("is cut off", path=path, fix=AGAIN)
    return streams[0], packets


def _encodable(image: Array) -> Any:
    """The image in the colours of the encoder; it is not copied where PyAV can take it as it is."""
    import av

    if hasattr(av.VideoFrame, "from_numpy_buffer"):
        frame = av.VideoFrame.from_numpy_buffer(image, format="rgb24")
    else:
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
    return frame.reformat(format="yuv420p")


def _stream(container: Any, image: Array, fps: float) -> Any:
    import av

    name, options = next((n, o) for n, o in ENCODERS if n in av.codec.codecs_available)
    stream = container.add_stream(name, rate=Fraction(fps).limit_denominator(1001), options=dict(options))
    height, width = _even(image).shape[:2]
    stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
    stream.codec_context.time_base = stream.time_base = Fraction(1, CLOCK)
    stream.codec_context.thread_count = 1
    return stream


def _mux(container: Any, packets: Any, fps: float) -> None:
    for packet in packets:
        packet.duration = round(CLOCK / fps)
        container.mux(packet)


def _kind(stream: Any) -> tuple[Any, ...]:
    context = stream.codec_context
    return context.name, context.width, context.height, context.extradata


def _even(image: Array) -> Array:
    height, width = image.shape[:2]
    if height % 2 == width % 2 == 0:
        return np.ascontiguousarray(image)
    return cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
