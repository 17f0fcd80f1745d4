from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ehps.body.models import BodyModels
from ehps.converters.base import Instances
from ehps.converters.datasets import egobody_recordings
from ehps.converters.datasets.egobody_ego import FLIP, EgoBodyEgo
from ehps.converters.pipeline.report import Report
from ehps.demo.raw.egobody import DATE
from ehps.demo.raw.stage import hand_components
from ehps.errors import DataError
from ehps.humandata import HumanData
from ehps.humandata.keypoints import point_names
from tests.raw import faults
from tests.raw.checks import (
    assert_boxes_hold_the_visible_joints,
    assert_joints_are_the_truth,
    edited,
    nearest,
    package_joints,
)
from tests.raw.egobody import FIRST, KEPT, SECOND, TEST, Recordings, colour, edit_fit, edit_pv, fit
from tests.raw.trees import Raw, runner

ROWS = [(name, frame) for name in (FIRST, SECOND) for frame in KEPT[name]]
Pair = tuple[HumanData, Report]

DATASET = "egobody_ego"
run = runner(DATASET)


def raw_fit(root: Path, recording: str, frame: int) -> dict[str, Any]:
    content: dict[str, Any] = pickle.loads(fit(root, recording, frame).read_bytes())
    return content


def pv_lines(root: Path, recording: str) -> dict[int, list[float]]:
    """Frame -> fx, fy, pose, as written."""
    lines = (colour(root, recording) / f"{DATE}_pv.txt").read_text().splitlines()[1:]
    fields = [line.rstrip(",").split(",") for line in lines]
    return {int(stamp[-5:]): [float(value) for value in rest] for stamp, *rest in fields}


# -- people --------------------------------------------------------------------------------------------------


def test_joints_are_those_of_the_kinects_world_moved_to_the_head(
    tree: Recordings, converted: Pair, body_models: Path
) -> None:
    hd, _ = converted
    assert_joints_are_the_truth(hd, tree.truth["train"], body_models)


def test_rows_are_the_recordings_of_the_list_and_their_frames_ascending(tree: Recordings, converted: Pair) -> None:
    hd, _ = converted
    assert list(zip(hd["meta/sequence_name"], hd["meta/frame_id"].tolist(), strict=True)) == ROWS
    assert nearest(hd, tree.truth["train"]) == list(range(6))
    assert hd["meta/track_id"].tolist() == [f"{FIRST}_0"] * 3 + [f"{SECOND}_1"] * 3
    assert hd["image_path"][3] == f"egocentric_color/{SECOND}/{DATE}/PV/132754800000000300_frame_00300.jpg"
    assert hd["meta/timestamp"][3] == "132754800000000300"  # has more digits than a float


def test_the_motion_is_composed_in_this_order(tree: Recordings, converted: Pair) -> None:
    hd, _ = converted
    for row, (recording, frame) in enumerate(ROWS):
        pose = np.array(pv_lines(tree.root, recording)[frame][2:]).reshape(4, 4)
        calibration = tree.root / "calibrations" / recording / "cal_trans/holo_to_kinect12.json"
        holo_to_kinect = np.array(json.loads(calibration.read_text())["trans"])
        move = FLIP @ np.linalg.inv(pose) @ np.linalg.inv(holo_to_kinect)
        raw = Rotation.from_rotvec(raw_fit(tree.root, recording, frame)["global_orient"][0])
        stored = Rotation.from_rotvec(hd["smplx/global_orient"][row]).as_matrix()
        np.testing.assert_allclose(stored, move[:3, :3] @ raw.as_matrix(), atol=1e-4)
        np.testing.assert_allclose(hd["meta/pv2world"][row], pose, atol=1e-5)
    assert (hd["keypoints3d_smplx"][..., 2] > 1).all()


