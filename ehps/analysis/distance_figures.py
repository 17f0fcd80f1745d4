"""Matrices between sets as heat maps, like sets beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import pdist, squareform

from ehps.analysis import figures
from ehps.analysis.colours import readable_on
from ehps.analysis.published import dataset_name
from ehps.analysis.samples import TITLES
from ehps.arrays import Array
from ehps.errors import UsageError

SAID = {
    "energy": "energy distance",
    "energy_share": "energy distance as a share of the mean distance between the sets",
    "mmd": "squared maximum mean discrepancy",
    "frechet": "Frechet distance",
    "classifier": "share of samples given to the right set by their neighbours (0.5: none told apart)",
    "nearest": "mean distance to the nearest sample of the other set",
    "coverage": "coverage of the test set",
    "own_scale": "share of test samples within the test set's own nearest distance of a training sample",
}
_HIGH_IS_NEAR = ("coverage", "own_scale")
_IN_CELLS: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 7}
_WITH_NUMBERS = 14
"""Most columns whose cells have room for a number."""


def distance_figure(matrices: Mapping[str, pd.DataFrame]) -> Figure:
    """One panel an attribute; rows and columns in the order of their clusters, dark where sets are near.

    Parameters
    ----------
    matrices : attribute -> frame with ``attrs`` ``measure`` and ``unit``: of ``distance_matrix``, or
        ``train_by_test``.

    Raises
    ------
    UsageError : there is nothing to draw.
    """
    shown = {name: ordered(matrix) for name, matrix in matrices.items() if matrix.size}
    if not shown:
        raise UsageError("there are no two sets to compare")
    measure = str(next(iter(shown.values())).attrs["measure"])
    most_rows = max(len(matrix) for matrix in shown.values())
    most_columns = max(matrix.shape[1] for matrix in shown.values())
    cell = 0.42 if most_columns <= _WITH_NUMBERS else 0.21
    columns = max(1, min(len(shown), int(12 / (1.9 + cell * most_columns))))
    colours = figures.SCALE.reversed() if measure in _HIGH_IS_NEAR else figures.SCALE
    with figures.styled():
        drawing, axes = figures.panels(
            len(shown),
            width=columns * (1.9 + cell * most_columns),
            height=1.5 + min(cell, 0.3) * most_rows,
            columns=columns,
        )
        for panel, (attribute, matrix) in zip(axes, shown.items(), strict=True):
            values = matrix.to_numpy(float)
            low, high = np.nanmin(values), np.nanmax(values)
            share = (values - low) / (high - low) if high > low else np.zeros_like(values)
            digits = 2 if high <= 0 else max(2, 1 - int(np.floor(np.log10(high))))
            drawn = panel.imshow(np.ma.masked_invalid(share), cmap=colours, vmin=0, vmax=1, aspect="auto")
            if most_columns <= _WITH_NUMBERS:
                for (row, column), value in np.ndenumerate(values):
                    if np.isfinite(value):
                        ground = to_hex(colours(float(share[row, column])))
                        panel.text(column, row, f"{value:.{digits}f}", color=readable_on(ground), **_IN_CELLS)
            panel.set_yticks(range(len(matrix)), [_shown(str(name)) for name in matrix.index], fontsize=7)
            panel.set_xticks(range(matrix.shape[1]), [_shown(str(name)) for name in matrix], rotation=90, fontsize=7)
            panel.tick_params(length=0)
            panel.spines[:].set_visible(False)
            unit = f", {matrix.attrs['unit']}" if matrix.attrs.get("unit") else ""
            panel.set_title(f"{TITLES.get(attribute, attribute)}{unit}")
            bar = drawing.colorbar(drawn, ax=panel, shrink=0.7, aspect=30, pad=0.02, ticks=[0, 1])
            bar.ax.set_yticklabels([f"{end:.{digits}f}" for end in (low, high)], fontsize=7)
            bar.outline.set_visible(False)
            bar.ax.tick_params(length=0)
        note = f"Dark: {'covered' if measure in _HIGH_IS_NEAR else 'near'}. Each panel has its own scale; "
        note += "sets are in the order of clusters of like ones."
        said = SAID.get(measure, measure)
        figures.entitle(drawing, said[0].upper() + said[1:] + nearest_pair(next(iter(shown.values()))), note)
    return drawing


def ordered(matrix: pd.DataFrame) -> pd.DataFrame:
    """Rows and columns in the order of their clusters (average linkage); a symmetric matrix by its own distances."""
    symmetric = list(matrix.index) == list(matrix.columns)
    values = matrix.to_numpy(float)
    values = np.where(np.isfinite(values), values, np.nanmean(values) if np.isfinite(values).any() else 0.0)
    if symmetric:
        gaps = values - np.diag(np.diag(values))
        places = _leaves(squareform(gaps, checks=False))
        out = matrix.iloc[places, places]
    else:
        out = matrix.iloc[_leaves(pdist(values)), _leaves(pdist(values.T))]
    out.attrs = dict(matrix.attrs)
    return out


def _leaves(gaps: Array) -> list[int]:
    if len(gaps) < 3:  # one thing, or two
        return list(range(len(gaps) + 1))
    return leaves_list(linkage(gaps, "average", optimal_ordering=True)).tolist()


def nearest_pair(matrix: pd.DataFrame) -> str:
    """Which two sets are nearest, as the end of a title."""
    values = matrix.to_numpy(float).copy()
    if list(matrix.index) == list(matrix.columns):
        if len(matrix) < 2:
            return ""
        np.fill_diagonal(values, np.nan)
    covers = matrix.attrs["measure"] in _HIGH_IS_NEAR
    best = np.nanargmax if covers else np.nanargmin
    row, column = divmod(int(best(values)), values.shape[1])
    a, b = _shown(str(matrix.index[row])), _shown(str(matrix.columns[column]))
    attribute = matrix.attrs.get("attribute")
    where = f" by {TITLES[attribute]}" if attribute in TITLES else ""
    said = f"{a} covers {b} best" if covers else f"{a} and {b} are nearest"
    return f": {said}{where} ({values[row, column]:.2g})"


def _shown(label: str) -> str:
    name = label.removesuffix(" (test)")
    return dataset_name(name) + label[len(name) :]
