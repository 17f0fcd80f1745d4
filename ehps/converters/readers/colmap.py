"""Text files of COLMAP reconstructions: cameras, and where pictures were taken.

Facts: COLMAP's documentation of its output format. Lines that begin with # are comments. ``cameras.txt`` has a camera a
line; ``images.txt`` two lines a picture, of which the second holds its points and is empty where it has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np

from ehps.arrays import Array
from ehps.converters import ranges
from ehps.converters.readers import AGAIN, OTHER, UNPACK, fields, opened
from ehps.errors import DataError
from ehps.foreign_files import format_of, unreadable

UNIT = 1e-3  # how far the length of a quaternion may be from 1


@dataclass(frozen=True)
class ColmapCamera:
    """A camera of ``cameras.txt``.

    Attributes
    ----------
    model : as OPENCV_FISHEYE.
    size : height and width, pixels.
    parameters : (K,) in the order of the model.
    """

    model: str
    size: tuple[int, int]
    parameters: Array


@dataclass(frozen=True)
class ColmapImage:
    """A registered picture.

    Attributes
    ----------
    name : path of its file.
    camera : id in ``cameras.txt``.
    rotation : (3, 3) takes the reconstruction's frame to the camera.
    translation : (3,) likewise, in the reconstruction's own unit of length.
    """

    name: str
    camera: int
    rotation: Array
    translation: Array


def read_cameras(path: Path) -> dict[int, ColmapCamera]:
    """Id -> camera of a ``cameras.txt``.

    Raises
    ------
    DataError : the file is missing, or a line is of another form.
    """
    found = {}
    for line in _lines(path):
        if words := line.split():
            try:
                width, height = int(words[2]), int(words[3])
                parameters = np.array(words[4:], float)
                key = int(words[0])
            except (ValueError, IndexError):
                _odd(path, line, "id, model, width, height and parameters of a camera")
            if key in found or not 0 < min(width, height) <= max(width, height) <= ranges.PIXELS:
                _odd(path, line, "an image size, and an id that no other camera has")
            if not np.isfinite(parameters).all():
                _odd(path, line, "finite parameters")
            found[key] = ColmapCamera(words[1], (height, width), parameters)
    return found


def read_images(path: Path) -> list[ColmapImage]:
    """Pictures of an ``images.txt``, in its order; their points, which can be a hundred times as much, are passed over.

    Raises
    ------
    DataError : the file is missing, or a line is of another form, as where empty lines were taken out.
    """
    found = []
    lines = _lines(path)
    for line in lines:
        if not line.strip():
            if next((rest for rest in lines if rest.strip()), None) is not None:
                _odd(path, line, "a picture before an empty line")
            break
        found.append(_image(line, path))
        points = next(lines, "")
        if points.strip() and not points.split()[-1].lstrip("-").isdecimal():
            _odd(path, points, "the points of a picture")
    return found


def _image(line: str, path: Path) -> ColmapImage:
    from scipy.spatial.transform import Rotation

    words = line.split(maxsplit=9)
    try:
        pose = np.array(words[1:8], float)
        camera, name = int(words[8]), words[9].strip()
        int(words[0])
    except (ValueError, IndexError):
        _odd(path, line, "id, quaternion, translation, camera and name of a picture")
    if not np.isfinite(pose).all() or abs(np.linalg.norm(pose[:4]) - 1) > UNIT:
        _odd(path, line, "a quaternion of length 1 and a translation")
    w, x, y, z = pose[:4]
    return ColmapImage(name, camera, Rotation.from_quat([x, y, z, w]).as_matrix(), pose[4:])


def _lines(path: Path) -> Iterator[str]:
    """Lines that are no comments, empty ones included.

    Raises
    ------
    DataError : the file is missing or no text.
    """
    opened.note(path)
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from (line for line in file if not line.startswith("#"))
    except UnicodeDecodeError:
        if format_of(path):
            raise unreadable(path, "text", AGAIN, OTHER) from None
        raise DataError("is not text", path=path, fix=AGAIN) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path, fix=UNPACK) from None


def _odd(path: Path, line: str, expected: str) -> NoReturn:
    raise DataError(f"has the line {line.strip()[: fields.SHOWN]!r}, expected {expected}", path=path, fix=OTHER)
