"""BEDLAM trees of both releases, with everything that their files hold against a reader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from ehps.body.params import BodyParams
from ehps.demo.people import random_people
from ehps.demo.raw import bedlam, stage
from ehps.demo.raw.stage import Look, PaintedView, Truth
from tests.raw.checks import blank

Array = npt.NDArray[Any]

LABELS = "training_labels/all_npz_12_training"
CROWD = "20221010_3_1000_batch01hand_6fps"
CLOSE_UP = "20221011_1_250_batch01hand_closeup_suburb_b_6fps"
ONLY_NAMED_SO = "20221017_1_250_batch01hand_closeup_suburb_a_6fps"
PLAIN = "20221019_1_250_batch01hand_static_suburb_d_6fps"
HAIR = "20221022_3_250_batch01handhair_static_bigOffice_30fps"
NO_IMAGES = "20221024_3-10_100_batch01handhair_zoom_suburb_d_6fps"
VALIDATION = "20221018_3-8_250_batch01hand_6fps"


@dataclass
class Tree:
    """A raw tree and what a conversion must make of it.

    Attributes
    ----------
    truth : people in the order of the rows.
    rows : scene -> the rows of its label file that are kept, in the order of the truth; release (A) only.
    facts : meta column -> its values; release (B) only.
    dropped : reason -> how many.
    """

    root: Path
    truth: Truth
    rows: dict[str, list[int]] = field(default_factory=dict)
    facts: dict[str, list[Any]] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)

    def labels(self, name: str, scene: str | None = None) -> Array:
        """One column of the label files, rows in the order of the truth."""
        scenes = self.rows if scene is None else (scene,)
        return np.concatenate([load(self.root / LABELS / f"{s}.npz")[name][self.rows[s]] for s in scenes])

    def of(self, scene: str) -> list[int]:
        """Numbers of a scene's people in the truth."""
        return [i for i, path in enumerate(self.truth.image_path) if f"/{scene}/" in path]


