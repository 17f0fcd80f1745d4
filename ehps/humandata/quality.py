"""The summary of measured quality: percentiles over the rows of what was measured on each of them.

It belongs to the rows: files with other rows (sampled, merged, without bad ones) get a summary of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.humandata.quality_table import COLUMNS, MEASURES
from ehps.humandata.table import Table

SUMMARISED = (*(measure.column for measure in MEASURES if measure.column), "bbox_xywh", "meta/width")
PERCENTILES = (1, 50, 90, 99)


def summary(columns: Mapping[str, Any], reprojection: str) -> dict[str, Any]:
    """Percentiles of every measure over the rows, JSON-able.

    Parameters
    ----------
    columns : the quality columns and those of the others in :data:`SUMMARISED` that there are; errors relative to
        the person's size need ``bbox_xywh`` and ``meta/width``.
    reprojection : exact, fitted or none, as the dataset's card has it.
    """
    out: dict[str, Any] = {"reprojection": reprojection}
    values = {
        measure.name: np.asarray(columns[measure.column], float)
        for measure in MEASURES
        if measure.dtype == "float32" and measure.column in columns
    }
    if "bbox_xywh" in columns:
        boxes = np.asarray(columns["bbox_xywh"], float)
        side = np.maximum(boxes[:, 2], boxes[:, 3])
        side = np.where(side > 0, side, np.nan)
        for part in ("", "_body", "_hands", "_face"):
            values[f"reprojection{part}_of_box"] = values[f"reprojection{part}_px"] / side
        if "own_points_px" in values:
            values["own_points_of_box"] = values["own_points_px"] / side
    for name, column in values.items():
        statistics = _statistics(column)
        if statistics:
            out[name] = statistics
    behind = np.asarray(columns["quality/behind_camera"])
    finite = np.asarray(columns["quality/finite"])
    out["rows"] = len(finite)
    out["rows_with_joints_behind_camera"] = int((behind > 0).sum())
    out["rows_not_finite"] = int((~finite).sum())
    straight, swapped = values["reprojection_px"], values["reprojection_swapped_px"]
    compared = np.isfinite(straight) & np.isfinite(swapped)
    if compared.any():
        out["share_better_swapped"] = round(float((swapped < straight)[compared].mean()), 4)
    if "meta/width" in columns:
        out["image_width"] = float(np.median(np.asarray(columns["meta/width"])))
    return out


def _statistics(column: Array) -> dict[str, float]:
    good = column[np.isfinite(column)]
    if not len(good):
        return {}
    cuts = np.percentile(good, PERCENTILES)
    found = {"n": len(good), "mean": good.mean(), "max": good.max()}
    found |= {f"p{p}": cut for p, cut in zip(PERCENTILES, cuts, strict=True)}
    return {key: round(float(value), 6) if key != "n" else int(value) for key, value in found.items()}


def of_rows(parts: Iterable[Table]) -> dict[str, Any]:
    """The summary over all rows of ``parts`` (from files with measured quality); empty when one has none."""
    pieces: dict[str, list[Any]] = {}
    stated: set[str] = set()
    for part in parts:
        if not len(part):
            continue
        if not part.quality or any(name not in part for name in COLUMNS):
            return {}
        stated.add(str(part.quality.get("reprojection", "none")))
        for name in SUMMARISED:
            if name in part:
                pieces.setdefault(name, []).append(np.array(part[name]))
    joined = {name: np.concatenate(values) for name, values in pieces.items()}
    rows = len(joined[COLUMNS[0]]) if joined else 0
    if not rows:
        return {}
    # Rows without own 2D points have no reprojection, so they do not decide; of the others the looser does.
    kinds = stated - {"none"}
    reprojection = "none" if not kinds else "exact" if kinds == {"exact"} else "fitted"
    return summary({name: values for name, values in joined.items() if len(values) == rows}, reprojection)
