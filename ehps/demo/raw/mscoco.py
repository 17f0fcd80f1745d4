"""A small MSCOCO tree: COCO-WholeBody annotations, NeuralAnnot-style fits (train only), painted images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ehps.demo.raw import stage, wholebody
from ehps.demo.raw.stage import Look, PaintedView, Truth


def write(
    root: Path,
    models: Path,
    rng: np.random.Generator,
    *,
    look: Look,
    images: int,
    split: str = "train",
    view: PaintedView | None = None,
    painted: bool = True,
) -> Truth:
    """Write one split; annotation ids are not in the order of image ids, as in the real files."""
    view = view or PaintedView(480, 640, 600.0)
    cast, views = wholebody.people(models, rng, look, images, view)
    points = np.stack([stage.project(cast.joints[k], own) for k, own in enumerate(views)])
    image_ids = np.sort(rng.choice(500_000, images, replace=False)).tolist()
    ids = rng.choice(2_000_000, len(cast), replace=False).tolist()
    names = [f"{i:012d}.jpg" for i in image_ids]
    listed = [
        {"id": i, "file_name": name, "height": view.height, "width": view.width}
        for i, name in zip(image_ids, names, strict=True)
    ]
    records = [
        wholebody.annotation(points[k], view, id=ids[k], image_id=image_ids[i]) for k, i in enumerate(cast.image)
    ]
    folder = root / "annotations"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"coco_wholebody_{split}_v1.0.json").write_text(
        json.dumps({"images": listed, "annotations": records, "categories": [{"id": 1, "name": "person"}]})
    )
    if split == "train":
        fits = {str(ids[k]): wholebody.fit(cast, k, own) for k, own in enumerate(views)}
        (folder / "MSCOCO_train_SMPLX_all_NeuralAnnot.json").write_text(json.dumps(fits))
    paths = [f"images/{split}2017/{name}" for name in names]
    if painted:
        wholebody.paint(root, paths, cast, views, models, rng, look.scene)
    return Truth([paths[i] for i in cast.image], cast.joints, points, cast.params.gender)
