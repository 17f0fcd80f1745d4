"""PoseTrack18 and 21: sports and street videos; EFT SMPL fits for training sequences, else 2D joints, boxes and tracks.

PoseTrack21 labels the videos of PoseTrack18 anew, in its format, in folders of its own (``posetrack_data/train``).

Source: Andriluka et al., CVPR 2018; Joo et al., 3DV 2021 (EFT); the official per-sequence files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ehps.converters.base import Converter, DatasetCard, Instances, Keypoints, Unit, filter_records, no_instances
from ehps.converters.options import Option
from ehps.converters.readers import coco, eft, fields, raw_files
from ehps.converters.readers.fields import FLAG, integers, numbers, optional
from ehps.converters.readers.images import is_image_folder
from ehps.errors import DataError

PERSON = optional({"keypoints": numbers(51), "bbox": numbers(4), "track_id": integers()})
IMAGE = optional({"is_labeled": FLAG})
FRAME = re.compile(r"[^/\\]+[/\\]\d+\.\w+$")
FITS = tuple(f"{folder}PoseTrack_ver01.json" for folder in ("eft_fit/", "", "data/eft_fit/", "data/"))
LISTS = {
    split: (
        *(f"{folder}annotations/{split}" for folder in ("posetrack_data/", "", "data/posetrack_data/", "data/")),
        *(f"{folder}posetrack_data/{split}" for folder in ("", "data/")),
    )
    for split in ("train", "val")
}
CARD = DatasetCard(
    id="posetrack",
    name="PoseTrack",
    homepage="https://posetrack.net",
    licence="non-commercial research, after registration; EFT fits CC BY-NC 4.0",
    commercial_use=False,
    paper=(
        "Andriluka et al., PoseTrack: A Benchmark for Human Pose Estimation and Tracking, CVPR "
        "2018; Joo et al., EFT, 3DV 2021"
    ),
    annotation="network",
    annotation_note="SMPL, pseudo (EFT); 15 hand-labelled 2D joints",
    body_source="EFT",
    body_model="smpl",
    appearance="real",
    scene="in the wild",
    persons="several",
    splits={"train": 28_457, "val": None},
    layout="""
posetrack/                               (or below data/)
  images/{train,val}/<sequence>/000000.jpg
  eft_fit/PoseTrack_ver01.json                                (or in the root; train)
  posetrack_data/annotations/{train,val}/<sequence>.json      (or annotations/; val, and train with fits=none)
  posetrack_data/{train,val}/<sequence>.json                  PoseTrack21, the same
""",
    split_needs={
        "train": (" | ".join(FITS + LISTS["train"]), "images/train | data/images/train"),
        "val": (" | ".join(LISTS["val"]), "images/val | data/images/val"),
    },
    get="register on the homepage (PoseTrack18), labels of PoseTrack21 from github.com/anDoer/PoseTrack21; fits with "
    "the download script of github.com/facebookresearch/eft",
    options=(
        Option(
            "fits",
            "none: the sequences' own 2D joints, boxes and tracks",
            {"train": "eft", "val": "none"},
            choices={"train": ("eft", "none"), "val": ("none",)},
        ),
    ),
    variants={"images/bonn_5sec": "PoseTrack17; PoseTrack18 is needed"},
    reprojection="fitted",
    notes=(
        "28,457 fits were counted in the file; EFT's README says 28,856.",
        "Cameras are virtual, one a person: translations are derived from weak perspective and not metric.",
        "PoseTrack21's labels of the same videos are read where those of PoseTrack18 are absent; the report says so.",
        "Sequences share videos with MPII: mind leaks between MPII train and PoseTrack val.",
    ),
)


class PoseTrack(Converter):
    card = CARD

    def units(self) -> list[Unit]:
        if self.option("fits") == "eft":
            return [Unit("eft", self._fits())]
        folder = raw_files.first_existing(self.root, LISTS[self.split])
        return [
            Unit(name[: -len(".json")], folder / name) for name in raw_files.listing(folder) if name.endswith(".json")
        ]

    def _fits(self) -> Path:
        try:
            return raw_files.first_existing(self.root, FITS)
        except DataError as error:
            fix = f"{error.fix}; fits=none takes the sequences' own 2D joints"
            raise DataError(error.what, path=error.path, fix=fix) from None

    def read(self, unit: Unit) -> Instances:
        base = "" if is_image_folder(self.root, "images") else "data/"
        return fits(unit.path, base) if unit.name == "eft" else sequence(unit.path, base)


def fits(path: Path, base: str) -> Instances:
    """All fits of EFT, of training sequences."""
    facts = {"annotation_id": eft.annotation_id, "track_id": eft.track_id}
    rows = eft.read(path, lambda name: in_train(name, base), facts)
    rows.meta |= places(rows.image_path)
    return rows


def sequence(path: Path, base: str) -> Instances:
    """One sequence of hand-labelled joints, without fits."""
    if "annotations" not in fields.items(raw_files.read_json(path), path):  # so in the test set
        return no_instances()
    left_out: dict[str, list[str]] = {}
    annotations, images = coco.read(Unit(path.stem, path), left_out, PERSON, IMAGE)
    people, dropped = filter_records(annotations, lambda a: unusable(a, images))
    odd = [i for i, a in enumerate(people) if not FRAME.search(images[a["image_id"]]["file_name"])]
    said = {i: ("file_name is not <sequence>/<frame>", images[people[i]["image_id"]]["file_name"]) for i in odd}
    keep = fields.drop_odd(said, [f"annotations {a['id']}" for a in people], path, dropped)
    people = [people[i] for i in np.flatnonzero(keep).tolist()]
    dropped |= left_out
    if not people:
        return no_instances(dropped)
    names = [images[a["image_id"]]["file_name"] for a in people]
    of_21 = [] if path.parents[1].name == "annotations" else ["labels are those of PoseTrack21"]
    ids = ("annotation_id", "id"), ("image_id", "image_id"), ("track_id", "track_id")
    return Instances(
        image_path=[base + name for name in names],
        size=coco.stated_sizes([images[a["image_id"]] for a in people]),
        bbox=raw_files.column(people, "bbox").astype(float),
        keypoints2d=Keypoints(
            raw_files.column(people, "keypoints").reshape(len(people), 17, 3).astype(float), "posetrack"
        ),
        meta={column: raw_files.column(people, key, -1).astype(np.int64) for column, key in ids} | places(names),
        misc={"bbox_source": "provided_by_dataset"},
        dropped=dropped,
        notes=["no fits were taken: keypoints and boxes only", *of_21],
    )


def in_train(name: str, base: str) -> str:
    """Path of an ``imageName`` of the fits, which may or may not begin with images/ and train/; nothing for one without
    a sequence folder, without which frames of all sequences share their names."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("images", "train")]
    return f"{base}images/train/{'/'.join(parts)}" if len(parts) == 2 and FRAME.search(name) else ""


def places(names: Sequence[str]) -> dict[str, Any]:
    """Sequence and frame number of images called ``.../<sequence>/<frame>.jpg``."""
    parts = [name.rsplit("/", 2)[1:] for name in names]
    return {
        "sequence_name": [folder for folder, _ in parts],
        "frame_id": np.array([int(frame.split(".")[0]) for _, frame in parts], np.int64),
    }


def unusable(a: dict[str, Any], images: dict[int, dict[str, Any]]) -> str:
    """Why an annotation is left out, or an empty text."""
    if not images[a["image_id"]].get("is_labeled", True):
        return "frame not labelled"
    if not a.get("keypoints") or not any(a["keypoints"][2::3]):
        return "no labelled joint"
    return "" if a.get("bbox") else "no box"
