"""A CrowdPose tree with everything that its annotations hold against a reader."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np

from ehps.demo.raw.stage import PaintedView
from tests.raw.checks import blank
from tests.raw.neural_annot import People, Tree, dump, joined, people

FITS = "CrowdPose_train_SMPL_NeuralAnnot.json"
VIEWS = (PaintedView(425, 640, 600.0), PaintedView(480, 720, 700.0))
IMAGES = (100_000, 106_848)


def write_fixture(root: Path, models: Path, rng: np.random.Generator) -> Tree:
    """Two landscape images, width and height of the first exchanged in the json; four people with a fit among seven
    that cannot be used.

    Rows are, in the order of the json (images interleaved): first image; second; first, every joint hidden, box
    beyond what the exchanged size would allow; second, labelled head and neck alone (``num_keypoints`` 0).
    """
    groups = [people(models, rng, "smpl", view, [2], share=(0.6, 0.7)) for view in VIEWS]
    first, second = groups
    who = [(first, 0, 0), (second, 0, 1), (first, 1, 0), (second, 1, 1)]
    rows = [_annotation(group, k, 100_016 + i, image) for i, (group, k, image) in enumerate(who)]
    fits = {str(a["id"]): group.fit(k) for a, (group, k, _) in zip(rows, who, strict=True)}
    rows[2]["keypoints"][2::3] = [min(v, 1) for v in rows[2]["keypoints"][2::3]]
    rows[3]["keypoints"][:36] = [0] * 36
    rows[3]["num_keypoints"] = 0
    fits[str(rows[1]["id"])]["fit_err"] = 3.5
    odd = [copy.deepcopy(rows[0]) | {"id": 186_780 + k} for k in range(7)]
    odd[0]["iscrowd"] = 1
    odd[1] |= {"num_keypoints": 0, "keypoints": [0] * 42}
    odd[2]["bbox"] = [100.0, 100.0, 30.0, 0.0]
    odd[4]["image_id"] = 199_999
    odd[6]["bbox"] = [650.0, 10.0, 50.0, 50.0]
    for k in (0, 1, 2, 4, 5, 6):
        fits[str(odd[k]["id"])] = copy.deepcopy(fits[str(rows[0]["id"])])
    fits[str(odd[5]["id"])]["smpl_param"]["shape"][4] = float("nan")
    order = [odd[0], rows[0], odd[1], rows[1], odd[2], odd[3], rows[2], odd[4], odd[5], rows[3], odd[6]]
    images = [
        {"id": number, "file_name": f"{number}.jpg", "height": view.height, "width": view.width, "crowdIndex": 0.3 + k}
        for k, (number, view) in enumerate(zip((*IMAGES, 199_999), (*VIEWS, VIEWS[0]), strict=True))
    ]
    images[0] |= {"height": VIEWS[0].width, "width": VIEWS[0].height}
    dump(root / "crowdpose_train.json", {"images": images, "annotations": order, "categories": []})
    dump(root / "crowdpose_val.json", {"images": images[1:], "annotations": [rows[1], rows[3]], "categories": []})
    dump(root / FITS, fits)
    for number, view in zip(IMAGES, VIEWS, strict=True):
        blank(root, [f"images/{number}.jpg"], view.height, view.width)
    truth = joined(
        [group.truth([f"images/{n}.jpg"] * 2) for group, n in zip(groups, IMAGES, strict=True)], [0, 2, 1, 3]
    )
    dropped = {
        "crowd region": 1,
        "no labelled joint": 1,
        "no SMPL fit": 1,
        "image missing": 1,
        "body parameters not finite": 1,
        "body box empty or outside the image": 2,
    }
    return Tree(root, truth, rows, [fits[str(a["id"])] for a in rows], dropped)


def _annotation(group: People, k: int, id: int, image: int) -> dict[str, Any]:
    points = group.labelled(k, "crowdpose", visible=2)
    points[12:, 2] = np.minimum(points[12:, 2], 1)  # head and neck are never called visible
    return {
        "id": id,
        "image_id": IMAGES[image],
        "bbox": group.box(k),
        "keypoints": points.ravel().tolist(),
        "num_keypoints": int((points[:12, 2] > 0).sum()),
        "iscrowd": 0,
        "category_id": 1,
    }
