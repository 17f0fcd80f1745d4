"""Rows of a unit as arrays: one length everywhere, selection, and rows whose numbers cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from ehps.arrays import Array, Mask
from ehps.body.params import BodyParams
from ehps.body.rotations import TOLERANCE
from ehps.converters import ranges
from ehps.converters.base import Camera, Instances, Keypoints, Rigid, drop_marked
from ehps.errors import DataError
from ehps.humandata.keypoints import point_names

LIMITS = {
    "transl": ranges.METRES,
    "betas": ranges.SHAPES,
    "betas_neutral": ranges.SHAPES,
    "betas_extra": ranges.SHAPES,
    "expression": ranges.SHAPES,
}

BOXES = ("bbox", "face_bbox", "lhand_bbox", "rhand_bbox")


@dataclass
class Account:
    """What was left out of a unit, and why.

    Attributes
    ----------
    dropped : reason -> names of the rows.
    absent : column -> why it could not be made.
    notes : what else the user should know.
    counts : what holds for some rows or images -> how many; the report adds up those of all units.
    """

    dropped: dict[str, list[str]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)

    def count(self, what: str, number: int) -> None:
        if number:
            self.counts[what] = self.counts.get(what, 0) + number

    def drop(self, names: Sequence[str], reasons: dict[str, Mask]) -> Mask:
        """Count the rows that each mask marks, under the first reason that applies; (N,) mask of the others."""
        return drop_marked(self.dropped, names, reasons)


def per_row(rows: Instances) -> Instances:
    """The same rows with every value given per row, floats as float64, points with a confidence, boxes (N, 5).

    Raises
    ------
    DataError : a value has another length than there are rows, or points do not fit their convention.
    """
    n = len(rows)
    out = replace(rows, image_path=[below_root(path) for path in rows.image_path])
    if rows.size is not None:
        out.size = _broadcast(rows.size, (n, 2), "size", int)
    if rows.least_size is not None:
        out.least_size = _broadcast(rows.least_size, (n, 2), "least size")
    if rows.camera is not None:
        c = rows.camera
        out.camera = replace(
            c,
            focal=_broadcast(c.focal, (n, 2), "focal length"),
            principal_point=_broadcast(c.principal_point, (n, 2), "principal point"),
            distortion=None
            if c.distortion is None
            else _broadcast(c.distortion, (n, np.shape(c.distortion)[-1]), "distortion"),
        )
    if rows.world_to_camera is not None:
        w = rows.world_to_camera
        out.world_to_camera = Rigid(
            _broadcast(w.rotation, (n, 3, 3), "rotation"), _broadcast(w.translation, (n, 3), "translation")
        )
    out.keypoints2d = _points(rows.keypoints2d, n, 3, "keypoints2d")
    out.keypoints3d = _points(rows.keypoints3d, n, 4, "keypoints3d")
    out.fit_joints = _points(rows.fit_joints, n, 4, "fit_joints")
    for name in BOXES:
        setattr(out, name, _box(getattr(rows, name), n, name))
    lengths = {f"meta/{key}": len(value) for key, value in rows.meta.items()}
    lengths |= {key: len(value) for key, value in rows.columns.items()}
    if rows.body is not None:
        lengths |= {f"body {key}": len(value) for key, value in rows.body.arrays().items()}
        lengths["body gender"] = len(rows.body.gender)
    if rows.vertices is not None:
        lengths["vertices"] = len(rows.vertices)
    wrong = {key: length for key, length in lengths.items() if length != n}
    if wrong:
        raise DataError(f"{n} rows, but " + ", ".join(f"{key} has {length}" for key, length in wrong.items()))
    return out


def take(rows: Instances, index: Array | slice) -> Instances:
    """Some rows of spread instances; ``index`` is a mask, index array or slice."""

    def picked(value: Any) -> Any:
        if value is None or isinstance(value, bool | int | str | tuple):
            return value
        if isinstance(value, np.ndarray | BodyParams):
            return value[index]
        if isinstance(value, dict):
            return {key: picked(item) for key, item in value.items()}
        if isinstance(value, Camera | Rigid):
            return replace(value, **{f.name: picked(getattr(value, f.name)) for f in fields(value)})
        if isinstance(value, Keypoints):
            return replace(value, points=value.points[index])
        if isinstance(value, slice):
            return value
        chosen = np.arange(len(value))[index].tolist()
        return [value[i] for i in chosen]

    whole = ("misc", "dropped", "notes", "counts", "v_template", "frame_size")
    changed = {f.name: picked(getattr(rows, f.name)) for f in fields(rows) if f.name not in whole}
    return replace(rows, **changed)


def unusable(rows: Instances) -> dict[str, Mask]:
    """Reason -> (N,) mask of spread rows whose numbers cannot be used."""
    n = len(rows)
    found: dict[str, Mask] = {}
    if rows.body is not None:
        bad = np.zeros(n, bool)
        for value in rows.body.arrays().values():
            bad |= ~_finite(value)
        found["body parameters not finite"] = bad
        far = np.zeros(n, bool)
        for name, value in rows.body.arrays().items():
            far |= _beyond(value, LIMITS.get(name, ranges.RADIANS))
        found["body parameters beyond any body"] = far
    if rows.vertices is not None:
        found["mesh beyond any body"] = _beyond(rows.vertices, ranges.METRES)
    if rows.camera is not None:
        c = rows.camera
        bad = ~_finite(c.focal) | ~_finite(c.principal_point) | (c.focal <= 0).any(1)
        if c.distortion is not None:
            bad |= ~_finite(c.distortion)
        found["camera not finite or focal length not positive"] = bad
        far = ((c.focal < ranges.FOCAL[0]) | (c.focal > ranges.FOCAL[1])).any(1) | _beyond(
            c.principal_point, ranges.PIXELS
        )
        if c.distortion is not None:
            far |= _beyond(c.distortion, ranges.DISTORTION)
        found["camera beyond any camera"] = far
    if rows.world_to_camera is not None:
        w = rows.world_to_camera
        bad = ~_finite(w.rotation) | ~_finite(w.translation)
        found["camera pose not finite"] = bad
        found["camera beyond any place"] = _beyond(w.translation, ranges.METRES)
        safe = np.where(bad[:, None, None], np.eye(3), w.rotation)
        off = np.abs(safe @ safe.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
        found["camera pose is no rotation (scaled or mirrored)"] = (off > TOLERANCE) | (np.linalg.det(safe) < 0)
    if rows.bbox is not None:
        found["box not finite"] = ~_finite(rows.bbox)
        found["box beyond any image"] = _beyond(rows.bbox, ranges.PIXELS)
    for name, values in rows.meta.items():
        if isinstance(values, np.ndarray) and values.dtype.kind == "f":
            found[f"meta/{name} beyond any value"] = _beyond(values, ranges.ANYTHING)
            found[f"meta/{name} not finite"] = ~_finite(values) if name not in rows.unknown else np.zeros(n, bool)
    return {reason: mask for reason, mask in found.items() if mask.any()}


def as_values(values: Any, name: str) -> Array | list[str]:
    """A column from what converters put into ``meta``: texts as a list, floats as float32, the rest as it is.

    Raises
    ------
    DataError : the values are neither texts nor numbers of one shape.
    """
    if isinstance(values, np.ndarray) and values.dtype != object:
        array = values
    else:
        values = list(values)
        if all(isinstance(value, str) for value in values) and values:
            return values
        try:
            array = np.array(values)
        except ValueError:
            array = np.array(None)
    if array.dtype.kind in "US":
        if not all(isinstance(value, str) for value in values):
            raise DataError(f"{name} mixes texts and numbers")
        return [str(value) for value in values]
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    if array.dtype.kind in "biu":
        return array
    raise DataError(f"{name} holds neither texts nor numbers of one shape")


def _broadcast(value: Any, shape: tuple[int, ...], name: str, kind: type = float) -> Array:
    try:
        return np.broadcast_to(np.asarray(value, kind), shape)
    except ValueError:
        raise DataError(f"{name} has shape {np.shape(value)}, expected {shape} or {shape[1:]}") from None


def _points(value: Keypoints | None, n: int, channels: int, name: str) -> Keypoints | None:
    """Points with a confidence; those that are no numbers, or beyond any image or place, become zeros with confidence
    0."""
    if value is None:
        return None
    names = point_names(value.convention)
    points = np.array(value.points, float)
    if points.ndim != 3 or points.shape[:2] != (n, len(names)) or points.shape[2] not in (channels - 1, channels):
        raise DataError(f"{name} has shape {points.shape}, expected ({n}, {len(names)}, {channels})")
    if points.shape[2] == channels - 1:
        points = np.concatenate([points, np.ones((n, len(names), 1))], axis=2)
    limit = ranges.PIXELS if channels == 3 else ranges.METRES
    points[~(np.abs(points) <= limit).all(2) | ~(np.abs(points[..., -1]) <= ranges.CONFIDENCE)] = 0
    return Keypoints(points, names)


def _box(value: Array | None, n: int, name: str) -> Array | None:
    if value is None:
        return None
    box = np.array(value, float)
    if box.shape not in ((n, 4), (n, 5)):
        raise DataError(f"{name} has shape {box.shape}, expected ({n}, 4) or ({n}, 5)")
    if box.shape[1] == 4:
        box = np.column_stack([box, np.ones(n)])
    if name != "bbox":
        box[~(np.abs(box) <= ranges.PIXELS).all(1)] = 0
    return box


def _finite(value: Array) -> Mask:
    flat = np.asarray(value).reshape(len(value), -1)
    return np.asarray(np.isfinite(flat).all(1))


def _beyond(value: Array, limit: float) -> Mask:
    """(N,) rows with a number, infinite or not, that is larger than the limit."""
    flat = np.abs(np.asarray(value).reshape(len(value), -1))
    return np.asarray((flat > limit).any(1))


def below_root(path: str) -> str:
    """An image path with forward slashes, relative.

    Raises
    ------
    DataError : the path leaves the dataset's root.
    """
    parts = [part for part in str(path).replace("\\", "/").split("/") if part not in ("", ".")]
    if ".." in parts or not parts:
        raise DataError(f"image path {path!r} is not below the dataset's root")
    return "/".join(parts)
