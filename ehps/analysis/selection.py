"""Which datasets to train on, and how many instances of each, under a budget.

Rules that choose sets, under one of :data:`RULES`:

- ``top-k``: those of the best ranks, as SMPLer-X (arXiv 2309.17448) chose.
- ``diverse``: one after another, each time the one with the highest
  ``(1 - diversity) * quality + diversity * novelty``. Quality is 1 for the best rank and 0 for the last; novelty is the
  distance to the nearest set already taken, divided by the largest distance between any two (1 for the first taken).
- ``greedy-coverage``: each time the one that covers most of what is uncovered of the test sets, see
  :mod:`ehps.analysis.greedy_coverage`.
- ``all``: every set.

They share the budget evenly, as balanced sampling does: a set smaller than its share is taken whole and the rest
goes to the others; a larger one is taken every k-th instance, so that all of its sequences stay represented; k may be a
fraction, so that the budget is used up (see :func:`ehps.arrays.strided`). ``mixture`` chooses shares, not sets, see
:mod:`ehps.analysis.best_mixture`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, get_args

import numpy as np
import pandas as pd

from ehps.analysis.best_mixture import Mixture
from ehps.analysis.greedy_coverage import Covers
from ehps.arrays import strided
from ehps.errors import DataError, UsageError

Rule = Literal["diverse", "top-k", "greedy-coverage", "mixture", "all"]
RULES: tuple[Rule, ...] = get_args(Rule)
BY_RANK: tuple[Rule, ...] = ("diverse", "top-k")
"""Rules that take no set without a rank."""


def select(
    ranked: pd.DataFrame,
    available: Mapping[str, int],
    budget: int,
    *,
    rule: Rule = "diverse",
    sets: int = 10,
    distances: pd.DataFrame | None = None,
    diversity: float = 0.3,
    covers: Covers | None = None,
    must: Collection[str] = (),
    never: Collection[str] = (),
) -> pd.DataFrame:
    """Choose datasets and the interval of each.

    Parameters
    ----------
    ranked : ``rank, train_set``, of one model; sets without a rank are not chosen by rules of :data:`BY_RANK`.
    available : dataset id -> instances there are.
    budget : most instances in all.
    rule : any of :data:`RULES` but ``mixture``.
    sets : most datasets; ``all`` takes all.
    distances : square frame of distances between datasets, e.g. ``attributes.distance_matrix``, for ``diverse``;
        without it rank alone decides. Sets it lacks are treated as neither new nor old (novelty of the middle, 0.5).
    diversity : 0 for rank alone, 1 for distance alone.
    covers : for ``greedy-coverage``.
    must : datasets that are taken in any case, before all others, the best first.
    never : datasets that are not taken.

    Returns
    -------
    frame ``dataset, rank, available, interval, instances, reason`` in the order chosen: every ``interval``-th of
    ``available`` makes ``instances``; their sum is at most ``budget``, and within 1 % of it or of what there is.
    ``greedy-coverage`` also has ``without_coverage``: by how much coverage falls without the set, from 0 to 1.
    ``attrs["left_out"]``: dataset -> why it was not considered.

    Raises
    ------
    UsageError : budget, sets or diversity out of range, several ranks for a dataset, or ``must`` and ``never`` that
        cannot be met.
    DataError : no dataset is available, or none has a rank.
    """
    if budget < 1 or sets < 1 or not 0 <= diversity <= 1:
        raise UsageError("the budget and the number of sets must be positive, diversity within 0 and 1")
    ranks, have, left_out = _considered(ranked, available, rule)
    most = len(have) if rule == "all" else sets
    _check_names(must, never, have, {*available, *map(str, ranked["train_set"])}, left_out, min(most, budget))
    left_out |= dict.fromkeys(sorted(set(never) & set(have)), "not wanted (never)")
    have = {name: count for name, count in have.items() if name not in never}
    if not have:
        what = "none of the datasets that are available has a rank" if rule in BY_RANK else "no dataset is available"
        raise DataError(what, fix=f"ranked are: {', '.join(ranks)}" if ranks and rule in BY_RANK else None)
    if rule == "all" and len(have) > budget:
        raise UsageError(f"a budget of {budget} instances is less than one of each of {len(have)} sets")
    most = min(most, budget)
    without = None
    if rule == "all":
        chosen = [(name, f"rank {ranks[name]}" if name in ranks else "no rank") for name in _best_first(have, ranks)]
    elif rule == "greedy-coverage":
        if covers is None:
            raise UsageError("greedy-coverage compares with test sets", fix="name their files")
        order = covers.order(have, most, must)
        chosen = _covering(order)
        taken = [name for name, _ in order]
        without = [covers.share(taken) - covers.share([other for other in taken if other != name]) for name in taken]
    elif rule in BY_RANK:
        here = {name: ranks[name] for name in have}
        chosen = _greedy(here, most, distances if rule == "diverse" else None, diversity, must)
    else:
        raise UsageError(f"{rule} takes shares, not sets", fix=f"choose one of {', '.join(RULES)}")
    shares = even_shares([have[name] for name, _ in chosen], budget)
    out = _table(chosen, shares, have, ranks)
    if without is not None:
        out.insert(len(out.columns) - 1, "without_coverage", without)
    out.attrs = {"budget": budget, "left_out": left_out}
    return out


def of_mixture(found: Mixture, ranked: pd.DataFrame) -> pd.DataFrame:
    """The best mixture in the form of :func:`select`, largest weight first, with ``weight`` and ``without_mm``: by how
    much the predicted error grows without the set, the weights being the best again.

    Sets with no weight are in ``attrs["left_out"]``.
    """
    ranks, _, _ = _considered(ranked, {}, "mixture")
    table = found.table.sort_values(["instances", "dataset"], ascending=[False, True], kind="stable")
    taken = table[table["instances"] > 0]
    have = dict(zip(taken["dataset"], taken["available"].astype(int), strict=True))
    chosen = [(str(row.dataset), f"weight {row.weight:.3f}") for row in taken.itertuples()]
    out = _table(chosen, taken["instances"].astype(int).tolist(), have, ranks)
    for name, column in (("weight", "weight"), ("without_mm", "without")):
        out.insert(len(out.columns) - 1, name, taken[column].to_numpy(float))
    idle = {str(name): "the best mixture has none of it" for name in table["dataset"][table["instances"] == 0]}
    out.attrs = {"budget": found.budget, "left_out": idle}
    return out


def _considered(
    ranked: pd.DataFrame, available: Mapping[str, int], rule: Rule
) -> tuple[dict[str, int], dict[str, int], dict[str, str]]:
    """Ranks there are, instances of each set that a rule looks at, and why it does not look at others."""
    if ranked["train_set"].duplicated().any():
        raise UsageError("a dataset has several ranks", fix="choose one model")
    ranks = {str(t): int(r) for t, r in zip(ranked["train_set"], ranked["rank"], strict=True) if not pd.isna(r)}
    there = {name: int(count) for name, count in available.items() if count > 0}
    left_out = {name: "not available" for name in ranks if name not in there}
    if rule not in BY_RANK:
        return ranks, there, left_out
    left_out = {str(t): "no rank" for t in ranked["train_set"] if t not in ranks} | left_out
    left_out |= {name: "not in the ranking" for name in available if name not in set(map(str, ranked["train_set"]))}
    return ranks, {name: there[name] for name in ranks if name in there}, left_out


def _best_first(have: Collection[str], ranks: Mapping[str, int]) -> list[str]:
    """Ranked sets by their rank, then the others by name."""
    return sorted(have, key=lambda name: (ranks.get(name, np.inf), name))


def _covering(order: Sequence[tuple[str, float]]) -> list[tuple[str, str]]:
    """Reasons of sets that each add a part of the test samples."""
    together = np.cumsum([added for _, added in order])
    return [
        (name, f"adds {added:.1%} of the test samples, {share:.1%} together")
        for (name, added), share in zip(order, together, strict=True)
    ]


def _table(
    chosen: Sequence[tuple[str, str]], shares: Sequence[int], have: Mapping[str, int], ranks: Mapping[str, int]
) -> pd.DataFrame:
    rows = []
    for (name, why), share in zip(chosen, shares, strict=True):
        interval = interval_for(have[name], share)
        amount = "all instances" if interval == 1 else f"{_every(interval)}, to fit a share of {share:,}"
        taken = len(strided(have[name], interval))
        rows.append((name, ranks.get(name), have[name], interval, taken, f"{why}; {amount}"))
    out = pd.DataFrame(rows, columns=["dataset", "rank", "available", "interval", "instances", "reason"])
    return out.astype({"rank": "Int64"})


def _greedy(
    ranks: Mapping[str, int], sets: int, distances: pd.DataFrame | None, diversity: float, must: Collection[str]
) -> list[tuple[str, str]]:
    """(dataset, why) in the order taken."""
    best, worst = min(ranks.values()), max(ranks.values())
    weight = diversity if distances is not None else 0.0
    largest = float(np.nanmax(distances.to_numpy(float), initial=0)) if distances is not None else 0.0
    taken: list[tuple[str, str]] = []

    def novelty(name: str) -> tuple[float, str]:
        if distances is None or largest == 0 or not taken:
            return 1.0, ""
        known = [t for t, _ in taken if t in distances.index] if name in distances.index else []
        if not known:
            return 0.5, ", distance unknown"
        gaps = distances[known].loc[name].to_numpy(float)
        return float(gaps.min()) / largest, f", {gaps.min():.2f} from {known[int(gaps.argmin())]}"

    while len(taken) < min(sets, len(ranks)):
        scores = {}
        open_sets = [n for n in ranks if n not in [t for t, _ in taken]]
        asked = [n for n in open_sets if n in must]
        for name in asked or open_sets:
            quality = 1.0 if worst == best else (worst - ranks[name]) / (worst - best)
            scores[name] = ((1 - weight) * quality + weight * novelty(name)[0], -ranks[name], name)
        winner = max(scores, key=lambda n: scores[n])
        said = f"rank {ranks[winner]}{novelty(winner)[1]}"
        taken.append((winner, f"wanted (must), {said}" if asked else said))
    return taken


def even_shares(sizes: Sequence[int], budget: int) -> list[int]:
    """Even shares of ``budget``; what small sets leave over goes to the larger ones."""
    shares = [0] * len(sizes)
    left, open_sets = budget, len(sizes)
    for i in sorted(range(len(sizes)), key=lambda i: sizes[i]):
        shares[i] = min(sizes[i], left // open_sets)
        left, open_sets = left - shares[i], open_sets - 1
    return shares


def _check_names(
    must: Collection[str],
    never: Collection[str],
    have: Collection[str],
    known: Collection[str],
    left_out: Mapping[str, str],
    most: int,
) -> None:
    """Raise UsageError where ``must`` and ``never`` name what is not known, contradict each other or cannot be met."""
    if unknown := [name for name in (*must, *never) if name not in known]:
        raise UsageError(f"{unknown[0]} is no dataset of the files or the ranking", fix=f"there are {_listed(known)}")
    if both := sorted(set(must) & set(never)):
        raise UsageError(f"{both[0]} is to be taken (must) and not to be taken (never)", fix="choose one")
    if absent := [name for name in must if name not in have]:
        raise UsageError(f"{absent[0]} is to be taken (must) and cannot be: {left_out[absent[0]]}")
    if len(set(must)) > most:
        raise UsageError(f"{len(set(must))} datasets are to be taken (must), and at most {most} may be")


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))


def interval_for(available: int, wanted: int) -> float:
    """The interval, of four decimals, that takes ``wanted`` of ``available`` instances or up to a ten-thousandth fewer;
    an int where it is whole.
    """
    parts = -(-available * 10_000 // wanted)
    return parts // 10_000 if parts % 10_000 == 0 else parts / 10_000


def _every(interval: float) -> str:
    if isinstance(interval, int):
        return f"every {interval}{_ordinal(interval)} instance"
    return f"one in {interval} instances"


def _ordinal(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
