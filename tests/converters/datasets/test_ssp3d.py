from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ehps.converters.datasets.ssp3d import SSP3D
from ehps.converters.pipeline.report import Report
from ehps.errors import DataError
from ehps.humandata import HumanData
from ehps.humandata.keypoints import point_names
from tests.raw import faults
from tests.raw.checks import assert_boxes_hold_the_visible_joints, assert_joints_are_the_truth, nearest, truncate
from tests.raw.ssp3d import ABSENT, CUT, NAMES, UNSEEN, Tree
from tests.raw.trees import Raw, runner

KEPT = [k for k in range(len(NAMES)) if k != ABSENT]

Pair = tuple[HumanData, Report]

DATASET = "ssp3d"
run = runner(DATASET)


def relabel(root: Path, tree: Tree, **changes: Any) -> None:
    np.savez(root / "labels.npz", **(tree.labels | changes))


def test_joints_are_those_of_the_raw_fits_in_the_order_of_the_labels(
    tree: Tree, converted: Pair, body_models: Path
) -> None:
    hd, report = converted
    assert_joints_are_the_truth(hd, tree.truth, body_models)
    assert nearest(hd, tree.truth) == [0, 1, 2, 3, 4]
    assert hd["image_path"].tolist() == [f"images/{NAMES[k]}" for k in KEPT]
    assert hd["meta/gender"].tolist() == ["male", "female", "female", "male", "female"]
    np.testing.assert_allclose(hd["smpl/transl"], tree.labels["cam_trans"][KEPT], rtol=1e-6)
    np.testing.assert_allclose(hd["smpl/betas"], tree.labels["shapes"][KEPT], rtol=1e-6)
    assert hd["smpl/body_pose"].shape == (5, 23, 3)
    assert report.problems == []
    assert hd.validate() == []


def test_coco_joints_lie_on_the_projected_ones_and_keep_their_confidence(tree: Tree, converted: Pair) -> None:
    hd, report = converted
    own, ours = hd["keypoints2d_original"], hd.keypoints("keypoints2d_smpl", point_names("coco"))
    assert hd.keypoint_names["keypoints2d_original"] == point_names("coco")
    np.testing.assert_allclose(own, tree.labels["joints2D"][KEPT], rtol=1e-6)
    assert own[UNSEEN][2] == 0
    seen = (own[..., 2] > 0) & (ours[..., 2] > 0)
    assert seen.sum() == 5 * 15 - 1
    assert np.linalg.norm(own[..., :2] - ours[..., :2], axis=2)[seen].max() < 0.1
    assert report.quality["reprojection_px"]["max"] < 0.1


