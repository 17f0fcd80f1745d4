"""Pages of the reference that are views of what the code declares: protocols and keypoint conventions."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from ehps.benchmark.protocols import catalogue
from ehps.benchmark.protocols.catalogue import Protocol
from ehps.humandata.drawing.convention_figure import draw_convention
from ehps.humandata.drawing.pages import write_png
from ehps.humandata.keypoints import CONVENTIONS


def write(folder: Path) -> None:
    """Write all generated pages and their figures into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "protocols.md").write_text(protocols(), encoding="utf-8")
    (folder / "keypoints.md").write_text(conventions(folder), encoding="utf-8")


def protocols() -> str:
    """One section a protocol: its description, and every field with its value."""
    parts = []
    for name in catalogue.names():
        protocol = catalogue.get(name)
        rows = [
            f"| `{field.name}` | {_value(getattr(protocol, field.name))} | {_changeable(protocol, field.name)} |"
            for field in dataclasses.fields(Protocol)
            if field.name not in ("name", "description")
        ]
        table = ["| field | value | can be changed |", "| --- | --- | --- |", *rows]
        parts.append("\n".join([f"## {name}", "", protocol.description, "", *table]))
    return "\n\n".join(parts) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"`{value:g}`"
    if isinstance(value, tuple):
        return ", ".join(f"`{item}`" for item in value) or "none"
    return "none" if value in (None, "") else f"`{value}`"


def _changeable(protocol: Protocol, field: str) -> str:
    return "yes" if field in protocol.settable else ""


def conventions(folder: Path) -> str:
    """One section a convention: how many points it has, and the figure of them."""
    parts = []
    for name, points in sorted(CONVENTIONS.items()):
        figure = folder / f"{name}.png"
        write_png(figure, draw_convention(name))
        parts.append(f"## {name}\n\n{len(points)} points.\n\n![The points of {name} on a figure]({figure.name})")
    return "\n\n".join(parts) + "\n"