def load(path: Path) -> dict[str, Any]:
    with np.load(path) as file:
        return dict(file)


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the columns of a label file in place."""
    data = load(path)
    change(data)
    np.savez(path, **data)


# -- (A) 6 fps labels -----------------------------------------------------------------------------------------


def write_fixture(root: Path, models: Path, rng: np.random.Generator) -> Tree:
    """Five scenes, fourteen people; a scene without images, AGORA's labels, and a scene of the validation split.

    The crowd has two people in each of four images of two sequences, grouped by person, and three rows that cannot
    be used. In the close-up the stored image lies on its side; the other that is named so stands upright, and its
    people leave the image at the top and bottom.
    """
    one, two = Look(people=(1, 1)), Look(people=(2, 2), share=(0.6, 0.7))
    near = Look(people=(1, 1), share=(1.5, 1.7))
    order = [0, 2, 1, 3, 4, 6, 5, 7]
    crowd = write(root, models, rng, CROWD, two, 4)[order]
    edit(root / LABELS / f"{CROWD}.npz", lambda data: reorder(data, [*order, 0, 1, 2]))
    edit(root / LABELS / f"{CROWD}.npz", _spoil)
    parts = [
        crowd,
        write(root, models, rng, CLOSE_UP, one, 2, upright=True),
        write(root, models, rng, ONLY_NAMED_SO, near, 2),
        write(root, models, rng, PLAIN, one, 1),
        write(root, models, rng, HAIR, one, 1),
    ]
    rows = {CROWD: list(range(8)), CLOSE_UP: [0, 1], ONLY_NAMED_SO: [0, 1], PLAIN: [0], HAIR: [0]}
    bedlam.write(root, models, rng, look=one, images=2, scene=NO_IMAGES, painted=False)
    agora = load(root / LABELS / f"{PLAIN}.npz")
    np.savez(root / LABELS / "agora-body.npz", **agora | {"shape": agora["shape"][:, :10]})
    blank(root, ["training_images/images/ag_trainset_3dpeople_bfh_archviz_5_10_cam00_00000.png"], 8, 8)
    write(root, models, rng, VALIDATION, one, 2, split="val")
    dropped = {
        "scene without image folder": 2,
        "behind the camera": 1,
        "image missing": 1,
        "body parameters not finite": 1,
    }
    return Tree(root, Truth.concat(parts), rows, dropped=dropped)


def write(
    root: Path, models: Path, rng: np.random.Generator, scene: str, look: Look, images: int, **options: Any
) -> Truth:
    """One scene with blank images."""
    truth = bedlam.write(root, models, rng, look=look, images=images, scene=scene, painted=False, **options)
    blank(root, list(dict.fromkeys(truth.image_path)), 720, 1280)
    return truth


def reorder(data: dict[str, Any], rows: Sequence[int]) -> None:
    for name, values in data.items():
        data[name] = values[list(rows)]


def _spoil(data: dict[str, Any]) -> None:
    """The last three rows: no such image, behind the camera, a pose that is no number."""
    data["imgname"][-3] = "seq_000001/seq_000001_0990.png"
    data["trans_cam"][-2, 2] -= 100
    data["pose_cam"][-1, 70] = np.nan


# -- (B) 30 fps ground truth ----------------------------------------------------------------------------------

FRAMES = (0, 1, 2, 4, 5, 6, 7, 8, 9, 10)  # frame 3 was not rendered, so a row's number is not its frame's
KEPT = (0, 5, 10)
FOCAL_MM = 30.0
CAMERAS = "name,x,y,z,yaw,pitch,roll,focal_length,sensor_width,sensor_height,hfov"
TABLE = "Index,Type,Body,X,Y,Z,Yaw,Pitch,Roll,Comment"
ABOVE = "Comment,None,0.0,0.0,0.0,0.0,0.0,0.0,relative_to_root=True"
GROUP = "Group,None,0.0,0.0,0.0,0.0,0.0,0.0,sequence_name={};frames=11;camera_hfov=52.0"
STREET, SIDEWAYS = "20221010_3_1000_batch01hand", "20221012_1_500_batch01hand_closeup_highSchoolGym"
MEASURED = "20221018_3-8_250_batch01hand"


@dataclass(frozen=True)
class Actor:
    """A person of a sequence: metres before the camera, to its right, and what becomes of it.

    ``lasts`` is how many frames the motion goes on after its start; ``kept`` the frames that must be rows.
    """

    name: str
    ahead: float
    right: float
    start: int = 0
    lasts: int = 30
    sex: str = "female"
    kept: tuple[int, ...] = KEPT

    def line(self, place: tuple[float, float, float], yaw: float) -> str:
        """Its line in the table of a scene."""
        where = ",".join(str(x) for x in (*place, yaw))
        return f"Body,{self.name},{where},0.0,0.0,start_frame={self.start};texture_body=skin_01"


SEQUENCES: dict[str, dict[str, tuple[float, list[Actor]]]] = {  # scene -> sequence -> camera's roll, actors
    STREET: {
        "seq_000000": (
            2.0,
            [
                Actor("rp_aaron_posed_002_1001", 5, -1, sex="male"),
                Actor("rp_anna_posed_003_1002", 6, 1, start=7),
                Actor("rp_carla_posed_004_1003", 4, 12, kept=()),  # out of the image
                Actor("rp_dennis_posed_005_1004", -4, 0, kept=()),  # behind the camera
            ],
        ),
        "seq_000001": (
            -1.0,
            [
                Actor("rp_aaron_posed_002_1005", 5, 0, start=3, lasts=10, sex="male", kept=(0, 5)),
                Actor("rp_anna_posed_003_1002", 5, 1, start=26, lasts=11),
            ],
        ),
    },
    SIDEWAYS: {"seq_000000": (89.0, [Actor("rp_emma_posed_006_1006", 3.5, 0.1, start=2)])},
    MEASURED: {"seq_000000": (0.0, [Actor("rp_emma_posed_006_1007", 5, 0)])},
}


@dataclass(frozen=True)
class Pose:
    """Unreal's camera of one frame: centimetres, degrees, millimetres."""

    place: tuple[float, float, float]
    yaw: float
    pitch: float
    roll: float
    focal_mm: float = FOCAL_MM

    def turn(self) -> Array:
        return Rotation.from_euler("ZXY", [-self.roll, -self.pitch, -self.yaw], degrees=True).as_matrix()

    def view(self) -> PaintedView:
        return PaintedView(720, 1280, self.focal_mm / 36 * 1280)

    def line(self, name: str) -> str:
        """Its line in a camera file."""
        numbers = ",".join(str(v) for v in (*self.place, self.yaw, self.pitch, self.roll))
        return f"{name},{numbers},{self.focal_mm},36.0,20.25,61.9"


def write_ground_truth(
    root: Path,
    models: Path,
    rng: np.random.Generator,
    *,
    gender: str = "neutral",
    motions: str = "smplx_gt/neutral_ground_truth_motioninfo",
    split: str = "train",
) -> Tree:
    """Three scenes, one of them of the validation split; the tree tells of ``split``."""
    truth: list[Truth] = []
    known: dict[str, BodyParams] = {}
    facts: dict[str, list[Any]] = {"track_id": [], "sequence_name": [], "frame_id": [], "subject_gender": []}
    for scene, sequences in SEQUENCES.items():
        table = [ABOVE]
        for sequence, (roll, actors) in sequences.items():
            table.append(GROUP.format(sequence))
            cameras = _write_cameras(root / "images" / scene, sequence, roll, rng)
            for actor in actors:
                place, yaw = place_of(cameras[0], actor), float(rng.uniform(-180, 180))
                table.append(actor.line(place, yaw))
                params = _write_motion(root / motions, actor, gender, rng, known)
                if actor.kept and (scene == MEASURED) == (split == "val"):
                    paths = [f"images/{scene}/png/{sequence}/{sequence}_{k:04d}.png" for k in actor.kept]
                    truth.append(seen(models, params, actor, place, yaw, cameras, paths))
                    n = len(actor.kept)
                    facts["track_id"] += [f"{scene}/{sequence}/{actor.name}"] * n
                    facts["sequence_name"] += [f"{scene}/{sequence}"] * n
                    facts["frame_id"] += actor.kept
                    facts["subject_gender"] += [actor.sex[0]] * n
        write_table(root / "images" / scene / "be_seq.csv", table)
    reasons = {"motion has ended": 1, "joint behind the camera": 3, "fewer than 8 body joints in the image": 3}
    return Tree(root, Truth.concat(truth), facts=facts, dropped=reasons if split == "train" else {})


