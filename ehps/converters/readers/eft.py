"""Fits of EFT and CLIFF: SMPL pseudo ground truth for images annotated in 2D, as several datasets share them.

EFT gives rotation matrices and a weak-perspective camera [s, tx, ty] of a square crop: with b = 200 bbox_scale,
u = cx + b/2 (s X + tx). The same image is seen by a long lens on the crop: principal point (cx, cy), focal length
F = 5000 b / 224, transl = (tx / s, ty / s, 2 F / (s b)); the two differ by about a percent of the distance to the
centre. The translation is derived, not measured, and so marked (a virtual camera).
Source: Joo et al., "Exemplar Fine-Tuning", 3DV 2021, and its data format page; Li et al., "CLIFF", ECCV 2022.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array, Mask
from ehps.body.params import smpl_params
from ehps.body.rotations import TOLERANCE, to_axis_angle
from ehps.converters import ranges
from ehps.converters.base import Camera, Instances, Keypoints, drop_marked, no_instances
from ehps.converters.readers import coco, fields, raw_files
from ehps.converters.readers.fields import PATH, Field, Record, integers, numbers, texts
from ehps.converters.readers.images import ImageIndex, is_image_folder
from ehps.errors import DataError

CROP = 224
FOCAL = 5000.0
OPENPOSE = 25  # rows of gt_keypoint_2d before the 24 of the dataset's own points
NUMBERS = {
    "parm_pose": numbers(24, 3, 3),
    "parm_shape": numbers(10),
    "parm_cam": numbers(3),
    "bbox_scale": numbers(),
    "bbox_center": numbers(2),
}
PERSON = {
    "imageName": PATH,
    "gt_keypoint_2d": numbers(49, 3, optional=True),
    "annotId": integers(optional=True),
    "subjectId": texts(optional=True),
}
CLIFF = {
    "imgname": Field("path", ("N",)),
    "center": numbers("N", 2),
    "scale": numbers("N"),
    "part": numbers("N", 24, 3),
    "pose": numbers("N", 72),
    "shape": numbers("N", 10),
    "global_t": numbers("N", 3),
    "focal_l": numbers("N"),
    "annot_id": integers("N"),
}
COCO = {
    ("eft", "train"): "eft_fit/COCO2014-All-ver01.json",
    ("eft-part", "train"): "eft_fit/COCO2014-Part-ver01.json",
    ("eft", "val"): "eft_fit/COCO2014-Val-ver10.json",
    ("cliff", "train"): "cliffGT_v1/coco2014part_cliffGT.npz",
}
"""Fits of people in the images of COCO 2014: choice and split -> file."""
COCO_LISTS = [f"person_keypoints_{split}{year}.json" for year in (2014, 2017) for split in ("train", "val")]
"""Annotations that state the sizes of these images: COCO 2017 has the same ones, divided otherwise."""


def annotation_id(person: Record) -> int:
    """``annotId`` of a record, 0 where there is none."""
    return int(person.get("annotId") or 0)


def track_id(person: Record) -> int:
    """Number at the end of ``subjectId`` ("000001_bonn_train-id003"), -1 where there is none."""
    found = re.search(r"(\d+)$", str(person.get("subjectId") or ""))
    return int(found.group(1)) if found else -1


def read(
    path: Path, image_path: Callable[[str], str], facts: Mapping[str, Callable[[Record], int]] | None = None
) -> Instances:
    """All usable persons of an EFT json, in its order.

    Parameters
    ----------
    image_path : turns ``imageName`` into a path below the root, into nothing where that is not possible.
    facts : further columns of ``meta``, made from each record. Camera and square of the fit and ``index``, the place
        in the file, are always there.

    Raises
    ------
    DataError : not an EFT file.
    """
    people, index, values, dropped = _people(path, image_path)
    if not people:
        return no_instances(dropped)
    weak, centre, side = values["parm_cam"], values["bbox_center"], 200 * values["bbox_scale"]
    focal = FOCAL * side / CROP
    rows = Instances(
        image_path=[image_path(str(p["imageName"])) for p in people],
        camera=Camera(np.column_stack([focal, focal]), centre, virtual=True),
        body=smpl_params(
            gender="neutral",
            betas=values["parm_shape"],
            pose=to_axis_angle(values["parm_pose"]),
            transl=np.column_stack([weak[:, 1:] / weak[:, :1], 2 * focal / (weak[:, 0] * side)]),
        ),
        keypoints2d=_points(people),
        least_size=centre[:, ::-1],
        meta={"pred_cam": weak, "bbox_center": centre, "bbox_scale": values["bbox_scale"], "index": index},
        meta_in_pixels=("bbox_center", "bbox_scale"),
        misc={"smpl_source": "eft", "cam_param_type": "eft_camera"},
        dropped=dropped,
    )
    rows.meta |= {name: np.array([fact(p) for p in people], np.int64) for name, fact in (facts or {}).items()}
    if rows.keypoints2d is None:
        rows.misc["reprojection"] = "none"
    return rows


def read_cliff(path: Path, root: Path, image_path: Callable[[str], str]) -> Instances:
    """All persons of a CLIFF npz: SMPL with full perspective, focal length the image's diagonal, centre its middle."""
    data = fields.values(raw_files.load_npz(path), CLIFF, path)
    focal = data["focal_l"].astype(float)
    side = 200 * data["scale"].astype(float)
    paths = [image_path(name) for name in data["imgname"].tolist()]
    size = _size_of_diagonal(ImageIndex(root).sizes(paths), focal)
    return Instances(
        image_path=paths,
        size=size,
        camera=Camera(np.column_stack([focal, focal]), size[:, ::-1] / 2, virtual=True),
        body=smpl_params(gender="neutral", betas=data["shape"], pose=data["pose"], transl=data["global_t"]),
        keypoints2d=Keypoints(data["part"].astype(float), "smpl_24"),
        bbox=np.column_stack([data["center"] - side[:, None] / 2, side, side]),
        bbox_padded=True,
        meta={"annotation_id": data["annot_id"].astype(np.int64)},
        misc={"smpl_source": "cliff_annot", "bbox_source": "provided_by_dataset"},
    )


