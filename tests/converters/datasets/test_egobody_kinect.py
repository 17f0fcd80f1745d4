from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ehps.body.models import BodyModels
from ehps.converters.datasets.egobody_kinect import EgoBodyKinect
from ehps.converters.pipeline.report import Report
from ehps.demo.raw.stage import hand_components
from ehps.errors import DataError
from ehps.humandata import HumanData
from tests.raw import faults
from tests.raw.checks import (
    assert_boxes_hold_the_visible_joints,
    assert_joints_are_the_truth,
    edited,
    package_joints,
)
from tests.raw.egobody_kinect import (
    FIRST,
    LENSES,
    ROLES,
    SECOND,
    TEST,
    VIEWS,
    Kinects,
    edit_fit,
    raw_fit,
)
from tests.raw.trees import runner

Pair = tuple[HumanData, Report]

DATASET = "egobody_kinect"
run = runner(DATASET)


def to_master(root: Path, recording: str, view: str) -> np.ndarray:
    if view == "master":
        return np.eye(4)
    path = root / "calibrations" / recording / "cal_trans" / f"kinect_{VIEWS[view]}to12_color.json"
    return np.array(json.loads(path.read_text())["trans"])


# -- people --------------------------------------------------------------------------------------------------


def test_joints_are_those_of_the_master_moved_to_every_camera(
    tree: Kinects, converted: Pair, body_models: Path
) -> None:
    hd, _ = converted
    assert_joints_are_the_truth(hd, tree.train, body_models)
    assert set(hd["meta/camera"].tolist()) == set(VIEWS)


def test_rows_go_view_by_view_frame_by_frame_the_interactee_first(tree: Kinects, converted: Pair) -> None:
    hd, _ = converted
    columns = (hd[f"meta/{name}"].tolist() for name in ("sequence_name", "camera", "frame_id", "character"))
    assert list(zip(*columns, strict=True)) == tree.rows
    body = {
        (FIRST, "interactee"): 0,
        (FIRST, "camera_wearer"): 1,
        (SECOND, "interactee"): 1,
        (SECOND, "camera_wearer"): 0,
    }
    idx = [body[name, role] for name, _, _, role in tree.rows]
    assert hd["meta/person_id"].tolist() == idx
    assert hd["meta/track_id"].tolist() == [f"{row[0]}_{k}" for row, k in zip(tree.rows, idx, strict=True)]
    assert hd["image_path"].tolist() == [f"kinect_color/{n}/{v}/frame_{k:05d}.jpg" for n, v, k, _ in tree.rows]


def test_bodies_turn_with_the_inverse_of_the_cameras_calibration(tree: Kinects, converted: Pair) -> None:
    hd, _ = converted
    for row, (recording, view, frame, role) in enumerate(tree.rows):
        move = np.linalg.inv(to_master(tree.root, recording, view))
        raw = raw_fit(tree.root, recording, role, frame)
        expected = move[:3, :3] @ Rotation.from_rotvec(raw["global_orient"][0]).as_matrix()
        stored = Rotation.from_rotvec(hd["smplx/global_orient"][row]).as_matrix()
        np.testing.assert_allclose(stored, expected, atol=1e-4)
        if view == "master":
            np.testing.assert_allclose(hd["smplx/transl"][row], raw["transl"][0], atol=1e-6)


def test_everybody_has_the_parameters_and_the_gender_of_the_own_fit(
    tree: Kinects, converted: Pair, body_models: Path
) -> None:
    hd, _ = converted
    genders = {
        (FIRST, ROLES[0]): "female",
        (FIRST, ROLES[1]): "male",
        (SECOND, ROLES[0]): "male",
        (SECOND, ROLES[1]): "female",
    }
    assert hd["meta/gender"].tolist() == [genders[name, role] for name, _, _, role in tree.rows]
    for row, (recording, _, frame, role) in enumerate(tree.rows):
        raw = raw_fit(tree.root, recording, role, frame)
        for name in ("betas", "body_pose", "jaw_pose", "leye_pose", "reye_pose", "expression"):
            np.testing.assert_allclose(hd[f"smplx/{name}"][row].ravel(), raw[name][0], rtol=1e-5, atol=1e-7)
        for side, components in hand_components(body_models, genders[recording, role]).items():
            expected = raw[f"{side}_hand_pose"][0] @ components[:12]
            np.testing.assert_allclose(hd[f"smplx/{side}_hand_pose"][row].ravel(), expected, atol=1e-5)
            assert np.abs(expected).max() > 0.1
    assert "gender" not in raw_fit(tree.root, SECOND, "camera_wearer", 22)
    assert hd.passport.flat_hand_mean is False


