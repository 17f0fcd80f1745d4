"""Everything in a file that contradicts the schema, column by column with the rows concerned.

All checks go through the file once, in blocks of bounded size. What is merely implausible about an instance is the
business of :mod:`ehps.humandata.audit`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.errors import DataError
from ehps.genders import GENDERS
from ehps.humandata import boxes, frames, merging, schema
from ehps.humandata.image_checks import MISSING, OTHER_SIZE, OUTSIDE, UNREADABLE, check_images
from ehps.humandata.passport import CAMERA, UNITS, UNKNOWN
from ehps.humandata.storage.plan import blocks
from ehps.humandata.strings import Strings
from ehps.humandata.table import Table

Fault = tuple[str, str, Any]  # column, what, (rows of the block,) bool

LARGEST_ANGLE = 4 * np.pi  # of an axis-angle vector: fits wander past one turn, degrees go far beyond two
FARTHEST = 1000.0  # metres
SHOWN = 5
FEW = 3
NO_ROWS = np.zeros(0, np.intp)


@dataclass(frozen=True)
class Problem:
    """One contradiction.

    Attributes
    ----------
    column : where; ``passport`` for contradictions between passport and columns.
    what : what is wrong.
    rows : (count,) row numbers, empty when it is about the column as a whole.
    """

    column: str
    what: str
    rows: Array = field(default_factory=lambda: NO_ROWS, compare=False)

    @property
    def count(self) -> int:
        """Rows concerned, 0 when it is about the column as a whole."""
        return len(self.rows)

    def __str__(self) -> str:
        if not self.count:
            return f"{self.column}: {self.what}"
        shown = ", ".join(map(str, self.rows[:SHOWN].tolist())) + (", ..." if self.count > SHOWN else "")
        return f"{self.column}: {self.what} ({self.count} row{'s' if self.count > 1 else ''}: {shown})"


def problems(hd: Table, images: str | Path | None = None) -> list[Problem]:
    """Everything that contradicts the schema, columns in stored order; empty when there is nothing.

    Parameters
    ----------
    images : their folder; each is compared with what its rows say, by its header.
    """
    wrong = list(_of_columns(hd))
    misshapen = {problem.column for problem in wrong}
    wrong += _of_passport(hd, misshapen)
    found: dict[tuple[str, str], list[Array]] = {}
    checked = hd.without(misshapen)
    start = 0
    for block in blocks(checked):
        for column, what, mask in _of_rows(block):
            if mask.any():
                found.setdefault((column, what), []).append(np.flatnonzero(mask) + start)
        start += len(block)
    wrong += [Problem(column, what, np.concatenate(rows)) for (column, what), rows in found.items()]
    if "image_path" in hd:
        outside = list(_of_paths(hd["image_path"]))
        wrong += outside
        if images is not None and not outside and len(hd):
            wrong += _of_images(hd, images)
    order = {name: place for place, name in enumerate(hd.columns)}
    return sorted(wrong, key=lambda problem: order.get(problem.column, -1))


def require_columns(hd: Table, names: Iterable[str] | None = None, *, shapes: bool = True) -> None:
    """See, without reading rows, that columns hold what the schema says.

    Parameters
    ----------
    names : those to look at, as far as they are there; all by default.
    shapes : compare shapes too, not only the kind of the values.

    Raises
    ------
    DataError : one does not; it is named with what it holds.
    """
    head = hd[:0]
    for name in hd.columns if names is None else names:
        item = schema.field(name) if name in hd else None
        for problem in () if item is None else _of_type(name, item, head[name]):
            if shapes or "shape" not in problem.what:
                fix = "correct the column; `ehps humandata validate` lists all that contradicts the format"
                raise DataError(f"{name} {problem.what}", path=hd.source, fix=fix)


# -- whole columns ----------------------------------------------------------------------------------------


def _of_columns(hd: Table) -> Iterator[Problem]:
    head = hd[:0]
    for required in (item.name for item in schema.FIELDS if item.required):
        if required not in hd:
            yield Problem(required, "is missing; every file needs it")
    for name in hd.columns:
        item = schema.field(name)
        column = head[name]
        if item is not None:
            yield from _of_type(name, item, column)
        if name.startswith(("keypoints2d", "keypoints3d")) and not isinstance(column, Strings) and column.ndim == 3:
            yield from _of_names(name, hd)
    for model_type in ("smplx", "smplh", "smpl"):
        have = [part for part in schema.BODY_CORE if f"{model_type}/{part}" in hd]
        if have and len(have) < len(schema.BODY_CORE):
            for part in schema.BODY_CORE:
                if part not in have:
                    yield Problem(f"{model_type}/{part}", f"is missing, though there is {model_type}/{have[0]}")


def _of_type(name: str, item: schema.Field, column: Array | Strings) -> Iterator[Problem]:
    if isinstance(column, Strings):
        if item.dtype not in (schema.TEXT, schema.ANY):
            yield Problem(name, f"holds texts, expected {item.dtype}")
        return
    if item.dtype == schema.TEXT:
        yield Problem(name, f"holds {column.dtype}, expected texts")
    elif column.dtype.kind not in "biuf":
        yield Problem(name, f"holds {column.dtype}, expected {item.dtype}")
    elif not item.fits(column.shape):
        shape = ("N", *column.shape[1:])
        yield Problem(name, f"has shape ({', '.join(map(str, shape))}), expected {item.shape_text}")


def _of_names(name: str, hd: Table) -> Iterator[Problem]:
    names = hd.keypoint_names.get(name)
    if names is None:
        yield Problem(name, "its points have no names, so they cannot be converted")
    elif len(set(names)) < len(names):
        twice = sorted({point for point in names if names.count(point) > 1})
        yield Problem(name, f"several of its points are called {', '.join(twice[:SHOWN])}")


def _of_passport(hd: Table, misshapen: set[str]) -> Iterator[Problem]:
    passport, model_type = hd.passport, hd.body_model
    if frames.posed_columns(hd.columns) and (passport.frame, passport.units) != (CAMERA, UNITS):
        stated = f"states frame {passport.frame}, units {passport.units}"
        yield Problem("passport", f"{stated}: not those of the format; {frames.way_out(hd)}")
    if passport.frame == CAMERA and (odd := [n for n in frames.extrinsic_names(hd) if n != frames.REFERENCE]):
        yield Problem("passport", f"states {CAMERA}, but {', '.join(odd)} would move the bodies once more")
    if passport.body_model is not None and f"{passport.body_model}/betas" not in hd:
        yield Problem("passport", f"states {passport.body_model}, but there is no column {passport.body_model}/betas")
    if model_type is None:
        return
    if passport.body_model is None:
        yield Problem("passport", f"states no body model, but there is {model_type}/betas")
        return
    if passport.gender in (None, UNKNOWN) and "meta/gender" not in hd:
        yield Problem("passport", f"does not say whose body model it is; {merging.unknown_gender(hd).fix}")
    model_type = passport.body_model
    if f"{model_type}/betas" in hd and f"{model_type}/betas" not in misshapen:
        width = hd[:0][f"{model_type}/betas"].shape[1]
        if passport.num_betas != width:
            yield Problem("passport", f"states num_betas {passport.num_betas}, but {model_type}/betas has {width}")
    if passport.flat_hand_mean is None and f"{model_type}/left_hand_pose" in hd:
        yield Problem("passport", "does not state flat_hand_mean, so the hand poses have no certain meaning")
    if passport.gender == "neutral" and "meta/gender" in hd and "meta/gender" not in misshapen:
        others = np.flatnonzero(~hd["meta/gender"].equals("neutral"))
        if len(others):
            yield Problem("meta/gender", "is not neutral, though the passport states neutral models", others)


# -- rows -------------------------------------------------------------------------------------------------


def _of_rows(block: Table) -> Iterator[Fault]:
    """Faults of the rows of one block, a mask each."""
    for name in block.columns:
        column = block[name]
        if isinstance(column, Strings):
            continue
        if name.startswith(("keypoints2d", "keypoints3d")) and column.ndim == 3:
            yield from _of_points(name, column)
        elif name.endswith("bbox_xywh"):
            yield from _of_boxes(name, column, block)
        elif name.startswith(("smplx/", "smplh/", "smpl/")):
            yield from _of_parameters(name, column)
        elif name in ("meta/height", "meta/width"):
            yield name, "is not above 0", ~(column > 0)
        elif name == "meta/focal_length":
            yield name, "is not above 0", ~(np.nan_to_num(column, nan=1.0) > 0).all(1)
    if "meta/gender" in block:
        known = np.logical_or.reduce([block["meta/gender"].equals(gender) for gender in GENDERS])
        yield "meta/gender", f"is none of {', '.join(GENDERS)}", ~known


def _of_points(name: str, points: Any) -> Iterator[Fault]:
    confidence = points[..., -1]
    yield name, "has confidences that are not finite", ~np.isfinite(confidence).all(1)
    yield name, "has confidences below 0", (confidence < 0).any(1)
    seen = confidence > 0
    finite = np.isfinite(points).all(2)
    yield name, "is not finite where confidence > 0", (seen & ~finite).any(1)
    if points.shape[2] == 4:
        far = (np.abs(np.where(finite[..., None], points, 0)[..., :3]) > FARTHEST).any(2)
        yield name, f"has points beyond {FARTHEST:.0f} m: not metres?", (seen & far).any(1)


def _of_boxes(name: str, box: Any, block: Table) -> Iterator[Fault]:
    yield name, "has a confidence that is not finite or below 0", ~(box[:, 4] >= 0) | np.isinf(box[:, 4])
    there = box[:, 4] > 0
    finite = np.isfinite(box).all(1)
    yield name, "is not finite where confidence > 0", there & ~finite
    there &= finite
    x, y, width, height = np.where(finite[:, None], box, 0)[:, :4].astype(np.float64).T
    yield name, "has a width or height below 0", there & ((width < 0) | (height < 0))
    cropped = block.passport.focal == "virtual"  # predictions have the box that was seen, wherever it reaches to
    if "meta/height" in block and "meta/width" in block and not cropped:
        outside = (np.minimum(x, y) < -boxes.TOLERANCE) | (x + width > block["meta/width"] + boxes.TOLERANCE)
        outside |= y + height > block["meta/height"] + boxes.TOLERANCE
        yield name, "reaches beyond the image", there & outside


def _of_parameters(name: str, values: Any) -> Iterator[Fault]:
    flat = values.reshape(len(values), -1)
    finite = np.isfinite(flat)
    yield name, "is not finite", ~finite.all(1)
    if name in schema.ROTATIONS:
        angle = np.linalg.norm(np.where(finite, flat, 0).reshape(len(values), -1, 3), axis=2)
        yield name, "has angles beyond two turns: degrees instead of radians?", (angle > LARGEST_ANGLE).any(1)
    elif name.endswith("/transl"):
        yield name, f"is beyond {FARTHEST:.0f} m: not metres?", (np.abs(flat) > FARTHEST).any(1)


def _of_paths(column: Any) -> Iterator[Problem]:
    """Paths must be relative and ``/`` separated; every distinct path is looked at once."""
    if not isinstance(column, Strings):
        return
    wrong = []
    for code in np.unique(column.codes).tolist():
        path = column.vocabulary[code]
        if not path or path.startswith("/") or "\\" in path or path[1:2] == ":" or ".." in path.split("/"):
            wrong.append(code)
    if wrong:
        rows = np.flatnonzero(np.isin(column.codes, wrong))
        yield Problem("image_path", "is empty, absolute, or not / separated below the image folder", rows)


def _of_images(hd: Table, images: str | Path) -> Iterator[Problem]:
    """Images that are not there, cannot be read, have another size than their rows say, or are not below the folder."""
    check = check_images(hd, images, list_outside=True)
    said = {MISSING: "are not there", UNREADABLE: "cannot be read", OTHER_SIZE: "have another size"}
    said[OUTSIDE] = "have paths that lead out of the folder and were not opened"
    for kind, what in said.items():
        faults = [fault for fault in check.faults if fault.kind == kind]
        if faults:
            first = ", ".join(f"{fault.image_path} {fault.reason}" for fault in faults[:FEW])
            more = ", ..." if len(faults) > FEW else ""
            named = ", ".join(fault.image_path for fault in faults[:FEW]) if kind == MISSING else first
            column = "meta/width" if kind == OTHER_SIZE else "image_path"
            yield Problem(column, f"{len(faults):,} images {what}: {named}{more}", np.flatnonzero(check.rows(kind)))
