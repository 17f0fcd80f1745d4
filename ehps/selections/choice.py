"""A choice by a rule: with what it rests on, what each set is worth, and what was not considered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ehps.analysis import best_mixture, greedy_coverage, mixtures, ranking, samples, selection, set_distances
from ehps.analysis.greedy_coverage import Covers
from ehps.analysis.mixtures import Predictor, Regression, SmallTrainings
from ehps.analysis.samples import Samples, Source
from ehps.analysis.selection import Rule
from ehps.analysis.selection_suite import named_test
from ehps.arrays import Array
from ehps.errors import DataError, UsageError
from ehps.selections.pool import Pool

SETS = 10
DIVERSITY = 0.3


@dataclass(frozen=True)
class Evidence:
    """What rules choose by: for several rules and budgets, each made when it is first asked for.

    Attributes
    ----------
    pool : what may be chosen.
    ranked : ``rank, train_set``, of one model, one row a dataset, without those that are barred.
    others : trainings that do not count -> why.
    tests : files of test sets.
    images : file -> folder of its images; of all files, or they are not looked at.
    drawn : samples of the training files, where there are some already.
    small : trainings of a suite of mixtures.
    """

    pool: Pool
    ranked: pd.DataFrame
    others: Mapping[str, str]
    tests: Sequence[Path] = ()
    images: Mapping[Path, Path] = field(default_factory=dict)
    drawn: Samples | None = None
    small: SmallTrainings | None = None
    seed: int = 0

    @classmethod
    def of(cls, pool: Pool, ranked: pd.DataFrame, **more: Any) -> Evidence:
        """From a ranking as it is; ``more`` are the other attributes."""
        if "model" in ranked and ranked["model"].nunique() > 1:
            raise UsageError("the ranks are of several models", fix="choose one with --model")
        placed, others = ranking.by_dataset(ranked)
        return cls(pool, placed[~placed["train_set"].isin(list(pool.barred))], others, **more)

    @cached_property
    def distances(self) -> pd.DataFrame | None:
        """Of body poses; None where no file has any."""
        sources = [Source(file, name=name) for name, file in self.pool.files.items()]
        found = self.drawn or samples.collect(sources, attributes=["body_pose"], seed=self.seed)
        return set_distances.distance_matrix(found, "body_pose") if found.values.get("body_pose") else None

    @cached_property
    def covers(self) -> Covers:
        """
        Raises
        ------
        UsageError : there is no test set.
        """
        if not self.tests:
            raise UsageError("greedy-coverage compares with test sets", fix="name their files with --test")
        sources = [Source(file, name=name, images=self.images.get(file)) for name, file in self.pool.files.items()]
        sources += [Source(file, "test", name=named_test(file)[0], images=self.images.get(file)) for file in self.tests]
        pictured = all(source.images is not None for source in sources)
        described = [name for name in samples.USUAL if name != "image" or pictured]
        return greedy_coverage.covers(samples.collect(sources, attributes=described, seed=self.seed), seed=self.seed)

    @cached_property
    def regression(self) -> Regression | None:
        return None if self.small is None else mixtures.fit(self.small.weights, self.small.errors, seed=self.seed)

    def expected(self, names: Sequence[str], budget: int) -> tuple[float, float, float] | None:
        """Error, low and high in mm of a small training on some sets, in the shares that an even split of the budget
        gives; None where the regression does not know them.
        """
        if self.regression is None or (weights := self._weights([names], budget)) is None:
            return None
        found = best_mixture.expected(self.regression, self.refits, weights, seed=self.seed).iloc[0]
        return float(found["error"]), float(found["low"]), float(found["high"])

    def predicted(self, parts: Sequence[Sequence[str]], budget: int) -> Array | None:
        """(N,) errors in mm by the regression alone, of the same on each of N parts of the sets: for differences."""
        if self.regression is None or (weights := self._weights(parts, budget)) is None:
            return None
        return np.asarray(self.regression.predict(weights).mean(axis=1))

    def _weights(self, parts: Sequence[Sequence[str]], budget: int) -> Array | None:
        """(N, K) weights of the sets of the regression."""
        if self.regression is None or not {name for part in parts for name in part} <= set(self.regression.sets):
            return None
        weights = np.zeros((len(parts), len(self.regression.sets)))
        for row, names in zip(weights, parts, strict=True):
            places = [self.regression.sets.index(name) for name in names]
            row[places] = selection.even_shares([self.pool.sizes[name] for name in names], budget)
        return weights / weights.sum(axis=1, keepdims=True)

    @cached_property
    def refits(self) -> list[Predictor]:
        """Of the regression, for intervals."""
        assert self.regression is not None
        return best_mixture.refitted(self.regression, seed=self.seed)


@dataclass(frozen=True)
class Wishes:
    """What a choice is to keep to, see ``selection.select``."""

    sets: int = SETS
    diversity: float = DIVERSITY
    must: tuple[str, ...] = ()
    never: tuple[str, ...] = ()


def within(wishes: Wishes, pool: Pool) -> Wishes:
    """Without sets that are barred anyway.

    Raises
    ------
    UsageError : one of them is to be taken.
    """
    if asked := [name for name in wishes.must if name in pool.barred]:
        raise UsageError(f"{asked[0]} is to be taken (must) and cannot be: {pool.barred[asked[0]]}")
    return replace(wishes, never=tuple(name for name in wishes.never if name not in pool.barred))


def chosen_by(rule: Rule, evidence: Evidence, budget: int, wishes: Wishes) -> pd.DataFrame:
    """As ``selection.select`` or, of ``mixture``, ``selection.of_mixture``.

    ``attrs["said"]``: what must be known of it; ``attrs["expected"]``: error, low and high in mm of a small training on
    these shares, None where nothing predicts it.

    Raises
    ------
    UsageError : the rule lacks what it chooses by, or the wishes cannot be met.
    DataError : nothing can be chosen.
    """
    if rule == "mixture":
        return _mixture(evidence, budget, wishes)
    frame = selection.select(
        evidence.ranked,
        evidence.pool.sizes,
        budget,
        rule=rule,
        sets=wishes.sets,
        distances=evidence.distances if rule == "diverse" and wishes.diversity > 0 else None,
        diversity=wishes.diversity,
        covers=evidence.covers if rule == "greedy-coverage" else None,
        must=wishes.must,
        never=wishes.never,
    )
    found = evidence.expected(frame["dataset"].tolist(), budget)
    frame.attrs["expected"] = found
    frame.attrs["said"] = []
    if rule == "greedy-coverage":
        frame.attrs["said"] = [evidence.covers.sentence(), *(f"Not compared: {w}." for w in evidence.covers.left_out)]
    if found is not None and evidence.small is not None:
        error, low, high = found
        what = f"A training on {evidence.small.size:,} instances of these sets in these shares"
        frame.attrs["said"].append(f"{what} has an expected error of {error:.1f} mm ({low:.1f} to {high:.1f}).")
    return frame


def _mixture(evidence: Evidence, budget: int, wishes: Wishes) -> pd.DataFrame:
    pool, small, regression = evidence.pool, evidence.small, evidence.regression
    if small is None or regression is None:
        raise UsageError("mixture fits small trainings", fix="name the folder of their runs with --runs")
    if wishes.must:
        raise UsageError("mixture finds the shares itself", fix="leave --must out, or choose another rule")
    known = {*pool.sizes, *pool.barred, *regression.sets}
    if odd := [name for name in wishes.never if name not in known]:
        raise UsageError(
            f"{odd[0]} is no dataset of the files or the runs", fix=f"there are {', '.join(sorted(known))}"
        )
    sizes = {name: 0 if name in wishes.never else pool.sizes.get(name, 0) for name in regression.sets}
    if not any(sizes.values()):
        raise DataError(f"there is no file of any set of the small trainings: {', '.join(sizes)}")
    facts: dict[str, Any] = {"seconds": small.seconds, "refits": evidence.refits, "seed": evidence.seed}
    found = best_mixture.optimise(regression, sizes, budget, small.size, **facts)
    frame = selection.of_mixture(found, evidence.ranked)
    idle = frame.attrs["left_out"]
    idle |= {name: "no file of it" for name in sizes if name not in pool.sizes and name not in pool.barred}
    idle |= {name: "not in the small trainings" for name in pool.sizes if name not in sizes}
    idle |= dict.fromkeys(wishes.never, "not wanted (never)")
    frame.attrs |= {"said": found.sentences(), "expected": (found.error, found.low, found.high)}
    return frame


@dataclass(frozen=True)
class Selection:
    """What to train on.

    Attributes
    ----------
    rule, budget : by which it was chosen, and under which.
    chosen : as ``selection.select``, with the ``licence`` of each; where there are any, ``own_test``: whether it is the
        training split of a test set; where small trainings predict it, ``without_mm``: by how much the expected error
        grows without the set.
    without_own : the same choice from the others; None where there is no such set, or nothing but such sets.
    files : dataset -> its file.
    left_out : dataset, file or training -> why it was not considered.
    said : what must be known of it.
    """

    rule: Rule
    budget: int
    chosen: pd.DataFrame
    without_own: pd.DataFrame | None
    files: dict[str, Path]
    left_out: dict[str, str]
    said: list[str]


def choose(
    evidence: Evidence, rule: Rule = "diverse", budget: int | None = None, wishes: Wishes | None = None
) -> Selection:
    """Choose what to train on, with and without the training splits of the test sets.

    Parameters
    ----------
    budget : most instances in all; half of what there is when None.

    Raises
    ------
    UsageError, DataError : as :func:`chosen_by`.
    """
    pool = evidence.pool
    wishes = within(wishes or Wishes(), pool)
    total = max(1, sum(pool.sizes.values()) // 2) if budget is None else budget
    chosen = chosen_by(rule, evidence, total, wishes)
    said, without = list(chosen.attrs["said"]), None
    if pool.own:
        others = replace(
            wishes,
            must=tuple(name for name in wishes.must if name not in pool.own),
            never=tuple(sorted({*wishes.never, *pool.own})),
        )
        try:
            without = _shown(chosen_by(rule, evidence, total, others), evidence, total)
        except DataError:
            said.append("Without the training splits of the test sets nothing can be chosen.")
    left_out = pool.barred | dict(evidence.others) | chosen.attrs["left_out"]
    shown = _shown(chosen, evidence, total)
    shown.attrs["left_out"] = left_out
    return Selection(rule, total, shown, without, pool.files, left_out, said)


def _shown(chosen: pd.DataFrame, evidence: Evidence, budget: int) -> pd.DataFrame:
    """With what is known of the sets, and what each is worth to a rule that does not say so."""
    pool, names = evidence.pool, chosen["dataset"].tolist()
    facts: dict[str, Any] = {}
    if "without_mm" not in chosen and len(names) > 1:
        parts = [names, *([other for other in names if other != name] for name in names)]
        if (found := evidence.predicted(parts, budget)) is not None:
            facts["without_mm"] = (found[1:] - found[0]).tolist()
    if pool.own:
        facts["own_test"] = ["yes" if name in pool.own else "" for name in names]
    facts["licence"] = [pool.licences[name] for name in names]
    out = chosen.copy()
    for name, values in facts.items():
        out.insert(len(out.columns) - 1, name, values)
    return out