def test_parameters_are_those_of_the_interactee(tree: Recordings, converted: Pair, body_models: Path) -> None:
    hd, _ = converted
    for row, (recording, frame) in enumerate(ROWS):
        raw = raw_fit(tree.root, recording, frame)
        for name in ("betas", "body_pose", "jaw_pose", "leye_pose", "reye_pose", "expression"):
            np.testing.assert_allclose(hd[f"smplx/{name}"][row].ravel(), raw[name][0], rtol=1e-5, atol=1e-7)
        components = hand_components(body_models, str(hd["meta/gender"][row]))
        for side, rows in components.items():
            expected = raw[f"{side}_hand_pose"][0] @ rows[:12]
            np.testing.assert_allclose(hd[f"smplx/{side}_hand_pose"][row].ravel(), expected, atol=1e-5)
            assert np.abs(expected).max() > 0.1
    assert hd["smplx/body_pose"].shape == (6, 21, 3)
    assert hd.passport.flat_hand_mean is False


def test_the_gender_is_that_of_the_fit_or_else_of_the_list(tree: Recordings, converted: Pair) -> None:
    hd, _ = converted
    assert hd["meta/gender"].tolist() == ["female"] * 3 + ["male"] * 3
    assert raw_fit(tree.root, FIRST, 110)["gender"] == "female"
    listed = {r.name: r.genders[r.interactee] for r in egobody_recordings.recordings(tree.root, "train")}
    assert listed == {FIRST: "male", SECOND: "male"}
    assert "gender" not in raw_fit(tree.root, SECOND, 302)


# -- points, boxes, facts ---------------------------------------------------------------------------------------


def test_detections_find_their_frames_and_lie_on_the_projected_joints(tree: Recordings, converted: Pair) -> None:
    hd, _ = converted
    own = hd["keypoints2d_original"]
    assert hd.keypoint_names["keypoints2d_original"] == point_names("openpose_25")
    for recording, first in ((FIRST, 0), (SECOND, 3)):
        with np.load(colour(tree.root, recording) / "keypoints.npz") as file:
            frames = [int(name[-9:-4]) for name in file["imgname"]]
            assert frames != sorted(frames)
            for row, frame in enumerate(KEPT[recording], first):
                np.testing.assert_allclose(own[row], file["keypoints"][frames.index(frame)], rtol=1e-6)
    ours = hd.keypoints("keypoints2d_smplx", point_names("smplx"))
    order = {name: k for k, name in enumerate(point_names("smplx"))}
    for k, name in ((0, "nose"), (3, "right_elbow"), (7, "left_wrist"), (11, "right_ankle"), (19, "left_bigtoe")):
        assert (own[:, k, 2] > 0.5).all()
        assert np.linalg.norm(own[:, k, :2] - ours[:, order[name], :2], axis=1).max() < 1


def test_every_frame_has_its_own_focal_length(tree: Recordings, converted: Pair) -> None:
    hd, _ = converted
    expected = [pv_lines(tree.root, recording)[frame][:2] for recording, frame in ROWS]
    np.testing.assert_allclose(hd["meta/focal_length"], expected, rtol=1e-6)
    assert len(np.unique(hd["meta/focal_length"][:3])) == 6
    np.testing.assert_allclose(hd["meta/principal_point"], [[470.5, 281.0]] * 6)


def test_boxes_hold_the_people_and_end_with_the_image(converted: Pair) -> None:
    hd, _ = converted
    assert_boxes_hold_the_visible_joints(hd)
    bottom = hd["bbox_xywh"][:, 1] + hd["bbox_xywh"][:, 3]
    below = (hd["keypoints2d_smplx"][..., 1] > 540).any(axis=1)
    assert below.tolist() == [False] * 3 + [True] * 3
    np.testing.assert_allclose(bottom[below], 540)
    for column in ("face_bbox_xywh", "lhand_bbox_xywh", "rhand_bbox_xywh"):
        boxes = hd[column]
        assert (boxes[:, 2:4] >= 0).all()
        assert ((boxes[:, 4] == 1) == (boxes[:, 2] * boxes[:, 3] > 0)).all()


