"""A tree of COCO 2014 with the SMPL fits of EFT and of CLIFF."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ehps.demo.raw.stage import Truth
from tests.raw import eft
from tests.raw.checks import blank
from tests.raw.eft import Fits, Seat

Array = npt.NDArray[Any]

SIZES = {44474: (480, 640), 9: (640, 427), 139: (426, 640)}
ROWS = (44474, 9, 44474, 9)
"""Image of each person of ``train``, in the order of the lists."""

IDS = (1202706, 508900, 442619, 91)
MISSING = 581929
SEATS = [
    Seat(180, 250, 200, (190, 240), 440),
    Seat(200, 330, 230, (200, 300), 520),
    Seat(470, 230, 190, (560, 300), 600),
    Seat(320, 300, 160, (330, 310), 380),
]


@dataclass
class Tree:
    """``eft`` and ``cliff`` are the people of ``train`` in the order of the lists, ``fits`` those of EFT.

    Attributes
    ----------
    pose, shape, centre, scale, part : what CLIFF's file holds of them.
    """

    root: Path
    fits: Fits
    eft: Truth
    cliff: Truth
    arrays: dict[str, Any]


def name(split: str, image: int) -> str:
    return f"COCO_{split}2014_{image:012d}.jpg"


def write_fixture(root: Path, models: Path, rng: np.random.Generator) -> Tree:
    """Four people in two train images, one in an image of val, and one whose image is not there."""
    fits = eft.make(models, rng, SEATS)
    for record, image, number in zip(fits.records, ROWS, IDS, strict=True):
        record |= {"imageName": name("train", image), "annotId": number}
    elsewhere = fits.records[0] | {"imageName": name("train", MISSING), "annotId": 5}
    eft.dump(root / "eft_fit/COCO2014-All-ver01.json", [*fits.records, elsewhere])
    eft.dump(root / "eft_fit/COCO2014-Part-ver01.json", fits.records[2:])
    eft.dump(root / "eft_fit/COCO2014-Val-ver10.json", [fits.records[0] | {"imageName": name("val", 139)}])
    for split, image in (("train", 44474), ("train", 9), ("val", 139)):
        blank(root, [f"{split}2014/{name(split, image)}"], *SIZES[image])
    paths = [f"train2014/{name('train', image)}" for image in ROWS]
    truth, arrays = _cliff(root, fits, paths)
    return Tree(root, fits, fits.truth(paths), truth, arrays)


def _cliff(root: Path, fits: Fits, paths: list[str]) -> tuple[Truth, dict[str, Any]]:
    """The same poses before a camera whose focal length is the image's diagonal."""
    size = np.array([SIZES[image] for image in ROWS], float)
    focal, middle = np.hypot(*size.T), size[:, ::-1] / 2
    pixels = np.array([[seat.x, seat.y] for seat in SEATS])
    depth = focal / [seat.scale for seat in SEATS]
    pelvis = np.column_stack([(pixels - middle) * (depth / focal)[:, None], depth])
    transl = pelvis - fits.joints[:, 0]
    joints = fits.joints + transl[:, None]
    points = joints[..., :2] / joints[..., 2:] * focal[:, None, None] + middle[:, None]
    params = fits.params
    pose = np.concatenate([params.global_orient[:, None], params.body_pose], axis=1).reshape(-1, 72)
    arrays: dict[str, Any] = {
        "imgname": np.array(paths),
        "center": pixels + 3,
        "scale": np.array([1.9 * seat.scale / 200 for seat in SEATS]),
        "part": np.array([eft.labelled(p)[25:] for p in points]),
        "annot_id": np.array(IDS),
        "pose": pose,
        "shape": params.betas,
        "has_smpl": np.ones(len(paths)),
        "global_t": transl,
        "focal_l": focal,
        "S": np.ones((len(paths), 24, 4)),
    }
    (root / "cliffGT_v1").mkdir()
    np.savez(root / "cliffGT_v1/coco2014part_cliffGT.npz", **arrays)
    return Truth(paths, joints, points, params.gender), arrays
