"""A small dataset for tests of the pipeline: people walk a hall, filmed by one camera per sequence.

Its 2D and 3D points come from the world joints and the camera matrix, not from moved parameters, so that whatever
the pipeline derives can be compared with numbers found another way.

    ROOT/sequences/<name>.npz      SMPL-X in the world frame (y up), camera, points
    ROOT/images/<name>/<nnn>.jpg
    ROOT/calibration.json
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from ehps.body.models import BodyModels
from ehps.body.params import BodyParams, smplx_params
from ehps.converters.base import Camera, Converter, DatasetCard, Instances, Keypoints, Rigid, Unit, drop
from ehps.converters.options import Option
from ehps.converters.readers import raw_files
from ehps.humandata.keypoints import flip_order

HEIGHT, WIDTH = 240, 320
FOCAL, CENTRE = np.array([400.0, 410.0]), np.array([161.0, 119.0])

CARD = DatasetCard(
    id="hall",
    name="Hall",
    homepage="https://example.org/hall",
    licence="none",
    paper="none",
    annotation="exact render",
    annotation_note="SMPL-X, exact",
    body_model="smplx",
    appearance="synthetic",
    scene="indoor",
    persons="one",
    splits={"train": 12, "test": None},
    layout="HALL/sequences/*.npz",
    needs=("calibration.json", "sequences/*.npz", "images | images"),
    get="unpack hall.zip",
    options=(
        Option("fault", "a mistake to make", "", "text"),
        Option("sleep", "seconds per unit", "0", "text"),
        Option("given", "camera: parameters in its frame", "", "text"),
    ),
    reprojection="exact",
)


class Hall(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        return [Unit(path.stem, path) for path in sorted((self.root / "sequences").glob("*.npz"))]

    def read(self, unit: Unit) -> Instances:
        time.sleep(float(self.option("sleep")))
        data = raw_files.load_npz(unit.path)
        n = len(data["betas"])
        body = params_of(data)
        rows = Instances(
            image_path=[f"images/{unit.name}/{i:03d}.jpg" for i in range(n)],
            camera=Camera(np.array(raw_files.read_json(self.root / "calibration.json")["focal"]), CENTRE),
            body=body,
            world_to_camera=Rigid(data["rotation"], data["translation"]),
            keypoints2d=Keypoints(data["points2d"], "smplx_127"),
            keypoints3d=Keypoints(data["points3d"], "smplx_127"),
            meta={"sequence_name": [unit.name] * n, "frame_id": np.arange(n)},
            misc={"fps": 30, "unit": unit.name},
        )
        drop(rows.dropped, "crowd", data["crowd"])
        return planted(rows, self.option("fault"))


def params_of(data: dict[str, np.ndarray]) -> BodyParams:
    names = ("betas", "global_orient", "body_pose", "transl", "left_hand_pose", "right_hand_pose", "jaw_pose")
    return smplx_params(gender=data["gender"], **{name: data[name] for name in names})


def planted(rows: Instances, fault: str) -> Instances:
    """The rows as a converter with a typical mistake would hand them over."""
    body, world = rows.body, rows.world_to_camera
    assert body is not None
    assert world is not None
    assert rows.keypoints2d is not None
    if fault == "swapped":
        rows.keypoints2d.points = rows.keypoints2d.points[:, flip_order("smplx_127")]
    elif fault == "pelvis":
        turn = Rotation.from_matrix(world.rotation) * Rotation.from_rotvec(body.global_orient)
        transl = body.transl @ world.rotation.T + world.translation
        rows.body, rows.world_to_camera = body.with_(global_orient=turn.as_rotvec(), transl=transl), None
    elif fault == "gender":
        other = np.where(body.gender == "male", "female", "male")
        rows.body = body.with_(gender=other)
    elif fault == "hand":
        rows.body = body.with_(flat_hand_mean=True)
    elif fault == "millimetres":
        rows.body = body.with_(transl=body.transl * 1000)
    elif fault == "crash":
        raise KeyError("pose")
    return rows


def write_hall(root: Path, bodies: BodyModels, sequences: int = 3, frames: int = 4, seed: int = 0) -> Path:
    """The raw tree; ``sequences`` x ``frames`` people, one crowd annotation each sequence."""
    rng = np.random.default_rng(seed)
    (root / "sequences").mkdir(parents=True)
    (root / "calibration.json").write_text(json.dumps({"focal": FOCAL.tolist()}))
    for s in range(sequences):
        name = f"walk_{s}"
        write_sequence(root, name, bodies, frames, rng)
    return root


def write_sequence(root: Path, name: str, bodies: BodyModels, frames: int, rng: np.random.Generator) -> None:
    yaw = rng.uniform(-1, 1, frames)
    data = {
        "betas": rng.normal(0, 0.8, (frames, 10)),
        "global_orient": Rotation.from_euler(
            "YXZ", np.column_stack([yaw, *rng.normal(0, 0.1, (2, frames))])
        ).as_rotvec(),
        "body_pose": rng.normal(0, 0.15, (frames, 63)),
        "transl": np.array([0.4, 1.0, 0.2]) + rng.uniform(-0.3, 0.3, (frames, 3)),
        "left_hand_pose": rng.normal(0, 0.2, (frames, 45)),
        "right_hand_pose": rng.normal(0, 0.2, (frames, 45)),
        "jaw_pose": rng.normal(0, 0.1, (frames, 3)),
        "gender": np.where(rng.random(frames) < 0.5, "male", "female"),
        "rotation": Rotation.from_euler("XYZ", [np.pi + rng.uniform(-0.1, 0.1), rng.uniform(-0.5, 0.5), 0]).as_matrix(),
        "crowd": np.array([f"{name} crowd"]),
    }
    data["translation"] = np.array([0, 0, 5.0]) - data["rotation"] @ [0.4, 1.0, 0.2]
    world = bodies.joints(params_of(data), np.float64)[:, :127]
    points = np.stack([[data["rotation"] @ x + data["translation"] for x in person] for person in world])
    pixels = points[..., :2] / points[..., 2:] * FOCAL + CENTRE
    data["points2d"], data["points3d"] = with_confidence(pixels), with_confidence(points)
    np.savez(root / "sequences" / f"{name}.npz", **data)
    (root / "images" / name).mkdir(parents=True)
    for i in range(frames):
        Image.new("RGB", (WIDTH, HEIGHT), (i, i, i)).save(root / "images" / name / f"{i:03d}.jpg")


def with_confidence(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points, np.ones((*points.shape[:2], 1))], axis=2)
