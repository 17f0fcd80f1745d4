"""One table in an ``.npz``, a row a person, as the trainers of BEDLAM and of what followed it read them.

========== ===================================== ===========================================================
dialect    told by                               bodies
========== ===================================== ===========================================================
bedlam     pose_cam (N, 165), gtkps (N, 127, 3)  SMPL-X; neutral where shape has 11, else stated
bedlam2    pose_cam (N, 165), gtkps (N, 171, 3)  SMPL-X of the locked-head release, neutral, 16 betas
camerahmr  pose_cam (N, 72), gtkps (N, 44, 3)    SMPL, neutral
hmr2       body_pose (N, 72), body_keypoints_2d  SMPL, no translation; scale is the side in pixels
tokenhmr   body_pose (N, 72), keypoints_2d       SMPL, no translation
prompthmr  smpl_grots_cam, smpl_body_poses       SMPL with translation; boxes are corners
========== ===================================== ===========================================================

``scale`` is the side of the box over 200 in all but hmr2. Poses are in the camera frame, hands absolute. The third
column of gtkps is a homogeneous coordinate in BEDLAM's own files, so 1. Facts: the data loaders of these programs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.atomic import replacing
from ehps.converters.readers import fields
from ehps.converters.readers.fields import Field, numbers, texts
from ehps.converters.readers.images import ImageIndex
from ehps.errors import DataError
from ehps.exchange import flat_npz_reading as reading
from ehps.exchange import flat_npz_writing as writing
from ehps.exchange import hmr_rows
from ehps.exchange.forms import Sources, Stated, Written
from ehps.exchange.hmr_rows import PIXELS, settled
from ehps.genders import BY_WORD
from ehps.humandata.core import HumanData
from ehps.humandata.pickles.npy_files import Npz

NAMED = Field("path", ("N",))
BOXED = {"imgname": NAMED, "center": numbers("N", 2)}
POSED = {"pose_cam": numbers("N", "rotations"), "shape": numbers("N", "betas"), "trans_cam": numbers("N", 3)}
CAMERA = {"cam_int": numbers("N", 3, 3), "cam_ext": numbers("N", 4, 4, optional=True)}
WITHOUT_TRANSL = {"body_pose": numbers("N", 72), "betas": numbers("N", "betas")}
VALID = {"has_body_pose": numbers("N"), "has_betas": numbers("N")}
GENDER = {"gender": texts("N", words=BY_WORD, optional=True)}
PER_IMAGE = "has a member an image, as PromptHMR's files for 3DPW and Hi4D; only tables with a row a person are read"


@dataclass(frozen=True)
class Dialect:
    """One program's table.

    Attributes
    ----------
    name : of the form.
    program : that reads it, as it calls itself.
    told_by : keys that it has, and
    not_by : keys that it does not have.
    fields : what is read.
    model_type : of the bodies.
    read : columns, keypoint names and facts of the passport.
    write : arrays by key; sentences about what is left out are added to the list.
    """

    name: str
    program: str
    told_by: tuple[str, ...]
    not_by: tuple[str, ...]
    fields: Mapping[str, Field]
    model_type: str
    read: Callable[[dict[str, Array], Stated, Path], reading.Rows]
    write: Callable[[HumanData, list[str]], dict[str, Array]]


def read(path: Path, stated: Stated, images: Path | None, name: str | None = None) -> HumanData:
    """The rows of a table.

    Parameters
    ----------
    name : the dialect that its keys must be of; whichever they are where it is None.
    stated : gender (hmr2 and tokenhmr without one, bedlam with 10 betas) where the dialect leaves it open.
    images : folder of the images, for their sizes.

    Raises
    ------
    UsageError : something must be stated, or contradicts the dialect.
    DataError : the file is damaged or of no dialect, or its labels are for images turned by 90 degrees.
    """
    with Npz(path) as members:
        dialect = dialect_of(members, path)
        if name not in (None, dialect.name):
            raise DataError(f"has the keys of {dialect.name}, not of {name}", path=path, fix=f"--as {dialect.name}")
        arrays = {name: members[name] for name in dialect.fields if name in members}
    if "scale" in arrays:
        arrays["scale"] = arrays["scale"].reshape(len(arrays["scale"]), -1)
    data = fields.values(arrays, dialect.fields, path)
    settled("frame", stated, "opencv-camera", path)
    rows = dialect.read(data, stated, path)
    if images is not None:
        index = ImageIndex(images)
        sizes = np.array([index.size(name) for name in rows.columns["image_path"]], np.int32).reshape(-1, 2)
        if len(sizes) and not sizes.any():
            what = f"none of its images can be read below {images} ({rows.columns['image_path'][0]} for one)"
            raise DataError(what, path=path, fix="give the folder that their paths are relative to with --images")
        rows.columns["meta/height"], rows.columns["meta/width"] = sizes.T
    if rows.upright is not None and rows.upright.any():
        reading.check_upright(rows, images, path)
    betas = rows.columns.get(f"{dialect.model_type}/betas")
    model_type, count = (None, None) if betas is None else (dialect.model_type, betas.shape[1])
    passport = hmr_rows.passport(dialect.name, model_type, count, **rows.facts)
    return HumanData(rows.columns, keypoint_names=rows.points, passport=passport)


def write(dialect: Dialect, hd: HumanData, out: Path, sources: Sources) -> Written:
    """The rows as one table.

    Raises
    ------
    UsageError : bodies of another model.
    DataError : boxes, camera or points are missing.
    PassportError : bodies of another frame or gender, or hands relative to the mean hand.
    """
    left_out: list[str] = []
    arrays = dialect.write(hd, left_out)
    out = out if out.suffix == ".npz" else out / f"{dialect.name}.npz"
    with replacing(out, sum(array.nbytes for array in arrays.values())) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # of numpy: its flag allow_pickle may not be named so
    return Written([out], left_out)


def dialect_of(arrays: Mapping[str, Any], path: Path) -> Dialect:
    """Which program's table it is.

    Raises
    ------
    DataError : none's.
    """
    if "data_len" in arrays and "0" in arrays:
        raise DataError(PER_IMAGE, path=path, fix="give its EMDB file, or convert the dataset itself")
    for dialect in DIALECTS:
        if set(dialect.told_by) <= set(arrays) and not set(dialect.not_by) & set(arrays):
            wide = {"bedlam": (165, 127), "bedlam2": (165, 171), "camerahmr": (72, 44)}.get(dialect.name)
            if wide is None or _widths(arrays) == wide:
                return dialect
    has = ", ".join(map(str, arrays)) or "nothing"
    known = "; ".join(f"{dialect.name}: {', '.join(dialect.told_by)}" for dialect in DIALECTS)
    raise DataError(f"is of no known dialect (it has {has})", path=path, fix=f"those known have {known}")


def _widths(arrays: Mapping[str, Any]) -> tuple[int, int]:
    rotations, points = np.shape(arrays["pose_cam"]), np.shape(arrays["gtkps"])
    return (rotations[1] if len(rotations) == 2 else 0, points[1] if len(points) == 3 else 0)


def recognise(path: Path, name: str | None = None) -> bool:
    """Whether it is a table of this dialect, or of any where no name is given."""
    if path.suffix != ".npz" or not path.is_file():
        return False
    try:
        with Npz(path) as arrays:
            return name in (None, dialect_of(arrays, path).name)
    except DataError:
        return False


# -- dialects ---------------------------------------------------------------------------------------------

_TABLE = BOXED | {"scale": numbers("N", "sides")} | POSED | CAMERA | GENDER | {"gtkps": numbers("N", "points", 3)}
_HMR2 = BOXED | {"scale": numbers("N", "sides")} | WITHOUT_TRANSL | VALID | GENDER


def _posed(name: str, program: str, model_type: str) -> Dialect:
    return Dialect(
        name,
        program,
        ("imgname", "pose_cam", "shape", "trans_cam", "cam_int", "gtkps"),
        (),
        _TABLE,
        model_type,
        partial(reading.read_posed, name=name, model_type=model_type),
        partial(writing.write_posed, program=program, name=name, model_type=model_type),
    )


_POINTS_3D = {
    "body_keypoints_3d": numbers("N", 25, 4, optional=True),
    "extra_keypoints_3d": numbers("N", 19, 4, optional=True),
}
DIALECTS = (
    _posed("bedlam", "BEDLAM", "smplx"),
    _posed("bedlam2", "BEDLAM2", "smplx"),
    _posed("camerahmr", "CameraHMR", "smpl"),
    Dialect(
        "hmr2",
        "4D-Humans",
        ("imgname", "center", "scale", "body_pose", "has_body_pose", "betas"),
        ("keypoints_2d",),
        _HMR2
        | _POINTS_3D
        | {
            "body_keypoints_2d": numbers("N", 25, 3, optional=True),
            "extra_keypoints_2d": numbers("N", 19, 3, optional=True),
        },
        "smpl",
        partial(reading.read_hmr2, side=1.0),
        partial(writing.write_hmr2, program="4D-Humans", split=True),
    ),
    Dialect(
        "tokenhmr",
        "TokenHMR",
        ("imgname", "center", "scale", "body_pose", "has_body_pose", "betas", "keypoints_2d"),
        (),
        _HMR2 | _POINTS_3D | {"keypoints_2d": numbers("N", 44, 3)},
        "smpl",
        partial(reading.read_hmr2, side=PIXELS),
        partial(writing.write_hmr2, program="TokenHMR", split=False),
    ),
    Dialect(
        "prompthmr",
        "PromptHMR",
        ("imgnames", "smpl_grots_cam", "smpl_body_poses", "smpl_trans_cam", "boxes"),
        (),
        {
            "imgnames": NAMED,
            "genders": texts("N", words=BY_WORD),
            "valid": numbers("N"),
            "boxes": numbers("N", 4),
            "cam_int": numbers("N", 3, 3),
            "cam_ext": numbers("N", 4, 4),
            "smpl_betas": numbers("N", "betas"),
            "smpl_grots_cam": numbers("N", 3),
            "smpl_body_poses": numbers("N", 69),
            "smpl_trans_cam": numbers("N", 3),
        },
        "smpl",
        reading.read_prompthmr,
        partial(writing.write_prompthmr, program="PromptHMR"),
    ),
)
BY_NAME = {dialect.name: dialect for dialect in DIALECTS}

write_bedlam = partial(write, BY_NAME["bedlam"])
write_bedlam2 = partial(write, BY_NAME["bedlam2"])
write_camerahmr = partial(write, BY_NAME["camerahmr"])
write_hmr2 = partial(write, BY_NAME["hmr2"])
write_tokenhmr = partial(write, BY_NAME["tokenhmr"])
write_prompthmr = partial(write, BY_NAME["prompthmr"])

read_bedlam = partial(read, name="bedlam")
read_bedlam2 = partial(read, name="bedlam2")
read_camerahmr = partial(read, name="camerahmr")
read_hmr2 = partial(read, name="hmr2")
read_tokenhmr = partial(read, name="tokenhmr")
read_prompthmr = partial(read, name="prompthmr")

is_bedlam = partial(recognise, name="bedlam")
is_bedlam2 = partial(recognise, name="bedlam2")
is_camerahmr = partial(recognise, name="camerahmr")
is_hmr2 = partial(recognise, name="hmr2")
is_tokenhmr = partial(recognise, name="tokenhmr")
is_prompthmr = partial(recognise, name="prompthmr")
