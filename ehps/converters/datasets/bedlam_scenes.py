"""Ground truth of BEDLAM and BEDLAM2.0: scenes of bodies that move through Unreal's world before a moving camera.

A motion is SMPL-X in a frame of its own, y up; ``be_seq.csv`` places it (centimetres, yaw in degrees) and the camera
file has the camera of every frame: x = R (Ry(yaw - 90) diag(1,-1,-1) v + body - camera) with
R = Rz(-roll) Rx(-pitch) Ry(-yaw), for the image of 1280 x 720 pixels as it is rendered. Where the camera is rolled by
90 degrees, people lie on their side in it; turned clockwise the image stands upright, and R begins with Rz(-roll + 90).
Source: the official processing and rendering scripts of both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array, Mask
from ehps.body import cameras
from ehps.body.params import smplx_params, smplx_pose
from ehps.converters import ranges
from ehps.converters.base import Camera, Instances, Rigid, drop, no_instances
from ehps.converters.readers import AGAIN, OTHER
from ehps.converters.readers.csv_files import Row, read_csv
from ehps.errors import DataError

FLIP = np.diag([1.0, -1.0, -1.0])
WIDTH, HEIGHT = 1280, 720  # px, as rendered
SENSOR_MM = 36
EVERY = 5  # of 30 frames a second, as in the 6 fps releases
LEAST_JOINTS = 8
OTHER_ROWS = ("Comment",)
CAMERA = "_camera.csv"  # after the sequence, in the names of camera files
VIEW = ("x", "y", "z", "yaw", "pitch", "roll", "focal_length")
LAST = "hfov"  # the last cell of a line of the camera file: without it the line is cut short


@dataclass(frozen=True)
class Body:
    """One person of a sequence: a row of ``be_seq.csv``; place in Unreal centimetres, yaw in degrees.

    ``track`` is the name, with a number where the sequence has the same body again.
    """

    sequence: str
    name: str
    track: str
    place: Array
    yaw: float
    start: int


@dataclass(frozen=True)
class Views:
    """The camera in the frames that are taken of a sequence.

    Attributes
    ----------
    frame : (V,) numbers in the names of the images.
    place_in_order : (V,) among all frames of the camera file, by their numbers, from 0 on.
    rows : how many frames the camera file has.
    name : (V,) of the images.
    place : (V, 3) metres, in an OpenCV-like world.
    turn : (V, 3, 3) from that world to the camera of the image as rendered.
    roll : (V,) degrees.
    focal : (V,) pixels.
    """

    frame: Array
    place_in_order: Array
    rows: int
    name: list[str]
    place: Array
    turn: Array
    roll: Array
    focal: Array

    def __len__(self) -> int:
        return len(self.frame)

    def taken(self, keep: Mask) -> Views:
        """Those of a mask."""
        names = [name for name, kept in zip(self.name, keep.tolist(), strict=True) if kept]
        arrays = (self.place[keep], self.turn[keep], self.roll[keep], self.focal[keep])
        return Views(self.frame[keep], self.place_in_order[keep], self.rows, names, *arrays)


def read_views(path: Path, interval: int) -> Views:
    """The frames of a camera file whose number is a multiple of ``interval``.

    Raises
    ------
    DataError : there is no line, one is of another sequence, has no number of its frame or ends before its last cell, a
        frame is there twice, or a value is no number.
    """
    rows = read_csv(path, " ".join(("name", *VIEW, LAST)))
    if not rows:
        raise DataError("has no line of a frame", path=path, fix=AGAIN)
    if cut := [row.line for row in rows if not row.cells[LAST]]:
        raise DataError(f"line {cut[0]} ends before its {LAST}", path=path, fix=AGAIN)
    found = [re.search(r"([^/]+)_(\d+)\.\w+$", row.text("name")) for row in rows]
    sequence = path.name.removesuffix(CAMERA)
    for row, match in zip(rows, found, strict=True):
        if match is None:
            what = f"line {row.line}: name is {row.cells['name']!r}, expected an image with the number of its frame"
            raise DataError(what, path=path, fix=OTHER)
        if match[1] != sequence:
            what = f"line {row.line}: name is {row.cells['name']!r}, which is no image of {sequence}"
            raise DataError(what, path=path, fix=OTHER)
    frame = np.array([int(match[2]) for match in found if match], int)
    if len(set(frame.tolist())) < len(frame):
        raise DataError("has a frame twice", path=path, fix=OTHER)
    numbers = np.flatnonzero(frame % interval == 0)
    taken = [rows[k] for k in numbers.tolist()]
    table = np.array([[row.number(name) for name in VIEW] for row in taken], float).reshape(-1, len(VIEW))
    yaw, pitch, roll, focal_mm = table[:, 3:].T
    if (odd := np.flatnonzero((np.abs(table[:, 3:6]) > ranges.DEGREES).any(axis=1))).size:
        what = f"line {taken[odd[0]].line}: yaw, pitch and roll are no angles in degrees"
        raise DataError(what, path=path, fix=OTHER)
    return Views(
        frame[numbers],
        np.argsort(np.argsort(frame))[numbers],
        len(rows),
        [row.text("name") for row in taken],
        cameras.unreal_to_opencv(table[:, :3]),
        cameras.rotate_z(-roll) @ cameras.rotate_x(-pitch) @ cameras.rotate_y(-yaw),
        roll,
        focal_mm / SENSOR_MM * WIDTH,
    )


def body_rows(
    scene: str,
    body: Body,
    views: Views,
    images: Sequence[str],
    *,
    poses: Array,
    trans: Array,
    betas: Array,
    upright: bool = False,
    **params: Any,
) -> Instances:
    """One person in all frames of a sequence that its motion reaches.

    Parameters
    ----------
    scene : name, for reports.
    images : path of the image of each view.
    poses : (F, 165) axis-angle of the motion, in the order of SMPL-X's joints.
    trans : (F, 3) metres.
    betas : (B,).
    upright : the images are turned clockwise by 90 degrees, to 720 x 1280 pixels.
    params : further ones of :func:`ehps.body.params.smplx_params`.
    """
    index = body.start + views.frame
    moving = index < len(poses)
    dropped: dict[str, list[str]] = {}
    drop(dropped, "motion has ended", row_names(scene, body, views.frame[~moving]))
    if not moving.any():
        return no_instances(dropped)
    index, views, n = index[moving], views.taken(moving), int(moving.sum())
    centre, size = [WIDTH / 2, HEIGHT / 2], [HEIGHT, WIDTH]
    turn = views.turn
    if upright:
        turn, centre, size = cameras.rotate_z(90) @ turn, centre[::-1], size[::-1]
    place = cameras.unreal_to_opencv(body.place) - views.place
    sequence = f"{scene}/{body.sequence}"
    return Instances(
        image_path=[path for path, kept in zip(images, moving.tolist(), strict=True) if kept],
        size=np.tile(size, (n, 1)),
        camera=Camera(np.column_stack([views.focal, views.focal]), np.tile(centre, (n, 1))),
        body=smplx_params(
            betas=np.tile(betas, (n, 1)),
            transl=trans[index],
            flat_hand_mean=True,
            **smplx_pose(poses[index].reshape(-1, 55, 3)),
            **params,
        ),
        world_to_camera=Rigid(
            turn @ cameras.rotate_y(body.yaw - 90) @ FLIP,
            np.einsum("nij,nj->ni", turn, place),
        ),
        meta={
            "sequence_name": [sequence] * n,
            "frame_id": views.frame,
            "track_id": [f"{sequence}/{body.track}"] * n,
        },
        misc={"smplx_source": "original", "reprojection": "none"},
        dropped=dropped,
        min_joints_inside=LEAST_JOINTS,
        vertices_before_camera=True,
    )


def row_names(scene: str, body: Body, frames: Iterable[int]) -> list[str]:
    """What a person is called in reports, frame by frame."""
    return [f"{scene}/{body.sequence}/{body.track} {frame}" for frame in frames]


def read_sequences(path: Path) -> dict[str, list[Body]]:
    """Bodies of each sequence of a ``be_seq.csv``, in the file's order.

    Raises
    ------
    DataError : a line is of another form, or a sequence, or a person in its place, is there twice.
    """
    sequences: dict[str, list[Body]] = {}
    sequence = ""

    def said(row: Row, key: str, form: str) -> str:
        found = re.search(rf"(?:^|;)\s*{key}=({form})\s*(?:;|$)", row.cells["Comment"])
        if found is None:
            what = f"line {row.line}: Comment is {row.cells['Comment']!r}, expected {key}="
            raise DataError(what, path=path, fix=OTHER)
        return found[1]

    for row in read_csv(path, "Type Body X Y Z Yaw Pitch Roll Comment"):
        kind = row.text("Type")
        if kind == "Group":
            sequence = said(row, "sequence_name", r"[^;/\\]+")
            if sequence in sequences:
                raise DataError(f"line {row.line}: sequence {sequence} is there twice", path=path, fix=OTHER)
            sequences[sequence] = []
        elif kind == "Body":
            name = row.text("Body")
            if not sequence or re.search(r"[/\\]", name):
                what = f"line {row.line}: body {name!r} {'is no name' if sequence else 'has no sequence'}"
                raise DataError(what, path=path, fix=OTHER)
            place, yaw = np.array([row.number(axis) for axis in "XYZ"]), row.number("Yaw")
            if abs(yaw) > ranges.DEGREES:
                raise DataError(f"line {row.line}: Yaw {yaw:g} is no angle in degrees", path=path, fix=OTHER)
            if tilted := [axis for axis in ("Pitch", "Roll") if row.number(axis)]:
                what = f"line {row.line}: {tilted[0]} is {row.cells[tilted[0]]}, expected 0: bodies are known to stand"
                raise DataError(what, path=path, fix=OTHER)
            start = int(said(row, "start_frame", r"\d+"))
            again = [body for body in sequences[sequence] if body.name == name]
            if any((*body.place, body.yaw, body.start) == (*place, yaw, start) for body in again):
                what = f"line {row.line}: body {name} is in the same place twice"
                raise DataError(what, path=path, fix=OTHER)
            track = f"{name} {len(again) + 1}" if again else name
            sequences[sequence].append(Body(sequence, name, track, place, yaw, start))
        elif kind not in OTHER_ROWS:
            known = ", ".join(("Group", "Body", *OTHER_ROWS))
            raise DataError(f"line {row.line}: Type is {kind!r}, expected one of {known}", path=path, fix=OTHER)
    return sequences
