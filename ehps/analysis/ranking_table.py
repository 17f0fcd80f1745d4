"""The ranking for people: its table, its findings in sentences, and what its intervals hold and do not hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ehps.analysis import tables, ties
from ehps.analysis.intervals import FEWEST
from ehps.analysis.published import dataset_name
from ehps.analysis.ranking import benchmarks_of, labels
from ehps.terminal import show

INFERRED, UNNAMED = "*", "?"
"""Marks of training sets whose name is inferred, and of points that have no name."""

GROUPS = "Sets that share a letter (Group) cannot be told apart, and their ranks are ties."
FACT_HEADS = {"instances": "Instances", "scene": "Scene", "appearance": "Real or synthetic", "annotation": "Annotation"}


def presentable(ranked: pd.DataFrame, *, ids: bool = False) -> pd.DataFrame:
    """The ranking under headings for people, ready for :mod:`ehps.analysis.tables`; intervals as one text.

    Ranks are ties (``1-2``) where sets cannot be told apart. Published ranks whose dataset is inferred or not known are
    marked, see :func:`legend`.

    Parameters
    ----------
    ids : call datasets as commands do (``pw3d``), not as papers do (``3DPW``).
    """
    if "identification" in ranked:
        return _published(ranked, ids=ids)
    out: dict[str, Any] = {
        "Rank": tied(ranked),
        "Training set": [t if ids else dataset_name(t) for t in ranked["train_set"]],
    }
    if "model" in ranked and ranked["model"].nunique() > 1:
        out["Model"] = ranked["model"]
    out |= {head: ranked[name] for name, head in FACT_HEADS.items() if name in ranked and ranked[name].notna().any()}
    out |= {b.label: ranked[b.id] for b in benchmarks_of(ranked)}
    if "mpe" in ranked:
        out[mpe_label(ranked)] = ranked["mpe"]
    if "group" in ranked and ranked["group"].astype(bool).any():
        out["Group"] = ranked["group"]
    if "holds_next" in ranked:
        out["Holds"] = [_chance(p) for p in ranked["holds_next"]]
    if "mpe_low" in ranked and ranked["mpe_low"].notna().any():
        percent = f"{100 * ranked.attrs.get('level', 0.95):.0f} % ({interval_of(ranked)})"
        out[f"MPE {percent}"] = spans(ranked["mpe_low"], ranked["mpe_high"], 1)
        out[f"Rank {percent}"] = spans(ranked["rank_low"], ranked["rank_high"], 0)
        out["Clusters"] = ranked["clusters"]
    return pd.DataFrame(out)


def tied(ranked: pd.DataFrame) -> pd.Series[Any]:
    """Ranks, as ties where sets cannot be told apart; whole numbers where no two are tied."""
    if "tied" not in ranked or not ranked["tied"].astype(str).str.contains("-").any():
        return ranked["rank"]
    return ranked["tied"].where(ranked["tied"].notna(), None)


def _published(ranked: pd.DataFrame, *, ids: bool) -> pd.DataFrame:
    """All published ranks, those without a name in their places."""
    inferred = (ranked["identification"] == "inferred").tolist()
    called = [t if ids else dataset_name(t) for t in ranked["train_set"]]
    names = [name + f" {INFERRED}" * mark for name, mark in zip(called, inferred, strict=True)]
    facts = {head: ranked[name] for name, head in FACT_HEADS.items() if name in ranked}
    named = pd.DataFrame({"Rank": ranked["rank"], "Training set": names, **facts})
    rest = [(rank, UNNAMED, instances) for rank, instances in ranked.attrs.get("unnamed_points", [])]
    unnamed = pd.DataFrame(rest, columns=["Rank", "Training set", "Instances"]).reindex(columns=named.columns)
    both = pd.concat([named.astype(object), unnamed.astype(object)]).astype(named.dtypes)
    return both.sort_values("Rank", kind="stable").reset_index(drop=True)


def legend(ranked: pd.DataFrame) -> list[str]:
    """What the marks of :func:`presentable` mean, and why sets among others that have one have no rank; a line each."""
    if "identification" not in ranked:
        placed = ranked["rank"].notna()
        unplaced = zip(labels(ranked), ranked.get("missing", pd.Series("", ranked.index)), placed, strict=True)
        said = [f"no rank: {name}, without {missing}" for name, missing, has in unplaced if not has]
        said = said if any(placed) else []
        if "group" in ranked and ranked["group"].astype(bool).any():
            level = f"{100 * (1 - ranked.attrs.get('level', 0.95)):.0f} %"
            how = [f"paired t, Holm over all pairs, {level}"] * bool(ranked.attrs.get("clustered_by"))
            how += ["or their order does not hold in new trainings"] * ("reliability" in ranked.attrs)
            said.append(
                f"group: sets that share a letter cannot be told apart ({'; '.join(how).removeprefix('or ')}); "
                "their ranks are ties"
            )
        return said
    inferred = int((ranked["identification"] == "inferred").sum())
    unnamed, absent = ranked.attrs.get("unnamed", 0), ranked.attrs.get("without_point", [])
    said = []
    if inferred:
        said.append(f"{INFERRED} {inferred} names are inferred: documents lead to them, none states them")
    if unnamed:
        said.append(f"{UNNAMED} {unnamed} ranks are of datasets that could not be identified")
    if absent:
        said.append(f"the figure that the ranks are from has no point of rank {', '.join(map(str, absent))}")
    return said


def mpe_label(ranked: pd.DataFrame) -> str:
    """``MPE``, and of which part where that is not the whole body."""
    part = ranked.attrs.get("part", "all")
    return "MPE" if part == "all" else f"MPE {part}"


def interval_of(ranked: pd.DataFrame) -> str:
    """What the intervals are over, for the head of their column: ``test data``, or ``test data, seeds``."""
    return "test data, seeds" if max(ranked.attrs.get("trainings") or [1]) > 1 else "test data"


def interval_axis(ranked: pd.DataFrame) -> str:
    """What bars are, for the label of an axis; empty without intervals."""
    if "mpe_low" not in ranked or not ranked["mpe_low"].notna().any():
        return ""
    level, of = f"{100 * ranked.attrs.get('level', 0.95):.0f} %", interval_of(ranked)
    return f"; bars: {level} over {of}" + ("" if "seeds" in of else ", not over trainings (one a set)")


def headline(ranked: pd.DataFrame) -> list[str]:
    """What a ranking by errors says, in sentences: who is best, from whom it cannot be told apart, how sure that is."""
    said = []
    several = "model" in ranked and ranked["model"].nunique() > 1
    for model, part in ranked.groupby("model", sort=False):
        best = _best(part.reset_index(drop=True), ranked)
        said.append(f"{model}: {best}" if several and best else best)
    if "mpe" in ranked and ranked["mpe"].notna().any() and ranked.attrs.get("clustered_by"):
        least, most = ranked.attrs.get("trainings") or [1, 1]
        if least < 2:
            some = "Some sets were" if most > 1 else "Each set was"
            said.append(f"{some} trained once (one seed): how much another training would differ is in no interval.")
    return [sentence for sentence in said if sentence]


def _best(part: pd.DataFrame, ranked: pd.DataFrame) -> str:
    """Of one model."""
    rows = ties.leaders(part)
    if not rows:
        return ""
    names = [dataset_name(str(t)) for t in part["train_set"]]
    placed = part.dropna(subset=["mpe"])
    first, lowest = names[rows[0]], float(part["mpe"].iloc[rows[0]])
    value = f"{lowest:.1f} mm mean primary error"
    if len(placed) < 2:
        return f"{first} has {value}; there is no other set with a rank."
    if len(rows) == 2:
        both = f"{first} and {names[rows[1]]}"
        return f"{both} cannot be told apart: {value} and {float(part['mpe'].iloc[rows[1]]):.1f} mm."
    if len(rows) > 2:
        others = ties.listed([names[row] for row in rows[1:]])
        return f"{first} has the lowest mean primary error, {lowest:.1f} mm, and cannot be told apart from {others}."
    second = names[int(placed.index[1])]
    behind = float(placed["mpe"].iloc[1] - placed["mpe"].iloc[0])
    pair = (placed["model"].iloc[0], *placed["train_set"].iloc[:2])
    found = {(d["model"], d["better"], d["worse"]): d for d in ranked.attrs.get("differences", [])}.get(pair)
    lead = f"{first} has the lowest mean primary error, {lowest:.1f} mm, {behind:.1f} mm before {second}"
    if found is None:
        return f"{lead}; whether they can be told apart is not known, for want of intervals."
    level = f"{100 * ranked.attrs.get('level', 0.95):.0f} %"
    ends = f"{level}: {found['low']:.1f} to {found['high']:.1f}"
    return f"{first} is best: {value}, {behind:.1f} mm before {second} ({ends})."


def interval_note(ranked: pd.DataFrame) -> str:
    """What is in the intervals and what is not, in sentences; empty where there are no errors of instances."""
    units: dict[str, str] = ranked.attrs.get("clustered_by", {})
    clusters: dict[str, int] = ranked.attrs.get("clusters", {})
    if not units:
        return ""
    names = {b.id: b.name for b in benchmarks_of(ranked)}
    said = []
    if few := [f"{names.get(b, b)} ({_counted(n, units[b])})" for b, n in clusters.items() if 0 < n < FEWEST]:
        said.append(f"No interval: it takes {FEWEST} clusters of test data, {ties.listed(few)} has fewer.")
    if none := [names.get(b, b) for b, n in clusters.items() if n == 0]:
        said.append(f"No interval: there are no errors of instances of {ties.listed(none)}.")
    if not ranked["mpe_low"].notna().any():
        return " ".join(said)
    lacking = ranked["mpe"].notna() & ranked["mpe_low"].isna()
    if lacking.any():
        without = [name for name, lacks in zip(labels(ranked), lacking, strict=True) if lacks]
        said.append(f"No interval of {ties.listed(without)}: errors of instances are missing, or too few.")
    counted = {
        unit: ", ".join(f"{names.get(b, b)} {clusters.get(b, 0):,}" for b, of in units.items() if of == unit)
        for unit in dict.fromkeys(units.values())
    }
    by = "; ".join(f"{_PLURAL[unit]} ({which})" for unit, which in counted.items())
    said.append(f"Intervals: Student's t on clusters of the test data: {by}.")
    if "block" in counted:
        said.append("A test set in blocks is one video: how another video would differ is not in them.")
    least, most = ranked.attrs.get("trainings") or [1, 1]
    if most > 1:
        said.append(f"The spread of trainings with other seeds is in them ({most} trainings a set).")
    if least < 2:
        which = "of sets trained once" if most > 1 else "with one training a set"
        said.append(f"How much another training would differ is not in them, {which}.")
    return " ".join(said)


_PLURAL = {"sequence": "sequences", "image": "images", "instance": "instances", "block": "blocks of consecutive images"}


def reliability_note(ranked: pd.DataFrame) -> str:
    """What the probabilities rest on, and which sets have none; empty without any."""
    facts = ranked.attrs.get("reliability")
    if facts is None:
        return ""
    recipes = f"{facts['recipes']} recipe{'s' if facts['recipes'] > 1 else ''}"
    seeds = f"{facts['seeds']} seed{'s' if facts['seeds'] > 1 else ''} each"
    said = f"Holds: how likely a set stays ahead of the next one when both are trained again ({recipes}, {seeds})."
    said += f" Sets whose order does not hold with {facts['level']:.0%} are tied."
    lacking = [name for name in ranked["train_set"][ranked["rank"].notna()] if name not in facts["sets"]]
    return said + (f" Not trained repeatedly: {ties.listed(lacking)}." if lacking else "")


def neighbours(ranked: pd.DataFrame) -> pd.DataFrame:
    """How far each set is behind the next better one, with interval and corrected p: a table for people."""
    level = f"{100 * ranked.attrs.get('level', 0.95):.0f} %"
    rows: Sequence[Mapping[str, Any]] = ranked.attrs.get("differences", [])
    several = ranked["model"].nunique() > 1
    return pd.DataFrame(
        [
            ({"Model": d["model"]} if several else {})
            | {
                "Better": dataset_name(d["better"]),
                "Worse": dataset_name(d["worse"]),
                "Difference, mm": d["difference"],
                level: f"{d['low']:.1f} – {d['high']:.1f}",
                "p, corrected": "< 0.001" if d["p_holm"] < 0.001 else f"{d['p_holm']:.3f}",
                "Told apart": "yes" if d["apart"] else "no",
            }
            for d in rows
        ]
    )


def print_ranking(ranked: pd.DataFrame, title: str | None = None) -> None:
    """Print a ranking in the terminal; what is least needed is left out first where it is narrow."""
    shown = presentable(ranked, ids=True)
    intervals = [str(name) for name in shown if "%" in str(name)]
    least = ["Annotation", "Scene", "Real or synthetic", *reversed(intervals), "Instances"]
    show(shown, title=title, least=least)


def write(rankings: Mapping[str, pd.DataFrame], path: Path) -> Path:
    """Write rankings: all columns as ``.csv`` or ``.json``, the table for people as ``.md``, ``.tex`` or ``.html``.

    Parameters
    ----------
    rankings : recipe -> its ranking; the first column says which, where there are several.
    """
    if path.suffix.lower() in (".csv", ".json"):
        return tables.write(together(rankings), path)
    shown = together({name: presentable(ranked) for name, ranked in rankings.items()}, head="Recipe")
    heads = [name for ranked in rankings.values() for name in _errors_of(ranked)]
    lowest = {name: "min" for name in dict.fromkeys(heads) if name in shown}
    caption = {} if path.suffix.lower() == ".md" else {"caption": "Training sets by mean primary error, mm"}
    return tables.write(shown, path, best=lowest, **caption)


def _errors_of(ranked: pd.DataFrame) -> list[str]:
    """Headings of the columns of errors."""
    return [*(b.label for b in benchmarks_of(ranked)), mpe_label(ranked)]


def together(rankings: Mapping[str, pd.DataFrame], head: str = "recipe") -> pd.DataFrame:
    """One table of all recipes; of one ranking, it itself."""
    if len(rankings) == 1:
        return next(iter(rankings.values()))
    named = [ranked.assign(**{head: name})[[head, *ranked]] for name, ranked in rankings.items()]
    return pd.concat([frame.astype(object) for frame in named], ignore_index=True)


def spans(low: pd.Series[Any], high: pd.Series[Any], digits: int) -> list[str | None]:
    """``80.1 – 90.2`` of each row; None where there is no interval."""
    pairs = zip(low.astype(float), high.astype(float), strict=True)
    ends = [None if np.isnan(a) else (f"{a:.{digits}f}", f"{b:.{digits}f}") for a, b in pairs]
    return [None if e is None else e[0] if e[0] == e[1] else " – ".join(e) for e in ends]


def _chance(p: float) -> str:
    """A probability in whole percent that is never 0 or 100; empty where there is none."""
    if np.isnan(p):
        return ""
    return "> 99 %" if p > 0.995 else "< 1 %" if p < 0.005 else f"{100 * p:.0f} %"


def _counted(number: int, unit: str) -> str:
    return f"1 {unit}" if number == 1 else f"{number} {_PLURAL[unit].split()[0]}"
