import numpy as np
import pandas as pd
import pytest

from ehps.analysis.selection import select
from ehps.arrays import strided
from ehps.errors import DataError, UsageError

RANKED = pd.DataFrame({"rank": pd.array([1, 2, 3, 4, None], dtype="Int64"), "train_set": list("abcde")})
SIZES = {"a": 1000, "b": 1000, "c": 100, "d": 5000, "e": 10}


def test_rank_alone_decides_without_distances():
    chosen = select(RANKED, SIZES, 600, sets=3)
    assert chosen["dataset"].tolist() == ["a", "b", "c"]
    # c is smaller than a third: whole; the rest, 500, is shared: every 4th of 1000.
    assert chosen["instances"].tolist() == [250, 250, 100]
    assert chosen["interval"].tolist() == [4, 4, 1]
    assert "every 4th" in chosen["reason"][0]
    assert "all instances" in chosen["reason"][2]


def test_near_copies_give_way_to_different_sets():
    distances = pd.DataFrame(10.0, index=list("abcd"), columns=list("abcd"))
    distances.loc["a", "b"] = distances.loc["b", "a"] = 0.1
    np.fill_diagonal(values := distances.to_numpy(copy=True), 0)
    distances.loc[:, :] = values
    by_rank = select(RANKED, SIZES, 600, sets=2, distances=distances, diversity=0)
    assert by_rank["dataset"].tolist() == ["a", "b"]
    diverse = select(RANKED, SIZES, 600, sets=2, distances=distances, diversity=0.5)
    assert diverse["dataset"].tolist() == ["a", "c"]
    assert "10.00 from a" in diverse["reason"][1]


@pytest.mark.parametrize("budget", [2, 7, 333, 1999, 10**6])
def test_the_budget_is_kept_and_used(budget):
    chosen = select(RANKED, SIZES, budget, sets=4)
    total = chosen["instances"].sum()
    assert total <= budget
    for row in chosen.itertuples():
        assert row.instances == len(strided(row.available, row.interval))
    assert total >= min(budget, 7100) * 0.99
    if budget == 10**6:
        assert total == 7100


def test_sets_that_cannot_be_chosen_are_named():
    chosen = select(RANKED, {"a": 5}, 100)
    assert chosen.attrs["left_out"] == {
        "b": "not available",
        "c": "not available",
        "d": "not available",
        "e": "no rank",
    }
    with pytest.raises(DataError):
        select(RANKED, {"z": 5}, 100)
    with pytest.raises(UsageError):
        select(RANKED, SIZES, 0)


def test_two_sets_of_which_nearly_all_fits_are_nearly_whole():
    chosen = select(RANKED, {"a": 100_000, "b": 100_000}, 190_000)
    assert chosen["instances"].sum() > 189_900
    assert "one in 1.0527 instances" in chosen["reason"][0]


def test_some_must_be_taken_and_some_never():
    chosen = select(RANKED, SIZES, 600, sets=2, must=["d"], never=["a"])
    assert chosen["dataset"].tolist() == ["d", "b"]
    assert chosen["reason"][0].startswith("wanted (must), rank 4")
    assert chosen.attrs["left_out"]["a"] == "not wanted (never)"


@pytest.mark.parametrize(
    ("must", "never", "what"),
    [
        (["x"], [], "x is no dataset"),
        ([], ["x"], "x is no dataset"),
        (["a"], ["a"], "a is to be taken .must. and not"),
        (["e"], [], "e is to be taken .must. and cannot be: no rank"),
        (["a", "b", "c"], [], "3 datasets are to be taken .must., and at most 2"),
    ],
)
def test_what_cannot_be_met_is_one_sentence(must, never, what):
    with pytest.raises(UsageError, match=what):
        select(RANKED, SIZES, 600, sets=2, must=must, never=never)
