"""The sections of the report: what each shows, made from the inputs. None where an input is not given."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import pandas as pd

import ehps
from ehps.analysis import factor_figure, figures, joint_factors, rank_factors, ranking
from ehps.analysis.benchmarks import Part, of_part
from ehps.analysis.published import dataset_name
from ehps.analysis.ranking import benchmarks_of, labels
from ehps.analysis.ranking_table import FACT_HEADS, GROUPS, headline, interval_note, neighbours, spans, tied
from ehps.analysis.report_conversions import entry
from ehps.analysis.report_inputs import ReportInputs
from ehps.analysis.report_tables import Look, PageTable, Strip, page_table
from ehps.analysis.ties import ends
from ehps.errors import DataError, UsageError

PARTS: dict[str, Part] = {"Hands": "hands", "Face": "face"}
"""What there are rankings by beside that by the whole body."""

Strips = dict[str, tuple[Sequence[Strip], tuple[str, str]]]
"""Heading of a column -> its strips, and the ends of their scale."""

WIDEST = 720
"""Pixels of an example's width."""

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
        written = sum(int(entry(c).get("written") or 0) for c in inputs.conversions)
        tiles.append((f"{written:,}", "instances converted"))
    return tiles


def ranking_table(inputs: ReportInputs) -> dict[str, Any] | None:
    """The ranking: place, name and mean first, then how sure they are, then each benchmark."""
    ranked = inputs.ranked
    if ranked is None:
        return None
    used = benchmarks_of(ranked)
    columns: dict[str, Any] = {"Rank": tied(ranked), "Training set": labels(ranked)}
    strips: Strips = {}
    shaded = {b.label: "min" for b in used}
    if "mpe" in ranked:
        columns["MPE, mm"] = ranked["mpe"].astype(float)
        sure, strips = _sureness(ranked)
        columns |= sure
    columns |= {b.label: ranked[b.id].astype(float) for b in used}
    columns |= {
        head: ranked[name] for name, head in FACT_HEADS.items() if name in ranked and ranked[name].notna().any()
    }
    if "identification" in ranked:
        columns["Identification"] = ranked["identification"]
    if "missing" in ranked and ranked["missing"].astype(bool).any():
        columns["Missing"] = ranked["missing"]
    own = {b.label: [t in (b.id, *b.test_sets) for t in ranked["train_set"]] for b in used}
    look = Look(
        best={name: "min" for name in ("MPE, mm", *shaded) if name in columns},
        shaded=shaded,
        own=own,
        marks={"Training set": [str(t) for t in ranked["train_set"]]},
        strips=strips,
        keys={"Rank": _numbers(ranked["rank"])},
    )
    fixed = 3 if "mpe" in ranked else 2
    frame = pd.DataFrame(columns)
    order = list(frame).index("MPE, mm") if "mpe" in ranked and ranked["model"].nunique() == 1 else None
    table = page_table(
        frame, "ranking-table", "Training sets by mean primary error", look=look, header=1, fixed=fixed, sorted=order
    )
    return {
        "table": table,
        "errors": bool(used),
        "own": any(any(flags) for flags in own.values()),
        "published": "identification" in ranked,
        "note": f"{interval_note(ranked)} {GROUPS if 'Group' in columns else ''}".strip(),
        "apart": _apart(ranked),
        "comparison": inputs.comparison.sentence() if inputs.comparison else None,
        "compared": page_table(_named(inputs.comparison.frame), "published-table", "Rank here and published", digits=0)
        if inputs.comparison
        else None,
    }


def parts(inputs: ReportInputs) -> dict[str, Any] | None:
    """The rankings by hands and by face, each as that by the whole body; None where no test has them."""
    ranked, results = inputs.ranked, inputs.results
    if ranked is None or results is None or "mpe" not in ranked:
        return None
    found = {name: shown for name in PARTS if (shown := _part(inputs, ranked, results, name)) is not None}
    return found or None


