from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ehps.body.models import BodyModels
from ehps.body.params import smplh_params
from ehps.converters.base import Instances
from ehps.converters.datasets.behave import Behave
from ehps.converters.pipeline.report import Report
from ehps.errors import DataError
from ehps.humandata import HumanData
from ehps.humandata.keypoints import point_names
from tests.raw import faults
from tests.raw.behave import (
    GENDER,
    HEIGHT,
    KINECTS,
    LOST,
    MAN,
    POINTS,
    TEST,
    WIDTH,
    WOMAN,
    Sequences,
    edit,
    edit_fit,
    raw_fit,
    write_30fps,
)
from tests.raw.checks import (
    assert_boxes_hold_the_visible_joints,
    assert_joints_are_the_truth,
    package_joints,
)
from tests.raw.trees import Raw, read, runner

Pair = tuple[HumanData, Report]

DATASET = "behave"
run = runner(DATASET)


# -- people --------------------------------------------------------------------------------------------------


def test_joints_are_those_of_the_world_moved_to_every_kinect(
    tree: Sequences, converted: Pair, body_models: Path
) -> None:
    hd, _ = converted
    assert hd.body_model == "smplh"
    assert_joints_are_the_truth(hd, tree.train, body_models)


def test_rows_go_time_step_by_time_step_kinect_by_kinect(tree: Sequences, converted: Pair) -> None:
    hd, _ = converted
    columns = (hd[f"meta/{name}"].tolist() for name in ("sequence_name", "frame_id", "camera"))
    assert list(zip(*columns, strict=True)) == [(name, time, str(k)) for name, time, k in tree.rows]
    assert hd["meta/gender"].tolist() == [GENDER[name] for name, _, _ in tree.rows]
    assert hd["meta/subject"].tolist() == ["Sub02"] * 7 + ["Sub07"] * 6
    assert hd["meta/object"].tolist() == ["boxlong"] * 7 + ["chairwood"] * 6
    assert hd["image_path"].tolist() == [f"sequences/{n}/{time}/k{k}.color.jpg" for n, time, k in tree.rows]


