"""What CHI3D, FIT3D and HumanSC3D share: one studio with four cameras, one layout, neutral SMPL-X in the world frame.

Facts: rotations of the fits are matrices, hands absolute (the mean hand is never added); a camera's ``T`` is its
centre, so x_camera = R (x_world - T); the videos are distorted by the lens formula of Human3.6M. ``joints3d_25`` has
one entry a frame, or four in an older download. CHI3D's files have an axis of persons in front, but for downloads
before 2023.
Source: the datasets' papers and the official toolkit (imar_vision_datasets_tools).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ehps.arrays import Array
from ehps.body import rigid_motion, rotations
from ehps.body.cameras import keypoints2d
from ehps.body.params import BodyParams, smplx_params
from ehps.converters import options, ranges
from ehps.converters.base import Converter, Instances, Keypoints, Unit, drop, no_instances
from ehps.converters.readers import OTHER, UNPACK, fields, raw_files, videos
from ehps.converters.readers.fields import numbers
from ehps.converters.readers.views import CalibratedView, cameras_of
from ehps.errors import DataError
from ehps.humandata.keypoints import point_names

CAMERAS = ("50591643", "58860488", "60457274", "65906101")
SIZE = (900, 900)
FPS = 50
POINTS = (*point_names("h36m"), "left_foot", "right_foot")
TAKEN = (*range(17), 17, 19)  # of joints3d_25; toes and hands have no counterpart
SHAPES: dict[str, tuple[int, ...]] = {
    "transl": (3,),
    "betas": (10,),
    "expression": (10,),
    "global_orient": (1, 3, 3),
    "body_pose": (21, 3, 3),
    "left_hand_pose": (15, 3, 3),
    "right_hand_pose": (15, 3, 3),
    "jaw_pose": (1, 3, 3),
    "leye_pose": (1, 3, 3),
    "reye_pose": (1, 3, 3),
}
CAMERA: dict[str, dict[str, fields.Field]] = {
    "extrinsics": {"R": numbers(3, 3), "T": numbers(3)},
    "intrinsics_w_distortion": {"f": numbers(2), "c": numbers(2), "k": numbers(3), "p": numbers(2)},
    "intrinsics_wo_distortion": {"f": numbers(2), "c": numbers(2)},
}
SHARED: dict[str, Any] = {
    "licence": "research only, after registration; one request per dataset",
    "commercial_use": False,
    "body_model": "smplx",
    "appearance": "real",
    "scene": "studio",
    "split_needs": {"train": ("train/*/smplx", "train/*/camera_parameters"), "test": ("test/*/videos",)},
    "get": "register on the homepage; unpack so that train/ and test/ lie in the root",
    "reprojection": "fitted",
    "fps": FPS,
}
OPTIONS = (
    options.cameras(CAMERAS, "cameras to take, with commas between them"),
    options.interval("takes every N-th frame; 1 takes all, as SMPLer-X's files have them"),
)
NOTES = (
    "The test split has videos and cameras only and cannot be converted.",
    "meta/focal_length and principal_point are the release's pinhole without distortion; 2D points are those of the "
    "distorted images, with meta/h36m_focal_length, h36m_principal_point and h36m_dist_coeffs (k1 k2 p1 p2 k3, "
    "Human3.6M's formula).",
    "2D points of the dataset are its 3D joints (joints3d_25) in the distorted images.",
    "The published count is that of SMPLer-X's training data.",
)


def layout(name: str, extra: str, use: str) -> str:
    """The raw tree of one of the datasets; ``extra`` is a file of each subject, and ``use`` what it is for."""
    return f"""
{name}/
  train/<subject>/camera_parameters/<camera>/<action>.json
  train/<subject>/videos/<camera>/<action>.mp4              (cameras 50591643 58860488 60457274 65906101)
  train/<subject>/smplx/<action>.json, joints3d_25/<action>.json
  train/<subject>/{extra:<41} ({use})
  train/<subject>/frames/<camera>/<action>/0000.jpg         (cut from the videos, counted from 0)
  test/<subject>/videos/<action>.mp4, camera_parameters/<action>.json
