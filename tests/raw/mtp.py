"""An MTP tree with everything that its files hold against a reader."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial.transform import Rotation

from ehps.body.params import BodyParams
from ehps.demo.people import random_people
from ehps.demo.raw import stage
from ehps.demo.raw.ehf import openpose
from ehps.demo.raw.stage import Truth
from ehps.humandata import keypoints
from ehps.humandata.pickles import TORCH, load_pickle
from tests.raw.checks import blank

Array = npt.NDArray[Any]

PEOPLE = (  # name, folder of its subset, height and width of the image, gender
    ("a1_home_p3_s07", "home", 900, 1200, "female"),
    ("b2_park_p4_s08", "park", 1333, 1000, "male"),
    ("c3_home_p5_s07", "home", 777, 613, "female"),
    ("d4_park_p6_s09", "park", 480, 640, "male"),
    ("e5_home_p7_s10", "home", 500, 375, "male"),
)
TRAIN = ["b2_park_p4_s08", "x8_home_p1_s01", "a1_home_p3_s07", "c3_home_p5_s07", "y9_park_p1_s02"]
VAL = ["d4_park_p6_s09"]


@dataclass
class Tree:
    """``truth`` and everything else is in the order of :data:`PEOPLE`."""

    root: Path
    truth: Truth
    params: BodyParams
    coefficients: dict[str, Array]
    focal: Array
    centre: Array
    detections: Array


def write_fixture(root: Path, models: Path, rng: np.random.Generator) -> Tree:
    """Five images of different sizes in two subsets.

    train: b2 (two OpenPose people, the right one second), a1 (jpg; tensors that lay on a GPU), c3 (nobody detected);
    in the list are also x8 without fit and y9 without image. val: d4. e5 is in no list.
    """
    n = len(PEOPLE)
    names, folders, heights, widths, genders = map(np.array, zip(*PEOPLE, strict=True))
    coefficients = {side: rng.normal(0, 0.8, (n, 12)) for side in ("left", "right")}
    params = random_people(n, rng, style="gesturing", gender=genders)
    hands = {f"{side}_hand_pose": hand_poses(models, genders, side, values) for side, values in coefficients.items()}
    rotation = Rotation.from_euler("xyz", rng.normal([12, 0, 3], [4, 5, 3], (n, 3)), degrees=True).as_matrix()
    facing = stage.orientations(rng, n, tilt=5) @ Rotation.from_rotvec(params.global_orient).as_matrix()
    turned = Rotation.from_matrix(rotation.transpose(0, 2, 1) @ facing).as_rotvec()
    params = params.with_(global_orient=turned, transl=np.zeros((n, 3)), **hands)
    raw, vertices = stage.package(models, params)
    fit_width = (widths * 500 / heights).astype(int)
    fit_focal = np.column_stack([rng.uniform(900, 1300, n), rng.uniform(900, 1300, n)])
    scale = heights[:, None] / 500
    focal, centre = fit_focal * scale, np.column_stack([fit_width / 2, np.full(n, 250)]) * scale
    depth = fit_focal.mean(1) * 1.75 / (0.6 * 500)
    pelvis = np.column_stack([rng.uniform(-0.15, 0.15, (n, 2)), depth])
    translation = pelvis - np.einsum("nij,nj->ni", rotation, raw[:, 0])
    joints = stage.moved(raw, rotation, translation)
    points = joints[..., :2] / joints[..., 2:] * focal[:, None] + centre[:, None]
    paths = [
        f"images/{f}/{name}.{'jpg' if i == 0 else 'png'}"
        for i, (name, f) in enumerate(zip(names, folders, strict=True))
    ]
    detected = detections_of(points)
    for k, name in enumerate(names):
        blank(root, [paths[k]], int(heights[k]), int(widths[k]))
        fit = {key: np.float32(value[k : k + 1].reshape(1, -1)) for key, value in params.arrays().items()}
        fit |= {f"{side}_hand_pose": np.float32(values[k : k + 1]) for side, values in coefficients.items()}
        fit |= camera(rotation[k], translation[k], fit_focal[k], int(fit_width[k]))
        fit["vertices"] = np.float32(vertices[k])
        write_fit(root, str(folders[k]), str(name), fit, gpu=k == 0)
        found = [detected[k]] if k != 2 else []
        if k == 1:
            found.insert(0, detected[k] + [0.3 * widths[k], 0, 0])
        path = root / "keypoints/openpose" / str(folders[k]) / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"version": 1.3, "people": [openpose(person) for person in found]}))
    blank(root, ["images/home/x8_home_p1_s01.png"], 500, 400)
    write_fit(root, "park", "y9_park_p1_s02", fit)
    (root / "train_val_split.json").write_text(json.dumps({"train": TRAIN, "val": VAL}))
    (root / "subject_meta.json").write_text(json.dumps(subjects()))
    return Tree(root, Truth(paths, joints, points, genders), params, coefficients, focal, centre, detected)


def subjects() -> dict[str, Any]:
    return {
        name: {"SubjectGender": gender, "SubjectHeightMeter": 1.6 + k / 10, "SubjectWeightKg": 60 + k}
        for k, (name, _, _, _, gender) in enumerate(PEOPLE)
    }


def hand_poses(models: Path, genders: Array, side: str, coefficients: Array) -> Array:
    """(N, 15, 3) sums of the first 12 components, by each row's own model."""
    return np.stack(
        [
            sum(c * component for c, component in zip(row, stage.hand_components(models, gender)[side], strict=False))
            for row, gender in zip(coefficients, genders, strict=True)
        ]
    ).reshape(-1, 15, 3)


def detections_of(points: Array) -> Array:
    """(N, 137, 3) as OpenPose would see the joints, with confidences below 1."""
    seen = np.concatenate([points, np.full((*points.shape[:2], 1), 0.8)], axis=2)
    return keypoints.convert(seen, "smplx", keypoints.point_names("openpose_137", fixed=True), approximate=True)[0]


def camera(rotation: Array, translation: Array, focal: Array, width: int) -> dict[str, Any]:
    fit: dict[str, Any] = {
        "camera_rotation": np.float32(rotation[None]),
        "camera_translation": np.float32(translation[None]),
        "camera_center": torch.tensor([[width / 2, 250.0]]),
    }
    for axis, value in zip("xy", focal, strict=True):
        fit[f"camera_focal_length_{axis}"] = np.array([[value]], np.float32)
        fit[f"focal_length_{axis}"] = torch.nn.Parameter(torch.tensor([[float(value)]]))
    return fit | {f"camera_{angle}": np.zeros((1, 1), np.float32) for angle in ("pitch", "roll", "yaw")}


def write_fit(root: Path, folder: str, name: str, fit: dict[str, Any], *, gpu: bool = False) -> None:
    """As the fitting code writes it; with ``gpu`` its tensors say that they lay on a GPU."""
    path = fit_path(root, folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    where = "cuda:0" if gpu else "cpu"
    with patch("torch.serialization.location_tag", lambda _: where), path.open("wb") as file:
        pickle.dump(fit, file, protocol=2)


def fit_path(root: Path, folder: str, name: str) -> Path:
    return root / "smplify-xmc/smplx/params" / folder / f"{name}.pkl"


def rewrite(path: Path, **changes: Any) -> None:
    """Other members in a fit; None takes one out."""
    fit = load_pickle(path, allow=[TORCH]) | changes
    with path.open("wb") as file:
        pickle.dump({key: value for key, value in fit.items() if value is not None}, file, protocol=2)
