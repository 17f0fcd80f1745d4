"""The label files of SAM 3D Body: a row a person, those of an image one after another.

How wide points are and how ``bbox_format`` is spelled is not documented: what the writer of the tars would take is
taken, other rows are left out and counted.
Source: data/scripts/create_webdataset.py of the paper's repository.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array, Mask
from ehps.converters import ranges
from ehps.converters.readers import OTHER, parquet_files, rle
from ehps.converters.readers.fields import drop_odd
from ehps.errors import DataError

POINTS, MODEL, SHAPE, EXPRESSION = 70, 204, 45, 72
FORMATS = {"xyxy": "corners", "xyxyabs": "corners", "xywh": "size", "xywhabs": "size"}
SHAPES: dict[str, tuple[int | Sequence[int], ...]] = {
    "subject_idx": (),
    "subject_cnt": (),
    "mhr_valid": (),
    "keypoints_2d": (POINTS, (2, 3)),
    "keypoints_3d": (POINTS, (3, 4)),
    "model_params": (MODEL,),
    "shape_params": (SHAPE,),
    "bbox": (4,),
    "cam_int": (3, 3),
}
TEXTS = ("dataset", "image", "person_id", "date", "bbox_format")
OPTIONAL: dict[str, tuple[int, ...]] = {"bbox_score": (), "loss": (), "expr_params": (EXPRESSION,), "mask_size": (2,)}
OF_FITS = ("keypoints_3d", "model_params", "shape_params")
"""What rows without a usable fit need not have."""
FIRST_WRITER = ("global_rot", "body_pose_params", "hand_pose_params", "scale_params", "proto_valid", "global_trans")
"""Columns of the writer's first public commit, which no published file should have."""
LARGEST = 1e5  # of all parameters; the largest are places in decimetres
NEWER = "download the labels again: since 25 November 2025 they have model_params, shape_params and mhr_valid"
Numbers = Callable[..., tuple[Array, Mask]]


