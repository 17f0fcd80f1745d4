"""Readers of Harmony4D's files: fits and points of a frame, cameras of a sequence in metres.

Facts: the reconstruction of a sequence has a unit of length of its own. ``scale.npy`` takes it to the metric world of
the bodies; sequences with glasses have the world of the first glasses instead, and ``colmap_from_aria_transforms.pkl``
takes that to the reconstruction. Either way the motion from the world to a camera scales, and is divided by its scale
here: pixels stay, and depths become metres.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.body.params import BodyParams, smpl_params
from ehps.converters import ranges
from ehps.converters.base import Camera, Rigid
from ehps.converters.readers import OTHER, UNPACK, colmap, fields, raw_files
from ehps.converters.readers.fields import numbers
from ehps.converters.readers.frame_files import read_each
from ehps.errors import DataError

WORKPLACE = "colmap/workplace"
ANCHOR = "aria01"  # the glasses whose world is that of the sequence
MODEL, PARAMETERS = "OPENCV_FISHEYE", 8  # fx fy cx cy k1 k2 k3 k4
RIGID = 1e-3  # how far R R^T may be from 1 once the scale is taken out
BALANCE = 0.8  # of the undistorted pictures of SAM 3D Body
POINTS = 133
FIT = {"global_orient": numbers(3), "body_pose": numbers(69), "transl": numbers(3), "betas": numbers(10)}
JOINTS = 45  # of SMPL, 21 vertices among them
HELD = {"joints": numbers(JOINTS, 3, optional=True)}


@dataclass(frozen=True)
class Registered:
    """Pictures of which a reconstruction knows where they were taken, E of them, in its order.

    Attributes
    ----------
    camera : (E,) names of cameras.
    frame : (E,) numbers of frames.
    size : (E, 2) height and width, pixels.
    lens : OpenCV's fisheye of each.
    move : world to camera, metres.
    """

    camera: Array
    frame: Array
    size: Array
    lens: Camera
    move: Rigid

    def nearest(self, camera: str, frames: Array) -> Array:
        """(F,) the picture of a camera that is nearest in time to each frame, of equally near ones the first; empty
        where none is registered."""
        own = np.flatnonzero(self.camera == camera)
        if not len(own):
            return own
        return own[np.abs(self.frame[own] - np.asarray(frames)[:, None]).argmin(axis=1)]


@dataclass(frozen=True)
class People:
    """Everybody in F frames of a sequence.

    Attributes
    ----------
    frames : (F,) numbers.
    names : of all people.
    fitted : (M, 2) index in ``frames`` and in ``names`` of each fit, frame by frame, person by person.
    lacking : (L, 2) the same of people who have no fit in a frame.
    body : M bodies in the world.
    joints : (M, 45, 4) joints of SMPL in the world that the files hold beside the parameters, metres, and confidence,
        which is 0 where they hold none.
    points : (M, 133, 4) own points in the world, metres, and confidence.
    """

    frames: Array
    names: tuple[str, ...]
    fitted: Array
    lacking: Array
    body: BodyParams
    joints: Array
    points: Array

    def labels(self, some: Array, images: Sequence[str]) -> list[str]:
        """What some of ``fitted`` or ``lacking`` are called, by the (F,) images of a camera."""
        return [f"{images[frame]} {self.names[person]}" for frame, person in some.tolist()]


def read_registered(sequence: Path) -> Registered:
    """Registered pictures of a sequence's fixed cameras.

    Raises
    ------
    DataError : a file is missing, or holds other than it should.
    """
    folder = sequence / WORKPLACE
    known = colmap.read_cameras(folder / "cameras.txt")
    path = folder / "images.txt"
    images = [image for image in colmap.read_images(path) if image.name.startswith("cam")]
    names = [image.name.split("/") for image in images]
    if odd := [name for name in names if len(name) != 2 or not Path(name[1]).stem.isdecimal()]:
        raise DataError(f"names the picture {'/'.join(odd[0])!r}, expected cam01/00001.jpg", path=path, fix=OTHER)
    if not images:
        raise DataError("has no picture of a fixed camera", path=path, fix=OTHER)
    lenses = {key: _lens(known, key, folder / "cameras.txt") for key in {image.camera for image in images}}
    values = np.stack([lenses[image.camera] for image in images])
    world, source = read_world(folder)
    rotation = np.stack([image.rotation for image in images]) @ world[:3, :3]
    shift = np.stack([image.rotation @ world[:3, 3] + image.translation for image in images])
    scale = np.cbrt(np.linalg.det(world[:3, :3]))
    rotation, shift = rotation / scale, shift / scale
    off = np.abs(rotation @ rotation.transpose(0, 2, 1) - np.eye(3)).max()
    if not off <= RIGID:
        what = f"is no rotation with one scale: rotations of cameras would be off by {off:.2g}"
        raise DataError(what, path=source, fix=OTHER)
    return Registered(
        camera=np.array([name for name, _ in names]),
        frame=np.array([int(Path(name).stem) for _, name in names]),
        size=np.array([known[image.camera].size for image in images]),
        lens=Camera(values[:, :2], values[:, 2:4], values[:, 4:], lens="fisheye"),
        move=Rigid(rotation, shift),
    )


def read_world(folder: Path) -> tuple[Array, Path]:
    """(4, 4) what takes the world of the bodies, metres, to the reconstruction; and the file that says so.

    ``scale.npy`` goes before the glasses where both are there, as in the authors' code.

    Raises
    ------
    DataError : neither is there, or one is no motion with a scale.
    """
    path = folder / "scale.npy"
    if scaled := raw_files.is_file(path):
        matrix = fields.value(raw_files.load_npy(path), numbers(4, 4), path, "scale")
    else:
        path = folder / "colmap_from_aria_transforms.pkl"
        if not raw_files.is_file(path):
            raise DataError(f"holds neither scale.npy nor {path.name}", path=folder, fix=UNPACK)
        matrix = fields.values(raw_files.load_pkl(path), {ANCHOR: numbers(4, 4)}, path)[ANCHOR]
    matrix = ranges.within(matrix, ranges.METRES)
    finite = np.isfinite(matrix).all()
    if not (finite and np.linalg.det(matrix[:3, :3]) > 0 and np.allclose(matrix[3], [0, 0, 0, 1])):
        raise DataError("holds no motion with a scale (4 x 4, last row 0 0 0 1)", path=path, fix=OTHER)
    return np.linalg.inv(matrix) if scaled else matrix, path


def read_people(
    processed: Path, source: str, names: Mapping[int, str], dropped: dict[str, list[str]], root: Path
) -> People:
    """Everybody in the frames whose files can be used; the others are counted.

    Parameters
    ----------
    processed : folder ``processed_data`` of a sequence.
    source : its folder of fits, smpl or smpl_collision.
    names : number of each frame -> name of its files.
    root : folder of the dataset.

    Raises
    ------
    DataError : most of the files cannot be used.
    """
    fits, fine = read_each(
        [processed / source / name for name in names.values()], _fits, "SMPL fit cannot be read", dropped, root
    )
    kept = list(compress(names, fine))
    points, fine = read_each(
        [processed / "poses3d" / names[n] for n in kept], _points, "3D points cannot be read", dropped, root
    )
    kept, fits = list(compress(kept, fine)), list(compress(fits, fine))
    people = sorted({name for fit in fits for name in fit})
    there = np.array([[name in fit for name in people] for fit in fits], bool).reshape(len(fits), len(people))
    fitted = np.argwhere(there)
    each = [(f, people[p]) for f, p in fitted.tolist()]
    part = {
        name: np.array([fits[f][who][name] for f, who in each], float).reshape(len(each), *field.shape)
        for name, field in FIT.items()
    }
    body = smpl_params(
        gender="neutral",
        betas=part["betas"],
        pose=np.concatenate([part["global_orient"], part["body_pose"]], axis=1),
        transl=part["transl"],
    )
    nothing = np.zeros((POINTS, 4))
    own = np.array([points[f].get(who, nothing) for f, who in each]).reshape(len(each), POINTS, 4)
    held = np.array([_held(fits[f][who]) for f, who in each]).reshape(len(each), JOINTS, 4)
    return People(np.array(kept, int), tuple(people), fitted, np.argwhere(~there), body, held, own)


def _held(fit: Mapping[str, Array]) -> Array:
    """(45, 4) joints of a fit and confidence, zeros where its file holds none."""
    if "joints" not in fit:
        return np.zeros((JOINTS, 4))
    return np.column_stack([ranges.within(fit["joints"].astype(float), ranges.METRES), np.ones(JOINTS)])


def _fits(path: Path) -> dict[str, dict[str, Array]]:
    """Person -> the parameters of its SMPL in the world, by name, and its joints there."""
    return {name: fields.values(fit, FIT | HELD, path, name, finite=False) for name, fit in _by_person(path).items()}


def _points(path: Path) -> dict[str, Array]:
    """Person -> (133, 4) its points in the world, metres, and confidence; zeros behind those that the file has, and
    nobody without the file."""
    if not raw_files.is_file(path):
        return {}
    found = {}
    for name, points in _by_person(path).items():
        own = fields.values({name: points}, {name: numbers("points", 4)}, path, finite=False)[name]
        if not 0 < len(own) <= POINTS:
            raise DataError(f"{name} has {len(own)} points, expected up to {POINTS}", path=path, fix=OTHER)
        found[name] = np.pad(ranges.within(own, ranges.METRES), ((0, POINTS - len(own)), (0, 0)))
    return found


def undistorted(size: Array, lens: Camera, names: Array, path: Path) -> Camera:
    """The pinholes (E,) of pictures of the same size that were undistorted as those of SAM 3D Body.

    Parameters
    ----------
    size : (E, 2) height and width, pixels.
    lens : OpenCV's fisheye of each.
    names : (E,) of the cameras, for errors.
    path : file that has the lenses, for errors.

    Raises
    ------
    DataError : a lens cannot be undistorted so.
    """
    import cv2

    assert lens.distortion is not None
    values = np.column_stack([size, lens.focal, lens.principal_point, lens.distortion])
    distinct, at, row = np.unique(values, axis=0, return_index=True, return_inverse=True)
    made = []
    for name, (height, width, fx, fy, cx, cy, *k) in zip(names[at], distinct.tolist(), strict=True):
        K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
        new = cv2.fisheye.estimateNewCameraMatrixForUndistortRectify(
            K, np.array(k), (int(width), int(height)), np.eye(3), balance=BALANCE
        )
        if not np.isfinite(new).all() or min(new[0, 0], new[1, 1]) < ranges.FOCAL[0]:
            what = f"the lens of {name}, with the coefficients {k}, cannot be undistorted with balance {BALANCE}"
            raise DataError(what, path=path, fix="leave the camera out with --option cameras=...")
        made.append([new[0, 0], new[1, 1], new[0, 2], new[1, 2]])
    focal_and_centre = np.array(made)[row.ravel()]
    return Camera(focal_and_centre[:, :2], focal_and_centre[:, 2:])


def _by_person(path: Path) -> Mapping[str, Any]:
    """What a file holds for each person: a dictionary in a 0-d array."""
    array = raw_files.load_npy(path)
    content = array.item() if array.dtype == object and array.ndim == 0 else array
    people = fields.items(content, path)
    if odd := [name for name in people if not isinstance(name, str) or not name.strip()]:
        raise DataError(f"has a person called {odd[0]!r}", path=path, fix=OTHER)
    return people


def _lens(known: Mapping[int, colmap.ColmapCamera], key: int, path: Path) -> Array:
    """(8,) parameters of a fisheye."""
    if key not in known:
        raise DataError(f"has no camera {key}, which images.txt names", path=path, fix=OTHER)
    camera = known[key]
    if camera.model != MODEL or len(camera.parameters) != PARAMETERS:
        what = f"camera {key} is {camera.model} with {len(camera.parameters)} parameters"
        raise DataError(f"{what}, expected {MODEL} with {PARAMETERS}", path=path, fix=OTHER)
    return camera.parameters
