"""TalkSHOW: four talk-show speakers, SMPL-X fitted to their videos by SHOW.

One pickle a sequence of a few seconds, 30 frames each. SHOW's camera is PyTorch3D's with R = diag(-1, -1, 1): in
OpenCV axes a pure translation (-T0, -T1, T2). Hands are 12 PCA numbers relative to the mean hand. Legs are not seen
by the fit; the authors' fixed ones take their place unless ``lower_body=original``.
Source: Yi et al., "Generating Holistic 3D Human Motion from Speech", CVPR 2023; the read-mes and code of SHOW and
TalkSHOW.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ehps.body.params import smplx_params
from ehps.converters import choices, frames, raw
from ehps.converters.base import Camera, Converter, DatasetCard, Instances, Rigid, Unit, no_instances
from ehps.converters.images import SUFFIXES, image_size
from ehps.errors import DataError, UnsafeFileError

Array = npt.NDArray[Any]

SPLITS = ("train", "val", "test")
SPLIT_FILE = "split_more_than_2s.pkl"
CARD = DatasetCard(
    id="talkshow",
    name="TalkSHOW",
    homepage="https://talkshow.is.tue.mpg.de",
    licence="non-commercial research, after registration; videos keep their owners' rights",
    commercial=False,
    paper="Yi et al., Generating Holistic 3D Human Motion from Speech, CVPR 2023",
    annotation="SMPL-X, pseudo (SHOW)",
    body_model="smplx",
    appearance="real",
    scene="studio, upper bodies",
    persons="one",
    splits={"train": 3_326_900, "val": None, "test": None, "all": None},
    layout="""
ExpressiveWholeBodyDatasetReleaseV1.0/                  (or any other name, or none)
  <speaker>/<video>/[<split>/][<sequence>/]<sequence>.pkl