def _part(inputs: ReportInputs, ranked: pd.DataFrame, results: pd.DataFrame, name: str) -> dict[str, Any] | None:
    """The ranking by one part."""
    part = PARTS[name]
    numbers = results[results["model"].isin(set(ranked["model"]))]
    used = [b for b in benchmarks_of(ranked) if any(len(one.rows(numbers)) for one in of_part((b,), part))]
    if not used:
        return None
    by_part = ranking.rank(numbers, inputs.errors, benchmarks=used, part=part)
    keys = [(str(t), str(m)) for t, m in zip(by_part["train_set"], by_part["model"], strict=True)]
    places = pd.Series(tied(ranked).to_numpy(object), [ranked["train_set"].astype(str), ranked["model"].astype(str)])
    of_whole = places.reindex(keys).tolist()
    sure, strips = _sureness(by_part, "PVE")
    columns: dict[str, Any] = {
        "Rank": tied(by_part),
        "Training set": labels(by_part),
        "PVE, mm": by_part["mpe"].astype(float),
        **sure,
    }
    shaded = {"PVE, mm": "min"}
    aligned = [b for b in (replace(b, metric="PA-PVE") for b in of_part(used, part)) if len(b.rows(numbers))]
    if aligned:
        values = ranking.rank(numbers, benchmarks=aligned).set_index(["train_set", "model"])["mpe"]
        columns["PA-PVE, mm"] = values.reindex(keys).to_numpy(float)
        shaded["PA-PVE, mm"] = "min"
    columns["Rank, whole body"] = of_whole
    look = Look(
        best=shaded,
        shaded=shaded,
        marks={"Training set": [str(t) for t in by_part["train_set"]]},
        strips=strips,
        keys={"Rank": _numbers(by_part["rank"]), "Rank, whole body": [_first(place) for place in of_whole]},
    )
    models = by_part["model"].nunique()
    caption = f"Training sets by errors of {name.lower()}"
    order = 2 if models == 1 else None
    table = page_table(pd.DataFrame(columns), f"{part}-table", caption, look=look, header=1, fixed=3, sorted=order)
    said = headline(by_part)[:models]
    if said and models == 1:
        place = of_whole[0]
        said.append(
            "It has no rank by the whole body." if pd.isna(place) else f"Its rank by the whole body is {place}."
        )
    note = interval_note(by_part) if inputs.errors is not None else "No intervals: errors of instances are not known."
    return {
        "table": table,
        "said": said,
        "tested": ", ".join(b.name for b in used),
        "note": f"{note} {GROUPS if 'Group' in columns else ''}".strip(),
    }


def cases(inputs: ReportInputs) -> dict[str, Any] | None:
    """Truth beside prediction, by benchmark."""
    if not inputs.cases:
        return None
    groups: dict[str, list[dict[str, Any]]] = {}
    absent: dict[str, int] = {}
    for case in inputs.cases:
        if case.fault:
            absent[case.fault] = absent.get(case.fault, 0) + 1
        shown = {
            "place": case.place,
            "value": f"{case.value:.0f}",
            "path": case.image_path,
            "name": case.image_path.rpartition("/")[2],
            "row": case.row,
            "fault": case.fault,
            "truth": figures.data_uri(case.truth) if case.truth is not None else None,
            "prediction": figures.data_uri(case.prediction) if case.prediction is not None else None,
        }
        groups.setdefault(case.benchmark, []).append(shown)
    first = inputs.cases[0]
    name = dataset_name(first.train_set) + (f", {first.model}" if first.model else "")
    worst = max(inputs.cases, key=lambda case: case.value)
    said = f"Of {name}. The largest error is {worst.value:.0f} mm, on {worst.benchmark}."
    return {"said": said, "groups": groups, "absent": [f"{n} not drawn: {why}" for why, n in absent.items()]}


def overlays(inputs: ReportInputs) -> list[tuple[str, str]] | None:
    """Captions and images."""
    shown = [(text, figures.data_uri(image, width=WIDEST)) for text, image in inputs.overlays]
    return [(shown_name(text), address) for text, address in shown] or None


