"""What small MSCOCO and UBody trees share: COCO-WholeBody annotations and fits with a virtual camera a person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ehps.converters.base import Rigid
from ehps.demo.people import random_people
from ehps.demo.raw import stage
from ehps.demo.raw.stage import Look, PaintedView
from ehps.humandata import keypoints

PARTS = {
    "keypoints": (0, 17),
    "foot_kpts": (17, 23),
    "face_kpts": (23, 91),
    "lefthand_kpts": (91, 112),
    "righthand_kpts": (112, 133),
}
BOXES = {"face_box": "face_kpts", "lefthand_box": "lefthand_kpts", "righthand_box": "righthand_kpts"}


def people(
    models: Path, rng: np.random.Generator, look: Look, images: int, view: PaintedView
) -> tuple[stage.Cast, list[PaintedView]]:
    """Neutral people already in the camera frame, and the virtual camera of each.

    A virtual camera has its own focal length and looks at its person; what it projects is where the person is in
    the image of ``view``, which therefore shows people as the virtual cameras see them.
    """
    image, pelvis = stage.places(rng, look.crowd(rng, images), view, share=look.share)
    n = len(image)
    # Such fits know nothing of the eyes.
    still = np.zeros((n, 3))
    params = random_people(n, rng, style=look.style, gender="neutral").with_(leye_pose=still, reye_pose=still)
    facing = stage.orientations(rng, n, yaw=look.yaw, spread=look.spread, tilt=look.tilt)
    # Seen from far away with a long lens, principal point at the person.
    depth_scale = rng.uniform(4, 8, n)
    centre = pelvis[:, :2] / pelvis[:, 2:] * view.focal + view.principal_point
    far = np.column_stack([np.zeros((n, 2)), pelvis[:, 2] * depth_scale])
    cast = stage.cast(models, params, Rigid(np.eye(3), np.zeros(3)), image, far, facing)
    views = [
        PaintedView(view.height, view.width, view.focal * s, (c[0], c[1]))
        for s, c in zip(depth_scale, centre, strict=True)
    ]
    return cast, views


def paint(
    root: Path,
    paths: list[str],
    cast: stage.Cast,
    views: list[PaintedView],
    models: Path,
    rng: np.random.Generator,
    scene: str,
) -> None:
    """Images of people seen by cameras of their own: every person is moved to where one common long lens sees the
    same pixels."""
    common = PaintedView(views[0].height, views[0].width, 5000.0)
    ratio = np.array([common.focal / view.focal for view in views])
    depth = cast.vertices[..., 2:] * ratio[:, None, None]
    pixels = np.stack([stage.project(cast.vertices[k], view) for k, view in enumerate(views)])
    vertices = np.concatenate([(pixels - common.principal_point) / common.focal * depth, depth], axis=-1)
    shown = stage.Cast(cast.params, cast.move, cast.image, cast.joints, vertices)
    stage.paint(root, paths, shown, common, models, rng, scene=scene)


def annotation(points: np.ndarray, view: PaintedView, *, id: int, image_id: int) -> dict[str, Any]:
    """A COCO-WholeBody record of one person; ``points`` (144, 2) are SMPL-X joints in the image.

    Points outside the image are not labelled.
    """
    inside = (points >= 0).all(1) & (points[:, 0] < view.width) & (points[:, 1] < view.height)
    flagged = np.column_stack([points, 2.0 * inside])
    labelled, _ = keypoints.convert(flagged[None], "smplx", "coco_wholebody")
    body = labelled[0]
    body[[91, 112]] = body[[9, 10]]  # the roots of the hands are the wrists
    body[body[:, 2] == 0, :2] = 0
    record: dict[str, Any] = {"id": id, "image_id": image_id, "category_id": 1, "iscrowd": 0}
    for name, (start, end) in PARTS.items():
        part = body[start:end].copy()
        if name in ("face_kpts", "lefthand_kpts", "righthand_kpts"):
            part[:, 2] = part[:, 2] > 0
        record[name] = np.round(part, 3).ravel().tolist()
    for box, name in BOXES.items():
        start, end = PARTS[name]
        seen = body[start:end][body[start:end, 2] > 0, :2]
        valid = len(seen) > 5
        record[box] = xywh(seen) if valid else [0.0, 0.0, 0.0, 0.0]
        record[box.replace("_box", "_valid")] = valid
    record["foot_valid"] = bool(body[17:23, 2].any())
    record["num_keypoints"] = int((body[:17, 2] > 0).sum())
    visible = points[inside]
    record["bbox"] = xywh(visible) if len(visible) else [0.0, 0.0, 0.0, 0.0]
    record["area"] = record["bbox"][2] * record["bbox"][3]
    record["segmentation"] = []
    return record


def xywh(points: np.ndarray) -> list[float]:
    low, high = points.min(0), points.max(0)
    return [float(v) for v in np.concatenate([low, high - low])]


def fit(cast: stage.Cast, k: int, view: PaintedView) -> dict[str, Any]:
    """The fit record of person ``k``."""
    arrays = cast.params.arrays()
    names = {
        "root_pose": "global_orient",
        "body_pose": "body_pose",
        "lhand_pose": "left_hand_pose",
        "rhand_pose": "right_hand_pose",
        "jaw_pose": "jaw_pose",
        "shape": "betas",
        "expr": "expression",
        "trans": "transl",
    }
    return {
        "smplx_param": {key: arrays[name][k].ravel().tolist() for key, name in names.items()},
        "cam_param": {"focal": [view.focal, view.focal], "princpt": view.principal_point.tolist()},
    }
