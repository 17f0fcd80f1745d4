"""An LSP tree: two thousand entries of joints.mat, a few images of the test half with masks of drawn bodies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy.io import savemat

from ehps.body.cameras import project
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams, smpl_params
from ehps.body.rasteriser import rasterize
from tests.raw.checks import blank

SIZE, FOCAL = (200, 120), 500.0  # height, width
NUMBERS = (1001, 1500, 1999, 2000)
LSP = [8, 5, 2, 1, 4, 7, 21, 19, 17, 16, 18, 20, 12, 15]  # joints of SMPL, in its order
NO_PARTS, NO_IMAGE = 1500, 1999


@dataclass
class Tree:
    """``body`` of the person of each of :data:`NUMBERS`, and all that joints.mat holds."""

    root: Path
    body: BodyParams
    joints: np.ndarray


def write_fixture(root: Path, models: Path, rng: np.random.Generator) -> Tree:
    """Upright people; one mask of parts and one image are absent. The first half has neither images nor masks."""
    bodies, n = BodyModels(models), len(NUMBERS)
    pose = rng.normal(0, 0.1, (n, 24, 3))
    pose[:, 0] = (np.pi, 0, 0)
    transl = np.column_stack([rng.uniform(-0.1, 0.1, n), rng.uniform(0.1, 0.3, n), np.full(n, 7.0)])
    body = smpl_params(gender="neutral", betas=rng.normal(0, 0.5, (n, 10)), pose=pose, transl=transl)
    vertices, joints = bodies.mesh(body), bodies.joints(body)
    joints_mat = np.concatenate([rng.uniform(20, 100, (2, 14, 2000)), np.zeros((1, 14, 2000))])
    for person, number in enumerate(NUMBERS):
        name, centre = f"im{number:04d}", (SIZE[1] / 2, SIZE[0] / 2)
        at = slice(person, person + 1)
        camera = np.full((1, 2), FOCAL), np.array([centre])
        joints_mat[:2, :, number - 1] = project(joints[at], *camera)[0, LSP, :2].T
        seen = rasterize(project(vertices[at], *camera)[..., :2], vertices[at, :, 2], bodies.faces("smpl"), SIZE)
        masks = root / "upi-s1h/data/lsp"
        masks.mkdir(parents=True, exist_ok=True)
        inside = seen.face >= 0
        cv2.imwrite(str(masks / f"{name}_segmentation.png"), np.where(inside, 255, 0).astype(np.uint8))
        if number != NO_PARTS:
            cv2.imwrite(str(masks / f"{name}_part_segmentation.png"), np.where(inside, 2, 0).astype(np.uint8))
        if number != NO_IMAGE:
            blank(root, [f"images/{name}.jpg"], *SIZE)
    savemat(root / "joints.mat", {"joints": joints_mat})
    return Tree(root, body, joints_mat)
