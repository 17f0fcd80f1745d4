"""Planted differences between sets that vary with recipe and seed."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ehps.analysis import reliability
from ehps.analysis.benchmarks import MPE_BENCHMARKS
from ehps.errors import DataError
from tests.analysis.test_ranking import results

RECIPES, SEEDS = ("plain", "slow", "augmented", "both"), (0, 1, 2)


def planted(
    rng: np.random.Generator, levels: dict[str, float], of_recipe: float, of_seed: float, seeds: tuple[int, ...] = SEEDS
) -> pd.DataFrame:
    rows = []
    favours = {(name, recipe): rng.normal(0, of_recipe) for name, recipe in product(levels, RECIPES)}
    for name, recipe, seed in product(levels, RECIPES, seeds):
        error = levels[name] + favours[name, recipe] + rng.normal(0, of_seed)
        rows.append((name, recipe, seed, error))
    return pd.DataFrame(rows, columns=list(reliability.COLUMNS))


def test_what_is_far_apart_holds_and_what_is_alike_is_a_tie() -> None:
    levels = {"far": 120.0, "one": 80.0, "other": 80.0}
    found = reliability.reliability(planted(np.random.default_rng(0), levels, 1.0, 1.0))
    assert found.sets[-1] == "far"
    assert (found.holds[:2, 2] > 0.99).all()
    assert 0.1 < found.holds[0, 1] < 0.95
    assert found.tied()["tied"].tolist() == ["1-2", "1-2", "3"]
    assert found.tied()["group"].tolist() == ["a", "a", "b"]
    np.testing.assert_allclose(found.holds + found.holds.T, 1)
    np.testing.assert_allclose(found.wins + found.wins.T, 1)
    assert (found.wins[:2, 2] == 1).all()
    assert found.sentence() == "The order of 2 of 3 pairs holds with 95% (4 recipes, 3 seeds each)."


def test_one_pair_and_one_recipe_give_the_predictive_t_by_hand() -> None:
    gaps = np.array([1.0, 3.0, 2.0, 4.0])
    rows = [(name, "r", k, 10 + (gap if name == "b" else 0)) for k, gap in enumerate(gaps) for name in "ab"]
    found = reliability.reliability(pd.DataFrame(rows, columns=list(reliability.COLUMNS)))
    # The only pair is its own prior: the spread is that of the sample, with the prior's degrees of freedom on top.
    t = gaps.mean() / np.sqrt(gaps.var(ddof=1) * (1 + 1 / 4))
    assert found.holds[0, 1] == pytest.approx(stats.t.cdf(t, 3 + reliability.PRIOR))
    assert "another recipe" in found.sentence()


@pytest.mark.parametrize(("of_recipe", "of_seed"), [(3.0, 1.0), (0.5, 3.0)])
def test_probabilities_are_as_often_right_as_they_say(of_recipe: float, of_seed: float) -> None:
    rng = np.random.default_rng(1)
    said, held = [], []
    for _ in range(150):
        levels = {name: rng.normal(80, 3) for name in "abcdef"}
        found = reliability.reliability(planted(rng, levels, of_recipe, of_seed))
        again = {name: levels[name] + rng.normal(0, of_recipe) + rng.normal(0, of_seed) for name in levels}
        new = np.array([again[name] for name in found.sets])
        upper = np.triu_indices(6, 1)
        said.append(found.holds[upper])
        held.append((new[:, None] < new[None, :])[upper])
    p, right = np.concatenate(said), np.concatenate(held)
    bins = np.digitize(p, [0.6, 0.7, 0.8, 0.9])
    off = sum(abs(p[bins == k].mean() - right[bins == k].mean()) * (bins == k).mean() for k in np.unique(bins))
    assert off < 0.05


def test_strengths_are_those_of_bradley_and_terry() -> None:
    wins = np.array([[0, 6.5, 7.5], [3.5, 0, 5.5], [2.5, 4.5, 0]])  # and half a game each way
    theta = reliability._strengths(wins)
    p = 1 / (1 + np.exp(-np.subtract.outer(theta, theta)))
    games = wins + 0.5 - 0.5 * np.eye(3)
    np.testing.assert_allclose((p * (games + games.T)).sum(axis=1), games.sum(axis=1), atol=1e-3)
    assert theta.mean() == pytest.approx(0)


def test_what_is_missing_or_twice_is_named() -> None:
    frame = planted(np.random.default_rng(0), {"a": 1.0, "b": 2.0}, 0.1, 0.1)
    with pytest.raises(DataError, match="b has no error with recipe both and seed 2"):
        reliability.reliability(frame.iloc[:-1])
    with pytest.raises(DataError, match="b was trained twice with recipe both and seed 2"):
        reliability.reliability(pd.concat([frame, frame.iloc[-1:]]))
    with pytest.raises(DataError, match="one training of each set"):
        reliability.reliability(frame[(frame["seed"] == 0) & (frame["recipe"] == "plain")])
    with pytest.raises(DataError, match="one set"):
        reliability.reliability(frame[frame["train_set"] == "a"])


def test_trainings_are_read_from_results_of_each_recipe() -> None:
    cells = {name: {b.id: level for b in MPE_BENCHMARKS} for name, level in (("a", 90.0), ("b", 100.0))}
    frames = {
        recipe: pd.concat([results(cells).assign(seed=s, value=lambda f, s=s: f["value"] + s) for s in (0, 1)])
        for recipe in ("plain", "slow")
    }
    read = reliability.trainings_of(frames, MPE_BENCHMARKS)
    assert len(read) == 8
    assert read.set_index(["train_set", "recipe", "seed"])["error"]["b", "slow", 1] == 101
    assert reliability.reliability(read).holds[0, 1] == 1


@pytest.mark.parametrize("count", [3, 14])
def test_the_matrix_is_drawn(count: int) -> None:
    levels = {f"set_{k:02d}": 80.0 + 4 * k for k in range(count)}
    found = reliability.reliability(planted(np.random.default_rng(0), levels, 1.0, 1.0, (0, 1)))
    drawn = reliability.matrix_figure(found)
    assert len(drawn.axes[0].texts) == count * (count - 1) // 2
    assert drawn.get_suptitle().replace("\n", " ") == found.sentence()
    assert found.matrix().loc["set_00", "set_02"] == found.holds[0, 2]
