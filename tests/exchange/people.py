"""People for the forms of other programs: every number drawn, boxes square, three people an image at most."""

from __future__ import annotations

from typing import Any

import numpy as np

from ehps.exchange.hmr_rows import POINTS
from ehps.humandata.core import HumanData
from ehps.humandata.passport import Passport

MINE = "meta/smplx_valid"


def _people(
    n: int, body: dict[str, tuple[int, ...]], points: dict[str, tuple[int, tuple[str, ...]]], **facts: Any
) -> HumanData:
    random = np.random.default_rng(7)

    def some(*shape: int) -> np.ndarray:
        return random.normal(size=(n, *shape)).astype(np.float32)

    side = random.uniform(50, 300, n).astype(np.float32)
    model_type = facts["body_model"]
    columns: dict[str, Any] = {
        "image_path": [f"seq.{k // 3}/image {k // 3}.jpg" for k in range(n)],
        "bbox_xywh": np.stack([*random.uniform(0, 400, (2, n)), side, side, np.ones(n)], axis=1).astype(np.float32),
        **{f"{model_type}/{name}": some(*shape) for name, shape in body.items()},
        "meta/focal_length": some(2),
        "meta/principal_point": np.tile(np.float32([320, 240]), (n, 1)),
        "meta/gender": ["neutral"] * n,
        MINE: np.ones(n, bool),
    }
    for name, (channels, names) in points.items():
        columns[name] = some(len(names), channels)
        columns[name][..., -1] = 1
    return HumanData(
        columns,
        keypoint_names={name: names for name, (_, names) in points.items()},
        passport=Passport(gender="neutral", dataset="agora", split="train", **facts),
    )


def smpl_people(n: int) -> HumanData:
    body = {"betas": (10,), "transl": (3,), "global_orient": (3,), "body_pose": (23, 3)}
    points = {"keypoints2d_original": (3, POINTS), "keypoints3d_original": (4, POINTS)}
    return _people(n, body, points, body_model="smpl", num_betas=10)


def smplx_people(n: int, *, betas: int = 10, points: tuple[str, ...] = POINTS) -> HumanData:
    body = {"betas": (betas,), "transl": (3,), "global_orient": (3,), "body_pose": (21, 3), "jaw_pose": (3,)}
    body |= {f"{side}_hand_pose": (15, 3) for side in ("left", "right")}
    version = "locked_head" if betas == 16 else "1.1"
    return _people(
        n,
        body,
        {"keypoints2d_smplx": (3, points)},
        body_model="smplx",
        num_betas=betas,
        flat_hand_mean=True,
        body_model_version=version,
    )


def same(a: Any, b: Any) -> None:
    """Not a bit differs."""
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    assert np.array_equal(a, b)
