"""One process does a piece of work, whatever becomes of others."""

from __future__ import annotations

import json
import os
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from ehps import claims
from ehps.claims import claimed, taken


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """A claim that a process of this machine left when it was killed."""
    with taken(tmp_path, "launch"):
        facts = json.loads((tmp_path / "claim-1.json").read_text())
    (tmp_path / "claim-1.json").write_text(json.dumps(facts | {"started": facts["started"] - 1}))
    return tmp_path


def change(path: Path, **facts: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))


def test_a_claim_is_held_until_its_block_ends(tmp_path: Path) -> None:
    assert claimed(tmp_path / "run") is None
    with taken(tmp_path / "run", "a") as mine:
        assert mine is not None
        found = claimed(tmp_path / "run")
        assert found is not None
        assert (found.pid, found.live, found.attempt) == (os.getpid(), True, 1)
        with taken(tmp_path / "run", "b") as other:
            assert other is None
    assert list((tmp_path / "run").iterdir()) == []


def test_the_claim_of_a_process_that_is_gone_is_taken_over(left: Path) -> None:
    found = claimed(left)
    assert found is not None
    assert not found.live
    with taken(left, "launch") as mine:
        assert mine is not None
        assert mine.attempt == 2
        assert [path.name for path in left.iterdir()] == ["claim-2.json"]
    assert claimed(left) is None


def test_attempts_of_another_launch_do_not_count(left: Path) -> None:
    with taken(left, "other") as mine:
        assert mine is not None
        assert mine.attempt == 1


def test_the_claim_of_another_machine_is_stale_when_nobody_touches_it(left: Path) -> None:
    change(left / "claim-1.json", machine="other", host="node7")
    found = claimed(left)
    assert found is not None
    assert (found.live, found.host) == (True, "node7")
    now = (left / "claim-1.json").stat().st_mtime
    os.utime(left / "claim-1.json", (now, now - claims.LOST_AFTER - 1))
    found = claimed(left)
    assert found is not None
    assert not found.live


def test_a_claim_that_is_only_half_written_is_told_by_its_age(tmp_path: Path) -> None:
    (tmp_path / "claim-1.json").write_text('{"host": "no')
    with taken(tmp_path, "a") as mine:
        assert mine is None
    os.utime(tmp_path / "claim-1.json", (0, 0))
    with taken(tmp_path, "a") as mine:
        assert mine is not None


def test_one_of_many_takes_a_claim_over(left: Path) -> None:
    got: list[bool] = []
    ready, over = threading.Barrier(8), threading.Barrier(8)

    def work() -> None:
        ready.wait()
        with taken(left, "launch") as mine:
            got.append(mine is not None)
            over.wait()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False] * 7 + [True]


def test_who_saw_a_stale_claim_long_ago_does_not_take_what_was_made_meanwhile(
    left: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim is created after another process has taken the stale one over, and is done with it."""
    numbers, calls = claims._numbers, []

    def late(folder: Path, name: str) -> list[int]:
        seen = numbers(folder, name)
        calls.append(seen)
        if len(calls) == 1:
            with taken(left, "launch") as other:
                assert other is not None
        return seen

    stale = claims._read(left, "claim", 1)
    monkeypatch.setattr(claims, "_numbers", late)
    monkeypatch.setattr(claims, "_read", lambda *_: stale)
    with taken(left, "launch") as mine:
        assert mine is None
    assert list(left.iterdir()) == []


def test_who_has_lost_a_claim_is_told_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = threading.Event()
    monkeypatch.setattr(claims, "BEAT", 0.01)
    monkeypatch.setattr(os, "kill", lambda *_: told.set())
    with ExitStack() as stack:
        stack.enter_context(taken(tmp_path, "a"))
        (tmp_path / "claim-1.json").unlink()
        assert told.wait(5)
