"""Quality: what is measured on every instance while it is converted.

Columns ``quality/*`` hold one number a row, their summary goes into the file and the report. A converter that
swaps left and right, forgets the pelvis correction, takes the wrong gender, adds the mean hand twice or leaves
millimetres as metres cannot produce good quality. Measures: reprojection of the model joints onto the dataset's own
2D points, distance to its own 3D points and to joints that its files hold of the same fit, joints of the parameters
moved to the camera against joints moved to the camera, shape norm and stature, joints behind the camera, depth,
uprightness, joints within the box.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ehps.arrays import Array, Mask
from ehps.body.rotations import to_matrix
from ehps.converters.base import DatasetCard, Keypoints
from ehps.converters.pipeline.camera_frame import Posed, own_points3d
from ehps.humandata import HumanData
from ehps.humandata.audit import own_points
from ehps.humandata.boxes import joints_inside
from ehps.humandata.keypoints import flip_order, mapping, part_indices
from ehps.humandata.quality_table import BODILESS, COLUMNS, MEASURES, PREFIX

PARTS = {"body": ("body",), "hands": ("left_hand", "right_hand"), "face": ("head",)}
UPSIDE_DOWN = 0.3  # people who lie on the side are around 0
FIT_JOINTS = 0.005  # metres; of the same model they are equal but for rounding
OWN_POINTS = 0.05  # of the box: 2D points that were labelled by hand, and 3D points of a fit to them


def measure(posed: Posed, boxes: Array | None = None, *, approximate: bool = False) -> dict[str, Array]:
    """All quality columns of N rows; NaN where a row has nothing to measure.

    Parameters
    ----------
    boxes : (N, 5) of the bodies.
    approximate : let points of nearly the same place stand in for each other (OpenPose's shoulder for SMPL's).
    """
    n, points2d, points3d = len(posed.rows), posed.points2d, posed.points3d
    out: dict[str, Array] = {
        column: np.full(n, np.nan, np.float32)
        for column in (measure.column for measure in MEASURES if measure.dtype == "float32")
        if column in COLUMNS
    }
    out["quality/behind_camera"] = np.zeros(n, np.int16)
    out["quality/finite"] = _finite(n, points2d, points3d)

    def put(name: str, values: Array | None) -> None:
        if values is not None:
            out[f"quality/{name}"] = np.asarray(values, np.float32)

    if points2d is not None:
        size = np.asarray(posed.rows.size)
        if posed.rows.keypoints2d is not None:
            for name, values in _reprojection(points2d, posed.names, posed.rows.keypoints2d, size, approximate).items():
                put(name, values)
        if boxes is not None:
            put("joints_in_box", joints_inside(points2d, boxes, size))
    if points3d is not None:
        behind = (points3d[..., 2] <= 0) & (points3d[..., 3] > 0)
        out["quality/behind_camera"] = behind.sum(axis=1).astype(np.int16)
        pelvis = points3d[:, posed.names.index("pelvis")]
        put("depth_m", np.where(pelvis[:, 3] > 0, pelvis[:, 2], np.nan))
        own3d = own_points3d(posed)
        if own3d is not None:
            put("points3d_m", _distance(points3d, posed.names, own3d, approximate))
        if posed.rows.fit_joints is not None and posed.body is not None:
            put("fit_joints_m", _distance(points3d, posed.names, posed.rows.fit_joints, approximate=False))
    put("world_to_camera_m", posed.world_to_camera_gap)
    put("height_m", posed.heights)
    if posed.body is not None:
        put("betas_norm", np.linalg.norm(posed.body.betas, axis=1))
        put("up_y", _up(posed.body.global_orient))
    return out


def without_bodies(hd: HumanData) -> dict[str, Array]:
    """Quality columns of rows that have no joints of a body: where the dataset's own 2D points lie, and how many of its
    own 3D points are behind the camera; nothing where it has no 3D points or no camera to compare them with."""
    measures = own_points.measurable(hd)
    if not all(name in measures for name in BODILESS):
        return {}
    found = {f"{PREFIX}{name}": np.asarray(measures[name](hd), np.float32) for name in BODILESS}
    points = np.asarray(hd["keypoints3d_original"])
    found["quality/behind_camera"] = ((points[..., 2] <= 0) & (points[..., 3] > 0)).sum(axis=1).astype(np.int16)
    return found


def _finite(n: int, *points: Array | None) -> Mask:
    """(N,) rows of which every number is finite."""
    out = np.ones(n, bool)
    for made in points:
        if made is not None:
            out &= np.isfinite(made).reshape(n, -1).all(axis=1)
    return out


def _reprojection(
    points: Array, names: tuple[str, ...], own: Keypoints, size: Array, approximate: bool
) -> dict[str, Array]:
    """Mean distance in pixels over the shared points, of all and by part, and with left and right exchanged."""
    into, taken = mapping(own.convention, names, approximate)
    theirs, ours = own.points[:, taken].astype(float), points[:, into].astype(float)
    usable = (theirs[..., 2] > 0) & (ours[..., 2] > 0)
    # An image's width beyond the image, a point close to the camera plane says nothing.
    width_height = size[:, None, ::-1]
    usable &= (np.abs(ours[..., :2] - width_height / 2) < 1.5 * width_height).all(axis=2)
    distance = np.linalg.norm(ours[..., :2] - theirs[..., :2], axis=2)
    found = {"reprojection_px": _mean(distance, usable)}
    place = {int(joint): column for column, joint in enumerate(into)}
    for part, members in PARTS.items():
        columns = [place[j] for m in members for j in part_indices(names, m).tolist() if j in place]
        found[f"reprojection_{part}_px"] = _mean(distance[:, columns], usable[:, columns])
    order = flip_order(names)
    paired = np.array([order[j] != j and int(order[j]) in place for j in into], bool)
    if paired.any():
        other = points[:, order[into[paired]]].astype(float)
        swapped = np.linalg.norm(other[..., :2] - theirs[:, paired, :2], axis=2)
        found["reprojection_swapped_px"] = _mean(swapped, usable[:, paired] & (other[..., 2] > 0))
    return found


def _distance(points: Array, names: tuple[str, ...], own: Keypoints, approximate: bool) -> Array:
    into, taken = mapping(own.convention, names, approximate)
    theirs, ours = own.points[:, taken].astype(float), points[:, into].astype(float)
    usable = (theirs[..., 3] > 0) & (ours[..., 3] > 0)
    return _mean(np.linalg.norm(ours[..., :3] - theirs[..., :3], axis=2), usable)


def _mean(values: Array, usable: Array) -> Array:
    count = usable.sum(axis=1)
    total = np.where(usable, values, 0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _up(orient: Array) -> Array:
    """y of the body's own up axis in the camera frame (y down): -1 for a person upright in a level camera."""
    return np.asarray(to_matrix(orient)[:, 1, 1])


