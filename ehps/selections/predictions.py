"""What rules lead to under other budgets, as far as small trainings or curves of trainings of several sizes say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from ehps.analysis.scaling_curves import Curve
from ehps.analysis.selection import RULES, Rule
from ehps.analysis.ties import listed
from ehps.errors import DataError, UsageError
from ehps.selections.choice import Evidence, Wishes, chosen_by, within

BUDGETS = 9
MIXTURES, CURVES = "mixture regression", "scaling curves"


def predictions(
    evidence: Evidence, curves: Mapping[str, Curve], budget: int, wishes: Wishes
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Errors that rules lead to, from a tenth of the budget to all there is.

    The regression says what a small training on the shares that a rule takes gives; a curve what a training on so many
    instances of just the sets that it takes gives (in the shares of those trainings, so there is none of ``mixture``).

    Parameters
    ----------
    curves : of trainings: their datasets, joined with ``+`` -> error against instances.

    Returns
    -------
    frame ``rule, predictor, instances, error, low, high, extrapolated`` (errors in mm; ``extrapolated`` of curves), and
    rule -> why there is nothing of it.

    Raises
    ------
    UsageError : there is neither a regression nor a curve.
    """
    if evidence.regression is None and not curves:
        what = "a figure of predicted errors needs something that predicts them"
        raise UsageError(what, fix="name the folder of small trainings with --runs, or of several sizes with --scaling")
    total = sum(evidence.pool.sizes.values())
    least = min(max(budget // 10, len(evidence.pool.sizes)), total)
    budgets = sorted(
        {*np.geomspace(least, max(total, least), BUDGETS).round().astype(int).tolist(), min(budget, total)}
    )
    wishes = within(wishes, evidence.pool)
    by_sets = {frozenset(name.split("+")): curve for name, curve in curves.items()}
    frames: list[pd.DataFrame] = []
    without: dict[str, str] = {}
    for rule in RULES:
        kept = replace(wishes, must=()) if rule == "mixture" else wishes
        try:
            chosen = [chosen_by(rule, evidence, one, kept) for one in budgets]
        except (UsageError, DataError) as error:
            without[rule] = error.what
            continue
        found = [*_by_regression(rule, chosen), *_by_curve(rule, chosen, by_sets)]
        if not found:
            without[rule] = _why_not(evidence, chosen[-1]["dataset"].tolist())
        frames += found
    columns = ["rule", "predictor", "instances", "error", "low", "high", "extrapolated"]
    return (pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)), without


def _why_not(evidence: Evidence, names: list[str]) -> str:
    """Why nothing predicts the error of a training on some sets."""
    if evidence.regression is not None and (lacking := sorted(set(names) - set(evidence.regression.sets))):
        return f"no small training has {listed(lacking)}"
    return f"nothing was trained on just {listed(sorted(names))}"


def _by_regression(rule: Rule, chosen: list[pd.DataFrame]) -> list[pd.DataFrame]:
    found = [frame.attrs["expected"] for frame in chosen]
    if None in found:
        return []
    frame = pd.DataFrame(found, columns=["error", "low", "high"])
    return [frame.assign(rule=rule, predictor=MIXTURES, instances=_instances(chosen), extrapolated=False)]


def _by_curve(rule: Rule, chosen: list[pd.DataFrame], curves: Mapping[frozenset[str], Curve]) -> list[pd.DataFrame]:
    sets = {frozenset(frame["dataset"]) for frame in chosen}
    if rule == "mixture" or len(sets) > 1 or (curve := curves.get(next(iter(sets)))) is None:
        return []
    return [curve.at(np.array(_instances(chosen))).assign(rule=rule, predictor=CURVES)]


def _instances(chosen: list[pd.DataFrame]) -> list[int]:
    return [int(frame["instances"].sum()) for frame in chosen]
