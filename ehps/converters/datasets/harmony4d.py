"""Harmony4D: pairs of people in close contact, in the wild, before some twenty GoPros, SMPL fitted to all views.

Cameras are OpenCV fisheyes of a reconstruction with a unit of length of its own; where a camera was, the registered
picture of it that is nearest in time says. Bodies are in a metric world, and the pipeline moves them to each camera.
Source: Khirodkar, Song et al., "Harmony4D: A Video Dataset for In-The-Wild Close Human Interactions", NeurIPS 2024
Datasets and Benchmarks, and the dataset's code; of undistorted pictures, the scripts of SAM 3D Body.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.body import rigid_motion
from ehps.converters import options
from ehps.converters.base import Camera, Converter, DatasetCard, Instances, Keypoints, Rigid, Unit, drop, no_instances
from ehps.converters.datasets import harmony4d_files
from ehps.converters.options import Option
from ehps.converters.readers import raw_files
from ehps.converters.readers.images import image_folders, image_names
from ehps.errors import DataError

SPLITS = ("train", "test")
CARD = DatasetCard(
    id="harmony4d",
    name="Harmony4D",
    homepage="https://jyuntins.github.io/harmony4d",
    licence="MIT; the body model has a licence of its own",
    commercial_use=True,
    redistribution=True,
    paper="Khirodkar, Song et al., Harmony4D: A Video Dataset for In-The-Wild Close Human Interactions, NeurIPS 2024",
    annotation="multi-view capture",
    annotation_note="SMPL, neutral, fitted to several views",
    body_model="smpl",
    appearance="real",
    scene="in the wild",
    persons="several",
    splits=dict.fromkeys(SPLITS),
    layout="""
harmony4d/
  {train,test}/<activity>/<sequence>/                           02_grappling/001_grappling
    exo/cam01/images/00001.jpg                                  raw pictures, fisheye
    cam01/00001.jpg                                             undistorted ones, for images=undistorted only
    colmap/workplace/cameras.txt, images.txt
    colmap/workplace/scale.npy                                  or colmap_from_aria_transforms.pkl, with glasses
    processed_data/smpl/00001.npy, smpl_collision/00001.npy     the latter of some sequences
    processed_data/poses3d/00001.npy
""",
    split_needs={
        split: (
            f"{split}/*/*/processed_data/smpl | {split}/*/*/processed_data/smpl_collision",
            f"{split}/*/*/colmap/workplace/cameras.txt",
            f"{split}/*/*/colmap/workplace/images.txt",
            f"{split}/*/*/exo | {split}/*/*/cam*",
        )
        for split in SPLITS
    },
    variants={
        f"{split}/[0-9][0-9]_*/[0-9][0-9][0-9]_*/cam01/00001.jpg": "undistorted pictures alone; fits and cameras "
        "(processed_data, colmap) are in the archives of the release, which belong beside them"
        for split in SPLITS
    },
    get="download the archives from huggingface.co/datasets/Jyun-Ting/Harmony4D (no registration) and unpack those of "
    "train and test into folders of these names",
    options=(
        Option(
            "images",
            "raw: as they are, points projected by the fisheye; undistorted: those of SAM 3D Body's script (balance "
            "0.8), at <sequence>/cam01/00001.jpg",
            "raw",
            choices=("raw", "undistorted"),
        ),
        Option(
            "fits",
            "smpl_collision: without interpenetration, of the sequences that have them, else smpl; smpl: always these",
            "smpl_collision",
            choices=("smpl_collision", "smpl"),
        ),
        options.cameras((), "names of cameras, as cam01, with commas between them"),
        options.interval("keeps frame 1 and every N-th after it"),
    ),
    reprojection="none",
    notes=(
        "The paper counts 3.32 million instances in 1.66 million images of both splits, of 24 people in 208 sequences.",
        "Files hold joints of SMPL beside its parameters: quality/fit_joints_m is the distance of ours to them.",
        "A row for each person in each view; meta/overlap is the largest IoU with another person's box.",
        "Raw images are those of a fisheye (meta/fisheye_dist_coeffs): a pinhole is tens of pixels off near borders.",
        "Rows of images=undistorted have the pinhole of those pictures, which are of the same size; the script writes "
        "them without exo/ and images/, for frames below 10000.",
        "Cameras that the reconstruction does not know are left out; pictures of the glasses (ego/) are not converted.",
        "meta/smpl_folder says which fits a row has; they differ where bodies touch.",
        "3D points are the dataset's own, in the order of COCO-WholeBody; those that a file has not are without "
        "confidence.",
    ),
)


FITS = {"smpl_collision": ("smpl_collision", "smpl"), "smpl": ("smpl",)}
"""Choice of fits -> folders, of which a sequence's is the first that holds some."""
PICTURES = {
    "raw": "unpack them to <sequence>/exo/cam01/images/00001.jpg",
    "undistorted": "make them with the script undistort_images.py of SAM 3D Body, and put them to "
    "<sequence>/cam01/00001.jpg: it writes this tree when the dataset's root is its --dst_dir",
}
"""Choice of images -> where they are expected."""


