"""A WHAC-A-Mole tree: HumanData files of couples before moving cameras, as mmhuman3d's converter writes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from ehps.converters.base import Rigid
from ehps.demo.people import random_people
from ehps.demo.raw import stage
from ehps.demo.raw.stage import PaintedView, Truth
from ehps.humandata.keypoints import mapping
from tests.raw.checks import blank

Array = npt.NDArray[Any]

VIEW = PaintedView(1080, 1920, 960.0)
MODE = "DuetDance-20240218"
STORED = f"Synbody_whac/{MODE}"
TRAIN = ("synbody_whac_DuetDance_240222_200_train_0", "synbody_whac_DuetDance_240222_200_train_1")
TEST = f"synbody_whac_{MODE}_240426_200_test_camera-000_0.01"
IMAGES = 3  # of a sequence and camera
LOST = f"{STORED}/20240219/Duet_002/img/camera-001/0002.jpeg"
"""An image that is not there, of two people."""


@dataclass
class Tree:
    """A raw tree and what a conversion must make of its train split.

    Attributes
    ----------
    truth : people in the order of the rows.
    world : (N, J, 3) their joints in the world.
    sequences : name of the sequence of each row.
    dropped : reason -> how many.
    """

    root: Path
    truth: Truth
    world: Array
    sequences: list[str] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)


def write_fixture(root: Path, models: Path, rng: np.random.Generator) -> Tree:
    """Two files of the train split, the second with compressed keypoints, and one of the test split.

    Of the first a person leaves the image in one frame, and another is behind the camera in one; an image is missing.
    """
    parts = [
        write_file(root, models, rng, TRAIN[0], ("Duet_001", "Duet_002"), ("camera-000", "camera-001"), odd=True),
        write_file(root, models, rng, TRAIN[1], ("Duet_003",), ("camera-000",), compressed=True),
    ]
    write_file(root, models, rng, TEST, ("Duet_004",), ("camera-000",))
    truth = Truth.concat([truth for truth, _, _ in parts])
    world = np.concatenate([joints for _, joints, _ in parts])
    names = [name for _, _, sequences in parts for name in sequences]
    keep = [i for i, path in enumerate(truth.image_path) if path != disk(LOST) and i not in (OUTSIDE, BEHIND)]
    dropped = {"image missing": 2, "fewer than 1 body joints in the image": 1, "joint behind the camera": 1}
    (root / disk(LOST)).unlink()
    return Tree(root, truth[keep], world[keep], [names[i] for i in keep], dropped)


OUTSIDE, BEHIND = 0, 4
"""Rows of the first file: out of the image, and behind the camera."""


def disk(path: str) -> str:
    """Where an image is below the root."""
    return path.replace("Synbody_whac", "images")


def write_file(
    root: Path,
    models: Path,
    rng: np.random.Generator,
    name: str,
    sequences: tuple[str, ...],
    cameras: tuple[str, ...],
    *,
    odd: bool = False,
    compressed: bool = False,
) -> tuple[Truth, Array, list[str]]:
    """One file, person by person, camera by camera, image by image."""
    rows = [
        (sequence, person, camera, k)
        for sequence in sequences
        for person in range(2)
        for camera in cameras
        for k in range(1, IMAGES + 1)
    ]
    n = len(rows)
    paths = [f"{STORED}/20240219/{sequence}/img/{camera}/{k:04d}.jpeg" for sequence, _, camera, k in rows]
    images = list(dict.fromkeys(paths))
    person = np.array([person for _, person, _, _ in rows])
    pelvis = np.column_stack([1.2 * person - 0.6, rng.uniform(-0.2, 0.2, n), rng.uniform(3, 4, n)])
    if odd:
        pelvis[OUTSIDE, 0], pelvis[BEHIND, 2] = 30, -3
    params = random_people(n, rng, style="gesturing", gender="neutral", flat_hand_mean=True)
    params = params.with_(gender=np.where(person == 0, "male", "female"))
    camera = Rotation.from_euler(
        "yx", np.column_stack([rng.uniform(-180, 180, n), rng.uniform(-10, 10, n)]), degrees=True
    )
    move = Rigid(camera.as_matrix(), rng.uniform(-4, 4, (n, 3)))
    cast = stage.cast(models, params, move, np.arange(n), pelvis, stage.orientations(rng, n, yaw=30))
    inverse = move.rotation.transpose(0, 2, 1)
    world = np.einsum("nij,nkj->nki", inverse, cast.joints - move.translation[:, None])
    rest = world[:, 0] - cast.params.transl  # of the resting body: pose does not move the pelvis
    smplx = {key: value.reshape(n, *value.shape[1:]) for key, value in cast.params.arrays().items()}
    smplx["global_orient"] = (camera * Rotation.from_rotvec(cast.params.global_orient)).as_rotvec()
    smplx["transl"] = np.einsum("nij,nj->ni", move.rotation, world[:, 0]) + move.translation - rest
    extrinsic = np.tile(np.eye(4), (n, 1, 1))
    extrinsic[:, :3, :3], extrinsic[:, :3, 3] = move.rotation, move.translation
    points2d, mask = _human_data(np.concatenate([cast.points(VIEW), np.ones((n, cast.joints.shape[1], 1))], axis=2))
    points3d, _ = _human_data(np.concatenate([cast.joints, np.ones((n, cast.joints.shape[1], 1))], axis=2))
    if compressed:
        points2d, points3d = points2d[:, mask == 1], points3d[:, mask == 1]
    tracks = {key: int(rng.integers(999_999)) for key in {(sequence, who) for sequence, who, _, _ in rows}}
    names = [f"{sequence}_{view}" for sequence, _, view, _ in rows]
    members = {
        "__key_strict__": False,
        "__data_len__": n,
        "__keypoints_compressed__": compressed,
        "image_path": np.array(paths),
        "keypoints2d_smplx": points2d,
        "keypoints2d_smplx_mask": mask,
        "keypoints3d_smplx": points3d,
        "keypoints3d_smplx_mask": mask,
        **{f"{part}bbox_xywh": np.tile([1.0, 2, 3, 4, 1], (n, 1)) for part in ("", "face_", "lhand_", "rhand_")},
        "smplx": smplx,
        "contact": {"part_segmentation": [[1, 0]] * n, "contact_region": [np.zeros(75)] * n},
        "config": "synbody_whac",
        "misc": {
            "bbox_body_scale": 1.2,
            "flat_hand_mean": True,
            "cam_param_type": "prespective",
            "smplx_source": "original",
            "contact_label": ["part_segmentation", "contact_region"],
        },
        "meta": {
            "principal_point": [[960.0, 540.0]] * n,
            "focal_length": [[960.0, 960.0]] * n,
            "height": [1080] * n,
            "width": [1920] * n,
            "RT": list(extrinsic),
            "sequence_name": names,
            "track_id": [tracks[sequence, who] for sequence, who, _, _ in rows],
            "gender": cast.params.gender.tolist(),
        },
    }
    save(root / "annotations" / f"{name}.npz", members)
    blank(root, [disk(path) for path in images], VIEW.height, VIEW.width)
    truth = Truth([disk(path) for path in paths], cast.joints, cast.points(VIEW), cast.params.gender)
    return truth, world, names


def _human_data(points: Array) -> tuple[Array, Array]:
    """Points of SMPL-X in the 190 slots of HumanData, and which of them are filled."""
    into, taken = mapping("smplx", "human_data")
    out, mask = np.zeros((len(points), 190, points.shape[2])), np.zeros(190, np.uint8)
    out[:, into], mask[into] = points[:, taken], 1
    return out, mask


def save(path: Path, members: dict[str, Any]) -> None:
    """Dictionaries in 0-d arrays, as the class saves them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {key: np.array(v, object) if isinstance(v, dict) else v for key, v in members.items()}
    np.savez_compressed(path, **arrays)


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the members of an npz, which this module has written."""
    with np.load(path, allow_pickle=True) as file:
        members = {key: file[key].item() if file[key].dtype == object else file[key] for key in file}
    change(members)
    save(path, members)
