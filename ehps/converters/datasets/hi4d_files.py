"""Readers of Hi4D's files: a recording's facts and cameras, the bodies of a frame, instance masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ehps.arrays import Array
from ehps.converters import ranges
from ehps.converters.readers import OTHER, fields, raw_files
from ehps.converters.readers.fields import integers, numbers, texts
from ehps.converters.readers.views import CalibratedView, lens_of
from ehps.errors import DataError
from ehps.genders import BY_WORD
from ehps.humandata.image_files import read_pixels

PEOPLE = 2
LONGEST = 100_000  # frames of a recording
SIZES = ((1280, 940), (940, 1280))  # height and width: the release does not say which way up
NEAR = 0.08  # of the sides of an image: principal points are that near to its middle
META = {
    "start": integers(),
    "end": integers(),
    "num_persons": integers(optional=True),
    "genders": texts(PEOPLE, words=BY_WORD),
    "contact_ids": integers("contacts"),
}
CAMERAS = {
    "ids": integers("cameras"),
    "intrinsics": numbers("cameras", 3, 3),
    "extrinsics": numbers("cameras", 3, 4),
    "dist_coeffs": numbers("cameras", 5),
}
FIT = {
    "betas": numbers(PEOPLE, 10),
    "global_orient": numbers(PEOPLE, 3),
    "body_pose": numbers(PEOPLE, 69),
    "transl": numbers(PEOPLE, 3),
    "joints_3d": numbers(PEOPLE, 24, 3),
}
CONTACT = {"contact": integers(PEOPLE, 6890)}


@dataclass(frozen=True)
class Recording:
    """What ``meta.npz`` says.

    Attributes
    ----------
    start : number of the first frame.
    end : number of the last frame.
    genders : of the two people.
    contacts : (C,) numbers of the frames with contact.
    """

    start: int
    end: int
    genders: list[str]
    contacts: Array


def read_meta(path: Path) -> Recording:
    """What a recording is.

    Raises
    ------
    DataError : the file is damaged, or of another form.
    """
    meta = fields.values(raw_files.load_npz(path), META, path)
    start, end, people = int(meta["start"]), int(meta["end"]), int(meta.get("num_persons", PEOPLE))
    if people != PEOPLE:
        raise DataError(f"num_persons is {people}, expected {PEOPLE}", path=path, fix=OTHER)
    if not 0 <= start <= end < start + LONGEST:
        raise DataError(f"start is {start} and end is {end}, which are no frames", path=path, fix=OTHER)
    genders = [BY_WORD[word.strip().lower()] for word in meta["genders"].tolist()]
    return Recording(start, end, genders, meta["contact_ids"])


def read_mono_camera(path: Path) -> int:
    """Id of the camera for monocular evaluation.

    Raises
    ------
    DataError : ``meta.npz`` names none.
    """
    return int(fields.values(raw_files.load_npz(path), {"mono_cam": integers()}, path)["mono_cam"])


def read_views(path: Path) -> list[CalibratedView]:
    """All cameras of a recording; the size of a camera whose principal point is not that of the release is zeros, see
    :func:`with_size`.

    Raises
    ------
    DataError : the file is damaged, or of another form.
    """
    found = fields.values(raw_files.load_npz(path, list(CAMERAS)), CAMERAS, path)
    ids, pose, lens = found["ids"].tolist(), found["extrinsics"].astype(float), found["dist_coeffs"].astype(float)
    if len(set(ids)) != len(ids):
        raise DataError(f"has camera {max(ids, key=ids.count)} twice", path=path, fix=OTHER)
    focal, centre = lens_of(found["intrinsics"], path, "intrinsics")
    if (beyond := np.flatnonzero((centre <= 0).any(axis=1))).size:
        what = f"the principal point of camera {ids[beyond[0]]} lies in no image"
        raise DataError(what, path=path, fix=OTHER)
    return [
        CalibratedView(str(k), _size(centre[v]), focal[v], centre[v], pose[v, :, :3], pose[v, :, 3], lens[v])
        for v, k in enumerate(ids)
    ]


def _size(centre: Array) -> tuple[int, int]:
    """Height and width of the images that have their principal point (x, y) there; zeros where it is in the middle of
    neither size."""
    off = {size: float(np.abs(centre / size[::-1] - 0.5).max()) for size in SIZES}
    nearest = min(off, key=off.__getitem__)
    return nearest if off[nearest] <= NEAR else (0, 0)


def with_size(view: CalibratedView, stored: tuple[int, int], path: Path) -> CalibratedView:
    """A camera with ``stored`` as the height and width of its images; with zeros still, where they are smaller than its
    principal point allows.

    Raises
    ------
    DataError : they are larger; ``path`` is the file of the cameras.
    """
    if not any(stored):
        return view
    place = view.principal_point / stored[::-1]
    if (place < 0.5 - NEAR).any():
        x, y = view.principal_point
        raise DataError(
            f"the principal point of camera {view.name}, ({x:.0f}, {y:.0f}), is not in the middle of its images, which "
            f"have {stored[1]} x {stored[0]} pixels",
            path=path,
            fix="take the images and the cameras of one release",
        )
    return view if (place > 0.5 + NEAR).any() else replace(view, size=stored)


def read_fit(path: Path) -> dict[str, Array]:
    """Parameters and joints of both people in the world, by name; numbers that are no places are NaN.

    Raises
    ------
    DataError : the file is damaged, or of another form.
    """
    found = fields.values(raw_files.load_npz(path, list(FIT)), FIT, path, finite=False)
    found["joints_3d"] = ranges.within(found["joints_3d"], ranges.METRES)
    return {name: value.astype(float) for name, value in found.items()}


def read_contact(path: Path) -> dict[str, Array]:
    """The same, with the contact of each vertex (2, 6890) int16 as the file has it.

    Raises
    ------
    DataError : as of :func:`read_fit`.
    """
    found = fields.values(raw_files.load_npz(path, list(CONTACT)), CONTACT, path)
    bounds = np.iinfo(np.int16)
    if found["contact"].min() < bounds.min or found["contact"].max() > bounds.max:
        raise DataError(f"contact has numbers beyond {bounds.max}", path=path, fix=OTHER)
    return read_fit(path) | {"contact": found["contact"].astype(np.int16)}


def read_mask_box(path: Path, size: Sequence[int]) -> Array:
    """(4,) x, y, width, height of what is not black in a mask, pixels; zeros where all is.

    Parameters
    ----------
    size : height and width of the image that it is of; zeros if they are not known.

    Raises
    ------
    DataError : the file is missing, no image, or of another size.
    """
    raw_files.note(path)
    person = read_pixels(path)  # H x W x 3
    if any(size) and person.shape[:2] != tuple(size):
        what = f"has {person.shape[1]} x {person.shape[0]} pixels, expected {size[1]} x {size[0]}"
        raise DataError(what, path=path, fix=OTHER)
    y = np.flatnonzero(person.reshape(len(person), -1).max(axis=1))
    x = np.flatnonzero(person.max(axis=0).max(axis=1))
    return np.array([x[0], y[0], x[-1] + 1 - x[0], y[-1] + 1 - y[0]] if len(x) else [0, 0, 0, 0], float)