@dataclass(frozen=True)
class Labels:
    """N people, in the order of the file.

    Attributes
    ----------
    row : (N,) number in the file, from 0.
    dataset : (N,) texts.
    image : (N,) names as the file has them.
    person_id : (N,) integers, -1 where there is none, or texts.
    version : (N,) texts.
    subject_idx : (N,) place in the image.
    valid : (N,) the fit may be used.
    points2d : (N, 70, 3) pixels, confidence last.
    points3d : (N, 70, 4) as the file has them, confidence last; zeros without a fit.
    model_params : (N, 204) float32, NaN without a fit.
    shape_params : (N, 45) likewise.
    expr_params : (N, 72) likewise, None where there are none.
    bbox : (N, 5) x, y, w, h, score.
    cam_int : (N, 3, 3).
    loss : (N,) NaN where there is none.
    size : (N, 2) height and width of the image, zeros where nothing says them.
    mask_box : (N, 4) x, y, w, h, NaN without a mask.
    counted : what the file has, rows of another form included: rows, images and rows with a fit that may be used.
    notes : what else is to be said of it.
    """

    row: Array
    dataset: Array
    image: Array
    person_id: Array
    version: Array
    subject_idx: Array
    valid: Array
    points2d: Array
    points3d: Array
    model_params: Array
    shape_params: Array
    expr_params: Array | None
    bbox: Array
    cam_int: Array
    loss: Array
    size: Array
    mask_box: Array
    counted: tuple[int, int, int]
    notes: list[str]

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, rows: Any) -> Labels:
        arrays = {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        return replace(self, **{name: value[rows] for name, value in arrays.items()})


def image_starts(path: Path) -> tuple[int, Array]:
    """How many rows a Parquet file has, and which of them are the first of an image (``subject_idx`` 0).

    Raises
    ------
    DataError : the file is damaged, or has no such column.
    """
    count = parquet_files.count(path)
    place, _ = parquet_files.numbers(parquet_files.rows(path, ["subject_idx"], 0, count)["subject_idx"])
    return count, np.flatnonzero(place == 0)


def read_parquet(path: Path, start: int, stop: int | None, dropped: dict[str, list[str]]) -> Labels:
    """Rows of a Parquet file, from ``start`` to before ``stop`` or to the end; those of another form are counted in
    ``dropped``.

    Raises
    ------
    DataError : the file is damaged, has other columns, begins or ends within the people of an image, or most of its
        rows are of another form.
    """
    there = parquet_files.names(path)
    _check_columns(there, path)
    stop = parquet_files.count(path) if stop is None else stop
    optional = [name for name in (*OPTIONAL, "mask_cnts") if name in there]
    columns = parquet_files.rows(path, [*TEXTS, *SHAPES, *optional], start, stop)
    texts = {name: parquet_files.texts(columns[name]) for name in TEXTS}
    masks = columns["mask_cnts"].to_pylist() if "mask_cnts" in columns else [None] * (stop - start)
    return labels_of(path, start, texts, columns, parquet_files.numbers, masks, dropped)


def _check_columns(there: Sequence[str], path: Path) -> None:
    """Raise unless all columns are there that rows must have.

    Raises
    ------
    DataError : one is not; columns of the first writer are named.
    """
    missing = [name for name in (*TEXTS, *SHAPES) if name not in there]
    if not missing:
        return
    old = [name for name in FIRST_WRITER if name in there]
    has = f"has the columns of the first release ({', '.join(old)}) and" if old else "has"
    listed = "" if old else f" (it has {', '.join(there)})"
    raise DataError(f"{has} no {', '.join(missing)}{listed}", path=path, fix=NEWER if old else OTHER)


def labels_of(
    path: Path,
    start: int,
    texts: Mapping[str, list[str | None]],
    columns: Mapping[str, Any],
    numbers: Numbers,
    masks: Sequence[Any],
    dropped: dict[str, list[str]],
) -> Labels:
    """Labels of columns that ``numbers`` makes arrays of."""
    n = len(masks)
    found = {name: numbers(columns[name], *shape) for name, shape in SHAPES.items()}
    more = {
        name: numbers(columns[name], *shape) if name in columns else (np.zeros((n, *shape)), np.zeros(n, bool))
        for name, shape in OPTIONAL.items()
    }
    images = np.array([f"{d}: {i}" for d, i in zip(texts["dataset"], texts["image"], strict=True)], object)
    _check_people(path, start, images, found)
    valid = found["mhr_valid"][0] == 1
    odd = _odd(texts, found, valid)
    keep = drop_odd(odd, [f"row {start + k}" for k in range(n)], path, dropped)
    fitted = valid & np.logical_and.reduce([found[name][1] for name in OF_FITS])
    mask_size, sized = more["mask_size"]
    size, box = _masks(masks, mask_size, sized, images)
    expression, known = more["expr_params"]
    score, scored = more["bbox_score"]
    scored &= np.isfinite(score)
    labels = Labels(
        row=start + np.arange(n),
        dataset=np.array(texts["dataset"], object),
        image=np.array(texts["image"], object),
        person_id=_identities(texts["person_id"], *numbers(columns["person_id"])),
        version=np.array([text or "" for text in texts["date"]], object),
        subject_idx=found["subject_idx"][0].astype(np.int64),
        valid=valid,
        points2d=_with_confidence(found["keypoints_2d"][0], 2, ranges.PIXELS),
        points3d=_with_confidence(found["keypoints_3d"][0], 3, ranges.METRES) * fitted[:, None, None],
        model_params=_float32(*found["model_params"]),
        shape_params=_float32(*found["shape_params"]),
        expr_params=_float32(expression, known) if known.any() else None,
        bbox=_boxes(texts["bbox_format"], found["bbox"][0], np.where(scored, score, 1)),
        cam_int=found["cam_int"][0],
        loss=np.where(more["loss"][1], more["loss"][0], np.nan),
        size=size,
        mask_box=box,
        counted=(n, int((found["subject_idx"][0] == 0).sum()), int(valid.sum())),
        notes=[] if scored.all() else ["boxes without bbox_score have confidence 1"],
    )
    return labels[keep]


def _check_people(path: Path, start: int, images: Array, found: Mapping[str, tuple[Array, Mask]]) -> None:
    """Raise unless ``subject_idx`` of every image runs from 0 to ``subject_cnt`` - 1.

    Raises
    ------
    DataError : it does not; the row is named.
    """
    (place, known), (count, counted) = found["subject_idx"], found["subject_cnt"]
    n = len(place)
    if not n:
        return
    if not (known & counted).all():
        row = start + int(np.argmin(known & counted))
        raise DataError(f"row {row}: subject_idx or subject_cnt is no number", path=path, fix=OTHER)
    if place[0] != 0:
        what = f"row {start}: subject_idx is {place[0]:g}, so the file starts in the middle of an image"
        raise DataError(what, path=path, fix=OTHER)
    first = np.flatnonzero(place == 0)
    image = np.repeat(np.arange(len(first)), np.diff(np.append(first, n)))
    wrong = (place != np.arange(n) - first[image]) | (count != count[first][image]) | (images != images[first][image])
    wrong |= place >= count
    last = np.append(first[1:], n) - 1
    short = place[last] != count[last] - 1
    if wrong.any() or short.any():
        row = int(wrong.argmax()) if wrong.any() else int(last[short.argmax()])
        what = f"row {start + row}: subject_idx {place[row]:g} of {count[row]:g}"
        who = f"the people of {images[row]} do not run from 0 to subject_cnt - 1"
        raise DataError(f"{what}: {who}", path=path, fix=OTHER)


def _odd(
    texts: Mapping[str, list[str | None]], found: Mapping[str, tuple[Array, Mask]], valid: Mask
) -> dict[int, tuple[str, str]]:
    """Row -> reason, and words, of those that cannot be used."""
    n = len(valid)
    wrong: dict[str, Mask] = {}
    for name in ("dataset", "image"):
        wrong[f"no {name}"] = np.array([not text for text in texts[name]], bool)
    for name in ("keypoints_2d", "bbox", "cam_int", "mhr_valid", *OF_FITS):
        need = valid if name in OF_FITS else np.ones(n, bool)
        wrong[f"{name} is not {_expected(name)}"] = need & ~found[name][1]
    wrong["mhr_valid is not 0 or 1"] = ~np.isin(found["mhr_valid"][0], (0, 1))
    words = {text: _format(text) for text in set(texts["bbox_format"])}
    wrong["bbox_format is not xyxy or xywh"] = np.array([not words[text] for text in texts["bbox_format"]], bool)
    k = found["cam_int"][0]
    zero = np.abs(np.stack([k[:, 0, 1], k[:, 1, 0], k[:, 2, 0], k[:, 2, 1], k[:, 2, 2] - 1], axis=1))
    wrong["cam_int is no matrix of a pinhole without skew"] = found["cam_int"][1] & (zero > 1e-3).any(axis=1)
    for name in ("model_params", "shape_params"):
        values = np.abs(found[name][0])
        wrong[f"{name} not finite or beyond any body"] = valid & ~(values <= LARGEST).all(axis=1)
    odd: dict[int, tuple[str, str]] = {}
    for reason, mask in wrong.items():
        for row in np.flatnonzero(mask).tolist():
            said = f"has bbox_format {texts['bbox_format'][row]!r}" if reason.startswith("bbox_format") else reason
            odd.setdefault(row, (reason, said))
    return odd


def _identities(texts: Sequence[str | None], values: Array, known: Mask) -> Array:
    """Integers where the file has no others than these and nothing, else texts."""
    whole = known & np.array([text is not None for text in texts], bool)
    if whole.any() and not any(text for text, number in zip(texts, known, strict=True) if not number):
        return np.where(whole, values, -1).astype(np.int64)
    return np.array([text or "" for text in texts], object)


def _expected(name: str) -> str:
    shape = SHAPES[name]
    if not shape:
        return "a number"
    sizes = [" or ".join(map(str, [axis] if isinstance(axis, int) else axis)) for axis in shape]
    return f"{' x '.join(sizes)} numbers"


def _format(text: str | None) -> str:
    """``corners`` or ``size``; nothing for other words."""
    return FORMATS.get(re.sub(r"[^a-z0-9]", "", (text or "").lower().removeprefix("boxmode.")), "")


def _with_confidence(points: Array, axes: int, limit: float) -> Array:
    """Points with a confidence from 0 to 1: that of the file, else 1 but where all coordinates are 0. Those that are no
    numbers, or beyond the limit, become zeros."""
    points = np.where((np.abs(points[..., :axes]) <= limit).all(axis=2, keepdims=True), points, 0)
    if points.shape[2] == axes:
        stated = (points != 0).any(axis=2).astype(float)
    else:
        stated = np.clip(np.nan_to_num(points[..., axes], nan=0.0, posinf=0.0), 0, 1)
    return np.concatenate([points[..., :axes], stated[..., None]], axis=2)


def _float32(values: Array, known: Mask) -> Array:
    """As they are stored: NaN in rows that have none, or numbers that are none."""
    usable = known & (np.abs(values) <= LARGEST).all(axis=1)
    return np.where(usable[:, None], values, np.nan).astype(np.float32)


def _boxes(formats: Sequence[str | None], box: Array, score: Array) -> Array:
    corners = np.array([_format(text) == "corners" for text in formats], bool)
    box = box.copy()
    box[corners, 2:] -= box[corners, :2]
    return np.column_stack([box, score])


def _masks(masks: Sequence[Any], size: Array, sized: Mask, images: Array) -> tuple[Array, Array]:
    """(N, 2) sizes of the images, by any mask of theirs, and (N, 4) boxes of the masks."""
    counts = [mask.encode() if isinstance(mask, str) else mask if isinstance(mask, bytes) else b"" for mask in masks]
    there = sized & ((size > 0) & (size <= ranges.PIXELS)).all(axis=1) & np.array([bool(text) for text in counts], bool)
    size = np.where(there[:, None], size, 0).astype(np.int64)
    box, whole = rle.mask_boxes([text if known else b"" for text, known in zip(counts, there, strict=True)], size)
    group = np.unique(images, return_inverse=True)[1]
    of_image = np.zeros((group.max(initial=-1) + 1, 2), np.int64)
    of_image[group[whole]] = size[whole]
    return np.where(whole[:, None], size, of_image[group]), box
