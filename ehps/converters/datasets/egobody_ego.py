"""EgoBody EgoSet: two people in a room, seen from the head-mounted camera of one of them (HoloLens 2).

Only the interactee is visible and annotated. The fits, in the master Kinect's frame, go to the photo-video
camera through the HoloLens world: M = diag(1,-1,-1,1) inv(pv2world of the frame) inv(holo_to_kinect). A frame is
kept when it lies in the usable range, is marked valid, has detections, a camera pose, and a fit.
Source: Zhang et al., "EgoBody: Human Body Shape and Motion of Interacting People from Head-Mounted Devices",
ECCV 2022; the read-me and renderer of the release.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from ehps.converters.base import Camera, Converter, DatasetCard, Instances, Keypoints, Rigid, Unit, drop, no_instances
from ehps.converters.datasets import egobody_recordings
from ehps.converters.readers import OTHER, fields, raw_files, smplify_fits
from ehps.converters.readers.fields import Field
from ehps.errors import DataError

CARD = DatasetCard(
    id="egobody_ego",
    config="egobody_egocentric_{split}",
    name="EgoBody-EgoSet",
    homepage="https://sanweiliti.github.io/egobody/egobody.html",
    licence="research only, after registration and a signed licence",
    commercial_use=False,
    paper="Zhang et al., EgoBody: Human Body Shape and Motion of Interacting People from Head-Mounted Devices, "
    "ECCV 2022",
    annotation="fit to RGB-D",
    annotation_note="SMPL-X, gendered, fitted to several depth cameras",
    body_model="smplx",
    appearance="real",
    scene="indoor",
    scene_note="egocentric",
    persons="one",
    splits={"train": 90_124, "val": 23_332, "test": 62_155},
    layout="""
EgoBody/
  data_info_release.csv, data_splits.csv
  calibrations/<recording>/cal_trans/holo_to_kinect12.json
  egocentric_color/<recording>/<date>/PV/<timestamp>_frame_<5 digits>.jpg
  egocentric_color/<recording>/<date>/{<date>_pv.txt, keypoints.npz, valid_frame.npz}
  smplx_interactee_{train,val,test}/<recording>/body_idx_{0,1}/results/frame_<5 digits>/000.pkl
