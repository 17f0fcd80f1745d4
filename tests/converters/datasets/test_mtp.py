from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ehps.converters.base import Instances
from ehps.converters.datasets.mtp import MTP, STRANGERS
from ehps.converters.pipeline.report import Report
from ehps.errors import DataError, UnsafeFileError
from ehps.humandata import HumanData
from ehps.humandata.keypoints import point_names
from tests.raw import faults
from tests.raw.checks import (
    assert_boxes_hold_the_visible_joints,
    assert_joints_are_the_truth,
    edited,
    nearest,
)
from tests.raw.mtp import PEOPLE, Tree, fit_path, rewrite
from tests.raw.trees import Raw, read, runner

ROWS = [1, 0, 2]  # of the train list, among PEOPLE
Pair = tuple[HumanData, Report]

DATASET = "mtp"
run = runner(DATASET)


# -- people -------------------------------------------------------------------------------------------------


def test_joints_are_those_of_the_gendered_fits_moved_by_their_cameras(
    tree: Tree, converted: Pair, body_models: Path
) -> None:
    hd, report = converted
    assert_joints_are_the_truth(hd, tree.truth[ROWS], body_models)
    assert nearest(hd, tree.truth[ROWS]) == [0, 1, 2]
    assert hd["meta/gender"].tolist() == ["male", "female", "female"]
    assert report.problems == []
    assert report.notes == ["subject_meta.json does not describe 1 people, the first y9_park_p1_s02: taken for neutral"]


