"""A parsed Human3.6M tree with everything that its files hold against a reader."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from ehps.demo.people import random_people
from ehps.demo.raw import stage
from ehps.demo.raw.stage import Truth
from ehps.humandata import keypoints
from tests.raw.checks import blank, edited
from tests.raw.neural_annot import ABSENT, dump

Array = npt.NDArray[Any]

HEIGHTS = {1: 1002, 2: 1000, 3: 1000, 4: 1002}
TRAIN, TEST = (1, 5, 6, 7, 8), (9, 11)
FRAMES = (0, 3, 5, 10, 64, 128)
EMPTY: dict[str, list[Any]] = {"images": [], "annotations": []}


@dataclass
class Actor:
    """One subject: ``truth`` of every (frame, camera), joints of the fits moved by the raw cameras."""

    truth: dict[tuple[int, int], Truth]
    cameras: dict[str, Any]
    joints: dict[tuple[int, int], Array]  # the 17, camera frame, m
    order: list[tuple[int, int]]  # of the annotations


def write_fixture(root: Path, models: Path, rng: np.random.Generator) -> dict[int, Actor]:
    """Subjects 1, 5, 9 before four cameras in frames of :data:`FRAMES`; 6, 7, 8 and 11 have no rows.

    Of subject 1, camera 2: the box of frame 5 leaves the image, that of frame 10 is empty. Of subject 5 there is no
    fit of frame 5 and no 3D joints of frame 10. Annotations are in another order than images.
    """
    actors = {s: _subject(root, models, rng, s, 1000 * s) for s in (1, 5, 9)}
    for s in {*TRAIN, *TEST} - set(actors):
        dump(path_of(root, s, "data"), EMPTY)
        for name in ("camera", "joint_3d", "SMPLX_NeuralAnnot"):
            dump(path_of(root, s, name), {})
    with edited(path_of(root, 1, "data")) as data:
        boxes = {file_name(1, 5, 2): [-60.5, 300, 700, 950], file_name(1, 10, 2): [100, 100, 0, 50]}
        images = {image["id"]: image["file_name"] for image in data["images"]}
        for a in data["annotations"]:
            a["bbox"] = boxes.get(images[a["image_id"]], a["bbox"])
    with edited(path_of(root, 5, "SMPLX_NeuralAnnot")) as fits:
        del fits["2"]["1"]["5"]
    with edited(path_of(root, 5, "joint_3d")) as joints:
        del joints["2"]["1"]["10"]
    return actors


def _subject(root: Path, models: Path, rng: np.random.Generator, subject: int, first: int) -> Actor:
    n = len(FRAMES)
    params = random_people(n, rng, style="sports").with_(transl=rng.normal([0.3, -0.2, 0.9], 0.1, (n, 3)))
    upright = Rotation.from_euler("x", 90, degrees=True)  # the world of the studio has z up
    params = params.with_(
        global_orient=(upright * Rotation.from_rotvec(params.global_orient)).as_rotvec(),
        **{name: np.zeros_like(getattr(params, name)) for name in ABSENT},
    )
    world, _ = stage.package(models, params)
    own = keypoints.convert(world, "smplx", "h36m_mmpose", approximate=True)[0]
    own[:, 7], own[:, 9], own[:, 10] = world[:, 6], world[:, 15], world[:, 15] + [0, 0, 0.2]
    leaves = {
        str(frame): {
            "root_pose": params.global_orient[k].tolist(),
            "body_pose": params.body_pose[k].reshape(1, 63).tolist(),
            "shape": params.betas[k].tolist(),
            "trans": params.transl[k : k + 1].tolist(),
        }
        for k, frame in enumerate(FRAMES)
    }
    dump(path_of(root, subject, "SMPLX_NeuralAnnot"), {"2": {"1": leaves}})
    mm = {str(frame): (1000 * own[k]).tolist() for k, frame in enumerate(FRAMES)}
    dump(path_of(root, subject, "joint_3d"), {"2": {"1": mm}})
    cameras = {str(c): _camera(subject, c) for c in HEIGHTS}
    dump(path_of(root, subject, "camera"), cameras)
    actor = Actor({}, cameras, {}, [])
    images, annotations = [], []
    for number, (frame, c) in enumerate((frame, c) for c in HEIGHTS for frame in FRAMES):
        k = FRAMES.index(frame)
        name = file_name(subject, frame, c)
        joints, points = seen(world[k : k + 1], cameras[str(c)])
        actor.joints[frame, c], own2d = seen(own[k : k + 1], cameras[str(c)])
        actor.truth[frame, c] = Truth([f"images/{name}"], joints, points, np.array(["neutral"]))
        low, high = own2d[0].min(0), own2d[0].max(0)
        images.append(
            {
                "id": first + number,
                "file_name": name,
                "width": 1000,
                "height": HEIGHTS[c],
                "subject": subject,
                "action_name": "Directions",
                "action_idx": 2,
                "subaction_idx": 1,
                "cam_idx": c,
                "frame_idx": frame,
            }
        )
        annotations.append(
            {
                "id": first + number,
                "image_id": first + number,
                "keypoints_vis": [True] * 17,
                "bbox": [*(low - 0.1 * (high - low)), *(1.2 * (high - low))],
            }
        )
        blank(root, [f"images/{name}"], HEIGHTS[c], 1000)
    shuffled = rng.permutation(len(images)).tolist()
    actor.order = [(images[i]["frame_idx"], images[i]["cam_idx"]) for i in shuffled]
    dump(path_of(root, subject, "data"), {"images": images, "annotations": [annotations[i] for i in shuffled]})
    return actor


def _camera(subject: int, c: int) -> dict[str, Any]:
    """Around the middle of the studio, at its own distance; millimetres."""
    turn = Rotation.from_euler("xyz", [90 + 3 * c, 2 * c, 0], degrees=True)
    rotation = (turn * Rotation.from_euler("z", 90 * c + 17 * subject, degrees=True)).as_matrix()
    target = rotation @ [0.3, -0.2, 0.9]
    translation = [0.03 * c, 0.02 * subject, 5 + 0.2 * c + 0.1 * subject] - target
    return {
        "R": rotation.tolist(),
        "t": (1000 * translation).tolist(),
        "f": [1145.0 + c + subject, 1143.0 - c],
        "c": [512.5 + c, 515.25 - subject],
    }


def seen(world: Array, camera: dict[str, Any]) -> tuple[Array, Array]:
    """Points (N, J, 3) in the frame of a raw camera and their pixels."""
    rotation, translation = np.array(camera["R"]), np.array(camera["t"]) / 1000
    joints = np.stack([person @ rotation.T + translation for person in world])
    return joints, joints[..., :2] / joints[..., 2:] * camera["f"] + camera["c"]


def path_of(root: Path, subject: int, name: str) -> Path:
    return root / "annotations" / f"Human36M_subject{subject}_{name}.json"


def file_name(subject: int, frame: int, c: int) -> str:
    folder = f"s_{subject:02d}_act_02_subact_01_ca_{c:02d}"
    return f"{folder}/{folder}_{frame + 1:06d}.jpg"


def keys(actors: dict[int, Actor], subjects: tuple[int, ...], frames: tuple[int, ...], cameras: Any = HEIGHTS) -> Any:
    """(subject, frame, camera) of the rows in their order."""
    return [(s, *key) for s in subjects for key in actors[s].order if key[0] in frames and key[1] in cameras]


def truth(actors: dict[int, Actor], rows: list[tuple[int, int, int]]) -> Truth:
    return Truth.concat([actors[s].truth[frame, c] for s, frame, c in rows])


# -- the original release ------------------------------------------------------------------------------------


@dataclass
class Filmed:
    """A sequence before a camera: ``points`` (F, 32, 2) pixels, ``joints`` (F, 32, 3) mm in its frame."""

    points: Array
    joints: Array


LENSES = {
    camera: [1145.0 + k, 1143.5 - k, 512.5 + k, 515.5 - k, -0.2, 0.24 + k / 100, -0.003, -0.0009, -0.0016]
    for k, camera in enumerate(("54138969", "55011271", "58860488", "60457274"))
}
"""Focal lengths, principal point, k1 k2 k3, p1 p2 of each camera, as ``metadata.xml`` has them."""


def write_original(root: Path, rng: np.random.Generator, frames: int = 7) -> dict[str, Filmed]:
    """Subjects 1 and 11 of the original release, by file name; needs cdflib.

    S1 has two sequences before two cameras, and the file of all its sequences; S11 one whose video is broken.
    """
    places = rng.normal(0, 1000, 4 * 11 * 6).tolist()
    text = " ".join(map(repr, [*places, *(number for lens in LENSES.values() for number in lens)]))
    root.mkdir(parents=True, exist_ok=True)
    (root / "metadata.xml").write_text(f"<metadata><w0>[{text}]</w0></metadata>")
    made = {}
    for name in (
        *(f"S1/{action}.{camera}" for action in ("Directions 1", "Directions") for camera in list(LENSES)[:2]),
        "S1/_ALL.54138969",
        "S11/Directions.54138969",
    ):
        subject, _, stem = name.partition("/")
        joints = rng.normal([0, 0, 5000], 400, (frames, 32, 3))
        made[name] = Filmed(500 + joints[..., :2] / joints[..., 2:] * 1145, joints)
        for folder, values in (("D2_Positions", made[name].points), ("D3_Positions_mono", joints)):
            write_cdf(root / subject / "MyPoseFeatures" / folder / f"{stem}.cdf", values.reshape(1, frames, -1))
    return made


def write_cdf(path: Path, values: Array, name: str = "Pose") -> None:
    """A CDF file with one variable of one record (1, F, K)."""
    from cdflib.cdfwrite import CDF

    path.parent.mkdir(parents=True, exist_ok=True)
    file = CDF(path, delete=True)
    spec = {"Variable": name, "Data_Type": CDF.CDF_DOUBLE, "Num_Elements": 1, "Rec_Vary": True}
    file.write_var(spec | {"Dim_Sizes": list(values.shape[1:])}, var_data=values)
    file.close()