def test_parameters_are_the_raw_ones_with_root_and_place_in_the_camera(
    tree: Sequences, converted: Pair, body_models: Path
) -> None:
    hd, _ = converted
    for row, (name, time, kinect) in enumerate(tree.rows):
        raw = raw_fit(tree.root, name, time)
        path = tree.root / "calibs" / name[:6] / "config" / str(kinect) / "config.json"
        turn = np.linalg.inv(np.array(json.loads(path.read_text())["rotation"]).reshape(3, 3))
        stored = Rotation.from_rotvec(hd["smplh/global_orient"][row]).as_matrix()
        np.testing.assert_allclose(stored, turn @ Rotation.from_rotvec(raw["pose"][:3]).as_matrix(), atol=1e-5)
        for part, start, stop in (("body_pose", 3, 66), ("left_hand_pose", 66, 111), ("right_hand_pose", 111, 156)):
            np.testing.assert_allclose(hd[f"smplh/{part}"][row].ravel(), raw["pose"][start:stop], rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(hd["smplh/betas"][row], raw["betas"], rtol=1e-5)
        if kinect == 1:  # the world
            np.testing.assert_allclose(hd["smplh/transl"][row], raw["trans"], atol=1e-5)
    assert hd["smplh/left_hand_pose"].shape == (13, 15, 3)
    assert np.abs(hd["smplh/left_hand_pose"]).max() > 0.1
    assert hd.passport.flat_hand_mean is True


def test_smplh_parameters_are_slices_of_156_numbers() -> None:
    pose = np.arange(2 * 156.0).reshape(2, 156)
    params = smplh_params(gender="f", betas=np.zeros((2, 10)), pose=pose, transl=np.ones((2, 3)))
    assert (params.model_type, params.gender.tolist(), params.flat_hand_mean) == ("smplh", ["female"] * 2, False)
    assert params.left_hand_pose is not None
    assert params.right_hand_pose is not None
    parts = [params.global_orient, params.body_pose, params.left_hand_pose, params.right_hand_pose]
    np.testing.assert_array_equal(np.concatenate([part.reshape(2, -1) for part in parts], axis=1), pose)
    assert [part.reshape(2, -1).shape[1] for part in parts] == [3, 63, 45, 45]


# -- points -----------------------------------------------------------------------------------------------------


def test_detections_keep_their_confidence_and_lie_on_the_projected_joints(tree: Sequences, converted: Pair) -> None:
    hd, report = converted
    own = hd["keypoints2d_original"]
    assert hd.keypoint_names["keypoints2d_original"] == POINTS
    name, time, kinect = tree.rows[1]
    raw = json.loads((tree.root / "sequences" / name / time / f"k{kinect}.color.json").read_text())
    np.testing.assert_allclose(own[1, :25].ravel(), raw["body_joints"], rtol=1e-6)
    np.testing.assert_allclose(own[1, 25:45].ravel(), raw["left_hand_joints"][3:], rtol=1e-6)
    np.testing.assert_allclose(own[1, 45:65].ravel(), raw["right_hand_joints"][3:], rtol=1e-6)
    ours = {point: k for k, point in enumerate(point_names("smplh_73"))}
    for k, point in ((0, "nose"), (3, "right_elbow"), (7, "left_wrist"), (11, "right_ankle"), (19, "left_bigtoe")):
        seen = own[:, k, 2] > 0
        assert seen.sum() == 12
        distance = np.linalg.norm(own[:, k, :2] - hd["keypoints2d_smplh"][:, ours[point], :2], axis=1)
        assert distance[seen].max() < 0.1
    for point in ("left_index_2", "right_pinky"):
        k = POINTS.index(point)
        np.testing.assert_allclose(own[1, k, :2], hd["keypoints2d_smplh"][1, ours[point], :2], atol=0.1)
    assert report.quality["reprojection_hands_px"]["max"] < 0.1


def test_points_that_were_not_detected_have_no_confidence(tree: Sequences, converted: Pair) -> None:
    hd, _ = converted
    own = hd["keypoints2d_original"]
    assert tree.rows[3] == (MAN, "t0003.000", 3)
    assert not own[3, 25:].any()  # hands of zeros, others with a confidence of almost zero
    assert (own[3, :25, 2] > 0.7).sum() >= 20
    assert tree.rows[10] == (WOMAN, "t0006.000", 0)
    assert not own[10].any()  # no file
    assert own[11].any()


def test_the_datasets_own_joints_are_moved_to_the_camera(tree: Sequences, converted: Pair) -> None:
    hd, report = converted
    own = hd["keypoints3d_original"]
    assert hd.keypoint_names["keypoints3d_original"] == point_names("openpose_25")
    ours = point_names("smplh_73")
    for k, point in ((0, "nose"), (4, "right_wrist"), (11, "right_ankle")):
        known = own[:, k, 3] == 1
        assert known.tolist() == [time != "t0006.000" for _, time, _ in tree.rows]
        distance = np.linalg.norm(own[:, k, :3] - hd["keypoints3d_smplh"][:, ours.index(point), :3], axis=1)
        assert distance[known].max() < 1e-3
    assert not own[7:, 7].any()  # the left wrist
    assert own[:7, 7, 3].all()
    assert report.quality["points3d_m"]["max"] < 1e-3


# -- cameras, boxes, facts ----------------------------------------------------------------------------------------


def test_every_kinect_has_its_own_lens_and_points_are_bent_by_it(tree: Sequences, converted: Pair) -> None:
    hd, _ = converted
    for row, (_, _, k) in enumerate(tree.rows):
        lens = [0.50 + 0.01 * k, -2.64, 0.0006, -0.0003, 1.55, 0.38, -2.46, 1.47]
        np.testing.assert_allclose(hd["meta/dist_coeffs"][row], lens, rtol=1e-6)
        np.testing.assert_allclose(hd["meta/focal_length"][row], [979 + k, 978.5 - k])
        np.testing.assert_allclose(hd["meta/principal_point"][row], [1018 + k, 779.5 - 2 * k])
        joints = hd["keypoints3d_smplh"][row, :, :3]
        straight = joints[:, :2] / joints[:, 2:] * hd["meta/focal_length"][row] + hd["meta/principal_point"][row]
        assert np.linalg.norm(straight - hd["keypoints2d_smplh"][row, :, :2], axis=1).max() > 0.5
    assert hd.misc["distortion"] == "applied"


def test_boxes_hold_the_people(converted: Pair) -> None:
    hd, _ = converted
    assert_boxes_hold_the_visible_joints(hd)
    for column in ("face_bbox_xywh", "lhand_bbox_xywh", "rhand_bbox_xywh"):
        boxes = hd[column]
        assert ((boxes[:, 4] == 1) == (boxes[:, 2] * boxes[:, 3] > 0)).all()


def test_facts_of_the_rows_and_of_the_file(converted: Pair) -> None:
    hd, report = converted
    sizes = np.stack([hd["meta/height"], hd["meta/width"]], axis=1)
    assert {tuple(size) for size in sizes.tolist()} == {(HEIGHT, WIDTH)}
    assert not {"meta/R", "meta/T"} & set(hd.columns)
    expected = {
        "smplh_source": "original",
        "bbox_source": "keypoints2d_smplh",
        "bbox_body_scale": 1.2,
        "bbox_facehand_scale": 1.0,
        "cam_param_type": "perspective",
        "flat_hand_mean": True,
        "kps3d_root_aligned": False,
        "image_shape": [HEIGHT, WIDTH],
        "fps": 1,
        "downsampled": True,
        "keypoints2d_source": "OpenPose: body as openpose_25, hands and face as openpose_137",
    }
    assert {key: hd.misc[key] for key in expected} == expected
    passport = hd.passport
    assert (passport.dataset, passport.split, passport.body_model) == ("behave", "train", "smplh")
    assert (passport.gender, passport.num_betas, passport.focal) == ("per-instance", 10, "image")
    assert hd.validate() == []
    assert report.published == 44_431
    assert report.problems == []


def test_what_is_left_out_is_counted_by_reason(tree: Sequences, converted: Pair) -> None:
    _, report = converted
    assert {reason: len(names) for reason, names in report.dropped.items()} == tree.dropped
    assert report.dropped["no SMPL-H fit"] == [f"{MAN}/t0004.000"] * 4  # Kinects
    assert report.left_out == {"sequence not there": [LOST]}
    assert report.written == 13


# -- splits, releases, options -------------------------------------------------------------------------------------


def test_test_is_a_list_of_its_own(tree: Sequences, tmp_path: Path, body_models: Path) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models, split="test")
    truth = tree.truth([(TEST, "t0003.000", k) for k in KINECTS[TEST]])
    assert_joints_are_the_truth(HumanData.open(tmp_path / "x.h5"), truth, body_models)
    assert (report.dropped, report.published) == ({}, None)


