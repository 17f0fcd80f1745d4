"""An LSPET tree: images with gaps in their numbers, EFT's lists, points that nobody annotated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.io import savemat

from ehps.demo.raw.stage import Truth
from tests.raw import eft
from tests.raw.checks import blank
from tests.raw.eft import Fits, Seat

SIZES = {"im00003.png": (333, 500), "im00492.png": (400, 300), "im08036.png": (600, 800)}
ROWS = ("im00492.png", "im08036.png", "im00003.png", "im08036.png")


@dataclass
class Tree:
    """``truth`` and ``fits`` of the four people of ``train``, in the order of the list."""

    root: Path
    truth: Truth
    fits: Fits
    joints: np.ndarray  # (14, 3, 3) of joints.mat, entries in the order of the images' names


def write_fixture(root: Path, models: Path, rng: np.random.Generator) -> Tree:
    """Four people, two of them in one image: 1 with points (0, -26), (30, 0) and one beyond the right border,
    all of confidence 1; 2 with a square that exceeds the image. Only LSP's 14 points are labelled."""
    seats = [
        Seat(150, 210, 150, (150, 200), 330),
        Seat(250, 300, 230, (260, 290), 500),
        Seat(260, 180, 170, (260, 170), 520),
        Seat(560, 310, 220, (520, 330), 560),
    ]
    fits = eft.make(models, rng, seats)
    for record, name in zip(fits.records, ROWS, strict=True):
        record["imageName"] = name
        for row in range(39, 49):
            record["gt_keypoint_2d"][row] = [0.0, 0.0, 0.0]
    points = fits.records[1]["gt_keypoint_2d"]
    points[25], points[31], points[36] = [0.0, -26.0, 1.0], [30.0, 0.0, 1.0], [800.0, 300.0, 1.0]
    eft.dump(root / "eft_fit/LSPet_train_ver10.json", fits.records)
    eft.dump(root / "eft_fit/LSPet_test_ver10.json", fits.records[:1])
    joints = np.stack([own_joints(rng, height, width) for height, width in SIZES.values()], axis=2)
    savemat(root / "joints.mat", {"joints": joints})
    for name, (height, width) in SIZES.items():
        blank(root, [name], height, width)
    return Tree(root, fits.truth(ROWS), fits, joints)


def own_joints(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(14, 3) of one person inside an image; joints 0 and 6 are not annotated: (0, -26) or (-30, 0), flag 0."""
    points = np.column_stack([rng.uniform(0.2, 0.8, (14, 2)) * [width, height], np.ones(14)])
    points[0], points[6] = [0, -26, 0], [-30, 0, 0]
    return points
