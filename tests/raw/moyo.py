"""A MOYO tree with everything that its sequences hold against a reader."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from ehps.body.params import BodyParams
from ehps.demo.people import random_people
from ehps.demo.raw.stage import Truth
from tests.raw.arctic import own_joints
from tests.raw.checks import blank, one_colour

Array = npt.NDArray[Any]

WITH_HANDS, WITH_COM = "20220923_20220926_with_hands", "20221004_with_com"
TEMPLATE = "220923_yogi_03596_minimal_simple_female"
HANDS = "yogi_body_hands_03596"
BOAT = f"220923_{HANDS}_Boat_Pose_or_Paripurna_Navasana_-a"
BABY, BABY_MOCAP = f"220926_{HANDS}_Happy_Baby_Pose_or_Ananda_Balasana_-b", f"220926_{HANDS}_Happy_Baby_Pose-b"
COW = f"220926_{HANDS}_Cow_Face_Pose_or_Gomukhasana_-c"
CROW = "221004_yogi_nexus_body_hands_03596_Crow_Pose_or_Bakasana_-a"
TREE = f"220923_{HANDS}_Tree_Pose_or_Vrksasana_-a"
SESSION = {BOAT: WITH_HANDS, BABY: WITH_HANDS, COW: WITH_HANDS, CROW: WITH_COM, TREE: WITH_HANDS}
SPLIT = {BOAT: "train", BABY: "train", COW: "train", CROW: "train", TREE: "val"}
FOLDERS = {
    "20220923": "220923_Afternoon_PROCESSED_CAMERA_PARAMS",
    "20220926": "220926_Morning_PROCESSED_CAMERA_PARAMS",
    "20221004": "221004_PROCESSED_CAMERA_PARAMS",
}
NUMBERS = (1, 2, 3, 4)
FRAMES = 2 * len(NUMBERS) + 3
SIZE = (240, 320)  # height, width of the published images; the cameras are for twice that
CAMERAS = (1, 2)


@dataclass(frozen=True)
class Eye:
    """A camera for images of full size, world to camera in metres."""

    focal: float
    centre: tuple[float, float]
    rotation: Array
    translation: Array

    def record(self) -> dict[str, Any]:
        position = -self.rotation.T @ self.translation * 1000
        return {
            "focal": self.focal,
            "princpt": list(self.centre),
            "rotation": self.rotation.tolist(),
            "position": position.tolist(),
        }


@dataclass
class Tree:
    """A raw tree.

    Attributes
    ----------
    template : (10475, 3), of ``betas`` (10,).
    joints : sequence -> (FRAMES, 144, 3) in the world, of the smplx package with the template.
    bodies : sequence -> the parameters.
    eyes : (day, number of the camera) -> camera.
    """

    root: Path
    template: Array
    betas: Array
    joints: dict[str, Array] = field(default_factory=dict)
    bodies: dict[str, BodyParams] = field(default_factory=dict)
    eyes: dict[tuple[str, int], Eye] = field(default_factory=dict)

    def truth(self, *sequences: str, numbers: tuple[int, ...] = NUMBERS, offset: int = 0) -> Truth:
        """Rows of sequences, camera by camera; image number n shows body 2 * (n - offset)."""
        parts = []
        for sequence in sequences:
            for number in CAMERAS:
                eye = self.eyes[f"20{sequence[:6]}", number]
                world = self.joints[sequence][[2 * (n - offset) for n in numbers]]
                seen = world @ eye.rotation.T + eye.translation
                points = (seen[..., :2] / seen[..., 2:] * eye.focal + eye.centre) / 2
                paths = [image_file(sequence, number, n) for n in numbers]
                parts.append(Truth(paths, seen, points, np.full(len(paths), "female")))
        return Truth.concat(parts)


def image_folder(sequence: str) -> str:
    return f"MOYO/{SESSION[sequence]}/images/{SPLIT[sequence]}/{sequence}"


def image_file(sequence: str, camera: int, number: int) -> str:
    name = f"YOGI_Cam_0{camera}"
    return f"{image_folder(sequence)}/{name}/{sequence}_{name}_{number:04d}.jpg"


def bodies_file(root: Path, sequence: str, mocap: str = "") -> Path:
    name = mocap or {BABY: BABY_MOCAP}.get(sequence, sequence)
    return root / f"MOYO/{SESSION[sequence]}/mosh/{SPLIT[sequence]}/{name}_stageii.pkl"


def template_file(root: Path) -> Path:
    return root / "moyo_toolkit/data/v_templates" / TEMPLATE / "mesh.ply"


def calibration_file(root: Path, day: str) -> Path:
    session = WITH_COM if day == "20221004" else WITH_HANDS
    return root / f"MOYO/{session}/cameras/{day}/{FOLDERS[day]}/cameras_param.json"


def write_fixture(root: Path, models: Path, rng: np.random.Generator) -> Tree:
    """Three sequences of train in two sessions and one of val, two cameras, images 1 to 4 at half size.

    ``BOAT`` is unpacked, with an image 6 of camera 1 that no body goes with; ``BABY`` is a zip, whose bodies have
    another name; ``COW`` has a stage I file only; ``CROW`` has no markers on the hands. ``TREE`` is val.
    """
    with np.load(models / "smplx/SMPLX_FEMALE.npz") as model:
        template, directions = model["v_template"].astype(float), model["shapedirs"][:, :, :10].astype(float)
        faces = np.asarray(model["f"])
    betas = rng.normal(0, 0.9, 10)
    tree = Tree(root, (template + directions @ betas).astype(np.float32).astype(float), betas)
    write_ply(template_file(root), tree.template, faces)
    for day in FOLDERS:
        for number in CAMERAS:
            tree.eyes[day, number] = _eye(rng, number)
        path = calibration_file(root, day)
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({f"cam_{number}": tree.eyes[day, number].record() for number in CAMERAS}))
    for sequence in (BOAT, BABY, CROW, TREE):
        write_bodies(tree, models, rng, sequence)
    for path in (bodies_file(root, COW), bodies_file(root, BOAT)):
        stage1 = path.with_name(path.name.replace("_stageii", "_female_stagei"))
        stage1.write_bytes(pickle.dumps({"betas": np.zeros(400)}))
    images = [image_file(BOAT, number, n) for number in CAMERAS for n in NUMBERS] + [image_file(BOAT, 1, 6)]
    blank(root, images, *SIZE)
    for sequence in (BABY, COW, CROW, TREE):
        write_zip(root, sequence)
    return tree


def write_zip(root: Path, sequence: str, numbers: tuple[int, ...] = NUMBERS) -> None:
    """The images of a sequence as they are published."""
    path = root / f"{image_folder(sequence)}.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in CAMERAS:
            for n in numbers:
                name = image_file(sequence, number, n).removeprefix(image_folder(sequence))
                archive.writestr(f"{sequence}{name}", one_colour(".jpg", *SIZE))


def write_ply(path: Path, vertices: Array, faces: Array) -> None:
    """Binary, little-endian, vertices of three float32, then triangles."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(vertices)}",
        *(f"property float {axis}" for axis in "xyz"),
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header",
    ]
    triangles = np.zeros(len(faces), [("n", "u1"), ("f", "<i4", 3)])
    triangles["n"], triangles["f"] = 3, faces
    out = io.BytesIO()
    out.write(("\n".join(head) + "\n").encode())
    out.write(vertices.astype("<f4").tobytes())
    out.write(triangles.tobytes())
    path.write_bytes(out.getvalue())