def _size_of_diagonal(stored: Array, diagonal: Array) -> Array:
    """(N, 2) height and width of images with a ``diagonal`` (N,), of the same aspect as those on the disk."""
    scale = diagonal / np.maximum(np.linalg.norm(stored, axis=1), 1)
    plausible = (diagonal > 0) & (diagonal <= ranges.FOCAL[1])
    known = plausible & (np.abs(scale - 1) * stored.max(axis=1) > 1)
    return np.where(known[:, None], np.rint(stored * np.where(known, scale, 1)[:, None]), stored).astype(int)


def read_coco(path: Path, root: Path) -> Instances:
    """All persons of one of the files :data:`COCO`, with images in ``{train,val}2014/`` below the root or
    below ``images/``."""

    def image_path(name: str) -> str:
        folder = "val2014" if "val2014" in name else "train2014"
        below = not is_image_folder(root, folder) and is_image_folder(root, f"images/{folder}")
        base = "images/" if below else ""
        return f"{base}{folder}/{raw_files.basename(name)}"

    if path.suffix == ".npz":
        rows = read_cliff(path, root, image_path)
    else:
        rows = read(path, image_path, {"annotation_id": annotation_id})
        rows.size = coco.sizes_by_name((root / "annotations" / name for name in COCO_LISTS), rows.image_path)
    numbers = [re.search(r"(\d+)\.\w+$", name) for name in rows.image_path]
    rows.meta["image_id"] = np.array([int(found.group(1)) if found else -1 for found in numbers], np.int64)
    return rows


