"""EgoBody MVSet: two interacting people in a room, seen by three (2021) or five (2022) fixed Kinects.

The fits are in the frame of the master's colour camera; ``kinect_XXto12_color.json`` takes points of a sub camera
there, so its inverse takes bodies to that camera. A time step is used when both people have a fit. Images are as the
lens made them: points are projected with the eight coefficients of ``Color.json``.
Source: Zhang et al., "EgoBody: Human Body Shape and Motion of Interacting People from Head-Mounted Devices",
ECCV 2022; the read-me and renderer of the release.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ehps.arrays import Array
from ehps.body import rigid_motion
from ehps.converters import options
from ehps.converters.base import Converter, DatasetCard, Instances, Unit, drop, no_instances
from ehps.converters.datasets import egobody_recordings
from ehps.converters.readers import OTHER, fields, raw_files, smplify_fits
from ehps.converters.readers.fields import numbers
from ehps.converters.readers.images import is_image_folder
from ehps.converters.readers.views import CalibratedView, cameras_of
from ehps.errors import DataError

LABELS = {"master": 12, "sub_1": 11, "sub_2": 13, "sub_3": 14, "sub_4": 15}
CARD = DatasetCard(
    id="egobody_kinect",
    config="egobody_kinect_{split}",
    name="EgoBody-MVSet",
    homepage="https://sanweiliti.github.io/egobody/egobody.html",
    licence="research only, after registration and a signed licence",
    commercial_use=False,
    paper=(
        "Zhang et al., EgoBody: Human Body Shape and Motion of Interacting People from Head-Mounted Devices, ECCV 2022"
    ),
    annotation="fit to RGB-D",
    annotation_note="SMPL-X, gendered, fitted to several depth cameras",
    body_model="smplx",
    appearance="real",
    scene="indoor",
    persons="several",
    splits={"train": 845_918, "val": None, "test": None},
    uncertain=("train",),
    layout="""
EgoBody/
  data_info_release.csv, data_splits.csv
  kinect_cam_params/kinect_{master,sub_1,..,sub_4}/Color.json
  calibrations/<recording>/cal_trans/kinect_{11,13,14,15}to12_color.json
  kinect_color/<recording>/{master,sub_1,..,sub_4}/frame_00001.jpg
  smplx_{interactee,camera_wearer}_{train,val,test}/<recording>/body_idx_{0,1}/results/frame_00001/000.pkl
