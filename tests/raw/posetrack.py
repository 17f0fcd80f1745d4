"""A PoseTrack tree: sequences, EFT's list with its varieties of names and ids, and sequences' own annotations."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ehps.demo.raw.stage import Truth
from tests.raw import eft
from tests.raw.checks import blank
from tests.raw.eft import Fits, Seat

SEQUENCES = {"000001_bonn_train": (360, 640), "015828_mpii_train": (480, 854)}
ROWS = (
    "015828_mpii_train/000054.jpg",
    "000001_bonn_train/000000.jpg",
    "015828_mpii_train/000058.jpg",
    "000001_bonn_train/000000.jpg",
    "000001_bonn_train/000001.jpg",
    "000001_bonn_train/000000.jpg",
)
"""Image of each person, in the order of the list: three people in one frame."""

LARGE = 10150000540001
FIRST = 10000010000000


@dataclass
class Tree:
    """``truth`` and ``fits`` of the six people of EFT's list, in its order."""

    root: Path
    truth: Truth
    fits: Fits


def write_fixture(root: Path, models: Path, rng: np.random.Generator) -> Tree:
    """Fits of six people in two train sequences; annotations of one train and two val sequences."""
    seats = [
        Seat(420, 240, 160, (420, 240), 340),
        Seat(110, 180, 120, (110, 185), 260),
        Seat(600, 260, 200, (640, 300), 460),
        Seat(320, 190, 130, (320, 180), 300),
        Seat(250, 170, 140, (250, 170), 310),
        Seat(560, 200, 135, (600, 240), 420),
    ]
    fits = eft.make(models, rng, seats)
    for record, name in zip(fits.records, ROWS, strict=True):
        record["imageName"] = name
    fits.records[0] |= {"annotId": LARGE, "subjectId": "015828_mpii_train-id003"}
    fits.records[1]["imageName"] = f"train/{ROWS[1]}"
    fits.records[2]["imageName"] = f"images/train/{ROWS[2]}"
    del fits.records[3]["annotId"]
    eft.dump(root / "eft_fit/PoseTrack_ver01.json", fits.records)
    for name, size in SEQUENCES.items():
        blank(root, [f"images/train/{path}" for path in sorted(set(ROWS)) if path.startswith(name)], *size)
    folder = root / "posetrack_data/annotations"
    for split, name in (("train", "000001_bonn_train"), ("val", "003418_mpii_test"), ("val", "000342_mpii_test")):
        (folder / split).mkdir(parents=True, exist_ok=True)
        (folder / split / f"{name}.json").write_text(json.dumps(sequence(split, name)))
        blank(root, [f"images/{split}/{name}/{frame:06d}.jpg" for frame in range(2)], 360, 640)
    return Tree(root, fits.truth([f"images/train/{name}" for name in ROWS]), fits)


def sequence(split: str, name: str) -> dict[str, Any]:
    """Annotations of two labelled frames and one that is not: two usable people, one of them with a box beyond the
    border; one without keypoints, one without a labelled joint, one without a box, one in the unlabelled frame."""
    images: list[dict[str, Any]] = [
        {
            "id": FIRST + frame,
            "frame_id": FIRST + frame,
            "file_name": f"images/{split}/{name}/{frame:06d}.jpg",
            "vid_id": name[:6],
            "nframes": 3,
            "is_labeled": frame < 2,
        }
        for frame in range(3)
    ]
    points = np.zeros((17, 3))
    points[[0, 1, 2]] = [[300, 60, 1], [302, 80, 1], [304, 40, 1]]
    points[5:] = [[280 + 8 * k, 90 + 20 * k, 1] for k in range(12)]
    points[9, 2] = 0
    good = {"bbox": [260.0, 30.0, 140.0, 300.0], "keypoints": points.ravel().tolist(), "scores": [], "category_id": 1}

    def person(number: int, frame: int, **changes: Any) -> dict[str, Any]:
        ids = {"id": images[frame]["id"] * 100 + number, "image_id": images[frame]["id"], "track_id": number}
        return {k: v for k, v in (good | ids | changes).items() if v is not None}

    people = [
        person(0, 0),
        person(1, 0, keypoints=None),
        person(2, 0, bbox=None),
        person(4, 1, bbox=[500.0, 100.0, 200.0, 300.0]),
        person(5, 1, keypoints=[0] * 51),
        person(6, 2),
    ]
    return {"images": images, "annotations": people, "categories": []}
