from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from ehps.converters.disk_survey import survey
from ehps.converters.pipeline.report import Report
from ehps.errors import DataError, UsageError
from ehps.humandata import HumanData
from ehps.humandata.drawing.overlays import view
from ehps.humandata.keypoints import point_names
from tests.raw.checks import (
    assert_boxes_hold_the_visible_joints,
    assert_joints_are_the_truth,
    edited,
    nearest,
    truncate,
)
from tests.raw.posetrack import FIRST, LARGE, ROWS, Tree
from tests.raw.trees import Raw, runner
from tests.samples import samples

LIST = "eft_fit/PoseTrack_ver01.json"
SEQUENCE = "posetrack_data/annotations/val/000342_mpii_test.json"

Pair = tuple[HumanData, Report]

DATASET = "posetrack"
run = runner(DATASET)


@pytest.fixture(scope="module")
def val(tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    out = tmp_path_factory.mktemp("out") / "val.h5"
    report = run(tree.root, out, None, split="val")
    return HumanData.open(out), report


# -- fits -----------------------------------------------------------------------------------------------------


def test_joints_are_those_of_the_raw_fits(tree: Tree, converted: Pair, body_models: Path) -> None:
    hd, report = converted
    assert_joints_are_the_truth(hd, tree.truth, body_models)
    assert nearest(hd, tree.truth) == list(range(6))
    away = np.linalg.norm(hd["keypoints2d_smpl"][..., :2] - tree.fits.weak_points(), axis=2)
    assert away.max() < 4
    assert (report.found, report.written, report.published) == (6, 6, 28_457)
    assert (report.dropped, report.problems, report.notes) == ({}, [], [])


def test_names_may_or_may_not_begin_with_the_folders(converted: Pair) -> None:
    hd, _ = converted
    assert hd["image_path"].tolist() == [f"images/train/{name}" for name in ROWS]


def test_sequences_frames_tracks_and_ids(converted: Pair) -> None:
    hd, _ = converted
    assert hd["meta/sequence_name"].tolist() == [name.split("/")[0] for name in ROWS]
    assert hd["meta/frame_id"].tolist() == [54, 0, 58, 0, 1, 0]
    assert hd["meta/track_id"].tolist() == [3, -1, -1, -1, -1, -1]
    assert hd["meta/annotation_id"].tolist() == [LARGE, 0, 0, 0, 0, 0]


def test_annotated_points_and_boxes(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    raw = np.array([record["gt_keypoint_2d"] for record in tree.fits.records])
    assert hd.keypoint_names["keypoints2d_original"] == point_names("smpl_24")
    np.testing.assert_allclose(hd["keypoints2d_original"], raw[:, 25:], rtol=1e-6)
    assert_boxes_hold_the_visible_joints(hd)


def test_facts_of_the_file(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    np.testing.assert_allclose(hd["meta/pred_cam"], [r["parm_cam"] for r in tree.fits.records], rtol=1e-6)
    np.testing.assert_allclose(hd["meta/bbox_scale"], [r["bbox_scale"] for r in tree.fits.records], rtol=1e-6)
    sizes = np.stack([hd["meta/height"], hd["meta/width"]], 1).tolist()
    assert sizes == [[480, 854] if "mpii" in name else [360, 640] for name in ROWS]
    expected = {
        "smpl_source": "eft",
        "cam_param_type": "eft_camera",
        "bbox_source": "keypoints2d_smpl",
        "bbox_body_scale": 1.2,
    }
    assert {key: hd.misc[key] for key in expected} == expected
    assert (hd.passport.body_model, hd.passport.focal, hd.passport.gender) == ("smpl", "virtual", "neutral")
    assert hd.validate() == []


def test_the_root_may_hold_everything_below_data(own: Path, tmp_path: Path) -> None:
    root = tmp_path / "PoseTrack"
    root.mkdir()
    own.rename(root / "data")
    run(root, tmp_path / "x.h5", None)
    assert HumanData.open(tmp_path / "x.h5")["image_path"][0] == f"data/images/train/{ROWS[0]}"
    report = run(root, tmp_path / "val.h5", None, split="val")
    assert HumanData.open(tmp_path / "val.h5")["image_path"][0].startswith("data/images/val/000342")
    assert report.written == 4


def test_the_list_in_the_root_is_found(own: Path, tmp_path: Path) -> None:
    (own / LIST).rename(own / "PoseTrack_ver01.json")
    assert run(own, tmp_path / "x.h5", None).written == 6


def test_a_name_without_its_sequence_is_left_out(own: Path, tmp_path: Path) -> None:
    with edited(own / LIST) as content:
        content["data"][4]["imageName"] = "000001.jpg"
    report = run(own, tmp_path / "x.h5", None)
    assert report.written == 5
    assert "000001.jpg" in report.dropped["imageName is of another form"][0]


# -- the sequences' own annotations ---------------------------------------------------------------------------


def test_val_has_the_official_points_boxes_and_tracks(val: Pair) -> None:
    hd, report = val
    sequences = ["000342_mpii_test"] * 2 + ["003418_mpii_test"] * 2
    assert hd["image_path"].tolist() == [f"images/val/{s}/{k % 2:06d}.jpg" for k, s in enumerate(sequences)]
    assert hd["meta/sequence_name"].tolist() == sequences
    assert hd["meta/frame_id"].tolist() == [0, 1] * 2
    assert hd["meta/track_id"].tolist() == [0, 4] * 2
    assert hd["meta/annotation_id"].tolist() == [FIRST * 100, (FIRST + 1) * 100 + 4] * 2
    assert hd["meta/image_id"].tolist() == [FIRST, FIRST + 1] * 2
    np.testing.assert_allclose(hd["bbox_xywh"][0], [246, 0, 168, 360, 1])
    np.testing.assert_allclose(hd["bbox_xywh"][1], [480, 70, 160, 290, 1])  # cut at the border
    assert hd.keypoint_names["keypoints2d_original"] == point_names("posetrack")
    assert hd["keypoints2d_original"][0, :, 2].tolist() == [1, 1, 1, 0, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1]
    assert (hd["keypoints2d_original"][0, 1, :2] == [302, 80]).all()
    assert not [name for name in hd.columns if name.startswith("smpl/")]
    assert (report.found, report.written, report.problems) == (12, 4, [])
    assert {reason: len(people) for reason, people in report.dropped.items()} == {
        "no labelled joint": 4,
        "no box": 2,
        "frame not labelled": 2,
    }
    assert report.notes == ["no fits were taken: keypoints and boxes only"]


def test_training_sequences_without_fits_when_asked_for(tree: Tree, tmp_path: Path) -> None:
    report = run(tree.root, tmp_path / "x.h5", None, options={"fits": "none"})
    assert HumanData.open(tmp_path / "x.h5")["image_path"][0] == "images/train/000001_bonn_train/000000.jpg"
    assert (report.written, report.published) == (2, None)
    with pytest.raises(UsageError, match="fits=eft"):
        run(tree.root, tmp_path / "x.h5", None, split="val", options={"fits": "eft"})


def test_annotations_without_the_official_folder_above_them_are_found(own: Path, tmp_path: Path) -> None:
    (own / "posetrack_data/annotations").rename(own / "annotations")
    assert run(own, tmp_path / "x.h5", None, split="val").written == 4


@pytest.mark.parametrize("base", ["", "data/"])
def test_posetrack21_has_its_folders_without_annotations_between(own: Path, tmp_path: Path, base: str) -> None:
    for name in ("posetrack_data", "images"):
        (own / base / name).parent.mkdir(exist_ok=True)
        (own / name).rename(own / base / name)
    (own / base / "posetrack_data/annotations/val").rename(own / base / "posetrack_data/val")
    shutil.rmtree(own / base / "posetrack_data/annotations")
    report = run(own, tmp_path / "x.h5", None, split="val")
    assert report.written == 4
    assert "labels are those of PoseTrack21" in report.notes
    finding = next(finding for finding in survey(own.parent) if finding.card.id == "posetrack")
    assert (finding.state, "val" in finding.splits) == ("found", True)


def test_a_broken_sequence_is_named_and_can_be_left_out(own: Path, tmp_path: Path) -> None:
    truncate(own / SEQUENCE)
    with pytest.raises(DataError, match="000342_mpii_test"):
        run(own, tmp_path / "x.h5", None, split="val")
    assert run(own, tmp_path / "x.h5", None, split="val", skip_bad=True).written == 2


def test_the_real_sample_has_its_people_where_they_are(tmp_path: Path) -> None:
    root = samples("posetrack")
    report = run(root, tmp_path / "val.h5", None, split="val")
    hd = HumanData.open(tmp_path / "val.h5")
    assert (report.found, report.written) == (14, 14)
    assert (report.dropped, report.problems, hd.validate()) == ({}, [], [])
    assert len(set(hd["image_path"].tolist())) == 3
    points = hd["keypoints2d_original"]
    x, y = np.moveaxis(points[..., :2], 2, 0)
    x0, y0, w, h, _ = hd["bbox_xywh"].T[:, :, None]
    held = (x >= x0) & (x <= x0 + w) & (y >= y0) & (y <= y0 + h)
    assert held[points[..., 2] > 0].mean() > 0.99
    assert (hd["bbox_xywh"][:, 1] + hd["bbox_xywh"][:, 3] <= hd["meta/height"]).all()
    assert view(hd, root, tmp_path / "pages").missing == []


# -- bad input --------------------------------------------------------------------------------------------------


def test_without_body_models_parameters_are_kept(tree: Tree, raw: Raw) -> None:
    hd, report = raw.without_models()
    np.testing.assert_allclose(hd["smpl/betas"], tree.fits.params.betas, rtol=1e-6)
    assert "keypoints3d_smpl" in report.absent
