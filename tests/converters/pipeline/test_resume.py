from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from fake_dataset import Hall

from ehps.converters.pipeline import convert
from ehps.converters.pipeline.report import Report
from ehps.humandata import HumanData

HERE = Path(__file__).parent
SCRIPT = """
import sys
from pathlib import Path
from fake_dataset import Hall
from ehps.converters.pipeline import convert

raw, out, models, jobs, sleep = sys.argv[1:]
convert(Hall, raw, out=out, body_models=models, jobs=int(jobs), options={"sleep": sleep}, progress=False)
"""


def run(raw: Path, out: Path, models: Path, **options: Any) -> Report:
    return convert(Hall, raw, out=out, body_models=models, progress=False, **options)


def start(raw: Path, out: Path, models: Path, jobs: int, sleep: float) -> subprocess.Popen[bytes]:
    paths = os.pathsep.join([str(HERE.parent), str(HERE.parents[2]), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(raw), str(out), str(models), str(jobs), str(sleep)],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )


def kill(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for(parts: Path, pattern: str, count: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while len(list(parts.glob(pattern))) < count:
        assert time.monotonic() < deadline
        assert process.poll() is None, "ended before it could be killed"
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("jobs", "pattern", "count"),
    [(1, "lock", 1), (1, "00000-*.h5", 1), (1, "*.json", 2), (1, "*.json", 3), (2, "*.json", 2)],
)
def test_a_killed_run_ends_in_the_same_bytes(
    hall: Path, tmp_path: Path, body_models: Path, jobs: int, pattern: str, count: int
) -> None:
    whole, out = tmp_path / "whole.h5", tmp_path / "out.h5"
    run(hall, whole, body_models, options={"sleep": "0.2"})
    out.write_bytes(b"earlier result")
    process = start(hall, out, body_models, jobs, 0.2)
    wait_for(tmp_path / "out.h5.parts", pattern, count, process)
    kill(process)
    assert out.read_bytes() == b"earlier result"
    done = len(list((tmp_path / "out.h5.parts").glob("0*.json")))
    report = run(hall, out, body_models, options={"sleep": "0.2"}, jobs=jobs)
    assert report.reused == done
    assert out.read_bytes() == whole.read_bytes()
    assert not (tmp_path / "out.h5.parts").exists()


@pytest.fixture
def interrupted(own_hall: Path, tmp_path: Path, body_models: Path) -> tuple[Path, Path, Path]:
    """Raw tree, output and parts of a run whose last unit could not be read; that unit is whole again."""
    out, last = tmp_path / "out.h5", own_hall / "sequences/walk_2.npz"
    content = last.read_bytes()
    last.write_bytes(b"")
    with pytest.raises(Exception, match="walk_2"):
        run(own_hall, out, body_models)
    last.write_bytes(content)
    return own_hall, out, tmp_path / "out.h5.parts"


def test_only_what_is_missing_is_done(interrupted: tuple[Path, Path, Path], body_models: Path) -> None:
    raw, out, _ = interrupted
    assert run(raw, out, body_models).reused == 2


@pytest.mark.parametrize(
    "change", [{"strict_images": True}, {"limit": 11}, {"options": {"given": "x"}}, {"split": "test"}]
)
def test_another_request_starts_anew(
    interrupted: tuple[Path, Path, Path], body_models: Path, change: dict[str, Any]
) -> None:
    raw, out, _ = interrupted
    assert run(raw, out, body_models, **change).reused == 0


def test_other_body_models_start_anew(interrupted: tuple[Path, Path, Path], body_models: Path, tmp_path: Path) -> None:
    raw, out, _ = interrupted
    other = tmp_path / "other/smplx"
    other.mkdir(parents=True)
    for gender in ("MALE", "FEMALE"):
        (other / f"SMPLX_{gender}.npz").symlink_to(body_models / f"smplx/SMPLX_{gender}.npz")
    assert run(raw, out, other.parent).reused == 0


def test_a_changed_raw_file_costs_its_unit_only(interrupted: tuple[Path, Path, Path], body_models: Path) -> None:
    raw, out, _ = interrupted
    os.utime(raw / "sequences/walk_0.npz", ns=(1, 1))
    assert run(raw, out, body_models).reused == 1


def test_a_changed_shared_file_starts_anew(interrupted: tuple[Path, Path, Path], body_models: Path) -> None:
    raw, out, _ = interrupted
    (raw / "calibration.json").write_text("{}")
    assert run(raw, out, body_models).reused == 0


def test_images_that_came_later_are_seen(own_hall: Path, tmp_path: Path, body_models: Path) -> None:
    out, image, last = tmp_path / "out.h5", own_hall / "images/walk_1/002.jpg", own_hall / "sequences/walk_2.npz"
    pixels, content = image.read_bytes(), last.read_bytes()
    image.unlink()
    last.write_bytes(b"")
    with pytest.raises(Exception, match="walk_2"):
        run(own_hall, out, body_models)
    image.write_bytes(pixels)
    last.write_bytes(content)
    report = run(own_hall, out, body_models)
    assert report.reused == 1
    assert report.written == 12


@pytest.mark.parametrize("damage", ["rows cut", "rows gone", "note cut"])
def test_a_damaged_part_is_made_again(interrupted: tuple[Path, Path, Path], body_models: Path, damage: str) -> None:
    raw, out, parts = interrupted
    rows, note = parts / "00000-walk_0.h5", parts / "00000-walk_0.json"
    if damage == "rows cut":
        rows.write_bytes(rows.read_bytes()[:-100])
    elif damage == "rows gone":
        rows.unlink()
    else:
        note.write_text(note.read_text()[:50])
    report = run(raw, out, body_models)
    assert report.reused == 1
    assert len(HumanData.open(out)) == 12
