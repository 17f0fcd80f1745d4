"""An MPI-INF-3DHP tree: the parsed package with what its page holds against a reader, and two test sequences."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from scipy.io import savemat
from scipy.spatial.transform import Rotation

from ehps.converters.base import Rigid
from ehps.demo.people import random_people
from ehps.demo.raw import stage
from ehps.demo.raw.stage import Cast, PaintedView, Truth
from ehps.humandata.keypoints import point_names
from tests.raw import rig
from tests.raw.checks import blank

Array = npt.NDArray[Any]

SIDE = 1024
WORLD = Rotation.from_euler("xyz", [90, 0, 20], degrees=True).as_matrix()
"""From the frame in which people are placed, y up, to the world of the files, z up."""
CAMERAS = (0, 8)
FRAMES = (0, 3, 4)
WITHOUT_FIT, WITHOUT_JOINTS = (2, 2, 4), (1, 2, 4)
NEAR = (
    "head",
    "neck",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "right_hip",
    "right_knee",
    "right_ankle",
    "left_hip",
    "left_knee",
    "left_ankle",
    "pelvis",
    "spine_2",
    "head",
)
"""The joint of SMPL-X that is at, or nearest to, each of the 17."""
SEQUENCES = {
    "TS1": (2048, 2048, (1500.0, 1494.0), (1017.0, 1043.0)),
    "TS5": (1080, 1920, (1684.0, 1672.0), (940.0, 560.0)),
}
VALID = (1, 0, 1, 1, 0)
ACTIVITY = (1, 2, 2, 7, 7)


@dataclass
class Row:
    """One annotation: whose it is, its box, the person's joints and pixels in its camera."""

    frame: tuple[int, int, int]
    camera: int
    path: str
    bbox: list[float]
    own: Array
    pixels: Array
    truth: Truth
    id: int = 0


@dataclass
class Tree:
    """A raw tree: rows to be found in their order; joints (F, 17, 3) metres and pixels (F, 17, 2) of test sequences."""

    root: Path
    rows: list[Row]
    test: dict[str, tuple[Array, Array]] = field(default_factory=dict)

    @property
    def truth(self) -> Truth:
        return Truth.concat([row.truth for row in self.rows])


@dataclass
class People:
    """A cast of which single people can be taken."""

    cast: Cast

    def __getitem__(self, rows: list[int]) -> Cast:
        c = self.cast
        move = Rigid(c.move.rotation[rows], c.move.translation[rows])
        return Cast(c.params[rows], move, np.zeros(len(rows), int), c.joints[rows], c.vertices[rows])


def captured(joints: Array) -> Array:
    """(N, 17, 3) at those of SMPL-X, but for the top of the head."""
    smplx = point_names("smplx")
    points = joints[:, [smplx.index(name) for name in NEAR]].copy()
    points[:, 0] += 0.5 * (points[:, 0] - points[:, 1])
    return points