def problems(found: Mapping[str, Any], card: DatasetCard, *, virtual: bool = False) -> list[str]:
    """Sentences about a summary that is not what a right conversion of this dataset looks like; empty when it is.

    Parameters
    ----------
    found : what :func:`summary` returned.
    card : its ``reprojection`` and ``points3d`` say how close model joints and the dataset's points must be.
    virtual : cameras were invented per person: depths up to 300 m are normal.
    """
    out = _reprojection_problems(found, card) + _own_points_problems(found)

    def level(name: str, key: str = "p50") -> float:
        return float(found[name][key]) if name in found else np.nan

    rows = found["rows"]
    if level("world_to_camera_m", "max") > 1e-3:
        out.append(
            f"parameters moved to the camera and joints moved to the camera differ by up to "
            f"{level('world_to_camera_m', 'max'):.3f} m: pelvis correction or body model is wrong"
        )
    if level("points3d_m") > card.points3d:
        out.append(
            f"model joints are {level('points3d_m'):.3f} m from the dataset's own 3D points (median); "
            f"up to {card.points3d:g} m is usual"
        )
    if level("fit_joints_m") > FIT_JOINTS:
        out.append(
            f"model joints are {level('fit_joints_m'):.3f} m from those that the dataset's files hold beside the "
            "parameters (median): they are of another body model, or read in another way"
        )
    if not 1.2 <= (height := level("height_m")) <= 2.2 and np.isfinite(height):
        out.append(f"half of the bodies are {'taller' if height > 2.2 else 'smaller'} than {height:.2f} m standing")
    if level("betas_norm") > 10:
        out.append(f"shapes are far from any body: median norm of betas {level('betas_norm'):.1f}")
    far = 300 if virtual else 60
    if not 0.3 <= (depth := level("depth_m")) <= far and np.isfinite(depth):
        out.append(
            f"half of the people are {'beyond' if depth > far else 'nearer than'} {depth:.2f} m of the camera: "
            "check units and frame"
        )
    if level("up_y") > UPSIDE_DOWN:
        out.append("most people stand on their heads in the camera frame (y must point down)")
    if found["rows_with_joints_behind_camera"] > 0.05 * rows:
        out.append(f"{found['rows_with_joints_behind_camera']} of {rows} people have joints behind the camera")
    if level("joints_in_box") < 0.7:
        out.append(f"only {100 * level('joints_in_box'):.0f} % of the visible joints lie in their boxes (median)")
    if found["rows_not_finite"]:
        out.append(f"{found['rows_not_finite']} rows have numbers that are not finite")
    return out


