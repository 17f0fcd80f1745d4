"""Files whose bodies are in the world, moved to the camera by the extrinsics beside their parameters.

Nothing is taken on trust: the file's own 2D points say whether the bodies land on people, as they are, moved, or moved
the other way round, and its 3D points whether they are in the world or in the camera already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.body import cameras, rigid_motion, rotations
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams
from ehps.body.projected import LENSES, lens_column
from ehps.body.topology import TOPOLOGY
from ehps.body.variants import params_of
from ehps.errors import DataError, PassportError
from ehps.humandata import frames
from ehps.humandata.core import HumanData
from ehps.humandata.keypoints import mapping, point_names
from ehps.humandata.merging import ROOT_ALIGNED
from ehps.humandata.passport import CAMERA
from ehps.humandata.validation import FARTHEST

ROWS = 256
"""Rows on which bodies are compared with the file's own points, spread over all of them."""
ON_PERSON = (
    0.25  # of the diagonal around a person's 2D points: joints that are farther from their points miss the person
)
BETTER = 3.0  # times as near: tells one frame from another where both land on the person
SAME_BODY = 0.25  # metres
HAND_ROOTS = ("lhand_root", "rhand_root")


@dataclass(frozen=True)
class Moved:
    """A file in the camera frame, and what its own points say of the move.

    Attributes
    ----------
    data : the file.
    extrinsics : columns or constants that it was moved by.
    pixels : median distance of joints and 2D points, ``before`` and ``after``; empty where there are none to compare.
    points : keypoints3d column -> ``moved``, ``kept`` (was in the camera frame), or ``left out`` (in neither).
    """

    data: HumanData
    extrinsics: tuple[str, ...]
    pixels: dict[str, float] = field(default_factory=dict)
    points: dict[str, str] = field(default_factory=dict)


def moved_to_camera(hd: HumanData, models: BodyModels) -> Moved:
    """Bodies, and 3D points that lie on them, in the camera frame; the extrinsics become ``meta/RT``, for reference.

    Raises
    ------
    PassportError : they are there already, or by what the file's 2D points say; there are no extrinsics; the file does
        not say whose body model its parameters belong to.
    DataError : there are no bodies or no places of them, the extrinsics cannot be understood, or the bodies do not land
        on the file's 2D points or not before the camera.
    BodyModelError : a body model is missing: a body turns about its pelvis, which only the model knows.
    """
    if hd.passport.frame == CAMERA:
        raise PassportError("is in the camera frame already, as its passport says", path=hd.source)
    types = [model_type for model_type in TOPOLOGY if f"{model_type}/betas" in hd]
    if not types:
        raise DataError("has no body parameters to move", path=hd.source)
    for model_type in types:
        if f"{model_type}/transl" not in hd:
            raise DataError(f"has no {model_type}/transl: where its bodies are is not known", path=hd.source)
    found = frames.extrinsics(hd)
    try:
        turn = rotations.proper(found.rotation)
    except ValueError as error:
        raise DataError(f"{found.names[0]} does not hold rotations: {error}", path=hd.source) from None
    found = frames.Extrinsics(turn, found.translation, found.names)
    columns: dict[str, Any] = {}
    for model_type in types:
        columns |= _moved_parameters(hd, model_type, found, models)
    main = params_of(hd, types[0], any_frame=True)
    trial = _Trial(hd, main, found, models)
    pixels = trial.compared_with_2d()
    points = {name: trial.frame_of(name) for name in hd.columns if name.startswith("keypoints3d")}
    for name, what in points.items():
        if what == "moved":
            columns[name] = _moved_points(hd[name], found, aligned=bool(hd.misc.get(ROOT_ALIGNED)))
    camera = {} if "meta/focal_length" in hd else _camera(hd)
    gone = [name for name, what in points.items() if what == "left out"]
    out = frames.in_camera(hd.without(gone).with_columns(columns | camera), found)
    return Moved(out, found.names, pixels, points)


