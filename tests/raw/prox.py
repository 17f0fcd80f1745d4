"""A PROX tree with everything that its recordings hold against a reader."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ehps.body.params import BodyParams
from ehps.converters.base import Rigid
from ehps.demo.people import random_people
from ehps.demo.raw import stage
from ehps.demo.raw.ehf import openpose
from ehps.demo.raw.stage import Truth
from ehps.humandata import keypoints
from tests.raw.mtp import detections_of, hand_poses

Array = npt.NDArray[Any]

HEIGHT, WIDTH = 1080, 1920
FOCAL = np.array([1060.531764702488, 1060.3856705041237])
CENTRE = np.array([951.2999547224418, 536.7703598373467])
MAN, WOMAN, YOUNG = "N3OpenArea_00157_01", "N0Sofa_03403_01", "N0SittingBooth_00159_02"
GENDER = {MAN: "male", WOMAN: "female", YOUNG: "female"}
FRAMES = {MAN: 4, WOMAN: 3, YOUNG: 2}
LEFT, RIGHT = (40, 220, 40), (40, 40, 220)  # colours, in OpenCV's order, of the wrists
SMPLX = keypoints.point_names("smplx")
WRISTS = {"left_wrist": LEFT, "right_wrist": RIGHT}


@dataclass
class Tree:
    """``truth``: the rows that must be found, in their order. ``people``, ``detections``: of all frames of each
    recording, the points in the image that the fits were made in."""

    root: Path
    truth: Truth
    people: dict[str, BodyParams]
    coefficients: dict[str, dict[str, Array]]
    detections: dict[str, Array]
    dropped: dict[str, int]


def frame(k: int) -> str:
    return f"s001_frame_{k + 1:05d}__00.00.{k:02d}.033"


def write_fixture(root: Path, models: Path, rng: np.random.Generator) -> Tree:
    """Three recordings in three rooms; images as the Kinect delivers them, mirrored.

    ``MAN``: in frame 1 nobody is detected and there is no fit; strays in his images. ``WOMAN``: frame 1's fit is
    no number; points detected in the mirrored images. ``YOUNG``: shape called beta in frame 0; frame 1 lacks its
    image. LEMO's refits, of the man alone, have another shape.
    """
    truth, people, coefficients, detections = {}, {}, {}, {}
    for name, count in FRAMES.items():
        params, hands, joints = _act(models, rng, name, count)
        points = joints[..., :2] / joints[..., 2:] * FOCAL + CENTRE
        paths = [f"mirrored/recordings/{name}/Color/{frame(k)}.jpg" for k in range(count)]
        truth[name] = Truth(paths, joints, points, params.gender)
        people[name], coefficients[name], detections[name] = params, hands, detections_of(points)
        for k in range(count):
            _write_fit(fit(root, name, k), params[k : k + 1], {side: c[k : k + 1] for side, c in hands.items()})
            found = mirrored_detections(detections[name]) if name == WOMAN else detections[name]
            write_points(root, name, k, [openpose(found[k]), openpose(found[k] * 0.5)])
            write_image(image_file(root, name, k), points[k], rng)
    for k in range(FRAMES[MAN]):
        other = people[MAN][k : k + 1]
        other = other.with_(betas=other.betas * 0.5)
        _write_fit(fit(root, MAN, k, "PROXD_temp"), other, {s: c[k : k + 1] for s, c in coefficients[MAN].items()})
    fit(root, MAN, 1).unlink()
    fit(root, MAN, 1, "PROXD_temp").unlink()
    write_points(root, MAN, 1, [])
    for stray in ("Thumbs.db", "._s001_frame_00001__00.00.00.033.jpg"):
        (root / f"recordings/{MAN}/Color" / stray).write_bytes(b"stray")
    edit_fit(root, WOMAN, 1, lambda values: values["body_pose"].__setitem__((0, 7), np.nan))
    edit_fit(root, YOUNG, 0, lambda values: values.update(beta=values.pop("betas")))
    image_file(root, YOUNG, 1).unlink()
    (root / "recordings/readme.txt").write_text("stray")
    (root / "calibration").mkdir()
    matrix = [[FOCAL[0], 0, CENTRE[0]], [0, FOCAL[1], CENTRE[1]], [0, 0, 1]]
    content = {"f": FOCAL.tolist(), "c": CENTRE.tolist(), "camera_mtx": matrix, "k": [0.05, -0.1, 0, 0, 0.04]}
    (root / "calibration/Color.json").write_text(json.dumps(content))
    rows = Truth.concat([truth[YOUNG][[0]], truth[WOMAN][[0, 2]], truth[MAN][[0, 2, 3]]])
    dropped = {"no SMPL-X fit": 1, "image missing": 1, "body parameters not finite": 1}
    return Tree(root, rows, people, coefficients, detections, dropped)


ROWS = [(YOUNG, 0), (WOMAN, 0), (WOMAN, 2), (MAN, 0), (MAN, 2), (MAN, 3)]


def _act(models: Path, rng: np.random.Generator, name: str, count: int) -> tuple[BodyParams, dict[str, Array], Array]:
    """One person before the Kinect, aside of its axis: parameters, hand coefficients, joints (N, J, 3)."""
    params = random_people(count, rng, style="gesturing", gender=GENDER[name])
    hands = {side: rng.normal(0, 0.5, (count, 12)) for side in ("left", "right")}
    poses = {f"{s}_hand_pose": hand_poses(models, params.gender, s, values) for s, values in hands.items()}
    params = params.with_(betas=np.repeat(params.betas[:1], count, axis=0), **poses)
    side = -1 if name == MAN else 1
    pelvis = np.column_stack([side * rng.uniform(0.5, 0.9, count), rng.uniform(-0.1, 0.1, count), np.full(count, 3.1)])
    facing = stage.orientations(rng, count, tilt=10, spread=20)
    cast = stage.cast(models, params, Rigid(np.eye(3), np.zeros(3)), np.arange(count), pelvis, facing)
    return cast.params, hands, cast.joints


def mirrored_detections(points: Array) -> Array:
    """(N, 137, 3) what a detector finds of the same people in mirrored images: hands change their names."""
    order = keypoints.flip_order(keypoints.point_names("openpose_137", fixed=True))
    out = points[:, order].copy()
    out[..., 0] = np.where(out[..., 2] > 0, WIDTH - 1 - out[..., 0], 0)
    return out


def write_image(path: Path, points: Array, rng: np.random.Generator) -> None:
    """The wrists as discs, and a frieze of random blocks above, then mirrored."""
    seen = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    seen[:64] = np.kron(rng.integers(60, 180, (8, WIDTH // 8, 1)), np.ones((8, 8, 3))).astype(np.uint8)
    for name, colour in WRISTS.items():
        x, y = np.rint(points[SMPLX.index(name)]).astype(int)
        cv2.circle(seen, (int(x), int(y)), 9, colour, -1)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.ascontiguousarray(seen[:, ::-1]))


def image_file(root: Path, recording: str, k: int) -> Path:
    return root / f"recordings/{recording}/Color/{frame(k)}.jpg"


def fit(root: Path, recording: str, k: int, folder: str = "PROXD") -> Path:
    return root / folder / recording / "results" / frame(k) / "000.pkl"


def points_path(root: Path, recording: str, k: int) -> Path:
    return root / "keypoints" / recording / f"{frame(k)}_keypoints.json"


def write_points(root: Path, recording: str, k: int, people: list[dict[str, list[float]]]) -> None:
    path = points_path(root, recording, k)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": 1.1, "people": people}))


def _write_fit(path: Path, params: BodyParams, hands: dict[str, Array]) -> None:
    """One frame's fit as the fitting code leaves it: protocol 2, float32, a leading 1."""
    values: dict[str, Any] = {key: np.float32(value.reshape(1, -1)) for key, value in params.arrays().items()}
    values |= {f"{side}_hand_pose": np.float32(value) for side, value in hands.items()}
    values |= {
        "pose_embedding": np.zeros((1, 32), np.float32),
        "camera_rotation": np.eye(3, dtype=np.float32)[None],
        "camera_translation": np.zeros((1, 3), np.float32),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(values, 2))


def read_fit(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = pickle.loads(path.read_bytes())
    return content


def edit_fit(root: Path, recording: str, k: int, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the content of a fit, which this module has written."""
    path = fit(root, recording, k)
    content = read_fit(path)
    change(content)
    path.write_bytes(pickle.dumps(content, 2))
