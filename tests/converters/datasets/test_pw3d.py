from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ehps.converters.datasets.pw3d import PW3D
from ehps.converters.pipeline.report import Report
from ehps.errors import DataError
from ehps.humandata import HumanData
from ehps.humandata.keypoints import point_names
from tests.raw import faults
from tests.raw.checks import (
    assert_boxes_hold_the_visible_joints,
    assert_joints_are_the_truth,
    nearest,
    package_joints,
)
from tests.raw.pw3d import FY, SPLITS, Sequences, read, save_as_python2, sequence, turned_root
from tests.raw.trees import Raw, runner

HUG, BAR = SPLITS["train"]
Pair = tuple[HumanData, Report]

DATASET = "pw3d"
run = runner(DATASET)


# -- people --------------------------------------------------------------------------------------------------


def test_joints_are_those_of_the_raw_world_moved_by_the_raw_camera(
    tree: Sequences, converted: Pair, body_models: Path
) -> None:
    hd, _ = converted
    assert_joints_are_the_truth(hd, tree.truth["train"], body_models)


def test_rows_go_person_by_person_through_the_frames_of_a_sequence(tree: Sequences, converted: Pair) -> None:
    hd, _ = converted
    sequences = [HUG] * 6 + [BAR] * 3
    assert hd["meta/sequence_name"].tolist() == sequences
    assert hd["meta/frame_id"].tolist() == tree.frame
    assert hd["meta/track_id"].tolist() == [f"{s}_{p}" for s, p in zip(sequences, tree.person, strict=True)]
    assert hd["meta/gender"].tolist() == ["male"] * 3 + ["female"] * 6
    assert nearest(hd, tree.truth["train"]) == list(range(9))
    assert hd["image_path"].tolist()[:4] == [f"imageFiles/{HUG}/image_{n:05d}.jpg" for n in (0, 2, 4, 0)]


def test_parameters_are_the_raw_ones_with_root_and_place_in_the_camera(
    tree: Sequences, converted: Pair, body_models: Path
) -> None:
    hd, _ = converted
    joints = package_joints(hd, body_models)
    for row, (person, frame) in enumerate(zip(tree.person, tree.frame, strict=True)):
        raw = read(tree.root, hd["meta/sequence_name"][row])
        np.testing.assert_allclose(hd["smpl/body_pose"][row].ravel(), raw["poses"][person][frame, 3:], rtol=1e-5)
        np.testing.assert_allclose(hd["smpl/betas"][row], raw["betas"][person][:10], rtol=1e-5)
        # As rotations: a half turn has two axis-angle vectors.
        stored = Rotation.from_rotvec(hd["smpl/global_orient"][row]).as_matrix()
        np.testing.assert_allclose(stored, turned_root(raw, person, frame), atol=1e-5)
        extrinsics = raw["cam_poses"][frame]
        pelvis = raw["jointPositions"][person][frame, :3]
        np.testing.assert_allclose(joints[row, 0], extrinsics[:3, :3] @ pelvis + extrinsics[:3, 3], atol=1e-4)
    assert hd["smpl/body_pose"].shape == (9, 23, 3)
    assert hd["smpl/betas"].shape == (9, 10)


def test_the_datasets_own_joints_are_those_of_the_converted_parameters(converted: Pair, body_models: Path) -> None:
    hd, report = converted
    own = hd["keypoints3d_original"]
    assert hd.keypoint_names["keypoints3d_original"] == point_names("smpl")
    np.testing.assert_allclose(own[..., :3], package_joints(hd, body_models)[:, :24], atol=1e-3)
    assert (own[..., 3] == 1).all()
    assert report.quality["points3d_m"]["max"] < 1e-3


def test_detections_keep_their_confidence_and_lie_on_the_projected_joints(tree: Sequences, converted: Pair) -> None:
    hd, _ = converted
    own = hd["keypoints2d_original"]
    assert hd.keypoint_names["keypoints2d_original"] == point_names("pw3d")
    for row, (person, frame) in enumerate(zip(tree.person, tree.frame, strict=True)):
        raw = read(tree.root, hd["meta/sequence_name"][row])["poses2d"][person][frame]
        np.testing.assert_allclose(own[row], raw.T, rtol=1e-6)
    ours = hd.keypoints("keypoints2d_smpl", point_names("pw3d"))
    seen = (own[..., 2] > 0) & (ours[..., 2] > 0)
    assert seen.sum(axis=1)[[0, 3, 8]].min() >= 14
    assert 0 < seen[7].sum() < 14  # cut by the edge of the image
    assert np.linalg.norm(own[..., :2] - ours[..., :2], axis=2)[seen].max() < 1


