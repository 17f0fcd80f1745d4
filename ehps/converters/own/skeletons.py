"""Which points a skeleton has, from what users write: names, a known convention, a file, or the labels' own names."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ehps.converters.readers import raw_files
from ehps.errors import DataError, UsageError
from ehps.humandata.keypoints import CONVENTIONS, point_names

LABELLED = ("coco", "crowdpose", "mpii", "posetrack")
"""Conventions of hand-labelled points, whose hips, say, are ``left_hip_extra`` here and ``left_hip`` in the files."""


def skeleton(text: str) -> tuple[str, ...]:
    """Point names in their order.

    Parameters
    ----------
    text : names with commas between them, or as a json list; a convention of ``ehps humandata keypoints``; or a file
        with a name a line, or with a json list.

    Raises
    ------
    UsageError : it is none of them.
    DataError : the file has no names.
    """
    if text.lower() in CONVENTIONS:
        return point_names(text)
    if text.startswith("["):
        return known(_json_list(text), None)
    if "," in text:
        return known([name.strip() for name in text.split(",")], None)
    if not raw_files.is_file(Path(text)):
        fix = "give names with commas between them, a file with a name a line, or one of `ehps humandata keypoints`"
        raise UsageError(f"--skeleton {text}: no such file, and no known convention", fix=fix)
    path = Path(text)
    lines: Any = raw_files.read_json(path) if path.suffix.lower() == ".json" else raw_files.read_lines(path)
    if not isinstance(lines, list):
        raise DataError("is no list of point names", path=path, fix="write a name a line, or a json list of names")
    return known([name.strip() if isinstance(name, str) else name for name in lines], path)


def _json_list(text: str) -> list[Any]:
    try:
        names = json.loads(text)
    except ValueError:
        raise UsageError(f"--skeleton {text}: is no json list", fix="give names with commas between them") from None
    return list(names)


def known(names: Sequence[Any], path: Path | None) -> tuple[str, ...]:
    """The names as the conventions spell them, where they know them; others as they are.

    Parameters
    ----------
    path : of the file that has them, for errors.

    Raises
    ------
    DataError, UsageError : they are not names, or one is there twice.
    """
    odd = [name for name in names if not isinstance(name, str) or not name]
    found = [] if odd else [_spelt().get(plain(name), name) for name in names]
    twice = [name for name in dict.fromkeys(found) if found.count(name) > 1]
    if odd or twice or not found:
        what = f"the point {twice[0]!r} is there twice" if twice else f"{odd[0]!r} is no name of a point" if odd else ""
        what = what or "there are no point names"
        if path is None:
            raise UsageError(f"--skeleton: {what}", fix="give each point one name")
        raise DataError(what, path=path, fix="give each point one name, or pass --skeleton NAMES")
    labelled = {tuple(name.removesuffix("_extra") for name in point_names(c)): point_names(c) for c in LABELLED}
    return labelled.get(tuple(found), tuple(found))


def plain(name: str) -> str:
    """A name in small letters with ``_`` between its words: ``Left Shoulder`` and ``leftShoulder`` are the same."""
    return re.sub(r"[\s\-_.]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)).strip("_").lower()


@cache
def _spelt() -> dict[str, str]:
    """Plain name -> name, of all points of all conventions."""
    return {plain(name): name for points in CONVENTIONS.values() for name in points}
