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
from ehps.exchange import hmr_rows
from ehps.exchange.forms import Sources, Stated, Written
from ehps.exchange.hmr_rows import PIXELS, POINTS, SMPLX_POINTS, settled
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
SCALE_OF_PIXELS = 1.0
FIX = "check that the file is whole, and from the program that it is said to be from"
CLOSE_UP = "`ehps convert bedlam` turns them to the images as they are stored"
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
    read: Callable[[dict[str, Array], Stated, Path], _Rows]
    write: Callable[[HumanData, list[str]], dict[str, Array]]


@dataclass
class _Rows:
    columns: dict[str, Any]
    points: dict[str, tuple[str, ...]]
    facts: dict[str, Any]
    upright: Array | None = None  # rows that may be of an image that is stored lying on its side


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
        rows.columns["meta/height"], rows.columns["meta/width"] = sizes.T
    if rows.upright is not None and rows.upright.any():
        _check_upright(rows, images, path)
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


# -- reading ----------------------------------------------------------------------------------------------


def _read_posed(data: dict[str, Array], stated: Stated, path: Path, name: str, model_type: str) -> _Rows:
    """bedlam, bedlam2 and camerahmr."""
    shift = data["cam_ext"][:, :3, 3] if "cam_ext" in data else 0
    matrix, betas = data["cam_int"], data["shape"]
    stated_gender = "neutral" if (name, betas.shape[1]) not in (("bedlam", 10),) else None
    gender = settled("gender", stated, stated_gender, path)
    columns = {
        "image_path": data["imgname"].tolist(),
        "bbox_xywh": hmr_rows.boxes(data["center"], data["scale"] * PIXELS),
        **hmr_rows.body_columns(model_type, data["pose_cam"], betas, data["trans_cam"] + shift),
        "meta/focal_length": matrix[:, [0, 1], [0, 1]].astype(np.float32),
        "meta/principal_point": matrix[:, :2, 2].astype(np.float32),
    }
    if "gender" in data:
        columns["meta/subject_gender"] = [BY_WORD[str(word).strip().lower()] for word in data["gender"]]
    points: dict[str, tuple[str, ...]] = {}
    gtkps = data["gtkps"]
    if model_type == "smplx":
        found = hmr_rows.point_columns("keypoints2d_smplx", gtkps[:, -len(SMPLX_POINTS) :], SMPLX_POINTS)
        columns, points = columns | found[0], points | found[1]
    if gtkps.shape[1] != len(SMPLX_POINTS):
        found = hmr_rows.point_columns("keypoints2d_original", gtkps[:, : len(POINTS)], POINTS)
        columns, points = columns | found[0], points | found[1]
    facts: dict[str, Any] = {"gender": gender, "focal": "image"}
    if model_type == "smplx":
        facts["flat_hand_mean"] = settled("flat_hand_mean", stated, True, path)
    if name == "bedlam2":
        facts["body_model_version"] = "locked_head"
    return _Rows(columns, points, facts, matrix[:, 0, 2] < matrix[:, 1, 2])


def _read_hmr2(data: dict[str, Array], stated: Stated, path: Path, side: float) -> _Rows:
    """hmr2 and tokenhmr: bodies without translation and camera."""
    columns: dict[str, Any] = {
        "image_path": data["imgname"].tolist(),
        "bbox_xywh": hmr_rows.boxes(data["center"], data["scale"] * side),
    }
    points: dict[str, tuple[str, ...]] = {}
    for column, one, split in (
        ("keypoints2d_original", "keypoints_2d", ("body_keypoints_2d", "extra_keypoints_2d")),
        ("keypoints3d_original", "keypoints_3d", ("body_keypoints_3d", "extra_keypoints_3d")),
    ):
        if one not in data and not all(name in data for name in split):
            continue
        values = data[one] if one in data else np.concatenate([data[name] for name in split], axis=1)
        found = hmr_rows.point_columns(column, values, POINTS)
        columns, points = columns | found[0], points | found[1]
    has = (data["has_body_pose"] > 0) & (data["has_betas"] > 0)
    if not has.any():
        return _Rows(columns, points, {})
    columns |= hmr_rows.body_columns("smpl", data["body_pose"], data["betas"], None)
    facts: dict[str, Any] = {"gender": settled("gender", stated, "per-instance" if "gender" in data else None, path)}
    if "gender" in data:
        columns["meta/gender"] = [BY_WORD[str(word).strip().lower()] for word in data["gender"]]
    if not has.all():
        raise DataError(
            f"{int((~has).sum())} of {len(has)} rows have no body (has_body_pose or has_betas is 0)",
            path=path,
            fix="take them out of the table, or set has_body_pose to 0 for all rows to read its points alone",
        )
    return _Rows(columns, points, facts)


