"""Greedy coverage on points whose coverage is known by other means."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from ehps.analysis.greedy_coverage import Covers, covers
from ehps.analysis.samples import Samples
from ehps.analysis.set_distances import coverage_table
from ehps.errors import DataError

NOTHING = pd.DataFrame(columns=["dataset", "attribute", "reason"])


def samples(sizes: dict[str, int], seed: int = 0) -> Samples:
    """Sets of two attributes; those whose names end in ``(test)`` are test sets."""
    rng = np.random.default_rng(seed)
    roles = {name: "test" if name.endswith("(test)") else "train" for name in sizes}
    values = {
        attribute: {name: rng.normal(k % 3, 0.6, (n, 2)) for k, (name, n) in enumerate(sizes.items())}
        for attribute in ("body_pose", "betas")
    }
    return Samples(roles, values, NOTHING)


def by_hand(**hits: str) -> Covers:
    """Covers of test samples of equal weight: ``1`` where a set covers one."""
    found = {name: np.array([word == "1" for word in row]) for name, row in hits.items()}
    n = len(next(iter(found.values())))
    return Covers(found, np.full(n, 1 / n), {"betas": (n, 1)}, ("t",), ())


def test_the_share_of_one_set_is_its_coverage_in_the_table() -> None:
    drawn = samples({"a": 60, "b": 200, "c": 90, "x (test)": 70, "y (test)": 60})
    found, table = covers(drawn, seed=3), coverage_table(drawn, permutations=0, seed=3)
    for name in "abc":
        expected = table[table["train_set"] == name].groupby(["attribute", "test_set"])["coverage"].mean().mean()
        assert found.share([name]) == pytest.approx(expected)
    assert found.attributes == {"body_pose": (60, 5), "betas": (60, 5)}
    assert found.tests == ("x", "y")
    assert found.share("ab") >= max(found.share("a"), found.share("b"))


def test_each_set_adds_most_of_what_is_left() -> None:
    found = by_hand(large="1111110000", copy="1111100000", small="0000001110", last="0000000001", none="0000000000")
    assert [name for name, _ in found.order(found.hits, 9)] == ["large", "small", "last"]
    assert [added for _, added in found.order(found.hits, 9)] == pytest.approx([0.6, 0.3, 0.1])
    assert [name for name, _ in found.order(found.hits, 2)] == ["large", "small"]
    assert [name for name, _ in found.order(["copy", "small"], 9)] == ["copy", "small"]
    assert [name for name, _ in found.order(found.hits, 3, must=["none", "copy"])] == ["copy", "none", "small"]


def test_it_is_within_the_bound_of_the_best_choice() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        hits = {name: "".join(rng.choice(["0", "1"], 30, p=[0.75, 0.25])) for name in "abcdefg"}
        found = by_hand(**hits)
        best = max(found.share(names) for names in combinations("abcdefg", 3))
        assert sum(added for _, added in found.order("abcdefg", 3)) >= (1 - 1 / np.e) * best


def test_an_attribute_that_a_training_set_lacks_is_left_out_and_named() -> None:
    drawn = samples({"a": 60, "b": 60, "x (test)": 60, "y (test)": 5})
    del drawn.values["betas"]["b"]  # type: ignore[attr-defined]
    found = covers(drawn)
    assert list(found.attributes) == ["body_pose"]
    assert found.left_out == ("body pose of y (test): too few samples", "body shape: too few samples of b")
    assert found.tests == ("x",)
    with pytest.raises(DataError, match="no attribute of a test set can be compared"):
        covers(samples({"a": 60, "x (test)": 5}))
