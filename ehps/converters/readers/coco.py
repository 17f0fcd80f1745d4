"""COCO-style json (``images`` and ``annotations``) of any size, in units of so many annotations.

The file is gone through once to find where annotations lie. A unit is a block of them; it is read together with the
images that it refers to, so that files of several GB need little memory and many processes can share the work.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.converters.base import Unit
from ehps.converters.readers import json_stream, opened, raw_files
from ehps.errors import DataError

Record = dict[str, Any]
Spans = tuple[tuple[int, int], ...]

ROWS = 10_000


@dataclass(frozen=True)
class Block:
    """Where a unit's annotations lie.

    Attributes
    ----------
    first : index of the first among all annotations.
    count : how many there are.
    annotations : their first byte, and the byte behind the last one.
    images : the same for every :data:`ROWS` of all images.
    more : what else the converter wants to know about the unit.
    """

    first: int
    count: int
    annotations: tuple[int, int]
    images: Spans
    more: Any = None


def units(path: Path, name: str, more: Any = None) -> list[Unit]:
    """Units of up to :data:`ROWS` annotations; one unit, whose reading fails, where the file cannot be read.

    Parameters
    ----------
    name : of the unit; where there are several, the number of the first annotation follows.
    more : see :class:`Block`.
    """
    try:
        lists = json_stream.objects(path)
    except DataError:
        return [Unit(name, path)]
    people, images = (_blocks(lists.get(key, np.zeros((0, 2), int))) for key in ("annotations", "images"))
    if not people:
        return [Unit(name, path)]
    count = len(lists["annotations"])
    found = []
    for number, span in enumerate(people):
        first = number * ROWS
        called = name if len(people) == 1 else f"{name} {first}"
        found.append(Unit(called, path, Block(first, min(ROWS, count - first), span, images, more)))
    return found


def _blocks(places: Array) -> Spans:
    """First byte, and byte behind the last, of every :data:`ROWS` objects."""
    last = np.minimum(np.arange(ROWS, len(places) + ROWS, ROWS), len(places)) - 1
    return tuple(zip(places[::ROWS, 0].tolist(), places[last, 1].tolist(), strict=True))


def read(unit: Unit) -> tuple[list[Record], dict[Any, Record]]:
    """The annotations of a unit in their order, and their images by id.

    Raises
    ------
    DataError : the file is missing, truncated, not COCO-style, or has no such image.
    """
    if unit.data is None:
        content = raw_files.read_json(unit.path)
        raw_files.require(content if isinstance(content, dict) else {}, "images annotations", unit.path)
        return list(content["annotations"]), {image["id"]: image for image in content["images"]}
    people = records(unit)
    return people, _images(unit.path, unit.data.images, {a["image_id"] for a in people})


def records(unit: Unit) -> list[Record]:
    """The annotations of a unit that could be found, in their order.

    Raises
    ------
    DataError : they are not json.
    """
    return _parsed(unit.path, unit.data.annotations, "annotations")


def listed(path: Path, key: str) -> list[Any]:
    """What a file lists under ``key``, nothing where it does not.

    Raises
    ------
    DataError : the file cannot be read, or is not JSON.
    """
    spans = json_stream.objects(path).get(key, np.zeros((0, 2), int))
    return _parsed(path, (int(spans[0, 0]), int(spans[-1, 1])), key) if len(spans) else []


def labelled(record: Record, first: int | None = None) -> int:
    """How many of an annotation's ``keypoints`` (or of the first so many) are labelled, visible or hidden.

    ``num_keypoints`` says the same where it is right: some tools leave it out or write a constant.
    """
    confidence = (record.get("keypoints") or [])[2::3][:first]
    return sum(value > 0 for value in confidence)


def points_of(annotations: Sequence[Record], known: Sequence[int], path: Path) -> int:
    """How many points most annotations with points have: one of ``known``, the first where that is not clear.

    Raises
    ------
    DataError : it is another number.
    """
    counts = Counter(
        len(a["keypoints"]) for a in annotations if isinstance(a.get("keypoints"), list) and a["keypoints"]
    )
    if not counts:
        return known[0]
    ((length, people),) = counts.most_common(1)
    if length % 3 == 0 and length // 3 in known:
        return length // 3
    if people <= counts.total() / 2:
        return known[0]
    found = f"{length // 3} points" if length % 3 == 0 else f"{length} numbers, which are no triples x, y, v,"
    wanted = " or ".join(map(str, known))
    what = f"{people} of {counts.total()} people have {found} in `keypoints` instead of {wanted}"
    fix = f"import labels of another skeleton with `ehps convert coco {path.name} --images DIR --skeleton NAMES`"
    raise DataError(what, path=path, fix=fix)


def _images(path: Path, blocks: Spans, wanted: Iterable[Any]) -> dict[Any, Record]:
    """Those with the ids ``wanted``; of equal ids the last counts, as in json."""
    ids, block = _index(path, blocks)
    keys = np.array(sorted(wanted))
    at = np.searchsorted(ids, keys, side="right") - 1
    lacking = keys[(at < 0) | (ids[at] != keys)] if len(ids) else keys
    if len(lacking):
        raise DataError(f"has an annotation of image {lacking[0]}, but no such image", path=path, fix=raw_files.AGAIN)
    found: dict[Any, Record] = {}
    for number in np.unique(block[at]).tolist():
        own = set(keys[block[at] == number].tolist())
        images = _parsed(path, blocks[number], "images")
        found |= {image["id"]: image for image in images if image["id"] in own}
    return found


@opened.remembered(2)
def _index(path: Path, blocks: Spans) -> tuple[Array, Array]:
    """Sorted ids (M,) of the images, and (M,) in which block each is."""
    ids = [[image["id"] for image in _parsed(path, span, "images")] for span in blocks]
    block = np.repeat(np.arange(len(ids)), [len(part) for part in ids])
    flat = np.array([key for part in ids for key in part])
    order = np.argsort(flat, kind="stable")
    return flat[order], block[order]


def _parsed(path: Path, span: tuple[int, int], what: str) -> list[Record]:
    """What lies between two bytes, commas between the records."""
    opened.note(path)
    with open(path, "rb") as file:
        file.seek(span[0])
        text = file.read(span[1] - span[0])
    try:
        records: list[Record] = json_stream.parse(b"[" + text + b"]")
    except (ValueError, RecursionError) as error:
        where = f"between bytes {span[0]} and {span[1]}"
        raise DataError(f"has {what} that are not JSON {where} ({error})", path=path, fix=raw_files.AGAIN) from None
    return records


# -- sizes of images ----------------------------------------------------------------------------------------


def stated_sizes(images: Iterable[Record]) -> Array:
    """(N, 2) height and width as records of images state them, zeros where one does not."""
    return np.array([[_pixels(image.get("height")), _pixels(image.get("width"))] for image in images], int).reshape(
        -1, 2
    )


def sizes_by_name(paths: Iterable[Path], names: Iterable[str]) -> Array | None:
    """(N, 2) height and width of images as any of several files states them, zeros where none does; None where no file
    states any.

    Parameters
    ----------
    paths : COCO-style files; those that are not there, or no such files, are passed over.
    names : of the images; that of the file counts from its last number on, which releases of COCO have in common.
    """
    wanted = [_number(name) for name in names]
    lacking, found = set(wanted), dict[str, tuple[int, int]]()
    for path in paths:
        if lacking and opened.is_file(path):
            found |= _sizes(path)
            lacking -= found.keys()
    sizes = np.array([found.get(name, (0, 0)) for name in wanted], int).reshape(-1, 2)
    return sizes if sizes.any() else None


@opened.remembered(2)
def _sizes(path: Path) -> dict[str, tuple[int, int]]:
    """Height and width of the images of a file by the number in their names."""
    try:
        places = json_stream.objects(path).get("images", np.zeros((0, 2), int))
        images = [image for span in _blocks(places) for image in _parsed(path, span, "images")]
    except DataError:
        return {}
    sizes = stated_sizes(images).tolist()
    return {
        _number(str(image.get("file_name"))): (h, w) for image, (h, w) in zip(images, sizes, strict=True) if h and w
    }


def _number(name: str) -> str:
    """The last number of an image's name, or the name where it has none."""
    stem = raw_files.basename(name).rpartition(".")[0]
    return re.sub(r"^.*?(\d+)$", r"\1", stem)


def _pixels(value: Any) -> int:
    """A height or width; 0 where the value is none."""
    return int(value) if isinstance(value, int | float) and 0 < value < 1e6 else 0