def test_parts_outside_of_the_image_have_no_box(own: Path, tmp_path: Path, body_models: Path) -> None:
    def turned_down(k: int, fields: list[str]) -> list[str]:
        pose = np.array(fields[3:19], float).reshape(4, 4)
        pose[:3, :3] = pose[:3, :3] @ Rotation.from_euler("x", -22, degrees=True).as_matrix()
        return [*fields[:3], *(str(value) for value in pose.ravel())]

    edit_pv(own, SECOND, turned_down)
    run(own, tmp_path / "x.h5", body_models)
    hd = HumanData.open(tmp_path / "x.h5")
    heads = hd["keypoints2d_smplx"][3:, 76:127, 1].max(axis=1)
    assert (heads < 0).all()
    assert not hd["face_bbox_xywh"][3:].any()
    assert (hd["bbox_xywh"][3:, 1] == 0).all()
    assert hd["face_bbox_xywh"][:3, 4].all()


def test_facts_of_the_rows_and_of_the_file(converted: Pair) -> None:
    hd, report = converted
    assert np.stack([hd["meta/height"], hd["meta/width"]], axis=1).tolist() == [[540, 960]] * 6
    assert not {"meta/R", "meta/T", "keypoints3d_original"} & set(hd.columns)
    expected = {
        "smplx_source": "original",
        "bbox_source": "keypoints2d_smplx",
        "bbox_body_scale": 1.2,
        "bbox_facehand_scale": 1.0,
        "cam_param_type": "perspective",
        "flat_hand_mean": False,
        "kps3d_root_aligned": False,
        "image_shape": [540, 960],
    }
    assert {key: hd.misc[key] for key in expected} == expected
    passport = hd.passport
    assert (passport.dataset, passport.split, passport.body_model) == ("egobody_ego", "train", "smplx")
    assert (passport.gender, passport.num_betas, passport.focal) == ("per-instance", 10, "image")
    assert hd.validate() == []
    assert report.published == 90_124
    assert report.problems == []


def test_what_is_left_out_is_counted_by_reason(tree: Recordings, converted: Pair) -> None:
    _, report = converted
    assert {reason: len(names) for reason, names in report.dropped.items()} == tree.dropped
    assert report.dropped["no SMPL-X fit"] == [f"{FIRST}/132754800000000104_frame_00104.jpg"]
    assert (report.found, report.written) == (13, 6)


# -- splits ---------------------------------------------------------------------------------------------------------


def test_the_split_is_a_column_of_the_list(tree: Recordings, tmp_path: Path, body_models: Path) -> None:
    report = run(tree.root, tmp_path / "test.h5", body_models, split="test")
    hd = HumanData.open(tmp_path / "test.h5")
    assert_joints_are_the_truth(hd, tree.truth["test"], body_models)
    assert set(hd["meta/sequence_name"].tolist()) == {TEST}
    assert (report.published, report.dropped) == (62_155, {})


def test_val_is_read_where_it_has_recordings(own: Path, tree: Recordings, tmp_path: Path, body_models: Path) -> None:
    (own / "smplx_interactee_test").rename(own / "smplx_interactee_val")
    with pytest.raises(DataError, match="nothing to read for split val"):
        run(own, tmp_path / "x.h5", body_models, split="val")
    (own / "data_splits.csv").write_text(f"train,val,test\n{FIRST},{TEST},\n{SECOND},,\n")
    run(own, tmp_path / "x.h5", body_models, split="val")
    assert_joints_are_the_truth(HumanData.open(tmp_path / "x.h5"), tree.truth["test"], body_models)


# -- without everything, and bad input ------------------------------------------------------------------------


def test_without_body_models_only_the_detections_are_kept(tree: Recordings, raw: Raw) -> None:
    hd, report = raw.without_models()
    assert "rest pelvis" in report.absent["smplx/*"]
    assert {"keypoints2d_smplx", "keypoints3d_smplx"} <= set(report.absent)
    assert not [name for name in hd.columns if name.startswith("smplx/")]
    assert hd.misc["bbox_source"] == "keypoints2d_original"
    assert report.written == 6


