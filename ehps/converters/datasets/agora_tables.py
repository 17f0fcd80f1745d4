"""AGORA's tables, and the cameras that they and the names of images stand for.

A table has one row an image, with lists over its people. A scan goes from its own frame (y up) to the camera by one
rigid motion made of its yaw and place and of the image's camera:
R = Rx(pitch) Ry(-camera yaw) Ry(yaw - 90) diag(1,-1,-1), t = Rx(pitch) Ry(-camera yaw) (place - camera - ground).
Source: the projection code of the dataset's evaluation tool.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ehps.arrays import Array
from ehps.body import cameras
from ehps.converters.base import Rigid
from ehps.converters.readers import fields, raw_files
from ehps.converters.readers.fields import PATH, Field, numbers, texts
from ehps.errors import DataError
from ehps.genders import BY_WORD

if TYPE_CHECKING:
    import pandas as pd


IMAGE = {"imgPath": PATH, **dict.fromkeys(("camX", "camY", "camZ", "camYaw"), numbers())}
PERSON = {
    **dict.fromkeys(("X", "Y", "Z", "Yaw"), numbers("N")),
    "gender": texts("N", words=BY_WORD),
    "kid": numbers("N"),
    "age": texts("N"),
    "ethnicity": texts("N"),
    "occlusion": numbers("N"),
    "isValid": numbers("N"),
    "gt_path_smplx": Field("path", ("N",)),
}
JOINTS = ("gt_joints_2d", "gt_joints_3d")
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


def read_people(path: Path, dropped: dict[str, list[str]]) -> pd.DataFrame:
    """One row a person of a table: name and camera of the image, number in its lists, and what these say.

    Images of another form are counted in ``dropped``. What is not needed, the vertices above all, is no longer in
    memory afterwards.
    """
    import pandas as pd

    table = raw_files.load_pkl(path, allow=[raw_files.PANDAS])
    raw_files.require(
        getattr(table, "columns", ()),
        " ".join((*IMAGE, *PERSON, *JOINTS)),
        path,
        fix="take the tables of train_SMPLX.zip and validation_SMPLX.zip",
    )
    rows: list[tuple[Any, ...]] = []
    odd: dict[int, tuple[str, str]] = {}
    for number, image in enumerate(table[[*IMAGE, *PERSON, *JOINTS]].to_dict("records")):
        try:
            rows += _people(image, path)
        except DataError as error:
            odd[number] = ("row of the table is of another form", error.what)
    fields.drop_odd(odd, [f"row {number}" for number in range(len(table))], path, dropped)
    columns = ["imgPath", "cam", "cam_yaw", "cam_pitch", "focal_mm", "person", *PERSON, *JOINTS]
    return pd.DataFrame(rows, columns=columns)


def _people(image: Mapping[Any, Any], path: Path) -> list[tuple[Any, ...]]:
    """Rows of the people of one image.

    Raises
    ------
    DataError : something of it is of another form, or lists differ in length.
    """
    shown = fields.values(image, IMAGE, path, finite=False)
    lengths: dict[str, int] = {}
    people = [values.tolist() for values in fields.values(image, PERSON, path, lengths=lengths).values()]
    for name in JOINTS:  # they may lack hidden people
        found = image[name]
        if isinstance(found, np.ndarray) and found.ndim:
            found = list(found)
        if not isinstance(found, list | tuple) or len(found) > lengths["N"]:
            what = f"{name} is {fields.described(found)}, expected joints of {lengths['N']} people"
            raise DataError(what, path=path)
        people.append([*found, *[None] * (lengths["N"] - len(found))])
    facts = {name: value.item() for name, value in shown.items()}
    return [(facts["imgPath"], *camera(facts), k, *person) for k, person in enumerate(zip(*people, strict=True))]


def joints(column: pd.Series[Any], channels: int) -> Array:
    """(N, 127, channels) joints; NaN, which counts as unknown, where the table has none of a person."""
    none = np.full((127, channels), np.nan)
    found = [fields.as_numbers(values) for values in column]
    known = [a is not None and a.ndim == 2 and len(a) >= 127 and a.shape[1] == channels for a in found]
    return np.stack([a[:127] if good and a is not None else none for a, good in zip(found, known, strict=True)])


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
