from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ehps.body import cameras
from ehps.converters.base import Instances, Rigid
from ehps.converters.datasets.chi3d import CHI3D
from ehps.converters.datasets.imar import axis_angle
from ehps.converters.pipeline.report import Report
from ehps.demo.raw.stage import Truth
from ehps.errors import DataError
from ehps.humandata import HumanData
from ehps.humandata.keypoints import point_names
from tests.raw import faults, imar
from tests.raw.checks import (
    assert_boxes_hold_the_visible_joints,
    assert_joints_are_the_truth,
    edited,
    nearest,
)
from tests.raw.imar import CAMERAS, JOINTS_25, PINHOLE, Action, K, P, Pairs
from tests.raw.trees import Raw, runner
from tests.raw.ubody import number_at, write_video

Pair = tuple[HumanData, Report]

DATASET = "chi3d"
run = runner(DATASET)


# -- people --------------------------------------------------------------------------------------------------


def test_joints_are_those_of_the_raw_world_moved_by_every_raw_camera(
    tree: Pairs, converted: Pair, body_models: Path
) -> None:
    hd, _ = converted
    assert_joints_are_the_truth(hd, tree.truth, body_models)
    assert nearest(hd, tree.truth) == list(range(len(hd)))
    assert_boxes_hold_the_visible_joints(hd)


def test_rows_go_camera_by_camera_person_by_person_frame_by_frame(converted: Pair) -> None:
    hd, _ = converted
    expected = [
        (sequence, camera, person, frame)
        for sequence, people, length in (("s02/Grab 10", 2, 2), ("s02/Grab 4", 2, 3), ("s03/Hug 6", 1, 2))
        for camera in CAMERAS
        for person in range(people)
        for frame in range(length)
    ]
    columns = [hd[f"meta/{name}"].tolist() for name in ("sequence_name", "camera", "person_id", "frame_id")]
    assert list(zip(*columns, strict=True)) == expected
    assert hd["meta/track_id"].tolist() == [f"{row[0]}_{row[2]}" for row in expected]
    assert hd["meta/subject"].tolist() == [row[0][:3] for row in expected]
    assert hd["image_path"][8] == "train/s02/frames/50591643/Grab 4/0000.jpg"
    assert set(hd["meta/gender"].tolist()) == {"neutral"}


def test_people_keep_the_place_of_the_raw_axis(tree: Pairs, converted: Pair) -> None:
    hd, _ = converted
    raw = json.loads(imar.file(tree.root, tree.plain, "smplx").read_text())
    rows = slice(8, 14)  # of the first camera
    np.testing.assert_allclose(hd["smplx/betas"][rows], np.reshape(raw["betas"], (6, 10)), rtol=1e-6)
    np.testing.assert_allclose(hd["smplx/expression"][rows], np.reshape(raw["expression"], (6, 10)), rtol=1e-6)
    for key in ("body_pose", "left_hand_pose", "right_hand_pose", "jaw_pose", "leye_pose", "reye_pose"):
        stored = Rotation.from_rotvec(hd[f"smplx/{key}"][rows].reshape(-1, 3)).as_matrix()
        np.testing.assert_allclose(stored, np.reshape(raw[key], (-1, 3, 3)), atol=2e-6)
    assert np.abs(hd["smplx/betas"][8] - hd["smplx/betas"][11]).max() > 0.1


def test_own_joints_are_the_raw_ones_in_the_camera(tree: Pairs, converted: Pair) -> None:
    hd, report = converted
    convention = hd.keypoint_names["keypoints3d_original"]
    assert convention == (*point_names("h36m"), "left_foot", "right_foot")
    taken = [point_names("smplx").index(JOINTS_25[k]) for k in (*range(17), 17, 19)]
    np.testing.assert_allclose(hd["keypoints3d_original"][..., :3], tree.truth.joints[:, taken], atol=1e-5)
    np.testing.assert_allclose(hd["keypoints2d_original"][..., :2], tree.truth.points[:, taken], atol=1e-2)
    assert (hd["keypoints2d_original"][..., 2] == 1).all()
    for name, joint in (("left_hip_extra", "left_hip"), ("right_ankle", "right_ankle"), ("left_foot", "left_foot")):
        ours = hd["keypoints3d_smplx"][:, point_names("smplx").index(joint)]
        np.testing.assert_allclose(hd["keypoints3d_original"][:, convention.index(name)], ours, atol=1e-4)
    assert report.quality["points3d_m"]["max"] < 1e-3


