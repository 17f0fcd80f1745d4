from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_dataset import Hall

from ehps import claims
from ehps.converters.pipeline import conversion_request, convert
from ehps.converters.pipeline.parts import CLAIMS
from ehps.converters.pipeline.report import Report
from ehps.humandata import HumanData


def run(raw: Path, out: Path, models: Path, **options: Any) -> Report:
    return convert(Hall, raw, out=out, body_models=models, progress=False, **options)


def converting(raw: Path, out: Path, models: Path, jobs: int) -> None:
    os.setsid()  # so that its own processes can be killed with it
    run(raw, out, models, jobs=jobs, options={"sleep": "0.2"}, overwrite=True)


def wait_for(parts: Path, pattern: str, count: int, ended: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while len(list(parts.glob(pattern))) < count:
        assert time.monotonic() < deadline
        assert not ended(), "ended before it could be killed"
        time.sleep(0.005)


def wait_for_the_end_of_all(parts: Path) -> None:
    """A killed process takes a while to end, and who converts meanwhile joins those that are left."""
    deadline = time.monotonic() + 60
    while any(claim.live for claim in claims.all_claimed(parts / CLAIMS).values()):
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture(scope="module")
def whole(hall: Path, tmp_path_factory: pytest.TempPathFactory, body_models: Path) -> bytes:
    """What a run that nobody kills writes."""
    out = tmp_path_factory.mktemp("whole") / "whole.h5"
    run(hall, out, body_models, options={"sleep": "0.2"})
    return out.read_bytes()


@pytest.mark.parametrize(
    ("jobs", "pattern", "count"),
    [(1, "*/00000-*.h5", 1), (1, "*/*.json", 3), (2, "*/*.json", 2)],
)
@pytest.mark.usefixtures("forks")
def test_a_killed_run_ends_in_the_same_bytes(
    hall: Path, whole: bytes, tmp_path: Path, body_models: Path, jobs: int, pattern: str, count: int
) -> None:
    out = tmp_path / "out.h5"
    out.write_bytes(b"earlier result")
    parts = tmp_path / "out.h5.parts"
    fork = multiprocessing.get_context("fork")  # a new interpreter would import everything again
    process = fork.Process(target=converting, args=(hall, out, body_models, jobs))
    process.start()
    wait_for(parts, pattern, count, lambda: not process.is_alive())
    os.killpg(process.pid, signal.SIGKILL)
    process.join()
    wait_for_the_end_of_all(parts)
    assert out.read_bytes() == b"earlier result"
    done = len(list((tmp_path / "out.h5.parts").glob("*/0*.json")))
    options: dict[str, Any] = {"options": {"sleep": "0.2"}, "overwrite": True}
    report = run(hall, out, body_models, **options, jobs=jobs, backend="threading")
    assert report.finished_before == done
    assert out.read_bytes() == whole
    assert not (tmp_path / "out.h5.parts").exists()


@pytest.fixture
def interrupted(own_hall: Path, tmp_path: Path, body_models: Path) -> tuple[Path, Path, Path]:
    """Raw tree, output and parts of a run whose last unit could not be read and is whole again."""
    out, last = tmp_path / "out.h5", own_hall / "sequences/walk_2.npz"
    content = last.read_bytes()
    last.write_bytes(b"")
    with pytest.raises(Exception, match="walk_2"):
        run(own_hall, out, body_models)
    last.write_bytes(content)
    (parts,) = (path for path in (tmp_path / "out.h5.parts").iterdir() if path.is_dir())
    return own_hall, out, parts


def test_only_what_is_missing_is_done(interrupted: tuple[Path, Path, Path], body_models: Path) -> None:
    raw, out, _ = interrupted
    assert run(raw, out, body_models).finished_before == 2


@pytest.mark.parametrize(
    "change", [{"strict_images": True}, {"limit": 11}, {"options": {"given": "x"}}, {"split": "test"}]
)
def test_another_request_starts_anew(
    interrupted: tuple[Path, Path, Path], body_models: Path, change: dict[str, Any]
) -> None:
    raw, out, _ = interrupted
    assert run(raw, out, body_models, **change).finished_before == 0


def test_other_body_models_start_anew(interrupted: tuple[Path, Path, Path], body_models: Path, tmp_path: Path) -> None:
    raw, out, _ = interrupted
    other = tmp_path / "other/smplx"
    other.mkdir(parents=True)
    for gender in ("MALE", "FEMALE"):
        (other / f"SMPLX_{gender}.npz").symlink_to(body_models / f"smplx/SMPLX_{gender}.npz")
    assert run(raw, out, other.parent).finished_before == 0


def test_a_changed_raw_file_costs_its_unit_only(interrupted: tuple[Path, Path, Path], body_models: Path) -> None:
    raw, out, _ = interrupted
    path = raw / "sequences/walk_0.npz"
    with np.load(path) as stored:
        content = dict(stored)
    np.savez(path, **content | {"betas": content["betas"] + 0.1})
    assert run(raw, out, body_models).finished_before == 1


def test_a_changed_file_beside_it_costs_the_units_that_opened_it(
    own_hall: Path, tmp_path: Path, body_models: Path
) -> None:
    out, last, calibration = tmp_path / "out.h5", own_hall / "sequences/walk_2.npz", own_hall / "calibration.json"
    content = last.read_bytes()
    last.write_bytes(b"")
    with pytest.raises(Exception, match="walk_2"):
        run(own_hall, out, body_models)
    last.write_bytes(content)
    calibration.write_text(json.dumps({"focal": [500.0, 500.0]}))
    assert run(own_hall, out, body_models).finished_before == 0
    assert (np.asarray(HumanData.open(out)["meta/focal_length"]) == 500).all()


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
    assert report.finished_before == 1
    assert report.written == 12


@pytest.mark.parametrize("damage", ["rows cut", "rows gone", "a bit of rows turned", "note cut"])
def test_a_damaged_part_is_made_again(interrupted: tuple[Path, Path, Path], body_models: Path, damage: str) -> None:
    raw, out, parts = interrupted
    rows, note = parts / "00000-walk_0.h5", parts / "00000-walk_0.json"
    if damage == "rows cut":
        rows.write_bytes(rows.read_bytes()[:-100])
    elif damage == "rows gone":
        rows.unlink()
    elif damage == "a bit of rows turned":
        content = bytearray(rows.read_bytes())
        content[content.index(np.asarray(HumanData.open(rows)["bbox_xywh"]).tobytes())] ^= 1
        rows.write_bytes(content)
    else:
        note.write_text(note.read_text()[:50])
    report = run(raw, out, body_models)
    assert report.finished_before == 1
    assert len(HumanData.open(out)) == 12


# -- other requests ---------------------------------------------------------------------------------------------


def stop_at_the_last(raw: Path, out: Path, models: Path, **options: Any) -> Path:
    """The folder of parts of a run whose last unit could not be read, and is whole again."""
    last = raw / "sequences/walk_2.npz"
    content, status = last.read_bytes(), last.stat()
    last.write_bytes(b"")
    with pytest.raises(Exception, match="walk_2"):
        run(raw, out, models, **options)
    last.write_bytes(content)
    os.utime(last, ns=(status.st_atime_ns, status.st_mtime_ns))
    folders = [path for path in out.with_name(out.name + ".parts").iterdir() if path.is_dir()]
    return max(folders, key=lambda path: path.stat().st_mtime_ns)


def test_parts_of_another_request_are_named_and_kept(
    interrupted: tuple[Path, Path, Path], body_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw, out, parts = interrupted
    kept = {path.name: path.read_bytes() for path in parts.iterdir()}
    report = convert(Hall, raw, "test", out, body_models=body_models, options={"given": "x"})
    (said,) = report.other_requests
    assert "2 finished units of another request" in said
    assert "split train, now test; option given not given, now x" in said
    assert "--discard" in said
    assert capsys.readouterr().err.count(said) == 1
    assert json.loads((out.with_name("out.h5.report.json")).read_text())["other_requests"] == [said]
    assert {path.name: path.read_bytes() for path in parts.iterdir()} == kept
    again = run(raw, out, body_models, overwrite=True)
    assert (again.finished_before, again.other_requests) == (2, [])
    assert not parts.parent.exists()


def test_each_request_finds_its_own_parts(own_hall: Path, tmp_path: Path, body_models: Path) -> None:
    out = tmp_path / "out.h5"
    train, test = (stop_at_the_last(own_hall, out, body_models, split=split) for split in ("train", "test"))
    assert train != test
    assert json.loads((test / "request.json").read_text())["split"] == "test"
    assert run(own_hall, out, body_models, split="train").finished_before == 2
    assert run(own_hall, out, body_models, split="test", overwrite=True).finished_before == 2
    assert not train.parent.exists()


def test_parts_of_other_requests_can_be_discarded(interrupted: tuple[Path, Path, Path], body_models: Path) -> None:
    raw, out, parts = interrupted
    report = run(raw, out, body_models, strict_images=True, discard=True)
    assert report.other_requests == [
        "discarded: 2 finished units of another request (strict images off, now on)",
    ]
    assert not parts.parent.exists()


def test_discarding_keeps_what_the_request_itself_has_finished(
    interrupted: tuple[Path, Path, Path], body_models: Path
) -> None:
    raw, out, _ = interrupted
    assert run(raw, out, body_models, discard=True).finished_before == 2


def test_a_request_without_finished_units_leaves_nothing_behind(
    own_hall: Path, tmp_path: Path, body_models: Path
) -> None:
    out = tmp_path / "out.h5"
    with pytest.raises(Exception, match="nothing called 'pose' is in it"):
        run(own_hall, out, body_models, options={"fault": "crash"})
    assert run(own_hall, out, body_models).other_requests == []
    assert not (tmp_path / "out.h5.parts").exists()


@pytest.mark.parametrize("discard", [False, True])
def test_parts_of_an_earlier_version_are_those_of_another_request(
    hall: Path, tmp_path: Path, body_models: Path, discard: bool
) -> None:
    out, old = tmp_path / "out.h5", tmp_path / "out.h5.parts"
    old.mkdir()
    files = {"request.json", "report.json", "00000-walk_0.h5", "00000-walk_0.json"}
    for name in files:
        (old / name).write_text("{}")
    report = run(hall, out, body_models, discard=discard)
    (said,) = report.other_requests
    assert "1 finished unit of another request (written by an earlier version of ehps)" in said
    assert report.finished_before == 0
    left = {path.name for path in old.iterdir()} - {"lock"} if old.exists() else set()
    assert left == (set() if discard else files)


def test_changed_code_starts_anew_and_is_named(
    interrupted: tuple[Path, Path, Path], body_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, out, _ = interrupted
    before = conversion_request.code_of(Hall)
    monkeypatch.setattr(conversion_request, "code_of", lambda _: before | {"fake_dataset": "0"})
    report = run(raw, out, body_models)
    assert report.finished_before == 0
    assert "(code (fake_dataset))" in report.other_requests[0]
