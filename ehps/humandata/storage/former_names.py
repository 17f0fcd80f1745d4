"""Names of columns in files of the first version: ``.npz`` keeps them, ``.h5`` is read with both.

What is measured on conversion was called certificate before it was called quality.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

QUALITY, CERTIFICATE = "quality/", "certificate/"
MEASURES = {"world_to_camera_m": "two_routes_m"}
_CURRENT = {old: new for new, old in MEASURES.items()}


def former(name: str) -> str:
    """The name that a column had in the first version."""
    if not name.startswith(QUALITY):
        return name
    measure = name.removeprefix(QUALITY)
    return CERTIFICATE + MEASURES.get(measure, measure)


def current(name: str) -> str:
    """The name of a column today, whichever version wrote it."""
    if not name.startswith(CERTIFICATE):
        return name
    measure = name.removeprefix(CERTIFICATE)
    return QUALITY + _CURRENT.get(measure, measure)


def former_summary(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The summary of quality under the names of the first version."""
    return {MEASURES.get(name, name): value for name, value in summary.items()}


def current_summary(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The summary of quality under the names of today, whichever version wrote it."""
    return {_CURRENT.get(name, name): value for name, value in summary.items()}
