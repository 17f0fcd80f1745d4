"""Arrays of the tables of :mod:`ehps.exchange.flat_npz`, and what is left out of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.errors import DataError
from ehps.exchange import hmr_rows
from ehps.exchange.hmr_rows import PIXELS, POINTS, SMPLX_POINTS
from ehps.humandata.core import HumanData


def write_posed(hd: HumanData, left_out: list[str], program: str, name: str, model_type: str) -> dict[str, Array]:
    """bedlam, bedlam2 and camerahmr."""
    from ehps.body.topology import POSE_PARTS
    from ehps.body.variants import has_locked_head

    hmr_rows.need_body(hd, model_type, program)
    n, width = len(hd), {"bedlam": (10, 11), "bedlam2": (16,), "camerahmr": (10,)}[name]
    betas = np.asarray(hd[f"{model_type}/betas"])
    if betas.shape[1] not in width:
        want = " or ".join(map(str, width))
        fix = f"`ehps humandata convert FILE --num-betas {width[-1]} --out NEW`"
        raise DataError(f"has {betas.shape[1]} betas, and {program} reads {want}", path=hd.source, fix=fix)
    if has_locked_head(hd) != (name == "bedlam2"):
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
    left_out.extend(hmr_rows.without_points(hd, "keypoints3d"))
    left_out.extend(hmr_rows.others(hd, held | {"meta/gender"}))
    return arrays


def write_hmr2(hd: HumanData, left_out: list[str], program: str, split: bool) -> dict[str, Array]:
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


def write_prompthmr(hd: HumanData, left_out: list[str], program: str) -> dict[str, Array]:
    hmr_rows.need_body(hd, "smpl", program, gender=False)
    box = np.asarray(_needed(hd, "bbox_xywh", program), np.float64)[:, :4].copy()
    box[:, 2:] += box[:, :2]
    n = len(hd)
    world = np.asarray(hd["meta/RT"]) if "meta/RT" in hd else np.tile(np.eye(4, dtype=np.float32), (n, 1, 1))
    held = {"image_path", "bbox_xywh", "meta/gender", "meta/focal_length", "meta/principal_point", "meta/RT"}
    held |= {f"smpl/{part}" for part in ("betas", "transl", "global_orient", "body_pose")} | {"meta/annot_valid"}
    left_out.extend(hmr_rows.others(hd, held))
    left_out.extend(hmr_rows.without_points(hd, "keypoints"))
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