def test_points_are_in_the_distorted_image_and_meta_has_the_pinhole_too(tree: Pairs, converted: Pair) -> None:
    hd, _ = converted
    np.testing.assert_allclose(hd["meta/focal_length"], np.tile(PINHOLE["f"], (len(hd), 1)))
    np.testing.assert_allclose(hd["meta/principal_point"], np.tile(PINHOLE["c"], (len(hd), 1)))
    np.testing.assert_allclose(hd["meta/h36m_focal_length"], np.tile(imar.FOCAL, (len(hd), 1)))
    centres = [imar.principal_point(camera) for camera in hd["meta/camera"].tolist()]
    np.testing.assert_allclose(hd["meta/h36m_principal_point"], centres)
    np.testing.assert_allclose(hd["meta/h36m_dist_coeffs"][0], [*K[:2], *P, K[2]], rtol=1e-6)
    assert "meta/dist_coeffs" not in hd.columns  # that is OpenCV's
    xyz = hd["keypoints3d_smplx"][..., :3].astype(float)
    plain = cameras.project(xyz, hd["meta/h36m_focal_length"], hd["meta/h36m_principal_point"])
    opencv = cameras.project(
        xyz, hd["meta/h36m_focal_length"], hd["meta/h36m_principal_point"], hd["meta/h36m_dist_coeffs"]
    )
    stored = hd["keypoints2d_smplx"][..., :2]
    assert np.abs(stored - plain).max() > 3
    assert np.abs(stored - opencv).max() > 0.3


def test_facts_of_the_file(converted: Pair) -> None:
    hd, report = converted
    expected = {
        "smplx_source": "original",
        "cam_param_source": "original",
        "cam_param_type": "perspective",
        "bbox_source": "keypoints2d_smplx",
        "flat_hand_mean": True,
        "kps3d_root_aligned": False,
        "image_shape": [900, 900],
        "lens": "h36m",
    }
    assert {key: hd.misc[key] for key in expected} == expected
    passport = hd.passport
    assert (passport.dataset, passport.split, passport.body_model) == ("chi3d", "train", "smplx")
    assert (passport.gender, passport.num_betas, passport.flat_hand_mean) == ("neutral", 10, True)
    assert set(hd["meta/height"].tolist()) == set(hd["meta/width"].tolist()) == {900}
    assert hd.validate() == []
    assert (report.published, report.written, report.problems) == (252_416, 24, [])


def test_of_a_file_with_one_of_the_two_people_the_other_is_counted(converted: Pair) -> None:
    _, report = converted
    paths = [f"train/s03/frames/{camera}/Hug 6/{frame:04d}.jpg" for camera in CAMERAS for frame in range(2)]
    assert report.dropped == {"person whose body is not in this release": [f"{path} person 1" for path in paths]}
    assert report.found == 28
    assert [note for note in report.notes if "the later release has all" in note] == [
        "some actions have bodies of 1 of the 2 people, as downloads before 2023: the later release has all"
    ]
    assert any("58860488" in note for note in report.notes)