"""


@dataclass(frozen=True, kw_only=True)
class StudioView(CalibratedView):
    """A camera with distortion (k1 k2 p1 p2 k3), and the release's camera without.

    Attributes
    ----------
    pinhole : (2, 2) focal length and principal point of the camera without distortion.
    """

    pinhole: Array


class Studio(Converter):
    """A unit is an action of a subject; its rows go camera by camera, person by person, frame by frame."""

    people: ClassVar[int] = 1  # in a recording
    contacts: ClassVar[str] = ""  # file of a subject that says in which frames there is contact

    def units(self) -> list[Unit]:
        if self.split != "train":
            raise DataError(
                f"the {self.split} split has videos and cameras, but no bodies",
                path=self.root / self.split,
                fix="convert the train split",
            )
        folder = self.root / self.split
        return [
            Unit(f"{subject}/{name[:-5]}", folder / subject / "smplx" / name, (subject, name[:-5]))
            for subject in raw_files.listing(folder)
            for name in raw_files.listing(folder / subject / "smplx")
            if name.endswith(".json")
        ]

    def read(self, unit: Unit) -> Instances:
        subject, action = unit.data
        folder = self.root / self.split / subject
        people, length, body = read_fits(unit.path)
        frame = self._frames(folder, action, length)
        if not len(frame):
            return no_instances(left_out="no contact in the action")
        notes: list[str] = []
        views = self._views(folder, action, notes)
        joints, known = read_joints(folder / "joints3d_25" / f"{action}.json", people, length, notes)
        dropped: dict[str, list[str]] = {}
        if people < self.people:
            notes.append(
                f"some actions have bodies of {people} of the {self.people} people, as downloads before 2023: the "
                "later release has all"
            )
            drop(
                dropped,
                "person whose body is not in this release",
                (
                    f"{image_path(folder, v.name, action, n)} person {p}"
                    for v in views
                    for p in range(people, self.people)
                    for n in frame
                ),
            )
        each = (np.arange(people)[:, None] * length + frame).ravel()  # rows of one view
        index, view = np.tile(each, len(views)), np.repeat(np.arange(len(views)), len(each))
        person, number = np.divmod(index, length)
        ids = [views[v].name for v in view]
        size, camera, move = cameras_of(views, view)
        pinhole = np.stack([v.pinhole for v in views])[view]
        own = rigid_motion.apply(joints[index], move.rotation, move.translation)
        seen = known[index][..., None]
        pixels = keypoints2d(own, camera.focal, camera.principal_point, camera.distortion, lens="h36m") * seen
        return Instances(
            image_path=[image_path(folder, camera_id, action, n) for camera_id, n in zip(ids, number, strict=True)],
            size=size,
            camera=replace(camera, lens="h36m"),
            body=body[index],
            world_to_camera=move,
            keypoints2d=Keypoints(pixels, POINTS),
            keypoints3d=Keypoints(np.concatenate([own, np.ones_like(own[..., :1])], axis=2) * seen, POINTS),
            meta={
                "focal_length": pinhole[:, 0],
                "principal_point": pinhole[:, 1],
                "h36m_focal_length": camera.focal,
                "h36m_principal_point": camera.principal_point,
                "sequence_name": [unit.name] * len(index),
                "subject": [subject] * len(index),
                "camera": ids,
                "frame_id": number,
                "person_id": person,
                "track_id": [f"{unit.name}_{p}" for p in person],
            },
            meta_in_pixels=("focal_length", "principal_point", "h36m_focal_length", "h36m_principal_point"),
            misc={
                "smplx_source": "original",
                "cam_param_source": "original",
                "image_shape": list(SIZE),
                "lens": "h36m",
            },
            dropped=dropped,
            notes=notes,
        )

    def extract_frames(self, unit: Unit, image_paths: Sequence[str], folder: Path) -> None:
        """Cut the frames named in ``image_paths`` out of the videos of the action, numbered from 0."""
        subject, action = unit.data
        for cut, wanted in videos.by_folder(image_paths).items():
            camera = cut.split("/")[-2]
            video = self.root / self.split / subject / "videos" / camera / f"{action}.mp4"
            videos.extract(video, wanted, folder, fps=FPS)

    def _frames(self, folder: Path, action: str, length: int) -> Array:
        """Numbers of the frames to take: all, or those of the contact, every ``interval``-th of them."""
        which = self.option("frames") if self.contacts else "all"
        start, stop = 0, length
        if which != "all":
            path = folder / self.contacts
            listed = fields.items(raw_files.read_json(path), path).get(action)
            if listed is None:
                return np.zeros(0, int)
            names = ("fr_id",) if which == "contact" else ("start_fr", "end_fr")
            contact = fields.values(listed, dict.fromkeys(names, fields.integers()), path, action)
            first, last = ("fr_id", "fr_id") if which == "contact" else ("start_fr", "end_fr")
            start, stop = max(int(contact[first]), 0), min(int(contact[last]) + 1, length)
        return np.arange(start, stop, self.option("interval"))

    def _views(self, folder: Path, action: str, notes: list[str]) -> list[StudioView]:
        """Those that there are."""
        paths = {name: folder / "camera_parameters" / name / f"{action}.json" for name in self.option("cameras")}
        found = {name: read_view(name, path) for name, path in paths.items() if raw_files.is_file(path)}
        if not found:
            raise DataError(f"has no camera of {action}", path=folder / "camera_parameters", fix=UNPACK)
        notes += [f"some actions of {folder.name} have no camera {name}" for name in paths if name not in found]
        return list(found.values())


def image_path(folder: Path, camera: str, action: str, frame: int) -> str:
    """Where a frame of a subject's action lies when it is cut out of the video."""
    return f"{folder.parent.name}/{folder.name}/frames/{camera}/{action}/{frame:04d}.jpg"


