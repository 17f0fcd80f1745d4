from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from ehps.converters import frames
from ehps.errors import DataError
from tests.raw.checks import truncate
from tests.raw.ubody import number_at, number_in, write_video

CLIP = "images/Speech/clip/clip"


def cut(video: Path, numbers: range | list[int], folder: Path, **options: Any) -> dict[int, int]:
    """Number in the file name -> number that the picture shows."""
    paths = [f"{CLIP}/{k:06d}.png" for k in numbers]
    frames.extract(video, paths, folder, fps=30, **{"first": 1} | options)
    return {int(p.stem): number_at(p) for p in sorted((folder / CLIP).glob("*.png"))}


def by_ffmpeg(video: Path, fps: int) -> Iterator[int]:
    """Numbers of the frames that ffmpeg's own filter gives at ``fps``."""
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        graph = av.filter.Graph()
        source, rate, sink = graph.add_buffer(template=stream), graph.add("fps", str(fps)), graph.add("buffersink")
        graph.link_nodes(source, rate, sink).configure()
        for frame in [*container.decode(stream), None]:
            graph.vpush(frame)
            while True:
                try:
                    yield number_in(graph.vpull().to_ndarray(format="bgr24"))
                except (av.BlockingIOError, av.EOFError):
                    break


def test_at_its_own_rate_every_file_is_its_frame(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", 300, 30)
    found = cut(tmp_path / "clip.mp4", range(1, 301), tmp_path / "frames")
    assert found == {k: k - 1 for k in range(1, 301)}


@pytest.mark.parametrize("rate", [25, 60, 10, Fraction(30000, 1001), Fraction(24000, 1001)])
def test_other_rates_give_the_frames_that_ffmpeg_gives(tmp_path: Path, rate: Fraction | int) -> None:
    video = tmp_path / "clip.mp4"
    write_video(video, 50, rate)
    expected = list(by_ffmpeg(video, 30))
    assert len(expected) == pytest.approx(50 * 30 / rate, abs=1)
    found = cut(video, range(1, len(expected) + 40), tmp_path / "frames")
    assert list(found) == list(range(1, len(expected) + 1))  # none past the end
    assert list(found.values()) == expected


def test_25_frames_a_second_show_every_fifth_twice(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", 20, 25)
    found = cut(tmp_path / "clip.mp4", range(1, 14), tmp_path / "frames")
    assert list(found.values()) == [0, 1, 2, 2, 3, 4, 5, 6, 7, 7, 8, 9, 10]


def test_frames_out_of_decoding_order_keep_their_numbers(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", 90, 30)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        times = [packet.pts for packet in container.demux(video=0) if packet.pts is not None]
    assert times != sorted(times)  # the film has frames that are stored after those they depend on
    assert cut(tmp_path / "clip.mp4", [90, 1, 41], tmp_path / "frames") == {1: 0, 41: 40, 90: 89}


def test_only_the_named_frames_are_cut(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", 40, 30)
    assert cut(tmp_path / "clip.mp4", [7, 3, 39], tmp_path / "frames") == {3: 2, 7: 6, 39: 38}
    assert [p.name for p in sorted(tmp_path.glob("frames/**/*.*"))] == ["000003.png", "000007.png", "000039.png"]
    assert cut(tmp_path / "clip.mp4", [0, 5], tmp_path / "counted", first=0) == {0: 0, 5: 5}


def test_pictures_that_are_there_are_kept(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", 12, 30)
    cut(tmp_path / "clip.mp4", [2, 4], tmp_path)
    (tmp_path / CLIP / "000004.png").write_bytes(b"mine")
    before = (tmp_path / CLIP / "000002.png").stat().st_mtime_ns
    paths = [f"{CLIP}/{k:06d}.png" for k in (2, 4, 6)]
    assert frames.extract(tmp_path / "clip.mp4", paths, tmp_path, fps=30, first=1) == 1
    assert (tmp_path / CLIP / "000004.png").read_bytes() == b"mine"
    assert (tmp_path / CLIP / "000002.png").stat().st_mtime_ns == before
    assert number_at(tmp_path / CLIP / "000006.png") == 5
    assert frames.extract(tmp_path / "gone.mp4", paths, tmp_path, fps=30, first=1) == 0  # nothing left to do


def test_pictures_are_stored_without_loss(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", 5, 30)
    cut(tmp_path / "clip.mp4", [4], tmp_path)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        expected = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)][3]
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / CLIP / "000004.png")), expected)


def test_absent_and_damaged_videos_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such video.*gone\.mp4|gone\.mp4.*no such video"):
        cut(tmp_path / "gone.mp4", [1], tmp_path)
    write_video(tmp_path / "clip.mp4", 30, 30)
    truncate(tmp_path / "clip.mp4")
    with pytest.raises(DataError, match="damaged video"):
        cut(tmp_path / "clip.mp4", [1], tmp_path)
    (tmp_path / "text.mp4").write_text("a page that says that the link has expired")
    with pytest.raises(DataError, match="damaged video"):
        cut(tmp_path / "text.mp4", [1], tmp_path)
