from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ehps.converters.base import Instances
from ehps.converters.datasets.gta_human2 import GTAHuman2
from ehps.converters.pipeline.report import Report
from ehps.errors import DataError
from ehps.humandata import HumanData
from ehps.humandata.keypoints import part_indices, point_names
from tests.raw import faults
from tests.raw.checks import assert_joints_are_the_truth, nearest
from tests.raw.gta_human2 import VIEW, A, B, C, Scenes, as_authors_have_it, person_path, rewrite
from tests.raw.trees import Raw, read, runner

Pair = tuple[HumanData, Report]

DATASET = "gta_human2"
run = runner(DATASET)


def spoken(report: Report) -> str:
    return " ".join(report.problems)


# -- people -------------------------------------------------------------------------------------------------


def test_joints_are_those_of_the_fits_in_the_games_camera(tree: Scenes, converted: Pair, body_models: Path) -> None:
    hd, report = converted
    assert_joints_are_the_truth(hd, tree.truth, body_models)
    assert nearest(hd, tree.truth) == list(range(7))
    assert report.problems == []
    np.testing.assert_allclose(hd["meta/focal_length"], 1158.0337, rtol=1e-6)
    assert (hd["meta/principal_point"] == [960, 540]).all()
    assert set(zip(hd["meta/height"].tolist(), hd["meta/width"].tolist(), strict=True)) == {(1080, 1920)}


def test_rows_go_person_by_person_through_the_frames_of_a_scene(tree: Scenes, converted: Pair) -> None:
    hd, _ = converted
    assert hd["image_path"].tolist() == tree.truth.image_path
    assert hd["meta/track_id"].tolist() == [f"{A}_100001"] * 3 + [f"{A}_100002"] * 3 + [f"{B}_154131"]
    assert hd["meta/frame_id"].tolist() == [0, 1, 2, 0, 1, 2, 0]
    np.testing.assert_allclose(hd["smplx/betas"], tree.betas, rtol=1e-6)
    assert hd["meta/gender"].tolist() == ["neutral"] * 7
    assert hd["meta/is_male"].tolist() == [True] * 6 + [False]
    assert set(hd["meta/weather"].tolist()) == {"CLEAR"}


def test_hands_are_the_sum_of_24_components_without_the_mean(tree: Scenes, converted: Pair, body_models: Path) -> None:
    hd, _ = converted
    with np.load(body_models / "smplx/SMPLX_NEUTRAL.npz") as model:
        for side in ("left", "right"):
            expected = tree.coefficients[side] @ model[f"hands_components{side[0]}"][:24]
            np.testing.assert_allclose(hd[f"smplx/{side}_hand_pose"].reshape(7, 45), expected, atol=1e-5)
    assert hd.passport.flat_hand_mean is True
    assert hd.misc["flat_hand_mean"] is True


def test_parts_that_were_not_fitted_are_zeros(converted: Pair) -> None:
    hd, _ = converted
    for name in ("jaw_pose", "leye_pose", "reye_pose", "expression"):
        assert not hd[f"smplx/{name}"].any()
    assert not hd["meta/face_valid"].any()


def test_of_69_numbers_of_body_pose_the_first_63_are_taken(converted: Pair) -> None:
    hd, report = converted
    assert hd["smplx/body_pose"].shape == (7, 21, 3)
    assert report.notes == ["body poses of 69 numbers: the first 63 are taken"]


def test_points_of_the_game_lie_on_the_projected_joints(tree: Scenes, converted: Pair) -> None:
    hd, report = converted
    assert hd.keypoint_names["keypoints2d_original"] == point_names("gta")
    with np.load(person_path(tree.root, A, "100002")) as file:
        np.testing.assert_allclose(hd["keypoints2d_original"][3:6], file["keypoints_2d"], rtol=1e-6)
    ours = hd.keypoints("keypoints2d_smplx", point_names("gta"))
    both = ours[..., 2] > 0
    assert both.sum(axis=1).tolist() == [50] * 7
    np.testing.assert_allclose(ours[both][:, :2], hd["keypoints2d_original"][both][:, :2], atol=0.1)
    assert report.quality["reprojection_hands_px"]["max"] < 0.1


