"""What errors of instances come to: means over them and over groups, tables, and the names that SMPLer-X prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ehps.arrays import Array
from ehps.benchmark.protocols import true_bodies
from ehps.benchmark.protocols.metrics import Errors
from ehps.benchmark.protocols.protocol import Protocol
from ehps.benchmark.protocols.vocabulary import UNITS
from ehps.errors import DataError
from ehps.humandata.core import HumanData

FACTORS = {"mm": 1000.0, "%": 100.0, "10 m/s^3": 0.1}
"""From metres and shares to a metric's unit."""


def unit(metric: str) -> str:
    """Of a metric's values in results."""
    return UNITS.get(metric, "mm")


def summarise(errors: Errors, groups: Array | None = None, mean: str = "instances") -> list[dict[str, Any]]:
    """Means over the samples that have a value, with their number and how many had none.

    Parameters
    ----------
    groups : (N,) texts, what each sample is of; the means of each come after those of all, as ``body Walking``.
    mean : ``groups`` for means of the groups' means.
    """
    lines = []
    names = [] if groups is None else sorted(set(groups.tolist()))
    of_groups = []
    for (part, metric), values in errors.items():
        whole = _line(part, metric, values)
        own = [_line(f"{part} {name}", metric, values[groups == name]) for name in names]
        if mean == "groups":
            whole["value"] = float(np.mean([line["value"] for line in own if line["n"]])) if whole["n"] else np.nan
        lines.append(whole)
        of_groups += own
    return lines + of_groups


def _line(part: str, metric: str, values: Array) -> dict[str, Any]:
    there = values[~np.isnan(values)]
    value = float(there.mean()) if len(there) else float("nan")
    counted = {"n": len(there), "skipped": int(len(values) - len(there))}
    return {"part": part, "metric": metric, "value": value, "unit": unit(metric), **counted}


def groups_of(protocol: Protocol, hd: HumanData, rows: Array) -> Array | None:
    """(N,) the group of each row as text, None where the protocol has no groups.

    Raises
    ------
    DataError : the file lacks the column, or it has several values a row.
    """
    if not protocol.group_by:
        return None
    column = f"meta/{protocol.group_by}"
    if column not in hd:
        raise DataError(
            f"has no {column}, by which {protocol.id} groups people",
            path=hd.source,
            fix=f"convert the dataset again, or take {protocol.name}[group_by=]",
        )
    if isinstance(hd[column], np.ndarray) and hd[column].ndim != 1:
        raise DataError(f"{column} is not one value a row, by which {protocol.id} groups people", path=hd.source)
    return np.array([str(value) for value in hd[column][rows].tolist()])


def with_values_of_the_set(
    lines: list[dict[str, Any]], values: dict[tuple[str, str], float], count: int, tested: int
) -> list[dict[str, Any]]:
    """Lines of means, with the values of metrics that are made of ``count`` of the ``tested`` instances together."""
    known = {(line["part"], line["metric"]): line for line in lines}
    for (part, metric), value in values.items():
        of_all = {"part": part, "metric": metric, "unit": unit(metric), "n": count, "skipped": tested - count}
        value *= FACTORS.get(unit(metric), 1.0)
        known[part, metric] = {**known.get((part, metric), of_all), "value": value}
    return list(known.values())


def tidy(errors: Errors, rows: Array) -> pd.DataFrame:
    """One row an instance and metric; samples without a value are left out."""
    frames = []
    for (part, metric), values in errors.items():
        there = ~np.isnan(values)
        frames.append(pd.DataFrame({"truth_row": rows[there], "part": part, "metric": metric, "value": values[there]}))
    if not frames:
        return pd.DataFrame({"truth_row": rows[:0], "part": [], "metric": [], "value": []})
    return pd.concat(frames, ignore_index=True)


def frame(errors: pd.DataFrame, truth: HumanData) -> pd.DataFrame:
    """``errors`` with the image and the sequence of each row."""
    rows = np.unique(errors["truth_row"].to_numpy())
    images = dict(zip(rows.tolist(), truth["image_path"][rows].tolist(), strict=True))
    sequences = dict(zip(rows.tolist(), true_bodies.sequence_names(truth, rows), strict=True))
    out = errors.assign(image_path=errors["truth_row"].map(images), sequence=errors["truth_row"].map(sequences))
    texts = dict.fromkeys(("image_path", "sequence", "part", "metric"), object)  # numbers where there is no row
    return out[["truth_row", "image_path", "sequence", "part", "metric", "value"]].astype(texts)


_PRINTED_PARTS = {
    "all": "All",
    "left_hand": "L-Hands",
    "right_hand": "R-Hands",
    "hand": "Hands",
    "face": "Face",
    "body": "Body",
}
_PRINTED_METRICS = {"PVE": "MPVPE", "PA-PVE": "PA MPVPE", "MPJPE": "MPJPE", "PA-MPJPE": "PA MPJPE"}


def printed(metrics: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The numbers under the names that SMPLer-X prints: ``PA MPVPE (All)``, ``MPVPE (Hands)``, ``PA MPJPE
    (Body)``.
    """
    return {
        f"{_PRINTED_METRICS[line['metric']]} ({_PRINTED_PARTS[line['part']]})": line["value"]
        for line in metrics
        if line["metric"] in _PRINTED_METRICS and line["part"] in _PRINTED_PARTS
    }