""",
    needs=("data_info_release.csv", "data_splits.csv", "kinect_cam_params", "calibrations", "kinect_color"),
    split_needs={
        split: (f"smplx_interactee_{split}", f"smplx_camera_wearer_{split}") for split in ("train", "val", "test")
    },
    get="register at egobody.inf.ethz.ch; unpack calibrations, kinect_cam_params, kinect_color, smplx_interactee_* and "
    "smplx_camera_wearer_* side by side, with the two csv files; kinect_color.zip may stay packed",
    options=(
        options.cameras(tuple(LABELS), "Kinects to take, with commas between them"),
        options.interval("keeps every N-th of the time steps of a recording that can be used"),
    ),
    reprojection="none",
    fps=30,
    notes=(
        "A row for each person in each view: two people, three views in recordings of 2021, five in those of 2022.",
        "SMPLer-X trains on every 10th row of a file with all frames (interval=10 is like it).",
        "Images are distorted (meta/dist_coeffs), and points are projected with the distortion.",
        "The dataset has no 2D points of its own; people hide each other.",
    ),
)
ROLES = ("interactee", "camera_wearer")
LENS = {"f": numbers(2), "c": numbers(2), "k": numbers("coefficients")}
AZURE = 8  # lens coefficients k1 k2 p1 p2 k3 k4 k5 k6
SIZE = (1080, 1920)


class EgoBodyKinect(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        folder = self.root / "kinect_color"
        return [Unit(r.name, folder / r.name, r) for r in egobody_recordings.recordings(self.root, self.split)]

    def read(self, unit: Unit) -> Instances:
        recording: egobody_recordings.Recording = unit.data
        notes: list[str] = []
        views = self._views(unit, notes)
        dropped: dict[str, list[str]] = {}
        frames = self._frames(unit, recording, dropped)[:: self.option("interval")]
        if not len(frames) or not views:
            unfitted = not len(frames) and not dropped
            return no_instances(dropped, notes, left_out="recording without SMPL-X fits" if unfitted else "")
        paths = [
            egobody_recordings.fit_path(self.root, self.split, recording, role, n) for n in frames for role in ROLES
        ]
        bodies = [recording.body(role) for role in ROLES]
        genders = [recording.genders[i] for i in bodies] * len(frames)
        body, readable = smplify_fits.read_fits(paths, genders, dropped, self.root, len(views))
        # Rows of a view: frame by frame, the interactee before the wearer.
        fit = np.tile(np.flatnonzero(readable), len(views))
        index = np.tile(np.arange(len(body)), len(views))
        view = np.repeat(np.arange(len(views)), len(body))
        frame, person = np.repeat(frames, 2)[fit], np.tile(bodies, len(frames))[fit]
        names = [views[v].name for v in view]
        size, camera, move = cameras_of(views, view)
        return Instances(
            image_path=[
                f"kinect_color/{unit.name}/{name}/frame_{n:05d}.jpg" for name, n in zip(names, frame, strict=True)
            ],
            size=size,
            camera=camera,
            body=body[index],
            world_to_camera=move,
            meta={
                "sequence_name": [unit.name] * len(index),
                "scene": [recording.scene] * len(index),
                "camera": names,
                "frame_id": frame,
                "character": list(np.tile(ROLES, len(frames))[fit]),
                "person_id": person,
                "track_id": [f"{unit.name}_{i}" for i in person],
            },
            misc={
                "smplx_source": "original",
                "cam_param_source": "original",
                "image_shape": list(SIZE),
                "distortion": "applied",
            },
            dropped=dropped,
            notes=notes,
        )

    def _views(self, unit: Unit, notes: list[str]) -> list[CalibratedView]:
        """The wanted cameras that have images of the recording and a calibration.

        Raises
        ------
        DataError : the recording has no images at all.
        """
        calibrations = self.root / "calibrations" / unit.name / "cal_trans"
        folder, found = unit.path.relative_to(self.root).as_posix(), []
        if not is_image_folder(self.root, folder):
            raise DataError("no such folder", path=unit.path, fix="unpack all of kinect_color")
        for name in self.option("cameras"):
            if not is_image_folder(self.root, f"{folder}/{name}"):
                continue  # three cameras in 2021
            intrinsics = self.root / "kinect_cam_params" / f"kinect_{name}" / "Color.json"
            to_master = calibrations / f"kinect_{LABELS[name]}to12_color.json"
            if not raw_files.is_file(intrinsics) or not (name == "master" or raw_files.is_file(to_master)):
                notes.append(f"{unit.name}: {name} has images, but no calibration, and is left out")
                continue
            move = np.eye(4) if name == "master" else egobody_recordings.inverse(to_master)
            focal, centre, distortion = read_lens(intrinsics, notes)
            found.append(CalibratedView(name, SIZE, focal, centre, *rigid_motion.split(move), distortion))
        if not found:
            notes.append(f"{unit.name} has none of the cameras")
        return found

    def _frames(self, unit: Unit, recording: egobody_recordings.Recording, dropped: dict[str, list[str]]) -> list[int]:
        """Numbers of the time steps in which both people have a fit."""
        folders = [egobody_recordings.fit_path(self.root, self.split, recording, role, 0).parents[1] for role in ROLES]
        fitted = [
            {name for name in raw_files.listing(folder) if raw_files.is_file(folder / name / "000.pkl")}
            for folder in folders
        ]
        both, either = fitted[0] & fitted[1], fitted[0] | fitted[1]
        usable = {name for name in either if name[6:].isdecimal() and recording.start <= int(name[6:]) <= recording.end}
        for reason, names in (
            ("outside the usable range of frames", either - usable),
            ("fit of one person only", usable - both),
        ):
            drop(dropped, reason, (f"{unit.name}/{name}" for name in sorted(names)))
        return sorted(int(name[6:]) for name in both & usable)


def read_lens(path: Path, notes: list[str]) -> tuple[Array, Array, Array]:
    """Focal length (2,), principal point (2,) and eight coefficients in OpenCV's order of a ``Color.json``; a note
    where it has fewer, as a shorter model of OpenCV has.

    Raises
    ------
    DataError : one of them is absent, or of another length.
    """
    lens = fields.values(raw_files.read_json(path), LENS, path, finite=False)
    focal, centre, k = (lens[key].astype(float) for key in LENS)
    if len(k) not in (4, 5, 8):
        raise DataError(f"k is {len(k)} numbers, expected 4, 5 or 8", path=path, fix=OTHER)
    if len(k) < AZURE:
        notes.append(
            f"{path.parent.name}/{path.name} has {len(k)} lens coefficients, an Azure Kinect's has {AZURE}: the others "
            "are taken for 0"
        )
    return focal, centre, np.pad(k, (0, AZURE - len(k)))
