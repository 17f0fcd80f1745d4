"""BEDLAM2.0 trees: full ground truth with images or movies, and preprocessed labels."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ehps.body.params import BodyParams
from ehps.demo.raw import bedlam as labels
from ehps.demo.raw.stage import Look, Truth
from tests.raw.bedlam import (
    ABOVE,
    CAMERAS,
    FRAMES,
    GROUP,
    KEPT,
    Actor,
    Pose,
    edit,
    load,
    performance,
    place_of,
    seen,
    write_table,
)
from tests.raw.checks import blank
from tests.raw.ubody import write_video

Array = npt.NDArray[Any]

LOCKED_HEAD = "models_lockedhead"
MOYO, PORTRAIT = "20240425_1_171_citysample_dolly", "20240729_1_250_ai1004_vcam"
NAMES = f"Folder name,Scene name\n{MOYO}, city-dolly-moyo1\n{PORTRAIT}, ai1004-vcam-portrait-b2v11\n"
YOGI = "220923_yogi_nexus_03596_Downward-Facing_Dog"
NO_FILE = "it_9001_M_2400"
SEQUENCES: dict[str, dict[str, tuple[float, list[Actor]]]] = {  # scene -> sequence -> camera's roll, actors
    MOYO: {
        "seq_000000": (
            2.0,
            [
                Actor(YOGI, 5, -1),
                Actor("it_4001_XL_2400", 6, 1, start=7),
                Actor(NO_FILE, 5, 0, kept=()),
                Actor("it_4002_S_2401", -4, 0, kept=()),  # behind the camera
            ],
        ),
        "seq_000001": (
            -1.0,
            [
                Actor("it_4003_M_2402", 5, 0, start=3, lasts=10, kept=(0, 5)),
                Actor("it_4001_XL_2400", 5, 1, start=26, lasts=11),
                Actor("it_4004_M_2403", 4, 12, kept=()),  # out of the image
            ],
        ),
    },
    PORTRAIT: {"seq_000000": (89.0, [Actor("it_4005_L_2404", 3.5, 0.1, start=2)])},
}
LOST = f"{MOYO}/png/seq_000001/seq_000001_0005.png"
"""An image that is not there, of two people."""
DROPPED = {
    "motion has ended": 1,
    "no motion file": 3,
    "joint behind the camera": 3,
    "fewer than 8 body joints in the image": 2,
    "image missing": 3,
}


@dataclass
class Tree:
    """A raw tree and what a conversion must make of it.

    Attributes
    ----------
    truth : people in the order of the rows.
    focal : (N,) pixels.
    facts : meta column -> its values.
    dropped : reason -> how many.
    """

    root: Path
    truth: Truth
    focal: Array
    facts: dict[str, list[Any]] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)

    def of(self, scene: str) -> list[int]:
        """Numbers of a scene's people in the truth."""
        return [i for i, path in enumerate(self.truth.image_path) if f"{scene}/" in path]


def locked(models: Path) -> Path:
    """The folder of the locked-head models, laid out as one of body models itself."""
    return models / LOCKED_HEAD


# -- (B) ------------------------------------------------------------------------------------------------------


def write_fixture(root: Path, models: Path, rng: np.random.Generator, *, below: str = "") -> Tree:
    """Two scenes, the second portrait by the list of scenes only; ten people are kept, in three sequences.

    Parameters
    ----------
    below : folder that the scenes are in.
    """
    parts: list[tuple[Truth, list[float], dict[str, list[Any]]]] = []
    known: dict[str, BodyParams] = {}
    for name, sequences in SEQUENCES.items():
        scene = root / below / name
        table = [ABOVE]
        for sequence, (roll, actors) in sequences.items():
            table.append(GROUP.format(sequence))
            cameras = _write_cameras(scene, sequence, roll, rng)
            for actor in actors:
                place, yaw = place_of(cameras[0], actor), float(rng.uniform(-180, 180))
                table.append(actor.line(place, yaw))
                if actor.name == NO_FILE:
                    continue
                params = write_motion(root / "motions_npz_training", actor, rng, known)
                images = {k: f"{name}/png/{sequence}/{sequence}_{k:04d}.png" for k in actor.kept}
                actor = replace(actor, kept=tuple(k for k in actor.kept if images[k] != LOST))
                if not actor.kept:
                    continue
                paths = [(Path(below) / images[k]).as_posix() for k in actor.kept]
                facts: dict[str, list[Any]] = {
                    "track_id": [f"{name}/{sequence}/{actor.name}"] * len(paths),
                    "sequence_name": [f"{name}/{sequence}"] * len(paths),
                    "frame_id": list(actor.kept),
                    "portrait": [name == PORTRAIT] * len(paths),
                }
                truth = seen(locked(models), params, actor, place, yaw, cameras, paths)
                parts.append((truth, [cameras[k].view().focal for k in actor.kept], facts))
        write_table(scene / "be_seq.csv", table)
    (root / below / LOST).unlink()
    (root / "bedlam2_scene_names.csv").write_text(NAMES)
    return Tree(
        root,
        Truth.concat([truth for truth, _, _ in parts]),
        np.array([focal for _, focals, _ in parts for focal in focals]),
        {name: [value for _, _, facts in parts for value in facts[name]] for name in parts[0][2]},
        DROPPED,
    )


