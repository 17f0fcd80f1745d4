"""A SAM 3D Body tree with everything that its label files hold against a reader."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import parquet

from ehps.converters.base import Instances, Rigid
from ehps.demo.people import random_people
from ehps.demo.raw import stage
from ehps.demo.raw.stage import PaintedView
from ehps.demo.raw.wholebody import xywh
from ehps.humandata.keypoints import CONVENTIONS, flip_order, point_names
from tests.raw.checks import blank, one_colour

Array = npt.NDArray[Any]
Record = dict[str, Any]

COCO, OTHER, LOST = (f"COCO_train2014_{number:012d}.jpg" for number in (9, 25, 30))
PW3D = "downtown_bar_00/image_00000.jpg"
HARMONY = "train/01_hugging/001_hugging/cam01/00001.jpg"
VIEWS = {COCO: PaintedView(480, 640, 600.0), OTHER: PaintedView(640, 427, 700.0), LOST: PaintedView(480, 640, 600.0)}
VIEWS |= {PW3D: PaintedView(1920, 1080, 1960.0, (530.0, 970.0)), HARMONY: PaintedView(540, 960, 560.0)}
FOLDERS = {
    COCO: "images/coco/train2014/",
    OTHER: "images/coco/train2014/",
    PW3D: "images/3dpw/imageFiles/",
    HARMONY: "images/harmony4d/",
}
SOURCES = {COCO: "coco", OTHER: "coco", LOST: "coco", PW3D: "3dpw", HARMONY: "harmony4d"}
TRANSLATED, IN_CAMERA, AT_ORIGIN, ROOT = "model_params", "camera", "origin", "root"
"""Where 3D points begin: at the model's origin with the translation in the parameters, at the camera, at the model's
origin with no translation anywhere, in the middle of the hips."""


@dataclass
class Tree:
    """A raw tree and what a conversion must make of it.

    Attributes
    ----------
    people : split -> the records of the rows, in their order, with ``points`` (70, 3) in the camera frame.
    dropped : reason -> how many people of coco_train are left out for it.
    """

    root: Path
    people: dict[str, list[Record]]
    dropped: dict[str, int]


def write_fixture(root: Path, models: Path, rng: np.random.Generator, *, frame: str = TRANSLATED) -> Tree:
    """Three splits: two shards of coco_train, harmony4d_train below data/, 3dpw_train.

    coco_train: two people of whom the second has no usable fit and no mask; one; two of an image that is not there; a
    second shard with three people, of whom one has a box of another format.
    """
    first = people(COCO, 2, models, rng, frame)
    first[1] |= {"mhr_valid": False, "mask_size": [-1, -1], "mask_cnts": b"", "loss": None}
    first[1] |= {"model_params": None, "keypoints_3d": []}
    single = people(OTHER, 1, models, rng, frame)
    lost = people(LOST, 2, models, rng, frame)
    last = people("COCO_train2014_000000000049.jpg", 3, models, rng, frame, view=VIEWS[COCO])
    last[1]["bbox_format"] = "cxcywh"
    harmony = people(HARMONY, 2, models, rng, frame)
    pw3d = people(PW3D, 1, models, rng, frame)
    write(root / "coco_train/000000.parquet", [*first, *single, *lost])
    write(root / "coco_train/000001.parquet", last)
    write(root / "data/harmony4d_train/000000.parquet", harmony)
    write(root / "3dpw_train/000000.parquet", pw3d)
    rows = {"coco_train": [*first, *single, last[0], last[2]], "harmony4d_train": harmony, "3dpw_train": pw3d}
    for record in (record for records in rows.values() for record in records):
        view = VIEWS.get(record["image"], VIEWS[COCO])
        blank(root, [image_path(record)], view.height, view.width)
    return Tree(root, rows, {"image missing": 2, "bbox_format is not xyxy or xywh": 1})


def image_path(record: Record) -> str:
    return FOLDERS.get(record["image"], FOLDERS[COCO]) + record["image"]


def people(
    image: str,
    count: int,
    models: Path,
    rng: np.random.Generator,
    frame: str = TRANSLATED,
    *,
    view: PaintedView | None = None,
) -> list[Record]:
    """Records of all people of an image; boxes of odd ones are corners, those of the others sizes."""
    view = VIEWS[image] if view is None else view
    params = random_people(count, rng, style="standing")
    index, pelvis = stage.places(rng, [count], view, share=(0.5, 0.6))
    move = Rigid(np.eye(3), np.zeros(3))
    cast = stage.cast(models, params, move, index, pelvis, stage.orientations(rng, count, spread=30))
    points = mhr70(cast.joints)
    pixels = stage.project(points, view)
    origin = cast.joints[:, 0] + rng.normal(0, 0.05, (count, 3)) + [0, 0.9, 0]  # below the feet, as MHR's is
    start = {TRANSLATED: origin, IN_CAMERA: origin * 0, AT_ORIGIN: origin, ROOT: points[:, 9:11].mean(axis=1)}[frame]
    records = []
    for k in range(count):
        x, y, w, h = xywh(pixels[k])
        parameters = rng.normal(0, 0.3, 204).astype(np.float32)
        parameters[:3] = origin[k] * [10, -10, -10] if frame == TRANSLATED else 0
        records.append(
            {
                "dataset": SOURCES.get(image, "coco"),
                "image": image,
                "person_id": 7 + k,
                "subject_idx": k,
                "subject_cnt": count,
                "keypoints_2d": pixels[k].tolist(),
                "keypoints_3d": (points[k] - start[k]).tolist(),
                "model_params": parameters.tolist(),
                "shape_params": rng.normal(0, 1, 45).astype(np.float32).tolist(),
                "mhr_valid": True,
                "date": "2025-10-01",
                "bbox": [x, y, x + w, y + h] if k % 2 else [x, y, w, h],
                "bbox_format": "xyxy" if k % 2 else "xywh",
                "bbox_score": 0.9,
                "bbox_center": [x + w / 2, y + h / 2],
                "bbox_scale": [1.25 * w, 1.25 * h],
                "cam_int": view.matrix.tolist(),
                "loss": 0.01 * (k + 1),
                "mask_size": [view.height, view.width],
                "mask_cnts": rectangle(view, x, y, w, h),
                "points": points[k],
            }
        )
    return records


def mhr70(joints: Array) -> Array:
    """(N, 70, 3) points of SMPL-X joints (N, 144, 3); elbows and shoulders stand in for what lies beside them."""
    names, out = CONVENTIONS["smplx"], np.zeros((len(joints), 70, 3))
    beside = {"olecranon": ("elbow", 0.03), "cubital_fossa": ("elbow", -0.03), "acromion": ("shoulder", 0.04)}
    for k, name in enumerate(point_names("mhr70")):
        side, _, part = name.partition("_")
        twin, off = beside.get(part, ("", 0.0))
        out[:, k] = joints[:, names.index(f"{side}_{twin}" if twin else name)] + [0, -off, off]
    return out


def rectangle(view: PaintedView, x: float, y: float, w: float, h: float) -> bytes:
    """The mask of the whole pixels inside a box, as COCO packs it."""
    left, top = max(int(np.ceil(x)), 0), max(int(np.ceil(y)), 0)
    right, bottom = min(int(x + w), view.width), min(int(y + h), view.height)
    mask = np.zeros((view.width, view.height), bool)  # column by column
    mask[left:right, top:bottom] = True
    return packed(mask.ravel())


def packed(pixels: Array) -> bytes:
    """Pixels of a mask, column by column, in COCO's text."""
    cuts = np.concatenate([[0], np.flatnonzero(np.diff(pixels.astype(np.int8))) + 1, [len(pixels)]])
    runs = [*([0] if pixels[0] else []), *np.diff(cuts).tolist()]
    text = bytearray()
    for k, run in enumerate(runs):
        value, more = run - runs[k - 2] if k > 2 else run, True
        while more:
            bits, value = value & 0x1F, value >> 5
            more = value != -1 if bits & 0x10 else value != 0
            text.append((bits | 0x20 if more else bits) + 48)
    return bytes(text)


SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("dataset", "image")),
        *((name, pa.int64()) for name in ("person_id", "subject_idx", "subject_cnt")),
        *((name, pa.list_(pa.list_(pa.float32()))) for name in ("keypoints_2d", "keypoints_3d")),
        *((name, pa.list_(pa.float32())) for name in ("model_params", "shape_params")),
        ("mhr_valid", pa.bool_()),
        ("date", pa.string()),
        ("bbox", pa.list_(pa.float64())),
        ("bbox_format", pa.string()),
        ("bbox_score", pa.float64()),
        *((name, pa.list_(pa.float64())) for name in ("bbox_center", "bbox_scale")),
        ("cam_int", pa.list_(pa.list_(pa.float64()))),
        ("loss", pa.float64()),
        ("mask_size", pa.list_(pa.int64())),
        ("mask_cnts", pa.binary()),
    ]
)


def write(path: Path, records: Sequence[Record], *, group: int | None = None) -> None:
    """A shard; ``group`` rows a row group."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = [{name: record.get(name) for name in SCHEMA.names} for record in records]
    path.unlink(missing_ok=True)
    parquet.write_table(pa.Table.from_pylist(kept, SCHEMA), path, row_group_size=group or len(records))


def write_tar(path: Path, records: Sequence[Record], *, change: Mapping[str, Any] | None = None) -> None:
    """What create_webdataset.py makes of records; ``change`` replaces members of the parameters."""
    images: dict[str, list[Record]] = {}
    for record in records:
        images.setdefault(record["image"], []).append(record)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for image, own in images.items():
            view, key = VIEWS.get(image, VIEWS[COCO]), key_of(own[0])
            people = pickle.dumps([_annotation(record, change or {}) for record in own])
            size = json.dumps({"width": view.width, "height": view.height}).encode()
            members = {"annotation.pyd": people, "jpg": one_colour(".jpg", view.height, view.width)}
            for name, content in sorted((members | {"metadata.json": size}).items()):
                info = tarfile.TarInfo(f"{key}.{name}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


def key_of(record: Record) -> str:
    source, parts = record["dataset"], record["image"].removesuffix(".jpg").split("/")
    if source == "egohumans":
        parts.insert(2, f"aira{int(record['person_id']) + 1:02}")
    return "-".join([source, *parts])


def _annotation(record: Record, change: Mapping[str, Any]) -> Record:
    made = {name: record[name] for name in ("person_id", "mhr_valid", "bbox_format", "bbox_score")}
    for name in ("keypoints_2d", "keypoints_3d", "bbox"):
        made[name] = np.array(record[name])
    parameters = {n: None if record[n] is None else np.array(record[n], "f4") for n in ("model_params", "shape_params")}
    made |= {"mhr_params": parameters | change, "mhr_version": record["date"]}
    made |= {"center": np.array(record["bbox_center"]), "scale": np.array(record["bbox_scale"])}
    made["metadata"] = {"cam_int": np.array(record["cam_int"]), "loss": record["loss"]}
    if record["mask_cnts"]:
        made["mask"] = {"size": np.array(record["mask_size"]), "counts": record["mask_cnts"]}
    return made


# -- mistakes ------------------------------------------------------------------------------------------------


def place_forgotten(rows: Instances) -> None:
    """3D points that begin at the person taken for such in the camera frame."""
    assert rows.keypoints3d is not None
    points = rows.keypoints3d.points
    shift = points[:, 9:11, :3].mean(axis=1, keepdims=True)
    points[..., :3] -= np.where(points[..., 3:] > 0, shift, 0)


def sides_taken_for_each_other(rows: Instances) -> None:
    """Left points in the places of right ones, in 3D alone."""
    assert rows.keypoints3d is not None
    rows.keypoints3d = replace(rows.keypoints3d, points=rows.keypoints3d.points[:, flip_order("mhr70")])


def other_camera(rows: Instances) -> None:
    """Intrinsics of an image at half the size."""
    assert rows.camera is not None
    rows.camera = replace(rows.camera, focal=rows.camera.focal / 2, principal_point=rows.camera.principal_point / 2)


def sizes_taken_for_corners(rows: Instances) -> None:
    """Boxes whose corners were given taken for such with width and height, cut at the first corner."""
    assert rows.bbox is not None
    rows.bbox[:, :2] += rows.bbox[:, 2:4]


def points_of_the_row_before(rows: Instances) -> None:
    """Everybody with the 2D points and the box of the row before."""
    assert rows.keypoints2d is not None
    assert rows.keypoints3d is not None
    rows.keypoints3d.points[:] = np.roll(rows.keypoints3d.points, 1, axis=0)