def video(inputs: ReportInputs) -> dict[str, Any] | None:
    """Frames of the video on which a model was run, and where it is."""
    if inputs.video is None:
        return None
    stills = [(f"{time:.1f} s", figures.data_uri(image, width=WIDEST)) for time, image in inputs.video.stills]
    return {"said": inputs.video.said, "stills": stills, "link": inputs.video.link}


def factors(inputs: ReportInputs) -> dict[str, Any] | None:
    """Rank against size and attributes."""
    if inputs.ranked is None or inputs.attributes is None or inputs.ranked["train_set"].duplicated().any():
        return None
    if not rank_factors.attributed(inputs.ranked, inputs.attributes).any():
        return None
    frame = rank_factors.joined(inputs.ranked, inputs.attributes)
    drawn = [name for name in inputs.colour_by if name in frame and "instances" in frame]
    table = rank_factors.factors(inputs.ranked, inputs.attributes)
    heads = {
        "factor": "Factor",
        "level": "Level",
        "n": "Datasets",
        "mean_rank": "Mean rank",
        "mean_mpe": "Mean MPE, mm",
    }
    heads |= {"spearman": "Spearman", "p_holm": "p, corrected"}
    digits = {"Spearman": 2, "p": 3, "p, corrected": 3}
    shown = table.assign(factor=table["factor"].str.replace("_", " ")).rename(columns=heads)
    figures_of = {f"factors-{n}": rank_factors.figure(inputs.ranked, inputs.attributes, n) for n in drawn}
    if all(name in frame and frame[name].notna().any() for name in factor_figure.PANELS):
        figures_of = {"factors-four": factor_figure.four_panels(inputs.ranked, inputs.attributes), **figures_of}
    joint: joint_factors.JointModel | None = None
    try:
        joint = joint_factors.joint_model(inputs.ranked, inputs.attributes)
        said = joint.sentences()
    except (DataError, UsageError) as error:
        said = [f"{error.what[0].upper()}{error.what[1:]}."]
    return {
        "figures": [figure(drawing, prefix) for prefix, drawing in figures_of.items()],
        "joint": None if joint is None else _joint_table(joint),
        "said": said,
        "table": page_table(shown, "factors-table", "Tests of each attribute", digits=digits) if len(shown) else None,
        "datasets": len(frame),
        "caution": table.attrs["caution"],
        "left_out": _left_out(table),
        "target": {"mpe": "mean primary error", "rank": "rank"}[table.attrs["target"]],
    }


def _joint_table(joint: joint_factors.JointModel) -> PageTable:
    unit = "mm" if joint.target == "mpe" else "ranks"
    heads = {
        "factor": "Factor",
        "level": "Level",
        "n": "Datasets",
        "coefficient": f"Coefficient, {unit}",
        "low": "95 % from",
        "high": "to",
        "vif": "Variance inflation",
        "most_moved_by": "Hangs most on",
        "moved": "moved without it by",
    }
    shown = joint.table.assign(
        factor=joint.table["factor"].str.replace("_", " "), most_moved_by=joint.table["most_moved_by"].map(shown_name)
    )
    caption = "All factors in one model"
    return page_table(shown.rename(columns=heads), "joint-table", caption, digits=dict.fromkeys(heads.values(), 1))


def _left_out(table: pd.DataFrame) -> list[str]:
    """Sets that the table leaves out, each with the reason."""
    return [f"{shown_name(name)}: {why}" for name, why in table.attrs.get("left_out", {}).items()]


