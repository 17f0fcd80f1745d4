"""Two people who walk before a camera that moves: true tracks, and what may have been predicted of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from ehps.body.models import BodyModels
from ehps.body.params import BodyParams
from ehps.body.rigid_motion import to_camera
from ehps.demo.people import motion
from ehps.humandata.core import HumanData
from ehps.humandata.passport import Passport
from tests.benchmark.protocols import reference

FRAMES = {"P1_a": 17, "P2_b": 7}
GENDER = {"P1_a": "female", "P2_b": "neutral"}


@dataclass(frozen=True)
class Films:
    """Two people who walk before a camera that moves, their rows in no order, and what was predicted of them.

    Attributes
    ----------
    cameras : (N, 4, 4) predicted world to camera of the rows of predictions.
    """

    truth: HumanData
    predictions: dict[str, HumanData]
    cameras: np.ndarray
    models: BodyModels
    bodies: reference.Bodies


def columns(params: BodyParams) -> dict[str, np.ndarray]:
    return {f"{params.model_type}/{name}": value for name, value in params.arrays().items()}


def cameras(n: int, rng: np.random.Generator) -> np.ndarray:
    """(n, 4, 4) extrinsics of a hand-held camera."""
    time = np.arange(n) / 30
    out = np.tile(np.eye(4), (n, 1, 1))
    angles = np.column_stack([20 * time, 5 * np.sin(3 * time), 2 * time]) + rng.normal(0, 10, 3)
    out[:, :3, :3] = Rotation.from_euler("yxz", angles, degrees=True).as_matrix()
    out[:, :3, 3] = np.column_stack([0.3 * time, 0.1 * np.sin(time), 4 - 0.2 * time]) + rng.normal(0, 0.2, 3)
    return out


def noisy(values: np.ndarray, by: float, rng: np.random.Generator) -> np.ndarray:
    return values + rng.normal(0, by, values.shape)


def write_films(models: BodyModels) -> Films:
    """Both people, SMPL and SMPL-X predictions of them, and predicted cameras."""
    rng = np.random.default_rng(4)
    true: list[dict[str, np.ndarray]] = []
    for name, n in FRAMES.items():
        params = motion(n, rng, style="walking", model_type="smpl", gender=GENDER[name], frames_between_poses=60)
        speed = np.where(np.arange(n) % 6 < 3, 0.05, 1.5)  # metres a second: two thirds of the steps are none
        walk = np.column_stack([np.cumsum(speed) / 30, np.full(n, 0.9), 0.01 * np.arange(n)])
        params, shot = params.with_(transl=walk), cameras(n, rng)
        seen = to_camera(params, shot[:, :3, :3], shot[:, :3, 3], models.rest_pelvis(params))
        frame = np.sort(rng.choice(np.arange(n + 10), n, replace=False))
        names = {"meta/RT": shot, "meta/frame_id": frame, "meta/sequence_name": np.full(n, name, object)}
        true.append(columns(seen) | names)
    held = {name: np.concatenate([one[name] for one in true]) for name in true[0]}
    names = held.pop("meta/sequence_name")
    n = len(names)
    order = rng.permutation(n)
    held = {name: value[order] for name, value in held.items()}
    names = names[order].tolist()
    paths = [f"{name}/{frame:05d}.jpg" for name, frame in zip(names, held["meta/frame_id"].tolist(), strict=True)]
    truth = HumanData(
        {
            **held,
            "image_path": paths,
            "meta/sequence_name": names,
            "meta/gender": [GENDER[name] for name in names],
            "meta/emdb1": np.ones(n, bool),
            "meta/emdb2": np.ones(n, bool),
        },
        passport=Passport(body_model="smpl", gender="per-instance", num_betas=10, dataset="emdb"),
    )
    rows = rng.permutation(n)
    common = {"image_path": [paths[row] for row in rows], "meta/truth_row": rows, "meta/gender": ["neutral"] * n}
    pose, turned = (noisy(held[f"smpl/{part}"][rows], 0.1, rng) for part in ("body_pose", "global_orient"))
    betas, transl = noisy(held["smpl/betas"][rows], 0.3, rng), noisy(held["smpl/transl"][rows], 0.02, rng)
    shared = {"global_orient": turned, "betas": betas, "transl": transl}
    smpl = {"body_pose": pose, **shared}
    smplx = {"body_pose": pose[:, :21], "expression": np.zeros((n, 10)), **shared}
    smplx |= {name: np.zeros((n, 3)) for name in ("jaw_pose", "leye_pose", "reye_pose")}
    smplx |= {f"{side}_hand_pose": noisy(np.zeros((n, 15, 3)), 0.1, rng) for side in ("left", "right")}
    made = {
        kind: HumanData(
            {**common, **{f"{kind}/{name}": value for name, value in values.items()}},
            passport=Passport(body_model=kind, gender="neutral", flat_hand_mean=False, num_betas=10, focal="image"),
        )
        for kind, values in (("smpl", smpl), ("smplx", smplx))
    }
    own = held["meta/RT"][rows].copy()
    own[:, :3, :3] = Rotation.from_rotvec(rng.normal(0, 0.02, (n, 3))).as_matrix() @ own[:, :3, :3]
    own[:, :3, 3] = noisy(own[:, :3, 3], 0.01, rng)
    return Films(truth, made, own, models, reference.Bodies(models))


def moved_world(films: Films) -> HumanData:
    """The truth as a prediction in a world that is turned and lies elsewhere."""
    move = np.eye(4)
    move[:3, :3], move[:3, 3] = Rotation.from_rotvec([0.3, -1.2, 2.0]).as_matrix(), (10, -4, 3)
    own = films.truth["meta/RT"] @ np.linalg.inv(move)
    return films.truth.with_columns({"meta/RT": own, "meta/truth_row": np.arange(len(films.truth))})