def test_boxes_are_the_datasets_own_cut_to_the_image(tree: Scenes, converted: Pair) -> None:
    hd, _ = converted
    box = hd["bbox_xywh"].astype(float)
    for row, (scene, person, frame) in enumerate([(A, "100001", 1), (A, "100002", 1)]):
        with np.load(person_path(tree.root, scene, person)) as file:
            x, y, w, h = file["bbox_xywh"][frame]
        low, high = np.maximum([x, y], 0), np.minimum([x + w, y + h], [1920, 1080])
        np.testing.assert_allclose(box[3 * row + 1], [*low, *(high - low), 1], atol=1e-2)
    assert (box[:3, 0] == 0).all()
    assert (box[:, 4] == 1).all()


def test_part_boxes_hold_the_parts_points_and_hidden_parts_have_none(tree: Scenes, converted: Pair) -> None:
    hd, _ = converted
    own = hd["keypoints2d_original"].astype(float)
    hidden = np.array([1, 1, 1, 0, 0, 0, 0], bool)
    for name, part in (("lhand", "left_hand"), ("rhand", "right_hand")):
        points = own[:, part_indices(point_names("gta"), part), :2]
        low = np.clip(points.min(1), 0, [VIEW.width, VIEW.height])
        high = np.clip(points.max(1), 0, [VIEW.width, VIEW.height])
        expected = np.column_stack([low, high - low, np.ones(7)])
        if name == "lhand":
            expected[hidden] = 0
        np.testing.assert_allclose(hd[f"{name}_bbox_xywh"], expected, atol=1e-2)
    assert (hd["face_bbox_xywh"][:, 4] == 1).all()
    face = hd.keypoints("keypoints2d_smplx", ["nose", "left_eye", "right_eye"])[..., :2]
    x, y, w, h = hd["face_bbox_xywh"][:, :4].T[:, :, None]
    assert ((face[..., 0] >= x - 1) & (face[..., 0] <= x + w + 1)).all()
    assert ((face[..., 1] >= y - 1) & (face[..., 1] <= y + h + 1)).all()
    np.testing.assert_allclose(hd["meta/occluded_share"], np.where(hidden, 0.04, 0), atol=1e-6)


def test_people_of_whom_half_is_hidden_stay_or_are_left_out_by_option(own: Path) -> None:
    occ = np.zeros((3, 100), int)
    occ[0, :50], occ[1, :49] = 1, 1
    rewrite(person_path(own, A, "100002"), occ=occ)
    mine = [f"images/{A}/{k:08d}.jpeg" for k in range(3)]
    (everyone, *_), (most, *_) = read(DATASET, own), read(DATASET, own, occluded="drop")
    np.testing.assert_allclose(everyone.meta["occluded_share"][3:], [0.5, 0.49, 0])
    assert everyone.image_path == mine * 2
    assert most.image_path == [*mine, mine[1], mine[2]]
    assert most.dropped["half or more of the points hidden"] == [f"{mine[0]} person 100002"]
    for rows in (everyone, most):
        assert rows.meta["frame_id"].tolist() == [int(path[-13:-5]) for path in rows.image_path]
    index = [0, 1, 2, 4, 5]
    assert everyone.body is not None
    assert most.body is not None
    np.testing.assert_array_equal(most.body.transl, everyone.body.transl[index])
    assert most.bbox is not None
    assert everyone.bbox is not None
    np.testing.assert_array_equal(most.bbox, everyone.bbox[index])


def test_facts_of_the_file(tree: Scenes, converted: Pair) -> None:
    hd, report = converted
    expected = {
        "smplx_source": "smplifyx",
        "bbox_source": "provided_by_dataset",
        "bbox_body_scale": 1.0,
        "cam_param_type": "perspective",
        "image_shape": [1080, 1920],
    }
    assert {key: hd.misc[key] for key in expected} == expected
    passport = hd.passport
    assert (passport.dataset, passport.split, passport.body_model) == ("gta_human2", "train", "smplx")
    assert (passport.gender, passport.num_betas, passport.focal) == ("neutral", 10, "image")
    assert hd.validate() == []
    assert (report.found, report.written, report.published) == (13, 7, 1_802_200)
    assert {reason: len(rows) for reason, rows in report.dropped.items()} == tree.dropped


