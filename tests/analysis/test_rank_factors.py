from itertools import permutations
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from scipy import stats

from ehps.analysis import correlation, published
from ehps.analysis.factor_figure import four_panels
from ehps.analysis.rank_factors import card_attributes, factors, figure
from ehps.errors import DataError, UsageError

SIZES = [10, 1000, 300, 20_000, 5000, 100, 90_000, 40]
RANKED = pd.DataFrame(
    {"rank": range(1, 9), "train_set": list("abcdefgh"), "mpe": [80.0, 84, 90, 91, 99, 120, 121, 150]}
)
ATTRIBUTES = pd.DataFrame(
    {"instances": SIZES, "appearance": ["synthetic"] * 3 + ["real"] * 5, "same": ["x"] * 8}, index=list("abcdefgh")
)


def test_size_is_correlated_as_scipy_does():
    row = factors(RANKED, ATTRIBUTES, permutations=19_999).set_index("factor").loc["instances"]
    expected = stats.spearmanr(np.log(SIZES), RANKED["mpe"])
    orders = np.array(list(permutations(stats.zscore(stats.rankdata(SIZES)))))  # all 40,320
    every = orders @ stats.zscore(stats.rankdata(RANKED["mpe"])) / len(SIZES)
    assert row["spearman"] == pytest.approx(expected.statistic)
    assert row["p"] == pytest.approx(np.mean(np.abs(every) >= abs(expected.statistic) - 1e-9), abs=0.015)
    assert row["n"] == 8


def test_levels_have_their_means_and_the_p_value_of_all_splits():
    table = factors(RANKED, ATTRIBUTES, permutations=19_999)
    rows = table[table["factor"] == "appearance"].set_index("level")
    assert rows.loc["synthetic", "mean_rank"] == 2
    assert rows.loc["real", "mean_mpe"] == pytest.approx(np.mean([91, 99, 120, 121, 150]))
    # 3 of 8: 56 splits, of which only one has ranks 1..3 together; H is also as large for ranks 6..8.
    assert rows["p"].iloc[0] == pytest.approx(2 / 56, abs=0.005)
    assert "same" not in set(table["factor"])


def test_several_tests_are_corrected():
    np.testing.assert_allclose(correlation.holm(np.array([0.04, 0.01, np.nan, 0.03])), [0.06, 0.03, np.nan, 0.06])
    table = factors(RANKED, ATTRIBUTES)
    assert (table["p_holm"] >= table["p"]).all()


def test_kruskal_equals_scipy_with_ties():
    values, groups = np.array([1, 1, 2, 3, 3, 4, 5.0]), np.array(list("aabbabb"))
    expected = stats.kruskal(*(values[groups == g] for g in "ab")).statistic
    assert correlation.kruskal(values, groups).value == pytest.approx(expected)


def test_too_few_pairs_have_no_correlation():
    assert np.isnan(correlation.spearman(np.array([1, 2]), np.array([1, 2])).value)
    assert np.isnan(correlation.kendall(np.array([1, 1, 1]), np.array([1, 2, 3])).value)


def test_a_published_ranking_has_ranks_only():
    ranks = published.single_dataset_ranks()
    looks = pd.DataFrame({"id": ["mscoco", "ssp3d", "renbody"], "appearance": ["in the wild", "in the wild", "studio"]})
    table = factors(ranks, looks)
    assert table.attrs["target"] == "rank"
    assert "mean_mpe" not in table
    row = table[table["factor"] == "instances"].iloc[0]
    assert row["n"] == 3


def test_frames_that_do_not_fit_are_refused():
    with pytest.raises(DataError):
        factors(RANKED, ATTRIBUTES.rename(index=str.upper))
    with pytest.raises(UsageError, match="scene"):
        figure(RANKED, ATTRIBUTES, "scene")
    with pytest.raises(UsageError):
        factors(pd.concat([RANKED, RANKED]), ATTRIBUTES)


def test_cards_become_attributes():
    words = {
        "appearance": "real",
        "scene": "indoor",
        "persons": "one",
        "annotation": "network",
        "body_source": "EFT",
        "body_model": "smpl",
    }
    card = SimpleNamespace(
        id="x", splits={"val": 9, "train": 5}, default_split="train", annotation_note="synthetic, exact", **words
    )
    points_only = SimpleNamespace(**{**vars(card), "id": "y", "body_model": None})
    frame = card_attributes([card, points_only])
    assert frame.loc["x"].to_dict() == words
    assert frame.loc["y", "body_model"] == "none"


def test_the_figure_shows_every_set_by_name_on_a_logarithmic_axis():
    (axes,) = figure(RANKED, ATTRIBUTES).axes
    assert axes.get_xscale() == "log"
    assert sorted(text.get_text() for text in axes.texts) == list("abcdefgh")
    points = np.concatenate([group.get_offsets() for group in axes.collections])
    assert sorted(map(tuple, np.asarray(points))) == sorted(
        zip(map(float, SIZES), map(float, range(1, 9)), strict=True)
    )
    low, high = axes.get_ylim()
    assert low > high


def test_ties_of_tables_are_ties_of_figures():
    tied = ["1-2", "1-2", "3", "4-6", "4-6", "4-6", "7", "8"]
    ranked, looks = RANKED.assign(tied=tied), ATTRIBUTES.assign(scene="x", annotation="y")
    for drawn in (figure(ranked, looks), four_panels(ranked, looks, target="rank")):
        axes = drawn.axes[0]
        assert "ties" in drawn.get_supxlabel()
        bars = [bar for group in axes.collections if isinstance(group, LineCollection) for bar in group.get_segments()]
        spans = {float(bar[0, 0]): tuple(bar[:, 1]) for bar in bars}
        assert spans == {10: (1, 2), 1000: (1, 2), 20_000: (4, 6), 5000: (4, 6), 100: (4, 6)}
        said = [text.get_text() for text in axes.texts]
        assert {"a   1-2", "b   1-2", "c   3"} <= set(said)
    assert "ties" not in figure(RANKED, ATTRIBUTES).get_supxlabel()


def test_published_points_are_hollow_where_their_name_is_not_sure():
    ranks = published.single_dataset_ranks()
    looks = pd.DataFrame({"appearance": "real"}, index=ranks["train_set"])
    named, unnamed = figure(ranks, looks).axes[0].collections
    filled = [len(named.get_facecolor()) and bool(colour[3]) for colour in named.get_facecolor()]
    assert sum(filled) == (ranks["identification"] == "confirmed").sum() == 7
    assert len(unnamed.get_offsets()) == ranks.attrs["unnamed"]
    assert not unnamed.get_facecolor().any()


def test_p_values_say_how_many_ranks_are_inferred_or_missing():
    ranks = published.single_dataset_ranks()
    looks = pd.DataFrame({"appearance": "real"}, index=ranks["train_set"])
    caution = factors(ranks, looks).attrs["caution"]
    assert caution == (
        "p-values are of 15 ranked sets: the names of 8 of them are inferred; "
        "17 more have no known dataset or no rank, and are missing"
    )
    assert factors(RANKED, ATTRIBUTES).attrs["caution"] == ""
    assert "1 more" in factors(RANKED, ATTRIBUTES.drop(index="c")).attrs["caution"]