def test_a_gender_of_the_fit_goes_before_that_of_the_list(own: Path, tmp_path: Path, body_models: Path) -> None:
    edit_fit(own, TEST, "camera_wearer", 11, lambda values: values.update(gender="male"))
    edit_fit(own, TEST, "interactee", 10, lambda values: values.pop("gender"))
    run(own, tmp_path / "x.h5", body_models, split="test", options={"cameras": "master"})
    hd = HumanData.open(tmp_path / "x.h5")
    assert hd["meta/gender"].tolist() == ["male", "female", "male", "male"]


# -- cameras, boxes, facts ----------------------------------------------------------------------------------------


def test_every_camera_has_its_own_lens_and_points_are_bent_by_it(tree: Kinects, converted: Pair) -> None:
    hd, _ = converted
    for row, (_, view, _, _) in enumerate(tree.rows):
        k = list(VIEWS).index(view)
        np.testing.assert_allclose(hd["meta/dist_coeffs"][row], np.pad(LENSES[k], (0, 8 - len(LENSES[k]))), rtol=1e-6)
        np.testing.assert_allclose(hd["meta/focal_length"][row], [910 + 2 * k, 909 - k])
        np.testing.assert_allclose(hd["meta/principal_point"][row], [955.5 + 3 * k, 548 - 2 * k])
        joints = hd["keypoints3d_smplx"][row, :127, :3]
        straight = joints[:, :2] / joints[:, 2:] * hd["meta/focal_length"][row] + hd["meta/principal_point"][row]
        bent = np.linalg.norm(straight - hd["keypoints2d_smplx"][row, :127, :2], axis=1)
        assert bent.max() > 0.5
    assert hd.misc["distortion"] == "applied"


def test_boxes_hold_the_people(converted: Pair) -> None:
    hd, _ = converted
    assert_boxes_hold_the_visible_joints(hd)
    for column in ("face_bbox_xywh", "lhand_bbox_xywh", "rhand_bbox_xywh"):
        boxes = hd[column]
        assert ((boxes[:, 4] == 1) == (boxes[:, 2] * boxes[:, 3] > 0)).all()


def test_people_outside_of_a_view_are_left_out_of_it(own: Path, tmp_path: Path, body_models: Path) -> None:
    edit_fit(own, TEST, "camera_wearer", 10, lambda values: values["transl"].__iadd__(np.array([20, 0, 0], np.float32)))
    report = run(own, tmp_path / "x.h5", body_models, split="test", options={"cameras": "master"})
    assert len(report.dropped["body box empty or outside the image"]) == 1
    hd = HumanData.open(tmp_path / "x.h5")
    assert list(zip(hd["meta/frame_id"].tolist(), hd["meta/character"].tolist(), strict=True)) == [
        (10, "interactee"),
        (11, "interactee"),
        (11, "camera_wearer"),
    ]


def test_facts_of_the_rows_and_of_the_file(converted: Pair) -> None:
    hd, report = converted
    assert {tuple(size) for size in np.stack([hd["meta/height"], hd["meta/width"]], axis=1).tolist()} == {(1080, 1920)}
    assert not {"meta/R", "meta/T", "keypoints3d_original", "keypoints2d_original"} & set(hd.columns)
    expected = {
        "smplx_source": "original",
        "bbox_source": "keypoints2d_smplx",
        "bbox_body_scale": 1.2,
        "bbox_facehand_scale": 1.0,
        "cam_param_type": "perspective",
        "flat_hand_mean": False,
        "kps3d_root_aligned": False,
        "image_shape": [1080, 1920],
    }
    assert {key: hd.misc[key] for key in expected} == expected
    passport = hd.passport
    assert (passport.dataset, passport.split, passport.body_model) == ("egobody_kinect", "train", "smplx")
    assert (passport.gender, passport.num_betas, passport.focal) == ("per-instance", 10, "image")
    assert hd.validate() == []
    assert report.published == 845_918
    assert report.problems == []