def test_a_recording_that_is_not_described_is_named(own: Path, tmp_path: Path) -> None:
    path = own / "data_info_release.csv"
    path.write_text("\n".join(line for line in path.read_text().splitlines() if SECOND not in line))
    with pytest.raises(DataError, match=rf"{SECOND} is not described"):
        run(own, tmp_path / "x.h5", None)


def test_a_recording_without_its_images_folder_is_named(own: Path, tmp_path: Path, body_models: Path) -> None:
    shutil.rmtree(own / "egocentric_color" / SECOND)
    with pytest.raises(DataError, match=SECOND):
        run(own, tmp_path / "x.h5", body_models)


def test_fits_and_poses_that_are_no_numbers_are_dropped(own: Path, tmp_path: Path, body_models: Path) -> None:
    edit_fit(own, FIRST, 112, lambda values: values["body_pose"].__setitem__((0, 7), np.nan))
    edit_pv(own, SECOND, lambda k, fields: [*fields[:3], "nan", *fields[4:]] if k == 1 else fields)
    report = run(own, tmp_path / "x.h5", body_models)
    assert len(report.dropped["body parameters not finite"]) == 1
    assert len(report.dropped["no camera pose"]) == 2
    assert report.written == 4


# -- planted faults ---------------------------------------------------------------------------------------------


def one_focal_length(rows: Instances) -> None:
    """A quarter more than the camera's, as of another image size."""
    assert rows.camera is not None
    rows.camera.focal = rows.camera.focal * 1.25


def detections_mirrored(rows: Instances) -> None:
    assert rows.keypoints2d is not None
    order = [point_names("openpose_25").index(other) for other in map(_other_side, point_names("openpose_25"))]
    rows.keypoints2d.points = rows.keypoints2d.points[:, order]


def _other_side(name: str) -> str:
    for side, other in (("left", "right"), ("right", "left")):
        if name.startswith(side):
            return other + name.removeprefix(side)
    return name


@pytest.mark.parametrize(
    ("fault", "words"),
    [(one_focal_length, "2D points"), (detections_mirrored, "left and right exchanged")],
)
def test_quality_exposes(tree: Recordings, tmp_path: Path, body_models: Path, fault: faults.Fault, words: str) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(EgoBodyEgo, fault))
    assert words in " ".join(report.problems)


def test_a_pelvis_correction_left_out_shows_in_the_two_routes(
    tree: Recordings, tmp_path: Path, body_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BodyModels, "rest_pelvis", lambda self, params: np.zeros((len(params), 3)))
    report = run(tree.root, tmp_path / "x.h5", body_models)
    assert "pelvis correction" in " ".join(report.problems)


def test_the_flip_of_the_cameras_axes_left_out_leaves_nobody_in_front_of_it(
    tree: Recordings, tmp_path: Path, body_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ehps.converters.datasets.egobody_ego.FLIP", np.eye(4))
    with pytest.raises(DataError, match="6 body box empty or outside the image"):
        run(tree.root, tmp_path / "x.h5", body_models)


def test_hands_taken_as_absolute_move_the_fingers_alone(
    tree: Recordings, converted: Pair, tmp_path: Path, body_models: Path
) -> None:
    run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(EgoBodyEgo, faults.hands_absolute))
    wrong, right = package_joints(HumanData.open(tmp_path / "x.h5"), body_models), converted[0]["keypoints3d_smplx"]
    distance = np.linalg.norm(wrong - right[..., :3], axis=2)
    assert distance[:, :22].max() < 1e-4
    assert distance[:, 66:76].max(axis=1).min() > 0.01  # finger tips: BODY_25 has none, so nothing could expose it


def test_a_calibration_of_another_recording_shows(own: Path, tmp_path: Path, body_models: Path) -> None:
    for recording in (FIRST, SECOND):
        with edited(own / "calibrations" / recording / "cal_trans/holo_to_kinect12.json") as calibration:
            calibration["trans"][0][3] += 0.5
    report = run(own, tmp_path / "x.h5", body_models)
    assert "2D points" in " ".join(report.problems)
