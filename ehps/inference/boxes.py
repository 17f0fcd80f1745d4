"""Boxes that are given: HumanData, COCO json, csv, MOT txt; which frame each is of."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.errors import DataError, UsageError
from ehps.humandata.core import HumanData
from ehps.inference.frames import NOBODY, Frame, People
from ehps.json_files import read_json
from ehps.suffixes import HUMANDATA

FORMS = "a HumanData file (.h5, .npz), COCO annotations or results (.json), a table (.csv), or MOT (.txt)"
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "image": ("image_path", "image", "file_name", "filename", "file", "path", "name"),
    "frame": ("frame", "frame_id", "frame_number", "frame_index"),
    "x": ("x", "left", "bb_left", "x1", "xmin"),
    "y": ("y", "top", "bb_top", "y1", "ymin"),
    "w": ("w", "width", "bb_width"),
    "h": ("h", "height", "bb_height"),
    "x2": ("x2", "right", "xmax"),
    "y2": ("y2", "bottom", "ymax"),
    "score": ("score", "confidence", "conf"),
    "track": ("track_id", "track", "person_id", "person", "id"),
}
"""What a column of a csv file means -> the names that it may have."""


MOST = 2**53  # of whole numbers that a float tells from their neighbours
FARTHEST = 1e9  # pixels
SHOWN = 10


@dataclass
class Boxes:
    """Boxes by image or by number of frame.

    Attributes
    ----------
    path : the file they are from.
    by_image : image path -> its people.
    by_number : number of a frame, from 0 -> its people.
    sha256 : of the file.
    stored : whether boxes are in pixels of images as stored, which EXIF may turn, as HumanData has them; of the others
        they are in pixels of the upright image.
    """

    path: Path
    by_image: dict[str, People]
    by_number: dict[int, People]
    sha256: str
    stored: bool = False
    _names: dict[str, list[str]] = field(default_factory=dict)
    _taken: dict[str, str] = field(default_factory=dict)

    def of(self, frame: Frame) -> People:
        """The people of a frame: by its whole path, else by the one path of which either is the end of the other, else
        by its number.

        Raises
        ------
        DataError : a path without its folders is that of several images.
        """
        key = self.key_of(frame.image_path, frame.number)
        if isinstance(key, str):
            if self._taken.setdefault(key, frame.image_path) != frame.image_path:
                raise DataError(
                    f"{key} may be {self._taken[key]} or {frame.image_path}",
                    path=self.path,
                    fix="write the paths of its images as they are below the input",
                )
            found = self.by_image[key]
            return replace(found, boxes=upright_boxes(found.boxes, frame)) if self.stored else found
        return NOBODY if key is None else self.by_number[key]

    def key_of(self, image_path: str, number: int) -> str | int | None:
        """Under what the boxes of a frame are: a path, a number, or None where it has none."""
        key = self._of_image(image_path)
        if key is None and number in self.by_number:
            return number
        return key

    def unused(self, frames: Iterable[tuple[str, int]]) -> list[str]:
        """Images and numbers of frames that none of ``frames`` (image path, number) is."""
        used = {self.key_of(*frame) for frame in frames}
        return [str(key) for key in (*self.by_image, *self.by_number) if key not in used]

    def _of_image(self, path: str) -> str | None:
        path = _slashed(path)
        return path if path in self.by_image else self._ending(path)

    def _ending(self, path: str) -> str | None:
        if not self._names:
            for key in self.by_image:
                self._names.setdefault(PurePosixPath(key).name, []).append(key)
        found = [
            key
            for key in self._names.get(PurePosixPath(path).name, [])
            if f"/{key}".endswith(f"/{path}") or f"/{path}".endswith(f"/{key}")
        ]
        return found[0] if len(found) == 1 else None


@dataclass
class _Row:
    key: str | int
    box: tuple[float, float, float, float]
    score: float = 1.0
    track: int = -1
    row: int = -1


def read_boxes(path: Path) -> Boxes:
    """Boxes of a file, whose form its ending tells.

    Raises
    ------
    UsageError : it has another ending.
    DataError : it is damaged, or lacks what boxes need.
    """
    suffix = path.suffix.lower()
    if suffix in HUMANDATA:
        rows = _humandata(path)
    elif suffix == ".json":
        rows = _coco(path)
    elif suffix == ".csv":
        rows = _csv(path)
    elif suffix == ".txt":
        rows = _mot(path)
    else:
        raise UsageError(f"boxes are {FORMS}", path=path)
    if not rows:
        raise DataError("has no boxes", path=path)
    groups: dict[str | int, list[_Row]] = {}
    for row in rows:
        if not all(abs(value) < FARTHEST for value in (*row.box, row.score)):  # which nan is not
            raise DataError(f"has a box of which a number can be none of an image, of {row.key}: {row.box}", path=path)
        key = _slashed(row.key) if isinstance(row.key, str) else row.key
        groups.setdefault(key, []).append(row)
    people = {
        key: People.of(
            np.array([row.box for row in own]),
            np.array([row.score for row in own]),
            np.array([row.track for row in own]),
            np.array([row.row for row in own]),
        )
        for key, own in groups.items()
    }
    return Boxes(
        path,
        {key: own for key, own in people.items() if isinstance(key, str)},
        {key: own for key, own in people.items() if isinstance(key, int)},
        hashlib.sha256(path.read_bytes()).hexdigest(),
        stored=suffix in HUMANDATA,
    )


def upright_boxes(boxes: Array, frame: Frame) -> Array:
    """Boxes (P, 4) x, y, w, h in pixels of an image as stored as those of its frame, which is upright."""
    height, width = frame.size
    stored_width = height if frame.turned % 2 else width
    low, size = boxes[:, :2].astype(float), boxes[:, 2:].astype(float)
    if frame.mirrored:
        low[:, 0] = stored_width - 1 - low[:, 0] - size[:, 0]
    (x, y), (w, h) = low.T, size.T
    if frame.turned == 1:
        x, y, w, h = width - 1 - y - h, x, h, w
    elif frame.turned == 2:
        x, y = width - 1 - x - w, height - 1 - y - h
    elif frame.turned == 3:
        x, y, w, h = y, height - 1 - x - w, h, w
    return np.stack([x, y, w, h], axis=1).astype(np.float32)


def _slashed(path: str) -> str:
    """A path as HumanData has it, of Windows too."""
    return path.replace("\\", "/")


def _humandata(path: Path) -> list[_Row]:
    hd = HumanData.open(path)
    for name in ("image_path", "bbox_xywh"):
        if name not in hd:
            raise DataError(f"has no {name} column", path=path, fix="give a file with boxes")
    boxes = np.asarray(hd["bbox_xywh"], float)
    tracks = numbered(np.asarray(hd["meta/track_id"]).tolist()) if "meta/track_id" in hd else [-1] * len(hd)
    scores = np.asarray(hd["meta/score"], float) if "meta/score" in hd else np.ones(len(hd))
    known = (boxes[:, 4] > 0) & np.isfinite(boxes).all(axis=1)
    return [
        _Row(str(image), (box[0], box[1], box[2], box[3]), float(score), track)
        for image, box, score, track, there in zip(
            hd["image_path"], boxes.tolist(), scores, tracks, known.tolist(), strict=True
        )
        if there
    ]


def numbered(ids: Sequence[Any]) -> list[int]:
    """Whole numbers as they are, -1 for negative ones; words by their first appearance, -1 for empty ones."""
    if all(isinstance(one, int) and abs(one) <= MOST for one in ids):
        return [max(one, -1) for one in ids]
    order: dict[Any, int] = {"": -1}
    return [order.setdefault(one, len(order)) for one in ids]


def _coco(path: Path) -> list[_Row]:
    """COCO annotations with their images, or a list of results."""
    content = read_json(path)
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        names = {
            image["id"]: str(image["file_name"])
            for image in content.get("images", [])
            if isinstance(image, dict) and {"id", "file_name"} <= image.keys()
        }
        found = content["annotations"]
    elif isinstance(content, list):
        names, found = {}, content
    else:
        raise DataError("is neither COCO annotations nor a list of results", path=path)
    person = _person(content, path)
    rows: list[_Row] = []
    tracks: list[Any] = []
    others = 0
    for number, one in enumerate(found):
        if not isinstance(one, dict) or not isinstance(one.get("bbox"), list) or len(one["bbox"]) != 4:
            raise DataError(f"entry {number} has no bbox of four numbers", path=path)
        if one.get("category_id", person) != person or one.get("iscrowd"):
            others += one.get("category_id", person) != person
            continue
        image = one.get("file_name", names.get(one.get("image_id")))
        if image is None and not isinstance(one.get("image_id"), int):
            raise DataError(f"entry {number} names no image", path=path, fix="give file_name, or images with their ids")
        try:
            box = tuple(float(value) for value in one["bbox"])
            score = float(one.get("score", 1))
        except (TypeError, ValueError):
            raise DataError(f"entry {number} has a bbox or score that is no number", path=path) from None
        key = str(image) if image is not None else int(one["image_id"])
        track = one.get("track_id", -1)
        tracks.append(track if isinstance(track, int) else str(track))
        rows.append(_Row(key, (box[0], box[1], box[2], box[3]), score))
    if others and not rows:
        fix = f"give category_id {person} to people, or name the category person in categories"
        raise DataError(f"has {others:,} boxes, none of category {person}, which people are", path=path, fix=fix)
    return _tracked(rows, tracks)


def _person(content: Any, path: Path) -> Any:
    """The category that people are: the one of that name, the only one, or 1 where there are no categories.

    Raises
    ------
    DataError : there are several, and none is named person.
    """
    named = content.get("categories") if isinstance(content, dict) else None
    named = [one for one in named if isinstance(one, dict) and "id" in one] if isinstance(named, list) else []
    if not named:
        return 1
    people = [one["id"] for one in named if str(one.get("name")).lower() == "person"]
    if len(people) != 1 and len(named) > 1:
        listed = ", ".join(str(one.get("name")) for one in named[:SHOWN])
        raise DataError(f"has categories {listed}", path=path, fix="name the one of people person")
    return people[0] if people else named[0]["id"]


def _tracked(rows: list[_Row], tracks: Sequence[Any]) -> list[_Row]:
    return [replace(row, track=track) for row, track in zip(rows, numbered(tracks), strict=True)]


def _csv(path: Path) -> list[_Row]:
    """A table with a heading: an image or a frame (from 0), a box, and a score and a track where there are any."""
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        first = file.readline()
        file.seek(0)
        between = max(",;\t", key=first.count)
        try:
            lines = [[word.strip() for word in line] for line in csv.reader(file, delimiter=between)]
        except csv.Error as error:
            raise DataError(f"is no table ({error})", path=path) from None
    head = [word.lower() for word in lines[0]] if lines else []
    at = {what: next((head.index(n) for n in names if n in head), None) for what, names in COLUMNS.items()}
    corners = at["x2"] is not None and at["y2"] is not None
    needed = ["x", "y", *(("x2", "y2") if corners else ("w", "h"))]
    lacking = [name for name in needed if at[name] is None]
    if lacking or (at["image"] is None and at["frame"] is None):
        lacking += [] if at["image"] is not None or at["frame"] is not None else ["image or frame"]
        raise DataError(
            f"has no column {', '.join(lacking)}; its columns are {', '.join(head) or 'none'}",
            path=path,
            fix="name them image or frame, x, y, w, h (or x1, y1, x2, y2), score, track_id",
        )
    rows = []
    tracks: list[Any] = []
    for number, line in enumerate(lines[1:], start=2):
        if not any(line):
            continue
        try:
            x, y, a, b = (float(line[at[name] or 0]) for name in needed)
            score = float(line[at["score"]]) if at["score"] is not None and line[at["score"]] else 1.0
            track = line[at["track"]] if at["track"] is not None else ""
            key: str | int = line[at["image"]] if at["image"] is not None else _whole(line[at["frame"] or 0])
        except (ValueError, IndexError):
            raise DataError(f"line {number} is not a box: {between.join(line)[:80]}", path=path) from None
        rows.append(_Row(key, (x, y, a - x, b - y) if corners else (x, y, a, b), score))
        tracks.append(track)
    try:
        return _tracked(rows, [_whole(track) if track else -1 for track in tracks])
    except ValueError:  # words
        return _tracked(rows, tracks)


def _whole(word: str) -> int:
    """A whole number, also as programs write it that know fractions only (``12.0``).

    Raises
    ------
    ValueError : it is none, or too large.
    """
    number = float(word)
    if not number.is_integer() or abs(number) > MOST:
        raise ValueError(word)
    return int(number)


def _mot(path: Path) -> list[_Row]:
    """MOT: frame (from 1), identity (-1: none), left, top, width, height, confidence (0: to be ignored), ..."""
    rows = []
    for number, text in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if not text.strip():
            continue
        words = text.replace(",", " ").replace(";", " ").split()
        try:
            frame, track = _whole(words[0]), _whole(words[1])
            values = [float(word) for word in words]
            x, y, w, h = values[2:6]
        except (ValueError, IndexError):
            raise DataError(
                f"line {number} is not frame, identity, left, top, width, height: {text[:80]}", path=path
            ) from None
        score = values[6] if len(values) > 6 else 1.0
        if frame < 1:
            raise DataError(f"line {number} is of frame {frame}; MOT counts from 1", path=path)
        if score == 0:
            continue
        rows.append(_Row(frame - 1, (x, y, w, h), score if score > 0 else 1.0, track if track >= 0 else -1))
    return rows
