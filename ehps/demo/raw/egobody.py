"""A small EgoBody EgoSet tree: recordings with a moving head-mounted camera, fits in the Kinect's frame."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from ehps.converters.base import Rigid
from ehps.demo.people import random_people
from ehps.demo.raw import stage
from ehps.demo.raw.stage import FRONT, Look, PaintedView, Truth
from ehps.humandata import keypoints

DATE = "2021-09-07-155421"
HANDS = 12


def write(
    root: Path,
    models: Path,
    rng: np.random.Generator,
    *,
    look: Look,
    images: int,
    split: str = "train",
    recording: str = "recording_20210907_S02_S01_01",
    interactee: int = 0,
    gender: str = "female",
    view: PaintedView | None = None,
    first: int = 100,
    painted: bool = True,
) -> Truth:
    """Write one recording of ``images`` frames and add it to the two csv files.

    The focal length changes from frame to frame; hand poses are the first 12 PCA coefficients.
    """
    view = view or PaintedView(540, 960, 760.0)
    image, pelvis = stage.places(rng, [1] * images, view, share=look.share)
    params = random_people(images, rng, style=look.style, gender=gender)
    components = stage.hand_components(models, gender)
    coefficients = {side: rng.normal(0, 0.4, (images, HANDS)) for side in ("left", "right")}
    params = params.with_(
        betas=np.repeat(params.betas[:1], images, axis=0),
        left_hand_pose=(coefficients["left"] @ components["left"][:HANDS]).reshape(-1, 15, 3),
        right_hand_pose=(coefficients["right"] @ components["right"][:HANDS]).reshape(-1, 15, 3),
    )
    pv2world = np.tile(np.eye(4), (images, 1, 1))
    turns = np.column_stack([np.linspace(-25, 25, images), np.full(images, -look.tilt), rng.normal(0, 2, images)])
    pv2world[:, :3, :3] = Rotation.from_euler("yxz", turns, degrees=True).as_matrix()
    pv2world[:, :3, 3] = rng.normal(0, 0.3, (images, 3))
    holo2kinect = np.eye(4)
    holo2kinect[:3, :3] = Rotation.from_euler("xyz", [170, 25, -4], degrees=True).as_matrix()
    holo2kinect[:3, 3] = [0.4, -0.2, 2.1]
    flip = np.eye(4)
    flip[:3, :3] = FRONT
    moves = flip @ np.linalg.inv(pv2world) @ np.linalg.inv(holo2kinect)
    facing = stage.orientations(rng, images, yaw=look.yaw, spread=look.spread, tilt=look.tilt)
    cast = stage.cast(models, params, Rigid(moves[:, :3, :3], moves[:, :3, 3]), image, pelvis, facing)

    focal = view.focal * (1 + 0.03 * np.sin(np.arange(images)))[:, None] * [1, 1.002]
    frames = first + 2 * np.arange(images)
    stamps = [f"1327548{frame:011d}" for frame in frames]
    names = [f"{stamp}_frame_{frame:05d}.jpg" for stamp, frame in zip(stamps, frames, strict=True)]
    folder = f"egocentric_color/{recording}/{DATE}"
    paths = [f"{folder}/PV/{name}" for name in names]
    points = cast.joints[..., :2] / cast.joints[..., 2:] * focal[:, None] + view.principal_point
    truth = Truth(paths, cast.joints, points, cast.params.gender)

    body25, found = keypoints.convert(
        np.concatenate([points, np.ones((*points.shape[:2], 1))], -1), "smplx", "openpose_25", approximate=True
    )
    body25[..., 2] *= found * 0.9
    (root / folder / "PV").mkdir(parents=True, exist_ok=True)
    cx, cy = view.principal_point
    lines = [f"{cx},{cy},{view.width},{view.height}"]
    lines += [
        ",".join([stamp, *(f"{v:.6f}" for v in f), *(f"{v:.10f}" for v in pose.ravel())])
        for stamp, f, pose in zip(stamps, focal, pv2world, strict=True)
    ]
    (root / folder / f"{DATE}_pv.txt").write_text("\n".join(lines) + "\n")
    shuffled = rng.permutation(images)
    np.savez(
        root / folder / "keypoints.npz",
        imgname=np.array(paths)[shuffled],
        center=points.mean(1)[shuffled],
        scale=np.ptp(points[..., 1], axis=1)[shuffled] / 200,
        keypoints=body25[shuffled],
        gender=np.array([gender] * images),
    )
    np.savez(root / folder / "valid_frame.npz", imgname=np.array(paths), valid=np.ones(images, bool))
    write_matrix(root / "calibrations" / recording / "cal_trans" / "holo_to_kinect12.json", holo2kinect)
    for k, frame in enumerate(frames):
        results = f"smplx_interactee_{split}/{recording}/body_idx_{interactee}/results/frame_{frame:05d}/000.pkl"
        write_fit(root / results, cast, k, {side: values[k] for side, values in coefficients.items()})
    add_to_lists(root, recording, split, interactee, gender, int(frames[0]), int(frames[-1]))
    if painted:
        for k, path in enumerate(paths):
            own = PaintedView(view.height, view.width, float(focal[k].mean()), (float(cx), float(cy)))
            stage.paint(root, [path], cast.only(k), own, models, rng, scene=look.scene)
    return truth


def write_matrix(path: Path, matrix: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"trans": matrix.tolist()}))


def write_fit(path: Path, cast: stage.Cast, k: int, hands: dict[str, np.ndarray]) -> None:
    """One frame's fit: float32 arrays with a leading 1, and left-overs of the fitting code."""
    names = ("betas", "global_orient", "transl", "body_pose", "jaw_pose", "leye_pose", "reye_pose", "expression")
    arrays = cast.params.arrays()
    fit: dict[str, object] = {name: arrays[name][k].reshape(1, -1).astype(np.float32) for name in names}
    fit |= {f"{side}_hand_pose": value[None].astype(np.float32) for side, value in hands.items()}
    fit |= {
        "pose_embedding": np.zeros((1, 32), np.float32),
        "camera_rotation": np.eye(3, dtype=np.float32)[None],
        "camera_translation": np.zeros((1, 3), np.float32),
        "gender": str(cast.params.gender[k]),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(fit))


def add_to_lists(root: Path, recording: str, split: str, interactee: int, gender: str, start: int, end: int) -> None:
    """Append to ``data_info_release.csv`` and to the split's column of ``data_splits.csv``."""
    info = root / "data_info_release.csv"
    if not info.exists():
        info.write_text("scene_name,body_idx_0,body_idx_1,start_frame,end_frame,body_idx_fpv,recording_name\n")
    other = "male" if gender == "female" else "female"
    bodies = [f"{i} {gender if i == interactee else other}" for i in (0, 1)]
    with info.open("a") as file:
        file.write(f"seminar_g110,{','.join(bodies)},{start},{end},{interactee} {gender},{recording}\n")
    splits = root / "data_splits.csv"
    columns: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    if splits.exists():
        rows = [line.split(",") for line in splits.read_text().splitlines()[1:]]
        columns = {name: [row[i] for row in rows if row[i]] for i, name in enumerate(columns)}
    columns[split].append(recording)
    longest = max(map(len, columns.values()))
    padded = [names + [""] * (longest - len(names)) for names in columns.values()]
    splits.write_text("\n".join([",".join(columns), *(",".join(row) for row in zip(*padded, strict=True))]) + "\n")