split_more_than_2s.pkl                                  of the TalkSHOW repository, where there are no split folders
<speaker>/videos/<video>
frames/<speaker>/<video>/<sequence>/000001.jpg          (cut from the videos at 30 fps: `--frames DIR` does it)
""",
    needs=("*/*/*.pkl | */*/*/*.pkl | */*/*/*/*.pkl | */*/*/*/*/*.pkl | */*/*/*/*/*/*.pkl",),
    get="register on the homepage (SHOW_dataset_v1.0.zip); the videos come from YouTube",
    options={
        "speaker": "all (default), oliver, seth, conan or chemistry: SMPLer-X has one file of each",
        "lower_body": "reference (default): the authors' fixed legs, as in SMPLer-X's files; original: the fitted ones",
        "stride": "every N-th frame of a sequence, default 1; SMPLer-X's files hold all, its loader takes every 10th",
    },
    reprojection="none",
    fps=30,
    notes=(
        "A sequence is left out when its pickle cannot be read, when a parameter is no number, or when it has not as "
        "many pictures as poses; spaces in a video's name may be underscores in the names of picture folders.",
        "Splits are the folders made by the authors' apply_split.py, else those of their split file; "
        "without either there is only the split all.",
        "Legs are not seen in the videos: they are the authors' fixed ones.",
        "The expression space is that of the authors' SMPLX_NEUTRAL_2020 model.",
        "The published count is SMPLer-X's, rounded.",
    ),
)
SITTING = np.zeros((8, 3))
SITTING[:4] = [
    [-1.1826512813568115, 0.23866955935955048, 0.15146760642528534],
    [-1.2604516744613647, -0.3160211145877838, -0.1603458970785141],
    [1.1654603481292725, 0, 0],
    [1.2521806955337524, 0.041598282754421234, -0.06312154978513718],
]
LEGS = np.array([1, 2, 4, 5, 7, 8, 10, 11]) - 1  # rows of body_pose
REFERENCE = {"oliver": SITTING, "seth": SITTING, "conan": np.zeros((8, 3)), "chemistry": SITTING}
SEQUENCE = re.compile(r"\d+-(\d+)_(\d\d)_(\d\d)-\d+_\d\d_\d\d")
MOVING = {"body_pose_axis": 63, "global_orient": 3, "transl": 3, "left_hand_pose": 12, "right_hand_pose": 12,
          "jaw_pose": 3, "leye_pose": 3, "reye_pose": 3}  # fmt: skip
FIXED = ("focal_length", "center", "width", "height", "camera_transl")


class TalkSHOW(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        chosen = self.option("speaker", ("all", *REFERENCE))
        found = [f for f in sequences(self.root) if chosen in ("all", f[0])]
        if self.split != "all":
            listed: dict[tuple[str, str, str], str] = {}
            if any(f[3] is None for f in found):
                listed = self._listed()
            found = [f for f in found if (f[3] or listed.get((f[0], _plain(f[1]), f[2]))) == self.split]
        single = {f[:3]: f[4] for f in found}  # of two copies the one in a folder of a split
        return [Unit("/".join(name), path, name) for name, path in sorted(single.items())]

    def _listed(self) -> dict[tuple[str, str, str], str]:
        """Split of every (speaker, video, sequence) of the authors' split file."""
        path = self.root / SPLIT_FILE
        if not path.is_file():
            raise DataError("there is no such file, and sequences do not lie in folders of splits", path=path,
                            fix="copy it from the TalkSHOW repository, or convert the split all")  # fmt: skip
        return {
            (speaker, _plain(video), raw.basename(name).removesuffix(".pkl")): split
            for speaker, videos in raw.load_pkl(path).items()
            for video, splits in videos.items()
            for split, names in splits.items()
            for name in names
        }

    def read(self, unit: Unit) -> Instances:
        try:
            fit = load_fit(unit.path)
        except UnsafeFileError:
            raise
        except DataError as error:
            return no_instances({f"pickle that cannot be read ({error.what})": [unit.name]})
        if not all(np.isfinite(value).all() for value in fit.values()):
            return no_instances({"body parameters or camera not finite": [unit.name]})
        speaker, video, sequence = unit.data
        n = len(fit["transl"])
        folder, pictures = self._pictures(speaker, video, sequence)
        if pictures and len(pictures) != n:
            return no_instances({"as many pictures as poses are needed": [unit.name]})
        every = slice(None, None, choices.stride(self.options))
        names = (pictures or [f"{k:06d}.jpg" for k in range(1, n + 1)])[every]
        fit |= {key: fit[key][every] for key in (*MOVING, "expression")}
        stored = np.array([fit["height"][0], fit["width"][0]])
        size = image_size(self.root, folder, stored) if pictures else _film_size(self._film(unit), default=stored)
        scale = (size / stored)[::-1]
        pose = fit["body_pose_axis"].reshape(-1, 21, 3)
        legs = self.option("lower_body", ("reference", "original"))
        if legs == "reference":
            pose[:, LEGS] = REFERENCE[speaker]
        rest: dict[str, Any] = {key: fit[key] for key in MOVING if key != "body_pose_axis"}
        return Instances(
            image_path=[f"{folder}/{name}" for name in names],
            size=size,
            camera=Camera(fit["focal_length"][0] * scale, fit["center"] * scale),
            body=smplx_params(
                gender="neutral",
                betas=np.tile(fit["betas"], (len(names), 1)),
                body_pose=pose,
                expression=fit["expression"],
                **rest,
            ),
            world_to_camera=Rigid(np.eye(3), fit["camera_transl"] * [-1, -1, 1]),
            meta={
                "speaker": [speaker] * len(names),
                "sequence_name": [f"{video}/{sequence}"] * len(names),
                "track_id": [unit.name] * len(names),
                "frame_id": np.arange(n)[every],
            },
            misc={"smplx_source": "SHOW", "lower_body": legs, "cam_param_source": "estimated"},
        )

    def _pictures(self, speaker: str, video: str, sequence: str) -> tuple[str, list[str]]:
        """Folder of a sequence's pictures and their names in order; none where they are not cut yet."""
        for name in (_plain(video), video):
            folder = f"frames/{speaker}/{name}/{sequence}"
            files = [f for f in raw.listing(self.root / folder) if f.lower().endswith(SUFFIXES) and f[0] != "."]
            if files:
                return folder, files
        return f"frames/{speaker}/{_plain(video)}/{sequence}", []

    def _film(self, unit: Unit) -> Path:
        speaker, video, _ = unit.data
        return self.root / speaker / "videos" / video

    def extract_frames(self, unit: Unit, image_paths: Sequence[str], folder: Path) -> None:
        """Cut a sequence out of its video at 30 fps, numbered from 1 at its start; many videos are gone from YouTube:
        pictures of these stay missing."""
        span = SEQUENCE.fullmatch(unit.data[2])
        assert span is not None
        hours, minutes, seconds = map(int, span.groups())
        start = 30 * (3600 * hours + 60 * minutes + seconds)
        if self._film(unit).is_file():
            frames.extract(self._film(unit), image_paths, folder, fps=30, first=1 - start)