# -- choices -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "cams", "frames"),
    [
        ({"cameras": "65906101"}, CAMERAS[1:], ([0, 1], [0, 1, 2], [0, 1])),
        ({"interval": "2"}, CAMERAS, ([0], [0, 2], [0])),
        ({"frames": "contact"}, CAMERAS, ([1], [2], [])),
        ({"frames": "interval"}, CAMERAS, ([0, 1], [1, 2], [])),
        ({"frames": "interval", "interval": "5"}, CAMERAS, ([0], [1], [])),
    ],
)
def test_fewer_views_and_frames_on_request(
    tree: Pairs, tmp_path: Path, body_models: Path, options: dict[str, str], cams: tuple[str, ...], frames: Any
) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models, options=options)
    actions = zip((tree.fast, tree.plain, tree.old), frames, strict=True)
    truth = Truth.concat([action.truth(cams, chosen) for action, chosen in actions])
    hd = HumanData.open(tmp_path / "x.h5")
    assert_joints_are_the_truth(hd, truth, body_models)
    assert hd["meta/frame_id"].tolist() == [int(path[-8:-4]) for path in truth.image_path]
    assert report.left_out == ({} if frames[2] else {"no contact in the action": ["s03/Hug 6"]})
    assert report.problems == []


def test_the_test_split_is_refused_with_the_reason(tree: Pairs, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no bodies"):
        run(tree.root, tmp_path / "x.h5", None, split="test")


def test_frames_are_cut_by_their_number_and_those_that_a_video_lacks_are_counted(
    own: Path, tree: Pairs, tmp_path: Path, body_models: Path
) -> None:
    lengths = {"s02/Grab 10": 3, "s02/Grab 4": 2, "s03/Hug 6": 2}  # one frame more, one less, as many
    for name, length in lengths.items():
        subject, action = name.split("/")
        for camera in CAMERAS:
            write_video(own / "train" / subject / "videos" / camera / f"{action}.mp4", length, 50, size=(900, 900))
    report = run(own, tmp_path / "x.h5", body_models, frames=tmp_path / "frames")
    hd = HumanData.open(tmp_path / "x.h5")
    assert_joints_are_the_truth(hd, tree.truth[[k for k in range(24) if k not in (10, 13, 16, 19)]], body_models)
    for path, number in zip(hd["image_path"].tolist(), hd["meta/frame_id"].tolist(), strict=True):
        assert number_at(tmp_path / "frames" / path) == number
    assert len(list((tmp_path / "frames").rglob("*.jpg"))) == 2 * (2 + 2 + 2)
    assert len(report.dropped["image missing"]) == 4


# -- bad input -----------------------------------------------------------------------------------------------


def change(root: Path, action: Action, kind: str, edit: Callable[[Any], object]) -> None:
    with edited(imar.file(root, action, kind)) as content:
        edit(content)


def test_joints_of_another_length_are_left_out_for_that_action(
    own: Path, tree: Pairs, tmp_path: Path, body_models: Path
) -> None:
    def twice(data: Any) -> None:
        data["joints3d_25"] = np.repeat(data["joints3d_25"], 2, axis=1).tolist()

    change(own, tree.plain, "joints3d_25", twice)
    imar.file(own, tree.old, "joints3d_25").unlink()
    report = run(own, tmp_path / "x.h5", body_models)
    hd = HumanData.open(tmp_path / "x.h5")
    assert_joints_are_the_truth(hd, tree.truth, body_models)
    known = (hd["keypoints3d_original"][..., 3] > 0).all(axis=1)
    assert known.tolist() == [True] * 8 + [False] * 16
    assert not hd["keypoints2d_original"][8:].any()
    assert any("s02/Grab 4: 6 joints3d_25 for 3 frames" in note for note in report.notes)
    assert any("have no joints3d_25" in note for note in report.notes)
    assert report.problems == []


def test_fits_that_are_no_numbers_or_no_rotations_are_dropped(
    own: Path, tree: Pairs, tmp_path: Path, body_models: Path
) -> None:
    def spoil(data: Any) -> None:
        data["transl"][0][0][1] = float("nan")
        data["body_pose"][1][2][4] = np.zeros((3, 3)).tolist()

    change(own, tree.plain, "smplx", spoil)
    report = run(own, tmp_path / "x.h5", body_models)
    hd = HumanData.open(tmp_path / "x.h5")
    assert len(report.dropped["body parameters not finite"]) == 4
    assert_joints_are_the_truth(hd, tree.truth[[k for k in range(24) if k not in (8, 13, 14, 19)]], body_models)


def test_people_whom_a_camera_does_not_see_are_dropped_there(
    own: Path, tree: Pairs, tmp_path: Path, body_models: Path
) -> None:
    def turn_round(data: Any) -> None:
        data["extrinsics"]["R"] = (np.diag([-1.0, 1, -1]) @ data["extrinsics"]["R"]).tolist()

    change(own, tree.old, f"camera_parameters/{CAMERAS[1]}", turn_round)
    report = run(own, tmp_path / "x.h5", body_models)
    assert len(report.dropped["body box empty or outside the image"]) == 2
    assert report.written == 22


@pytest.mark.parametrize(
    ("kind", "edit", "words"),
    [
        ("smplx", lambda data: data.pop("jaw_pose"), "has no jaw_pose"),
        ("smplx", lambda data: data["betas"].pop(), "betas is 1 x 3 x 10 numbers, expected 2 x 3 x 10"),
        ("joints3d_25", lambda data: data["joints3d_25"][0].pop(), "joints3d_25 is 2 values that are not all numbers"),
        (f"camera_parameters/{CAMERAS[0]}", lambda data: data.pop("extrinsics"), "has no extrinsics"),
    ],
)
def test_files_of_another_kind_are_named(
    own: Path, tree: Pairs, tmp_path: Path, kind: str, edit: Any, words: str
) -> None:
    change(own, tree.plain, kind, edit)
    with pytest.raises(DataError, match=words):
        run(own, tmp_path / "x.h5", None)


def test_an_action_without_any_camera_is_named(own: Path, tree: Pairs, tmp_path: Path) -> None:
    for camera in CAMERAS:
        imar.file(own, tree.old, f"camera_parameters/{camera}").unlink()
    with pytest.raises(DataError, match="no camera of Hug 6"):
        run(own, tmp_path / "x.h5", None)


def test_without_body_models_boxes_come_from_the_annotated_joints(raw: Raw) -> None:
    hd, report = raw.without_models()
    assert "rest pelvis" in report.absent["smplx/*"]
    assert hd.misc["bbox_source"] == "keypoints2d_original"


def test_matrices_are_made_orthonormal_and_half_turns_survive() -> None:
    rng = np.random.default_rng(0)
    exact = Rotation.random(50, random_state=1).as_matrix()
    half = Rotation.from_rotvec(np.pi * np.array([[1.0, 0, 0], [0, 0.6, 0.8], [0, 0, 1]])).as_matrix()
    given = np.concatenate([exact, half]) + rng.uniform(-1e-4, 1e-4, (53, 3, 3))
    found = Rotation.from_rotvec(axis_angle(given)).as_matrix()
    np.testing.assert_allclose(found[:50], exact, atol=5e-4)
    np.testing.assert_allclose(found[50:], half, atol=5e-4)
    bad = axis_angle(np.stack([np.eye(3), 2 * np.eye(3), -np.eye(3), np.full((3, 3), np.nan)]))
    np.testing.assert_array_equal(np.isnan(bad).all(axis=1), [False, True, True, True])


# -- planted faults ------------------------------------------------------------------------------------------


def centre_as_translation(rows: Instances) -> None:
    """The cameras' centres taken for translations."""
    move = rows.world_to_camera
    assert move is not None
    rows.world_to_camera = Rigid(move.rotation, -np.einsum("nji,nj->ni", move.rotation, move.translation))


@pytest.mark.parametrize(
    ("fault", "words"), [(centre_as_translation, "24 body box empty or outside"), (faults.millimetres, "not metres")]
)
def test_cameras_and_bodies_elsewhere_are_refused(
    tree: Pairs, tmp_path: Path, body_models: Path, fault: faults.Fault, words: str
) -> None:
    with pytest.raises(DataError, match=words):
        run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(CHI3D, fault))
