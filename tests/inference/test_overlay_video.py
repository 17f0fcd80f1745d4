"""Videos in parts: times are kept, parts join without a difference, and the same images give the same bytes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ehps.errors import DataError
from ehps.inference import overlay_video
from ehps.inference.overlay_video import join_segments, write_segment

av = pytest.importorskip("av")

Array = npt.NDArray[Any]
STEPS = np.random.default_rng(0).choice([0.04, 0.1, 1001 / 30000], 14)
TIMES = np.concatenate([[0.0], np.cumsum(STEPS)]).tolist()
"""Of a video whose frames do not come at one rate."""


def shots(first: int, stop: int, size: tuple[int, int] = (61, 91)) -> list[tuple[float, Array]]:
    return [(TIMES[k], np.full((*size, 3), 16 * k, np.uint8)) for k in range(first, stop)]


def read(path: Path) -> tuple[list[float], Array]:
    """Times, and the grey of each frame."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    grey = [int(frame.to_ndarray(format="rgb24")[20, 20, 0]) for frame in frames]
    return [float(frame.pts * frame.time_base) for frame in frames], np.array(grey)


@pytest.fixture(params=[0, -1], ids=["H.264", "MPEG-4"])
def encoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The first choice, and the last where that is not there."""
    monkeypatch.setattr(overlay_video, "ENCODERS", overlay_video.ENCODERS[request.param :])
    return str(overlay_video.ENCODERS[0][0])


def parts(folder: Path) -> list[Path]:
    ends = (0, 6, 7, 15)
    return [write_segment(folder / f"{a:02d}.mp4", iter(shots(a, b)), fps=25) for a, b in pairwise(ends)]


def test_parts_become_one_video_with_the_times_of_the_input(tmp_path: Path, encoder: str) -> None:
    times, grey = read(join_segments(parts(tmp_path), tmp_path / "out.mp4"))
    np.testing.assert_allclose(times, TIMES, atol=1e-5)
    np.testing.assert_allclose(grey, 16 * np.arange(15), atol=6)


def test_a_part_can_be_watched_by_itself(tmp_path: Path, encoder: str) -> None:
    times, grey = read(parts(tmp_path)[2])
    np.testing.assert_allclose(times, TIMES[7:], atol=1e-5)
    assert abs(grey[0] - 112) < 6


def test_the_same_images_give_the_same_bytes(tmp_path: Path, encoder: str) -> None:
    first, second = (join_segments(parts(tmp_path / name), tmp_path / f"{name}.mp4") for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_odd_sizes_get_a_row_and_a_column_more(tmp_path: Path) -> None:
    path = write_segment(tmp_path / "a.mp4", shots(0, 2), fps=25)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.height, stream.width, stream.pix_fmt) == (62, 92, "yuv420p")


def test_what_cannot_be_written_or_joined_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no frame"):
        write_segment(tmp_path / "a.mp4", [], fps=25)
    with pytest.raises(DataError, match="not after the one before"):
        write_segment(tmp_path / "a.mp4", [*shots(0, 3), *shots(2, 3)], fps=25)
    small, large = (
        write_segment(tmp_path / f"{n}.mp4", shots(0, 2, size), fps=25) for n, size in enumerate([(60, 90), (64, 96)])
    )
    with pytest.raises(DataError, match=r"encoded otherwise than 0\.mp4"):
        join_segments([small, large], tmp_path / "out.mp4")
    for length, what in ((200, "cut off"), (len(large.read_bytes()) - 9, "cut off"), (0, "damaged video")):
        (tmp_path / "cut.mp4").write_bytes(large.read_bytes()[:length])
        with pytest.raises(DataError, match=what):
            join_segments([tmp_path / "cut.mp4"], tmp_path / "out.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.mp4", "1.mp4", "cut.mp4"]
