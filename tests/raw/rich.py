"""A RICH tree with everything that its sequences hold against a reader."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from ehps.body.params import BodyParams
from ehps.converters.base import Rigid
from ehps.demo.people import random_people
from ehps.demo.raw import stage
from ehps.demo.raw.stage import Truth
from tests.raw.checks import blank
from tests.raw.mtp import hand_poses

Array = npt.NDArray[Any]

PARK, TOSS, GYM = "ParkingLot1_005_pushup2", "Pavallion_003_018_tossball", "Gym_010_mountainclimber3"
SPLIT = {PARK: "train", TOSS: "train", GYM: "val"}
SUBJECTS = {PARK: ("005",), TOSS: ("003", "018"), GYM: ("010",)}
GENDER = {"003": "male", "005": "male", "018": "female", "010": "female"}
FRAMES = {PARK: (0, 1, 3), TOSS: (11, 12), GYM: (7,)}
DISTORTION = [-0.11, 0.08, 0.001, -0.002, 0.01]


@dataclass(frozen=True)
class Eye:
    """A camera; focal length, principal point and size of its full-size images, and how small ours are."""

    rotation: Array
    translation: Array
    focal: float
    centre: tuple[float, float]
    portrait: bool
    shrunk: int

    @property
    def size(self) -> tuple[int, int]:
        height, width = (4112, 3008) if self.portrait else (3008, 4112)
        return height // self.shrunk, width // self.shrunk

    def project(self, world: Array) -> tuple[Array, Array]:
        """Joints (N, J, 3) in the camera and (N, J, 2) in our images."""
        joints = world @ self.rotation.T + self.translation
        return joints, (joints[..., :2] / joints[..., 2:] * self.focal + self.centre) / self.shrunk


def _eye(
    yaw: float, aim: Array, depth: float, focal: float, centre: tuple[float, float], portrait: bool, shrunk: int
) -> Eye:
    """Turned about the vertical, ``aim`` ``depth`` metres in front of it."""
    rotation = Rotation.from_euler("yx", [yaw, 4], degrees=True).as_matrix()
    return Eye(rotation, np.array([0.05, -0.1, depth]) - rotation @ aim, focal, centre, portrait, shrunk)


AIM = np.array([0.0, 0.2, 6.0])
FIRST = Eye(np.eye(3), np.zeros(3), 3580.0, (2010.5, 1450.25), False, 8)
EYES = {
    (PARK, 0): FIRST,
    (PARK, 2): _eye(70, AIM, 5.0, 3590.0, (1980.0, 1420.0), False, 4),
    (TOSS, 0): FIRST,
    (TOSS, 3): _eye(-100, AIM, 7.5, 4700.0, (1480.5, 2110.0), True, 8),
    (TOSS, 5): _eye(20, AIM, -6.0, 3585.0, (2000.0, 1440.0), False, 8),  # looks away from everybody
    (GYM, 0): FIRST,
}
ROWS = [(PARK, 0, 0, "005"), (PARK, 0, 1, "005"), (PARK, 2, 0, "005")] + [
    (TOSS, camera, frame, subject) for camera in (0, 3) for frame, subject in ((11, "003"), (11, "018"), (12, "003"))
]
"""Sequence, camera, frame, subject of train."""


@dataclass
class Tree:
    """``bodies`` and ``world`` joints (J, 3) by sequence, frame, subject."""

    root: Path
    truth: dict[str, Truth]
    bodies: dict[tuple[str, int, str], BodyParams]
    coefficients: dict[tuple[str, int, str], dict[str, Array]]
    world: dict[tuple[str, int, str], Array]
    dropped: dict[str, int]


def write_fixture(root: Path, models: Path, rng: np.random.Generator) -> Tree:
    """Two sequences of train and one of val, in the layout of the toolkit.

    ``PARK``: a man before cameras 0 and 2 and a hand-held one, 10. Nobody is fitted in frame 2; frame 3 has no
    images, frame 1 none of camera 2; frame 0 of camera 0 is a png. ``TOSS``: a man and a woman, she in frame 11
    alone; camera 3 is portrait, 5 sees nobody; contact of him in 11. ``GYM``: val.
    """
    tree = Tree(
        root,
        {},
        {},
        {},
        {},
        {
            "image missing": 3,
            "no SMPL-X fit": 2,
            "camera without calibration": 1,
            "body box empty or outside the image": 3,
        },
    )
    for name in FRAMES:
        for index, subject in enumerate(SUBJECTS[name]):
            _act(tree, models, rng, name, subject, index)
    body_path(root, TOSS, 12, "018").unlink()
    for (name, number), eye in EYES.items():
        write_calibration(calibration_path(root, name, number), eye)
        frames = (0, 1, 2) if name == PARK else FRAMES[name]
        paths = [image_path(name, number, n) for n in frames if (name, number, n) != (PARK, 2, 1)]
        blank(root, paths, *eye.size)
    blank(root, [image_path(PARK, 10, 0)], 40, 60)
    for stray in (f"images/train/{PARK}/cam_00/Thumbs.db", f"bodies/train/{PARK}/00000/.005.pkl"):
        (root / stray).write_bytes(b"stray")
    contact = root / f"human_scene_contact/train/{TOSS}/00011/003.pkl"
    contact.parent.mkdir(parents=True)
    labels = np.zeros(6890)
    labels[[3, 77, 6889]] = 1
    contact.write_bytes(pickle.dumps({"contact": labels, "s2m_dist_id": np.zeros((10475, 3))}))
    tree.truth = {"train": truth_of(tree, ROWS), "val": truth_of(tree, [(GYM, 0, 7, "010")])}
    return tree


def truth_of(tree: Tree, rows: list[tuple[str, int, int, str]]) -> Truth:
    parts = []
    for name, number, frame, subject in rows:
        joints, points = EYES[name, number].project(tree.world[name, frame, subject][None])
        parts.append(Truth([image_path(name, number, frame)], joints, points, np.array([GENDER[subject]])))
    return Truth.concat(parts)


def _act(tree: Tree, models: Path, rng: np.random.Generator, name: str, subject: str, index: int) -> None:
    """One person in all frames of a sequence, in the world, which is the frame of camera 0."""
    frames = FRAMES[name]
    n = len(frames)
    params = random_people(n, rng, style="sports", gender=GENDER[subject])
    hands = {side: rng.normal(0, 0.5, (n, 12)) for side in ("left", "right")}
    poses = {f"{s}_hand_pose": hand_poses(models, params.gender, s, values) for s, values in hands.items()}
    params = params.with_(betas=np.repeat(params.betas[:1], n, axis=0), **poses)
    pelvis = AIM + np.column_stack([index * 1.1 - 0.5 + rng.uniform(-0.1, 0.1, n), np.zeros(n), rng.uniform(0, 0.4, n)])
    facing = stage.orientations(rng, n, yaw=60 * index, tilt=4)
    cast = stage.cast(models, params, Rigid(np.eye(3), np.zeros(3)), np.arange(n), pelvis, facing)
    for k, frame in enumerate(frames):
        key = (name, frame, subject)
        tree.bodies[key], tree.world[key] = cast.params[k : k + 1], cast.joints[k]
        tree.coefficients[key] = {side: values[k] for side, values in hands.items()}
        values: dict[str, Any] = {
            part: np.float32(value[k].reshape(1, -1)) for part, value in cast.params.arrays().items()
        }
        values |= {f"{side}_hand_pose": np.float32(c[k][None]) for side, c in hands.items()}
        values["pose_embedding"] = np.zeros((1, 32), np.float32)
        path = body_path(tree.root, name, frame, subject)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(values))


def image_path(name: str, number: int, frame: int) -> str:
    ending = "png" if (name, number, frame) == (PARK, 0, 0) else "jpeg"
    return f"images/{SPLIT[name]}/{name}/cam_{number:02d}/{frame:05d}_{number:02d}.{ending}"


def body_path(root: Path, name: str, frame: int, subject: str) -> Path:
    return root / f"bodies/{SPLIT[name]}/{name}/{frame:05d}/{subject}.pkl"


def calibration_path(root: Path, name: str, number: int) -> Path:
    return root / f"scan_calibration/{name.split('_')[0]}/calibration/{number:03d}.xml"


def write_calibration(path: Path, eye: Eye) -> None:
    """As OpenCV writes matrices: numbers broken over lines."""
    k = [eye.focal, 0, eye.centre[0], 0, eye.focal, eye.centre[1], 0, 0, 1]
    pose = np.column_stack([eye.rotation, eye.translation]).ravel().tolist()
    blocks = []
    for name, values, columns in (("CameraMatrix", pose, 4), ("Intrinsics", k, 3), ("Distortion", DISTORTION, 1)):
        lines = [" ".join(f"{v:.16e}" for v in values[i : i + 3]) for i in range(0, len(values), 3)]
        text = "\n    ".join(lines)
        blocks.append(
            f'<{name} type_id="opencv-matrix">\n  <rows>{len(values) // columns}</rows>\n'
            f"  <cols>{columns}</cols>\n  <dt>d</dt>\n  <data>\n    {text}</data></{name}>"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    body = "\n".join(blocks)
    path.write_text(f'<?xml version="1.0"?>\n<opencv_storage>\n{body}\n</opencv_storage>\n')


def rearrange(root: Path) -> None:
    """The tree as its archives unpack."""
    for split in ("train", "val"):
        for kind, name in (("images", split), ("bodies", f"{split}_body"), ("human_scene_contact", f"{split}_hsc")):
            if (root / kind / split).is_dir():
                (root / kind / split).rename(root / name)
    for kind in ("images", "bodies", "human_scene_contact"):
        shutil.rmtree(root / kind)


def edit_body(root: Path, key: tuple[str, int, str], change: Callable[[dict[str, Any]], object]) -> None:
    """Change the content of a fit, which this module has written."""
    path = body_path(root, *key)
    content: dict[str, Any] = pickle.loads(path.read_bytes())
    change(content)
    path.write_bytes(pickle.dumps(content))