def test_cameras_and_strides_can_be_chosen(tree: Sequences, converted: Pair, tmp_path: Path, body_models: Path) -> None:
    run(tree.root, tmp_path / "x.h5", body_models, options={"cameras": "3,1", "interval": "2"})
    hd = HumanData.open(tmp_path / "x.h5")
    first = [(MAN, "t0003.000", 1), (MAN, "t0003.000", 3), (WOMAN, "t0005.000", 1)]
    wanted = [tree.rows.index(row) for row in first]
    assert hd["image_path"].tolist() == [converted[0]["image_path"][k] for k in wanted]
    np.testing.assert_allclose(hd["smplh/transl"], converted[0]["smplh/transl"][wanted], rtol=1e-5)


def test_the_release_at_30_fps_has_the_same_bodies_more_often(
    own: Path, tree: Sequences, tmp_path: Path, body_models: Path
) -> None:
    with pytest.raises(DataError, match="behave-30fps-params-v1"):
        run(own, tmp_path / "x.h5", body_models, options={"fits": "30fps"})
    times = write_30fps(own, MAN, tree.params[MAN])
    report = run(own, tmp_path / "x.h5", body_models, options={"fits": "30fps", "cameras": "1"})
    hd = HumanData.open(tmp_path / "x.h5")
    assert hd["image_path"].tolist() == [f"sequences/{MAN}/{time}/k1.color.jpg" for time in times]
    everybody = tree.people[MAN][1]
    np.testing.assert_allclose(package_joints(hd, body_models), everybody.joints, atol=1e-3)
    np.testing.assert_allclose(hd["keypoints2d_smplh"][..., :2], everybody.points, atol=0.1)
    assert not {"keypoints2d_original", "keypoints3d_original"} & set(hd.columns)
    assert set(report.left_out["sequence not there"]) == {WOMAN, LOST}
    assert (hd.misc["fps"], hd.misc["downsampled"]) == (30, False)
    assert report.problems == []


