"""BEDLAM's 30 fps ground truth: scenes of bodies that move through Unreal's world before a moving camera.

A motion is SMPL-X in a frame of its own, y up; ``be_seq.csv`` places it (centimetres, yaw in degrees) and the camera
file has the camera of every frame: x = R (Ry(yaw - 90) diag(1,-1,-1) v + body - camera) with
R = Rz(-roll) Rx(-pitch) Ry(-yaw). Every fifth frame is taken, as in the 6 fps release.
Source: the official processing and rendering scripts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ehps.body import cameras
from ehps.body.params import smplx_params, smplx_pose
from ehps.converters.base import Camera, Instances, Rigid, Unit, concat, drop, no_instances
from ehps.converters.readers import OTHER, fields, raw_files
from ehps.converters.readers.csv_files import Row, read_csv
from ehps.converters.readers.fields import numbers, texts
from ehps.errors import DataError
from ehps.genders import BY_WORD

MOTIONS = ("smplx_gt/neutral_ground_truth_motioninfo", "smplx_gt/neutral_ground_truth")
FLIP = np.diag([1.0, -1.0, -1.0])
WIDTH, HEIGHT = 1280, 720
SENSOR_MM = 36
MOST_BETAS = 11
STEP = 5
LEAST_JOINTS = 8
OTHER_ROWS = ("Comment",)
VIEW = ("x", "y", "z", "yaw", "pitch", "roll", "focal_length")
MOTION = {
    "poses": numbers("N", 165),
    "trans": numbers("N", 3),
    "betas": numbers("betas"),
    "gender": texts(words=BY_WORD),
    "gender_sub": texts(words=BY_WORD),
}


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
    path = unit.path / "ground_truth" / "camera" / f"{sequence}_camera.csv"
    rows = read_csv(path, " ".join(("name", *VIEW)))
    found = [re.search(r"_(\d+)\.\w+$", row.text("name")) for row in rows]
    for row, match in zip(rows, found, strict=True):
        if match is None:
            what = f"line {row.line}: name is {row.cells['name']!r}, expected an image with the number of its frame"
            raise DataError(what, path=path, fix=OTHER)
    frame = np.array([int(match[1]) for match in found if match], int)
    if len(set(frame.tolist())) < len(frame):
        raise DataError("has a frame twice", path=path, fix=OTHER)
    taken = [row for row, number in zip(rows, frame, strict=True) if number % STEP == 0]
    table: dict[str, np.ndarray] = {name: np.array([row.number(name) for row in taken], float) for name in VIEW}
    return table | {"name": np.array([row.text("name") for row in taken], object), "frame": frame[frame % STEP == 0]}


def _body(unit: Unit, body: Body, images: dict[str, np.ndarray], motions: Path) -> Instances:
    subject, motion = body.name.rsplit("_", 1)
    path = motions / subject / motion / "motion_seq.npz"
    data = fields.values(raw_files.load_npz(path, list(MOTION)), MOTION, path)
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
            betas_neutral=betas if str(data["gender"]) == "neutral" else None,
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

    def said(row: Row, key: str, form: str) -> str:
        found = re.search(rf"(?:^|;)\s*{key}=({form})\s*(?:;|$)", row.cells["Comment"])
        if found is None:
            what = f"line {row.line}: Comment is {row.cells['Comment']!r}, expected {key}="
            raise DataError(what, path=path, fix=OTHER)
        return found[1]

    for row in read_csv(path, "Type Body X Y Z Yaw Comment"):
        kind = row.text("Type")
        if kind == "Group":
            sequence = said(row, "sequence_name", r"[^;/\\]+")
            if sequence in sequences:
                raise DataError(f"line {row.line}: sequence {sequence} is there twice", path=path, fix=OTHER)
            sequences[sequence] = []
        elif kind == "Body":
            name = row.text("Body")
            if not sequence or "_" not in name:
                what = f"line {row.line}: body {name!r} has no {'motion' if sequence else 'sequence'}"
                raise DataError(what, path=path, fix=OTHER)
            place = np.array([row.number(axis) for axis in "XYZ"])
            start = int(said(row, "start_frame", r"\d+"))
            sequences[sequence].append(Body(sequence, name, place, row.number("Yaw"), start))
        elif kind not in OTHER_ROWS:
            known = ", ".join(("Group", "Body", *OTHER_ROWS))
            raise DataError(f"line {row.line}: Type is {kind!r}, expected one of {known}", path=path, fix=OTHER)
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
