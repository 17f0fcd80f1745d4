"""The numbers an audit looks at: quality columns, and what can be measured on files that have none."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from ehps.arrays import Array
from ehps.humandata.audit import own_points
from ehps.humandata.boxes import joints_inside
from ehps.humandata.core import HumanData

Measure: TypeAlias = Callable[[HumanData], Array]

PREFIX = "quality/"
MODELS = ("smplx", "smplh", "smpl")
CHUNK = 20_000
SIZE = ("meta/height", "meta/width")


def measures_of(hd: HumanData) -> dict[str, Array]:
    """Measure -> (N,) float64, NaN where a row has nothing to measure.

    Adds to the quality columns what is measured on a set's own points, ``reprojection*_of_box`` (share of the longer
    side of the box) and ``beta`` (largest absolute coefficient).
    """
    found = {
        name.removeprefix(PREFIX): np.asarray(hd[name], np.float64)
        for name in hd.columns
        if name.startswith(PREFIX) and np.ndim(hd[name]) == 1
    }
    if "depth_m" in found and np.isnan(found["depth_m"]).all():
        found.pop("behind_camera", None)  # a whole number, so 0 where there were no joints to count
    for name, measure in {**_measurable(hd), **own_points.measurable(hd)}.items():
        if name not in found:
            found[name] = _by_chunk(hd, measure)
    side = _box_side(hd)
    if side is not None:
        for part in ("", "_body", "_hands", "_face", "_swapped"):
            if f"reprojection{part}_px" in found:
                found[f"reprojection{part}_of_box"] = found[f"reprojection{part}_px"] / side
        if "own_points_px" in found:
            found["own_points_of_box"] = found["own_points_px"] / side
    return found


def _measurable(hd: HumanData) -> dict[str, Measure]:
    """What can be measured on the columns there are: measure -> function of a piece of the file."""
    out: dict[str, Measure] = {}
    model = hd.body_model
    if model:
        shapes = [f"{model}/{name}" for name in ("betas", "betas_neutral") if f"{model}/{name}" in hd]
        numbers = [name for name in hd.columns if name.startswith(f"{model}/")]
        numbers = [name for name in numbers if np.asarray(hd[name][:0]).dtype.kind == "f"]
        out["betas_norm"] = lambda part: np.linalg.norm(_flat(part[f"{model}/betas"]), axis=1)
        out["beta"] = lambda part: np.max([np.abs(_flat(part[n])).max(axis=1, initial=0) for n in shapes], axis=0)
        out["finite"] = lambda part: np.all([np.isfinite(_flat(part[n])).all(axis=1) for n in numbers], axis=0)
    posed, projected = _first(hd, "keypoints3d"), _first(hd, "keypoints2d")
    if posed and hd[posed].shape[-1] == 4 and not hd.misc.get("kps3d_root_aligned", False):
        out["behind_camera"] = lambda part: _behind(part[posed])
    if projected and all(name in hd for name in ("bbox_xywh", *SIZE)):
        out["joints_in_box"] = lambda part: joints_inside(
            part[projected], part["bbox_xywh"], np.stack([part[name] for name in SIZE], axis=1)
        )
    return out


def _first(hd: HumanData, kind: str) -> str | None:
    """The column of projected or posed model joints."""
    return next((f"{kind}_{model}" for model in MODELS if f"{kind}_{model}" in hd), None)


def _by_chunk(hd: HumanData, measure: Measure) -> Array:
    """(N,) of a measure of rows, a piece at a time: keypoint columns of a large file do not fit in memory."""
    pieces = [np.asarray(measure(hd[start : start + CHUNK]), np.float64) for start in range(0, len(hd), CHUNK)]
    return np.concatenate(pieces) if pieces else np.zeros(0)


def _flat(values: Array) -> Array:
    return np.asarray(values).reshape(len(values), -1)


def _behind(points: Array) -> Array:
    return np.asarray(((points[..., 2] <= 0) & (points[..., 3] > 0)).sum(axis=1))


def _box_side(hd: HumanData) -> Array | None:
    """(N,) longer side of the body box, NaN where there is no box."""
    if "bbox_xywh" not in hd:
        return None
    box = np.asarray(hd["bbox_xywh"], np.float64)
    side = box[:, 2:4].max(axis=1)
    return np.where((box[:, 4] > 0) & (side > 0), side, np.nan)