def test_boxes_hold_the_joints_and_the_datasets_own_are_kept_as_x_and_y(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    assert_boxes_hold_the_visible_joints(hd)
    assert hd.misc["bbox_source"] == "keypoints2d_smpl"
    low, high = tree.truth.points.min(1), tree.truth.points.max(1)
    assert high[CUT, 0] > 512 > low[CUT, 0]
    side = (high - low).max(axis=1)
    expected = np.column_stack([(low + high - side[:, None]) / 2, side, side])
    assert np.abs((low + high)[:, 0] - (low + high)[:, 1]).min() > 5
    np.testing.assert_allclose(hd["meta/bbox_original_xywh"], expected, atol=1e-3)


def test_facts_of_the_rows_and_of_the_file(converted: Pair) -> None:
    hd, report = converted
    assert np.stack([hd["meta/height"], hd["meta/width"]], axis=1).tolist() == [[512, 512]] * 5
    assert hd["meta/focal_length"].tolist() == [[5000, 5000]] * 5
    assert hd["meta/principal_point"].tolist() == [[256, 256]] * 5
    assert hd["meta/sequence_name"].tolist() == [
        "goal_clip_3_person_0",
        "ball_clip_1_person_2",
        "ball_clip_1_person_2",
        "vault_clip_2_person_0",
        "swim_frame_clip_9_person_1",
    ]
    assert hd["meta/frame_id"].tolist() == [12, 7, 107, 1, 60]
    assert hd["segmentation"].tolist() == [f"silhouettes/{NAMES[k]}" for k in KEPT]
    expected = {
        "smpl_source": "original",
        "cam_param_type": "perspective",
        "cam_param_source": "estimated",
        "focal_length": [5000, 5000],
        "principal_point": [256, 256],
        "image_shape": [512, 512],
        "bbox_body_scale": 1.2,
        "kps3d_root_aligned": False,
    }
    assert {key: hd.misc[key] for key in expected} == expected
    assert (hd.passport.focal, hd.passport.gender, hd.passport.num_betas) == ("virtual", "per-instance", 10)
    assert report.dropped == {"image missing": [f"images/{NAMES[ABSENT]}"]}
    assert (report.found, report.written, report.published, report.notes) == (6, 5, 311, [])


def test_train_and_test_are_names_of_the_one_set(
    tree: Tree, converted: Pair, tmp_path: Path, body_models: Path
) -> None:
    run(tree.root, tmp_path / "x.h5", body_models, split="test")
    hd = HumanData.open(tmp_path / "x.h5")
    assert hd["image_path"].tolist() == converted[0]["image_path"].tolist()
    assert (hd.passport.split, converted[0].passport.split) == ("test", "train")


def test_bytes_of_older_releases_are_texts(own: Path, tree: Tree, tmp_path: Path, body_models: Path) -> None:
    relabel(own, tree, fnames=tree.labels["fnames"].astype("S"), genders=tree.labels["genders"].astype("S"))
    run(own, tmp_path / "x.h5", body_models)
    assert_joints_are_the_truth(HumanData.open(tmp_path / "x.h5"), tree.truth, body_models)


def test_without_silhouettes_they_are_not_named(own: Path, tmp_path: Path) -> None:
    (own / "silhouettes" / NAMES[0]).unlink()
    run(own, tmp_path / "x.h5", None)
    assert "segmentation" not in HumanData.open(tmp_path / "x.h5")


def test_without_body_models_parameters_are_kept_and_boxes_come_from_the_annotation(tree: Tree, raw: Raw) -> None:
    hd, report = raw.without_models()
    np.testing.assert_allclose(hd["smpl/transl"], tree.labels["cam_trans"][KEPT], rtol=1e-6)
    assert "body models" in report.absent["keypoints2d_smpl"]
    assert hd.misc["bbox_source"] == "keypoints2d_original"
    assert report.problems == []


def test_bad_input_is_named(own: Path, tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "empty/empty/empty").mkdir(parents=True)
    with pytest.raises(DataError, match=r"labels\.npz, images/"):
        run(tmp_path / "empty/empty/empty", tmp_path / "x.h5", None)
    with pytest.raises(DataError, match="give that folder"):
        run(own / "images", tmp_path / "x.h5", None)
    with pytest.raises(DataError, match=NAMES[ABSENT]):
        run(own, tmp_path / "x.h5", None, strict_images=True)
    relabel(own, tree, genders=np.array(["m", "f", "f", "x", "f", "m"]))
    with pytest.raises(DataError, match=r"'x'.*m or f.*labels\.npz|labels\.npz.*'x'"):
        run(own, tmp_path / "x.h5", None)
    rest: dict[str, Any] = {key: value for key, value in tree.labels.items() if key != "poses"}
    np.savez(own / "labels.npz", **rest)
    with pytest.raises(DataError, match="poses"):
        run(own, tmp_path / "x.h5", None)
    relabel(own, tree)
    truncate(own / "labels.npz")
    with pytest.raises(DataError, match=r"labels\.npz"):
        run(own, tmp_path / "x.h5", None)
    assert not (tmp_path / "x.h5").exists()


def test_a_fit_that_is_no_number_is_dropped(own: Path, tree: Tree, tmp_path: Path, body_models: Path) -> None:
    poses = tree.labels["poses"].copy()
    poses[2, 40] = np.nan
    relabel(own, tree, poses=poses)
    report = run(own, tmp_path / "x.h5", body_models)
    assert report.dropped["body parameters not finite"] == [f"images/{NAMES[2]}"]
    assert report.written == 4


def test_the_other_gender_shows_in_the_quality(tree: Tree, converted: Pair, tmp_path: Path, body_models: Path) -> None:
    wrong = run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(SSP3D, faults.other_gender))
    right = converted[1].quality
    assert wrong.quality["reprojection_px"]["p50"] > 1 > 10 * right["reprojection_px"]["p50"]