def _moved_parameters(hd: HumanData, model_type: str, found: frames.Extrinsics, models: BodyModels) -> dict[str, Array]:
    params = params_of(hd, model_type, any_frame=True)
    for name in ("betas", "global_orient", "transl"):
        odd = np.flatnonzero(~np.isfinite(getattr(params, name)).all(axis=1))
        if len(odd):
            raise DataError(
                f"{model_type}/{name} is not finite in {len(odd)} rows, the first is {odd[0]}",
                path=hd.source,
                fix="leave those rows out (in Python: hd[rows].save)",
            )
    moved = rigid_motion.to_camera(params, found.rotation, found.translation, models.rest_pelvis(params))
    far = np.flatnonzero(np.abs(moved.transl).max(axis=1, initial=0) > FARTHEST)
    if len(far):
        raise DataError(
            f"{model_type}/transl and {found.names[-1]} put {len(far)} bodies beyond {FARTHEST:.0f} m (first row "
            f"{far[0]}): one of them is not in metres",
            path=hd.source,
        )
    columns = {
        f"{model_type}/global_orient": moved.global_orient.astype(np.float32),
        f"{model_type}/transl": moved.transl.astype(np.float32),
    }
    for name in (f"{model_type}/{hand}" for hand in HAND_ROOTS):
        if name in hd:
            hands = rotations.to_matrix(np.asarray(hd[name], np.float64).reshape(len(hd), 3))
            columns[name] = rotations.to_axis_angle(found.rotation @ hands).reshape(hd[name].shape).astype(np.float32)
    return columns


def _moved_points(points: Array, found: frames.Extrinsics, *, aligned: bool) -> Array:
    """(N, K, 4) in the camera; points without confidence stay as they are."""
    shift = np.zeros_like(found.translation) if aligned else found.translation
    xyz = rigid_motion.apply(points[..., :3].astype(np.float64), found.rotation, shift)
    out = np.array(points)
    out[..., :3] = np.where(points[..., 3:] > 0, xyz, points[..., :3])
    return out


def _camera(hd: HumanData) -> dict[str, Array]:
    """``meta/focal_length`` and ``meta/principal_point`` of each row, where the file has them in any form."""
    try:
        if "meta/focal_length" in hd or "meta/focal_length" in hd.misc:
            focal = frames.per_row(hd, "meta/focal_length", (2,))
            centre = frames.per_row(hd, "meta/principal_point", (2,))
        elif matrices := frames.intrinsic_names(hd):
            focal, centre = cameras.from_matrix(frames.per_row(hd, matrices[0], (3, 3)))
        else:
            focal = frames.per_row(hd, "focal_length", (2,))
            centre = frames.per_row(hd, "principal_point", (2,))
    except (DataError, KeyError):
        return {}
    return {"meta/focal_length": focal.astype(np.float32), "meta/principal_point": centre.astype(np.float32)}


