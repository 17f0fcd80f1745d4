"""``reliability`` and ``scaling`` from the command line, on tables and folders of results that are made here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from ehps.benchmark import results
from ehps.benchmark.suites.recipes import Recipe
from ehps.benchmark.suites.suite import Suite
from ehps.benchmark.training.specs import SetSpec, TrainConfig
from ehps.cli import main
from ehps.errors import DataError
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


@pytest.fixture
def suite_of_recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a suite whose third recipe has not begun; results are made up."""
    config = TrainConfig(steps=5)
    recipes = {name: Recipe(replace(config, lr=lr)) for name, lr in {"usual": 1e-3, "slow": 1e-4, "late": 1e-5}.items()}
    test = SetSpec(tmp_path / "ehf.h5", tmp_path, protocol="ehf")
    suite = Suite({"bedlam": (SetSpec(tmp_path / "b.h5", tmp_path),)}, {"ehf": test}, config, recipes=recipes)
    (tmp_path / "suite.json").write_text(json.dumps(suite.to_dict()))
    made = {"usual": numbers(0, dict.fromkeys(LEVELS, 1000)), "slow": numbers(20, dict.fromkeys(LEVELS, 1000))}
    for name in made:
        (tmp_path / name).mkdir()

    def read(folder: Path, _: object = None) -> results.Results:
        if folder.name not in made:
            raise DataError("no such folder", path=folder)
        frame = made[folder.name]
        of_instances = pd.concat([frame.assign(sequence=k, value=frame["value"] + k - 2) for k in range(5)])
        return results.Results(frame, of_instances, {}, {"run_7": "is damaged"} if folder.name == "slow" else {})

    monkeypatch.setattr(results, "read", read)
    return tmp_path


def rank(*words: object, code: int = 0) -> Result:
    done = CliRunner().invoke(main, ["analysis", "rank", *map(str, words)])
    assert done.exit_code == code, done.output
    return done


def test_each_recipe_of_a_suite_is_ranked(suite_of_recipes: Path) -> None:
    out = suite_of_recipes / "ranking.csv"
    done = rank("--results", suite_of_recipes, "--out", out)
    assert "usual: BEDLAM" in done.stdout
    assert "slow: BEDLAM" in done.stdout
    assert done.stdout.count("MPJPE") == 2
    assert "left out: late, no such folder" in done.stderr
    assert "left out: slow: run_7, is damaged" in done.stderr
    assert done.stderr.count("Intervals: Student's t") == 1
    written = pd.read_csv(out)
    assert written["recipe"].tolist() == ["usual"] * 3 + ["slow"] * 3
    by_recipe = written.groupby("recipe")["mpe"].mean()
    assert by_recipe["slow"] - by_recipe["usual"] == pytest.approx(20, abs=3)
    rank("--results", suite_of_recipes, "--out", out.with_suffix(".md"))
    assert out.with_suffix(".md").read_text().splitlines()[0].startswith("| Recipe | Rank |")
    assert rank("--results", suite_of_recipes, "--strict", code=1).stdout


def test_one_recipe_is_ranked_by_its_name(suite_of_recipes: Path) -> None:
    one = json.loads(rank("--results", suite_of_recipes, "--recipe", "slow", "--json").stdout)
    assert one == json.loads(rank("--results", suite_of_recipes / "slow", "--json").stdout)
    assert [row["train_set"] for row in one] == ["bedlam", "agora", "pw3d"]
    odd = rank("--results", suite_of_recipes, "--recipe", "fast", code=2)
    assert "there is no recipe 'fast'. There are: usual, slow, late" in odd.stderr
    other = CliRunner().invoke(main, ["analysis", "factors", "--results", str(suite_of_recipes)])
    assert "holds runs of the recipes usual, slow, late" in other.stderr


def test_repeated_trainings_stand_beside_each_recipe(suite_of_recipes: Path) -> None:
    words = [f"{name}={suite_of_recipes / name}" for name in ("usual", "slow")]
    beside = [word for name in words for word in ("--reliability", name)]
    found = json.loads(rank("--results", suite_of_recipes, *beside, "--json").stdout)
    assert {row["recipe"] for row in found["ranking"]} == {"usual", "slow"}
    holds = {(row["recipe"], row["train_set"]): row["holds_next"] for row in found["ranking"]}
    assert holds["usual", "agora"] == holds["slow", "agora"] == found["holds"]["agora"]["pw3d"]