""",
    needs=("data_info_release.csv", "data_splits.csv", "calibrations", "egocentric_color"),
    split_needs={split: (f"smplx_interactee_{split}",) for split in ("train", "val", "test")},
    get="register at egobody.inf.ethz.ch; unpack calibrations, egocentric_color and smplx_interactee_* side by side, "
    "with the two csv files",
    variants={
        "annotation_egocentric_smpl_npz": "the later repack with SMPL; the smplx_interactee_* archives are needed"
    },
    reprojection="fitted",
    fps=30,
    notes=("The camera's focal length changes from frame to frame.", "2D points are OpenPose BODY_25 detections."),
)
IMAGE = re.compile(r"\d+_.*?(\d+)\.\w+")
POINTS = {"imgname": Field("path", ("N",)), "keypoints": fields.numbers("N", 25, 3)}
FLAGS = {"imgname": Field("path", ("N",)), "valid": fields.integers("N", among=(0, 1))}
FLIP = np.diag([1.0, -1.0, -1.0, 1.0])


class EgoBodyEgo(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        folder = self.root / "egocentric_color"
        return [Unit(r.name, folder / r.name, r) for r in egobody_recordings.recordings(self.root, self.split)]

    def read(self, unit: Unit) -> Instances:
        recording: egobody_recordings.Recording = unit.data
        folder = raw_files.first_existing(unit.path, ("202*",))
        centre, width, height, cameras = read_pv(folder / f"{folder.name}_pv.txt")
        points = arrays(folder / "keypoints.npz", POINTS)
        detected = dict(zip(map(raw_files.basename, points["imgname"]), points["keypoints"], strict=True))
        flags = arrays(folder / "valid_frame.npz", FLAGS)
        valid = dict(zip(map(raw_files.basename, flags["imgname"]), flags["valid"] != 0, strict=True))
        dropped: dict[str, list[str]] = {}
        unnumbered = [name for name in valid if not IMAGE.fullmatch(name)]
        drop(dropped, "image without time and number of its frame", unnumbered)
        kept = []
        for name in sorted(valid.keys() - set(unnumbered), key=frame_id):
            reason = self._unusable(name, recording, valid, detected, cameras)
            drop(dropped, reason, [f"{recording.name}/{name}"]) if reason else kept.append(name)
        if not kept:
            return no_instances(dropped)
        paths = [
            egobody_recordings.fit_path(self.root, self.split, recording, "interactee", frame_id(name)) for name in kept
        ]
        gender = recording.genders[recording.interactee]
        body, readable = smplify_fits.read_fits(paths, gender, dropped, self.root)
        kept = list(compress(kept, readable))
        frames = np.array([frame_id(name) for name in kept])
        stamps = [timestamp(name) for name in kept]
        focal = np.array([cameras[stamp][0] for stamp in stamps])
        world_from_pv = np.array([cameras[stamp][1] for stamp in stamps])
        holo_to_kinect = self.root / "calibrations" / recording.name / "cal_trans" / "holo_to_kinect12.json"
        moves = FLIP @ np.linalg.inv(world_from_pv) @ egobody_recordings.inverse(holo_to_kinect)
        return Instances(
            image_path=[f"egocentric_color/{recording.name}/{folder.name}/PV/{name}" for name in kept],
            size=(height, width),
            camera=Camera(focal, centre),
            body=body,
            world_to_camera=Rigid(moves[:, :3, :3], moves[:, :3, 3]),
            keypoints2d=Keypoints(np.stack([detected[name] for name in kept]), "openpose_25"),
            meta={
                "sequence_name": [recording.name] * len(kept),
                "frame_id": frames,
                "track_id": [f"{recording.name}_{recording.interactee}"] * len(kept),
                "timestamp": stamps,
                "pv2world": world_from_pv,
            },
            misc={"smplx_source": "original", "image_shape": [height, width]},
            dropped=dropped,
        )

    def _unusable(
        self, name: str, recording: egobody_recordings.Recording, valid: Any, detected: Any, cameras: Any
    ) -> str:
        """Why a frame is left out, or an empty text."""
        if not recording.start <= frame_id(name) <= recording.end:
            return "outside the usable range of frames"
        if not valid[name] or name not in detected:
            return "interactee not visible"
        if timestamp(name) not in cameras:
            return "no camera pose"
        if not raw_files.is_file(
            egobody_recordings.fit_path(self.root, self.split, recording, "interactee", frame_id(name))
        ):
            return "no SMPL-X fit"
        return ""


def arrays(path: Path, known: fields.Fields) -> dict[str, np.ndarray]:
    """What a file says of images, each of which it must name once.

    Raises
    ------
    DataError : it says other things.
    """
    found = fields.values(raw_files.load_npz(path, list(known)), known, path)
    names = [raw_files.basename(name) for name in found["imgname"]]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"imgname has {twice[0]} twice", path=path, fix=OTHER)
    return found


def frame_id(name: str) -> int:
    """12 of ``132..._frame_00012.jpg``: the number shared with the Kinect frames and the fits."""
    return int(Path(name).stem.rsplit("_", 1)[1])


def timestamp(name: str) -> str:
    """The tick count of an image, kept as text: it has more digits than a float."""
    return name.split("_", 1)[0]


def read_pv(path: Path) -> tuple[np.ndarray, int, int, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Principal point, width, height, and per timestamp (focal (2,), pv2world (4, 4)); lost poses left out."""
    head, *lines = [line.strip().rstrip(",").split(",") for line in raw_files.read_lines(path)]
    camera = _floats(head, 4, path, 1)
    if not np.isfinite(camera).all() or (camera <= 0).any() or (camera[2:] % 1).any() or (camera > 1e5).any():
        raise DataError(f"line 1: {','.join(head)} are no centre, width and height", path=path, fix=OTHER)
    cameras = {}
    for number, (stamp, *rest) in enumerate(lines, start=2):
        values = _floats(rest, 18, path, number)
        pose = values[2:].reshape(4, 4)
        if not stamp.isdecimal():
            raise DataError(f"line {number} begins with {stamp!r}, expected a time", path=path, fix=OTHER)
        if np.isfinite(values).all() and abs(np.linalg.det(pose[:3, :3])) > 0.5:
            cameras[stamp] = (values[:2], pose)
    return camera[:2], int(camera[2]), int(camera[3]), cameras


def _floats(words: Sequence[str], count: int, path: Path, line: int) -> np.ndarray:
    """(count,) numbers of a line, which has as many.

    Raises
    ------
    DataError : it has not.
    """
    try:
        values = np.array(words, float)
    except ValueError:
        values = np.zeros(0)
    if len(values) != count:
        raise DataError(f"line {line} has not the {count} numbers of a camera", path=path, fix=OTHER)
    return values
