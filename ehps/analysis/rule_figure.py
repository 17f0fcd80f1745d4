"""Predicted error against budget, rules of selection side by side."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from ehps.analysis import figures
from ehps.analysis.colours import LINES, MARKERS, PALETTE
from ehps.analysis.selection import RULES
from ehps.errors import DataError


def rule_figure(
    predicted: pd.DataFrame, without: Mapping[str, str], budget: int, size: int | None = None, level: float = 0.95
) -> Figure:
    """A panel a predictor; a line with its band for each rule that it predicts.

    Parameters
    ----------
    predicted : ``rule, predictor, instances, error, low, high, extrapolated``.
    without : rule -> why nothing predicts it; said below the figure.
    budget : where a line is drawn.
    size : instances of a small training, whose errors the regression predicts.

    Raises
    ------
    DataError : nothing is predicted.
    """
    if not len(predicted):
        said = "; ".join(f"{rule}: {why}" for rule, why in without.items())
        raise DataError(f"the errors of no rule can be predicted ({said})")
    predictors = list(dict.fromkeys(predicted["predictor"]))
    with figures.styled():
        drawing, panels = figures.panels(len(predictors), width=3.6 * max(2, len(predictors)), columns=len(predictors))
        for panel, predictor in zip(panels, predictors, strict=True):
            for rules, one in _alike(predicted[predicted["predictor"] == predictor]):
                number = RULES.index(rules[0])
                colour, shape = PALETTE[number], f"{MARKERS[number]}{LINES[number % len(LINES)]}"
                panel.fill_between(one["instances"], one["low"], one["high"], color=colour, alpha=0.12, lw=0)
                label = ", ".join(rules)
                panel.plot(one["instances"], one["error"], shape, color=colour, ms=3.5, lw=1.4, label=label)
            panel.axvline(budget, color=figures.GREY, lw=0.8, ls=":")
            panel.set_xscale("log")
            if predicted["instances"].max() < 100 * predicted["instances"].min():  # decades alone are too far apart
                panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                panel.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
                panel.xaxis.set_minor_formatter(NullFormatter())
            panel.grid(axis="both")
            panel.set_xlabel("instances chosen")
            small = size is not None and predictor == "mixture regression"
            panel.set_ylabel(f"mean error of a training on {size:,} of them, mm" if small else "mean error, mm")
            panel.set_title(predictor.capitalize())
        figures.legend(drawing, panels)
        note = f"Bands, {level:.0%}: of one more small training, or of a curve. Dotted: the budget of {budget:,}."
        for why in dict.fromkeys(without.values()):
            rules = [rule for rule, its in without.items() if its == why]
            note += f" Not predicted: {', '.join(rules)} ({why})."
        if predicted["extrapolated"].any():
            note += " Beyond four times the largest training a curve is not tested."
        figures.entitle(drawing, _title(predicted, budget), note)
    return drawing


def _alike(predicted: pd.DataFrame) -> list[tuple[list[str], pd.DataFrame]]:
    """Rules whose predictions are the same, with these: they are one line."""
    found: list[tuple[list[str], pd.DataFrame]] = []
    for rule in RULES:
        one = predicted[predicted["rule"] == rule].sort_values("instances").reset_index(drop=True)
        if not len(one):
            continue
        same = next(
            (rules for rules, other in found if one.drop(columns="rule").equals(other.drop(columns="rule"))), None
        )
        if same is None:
            found.append(([rule], one))
        else:
            same.append(rule)
    return found


def _title(predicted: pd.DataFrame, budget: int) -> str:
    """Which rule is predicted best nearest to the budget, and whether its band is apart from the next one's."""
    first = predicted[predicted["predictor"] == predicted["predictor"].iloc[0]]
    here = pd.concat([one.assign(rule=", ".join(rules)) for rules, one in _alike(first)])
    gaps = (here["instances"] - budget).abs()
    near = here[gaps == gaps.groupby(here["rule"]).transform("min")]
    near = near.drop_duplicates("rule").sort_values("error", kind="stable")
    best = near.iloc[0]
    if len(near) == 1:
        return f"{best['rule']} is predicted to have an error of {best['error']:.1f} mm"
    second = near.iloc[1]
    apart = "" if best["high"] < second["low"] else ", within the bands"
    by = second["error"] - best["error"]
    return f"{best['rule']} is predicted best at the budget, {by:.1f} mm before {second['rule']}{apart}"
