"""A ranking with the probabilities of repeated trainings beside it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from ehps.analysis import reliability
from ehps.analysis.ranking_reliability import with_reliability
from ehps.analysis.ranking_table import headline, presentable, reliability_note
from ehps.benchmark import results
from ehps.benchmark.suites.matrix import Suite
from ehps.benchmark.suites.recipes import Recipe
from ehps.benchmark.suites.runs import SUITE, write_json
from ehps.benchmark.training.specs import SetSpec, TrainConfig
from ehps.cli import main
from ehps.errors import DataError, UsageError
from tests.analysis_results import LEVELS, numbers

ORDER = ("a", "b", "c", "d")


def ranked(groups: tuple[str, ...] = ("a", "b", "c", "d")) -> pd.DataFrame:
    """Four sets that their test data tell apart as ``groups`` say."""
    frame = pd.DataFrame({"rank": pd.array([1, 2, 3, 4], "Int64"), "train_set": list(ORDER), "model": "tiny"})
    tied = [str(rank) for rank in range(1, 5)]
    return frame.assign(mpe=[80.0, 81, 90, 95], tied=tied, group=list(groups), missing="")


def repeated(levels: dict[str, float], spread: float = 0.5) -> reliability.Reliability:
    rng = np.random.default_rng(0)
    rows = [
        (name, recipe, seed, level + rng.normal(0, spread))
        for name, level in levels.items()
        for recipe in ("usual", "slow")
        for seed in range(3)
    ]
    return reliability.reliability(pd.DataFrame(rows, columns=list(reliability.COLUMNS)))


def test_an_order_that_does_not_hold_is_a_tie() -> None:
    found = with_reliability(ranked(), repeated({"a": 80, "b": 80, "c": 90, "d": 100}))
    assert found["tied"].tolist() == ["1-2", "1-2", "3", "4"]
    assert found["group"].tolist() == ["a", "a", "b", "c"]
    assert 0.05 < found["holds_next"][0] < 0.95
    assert (found["holds_next"][1:3] > 0.99).all()
    assert np.isnan(found["holds_next"][3])
    assert presentable(found)["Holds"].tolist()[2:] == ["> 99 %", ""]
    assert "cannot be told apart" in headline(found)[0]
    assert "2 recipes, 3 seeds each" in reliability_note(found)
    assert reliability_note(ranked()) == ""


def test_repeated_trainings_in_the_other_order_are_a_tie_not_a_proof() -> None:
    found = with_reliability(ranked(), repeated({"a": 90, "b": 80, "c": 100, "d": 110}))
    assert found["holds_next"][0] < 0.01
    assert found["tied"].tolist()[:2] == ["1-2", "1-2"]


def test_what_the_test_data_cannot_tell_apart_stays_tied_and_what_was_not_repeated_stays_as_it_was() -> None:
    found = with_reliability(ranked(("a", "a", "b", "c")), repeated({"a": 80, "b": 90, "d": 110}))
    assert found["tied"].tolist() == ["1-2", "1-2", "3", "4"]
    assert found["holds_next"].isna().tolist() == [False, True, True, True]
    assert "Not trained repeatedly: c." in reliability_note(found)
    with pytest.raises(DataError, match="fewer than two were trained repeatedly; these were: x, y"):
        with_reliability(ranked(), repeated({"x": 1.0, "y": 2.0}))
    with pytest.raises(UsageError, match="of one model"):
        with_reliability(ranked().assign(model=["tiny", "tiny", "other", "other"]), repeated({"a": 80, "b": 90}))


def test_the_folder_of_a_suite_stands_for_its_recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = dict.fromkeys(LEVELS, 1000)
    made = {"usual": numbers(0, sizes), "slow": numbers(20, sizes)}
    config = TrainConfig()
    spec = SetSpec(tmp_path / "a.h5", tmp_path)
    test = SetSpec(tmp_path / "t.h5", tmp_path, protocol="ehf")
    suite = Suite({"a": (spec,)}, {"ehf": test}, config, recipes=dict.fromkeys(made, Recipe(config)))
    write_json(tmp_path / SUITE, suite.to_dict())
    for name in made:
        (tmp_path / name).mkdir()

    def read(folder: Path, measures: object = None) -> results.Results:
        return results.Results(made[Path(folder).name], pd.DataFrame(), {}, {})

    monkeypatch.setattr(results, "read", read)
    table = tmp_path / "table.csv"
    pd.DataFrame({"train_set": list(LEVELS), "mpe": [100.0, 104.0, 150.0]}).to_csv(table, index=False)
    words = ["analysis", "rank", "--results", str(table), "--reliability", str(tmp_path)]
    figure = tmp_path / "pairs.png"
    done = CliRunner().invoke(main, [*words, "--figure", str(figure), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [row["tied"] for row in found["ranking"]] == ["1-2", "1-2", "3"]
    assert found["ranking"][0]["holds_next"] == pytest.approx(found["holds"]["bedlam"]["agora"])
    assert figure.stat().st_size > 5000
    shown = CliRunner().invoke(main, words)
    assert "Holds" in shown.stdout
    assert "2 recipes, 3 seeds each" in shown.stderr
    (tmp_path / "slow").rmdir()
    assert "has no run yet" in CliRunner().invoke(main, words).stderr
    assert CliRunner().invoke(main, [*words[:2], *words[4:]]).exit_code == 2
    assert CliRunner().invoke(main, [*words[:4], "--figure", "x.png"]).exit_code == 2
