"""A Harmony4D tree with everything that its sequences hold against a reader."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from ehps.body.params import BodyParams
from ehps.converters.base import Rigid
from ehps.demo.people import random_people
from ehps.demo.raw import stage
from ehps.demo.raw.stage import PaintedView, Truth
from ehps.humandata import keypoints
from tests.raw.checks import blank
from tests.raw.rig import FisheyeShot, around

Array = npt.NDArray[Any]
Row = tuple[str, str, int, str]

GRAPPLING, DANCING, TEST = "02_grappling/001_grappling", "05_dancing/003_dancing", "01_hugging/002_hugging"
SPLIT = {GRAPPLING: "train", DANCING: "train", TEST: "test"}
FRAMES = {GRAPPLING: 6, DANCING: 3, TEST: 2}
CAMERAS = {GRAPPLING: ("cam01", "cam02"), DANCING: ("cam01", "cam02"), TEST: ("cam04",)}
PEOPLE = ("aria01", "aria02")
HEIGHT, WIDTH = 720, 1280
LENS = np.array([0.05, -0.012, 0.004, -0.0006])
IDS = {"cam01": 7, "cam02": 3, "cam04": 2, "aria01": 5}
SCALE = 1.38  # metres of one unit of the reconstruction
PUSH = np.array([0.12, 0, 0])
COCO = keypoints.point_names("coco_wholebody")


@dataclass
class Shots:
    """A raw tree, and the people of each sequence and camera.

    Attributes
    ----------
    people : sequence, camera -> frame by frame, person by person.
    params : sequence -> folder of fits -> the bodies in the world, frame by frame, person by person.
    cameras : sequence, camera -> pose (4, 4) of the camera in the world at each frame.
    rows : of train.
    dropped : of train.
    """

    root: Path
    people: dict[tuple[str, str], Truth] = field(default_factory=dict)
    params: dict[str, dict[str, BodyParams]] = field(default_factory=dict)
    cameras: dict[tuple[str, str], list[FisheyeShot]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)

    def truth(self, rows: Sequence[Row]) -> Truth:
        """The people that must be found, in the order of the rows."""
        return Truth.concat([self.people[name, cam][[index(frame, who)]] for name, cam, frame, who in rows])


def index(frame: int, person: str) -> int:
    return 2 * (frame - 1) + PEOPLE.index(person)


def write_fixture(root: Path, models: Path, rng: np.random.Generator) -> Shots:
    """Three sequences, one of the split test.

    ``GRAPPLING``: ``scale.npy``; both folders of fits; camera 2 is registered at frames 5 and 1 only and has moved
    between them; camera 3 is not registered; frame 4 has no fit of the second person; camera 1 has no image 2, and an
    image 7 that nobody is fitted in. ``DANCING``: glasses; 17 points, none of frame 3; in frame 2 the second person is
    outside all images.
    """
    tree = Shots(root)
    for name in SPLIT:
        write_sequence(tree, models, rng, name, glasses=name == DANCING)
    first = root / "train" / GRAPPLING
    for folder in ("smpl", "smpl_collision"):
        edit(first / "processed_data" / folder / "00004.npy", lambda people: people.pop("aria02"))
    (first / "exo/cam01/images/00002.jpg").unlink()
    blank(root, [f"train/{GRAPPLING}/exo/cam01/images/00007.jpg"], HEIGHT, WIDTH)
    blank(root, [f"train/{GRAPPLING}/exo/cam03/images/{n:05d}.jpg" for n in range(1, 7)], HEIGHT, WIDTH)
    (root / "train" / DANCING / "processed_data/poses3d/00003.npy").unlink()
    tree.rows = [
        (GRAPPLING, camera, frame, who)
        for camera in CAMERAS[GRAPPLING]
        for frame in range(1, 7)
        for who in PEOPLE
        if (frame, who) != (4, "aria02") and (camera, frame) != ("cam01", 2)
    ]
    tree.rows += [
        (DANCING, camera, frame, who)
        for camera in CAMERAS[DANCING]
        for frame in range(1, 4)
        for who in PEOPLE
        if (frame, who) != (2, "aria02")
    ]
    tree.dropped = {
        "camera not registered": 11,
        "no SMPL fit of the person": 3,
        "no SMPL fit": 1,
        "image missing": 2,
        "body box empty or outside the image": 2,
    }
    return tree


def write_sequence(tree: Shots, models: Path, rng: np.random.Generator, name: str, *, glasses: bool) -> None:
    """Two people before some cameras, in a world of which the reconstruction has another scale, frame and origin."""
    count, root = FRAMES[name], tree.root / SPLIT[name] / name
    n = 2 * count
    world = Rotation.random(random_state=rng).as_matrix()
    params = random_people(n, rng, style="sports", model_type="smpl", gender="neutral")
    params = params.with_(betas=np.tile(params.betas[:2], (count, 1)))
    place, _ = stage.places(rng, [2] * count, PaintedView(HEIGHT, WIDTH, 600.0))
    pelvis = (
        np.array([0.0, 0.1, 2.6]) + rng.normal(0, 0.1, (n, 3)) + np.tile([[-0.25, 0, 0], [0.25, 0, 0.1]], (count, 1))
    )
    if name == DANCING:
        pelvis[index(2, "aria02")] = 0, -30, 2
    origin = rng.normal(0, 2, 3)
    move = Rigid(world, origin)
    cast = stage.cast(models, params, move, place, pelvis, stage.orientations(rng, n, spread=80, tilt=3))
    joints, vertices = stage.package(models, cast.params)
    tree.params[name] = {"smpl": cast.params}
    write_fits(root / "processed_data/smpl", cast.params, joints, vertices)
    if name == GRAPPLING:  # the fits that count; the others are off by 12 cm
        pushed = cast.params.with_(transl=cast.params.transl + PUSH)
        tree.params[name] = {"smpl": pushed, "smpl_collision": cast.params}
        write_fits(root / "processed_data/smpl", pushed, joints + PUSH, vertices + PUSH)
        write_fits(root / "processed_data/smpl_collision", cast.params, joints, vertices)
    write_points(root / "processed_data/poses3d", joints, 133 if name == GRAPPLING else 17)
    to_first = np.eye(4)
    to_first[:3, :3], to_first[:3, 3] = world, origin
    poses = around(pelvis[0], [0.0, 55.0])[: len(CAMERAS[name])]
    for k, (camera, pose) in enumerate(zip(CAMERAS[name], poses, strict=True)):
        shots = []
        for frame in range(1, count + 1):
            moved = pose.copy()
            if camera == "cam02" and frame >= 3:  # of frames 1 and 5, as near to 3, the latter is listed first
                moved[:3, 3] += [0.15, -0.1, 0.05]
            shots.append(FisheyeShot(np.linalg.inv(to_first) @ moved, *intrinsics(k)))
        tree.cameras[name, camera] = shots
        paths = [f"{SPLIT[name]}/{name}/exo/{camera}/images/{frame:05d}.jpg" for frame in range(1, count + 1)]
        blank(tree.root, paths, HEIGHT, WIDTH)
        each = np.repeat(np.arange(count), 2)
        tree.people[name, camera] = Truth(
            [paths[f] for f in each],
            np.concatenate([shots[f].joints(joints[[row]]) for row, f in enumerate(each)]),
            np.concatenate([shots[f].points(joints[[row]]) for row, f in enumerate(each)]),
            cast.params.gender,
        )
    write_reconstruction(tree, root, rng, name, glasses=glasses)


def intrinsics(k: int) -> tuple[tuple[float, float], tuple[float, float], Array]:
    """Focal length, principal point and coefficients of the k-th camera."""
    return (600.0 + 5 * k, 604.0 + 3 * k), (641.5 - 2 * k, 355.0 + k), LENS * (1 + 0.1 * k)


def write_fits(folder: Path, params: BodyParams, joints: Array, vertices: Array) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pose = params.body_pose.reshape(len(params), 69)
    for start in range(0, len(params), 2):
        people = {
            who: {
                "global_orient": params.global_orient[row],
                "body_pose": pose[row],
                "transl": params.transl[row],
                "betas": params.betas[row],
                "epoch_loss": 0.02,
                "vertices": vertices[row],
                "joints": joints[row],
            }
            for row, who in enumerate(PEOPLE, start)
        }
        np.save(folder / f"{start // 2 + 1:05d}.npy", np.array(people, object), allow_pickle=True)


def write_points(folder: Path, joints: Array, count: int) -> None:
    """The first ``count`` points of COCO-WholeBody, as far as SMPL has them; the face and fingers it has not."""
    folder.mkdir(parents=True)
    flagged = np.concatenate([joints, np.ones((*joints.shape[:2], 1))], axis=2)
    points, known = keypoints.convert(flagged, "smpl_45", COCO, approximate=True)
    points[..., 3] = 0.9 * known.astype(bool)
    for start in range(0, len(joints), 2):
        people = dict(zip(PEOPLE, points[start : start + 2, :count], strict=True))
        np.save(folder / f"{start // 2 + 1:05d}.npy", np.array(people, object), allow_pickle=True)


def write_reconstruction(tree: Shots, root: Path, rng: np.random.Generator, name: str, *, glasses: bool) -> None:
    """Cameras and registered pictures in the reconstruction's own frame, and what takes it to the world."""
    folder = root / "colmap/workplace"
    folder.mkdir(parents=True)
    to_world = np.eye(4)
    to_world[:3, :3] = SCALE * Rotation.random(random_state=rng).as_matrix()
    to_world[:3, 3] = rng.normal(0, 3, 3)
    if glasses:
        both = {"aria01": to_world, "aria02": to_world @ np.diag([1, 1, 1, 1.0])}
        (folder / "aria_from_colmap_transforms.pkl").write_bytes(pickle.dumps(both))
        both = {who: np.linalg.inv(matrix) for who, matrix in both.items()}
        (folder / "colmap_from_aria_transforms.pkl").write_bytes(pickle.dumps(both))
        blank(tree.root, [f"{SPLIT[name]}/{name}/ego/aria01/images/rgb/00001.jpg"], 1408, 1408)
    else:
        np.save(folder / "scale.npy", to_world)
    lines = []
    pictures = []
    for k, camera in enumerate(CAMERAS[name]):
        focal, centre, lens = intrinsics(k)
        numbers = " ".join(map(repr, [*focal, *centre, *lens.tolist()]))
        lines.append(f"{IDS[camera]} OPENCV_FISHEYE {WIDTH} {HEIGHT} {numbers}")
        frames = (5, 1) if (name, camera) == (GRAPPLING, "cam02") else range(1, FRAMES[name] + 1)
        pictures += [(camera, n, tree.cameras[name, camera][n - 1].pose) for n in frames]
    if glasses:
        lines.insert(1, f"{IDS['aria01']} OPENCV_FISHEYE 1408 1408 610.0 610.0 704.0 704.0 0.1 0.0 0.0 0.0")
        pictures.insert(1, ("aria01", 1, np.eye(4)))
    header = "# Camera list with one line of data per camera:\n#   CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]\n"
    (folder / "cameras.txt").write_text(f"{header}# Number of cameras: {len(lines)}\n" + "\n".join(lines) + "\n")
    text = "# Image list with two lines of data per image:\n#   IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME\n"
    text += f"#   POINTS2D[] as (X, Y, POINT3D_ID)\n# Number of images: {len(pictures)}, mean observations: 1\n"
    for number, (camera, frame, pose) in enumerate(pictures):
        move = np.linalg.inv(pose)
        turn = Rotation.from_matrix(move[:3, :3] @ to_world[:3, :3] / SCALE)
        shift = (move[:3, :3] @ to_world[:3, 3] + move[:3, 3]) / SCALE
        x, y, z, w = turn.as_quat().tolist()
        values = " ".join(map(repr, [w, x, y, z, *shift.tolist()]))
        points = "" if number % 2 else "101.5 92.25 -1 300.0 41.5 17"
        text += f"{number + 1} {values} {IDS[camera]} {camera}/{frame:05d}.jpg\n{points}\n"
    (folder / "images.txt").write_text(text)
    (folder / "points3D.txt").write_text("# 3D point list with one line of data per point:\n")


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what a file holds for each person, which this module has written."""
    content = np.load(path, allow_pickle=True).item()
    change(content)
    np.save(path, np.array(content, object), allow_pickle=True)
