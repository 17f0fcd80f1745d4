"""A MSCOCO tree with everything that its annotations hold against a reader."""

from __future__ import annotations

import copy
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ehps.demo.raw import mscoco
from ehps.demo.raw.stage import Look, PaintedView
from tests.raw.checks import blank
from tests.raw.wholebody import Tree, truth_of

FITS = "MSCOCO_train_SMPLX_all_NeuralAnnot.json"
LOOK = Look(people=(3, 3), share=(0.5, 0.6))
VIEWS = (PaintedView(480, 640, 600.0), PaintedView(640, 426, 700.0))
RLE = {"counts": [20, 5, 300], "size": [480, 640]}


def write_fixture(root: Path, models: Path, rng: np.random.Generator) -> Tree:
    """Two train images of different size, five people with usable fits, seven other annotations; a val split.

    The five, in the order of the json (images interleaved): 0 plain; 1 right hand unseen, fractional flags left;
    2 face unseen but boxed, fit in nested lists whose own flag says that the left hand is unseen; 3 fit without
    ``lhand_pose``; 4 plain.
    """
    (images, people, fits), val = _written(models, rng, "train"), _written(models, rng, "val")
    people = [people[k] for k in (0, 1, 3, 2, 4, 5)]  # of images 0 0 1 0 1 1
    people[0]["keypoints"][5 * 3 + 2] = 1  # labelled, hidden
    _unsee(people[1], "righthand")
    people[1]["lefthand_kpts"][2::3] = np.linspace(0.0877, 0.9, 21).tolist()
    people[2]["face_valid"] = False
    nested = fits[str(people[2]["id"])]["smplx_param"]
    nested |= {"body_pose": np.reshape(nested["body_pose"], (21, 3)).tolist(), "root_pose": [nested["root_pose"]]}
    nested |= {"lhand_valid": False, "rhand_valid": True, "face_valid": False}
    del fits[str(people[3]["id"])]["smplx_param"]["lhand_pose"]
    unfitted = people.pop()
    del fits[str(unfitted["id"])]
    odd = [unfitted, *_odd(people, fits, images)]
    order = [odd[0], people[0], odd[1], people[1], odd[2], people[2], *odd[3:5], people[3], people[4], *odd[5:]]
    _dump(root, "train", images, order, fits)
    _dump(root, "val", *val[:2])
    for split, entries in (("train", images[:2]), ("val", val[0])):
        for image in entries:
            blank(root, [f"images/{split}2017/{image['file_name']}"], image["height"], image["width"])
    names = {image["id"]: image["file_name"] for image in images}
    kept = [fits[str(a["id"])] for a in people]
    truth = truth_of(
        [f"images/train2017/{names[a['image_id']]}" for a in people], kept, models, unseen_left=[2, 3], unseen_right=[1]
    )
    dropped = {
        "no SMPL-X fit": 1,
        "crowd region": 1,
        "no labelled body joint": 1,
        "empty box": 1,
        "body box empty or outside the image": 1,
        "body parameters not finite": 1,
        "image missing": 1,
    }
    return Tree(root, truth, people, kept, dropped)


def _written(
    models: Path, rng: np.random.Generator, split: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, Any]]:
    """Images, people and fits of one image of each size."""
    images: list[dict[str, Any]] = []
    people: list[dict[str, Any]] = []
    fits: dict[str, Any] = {}
    for view in VIEWS:
        with tempfile.TemporaryDirectory() as folder:
            mscoco.write(Path(folder), models, rng, look=LOOK, images=1, split=split, view=view, painted=False)
            coco = json.loads((Path(folder) / f"annotations/coco_wholebody_{split}_v1.0.json").read_text())
            images += coco["images"]
            people += coco["annotations"]
            if split == "train":
                fits |= json.loads((Path(folder) / "annotations" / FITS).read_text())
    return images, people, fits


def _unsee(person: dict[str, Any], part: str) -> None:
    person[f"{part}_valid"] = False
    person[f"{part}_box"] = [0.0, 0.0, 0.0, 0.0]
    person[f"{part}_kpts"] = [0.0] * 63


def _odd(people: list[dict[str, Any]], fits: dict[str, Any], images: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A crowd, a person without body joints, without box, with a box elsewhere, with a fit that is no number, and
    one in an image that is not there; all of them have a fit."""
    model = people[0]
    images.append({"id": 999_999, "file_name": "000000999999.jpg", "height": 480, "width": 640})
    changes: list[dict[str, Any]] = [
        {"iscrowd": 1, "segmentation": RLE},
        {"num_keypoints": 0, "keypoints": [0] * 51},
        {"bbox": [100.0, 100.0, 0.0, 50.0]},
        {"bbox": [700.0, 100.0, 50.0, 50.0]},
        {},
        {"image_id": 999_999},
    ]
    odd = []
    for k, change in enumerate(changes):
        odd.append(copy.deepcopy(model) | {"id": 3_000_000 + k} | change)
        fits[str(3_000_000 + k)] = copy.deepcopy(fits[str(model["id"])])
    fits["3000004"]["smplx_param"]["trans"][2] = float("nan")
    return odd


def _dump(
    root: Path,
    split: str,
    images: list[dict[str, Any]],
    people: list[dict[str, Any]],
    fits: dict[str, Any] | None = None,
) -> None:
    folder = root / "annotations"
    folder.mkdir(parents=True, exist_ok=True)
    whole = {"info": {}, "licenses": [], "categories": [], "images": images[::-1], "annotations": people}
    (folder / f"coco_wholebody_{split}_v1.0.json").write_text(json.dumps(whole))
    names = ("id", "image_id", "category_id", "iscrowd", "num_keypoints", "area", "bbox", "segmentation", "keypoints")
    body = [{name: person[name] for name in names} for person in people]
    (folder / f"person_keypoints_{split}2017.json").write_text(json.dumps(whole | {"annotations": body}))
    if fits is not None:
        (folder / FITS).write_text(json.dumps(fits))
