"""The figure of predicted errors by rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ehps.analysis import figures
from ehps.analysis.rule_figure import rule_figure
from ehps.errors import DataError

BUDGETS = [100, 300, 1000]


def lines(rule: str, level: float, predictor: str = "mixture regression", band: float = 1.0) -> pd.DataFrame:
    error = level - np.log10(BUDGETS)
    columns = {"rule": rule, "predictor": predictor, "instances": BUDGETS, "error": error}
    return pd.DataFrame(columns | {"low": error - band, "high": error + band, "extrapolated": False})


def test_each_rule_is_a_line_and_rules_that_are_alike_are_one(tmp_path: Path) -> None:
    frames = [lines("top-k", 90), lines("diverse", 90), lines("mixture", 85), lines("all", 88, "scaling curves")]
    drawn = rule_figure(pd.concat(frames), {"greedy-coverage": "there is no test set"}, 300, 50)
    first, second = drawn.axes
    assert first.get_legend_handles_labels()[1] == ["diverse, top-k", "mixture"]
    assert second.get_legend_handles_labels()[1] == ["all"]
    np.testing.assert_allclose(first.lines[1].get_ydata(), 85 - np.log10(BUDGETS))
    assert "a training on 50 of them" in first.get_ylabel()
    assert second.get_ylabel() == "mean error, mm"
    assert " ".join(drawn.get_suptitle().split()) == (
        "mixture is predicted best at the budget, 5.0 mm before diverse, top-k"
    )
    assert "coverage (there is no test set)" in " ".join(drawn.get_supxlabel().split())
    one = figures.save(drawn, tmp_path / "one.png").read_bytes()
    again = rule_figure(pd.concat(frames), {"greedy-coverage": "there is no test set"}, 300, 50)
    assert figures.save(again, tmp_path / "two.png").read_bytes() == one


def test_the_legend_is_on_neither_lines_nor_title() -> None:
    drawn = rule_figure(pd.concat([lines("top-k", 90), lines("all", 89.5), lines("mixture", 89)]), {}, 300)
    drawn.draw_without_rendering()
    (legend,) = drawn.legends
    others = [panel.get_window_extent() for panel in drawn.axes] + [text.get_window_extent() for text in drawn.texts]
    assert not any(legend.get_window_extent().overlaps(other) for other in others)


def test_bands_that_overlap_are_said() -> None:
    drawn = rule_figure(pd.concat([lines("top-k", 90), lines("all", 89.5)]), {}, 1000)
    assert "0.5 mm before top-k, within the bands" in " ".join(drawn.get_suptitle().split())
    alone = rule_figure(lines("all", 90), {}, 1000)
    assert "all is predicted to have an error of 87.0 mm" in alone.get_suptitle()


def test_nothing_to_draw_is_refused_with_the_reasons() -> None:
    nothing = lines("all", 90).iloc[:0]
    with pytest.raises(DataError, match="top-k: nothing was trained on just a"):
        rule_figure(nothing, {"top-k": "nothing was trained on just a"}, 10)
