"""What SMPLer-X, SMPLest-X and AiOS find in the ``.npz`` of every converter and in every export of it.

Each reader is followed step by step as far as it chooses columns and joints: SMPLer-X and SMPLest-X take the first 2D
and the first 3D column of their lists and believe the mask of the latter for both; AiOS believes the confidences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ehps.converters import registry
from ehps.errors import UsageError
from ehps.humandata import HumanData
from ehps.humandata.export import TARGETS, export_for, recipe_for
from ehps.humandata.keypoints import CONVENTIONS
from ehps.humandata.storage import npz
from tests.raw.fixtures import FIXTURES
from tests.raw.trees import Raw

SMPLER_X_2D = ("keypoints2d", "keypoints2d_smplx", "keypoints2d_smpl", "keypoints2d_original")
SMPLER_X_3D = ("keypoints3d_cam", "keypoints3d", "keypoints3d_smplx", "keypoints3d_smpl", "keypoints3d_original")
AIOS_2D = ("keypoints2d_ori", "keypoints2d_smplx", "keypoints2d_smpl", "keypoints2d_original", "keypoints2d")
LAYOUT = CONVENTIONS["human_data"]
JOINTS = np.array([LAYOUT.index(name) for name in CONVENTIONS["smplx_137"]])
BODY = JOINTS[:25]
FLAGS = ("face_valid", "lefthand_valid", "righthand_valid", "valid_label", "iscrowd")


def opened(path: Path) -> dict[str, Any]:
    """As the programs open it (our own file only)."""
    with np.load(path, allow_pickle=True) as content:
        return {k: v.item() if v.ndim == 0 else v for k, v in ((k, content[k]) for k in content.files)}


def in_slots(content: dict[str, Any], name: str) -> np.ndarray:
    """A keypoint column with all its slots, as the readers pad it; they assert that mask and points agree."""
    mask, points = content[f"{name}_mask"], content[name]
    if not content["__keypoints_compressed__"]:
        assert points.shape[1] == len(mask)
        return points
    assert mask.sum() == points.shape[1]
    padded = np.zeros((len(points), len(mask), points.shape[2]), points.dtype)
    padded[:, mask == 1] = points
    return padded


def first(content: dict[str, Any], names: Sequence[str]) -> str | None:
    return next((name for name in names if name in content), None)


def used_by_smpler_x(content: dict[str, Any], joints: np.ndarray) -> np.ndarray:
    """Which of the joints SMPLer-X and SMPLest-X train on, the same for all rows."""
    points2d, points3d = first(content, SMPLER_X_2D), first(content, SMPLER_X_3D)
    assert points2d is not None, "NameError in both readers"
    valid = in_slots(content, points2d)[0, :, -1] * 0 + content[f"{points3d or points2d}_mask"]
    return valid[joints] == 1


def used_by_aios(content: dict[str, Any], joints: np.ndarray) -> np.ndarray:
    points2d = first(content, AIOS_2D)
    assert points2d is not None
    return (in_slots(content, points2d)[:, joints, -1] > 0).any(axis=0)


def has_body(hd: HumanData) -> bool:
    """Whether some row has a labelled point that the readers could use as a body joint."""
    wanted = {LAYOUT[slot] for slot in BODY}
    for name, points in hd.keypoint_names.items():
        at = [i for i, point in enumerate(points) if point in wanted]
        if at and (hd[name][:, at, -1] > 0).any():
            return True
    return False


def check_masks(content: dict[str, Any]) -> None:
    """Mask 1 exactly where some row has a confidence."""
    for name in [k for k in content if k.startswith("keypoints") and f"{k}_mask" in content]:
        labelled = (in_slots(content, name)[..., -1] > 0).any(axis=0)
        np.testing.assert_array_equal(content[f"{name}_mask"], labelled, err_msg=name)


def check_joints(content: dict[str, Any], hd: HumanData, used: Callable[..., np.ndarray] = used_by_smpler_x) -> None:
    assert used(content, JOINTS).any()
    assert used(content, BODY).any() or not has_body(hd)


@pytest.fixture(params=sorted(FIXTURES))
def raw(request: pytest.FixtureRequest, raw_trees: Callable[[str], Raw]) -> Raw:
    return raw_trees(request.param)


def test_readers_find_joints_in_every_file(raw: Raw, tmp_path: Path) -> None:
    hd, _ = raw.converted()
    npz.write(hd, tmp_path / "x.npz")
    content = opened(tmp_path / "x.npz")
    check_masks(content)
    check_joints(content, hd)
    check_joints(content, hd, used_by_aios)
    card = registry.card(raw.dataset)
    assert content["config"] == (card.config or card.id).format(split=card.default_split)
    back = HumanData.open(tmp_path / "x.npz")
    assert set(back.columns) == set(hd.columns)
    assert back.passport == hd.passport


def exported(hd: HumanData, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Program and content of every file that can be exported; sizes, hands, release and flags are made to fit."""
    for target in TARGETS:
        try:
            recipe = recipe_for(hd, target)
        except UsageError:
            continue
        ready = hd.with_columns({f"meta/{flag}": np.ones(len(hd), bool) for flag in FLAGS if f"meta/{flag}" not in hd})
        if recipe.size is not None:
            sizes = np.tile(recipe.size, (len(hd), 1))
            ready = ready.with_columns({"meta/height": sizes[:, 0], "meta/width": sizes[:, 1]})
        if len(recipe.files) > len(hd):
            ready = ready[np.arange(len(recipe.files)) % len(hd)]
        ready.passport = ready.passport.with_(flat_hand_mean=recipe.flat_hand_mean, body_model_version="1.1")
        for path in export_for(ready, target, folder / target):
            content = opened(path)
            if len(content["image_path"]):
                yield target, content


def test_readers_find_joints_in_every_export(raw: Raw, tmp_path: Path) -> None:
    hd, _ = raw.converted()
    if hd.body_model is None:
        pytest.skip("no body to export")
    found = 0
    for target, content in exported(hd, tmp_path):
        check_masks(content)
        check_joints(content, hd, used_by_aios if target == "aios" else used_by_smpler_x)
        found += 1
    assert found