class _Trial:
    """Bodies of some rows under what may be true of them: as they are, moved, and moved the other way round."""

    def __init__(self, hd: HumanData, params: BodyParams, found: frames.Extrinsics, models: BodyModels) -> None:
        self.hd, self.names = hd, point_names(TOPOLOGY[params.model_type].convention)
        self.rows = (
            np.unique(np.linspace(0, len(hd) - 1, min(ROWS, len(hd))).astype(int)) if len(hd) else np.zeros(0, int)
        )
        self.found = found
        world = models.joints(params[self.rows], np.float64)
        turn, shift = found.rotation[self.rows], found.translation[self.rows]
        back = turn.transpose(0, 2, 1)
        self.joints = {
            "before": world,
            "after": rigid_motion.apply(world, turn, shift),
            "inverse": rigid_motion.apply(world, back, -np.einsum("nij,nj->ni", back, shift)),
        }

    # -- 2D points ----------------------------------------------------------------------------------------

    def compared_with_2d(self) -> dict[str, float]:
        """Median distances in pixels before and after; raises when the bodies belong elsewhere."""
        camera, name = _camera(self.hd), self._points2d()
        if not len(self.rows):
            return {}
        if not camera or name is None:
            self._check_depth()
            return {}
        column = lens_column(self.hd)
        lens, bent = ("opencv", None) if column is None else (LENSES[column][0], self.hd[column][self.rows])
        into, taken = mapping(self.hd.keypoint_names[name], self.names)
        own = np.asarray(self.hd[name][self.rows], np.float64)[:, taken]
        labelled = own[..., 2] > 0
        lowest, highest = (np.where(labelled[..., None], own[..., :2], end) for end in (np.inf, -np.inf))
        size = np.linalg.norm(np.maximum(highest.max(axis=1) - lowest.min(axis=1), 1), axis=-1)
        focal, centre = (camera[f"meta/{part}"][self.rows] for part in ("focal_length", "principal_point"))
        pixels, share = {}, {}
        for which, joints in self.joints.items():
            seen = cameras.project(joints[:, into], focal, centre, bent, lens=lens)
            away = np.linalg.norm(np.where(np.isnan(seen), np.inf, seen) - own[..., :2], axis=-1)
            pixels[which] = float(np.median(away[labelled]))
            share[which] = float(np.median((away / size[:, None])[labelled]))
        self._decide(name, pixels, share)
        return {which: pixels[which] for which in ("before", "after")}

    def _points2d(self) -> str | None:
        """The first 2D column with labelled points that the body has too."""
        for name in self.hd.columns:
            if not name.startswith("keypoints2d") or name not in self.hd.keypoint_names:
                continue
            _, taken = mapping(self.hd.keypoint_names[name], self.names)
            if len(taken) and (self.hd[name][self.rows][:, taken, 2] > 0).any():
                return name
        return None

    def _decide(self, name: str, pixels: Mapping[str, float], share: Mapping[str, float]) -> None:
        def told(which: str) -> str:
            return f"{pixels[which]:.0f} px" if np.isfinite(pixels[which]) else "not before the camera"

        for which in ("before", "inverse"):
            if share[which] > ON_PERSON or share[which] * BETTER > share["after"]:
                continue
            if which == "before":
                raise PassportError(
                    f"its bodies land on {name} as they are ({told('before')} in the median), not moved by "
                    f"{', '.join(self.found.names)} ({told('after')}): they are in the camera frame already",
                    path=self.hd.source,
                    fix=f"say so with --declare frame={CAMERA}",
                )
            raise DataError(
                f"its bodies land on {name} by the inverse of {', '.join(self.found.names)} ({told('inverse')} in the "
                f"median), not by these ({told('after')}): they take the camera to the world",
                path=self.hd.source,
                fix="store R^T and -R^T T instead",
            )
        if share["after"] > ON_PERSON:
            raise DataError(
                f"moved by {', '.join(self.found.names)} its bodies miss {name} ({told('after')} in the median; "
                f"{told('before')} as they are): extrinsics, intrinsics and parameters do not belong together",
                path=self.hd.source,
            )

    def _check_depth(self) -> None:
        behind = (np.median(self.joints["after"][..., 2], axis=1) <= 0).mean()
        if behind > 0.5:
            raise DataError(
                f"moved by {', '.join(self.found.names)}, {behind:.0%} of its bodies are behind the camera: these are "
                "not its extrinsics, or its bodies are in the camera frame already",
                path=self.hd.source,
            )

    # -- 3D points ----------------------------------------------------------------------------------------

    def frame_of(self, name: str) -> str:
        """``moved`` for 3D points that lie on the bodies in the world, ``kept`` in the camera, or ``left out``."""
        away = {which: self._metres(name, self.joints[which]) for which in ("after", "before")}
        nearest = min(away, key=away.__getitem__)
        if away[nearest] > SAME_BODY:
            return "left out"
        return "kept" if nearest == "after" else "moved"

    def _metres(self, name: str, joints: Array) -> float:
        """Median distance of a column's points and the joints of the same name, infinite where there are none."""
        if name not in self.hd.keypoint_names or not len(self.rows):
            return np.inf
        into, taken = mapping(self.hd.keypoint_names[name], self.names, approximate=True)
        own = np.asarray(self.hd[name][self.rows], np.float64)[:, taken]
        there = own[..., 3] > 0
        if not there.any():
            return np.inf
        gap = (own[..., :3] - joints[:, into]) * there[..., None]
        if self.hd.misc.get(ROOT_ALIGNED):
            gap -= (gap.sum(axis=1) / np.maximum(there.sum(axis=1), 1)[:, None])[:, None]
        return float(np.median(np.linalg.norm(gap, axis=-1)[there]))