def test_what_is_left_out_is_counted_by_reason(tree: Kinects, converted: Pair) -> None:
    _, report = converted
    assert {reason: len(names) for reason, names in report.dropped.items()} == tree.dropped
    assert set(report.dropped["fit of one person only"]) == {f"{FIRST}/frame_00011", f"{SECOND}/frame_00023"}
    assert report.dropped["outside the usable range of frames"] == [f"{FIRST}/frame_00010"]
    assert report.written == 12 + 28


# -- splits, cameras, strides ---------------------------------------------------------------------------------------


def test_the_split_is_a_column_of_the_list(own: Path, tree: Kinects, tmp_path: Path, body_models: Path) -> None:
    report = run(own, tmp_path / "test.h5", body_models, split="test")
    hd = HumanData.open(tmp_path / "test.h5")
    views = list(tree.people[TEST].values())
    truth = type(views[0]).concat(views)
    assert_joints_are_the_truth(hd, truth, body_models)
    assert (len(hd), report.dropped) == (12, {})
    assert report.notes[-1] == (
        "kinect_sub_2/Color.json has 5 lens coefficients, an Azure Kinect's has 8: the others are taken for 0"
    )
    for role in ROLES:
        (own / f"smplx_{role}_test").rename(own / f"smplx_{role}_val")
    (own / "data_splits.csv").write_text(f"train,val,test\n{FIRST},{TEST},\n{SECOND},,\n")
    run(own, tmp_path / "val.h5", body_models, split="val")
    assert_joints_are_the_truth(HumanData.open(tmp_path / "val.h5"), truth, body_models)


def test_cameras_and_strides_can_be_chosen(tree: Kinects, converted: Pair, tmp_path: Path, body_models: Path) -> None:
    run(tree.root, tmp_path / "x.h5", body_models, options={"cameras": "sub_4,sub_1", "interval": "2"})
    hd = HumanData.open(tmp_path / "x.h5")
    wanted = [
        k for k, (_, view, frame, _) in enumerate(tree.rows) if view in ("sub_1", "sub_4") and frame in (12, 20, 22)
    ]
    assert hd["image_path"].tolist() == [converted[0]["image_path"][k] for k in wanted]
    np.testing.assert_allclose(hd["smplx/transl"], converted[0]["smplx/transl"][wanted], rtol=1e-5)


def test_a_view_without_calibration_is_left_out_and_told(own: Path, tmp_path: Path, body_models: Path) -> None:
    (own / "calibrations" / TEST / "cal_trans/kinect_13to12_color.json").unlink()
    report = run(own, tmp_path / "x.h5", body_models, split="test")
    assert set(HumanData.open(tmp_path / "x.h5")["meta/camera"].tolist()) == {"master", "sub_1"}
    assert any(f"{TEST}: sub_2 has images, but no calibration" in note for note in report.notes)


def test_a_recording_without_the_chosen_cameras_is_told(tree: Kinects, tmp_path: Path, body_models: Path) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models, options={"cameras": "sub_4"})
    assert set(HumanData.open(tmp_path / "x.h5")["meta/sequence_name"].tolist()) == {SECOND}
    assert any(FIRST in note for note in report.notes)


# -- without everything, and bad input ------------------------------------------------------------------------


def test_without_body_models_nothing_is_known_about_where_people_are(tree: Kinects, tmp_path: Path) -> None:
    report = run(tree.root, tmp_path / "x.h5", None)
    assert "rest pelvis" in report.absent["smplx/*"]
    assert {"keypoints2d_smplx", "keypoints3d_smplx"} <= set(report.absent)
    hd = HumanData.open(tmp_path / "x.h5")
    assert not [name for name in hd.columns if name.startswith("smplx/")]


