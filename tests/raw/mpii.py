"""An MPII tree with everything that its annotations hold against a reader, and its other releases."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ehps.demo.raw.stage import PaintedView, Truth
from tests.raw import eft
from tests.raw.checks import blank
from tests.raw.neural_annot import People, Tree, dump, joined, people

FITS = "annotations/MPII_train_SMPLX_NeuralAnnot.json"
EFT = "eft_fit/MPII_ver01.json"
CLIFF = "cliffGT_v1/mpii_cliffGT.npz"
VIEWS = (PaintedView(720, 1280, 1200.0), PaintedView(480, 854, 800.0))
NAMES = ("015601864.jpg", "052475643.jpg")


@dataclass
class Trees(Tree):
    """``eft``, ``cliff`` : the people of those fits."""

    eft: Truth | None = None
    cliff: Truth | None = None


def write_fixture(root: Path, models: Path, rng: np.random.Generator) -> Trees:
    """Two images of different size, annotations 0..3, three of them with a fit, and three that cannot be used.

    Rows are, in the order of the json: annotation 2 (wrist outside the image), 0 (elbow not labelled; both in the
    first image), 1 (fit in nested lists).
    """
    first, second = (people(models, rng, "smplx", view, [2]) for view in VIEWS)
    who = [(first, 0, 0), (second, 0, 1), (first, 1, 0), (second, 1, 1)]
    annotations = [_annotation(group, k, i, image_id) for i, (group, k, image_id) in enumerate(who)]
    fits = {str(i): group.fit(k) for i, (group, k, _) in enumerate(who[:3])}
    annotations[0]["keypoints"][11 * 3 : 12 * 3] = [0, 0, 0]
    annotations[2]["keypoints"][10 * 3 : 11 * 3] = [-12.5, 300.0, 1]
    nested = fits["1"]["smplx_param"]
    nested |= {"root_pose": [nested["root_pose"]], "body_pose": np.reshape(nested["body_pose"], (21, 3)).tolist()}
    odd = [copy.deepcopy(annotations[0]) | {"id": 4 + k} for k in range(3)]
    odd[0]["bbox"] = [100.0, 100.0, 0.0, 40.0]
    odd[1]["image_id"] = 99
    fits |= {str(4 + k): copy.deepcopy(fits["0"]) for k in range(3)}
    fits["6"]["smplx_param"]["trans"][0] = float("nan")
    images = [
        {"id": i, "file_name": f"images/{name}", "height": view.height, "width": view.width}
        for i, name, view in ((0, NAMES[0], VIEWS[0]), (1, NAMES[1], VIEWS[1]), (99, "099999999.jpg", VIEWS[0]))
    ]
    order = [annotations[2], annotations[3], odd[0], annotations[0], odd[1], odd[2], annotations[1]]
    dump(root / "annotations/train.json", {"images": images, "annotations": order, "categories": []})
    withheld = [{key: value for key, value in a.items() if key != "keypoints"} for a in annotations[:2]]
    dump(root / "annotations/test.json", {"images": images, "annotations": withheld})
    dump(root / FITS, fits)
    for name, view in zip(NAMES, VIEWS, strict=True):
        blank(root, [f"images/{name}"], view.height, view.width)
    truth = joined([first.truth([f"images/{NAMES[0]}"] * 2), second.truth([f"images/{NAMES[1]}"] * 2)], [1, 0, 2])
    rows = [2, 0, 1]
    dropped = {
        "no SMPL-X fit": 1,
        "image missing": 1,
        "body parameters not finite": 1,
        "body box empty or outside the image": 1,
    }
    tree = Trees(root, truth, [annotations[i] for i in rows], [fits[str(i)] for i in rows], dropped)
    tree.eft, tree.cliff = _eft(root, models, rng), _cliff(root, models, rng)
    return tree


def _annotation(group: People, k: int, id: int, image_id: int) -> dict[str, Any]:
    points = group.labelled(k, "mpii")
    record = {"id": id, "image_id": image_id, "bbox": group.box(k), "keypoints": points.ravel().tolist()}
    return record | {"num_keypoints": int((points[:, 2] > 0).sum()), "iscrowd": 0, "area": 1.0, "category_id": 1}


def _eft(root: Path, models: Path, rng: np.random.Generator) -> Truth:
    """Two people of one image."""
    seats = [eft.Seat(300, 350, 200, (310, 340), 440), eft.Seat(900, 360, 210, (890, 350), 460)]
    fits = eft.make(models, rng, seats)
    for record in fits.records:
        record["imageName"] = NAMES[0]
    del fits.records[1]["annotId"]
    eft.dump(root / EFT, fits.records)
    return fits.truth([f"images/{NAMES[0]}"] * 2)


def _cliff(root: Path, models: Path, rng: np.random.Generator) -> Truth:
    """Two people of one image, seen by the camera that CLIFF assumes."""
    height, width = VIEWS[1].height, VIEWS[1].width
    view = PaintedView(height, width, float(np.hypot(height, width)))
    group = people(models, rng, "smpl", view, [2])
    pose = np.array([group.fit(k)["smpl_param"]["pose"] for k in range(2)])
    shape = group.cast.params.betas
    # Where the full camera sees them: the same people, placed by the pinhole of the whole image.
    transl = group.cast.params.transl.copy()
    for k, own in enumerate(group.views):
        pelvis = group.cast.joints[k, 0]
        depth = pelvis[2] * view.focal / own.focal
        place = np.append((own.principal_point - view.principal_point) / view.focal * depth, depth)
        transl[k] += place - pelvis
    moved = group.cast.joints + (transl - group.cast.params.transl)[:, None]
    points = moved[..., :2] / moved[..., 2:] * view.focal + view.principal_point
    low, high = points.min(axis=1), points.max(axis=1)
    part = np.stack([eft.labelled(own)[25:] for own in points])
    path = root / CLIFF
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        imgname=np.array([f"images/{NAMES[1]}"] * 2),
        center=(low + high) / 2,
        scale=(high - low).max(axis=1) / 200,
        part=part,
        pose=pose,
        shape=shape,
        global_t=transl,
        focal_l=np.full(2, view.focal),
        annot_id=np.array([5, 3]),
    )
    return Truth([f"images/{NAMES[1]}"] * 2, moved, points, np.array(["neutral"] * 2))


def hrnet(root: Path, path: str, image: str = NAMES[0]) -> list[dict[str, Any]]:
    """Write an HRNet-style file: one person with a joint that is not labelled. What was written."""
    rng = np.random.default_rng(0)
    joints = np.round(rng.uniform(200, 500, (16, 2)), 1)
    seen = np.ones(16, int)
    joints[3], seen[3] = (-1, -1), 0
    person = {"image": image, "center": [351.0, 341.0], "scale": 1.9}
    person |= {"joints": joints.tolist(), "joints_vis": seen.tolist()}
    dump(root / path, [person])
    return [person]


def people_list(root: Path, path: str) -> list[dict[str, Any]]:
    """Write the list of train and val: two people of train and one of val, joints left out in either way."""
    rng = np.random.default_rng(1)
    found = []
    for k, validation in enumerate((0.0, 1.0, 0.0)):
        joints = np.column_stack([np.round(rng.uniform(200, 500, (16, 2)), 1), np.arange(16) % 2])
        joints[2], joints[3, 2] = 0, 2
        person = {"dataset": "MPI", "isValidation": validation, "img_paths": NAMES[k % 2], "people_index": 1.0}
        person |= {"img_width": VIEWS[k % 2].width, "img_height": VIEWS[k % 2].height, "numOtherPeople": 0.0}
        found.append(person | {"objpos": [351.0, 300.0 + k], "scale_provided": 1.5, "joint_self": joints.tolist()})
    dump(root / path, found)
    return found
