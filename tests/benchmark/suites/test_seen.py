"""What run folders say of what was seen, and how fast."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ehps.benchmark.seen import Seen, seen_by, speed_of
from ehps.benchmark.suites.runs import Run
from ehps.errors import DataError

LENGTHS = {"bedlam": 300, "spec": 100}


def run_of(folder: Path, log: tuple[tuple[int, float | None], ...] = ((6, 20.0), (10, 40.0)), **config: Any) -> Run:
    """A run folder on two sets, of ten steps of eight images."""
    run = Run(folder)
    sets = [{"dataset": name, "split": "train", "interval": 1, "instances": n} for name, n in LENGTHS.items()]
    world = [
        {"from_step": 0, "processes": 1, "accumulate": 1, "device": "chip", "driver": ""},
        {"from_step": 6, "processes": 4, "accumulate": 1, "device": "chip", "driver": ""},
    ]
    run.note(train_set="both", model="tiny", trained_on=sets, world=world)
    usual = {"steps": 10, "epochs": None, "batch_size": 8, "strategy": "concat", "total_length": None, "sets": [{}, {}]}
    (folder / "config.yaml").write_text(json.dumps({**usual, **config}))
    lines = [{"step": step, "images_per_second": speed} for step, speed in log]
    (folder / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


def seen(run: Run) -> Seen:
    return seen_by(run.folder, run.manifest)


@pytest.mark.parametrize(
    ("config", "share"),
    [
        ({}, 0.75),
        ({"strategy": "balance"}, 0.5),
        ({"strategy": "balance", "total_length": 80, "sets": [{"weight": 20}, {"weight": 60}]}, 0.25),
        ({"strategy": "mixture", "sets": [{"weight": 0.9}, {"weight": 0.1}]}, 0.9),
    ],
)
def test_shares_are_those_that_the_strategy_draws(tmp_path: Path, config: dict[str, Any], share: float) -> None:
    found = seen(run_of(tmp_path / "run", **config))
    assert found.shares == pytest.approx({"bedlam": share, "spec": 1 - share})
    assert found.instances == 80
    assert found.seconds == pytest.approx(6 * 8 / 20 + 4 * 8 / 40)


def test_steps_of_epochs_are_those_that_were_logged(tmp_path: Path) -> None:
    assert seen(run_of(tmp_path / "run", epochs=0.2, steps=1000)).instances == 80
    with pytest.raises(DataError, match="how many steps"):
        seen(run_of(tmp_path / "without", (), epochs=0.2))


@pytest.mark.parametrize("log", [(), ((6, 20.0),), ((6, None), (10, 40.0)), ((10, 20.0), (10, 40.0))])
def test_time_is_not_known_where_the_log_lacks_a_part(tmp_path: Path, log: Any) -> None:
    assert seen(run_of(tmp_path / "run", log)).seconds is None


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ({"sets": [{}]}, "has 1 sets, the manifest 2"),
        ({"steps": 0}, "no training has"),
        ({"strategy": "other"}, "no training has"),
        ({"sets": [{"weight": 0}, {}]}, "no training has"),
        ({"batch_size": "many"}, "batch_size"),
    ],
)
def test_damaged_runs_are_refused(tmp_path: Path, config: dict[str, Any], what: str) -> None:
    with pytest.raises(DataError, match=what):
        seen(run_of(tmp_path / "run", **config))
    run_of(tmp_path / "old").note(trained_on=[])
    with pytest.raises(DataError, match="does not say what it was trained on"):
        seen(Run(tmp_path / "old"))


def test_speed_is_of_one_of_the_devices_that_made_the_steps(tmp_path: Path) -> None:
    run_of(tmp_path / "run", ((6, 20.0), (10, 40.0), (12, 80.0)))
    found = speed_of(tmp_path)
    assert (found.images_per_second, found.lines, found.runs) == (20.0, 3, 1)  # of 20, 40 / 4 and 80 / 4
    other = run_of(tmp_path / "other")
    other.note(world=[{"from_step": 0, "processes": 1, "accumulate": 1, "device": "slow chip", "driver": ""}])
    with pytest.raises(DataError, match="tiny on chip, tiny on slow chip"):
        speed_of(tmp_path)
