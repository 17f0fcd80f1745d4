"""A log gets a line now and then, and none for what is done at once."""

import pytest

from ehps import progress


def test_a_log_says_how_far_a_long_task_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    with progress.counting("decoding images", 3000) as advance:
        advance(1000)
        advance(1500)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["decoding images: 1,000 of 3,000", "decoding images: 2,500 of 3,000"]


@pytest.mark.parametrize("show", [True, False])
def test_a_short_task_says_nothing(show: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.counting("decoding images", 3, show=show) as advance:
        advance(3)
    assert capsys.readouterr().err == ""