def test_people_without_detections_are_kept_and_marked(tree: Sequences, converted: Pair) -> None:
    hd, _ = converted
    assert (tree.person[5], tree.frame[5]) == (1, 4)
    assert hd["meta/has_2d"].tolist() == [True] * 5 + [False] + [True] * 3
    assert not hd["keypoints2d_original"][5].any()
    assert np.isnan(hd["quality/reprojection_px"][5])


def test_boxes_hold_the_people_and_end_at_the_edge_of_the_image(tree: Sequences, converted: Pair) -> None:
    hd, _ = converted
    assert_boxes_hold_the_visible_joints(hd)
    x, _, w, _, _ = hd["bbox_xywh"][7]
    assert x > 100
    assert x + w == pytest.approx(540)
    for row in (0, 3, 6):
        points = tree.truth["train"].points[row, :, 0]
        margin = 0.1 * np.ptp(points)
        left = max(points.min() - margin, 0)
        right = min(points.max() + margin, hd["meta/width"][row])
        np.testing.assert_allclose(hd["bbox_xywh"][row, [0, 2]], [left, right - left], atol=0.1)


def test_facts_of_the_rows_and_of_the_file(converted: Pair) -> None:
    hd, report = converted
    sizes = np.stack([hd["meta/height"], hd["meta/width"]], axis=1).tolist()
    assert sizes == [[540, 960]] * 6 + [[960, 540]] * 3
    np.testing.assert_allclose(hd["meta/focal_length"][[0, 6]], [[900.0, 900.0], [980, 980 * FY]], rtol=1e-6)
    np.testing.assert_allclose(hd["meta/principal_point"][[0, 6]], [[480.0, 270.0], [268.0, 484.5]], rtol=1e-6)
    # Public viewers apply extrinsics under these names to bodies that are in the camera frame already.
    assert not {"meta/R", "meta/T"} & set(hd.columns)
    expected = {
        "smpl_source": "original",
        "bbox_source": "keypoints2d_smpl",
        "bbox_body_scale": 1.2,
        "cam_param_type": "perspective",
        "kps3d_root_aligned": False,
    }
    assert {key: hd.misc[key] for key in expected} == expected
    passport = hd.passport
    assert (passport.dataset, passport.split, passport.body_model) == ("pw3d", "train", "smpl")
    assert (passport.gender, passport.num_betas, passport.focal) == ("per-instance", 10, "image")
    assert hd.validate() == []
    assert report.published == 22_735
    assert report.problems == []


def test_what_is_left_out_is_counted_by_reason(tree: Sequences, converted: Pair) -> None:
    _, report = converted
    assert {reason: len(names) for reason, names in report.dropped.items()} == tree.dropped
    assert f"{HUG} person 1 frame 2" in report.dropped["camera not aligned"]
    assert (report.found, report.written) == (14, 9)


# -- splits and releases --------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["validation", "val"])
def test_validation_lies_in_a_folder_of_either_name(
    own: Path, tree: Sequences, tmp_path: Path, body_models: Path, folder: str
) -> None:
    (own / "sequenceFiles/validation").rename(own / "sequenceFiles" / folder)
    report = run(own, tmp_path / "x.h5", body_models, split="validation")
    hd = HumanData.open(tmp_path / "x.h5")
    assert_joints_are_the_truth(hd, tree.truth["validation"], body_models)
    assert hd.passport.split == "validation"
    assert report.dropped == {}


def test_test_is_the_folder_of_that_name(own: Path, tree: Sequences, tmp_path: Path, body_models: Path) -> None:
    (own / "sequenceFiles/validation").rename(own / "sequenceFiles/test")
    report = run(own, tmp_path / "x.h5", body_models, split="test")
    assert_joints_are_the_truth(HumanData.open(tmp_path / "x.h5"), tree.truth["validation"], body_models)
    assert report.published == 35_515


