"""A log gets a line now and then, and none for what is done at once; a terminal gets bars."""

from __future__ import annotations

import re
import sys

import pytest

from ehps import progress


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of a log is due at once."""
    monkeypatch.setattr(progress, "EVERY", 0.0)


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines of the log without their times."""
    lines = capsys.readouterr().err.splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in lines)
    return [line[9:] for line in lines]


@pytest.mark.usefixtures("always")
def test_a_log_says_how_far_a_long_task_is(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.counting("decoding images", 3000, show=True) as advance:
        advance(1000)
        advance(1500, note="loss 0.5")
    assert said(capsys) == [
        "decoding images: 1,000 of 3,000, 0 s left",
        "decoding images: 2,500 of 3,000, loss 0.5, 0 s left",
        "decoding images: 2,500 of 3,000, loss 0.5, 0 s",
    ]


@pytest.mark.parametrize("show", [True, False, None])
def test_a_short_task_says_nothing(show: bool | None, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.counting("decoding images", 3, show=show) as advance:
        advance(3)
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("always")
def test_the_program_decides_what_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress.over(range(2), "counting")) == [0, 1]
    assert said(capsys) == []
    with progress.shown():
        assert list(progress.over(iter("ab"), "reading", total=2)) == ["a", "b"]
    assert len(said(capsys)) == 3
    with progress.shown(quiet=True):
        assert progress.is_quiet()
        list(progress.over(range(2), "counting", show=True))
    assert said(capsys) == []
    assert not progress.is_quiet()


def test_stages_are_said_when_they_begin_and_with_verbose_when_they_end(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.shown(), progress.stage("cell 1 of 2"):
        assert said(capsys) == ["cell 1 of 2"]
    assert said(capsys) == []
    with progress.shown(verbose=True), progress.stage("cell 2 of 2"):
        list(progress.over(range(3), "predicting"))
    assert said(capsys) == ["cell 2 of 2", "predicting: 3 of 3, 0 s", "cell 2 of 2: done in 0 s"]


def test_bars_within_each_other_share_one_display(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with progress.shown(), progress.stage("cell 3 of 30 [old] [/x]"):
        bars = progress._Wanted.bars
        assert bars is not None
        for _ in progress.over(range(2), "predicting [step=1]"):
            assert progress._Wanted.bars is bars
    assert progress._Wanted.bars is None
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "cell 3 of 30 [old] [/x]" in captured.err
    assert "predicting [step=1]" in captured.err


@pytest.mark.parametrize(("seconds", "words"), [(12.4, "12 s"), (600, "10 min"), (9000, "2.5 h")])
def test_a_duration_is_in_the_unit_that_fits(seconds: float, words: str) -> None:
    assert progress.duration(seconds) == words