def test_files_with_other_content_are_named(own: Path, tmp_path: Path, body_models: Path) -> None:
    lens = own / "kinect_cam_params/kinect_master/Color.json"
    with edited(lens) as content:
        content["k"] = content["k"][:7]
    with pytest.raises(DataError, match="k is 7 numbers, expected 4, 5 or 8"):
        run(own, tmp_path / "x.h5", body_models)
    with edited(lens) as content:
        content["k"] = list(LENSES[0])
    edit_fit(own, SECOND, "camera_wearer", 21, lambda values: values.pop("transl"))
    (name,) = set(run(own, tmp_path / "x.h5", body_models).dropped["SMPL-X fit cannot be read"])
    assert "frame_00021/000.pkl: has no transl" in name
    edit_fit(own, SECOND, "camera_wearer", 21, lambda values: values.update(transl=np.zeros((1, 2), np.float32)))
    (name,) = set(run(own, tmp_path / "x.h5", body_models).dropped["SMPL-X fit cannot be read"])
    assert "frame_00021/000.pkl: transl is 1 x 2 numbers, expected 3" in name
    with edited(own / "calibrations" / SECOND / "cal_trans/kinect_11to12_color.json") as content:
        content["trans"] = np.zeros((4, 4)).tolist()
    with pytest.raises(DataError, match="kinect_11to12_color"):
        run(own, tmp_path / "x.h5", body_models)


def test_recordings_without_images_or_fits_are_told(own: Path, tmp_path: Path, body_models: Path) -> None:
    for role in ROLES:
        shutil.rmtree(own / f"smplx_{role}_train" / FIRST)
    report = run(own, tmp_path / "x.h5", body_models)
    assert report.left_out == {"recording without SMPL-X fits": [FIRST]}
    assert report.written == 28
    shutil.rmtree(own / "kinect_color" / SECOND)
    with pytest.raises(DataError, match=SECOND):
        run(own, tmp_path / "x.h5", body_models)


def test_fits_and_calibrations_that_are_no_numbers_are_dropped(own: Path, tmp_path: Path, body_models: Path) -> None:
    edit_fit(own, FIRST, "interactee", 12, lambda values: values["body_pose"].__setitem__((0, 7), np.nan))
    with edited(own / "calibrations" / FIRST / "cal_trans/kinect_11to12_color.json") as content:
        content["trans"] = (np.diag([2.0, 2.0, 2.0, 1.0]) @ np.array(content["trans"])).tolist()
    report = run(own, tmp_path / "x.h5", body_models)
    assert len(report.dropped["body parameters not finite"]) == 3
    assert len(report.dropped["camera pose is no rotation (scaled or mirrored)"]) == 3
    assert report.written == 28 + 12 - 6


def test_images_of_another_size_are_told(own: Path, tmp_path: Path, body_models: Path) -> None:
    cv2.imwrite(str(own / "kinect_color" / TEST / "master/frame_00010.jpg"), np.zeros((108, 192, 3), np.uint8))
    report = run(own, tmp_path / "x.h5", body_models, split="test")
    assert any("192" in note for note in report.notes)


# -- planted faults ---------------------------------------------------------------------------------------------


def test_a_pelvis_correction_left_out_shows_in_the_two_routes(
    tree: Kinects, tmp_path: Path, body_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BodyModels, "rest_pelvis", lambda self, params: np.zeros((len(params), 3)))
    report = run(tree.root, tmp_path / "x.h5", body_models)
    assert "pelvis correction" in " ".join(report.problems)


def test_hands_taken_as_absolute_move_the_fingers_alone(
    tree: Kinects, converted: Pair, tmp_path: Path, body_models: Path
) -> None:
    run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(EgoBodyKinect, faults.hands_absolute))
    wrong, right = package_joints(HumanData.open(tmp_path / "x.h5"), body_models), converted[0]["keypoints3d_smplx"]
    distance = np.linalg.norm(wrong - right[..., :3], axis=2)
    assert distance[:, :22].max() < 1e-4
    assert distance[:, 66:76].max(axis=1).min() > 0.01  # without points of its own nothing in the data exposes it
