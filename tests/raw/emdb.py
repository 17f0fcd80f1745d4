"""An EMDB tree with everything that its sequences hold against a reader."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from ehps.converters.base import Rigid
from ehps.demo.people import motion
from ehps.demo.raw import stage
from ehps.demo.raw.stage import FRONT, PaintedView, Truth
from tests.raw.checks import blank

Array = npt.NDArray[Any]

CLIMB, STAIRS, WALK, SETUP = "P1_14_outdoor_climb", "P6_49_outdoor_big_stairs_down", "P2_20_outdoor_walk", "P0_00_mvs_a"
GENDER = {CLIMB: "female", STAIRS: "neutral", WALK: "male", SETUP: "female"}
PART = {CLIMB: (True, False), STAIRS: (True, True), WALK: (False, True), SETUP: (False, False)}
FRAMES = {CLIMB: 7, STAIRS: 4, WALK: 3, SETUP: 2}
HIDDEN, BOXLESS, LOST = 2, 4, 5  # frames of CLIMB
ROWS = {
    "emdb1": [(CLIMB, n) for n in (0, 1, 3, 6)] + [(STAIRS, n) for n in range(4)],
    "emdb2": [(WALK, n) for n in range(3)] + [(STAIRS, n) for n in range(4)],
    "rest": [(SETUP, n) for n in range(2)],
}
ROWS["all"] = [*ROWS["rest"], *ROWS["emdb1"][:4], *ROWS["emdb2"]]
"""Sequence and frame of the rows of each split."""
VIEW = PaintedView(960, 720, 910.0, (357.5, 483.0))
FPS = 30


@dataclass
class Tree:
    """A raw tree, the people of each sequence frame by frame, and what emdb1 leaves out."""

    root: Path
    people: dict[str, Truth]
    dropped: dict[str, int]

    def truth(self, split: str) -> Truth:
        return Truth.concat([self.people[name][[frame]] for name, frame in ROWS[split]])


def write_fixture(root: Path, models: Path, rng: np.random.Generator) -> Tree:
    """Four sequences before a camera that moves: one of emdb1, one of both parts, one of emdb2, one of neither.

    ``CLIMB``: a woman; in frame 2 she is hidden, in 4 so far beside the image that her box is empty, though the frame
    is good; the image of 5 is missing. ``STAIRS``: somebody of the neutral model. Hidden files of a Mac lie about.
    """
    people = {name: write_sequence(root, models, rng, name, FRAMES[name], GENDER[name], PART[name]) for name in FRAMES}
    with sequence(root, CLIMB) as data:
        data["good_frames_mask"][HIDDEN] = False
        data["bboxes"]["bboxes"][[HIDDEN, BOXLESS]] = [[0, 0, 0, 0], [719, 300, 719, 620]]
        data["bboxes"]["invalid_idxs"] = np.array([HIDDEN, BOXLESS])
    (root / people[CLIMB].image_path[LOST]).unlink()
    path = file(root, CLIMB)
    path.with_name(f"._{path.name}").write_bytes(b"Mac OS X")
    path.with_name(f"{CLIMB}_video.mp4").write_bytes(b"video")
    dropped = {"no good frame: out of view or hidden": 1, "image missing": 1, "body box empty or outside the image": 1}
    return Tree(root, people, dropped)


def write_sequence(
    root: Path,
    models: Path,
    rng: np.random.Generator,
    name: str,
    frames: int,
    gender: str,
    part: tuple[bool, bool],
) -> Truth:
    """One person who walks before a camera that turns and follows, all frames good; the world has y up."""
    params = motion(frames, rng, style="walking", model_type="smpl", gender=gender)
    time = np.arange(frames) / FPS
    turns = Rotation.from_euler("yxz", np.column_stack([40 * time, 6 - 3 * time, 2 * time + 1]), degrees=True)
    rotation = FRONT @ turns.as_matrix()
    translation = np.column_stack([0.4 * time - 0.2, 1.3 + 0.1 * time, 2 - 0.6 * time])
    pelvis = np.column_stack([0.25 * np.sin(3 * time), 0.1 - 0.05 * time, 3.4 + 0.3 * np.cos(2 * time)])
    facing = stage.orientations(rng, frames, yaw=25, spread=0, tilt=5)
    cast = stage.cast(models, params, Rigid(rotation, translation), np.arange(frames), pelvis, facing)
    extrinsics = np.tile(np.eye(4), (frames, 1, 1))
    extrinsics[:, :3, :3], extrinsics[:, :3, 3] = rotation, translation
    truth = cast.truth([image_path(name, n) for n in range(frames)], VIEW)
    points = truth.points[:, :24]
    corners = np.concatenate([points.min(axis=1) - 8, points.max(axis=1) + 8], axis=1)
    data = {
        "name": name,
        "gender": gender,
        "emdb1": part[0],
        "emdb2": part[1],
        "n_frames": frames,
        "good_frames_mask": np.ones(frames, bool),
        "camera": {"intrinsics": VIEW.matrix, "extrinsics": extrinsics, "width": VIEW.width, "height": VIEW.height},
        "smpl": {
            "poses_root": cast.params.global_orient,
            "poses_body": cast.params.body_pose.reshape(frames, 69),
            "trans": cast.params.transl,
            "betas": cast.params.betas[0],
        },
        "kp2d": points,
        "bboxes": {
            "bboxes": np.clip(corners, 0, [VIEW.width, VIEW.height] * 2),
            "invalid_idxs": np.zeros(0, np.int64),
        },
    }
    blank(root, truth.image_path, VIEW.height, VIEW.width)
    file(root, name).write_bytes(pickle.dumps(data))
    return truth


def folder(name: str) -> str:
    """Of a sequence, below the root."""
    return name.replace("_", "/", 1)


def image_path(name: str, frame: int) -> str:
    return f"{folder(name)}/images/{frame:05d}.jpg"


def file(root: Path, name: str) -> Path:
    return root / folder(name) / f"{name}_data.pkl"


def read(root: Path, name: str) -> dict[str, Any]:
    """The content of a sequence's file, which this module has written."""
    content: dict[str, Any] = pickle.loads(file(root, name).read_bytes())
    return content


@contextmanager
def sequence(root: Path, name: str) -> Iterator[dict[str, Any]]:
    """The content of a sequence's file, written back afterwards."""
    data = read(root, name)
    yield data
    file(root, name).write_bytes(pickle.dumps(data))