def test_hands_are_the_sum_of_twelve_components_of_the_subjects_model(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    for side in ("left", "right"):
        expected = getattr(tree.params, f"{side}_hand_pose")[ROWS]
        np.testing.assert_allclose(hd[f"smplx/{side}_hand_pose"], expected, atol=1e-5)
    assert hd.passport.flat_hand_mean is False


def test_all_other_parameters_are_the_raw_ones(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    for name in ("body_pose", "betas", "jaw_pose", "leye_pose", "reye_pose", "expression"):
        np.testing.assert_allclose(hd[f"smplx/{name}"], getattr(tree.params, name)[ROWS], atol=1e-6)
    assert hd["smplx/body_pose"].shape == (3, 21, 3)


def test_cameras_are_scaled_back_from_the_fitted_image(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    np.testing.assert_allclose(hd["meta/focal_length"], tree.focal[ROWS], rtol=1e-6)
    np.testing.assert_allclose(hd["meta/principal_point"], tree.centre[ROWS], rtol=1e-6)
    sizes = [PEOPLE[k][2:4] for k in ROWS]
    assert list(zip(hd["meta/height"].tolist(), hd["meta/width"].tolist(), strict=True)) == sizes
    assert abs(hd["meta/principal_point"][2, 0] - sizes[2][1] / 2) > 0.1  # the width of the fitted image is truncated


def test_detections_are_of_the_person_that_was_fitted(tree: Tree, converted: Pair) -> None:
    hd, report = converted
    own = hd["keypoints2d_original"]
    assert hd.keypoint_names["keypoints2d_original"] == point_names("openpose_137", fixed=True)
    np.testing.assert_allclose(own[:2], tree.detections[ROWS[:2]], rtol=1e-5)
    assert not own[2].any()
    assert report.quality["reprojection_px"]["max"] < 0.1
    assert report.quality["reprojection_hands_px"]["max"] < 0.1


def test_somebody_else_is_not_taken_for_the_person_that_was_fitted(own: Path) -> None:
    with edited(own / "keypoints/openpose/park/b2_park_p4_s08.json") as found:
        stranger, _ = found["people"]
        found["people"] = [stranger]
    (unit,) = read(DATASET, own)
    assert unit.keypoints2d is not None
    row = list(unit.image_path).index("images/park/b2_park_p4_s08.png")
    assert not unit.keypoints2d.points[row].any()
    assert unit.counts == {STRANGERS: 1}


def test_meshes_of_the_fits_confirm_gender_shape_and_hands(converted: Pair) -> None:
    hd, report = converted
    assert report.quality["points3d_m"]["max"] < 1e-4
    assert report.quality["points3d_m"]["n"] == len(hd)


def test_boxes_hold_the_people(converted: Pair) -> None:
    assert_boxes_hold_the_visible_joints(converted[0])


def test_facts_of_the_file(converted: Pair) -> None:
    hd, report = converted
    assert hd["image_path"].tolist() == [
        "images/park/b2_park_p4_s08.png",
        "images/home/a1_home_p3_s07.jpg",
        "images/home/c3_home_p5_s07.png",
    ]
    assert hd["meta/subset"].tolist() == ["park", "home", "home"]
    assert hd["meta/pose_id"].tolist() == ["p4", "p3", "p5"]
    assert hd["meta/subject_id"].tolist() == ["s08", "s07", "s07"]
    np.testing.assert_allclose(hd["meta/subject_height"], [1.7, 1.6, 1.8], rtol=1e-6)
    assert hd["meta/subject_weight"].tolist() == [61, 60, 62]
    expected = {
        "smplx_source": "original (SMPLify-XMC)",
        "cam_param_type": "perspective",
        "cam_param_source": "estimated",
        "flat_hand_mean": False,
        "kps3d_root_aligned": False,
    }
    assert {key: hd.misc[key] for key in expected} == expected
    passport = hd.passport
    assert (passport.dataset, passport.split, passport.body_model) == ("mtp", "train", "smplx")
    assert (passport.gender, passport.num_betas, passport.focal) == ("per-instance", 10, "image")
    assert hd.validate() == []
    assert report.published == 3_187
    assert (report.found, report.written) == (5, 3)
    assert report.dropped == {
        "no SMPL-X fit": ["images/home/x8_home_p1_s01.png"],
        "image missing": ["images/park/y9_park_p1_s02.png"],
    }


# -- splits and variants --------------------------------------------------------------------------------------


def test_val_is_its_own_list(tree: Tree, tmp_path: Path, body_models: Path) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models, split="val")
    assert_joints_are_the_truth(HumanData.open(tmp_path / "x.h5"), tree.truth[[3]], body_models)
    assert (report.found, report.written, report.published) == (1, 1, None)


def test_fits_without_mesh_or_centre_give_the_same_people(
    own: Path, tree: Tree, tmp_path: Path, body_models: Path
) -> None:
    changes: dict[str, Any] = {"vertices": None, "camera_center": None, "transl": None}
    rewrite(fit_path(own, "park", "b2_park_p4_s08"), **changes)
    report = run(own, tmp_path / "x.h5", body_models)
    hd = HumanData.open(tmp_path / "x.h5")
    np.testing.assert_allclose(hd["keypoints3d_smplx"][:, :127, :3], tree.truth.joints[ROWS][:, :127], atol=1e-3)
    np.testing.assert_allclose(hd["keypoints2d_original"][:2], tree.detections[ROWS[:2]], rtol=1e-5)
    np.testing.assert_allclose(hd["meta/focal_length"], tree.focal[ROWS], rtol=1e-6)
    assert hd["meta/principal_point"][0].tolist() == [500, 666.5]
    assert np.isnan(hd["quality/points3d_m"]).tolist() == [True, False, False]
    assert report.problems == []


def test_hands_of_45_numbers_are_rotations(own: Path, tree: Tree, tmp_path: Path, body_models: Path) -> None:
    for k in ROWS:
        name, folder = PEOPLE[k][:2]
        full = {f"{s}_hand_pose": getattr(tree.params, f"{s}_hand_pose")[k].reshape(1, 45) for s in ("left", "right")}
        rewrite(fit_path(own, folder, name), **full)
    fit_path(own, "park", "y9_park_p1_s02").unlink()
    run(own, tmp_path / "x.h5", body_models)
    assert_joints_are_the_truth(HumanData.open(tmp_path / "x.h5"), tree.truth[ROWS], body_models)


def test_a_subject_of_unknown_gender_has_the_neutral_model(own: Path, tmp_path: Path, body_models: Path) -> None:
    with edited(own / "subject_meta.json") as subjects:
        del subjects["b2_park_p4_s08"]
        subjects["a1_home_p3_s07"]["SubjectGender"] = None
    run(own, tmp_path / "x.h5", body_models)
    hd = HumanData.open(tmp_path / "x.h5")
    assert hd["meta/gender"].tolist() == ["neutral", "neutral", "female"]
    assert np.isnan(hd["meta/subject_height"]).tolist() == [True, False, False]


def test_an_odd_subject_costs_that_person_only(own: Path, tmp_path: Path) -> None:
    with edited(own / "subject_meta.json") as subjects:
        subjects["b2_park_p4_s08"]["SubjectGender"] = "unsaid"
    report = run(own, tmp_path / "x.h5", None)
    ((reason, names),) = ((r, n) for r, n in report.dropped.items() if r.startswith("SubjectGender"))
    assert "is not" in reason
    assert "subject_meta.json b2_park_p4_s08" in names[0]
    assert "park/b2_park_p4_s08" not in "".join(HumanData.open(tmp_path / "x.h5")["image_path"])


def test_folders_may_be_deeper_and_detections_absent(own: Path, tree: Tree, tmp_path: Path, body_models: Path) -> None:
    for above in ("images", "smplify-xmc/smplx/params", "keypoints/openpose"):
        (own / above / "x").mkdir()
        (own / above / "home").rename(own / above / "x/home")
    shutil.rmtree(own / "keypoints/openpose/park")
    run(own, tmp_path / "x.h5", body_models)
    hd = HumanData.open(tmp_path / "x.h5")
    assert hd["image_path"][1] == "images/x/home/a1_home_p3_s07.jpg"
    assert hd["meta/subset"].tolist() == ["park", "x/home", "x/home"]
    assert hd["keypoints2d_original"][..., 2].any(axis=1).tolist() == [False, True, False]


# -- without everything, and bad input ------------------------------------------------------------------------


def test_without_body_models_there_are_detections_and_boxes_of_them(tree: Tree, raw: Raw) -> None:
    hd, report = raw.without_models()
    assert "body models" in report.absent["smplx/*"]
    assert not [name for name in hd.columns if name.startswith("smplx/")]
    np.testing.assert_allclose(hd["keypoints2d_original"][:2], tree.detections[ROWS[:2]], rtol=1e-5)
    assert report.problems == []


def test_a_fit_that_is_no_number_is_dropped(own: Path, tmp_path: Path, body_models: Path) -> None:
    rewrite(fit_path(own, "park", "b2_park_p4_s08"), body_pose=np.full((1, 63), np.nan, np.float32))
    report = run(own, tmp_path / "x.h5", body_models)
    assert report.dropped["body parameters not finite"] == ["images/park/b2_park_p4_s08.png"]
    assert report.written == 2


def test_a_fit_that_would_run_something_is_refused(own: Path, tmp_path: Path) -> None:
    fit_path(own, "park", "b2_park_p4_s08").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises((DataError, UnsafeFileError), match="system"):
        run(own, tmp_path / "x.h5", None)


# -- planted faults ---------------------------------------------------------------------------------------------


def camera_of_the_fitted_image(rows: Instances) -> None:
    assert rows.camera is not None
    scale = np.maximum(2 * rows.camera.principal_point[:, 1:] / 500, 0.1)  # 0 where there is no image
    rows.camera.focal = rows.camera.focal / scale
    rows.camera.principal_point = rows.camera.principal_point / scale


def hands_padded(rows: Instances) -> None:
    body = faults.body_of(rows)
    assert body.left_hand_pose is not None
    assert body.right_hand_pose is not None
    padded = {
        f"{side}_hand_pose": np.pad(pose, ((0, 0), (0, 33))).reshape(-1, 15, 3)
        for side, pose in (("left", body.left_hand_pose), ("right", body.right_hand_pose))
    }
    rows.body = body.with_(**padded)


@pytest.mark.parametrize(
    ("fault", "words"),
    [(hands_padded, "3D points"), (camera_of_the_fitted_image, "2D points")],
)
def test_quality_exposes(tree: Tree, tmp_path: Path, body_models: Path, fault: faults.Fault, words: str) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(MTP, fault))
    assert words in " ".join(report.problems)


def test_bodies_left_in_the_world_are_out_of_the_image(tree: Tree, tmp_path: Path, body_models: Path) -> None:
    with pytest.raises(DataError, match="3 body box empty or outside the image"):
        run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(MTP, faults.left_in_the_world))