def test_the_calibration_is_the_one_that_info_names(
    own: Path, tree: Sequences, converted: Pair, tmp_path: Path, body_models: Path
) -> None:
    """The calibration of the date is that of other Kinects, and the one that holds has another name."""
    (own / "calibs/Date01").rename(own / "calibs/Date01_late")
    shutil.copytree(own / "calibs/Date04", own / "calibs/Date01")
    (own / "calibs/intrinsics").rename(own / "calibs/lenses")
    for name in (MAN, WOMAN):
        edit(own / "sequences" / name / "info.json", lambda info: info.update(intrinsic="../../calibs/lenses"))
    edit(own / "sequences" / MAN / "info.json", lambda info: info.update(config="../../calibs/Date01_late/config/"))
    edit(own / "sequences" / WOMAN / "info.json", lambda info: info.pop("config"))
    run(own, tmp_path / "x.h5", body_models)
    hd = HumanData.open(tmp_path / "x.h5")
    np.testing.assert_array_equal(hd["smplh/transl"], converted[0]["smplh/transl"])
    np.testing.assert_array_equal(hd["meta/dist_coeffs"], converted[0]["meta/dist_coeffs"])


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("../../calibs/Date09/config", "no folder"),
        ("../../../elsewhere", "no folder below"),
        ("/etc", "no folder below"),
        (3, "expected a text"),
    ],
)
@pytest.mark.parametrize("here", [True, False])
def test_a_calibration_that_info_names_must_be_there(
    own: Path, monkeypatch: pytest.MonkeyPatch, here: bool, named: object, words: str
) -> None:
    edit(own / "sequences" / MAN / "info.json", lambda info: info.update(config=named))
    if here:
        monkeypatch.chdir(own)
        own = Path()
    with pytest.raises(DataError, match=rf"{MAN}/info\.json: config is .*{words}"):
        read(DATASET, own)


@pytest.mark.parametrize(("shorter", "reason"), [("frame_times", "no time of the fit"), ("trans", "no SMPL-H fit")])
def test_of_lists_of_different_length_the_common_frames_are_taken(
    own: Path, tree: Sequences, shorter: str, reason: str
) -> None:
    times = write_30fps(own, MAN, tree.params[MAN])
    whole = read(DATASET, own, fits="30fps", cameras="1")[0]
    path = own / "behave-30fps-params-v1" / MAN / "smpl_fit_all.npz"
    with np.load(path) as file:
        content = dict(file)
    np.savez(path, **content | {shorter: content[shorter][:2]})
    rows = read(DATASET, own, fits="30fps", cameras="1")[0]
    assert rows.meta["frame_id"] == list(times[:2])
    assert {why: len(names) for why, names in rows.dropped.items()} == {reason: 1}
    assert rows.body is not None
    assert whole.body is not None
    np.testing.assert_array_equal(rows.body.transl, whole.body.transl[:2])
    np.testing.assert_array_equal(rows.body.body_pose, whole.body.body_pose[:2])


def test_without_info_the_name_of_the_sequence_tells_the_rest(
    own: Path, tree: Sequences, tmp_path: Path, body_models: Path
) -> None:
    (own / "sequences" / TEST / "info.json").unlink()
    run(own, tmp_path / "x.h5", body_models, split="test")
    hd = HumanData.open(tmp_path / "x.h5")
    assert_joints_are_the_truth(hd, tree.truth([(TEST, "t0003.000", k) for k in (0, 1, 2)]), body_models)
    assert (set(hd["meta/gender"].tolist()), set(hd["meta/object"].tolist())) == ({"male"}, {"yogamat"})


# -- without everything, and bad input ------------------------------------------------------------------------


def test_without_body_models_only_the_datasets_own_points_are_kept(tree: Sequences, raw: Raw) -> None:
    hd, report = raw.without_models()
    assert "rest pelvis" in report.absent["smplh/*"]
    assert {"keypoints2d_smplh", "keypoints3d_smplh"} <= set(report.absent)
    assert not [name for name in hd.columns if name.startswith("smplh/")]
    assert {"keypoints2d_original", "keypoints3d_original"} <= set(hd.columns)
    assert hd.misc["bbox_source"] == "keypoints2d_original"


