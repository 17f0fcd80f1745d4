"""AGORA's tables, and the cameras that they and the names of images stand for.

A table has one row an image, with lists over its people. A scan goes from its own frame (y up) to the camera by one
rigid motion made of its yaw and place and of the image's camera:
R = Rx(pitch) Ry(-camera yaw) Ry(yaw - 90) diag(1,-1,-1), t = Rx(pitch) Ry(-camera yaw) (place - camera - ground).
Source: the projection code of the dataset's evaluation tool.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ehps.arrays import Array
from ehps.body import cameras
from ehps.converters.base import Rigid
from ehps.converters.readers import raw_files

if TYPE_CHECKING:
    import pandas as pd


IMAGE = ("imgPath", "camX", "camY", "camZ", "camYaw")
PERSON = (
    "X",
    "Y",
    "Z",
    "Yaw",
    "gender",
    "kid",
    "age",
    "ethnicity",
    "occlusion",
    "isValid",
    "gt_path_smplx",
    "gt_joints_2d",
    "gt_joints_3d",
)
# marker in the image's name -> camera place (cm), yaw, pitch (degrees), focal length (mm); first match wins
CAMERAS = {
    "hdri": ((0, 0, 170), 0, 0, 50),
    "cam00": ((400, -275, 265), 135, 30, 18),
    "cam01": ((400, 225, 265), -135, 30, 18),
    "cam02": ((-490, 170, 265), -45, 30, 18),
    "cam03": ((-490, -275, 265), 45, 30, 18),
    "ag2": ((0, 0, 170), 0, 15, 28),
}
GROUND = np.array([0, -1.7, 0])
FLIP = np.diag([1.0, -1.0, -1.0])


def read_people(path: Path) -> pd.DataFrame:
    """One row a person of a table: name and camera of the image, number in its lists, and what these say.

    What is not needed, the vertices above all, is no longer in memory afterwards.
    """
    import pandas as pd

    table = raw_files.load_pkl(path, allow=[raw_files.PANDAS])
    raw_files.require(
        getattr(table, "columns", ()),
        " ".join((*IMAGE, *PERSON)),
        path,
        fix="take the tables of train_SMPLX.zip and validation_SMPLX.zip",
    )
    images = [(image["imgPath"], *camera(image)) for image in table[list(IMAGE)].to_dict("records")]
    lists = zip(*(table[name] for name in PERSON), strict=True)
    rows = [
        (*image, k, *person)
        for image, people in zip(images, lists, strict=True)
        for k, person in enumerate(zip_longest(*people))  # lists of joints may lack hidden people
    ]
    return pd.DataFrame(rows, columns=["imgPath", "cam", "cam_yaw", "cam_pitch", "focal_mm", "person", *PERSON])


def joints(column: pd.Series[Any], channels: int) -> Array:
    """(N, 127, channels) joints; NaN, which counts as unknown, where the table has none of a person."""
    none = np.full((127, channels), np.nan)
    return np.stack([values[:127] if np.size(values) >= none.size else none for values in column])


def camera(image: Mapping[Any, Any]) -> tuple[Any, float, float, float]:
    """Place (cm), yaw, pitch (degrees) and focal length (mm) of an image's camera."""
    for marker, values in CAMERAS.items():
        if marker in image["imgPath"]:
            return values
    return (image["camX"], image["camY"], image["camZ"]), image["camYaw"], 0, 28


def to_cameras(people: pd.DataFrame) -> Rigid:
    """From the frames of the scans to the cameras of the images."""
    yaw, cam_yaw, cam_pitch = people[["Yaw", "cam_yaw", "cam_pitch"]].to_numpy(float).T
    place = cameras.unreal_to_opencv(people[["X", "Y", "Z"]].to_numpy(float))
    cam = cameras.unreal_to_opencv(people["cam"].to_list())
    ground = np.where(people["imgPath"].str.contains("|".join(CAMERAS)).to_numpy(bool)[:, None], 0, GROUND)
    turn = cameras.rotate_x(cam_pitch) @ cameras.rotate_y(-cam_yaw)
    rotation = turn @ cameras.rotate_y(yaw - 90) @ FLIP
    return Rigid(rotation, np.einsum("nij,nj->ni", turn, place - cam - ground))
