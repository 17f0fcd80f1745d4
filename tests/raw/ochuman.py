"""An OCHuman tree with everything that EFT's lists and OCHuman's own hold against a reader."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ehps.demo.raw.stage import Truth
from tests.raw import eft
from tests.raw.checks import blank
from tests.raw.eft import Fits, Seat

SIZES = {"000817.jpg": (480, 640), "003799.jpg": (600, 500)}
ROWS = ("003799.jpg", "000817.jpg", "003799.jpg", "003799.jpg", "000817.jpg")
"""Image of each person, in the order of the list."""


@dataclass
class Tree:
    """``truth`` and ``fits`` of the five people in the order of the rows; ``index`` their places in the list."""

    root: Path
    truth: Truth
    fits: Fits
    index: list[int]
    dropped: dict[str, int]


def write_fixture(root: Path, models: Path, rng: np.random.Generator) -> Tree:
    """Five people with usable fits, three of them in one image, among six records that are not; a test list.

    0 with an identity joint; 1 half turned, square beside the person (corners taken for sizes); 2 without wrists and
    ankles labelled; 3 without ``annotId``; 4 square partly outside the image.
    """
    seats = [
        Seat(110, 300, 190, (110, 300), 420),
        Seat(300, 240, 200, (620, 610), 760),
        Seat(250, 310, 200, (250, 310), 450),
        Seat(390, 290, 180, (470, 380), 600),
        Seat(90, 230, 210, (10, 130), 620),
    ]
    fits = eft.make(models, rng, seats)
    for record, name in zip(fits.records, ROWS, strict=True):
        record["imageName"] = name
    for row in (25, 30, 31, 36):
        fits.records[2]["gt_keypoint_2d"][row] = [0.0, 0.0, 0.0]
    del fits.records[3]["annotId"]
    odd = [copy.deepcopy(fits.records[0]) for _ in range(6)]
    odd[0]["parm_pose"][4][1][1] = float("nan")
    odd[1]["imageName"] = "004999.jpg"
    odd[2]["smpltype"] = "smplx"
    odd[3]["parm_cam"][0] = -0.9
    del odd[4]["parm_shape"]
    odd[5]["parm_pose"][0] = np.diag([1.0, 1.0, -1.0]).tolist()
    good = fits.records
    order = [good[0], odd[0], good[1], odd[1], odd[2], good[2], good[3], odd[3], odd[4], good[4], odd[5]]
    eft.dump(root / "eft_fit/OCHuman_train_ver10.json", order)
    eft.dump(root / "eft_fit/OCHuman_test_ver10.json", good[:2])
    for split, image in (("val", "000817.jpg"), ("test", "003799.jpg")):
        _own_list(root, split, image)
    for name, (height, width) in SIZES.items():
        blank(root, [f"images/{name}"], height, width)
    dropped = {
        "fit not finite": 1,
        "image missing": 1,
        "not a SMPL fit": 1,
        "scale of the fit not positive": 1,
        "fit incomplete": 1,
        "pose of the fit is no rotation": 1,
    }
    return Tree(root, fits.truth([f"images/{name}" for name in ROWS]), fits, [0, 2, 5, 6, 9], dropped)


def _own_list(root: Path, split: str, name: str) -> None:
    """A list in COCO's form: one person with two of the flags, one without a labelled joint."""
    height, width = SIZES[name]
    points = np.zeros((17, 3))
    points[5:11] = [[60 + 20 * k, 100 + 15 * k, 1 + k % 2] for k in range(6)]
    person: dict[str, Any] = {"image_id": 1, "iscrowd": 0, "category_id": 1, "bbox": [50.0, 90.0, 140.0, 200.0]}
    person |= {"id": 7, "num_keypoints": 6, "keypoints": points.ravel().tolist(), "segmentation": {}}
    empty = person | {"id": 8, "num_keypoints": 0, "keypoints": [0] * 51}
    image = {"id": 1, "file_name": name, "width": width, "height": height}
    content = {"images": [image], "annotations": [empty, person], "categories": []}
    (root / f"ochuman_coco_format_{split}_range_0.00_1.00.json").write_text(json.dumps(content))
