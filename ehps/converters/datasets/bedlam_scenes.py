"""BEDLAM's 30 fps ground truth: scenes of bodies that move through Unreal's world before a moving camera.

A motion is SMPL-X in a frame of its own, y up; ``be_seq.csv`` places it (centimetres, yaw in degrees) and the camera
file has the camera of every frame: x = R (Ry(yaw - 90) diag(1,-1,-1) v + body - camera) with
R = Rz(-roll) Rx(-pitch) Ry(-yaw). Every fifth frame is taken, as in the 6 fps release.
Source: the official processing and rendering scripts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ehps.body import cameras
from ehps.body.params import smplx_params, smplx_pose
from ehps.converters.base import Camera, Instances, Rigid, Unit, concat, drop, no_instances
from ehps.converters.readers import raw_files
from ehps.errors import DataError

MOTIONS = ("smplx_gt/neutral_ground_truth_motioninfo", "smplx_gt/neutral_ground_truth")
FLIP = np.diag([1.0, -1.0, -1.0])
WIDTH, HEIGHT = 1280, 720
SENSOR_MM = 36
MOST_BETAS = 11
STEP = 5
LEAST_JOINTS = 8


@dataclass(frozen=True)
class Body:
    """One person of a sequence: a row of ``be_seq.csv``; place in Unreal centimetres, yaw in degrees."""

    sequence: str
    name: str
    place: np.ndarray
    yaw: float
    start: int


def read_scene(root: Path, unit: Unit) -> Instances:
    """All people of a scene, sequence by sequence."""
    motions = raw_files.first_existing(root, MOTIONS)
    parts = [
        _body(unit, body, images, motions)
        for sequence, bodies in read_sequences(unit.path / "be_seq.csv").items()
        for images in [_images(unit, sequence)]
        for body in bodies
    ]
    return concat(parts) if parts else no_instances()


def _images(unit: Unit, sequence: str) -> dict[str, np.ndarray]:
    """Columns of the sequence's camera file, every fifth frame of the 30 fps numbering."""
    table = raw_files.read_csv(unit.path / "ground_truth" / "camera" / f"{sequence}_camera.csv")
    frame = table["name"].str.extract(r"_(\d+)\.", expand=False).astype(int).to_numpy()
    table = table.assign(frame=frame)[frame % STEP == 0]
    return {name: table[name].to_numpy() for name in table.columns}


def _body(unit: Unit, body: Body, images: dict[str, np.ndarray], motions: Path) -> Instances:
    subject, motion = body.name.rsplit("_", 1)
    path = motions / subject / motion / "motion_seq.npz"
    data = raw_files.load_npz(path, "poses trans betas gender gender_sub")
    index = body.start + images["frame"]
    moving = index < len(data["poses"])
    sequence, n = f"{unit.name}/{body.sequence}", int(moving.sum())
    dropped: dict[str, list[str]] = {}
    drop(dropped, "motion has ended", [f"{sequence}/{body.name} {frame}" for frame in images["frame"][~moving]])
    if n == 0:
        return no_instances(dropped)
    index, view = index[moving], {key: value[moving] for key, value in images.items()}
    focal = (view["focal_length"] / SENSOR_MM * WIDTH).astype(float)
    betas = np.tile(checked_betas(data["betas"], path), (n, 1))
    return Instances(
        image_path=[f"images/{unit.name}/png/{body.sequence}/{name}" for name in view["name"]],
        size=np.tile([HEIGHT, WIDTH], (n, 1)),
        camera=Camera(np.column_stack([focal, focal]), np.tile([WIDTH / 2, HEIGHT / 2], (n, 1))),
        body=smplx_params(
            gender=str(data["gender"]),
            betas=betas,
            betas_neutral=betas if data["gender"] == "neutral" else None,
            transl=data["trans"][index],
            flat_hand_mean=True,
            **smplx_pose(data["poses"][index].reshape(-1, 55, 3)),
        ),
        world_to_camera=_move(body, view),
        meta={
            "subject_gender": [str(data["gender_sub"])[:1]] * n,
            "sequence_name": [sequence] * n,
            "frame_id": view["frame"],
            "track_id": [f"{sequence}/{body.name}"] * n,
        },
        misc={"smplx_source": "original", "reprojection": "none"},
        dropped=dropped,
        min_joints_inside=LEAST_JOINTS,
    )


def _move(body: Body, view: dict[str, np.ndarray]) -> Rigid:
    """From the motion's frame to the camera of each image."""
    turn = (
        cameras.rotate_z(-view["roll"].astype(float))
        @ cameras.rotate_x(-view["pitch"].astype(float))
        @ cameras.rotate_y(-view["yaw"].astype(float))
    )
    camera = cameras.unreal_to_opencv(np.column_stack([view["x"], view["y"], view["z"]]))
    place = cameras.unreal_to_opencv(body.place) - camera
    return Rigid(turn @ cameras.rotate_y(body.yaw - 90) @ FLIP, np.einsum("nij,nj->ni", turn, place))


def read_sequences(path: Path) -> dict[str, list[Body]]:
    """Bodies of each sequence, in the file's order."""
    sequences: dict[str, list[Body]] = {}
    sequence = ""
    for row in raw_files.read_csv(path).to_dict("records"):
        comment = dict(item.split("=", 1) for item in str(row["Comment"]).split(";") if "=" in item)
        if row["Type"] == "Group":
            sequence = comment["sequence_name"]
            sequences[sequence] = []
        elif row["Type"] == "Body":
            place = np.array([row["X"], row["Y"], row["Z"]], float)
            start = int(comment["start_frame"])
            sequences[sequence].append(Body(sequence, str(row["Body"]), place, float(row["Yaw"]), start))
    return sequences


def checked_betas(betas: np.ndarray, path: Path) -> np.ndarray:
    """(..., 10) or (..., 11) betas as they are.

    Raises
    ------
    DataError : there are more: the release for the model with a locked head.
    """
    if betas.shape[-1] > MOST_BETAS:
        raise DataError(
            f"has {betas.shape[-1]} betas: bodies of the locked-head model, which is not SMPL-X v1.1",
            path=path,
            fix="download the labels of the neutral model with 11 betas",
        )
    return betas
