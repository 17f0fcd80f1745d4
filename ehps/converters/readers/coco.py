"""COCO-style json (``images`` and ``annotations``) of any size, in units of so many annotations.

The file is gone through once to find where annotations lie. A unit is a block of them; it is read together with the
images that it refers to, so that files of several GB need little memory and many processes can share the work.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.converters import ranges
from ehps.converters.base import ODD_ROWS, Unit, drop
from ehps.converters.readers import AGAIN, OTHER, fields, json_stream, opened, raw_files
from ehps.converters.readers.fields import IDENTIFIER, PATH, Fields, Record, integers
from ehps.errors import DataError

Spans = tuple[tuple[int, int], ...]

ROWS = 10_000
ID = re.compile(rb'"id"\s*:\s*(-?\d{1,18})(?![\d.eE])')
INDEX = "annotation_index"
"""Number of an annotation among all of its file, from 1, before anything is left out."""
PERSON = {"id": IDENTIFIER, "image_id": IDENTIFIER}
IMAGE = {"id": IDENTIFIER, "file_name": PATH}
SIZE = {"height": integers(), "width": integers()}
"""What images have where sizes are taken from the file."""


@dataclass(frozen=True)
class Block:
    """Where a unit's annotations lie.

    Attributes
    ----------
    first : index of the first among all annotations.
    count : how many objects there are.
    annotations : their first byte, and the byte behind the last one, with what else stands between them.
    images : the same for every :data:`ROWS` of all images.
    earlier : ids of its annotations that earlier units have as well, where ids are integers.
    more : what else the converter wants to know about the unit.
    """

    first: int
    count: int
    annotations: tuple[int, int]
    images: Spans
    earlier: frozenset[int] = frozenset()
    more: Any = None


def units(path: Path, name: str) -> list[Unit]:
    """Units of up to :data:`ROWS` annotations; one unit, whose reading fails, where the file cannot be read.

    Parameters
    ----------
    name : of the unit; where there are several, the number of the first annotation follows.
    """
    try:
        lists = json_stream.objects(path)
    except DataError:
        return [Unit(name, path)]
    if not {"annotations", "images"} <= lists.keys() or not len(lists["annotations"].objects):
        return [Unit(name, path)]
    people, images = (_blocks(lists[key]) for key in ("annotations", "images"))
    count = len(lists["annotations"].objects)
    repeated = _repeated(path, lists["annotations"].objects) if len(people) > 1 else {}
    found = []
    for number, span in enumerate(people):
        first = number * ROWS
        earlier = frozenset(repeated.get(number, ()))
        called = name if len(people) == 1 else f"{name} {first}"
        found.append(Unit(called, path, Block(first, min(ROWS, count - first), span, images, earlier)))
    return found


def _repeated(path: Path, objects: Array) -> dict[int, list[int]]:
    """Unit -> ids of its annotations, whose (N, 2) places are given, that stand in an earlier unit as well.

    Ids are looked for without parsing, so an annotation that has several ``"id"``, or a text for one, is passed over.
    """
    ids, places = [], []
    with open(path, "rb") as file:
        offset, rest = int(objects[0, 0]), b""
        file.seek(offset)
        while block := file.read(min(json_stream.BLOCK, int(objects[-1, 1]) - offset - len(rest))):
            text = rest + block
            kept = max(len(text) - json_stream.LONGEST, 0)
            for match in ID.finditer(text):
                if match.end() < len(text):  # else the number may go on
                    kept = max(kept, match.end())
                    ids.append(int(match[1]))
                    places.append(offset + match.start())
            offset, rest = offset + kept, text[kept:]
    owner = np.searchsorted(objects[:, 0], np.array(places, np.int64), side="right") - 1
    once = np.bincount(owner, minlength=len(objects))[owner] == 1
    keys, unit = np.array(ids, np.int64)[once], owner[once] // ROWS
    order = np.lexsort((unit, keys))
    keys, unit = keys[order], unit[order]
    again = np.flatnonzero((keys[1:] == keys[:-1]) & (unit[1:] != unit[:-1])) + 1
    found: dict[int, list[int]] = {}
    for key, number in zip(keys[again].tolist(), unit[again].tolist(), strict=True):
        found.setdefault(number, []).append(key)
    return found


def _blocks(listed: json_stream.Listed) -> Spans:
    """First byte, and byte behind the last, of every :data:`ROWS` objects, with what stands before each of them."""
    stops = [*listed.objects[ROWS - 1 :: ROWS, 1].tolist()]
    if len(listed.objects) % ROWS or not stops:
        stops.append(listed.stop)
    stops[-1] = listed.stop
    return tuple(zip([listed.start, *stops[:-1]], stops, strict=True))


def read(
    unit: Unit,
    dropped: dict[str, list[str]],
    people: Fields | None = None,
    images: Fields | None = None,
    *,
    found: Any = None,
) -> tuple[list[Record], dict[Any, Record]]:
    """The annotations of a unit in their order, and their images by id.

    Annotations of another form, of an image that the file does not list, or with the id of an earlier one are counted
    in ``dropped``.

    Parameters
    ----------
    people : what annotations have besides :data:`PERSON`.
    images : what images have besides :data:`IMAGE`.
    found : what :func:`records` or :func:`numbered` gives, where it was called before.

    Raises
    ------
    DataError : the file is missing, truncated or not COCO-style, most of its people have another number of points, or
        most of its records are of another form.
    """
    found = records(unit) if found is None else found
    if points := dict(people or {}).get("keypoints"):
        points_of(found, [int(points.shape[0]) // 3], unit.path)
    first = 0 if unit.data is None else unit.data.first
    chosen = fields.records(found, PERSON | dict(people or {}), unit.path, dropped, "annotations", first)
    own, odd = _images(unit, {a["image_id"] for a in chosen}, IMAGE | dict(images or {}))
    unlisted = [a for a in chosen if a["image_id"] not in own]
    if len(unlisted) > ODD_ROWS * len(chosen):
        what = f"lists no usable image for {len(unlisted)} of {len(chosen)} annotations, the first of image"
        raise DataError(f"{what} {unlisted[0]['image_id']}", path=unit.path, fix=OTHER)
    for a in unlisted:
        reason, said = odd.get(a["image_id"], ("image not listed", ""))
        drop(dropped, reason, [f"{unit.path.name} {a['id']}: image {a['image_id']} {said}".rstrip()])
    earlier = frozenset[int]() if unit.data is None else unit.data.earlier
    return fields.once([a for a in chosen if a["image_id"] in own], "id", dropped, unit.path, earlier), own


def records(unit: Unit) -> Any:
    """The annotations of a unit in their order, as they are.

    Raises
    ------
    DataError : the file is no JSON, or no COCO-style one.
    """
    if unit.data is None:
        content = raw_files.read_json(unit.path)
        raw_files.require(content, "images annotations", unit.path)
        return content["annotations"]
    return _parsed(unit.path, unit.data.annotations, "annotations")


def numbered(unit: Unit) -> Any:
    """What :func:`records` gives, each annotation with its number as :data:`INDEX`."""
    found, first = records(unit), 0 if unit.data is None else unit.data.first
    for number, record in enumerate(found if isinstance(found, list) else (), first + 1):
        if isinstance(record, dict):
            record[INDEX] = number
    return found


def listed(path: Path, key: str) -> list[Any]:
    """What a file lists under ``key``, nothing where it does not.

    Raises
    ------
    DataError : the file cannot be read, or is not JSON.
    """
    found = json_stream.objects(path).get(key)
    return [] if found is None else _parsed(path, (found.start, found.stop), key)


def labelled(record: Record, first: int | None = None) -> int:
    """How many of an annotation's ``keypoints`` (or of the first so many) are labelled, visible or hidden.

    ``num_keypoints`` says the same where it is right: some tools leave it out or write a constant.
    """
    confidence = (record.get("keypoints") or [])[2::3][:first]
    return int(ranges.labelled(confidence).sum())


def points_of(annotations: Any, known: Sequence[int], path: Path) -> int:
    """How many points most annotations with points have: one of ``known``, the first where that is not clear.

    Parameters
    ----------
    annotations : as :func:`records` gives them.

    Raises
    ------
    DataError : it is another number.
    """
    people = annotations if isinstance(annotations, list) else []
    lists = [a["keypoints"] for a in people if isinstance(a, dict) and isinstance(a.get("keypoints"), list)]
    counts = Counter(len(points) for points in lists if points)
    if not counts:
        return known[0]
    ((length, most),) = counts.most_common(1)
    if length % 3 == 0 and length // 3 in known:
        return length // 3
    if most <= counts.total() / 2:
        return known[0]
    found = f"{length // 3} points" if length % 3 == 0 else f"{length} numbers, which are no triples x, y, v,"
    wanted = " or ".join(map(str, known))
    what = f"{most} of {counts.total()} people have {found} in `keypoints` instead of {wanted}"
    fix = f"import labels of another skeleton with `ehps convert coco {path.name} --images DIR --skeleton NAMES`"
    raise DataError(what, path=path, fix=fix)


def file_names(path: Path) -> Iterator[str]:
    """Those of the images in a file, as far as it can be read."""
    try:
        for block in _blocks(json_stream.objects(path)["images"]):
            for image in _parsed(path, block, "images"):
                if isinstance(image, dict) and isinstance(image.get("file_name"), str):
                    yield image["file_name"]
    except (DataError, KeyError):
        return


def has(found: Any, key: str) -> bool:
    """Whether any annotation of those that :func:`records` gives has the key."""
    return isinstance(found, list) and any(isinstance(a, dict) and key in a for a in found)


def _images(unit: Unit, wanted: set[Any], known: Fields) -> tuple[dict[Any, Record], dict[Any, tuple[str, str]]]:
    """Those of the ids ``wanted`` that are there and of the right form, and what is wrong with the others by id; of
    equal ids the last counts, as in json."""
    path, found = unit.path, []
    if unit.data is None:
        found = raw_files.read_json(path)["images"]
    elif wanted:
        blocks: set[int] = set()
        for kind in (int, str):
            ids, block = _index(path, unit.data.images, kind)
            keys = np.array([key for key in wanted if isinstance(key, kind)], kind)
            at = np.searchsorted(ids, keys, side="right") - 1
            at = at[(at >= 0) & (ids[at] == keys)] if len(ids) else at[:0]
            blocks |= set(block[at].tolist())
        for number in sorted(blocks):
            found += _parsed(path, unit.data.images[number], "images")
        found = [image for image in found if isinstance(image, dict) and key_of(image) in wanted]
    own = {image["id"]: image for image in fields.records(found, known, path, {}, "images")}
    return own, {key_of(found[i]): wrong for i, wrong in fields.odd_ones(found, known, "images").items()}


def key_of(image: Any) -> Any:
    """The id of a record, None where it has none."""
    key = image.get("id") if isinstance(image, dict) else None
    return key if fields.is_identifier(key) else None


@opened.remembered(4)
def _index(path: Path, blocks: Spans, kind: type) -> tuple[Array, Array]:
    """Sorted ids (M,) of one kind of the images, and (M,) in which block each is."""
    ids = [[k for k in map(key_of, _parsed(path, span, "images")) if isinstance(k, kind)] for span in blocks]
    block = np.repeat(np.arange(len(ids)), [len(part) for part in ids])
    flat: Array = np.array([key for part in ids for key in part], kind)
    order = np.argsort(flat, kind="stable")
    return flat[order], block[order]


def _parsed(path: Path, span: tuple[int, int], what: str) -> list[Record]:
    """What lies between two bytes, commas between the records."""
    opened.note(path)
    with open(path, "rb") as file:
        file.seek(span[0])
        text = file.read(span[1] - span[0])
    try:
        records: list[Any] = json_stream.parse(b"[" + text.lstrip().removeprefix(b",") + b"]")
    except (ValueError, RecursionError) as error:
        where = f"between bytes {span[0]} and {span[1]}"
        raise DataError(
            f"has {what} that are not JSON {where} ({json_stream.why_not(error)})", path=path, fix=AGAIN
        ) from None
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
        images = [image for image in listed(path, "images") if isinstance(image, dict)]
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
