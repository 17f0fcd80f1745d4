"""A small UBody tree: scenes with COCO-WholeBody-like annotations, fits by annotation id, split lists."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ehps.demo.raw import stage, wholebody
from ehps.demo.raw.stage import Look, PaintedView, Truth
from ehps.humandata import boxes


def write(
    root: Path,
    models: Path,
    rng: np.random.Generator,
    *,
    look: Look,
    images: int,
    scene: str = "Speech",
    clip: str = "Speech_S1_Trim1",
    held_out: bool = False,
    view: PaintedView | None = None,
    painted: bool = True,
) -> Truth:
    """Write one clip into a scene; ``held_out`` puts its video on the intra-scene test list."""
    view = view or PaintedView(360, 640, 700.0)
    cast, views = wholebody.people(models, rng, look, images, view)
    points = np.stack([stage.project(cast.joints[k], own) for k, own in enumerate(views)])
    folder = root / "annotations" / scene
    coco, fits = _existing(folder)
    start = 10 * len(coco["images"]) + 7  # ids are neither consecutive nor list positions
    image_ids = [start + 10 * i for i in range(images)]
    ids = [3 * (len(coco["annotations"]) + k) + 1 for k in range(len(cast))]
    names = [f"{clip}/{clip}/{i + 1:06d}.png" for i in range(images)]
    for i, name in zip(image_ids, names, strict=True):
        coco["images"].append({"id": i, "file_name": name, "height": view.height, "width": view.width})
    for k, i in enumerate(cast.image):
        record = wholebody.annotation(points[k], view, id=ids[k], image_id=image_ids[i])
        # A detector's box, with the room around the joints that people need.
        box = boxes.clip(boxes.scale(np.array([record["bbox"]]), boxes.BODY_SCALE), (view.height, view.width))
        coco["annotations"].append(record | {"valid_label": 2, "bbox": box[0].tolist()})
        fits[str(ids[k])] = wholebody.fit(cast, k, views[k])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "keypoint_annotation.json").write_text(json.dumps(coco))
    (folder / "smplx_annotation.json").write_text(json.dumps(fits))
    add_to_list(root, "intra", [clip.split("_Trim")[0]] if held_out else [])
    add_to_list(root, "inter", [])
    paths = [f"images/{scene}/{name}" for name in names]
    if painted:
        wholebody.paint(root, paths, cast, views, models, rng, look.scene)
    return Truth([paths[i] for i in cast.image], cast.joints, points, cast.params.gender)


def _existing(folder: Path) -> tuple[dict[str, list[dict[str, object]]], dict[str, object]]:
    if not folder.is_dir():
        return {"images": [], "annotations": []}, {}
    keypoints = json.loads((folder / "keypoint_annotation.json").read_text())
    return keypoints, json.loads((folder / "smplx_annotation.json").read_text())


def add_to_list(root: Path, split: str, videos: list[str]) -> None:
    """Add videos to the ``intra`` or ``inter`` scene test list."""
    path = root / "splits" / f"{split}_scene_test_list.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    known = np.load(path).tolist() if path.exists() else []
    np.save(path, np.array([*known, *videos], dtype="<U80"))
