"""A ranking beside what repeated trainings say of it: how likely the order of neighbours is to hold, and wider ties.

The intervals of a ranking are of the test data; probabilities of :mod:`ehps.analysis.reliability` are of training
again, with another recipe and seed. Two sets are told apart where both do so, as far as both are known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ehps.analysis import ties
from ehps.errors import DataError, UsageError

if TYPE_CHECKING:
    from ehps.analysis.reliability import Reliability


def with_reliability(ranked: pd.DataFrame, found: Reliability, level: float = 0.95) -> pd.DataFrame:
    """The ranking of one model with ``holds_next``, and ``tied`` and ``group`` of both.

    ``holds_next``: probability that the set stays ahead of the next one of the ranking when both are trained again; NaN
    where one of them was not trained repeatedly. ``attrs["reliability"]``: ``level``, ``recipes``, ``seeds`` and
    ``sets`` (of the ranking, which were trained repeatedly).

    Raises
    ------
    UsageError : the ranking is of several models.
    DataError : fewer than two of its sets were trained repeatedly.
    """
    if ranked["model"].nunique() > 1:
        raise UsageError("repeated trainings stand beside the ranking of one model", fix="choose it with --model")
    out = ranked.copy()
    out.attrs = dict(ranked.attrs)
    places = np.flatnonzero(ranked["rank"].notna())
    names = ranked["train_set"].astype(str).iloc[places].tolist()
    known = [name for name in names if name in found.sets]
    if len(known) < 2:
        which = ", ".join(found.sets)
        raise DataError(f"of the ranked sets fewer than two were trained repeatedly; these were: {which}")
    holds = found.matrix().reindex(index=names, columns=names).to_numpy()  # the row's set before the column's
    mpe = ranked["mpe"].to_numpy(float)[places]
    groups = [ties.words(text) for text in ranked["group"].iloc[places]] if "group" in ranked else [[]] * len(names)
    apart = np.subtract.outer(mpe, mpe) != 0
    for i, own in enumerate(groups):
        for j, other in enumerate(groups):
            if own and other:
                apart[i, j] = not set(own) & set(other)
    sure = np.isnan(holds) | (np.triu(holds, 1) + np.triu(holds, 1).T >= level)
    apart &= sure
    column = np.full(len(ranked), np.nan)
    column[places[:-1]] = np.diagonal(holds, 1)
    tied, group = np.full(len(ranked), None, object), np.full(len(ranked), "", object)
    tied[places] = [ties.rank_range(np.flatnonzero(row) + 1) for row in ~apart]
    lettered = np.array([bool(own) or name in found.sets for own, name in zip(groups, names, strict=True)])
    group[places[lettered]] = ties.letters(apart[np.ix_(lettered, lettered)])
    out["tied"], out["group"], out["holds_next"] = tied, group, column
    out.attrs["reliability"] = {"level": level, "recipes": found.recipes, "seeds": found.seeds, "sets": known}
    return out