def write_fixture(root: Path, models: Path, rng: np.random.Generator, *, painted: bool = False) -> Tree:
    """Twelve frames before two cameras each, annotations shuffled; a frame without fit, one without joints, a box that
    leaves its image and one outside of it."""
    keys = [(s, q, f) for s in (1, 2) for q in (1, 2) for f in FRAMES]
    people = _people(models, rng, len(keys))
    rows, images = [], []
    for n, (key, (shots, cast)) in enumerate(
        zip(keys, ((_rig(k), people[[i]]) for i, k in enumerate(keys)), strict=True)
    ):
        for k, shot in enumerate(shots):
            name = f"s{key[0]}q{key[1]}_{CAMERAS[k]}_{key[2] + 1:06d}.jpg"
            rows.append(_row(key, CAMERAS[k], name, shot, cast))
            images.append(
                {
                    "id": 7 + 2 * n + k,
                    "file_name": name,
                    "width": SIDE,
                    "height": SIDE,
                    "subject_idx": key[0],
                    "seq_idx": key[1],
                    "cam_idx": CAMERAS[k],
                    "frame_idx": key[2],
                }
            )
            path = f"data/{rows[-1].path}"
            if painted:
                view = PaintedView(SIDE, SIDE, shot.focal[0], shot.centre)
                move = np.linalg.inv(shot.pose)
                seen = Cast(
                    cast.params,
                    cast.move,
                    np.zeros(1, int),
                    rows[-1].truth.joints,
                    stage.moved(cast.vertices, move[None, :3, :3], move[None, :3, 3]),
                )
                stage.paint(root, [path], seen, view, models, rng, scene="studio")
            else:
                blank(root, [path], SIDE, SIDE)
    rows[2].bbox[0], rows[2].bbox[2] = -30.0, rows[2].bbox[2] + rows[2].bbox[0] + 30
    rows[5].bbox = [1100.0, 10.0, 50.0, 60.0]
    order = rng.permutation(len(rows))
    annotations = []
    for k in order.tolist():
        rows[k].id = 500 + k
        annotations.append({"id": rows[k].id, "image_id": images[k]["id"], "bbox": rows[k].bbox})
    data = root / "data"
    _dump(data / "MPI-INF-3DHP_1k.json", {"images": images, "annotations": annotations})
    _dump(data / "MPI-INF-3DHP_camera_1k.json", _cameras())
    _dump(
        data / "MPI-INF-3DHP_joint_3d.json",
        _tree(
            {
                k: (1000 * captured(people[[i]].joints)[0] @ WORLD.T).tolist()
                for i, k in enumerate(keys)
                if k != WITHOUT_JOINTS
            }
        ),
    )
    _dump(
        data / "MPI-INF-3DHP_SMPLX_NeuralAnnot.json",
        _tree({k: _fit(people, i) for i, k in enumerate(keys) if k != WITHOUT_FIT}),
    )
    kept = [rows[k] for k in order if rows[k].frame not in (WITHOUT_FIT, WITHOUT_JOINTS) and k != 5]
    return Tree(root, kept, write_test_set(root, people))


def _people(models: Path, rng: np.random.Generator, n: int) -> People:
    params = random_people(n, rng, style="walking").with_(gender=np.full(n, "neutral", object))
    none = {f"{side}_hand_pose": np.zeros((n, 15, 3)) for side in ("left", "right")}
    none |= {name: np.zeros((n, 3)) for name in ("jaw_pose", "leye_pose", "reye_pose")}
    params = params.with_(**none, expression=np.zeros((n, 10)), flat_hand_mean=False)
    pelvis = np.array([0.1, 0.15, 4.2]) + rng.uniform(-0.15, 0.15, (n, 3))
    facing = stage.orientations(rng, n, spread=60, tilt=4)
    whole = stage.cast(models, params, Rigid(WORLD.T, np.zeros(3)), np.arange(n), pelvis, facing)
    return People(whole)


def _rig(key: tuple[int, int, int]) -> list[rig.Shot]:
    """The two cameras of a sequence: each with its own focal length."""
    subject, seq, _ = key
    poses = rig.around(np.array([0.1, 0.15, 4.2]), [25.0 + 10 * subject, -70.0 - 5 * seq])
    return [
        rig.Shot(pose, (745.0 + 20 * k + subject, 747.0 + 20 * k), (510.0 + k, 521.0 - 2 * seq), np.zeros(5))
        for k, pose in enumerate(poses)
    ]


def _row(key: tuple[int, int, int], camera: int, name: str, shot: rig.Shot, cast: Cast) -> Row:
    path = f"images_1k/S{key[0]}/Seq{key[1]}/imageSequence/{name}"
    joints = cast.joints
    truth = Truth([f"data/{path}"], shot.joints(joints), shot.points(joints), cast.params.gender)
    surface = shot.points(cast.vertices)[0]
    low, high = surface.min(0), surface.max(0)
    own = captured(joints)
    return Row(
        key, camera, path, [*low.tolist(), *(high - low).tolist()], shot.joints(own)[0], shot.points(own)[0], truth
    )


def _cameras() -> dict[str, Any]:
    out: dict[str, Any] = {}
    for subject in (1, 2):
        for seq in (1, 2):
            for camera, shot in zip(CAMERAS, _rig((subject, seq, 0)), strict=True):
                move = np.linalg.inv(shot.pose)
                out.setdefault(str(subject), {}).setdefault(str(seq), {})[str(camera)] = {
                    "R": (move[:3, :3] @ WORLD.T).tolist(),
                    "t": (1000 * move[:3, 3]).tolist(),
                    "focal": list(shot.focal),
                    "princpt": list(shot.centre),
                }
    return out


