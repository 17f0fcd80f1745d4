"""A joint model finds what was planted, and says what cannot be told apart."""

import numpy as np
import pandas as pd
import pytest

from ehps.analysis.factor_figure import four_panels
from ehps.analysis.joint_factors import INFLATED, joint_model
from ehps.errors import DataError, UsageError


def world(
    n: int = 31, seed: int = 0, *, confounded: bool = False, effect: float = -30.0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Sets whose error falls by 10 mm with ten times the size, and by ``-effect`` where they are synthetic."""
    rng = np.random.default_rng(seed)
    size = 10 ** rng.uniform(3, 6, n)
    synthetic = rng.permutation(n) < 0.35 * n
    several = synthetic ^ (np.arange(n) == 0) if confounded else rng.random(n) < 0.5
    names = [f"set{k}" for k in range(n)]
    mpe = 200 - 10 * np.log10(size) + effect * synthetic + rng.normal(0, 3, n)
    ranked = pd.DataFrame({"train_set": names, "mpe": mpe, "instances": size.round()})
    ranked["rank"] = ranked["mpe"].rank().astype(int)
    attributes = pd.DataFrame(
        {
            "appearance": np.where(synthetic, "synthetic", "real"),
            "persons": np.where(several, "several", "one"),
            "annotation": np.array(["network", "marker capture", "exact render"])[rng.integers(3, size=n)],
            "scene": np.array(["studio", "indoor"])[rng.integers(2, size=n)],
        },
        index=names,
    )
    return ranked, attributes


def test_planted_factors_are_found_and_others_are_not():
    model = joint_model(*world())
    table = model.table.set_index("factor")
    assert table.loc["appearance", "level"] == "synthetic"
    assert table.loc["appearance", "low"] < -30 < table.loc["appearance", "high"] < 0
    assert table.loc["instances, tenfold", "low"] < -10 < table.loc["instances, tenfold", "high"] < 0
    persons = table.loc["persons"]
    assert persons["low"] < 0 < persons["high"]
    assert model.explained > 0.9
    assert model.confounded == []
    assert any(line.startswith("appearance synthetic against real: ") and "lower" in line for line in model.sentences())


def test_coefficients_are_those_of_least_squares_where_the_penalty_is_small():
    ranked, attributes = world(n=200)
    model = joint_model(ranked, attributes, bootstrap=10)
    frame = ranked.join(attributes, on="train_set")
    columns = [np.ones(len(frame)), np.log10(frame["instances"])]
    for factor, level in zip(model.table["factor"][1:], model.table["level"][1:], strict=True):
        columns.append((frame[factor] == level).astype(float))
    expected = np.linalg.lstsq(np.stack(columns, 1), frame["mpe"], rcond=None)[0][1:]
    np.testing.assert_allclose(model.table["coefficient"], expected, atol=0.15)


def test_two_factors_that_go_together_are_said_not_to_be_told_apart():
    model = joint_model(*world(confounded=True))
    assert model.confounded == [("appearance", "persons")]
    inflation = model.table.set_index("factor")["vif"]
    assert inflation["appearance"] > INFLATED
    assert "appearance and persons cannot be told apart on these sets." in model.sentences()


def test_variance_inflation_is_one_over_what_the_others_leave_unexplained():
    ranked, attributes = world(n=60)
    model = joint_model(ranked, attributes, factors=("appearance", "persons"), bootstrap=10)
    synthetic = (attributes["appearance"] == "synthetic").to_numpy(float)
    others = np.stack(
        [np.ones(60), np.log10(ranked["instances"]), (attributes["persons"] == "several").astype(float)], axis=1
    )
    residual = synthetic - others @ np.linalg.lstsq(others, synthetic, rcond=None)[0]
    expected = ((synthetic - synthetic.mean()) ** 2).sum() / (residual**2).sum()
    assert model.table.set_index("factor")["vif"]["appearance"] == pytest.approx(expected)


def test_the_set_that_a_coefficient_hangs_on_is_named():
    ranked, attributes = world(effect=0)
    ranked.loc[3, "mpe"] -= 200
    model = joint_model(ranked, attributes)
    own = attributes.loc["set3", "appearance"]
    row = model.table[model.table["factor"] == "appearance"].iloc[0]
    assert row["most_moved_by"] == "set3"
    assert (row["moved"] > 0) == (own == row["level"])


def test_chance_alone_is_rarely_called_a_finding():
    found = 0
    for seed in range(20):
        ranked, attributes = world(seed=seed)
        ranked["mpe"] = np.random.default_rng(seed + 100).normal(100, 10, len(ranked))
        table = joint_model(ranked, attributes, bootstrap=200).table
        found += int(((table["low"] > 0) | (table["high"] < 0)).sum())
    assert found <= 0.1 * 20 * 5


def test_too_few_sets_or_an_unknown_factor_are_refused():
    ranked, attributes = world(n=7)
    with pytest.raises(DataError, match="8 sets at least; 7"):
        joint_model(ranked, attributes)
    with pytest.raises(UsageError, match="no 'weather'"):
        joint_model(*world(), factors=("weather",))


def test_the_four_panels_say_what_goes_with_rank():
    figure = four_panels(*world())
    assert [axes.get_title(loc="left").split(" (")[0] for axes in figure.axes] == [
        "training instances",
        "scene",
        "real or synthetic",
        "annotation",
    ]
    assert "real or synthetic" in figure.get_suptitle()
    ticks = {label.get_text().split("\n")[0]: label.get_text() for label in figure.axes[2].get_xticklabels()}
    _, attributes = world()
    assert ticks["synthetic"].endswith(f"n = {(attributes['appearance'] == 'synthetic').sum()}")
