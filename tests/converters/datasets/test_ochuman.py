from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ehps.converters.datasets.ochuman import OCHuman
from ehps.converters.pipeline.report import Report
from ehps.errors import DataError, UsageError
from ehps.humandata import HumanData
from ehps.humandata.drawing.overlays import view
from ehps.humandata.keypoints import flip_order, point_names
from tests.raw import faults
from tests.raw.checks import (
    assert_boxes_hold_the_visible_joints,
    assert_joints_are_the_truth,
    edited,
    nearest,
    truncate,
)
from tests.raw.eft import LIMBS
from tests.raw.ochuman import Tree
from tests.raw.trees import Raw, runner
from tests.samples import samples

LIST = "eft_fit/OCHuman_train_ver10.json"

Pair = tuple[HumanData, Report]

DATASET = "ochuman"
run = runner(DATASET)


# -- people -------------------------------------------------------------------------------------------------


def test_joints_are_those_of_the_raw_fits_under_the_long_lens(tree: Tree, converted: Pair, body_models: Path) -> None:
    hd, _ = converted
    assert_joints_are_the_truth(hd, tree.truth, body_models)


def test_joints_land_where_weak_perspective_puts_them(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    weak = tree.fits.weak_points()
    away = np.linalg.norm(hd["keypoints2d_smpl"][..., :2] - weak, axis=2)
    reach = np.linalg.norm(weak - hd["meta/bbox_center"][:, None], axis=2)
    assert (away <= 0.015 * reach + 1e-2).all()  # a hand held out towards the camera
    assert (away <= 0.01 * reach + 1e-2).mean() > 0.9


def test_every_row_is_its_own_person_in_the_order_of_the_list(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    assert hd["meta/index"].tolist() == tree.index
    assert nearest(hd, tree.truth) == [0, 1, 2, 3, 4]
    assert hd["image_path"].tolist().count("images/003799.jpg") == 3


def test_parameters_are_the_raw_matrices_as_axis_angles(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    params = tree.fits.params
    np.testing.assert_allclose(hd["smpl/body_pose"], params.body_pose, atol=1e-6)
    np.testing.assert_allclose(hd["smpl/betas"], params.betas, rtol=1e-6)
    assert not hd["smpl/body_pose"][0, 3].any()  # an identity
    np.testing.assert_allclose(np.linalg.norm(hd["smpl/global_orient"][1]), np.pi, rtol=1e-6)
    assert np.isfinite(hd["smpl/global_orient"]).all()


def test_annotated_points_keep_place_and_confidence(tree: Tree, converted: Pair) -> None:
    hd, report = converted
    own = hd["keypoints2d_original"]
    raw = np.array([record["gt_keypoint_2d"] for record in tree.fits.records])
    assert hd.keypoint_names["keypoints2d_original"] == point_names("smpl_24")
    np.testing.assert_allclose(own, raw[:, 25:], rtol=1e-6)
    assert (own[2, [0, 5, 6, 11], 2] == 0).all()
    shared = hd.keypoints("keypoints2d_smpl", point_names("smpl_24"))
    seen = (own[:, LIMBS, 2] > 0) & (shared[:, LIMBS, 2] > 0)
    assert seen.sum(axis=1).tolist() == [10, 10, 6, 10, 10]
    away = np.linalg.norm(own[:, LIMBS, :2] - shared[:, LIMBS, :2], axis=2)
    assert away[seen].max() < 6
    assert report.quality["reprojection_px"]["max"] < 4


def test_boxes_are_made_from_the_joints_and_not_from_the_squares(converted: Pair) -> None:
    hd, _ = converted
    assert_boxes_hold_the_visible_joints(hd)
    x, y, w, h, _ = hd["bbox_xywh"][1]
    assert 150 < x + w / 2 < 450
    assert h < 480
    x, y = np.moveaxis(hd["keypoints2d_smpl"][2, :, :2].astype(float), 1, 0)
    x0, x1 = x.min() - 0.1 * np.ptp(x), x.max() + 0.1 * np.ptp(x)
    y0, y1 = y.min() - 0.1 * np.ptp(y), y.max() + 0.1 * np.ptp(y)
    x0, x1, y0, y1 = max(x0, 0), min(x1, 500), max(y0, 0), min(y1, 600)
    np.testing.assert_allclose(hd["bbox_xywh"][2], [x0, y0, x1 - x0, y1 - y0, 1], atol=0.01)


def test_facts_of_the_file(tree: Tree, converted: Pair) -> None:
    hd, report = converted
    records = tree.fits.records
    for column, key in (("pred_cam", "parm_cam"), ("bbox_center", "bbox_center"), ("bbox_scale", "bbox_scale")):
        np.testing.assert_allclose(hd[f"meta/{column}"], [record[key] for record in records], rtol=1e-6)
    focal = [5000 * 200 * record["bbox_scale"] / 224 for record in records]
    np.testing.assert_allclose(hd["meta/focal_length"], np.column_stack([focal, focal]), rtol=1e-6)
    np.testing.assert_allclose(hd["meta/principal_point"], hd["meta/bbox_center"])
    sizes = np.stack([hd["meta/height"], hd["meta/width"]], axis=1).tolist()
    assert sizes == [[600, 500], [480, 640], [600, 500], [600, 500], [480, 640]]
    assert hd["meta/gender"].tolist() == ["neutral"] * 5
    expected = {
        "smpl_source": "eft",
        "cam_param_type": "eft_camera",
        "bbox_source": "keypoints2d_smpl",
        "bbox_body_scale": 1.2,
        "kps3d_root_aligned": False,
    }
    assert {key: hd.misc[key] for key in expected} == expected
    passport = hd.passport
    assert (passport.dataset, passport.split, passport.body_model) == ("ochuman", "train", "smpl")
    assert (passport.gender, passport.num_betas, passport.focal) == ("neutral", 10, "virtual")
    assert hd.validate() == []
    assert report.published == 2_495


def test_what_is_left_out_is_counted_by_reason(tree: Tree, converted: Pair) -> None:
    _, report = converted
    assert {reason: len(people) for reason, people in report.dropped.items()} == tree.dropped
    assert (report.found, report.written) == (11, 5)
    assert report.problems == []
    assert report.notes == []


# -- splits and releases --------------------------------------------------------------------------------------


def test_the_other_half_of_the_fits(tree: Tree, tmp_path: Path, body_models: Path) -> None:
    run(tree.root, tmp_path / "test.h5", body_models, split="test")
    hd = HumanData.open(tmp_path / "test.h5")
    assert_joints_are_the_truth(hd, tree.truth[[0, 1]], body_models)
    assert hd.passport.split == "test"


@pytest.mark.parametrize(
    ("split", "options", "image"), [("val", {}, "000817.jpg"), ("test", {"fits": "none"}, "003799.jpg")]
)
def test_ochumans_own_lists_have_points_and_boxes(
    tree: Tree, tmp_path: Path, split: str, options: dict[str, str], image: str
) -> None:
    report = run(tree.root, tmp_path / "x.h5", None, split=split, options=options)
    hd = HumanData.open(tmp_path / "x.h5")
    assert hd["image_path"].tolist() == [f"images/{image}"]
    np.testing.assert_allclose(hd["bbox_xywh"], [[36, 70, 168, 240, 1]])
    assert (hd["keypoints2d_original"][0, :, 2] == [0] * 5 + [1] * 6 + [0] * 6).all()
    assert hd["meta/annotation_id"].tolist() == [7]
    assert report.dropped == {"no labelled joint": ["8"]}
    assert report.published is None
    assert report.problems == []


@pytest.mark.parametrize("folder", ["", "annotations"])
def test_lists_in_other_folders_are_found(own: Path, tmp_path: Path, folder: str) -> None:
    (own / folder).mkdir(exist_ok=True)
    (own / LIST).rename(own / folder / "OCHuman_train_ver10.json")
    assert run(own, tmp_path / "x.h5", None).written == 5


def test_a_list_without_annotated_points_converts_without_complaint(
    own: Path, tree: Tree, tmp_path: Path, body_models: Path
) -> None:
    with edited(own / LIST) as content:
        for record in content["data"]:
            del record["gt_keypoint_2d"]
    report = run(own, tmp_path / "x.h5", body_models)
    hd = HumanData.open(tmp_path / "x.h5")
    assert "keypoints2d_original" not in hd
    assert_joints_are_the_truth(hd, tree.truth, body_models)
    assert report.problems == []


def test_detections_of_openpose_are_kept_where_there_are_some(own: Path, tmp_path: Path, body_models: Path) -> None:
    with edited(own / LIST) as content:
        content["data"][0]["gt_keypoint_2d"][3] = [5.0, 6.0, 0.5]
        del content["data"][2]["gt_keypoint_2d"]
    run(own, tmp_path / "x.h5", body_models)
    hd = HumanData.open(tmp_path / "x.h5")
    assert hd.keypoint_names["keypoints2d_original"] == point_names("smpl_49")
    assert hd["keypoints2d_original"][0, 3].tolist() == [5, 6, 0.5]
    assert not hd["keypoints2d_original"][1].any()


def test_the_real_sample_has_its_people_where_they_are(tmp_path: Path) -> None:
    root = samples("ochuman")
    report = run(root, tmp_path / "val.h5", None, split="val")
    hd = HumanData.open(tmp_path / "val.h5")
    assert (report.found, report.written) == (5, 5)
    assert report.problems == []
    assert hd.validate() == []
    points = hd["keypoints2d_original"]
    x, y = np.moveaxis(points[..., :2], 2, 0)
    x0, y0, w, h, _ = hd["bbox_xywh"].T[:, :, None]
    held = (x >= x0) & (x <= x0 + w) & (y >= y0) & (y <= y0 + h)
    assert held[points[..., 2] > 0].all()
    assert (points[..., 2].sum(axis=1) >= 5).all()
    assert view(hd, root, tmp_path / "pages").missing == []


# -- without everything, and bad input ------------------------------------------------------------------------


def test_without_body_models_parameters_are_kept_and_boxes_come_from_the_points(tree: Tree, raw: Raw) -> None:
    hd, report = raw.without_models()
    np.testing.assert_allclose(
        hd["smpl/transl"][:, 2], [5000 * 2 / 224 / c["parm_cam"][0] for c in tree.fits.records], rtol=1e-6
    )
    assert hd.misc["bbox_source"] == "keypoints2d_original"
    assert "body models" in report.absent["keypoints3d_smpl"]
    assert report.problems == []


def test_fits_that_a_split_has_not_are_told(tree: Tree, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"fits=none: OCHuman \(train\) has eft"):
        run(tree.root, tmp_path / "x.h5", None, options={"fits": "none"})


def test_a_broken_list_is_named(own: Path, tmp_path: Path) -> None:
    with edited(own / LIST) as content:
        content["data"][0]["parm_cam"] = [1.0, 0.0]
    report = run(own, tmp_path / "x.h5", None)
    assert report.written == 4
    assert "OCHuman_train_ver10.json data 0" in report.dropped["parm_cam is not 3 numbers"][0]
    with edited(own / LIST) as content:
        for person in content["data"]:
            person["parm_cam"] = [1.0, 0.0]
    with pytest.raises(DataError, match=r"OCHuman_train_ver10\.json|parm_cam is 2 numbers, expected 3 numbers"):
        run(own, tmp_path / "x.h5", None)
    (own / LIST).write_text("[]")
    with pytest.raises(DataError, match="has no `data`"):
        run(own, tmp_path / "x.h5", None)
    truncate(own / LIST)
    with pytest.raises(DataError, match="OCHuman_train_ver10"):
        run(own, tmp_path / "x.h5", None)


# -- planted faults ---------------------------------------------------------------------------------------------


def points_mirrored(rows: Any) -> None:
    rows.keypoints2d.points = rows.keypoints2d.points[:, flip_order("smpl_24")]


def translation_times_scale(rows: Any) -> None:
    """The other weak-perspective convention, s (x + t)."""
    rows.body.transl[:, :2] *= rows.meta["pred_cam"][:, :1]


def principal_point_in_the_middle(rows: Any) -> None:
    rows.camera.principal_point = np.array([320.0, 240.0])


def transposed(rows: Any) -> None:
    rows.body = rows.body.with_(global_orient=-rows.body.global_orient, body_pose=-rows.body.body_pose)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (points_mirrored, "left and right exchanged"),
        (translation_times_scale, "2D points"),
        (principal_point_in_the_middle, "2D points"),
        (transposed, "2D points"),
    ],
)
def test_quality_exposes(tree: Tree, tmp_path: Path, body_models: Path, fault: Any, words: str) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(OCHuman, fault))
    assert words in " ".join(report.problems)
