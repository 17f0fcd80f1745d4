from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from ehps.converters.base import Instances
from ehps.converters.datasets.crowdpose import CrowdPose
from ehps.converters.pipeline.report import Report
from ehps.errors import DataError
from ehps.humandata import HumanData
from ehps.humandata.drawing.overlays import view
from ehps.humandata.keypoints import flip_order, point_names
from tests.raw import faults
from tests.raw.checks import (
    assert_boxes_hold_the_visible_joints,
    assert_joints_are_the_truth,
    edited,
    nearest,
)
from tests.raw.crowdpose import FITS
from tests.raw.neural_annot import Tree
from tests.raw.trees import Raw, runner
from tests.samples import samples

Pair = tuple[HumanData, Report]
POINTS = point_names("crowdpose")

DATASET = "crowdpose"
run = runner(DATASET)


# -- people -------------------------------------------------------------------------------------------------


def test_joints_are_those_of_the_raw_fits(tree: Tree, converted: Pair, body_models: Path) -> None:
    hd, _ = converted
    assert_joints_are_the_truth(hd, tree.truth, body_models)


def test_every_row_is_its_own_person_in_the_order_of_the_annotations(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    assert hd["meta/annotation_id"].tolist() == tree.values("id")
    assert hd["meta/image_id"].tolist() == tree.values("image_id")
    assert nearest(hd, tree.truth) == [0, 1, 2, 3]
    assert hd["image_path"].tolist() == ["images/100000.jpg", "images/106848.jpg"] * 2


def test_parameters_are_the_raw_ones(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    pose = np.concatenate([hd["smpl/global_orient"], hd["smpl/body_pose"].reshape(4, 69)], axis=1)
    np.testing.assert_allclose(pose, tree.parameter("pose"), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(hd["smpl/betas"], tree.parameter("shape"), rtol=1e-5)
    np.testing.assert_allclose(hd["smpl/transl"], tree.parameter("trans"), rtol=1e-5)
    assert hd["smpl/body_pose"].shape == (4, 23, 3)
    np.testing.assert_allclose(hd["meta/focal_length"], tree.camera("focal"), rtol=1e-6)
    np.testing.assert_allclose(hd["meta/principal_point"], tree.camera("princpt"), rtol=1e-6)
    assert hd.passport.focal == "virtual"


def test_labelled_points_count_hidden_or_not_and_joints_land_on_them(tree: Tree, converted: Pair) -> None:
    hd, report = converted
    own = hd["keypoints2d_original"]
    assert hd.keypoint_names["keypoints2d_original"] == POINTS
    raw = np.reshape(tree.values("keypoints"), (4, 14, 3))
    np.testing.assert_allclose(own[..., :2], raw[..., :2], rtol=1e-6)
    assert (own[..., 2] == (raw[..., 2] > 0)).all()
    assert own[3, :, 2].tolist() == [0] * 12 + [1, 1]
    ours = hd.keypoints("keypoints2d_smpl", POINTS)
    seen = own[..., 2] > 0
    assert seen.sum() > 35
    assert np.linalg.norm(own[..., :2] - ours[..., :2], axis=2)[seen].max() < 0.1
    assert report.quality["reprojection_px"]["max"] < 0.1


def test_sizes_are_those_of_the_images_and_the_exchanged_ones_are_reported(converted: Pair) -> None:
    hd, report = converted
    sizes = np.stack([hd["meta/height"], hd["meta/width"]], axis=1).tolist()
    assert sizes == [[425, 640], [480, 720]] * 2
    (note,) = report.notes
    assert "images with width and height exchanged" in note


def test_boxes_have_the_margin_of_the_format_within_the_real_image(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    assert_boxes_hold_the_visible_joints(hd)
    ends = []
    for row, (x, y, w, h) in enumerate(tree.values("bbox")):
        width, height = hd["meta/width"][row], hd["meta/height"][row]
        x0, x1 = np.clip([x - 0.1 * w, x + 1.1 * w], 0, width)
        y0, y1 = np.clip([y - 0.1 * h, y + 1.1 * h], 0, height)
        np.testing.assert_allclose(hd["bbox_xywh"][row], [x0, y0, x1 - x0, y1 - y0, 1], atol=1e-3)
        ends.append(x1)
    assert max(ends[0], ends[2]) > 425  # the width that the json gives


def test_facts_of_the_file(converted: Pair) -> None:
    hd, report = converted
    assert hd["meta/gender"].tolist() == ["neutral"] * 4
    np.testing.assert_allclose(hd["meta/crowd_index"], [0.3, 1.3, 0.3, 1.3], rtol=1e-6)
    assert hd["meta/num_keypoints"].tolist()[3] == 0
    np.testing.assert_array_equal(hd["meta/fit_err"], [np.nan, 3.5, np.nan, np.nan])
    expected = {
        "smpl_source": "neural_annot",
        "bbox_source": "provided_by_dataset",
        "bbox_body_scale": 1.2,
        "cam_param_type": "perspective",
        "kps3d_root_aligned": False,
    }
    assert {key: hd.misc[key] for key in expected} == expected
    assert (hd.passport.dataset, hd.passport.split, hd.passport.body_model) == ("crowdpose", "train", "smpl")
    assert hd.validate() == []
    assert report.published == 28_457


def test_what_is_left_out_is_counted_by_reason(tree: Tree, converted: Pair) -> None:
    _, report = converted
    assert {reason: len(found) for reason, found in report.dropped.items()} == tree.dropped
    assert (report.found, report.written) == (11, 4)
    assert report.problems == []


# -- splits and releases --------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["val", "test", "trainval"])
def test_splits_without_fits_are_points_and_boxes(own: Path, tmp_path: Path, body_models: Path, split: str) -> None:
    if split != "val":
        shutil.copy(own / "crowdpose_val.json", own / f"crowdpose_{split}.json")
    report = run(own, tmp_path / "x.h5", body_models, split=split)
    hd = HumanData.open(tmp_path / "x.h5")
    assert (len(hd), report.problems) == (2, [])
    assert not [name for name in hd.columns if "smpl" in name]
    assert report.notes == [f"no fits (CrowdPose_{split}_SMPL_NeuralAnnot.json is absent): keypoints and boxes only"]


def test_fits_of_another_split_are_used_where_they_are(
    own: Path, tree: Tree, tmp_path: Path, body_models: Path
) -> None:
    shutil.copy(own / FITS, own / FITS.replace("train", "val"))
    run(own, tmp_path / "x.h5", body_models, split="val")
    assert_joints_are_the_truth(HumanData.open(tmp_path / "x.h5"), tree.truth[[1, 3]], body_models)


@pytest.mark.parametrize("place", ["annotations/crowdpose", "json/crowdpose", "annotations/mmpose_crowdpose"])
def test_the_json_may_lie_in_other_places(own: Path, tree: Tree, tmp_path: Path, place: str) -> None:
    folder = (own / place).parent
    folder.mkdir()
    (own / "crowdpose_train.json").rename(own / f"{place}_train.json")
    (own / FITS).rename(folder / FITS)
    run(own, tmp_path / "x.h5", None)
    hd = HumanData.open(tmp_path / "x.h5")
    np.testing.assert_allclose(hd["smpl/transl"], tree.parameter("trans"), rtol=1e-5)


def test_without_fits_all_labelled_people_are_points_and_boxes(own: Path, tmp_path: Path) -> None:
    asked = run(own, tmp_path / "x.h5", None, options={"fits": "none"})
    (own / FITS).unlink()
    absent = run(own, tmp_path / "y.h5", None)
    assert asked.written == absent.written == 6
    assert asked.notes[0] == "fits=none was asked for: keypoints and boxes only"
    assert absent.notes[0] == f"no fits ({FITS} is absent): keypoints and boxes only"


def test_the_real_sample_has_its_people_where_they_are(tmp_path: Path) -> None:
    root = samples("crowdpose")
    report = run(root, tmp_path / "x.h5", None, split="trainval")
    hd = HumanData.open(tmp_path / "x.h5")
    assert (report.found, report.written, report.problems) == (5, 4, [])
    assert report.dropped == {"no labelled joint": ["131039"]}
    assert report.notes == ["no fits (CrowdPose_trainval_SMPL_NeuralAnnot.json is absent): keypoints and boxes only"]
    row = hd["meta/annotation_id"].tolist().index(123803)
    assert hd["image_path"][row] == "images/106848.jpg"
    np.testing.assert_allclose(hd["keypoints2d_original"][row, [1, 12]], [[208, 108, 1], [256, 27, 1]])
    np.testing.assert_allclose(hd["meta/crowd_index"][row], 0.33, rtol=1e-6)
    pages = view(hd, root, tmp_path / "pages")
    assert (pages.images, pages.missing) == (2, [])


def test_the_real_val_json_is_understood_whole(tmp_path: Path) -> None:
    converter = CrowdPose(samples("crowdpose"), "val")
    (unit,) = converter.units()
    rows = converter.read(unit)
    assert {reason: len(found) for reason, found in rows.dropped.items()} == {
        "crowd region": 106,
        "no labelled joint": 459,
    }
    assert len(rows) == 8527 - 106 - 459
    assert rows.keypoints2d is not None
    assert (rows.keypoints2d.points[:, 12:, 2].sum(axis=1) > 0).mean() > 0.9  # head and neck are never called visible
    with pytest.raises(DataError, match="7962 image missing"):
        run(converter.root, tmp_path / "x.h5", None, split="val")


# -- without everything, and bad input ------------------------------------------------------------------------


def test_without_body_models_parameters_are_kept_and_joints_are_absent(tree: Tree, raw: Raw) -> None:
    hd, report = raw.without_models()
    np.testing.assert_allclose(hd["smpl/transl"], tree.parameter("trans"), rtol=1e-5)
    assert "body models" in report.absent["keypoints3d_smpl"]
    assert "keypoints3d_smpl" not in hd
    assert report.problems == []


def test_an_image_that_cannot_be_read_is_counted(own: Path, tmp_path: Path) -> None:
    (own / "images/100000.jpg").write_bytes(b"\xff\xd8\xff nothing")
    report = run(own, tmp_path / "x.h5", None)
    assert len(report.dropped["image cannot be read"]) == 5
    assert report.written == 2
    with pytest.raises(DataError, match="199999"):
        run(own, tmp_path / "y.h5", None, strict_images=True)


def test_a_file_without_a_usable_person_is_refused(own: Path, tmp_path: Path) -> None:
    with edited(own / "crowdpose_train.json") as coco:
        coco["annotations"] = [a for a in coco["annotations"] if a["iscrowd"]]
    with pytest.raises(DataError, match="1 crowd region"):
        run(own, tmp_path / "x.h5", None)


# -- planted faults ---------------------------------------------------------------------------------------------


def points_mirrored(rows: Instances) -> None:
    assert rows.keypoints2d is not None
    rows.keypoints2d.points = rows.keypoints2d.points[:, flip_order("crowdpose")]


def one_camera_for_all(rows: Instances) -> None:
    assert rows.camera is not None
    rows.camera.focal = rows.camera.focal[[0] * len(rows)]
    rows.camera.principal_point = rows.camera.principal_point[[0] * len(rows)]


@pytest.mark.parametrize(
    ("fault", "words"),
    [(points_mirrored, "left and right exchanged"), (one_camera_for_all, "2D points")],
)
def test_quality_exposes(tree: Tree, tmp_path: Path, body_models: Path, fault: faults.Fault, words: str) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(CrowdPose, fault))
    assert words in " ".join(report.problems)
