"""Small trainings whose errors follow a known function of the weights."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

from ehps.analysis import best_mixture, mixtures
from ehps.errors import DataError, UsageError

SETS = ("good", "copy", "left", "right", "bad")
HAVE = dict.fromkeys(SETS, 100_000)


def truth(w: np.ndarray) -> np.ndarray:
    """(N, 2) errors: good and its copy count as one; left and right complete each other; bad harms."""
    good, copy, left, right, bad = w.T
    one = 60 + 30 / (1 + 10 * (good + copy)) + 25 / (1 + 10 * left) + 25 / (1 + 10 * right) + 40 * bad
    return np.stack([one, 0.8 * one + 5 * bad], axis=1)


def runs(seed: int = 0, noise: float = 0.01, count: int = 64) -> tuple[pd.DataFrame, pd.DataFrame]:
    weights = mixtures.draw(len(SETS), count, seed)
    drawn = truth(weights) * np.exp(np.random.default_rng(seed).normal(0, noise, (count, 2)))
    return pd.DataFrame(weights, columns=SETS), pd.DataFrame(drawn, columns=["ehf", "pw3d"])


@cache
def regression() -> mixtures.Regression:
    return mixtures.fit(*runs())


def redrawn(count: int) -> list[mixtures.Predictor]:
    return best_mixture.refitted(regression(), count)


def test_drawn_weights_are_mixtures_and_the_same_for_a_seed() -> None:
    drawn = mixtures.draw(5, 64, 3)
    np.testing.assert_allclose(drawn.sum(axis=1), 1)
    np.testing.assert_array_equal(drawn, mixtures.draw(5, 64, 3))
    assert drawn.max(axis=1).max() > 0.9
    assert drawn.max(axis=1).min() < 0.4
    with pytest.raises(UsageError, match="at least 20"):
        mixtures.draw(5, 19)


def test_the_convex_model_knows_what_it_has_not_seen_and_is_convex() -> None:
    found = regression()
    assert found.model == "convex"
    assert found.unseen["convex"] < found.unseen["trees"] < found.spread
    fresh = mixtures.draw(5, 200, 9)
    assert np.abs(np.log(found.predict(fresh) / truth(fresh))).mean() < 0.02
    ends = np.log(found.predict(fresh))
    middle = np.log(found.predict((fresh[:100] + fresh[100:]) / 2))
    assert (middle <= (ends[:100] + ends[100:]) / 2 + 1e-9).all()


def test_trees_are_used_where_they_predict_better() -> None:
    weights = pd.DataFrame(mixtures.draw(3, 96), columns=list("abc"))
    steps = pd.DataFrame({"ehf": 50.0 + 30 * ((weights["a"] > 0.5) ^ (weights["b"] > 0.2))})
    assert mixtures.fit(weights, steps).model == "trees"


def test_the_best_weights_are_near_the_best_there_are() -> None:
    found = best_mixture.optimise(regression(), HAVE, 10_000, 500, refits=redrawn(20))
    chosen = found.table["weight"].to_numpy()
    tried = mixtures.draw(5, 20_000, 1)
    best, worst = truth(tried).mean(axis=1).min(), truth(tried).mean(axis=1).max()
    assert truth(chosen[None]).mean() - best < 0.02 * (worst - best)
    weights = found.table.set_index("dataset")["weight"]
    assert weights["bad"] < 0.02
    assert found.table["instances"].sum() == 10_000
    without = found.table.set_index("dataset")["without"]
    assert without["left"] > 1
    assert without["right"] > 1
    assert abs(without["bad"]) < 0.2
    assert found.cost == 64 * 500
    assert "32,000 together: 320% of the budget of 10,000" in found.sentences()[0]
    assert found.low < found.error < found.high


def test_no_set_gives_more_than_it_has() -> None:
    few = HAVE | {"left": 300, "right": 120}
    found = best_mixture.optimise(regression(), few, 10_000, 500, refits=redrawn(2)).table.set_index("dataset")
    assert found["instances"].sum() == 10_000
    assert (found["instances"] <= found["available"]).all()
    assert found["instances"]["right"] == 120
    whole = best_mixture.optimise(regression(), dict.fromkeys(SETS, 50), 10_000, 500, refits=redrawn(2))
    assert whole.table["instances"].tolist() == [50] * 5


def test_the_interval_holds_a_new_small_training_as_often_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """On errors that the model is too flat for; the best of its settings, so that it is fast."""
    monkeypatch.setattr(mixtures, "KNEES", (0.05,))
    monkeypatch.setattr(mixtures, "PENALTIES", (1e-4,))
    inside, below = [], []
    for seed in range(20):
        fitted = mixtures.fit(*runs(seed, 0.03), models=["convex"])
        refits = best_mixture.refitted(fitted, 15)
        found = best_mixture.optimise(fitted, HAVE, 10_000, 500, refits=refits, seed=seed)
        exact = truth(found.table["weight"].to_numpy()[None])
        again = (exact * np.exp(np.random.default_rng(100 + seed).normal(0, 0.03, (500, 2)))).mean(axis=1)
        inside.append(((found.low <= again) & (again <= found.high)).mean())
        below.append((again < found.low).mean())
    assert 0.9 <= np.mean(inside) <= 0.98
    assert np.mean(below) < 0.05


def test_the_same_seed_gives_the_same_table() -> None:
    fits = [mixtures.fit(*runs()) for _ in range(2)]
    one, other = (
        best_mixture.optimise(found, HAVE, 10_000, 500, refits=best_mixture.refitted(found, 3)) for found in fits
    )
    pd.testing.assert_frame_equal(one.table, other.table, check_exact=True)
    assert (one.low, one.high) == (other.low, other.high)


def test_what_cannot_be_fitted_is_refused() -> None:
    weights, errors = runs()
    with pytest.raises(DataError, match="do not sum to 1"):
        mixtures.fit(weights * 2, errors)
    with pytest.raises(DataError, match="has no logarithm"):
        mixtures.fit(weights, errors - 500)
    with pytest.raises(DataError, match="too few for 5 sets"):
        mixtures.fit(weights[:10], errors[:10])
    with pytest.raises(DataError, match="row for row"):
        mixtures.fit(weights, errors[::-1])
    with pytest.raises(UsageError, match="how many instances left"):
        best_mixture.optimise(regression(), {name: 9 for name in SETS if name != "left"}, 100, 10)
    with pytest.raises(UsageError, match="of 0 that there are"):
        best_mixture.optimise(regression(), dict.fromkeys(SETS, 0), 100, 10)


def test_none_of_an_empty_set_is_taken_and_the_time_is_said() -> None:
    found = best_mixture.optimise(regression(), HAVE | {"left": 0}, 10_000, 500, refits=redrawn(5), seconds=7200)
    weights = found.table.set_index("dataset")
    assert weights["weight"]["left"] == weights["instances"]["left"] == 0
    assert np.isnan(weights["without"]["left"])
    assert weights["instances"].sum() == 10_000
    assert "took 2.0 h" in found.sentences()[0]


def test_the_interval_of_weights_that_nobody_chose_holds_a_small_training_on_them() -> None:
    weights = np.random.default_rng(7).dirichlet(np.full(len(SETS), 3), 40)
    found = best_mixture.expected(regression(), best_mixture.refitted(regression()), weights)
    np.testing.assert_allclose(found["error"], truth(weights).mean(axis=1), rtol=0.05)
    again = truth(weights) * np.exp(np.random.default_rng(5).normal(0, 0.01, (40, 2)))
    inside = (found["low"] <= again.mean(axis=1)) & (again.mean(axis=1) <= found["high"])
    assert 0.8 <= inside.mean() <= 1
    assert ((found["high"] - found["low"]) / found["error"]).median() < 0.1