def _people(
    path: Path, image_path: Callable[[str], str]
) -> tuple[list[Record], Array, dict[str, Array], dict[str, list[str]]]:
    """Records with a fit that can be used, their places in the file, their numbers, and what was left out."""
    content = raw_files.read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("data"), list):
        raise DataError("is not an EFT file: it has no `data`", path=path, fix="take the json of EFT's download script")
    dropped: dict[str, list[str]] = {}
    everybody = content["data"]
    known = [p if isinstance(p, dict) else {} for p in everybody]
    masks = {
        "not a SMPL fit": np.array([p.get("smpltype", "smpl") != "smpl" for p in known], bool),
        "fit incomplete": np.array([bool(p) and not ({*NUMBERS, "imageName"} <= p.keys()) for p in known], bool),
    }
    index = np.flatnonzero(drop_marked(dropped, _names(everybody), masks))
    people = [everybody[i] for i in index.tolist()]
    odd = fields.odd_ones(people, PERSON | NUMBERS, "data")
    for i, person in enumerate(people):
        if i not in odd and not image_path(person["imageName"]):
            odd[i] = ("imageName is of another form", "has an imageName of another form")
    labels = [f"data {i} ({name})" for i, name in zip(index.tolist(), _names(people), strict=True)]
    index = index[fields.drop_odd(odd, labels, path, dropped)]
    people = [everybody[i] for i in index.tolist()]
    values = {
        key: np.array([p[key] for p in people], float).reshape(len(people), *field.shape)
        for key, field in NUMBERS.items()
    }
    keep = drop_marked(dropped, _names(people), _unusable(values) | {"fit of an earlier record": _repeated(people)})
    chosen = [people[i] for i in np.flatnonzero(keep).tolist()]
    return chosen, index[keep], {key: value[keep] for key, value in values.items()}, dropped


def _repeated(people: Sequence[Record]) -> Mask:
    """(N,) records that say of an image what an earlier one has said."""
    seen: set[str] = set()
    repeated = np.zeros(len(people), bool)
    for i, person in enumerate(people):
        key = repr([person["imageName"], person["parm_cam"], person["parm_shape"], person["bbox_center"]])
        repeated[i] = key in seen
        seen.add(key)
    return repeated


def _names(people: Sequence[Any]) -> list[str]:
    return [str(p.get("imageName")) if isinstance(p, dict) else str(p)[: fields.SHOWN] for p in people]


def _unusable(values: Mapping[str, Array]) -> dict[str, Array]:
    """Reason -> (N,) mask of records that are left out for it."""
    finite = np.all([np.isfinite(v).all(axis=tuple(range(1, v.ndim))) for v in values.values()], axis=0)
    matrices = np.where(finite[:, None, None, None], values["parm_pose"], np.eye(3))
    off = np.abs(matrices @ matrices.swapaxes(2, 3) - np.eye(3)).max(axis=(1, 2, 3), initial=0)
    mirrored = (np.linalg.det(matrices) < 0).any(axis=1)
    return {
        "fit not finite": ~finite,
        "scale of the fit not positive": (values["parm_cam"][:, 0] <= 0) | (values["bbox_scale"] <= 0),
        "pose of the fit is no rotation": (off > TOLERANCE) | mirrored,
    }


def _points(people: Sequence[Record]) -> Keypoints | None:
    """The dataset's own points, zeros for persons without; None when nobody has any.

    The first 25 rows, meant for OpenPose, are left out where they are empty throughout.
    """
    if not any(p.get("gt_keypoint_2d") for p in people):
        return None
    none = np.zeros((49, 3))
    points = np.array([np.reshape(p.get("gt_keypoint_2d") or none, (49, 3)) for p in people], float)
    if ranges.labelled(points[:, :OPENPOSE, 2]).any():
        return Keypoints(points, "smpl_49")
    return Keypoints(points[:, OPENPOSE:], "smpl_24")
