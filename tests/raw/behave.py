"""A BEHAVE tree with everything that its sequences hold against a reader."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ehps.body.params import BodyParams
from ehps.converters.base import Rigid
from ehps.demo.people import random_people
from ehps.demo.raw import stage
from ehps.demo.raw.stage import PaintedView, Truth
from ehps.humandata import keypoints
from tests.raw.checks import blank
from tests.raw.rig import Shot, around

Array = npt.NDArray[Any]

MAN, WOMAN, TEST, LOST = (
    "Date01_Sub02_boxlong",
    "Date04_Sub07_chairwood_sit",
    "Date03_Sub03_yogamat",
    "Date02_Sub01_lost",
)
TIMES = {MAN: ("t0003.000", "t0004.000", "t0005.000"), WOMAN: ("t0005.000", "t0006.000"), TEST: ("t0003.000",)}
KINECTS = {MAN: (0, 1, 2, 3), WOMAN: (0, 1, 2), TEST: (0, 1, 2, 3)}
GENDER = {MAN: "male", WOMAN: "female", TEST: "male"}
HEIGHT, WIDTH = 1536, 2048
ANGLES = {"Date01": [-70.0, 0.0, 65.0, 140.0], "Date04": [-60.0, 0.0, 75.0, 150.0], "Date03": [-80.0, 0.0, 70.0, 130.0]}
MIDDLE = np.array([0.05, 0.1, 2.6])
OPENPOSE = keypoints.point_names("openpose_137", fixed=True)
POINTS = (*keypoints.point_names("openpose_25"), *OPENPOSE[26:46], *OPENPOSE[47:])
PARTS = {"body_joints": (0, 25), "left_hand_joints": (25, 46), "right_hand_joints": (46, 67), "face_joints": (67, 137)}


@dataclass
class Sequences:
    """A raw tree, and for each sequence the people of each Kinect, time step by time step."""

    root: Path
    people: dict[str, dict[int, Truth]]
    params: dict[str, BodyParams]  # in the world
    rows: list[tuple[str, str, int]]  # of train: sequence, time step, Kinect
    dropped: dict[str, int]  # of train

    @property
    def train(self) -> Truth:
        return self.truth(self.rows)

    def truth(self, rows: list[tuple[str, str, int]]) -> Truth:
        """The people that must be found, in the order of the rows."""
        return Truth.concat([self.people[name][kinect][[TIMES[name].index(time)]] for name, time, kinect in rows])


def write_fixture(root: Path, models: Path, rng: np.random.Generator) -> Sequences:
    """Four sequences, one not on disk.

    ``MAN``: four Kinects, three time steps: the second has no fit, the third no image of Kinect 2; in the first
    Kinect 3 found no hands and is unsure of the face. ``WOMAN``: three Kinects; her gender is in the subject's number
    only; Kinect 0 has no detections of t0006; her own 3D points lack the left wrist, and are not there in t0006.
    ``TEST``: of the split test.
    """
    people, params = {}, {}
    for name in TIMES:
        people[name], params[name] = write_sequence(root, models, rng, name)
    (root / "split.json").write_text(json.dumps({"train": [MAN, LOST, WOMAN], "test": [TEST]}))
    fit(root, MAN, "t0004.000").unlink()
    (root / people[MAN][2].image_path[2]).unlink()
    edit(root / "sequences" / MAN / "t0003.000/k3.color.json", _without_hands)
    edit(root / "sequences" / WOMAN / "info.json", lambda info: info.pop("gender"))
    (root / "sequences" / WOMAN / "t0006.000/k0.color.json").unlink()
    (root / "sequences" / WOMAN / "t0006.000/person/person_J3d.json").unlink()
    edit(
        root / "sequences" / WOMAN / "t0005.000/person/person_J3d.json",
        lambda joints: joints["body_joints3d"].__setitem__(slice(28, 32), [0.0] * 4),
    )
    (root / "sequences" / MAN / "times.txt").write_text("t0003.000")
    (root / "sequences" / MAN / "t0003.json").write_text("{}")
    rows = [(MAN, "t0003.000", k) for k in range(4)] + [(MAN, "t0005.000", k) for k in (0, 1, 3)]
    rows += [(WOMAN, time, k) for time in TIMES[WOMAN] for k in range(3)]
    dropped = {"no SMPL-H fit": len(KINECTS[MAN]), "image missing": 1}
    return Sequences(root, people, params, rows, dropped)


def write_sequence(
    root: Path, models: Path, rng: np.random.Generator, name: str
) -> tuple[dict[int, Truth], BodyParams]:
    """One person before the Kinects of a date."""
    times, gender = TIMES[name], GENDER[name]
    n = len(times)
    params = random_people(n, rng, style="sports", model_type="smplh", gender=gender, flat_hand_mean=True)
    params = params.with_(betas=np.repeat(params.betas[:1], n, axis=0))
    view = PaintedView(HEIGHT, WIDTH, 980.0)
    place, pelvis = stage.places(rng, [1] * n, view, share=(0.45, 0.5))
    pelvis = MIDDLE + rng.normal(0, 0.15, pelvis.shape)
    facing = stage.orientations(rng, n, spread=90, tilt=3)
    cast = stage.cast(models, params, Rigid(np.eye(3), np.zeros(3)), place, pelvis, facing)
    found = {}
    for kinect in KINECTS[name]:
        shot = write_camera(root, name[:6], kinect)
        paths = [f"sequences/{name}/{time}/k{kinect}.color.jpg" for time in times]
        blank(root, paths, HEIGHT, WIDTH)
        found[kinect] = Truth(paths, shot.joints(cast.joints), shot.points(cast.joints), cast.params.gender)
        for path, points in zip(paths, found[kinect].points, strict=True):
            write_detections(root / path.replace(".jpg", ".json"), points)
    folder = root / "sequences" / name
    (folder / "info.json").write_text(
        json.dumps(
            {
                "gender": gender,
                "cat": name.split("_")[2],
                "kinects": list(KINECTS[name]),
                "beta": None,
                "config": f"../../calibs/{name[:6]}/config",
                "intrinsic": "../../calibs/intrinsics",
            }
        )
    )
    arrays = cast.params.arrays()
    pose = np.concatenate(
        [arrays[part].reshape(n, -1) for part in ("global_orient", "body_pose", "left_hand_pose", "right_hand_pose")],
        axis=1,
    )
    for k, time in enumerate(times):
        stored = fit(root, name, time)
        stored.parent.mkdir(parents=True)
        content = {"pose": pose[k], "betas": arrays["betas"][k], "trans": arrays["transl"][k], "score": 0.1}
        stored.write_bytes(pickle.dumps(content))
        own, known = keypoints.convert(
            np.concatenate([cast.joints[k], np.ones((len(cast.joints[k]), 1))], -1)[None],
            "smplh_73",
            POINTS[:25],
            approximate=True,
        )
        own = own[0] * known.astype(bool)[:, None]
        (folder / time / "person/person_J3d.json").write_text(json.dumps({"body_joints3d": own.ravel().tolist()}))
    return found, cast.params


def write_camera(root: Path, date: str, kinect: int) -> Shot:
    """A Kinect on a day; its lens is that of all days."""
    shot = Shot(
        around(MIDDLE, ANGLES[date])[kinect],
        (979.0 + kinect, 978.5 - kinect),
        (1018.0 + kinect, 779.5 - 2 * kinect),
        np.array([0.50 + 0.01 * kinect, -2.64, 0.0006, -0.0003, 1.55, 0.38, -2.46, 1.47]),
    )
    lens = root / "calibs/intrinsics" / str(kinect) / "calibration.json"
    config = root / "calibs" / date / "config" / str(kinect) / "config.json"
    for path in (lens, config):
        path.parent.mkdir(parents=True, exist_ok=True)
    opencv = [*shot.focal, *shot.centre, *shot.distortion.tolist()]
    names = ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
    colour = dict(zip(names, opencv, strict=True)) | {"opencv": opencv, "width": WIDTH, "height": HEIGHT}
    lens.write_text(json.dumps({"color": colour, "depth": {"opencv": [500.0] * 12}}))
    config.write_text(
        json.dumps({"rotation": shot.pose[:3, :3].ravel().tolist(), "translation": shot.pose[:3, 3].tolist()})
    )
    return shot


def write_detections(path: Path, points: Array) -> None:
    """What OpenPose finds of SMPL-H joints (73, 2); no face."""
    full = np.concatenate([points, np.full((len(points), 1), 0.8)], -1)[None]
    found, known = keypoints.convert(full, "smplh_73", POINTS, approximate=True)
    found = found[0] * known.astype(bool)[:, None]
    # Hands have a wrist of their own before their fingers.
    found = np.insert(found, [25, 45], found[[7, 4]] + [5, 5, 0], axis=0)
    path.write_text(json.dumps({part: found[a:b].ravel().tolist() for part, (a, b) in PARTS.items()}))


def write_30fps(root: Path, name: str, params: BodyParams) -> tuple[str, ...]:
    """The parameters of a sequence at 30 fps, its time steps 33 ms apart, and the images of Kinect 1; their times."""
    folder = root / "behave-30fps-params-v1" / name
    folder.mkdir(parents=True)
    times = tuple(f"t0003.{milliseconds:03d}" for milliseconds in (0, 33, 67)[: len(params)])
    arrays = params.arrays()
    poses = np.concatenate(
        [
            arrays[part].reshape(len(params), -1)
            for part in ("global_orient", "body_pose", "left_hand_pose", "right_hand_pose")
        ],
        axis=1,
    )
    np.savez(
        folder / "smpl_fit_all.npz",
        poses=poses,
        betas=arrays["betas"],
        trans=arrays["transl"],
        frame_times=np.array(times),
        gender=GENDER[name],
    )
    (folder / "info.json").write_text(json.dumps({"gender": GENDER[name], "cat": "boxlong", "kinects": [0, 1, 2, 3]}))
    blank(root, [f"sequences/{name}/{time}/k1.color.jpg" for time in times], HEIGHT, WIDTH)
    return times


def _without_hands(found: dict[str, list[float]]) -> None:
    found["left_hand_joints"] = [0.0] * 63
    found["right_hand_joints"] = [900.0, 40.0, 1e-4] * 21
    found["face_joints"] = [1200.0, 30.0, 2e-4] * 70


def fit(root: Path, sequence: str, time: str) -> Path:
    return root / "sequences" / sequence / time / "person/fit02/person_fit.pkl"


def raw_fit(root: Path, sequence: str, time: str) -> dict[str, Any]:
    """The content of a fit, which this module has written."""
    content: dict[str, Any] = pickle.loads(fit(root, sequence, time).read_bytes())
    return content


def edit_fit(root: Path, sequence: str, time: str, change: Callable[[dict[str, Any]], object]) -> None:
    content = raw_fit(root, sequence, time)
    change(content)
    fit(root, sequence, time).write_bytes(pickle.dumps(content))


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the content of a json file."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
