from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from ehps.converters.readers import videos
from ehps.errors import DataError
from ehps.humandata.image_files import OutsideError
from tests.raw.checks import truncate
from tests.raw.ubody import number_at, number_in, write_video

CLIP = "images/Speech/clip/clip"
NTSC = Fraction(30000, 1001)
LENGTH = 120  # frames
TIMES = np.random.default_rng(1).choice([17, 33, 34, 50, 120, 900], LENGTH, p=[0.2, 0.3, 0.2, 0.2, 0.08, 0.02])
UNEVEN = np.cumsum(TIMES).tolist()
LATE = [60_017 + 33 * k for k in range(LENGTH)]
OPEN = {"x264-params": "open-gop=1:bframes=3:b-adapt=0:scenecut=0:keyint=16"}  # frames depend on what is before a key
VIDEOS: dict[str, dict[str, Any]] = {
    "25.mp4": {"fps": 25, "codec": "libx264", "options": {"bf": "3", "g": "24"}},
    "30.mp4": {"fps": 30, "options": {"g": "24"}},
    "29.97.mp4": {"fps": NTSC, "codec": "libx264", "options": {"bf": "2", "g": "70"}},
    "29.97.mkv": {"fps": NTSC, "options": {"g": "70"}},
    "uneven.mp4": {"fps": 30, "codec": "libx264", "options": {"g": "16"}, "times": UNEVEN},
    "uneven.mkv": {"fps": 30, "options": {"g": "16"}, "times": UNEVEN},
    "late.mp4": {"fps": 30, "options": {"g": "16"}, "times": LATE},
    "late.mkv": {"fps": 30, "options": {"g": "16"}, "times": LATE},
    "open.mp4": {"fps": 30, "codec": "libx264", "options": OPEN},
    "open.mkv": {"fps": 30, "codec": "libx264", "options": OPEN},
    "vp9.webm": {"fps": 25, "codec": "libvpx-vp9", "options": {"g": "20", "cpu-used": "8"}},
    "pieces.mp4": {"fps": 30, "codec": "libx264", "options": {"g": "16"}, "muxer": {"movflags": "frag_keyframe"}},
}
GUESSED: dict[str, dict[str, Any]] = {  # videos whose files do not tell the time of every frame
    "mpeg2.mpg": {"fps": 30, "codec": "mpeg2video", "options": {"bf": "2", "g": "12"}},
    "h264.ts": {"fps": 30, "codec": "libx264", "options": {"g": "16"}},
    "mpeg4.avi": {"fps": 30, "options": {"g": "16"}},
}


