"""Small sound files to test on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ehps.humandata import HumanData, Passport

POINTS = ("pelvis", "left_hip", "right_hip", "nose")


def build(n: int = 7, seed: int = 0, *, dataset: str = "toy", **columns: Any) -> HumanData:
    """n instances that contradict nothing, two in an image; ``columns`` (``__`` for ``/``) replace or add."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(1, 100, (n, len(POINTS), 4)).astype(np.float32)
    sound: dict[str, Any] = {
        "image_path": [f"{dataset}/{seed}/{i // 2}.jpg" for i in range(n)],
        "bbox_xywh": np.tile(np.array([10, 20, 100, 200, 1], np.float32), (n, 1)),
        "keypoints2d_smplx": points[..., :3],
        "keypoints3d_smplx": points,
        "smplx/betas": rng.normal(size=(n, 10)).astype(np.float32),
        "smplx/transl": rng.normal(size=(n, 3)).astype(np.float32),
        "smplx/global_orient": rng.normal(size=(n, 3)).astype(np.float32),
        "smplx/body_pose": rng.normal(size=(n, 21, 3)).astype(np.float32),
        "smplx/left_hand_pose": rng.normal(size=(n, 15, 3)).astype(np.float32),
        "meta/height": np.full(n, 480, np.int32),
        "meta/width": np.full(n, 640, np.int32),
        "meta/gender": [("female", "male", "neutral")[i % 3] for i in range(n)],
        "quality/height_m": rng.uniform(1.5, 1.9, n),
        "quality/finite": np.ones(n, bool),
    }
    return HumanData(
        sound | {name.replace("__", "/"): value for name, value in columns.items()},
        keypoint_names={"keypoints2d_smplx": POINTS, "keypoints3d_smplx": POINTS},
        passport=Passport(
            body_model="smplx",
            body_model_version="1.1",
            num_betas=10,
            gender="per-instance",
            flat_hand_mean=False,
            dataset=dataset,
            split="train",
        ),
        misc={"bbox_source": "keypoints2d_smplx"},
        quality={"rows": n},
    )


def check_same(a: HumanData, b: HumanData) -> None:
    """Equal columns (order, types, values), keypoint names and passports."""
    assert a.columns == b.columns
    assert len(a) == len(b)
    for name in a.columns:
        x, y = a[name], b[name]
        if isinstance(x, np.ndarray):
            assert (x.dtype, x.shape) == (y.dtype, y.shape), name
            np.testing.assert_array_equal(x, y, err_msg=name)
        else:
            assert x.tolist() == y.tolist(), name
    assert a.keypoint_names == b.keypoint_names
    assert a.passport == b.passport


@pytest.fixture(scope="session")
def people() -> Callable[..., HumanData]:
    return build


@pytest.fixture
def same() -> Callable[[HumanData, HumanData], None]:
    return check_same
