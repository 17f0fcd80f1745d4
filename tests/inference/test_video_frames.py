"""Videos as frames: upright, with the times of their own clock, and what is cut short."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ehps.errors import DataError, UsageError
from ehps.inference.sources import open_source

RATE = 10


def write(path: Path, times: Sequence[int], **options: str) -> Path:
    """Frames of 64 x 32 at tenths of a second, each a little brighter, with a white corner at the top left."""
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        stream.codec_context.time_base = Fraction(1, RATE)
        for number, time in enumerate(times):
            pixels = np.full((32, 64, 3), 5 * number, np.uint8)
            pixels[:16, :16] = 255
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def turned(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Write a display matrix into the track header."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in matrix)
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("matrix", "shape", "corner"),
    [
        ((0, 1, -1, 0), (64, 32), (0, -1)),
        ((0, -1, 1, 0), (64, 32), (-1, 0)),
        ((-1, 0, 0, -1), (32, 64), (-1, -1)),
        ((-1, 0, 0, 1), (32, 64), (0, -1)),
        ((1, 0, 0, -1), (32, 64), (-1, 0)),
        ((0, 1, 1, 0), (64, 32), (0, 0)),
    ],
)
def test_the_display_matrix_turns_and_mirrors(tmp_path: Path, matrix, shape, corner) -> None:
    frame = next(open_source(str(turned(write(tmp_path / "a.mp4", range(3)), matrix))).frames(0))
    corners = {(y, x): frame.pixels[y, x].mean() for y in (0, -1) for x in (0, -1)}
    assert frame.size == shape
    assert max(corners, key=corners.__getitem__) == corner


def test_times_are_those_of_the_video(tmp_path: Path) -> None:
    source = open_source(str(write(tmp_path / "a.mp4", [0, 1, 5, 6, 12])))
    assert [frame.time for frame in source.frames(0)] == pytest.approx([0, 0.1, 0.5, 0.6, 1.2])
    assert source.count == 5


def test_another_rate_and_a_stretch(tmp_path: Path) -> None:
    path = str(write(tmp_path / "a.mp4", range(20)))
    frames = list(open_source(path, fps=5, begin=0.4, end=1.6).frames(0))
    assert [frame.time for frame in frames] == pytest.approx([0.4, 0.6, 0.8, 1.0, 1.2, 1.4])
    assert frames[0].image_path == "a.mp4-5fps/000002.jpg"  # a.mp4/000002.jpg is another frame of the video
    assert frames[0].number == 2
    assert frames[0].index == 0


def test_any_start_gives_the_same_frames(tmp_path: Path) -> None:
    source = open_source(str(write(tmp_path / "a.mp4", range(12))), begin=0.2)
    whole, later = list(source.frames(0)), list(source.frames(7))
    assert [frame.image_path for frame in later] == [frame.image_path for frame in whole[7:]]
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(later, whole[7:], strict=True))


@pytest.mark.parametrize("fps", [None, 5])
def test_what_is_cut_short_gives_its_frames_and_says_so(tmp_path: Path, fps: float | None) -> None:
    path = write(tmp_path / "a.mp4", range(40), movflags="faststart")
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"mdat") + (len(content) - content.index(b"mdat")) // 2])
    frames = list(open_source(str(path), fps=fps).frames(0))
    assert len(frames) > 3
    assert all(not frame.fault for frame in frames[:-1])
    assert frames[-1].fault
    assert not frames[-1].pixels.size


def test_a_video_that_does_not_count_its_frames_is_known_to_be_cut_by_its_length(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", range(40))
    assert not any(frame.fault for frame in open_source(str(path)).frames(0))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    *frames, last = open_source(str(path)).frames(0)
    assert 3 < len(frames) < 35
    assert last.fault == f"ends after {len(frames) / RATE:.2f} of 4.00 s"


def test_a_title_in_another_alphabet_is_no_fault(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", range(3))
    path.write_bytes(path.read_bytes().replace(b"iso2", b"is\xf62", 1))  # the brands are metadata too
    assert len(list(open_source(str(path)).frames(0))) == 3


def test_damaged_videos_and_impossible_times_are_named(tmp_path: Path) -> None:
    (tmp_path / "b.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match=r"b\.mp4"):
        open_source(str(tmp_path / "b.mp4"))
    path = str(write(tmp_path / "a.mp4", range(3)))
    for options in ({"fps": 0}, {"begin": 2, "end": 1}):
        with pytest.raises(UsageError):
            open_source(path, **options)
    with pytest.raises(UsageError, match="ends after"):
        open_source(path, begin=9)
