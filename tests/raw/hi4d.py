"""A Hi4D tree with everything that its recordings hold against a reader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from ehps.body.params import BodyParams
from ehps.converters.base import Rigid
from ehps.demo.people import random_people
from ehps.demo.raw import stage
from ehps.demo.raw.stage import PaintedView, Truth
from tests.raw.checks import blank
from tests.raw.rig import Shot, around

Array = npt.NDArray[Any]
Row = tuple[str, str, int, int]

DANCE, HUG = "pair00/dance00", "pair01/hug01"
GENDERS = {DANCE: ("male", "female"), HUG: ("female", "male")}
MONO = {DANCE: "16", HUG: "4"}
CONTACT = {DANCE: [12], HUG: []}
START, END = 11, 14
CAMERAS = ("4", "16")
HEIGHT, WIDTH = 1280, 940
LENS = np.array([-0.12, 0.06, 0.0011, -0.0008, 0.01])


@dataclass
class Scans:
    """A raw tree, and the people of each recording and camera.

    Attributes
    ----------
    people : recording, camera -> frame by frame, person by person.
    params : recording -> bodies in the world, frame by frame, person by person.
    contact : recording -> (F, 2, 6890) labels of vertices.
    shots : recording, camera -> the camera.
    """

    root: Path
    people: dict[tuple[str, str], Truth] = field(default_factory=dict)
    params: dict[str, BodyParams] = field(default_factory=dict)
    contact: dict[str, Array] = field(default_factory=dict)
    shots: dict[tuple[str, str], Shot] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)

    def truth(self, rows: Sequence[Row]) -> Truth:
        """The people that must be found, in the order of the rows."""
        return Truth.concat([self.people[name, cam][[index(frame, person)]] for name, cam, frame, person in rows])


def index(frame: int, person: int) -> int:
    return 2 * (frame - START) + person


def write_fixture(root: Path, models: Path, rng: np.random.Generator) -> Scans:
    """Two recordings of frames 11 to 14 before two cameras.

    ``DANCE``: a man and a woman; frame 13 has no fit; camera 16 is the one of the monocular evaluation; contact in 12.
    ``HUG``: a woman and a man without contact; in frame 14 he is outside all images; camera 16 has no image 11.
    """
    tree = Scans(root)
    for name in GENDERS:
        write_recording(tree, models, rng, name)
    (root / DANCE / "smpl/000013.npz").unlink()
    (root / HUG / "images/16/000011.jpg").unlink()
    tree.rows = [
        (name, camera, frame, person)
        for name in GENDERS
        for camera in CAMERAS
        for frame in range(START, END + 1)
        for person in (0, 1)
        if (name, frame) != (DANCE, 13)
        and (name, camera, frame) != (HUG, "16", 11)
        and (name, frame, person) != (HUG, 14, 1)
    ]
    tree.dropped = {"no SMPL fit": 4, "image missing": 2, "body box empty or outside the image": 2}
    return tree


def write_recording(tree: Scans, models: Path, rng: np.random.Generator, name: str) -> None:
    """Two people before the cameras, with masks of them."""
    count, root = END - START + 1, tree.root / name
    n = 2 * count
    params = random_people(n, rng, style="sports", model_type="smpl", gender=np.tile(GENDERS[name], count))
    params = params.with_(betas=np.tile(params.betas[:2], (count, 1)))
    place, _ = stage.places(rng, [2] * count, PaintedView(HEIGHT, WIDTH, 1100.0))
    pelvis = np.array([0, 0.05, 3.0]) + rng.normal(0, 0.05, (n, 3)) + np.tile([[-0.2, 0, 0], [0.2, 0, 0.1]], (count, 1))
    if name == HUG:
        pelvis[index(14, 1), 1] = -12
    to_first = np.eye(4)  # the world has y up
    to_first[:3, :3] = Rotation.from_euler("xy", [183, 20], degrees=True).as_matrix()
    to_first[:3, 3] = 0.1, 1.2, 3.4
    move = Rigid(to_first[:3, :3], to_first[:3, 3])
    cast = stage.cast(models, params, move, place, pelvis, stage.orientations(rng, n, spread=80, tilt=3))
    joints, vertices = stage.package(models, cast.params)
    tree.params[name] = cast.params
    tree.contact[name] = rng.integers(0, 3, (count, 2, 6890))
    write_fits(root / "smpl", cast.params, joints, vertices, tree.contact[name])
    for k, (camera, pose) in enumerate(zip(CAMERAS, around(pelvis[0], [0.0, 60.0]), strict=True)):
        pose = np.linalg.inv(to_first) @ pose
        shot = Shot(pose, (1100.0 + k, 1104.0 - k), (468.5 + k, 642.0 - 2 * k), LENS * (1 + 0.2 * k))
        tree.shots[name, camera] = shot
        paths = [f"{name}/images/{camera}/{frame:06d}.jpg" for frame in range(START, END + 1)]
        blank(tree.root, paths, HEIGHT, WIDTH)
        pixels = shot.points(joints)
        path_of = [paths[row // 2] for row in range(n)]
        tree.people[name, camera] = Truth(path_of, shot.joints(joints), pixels, cast.params.gender)
        write_masks(root / "seg/img_seg_mask" / camera, shot.points(vertices))
    shots = [tree.shots[name, camera] for camera in CAMERAS]
    (root / "cameras").mkdir()
    np.savez(
        root / "cameras/rgb_cameras.npz",
        ids=np.array([int(camera) for camera in CAMERAS]),
        intrinsics=np.stack([shot.matrix for shot in shots]),
        extrinsics=np.stack([np.linalg.inv(shot.pose)[:3] for shot in shots]),
        dist_coeffs=np.stack([shot.distortion for shot in shots]),
    )
    np.savez(
        root / "meta.npz",
        start=np.array(START),
        end=np.array(END),
        num_persons=np.array(2),
        genders=np.array(GENDERS[name]),
        betas=cast.params.betas[:2],
        contact_ids=np.array(CONTACT[name], int),
        mono_cam=np.array(int(MONO[name])),
    )


def write_fits(folder: Path, params: BodyParams, joints: Array, vertices: Array, contact: Array) -> None:
    folder.mkdir(parents=True)
    for k in range(len(params) // 2):
        both = slice(2 * k, 2 * k + 2)
        np.savez(
            folder / f"{START + k:06d}.npz",
            betas=params.betas[both],
            global_orient=params.global_orient[both],
            body_pose=params.body_pose[both].reshape(2, 69),
            transl=params.transl[both],
            joints_3d=joints[both, :24],
            verts=vertices[both],
            contact=contact[k],
        )


def write_masks(folder: Path, pixels: Array) -> None:
    """The hull of each person, and both in colours."""
    for k in range(len(pixels) // 2):
        both = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        for person in (0, 1):
            mask = np.zeros((HEIGHT, WIDTH), np.uint8)
            cv2.fillConvexPoly(mask, cv2.convexHull(pixels[2 * k + person].astype(np.float32)).astype(np.int32), 255)
            both[mask > 0, person] = 200
            save(folder / str(person) / f"{START + k:06d}.png", mask)
        save(folder / "all" / f"{START + k:06d}.png", both)


def save(path: Path, image: Array) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the members of an npz, which this module has written."""
    with np.load(path) as file:
        content = dict(file)
    change(content)
    np.savez(path, **content)
