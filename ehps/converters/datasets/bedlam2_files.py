"""Files of BEDLAM2.0 beside those that the first BEDLAM has too: which scenes are portrait, images and movies.

Source: the list of scenes in BEDLAM's repository; the scripts that make movies of images.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ehps import numbered_frames
from ehps.converters.datasets.bedlam_labels import FRAME
from ehps.converters.datasets.bedlam_scenes import CAMERA, Views
from ehps.converters.readers import OTHER, raw_files
from ehps.converters.readers.images import image_names, is_image_folder
from ehps.errors import DataError

SCENES = "bedlam2_scene_names.csv"
CAMERAS = "ground_truth/meta_exr_csv"
PORTRAIT = frozenset(
    (
        "20240703_1_250_ai0901_orbit_portrait",
        "20240708_1_250_ai0901_static_portrait",
        "20240710_1_250_ai0805_orbit_portrait",
        "20240729_1_250_ai1004_vcam",
        "20240730_1_250_ai1101_vcam",
        "20240806_1_250_ai1101_vcam",
        "20240809_1_250_ai1102_vcam",
        "20241217_1_250_rome_vcam",
        "20250103_1_250_rome_vcam",
        "20250110_1_250_chemicalplant_vcam",
    )
)
"""Folders of the scenes that the official list calls portrait; the folder's own name does not tell."""


@dataclass(frozen=True)
class SequenceImages:
    """Paths of the images of a sequence's views, whether they stand upright, and why they cannot be used, if so."""

    images: list[str]
    upright: bool = False
    left_out: str = ""


def sequence_images(root: Path, scene: Path, sequence: str, views: Views) -> SequenceImages:
    """The images of a sequence: files, or frames of the movie where there are none.

    Raises
    ------
    UsageError : there is a movie, and PyAV is not installed.
    DataError : the movie is damaged, or stands upright although the camera is level.
    """
    below, movie = scene.relative_to(root).as_posix(), scene / "mp4" / f"{sequence}.mp4"
    if is_image_folder(root, f"{below}/png/{sequence}") or not raw_files.is_file(movie):
        return SequenceImages([f"{below}/png/{sequence}/{name}" for name in views.name])
    raw_files.note(movie)
    known = numbered_frames.describe(movie)
    upright = known.size[0] > known.size[1]
    if upright and len(views) and not rolled(views):
        what = "stands upright, and its camera is not rolled by 90 degrees"
        raise DataError(what, path=movie, fix="take the movie that belongs to the scene's ground truth")
    other = "" if known.count == views.rows else "movie of another number of frames than its camera file has"
    return SequenceImages(
        [f"{below}/mp4/{movie.name}/{row:06d}.png" for row in views.place_in_order.tolist()], upright, other
    )


def is_portrait(root: Path, scene: str) -> bool:
    """Whether a scene is, by the user's copy of the list of scenes, else by the official one."""
    path = root / SCENES
    listed = read_scene_names(path) if raw_files.is_file(path) else {}
    return "portrait" in listed[scene] if scene in listed else scene in PORTRAIT


def images_without_camera(root: Path, scene: Path, sequence: str, views: Views, sampling: int) -> list[str]:
    """Images of frames that are to be taken but are not in the camera file, as when it is cut short."""
    folder = f"{scene.relative_to(root).as_posix()}/png/{sequence}"
    known = set(views.frame.tolist())
    found = {name: FRAME.search(name) for name in image_names(root, folder)}
    frames = {name: int(match[1]) for name, match in found.items() if match}
    return [f"{folder}/{name}" for name, k in frames.items() if not k % sampling and k not in known]


def check_distinct(scenes: Sequence[Path]) -> None:
    """Raise where a scene lies in the root and a folder deeper.

    Raises
    ------
    DataError : one does; its people would be there twice.
    """
    places: dict[str, Path] = {}
    for scene in scenes:
        if (first := places.setdefault(scene.name, scene)) != scene:
            raise DataError(f"is the scene of {first} again", path=scene, fix="keep one of the two folders")


def check_cameras(scene: Path, sequences: Collection[str]) -> None:
    """Raise where there are cameras of sequences that a scene's table lacks.

    Raises
    ------
    DataError : there are, as when the table is cut short: people would be missing, or of another sequence.
    """
    there = [name.removesuffix(CAMERA) for name in raw_files.listing(scene / CAMERAS) if name.endswith(CAMERA)]
    if lost := [name for name in there if name not in sequences]:
        what = f"has no sequence {lost[0]}, of which there is a camera file"
        raise DataError(what, path=scene / "be_seq.csv", fix="take the whole table and the cameras of one release")


def read_scene_names(path: Path) -> dict[str, str]:
    """Folder -> name of the scene, of the list in BEDLAM's repository, whose names begin with blanks.

    Raises
    ------
    DataError : a line is no pair.
    """
    names: dict[str, str] = {}
    for number, line in enumerate(raw_files.read_lines(path), start=1):
        folder, comma, name = (part.strip() for part in line.partition(","))
        if not comma or not folder or not name:
            raise DataError(f"line {number} is {line!r}, expected a folder, a comma and a name", path=path, fix=OTHER)
        names[folder] = name
    return names


def rolled(views: Views) -> bool:
    """Whether the camera is rolled by about 90 degrees."""
    roll = np.abs((views.roll + 180) % 360 - 180)
    return bool(45 < np.median(roll) < 135)


def contradiction(scene: str, portrait: bool) -> str:
    """What to say of a scene whose camera is not as the list of scenes says."""
    called, camera = ("a portrait", "level") if portrait else ("no portrait", "rolled by about 90 degrees")
    return f"{scene} is {called} scene by the list of scenes, but its camera is {camera}; meta/portrait is the list's"
