"""Names for single instances, so that a list of bad ones can be kept, shared and applied to any copy of the data.

An id is ``image_path#key``: ``train/a.jpg#annotation_id=4711`` where the dataset has ids of its own, otherwise
``train/a.jpg#0`` with the place of the person among the rows of that image.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ehps.arrays import Array
from ehps.humandata.core import HumanData

KEYS = ("annotation_id", "person_id", "track_id")
_TAIL = re.compile(r"(?P<path>.*)#(?:(?P<key>[a-z_]+)=(?P<value>.*)|(?P<place>\d+))")


def instance_ids(hd: HumanData, rows: Sequence[int] | Array | None = None) -> list[str]:
    """Ids of the given rows (all by default), unique within the file.

    The first of ``meta/annotation_id``, ``meta/person_id``, ``meta/track_id`` that tells the rows of every image
    apart is used, the place among the rows of the image where none does.
    """
    if not len(hd):
        return []
    codes = hd["image_path"].codes
    picked = np.arange(len(hd)) if rows is None else np.asarray(rows, np.intp).reshape(-1)
    key = next((name for name in KEYS if f"meta/{name}" in hd and _distinct(hd, name)), None)
    if key is None:
        tails: Iterable[Any] = place_in_image(codes)[picked].tolist()
    else:
        tails = (f"{key}={value}" for value in hd[f"meta/{key}"][picked].tolist())
    return [f"{path}#{tail}" for path, tail in zip(hd["image_path"][picked], tails, strict=True)]


def rows_with_ids(hd: HumanData, ids: Iterable[str]) -> npt.NDArray[np.intp]:
    """Rows that the ids name, ascending. A bare ``image_path`` names all rows of the image; ids of rows that are not
    in the file are passed over."""
    if not len(hd):
        return np.zeros(0, np.intp)
    whole: set[str] = set()
    tails: dict[str, set[tuple[str, str]]] = {}
    for word in ids:
        whole.add(word)
        if match := _TAIL.fullmatch(word):
            value = match["place"] if match["key"] is None else match["value"]
            tails.setdefault(match["key"] or "", set()).add((match["path"], value))
    paths = whole.union(path for pairs in tails.values() for path, _ in pairs)
    column = hd["image_path"]
    used = np.unique(column.codes)
    words = dict(zip(used.tolist(), column.vocabulary.texts(used), strict=True))
    known = [code for code, word in words.items() if word in paths]
    rows = np.flatnonzero(np.isin(column.codes, known))
    found = {int(row) for row in rows if words[int(column.codes[row])] in whole}
    for key, pairs in tails.items():
        if key and f"meta/{key}" not in hd:
            continue
        values = hd[f"meta/{key}"][rows].tolist() if key else place_in_image(column.codes)[rows].tolist()
        found.update(
            int(row)
            for row, value in zip(rows, values, strict=True)
            if (words[int(column.codes[row])], str(value)) in pairs
        )
    return np.array(sorted(found), dtype=np.intp)


def place_in_image(codes: Array) -> Array:
    """(N,) index of each row among those of its image, from 0; ``codes`` (N,) are equal for rows of one image."""
    order = np.argsort(codes, kind="stable")
    ranked = np.asarray(codes)[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]]) if len(ranked) else np.zeros(0, np.intp)
    place = np.empty(len(order), np.intp)
    place[order] = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
    return place


def _distinct(hd: HumanData, key: str) -> bool:
    column = hd[f"meta/{key}"]
    values = column.codes if hasattr(column, "codes") else np.asarray(column)
    if values.ndim != 1:
        return False
    pairs = np.stack([hd["image_path"].codes.astype(np.int64), np.unique(values, return_inverse=True)[1]])
    return len(np.unique(pairs, axis=1).T) == len(values)