def _own_points_problems(found: Mapping[str, Any]) -> list[str]:
    """Of points without bodies: those in the image must be seen where the 3D points are, and lie in the box."""
    if "points_in_box" not in found:
        return []
    out: list[str] = []
    if (share := found.get("own_points_of_box", {}).get("p50", 0.0)) > OWN_POINTS:
        out.append(
            f"the dataset's own 3D points are seen {found['own_points_px']['p50']:.1f} px ({100 * share:.1f} % of the "
            f"box) from its own 2D points (median); up to {100 * OWN_POINTS:.0f} % is usual"
        )
    if (inside := found["points_in_box"]["p50"]) < 0.7:
        out.append(f"only {100 * inside:.0f} % of the dataset's own 2D points lie in their boxes (median)")
    return out


def _reprojection_problems(found: Mapping[str, Any], card: DatasetCard) -> list[str]:
    out: list[str] = []
    if card.reprojection not in ("exact", "fitted"):
        return out
    if "reprojection_px" not in found:
        # Without a body model, or in a split without fits, there are no model joints to compare.
        return ["no model joint could be compared with the dataset's own 2D points"] if "depth_m" in found else out
    exact = card.reprojection == "exact"
    allowed_px = 2 * max(1.0, found.get("image_width", 1280) / 1280)
    for part, title in (
        ("", "model joints"),
        ("_body", "body joints"),
        ("_hands", "finger joints"),
        ("_face", "face points"),
    ):
        name = f"reprojection{part}_px"
        if name not in found:
            continue
        pixels = found[name]["p50"]
        share = found.get(f"reprojection{part}_of_box", {}).get("p50", 0.0)
        limit = 0.005 if exact else {"": 0.05, "_body": 0.06}.get(part, 0.04)
        if share > limit or (exact and pixels > allowed_px):
            out.append(
                f"{title} are {pixels:.1f} px ({100 * share:.1f} % of the box) from the dataset's own 2D points "
                f"(median); {'they should coincide' if exact else f'up to {100 * limit:.0f} % is usual'}"
            )
    if found.get("share_better_swapped", 0) > 0.5:
        out.append("joints fit the dataset's own 2D points better with left and right exchanged")
    return out