def _read_prompthmr(data: dict[str, Array], stated: Stated, path: Path) -> _Rows:
    box = np.ones((len(data["boxes"]), 5))
    box[:, :4] = data["boxes"][:, :4]
    box[:, 2:4] -= box[:, :2]
    rotations = np.concatenate([data["smpl_grots_cam"].reshape(-1, 3), data["smpl_body_poses"].reshape(-1, 69)], axis=1)
    matrix = data["cam_int"]
    columns = {
        "image_path": data["imgnames"].tolist(),
        "bbox_xywh": box.astype(np.float32),
        **hmr_rows.body_columns("smpl", rotations, data["smpl_betas"], data["smpl_trans_cam"]),
        "meta/gender": [BY_WORD[str(word).strip().lower()] for word in data["genders"]],
        "meta/focal_length": matrix[:, [0, 1], [0, 1]].astype(np.float32),
        "meta/principal_point": matrix[:, :2, 2].astype(np.float32),
        "meta/RT": data["cam_ext"].astype(np.float32),
        "meta/annot_valid": data["valid"].astype(bool),
    }
    return _Rows(columns, {}, {"gender": settled("gender", stated, "per-instance", path), "focal": "image"})


def _check_upright(rows: _Rows, images: Path | None, path: Path) -> None:
    """Raise unless rows with a portrait camera are known to be of images that are stored upright."""
    upright = np.asarray(rows.upright)
    count = f"{int(upright.sum())} rows have the camera of an upright image"
    if images is None:
        what = f"{count}; BEDLAM stores such images lying on their side, others do not"
        raise DataError(what, path=path, fix="give the folder of the images (--images), which tells")
    lying = upright & (rows.columns["meta/height"] < rows.columns["meta/width"])
    if lying.any():
        raise DataError(f"{count}, and {int(lying.sum())} of their images lie on their side", path=path, fix=CLOSE_UP)


# -- writing ----------------------------------------------------------------------------------------------


def _write_posed(hd: HumanData, left_out: list[str], program: str, name: str, model_type: str) -> dict[str, Array]:
    """bedlam, bedlam2 and camerahmr."""
    from ehps.body.topology import POSE_PARTS

    hmr_rows.need_body(hd, model_type, program)
    n, width = len(hd), {"bedlam": (10, 11), "bedlam2": (16,), "camerahmr": (10,)}[name]
    betas = np.asarray(hd[f"{model_type}/betas"])
    if betas.shape[1] not in width:
        want = " or ".join(map(str, width))
        fix = f"`ehps humandata convert FILE --num-betas {width[-1]} --out NEW`"
        raise DataError(f"has {betas.shape[1]} betas, and {program} reads {want}", path=hd.source, fix=fix)
    locked = hd.passport.body_model_version == "locked_head"
    if locked != (name == "bedlam2"):
        kind = "the locked-head release of SMPL-X" if name == "bedlam2" else "SMPL-X 1.1"
        version = hd.passport.body_model_version
        raise DataError(f"its bodies are of version {version}, and {program} reads {kind}", path=hd.source)
    center, side = hmr_rows.centres(hd, program)
    pose = hmr_rows.pose(hd, model_type, tuple(POSE_PARTS[model_type]))
    transl = np.asarray(_needed(hd, f"{model_type}/transl", program), np.float32)
    names = {"bedlam": SMPLX_POINTS, "bedlam2": (*POINTS, *SMPLX_POINTS), "camerahmr": POINTS}[name]
    points = hmr_rows.points(hd, "keypoints2d", names, left_out)
    if points is None:
        raise DataError(f"has none of the 2D points that {program} reads", path=hd.source)
    arrays = {
        "imgname": hmr_rows.text_array(hd["image_path"]),
        "center": center,
        "scale": side.max(axis=1) / PIXELS,
        "pose_cam": pose,
        "shape": betas,
        "trans_cam": transl,
        "cam_int": _matrices(hd, program),
        "gtkps": points,
    }
    held = {"image_path", "bbox_xywh", "meta/focal_length", "meta/principal_point", f"{model_type}/betas"}
    held |= {f"{model_type}/{part}" for part in ("transl", *POSE_PARTS[model_type])}
    if name != "camerahmr":
        arrays |= {
            "cam_ext": np.tile(np.eye(4, dtype=np.float32), (n, 1, 1)),  # the world is that of the camera
            "pose_world": pose,
            "trans_world": transl,
        }
        if "meta/subject_gender" in hd:
            words = hmr_rows.text_array(hd["meta/subject_gender"])
            arrays["gender"] = words.astype("<U1")
            held.add("meta/subject_gender")
    left_out.append("bbox_xywh: the sides of a box become the longer one")
    left_out.extend(_empty(hd, f"{model_type}/expression", held))
    left_out.extend(hmr_rows.others(hd, held | {"meta/gender"}))
    return arrays