def test_the_authors_layout_gives_the_same_people(
    own: Path, converted: Pair, tmp_path: Path, body_models: Path
) -> None:
    as_authors_have_it(own)
    run(own, tmp_path / "x.h5", body_models)
    hd, theirs = converted[0], HumanData.open(tmp_path / "x.h5")
    assert theirs["image_path"].tolist() == [
        p.replace("images/", "images_multiple/") for p in hd["image_path"].tolist()
    ]
    assert theirs["meta/track_id"].tolist() == hd["meta/track_id"].tolist()
    np.testing.assert_allclose(theirs["keypoints3d_smplx"], hd["keypoints3d_smplx"], atol=1e-6)


# -- without everything, and bad input ------------------------------------------------------------------------


def test_without_body_models_all_but_hands_and_joints_is_there(tree: Scenes, raw: Raw) -> None:
    hd, report = raw.without_models()
    assert "PCA" in report.absent["smplx/left_hand_pose"]
    assert "smplx/left_hand_pose" not in hd.columns
    np.testing.assert_allclose(hd["smplx/betas"], tree.betas, rtol=1e-6)
    assert (hd["bbox_xywh"][:, 4] == 1).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"transl": None}, "has no transl"),
        ({"occ": None}, "has no occ"),
        ({"betas": np.zeros((2, 10))}, "betas is 2 x 10 numbers, expected 3 x 10"),
        ({"betas": np.zeros((3, 4))}, "betas is 3 x 4 numbers, expected 3 x 10"),
        ({"body_pose": np.zeros((3, 66))}, "body_pose has 66 numbers"),
        ({"left_hand_pose": np.zeros((3, 45))}, "left_hand_pose is 3 x 45 numbers, expected 3 x 24"),
    ],
)
def test_a_member_of_another_kind_is_named(own: Path, tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    rewrite(person_path(own, A, "100001"), **changes)
    with pytest.raises(DataError, match=words):
        run(own, tmp_path / "x.h5", None)


def test_a_fact_that_a_person_lacks_is_left_out_and_said(own: Path) -> None:
    rewrite(person_path(own, A, "100001"), is_male=None)
    (scene,) = (unit for unit in read("gta_human2", own) if len(unit) and A in unit.image_path[0])
    assert "is_male" not in scene.meta
    assert any("lack is_male" in note for note in scene.notes)


def test_scenes_without_annotation_and_boxes_outside_give_no_rows(own: Path, tmp_path: Path, body_models: Path) -> None:
    shutil.rmtree(own / "annotations" / C)
    rewrite(person_path(own, A, "100002"), bbox_xywh=np.array([[2000, 10, 50, 90.5]] * 3))
    report = run(own, tmp_path / "x.h5", body_models)
    assert report.written == 4
    assert len(report.dropped["body box empty or outside the image"]) == 3
    assert "person whose fit is not finite" not in report.dropped


# -- planted faults ---------------------------------------------------------------------------------------------


def hands_as_rotations(rows: Instances) -> None:
    body = faults.body_of(rows)
    assert body.left_hand_pose is not None
    assert body.right_hand_pose is not None
    padded = {
        f"{side}_hand_pose": np.pad(pose, ((0, 0), (0, 21))).reshape(-1, 15, 3)
        for side, pose in (("left", body.left_hand_pose), ("right", body.right_hand_pose))
    }
    rows.body = body.with_(**padded)


def horizontal_view(rows: Instances) -> None:
    assert rows.camera is not None
    rows.camera.focal = rows.camera.focal * 1920 / 1080


@pytest.mark.parametrize(
    ("fault", "words"),
    [(horizontal_view, "2D points")],
)
def test_quality_exposes(tree: Scenes, tmp_path: Path, body_models: Path, fault: faults.Fault, words: str) -> None:
    assert words in spoken(run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(GTAHuman2, fault)))


@pytest.mark.parametrize("fault", [faults.hands_relative, hands_as_rotations])
def test_joints_tell_hands_that_were_read_wrong(
    tree: Scenes, tmp_path: Path, body_models: Path, fault: faults.Fault
) -> None:
    report = run(tree.root, tmp_path / "x.h5", body_models, dataset=faults.faulty(GTAHuman2, fault))
    assert report.quality["reprojection_hands_px"]["p50"] > 1
