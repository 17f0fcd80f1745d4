"""The original training release of MPI-INF-3DHP: a sequence's ``annot.mat``, ``camera.calibration`` and 14 videos.

``annot3`` has 28 joints in the frame of each camera, millimetres, ``annot2`` where they are in its image. Calibrations
are pinholes; the lens's distortion was not published, so that projected joints are up to 2 px from the points.
Source: Mehta et al., 3DV 2017, and the readers of mmpose and posepile.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ehps.arrays import Array
from ehps.converters.readers import opened, raw_files
from ehps.converters.readers.images import is_image_folder
from ehps.converters.readers.matlab import load_mat
from ehps.errors import DataError

SEQUENCES = "S*/Seq*/annot.mat"
POINTS = "mpi_inf_3dhp"
JOINTS = 28
SIZES = {"size": 2, "intrinsic": 16}
PLACES = {"{root}/imageFrames/video_{camera}": "frame_{number:06d}.jpg", "{root}/video_{camera}": "{number:06d}.jpg"}
"""Folders that others cut frames to, and what frames are called there, counted from 1; the last one is ours too."""


@dataclass(frozen=True)
class Lens:
    """One camera of a sequence: height and width, focal length (2,) and principal point (2,), pixels."""

    size: tuple[int, int]
    focal: Array
    principal_point: Array


def read_joints(path: Path, camera: int) -> tuple[Array, Array]:
    """(F, 28, 2) pixels and (F, 28, 3) metres in the camera's frame, of one camera of ``annot.mat``.

    Raises
    ------
    DataError : the file is missing or broken, or holds something else.
    """
    cells = _annotations(path)
    found = []
    for name, axes in (("annot2", 2), ("annot3", 3)):
        by_camera = np.ravel(cells[name])
        if cells[name].dtype != object or camera >= len(by_camera):
            raise DataError(f"{name} has {len(by_camera)} cells, and none of camera {camera}", path=path)
        values = np.asarray(by_camera[camera])
        if values.ndim != 2 or values.shape[1] != axes * JOINTS or values.dtype.kind not in "fiu":
            what = f"{name} of camera {camera} is {values.shape}, not (F, {axes * JOINTS}) numbers"
            raise DataError(what, path=path, fix="the annot.mat of the original training release is needed")
        found.append(values.astype(float).reshape(-1, JOINTS, axes))
    points, joints = found
    if len(points) != len(joints):
        what = f"annot2 of camera {camera} has {len(points)} frames, annot3 has {len(joints)}"
        raise DataError(what, path=path, fix="unpack the file again")
    return points, joints / 1000


@opened.remembered(1)
def _annotations(path: Path) -> dict[str, npt.NDArray[np.object_]]:
    """Cells of all cameras; a sequence's are read one after the other."""
    return load_mat(path, "annot2 annot3")


def read_lens(path: Path, camera: int) -> Lens:
    """One camera of ``camera.calibration``, of which each has a line a fact, the first of them ``name``.

    Raises
    ------
    DataError : the file is missing or broken, or has no such camera.
    """
    block, facts = _block(path, camera), {}
    for key, count in SIZES.items():
        words = block.get(key, [])
        try:
            facts[key] = np.array([float(word) for word in words])
        except ValueError:
            facts[key] = np.zeros(0)
        if len(facts[key]) != count or not np.isfinite(facts[key]).all():
            what = f"{key} of camera {camera} is {' '.join(words)!r}, not {count} numbers"
            raise DataError(what, path=path, fix="unpack the file again")
    (width, height), matrix = facts["size"].astype(int).tolist(), facts["intrinsic"]
    return Lens((height, width), matrix[[0, 5]], matrix[[2, 6]])


def _block(path: Path, camera: int) -> dict[str, list[str]]:
    """Key -> words of the lines of one camera."""
    blocks: dict[str, dict[str, list[str]]] = {}
    name = ""
    for line in raw_files.read_lines(path):
        key, *words = line.split()
        if key == "name":
            name = " ".join(words)
            if name in blocks:
                raise DataError(f"has camera {name} twice", path=path, fix="unpack the file again")
            blocks[name] = {}
        elif name and key in blocks[name]:
            what = f"camera {name} has {key} twice: the line with the name of the next one is missing"
            raise DataError(what, path=path, fix="unpack the file again")
        elif name:
            blocks[name][key] = words
    if str(camera) not in blocks:
        raise DataError(f"has no camera {camera}, but {', '.join(blocks) or 'none'}", path=path)
    return blocks[str(camera)]


def image_paths(root: Path, sequence: str, camera: int, frames: Array) -> list[str]:
    """Where frames (N,), counted from 0, lie when they are cut out of a camera's video: where others cut them to if
    that is there, else where ``--frames`` does."""
    places = [(folder.format(root=sequence, camera=camera), name) for folder, name in PLACES.items()]
    folder, name = next((place for place in places if is_image_folder(root, place[0])), places[-1])
    return [f"{folder}/{name.format(number=number + 1)}" for number in frames.tolist()]
