"""Files that are noted beside a result and may be found again when it, or they, have moved: a path is stored as it is
and as seen from the result's folder."""

from __future__ import annotations

import os
from pathlib import Path

RELATIVE = "_from_here"


def noted(name: str, path: Path, base: Path) -> dict[str, str]:
    """``{name: absolute path, name_from_here: path from base}``; without the second on another drive."""
    absolute = os.path.abspath(path)
    try:
        relative = Path(os.path.relpath(absolute, os.path.abspath(base))).as_posix()
    except ValueError:  # another drive of Windows
        return {name: absolute}
    return {name: absolute, name + RELATIVE: relative}


def place_of(name: str, facts: dict[str, str], base: Path) -> Path:
    """Where what :func:`noted` has stored is now: the first of both places where something is, else the absolute one.

    A relative path of an earlier version, which was relative to where the command was run, is taken as it is.
    """
    places = [Path(facts[name])]
    if relative := facts.get(name + RELATIVE):
        places.append(base / relative)
    return next((place for place in places if place.exists()), places[0])
