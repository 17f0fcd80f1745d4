"""A small BEDLAM tree in the layout of the 6 fps release: one label file and one image folder a scene."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from ehps.body import rotations
from ehps.body.params import BodyParams
from ehps.converters.base import Rigid
from ehps.demo.people import random_people
from ehps.demo.raw import stage
from ehps.demo.raw.stage import FRONT, Look, PaintedView, Truth

LANDSCAPE = PaintedView(720, 1280, 900.0)
PORTRAIT = PaintedView(1280, 720, 900.0)
FOLDERS = {
    "train": ("training_labels/all_npz_12_training", "training_images"),
    "val": ("validation_labels/all_npz_12_validation", "validation_images"),
}


def write(
    root: Path,
    models: Path,
    rng: np.random.Generator,
    *,
    look: Look,
    images: int,
    split: str = "train",
    scene: str = "20221010_3_1000_batch01hand_6fps",
    upright: bool = False,
    genders: Sequence[str] = ("m", "f"),
    painted: bool = True,
    num_betas: int = 11,
) -> Truth:
    """Write one scene of ``images`` images in two sequences.

    With ``upright`` the labels are for the image turned clockwise while the stored one stays 1280 x 720, as in
    the close-up scenes. Every person's world is its own: rotation shared, translation not. The truth has the order
    of the labels.
    """
    view = PORTRAIT if upright else LANDSCAPE
    labels, image_folder = (root / folder for folder in FOLDERS[split])
    places = [divmod(i, -(-images // 2)) for i in range(images)]  # sequence, and number in it
    names = [f"seq_{sequence:06d}/seq_{sequence:06d}_{5 * k:04d}.png" for sequence, k in places]
    image, pelvis = stage.places(rng, look.crowd(rng, images), view, share=look.share)
    n = len(image)
    params = random_people(n, rng, style=look.style, num_betas=num_betas, gender="neutral", flat_hand_mean=True)
    params = params.with_(expression=np.zeros((n, 10)))  # BEDLAM has no facial expressions
    move = Rigid(
        Rotation.from_euler("zx", [rng.uniform(-3, 3), -look.tilt], degrees=True).as_matrix() @ FRONT,
        np.column_stack([rng.uniform(-2, 2, n), rng.uniform(-1, 1, n), rng.uniform(3, 6, n)]),
    )
    facing = stage.orientations(rng, n, yaw=look.yaw, spread=look.spread, tilt=look.tilt)
    cast = stage.cast(models, params, move, image, pelvis, facing)
    write_labels(labels / f"{scene}.npz", cast, view, [names[i] for i in image], rng.choice(genders, n))
    paths = [f"{image_folder.name}/{scene}/png/{name}" for name in names]
    if painted:
        stage.paint(root, paths, cast, view, models, rng, scene=look.scene, quarter_turns=1 if upright else 0)
    truth = cast.truth(paths, view)
    if upright:  # turned image (u, v) -> stored image (v, 720 - u); the camera frame turns with it
        truth.points = np.stack([truth.points[..., 1], 720 - truth.points[..., 0]], axis=-1)
        truth.joints = np.stack([truth.joints[..., 1], -truth.joints[..., 0], truth.joints[..., 2]], axis=-1)
    return truth


def write_labels(path: Path, cast: stage.Cast, view: PaintedView, names: Sequence[str], genders: np.ndarray) -> None:
    """The label file of a scene: camera-frame pose and translation, and the same body in its own world."""
    n = len(cast)
    world, move = cast.params, cast.move
    inverse = move.rotation.transpose(0, 2, 1)
    posed = np.einsum("nij,nj->ni", inverse, cast.joints[:, 0] - move.translation)
    rest = posed - world.transl  # the rest pelvis: pose does not move it
    root = move.rotation @ rotations.to_matrix(world.global_orient)
    extrinsic = np.tile(np.eye(4), (n, 1, 1))
    extrinsic[:, :3, :3], extrinsic[:, :3, 3] = move.rotation, move.translation
    points = np.concatenate([cast.points(view)[:, :127], np.ones((n, 127, 1))], -1)
    columns = {
        "imgname": np.array(names),
        "pose_cam": full_pose(world.with_(global_orient=rotations.to_axis_angle(root))),
        "trans_cam": np.einsum("nij,nj->ni", move.rotation, posed) - rest,
        "cam_ext": extrinsic,
        "cam_int": np.tile(view.matrix, (n, 1, 1)),
        "shape": world.betas,
        "pose_world": full_pose(world),
        "trans_world": world.transl,
        "gtkps": points,
        "proj_verts": np.zeros((n, 437, 3), np.float32),
        "center": points[:, :22, :2].mean(1),
        "scale": np.ptp(points[:, :22, 1], axis=1) * 1.2 / 200,
        "gender": genders,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **columns)


def full_pose(params: BodyParams) -> np.ndarray:
    """(N, 165) pose in the order of SMPL-X: root, body, jaw, eyes, left hand, right hand."""
    names = ("global_orient", "body_pose", "jaw_pose", "leye_pose", "reye_pose", "left_hand_pose", "right_hand_pose")
    arrays = params.arrays()
    return np.concatenate([arrays[name].reshape(len(params), -1) for name in names], axis=1)
