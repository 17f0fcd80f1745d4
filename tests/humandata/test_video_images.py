"""Frames of videos as images: by their numbers, in any order, and without decoding more than is needed."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from ehps import numbered_frames, video_frames
from ehps.converters.readers.images import ImageIndex
from ehps.errors import DataError, UsageError
from ehps.humandata import HumanData
from ehps.humandata.image_checks import MISSING, UNREADABLE, check_images
from ehps.humandata.image_files import (
    ImageFolder,
    MissingImageError,
    OutsideError,
    decode,
    decoded_size,
    is_there,
    read,
    read_pixels,
    state,
    stored_size,
)
from ehps.inference.overlay_video import write_segment
from ehps.inference.sources import open_source
from tests.converters.readers.test_videos import GUESSED, LENGTH, VIDEOS, Counted, shot
from tests.inference.test_video_frames import turned, write
from tests.raw.checks import truncate
from tests.raw.ubody import number_in, write_video


@pytest.fixture(autouse=True)
def anew() -> None:
    """No decoder of another test is open."""
    numbered_frames._decoder.cache_clear()
    numbered_frames._described.cache_clear()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> type[Counted]:
    """Counts of all videos that are opened."""
    counts, opened = type("Counts", (Counted,), {}), av.open

    def open_counted(path: str, mode: str = "r", **more: Any) -> Any:
        return counts(opened(path)) if mode == "r" else opened(path, mode, **more)

    monkeypatch.setattr(av, "open", open_counted)
    return counts


def in_order(video: Path) -> list[Any]:
    """All frames as the decoder gives them."""
    with av.open(str(video)) as container:
        return [video_frames.upright(frame) for frame in container.decode(video=0)]


@pytest.mark.parametrize("name", [*VIDEOS, *GUESSED])
def test_a_number_is_the_same_frame_in_any_order(tmp_path: Path, name: str) -> None:
    video = shot(tmp_path, name)
    expected = in_order(video)
    assert numbered_frames.describe(video).count == len(expected) == LENGTH
    orders = [range(LENGTH), [*range(LENGTH - 1, 0, -7)], np.random.default_rng(0).permutation(LENGTH)[:40].tolist()]
    for order in orders:
        numbered_frames._decoder.cache_clear()
        for number in order:
            np.testing.assert_array_equal(numbered_frames.frame(video, number), expected[number], err_msg=str(number))


def test_frames_in_order_are_decoded_once_and_not_sought(tmp_path: Path, counted: type[Counted]) -> None:
    write_video(tmp_path / "a.mp4", 300, 30, options={"g": "12"})
    numbered_frames.describe(tmp_path / "a.mp4")
    counted.decoded = 0
    nearly = [k + offset for k in range(0, 300, 4) for offset in (1, 0, 3, 2)]  # as several threads ask
    assert [number_in(numbered_frames.frame(tmp_path / "a.mp4", k)) for k in nearly] == nearly
    assert counted.seeks == 0
    assert counted.decoded == 300


def test_a_frame_far_away_costs_what_is_between_it_and_its_key_frame(tmp_path: Path, counted: type[Counted]) -> None:
    write_video(tmp_path / "a.mp4", 600, 30, options={"g": "30", "sc_threshold": "1000000000"})
    numbered_frames.describe(tmp_path / "a.mp4")
    for number in (580, 20, 400, 401, 300):
        counted.decoded = counted.seeks = 0
        assert number_in(numbered_frames.frame(tmp_path / "a.mp4", number)) == number
        assert counted.seeks == (number != 401)
        assert counted.decoded <= 35


def test_a_search_in_vain_is_made_good_from_the_start(tmp_path: Path, counted: type[Counted]) -> None:
    write_video(tmp_path / "a.mp4", 200, 30, options={"g": "30"})
    for name, value in (("fails", True), ("seconds_off", 5)):
        numbered_frames._decoder.cache_clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(counted, name, value)
            assert number_in(numbered_frames.frame(tmp_path / "a.mp4", 100)) == 100
    assert counted.seeks == 2 * numbered_frames.SEARCHES


@pytest.mark.parametrize("name", VIDEOS)
def test_only_videos_whose_index_does_not_tell_are_read_wholly(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    video, read_wholly = shot(tmp_path, name), []
    by_packets = numbered_frames._by_packets
    monkeypatch.setattr(numbered_frames, "_by_packets", lambda *a: read_wholly.append(a) or by_packets(*a))
    assert numbered_frames.describe(video).count == LENGTH
    told = name.endswith(".mp4") and name not in ("uneven.mp4", "pieces.mp4")
    assert len(read_wholly) == (not told)


@pytest.mark.parametrize("wrong", [("_by_index",), ("_by_index", "_by_packets")])
def test_frames_are_right_where_the_file_states_other_times_than_the_decoder(
    tmp_path: Path, wrong: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in wrong:
        stated = getattr(numbered_frames, name)
        monkeypatch.setattr(
            numbered_frames, name, lambda *a, stated=stated: replace(made := stated(*a), times=made.times + 1)
        )
    write_video(tmp_path / "a.mp4", 90, 30, options={"g": "12"})
    for number in (50, 7, 88, 20):
        assert number_in(numbered_frames.frame(tmp_path / "a.mp4", number)) == number


def test_few_videos_are_kept_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for k in range(numbered_frames.DECODERS + 3):
        write_video(tmp_path / f"{k}.mp4", 3, 30)
        read(tmp_path / f"{k}.mp4/000001.png")
    assert numbered_frames._decoder.cache_info().currsize == numbered_frames.DECODERS


# -- as images ------------------------------------------------------------------------------------------------


def test_what_is_read_is_the_frame_that_inference_sees(tmp_path: Path) -> None:
    for name, matrix in (("a.mp4", None), ("b.mp4", (0, 1, -1, 0)), ("c.mp4", (-1, 0, 0, -1))):
        video = write(tmp_path / name, range(9))
        if matrix is not None:
            turned(video, matrix)
        for frame in open_source(str(video)).frames(0):
            path = ImageFolder(tmp_path).locate(frame.image_path)
            np.testing.assert_array_equal(read_pixels(path), frame.pixels)
            assert stored_size(path) == decoded_size(path) == frame.size


def test_a_frame_is_decoded_as_the_same_pixels_in_a_file(tmp_path: Path) -> None:
    write_video(tmp_path / "x/y.mp4", 5, 30)
    path = ImageFolder(tmp_path).locate("x/y.mp4/000003.png")
    cv2.imwrite(str(tmp_path / "3.png"), in_order(tmp_path / "x/y.mp4")[3][..., ::-1])
    for shrink in (1, 2):
        got = decode(read(path), path, shrink)
        expected = decode(read(tmp_path / "3.png"), tmp_path / "3.png", shrink)
        np.testing.assert_array_equal(got[0], expected[0])
        assert got[1:] == expected[1:]


@pytest.mark.parametrize("name", ["000005.png", "first.png", "a/000001.png", "000001", "1_000001.png"])
def test_names_that_are_no_frame_are_missing(tmp_path: Path, name: str) -> None:
    write_video(tmp_path / "x.mp4", 5, 30)
    path = ImageFolder(tmp_path).locate(f"x.mp4/{name}")
    assert not is_there(path)
    assert state(path) == ""
    for use in (read, stored_size):
        with pytest.raises(MissingImageError, match=name):
            use(path)


def test_a_folder_that_is_called_like_a_video_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").mkdir()
    cv2.imwrite(str(tmp_path / "x.mp4/000001.png"), np.zeros((6, 8, 3), np.uint8))
    assert stored_size(ImageFolder(tmp_path).locate("x.mp4/000001.png")) == (6, 8)
    assert not is_there(ImageFolder(tmp_path).locate("x.mp4/000000.png"))
    assert ImageIndex(tmp_path).present(["x.mp4/000001.png", "x.mp4/000000.png"]).tolist() == [True, False]


def test_no_video_outside_the_folder_is_read(tmp_path: Path) -> None:
    write_video(tmp_path / "outside/x.mp4", 2, 30)
    (tmp_path / "root").mkdir()
    (tmp_path / "root/x.mp4").symlink_to(tmp_path / "outside/x.mp4")
    with pytest.raises(OutsideError):
        ImageFolder(tmp_path / "root").locate("x.mp4/000001.png")


def rows(paths: list[str]) -> HumanData:
    sizes = {f"meta/{side}": np.full(len(paths), n, np.int32) for side, n in (("height", 32), ("width", 192))}
    return HumanData({"image_path": paths} | sizes)


def test_verify_and_conversion_know_which_frames_there_are(tmp_path: Path) -> None:
    write_video(tmp_path / "x/y.mp4", 5, 30)
    paths = [f"x/y.mp4/{k:06d}.png" for k in range(6)]
    for pixels in (False, True):
        check = check_images(rows(paths), tmp_path, decode=pixels)
        assert [(fault.image_path, fault.kind) for fault in check.faults] == [(paths[5], MISSING)]
    index = ImageIndex(tmp_path)
    assert index.missing(paths) == paths[5:]
    assert index.sizes(paths[:5]).tolist() == [[32, 192]] * 5
    assert index.path_on_disk(paths[0]) == paths[0]
    assert ImageIndex(tmp_path).unchanged(index.visited, index.read)
    write_video(tmp_path / "x/y.mp4", 7, 30)
    assert not ImageIndex(tmp_path).unchanged(index.visited, index.read)


def test_damaged_videos_are_named(tmp_path: Path) -> None:
    write_video(tmp_path / "x.mp4", 30, 30)
    truncate(tmp_path / "x.mp4")
    with pytest.raises(DataError, match=r"x\.mp4: damaged video"):
        read(tmp_path / "x.mp4/000001.png")
    (fault,) = check_images(rows(["x.mp4/000001.png"]), tmp_path).faults
    assert fault.kind == UNREADABLE
    with pytest.raises(DataError, match=r"x\.mp4: damaged video"):
        ImageIndex(tmp_path).missing(["x.mp4/000001.png"])


def test_frames_that_cannot_be_decoded_are_named_and_others_read(tmp_path: Path) -> None:
    video = tmp_path / "x.mp4"
    write_video(video, 200, 30, codec="libx264", options={"g": "30", "bf": "0", "sc_threshold": "0"})
    with av.open(str(video)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.pos is not None]
    with video.open("r+b") as file:
        file.seek(places[70])
        file.write(bytes(places[75] - places[70]))
    with pytest.raises(DataError, match=r"x\.mp4: damaged video: frame 72"):
        read_pixels(video / "000072.png")
    assert [number_in(read_pixels(video / f"{k:06d}.png")) for k in (130, 40, 131)] == [130, 40, 131]


def test_without_pyav_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "x.mp4", 3, 30)
    monkeypatch.setitem(sys.modules, "av", None)
    uses: list[Callable[[], object]] = [
        lambda: read(tmp_path / "x.mp4/000001.png"),
        lambda: stored_size(tmp_path / "x.mp4/000001.png"),
        lambda: check_images(rows(["x.mp4/000001.png"]), tmp_path),
        lambda: ImageIndex(tmp_path).missing(["x.mp4/000001.png"]),
    ]
    for use in uses:
        with pytest.raises(UsageError, match=r"ehps\[video\]"):
            use()


# -- threads and processes ------------------------------------------------------------------------------------


def numbers(video: Path, order: list[int], done: Callable[[object], None]) -> None:
    try:
        done([number_in(read_pixels(video / f"{k:06d}.png")) for k in order])
    except Exception as error:
        done([repr(error)])


def test_threads_and_forked_processes_do_not_disturb_each_other(tmp_path: Path) -> None:
    video = tmp_path / "x.mp4"
    write_video(video, 90, 30, options={"g": "12"})
    orders = [np.random.default_rng(k).permutation(90).tolist() for k in range(4)]
    read(video / "000040.png")  # the parent has an open decoder
    found: list[Any] = []
    threads = [threading.Thread(target=numbers, args=(video, order, found.append)) for order in orders[:2]]
    fork = get_context("fork")
    queue = fork.SimpleQueue()
    processes = [fork.Process(target=numbers, args=(video, order, queue.put)) for order in orders[2:]]
    for one in (*processes, *threads):
        one.start()
    found += [queue.get() for _ in processes]
    for one in (*processes, *threads):
        one.join()
    assert sorted(found) == sorted(orders)
    assert all(process.exitcode == 0 for process in processes)


def test_a_forked_process_frees_frames_that_it_inherits(tmp_path: Path) -> None:
    path = write_segment(
        tmp_path / "clip.mp4", ((k / 10, np.full((480, 640, 3), 20 * k, np.uint8)) for k in range(6)), fps=10
    )
    code = f"""
import os, signal
from pathlib import Path
from ehps import numbered_frames
for number in range(6):
    numbered_frames.frame(Path({str(path)!r}), number)
child = os.fork()
if not child:
    signal.alarm(20)
    numbered_frames._decoder.cache_clear()
    os._exit(0)
print(os.waitpid(child, 0)[1])
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "0"


def test_a_forked_process_does_not_wait_for_the_threads_of_a_decoder_that_it_inherits(tmp_path: Path) -> None:
    """The child collects a cycle in which the parent has left a decoder with several threads."""
    path = write_segment(
        tmp_path / "clip.mp4", ((k / 10, np.full((96, 128, 3), 20 * k, np.uint8)) for k in range(6)), fps=10
    )
    code = f"""
import gc, os, signal
gc.disable()
import ehps.video_frames
import av
container = av.open({str(path)!r})
stream = container.streams.video[0]
stream.thread_type, stream.codec_context.thread_count = "AUTO", 4
frames = container.decode(stream)
next(frames)
cycle = [container, stream, frames]
cycle.append(cycle)
del container, stream, frames, cycle
child = os.fork()
if not child:
    signal.alarm(20)
    gc.collect()
    os._exit(0)
print(os.waitpid(child, 0)[1])
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "0"
