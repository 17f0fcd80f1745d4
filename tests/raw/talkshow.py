"""A TalkSHOW tree, split by folders, with everything that its files hold against a reader."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ehps.body.params import BodyParams
from ehps.converters.base import Rigid
from ehps.demo.people import random_people
from ehps.demo.raw import stage
from ehps.demo.raw.stage import PaintedView, Truth
from tests.raw.checks import blank

Array = npt.NDArray[Any]

RELEASE = "ExpressiveWholeBodyDatasetReleaseV1.0"
SPACED = "Conan meets a guest.mp4"
LEGS = [0, 1, 3, 4, 6, 7, 9, 10]
SITTING = np.array(
    [
        [-1.1826512813568115, 0.23866955935955048, 0.15146760642528534],
        [-1.2604516744613647, -0.3160211145877838, -0.1603458970785141],
        [1.1654603481292725, 0, 0],
        [1.2521806955337524, 0.041598282754421234, -0.06312154978513718],
        *[[0, 0, 0]] * 4,
    ]
)


@dataclass(frozen=True)
class Clip:
    speaker: str
    video: str
    split: str
    name: str
    height: int
    width: int
    frames: int = 4
    images: int = 4

    @property
    def folder(self) -> str:
        return f"frames/{self.speaker}/{self.video.replace(' ', '_')}/{self.name}"


CLIPS = (  # in the order of rows
    Clip("conan", SPACED, "train", "12-00_00_01-00_00_04", 360, 640),
    Clip("seth", "late.night.webm", "train", "5536-00_01_07-00_01_17", 720, 1280, 3, 3),
    Clip("seth", "late.night.webm", "val", "5537-00_01_20-00_01_23", 720, 1280, 2, 2),
    Clip("seth", "late.night.webm", "test", "5538-00_02_00-00_02_03", 720, 1280, 2, 2),
    Clip("oliver", "a.mkv", "train", "7-00_00_00-00_00_03", 360, 640, 4, 3),
    Clip("chemistry", "lesson.mp4", "train", "8-00_00_00-00_00_03", 360, 640, 2, 2),
)


@dataclass
class Tree:
    """``truth``, ``params`` (camera of the fit, legs of reference) and ``coefficients`` by split."""

    root: Path
    truth: dict[str, Truth]
    params: dict[str, list[BodyParams]]
    cameras: dict[str, tuple[float, Array]]


def pickle_of(root: Path, clip: Clip) -> Path:
    return root / RELEASE / clip.speaker / clip.video / clip.split / clip.name / f"{clip.name}.pkl"


def write_fixture(root: Path, models: Path, rng: np.random.Generator) -> Tree:
    """conan: train; seth: train, val, test; oliver: an image less than poses; chemistry: a value that is NaN."""
    truths: dict[str, list[Truth]] = {}
    params: dict[str, list[BodyParams]] = {}
    cameras: dict[str, tuple[float, Array]] = {}
    components = stage.hand_components(models, "neutral")
    for number, clip in enumerate(CLIPS):
        n = clip.frames
        hands = {side: rng.normal(0, 0.9, (n, 12)) for side in ("left", "right")}
        view = PaintedView(clip.height, clip.width, 4.0 * clip.height + 50 * number)
        people = random_people(n, rng, style="gesturing")
        shape, fitted_legs = rng.normal(0, 0.7, 300), people.body_pose[:, LEGS] + 0.1
        face = rng.normal(0, 0.5, (n, 100))
        pose = people.body_pose.copy()
        pose[:, LEGS] = 0 if clip.speaker == "conan" else SITTING
        people = people.with_(
            body_pose=pose,
            betas=np.tile(shape[:10], (n, 1)),
            expression=face[:, :10],
            **{f"{s}_hand_pose": (hands[s] @ components[s][:12]).reshape(n, 15, 3) for s in hands},
        )
        camera_transl = rng.normal([-0.27, -0.71, 6.22], 0.1)
        move = Rigid(np.eye(3), camera_transl * [-1, -1, 1])
        image, pelvis = stage.places(rng, [1] * n, view)
        cast = stage.cast(models, people, move, image, pelvis, stage.orientations(rng, n))
        paths = [f"{clip.folder}/{k + 1:06d}.jpg" for k in range(n)]
        truths.setdefault(clip.split, []).append(cast.truth(paths, view))
        params.setdefault(clip.split, []).append(cast.params)
        cameras[clip.name] = (view.focal, camera_transl)
        blank(root, paths[: clip.images], clip.height, clip.width)
        pose = pose.copy()
        pose[:, LEGS] = fitted_legs
        fit: dict[str, Any] = {
            "speaker_name": clip.speaker,
            "width": clip.width,
            "height": clip.height,
            "center": [clip.width / 2, clip.height / 2],
            "focal_length": np.array(view.focal, np.float32),
            "batch_size": n,
            "camera_transl": np.float32(camera_transl),
            "betas": np.float32(shape if clip.speaker == "seth" else shape[None]),
            "expression": np.float32(face),
            "global_orient": np.float32(cast.params.global_orient),
            "transl": np.float32(cast.params.transl),
            "body_pose_axis": np.float32(pose),
            **{f"{side}_hand_pose": np.float32(value) for side, value in hands.items()},
            **{f"{part}_pose": np.float32(getattr(people, f"{part}_pose")) for part in ("jaw", "leye", "reye")},
            "pose_embedding": np.zeros((n, 32), np.float32),
            "mica_head_transl": np.zeros((1, 3), np.float32),
            "losses_to_log": {"2d": torch.tensor(1.5, requires_grad=True), "prior": torch.tensor(0.5)},
        }
        if clip.speaker == "conan":
            fit["global_orient"] = fit["global_orient"][:, None]
            fit["body_pose_axis"] = fit["body_pose_axis"].reshape(n, 63)
            fit["transl"] = torch.tensor(fit["transl"])
        if clip.speaker == "chemistry":
            fit["expression"][1, 77] = np.nan
        path = pickle_of(root, clip)
        path.parent.mkdir(parents=True)
        path.write_bytes(pickle.dumps([fit] if clip.speaker == "seth" else fit))
        path.with_suffix(".wav").write_bytes(b"RIFF")
    good = {split: Truth.concat(truths[split][:2]) for split in truths}
    return Tree(root, good, {split: params[split][:2] for split in params}, cameras)


def without_splits(root: Path, *, packed: bool) -> None:
    """The other layouts: as unpacked, or (``packed``) as the archives of single speakers; with the split file."""
    split_file: dict[str, Any] = {}
    for clip in CLIPS:
        old = pickle_of(root, clip)
        video = root / clip.speaker / clip.video if packed else root / RELEASE / clip.speaker / clip.video
        new = video / f"{clip.name}.pkl" if packed else video / clip.name / f"{clip.name}.pkl"
        new.parent.mkdir(parents=True, exist_ok=True)
        old.rename(new)
        shutil.rmtree(old.parent)
        splits = split_file.setdefault(clip.speaker, {}).setdefault(clip.video, {"train": [], "val": [], "test": []})
        splits[clip.split].append(f"../expressive_body-V0.7/{clip.speaker}/{clip.video}/{clip.split}/{clip.name}")
    if packed:
        shutil.rmtree(root / RELEASE)
    (root / "split_more_than_2s.pkl").write_bytes(pickle.dumps(split_file))
