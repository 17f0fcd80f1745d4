"""Curves whose floor, scale and exponent are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ehps.analysis import scaling_curves
from ehps.errors import DataError, UsageError

SIZES = np.array([500, 1000, 2000, 4000, 8000, 16000])


def planted(n: np.ndarray, floor: float = 60.0, scale: float = 900.0, exponent: float = 0.5) -> np.ndarray:
    return floor + scale * n**-exponent


def test_the_planted_curve_is_found() -> None:
    curve = scaling_curves.fit(SIZES, planted(SIZES))
    assert (curve.floor, curve.scale, curve.exponent) == pytest.approx((60, 900, 0.5), rel=1e-6)
    row = curve.at(np.array([32000])).iloc[0]
    assert row["error"] == pytest.approx(planted(np.array([32000.0]))[0])
    assert row["gain"] == pytest.approx(planted(np.array([32000.0]))[0] - planted(np.array([33000.0]))[0])


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    inside = []
    for k in range(40):
        sizes = np.repeat(SIZES, 2)
        curve = scaling_curves.fit(sizes, planted(sizes) * (1 + rng.normal(0, 0.02, len(sizes))), seed=k)
        seen = curve.at(np.array([4000, 32000]))
        truth = planted(seen["instances"].to_numpy(float))
        inside.append((seen["low"] <= truth) & (truth <= seen["high"]))
    assert 0.88 <= np.mean(inside) <= 0.99


def test_neither_floor_nor_scale_is_below_zero() -> None:
    falling = scaling_curves.fit(SIZES, 900.0 * SIZES**-0.3)
    assert falling.floor == pytest.approx(0, abs=1e-6)
    rising = scaling_curves.fit(SIZES, np.array([50.0, 51, 52, 53, 54, 55]))
    assert rising.scale == 0
    assert rising.at(SIZES)["gain"].eq(0).all()


def test_extrapolation_is_said() -> None:
    curve = scaling_curves.fit(SIZES, planted(SIZES))
    assert curve.at(np.array([64000, 64001]))["extrapolated"].tolist() == [False, True]
    found = {"bedlam": curve}
    assert scaling_curves.sentences(found, 64000) == []
    (said,) = scaling_curves.sentences(found, 160000)
    assert said == "160,000 instances are 10.0 times the largest training on bedlam: an extrapolation, not tested."


def test_curves_of_a_frame_in_order_and_as_a_figure() -> None:
    parts = {"agora": planted(SIZES, 70), "bedlam": planted(SIZES, 60)}
    rows = [(name, n, e) for name, errors in parts.items() for n, e in zip(SIZES, errors, strict=True)]
    frame = pd.DataFrame(rows, columns=["train_set", "instances", "error"])
    found = scaling_curves.curves(frame)
    assert scaling_curves.table(found, 20000)["train_set"].tolist() == ["bedlam", "agora"]
    drawn = scaling_curves.figure(found)
    assert drawn.axes[0].get_xlabel() == "training instances"
    assert "1,000 more instances" in drawn.get_suptitle()
    again = scaling_curves.curves(frame)
    pd.testing.assert_frame_equal(scaling_curves.table(found, 20000), scaling_curves.table(again, 20000))


def test_too_few_sizes_and_impossible_values_are_refused() -> None:
    with pytest.raises(DataError, match="3 sizes make no curve"):
        scaling_curves.fit(SIZES[[0, 1, 2, 2]], np.ones(4))
    with pytest.raises(DataError, match="positive"):
        scaling_curves.fit(SIZES, planted(SIZES) - 1000)
    frame = pd.DataFrame({"train_set": "agora", "instances": SIZES[:2], "error": [1.0, 2.0]})
    with pytest.raises(DataError, match="agora: 2 sizes"):
        scaling_curves.curves(frame)
    with pytest.raises(UsageError, match="no value at 0"):
        scaling_curves.fit(SIZES, planted(SIZES)).at(np.array([0]))
    with pytest.raises(UsageError, match="no curve"):
        scaling_curves.figure({})
