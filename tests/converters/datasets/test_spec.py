from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ehps.converters.base import Instances
from ehps.converters.datasets.spec import SPEC
from ehps.converters.pipeline.report import Report
from ehps.errors import DataError
from ehps.humandata import HumanData
from ehps.humandata.keypoints import point_names
from tests.raw import faults
from tests.raw.checks import assert_boxes_hold_the_visible_joints, assert_joints_are_the_truth, nearest, truncate
from tests.raw.spec import EXACT, Set, load, save
from tests.raw.trees import Raw, runner

TRAIN = "spec-syn/annotations/train.npz"
Tree = tuple[Path, dict[str, Set]]
Pair = tuple[HumanData, Report]

DATASET = "spec"
run = runner(DATASET)


@pytest.fixture(scope="module")
def tree(raw: Raw) -> Tree:
    """Read-only."""
    return raw.root, raw.tree


def change(path: Path, **values: Any) -> None:
    """Other members in an npz; None takes one out."""
    data = {name: value for name, value in (load(path) | values).items() if value is not None}
    save(path, data)


# -- people -------------------------------------------------------------------------------------------------


def test_people_are_where_the_points_say_though_no_file_does(tree: Tree, converted: Pair, body_models: Path) -> None:
    hd, report = converted
    assert_joints_are_the_truth(hd, tree[1]["train"].truth, body_models)
    assert nearest(hd, tree[1]["train"].truth) == [0, 1, 2, 3, 4]
    assert hd["meta/transl_residual_px"].max() < 0.1
    assert hd["meta/transl_valid"].all()
    assert report.problems == []
    assert report.notes == []


