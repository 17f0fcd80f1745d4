"""What a sample carries for models of SMPL, and what is made of it on the device.

As :mod:`ehps.benchmark.training.targets` for SMPL-X: a loader worker packs the stored parameters and points of a row;
the points of bodies, projections and augmentation are computed in batches. Sets of SMPL give 24 rotations, and shapes
and points of the neutral model: gendered shapes are refitted, those with any |beta| > 3 teach nothing. Sets of SMPL-X
and SMPL-H give the root and 21 rotations, and the points that are stored, by their names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ehps.arrays import Array
from ehps.benchmark.protocols import true_bodies
from ehps.benchmark.training import rotations_6d
from ehps.benchmark.training.crops import Augmentation
from ehps.benchmark.training.smpl_points import POINTS, BodyPoints, have_hips, hips_once
from ehps.body.models import BodyModels
from ehps.body.projected import is_pinhole
from ehps.body.torch_joints import axis_angle_to_matrix
from ehps.body.variants import genders_of, neutral_betas, params_of
from ehps.errors import DataError
from ehps.humandata import keypoints
from ehps.humandata.core import HumanData

COUNT = len(POINTS)
SIZE = 224  # pixels of the crop that points are in

# name -> width of the packed float32 vector, in order; rotations are axis-angle, lengths metres, points pixels
LAYOUT: dict[str, int] = {
    "global_orient": 3,
    "body_pose": 69,
    "betas": 10,
    "transl": 3,
    "focal": 2,
    "principal_point": 2,
    "affine": 6,  # full image -> crop, augmentation included
    "rotation": 1,
    "flip": 1,
    "has_body": 1,
    "has_hands": 1,
    "has_shape": 1,
    "has_mesh": 1,  # the neutral SMPL of the row is its truth; otherwise the stored points are
    "has_camera": 1,
    "points2d": COUNT * 3,
    "points3d": COUNT * 4,
}
_ENDS = np.cumsum(list(LAYOUT.values())).tolist()
SLICES = {name: slice(end - width, end) for (name, width), end in zip(LAYOUT.items(), _ENDS, strict=True)}
WIDTH: int = _ENDS[-1]

_FLIPPED = keypoints.flip_order(keypoints.point_names("smpl"))  # of rotations
# what is marked by people comes first in an image; in space, what belongs to the stored body
_COLUMNS = {
    "keypoints2d": ("_original", "", "_smpl", "_smplx", "_smplh"),
    "keypoints3d": ("_smpl", "_smplx", "_smplh", "_original", ""),
}


class SmplRows:
    """Packs the rows of one file; may go to other processes.

    Parameters
    ----------
    hd : the file.
    body_models : refit gendered shapes.

    Raises
    ------
    DataError : the file has no body parameters.
    PassportError : whose body model its shapes belong to is not known.
    """

    def __init__(self, hd: HumanData, body_models: BodyModels | None) -> None:
        self.model_type = smpl_training_type(hd)
        self.betas: Array | None = None
        own = self.model_type == "smpl" and "smpl/betas_neutral" not in hd
        if own and (genders_of(hd) != "neutral").any():
            if body_models is None:
                raise DataError("has gendered shapes", path=hd.source, fix="pass the folder of body models")
            self.betas = neutral_betas(params_of(hd, "smpl", any_frame=True), body_models)[0].astype(np.float32)
        self.points = {stem: _column(hd, stem, suffixes) for stem, suffixes in _COLUMNS.items()}

    def packed(self, hd: HumanData, row: int, matrix: Array, drawn: Augmentation) -> Array:
        """(WIDTH,) of a row whose crop ``matrix`` (2, 3) makes of the image."""
        out = np.zeros(WIDTH, np.float32)

        def put(name: str, value: Any) -> None:
            out[SLICES[name]] = np.asarray(value, np.float32).reshape(-1)

        put("affine", matrix)
        put("rotation", drawn.rotation)
        put("flip", drawn.flip)
        self._put_points(hd, row, put)
        root = np.asarray(hd[f"{self.model_type}/global_orient"][row]).reshape(3)
        pose = np.asarray(hd[f"{self.model_type}/body_pose"][row]).reshape(-1)
        if not (np.isfinite(root).all() and np.isfinite(pose).all()):
            return out
        put("global_orient", root)
        whole = self.model_type == "smpl"
        put("body_pose", pose[:69] if whole else np.pad(pose[:63], (0, 6)))
        put("has_body", 1)
        put("has_hands", whole)
        if whole:
            self._put_shape(hd, row, put)
            self._put_camera(hd, row, put)
        return out

    def _put_shape(self, hd: HumanData, row: int, put: Any) -> None:
        name = "smpl/betas_neutral" if "smpl/betas_neutral" in hd else "smpl/betas"
        betas = np.asarray(hd[name][row] if self.betas is None else self.betas[row], np.float32)[:10]
        if np.isfinite(betas).all() and np.abs(betas).max() <= true_bodies.EXTREME:
            put("betas", np.pad(betas, (0, 10 - len(betas))))
            put("has_shape", betas.any())
            put("has_mesh", 1)

    def _put_camera(self, hd: HumanData, row: int, put: Any) -> None:
        names = ("smpl/transl", "meta/focal_length", "meta/principal_point")
        if not all(name in hd for name in names) or not is_pinhole(hd, row):
            return
        transl, focal, centre = (np.asarray(hd[name][row], np.float32) for name in names)
        if all(np.isfinite(value).all() for value in (transl, focal, centre)) and transl[2] > 0:
            put("transl", transl)
            put("focal", np.broadcast_to(focal, 2))
            put("principal_point", centre)
            put("has_camera", 1)

    def _put_points(self, hd: HumanData, row: int, put: Any) -> None:
        for stem, column in self.points.items():
            if column:
                points = keypoints.convert(np.asarray(hd[column][row]), hd.keypoint_names[column], POINTS)[0]
                known = np.asarray(np.isfinite(points).all(axis=1))
                points = np.where(known[:, None], points, 0)
                points[:, -1] = np.clip(points[:, -1], 0, 1)
                put(stem.replace("keypoints", "points"), points)


def smpl_training_type(hd: HumanData) -> str:
    """smpl, smplx or smplh: the first the file has a pose of, which all have in common but the hands.

    Raises
    ------
    DataError : it has none.
    """
    for model_type in ("smpl", "smplx", "smplh"):
        shaped = model_type != "smpl" or "smpl/betas" in hd
        if f"{model_type}/global_orient" in hd and f"{model_type}/body_pose" in hd and shaped:
            return model_type
    raise DataError(
        "has no body parameters to train on", path=hd.source, fix="convert it with body models, or choose another set"
    )


def _column(hd: HumanData, stem: str, suffixes: tuple[str, ...]) -> str:
    """The column of points with most of :data:`POINTS` by name, none where no column has any."""
    there = [stem + suffix for suffix in suffixes if stem + suffix in hd and stem + suffix in hd.keypoint_names]
    shared = [len(keypoints.mapping(hd.keypoint_names[name], POINTS)[0]) for name in there]
    return there[int(np.argmax(shared))] if any(shared) else ""


@dataclass
class SmplTargets:
    """Truth of a batch in the frame of the (augmented) crop. K points are those of a :class:`BodyPoints`.

    Attributes
    ----------
    rotations : (N, 24, 3, 3).
    rotations_mask : (N, 24).
    betas : (N, 10).
    shape_mask : (N, 1).
    mesh_mask : (N,) bool: rotations and betas are the whole truth of a body.
    joints : (N, K, 3) metres, turned as the crop, from anywhere.
    joints_mask : (N, K) confidence; 0 for all points of a row whose hips are not known.
    joints_marked : (N,) bool: hips are those that people mark, else SMPL's own.
    points : (N, K, 2) in the crop, -1 to 1, beyond where the crop does not show them.
    points_mask : (N, K) confidence.
    """

    rotations: Tensor
    rotations_mask: Tensor
    betas: Tensor
    shape_mask: Tensor
    mesh_mask: Tensor
    joints: Tensor
    joints_mask: Tensor
    joints_marked: Tensor
    points: Tensor
    points_mask: Tensor


@torch.no_grad()
def make(packed: Tensor, body: BodyPoints) -> SmplTargets:
    """Targets of a batch from its packed vectors (N, WIDTH), on their device."""
    t = {name: packed[:, where] for name, where in SLICES.items()}
    n, flip = len(packed), t["flip"][:, 0] > 0
    vectors = torch.cat((t["global_orient"], t["body_pose"]), dim=1)
    stored = axis_angle_to_matrix(vectors.reshape(n, 24, 3))
    rotations_mask = torch.cat((t["has_body"].expand(-1, 22), t["has_hands"].expand(-1, 2)), dim=1)  # N x 24
    model = body(stored, t["betas"])  # N x K x 3
    has_mesh = t["has_mesh"] > 0
    own3d = t["points3d"].reshape(n, COUNT, 4)[:, body.rows]
    own2d = t["points2d"].reshape(n, COUNT, 3)[:, body.rows]
    joints = torch.where(has_mesh[..., None], model, own3d[..., :3])
    joints_mask = torch.where(has_mesh, 1.0, own3d[..., 3]) * body.known
    placed = model + t["transl"][:, None]
    depth = placed[..., 2:]
    projected = placed[..., :2] / depth.clamp_min(1e-3) * t["focal"][:, None] + t["principal_point"][:, None]
    use_model = has_mesh & (t["has_camera"] > 0)
    full = torch.where(use_model[..., None], projected, own2d[..., :2])
    points_mask = torch.where(use_model, (depth[..., 0] > 0.05).float(), own2d[..., 2]) * body.known
    affine = t["affine"].reshape(n, 2, 3)
    points = full @ affine[:, :, :2].transpose(1, 2) + affine[:, None, :, 2]  # N x K x 2 pixels of the crop
    turn = rotations_6d.about_z(-t["rotation"][:, 0])  # N x 3 x 3
    joints = torch.where(flip[:, None, None], mirrored(joints), joints) @ turn.transpose(1, 2)
    joints, joints_mask, points, points_mask = (
        exchanged(values, flip, body.flipped) for values in (joints, joints_mask, points, points_mask)
    )
    order = torch.as_tensor(_FLIPPED.copy(), device=packed.device)
    chosen = torch.where(flip[:, None, None, None], rotations_6d.mirror(stored[:, order]), stored)
    chosen = torch.cat((turn[:, None] @ chosen[:, :1], chosen[:, 1:]), dim=1)  # only the root turns
    marked, hips = have_hips(joints_mask)
    return SmplTargets(
        rotations=chosen,
        rotations_mask=exchanged(rotations_mask, flip, order),
        betas=t["betas"],
        shape_mask=t["has_shape"],
        mesh_mask=has_mesh[:, 0],
        joints=joints,
        joints_mask=hips_once(joints_mask) * hips[:, None],
        joints_marked=marked,
        points=points / (SIZE / 2) - 1,
        points_mask=hips_once(points_mask),
    )


def exchanged(values: Tensor, flip: Tensor, order: Tensor) -> Tensor:
    """(N, K, ...) with left and right exchanged where ``flip`` (N,)."""
    return torch.where(flip.reshape(-1, *(1,) * (values.ndim - 1)), values[:, order], values)


def mirrored(points: Tensor) -> Tensor:
    """(..., 3) in the mirror."""
    return torch.cat((-points[..., :1], points[..., 1:]), dim=-1)