def sequences(root: Path) -> list[tuple[str, str, str, str | None, Path]]:
    """Speaker, video, sequence, split (None where no folder says it) and pickle of all sequences below ``root``; their
    paths are read from the right."""
    found = []
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if name not in ("frames", "videos"))
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)
            if suffix != ".pkl" or not SEQUENCE.fullmatch(stem):
                continue
            parts = list(Path(folder).relative_to(root).parts)
            if parts and parts[-1] == stem:
                parts.pop()
            split = parts.pop() if parts and parts[-1] in SPLITS else None
            if len(parts) >= 2 and parts[-2] in REFERENCE:
                found.append((parts[-2], parts[-1], stem, split, Path(folder, name)))
    return sorted(found, key=lambda f: (f[3] or "", f[4]))


def load_fit(path: Path) -> dict[str, Array]:
    """What is used of one pickle, float64: (B, k) of what moves, ``expression`` (B, 10), ``betas`` (10,) and camera.

    One NaN among all 300 betas or 100 expressions makes all of them NaN: it tells of a failed fit.

    Raises
    ------
    DataError : it is damaged, or no such fit.
    """
    data = raw.load_pkl(path, allow=[raw.TORCH])
    if isinstance(data, list | tuple) and len(data) == 1:
        data = data[0]
    if not isinstance(data, dict):
        raise DataError("is no fit of SHOW", path=path, fix=raw.AGAIN)
    raw.require(data, " ".join((*MOVING, *FIXED, "betas", "expression")), path)
    n = len(data["transl"])
    try:
        fit: dict[str, Array] = {key: np.array(data[key], float).reshape(n, size) for key, size in MOVING.items()}
        fit |= {key: np.array(data[key], float).ravel() for key in FIXED}
        betas, expression = np.array(data["betas"], float), np.array(data["expression"], float).reshape(n, -1)
    except (TypeError, ValueError) as error:
        raise DataError(f"arrays of other shapes ({error})", path=path, fix=raw.AGAIN) from None
    fit["betas"] = betas.reshape(-1, betas.shape[-1])[0, :10] + 0 * betas.sum()
    fit["expression"] = expression[:, :10] + 0 * expression.sum()
    return fit


def _plain(video: str) -> str:
    return video.replace(" ", "_")


def _film_size(film: Path, default: Array) -> Array:
    """Height and width of a video's pictures; ``default`` where it is not there or cannot be opened."""
    if not film.is_file():
        return default
    try:
        import av

        with av.open(str(film)) as container:
            stream = container.streams.video[0]
            return np.array([stream.height, stream.width])
    except (ImportError, OSError, IndexError, ValueError):
        return default
