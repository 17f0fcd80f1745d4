"""COCO-style json (``images`` and ``annotations``) of any size, in units of so many annotations.

The file is gone through once to find where annotations lie. A unit is a stretch of them; it is read together with the
images that it refers to, so that files of several GB need little memory and many processes can share the work.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ehps.converters import json_stream, raw
from ehps.converters.base import Unit
from ehps.errors import DataError

Array = npt.NDArray[Any]
Record = dict[str, Any]

ROWS = 10_000


@dataclass(frozen=True)
class Stretch:
    """Where a unit's annotations lie.

    Attributes
    ----------
    first, count : which of all annotations they are.
    annotations, images : first byte of these annotations, and of all images, and the byte behind the last one.
    more : what else the converter wants to know about the unit.
    """

    first: int
    count: int
    annotations: tuple[int, int]
    images: tuple[int, int]
    more: Any = None


def units(path: Path, name: str, more: Any = None) -> list[Unit]:
    """Units of up to :data:`ROWS` annotations; a file that cannot be read is one unit, and told of when that is read.

    Parameters
    ----------
    name : of the unit; where there are several, the number of the first annotation follows.
    more : see :class:`Stretch`.
    """
    try:
        lists = json_stream.objects(path)
    except DataError:
        return [Unit(name, path)]
    places, images = (lists.get(key, np.zeros((0, 2), int)) for key in ("annotations", "images"))
    if not len(places):
        return [Unit(name, path)]
    span = (int(images[0, 0]), int(images[-1, 1])) if len(images) else (0, 0)
    found = []
    for first in range(0, len(places), ROWS):
        own = places[first : first + ROWS]
        called = name if len(places) <= ROWS else f"{name} {first}"
        found.append(Unit(called, path, Stretch(first, len(own), (int(own[0, 0]), int(own[-1, 1])), span, more)))
    return found


def read(unit: Unit) -> tuple[list[Record], dict[Any, Record]]:
    """The annotations of a unit in their order, and their images by id.

    Raises
    ------
    DataError : the file is missing, truncated, not COCO-style, or has no such image.
    """
    if unit.data is None:
        content = raw.read_json(unit.path)
        raw.require(content if isinstance(content, dict) else {}, "images annotations", unit.path)
        return list(content["annotations"]), {image["id"]: image for image in content["images"]}
    people = records(unit)
    return people, _images(unit.path, unit.data.images, {a["image_id"] for a in people})


def records(unit: Unit) -> list[Record]:
    """Those of a unit that could be found, in their order.

    Raises
    ------
    DataError : they are not json.
    """
    start, stop = unit.data.annotations
    with open(unit.path, "rb") as file:
        file.seek(start)
        text = file.read(stop - start)
    try:
        people: list[Record] = json_stream.parse(b"[" + text + b"]")
    except (ValueError, RecursionError) as error:
        last = unit.data.first + unit.data.count - 1
        what = f"annotations {unit.data.first} to {last} are not JSON ({error})"
        raise DataError(what, path=unit.path, fix=raw.AGAIN) from None
    return people


def _images(path: Path, span: tuple[int, int], wanted: Iterable[Any]) -> dict[Any, Record]:
    ids, places = _index(path, path.stat().st_mtime_ns, span)
    found = {}
    with open(path, "rb") as file:
        for key in wanted:
            at = int(np.searchsorted(ids, key, side="right")) - 1
            if at < 0 or ids[at] != key:
                raise DataError(f"has an annotation of image {key}, but no such image", path=path, fix=raw.AGAIN)
            start, stop = places[at].tolist()
            file.seek(start)
            found[key] = json_stream.parse(file.read(stop - start))
    return found


@lru_cache(maxsize=2)
def _index(path: Path, changed: int, span: tuple[int, int]) -> tuple[Array, Array]:
    """Sorted ids (M,) of the images, and (M, 2) first bytes and bytes behind the last."""
    found = [(image["id"], start, stop) for start, stop, image in json_stream.values(path, *span)]
    ids, places = np.array([f[0] for f in found]), np.array([f[1:] for f in found], np.int64).reshape(-1, 2)
    order = np.argsort(ids, kind="stable")  # of equal ids the last counts, as in json
    return ids[order], places[order]
