"""Protocols for people: the table of them all, and one whole, from its declaration."""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import TYPE_CHECKING, Any

from ehps.benchmark.protocols import catalogue
from ehps.benchmark.protocols.fitting import wanted
from ehps.benchmark.protocols.measures import OF_TRACKS, Measure, measures
from ehps.benchmark.protocols.origins import origin
from ehps.benchmark.protocols.protocol import IDENTITY, Protocol, choices
from ehps.benchmark.protocols.tracks import CHUNK

if TYPE_CHECKING:
    import pandas as pd


def overview() -> pd.DataFrame:
    """One row a registered protocol: ``protocol``, ``body``, ``truth``, ``primary``, ``metrics``, ``rows``."""
    import pandas as pd

    rows = [
        {
            "protocol": p.name,
            "body": p.body,
            "truth": p.truth,
            "primary": " ".join(reversed(p.primary)),
            "metrics": ", ".join(p.metrics),
            "rows": p.conditions,
        }
        for p in catalogue.all_protocols()
    ]
    return pd.DataFrame(rows)


def as_dict(spec: str | Protocol) -> dict[str, Any]:
    """A protocol whole: its fields with what they mean and what else they can be, and the numbers that it gives."""
    protocol = catalogue.get(spec)
    settable, meanings = protocol.settable, field_meanings()
    fields = {
        name: {
            "value": value,
            "meaning": meanings[name],
            "acts": name in settable,
            **({"choices": accepted(protocol, name)} if choices(name) else {}),
        }
        for name, value in protocol.to_dict().items()
        if name != "name"
    }
    numbers = [
        {"part": m.part, "metric": m.metric, "points": m.points, "laid_at": m.anchor, "fit": m.fit, "how": how(m)}
        for m in measures(protocol)
    ]
    told = origin(protocol)
    return {
        "protocol": protocol.id,
        "description": protocol.description,
        "truth": wanted(protocol),
        "fields": fields,
        "numbers": numbers,
        "sources": list(told.sources),
        "disagreements": list(told.disagreements),
    }


def page(spec: str | Protocol) -> str:
    """:func:`as_dict` as text; fields that do not act on this protocol's numbers are left out."""
    whole = as_dict(spec)
    lines = [whole["protocol"], "", whole["description"], "", f"It tests: {catalogue.get(spec).conditions}."]
    lines += [f"The test file must have: {', '.join(whole['truth'].values())}.", ""]
    for name, one in whole["fields"].items():
        if not one["acts"]:
            continue
        lines.append(f"{name} = {_shown(one['value'])}")
        lines.append(f"    {one['meaning']}")
        for word, meaning in one.get("choices", {}).items():
            lines.append(f"    {'*' if word == one['value'] else '-'} {word}: {meaning}")
    lines += ["", "Numbers:"]
    lines += [f"    {number['metric']} {number['part']}: {number['how']}" for number in whole["numbers"]]
    lines += ["", "From:", *(f"    {source}" for source in whole["sources"])]
    if whole["disagreements"]:
        lines += ["", "Sources differ:", *(f"    {said}" for said in whole["disagreements"])]
    return "\n".join(lines)


def markdown(spec: str | Protocol) -> str:
    """:func:`as_dict` as a section of a page."""
    whole = as_dict(spec)
    name = whole["protocol"]
    lines = [f"## {name}", "", whole["description"], ""]
    lines += [f"It tests {catalogue.get(spec).conditions}."]
    lines += [f"The test file must have {' and '.join(whole['truth'].values())}.", ""]
    lines += ["| field | value | what it is | other choices |", "| --- " * 4 + "|"]
    for field, one in whole["fields"].items():
        if one["acts"]:
            words = one.get("choices", {})
            value = f"`{_shown(one['value'])}`" + (f": {words[one['value']]}" if words else "")
            others = ", ".join(f"`{word}`" for word in words if word != one["value"])
            lines.append(f"| `{field}` | {_cell(value)} | {_cell(one['meaning'])} | {others} |")
    lines += ["", "| number | part | how |", "| --- " * 3 + "|"]
    lines += [f"| {number['metric']} | {number['part']} | {number['how']} |" for number in whole["numbers"]]
    lines += ["", f"From {'; '.join(whole['sources'])}."]
    if whole["disagreements"]:
        lines += ["", "Where sources differ:", "", *(f"- {said}" for said in whole["disagreements"])]
    return "\n".join(lines) + "\n"


def how(measure: Measure) -> str:
    """What a number is made of, in words."""
    if measure.form in ("mask", "parts"):
        return "pixels of the drawn body and of the mask"
    if measure.form == "keypoints":
        return "keypoints in the image"
    if measure.form in OF_TRACKS:
        fit = f", after a fit {measure.fit.replace('-', ' ')}"
        return {
            "chunks": f"{measure.points}{fit} of every {CHUNK} frames",
            "first": f"{measure.points}{fit} of the first two of every {CHUNK} frames",
            "path": f"{measure.points}{fit} of the whole video, by the length of the true path",
            "jitter": f"third differences of {measure.points}, of the prediction alone",
            "sliding": f"steps of {measure.points} where the true ones stand",
        }[measure.form]
    if measure.fit == "size":
        return f"{measure.points}, about their mean and scaled to the true size"
    if measure.form == "angle":
        return f"{measure.points}" + (f", after the rotation of a fit of {measure.anchor}" if measure.fit else "")
    if measure.fit:
        of = f" of {measure.anchor}" if measure.anchor else ""
        return f"{measure.points}, after a fit {measure.fit.replace('-', ' ')}{of}"
    return f"{measure.points}, laid at {measure.anchor}"


def accepted(protocol: Protocol, field: str) -> dict[str, str]:
    """The words that a field of this protocol can be, its own among them, with their meanings."""
    found = {}
    for word, meaning in choices(field).items():
        change: dict[str, Any] = {field: word}
        changed = dataclasses.replace(protocol, **change)
        if word == getattr(protocol, field) or (field in changed.settable and not changed.fault()):
            found[word] = meaning
    return found


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def field_meanings() -> dict[str, str]:
    """What each field is, as its documentation says."""
    text = inspect.getdoc(Protocol) or ""
    found = re.findall(r"^(\w+) : (.*(?:\n    .*)*)", text, re.MULTILINE)
    meanings = {name: " ".join(said.split()).replace("``", "") for name, said in found}
    return {name: meanings[name] for name in IDENTITY}


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value in ("", None) else str(value)