def test_orientations_are_turned_by_the_cameras_pitch_and_roll(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    expected = tree[1]["train"]
    back = Rotation.from_euler("xz", expected.angles).inv() * Rotation.from_rotvec(hd["smpl/global_orient"])
    wanted = Rotation.from_rotvec(expected.data["pose"][:5, :3])
    assert (back * wanted.inv()).magnitude().max() < 1e-5
    np.testing.assert_allclose(hd["smpl/body_pose"].reshape(5, 69), expected.data["pose"][:5, 3:], rtol=1e-5)
    np.testing.assert_allclose(hd["smpl/betas"], expected.data["shape"][:5], rtol=1e-5)


def test_projected_joints_land_on_the_annotated_points(tree: Tree, converted: Pair) -> None:
    hd, report = converted
    own = hd["keypoints2d_original"]
    assert hd.keypoint_names["keypoints2d_original"] == point_names("openpose_25")
    np.testing.assert_allclose(own, tree[1]["train"].data["openpose_gt"][:5], rtol=1e-5)
    joints = [24, 12, 17, 19, 21, 16, 18, 20, 0, 2, 5, 8, 1, 4, 7, *range(25, 35)]
    ours = hd["keypoints2d_smpl"][:, joints]
    assert np.linalg.norm(own[..., :2] - ours[..., :2], axis=2).max() < 0.1
    assert report.quality["reprojection_px"]["max"] < 0.1


def test_own_3d_joints_have_the_axes_of_the_camera_and_are_relative_to_the_pelvis(tree: Tree, converted: Pair) -> None:
    hd, report = converted
    own = hd["keypoints3d_original"].astype(float)
    truth = tree[1]["train"].truth
    assert not own[:, 14, :3].any()
    for place, joint in EXACT.items():
        offset = truth.joints[:, joint] - own[:, place, :3]
        np.testing.assert_allclose(offset, truth.joints[:, 8] - own[:, 0, :3], atol=1e-4)
    assert report.quality["points3d_m"]["max"] < 0.05


def test_boxes_are_the_datasets_own_clipped_and_hold_the_people(tree: Tree, converted: Pair) -> None:
    hd, _ = converted
    assert_boxes_hold_the_visible_joints(hd)
    data = tree[1]["train"].data
    half = 100 * data["scale"][:5, None]
    low = np.clip(data["center"][:5] - half, 0, [1920, 1080])
    high = np.clip(data["center"][:5] + half, 0, [1920, 1080])
    np.testing.assert_allclose(hd["bbox_xywh"][:, :4], np.hstack([low, high - low]), atol=1e-3)


def test_facts_of_the_file(tree: Tree, converted: Pair) -> None:
    hd, report = converted
    data, rows = tree[1]["train"].data, slice(0, 5)
    assert hd["image_path"].tolist() == [f"spec-syn/images/train/{p}.png" for p in "abbcc"]
    assert hd["meta/gender"].tolist() == ["neutral"] * 5
    assert set(zip(hd["meta/height"], hd["meta/width"], strict=True)) == {(1080, 1920)}
    np.testing.assert_allclose(hd["meta/focal_length"], data["focal_length"][rows], rtol=1e-6)
    np.testing.assert_allclose(hd["meta/principal_point"], data["cam_int"][rows, :2, 2], rtol=1e-6)
    np.testing.assert_allclose(hd["meta/cam_pitch"], data["cam_pitch"][rows], rtol=1e-6)
    np.testing.assert_allclose(hd["meta/cam_roll"], data["cam_roll"][rows], rtol=1e-6)
    expected = {
        "smpl_source": "original",
        "keypoints2d_source": "openpose_gt",
        "cam_param_type": "perspective",
        "bbox_source": "provided_by_dataset",
        "kps3d_root_aligned": False,
    }
    assert {key: hd.misc[key] for key in expected} == expected
    passport = hd.passport
    assert (passport.dataset, passport.split, passport.body_model) == ("spec", "train", "smpl")
    assert (passport.gender, passport.num_betas, passport.focal) == ("neutral", 10, "image")
    assert hd.validate() == []
    assert report.published == 71_982
    assert (report.found, report.written) == (7, 5)
    assert report.dropped == {
        "image missing": ["spec-syn/images/train/gone.png"],
        "body parameters not finite": ["spec-syn/images/train/nan.png"],
    }


# -- splits and variants --------------------------------------------------------------------------------------


def test_test_split_leaves_out_what_is_not_fitted(tree: Tree, tmp_path: Path, body_models: Path) -> None:
    report = run(tree[0], tmp_path / "x.h5", body_models, split="test")
    assert_joints_are_the_truth(HumanData.open(tmp_path / "x.h5"), tree[1]["test"].truth, body_models)
    assert report.dropped == {"no SMPL fit": ["spec-syn/images/test/e.png"]}
    assert report.problems == []


def test_the_folder_of_the_synthetic_part_is_a_root_too(tree: Tree, tmp_path: Path, body_models: Path) -> None:
    for split in ("train", "test"):
        run(tree[0] / "spec-syn", tmp_path / "x.h5", body_models, split=split)
        hd = HumanData.open(tmp_path / "x.h5")
        expected = tree[1][split].truth
        assert hd["image_path"].tolist() == [path.removeprefix("spec-syn/") for path in expected.image_path]
        np.testing.assert_allclose(hd["keypoints3d_smpl"][..., :3], expected.joints, atol=1e-3)
        (tmp_path / "x.h5").unlink()


def test_images_without_points_keep_pose_and_box_but_have_no_place(
    tree: Tree, tmp_path: Path, body_models: Path
) -> None:
    report = run(tree[0], tmp_path / "x.h5", body_models, split="mtp_test")
    hd = HumanData.open(tmp_path / "x.h5")
    expected = tree[1]["mtp_test"]
    assert hd["image_path"].tolist() == ["spec-mtp/images/x.jpg"]
    assert not hd["smpl/transl"].any()
    assert hd["meta/transl_valid"].tolist() == [False]
    assert np.isnan(hd["meta/transl_residual_px"]).all()
    assert not hd["keypoints2d_smpl"][..., 2].any()
    assert not hd["keypoints3d_smpl"][..., 3].any()
    np.testing.assert_allclose(hd["meta/focal_length"], expected.data["focal_length"], rtol=1e-6)
    assert hd["meta/principal_point"].tolist() == [[240, 320]]
    assert hd["bbox_xywh"][0, 4] == 1
    back = Rotation.from_euler("xz", expected.angles).inv() * Rotation.from_rotvec(hd["smpl/global_orient"])
    assert (back * Rotation.from_rotvec(expected.data["pose"][:, :3]).inv()).magnitude().max() < 1e-5
    assert hd.misc["keypoints2d_source"] == "none"
    assert hd.validate() == []
    assert report.problems == []
    assert report.notes == [
        "no cam_int: principal points are the middle of the images",
        "people whose place could not be solved have transl 0 and joints without confidence",
    ]


def test_places_come_from_the_exact_joints_of_the_other_points(
    own: Path, tree: Tree, tmp_path: Path, body_models: Path
) -> None:
    change(own / TRAIN, openpose_gt=None)
    report = run(own, tmp_path / "x.h5", body_models)
    hd = HumanData.open(tmp_path / "x.h5")
    assert_joints_are_the_truth(hd, tree[1]["train"].truth, body_models)
    assert hd.misc["keypoints2d_source"] == "part"
    assert hd.keypoint_names["keypoints2d_original"] == point_names("smpl_24")
    assert report.problems == []


def test_rows_with_few_points_are_kept_at_zero_and_those_with_wild_ones_flagged(
    own: Path, tree: Tree, tmp_path: Path, body_models: Path
) -> None:
    points = load(own / TRAIN)["openpose_gt"]
    points[0, 2:, 2] = 0
    points[3, 4, :2] += 400
    change(own / TRAIN, openpose_gt=points)
    report = run(own, tmp_path / "x.h5", body_models)
    hd = HumanData.open(tmp_path / "x.h5")
    assert hd["meta/transl_valid"].tolist() == [False, True, True, False, True]
    assert np.isnan(hd["meta/transl_residual_px"]).tolist() == [True, False, False, False, False]
    assert 20 < hd["meta/transl_residual_px"][3] < 400
    assert hd["smpl/transl"].any(axis=1).tolist() == [False, True, True, True, True]
    assert (hd["keypoints2d_smpl"][1:, :, 2] == 1).all()
    np.testing.assert_allclose(hd["keypoints3d_smpl"][4, :, :3], tree[1]["train"].truth.joints[4], atol=1e-3)
    assert len(report.notes) == 2
    assert hd.validate() == []


def test_without_a_principal_point_it_is_the_middle_of_the_image(own: Path, tmp_path: Path, body_models: Path) -> None:
    change(own / TRAIN, cam_int=None)
    run(own, tmp_path / "x.h5", body_models)
    hd = HumanData.open(tmp_path / "x.h5")
    assert (hd["meta/principal_point"] == [960, 540]).all()
    assert hd["meta/transl_residual_px"].max() < 10
    np.testing.assert_allclose(hd["meta/focal_length"], load(own / TRAIN)["focal_length"][:5], rtol=1e-6)


def test_a_pose_with_the_yaw_taken_out_is_preferred(own: Path, tree: Tree, tmp_path: Path, body_models: Path) -> None:
    pose = load(own / TRAIN)["pose"]
    change(own / TRAIN, pose_0yaw_inverseyz=pose, pose=np.zeros_like(pose))
    run(own, tmp_path / "x.h5", body_models)
    assert_joints_are_the_truth(HumanData.open(tmp_path / "x.h5"), tree[1]["train"].truth, body_models)
    change(own / TRAIN, pose=None)
    run(own, tmp_path / "y.h5", None)


# -- without everything, and bad input ------------------------------------------------------------------------


def test_without_body_models_orientation_and_pose_are_kept_and_translations_are_absent(
    tree: Tree, converted: Pair, raw: Raw
) -> None:
    hd, report = raw.without_models()
    for name in ("global_orient", "body_pose", "betas"):
        np.testing.assert_allclose(hd[f"smpl/{name}"], converted[0][f"smpl/{name}"], atol=1e-6)
    assert "smpl/transl" not in hd
    assert "body models" in report.absent["smpl/transl"]
    assert {"keypoints2d_smpl", "keypoints3d_smpl"} <= set(report.absent)
    assert hd.validate() == []
    assert report.problems == []


def test_the_folder_of_one_part_is_not_that_of_another(tree: Tree, tmp_path: Path) -> None:
    for split in ("train", "test"):  # the images' test.npz is not that of the synthetic part
        with pytest.raises(DataError, match="give that folder"):
            run(tree[0] / "spec-mtp", tmp_path / "x.h5", None, split=split)
    with pytest.raises(DataError, match="give that folder"):
        run(tree[0] / "spec-mtp", tmp_path / "x.h5", None, split="mtp_test")


def test_damaged_files_are_named(own: Path, tmp_path: Path) -> None:
    change(own / TRAIN, cam_rotmat=None)
    with pytest.raises(DataError, match=r"cam_rotmat.*train\.npz|train\.npz.*cam_rotmat"):
        run(own, tmp_path / "x.h5", None)
    truncate(own / TRAIN)
    with pytest.raises(DataError, match=r"train\.npz"):
        run(own, tmp_path / "x.h5", None)
    assert not (tmp_path / "x.h5").exists()


# -- planted faults ---------------------------------------------------------------------------------------------


def turned_the_other_way(rows: Instances) -> None:
    assert rows.world_to_camera is not None
    rows.world_to_camera.rotation = rows.world_to_camera.rotation.transpose(0, 2, 1)


@pytest.mark.parametrize(
    ("fault", "words"),
    [(turned_the_other_way, "3D points")],
)
def test_quality_exposes(tree: Tree, tmp_path: Path, body_models: Path, fault: faults.Fault, words: str) -> None:
    report = run(tree[0], tmp_path / "x.h5", body_models, dataset=faults.faulty(SPEC, fault))
    assert words in " ".join(report.problems)