def read_fits(path: Path) -> tuple[int, int, BodyParams]:
    """Number of people, number of frames, and their bodies in the world, person by person.

    A matrix that is no rotation becomes NaN.

    Raises
    ------
    DataError : the file is cut short, lacks a parameter, or has one of another shape.
    """
    data = raw_files.read_json(path)
    place = fields.items(data, path).get("transl")
    array = fields.as_numbers(place)
    if array is None or array.ndim not in (2, 3):
        what = f"transl is {fields.described(place)}, expected 3 numbers of each frame, or of each person and frame"
        raise DataError(what, path=path, fix=OTHER)
    people, length = array.shape[:2] if array.ndim == 3 else (1, len(array))
    axes = (people, length) if array.ndim == 3 else (length,)
    found = fields.values(data, {name: numbers(*axes, *tail) for name, tail in SHAPES.items()}, path, finite=False)
    values = {name: found[name].astype(float).reshape(people * length, *tail) for name, tail in SHAPES.items()}
    vectors = {name: axis_angle(value) if value.ndim == 4 else value for name, value in values.items()}
    return people, length, smplx_params(gender="neutral", flat_hand_mean=True, **vectors)


def read_joints(path: Path, people: int, length: int, notes: list[str]) -> tuple[Array, Array]:
    """(people * length, 19, 3) joints in the world, person by person, and which of them are known (N, 19)."""
    points = np.zeros((people, length, len(POINTS), 3))
    known = np.zeros(points.shape[:-1], bool)
    if not raw_files.is_file(path):
        notes.append("some actions have no joints3d_25: their own joints are without confidence")
        return points.reshape(-1, *points.shape[2:]), known.reshape(-1, len(POINTS))
    shape = {"joints3d_25": numbers(people, "frames", 25, 3)}
    own = fields.values(raw_files.read_json(path), shape, path, finite=False)["joints3d_25"]
    own = ranges.within(own, ranges.METRES)
    step = round(own.shape[1] / length)
    if own.shape[1] not in (length, 4 * length):
        notes.append(
            f"{path.parts[-3]}/{path.stem}: {own.shape[1]} joints3d_25 for {length} frames, counted from the first"
        )
    if step in (1, 4):
        own = own[:, ::step][:, :length, TAKEN]
        good = np.asarray(np.isfinite(own).all(axis=-1))
        points[:, : own.shape[1]] = np.where(good[..., None], own, 0)
        known[:, : own.shape[1]] = good
    else:
        notes.append(f"{path.parts[-3]}/{path.stem}: {own.shape[1]} joints3d_25 for {length} frames are left out")
    return points.reshape(-1, *points.shape[2:]), known.reshape(-1, len(POINTS))


def read_view(name: str, path: Path) -> StudioView:
    """The camera of one action.

    Raises
    ------
    DataError : the file is cut short, or is no camera of these datasets.
    """
    data = fields.values(raw_files.read_json(path), dict.fromkeys(CAMERA, fields.OBJECT), path)
    # Some leaves have an axis of length 1 in front.
    pose, lens, plain = (
        {
            key: ranges.within(value, ranges.PIXELS)
            for key, value in fields.values(data[part].item(), known, path, part).items()
        }
        for part, known in CAMERA.items()
    )
    return StudioView(
        name=name,
        size=SIZE,
        focal=lens["f"],
        principal_point=lens["c"],
        rotation=pose["R"],
        translation=rigid_motion.from_center(pose["R"], pose["T"]),
        distortion=np.concatenate([lens["k"][:2], lens["p"], lens["k"][2:]]),
        pinhole=np.stack([plain["f"], plain["c"]]),
    )


def axis_angle(matrices: Array) -> Array:
    """(..., 3) axis-angle of (..., 3, 3), made orthonormal first; NaN where a matrix is no rotation."""
    off = np.abs(matrices @ np.swapaxes(matrices, -1, -2) - np.eye(3)).max(axis=(-2, -1))
    good = off < rotations.TOLERANCE  # not so where there are NaNs
    good &= np.linalg.det(np.where(good[..., None, None], matrices, -np.eye(3))) > 0
    safe = rotations.proper(np.where(good[..., None, None], matrices, np.eye(3)))
    return np.where(good[..., None], rotations.to_axis_angle(safe), np.nan)
