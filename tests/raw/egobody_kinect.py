"""An EgoBody tree as its fixed Kinects saw it, with everything that its recordings hold against a reader."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ehps.converters.base import Rigid
from ehps.demo.people import random_people
from ehps.demo.raw import egobody, stage
from ehps.demo.raw.stage import PaintedView, Truth
from tests.raw.checks import blank
from tests.raw.rig import Shot, around

FIRST, SECOND, TEST = "recording_20210907_S02_S01_01", "recording_20220215_S21_S22_01", "recording_20210929_S05_S06_02"
VIEWS = {"master": 12, "sub_1": 11, "sub_2": 13, "sub_3": 14, "sub_4": 15}
ANGLES = [0.0, 40.0, -35.0, 75.0, -80.0]
ROLES = ("interactee", "camera_wearer")
HEIGHT, WIDTH = 1080, 1920
LENSES = [
    (0.48, -2.63, 0.0005, -0.0002, 1.54, 0.36, -2.45, 1.46),
    (0.51, -2.72, -0.0004, 0.0003, 1.60, 0.39, -2.53, 1.52),
    (0.11, -0.05, 0.0010, 0.0006, 0.01),
    (0.09, -0.06, 0.0008, -0.0007),
    (0.45, -2.55, 0.0003, 0.0001, 1.49, 0.33, -2.37, 1.41),
]


@dataclass
class Kinects:
    """A raw tree, and for each recording the people of each view: frame by frame, the interactee first."""

    root: Path
    people: dict[str, dict[str, Truth]]
    rows: list[tuple[str, str, int, str]]  # of train: recording, view, frame, role
    dropped: dict[str, int]  # of train

    @property
    def train(self) -> Truth:
        """The people that must be found, in the order of the rows."""
        index = [
            self.people[name][view][[2 * (frame % 10) + ROLES.index(role)]] for name, view, frame, role in self.rows
        ]
        return Truth.concat(index)


def write_fixture(root: Path, models: Path, rng: np.random.Generator) -> Kinects:
    """Three recordings, frames 10, 11, .. or 20, 21, ..

    ``FIRST``: 2021, three views; the interactee is body 0, a woman, the wearer a man; 10 is before the first usable
    frame, 11 has no fit of the wearer. ``SECOND``: 2022, five views; the interactee is body 1, a man; in frame 21
    sub_3 has no image; a fit does not name its gender; only the interactee has a fit of 23. ``TEST``: of the split
    test.
    """
    people = {
        name: write_recording(
            root, models, rng, name=name, split=split, interactee=idx, genders=genders, frames=frames, views=views
        )
        for name, split, idx, genders, frames, views in (
            (FIRST, "train", 0, ("female", "male"), range(10, 14), 3),
            (SECOND, "train", 1, ("male", "female"), range(20, 24), 5),
            (TEST, "test", 0, ("male", "female"), range(10, 12), 3),
        )
    }
    fit(root, FIRST, "camera_wearer", 11).unlink()
    info = root / "data_info_release.csv"
    info.write_text(info.read_text().replace(f"10,13,0 female,{FIRST}", f"11,13,0 female,{FIRST}"))
    fit(root, SECOND, "camera_wearer", 23).unlink()
    (root / "kinect_color" / SECOND / "sub_3/frame_00021.jpg").unlink()
    edit_fit(root, SECOND, "camera_wearer", 22, lambda values: values.pop("gender"))
    rows = [(FIRST, view, frame, role) for view in list(VIEWS)[:3] for frame in (12, 13) for role in ROLES]
    rows += [
        (SECOND, view, frame, role)
        for view in VIEWS
        for frame in (20, 21, 22)
        for role in ROLES
        if (view, frame) != ("sub_3", 21)
    ]
    return Kinects(
        root,
        people,
        rows,
        {"outside the usable range of frames": 1, "fit of one person only": 2, "image missing": 2},
    )


def write_recording(
    root: Path,
    models: Path,
    rng: np.random.Generator,
    *,
    name: str,
    split: str,
    interactee: int,
    genders: tuple[str, str],
    frames: range,
    views: int,
) -> dict[str, Truth]:
    """Two people before ``views`` cameras; ``genders`` are of the interactee and the wearer."""
    n = len(frames)
    view = PaintedView(HEIGHT, WIDTH, 910.0)
    place, pelvis = stage.places(rng, [2] * n, view, share=(0.45, 0.5))
    params = random_people(2 * n, rng, style="gesturing", gender=np.tile(genders, n))
    hands = {side: rng.normal(0, 0.4, (2 * n, egobody.HANDS)) for side in ("left", "right")}
    components = [stage.hand_components(models, gender) for gender in np.tile(genders, n)]
    full = {
        f"{side}_hand_pose": np.stack([c @ k[side][: egobody.HANDS] for c, k in zip(value, components, strict=True)])
        for side, value in hands.items()
    }
    params = params.with_(
        betas=np.tile(params.betas[:2], (n, 1)), **{key: value.reshape(-1, 15, 3) for key, value in full.items()}
    )
    facing = stage.orientations(rng, 2 * n, spread=60, tilt=3)
    cast = stage.cast(models, params, Rigid(np.eye(3), np.zeros(3)), place, pelvis, facing)

    found = {}
    for shot, (camera, label) in zip(shots(pelvis), list(VIEWS.items())[:views], strict=False):
        paths = [f"kinect_color/{name}/{camera}/frame_{frame:05d}.jpg" for frame in frames]
        blank(root, paths, HEIGHT, WIDTH)
        found[camera] = Truth(
            [paths[k] for k in place], shot.joints(cast.joints), shot.points(cast.joints), params.gender
        )
        if camera != "master":
            calibration = root / "calibrations" / name / "cal_trans" / f"kinect_{label}to12_color.json"
            egobody.write_matrix(calibration, shot.pose)
    (root / "calibrations" / name).mkdir(parents=True, exist_ok=True)
    _write_lenses(root)
    for row in range(2 * n):
        role, body = ROLES[row % 2], interactee if row % 2 == 0 else 1 - interactee
        results = f"smplx_{role}_{split}/{name}/body_idx_{body}/results/frame_{frames[row // 2]:05d}/000.pkl"
        egobody.write_fit(root / results, cast, row, {side: value[row] for side, value in hands.items()})
    egobody.add_to_lists(root, name, split, interactee, genders[0], frames[0], frames[-1])
    return found


def shots(pelvis: np.ndarray) -> list[Shot]:
    """The cameras, master first, around the people of a recording."""
    poses = around(pelvis.mean(0), ANGLES)
    return [
        Shot(pose, (910.0 + 2 * k, 909.0 - k), (955.5 + 3 * k, 548.0 - 2 * k), np.array(lens))
        for k, (pose, lens) in enumerate(zip(poses, LENSES, strict=True))
    ]


def _write_lenses(root: Path) -> None:
    for camera, shot in zip(VIEWS, shots(np.ones((1, 3))), strict=True):
        path = root / "kinect_cam_params" / f"kinect_{camera}" / "Color.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            json.dumps(
                {"f": shot.focal, "c": shot.centre, "camera_mtx": shot.matrix.tolist(), "k": shot.distortion.tolist()}
            )
        )


def fit(root: Path, recording: str, role: str, frame: int) -> Path:
    (path,) = root.glob(f"smplx_{role}_*/{recording}/body_idx_*/results/frame_{frame:05d}/000.pkl")
    return path


def raw_fit(root: Path, recording: str, role: str, frame: int) -> dict[str, Any]:
    """The content of a fit, which this module has written."""
    content: dict[str, Any] = pickle.loads(fit(root, recording, role, frame).read_bytes())
    return content


def edit_fit(root: Path, recording: str, role: str, frame: int, change: Callable[[dict[str, Any]], object]) -> None:
    content = raw_fit(root, recording, role, frame)
    change(content)
    fit(root, recording, role, frame).write_bytes(pickle.dumps(content))