def _fit(people: People, i: int) -> dict[str, Any]:
    p = people.cast.params[[i]]
    return {
        "root_pose": p.global_orient.tolist(),
        "body_pose": p.body_pose.reshape(1, 63).tolist(),
        "shape": p.betas[0].tolist(),
        "trans": p.transl.tolist(),
    }


def _tree(leaves: dict[tuple[int, int, int], Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for (subject, seq, frame), value in leaves.items():
        out.setdefault(str(subject), {}).setdefault(str(seq), {})[str(frame)] = value
    return out


def _dump(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_test_set(root: Path, people: People) -> dict[str, tuple[Array, Array]]:
    """TS1 as HDF5 behind MATLAB's 512 bytes, TS5 in MATLAB's older format; two of five frames are not valid."""
    out = {}
    for k, (name, (height, width, focal, centre)) in enumerate(SEQUENCES.items()):
        joints = captured(people[list(range(5 * k, 5 * k + 5))].joints)
        pixels = joints[..., :2] / joints[..., 2:] * focal + centre
        folder = root / "mpi_inf_3dhp_test_set" / name
        arrays = {
            "annot2": pixels[:, None],
            "annot3": 1000 * joints[:, None],
            "univ_annot3": 920 * joints[:, None],
            "valid_frame": np.array(VALID, float)[:, None],
            "activity_annotation": np.array(ACTIVITY, float)[:, None],
        }
        blank(folder, [f"imageSequence/img_{n + 1:06d}.jpg" for n in range(5)], height, width)
        if name == "TS1":
            with h5py.File(folder / "annot_data.mat", "w", userblock_size=512) as file:
                for key, value in arrays.items():
                    file[key] = value
        else:
            savemat(folder / "annot_data.mat", {key: value.T for key, value in arrays.items()})
        out[name] = joints, pixels
    return out


# -- the original training release ---------------------------------------------------------------------------


@dataclass
class Filmed:
    """A sequence of the original release: of each camera (F, 28, 2) pixels, (F, 28, 3) mm in its frame; lenses."""

    points: list[Array]
    joints: list[Array]
    focal: list[tuple[float, float]]
    centre: list[tuple[float, float]]


def write_original(root: Path, rng: np.random.Generator, frames: int = 5) -> Filmed:
    """S1/Seq1 with 14 cameras, without videos."""
    folder = root / "S1/Seq1"
    folder.mkdir(parents=True)
    made = Filmed([], [], [], [])
    lines = ["Skeletool Camera Calibration File V1.0"]
    for camera in range(14):
        joints = rng.normal([0, 0, 4000], 300, (frames, 28, 3))
        focal, centre = (1490.0 + camera, 1491.5 + camera), (1020.25 + camera, 1045.5 - camera)
        made.points.append(joints[..., :2] / joints[..., 2:] * focal + centre)
        made.joints.append(joints)
        made.focal.append(focal)
        made.centre.append(centre)
        matrix = np.diag([*focal, 1.0, 1.0])
        matrix[:2, 2] = centre
        lines += [f"name          {camera}", "  sensor      10 10", "  size        2048 2048", "  animated    0"]
        lines += [f"  intrinsic   {_words(matrix)}", f"  extrinsic   {_words(np.eye(4))}", "  radial      0"]
    (folder / "camera.calibration").write_text("\n".join(lines) + "\n")
    cells = {name: np.empty((14, 1), object) for name in ("annot2", "annot3", "univ_annot3")}
    for camera in range(14):
        cells["annot2"][camera, 0] = made.points[camera].reshape(frames, -1)
        cells["annot3"][camera, 0] = made.joints[camera].reshape(frames, -1)
        cells["univ_annot3"][camera, 0] = 0.92 * made.joints[camera].reshape(frames, -1)
    savemat(folder / "annot.mat", cells)
    return made


def _words(matrix: Array) -> str:
    return " ".join(map(repr, matrix.ravel().tolist()))