def write_table(path: Path, lines: Sequence[str]) -> None:
    """``be_seq.csv`` with these lines, numbered."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([TABLE, *(f"{i},{line}" for i, line in enumerate(lines))]) + "\n")


def _write_cameras(scene: Path, sequence: str, roll: float, rng: np.random.Generator) -> dict[int, Pose]:
    """The camera file of a sequence and its images: a camera that travels and pans. Frame -> camera."""
    x, y, yaw = rng.uniform(-500, 500), rng.uniform(-500, 500), rng.uniform(-180, 180)
    found = {k: Pose((x + 2.0 * k, y - 1.5 * k, 110.0 + k), yaw + 0.4 * k, -3.0 - 0.1 * k, roll) for k in FRAMES}
    lines = [CAMERAS, *(camera.line(f"{sequence}_{k:04d}.png") for k, camera in found.items())]
    path = scene / "ground_truth" / "camera" / f"{sequence}_camera.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    blank(scene / "png" / sequence, [f"{sequence}_{k:04d}.png" for k in KEPT], 720, 1280)
    return found


def place_of(camera: Pose, actor: Actor) -> tuple[float, float, float]:
    """Where an actor stands, in Unreal's centimetres: x north, y east, yaw from north to east."""
    ahead = np.array([np.cos(np.radians(camera.yaw)), np.sin(np.radians(camera.yaw))])
    right = np.array([-ahead[1], ahead[0]])
    x, y = np.array(camera.place[:2]) + 100 * (actor.ahead * ahead + actor.right * right)
    return float(x), float(y), 0.0


def _write_motion(
    motions: Path, actor: Actor, gender: str, rng: np.random.Generator, known: dict[str, BodyParams]
) -> BodyParams:
    """The file of a motion, unless it is ``known`` already."""
    n = actor.start + actor.lasts
    if actor.name in known:
        assert len(known[actor.name]) == n
        return known[actor.name]
    people = performance(n, rng, 11 if gender == "neutral" else 10, gender)
    subject, motion = actor.name.rsplit("_", 1)
    (motions / subject / motion).mkdir(parents=True)
    data: dict[str, Any] = {
        "poses": bedlam.full_pose(people),
        "trans": people.transl,
        "betas": people.betas[0],
        "gender": np.array(gender),
        "gender_sub": np.array(actor.sex),
        "motion_info": np.array(f"{subject}/{motion}"),
    }
    np.savez(motions / subject / motion / "motion_seq.npz", **data)
    known[actor.name] = people
    return people


def performance(n: int, rng: np.random.Generator, num_betas: int, gender: str) -> BodyParams:
    """One person in ``n`` frames, about an origin of its own on the ground. Poses are not smooth."""
    people = random_people(n, rng, style="gesturing", num_betas=num_betas, gender=gender, flat_hand_mean=True)
    trans = np.column_stack([rng.uniform(-0.2, 0.2, n), rng.uniform(1.1, 1.3, n), rng.uniform(-0.2, 0.2, n)])
    return people.with_(betas=people.betas[[0] * n], expression=np.zeros((n, 10)), transl=trans)


def seen(
    models: Path,
    params: BodyParams,
    actor: Actor,
    place: tuple[float, float, float],
    yaw: float,
    cameras: dict[int, Pose],
    paths: Sequence[str],
) -> Truth:
    """The actor in the frames that are kept, joint by joint: turned, placed, and seen from the camera.

    Parameters
    ----------
    paths : of the images of the frames that are kept.
    """
    body = stage.package(models, params[[actor.start + k for k in actor.kept]])[0]
    stand = Rotation.from_euler("y", yaw - 90, degrees=True).as_matrix() @ stage.FRONT
    joints = np.stack(
        [
            (points @ stand.T + opencv(place) - opencv(cameras[k].place)) @ cameras[k].turn().T
            for points, k in zip(body, actor.kept, strict=True)
        ]
    )
    pixels = [stage.project(points, cameras[k].view()) for points, k in zip(joints, actor.kept, strict=True)]
    return Truth(list(paths), joints, np.stack(pixels), params.gender[: len(paths)])


def opencv(place: tuple[float, float, float]) -> Array:
    x, y, z = place
    return np.array([y, -z, x]) / 100
