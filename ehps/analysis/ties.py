"""Which training sets can be told apart: paired differences, groups of sets that cannot be, ranks written as ties.

Each two sets of a model are compared by the difference of their mean primary errors, on the same test data, by
Student's t with the standard error of :mod:`ehps.analysis.intervals`. The p-values are corrected by Holm for the number
of all pairs of the model, not of neighbours only, so that a letter can be read across the whole table: two sets share
one exactly where they cannot be told apart at the level, and a chain of near neighbours is not one group. A rank is
written as the range from the best to the worst set that its own cannot be told apart from.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from ehps.analysis.correlation import holm
from ehps.analysis.intervals import Spread
from ehps.arrays import Array, Mask


@dataclass(frozen=True)
class Difference:
    """How far a set is behind the next better one of its model, in mm.

    Attributes
    ----------
    low, high : of this one difference, not corrected for the number of pairs.
    p, p_holm : that it is none; corrected for all pairs of the model.
    """

    model: str
    better: str
    worse: str
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    apart: bool


def mark(frame: pd.DataFrame, found: Spread | None, level: float) -> list[Difference]:
    """Fill ``tied`` (``1-2``) and, with intervals, ``group`` (letters) of ``frame``; differences of neighbours.

    Parameters
    ----------
    frame : indexed by (train_set, model), with ``mpe``.
    """
    texts = np.full(len(frame), None, object)
    groups = np.full(len(frame), "", object)
    mpe = frame["mpe"].to_numpy(float)
    models = frame.index.get_level_values("model")
    neighbours: list[Difference] = []
    for model in models.unique():
        placed = np.flatnonzero((models == model) & np.isfinite(mpe))
        placed = placed[np.argsort(mpe[placed], kind="stable")]
        apart = np.subtract.outer(mpe[placed], mpe[placed]) != 0
        if found is not None:
            known = found.known()[placed]
            error, df = (values[np.ix_(placed, placed)] for values in found.of_differences())
            p, corrected = _tests(mpe[placed], error, df, known)
            compared = np.isfinite(p)
            apart = np.where(compared, corrected <= 1 - level, apart)
            half = special.stdtrit(df, (1 + level) / 2) * error
            half = np.where(error == 0, 0, half)
            names = frame.index.get_level_values("train_set")[placed]
            for i, j in pairwise(np.flatnonzero(known).tolist()):
                by = float(mpe[placed[j]] - mpe[placed[i]])
                span = float(half[i, j])
                tested = (float(p[i, j]), float(corrected[i, j]))
                pair = (str(model), str(names[i]), str(names[j]))
                neighbours.append(Difference(*pair, by, by - span, by + span, *tested, apart=bool(apart[i, j])))
            groups[placed[known]] = letters(apart[np.ix_(known, known)])
        for at, row in zip(placed, ~apart, strict=True):
            texts[at] = rank_range(np.flatnonzero(row) + 1)
    frame["tied"] = texts
    if found is not None:
        frame["group"] = groups
    return neighbours


def letters(apart: Mask) -> list[str]:
    """Compact letter display: two of K share a letter exactly where they are not ``apart`` (K, K)."""
    held = [""] * len(apart)
    for number, group in enumerate(sorted(sorted(clique) for clique in _cliques(~apart))):
        for at in group:
            held[at] += _letter(number)
    return held


def _cliques(alike: Mask) -> list[frozenset[int]]:
    """All largest groups whose members are alike, each with each (Bron and Kerbosch, with a pivot)."""
    near = [frozenset(np.flatnonzero(row).tolist()) - {at} for at, row in enumerate(alike)]
    found: list[frozenset[int]] = []

    def grow(group: frozenset[int], open_: frozenset[int], closed: frozenset[int]) -> None:
        if not open_ and not closed:
            found.append(group)
            return
        pivot = max(sorted(open_ | closed), key=lambda at: len(near[at] & open_))
        for at in sorted(open_ - near[pivot]):
            grow(group | {at}, open_ & near[at], closed & near[at])
            open_, closed = open_ - {at}, closed | {at}

    if len(alike):
        grow(frozenset(), frozenset(range(len(alike))), frozenset())
    return found


def _letter(number: int) -> str:
    """a to z, then a', b', ...: each is told from its neighbours in a word of several."""
    return chr(ord("a") + number % 26) + "'" * (number // 26)


def _tests(mpe: Array, error: Array, df: Array, known: Mask) -> tuple[Array, Array]:
    """(K, K) two-sided p-values of all differences, and the same after Holm; NaN where one has no interval."""
    by = np.abs(np.subtract.outer(mpe, mpe))
    with np.errstate(invalid="ignore", divide="ignore"):
        p = 2 * special.stdtr(df, -by / error)
    p = np.where(error == 0, (by == 0).astype(float), p)
    p[~(known[:, None] & known[None, :])] = np.nan
    upper = np.triu_indices(len(mpe), 1)
    corrected = np.full(p.shape, np.nan)
    corrected[upper] = holm(p[upper])
    corrected.T[upper] = corrected[upper]
    np.fill_diagonal(corrected, np.where(known, 1.0, np.nan))
    return p, corrected


def rank_range(places: Array) -> str:
    low, high = int(places.min()), int(places.max())
    return str(low) if low == high else f"{low}-{high}"


def ends(text: str) -> tuple[int, int]:
    """First and last rank of a text of :func:`rank_range`."""
    low, _, high = text.partition("-")
    return int(low), int(high or low)


def leaders(ranked: pd.DataFrame) -> list[int]:
    """Rows of one model's ranking that the best set cannot be told apart from, itself first; [] without ranks."""
    placed = ranked["mpe"].notna().to_numpy() if "mpe" in ranked else np.zeros(len(ranked), bool)
    if not placed.any():
        return []
    first = int(np.flatnonzero(placed)[0])
    if "group" not in ranked or not ranked["group"].iloc[first]:
        return [at for at in np.flatnonzero(placed).tolist() if ranked["mpe"].iloc[at] == ranked["mpe"].iloc[first]]
    own = set(words(ranked["group"].iloc[first]))
    return [first, *(at for at, text in enumerate(ranked["group"]) if at != first and own & set(words(text)))]


def words(group: str) -> list[str]:
    """The letters of a group: ``a'b`` has two."""
    return re.findall(r"[a-z]'*", group)


def listed(names: Sequence[Any], most: int = 4) -> str:
    """``A, B and C``; the rest counted where there are more than ``most``."""
    shown = [str(name) for name in names]
    if len(shown) > most:
        shown = [*shown[: most - 1], f"{len(shown) - most + 1} more"]
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
