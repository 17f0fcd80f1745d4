"""Trees of CHI3D, FIT3D and HumanSC3D with everything that their actions hold against a reader."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from ehps.body.params import BodyParams
from ehps.converters.base import Rigid
from ehps.demo.people import random_people
from ehps.demo.raw import stage
from ehps.demo.raw.stage import Look, PaintedView, Truth
from ehps.humandata.keypoints import point_names

Array = npt.NDArray[Any]

CAMERAS = ("50591643", "65906101")
TURNS = (0.0, 70.0)  # degrees about the vertical, of each camera
DISTANCE = 4.6
LOOK = Look(style="standing", scene="studio", tilt=6, spread=30, share=(0.4, 0.5))
VIEW = PaintedView(900, 900, 1039.0, (476.0, 449.0))
FOCAL = np.array([1039.0, 1035.0])
K, P = (-0.145, 0.112, 0.003), (-0.007, 0.006)
PINHOLE = {"f": [1012.5, 1009.25], "c": [470.5, 455.75]}
JOINTS_25 = (
    "pelvis",
    "left_hip",
    "left_knee",
    "left_ankle",
    "right_hip",
    "right_knee",
    "right_ankle",
    "spine_2",
    "neck",
    "nose",
    "head",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
    "left_foot",
    "left_bigtoe",
    "right_foot",
    "right_bigtoe",
    "left_thumb",
    "left_index",
    "right_thumb",
    "right_index",
)


@dataclass
class Action:
    """An action that was written: its people frame by frame, and what must be found of it.

    Attributes
    ----------
    params : in the world, person by person. joints (P * T, J, 3) : likewise.
    """

    subject: str
    name: str
    people: int
    frames: int
    params: BodyParams
    joints: Array

    def truth(self, cameras: tuple[str, ...] = CAMERAS, frames: list[int] | None = None) -> Truth:
        """Rows of these cameras and frames: camera by camera, person by person, frame by frame."""
        chosen = list(range(self.frames)) if frames is None else frames
        rows = [p * self.frames + n for p in range(self.people) for n in chosen]
        parts = []
        for camera in cameras:
            rotation, centre = extrinsics(camera)
            seen = np.einsum("ij,nkj->nki", rotation, self.joints[rows] - centre)
            folder = f"train/{self.subject}/frames/{camera}/{self.name}"
            paths = [f"{folder}/{n:04d}.jpg" for _ in range(self.people) for n in chosen]
            parts.append(Truth(paths, seen, distorted(seen, camera), np.full(len(rows), "neutral")))
        return Truth.concat(parts)


def extrinsics(camera: str) -> tuple[Array, Array]:
    """Rotation world to camera, and centre of the camera in the world, whose z axis points up."""
    turn = Rotation.from_euler("z", TURNS[CAMERAS.index(camera)], degrees=True).as_matrix()
    level = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    tilted = Rotation.from_euler("x", LOOK.tilt, degrees=True).as_matrix() @ level
    # Looking down: the optical axis goes through the middle of the studio, a metre above the floor.
    centre = np.array([0.0, 0.0, 1.0]) - DISTANCE * tilted[2]
    return tilted @ turn.T, turn @ centre


def principal_point(camera: str) -> Array:
    """The cameras are not quite alike."""
    return VIEW.principal_point + 3.0 * CAMERAS.index(camera)


def distorted(points: Array, camera: str) -> Array:
    """(..., 2) pixels in the videos, written out as in the official formula."""
    xy = points[..., :2] / points[..., 2:]
    r2 = (xy**2).sum(-1, keepdims=True)
    q = np.array([P[1], P[0]])
    radial = 1 + K[0] * r2 + K[1] * r2**2 + K[2] * r2**3
    bent = xy * (radial + (xy * q).sum(-1, keepdims=True)) + r2 * q
    return np.asarray(bent * FOCAL + principal_point(camera))


def write_action(
    root: Path,
    models: Path,
    rng: np.random.Generator,
    subject: str,
    name: str,
    *,
    people: int = 1,
    frames: int = 3,
    rate: int = 1,
    axis: bool = False,
) -> Action:
    """Write one action without videos. ``rate`` entries of joints3d_25 a frame; ``axis`` puts people in front."""
    count = people * frames
    image, pelvis = stage.places(rng, [people] * frames, VIEW, share=LOOK.share)
    person = np.tile(np.arange(people), frames)
    left_to_right = np.lexsort((pelvis[:, 0], image))  # tracks that keep their side
    params = random_people(count, rng, style=LOOK.style, gender="neutral", flat_hand_mean=True)
    params = params.with_(betas=params.betas[:people][person])
    rotation, centre = extrinsics(CAMERAS[0])
    move = Rigid(rotation, -rotation @ centre)
    facing = stage.orientations(rng, count, spread=LOOK.spread, tilt=LOOK.tilt)
    cast = stage.cast(models, params, move, image, pelvis[left_to_right], facing)
    order = np.lexsort((image, person))  # person by person
    params = cast.params[order]
    joints = np.einsum("ji,nkj->nki", rotation, cast.joints[order]) + centre
    action = Action(subject, name, people, frames, params, joints)
    _write_fits(root, action, axis)
    _write_joints(root, action, axis, rate)
    for camera in CAMERAS:
        _write_camera(root, action, camera)
    return action


def file(root: Path, action: Action, kind: str) -> Path:
    """``smplx``, ``joints3d_25`` or ``camera_parameters/<camera>`` of an action."""
    return root / "train" / action.subject / kind / f"{action.name}.json"


def save(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _write_fits(root: Path, action: Action, axis: bool) -> None:
    shape = (action.people, action.frames) if axis else (action.frames,)
    values = {}
    for key, value in action.params.arrays().items():
        if key in ("betas", "transl", "expression"):
            values[key] = value.reshape(*shape, -1).tolist()
        else:
            matrices = Rotation.from_rotvec(value.reshape(-1, 3)).as_matrix()
            values[key] = np.round(matrices, 6).reshape(*shape, -1, 3, 3).tolist()
    save(file(root, action, "smplx"), values)


def _write_joints(root: Path, action: Action, axis: bool, rate: int) -> None:
    """Entries between the frames are of people who jump."""
    order = [point_names("smplx").index(name) for name in JOINTS_25]
    own = action.joints[:, order].reshape(action.people, action.frames, 25, 3)
    between = np.arange(rate)[None, None, :, None, None] * 0.5
    own = (own[:, :, None] + between).reshape(action.people, -1, 25, 3)
    save(file(root, action, "joints3d_25"), {"joints3d_25": (own if axis else own[0]).tolist()})


def _write_camera(root: Path, action: Action, camera: str) -> None:
    rotation, centre = extrinsics(camera)
    save(
        file(root, action, f"camera_parameters/{camera}"),
        {
            "extrinsics": {"R": rotation.tolist(), "T": [centre.tolist()]},
            "intrinsics_w_distortion": {
                "f": [FOCAL.tolist()],
                "c": [principal_point(camera).tolist()],
                "k": [list(K)],
                "p": [list(P)],
            },
            "intrinsics_wo_distortion": PINHOLE,
        },
    )


def write_test_split(root: Path, subject: str, name: str) -> None:
    """A video and a camera, no bodies."""
    for path in (f"videos/{name}.mp4", f"camera_parameters/{name}.json"):
        save(root / "test" / subject / path, {})


def write_strays(root: Path, subject: str) -> None:
    """What archives of Mac OS leave."""
    for stray in ("._x.mp4", "videos/50591643/._Grab 4.mp4", "smplx/._Grab 4.json", "smplx/.DS_Store"):
        path = root / "train" / subject / stray
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"Mac OS X")
    (root / "train/.DS_Store").write_bytes(b"Mac OS X")


@dataclass
class Pairs:
    """A tree of CHI3D: ``fast`` has four entries of joints3d_25 a frame, ``old`` no axis of persons."""

    root: Path
    fast: Action
    plain: Action
    old: Action

    @property
    def truth(self) -> Truth:
        return Truth.concat([action.truth() for action in (self.fast, self.plain, self.old)])


def write_chi3d(root: Path, models: Path, rng: np.random.Generator) -> Pairs:
    """Three actions of two subjects, two of them of two people; a third subject of the split test."""
    made = Pairs(
        root,
        write_action(root, models, rng, "s02", "Grab 10", people=2, axis=True, frames=2, rate=4),
        write_action(root, models, rng, "s02", "Grab 4", people=2, axis=True, frames=3),
        write_action(root, models, rng, "s03", "Hug 6", frames=2),
    )
    contact = {"Grab 10": {"fr_id": 1, "start_fr": 0, "end_fr": 9}, "Grab 4": {"fr_id": 2, "start_fr": 1, "end_fr": 2}}
    save(root / "train/s02/interaction_contact_signature.json", contact)
    save(root / "train/s03/interaction_contact_signature.json", {})
    write_strays(root, "s02")
    write_test_split(root, "s01", "Grab 1")
    return made


@dataclass
class Singles:
    """A tree of FIT3D or HumanSC3D: two subjects with one action each, joints3d_25 at 1:1 and at 4:1."""

    root: Path
    actions: tuple[Action, Action]

    @property
    def truth(self) -> Truth:
        return Truth.concat([action.truth() for action in self.actions])


def write_fit3d(root: Path, models: Path, rng: np.random.Generator) -> Singles:
    actions = (("s03", "dumbbell_biceps_curls"), ("s10", "squat"))
    return _write_singles(root, models, rng, actions, contacts="rep_ann.json", test="s02")


def write_humansc3d(root: Path, models: Path, rng: np.random.Generator) -> Singles:
    actions = (("s01", "001"), ("s06", "120"))
    return _write_singles(root, models, rng, actions, contacts="self_contact_signature.json", test="s04")


def _write_singles(
    root: Path,
    models: Path,
    rng: np.random.Generator,
    actions: tuple[tuple[str, str], tuple[str, str]],
    *,
    contacts: str,
    test: str,
) -> Singles:
    """``contacts`` is the file beside the actions, ``test`` the subject of the split test."""
    (subject, name), second = actions
    made = Singles(
        root,
        (
            write_action(root, models, rng, subject, name, frames=4),
            write_action(root, models, rng, *second, frames=2, rate=4),
        ),
    )
    save(root / "train" / subject / contacts, {name: [0, 2]})
    write_strays(root, subject)
    write_test_split(root, test, name)
    return made
