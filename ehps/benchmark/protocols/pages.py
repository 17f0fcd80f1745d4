"""Protocols for people: the table of them all, and one whole, from its declaration."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

from ehps.benchmark.protocols import catalogue
from ehps.benchmark.protocols.measures import measures
from ehps.benchmark.protocols.protocol import IDENTITY, Protocol, choices

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
            **({"choices": dict(choices(name))} if choices(name) else {}),
        }
        for name, value in protocol.to_dict().items()
        if name != "name"
    }
    numbers = [
        {"part": m.part, "metric": m.metric, "points": m.points, "laid_at": m.anchor, "fit": m.fit}
        for m in measures(protocol)
    ]
    return {"protocol": protocol.id, "description": protocol.description, "fields": fields, "numbers": numbers}


def page(spec: str | Protocol) -> str:
    """:func:`as_dict` as text; fields that do not act on this protocol's numbers are left out."""
    protocol = catalogue.get(spec)
    whole = as_dict(protocol)
    lines = [protocol.id, "", protocol.description, "", f"It tests: {protocol.conditions}.", ""]
    for name, one in whole["fields"].items():
        if not one["acts"]:
            continue
        lines.append(f"{name} = {_shown(one['value'])}")
        lines.append(f"    {one['meaning']}")
        for word, meaning in one.get("choices", {}).items():
            lines.append(f"    {'*' if word == one['value'] else '-'} {word}: {meaning}")
    lines += ["", "Numbers:"]
    for number in whole["numbers"]:
        how = f"after a fit {number['fit'].replace('-', ' ')}" if number["fit"] else f"laid at {number['laid_at']}"
        lines.append(f"    {number['metric']} {number['part']}: {number['points']}, {how}")
    return "\n".join(lines)


def field_meanings() -> dict[str, str]:
    """What each field is, as its documentation says."""
    text = inspect.getdoc(Protocol) or ""
    found = re.findall(r"^(\w+) : (.*(?:\n    .*)*)", text, re.MULTILINE)
    meanings = {name: " ".join(said.split()).replace("``", "") for name, said in found}
    return {name: meanings[name] for name in IDENTITY}


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value in ("", None) else str(value)
