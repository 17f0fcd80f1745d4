"""Planted rankings whose sets differ, or do not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ehps.analysis import figures, ties
from ehps.analysis.ranking import rank
from ehps.analysis.ranking_table import headline, neighbours, presentable
from ehps.errors import DataError
from tests.analysis.test_ranking import results

TESTS = ("agora", "ubody", "egobody_ego", "pw3d", "ehf")
LEVELS = {"bedlam": 80.0, "agora": 80.0, "mscoco": 95.0, "h36m": 130.0, "pw3d": 130.0}
"""True mean primary errors: two sets are equally good, one is apart, two are equally bad."""


def planted(seed: int, levels: dict[str, float] = LEVELS, sequences: int = 15) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Results and errors: what all sets find hard in a sequence, and each set's own part, 20 frames each."""
    rng = np.random.default_rng(seed)
    parts = []
    for test_set in TESTS:
        hard = rng.normal(0, 25, sequences)
        for name, level in levels.items():
            values = np.repeat(level + hard + rng.normal(0, 6, sequences), 20) + rng.normal(0, 10, sequences * 20)
            metric, part = ("MPJPE", "body") if test_set == "pw3d" else ("PVE", "all")
            names = {"train_set": name, "test_set": test_set, "metric": metric, "part": part}
            parts.append(pd.DataFrame(names | {"sequence": np.repeat(np.arange(sequences), 20), "value": values}))
    errors = pd.concat(parts, ignore_index=True).astype({"sequence": str})
    means = errors.groupby(["train_set", "test_set"])["value"].mean()
    cells = {name: means[name].to_dict() for name in levels}
    return results(cells), errors


def test_a_planted_ranking_with_ties_is_found() -> None:
    numbers, errors = planted(3)
    ranked = rank(numbers, errors)
    assert ranked["tied"].tolist() == ["1-2", "1-2", "3", "4-5", "4-5"]
    assert ranked["group"].tolist() == ["a", "a", "b", "c", "c"]
    assert set(ranked["train_set"][:2]) == {"bedlam", "agora"}
    assert [row["apart"] for row in ranked.attrs["differences"]] == [False, True, True, False]
    shown = presentable(ranked)
    assert shown["Rank"].tolist() == ranked["tied"].tolist()
    (first, seeds) = headline(ranked)
    assert "AGORA" in first
    assert "BEDLAM" in first
    assert "cannot be told apart" in first
    assert "one seed" in seeds
    assert figures.intervals(ranked).get_suptitle().replace("\n", " ") == first
    assert [t.get_text()[-3:] for t in figures.heat_map(ranked).axes[0].get_yticklabels()][:2] == ["1-2", "1-2"]


def test_equal_sets_are_seldom_told_apart() -> None:
    alike = [set(rank(*planted(seed, dict.fromkeys("abcd", 90.0), 6))["group"]) == {"a"} for seed in range(30)]
    assert np.mean(alike) >= 0.9


def test_the_difference_is_in_its_interval_and_its_sentence() -> None:
    levels = {"bedlam": 80.0, "agora": 95.0}
    ranked = rank(*planted(0, levels))
    (row,) = ranked.attrs["differences"]
    assert row["difference"] == pytest.approx(ranked["mpe"][1] - ranked["mpe"][0])
    assert row["low"] < 15 < row["high"]
    assert row["p_holm"] == row["p"] < 1e-6
    assert headline(ranked)[0].startswith("BEDLAM is best:")
    table = neighbours(ranked)
    assert table["Told apart"].tolist() == ["yes"]
    assert table["p, corrected"].tolist() == ["< 0.001"]


def test_two_share_a_letter_exactly_where_they_are_not_apart() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        apart = np.triu(rng.random((7, 7)) < 0.5, 1)
        apart = apart | apart.T
        held = [set(ties.words(text)) for text in ties.letters(apart)]
        shared = np.array([[bool(a & b) for b in held] for a in held])
        np.testing.assert_array_equal(shared, ~apart)


def test_a_chain_is_not_one_group() -> None:
    apart = np.abs(np.subtract.outer(range(4), range(4))) > 1
    assert ties.letters(apart) == ["a", "ab", "bc", "c"]
    assert ties.letters(np.zeros((0, 0), bool)) == []


def test_equal_means_without_errors_are_ties_and_nothing_else_is_said_to_be_one() -> None:
    cells = {name: dict.fromkeys(TESTS, value) for name, value in (("a", 90.0), ("b", 90.0), ("c", 91.0))}
    ranked = rank(results(cells))
    assert ranked["tied"].tolist() == ["1-2", "1-2", "3"]
    assert "group" not in ranked


def test_too_few_clusters_say_nothing_of_who_is_apart() -> None:
    ranked = rank(*planted(0, sequences=2))
    assert ranked["mpe_low"].isna().all()
    assert set(ranked["group"]) == {""}
    assert "is not known, for want of intervals" in headline(ranked)[0]
    assert "Group" not in presentable(ranked)


def test_a_metric_that_is_better_where_it_is_higher_is_refused() -> None:
    numbers, _ = planted(0)
    numbers["better"] = np.where(numbers["test_set"] == "ehf", "higher", "lower")
    with pytest.raises(DataError, match="EHF PVE is better where it is higher"):
        rank(numbers)
    with pytest.raises(DataError, match="is in %"):
        rank(numbers.assign(better="lower", unit="%"))