def test_files_of_python_2_are_read(own: Path, tree: Sequences, tmp_path: Path, body_models: Path) -> None:
    path = own / "sequenceFiles/validation" / f"{SPLITS['validation'][0]}.pkl"
    save_as_python2(path, read(own, path.stem))
    assert b"numpy._core" not in path.read_bytes()
    run(own, tmp_path / "x.h5", body_models, split="validation")
    assert_joints_are_the_truth(HumanData.open(tmp_path / "x.h5"), tree.truth["validation"], body_models)


def test_the_size_is_that_of_the_first_image_or_else_twice_the_principal_point(own: Path) -> None:
    converter = PW3D(own, "train")
    sizes = [np.asarray(converter.read(unit).size).tolist() for unit in converter.units()]
    assert sizes == [[540, 960], [960, 540]]
    shutil.rmtree(own / "imageFiles" / BAR)
    fresh = Path(shutil.move(own, own.with_name("moved")))  # sizes of folders are remembered
    converter = PW3D(fresh, "train")
    sizes = [np.asarray(converter.read(unit).size).tolist() for unit in converter.units()]
    assert sizes == [[540, 960], [969, 536]]


def test_a_sequence_without_images_is_left_out_and_counted(own: Path, tmp_path: Path, body_models: Path) -> None:
    shutil.rmtree(own / "imageFiles" / BAR)
    report = run(own, tmp_path / "x.h5", body_models)
    assert len(report.dropped["image missing"]) == 1 + 4
    assert report.written == 6


def test_a_sequence_in_which_no_camera_is_aligned_is_left_out(own: Path, tmp_path: Path, body_models: Path) -> None:
    with sequence(own, BAR) as data:
        data["campose_valid"] = [np.zeros(4)]
    report = run(own, tmp_path / "x.h5", body_models)
    assert len(report.dropped["camera not aligned"]) == 3 + 4
    assert report.written == 6


# -- without everything, and bad input ------------------------------------------------------------------------


def test_without_body_models_only_the_datasets_own_points_are_kept(tree: Sequences, raw: Raw) -> None:
    hd, report = raw.without_models()
    assert "rest pelvis" in report.absent["smpl/*"]
    assert {"keypoints2d_smpl", "keypoints3d_smpl"} <= set(report.absent)
    assert not [name for name in hd.columns if name.startswith("smpl/")]
    assert hd.misc["bbox_source"] == "keypoints2d_original"
    assert {"keypoints2d_original", "keypoints3d_original", "meta/focal_length"} <= set(hd.columns)
    assert hd.validate() == []


def test_fits_and_cameras_that_are_no_numbers_are_dropped(own: Path, tmp_path: Path, body_models: Path) -> None:
    with sequence(own, BAR) as data:
        data["poses"][0][0, 5] = np.nan
        data["cam_poses"][1, 0, 0] = np.inf
        data["cam_poses"][3] = 0
    report = run(own, tmp_path / "x.h5", body_models)
    assert report.written == 6
    for reason in ("body parameters not finite", "camera pose not finite"):
        assert len(report.dropped[reason]) == 1
    assert len(report.dropped["camera pose is no rotation (scaled or mirrored)"]) == 1


def test_images_of_another_size_are_told(own: Path, tmp_path: Path, body_models: Path) -> None:
    cv2.imwrite(str(own / "imageFiles" / BAR / "image_00003.jpg"), np.zeros((96, 54, 3), np.uint8))
    report = run(own, tmp_path / "x.h5", body_models)
    assert any("54 x 96" in note for note in report.notes)


# -- planted faults ---------------------------------------------------------------------------------------------


def test_the_pelvis_of_another_model_is_exposed(tree: Sequences, tmp_path: Path, body_models: Path) -> None:
    fault = faults.pelvis_of_the_neutral_model(body_models)
    report = run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(PW3D, fault))
    assert "3D points" in " ".join(report.problems)


def test_bodies_left_in_the_world_are_nowhere_in_the_images(tree: Sequences, tmp_path: Path, body_models: Path) -> None:
    with pytest.raises(DataError, match="10 body box empty or outside the image"):
        run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(PW3D, faults.left_in_the_world))
