"""Columns of the tables of :mod:`ehps.exchange.flat_npz`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.errors import DataError
from ehps.exchange import hmr_rows
from ehps.exchange.forms import Stated
from ehps.exchange.hmr_rows import PIXELS, POINTS, SMPLX_POINTS, settled
from ehps.genders import BY_WORD
from ehps.humandata.strings import with_slashes

CLOSE_UP = "`ehps convert bedlam` turns them to the images as they are stored"


@dataclass
class Rows:
    """Columns, names of keypoints and facts of the passport of a table; which rows have an upright camera."""

    columns: dict[str, Any]
    points: dict[str, tuple[str, ...]]
    facts: dict[str, Any]
    upright: Array | None = None


def read_posed(data: dict[str, Array], stated: Stated, path: Path, name: str, model_type: str) -> Rows:
    """bedlam, bedlam2 and camerahmr."""
    shift = data["cam_ext"][:, :3, 3] if "cam_ext" in data else 0
    matrix, betas = data["cam_int"], data["shape"]
    open_gender = name == "bedlam" and betas.shape[1] == 10  # those of gendered bodies, and of AGORA
    gender = settled("gender", stated, None if open_gender else "neutral", path)
    columns = {
        "image_path": [with_slashes(name) for name in data["imgname"].tolist()],
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
    return Rows(columns, points, facts, matrix[:, 0, 2] < matrix[:, 1, 2])


def read_hmr2(data: dict[str, Array], stated: Stated, path: Path, side: float) -> Rows:
    """hmr2 and tokenhmr: bodies without translation and camera."""
    columns: dict[str, Any] = {
        "image_path": [with_slashes(name) for name in data["imgname"].tolist()],
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
        return Rows(columns, points, {})
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
    return Rows(columns, points, facts)


def read_prompthmr(data: dict[str, Array], stated: Stated, path: Path) -> Rows:
    box = np.ones((len(data["boxes"]), 5))
    box[:, :4] = data["boxes"][:, :4]
    box[:, 2:4] -= box[:, :2]
    rotations = np.concatenate([data["smpl_grots_cam"].reshape(-1, 3), data["smpl_body_poses"].reshape(-1, 69)], axis=1)
    matrix = data["cam_int"]
    columns = {
        "image_path": [with_slashes(name) for name in data["imgnames"].tolist()],
        "bbox_xywh": box.astype(np.float32),
        **hmr_rows.body_columns("smpl", rotations, data["smpl_betas"], data["smpl_trans_cam"]),
        "meta/gender": [BY_WORD[str(word).strip().lower()] for word in data["genders"]],
        "meta/focal_length": matrix[:, [0, 1], [0, 1]].astype(np.float32),
        "meta/principal_point": matrix[:, :2, 2].astype(np.float32),
        "meta/RT": data["cam_ext"].astype(np.float32),
        "meta/annot_valid": data["valid"].astype(bool),
    }
    return Rows(columns, {}, {"gender": settled("gender", stated, "per-instance", path), "focal": "image"})


def check_upright(rows: Rows, images: Path | None, path: Path) -> None:
    """Raise unless rows with a portrait camera are known to be of images that are stored upright."""
    upright = np.asarray(rows.upright)
    count = f"{int(upright.sum())} rows have the camera of an upright image"
    if images is None:
        what = f"{count}; BEDLAM stores such images lying on their side, others do not"
        raise DataError(what, path=path, fix="give the folder of the images (--images), which tells")
    lying = upright & (rows.columns["meta/height"] < rows.columns["meta/width"])
    if lying.any():
        raise DataError(f"{count}, and {int(lying.sum())} of their images lie on their side", path=path, fix=CLOSE_UP)
