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
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.body.params import smplx_params
from ehps.converters import options, ranges
from ehps.converters.base import Camera, Converter, DatasetCard, Instances, Rigid, Unit, no_instances
from ehps.converters.options import Option
from ehps.converters.readers import OTHER, fields, raw_files, videos
from ehps.converters.readers.fields import numbers, texts
from ehps.converters.readers.images import image_names
from ehps.errors import DataError, UnsafeFileError

Name = tuple[str, ...]  # speaker, video, sequence

SPEAKERS = ("oliver", "seth", "conan", "chemistry")
CARD = DatasetCard(
    id="talkshow",
    name="TalkSHOW",
    homepage="https://talkshow.is.tue.mpg.de",
    licence="non-commercial research, after registration; videos keep their owners' rights",
    commercial_use=False,
    paper="Yi et al., Generating Holistic 3D Human Motion from Speech, CVPR 2023",
    annotation="fit to 2D points",
    annotation_note="SMPL-X, pseudo (SHOW)",
    body_model="smplx",
    appearance="real",
    scene="studio",
    scene_note="upper bodies",
    persons="one",
    splits={"train": 3_326_900, "val": None, "test": None, "all": None},
    uncertain=("train",),
    layout="""
ExpressiveWholeBodyDatasetReleaseV1.0/                  (or any other name, or none)
  <speaker>/<video>/[<split>/][<sequence>/]<sequence>.pkl
split_more_than_2s.pkl                                  of the TalkSHOW repository, where there are no split folders
<speaker>/videos/<video>
frames/<speaker>/<video>/<sequence>/000001.jpg          (cut from the videos at 30 fps: `--frames DIR` does it)
""",
    needs=("*/*/*.pkl | */*/*/*.pkl | */*/*/*/*.pkl | */*/*/*/*/*.pkl | */*/*/*/*/*/*.pkl",),
    get="register on the homepage (SHOW_dataset_v1.0.zip); the videos come from YouTube",
    options=(
        Option("speaker", "SMPLer-X has one file of each", "all", choices=("all", *SPEAKERS)),
        Option(
            "lower_body",
            "reference: the authors' fixed legs, as in SMPLer-X's files; original: the fitted ones",
            "reference",
            choices=("reference", "original"),
        ),
        options.interval(
            "takes every N-th frame of a sequence; SMPLer-X's files hold all, its loader takes every 10th"
        ),
    ),
    reprojection="none",
    fps=30,
    notes=(
        "A sequence is left out when its pickle cannot be read, when a parameter is no number, or when it has not as "
        "many images as poses (so give --frames a folder of its own, not the root); spaces in a video's name may be "
        "underscores in the names of image folders.",
        "Splits are the folders made by the authors' apply_split.py, else those of their split file; "
        "without either there is only the split all.",
        "Legs are not seen in the videos: they are the authors' fixed ones.",
        "The expression space is that of the authors' SMPLX_NEUTRAL_2020 model.",
        "The published count is SMPLer-X's, rounded.",
    ),
)
LEGS = np.array([1, 2, 4, 5, 7, 8, 10, 11]) - 1  # rows of body_pose
SITTING = np.array(
    [
        [-1.1826512813568115, 0.23866955935955048, 0.15146760642528534],
        [-1.2604516744613647, -0.3160211145877838, -0.1603458970785141],
        [1.1654603481292725, 0, 0],
        [1.2521806955337524, 0.041598282754421234, -0.06312154978513718],
        *[[0, 0, 0]] * 4,
    ]
)
REFERENCE = {"oliver": SITTING, "seth": SITTING, "conan": np.zeros((8, 3)), "chemistry": SITTING}
SEQUENCE = r"\d+-\d+_\d\d_\d\d-\d+_\d\d_\d\d"  # number, start and end in hours, minutes, seconds
# Speaker, video, split, sequence: folders of splits and of single sequences may be there or not.
PICKLE = re.compile(rf"(?:^|/)({'|'.join(SPEAKERS)})/([^/]+)/(?:(train|val|test)/)?(?:{SEQUENCE}/)?({SEQUENCE})\.pkl$")
# Numbers a frame, and of a sequence. All betas and expressions are read: one that is NaN tells of a failed fit.
MOVING = {
    "body_pose_axis": 63,
    "global_orient": 3,
    "transl": 3,
    "left_hand_pose": 12,
    "right_hand_pose": 12,
    "jaw_pose": 3,
    "leye_pose": 3,
    "reye_pose": 3,
    "expression": 100,
}
LIST = "split_more_than_2s.pkl"
SPLITS = {split: texts(split, optional=True) for split in ("train", "val", "test")}
FIXED = {"betas": 300, "focal_length": 1, "center": 2, "width": 1, "height": 1, "camera_transl": 3}


