"""The original release of Human3.6M: ``metadata.xml``, and per sequence and camera joints (CDF) and a video.

``D3_Positions_mono`` has 32 joints in the camera's frame, millimetres, ``D2_Positions`` where they are in its image,
lens distortion included. ``metadata.xml`` has in ``w0`` the cameras: 4 x 11 x 6 numbers of where they stand for each
subject, then 4 x 9 of their lenses (focal length 2, principal point 2, radial distortion 3, tangential distortion 2).
Source: Ionescu et al., TPAMI 2014, its code, and the readers of mmpose and posepile.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from ehps.arrays import Array
from ehps.converters.readers import raw_files
from ehps.converters.readers.cdf import load_cdf
from ehps.errors import DataError

CAMERAS = {"54138969": 1, "55011271": 2, "58860488": 3, "60457274": 4}
HEIGHTS = {1: 1002, 2: 1000, 3: 1000, 4: 1002}
WIDTH = 1000
METADATA = ("metadata.xml", "*/metadata.xml", "*/*/metadata.xml")
FOLDER, POINTS, JOINTS = "MyPoseFeatures", "D2_Positions", "D3_Positions_mono"
TAKEN = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
"""The 17 joints of the parsed release among the 32."""
BROKEN = {("S11", "Directions.54138969")}  # videos that cannot be decoded, for which the parsed release has no images
NAME = re.compile(r"(?P<action>[^_.][^.]*)\.(?P<camera>\d{8})\.cdf")
PLACES, LENSES = 4 * 11 * 6, 4 * 9


@dataclass(frozen=True)
class Lens:
    """One camera: focal length (2,) and principal point (2,), pixels; ``distortion`` k1 k2 p1 p2 k3 of its formula."""

    focal: Array
    principal_point: Array
    distortion: Array


def sequences(subject: Path) -> list[tuple[Path, str, str]]:
    """File of the joints, action (with its number: ``Directions 1``) and camera of each sequence of a subject."""
    folder = subject / FOLDER / JOINTS
    found = [(folder / name, NAME.fullmatch(name)) for name in raw_files.listing(folder)]
    return [(path, m["action"], m["camera"]) for path, m in found if m and m["camera"] in CAMERAS]


def read_joints(path: Path) -> tuple[Array, Array]:
    """(F, 17, 2) pixels and (F, 17, 3) metres in the camera's frame of a file of :func:`sequences`.

    Raises
    ------
    DataError : one of the two files is missing or broken, or they differ in length, or cdflib is not installed.
    """
    joints = load_cdf(path, "Pose", 96).reshape(-1, 32, 3)
    beside = path.parents[1] / POINTS / path.name
    points = load_cdf(beside, "Pose", 64).reshape(-1, 32, 2)
    if len(points) != len(joints):
        raise DataError(f"has {len(points)} frames, {path} has {len(joints)}", path=beside, fix="unpack both again")
    return points[:, TAKEN], joints[:, TAKEN] / 1000


def read_lenses(root: Path) -> dict[str, Lens]:
    """Camera -> its lens.

    Raises
    ------
    DataError : there is no ``metadata.xml``, or it is broken.
    """
    path = raw_files.first_existing(root, METADATA)
    try:
        text = ElementTree.fromstring("\n".join(raw_files.read_lines(path))).findtext("w0") or ""
        numbers = np.array([float(word) for word in re.split(r"[\s\[\],;]+", text) if word])
    except (ElementTree.ParseError, ValueError):
        numbers = np.zeros(0)
    if len(numbers) != PLACES + LENSES or not np.isfinite(numbers).all():
        what = f"w0 has {len(numbers)} numbers where {PLACES + LENSES} of cameras are expected"
        raise DataError(what, path=path, fix="take the file of the release's code (Release-v1.2 or code-v1.2)")
    return {
        camera: Lens(lens[:2], lens[2:4], lens[[4, 5, 7, 8, 6]])
        for camera, lens in zip(CAMERAS, numbers[PLACES:].reshape(4, 9), strict=True)
    }


def image_paths(subject: str, action: str, camera: str, frames: Array) -> list[str]:
    """Where frames (N,), counted from 0, lie when they are cut out of a video: where mmhuman3d has them, from 1 on."""
    name = f"{subject}_{action.replace(' ', '_')}.{camera}"
    return [f"{subject}/images/{name}/{name}_{number + 1:06d}.jpg" for number in frames.tolist()]