def _eye(rng: np.random.Generator, number: int) -> Eye:
    """Around the middle of the mat (z up), turned about its axis by some degrees."""
    level = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    turn = Rotation.from_euler("z", 80 * number + rng.uniform(-20, 20), degrees=True).as_matrix()
    own = Rotation.from_euler("zx", [rng.uniform(-9, 9), rng.uniform(0, 12)], degrees=True).as_matrix()
    rotation = own @ level @ turn
    centre = np.array(SIZE[::-1]) + rng.uniform(-20, 20, 2)
    return Eye(600.0 + 40 * number, tuple(centre.tolist()), rotation, [0, 0, 4.2] - rotation @ [0, 0, 1.0])


def write_bodies(tree: Tree, models: Path, rng: np.random.Generator, sequence: str, frames: int = FRAMES) -> None:
    params = random_people(frames, rng, style="sports", gender="female", flat_hand_mean=True)
    upright = Rotation.from_euler("z", rng.uniform(-180, 180, frames)[:, None], degrees=True)
    orient = upright * Rotation.from_euler("x", 90, degrees=True) * Rotation.from_rotvec(params.global_orient)
    params = params.with_(
        betas=np.zeros((frames, 10)),
        expression=np.zeros((frames, 10)),
        global_orient=orient.as_rotvec(),
        transl=np.array([0, 0, 1.2]) + rng.uniform(-0.15, 0.15, (frames, 3)),
    )
    if SESSION[sequence] == WITH_COM:
        for side in ("left", "right"):
            mean = np.tile(params.arrays()[f"{side}_hand_pose"][:1], (frames, 1, 1))
            params = params.with_(**{f"{side}_hand_pose": mean})
    tree.bodies[sequence] = params
    tree.joints[sequence] = own_joints(models, params, tree.template)
    order = ("global_orient", "body_pose", "jaw_pose", "leye_pose", "reye_pose", "left_hand_pose", "right_hand_pose")
    pose = np.concatenate([getattr(params, name).reshape(frames, -1) for name in order], axis=1)
    content = {
        "fullpose": pose,
        "trans": params.transl,
        "betas": np.zeros(400),
        "v_template_fname": f"/ps/project/templates/{TEMPLATE}/mesh.ply",
        "markers_latent": np.zeros((5, 3)),
        "labels": ["LFHD", "RFHD"],
    }
    path = bodies_file(tree.root, sequence)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))
