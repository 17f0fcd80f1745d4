"""A small 3DPW tree: sequence pickles (Python 2 protocol) and image folders."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from ehps.converters.base import Rigid
from ehps.demo.people import random_people
from ehps.demo.raw import stage
from ehps.demo.raw.stage import FRONT, Look, PaintedView, Truth
from ehps.genders import BY_LETTER
from ehps.humandata import keypoints


def write(
    root: Path,
    models: Path,
    rng: np.random.Generator,
    *,
    look: Look,
    images: int,
    split: str = "train",
    sequence: str = "courtyard_walk_00",
    genders: Sequence[str] = ("m", "f"),
    view: PaintedView | None = None,
    painted: bool = True,
) -> Truth:
    """Write one sequence of ``images`` frames with one tracked person per entry of ``genders``, all valid.

    The camera moves and is upside down against the world, whose y axis points up.
    """
    view = view or PaintedView(960, 540, 980.0)
    count = len(genders)
    image, pelvis = stage.places(rng, [count] * images, view, share=look.share)
    person = np.tile(np.arange(count), images)
    words = np.array([BY_LETTER[letter] for letter in genders], object)
    params = random_people(len(image), rng, style=look.style, model_type="smpl", gender=words[person])
    params = params.with_(betas=params.betas[:count][person])
    turns = Rotation.from_euler(
        "yx", np.column_stack([np.linspace(0, 40, images), np.full(images, look.tilt)]), degrees=True
    )
    rotation = FRONT @ turns.as_matrix()
    translation = np.column_stack([np.linspace(-1, 1, images), np.full(images, 1.2), np.linspace(2, 3, images)])
    facing = stage.orientations(rng, len(image), yaw=look.yaw, spread=look.spread, tilt=look.tilt)
    move = Rigid(rotation[image], translation[image])
    cast = stage.cast(models, params, move, image, pelvis, facing)

    def tracks(values: np.ndarray) -> list[np.ndarray]:
        """Values of all rows -> one array a person over the frames."""
        return [values[person == p].reshape(images, -1) for p in range(count)]

    inverse = move.rotation.transpose(0, 2, 1)
    world = np.einsum("nij,nkj->nki", inverse, cast.joints[:, :24] - move.translation[:, None])
    smpl = np.concatenate([cast.points(view), np.ones((len(image), cast.joints.shape[1], 1))], -1)
    detected, found = keypoints.convert(smpl, "smpl_45", "pw3d", approximate=True)
    detected[..., 2] *= found * 0.8
    extrinsics = np.tile(np.eye(4), (images, 1, 1))
    extrinsics[:, :3, :3], extrinsics[:, :3, 3] = rotation, translation
    poses = np.concatenate([cast.params.global_orient[:, None], cast.params.body_pose], axis=1)
    data: dict[str, object] = {
        "sequence": sequence,
        "poses": tracks(poses),
        "betas": [params.betas[person == p][0] for p in range(count)],
        "trans": tracks(cast.params.transl),
        "poses_60Hz": [np.repeat(pose, 2, axis=0) for pose in tracks(poses)],
        "trans_60Hz": [np.repeat(trans, 2, axis=0) for trans in tracks(cast.params.transl)],
        "genders": list(genders),
        "poses2d": [detected[person == p].transpose(0, 2, 1) for p in range(count)],
        "jointPositions": tracks(world),
        "img_frame_ids": 2 * np.arange(images),
        "cam_poses": extrinsics,
        "campose_valid": [np.ones(images, np.int64) for _ in range(count)],
        "cam_intrinsics": view.matrix,
    }
    save(root / "sequenceFiles" / split / f"{sequence}.pkl", data)
    paths = [f"imageFiles/{sequence}/image_{i:05d}.jpg" for i in range(images)]
    if painted:
        stage.paint(root, paths, cast, view, models, rng, scene=look.scene)
    return cast.truth(paths, view)


def save(path: Path, data: dict[str, object]) -> None:
    """Pickle as the release does, with the old protocol 2."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(data, protocol=2))
