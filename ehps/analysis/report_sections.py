"""The sections of the report: what each shows, made from the inputs. None where an input is not given."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import ehps
from ehps.analysis import attributes, figures, rank_factors, tables
from ehps.analysis.published import dataset_name
from ehps.analysis.ranking import benchmarks_of, interval_note, labels
from ehps.analysis.report_inputs import ReportInputs
from ehps.humandata.quality_table import MEASURES
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
_PACKAGES = ("numpy", "scipy", "pandas", "matplotlib", "torch", "smplx", "umap-learn")


def tiles(inputs: ReportInputs) -> list[tuple[str, str]]:
    """The few numbers at the top: (value, what it is)."""
    tiles = []
    if inputs.ranked is not None:
        tiles.append((str(inputs.ranked["train_set"].nunique()), "training sets"))
        if benchmarks_of(inputs.ranked):
            tiles.append((str(len(benchmarks_of(inputs.ranked))), "benchmarks"))
        tested = [most for _, most in inputs.ranked.attrs.get("instances", {}).values()]
        if tested:
            tiles.append((f"{sum(tested):,}", "instances tested"))
        if "mpe" in inputs.ranked and inputs.ranked["mpe"].notna().any():
            tiles.append((f"{inputs.ranked['mpe'].min():.1f} mm", "lowest mean primary error"))
    if inputs.conversions:
        written = sum(int(_read(c).get("written") or 0) for c in inputs.conversions)
        tiles.append((f"{written:,}", "instances converted"))
    return tiles


def ranking(inputs: ReportInputs) -> dict[str, Any] | None:
    """Rows with their bars; positions are percentages of the bar column."""
    ranked = inputs.ranked
    if ranked is None:
        return None
    used = benchmarks_of(ranked)
    best = {b.id: "min" for b in used} | ({"mpe": "min"} if "mpe" in ranked else {})
    sizes = [] if "instances" not in ranked else ["instances"]
    shown = ranked[["rank", *best, *sizes]]
    spans = {c: ranked[c].astype(float) for c in ("mpe", "mpe_low", "mpe_high") if c in ranked}
    finite = np.concatenate([s.dropna().to_numpy() for s in spans.values()]) if spans else np.zeros(0)
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    pad = 0.06 * (high - low) or 1.0
    low, high = low - pad, high + pad

    def at(name: str, row: int) -> float | None:
        value = float(spans[name].iloc[row]) if name in spans else float("nan")
        return round(100 * (value - low) / (high - low), 2) if np.isfinite(value) else None

    rows = []
    for row, cells in enumerate(tables.cells(shown, best=best)):
        entry = ranked.iloc[row]
        rows.append(
            {
                "name": labels(ranked)[row],
                "colour": figures.style(str(entry["train_set"])).colour,
                "cells": cells,
                "own": [entry["train_set"] in (b.id, *b.test_sets) for b in used],
                "dot": at("mpe", row),
                "left": at("mpe_low", row),
                "right": at("mpe_high", row),
                "ranks": span(entry.get("rank_low"), entry.get("rank_high")),
                "missing": entry.get("missing", ""),
                "identification": entry.get("identification", ""),
            }
        )
    return {
        "heads": [b.label for b in used],
        "rows": rows,
        "low": f"{low:.0f}",
        "high": f"{high:.0f}",
        "own": any(any(row["own"]) for row in rows),
        "mpe": "mpe" in ranked,
        "sizes": bool(sizes),
        "published": "identification" in ranked,
        "intervals": "mpe_low" in ranked,
        "level": f"{100 * ranked.attrs.get('level', 0.95):.0f} %",
        "note": interval_note(ranked),
        "comparison": inputs.comparison.sentence() if inputs.comparison else None,
        "compared": _table(_named(inputs.comparison.frame), digits=0) if inputs.comparison else None,
    }


def benchmarks(inputs: ReportInputs) -> Any:
    """The heat map of training sets and benchmarks."""
    if inputs.ranked is None or not benchmarks_of(inputs.ranked):
        return None
    return svg(figures.heat_map(inputs.ranked), "benchmarks")


def factors(inputs: ReportInputs) -> dict[str, Any] | None:
    """Rank against size and attributes."""
    if inputs.ranked is None or inputs.attributes is None or inputs.ranked["train_set"].duplicated().any():
        return None
    if not rank_factors.attributed(inputs.ranked, inputs.attributes).any():
        return None
    frame = rank_factors.joined(inputs.ranked, inputs.attributes)
    drawn = [name for name in inputs.colour_by if name in frame and "instances" in frame]
    table = rank_factors.factors(inputs.ranked, inputs.attributes)
    shown = table.rename(
        columns={
            "factor": "Factor",
            "level": "Level",
            "n": "Datasets",
            "mean_rank": "Mean rank",
            "mean_mpe": "Mean MPE",
        }
    ).rename(columns={"spearman": "Spearman", "p": "p", "p_holm": "p, corrected"})
    digits = {"Spearman": 2, "p": 3, "p, corrected": 3}
    return {
        "figures": [svg(rank_factors.figure(inputs.ranked, inputs.attributes, n), f"factors-{n}") for n in drawn],
        "table": _table(shown, digits=digits) if len(shown) else None,
        "datasets": len(frame),
        "caution": table.attrs["caution"],
        "target": {"mpe": "mean primary error", "rank": "rank"}[table.attrs["target"]],
    }


def embedding(inputs: ReportInputs) -> dict[str, Any] | None:
    """The embeddings, and what could not be embedded."""
    if not inputs.embeddings:
        return None
    left = inputs.samples.left_out if inputs.samples is not None else pd.DataFrame()
    return {
        "figure": svg(attributes.figure(inputs.embeddings), "embedding"),
        "left_out": [f"{_shown(str(r.dataset))}, {r.attribute}: {r.reason}" for r in left.itertuples()],
    }


def coverage(inputs: ReportInputs) -> dict[str, Any] | None:
    """Training sets against test sets."""
    if inputs.samples is None:
        return None
    frame = attributes.coverage_table(inputs.samples)
    if not len(frame):
        return None
    grids = []
    for attribute, part in frame.groupby("attribute", sort=False):
        wide = part.pivot(index="train_set", columns="test_set", values="coverage")
        wide = wide.reindex(index=part["train_set"].unique(), columns=part["test_set"].unique())
        rows = [
            (_shown(str(name)), [None if np.isnan(v) else float(v) for v in row.tolist()])
            for name, row in wide.iterrows()
        ]
        heads = [_shown(str(name)) for name in wide.columns]
        grids.append({"title": attributes.TITLES.get(str(attribute), str(attribute)), "heads": heads, "rows": rows})
    names = {"attribute": "Attribute", "train_set": "Training set", "test_set": "Test set", "coverage": "Coverage"}
    names |= {"energy": "Energy distance", "mmd": "MMD", "nearest": "Nearest sample"}
    names |= {"n_train": "Training samples", "n_test": "Test samples"}
    shown = frame.assign(train_set=frame["train_set"].map(_shown), test_set=frame["test_set"].map(_shown))
    return {"grids": grids, "table": _table(shown.rename(columns=names), digits=2)}


def selection(inputs: ReportInputs) -> dict[str, Any] | None:
    """The chosen datasets."""
    if inputs.selection is None:
        return None
    chosen = inputs.selection
    shown = chosen.assign(dataset=chosen["dataset"].map(_shown)).rename(columns=lambda name: str(name).capitalize())
    total, budget = int(chosen["instances"].sum()), chosen.attrs.get("budget")
    said = f"{total:,} instances" + (f" of a budget of {budget:,}" if budget else "") + f" from {len(chosen)} datasets."
    left = [f"{_shown(name)}: {why}" for name, why in chosen.attrs.get("left_out", {}).items()]
    return {"table": _table(shown), "sentence": said, "left_out": left}


def conversions(inputs: ReportInputs) -> list[dict[str, Any]] | None:
    """Counts, quality percentiles and problems of each conversion."""
    out = []
    for entry in map(_read, inputs.conversions):
        dropped = {}
        whole = {f"{reason} (whole units)": units for reason, units in (entry.get("units_left_out") or {}).items()}
        for reason, names in {**(entry.get("dropped") or {}), **whole}.items():
            dropped[reason] = (
                names["count"] if isinstance(names, Mapping) else names if isinstance(names, int) else len(names)
            )
        measured = []
        quality = current_summary(entry.get("quality") or entry.get("certificate") or {})  # as older reports have it
        for measure in MEASURES:
            values = quality.get(measure.name)
            if isinstance(values, Mapping) and measure.digits is not None:
                cuts = [values.get(key) for key in ("p50", "p99", "max")]
                title = measure.label[0].upper() + measure.label[1:]
                measured.append((title, ["–" if v is None else f"{v:.{measure.digits}f}" for v in cuts]))
        counts = [(k, entry.get(k)) for k in ("found", "written", "published")]
        out.append(
            {
                "name": f"{_shown(str(entry.get('dataset', 'unknown')))}, {entry.get('split', '')}".rstrip(", "),
                "counts": [(k, "–" if v is None else f"{v:,}") for k, v in counts],
                "dropped": [(reason, f"{count:,}") for reason, count in dropped.items() if count],
                "measured": measured,
                "problems": [*(entry.get("problems") or []), *(_bad(u) for u in entry.get("bad_units") or [])],
            }
        )
    return out or None


def protocols(inputs: ReportInputs) -> dict[str, Any] | None:
    """Protocols of the ranking, their definitions, and all numbers."""
    if inputs.ranked is None or not inputs.ranked.attrs.get("protocols"):
        return None
    attrs = inputs.ranked.attrs
    definitions = inputs.results.attrs.get("protocols", {}) if inputs.results is not None else {}
    rows = []
    for b in benchmarks_of(inputs.ranked):
        if b.id in attrs["protocols"]:
            few, many = attrs["instances"][b.id]
            tested = f"{many:,}" if few == many else f"{few:,} – {many:,}"
            rows.append((b.name, b.label.removeprefix(b.name).strip(), attrs["protocols"][b.id], tested))
    shown = pd.DataFrame(rows, columns=["Benchmark", "Measure", "Protocol", "Instances"])
    full = None
    if inputs.results is not None:
        names = ["train_set", "test_set", "model", "protocol", "part", "metric", "value", "n"]
        full = _table(inputs.results[[n for n in names if n in inputs.results]], digits=2)
    written = {name: json.dumps(text, indent=1, default=str) for name, text in definitions.items()}
    return {"table": _table(shown), "definitions": written, "results": full}


def _table(frame: pd.DataFrame, *, digits: tables.Digits = 1, best: tables.Best | None = None) -> dict[str, Any]:
    rows = tables.cells(frame, digits=digits, best=best)
    numeric = [cell.numeric for cell in rows[0]] if rows else [False] * len(frame.columns)
    return {"heads": list(zip(map(str, frame.columns), numeric, strict=True)), "rows": rows}


def _named(compared: pd.DataFrame) -> pd.DataFrame:
    shown = compared.assign(train_set=compared["train_set"].map(_shown))
    names = {"train_set": "Training set", "rank_shared": "Rank here", "published_rank_shared": "Rank published"}
    if "identification" in shown:
        names["identification"] = "Identification in the published figure"
    return shown[list(names)].rename(columns=names)


def svg(figure: Figure, prefix: str) -> Any:
    from markupsafe import Markup

    return Markup(figures.inline_svg(figure, prefix))


def span(low: Any, high: Any) -> str:
    if low is None or pd.isna(low):
        return ""
    return str(int(low)) if low == high else f"{int(low)} – {int(high)}"


def _shown(label: str) -> str:
    name = label.removesuffix(" (test)")
    return dataset_name(name) + label[len(name) :]


def _read(conversion: Mapping[str, Any] | Path) -> Mapping[str, Any]:
    if isinstance(conversion, Mapping):
        return conversion
    return read_json(conversion, _CONVERSION, fix="convert it again, or move the report away")


def _bad(unit: Any) -> str:
    return f"{unit.get('unit')}: {unit.get('why')}" if isinstance(unit, Mapping) else str(unit)


def versions() -> list[tuple[str, str]]:
    """What made the page."""
    found = [("ehps", ehps.__version__), ("python", platform.python_version())]
    for name in _PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return found
