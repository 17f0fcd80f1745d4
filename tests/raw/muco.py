"""A MuCo-3DHP tree with everything that its annotations hold against a reader."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ehps.converters.base import Rigid
from ehps.demo.people import random_people
from ehps.demo.raw import stage
from ehps.demo.raw.stage import Cast, PaintedView, Truth
from ehps.humandata import keypoints
from tests.raw.checks import blank

IMAGES = {
    0: ("augmented_set/0000/a_000.jpg", PaintedView(512, 512, 560.0), 3),
    1: ("unaugmented_set/0000/u_000.jpg", PaintedView(480, 640, 600.0, (310.0, 250.0)), 2),
    7: ("augmented_set/0001/a_107.jpg", PaintedView(512, 512, 700.0, (250.0, 262.0)), 1),
}
"""Image id -> file, camera, people; ids have a gap."""

NEAR = (
    "head",
    "neck",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "right_hip",
    "right_knee",
    "right_ankle",
    "left_hip",
    "left_knee",
    "left_ankle",
    "pelvis",
    "spine_2",
    "head",
    "right_hand",
    "left_hand",
    "right_bigtoe",
    "left_bigtoe",
)
"""The joint of SMPL that is at, or nearest to, each of the 21: top of the head, throat, limbs from the right, ..."""
PELVIS = 14


@dataclass
class Tree:
    """A raw tree: people to be found in the order of the rows, their records, and how many others are left out."""

    root: Path
    truth: Truth
    annotations: list[dict[str, Any]]
    fits: dict[str, Any]
    dropped: dict[str, int]


def write_fixture(root: Path, models: Path, rng: np.random.Generator, *, painted: bool = False) -> Tree:
    """Six people in three images, annotations shuffled; the box of the last one leaves the image.

    Among them: a person without fit, nearest of all in image 0; one whose fit is no number; one whose pelvis cannot
    be seen; one in an image that is not there.
    """
    images: list[dict[str, Any]] = []
    people: list[dict[str, Any]] = []
    fits: dict[str, Any] = {}
    truths: dict[int, Truth] = {}
    for image_id, (name, view, count) in IMAGES.items():
        cast = _people(models, rng, view, count)
        images.append(
            {
                "id": image_id,
                "file_name": name,
                "width": view.width,
                "height": view.height,
                "f": [view.focal] * 2,
                "c": view.principal_point.tolist(),
                "R": np.diag([1.0, -1.0, -1.0]).tolist(),
                "T": [100.0, 900.0, 3000.0],
            }
        )
        for k in range(count):
            person = 100 - len(people)
            people.append(_annotation(cast, k, view) | {"id": person, "image_id": image_id})
            fits[str(person)] = _fit(cast, k)
            truths[person] = cast.truth([f"data/{name}"], view)[[k]]
        if painted:
            stage.paint(root, [f"data/{name}"], cast, view, models, rng, scene="studio")
        else:
            blank(root, [f"data/{name}"], view.height, view.width)
    x, y, w, _ = people[-1]["bbox"]
    people[-1]["bbox"] = [x, y, w, 512 - y + 40]  # below the border
    images.append(images[0] | {"id": 9, "file_name": "augmented_set/0002/absent.jpg"})
    people, dropped = _shuffled(people, fits)
    (root / "data").mkdir(parents=True, exist_ok=True)
    (root / "data/MuCo-3DHP.json").write_text(json.dumps({"images": images[::-1], "annotations": people}))
    (root / "data/smpl_param.json").write_text(json.dumps(fits))
    kept = [a for a in people if a["id"] in truths]
    return Tree(root, Truth.concat([truths[a["id"]] for a in kept]), kept, fits, dropped)


def _people(models: Path, rng: np.random.Generator, view: PaintedView, count: int) -> Cast:
    image, pelvis = stage.places(rng, [count], view, share=(0.5, 0.7))
    params = random_people(count, rng, style="walking", model_type="smpl")
    facing = stage.orientations(rng, count, spread=60, tilt=4)
    return stage.cast(models, params, Rigid(np.eye(3), np.zeros(3)), image, pelvis, facing)


def _annotation(cast: Cast, k: int, view: PaintedView) -> dict[str, Any]:
    """21 joints at those of SMPL, but for the top of the head."""
    smpl = keypoints.point_names("smpl_45")
    joints = cast.joints[k, [smpl.index(name) for name in NEAR]]
    joints[0] += 0.4 * (joints[0] - joints[1])
    points = stage.project(joints, view)
    surface = stage.project(cast.vertices[k], view)
    low, high = surface.min(0), surface.max(0)
    inside = (points >= 0).all(1) & (points < [view.width, view.height]).all(1)
    return {
        "bbox": [*low.tolist(), *(high - low).tolist()],
        "keypoints_img": points.tolist(),
        "keypoints_cam": (1000 * joints).tolist(),
        "keypoints_vis": inside.tolist() if k % 2 else inside.astype(int).tolist(),
    }


def _fit(cast: Cast, k: int) -> dict[str, Any]:
    p = cast.params
    return {
        "pose": [*p.global_orient[k].tolist(), *p.body_pose[k].ravel().tolist()],
        "shape": p.betas[k].tolist(),
        "trans": p.transl[k].tolist(),
    }


def _shuffled(people: list[dict[str, Any]], fits: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """People of the three images interleaved, with four that cannot be used between them."""
    odd = [copy.deepcopy(people[k]) | {"id": 3 + n} for n, k in enumerate((0, 1, 3, 0))]
    for person in odd[1:]:
        fits[str(person["id"])] = copy.deepcopy(fits[str(people[0]["id"])])
    for joint in odd[0]["keypoints_cam"]:
        joint[2] -= 2000.0
    fits[str(odd[1]["id"])]["shape"][3] = float("nan")
    odd[2]["keypoints_vis"][PELVIS] = False
    odd[2]["keypoints_cam"][PELVIS][2] += 9000.0
    odd[3]["image_id"] = 9
    order = [people[4], odd[0], people[1], people[5], odd[1], odd[2], people[0], odd[3], people[3], people[2]]
    reasons = ("no SMPL fit", "body parameters not finite", "pelvis not visible", "image missing")
    return order, dict.fromkeys(reasons, 1)
