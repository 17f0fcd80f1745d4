"""Small test sets: drawn people whose SMPL-X parameters are known, as HumanData files with images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ehps.body.models import BodyModels
from ehps.body.params import BodyParams, smplx_params
from ehps.humandata import keypoints
from ehps.humandata.core import HumanData
from ehps.humandata.drawing import skeleton
from ehps.humandata.passport import Passport

SIZE = (160, 120)  # height, width
FOCAL = 400.0


@dataclass(frozen=True)
class Style:
    """How the people of a set stand.

    Turned about the vertical axis by ``turn`` +- ``spread`` radians, arms and legs bent by normal angles of ``bend``.
    """

    turn: float = 0.0
    spread: float = 0.4
    bend: float = 0.25


def people(n: int, rng: np.random.Generator, style: Style) -> BodyParams:
    """Upright people in front of the camera."""
    from scipy.spatial.transform import Rotation

    upright = Rotation.from_rotvec((np.pi, 0, 0))
    angle = style.turn + rng.uniform(-style.spread, style.spread, n)
    orient = (upright * Rotation.from_rotvec(np.outer(angle, (0, 1, 0)))).as_rotvec()
    pose = rng.normal(0, 0.05, (n, 21, 3))
    limbs = [0, 1, 3, 4, 15, 16, 17, 18]
    pose[:, limbs] += rng.normal(0, style.bend, (n, len(limbs), 3))
    return smplx_params(
        gender="neutral",
        betas=rng.normal(0, 0.5, (n, 10)),
        global_orient=orient,
        body_pose=pose,
        transl=np.stack((rng.uniform(-0.1, 0.1, n), rng.uniform(0.2, 0.3, n), rng.uniform(4.6, 5.2, n)), 1),
        left_hand_pose=rng.normal(0, 0.1, (n, 45)),
        right_hand_pose=rng.normal(0, 0.1, (n, 45)),
        jaw_pose=rng.normal(0, 0.02, (n, 3)),
        expression=rng.normal(0, 0.3, (n, 10)),
    )


def draw(points: np.ndarray, depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A stick figure whose limbs are coloured by identity, so that front and back can be told apart."""
    image = np.full((*SIZE, 3), rng.integers(60, 200, 3), np.uint8)
    limbs = [(a, b) for a, b in skeleton.limbs(keypoints.point_names("smplx")) if max(a, b) < min(66, len(points))]
    colours = np.random.default_rng(0).integers(0, 255, (144, 3))
    for a, b in sorted(limbs, key=lambda limb: -depth[list(limb)].mean()):
        ends = [tuple(round(float(v)) for v in points[i]) for i in (a, b)]
        cv2.line(image, ends[0], ends[1], colours[a].tolist(), 4, cv2.LINE_AA)
    return image


def write_set(
    folder: Path, params: BodyParams, bodies: BodyModels, *, seed: int = 0, name: str = "set", **columns: object
) -> Path:
    """Draw ``params`` and write ``folder/<name>.h5``; images are in ``folder/<name>/``."""
    rng = np.random.default_rng(seed)
    joints = bodies.joints(params, "float64")
    centre = np.array((SIZE[1] / 2, SIZE[0] / 2))
    points = joints[..., :2] / joints[..., 2:] * FOCAL + centre
    (folder / name).mkdir(parents=True)
    paths = []
    for i in range(len(params)):
        image = draw(points[i], joints[i, :, 2], rng)
        paths.append(f"{name}/take{i % 3}/{i:04d}.jpg")
        path = folder / paths[-1]
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), image, (cv2.IMWRITE_JPEG_QUALITY, 95))
    n = len(params)
    low, high = points.min(1), points.max(1)
    middle, extent = (low + high) / 2, (high - low) * 1.2
    boxes = np.concatenate((middle - extent / 2, extent, np.ones((n, 1))), axis=1)
    fields = {f"{params.model_type}/{key}": value.astype(np.float32) for key, value in params.arrays().items()}
    hd = HumanData(
        {
            "image_path": paths,
            "bbox_xywh": boxes.astype(np.float32),
            **fields,
            "meta/gender": params.gender.tolist(),
            "meta/height": np.full(n, SIZE[0], np.int32),
            "meta/width": np.full(n, SIZE[1], np.int32),
            "meta/focal_length": np.full((n, 2), FOCAL, np.float32),
            "meta/principal_point": np.tile(centre, (n, 1)).astype(np.float32),
            **columns,  # type: ignore[dict-item]
        },
        passport=Passport(
            body_model=params.model_type,
            body_model_version="stand-in",
            num_betas=10,
            gender="neutral" if (params.gender == "neutral").all() else "per-instance",
            flat_hand_mean=False if params.model_type == "smplx" else None,
            dataset=name,
        ),
    )
    return hd.save(folder / f"{name}.h5")