class TalkSHOW(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        speaker = self.option("speaker")
        found = sorted(f for f in sequences(self.root) if speaker in ("all", f[1][0]))
        if self.split != "all" and any(not split for split, _, _ in found):
            listed = self._listed()
            found = [(split or listed.get(_plain(name), ""), name, path) for split, name, path in found]
        single = {name: (split, path) for split, name, path in found}  # of two copies the one in a folder of a split
        return [
            Unit("/".join(name), path, name if split or self.split == "all" else None)
            for name, (split, path) in sorted(single.items())
            if self.split == "all" or split in (self.split, "")
        ]

    def _listed(self) -> dict[Name, str]:
        """Sequences of the authors' split file, videos with underscores, and the split of each."""
        path = self.root / LIST
        listed: dict[Name, str] = {}
        try:
            for speaker, videos_of in fields.items(raw_files.load_pkl(path), path).items():
                for video, splits in fields.items(videos_of, path, f"{speaker}").items():
                    place = f"{speaker}/{video}"
                    names = fields.values(fields.items(splits, path, place), SPLITS, path, place)
                    for split, of_split in names.items():
                        for name in map(raw_files.basename, of_split.tolist()):
                            listed[_plain((str(speaker), str(video), name.removesuffix(".pkl")))] = split
        except DataError as error:
            what = f"is needed where sequences do not lie in folders of splits ({error.what})"
            raise DataError(what, path=path, fix="copy it from the authors' code, or convert the split all") from None
        return listed

    def read(self, unit: Unit) -> Instances:
        if unit.data is None:
            return no_instances(left_out=f"sequence that {LIST} does not have")
        try:
            fit = load_fit(unit.path)
        except UnsafeFileError:
            raise
        except DataError as error:
            return no_instances(left_out=f"pickle that cannot be read ({error.what})")
        n = len(fit["transl"])
        taken = np.arange(0, n, self.option("interval"))
        rows = [f"{unit.name} frame {k}" for k in taken]
        if not all(np.isfinite(value).all() for value in fit.values()):
            return no_instances({"body parameters or camera of the sequence not finite": rows})
        if not all(0 < fit[name] <= ranges.PIXELS for name in ("width", "height")):
            return no_instances({"size of the video beyond any image": rows})
        folders = ["/".join(("frames", *name)) for name in (_plain(unit.data), unit.data)]
        folder = next((name for name in folders if image_names(self.root, name)), folders[0])
        on_disk = image_names(self.root, folder)
        if on_disk and len(on_disk) != n:
            return no_instances({"number of images is not that of poses": rows})
        names = on_disk or [f"{k:06d}.jpg" for k in range(1, n + 1)]
        fitted = np.rint(np.concatenate([fit["height"], fit["width"]])).astype(int)
        moving: dict[str, Any] = {name.removesuffix("_axis"): fit[name] for name in MOVING}
        moving["expression"] = fit["expression"][:, :10]
        body = smplx_params(gender="neutral", betas=np.tile(fit["betas"][:10], (n, 1)), **moving)[taken]
        if (legs := self.option("lower_body")) == "reference":
            body.body_pose[:, LEGS] = REFERENCE[unit.data[0]]
        return Instances(
            image_path=[f"{folder}/{names[k]}" for k in taken],
            size=fitted,
            frame_size=None if on_disk else videos.image_size(self._video(unit.data), fitted),
            camera=Camera(np.tile(fit["focal_length"], 2), fit["center"]),
            body=body,
            world_to_camera=Rigid(np.eye(3), fit["camera_transl"] * [-1, -1, 1]),
            meta={
                "speaker": [unit.data[0]] * len(taken),
                "sequence_name": ["/".join(unit.data[1:])] * len(taken),
                "track_id": [unit.name] * len(taken),
                "frame_id": taken,
            },
            misc={"smplx_source": "SHOW", "lower_body": legs, "cam_param_source": "estimated"},
        )

    def _video(self, name: Name) -> Path:
        return self.root / name[0] / "videos" / name[1]

    def extract_frames(self, unit: Unit, image_paths: Sequence[str], folder: Path) -> None:
        """Cut a sequence out of its video, numbered from 1 at its start; those of videos that are gone stay missing."""
        hours, minutes, seconds = map(int, unit.data[2].split("-")[1].split("_"))
        start = 30 * (3600 * hours + 60 * minutes + seconds)
        if raw_files.is_file(source := self._video(unit.data)):
            videos.extract(source, image_paths, folder, fps=30, first=1 - start)


def sequences(root: Path) -> Iterator[tuple[str, Name, Path]]:
    """Split ("" where no folder says it), name and pickle of every sequence below ``root``, in any order."""
    for folder, below, files in os.walk(root, followlinks=True):
        below[:] = [name for name in below if name not in ("frames", "videos")]
        for path in (Path(folder, file) for file in files):
            if match := PICKLE.search(path.relative_to(root).as_posix()):
                yield match[3] or "", match.group(1, 2, 4), path


def load_fit(path: Path) -> dict[str, Array]:
    """What is used of one pickle of B frames, float64: (B, k) of what moves, (k,) of the rest.

    Raises
    ------
    DataError : it is damaged, or no such fit.
    """
    data = raw_files.load_pkl(path, allow=[raw_files.TORCH])
    if isinstance(data, list | tuple) and len(data) == 1:  # SHOW writes a list, the release has dicts
        data = data[0]
    known = {key: numbers("N", k) for key, k in MOVING.items()} | {key: numbers("times", k) for key, k in FIXED.items()}
    data = fields.items(data, path)
    data = dict(data) | {key: np.atleast_1d(data[key]) for key in FIXED if np.ndim(data.get(key, ())) == 0}
    found = {key: fields.values(data, {key: field}, path, finite=False)[key] for key, field in known.items()}
    count = len(found["transl"])
    if wrong := [key for key in MOVING if len(found[key]) != count]:
        what = f"{wrong[0]} has {len(found[wrong[0]])} frames, transl has {count}"
        raise DataError(what, path=path, fix=OTHER)
    empty = [key for key in FIXED if not len(found[key])]
    if empty or not count:
        raise DataError(f"{[*empty, 'transl'][0]} is empty", path=path, fix=OTHER)
    return {key: value.astype(float) if key in MOVING else value[0].astype(float) for key, value in found.items()}


def _plain(name: Name) -> Name:
    return name[0], name[1].replace(" ", "_"), name[2]
