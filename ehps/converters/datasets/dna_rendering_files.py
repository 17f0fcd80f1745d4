"""Readers of DNA-Rendering's ``.smc`` files (HDF5): images and gender of the main file, the rest of the other."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array, Mask
from ehps.body import rigid_motion
from ehps.body.params import BodyParams, smplx_params, smplx_pose
from ehps.converters import ranges
from ehps.converters.readers import AGAIN, OTHER, fields, raw_files
from ehps.converters.readers.opened import note
from ehps.converters.readers.views import CalibratedView, lens_of
from ehps.errors import DataError
from ehps.foreign_files import unreadable
from ehps.humandata import hdf5_files
from ehps.humandata.image_headers import header_size
from ehps.humandata.keypoints import point_names

DETECTED = (1, 2, 4, 5, 7, 8, *range(16, 22), *range(25, 144))
POINTS_2D = tuple(point_names("human_data")[slot] for slot in DETECTED)
"""The 131 points that were detected and triangulated: COCO-WholeBody's without the roots of the hands."""
CAMERA = {"K": fields.numbers(3, 3), "RT": fields.numbers(4, 4), "D": fields.numbers(5)}
TWIN = 0.0005  # metres within which a point that was not triangulated is a copy of another
HEADER = 1 << 18  # bytes of an encoded image within which its size is stated


@dataclass(frozen=True)
class Taken:
    """What a camera took: numbers of its frames, and height and width of its images."""

    frames: Array
    size: tuple[int, int]


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """An ``.smc`` file for reading.

    Raises
    ------
    DataError : it is no whole HDF5 file, or lacks something that is asked of it.
    """
    note(path)
    try:
        with hdf5_files.opened(path) as file:
            yield file
    except OSError:
        raise unreadable(path, "an .smc file", AGAIN, OTHER, ["an HDF5 file"]) from None


def gender_of(file: Any) -> str:
    """The actor's gender, a word; empty where it is not given."""
    words = raw_files.texts(file.attrs.get("gender", ""))
    word = words[0].strip().lower() if words else ""
    return word if word in ("male", "female") else ""


def images(file: Any, group: str, wanted: Sequence[str]) -> dict[str, Taken]:
    """Camera -> what it took, for the cameras in ``wanted`` that took something.

    Sizes are those of each camera's first image, as stated in its header, else the group's ``resolution``.
    """
    out: dict[str, Taken] = {}
    for camera in wanted if group in file else ():
        colour = file[group].get(f"{camera}/color")
        if colour is None or not len(colour):
            continue
        if odd := [key for key in colour if not key.isdecimal()]:
            what = f"{group}/{camera}/color has {odd[0]!r}, expected numbers of frames"
            raise DataError(what, path=Path(file.filename), fix=OTHER)
        frames = np.array(sorted(int(key) for key in colour))
        encoded = colour[str(frames[0])]
        if getattr(encoded, "ndim", 0) != 1:
            what = f"{group}/{camera}/color/{frames[0]} is no encoded image"
            raise DataError(what, path=Path(file.filename), fix=OTHER)
        size = header_size(io.BytesIO(encoded[:HEADER].tobytes()))
        if size == (0, 0):
            stated = {"resolution": np.ravel(file[group].attrs.get("resolution", ()))[:2]}
            found = fields.values(stated, {"resolution": fields.integers(2)}, Path(file.filename), group)["resolution"]
            size = int(found[0]), int(found[1])
        out[camera] = Taken(frames, size)
    return out


def read_fits(file: Any, gender: str, path: Path) -> tuple[BodyParams, Mask, int]:
    """SMPL-X of each fitted frame, in the world, (N,) which frames have an expression; zeros in the others, and of how
    many frames more there is only a pose or a place.

    One shape or expression may be that of all frames. The expressions of some released sequences end before the poses.

    Raises
    ------
    DataError : an array has another shape.
    """
    group = file["SMPLx"]
    pose = _shaped(_numbers(group, path, "fullpose", "full_pose"), (55, 3), "fullpose", path)
    transl = _shaped(_numbers(group, path, "transl"), (3,), "transl", path)
    count = min(len(pose), len(transl))
    betas = _coefficients(group, path, "betas", "beta")
    if len(betas) not in (1, len(pose)):
        raise DataError(
            f"betas has {len(betas)} rows for {len(pose)} frames",
            path=path,
            fix="one row, or one a frame, is expected: leave the sequence out with --skip-bad",
        )
    found = _coefficients(group, path, "expression")
    expression, known = np.zeros((count, found.shape[1])), np.zeros(count, bool)
    last = count if len(found) == 1 else min(len(found), count)
    expression[:last], known[:last] = found[:last], True
    body = smplx_params(
        gender=gender,
        betas=np.broadcast_to(betas, (len(pose), betas.shape[1]))[:count],
        expression=expression,
        transl=transl[:count],
        flat_hand_mean=False,
        **smplx_pose(pose[:count]),
    )
    return body, known, max(len(pose), len(transl)) - count