def _write_hmr2(hd: HumanData, left_out: list[str], program: str, split: bool) -> dict[str, Array]:
    """hmr2 with ``split``, else tokenhmr."""
    hmr_rows.need_body(hd, "smpl", program, gender=False)
    center, side = hmr_rows.centres(hd, program)
    n = len(hd)
    arrays = {
        "imgname": hmr_rows.text_array(hd["image_path"]),
        "center": center,
        "scale": side if split else side / PIXELS,
        "body_pose": hmr_rows.pose(hd, "smpl", ("global_orient", "body_pose")),
        "betas": np.asarray(hd["smpl/betas"]),
        "has_body_pose": np.ones(n, np.float32),
        "has_betas": np.ones(n, np.float32),
    }
    for prefix, channels in (("2d", 3), ("3d", 4)):
        points = hmr_rows.points(hd, f"keypoints{prefix}", POINTS, left_out)
        if points is None:
            points = np.zeros((n, len(POINTS), channels), np.float32)
        parts = {f"body_keypoints_{prefix}": points[:, :25], f"extra_keypoints_{prefix}": points[:, 25:]}
        arrays |= {f"keypoints_{prefix}": points} if not split and prefix == "2d" else parts
    genders = hmr_rows.genders(hd)
    if genders == {"neutral"}:
        left_out.append("gender: the program takes whoever is not male for female, so neutral bodies have none")
    elif "neutral" in genders:
        fix = "`ehps humandata convert FILE --gender neutral --body-models DIR --out NEW` makes them all neutral"
        raise DataError(f"has neutral and gendered bodies, which {program} cannot tell apart", path=hd.source, fix=fix)
    else:
        arrays["gender"] = _gender_words(hd).astype("<U1")
    held = {"image_path", "bbox_xywh", "meta/gender", "smpl/betas", "smpl/global_orient", "smpl/body_pose"}
    left_out.extend(hmr_rows.others(hd, held))
    return arrays


def _write_prompthmr(hd: HumanData, left_out: list[str], program: str) -> dict[str, Array]:
    hmr_rows.need_body(hd, "smpl", program, gender=False)
    box = np.asarray(_needed(hd, "bbox_xywh", program), np.float64)[:, :4].copy()
    box[:, 2:] += box[:, :2]
    n = len(hd)
    world = np.asarray(hd["meta/RT"]) if "meta/RT" in hd else np.tile(np.eye(4, dtype=np.float32), (n, 1, 1))
    held = {"image_path", "bbox_xywh", "meta/gender", "meta/focal_length", "meta/principal_point", "meta/RT"}
    held |= {f"smpl/{part}" for part in ("betas", "transl", "global_orient", "body_pose")} | {"meta/annot_valid"}
    left_out.extend(hmr_rows.others(hd, held))
    if any(name.startswith("keypoints") for name in hd.columns):
        left_out.append("keypoints: the form has none")
    return {
        "imgnames": hmr_rows.text_array(hd["image_path"]),
        "genders": _gender_words(hd),
        "valid": np.asarray(hd["meta/annot_valid"], bool) if "meta/annot_valid" in hd else np.ones(n, bool),
        "boxes": box,
        "cam_int": _matrices(hd, program),
        "cam_ext": world,
        "smpl_betas": np.asarray(hd["smpl/betas"]),
        "smpl_grots_cam": hmr_rows.pose(hd, "smpl", ("global_orient",)),
        "smpl_body_poses": hmr_rows.pose(hd, "smpl", ("body_pose",)),
        "smpl_trans_cam": np.asarray(_needed(hd, "smpl/transl", program)),
    }


def _needed(hd: HumanData, name: str, program: str) -> Any:
    if name not in hd:
        raise DataError(f"has no {name}, which {program} needs", path=hd.source)
    return hd[name]


def _matrices(hd: HumanData, program: str) -> Array:
    out = np.tile(np.eye(3, dtype=np.float32), (len(hd), 1, 1))
    out[:, [0, 1], [0, 1]] = _needed(hd, "meta/focal_length", program)
    out[:, :2, 2] = _needed(hd, "meta/principal_point", program)
    return out


def _gender_words(hd: HumanData) -> Array:
    if "meta/gender" in hd:
        return hmr_rows.text_array(hd["meta/gender"])
    return np.full(len(hd), str(hd.passport.gender))


def _empty(hd: HumanData, name: str, held: set[str]) -> list[str]:
    """Add a column that is zero to those held; a sentence about one that is not."""
    if name not in hd:
        return []
    held.add(name)
    return [f"{name}: the form has none"] if np.any(hd[name]) else []


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
        partial(_read_posed, name=name, model_type=model_type),
        partial(_write_posed, program=program, name=name, model_type=model_type),
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
        partial(_read_hmr2, side=SCALE_OF_PIXELS),
        partial(_write_hmr2, program="4D-Humans", split=True),
    ),
    Dialect(
        "tokenhmr",
        "TokenHMR",
        ("imgname", "center", "scale", "body_pose", "has_body_pose", "betas", "keypoints_2d"),
        (),
        _HMR2 | _POINTS_3D | {"keypoints_2d": numbers("N", 44, 3)},
        "smpl",
        partial(_read_hmr2, side=PIXELS),
        partial(_write_hmr2, program="TokenHMR", split=False),
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
        _read_prompthmr,
        partial(_write_prompthmr, program="PromptHMR"),
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
