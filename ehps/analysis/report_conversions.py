"""The section of the report about conversion: one table of all sets, and what was left out of each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ehps.analysis.published import dataset_name
from ehps.analysis.report_inputs import ReportInputs
from ehps.analysis.report_tables import Look, page_table
from ehps.humandata.quality_table import MEASURES, Measure
from ehps.humandata.storage.former_names import current_summary
from ehps.json_files import read_json

_NAMES = (int, None, [object], {"count": int})
_CONVERSION = {
    "dataset?": (str, None),
    "split?": (str, None),
    "found?": (int, None),
    "written?": (int, None),
    "published?": (int, None),
    "dropped?": (None, {str: _NAMES}),
    "units_left_out?": (None, {str: _NAMES}),
    "quality?": (None, {str: (float, str, None, {str: (float, None)})}),
    "certificate?": (None, {str: (float, str, None, {str: (float, None)})}),
    "problems?": (None, [object]),
    "bad_units?": (None, [object]),
}
_CUTS = {"p50": "Median", "p99": "99 %", "max": "Largest"}
_MAIN = ("reprojection_px", "points3d_m", "betas_norm")
"""Measures whose median stands in the table of all sets."""


def entry(conversion: Mapping[str, Any] | Path) -> Mapping[str, Any]:
    """A conversion report, or the one in a file."""
    if isinstance(conversion, Mapping):
        return conversion
    content: Mapping[str, Any] = read_json(conversion, _CONVERSION, fix="convert it again, or move the report away")
    return content


def conversions(inputs: ReportInputs) -> dict[str, Any] | None:
    """Counts and medians of each set, all that was measured, and what was dropped or is odd."""
    entries = [entry(c) for c in inputs.conversions]
    if not entries:
        return None
    counts, measured, odd = [], [], []
    for one in entries:
        dataset, split = str(one.get("dataset", "unknown")), str(one.get("split") or "")
        name = {"Dataset": dataset_name(dataset), "Split": split}
        dropped, problems = _dropped(one), _problems(one)
        quality = _quality(one)
        row: dict[str, Any] = {**name, "Found": one.get("found"), "Written": one.get("written")}
        row |= {"Dropped": sum(n for n, whole in dropped.values() if not whole), "Published": one.get("published")}
        row["Remarks"] = len(dropped) + len(problems)
        for measure in MEASURES:
            if measure.name in _MAIN:
                row[f"{_title(measure)}"] = quality.get(measure.name, {}).get("p50")
        counts.append(row)
        for measure in MEASURES:
            if measure.digits is not None and measure.name in quality:
                cuts = {head: _rounded(quality[measure.name].get(key), measure.digits) for key, head in _CUTS.items()}
                measured.append({**name, "Measure": _title(measure), **cuts})
        for reason, (number, whole) in dropped.items():
            what = f"{'units' if whole else 'instances'} left out: {reason}"
            odd.append({**name, "Count": number, "Remark": what})
        odd += [{**name, "Count": None, "Remark": text} for text in problems]
    frame = pd.DataFrame(counts)
    numbers = ["Found", "Written", "Dropped", "Published", "Remarks"]
    frame[numbers] = frame[numbers].astype("Int64")
    frame = frame.dropna(axis=1, how="all")
    digits = {_title(m): m.digits for m in MEASURES if m.digits is not None}
    look = Look(marks={"Dataset": [str(one.get("dataset", "unknown")) for one in entries]})
    remarks = pd.DataFrame(odd, columns=["Dataset", "Split", "Count", "Remark"])
    remarks["Count"] = remarks["Count"].astype("Int64")
    return {
        "table": page_table(frame, "conversions-table", "Counts and medians", digits=digits, look=look),
        "measured": page_table(pd.DataFrame(measured), "quality-table", "Measured while converting")
        if measured
        else None,
        "remarks": page_table(remarks, "remarks-table", "What was left out, and what is odd") if odd else None,
    }


def _quality(one: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found = current_summary(one.get("quality") or one.get("certificate") or {})  # as older reports have it
    return {name: values for name, values in found.items() if isinstance(values, Mapping)}


def _dropped(one: Mapping[str, Any]) -> dict[str, tuple[int, bool]]:
    """Reason -> how many, and whether these are whole units."""
    out = {}
    for key, whole in (("dropped", False), ("units_left_out", True)):
        for reason, names in (one.get(key) or {}).items():
            number = (
                names["count"] if isinstance(names, Mapping) else names if isinstance(names, int) else len(names or [])
            )
            if number:
                out[reason] = (number, whole)
    return out


def _problems(one: Mapping[str, Any]) -> list[str]:
    bad = [f"{u.get('unit')}: {u.get('why')}" if isinstance(u, Mapping) else str(u) for u in one.get("bad_units") or []]
    return [*map(str, one.get("problems") or []), *bad]


def _title(measure: Measure) -> str:
    return measure.label[0].upper() + measure.label[1:]


def _rounded(value: float | None, digits: int) -> str | None:
    return None if value is None else f"{value:.{digits}f}"
