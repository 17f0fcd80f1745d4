"""The numbers of EMDB 1 and EMDB 2 a second time, plainly: one frame after the other, points moved by matrices.

Written from the description of EMDB's evaluation, and of WHAM's for tracks. Bodies are those of
:mod:`tests.benchmark.protocols.reference`; people are moved to the world as points, never as parameters.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from ehps.humandata.core import HumanData
from tests.benchmark.protocols.reference import (
    ORIENTED,
    Bodies,
    Body,
    Numbers,
    distances,
    mean_of,
    of_the_set,
    similarity,
)

FEET = [3216, 3387, 6617, 6787]
SILENT = [0, 7, 8, 10, 11, 20, 21, 22, 23]
FPS = 30
Rows = dict[int, Numbers]


def _on_smpl(bodies: Bodies, made: Body, model_type: str) -> tuple[np.ndarray, np.ndarray]:
    """(24, 3) joints and (6890, 3) mesh."""
    if model_type == "smpl":
        return made.joints, made.mesh
    mesh = bodies.smplx2smpl @ made.mesh
    return bodies.regressor("smpl") @ mesh, mesh


def _videos(truth: HumanData) -> list[list[int]]:
    """Rows of each video in the order of frames."""
    names, frames = truth["meta/sequence_name"].tolist(), truth["meta/frame_id"].tolist()
    return [
        sorted((row for row in range(len(truth)) if names[row] == name), key=lambda row: frames[row])
        for name in sorted(set(names))
    ]


def _third(points: list[np.ndarray], i: int) -> np.ndarray:
    """(P,) lengths of the third differences that end at ``i``, m/s^3."""
    change = points[i] - 3 * points[i - 1] + 3 * points[i - 2] - points[i - 3]
    return np.asarray(np.sqrt((change**2).sum(axis=1)) * FPS**3)


def emdb1(truth: HumanData, made: HumanData, bodies: Bodies, model_type: str) -> tuple[Rows, Numbers]:
    """Numbers of each row, and of all."""
    rows: Rows = {}
    still: dict[int, np.ndarray] = {}
    for row in range(len(truth)):
        mine = int(np.flatnonzero(made["meta/truth_row"] == row)[0])
        true, guess = bodies.gendered(truth, row, "smpl"), bodies.gendered(made, mine, model_type)
        joints, mesh = _on_smpl(bodies, guess, model_type)
        still[row] = joints - guess.transl
        s, R, t = similarity(joints, true.joints)
        hips, true_hips = (one[[1, 2]].mean(axis=0) for one in (joints, true.joints))
        turns = [guess.turns[i] @ true.turns[i].T for i in ORIENTED]
        fitted = [R @ guess.turns[i] @ true.turns[i].T for i in ORIENTED]
        rows[row] = {
            ("all", "PVE"): mean_of(distances(mesh - hips, true.mesh - true_hips).tolist()),
            ("all", "PA-PVE"): mean_of(distances(s * mesh @ R.T + t, true.mesh).tolist()),
            ("body", "MPJPE"): mean_of(distances(joints - hips, true.joints - true_hips).tolist()),
            ("body", "PA-MPJPE"): mean_of(distances(s * joints @ R.T + t, true.joints).tolist()),
            ("body", "MPJAE"): mean_of([np.degrees(Rotation.from_matrix(one).magnitude()) for one in turns]),
            ("body", "PA-MPJAE"): mean_of([np.degrees(Rotation.from_matrix(one).magnitude()) for one in fitted]),
        }
    table = of_the_set(rows)
    means = []
    for video in _videos(truth):
        joints = [still[row] for row in video]
        for one in joints:
            one[SILENT] = 0
        values = [mean_of(_third(joints, i).tolist()) / 10 for i in range(3, len(joints))]
        for row, value in zip(video[3:], values, strict=True):
            rows[row]["body", "Jitter"] = value
        means.append(mean_of(values))
    return rows, {**table, ("body", "Jitter"): mean_of(means)}


def _world(points: np.ndarray, extrinsics: np.ndarray | None) -> np.ndarray:
    """(P, 3) points before a camera, in the world."""
    if extrinsics is None:
        return points
    return np.stack([extrinsics[:3, :3].T @ (point - extrinsics[:3, 3]) for point in points])


def emdb2(
    truth: HumanData, made: HumanData, bodies: Bodies, model_type: str, cameras: np.ndarray | None, size: int
) -> tuple[Rows, Numbers]:
    """Numbers of each row, and of all.

    Parameters
    ----------
    cameras : (M, 4, 4) world to camera of predictions; None where these are in the world.
    size : frames of a chunk.
    """
    rows: Rows = {row: {} for row in range(len(truth))}
    slid = []
    for video in _videos(truth):
        joints, feet, place = [], [], []
        true_joints, true_feet, true_place = [], [], []
        for row in video:
            mine = int(np.flatnonzero(made["meta/truth_row"] == row)[0])
            camera = None if cameras is None else np.asarray(cameras[mine], float)
            guess = bodies.gendered(made, mine, model_type)
            points, mesh = _on_smpl(bodies, guess, model_type)
            joints.append(_world(points, camera))
            feet.append(_world(mesh[FEET], camera))
            place.append(_world(guess.joints[:1], camera)[0] - (guess.joints[0] - guess.transl))
            true, camera = bodies.gendered(truth, row, "smpl"), np.asarray(truth["meta/RT"][row], float)
            true_joints.append(_world(true.joints, camera))
            true_feet.append(_world(true.mesh[FEET], camera))
            true_place.append(_world(true.joints[:1], camera)[0] - (true.joints[0] - true.transl))
        for start in range(0, len(video), size):
            chunk = range(start, min(start + size, len(video)))
            for metric, of in (("WA-MPJPE", list(chunk)), ("W-MPJPE", list(chunk)[:2])):
                pair = (np.concatenate([points[i] for i in of]) for points in (joints, true_joints))
                s, R, t = similarity(*pair)
                for i in chunk:
                    away = distances(s * joints[i] @ R.T + t, true_joints[i])
                    rows[video[i]]["body", metric] = mean_of(away.tolist())
        path, true_path = np.stack(place), np.stack(true_place)
        length = sum(np.linalg.norm(true_path[i] - true_path[i - 1]) for i in range(1, len(video)))
        R = similarity(path, true_path)[1]
        for i, row in enumerate(video):
            moved = R @ (path[i] - path.mean(axis=0)) + true_path.mean(axis=0)
            rows[row]["body", "RTE"] = float(100 * np.linalg.norm(moved - true_path[i]) / length)
            if i >= 3:
                rows[row]["body", "Jitter"] = mean_of(_third(joints, i).tolist()) / 10
            steps = []
            for k in range(4):
                if i and np.linalg.norm(true_feet[i][k] - true_feet[i - 1][k]) < 0.01:
                    steps.append(float(1000 * np.linalg.norm(feet[i][k] - feet[i - 1][k])))
            slid += steps
            if steps:
                rows[row]["body", "foot-sliding"] = mean_of(steps)
    return rows, {**of_the_set(rows), ("body", "foot-sliding"): mean_of(slid)}