class Harmony4D(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        top = self.root / self.split
        folders = {
            f"{activity}/{sequence}": top / activity / sequence
            for activity in raw_files.listing(top)
            for sequence in raw_files.listing(top / activity)
            if raw_files.is_folder(top / activity / sequence)
        }
        cameras = {name: self._cameras(folder) for name, folder in folders.items()}
        if folders and not any(cameras.values()):
            images = self.option("images")
            raise DataError(f"no sequence has {images} pictures of a fixed camera", path=top, fix=PICTURES[images])
        chosen = self.option("cameras", sorted({camera for there in cameras.values() for camera in there}))
        return [
            Unit(name, folder, tuple(camera for camera in cameras[name] if camera in chosen))
            for name, folder in folders.items()
        ]

    def read(self, unit: Unit) -> Instances:
        processed = unit.path / "processed_data"
        numbered = {name: _by_number(raw_files.listing(processed / name), ".npy") for name in FITS[self.option("fits")]}
        source = next((name for name, files in numbered.items() if files), "")
        if not unit.data:
            return no_instances(left_out="no pictures of these cameras", absent=not self._cameras(unit.path))
        if not source:
            return no_instances(left_out="no SMPL fits", absent=True)
        if not raw_files.is_folder(unit.path / harmony4d_files.WORKPLACE):
            return no_instances(left_out="no cameras (colmap/workplace)", absent=True)
        registered = harmony4d_files.read_registered(unit.path)
        dropped: dict[str, list[str]] = {}
        fitted = numbered[source]
        taken = {n: name for n, name in fitted.items() if self._is_taken(n)}
        people = harmony4d_files.read_people(processed, source, taken, dropped, self.root)
        views: list[str] = []
        entries: list[Array] = []
        paths: list[str] = []
        for camera in unit.data:
            folder = self._pictures(unit, camera)
            images = [f"{folder}/{n:05d}.jpg" for n in people.frames]
            unfitted = [
                name
                for n, name in _by_number(image_names(self.root, folder), ".jpg").items()
                if self._is_taken(n) and n not in fitted
            ]
            drop(dropped, "no SMPL fit", (f"{folder}/{name}" for name in unfitted))
            drop(dropped, "no SMPL fit of the person", people.labels(people.lacking, images))
            nearest = registered.nearest(camera, people.frames)
            if len(nearest):
                views.append(camera)
                entries.append(nearest[people.fitted[:, 0]])
                paths += [images[f] for f in people.fitted[:, 0]]
            else:
                drop(dropped, "camera not registered", people.labels(people.fitted, images))
        if not paths:
            return no_instances(dropped)
        # Rows: camera by camera, frame by frame, person by person.
        entry, row = np.concatenate(entries), np.tile(np.arange(len(people.fitted)), len(views))
        move = Rigid(registered.move.rotation[entry], registered.move.translation[entry])
        names = [people.names[p] for p in people.fitted[row, 1]]
        camera, facts = self._lens(registered, entry, unit.path)
        return Instances(
            image_path=paths,
            size=registered.size[entry],
            camera=camera,
            body=people.body[row],
            world_to_camera=move,
            keypoints3d=Keypoints(_moved(people.points[row], move), "coco_wholebody"),
            fit_joints=Keypoints(_moved(people.joints[row], move), "smpl_45"),
            meta={
                "sequence_name": [unit.name] * len(row),
                "activity": [unit.name.split("/")[0]] * len(row),
                "camera": [camera for camera in views for _ in people.fitted],
                "frame_id": people.frames[people.fitted[row, 0]],
                "person_id": names,
                "track_id": [f"{unit.name}_{name}" for name in names],
                "smpl_folder": [source] * len(row),
            },
            misc={"smpl_source": "original", "cam_param_source": "original", "smpl_folder": source} | facts,
            dropped=dropped,
            counts={
                f"people before {camera}, which is registered and has no pictures": len(people.fitted)
                for camera in self._without_folder(unit, registered)
            },
            overlap=True,
        )

    def _is_taken(self, frame: int) -> bool:
        return (frame - 1) % int(self.option("interval")) == 0

    def _cameras(self, sequence: Path) -> list[str]:
        """Fixed cameras of which there are pictures."""
        folder = sequence.relative_to(self.root).as_posix()
        below = folder if self.option("images") == "undistorted" else f"{folder}/exo"
        return [name.rpartition("/")[2] for name in image_folders(self.root, f"{glob.escape(below)}/cam*")]

    def _without_folder(self, unit: Unit, registered: harmony4d_files.Registered) -> list[str]:
        """Chosen cameras that the reconstruction knows and of which not even a folder is there."""
        wanted = self.option("cameras")
        gone = set(registered.camera.tolist()) - set(self._cameras(unit.path))
        return sorted(gone if wanted == (options.ALL,) else gone & set(wanted))

    def _pictures(self, unit: Unit, camera: str) -> str:
        """Folder of a camera's pictures, below the root."""
        place = camera if self.option("images") == "undistorted" else f"exo/{camera}/images"
        return f"{self.split}/{unit.name}/{place}"

    def _lens(
        self, registered: harmony4d_files.Registered, entry: Array, sequence: Path
    ) -> tuple[Camera, dict[str, Any]]:
        """Cameras of rows, and facts of them."""
        if self.option("images") == "raw":
            return take(registered.lens, entry), {"images": "raw", "distortion": "opencv_fisheye"}
        used, row = np.unique(entry, return_inverse=True)
        pinhole = harmony4d_files.undistorted(
            registered.size[used],
            take(registered.lens, used),
            registered.camera[used],
            sequence / harmony4d_files.WORKPLACE / "cameras.txt",
        )
        facts = {"images": "undistorted", "distortion": "none", "undistortion_balance": harmony4d_files.BALANCE}
        return take(pinhole, row), facts


def take(camera: Camera, index: Array) -> Camera:
    """Cameras of some of the rows."""
    distortion = None if camera.distortion is None else camera.distortion[index]
    return replace(
        camera, focal=camera.focal[index], principal_point=camera.principal_point[index], distortion=distortion
    )


def _by_number(names: Sequence[str], ending: str) -> dict[int, str]:
    """Number -> name, of names that are numbers with an ending."""
    stems = [name.removesuffix(ending) for name in names if name.endswith(ending)]
    return {int(stem): f"{stem}{ending}" for stem in stems if stem.isdecimal()}


def _moved(points: Array, move: Rigid) -> Array:
    """(N, K, 4) points of the world, moved in place to the camera; zeros where they are not known."""
    points[..., :3] = rigid_motion.apply(points[..., :3], move.rotation, move.translation)
    points[~(np.isfinite(points).all(axis=2) & (points[..., 3] > 0))] = 0
    return points
