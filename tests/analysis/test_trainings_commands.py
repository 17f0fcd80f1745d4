"""``reliability`` and ``scaling`` from the command line, on tables and folders of results that are made here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from ehps.benchmark import results
from ehps.cli import main
from tests.analysis_results import LEVELS, numbers


@pytest.fixture
def two_recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Folders whose results are made up."""
    sizes = dict.fromkeys(LEVELS, 1000)
    made = {tmp_path / "usual": numbers(0, sizes), tmp_path / "slow": numbers(20, sizes)}
    for folder in made:
        folder.mkdir()
    monkeypatch.setattr(
        results, "read", lambda folder: results.Results(made[Path(folder)], pd.DataFrame(), {}, {"run_7": "is damaged"})
    )
    return [f"{folder.name}={folder}" for folder in made]


def test_pairs_that_are_far_apart_hold_and_close_ones_do_not(two_recipes: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(
        main, ["analysis", "reliability", *two_recipes, "--json", "--figure", str(tmp_path / "pairs.png")]
    )
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["recipes"], found["seeds"]) == (2, 3)
    assert found["holds"]["bedlam"]["pw3d"] > 0.95
    assert 0.5 < found["holds"]["bedlam"]["agora"] < 0.95
    assert [row["tied"] for row in found["sets"]] == ["1-2", "1-2", "3"]
    assert "usual: run_7, is damaged" in done.stderr
    assert (tmp_path / "pairs.png").stat().st_size > 5000


def test_curves_of_a_table_say_what_is_an_extrapolation(tmp_path: Path) -> None:
    sizes = np.array([1000, 3000, 10_000, 30_000])
    rows = [(name, n, 50 + k * 5 + 700 * n**-0.35) for k, name in enumerate(("bedlam", "agora")) for n in sizes]
    rows += [(name, n, error + 0.5) for name, n, error in rows]
    table = tmp_path / "trainings.csv"
    pd.DataFrame(rows, columns=["train_set", "instances", "error"]).to_csv(table, index=False)
    done = CliRunner().invoke(main, ["analysis", "scaling", "--trainings", str(table), "--at", "1000000", "--json"])
    assert done.exit_code == 0, done.output
    bedlam, agora = json.loads(done.stdout)
    assert (bedlam["train_set"], agora["train_set"]) == ("bedlam", "agora")
    assert bedlam["error"] == pytest.approx(50.25 + 700 * 1e6**-0.35, abs=1.5)
    assert bedlam["low"] <= bedlam["error"] <= bedlam["high"]
    assert "33.3 times the largest training on bedlam" in done.stderr
    pd.DataFrame(rows[:1], columns=["train_set", "size", "error"]).to_csv(table, index=False)
    refused = CliRunner().invoke(main, ["analysis", "scaling", "--trainings", str(table), "--at", "10"])
    assert refused.exit_code != 0
    assert "instances" in str(refused.exception) + refused.output
