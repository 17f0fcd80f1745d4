"""An ARCTIC tree with everything that its sequences hold against a reader."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from ehps.body.params import BodyParams
from ehps.demo.people import random_people
from ehps.demo.raw.stage import Truth
from tests.raw.checks import blank

Array = npt.NDArray[Any]

FIRST, SECOND, OTHER, HIDDEN = "s01/box_grab_01", "s02/mixer_use_02_retake", "s05/phone_use_03", "s03/box_use_01"
GENDER = {"s01": "female", "s02": "male", "s05": "female"}
OFFSET = {"s01": 1, "s02": 3, "s05": 3}
FRAMES = 24
USED = (10, 11, 12, 13)
IMAGED = ("1", "4", "8")
SIZE, EGO_SIZE = (280, 200), (200, 300)  # height, width of the fixed views and of the head-mounted one
RAW = (
    "transl",
    "global_orient",
    "body_pose",
    "jaw_pose",
    "leye_pose",
    "reye_pose",
    "left_hand_pose",
    "right_hand_pose",
)


@dataclass
class Room:
    """A raw tree.

    Attributes
    ----------
    joints : sequence -> (24, 144, 3) in the world, of the smplx package with the subject's template.
    templates, betas : subject -> (10475, 3), and what it was made with. SECOND's is more than a shape of the model.
    cameras : subject -> (K (8, 3, 3), world to camera (8, 4, 4)).
    """

    root: Path
    joints: dict[str, Array]
    templates: dict[str, Array]
    betas: dict[str, Array]
    cameras: dict[str, tuple[Array, Array]]

    def truth(self, sequence: str, views: tuple[str, ...] = IMAGED, numbers: tuple[int, ...] = USED) -> Truth:
        """Rows of these views and image numbers, view by view."""
        subject = sequence.split("/")[0]
        matrices, poses = self.cameras[subject]
        parts = []
        for view in views:
            pose, k = poses[int(view) - 1], matrices[int(view) - 1]
            world = self.joints[sequence][[n - OFFSET[subject] for n in numbers]]
            seen = world @ pose[:3, :3].T + pose[:3, 3]
            pixels = seen @ k.T
            paths = [image_file(sequence, view, n) for n in numbers]
            gender = np.full(len(numbers), GENDER[subject])
            parts.append(Truth(paths, seen, pixels[..., :2] / pixels[..., 2:], gender))
        return Truth.concat(parts)


def image_file(sequence: str, view: str, number: int) -> str:
    return f"images/{sequence}/{view}/{number:05d}.jpg"


def bodies(root: Path, sequence: str) -> Path:
    return root / "raw_seqs" / f"{sequence}.smplx.npy"


def own_joints(models: Path, params: BodyParams, template: Array) -> Array:
    """(N, 144, 3) of the smplx package, its template replaced."""
    import smplx
    import torch

    gender = str(params.gender[0])
    with contextlib.redirect_stdout(io.StringIO()):
        model = smplx.create(
            str(models),
            "smplx",
            gender=gender,
            v_template=torch.tensor(template, dtype=torch.float32),
            use_pca=False,
            flat_hand_mean=True,
            use_face_contour=True,
            num_betas=10,
            batch_size=len(params),
            ext="npz",
        )
    values = {k: torch.tensor(v.reshape(len(v), -1), dtype=torch.float32) for k, v in params.arrays().items()}
    with torch.no_grad():
        return np.asarray(model(**values).joints.numpy(), float)


def write_fixture(root: Path, models: Path, rng: np.random.Generator) -> Room:
    """Two women and a man with a sequence each, and lists that name a fourth, whose bodies are hidden.

    Eight cameras, three of them with images: those numbered 10 to 13 count; there are some before and after, one of
    the head-mounted camera, and one of FIRST is missing (view 4, number 12).
    """
    room = Room(root, {}, {}, {}, {})
    for sequence in (FIRST, SECOND, OTHER):
        subject = sequence.split("/")[0]
        _write_template(room, models, rng, subject, odd=sequence == SECOND)
        room.cameras[subject] = _cameras(rng)
        _write_bodies(room, models, rng, sequence)
        for view in IMAGED:
            blank(root, [image_file(sequence, view, n) for n in USED], *SIZE)
    blank(root, [image_file(FIRST, "1", n) for n in (2, 9, 14)], *SIZE)
    blank(root, [image_file(FIRST, "0", 11)], *EGO_SIZE)
    (root / image_file(FIRST, "4", 12)).unlink()
    (root / image_file(FIRST, "1", 10)).with_name("Thumbs.db").write_bytes(b"Windows")
    _write_lists(room)
    return room


def _write_template(room: Room, models: Path, rng: np.random.Generator, subject: str, *, odd: bool) -> None:
    with np.load(models / "smplx" / f"SMPLX_{GENDER[subject].upper()}.npz") as model:
        template, directions = model["v_template"].astype(float), model["shapedirs"][:, :, :10].astype(float)
    room.betas[subject] = rng.normal(0, 0.9, 10)
    template = template + directions @ room.betas[subject]
    if odd:
        template = template + 0.02 * np.sin(9 * template[:, [1, 2, 0]])
    path = room.root / "meta/subject_vtemplates" / f"{subject}.obj"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        "# scan",
        "mtllib scan.mtl",
        *(f"v {x:.7f} {y:.7f} {z:.7f}" for x, y, z in template),
        "vt 0.5 0.5",
        "vn 0 1 0",
        "f 1/1/1 2/1/1 3/1/1",
    ]
    path.write_text("\n".join(lines) + "\n")
    room.templates[subject] = template


def _cameras(rng: np.random.Generator) -> tuple[Array, Array]:
    """Around the middle of the room, a metre above the floor (z up), each turned about its axis by some degrees."""
    matrices, poses = np.tile(np.eye(3), (8, 1, 1)), np.tile(np.eye(4), (8, 1, 1))
    level = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    for k in range(8):
        turn = Rotation.from_euler("z", 45 * k + rng.uniform(-9, 9), degrees=True).as_matrix()
        own = Rotation.from_euler("zx", [rng.uniform(-12, 12), rng.uniform(0, 12)], degrees=True).as_matrix()
        poses[k, :3, :3] = own @ level @ turn
        poses[k, :3, 3] = [0, 0, 3.4 + 0.1 * k] - poses[k, :3, :3] @ [0, 0, 1.0]
        matrices[k, [0, 1], [0, 1]] = 300 + 5 * k, 303 + 5 * k
        matrices[k, :2, 2] = np.array(SIZE[::-1]) / 2 + rng.uniform(-6, 6, 2)
    return matrices, poses


def _write_bodies(room: Room, models: Path, rng: np.random.Generator, sequence: str) -> None:
    subject = sequence.split("/")[0]
    params = random_people(FRAMES, rng, style="gesturing", gender=GENDER[subject], flat_hand_mean=True)
    upright = Rotation.from_euler("z", rng.uniform(-180, 180, FRAMES)[:, None], degrees=True)
    orient = upright * Rotation.from_euler("x", 90, degrees=True) * Rotation.from_rotvec(params.global_orient)
    params = params.with_(
        betas=np.zeros((FRAMES, 10)),
        expression=np.zeros((FRAMES, 10)),
        global_orient=orient.as_rotvec(),
        transl=np.array([0, 0, 1.2]) + rng.uniform(-0.15, 0.15, (FRAMES, 3)),
    )
    room.joints[sequence] = own_joints(models, params, room.templates[subject])
    path = bodies(room.root, sequence)
    path.parent.mkdir(parents=True, exist_ok=True)
    values = {name: getattr(params, name).reshape(FRAMES, -1).astype(np.float32) for name in RAW}
    np.save(path, np.array(values, object), allow_pickle=True)


def _write_lists(room: Room) -> None:
    lists = {"train": [SECOND, FIRST], "val": [OTHER], "test": [HIDDEN]}
    path = room.root / "splits_json/protocol_p1.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(lists))
    facts = {
        subject: {
            "gender": GENDER[subject],
            "image_size": [EGO_SIZE[::-1], *[SIZE[::-1]] * 8],
            "intris_mat": matrices.tolist(),
            "world2cam": poses.tolist(),
            "ioi_offset": OFFSET[subject],
        }
        for subject, (matrices, poses) in room.cameras.items()
    }
    (room.root / "meta/misc.json").write_text(json.dumps(facts))