def test_files_that_are_not_there_or_of_another_kind_are_named(own: Path, tmp_path: Path, body_models: Path) -> None:
    edit_fit(own, MAN, "t0003.000", lambda content: content.update(pose=np.zeros(72)))
    names = run(own, tmp_path / "x.h5", body_models).dropped["SMPL-H fit cannot be read"]
    path = f"sequences/{MAN}/t0003.000/person/fit02/person_fit.pkl"
    assert names == [f"{path}: pose is 72 numbers, expected 156 numbers"] * 4  # Kinects
    edit(own / "calibs/intrinsics/0/calibration.json", lambda content: content.pop("color"))
    with pytest.raises(DataError, match="has no color"):
        run(own, tmp_path / "x.h5", body_models, split="test")
    (own / "calibs/intrinsics/0/calibration.json").unlink()
    with pytest.raises(DataError, match=r"intrinsics/0/calibration\.json"):
        run(own, tmp_path / "x.h5", body_models, split="test")
    (own / "split.json").write_text("{}")
    with pytest.raises(DataError, match="has no test"):
        run(own, tmp_path / "x.h5", body_models, split="test")


def test_fits_and_cameras_that_are_no_numbers_are_dropped(own: Path, tmp_path: Path, body_models: Path) -> None:
    edit_fit(own, WOMAN, "t0005.000", lambda content: content["pose"].__setitem__(7, np.nan))
    edit(own / "calibs/Date01/config/3/config.json", lambda content: content.update(rotation=[0.0] * 9))
    report = run(own, tmp_path / "x.h5", body_models)
    assert len(report.dropped["body parameters not finite"]) == 3
    assert len(report.dropped["camera pose is no rotation (scaled or mirrored)"]) == 2
    assert report.written == 13 - 5


def test_images_of_another_size_are_told(own: Path, tmp_path: Path, body_models: Path) -> None:
    cv2.imwrite(str(own / "sequences" / TEST / "t0003.000/k0.color.jpg"), np.zeros((96, 128, 3), np.uint8))
    report = run(own, tmp_path / "x.h5", body_models, split="test")
    assert any("128" in note for note in report.notes)


# -- planted faults ---------------------------------------------------------------------------------------------


def camera_not_inverted(rows: Instances) -> None:
    """The configs' own direction, from the Kinect to the world."""
    move = rows.world_to_camera
    assert move is not None
    move.rotation = move.rotation.transpose(0, 2, 1)
    move.translation = -np.einsum("nij,nj->ni", move.rotation, move.translation)


def other_time_step(rows: Instances) -> None:
    """Everybody with the body of another time step."""
    rows.body = faults.body_of(rows)[np.roll(np.arange(len(rows)), len(rows) // 2)]


def lens_of_another_order(rows: Instances) -> None:
    """Coefficients in another order, and half of them."""
    assert rows.camera is not None
    assert rows.camera.distortion is not None
    rows.camera.distortion = rows.camera.distortion[:, [0, 1, 4, 5, 6, 7, 2, 3]] * 0.5


@pytest.mark.parametrize(
    ("fault", "words"),
    [(other_time_step, "2D points"), (camera_not_inverted, "2D points"), (lens_of_another_order, "2D points")],
)
def test_quality_exposes(tree: Sequences, tmp_path: Path, body_models: Path, fault: faults.Fault, words: str) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(Behave, fault))
    assert words in " ".join(report.problems)


def test_a_pelvis_correction_left_out_shows_in_the_two_routes(
    tree: Sequences, tmp_path: Path, body_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BodyModels, "rest_pelvis", lambda self, params: np.zeros((len(params), 3)))
    report = run(tree.root, tmp_path / "x.h5", body_models)
    assert "pelvis correction" in " ".join(report.problems)


def test_fingers_taken_as_relative_move_alone_and_by_pixels(
    tree: Sequences, converted: Pair, tmp_path: Path, body_models: Path
) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(Behave, faults.hands_relative))
    wrong, right = package_joints(HumanData.open(tmp_path / "x.h5"), body_models), converted[0]["keypoints3d_smplh"]
    distance = np.linalg.norm(wrong - right[..., :3], axis=2)
    assert distance[:, :22].max() < 1e-4
    assert distance[:, 63:].max(axis=1).min() > 0.01
    # Hands are 60 px in these images: too little for a problem, enough for a number.
    assert report.quality["reprojection_hands_px"]["p50"] > 3
    assert report.quality["reprojection_body_px"]["max"] < 0.1


def test_a_sequence_that_does_not_say_its_cameras_is_said(own: Path) -> None:
    edit(own / "sequences" / MAN / "info.json", lambda info: info.pop("kinects"))
    said = [note for unit in read(DATASET, own) for note in unit.notes]
    assert said == [f"{MAN} does not say which cameras recorded it: 0, 1, 2 are taken"]