def read_view(file: Any, camera: str, size: tuple[int, int]) -> CalibratedView:
    """A camera as it is calibrated, for its images of a size. ``RT`` is that of the camera in the world."""
    path, place = Path(file.filename), f"Camera_Parameter/{camera}"
    stored = {name: _numbers(file[place], path, name) for name in CAMERA}
    values = fields.values(stored, CAMERA, path, place)
    focal, principal_point = lens_of(values["K"], path, f"{place}/K")
    to_world, centre = rigid_motion.split(values["RT"])
    return CalibratedView(
        name=camera,
        size=size,
        focal=focal,
        principal_point=principal_point,
        rotation=to_world.T,
        translation=rigid_motion.from_center(to_world.T, centre),
        distortion=values["D"],
    )


def detected(file: Any, camera: str, count: int, path: Path) -> Array:
    """(count, 131, 3) points in a camera's images, x, y, score; zeros where there are none."""
    out = np.zeros((count, len(POINTS_2D), 3))
    points = file.get(f"Keypoints_2D/{camera}")
    if points is not None:
        place = f"Keypoints_2D/{camera}"
        found = _shaped(_numbers(file["Keypoints_2D"], path, camera), (len(POINTS_2D), 3), place, path)[:count]
        out[: len(found)] = found
    return out


def triangulated(file: Any, count: int, path: Path) -> Array:
    """(count, 190, 4) points in the world, m, with confidence 1 where they are real.

    Points without a place are zeros or no numbers; some of those that were not triangulated are copies of others.
    """
    out = np.zeros((count, 190, 4))
    points = file.get("Keypoints_3D/keypoints3d")
    if points is None:
        return out
    found = _numbers(file["Keypoints_3D"], path, "keypoints3d").astype(float)
    if found.shape[1:] not in ((190, 3), (190, 4)):
        what = f"keypoints3d is {fields.described(found)}, expected frames x 190 x 3 numbers"
        raise DataError(what, path=path, fix=OTHER)
    found = ranges.within(found[:count, :, :3], ranges.METRES)
    there = np.isfinite(found).all(2) & found.any(2)
    real = there.copy()
    for index in np.setdiff1d(np.arange(190), DETECTED).tolist():
        near = np.linalg.norm(found - found[:, index : index + 1], axis=2) < TWIN
        near[:, index] = False
        real[:, index] &= ~(near & there).any(1)
    out[: len(found), :, :3] = np.where(real[..., None], found, 0)
    out[: len(found), :, 3] = real
    return out


def _shaped(values: Any, tail: tuple[int, ...], name: str, path: Path) -> Array:
    array = fields.as_numbers(values)
    if array is None or not array.ndim or array.shape[1:] != tail:
        sizes = " x ".join(map(str, tail))
        raise DataError(
            f"{name} is {fields.described(values)}, expected frames x {sizes} numbers", path=path, fix=OTHER
        )
    return array.astype(float)


def _numbers(group: Any, path: Path, *names: str) -> Array:
    """The numbers under the first of ``names`` that is there.

    Raises
    ------
    DataError : none is, or it is no array of numbers.
    """
    stored = next((group.get(name) for name in names if name in group), None)
    if stored is None:
        raise DataError(f"{group.name} has no {names[0]} (it has {', '.join(group)})", path=path, fix=OTHER)
    array = fields.as_numbers(stored[()]) if hasattr(stored, "shape") else None
    if array is None:
        raise DataError(f"{group.name}/{names[0]} is no array of numbers", path=path, fix=OTHER)
    return array


def _coefficients(group: Any, path: Path, *names: str) -> Array:
    """(R, K) rows of coefficients, of the first of ``names`` that is there."""
    rows = np.atleast_2d(_numbers(group, path, *names))
    if rows.ndim != 2:
        what = f"{names[0]} is {fields.described(rows)}, expected rows of coefficients"
        raise DataError(what, path=path, fix=OTHER)
    return rows