def _write_cameras(scene: Path, sequence: str, roll: float, rng: np.random.Generator) -> dict[int, Pose]:
    """The camera file of a sequence, one that travels, pans and zooms, and its images. Frame -> camera."""
    x, y, yaw = rng.uniform(-500, 500), rng.uniform(-500, 500), rng.uniform(-180, 180)
    found = {
        k: Pose((x + 2.0 * k, y - 1.5 * k, 110.0 + k), yaw + 0.4 * k, -3.0 - 0.1 * k, roll, 24.0 + 0.8 * k)
        for k in FRAMES
    }
    path = scene / "ground_truth" / "meta_exr_csv" / f"{sequence}_camera.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [CAMERAS, *(camera.line(f"{sequence}_{k:04d}.png") for k, camera in found.items())]
    path.write_text("\n".join(lines) + "\n")
    blank(scene / "png" / sequence, [f"{sequence}_{k:04d}.png" for k in KEPT], 720, 1280)
    return found


def write_motion(motions: Path, actor: Actor, rng: np.random.Generator, known: dict[str, BodyParams]) -> BodyParams:
    """The file of a motion, unless it is ``known`` already; that of MOYO has 300 betas, of which 16 count."""
    n = actor.start + actor.lasts
    if actor.name in known:
        assert len(known[actor.name]) == n
        return known[actor.name]
    people = performance(n, rng, 16, "neutral")
    betas = people.betas[0]
    motions.mkdir(parents=True, exist_ok=True)
    np.savez(
        motions / f"{actor.name}.npz",
        poses=labels.full_pose(people),
        trans=people.transl,
        betas=np.concatenate([betas, rng.normal(size=284)]) if actor.name == YOGI else betas,
        gender=np.array("neutral"),
    )
    known[actor.name] = people
    return people


def with_movies(tree: Tree) -> Tree:
    """The same scenes with a movie in place of the images of each sequence, upright where the scene is portrait."""
    paths = tree.truth.image_path
    for folder in {(tree.root / path).parent for path in paths}:
        scene = folder.parents[1]
        size = (1280, 720) if scene.name == PORTRAIT else (720, 1280)
        write_video(scene / "mp4" / f"{folder.name}.mp4", len(FRAMES), 30, size=size)
    for scene in {(tree.root / path).parents[2] for path in paths}:
        shutil.rmtree(scene / "png")
    truth, portrait = tree.truth, tree.of(PORTRAIT)
    x, y, z = np.moveaxis(truth.joints[portrait].copy(), 2, 0)
    u, v = np.moveaxis(truth.points[portrait].copy(), 2, 0)
    truth.joints[portrait], truth.points[portrait] = np.stack([-y, x, z], axis=2), np.stack([720 - v, u], axis=2)
    truth.image_path = [movie_path(path) for path in paths]
    return tree


def movie_path(path: str) -> str:
    """The frame of a movie that stands in for an image."""
    below, sequence, name = path.rsplit("/", 2)
    return f"{below.removesuffix('png')}mp4/{sequence}.mp4/{FRAMES.index(int(name[-8:-4])):06d}.png"


# -- (A) ------------------------------------------------------------------------------------------------------

LABELS, IMAGES = "training-labels/bedlam_v2", "training-images/bedlam_v2"
NO_IMAGES = "20240613_1_200_hdri"


def write_labels(root: Path, models: Path, rng: np.random.Generator) -> Tree:
    """Two scenes, the second portrait, and one without images; of the first a row has no image."""
    parts = [
        _write_labels(root, models, rng, MOYO, Look(people=(2, 2), share=(0.6, 0.7)), 4),
        _write_labels(root, models, rng, PORTRAIT, Look(people=(1, 1)), 2, upright=True),
    ]
    _write_labels(root, models, rng, NO_IMAGES, Look(people=(1, 1)), 2, images_there=False)

    def lost(data: dict[str, Any]) -> None:
        for name, column in data.items():
            data[name] = np.concatenate([column, column[:1]])
        data["imgname"][-1] = "seq_000000/seq_000000_0995.png"

    edit(root / LABELS / f"{MOYO}.npz", lost)
    truth = Truth.concat(parts)
    focal = np.full(len(truth), labels.LANDSCAPE.focal)
    return Tree(root, truth, focal, dropped={"scene without image folder": 2, "image missing": 1})


def _write_labels(
    root: Path,
    models: Path,
    rng: np.random.Generator,
    scene: str,
    look: Look,
    images: int,
    *,
    upright: bool = False,
    images_there: bool = True,
) -> Truth:
    truth = labels.write(
        root,
        locked(models),
        rng,
        look=look,
        images=images,
        scene=scene,
        upright=upright,
        genders=("neutral",),
        painted=False,
        num_betas=16,
    )
    written = root / labels.FOLDERS["train"][0] / f"{scene}.npz"
    data = load(written)
    shutil.rmtree(written.parents[1])
    others = rng.uniform(0, 1280, (len(data["gtkps"]), 44, 3))  # joints of other sets, which must not be read
    data["gtkps"] = np.concatenate([others, data["gtkps"]], axis=1)
    (root / LABELS).mkdir(parents=True, exist_ok=True)
    np.savez(root / LABELS / f"{scene}.npz", **data)
    truth.image_path = [path.replace(labels.FOLDERS["train"][1], IMAGES) for path in truth.image_path]
    if images_there:
        blank(root, list(dict.fromkeys(truth.image_path)), 720, 1280)
    return truth
