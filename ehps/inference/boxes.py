"""Boxes that are given: HumanData, COCO json, csv, MOT txt; which frame each is of."""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

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


@dataclass
class Boxes:
    """Boxes by image or by number of frame.

    Attributes
    ----------
    path : the file they are from.
    by_image : image path -> its people.
    by_number : number of a frame, from 0 -> its people.
    sha256 : of the file.
    """

    path: Path
    by_image: dict[str, People]
    by_number: dict[int, People]
    sha256: str
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
            return self.by_image[key]
        return NOBODY if key is None else self.by_number[key]

    def key_of(self, image_path: str, number: int) -> str | int | None:
        """Under what the boxes of a frame are: a path, a number, or None where it has none."""
        key = image_path if image_path in self.by_image else self._ending(image_path)
        if key is None and number in self.by_number:
            return number
        return key

    def unused(self, frames: Iterable[tuple[str, int]]) -> list[str]:
        """Images and numbers of frames that none of ``frames`` (image path, number) is."""
        used = {self.key_of(*frame) for frame in frames}
        return [str(key) for key in (*self.by_image, *self.by_number) if key not in used]

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
        if not all(map(math.isfinite, (*row.box, row.score))):
            raise DataError(f"has a box that is not of numbers, of {row.key}: {row.box}", path=path)
        groups.setdefault(row.key, []).append(row)
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
    )


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
    """Whole numbers as they are, words by their first appearance."""
    if all(isinstance(one, int) for one in ids):
        return list(ids)
    order: dict[Any, int] = {}
    return [order.setdefault(one, len(order) + 1) for one in ids]


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
    rows = []
    for number, one in enumerate(found):
        if not isinstance(one, dict) or not isinstance(one.get("bbox"), list) or len(one["bbox"]) != 4:
            raise DataError(f"entry {number} has no bbox of four numbers", path=path)
        if one.get("category_id", 1) != 1 or one.get("iscrowd"):
            continue
        image = one.get("file_name", names.get(one.get("image_id")))
        if image is None and not isinstance(one.get("image_id"), int):
            raise DataError(f"entry {number} names no image", path=path, fix="give file_name, or images with their ids")
        try:
            box = tuple(float(value) for value in one["bbox"])
            score, track = float(one.get("score", 1)), int(one.get("track_id", -1))
        except (TypeError, ValueError):
            raise DataError(f"entry {number} has a bbox, score or track_id that is no number", path=path) from None
        key = str(image) if image is not None else int(one["image_id"])
        rows.append(_Row(key, (box[0], box[1], box[2], box[3]), score, track))
    return rows


def _csv(path: Path) -> list[_Row]:
    """A table with a heading: an image or a frame (from 0), a box, and a score and a track where there are any."""
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        lines = list(csv.reader(file))
    head = [word.strip().lower() for word in lines[0]] if lines else []
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
    for number, line in enumerate(lines[1:], start=2):
        if not any(word.strip() for word in line):
            continue
        try:
            x, y, a, b = (float(line[at[name] or 0]) for name in needed)
            score = float(line[at["score"]]) if at["score"] is not None and line[at["score"]].strip() else 1.0
            track = int(float(line[at["track"]])) if at["track"] is not None and line[at["track"]].strip() else -1
            key: str | int = line[at["image"]] if at["image"] is not None else int(line[at["frame"] or 0])
        except (ValueError, IndexError):
            raise DataError(f"line {number} is not a box: {','.join(line)[:80]}", path=path) from None
        rows.append(_Row(key, (x, y, a - x, b - y) if corners else (x, y, a, b), score, track))
    return rows


def _mot(path: Path) -> list[_Row]:
    """MOT: frame (from 1), identity (-1: none), left, top, width, height, confidence (0: to be ignored), ..."""
    rows = []
    for number, text in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if not text.strip():
            continue
        words = text.replace(",", " ").split()
        try:
            values = [float(word) for word in words]
            frame, track, x, y, w, h = int(values[0]), int(values[1]), *values[2:6]
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
