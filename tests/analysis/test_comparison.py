"""Agreement of rankings against scipy, and the sets that move."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ehps.analysis import published
from ehps.analysis.comparison import compare, compare_all, moves_sentences, presentable
from ehps.errors import DataError


def ranking(order: list[int]) -> pd.DataFrame:
    return pd.DataFrame({"rank": order, "train_set": [f"set{i}" for i in range(len(order))]})


def test_measures_are_those_of_scipy() -> None:
    s, b = (published.all_points(model).set_index("train_set")["rank"] for model in ("smpler_x_s", "smpler_x_b"))
    found = compare(*(published.all_points(model) for model in ("smpler_x_s", "smpler_x_b")))
    assert len(found.frame) == 31
    assert found.spearman_interval.value == pytest.approx(stats.spearmanr(s, b.reindex(s.index)).statistic)
    assert found.kendall_interval.value == pytest.approx(stats.kendalltau(s, b.reindex(s.index)).statistic)
    shared = set(s.sort_values().index[:10]) & set(b.sort_values().index[:10])
    assert found.overlap.value == len(shared) / 10
    for part in (found.spearman_interval, found.kendall_interval, found.overlap):
        assert part.low <= part.value <= part.high


def test_drawn_measures_are_those_of_the_drawn_sets() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.permutation(12).astype(float), rng.permutation(12).astype(float)
    found = compare(ranking(list(a)), ranking(list(b)), bootstrap=50, seed=3)
    draws = np.random.default_rng(3).integers(12, size=(50, 12))
    # compare sorts by the rank of the first.
    order = np.argsort(a, kind="stable")
    taus = [stats.kendalltau(a[order][d], b[order][d]).statistic for d in draws]
    rhos = [stats.spearmanr(a[order][d], b[order][d]).statistic for d in draws]
    assert found.kendall_interval.low == pytest.approx(np.percentile(taus, 2.5))
    assert found.spearman_interval.high == pytest.approx(np.percentile(rhos, 97.5))


def test_the_interval_holds_the_true_correlation() -> None:
    rng = np.random.default_rng(0)
    hits = []
    for _ in range(60):
        x = rng.standard_normal(30)
        y = 0.8 * x + 0.6 * rng.standard_normal(30)
        rank_of = [list(pd.Series(v).rank()) for v in (x, y)]
        found = compare(*map(ranking, rank_of), bootstrap=300).spearman_interval
        hits.append(found.low <= 6 / np.pi * np.arcsin(0.4) <= found.high)
    assert np.mean(hits) >= 0.85


def test_few_shared_sets_have_no_interval_and_fewer_are_refused() -> None:
    found = compare(ranking([1, 2, 3, 4]), ranking([2, 1, 3, 4]))
    assert np.isnan(found.spearman_interval.low)
    assert "(" not in str(found.spearman_interval)
    with pytest.raises(DataError, match="share 2 datasets"):
        compare_all({"a": ranking([1, 2]), "b": ranking([2, 1])})


def test_sets_that_move_most_come_first() -> None:
    rankings = {"a": ranking([1, 2, 3, 4, 5, 6]), "b": ranking([6, 1, 2, 3, 4, 5]), "c": ranking([1, 2, 3, 4, 6, 5])}
    compared, moved = compare_all(rankings, moves=2)
    assert compared[["a", "b"]].to_numpy().tolist() == [["a", "b"], ["a", "c"], ["b", "c"]]
    first = moved.iloc[0]
    assert (first["train_set"], first["rank_a"], first["rank_b"], first["moved"]) == ("set0", 1, 6, 5)
    assert moves_sentences(moved)[0].startswith("a to b, most moved: set0 1 to 6")
    assert list(presentable(compared)) == ["A", "B", "Datasets", "Spearman", "Kendall tau-b", "Same among the best 3"]
    again, _ = compare_all(rankings, moves=2)
    pd.testing.assert_frame_equal(compared, again)