def selection(inputs: ReportInputs) -> dict[str, Any] | None:
    """The chosen datasets."""
    if inputs.selection is None:
        return None
    chosen = inputs.selection
    shown = chosen.assign(dataset=chosen["dataset"].map(shown_name))
    shown = shown.rename(columns=lambda name: str(name).replace("_", " ").capitalize())
    total, budget = int(chosen["instances"].sum()), chosen.attrs.get("budget")
    said = f"{total:,} instances" + (f" of a budget of {budget:,}" if budget else "") + f" from {len(chosen)} datasets."
    look = Look(marks={"Dataset": [str(name) for name in chosen["dataset"]]})
    return {
        "table": page_table(shown, "selection-table", said, look=look, digits={"Interval": 4}),
        "sentence": said,
        "left_out": _left_out(chosen),
    }


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
        numbers = inputs.results[[n for n in names if n in inputs.results]]
        full = page_table(numbers, "results-table", "All numbers", digits=2)
    written = {name: json.dumps(text, indent=1, default=str) for name, text in definitions.items()}
    return {
        "table": page_table(shown, "protocols-table", "Protocol of each benchmark"),
        "definitions": written,
        "results": full,
    }


def figure(drawing: Any, prefix: str) -> dict[str, Any]:
    """A drawing for the template: its SVG, its title and what is to be known about it."""
    from markupsafe import Markup

    svg, title, note = figures.inline_svg(drawing, prefix)
    return {"svg": Markup(svg), "title": title, "note": note}


def shown_name(label: str) -> str:
    """A dataset's name for people, with `` (test)`` where the label has it."""
    name = label.removesuffix(" (test)")
    return dataset_name(name) + label[len(name) :]


def versions() -> list[tuple[str, str]]:
    """What made the page."""
    found = [("ehps", ehps.__version__), ("python", platform.python_version())]
    for name in _PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return found


def _sureness(ranked: pd.DataFrame, of: str = "MPE") -> tuple[dict[str, Any], Strips]:
    """Columns of groups, intervals and clusters, and the strips of one; empty without intervals."""
    if "mpe_low" not in ranked or not ranked["mpe_low"].notna().any():
        return {}, {}
    level = f"{100 * ranked.attrs.get('level', 0.95):.0f} %"
    clusters = [f"{ranked.attrs['clusters'][b.id]:,}" for b in benchmarks_of(ranked)]
    counts = f"{clusters[0]} each" if len(clusters) > 1 and len(set(clusters)) == 1 else ", ".join(clusters)
    columns = {
        "Group": ranked["group"],
        f"{of} {level}": spans(ranked["mpe_low"], ranked["mpe_high"], 1),
        f"Rank {level}": spans(ranked["rank_low"], ranked["rank_high"], 0),
        "Clusters": [counts if pd.notna(low) else None for low in ranked["mpe_low"]],
    }
    return columns, {f"{of} {level}": _strips(ranked)}


def _numbers(ranks: pd.Series[Any]) -> list[float | None]:
    return [None if pd.isna(place) else float(place) for place in ranks]


def _first(place: Any) -> float | None:
    """The first rank of a tie, to sort by."""
    return None if pd.isna(place) else float(ends(str(place))[0])


def _strips(ranked: pd.DataFrame) -> tuple[Sequence[Strip], tuple[str, str]]:
    """Mean and interval of each row on one scale, and the ends of the scale."""
    values = ranked[["mpe", "mpe_low", "mpe_high"]].to_numpy(float)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    pad = 0.06 * (high - low) or 1.0
    low, high = low - pad, high + pad
    places = [[round(100 * (v - low) / (high - low), 2) if np.isfinite(v) else None for v in row] for row in values]
    return [Strip(*row) for row in places], (f"{low:.0f}", f"{high:.0f}")


def _apart(ranked: pd.DataFrame) -> PageTable | None:
    """How far each set is behind the next better one."""
    differences = neighbours(ranked)
    if not len(differences):
        return None
    return page_table(differences, "differences-table", "Differences of neighbouring training sets", fixed=2)


def _named(compared: pd.DataFrame) -> pd.DataFrame:
    shown = compared.assign(train_set=compared["train_set"].map(shown_name))
    names = {"train_set": "Training set", "rank_shared": "Rank here", "published_rank_shared": "Rank published"}
    if "identification" in shown:
        names["identification"] = "Identification in the published figure"
    return shown[list(names)].rename(columns=names)
