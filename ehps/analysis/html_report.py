"""One HTML page that puts the results together: no other files, nothing loaded from elsewhere.

Every part of :class:`ReportInputs` is optional; the page says at its end what was not given. Numbers come from the
frames as they are; nothing is filled in.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from ehps.analysis import colours, joint_factors, report_conversions, report_samples, report_sections
from ehps.analysis.benchmarks import MPE_BENCHMARKS
from ehps.analysis.published import dataset_name
from ehps.analysis.ranking import benchmarks_of
from ehps.analysis.ranking_table import headline
from ehps.analysis.report_inputs import ReportInputs
from ehps.atomic import write_text
from ehps.extras import need
from ehps.suffixes import PAGE, check_suffix

__all__ = ["ReportInputs", "content", "report", "summary"]


def report(inputs: ReportInputs, out: Path) -> Path:
    """Write the page to ``out`` and return its path.

    Raises
    ------
    DataError : a conversion report or image that was given cannot be read.
    """
    need("the report", "jinja2")
    from jinja2 import DictLoader, Environment, StrictUndefined

    texts = {p.name: p.read_text(encoding="utf-8") for p in (files("ehps.analysis") / "templates").iterdir()}
    environment = Environment(
        loader=DictLoader(texts), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    script = texts["report.js"]
    page = environment.get_template("report.html").render(
        **content(inputs),
        light=colours.LIGHT,
        dark=colours.DARK,
        shades={theme: colours.shades(theme) for theme in ("light", "dark")},
        titled=report_sections.shown_name,
        inflated=f"{joint_factors.INFLATED:.0f}",
        script=script,
        # The page runs this script and no other, whatever a name in the data holds.
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    return write_text(check_suffix(Path(out), PAGE), page)


def content(inputs: ReportInputs) -> dict[str, Any]:
    """What the template is filled with: one entry a section, None for those without inputs."""
    parts = {
        "ranking": report_sections.ranking_table(inputs),
        "parts": report_sections.parts(inputs),
        "cases": report_sections.cases(inputs),
        "factors": report_sections.factors(inputs),
        "embedding": report_samples.embedding(inputs),
        "coverage": report_samples.coverage(inputs),
        "sets": report_samples.sets(inputs),
        "selection": report_sections.selection(inputs),
        "conversions": report_conversions.conversions(inputs),
        "training": report_samples.training(inputs),
        "overlays": report_sections.overlays(inputs),
        "protocols": report_sections.protocols(inputs),
        "manifests": {
            name: json.dumps(m, indent=1, sort_keys=True, default=str) for name, m in inputs.manifests.items()
        }
        or None,
    }
    absent = [name for name, section in parts.items() if section is None]
    return {
        "title": inputs.title,
        "date": inputs.date,
        "summary": summary(inputs),
        "tiles": report_sections.tiles(inputs),
        "notes": list(inputs.notes),
        "versions": report_sections.versions(),
        "absent": absent,
        "video": report_sections.video(inputs),
        **parts,
    }


def summary(inputs: ReportInputs) -> list[str]:
    """The findings in a few sentences, from the numbers given."""
    ranked = inputs.ranked
    if ranked is None:
        return []
    if "mpe" not in ranked:
        said = [f"A ranking of {len(ranked)} training sets, without the errors behind it."]
        if "identification" in ranked and (unsure := int((ranked["identification"] == "inferred").sum())):
            said.append(f"{unsure} of the names are inferred, not confirmed.")
        if unnamed := ranked.attrs.get("unnamed"):
            said.append(f"{unnamed} ranks in between belong to datasets that could not be identified.")
        return said
    said = headline(ranked)
    for model, part in ranked.groupby("model", sort=False):
        complete = part.dropna(subset=["mpe"])
        if not len(complete):
            said.append(f"No training set of {model} has a number on every benchmark, so none has a rank.")
            continue
        if len(part) > len(complete):
            named = ", ".join(dataset_name(t) for t in part[part["mpe"].isna()]["train_set"])
            said.append(f"Without a rank, because a benchmark is missing: {named}.")
    used = benchmarks_of(ranked)
    names = ", ".join(b.label for b in used)
    usual = {b.id for b in used} == {b.id for b in MPE_BENCHMARKS}
    said.append(
        f"Mean primary error: plain mean of {names}." + ("" if usual else " Not comparable with published ones.")
    )
    return said