class Counted:
    """A video that PyAV has opened. Counts decoded frames and seeks, and spoils these where it is told:
    they fail, end so many seconds from where they should, or between key frames."""

    decoded = 0
    seeks = 0
    fails = False
    seconds_off = 0.0
    any_frame = False

    def __init__(self, container: Any) -> None:
        self.container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self.container, name)

    def __enter__(self) -> Counted:
        return self

    def __exit__(self, *error: Any) -> None:
        self.container.close()

    def decode(self, stream: Any) -> Iterator[Any]:
        for frame in self.container.decode(stream):
            type(self).decoded += 1
            yield frame

    def seek(self, offset: int, *, stream: Any) -> None:
        type(self).seeks += 1
        if self.fails:
            raise av.error.PermissionError(1, "Operation not permitted")
        offset += int(self.seconds_off / stream.time_base)
        self.container.seek(offset, stream=stream, any_frame=self.any_frame)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> type[Counted]:
    """Counts of all videos that are read in a test."""
    counts, opened = type("Counts", (Counted,), {}), av.open

    def open_counted(path: str, mode: str = "r", **more: Any) -> Any:
        return counts(opened(path)) if mode == "r" else opened(path, mode, **more)

    monkeypatch.setattr(av, "open", open_counted)
    return counts


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short videos are searched like long ones."""
    monkeypatch.setattr(videos, "SEEK_FROM", 0)


def shot(folder: Path, name: str) -> Path:
    """A video of :data:`VIDEOS` or :data:`GUESSED`."""
    settings = (VIDEOS | GUESSED)[name]
    if settings.get("codec", "mpeg4") not in av.codecs_available:
        pytest.skip(f"PyAV comes without {settings['codec']}")
    write_video(folder / name, LENGTH, **settings)
    return folder / name


def images(video: Path, first: int, last: int = 10**6) -> dict[int, Any]:
    """Index -> (H, W, 3) image, as :func:`frames.extract` gets them for what is wanted from ``first`` to ``last``;
    of those before ``first`` that it gets to see, the very first as well."""
    found = {}
    for index, frame in videos._frames_at(video, 30, first):
        if not found or index >= first:
            found[index] = frame.to_ndarray(format="bgr24")
        if index >= last:
            break
    return found


def from_the_start(video: Path) -> dict[int, Any]:
    """Index -> image of a whole video, which no search is for."""
    return images(video, 0)


def cut(video: Path, numbers: range | list[int], folder: Path, **options: Any) -> dict[int, int]:
    """Number in the file name -> number that the image shows."""
    paths = [f"{CLIP}/{k:06d}.png" for k in numbers]
    videos.extract(video, paths, folder, fps=30, **{"first": 1} | options)
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
    write_video(tmp_path / "clip.mp4", LENGTH, 30)
    found = cut(tmp_path / "clip.mp4", range(1, LENGTH + 1), tmp_path / "frames")
    assert found == {k: k - 1 for k in range(1, LENGTH + 1)}


@pytest.mark.parametrize("rate", [25, 60, 10, NTSC, Fraction(24000, 1001)])
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
    assert times != sorted(times)  # the video has frames that are stored after those they depend on
    assert cut(tmp_path / "clip.mp4", [90, 1, 41], tmp_path / "frames") == {1: 0, 41: 40, 90: 89}


def test_only_the_named_frames_are_cut(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", 40, 30)
    assert cut(tmp_path / "clip.mp4", [7, 3, 39], tmp_path / "frames") == {3: 2, 7: 6, 39: 38}
    assert [p.name for p in sorted(tmp_path.glob("frames/**/*.*"))] == ["000003.png", "000007.png", "000039.png"]
    assert cut(tmp_path / "clip.mp4", [0, 5], tmp_path / "counted", first=0) == {0: 0, 5: 5}


def test_images_that_are_there_are_kept(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", 12, 30)
    cut(tmp_path / "clip.mp4", [2, 4], tmp_path)
    (tmp_path / CLIP / "000004.png").write_bytes(b"mine")
    before = (tmp_path / CLIP / "000002.png").stat().st_mtime_ns
    paths = [f"{CLIP}/{k:06d}.png" for k in (2, 4, 6)]
    assert videos.extract(tmp_path / "clip.mp4", paths, tmp_path, fps=30, first=1) == 1
    assert (tmp_path / CLIP / "000004.png").read_bytes() == b"mine"
    assert (tmp_path / CLIP / "000002.png").stat().st_mtime_ns == before
    assert number_at(tmp_path / CLIP / "000006.png") == 5
    assert videos.extract(tmp_path / "gone.mp4", paths, tmp_path, fps=30, first=1) == 0  # nothing left to do


@pytest.mark.parametrize("name", ["../out/000001.png", "a/../../000001.png", "/tmp/000001.png"])
def test_no_frame_is_written_outside_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "frames").mkdir()
    with pytest.raises(OutsideError):
        videos.extract(tmp_path / "none.mp4", ["a/000002.png", name], tmp_path / "frames", fps=30)
    assert list(tmp_path.rglob("*.png")) == []


def test_images_whose_names_are_no_numbers_are_not_cut(tmp_path: Path) -> None:
    assert videos.extract(tmp_path / "none.mp4", ["a/first.png", "a/000001.exe", "a/1"], tmp_path, fps=30) == 0


def test_images_are_stored_without_loss(tmp_path: Path) -> None:
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


# -- long videos -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VIDEOS)
@pytest.mark.usefixtures("short")
def test_a_search_for_the_key_frame_changes_no_image(tmp_path: Path, counted: type[Counted], name: str) -> None:
    video = shot(tmp_path, name)
    expected = from_the_start(video)
    assert counted.seeks == 0
    assert len({number_in(image) for image in expected.values()}) > 80
    for first in range(2, len(expected), 5):
        found = images(video, first, first + 4)
        assert [index for index in found if index >= first] == list(expected)[first : first + 5]
        for index, image in found.items():
            np.testing.assert_array_equal(image, expected[index], err_msg=f"image {index}")
    counted.decoded = counted.seeks = 0
    assert max(images(video, len(expected))) < len(expected)  # nothing past the end
    assert counted.seeks == 1
    assert 0 < counted.decoded < LENGTH


@pytest.mark.parametrize("name", GUESSED)
@pytest.mark.usefixtures("short")
def test_videos_without_the_time_of_every_frame_are_decoded_from_the_start(
    tmp_path: Path, counted: type[Counted], name: str
) -> None:
    video = shot(tmp_path, name)
    expected = from_the_start(video)
    found = images(video, 100)
    assert list(found) == [0, *range(100, LENGTH)]
    for index in found:
        np.testing.assert_array_equal(found[index], expected[index])
    assert counted.seeks == 0


@pytest.mark.parametrize("spoilt", [{"fails": True}, {"seconds_off": 5}, {"any_frame": True}])
@pytest.mark.usefixtures("short")
def test_a_search_in_vain_is_made_good_from_the_start(
    tmp_path: Path, counted: type[Counted], spoilt: dict[str, Any]
) -> None:
    write_video(tmp_path / "clip.mp4", 300, 30, options={"g": "60"})
    for name, value in spoilt.items():
        setattr(counted, name, value)
    assert cut(tmp_path / "clip.mp4", [165, 250], tmp_path) == {165: 164, 250: 249}
    assert counted.seeks == 1


@pytest.mark.usefixtures("short")
def test_a_search_may_end_a_little_late(tmp_path: Path, counted: type[Counted]) -> None:
    """As where it goes by the times at which frames are decoded, which is before they are on screen."""
    write_video(tmp_path / "clip.mp4", 300, 30, options={"g": "30"})
    counted.seconds_off = 0.5
    assert cut(tmp_path / "clip.mp4", [238], tmp_path) == {238: 237}
    assert counted.decoded < 100


def test_little_is_decoded_for_the_end_of_a_video(tmp_path: Path, counted: type[Counted]) -> None:
    write_video(tmp_path / "clip.mp4", 400, 30, options={"g": "30"})
    assert cut(tmp_path / "clip.mp4", range(371, 401), tmp_path) == {k: k - 1 for k in range(371, 401)}
    assert counted.decoded < 120


def test_in_the_beginning_of_a_video_there_is_no_search(tmp_path: Path, counted: type[Counted]) -> None:
    write_video(tmp_path / "clip.mp4", 300, 30)
    cut(tmp_path / "clip.mp4", [31], tmp_path)
    assert counted.seeks == 0
    assert counted.decoded < 40


def test_damage_after_the_key_frame_is_named_and_before_it_not_met(tmp_path: Path, counted: type[Counted]) -> None:
    video = tmp_path / "clip.mp4"
    write_video(video, 600, 30, codec="libx264", options={"g": "30", "bf": "0", "sc_threshold": "0"})
    with av.open(str(video)) as settings:
        places = [packet.pos for packet in settings.demux(video=0) if packet.pos is not None]
    with video.open("r+b") as file:
        file.seek(places[250])
        file.write(bytes(places[255] - places[250]))
    assert cut(video, [331, 340], tmp_path) == {331: 330, 340: 339}
    for wanted in (260, 20):  # with a search and without
        with pytest.raises(DataError, match=r"clip\.mp4: damaged video"):
            cut(video, [wanted, 290], tmp_path)
    assert counted.seeks == 2


# -- sizes ------------------------------------------------------------------------------------------------------


def test_size_of_the_images_of_a_video(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", 3, 30)
    assert videos.image_size(tmp_path / "clip.mp4", default=(5, 6)).tolist() == [32, 192]
    (tmp_path / "text.mp4").write_text("a page that says that the link has expired")
    for name in ("text.mp4", "gone.mp4"):
        assert videos.image_size(tmp_path / name, default=(5, 6)).tolist() == [5, 6]
