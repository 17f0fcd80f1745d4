"""Cameras of predictions: back to the pixels as stored, and a real camera in place of the virtual ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams
from ehps.body.rigid_motion import in_the_mirror, to_camera
from ehps.body.rotations import about
from ehps.body.topology import POSE_PARTS
from ehps.body.variants import params_of
from ehps.humandata.core import HumanData
from ehps.humandata.passport import Passport


def metric(hd: HumanData, focal: float, models: BodyModels) -> HumanData:
    """Predictions before a real camera: focal length ``focal`` (pixels), principal point in the middle of the image.

    The pelvis stays at its pixel, and its depth is that at which the body is as large as predicted: exact there, and
    off with perspective for what is nearer or farther. The body is not turned, though it was predicted as seen straight
    on: towards the sides of a wide image its orientation is off by the angle to the middle.
    """
    n = len(hd)
    params = params_of(hd)
    body = params.model_type
    size = np.stack([hd["meta/width"], hd["meta/height"]], axis=1).astype(float)  # N x 2
    own_focal, own_centre = (np.asarray(hd[f"meta/{name}"], float) for name in ("focal_length", "principal_point"))
    rest = models.rest_pelvis(params) if n else np.zeros((0, 3))
    pelvis = rest + params.transl
    seen = pelvis[:, :2] / pelvis[:, 2:] * own_focal + own_centre  # N x 2 pixels
    depth = pelvis[:, 2] * focal / own_focal.mean(axis=1)
    placed = np.concatenate([(seen - size / 2) / focal * depth[:, None], depth[:, None]], axis=1)
    out = hd.with_columns(
        {
            f"{body}/transl": (placed - rest).astype(np.float32),
            "meta/focal_length": np.full((n, 2), focal, np.float32),
            "meta/principal_point": (size / 2).astype(np.float32),
        }
    )
    said = f"translations for a camera of focal length {focal:g} pixels in the middle of the image, exact at the pelvis"
    said += "; orientations are as seen straight on"
    out.passport = hd.passport.with_(focal="image", changes=said)
    return out


def as_stored(
    columns: dict[str, Any], turned: Array, mirrored: Array, sizes: Array, body: str, models: BodyModels
) -> dict[str, Any]:
    """Columns of people in images that were made upright, for the pixels as they are stored.

    Of an image that is stored mirrored these are people in a mirror: what is left of them in the upright image is their
    right. Coefficients of shape and expression are kept, as the bodies of both sides are nearly alike.

    Parameters
    ----------
    columns : of N rows, in pixels and camera frame of the upright images; needs its passport's neutral model.
    turned : (N,) quarter turns, clockwise, that made them upright.
    mirrored : (N,) whether they were mirrored before they were turned.
    sizes : (N, 2) height, width of the upright images.
    """
    out = _turned_as_stored(columns, turned, sizes, body, models)
    rows = np.flatnonzero(mirrored)
    if len(rows):
        params, part = _params(out, rows, body)
        moved = in_the_mirror(params, models.rest_pelvis(params))
        last = np.asarray(part["meta/width"], float) - 1
        box, centre = (np.array(part[name], float) for name in ("bbox_xywh", "meta/principal_point"))
        box[:, 0], centre[:, 0] = last - box[:, 0] - box[:, 2], last - centre[:, 0]
        pose = {f"{body}/{name}": getattr(moved, name) for name in (*POSE_PARTS[body], "transl")}
        _replace(out, rows, {**pose, "bbox_xywh": box, "meta/principal_point": centre})
    return out


def _turned_as_stored(
    columns: dict[str, Any], turned: Array, sizes: Array, body: str, models: BodyModels
) -> dict[str, Any]:
    out = dict(columns)
    for turns in sorted(set(np.unique(turned).tolist()) - {0}):
        rows = np.flatnonzero(turned == turns)
        params, part = _params(columns, rows, body)
        back = about("z", -90.0 * turns)  # x right, y down: a positive turn about z is clockwise on the image
        moved = to_camera(
            params, np.tile(back, (len(rows), 1, 1)), np.zeros((len(rows), 3)), models.rest_pelvis(params)
        )
        height, width = sizes[rows].T.astype(float)
        centre = np.asarray(part["meta/principal_point"], float)
        box = np.asarray(part["bbox_xywh"], float)
        corners = np.stack([box[:, :2], box[:, :2] + box[:, 2:4]], axis=1)  # n x 2 x 2
        corners = np.stack(
            [_turned_back(corner, turns, height, width) for corner in corners.transpose(1, 0, 2)], axis=1
        )
        low, high = corners.min(axis=1), corners.max(axis=1)
        focal = np.asarray(part["meta/focal_length"])
        changes = {
            f"{body}/global_orient": moved.global_orient,
            f"{body}/transl": moved.transl,
            "bbox_xywh": np.concatenate([low, high - low, box[:, 4:]], axis=1),
            "meta/principal_point": _turned_back(centre, turns, height, width),
            "meta/focal_length": focal[:, ::-1] if turns % 2 else focal,
            "meta/height": width if turns % 2 else height,
            "meta/width": height if turns % 2 else width,
        }
        _replace(out, rows, changes)
    return out


def _params(columns: dict[str, Any], rows: Array, body: str) -> tuple[BodyParams, HumanData]:
    """Bodies of some rows of predictions, and all that is known of these rows."""
    part = HumanData(
        {name: _rows(value, rows) for name, value in columns.items()},
        passport=Passport(body_model=body, gender="neutral", flat_hand_mean=False if body == "smplx" else None),
    )
    return params_of(part), part


def _replace(columns: dict[str, Any], rows: Array, changes: dict[str, Array]) -> None:
    for name, value in changes.items():
        whole = np.array(columns[name])
        whole[rows] = value
        columns[name] = whole


def _turned_back(points: Array, turns: int, height: Array, width: Array) -> Array:
    """(n, 2) pixels of upright images of ``height`` and ``width`` (n,) as pixels of the stored ones."""
    x, y = points.T
    if turns == 1:  # stored x is upright y; stored y counts from the right
        return np.stack([y, width - 1 - x], axis=1)
    if turns == 2:
        return np.stack([width - 1 - x, height - 1 - y], axis=1)
    return np.stack([height - 1 - y, x], axis=1)


def _rows(value: Any, rows: Array) -> Any:
    return [value[row] for row in rows.tolist()] if isinstance(value, list) else value[rows]
