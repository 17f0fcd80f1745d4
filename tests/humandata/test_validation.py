"""Validation finds each contradiction, names column and rows, and is silent on sound files."""

import numpy as np
import pytest

from ehps.humandata import HumanData
from ehps.humandata.validation import Problem, problems


def put(hd, name, place, value):
    """``hd`` with one number of a column replaced."""
    column = np.array(hd[name])
    column[place] = value
    return hd.with_columns({name: column})


def test_a_sound_file_has_no_problems(people, tmp_path):
    assert people().validate() == []
    assert people(0).validate() == []
    assert HumanData.open(people().save(tmp_path / "a.h5")).validate() == []


ROW_FAULTS = [
    ("keypoints2d_smplx", (3, 1, 0), np.nan, "not finite where confidence > 0"),
    ("keypoints3d_smplx", (3, 2, 3), np.nan, "confidences that are not finite"),
    ("keypoints3d_smplx", (3, 2, 3), -1, "confidences below 0"),
    ("keypoints3d_smplx", (3, 2, 2), 3500, "not metres"),
    ("bbox_xywh", (3, 2), -5, "width or height below 0"),
    ("bbox_xywh", (3, 0), np.inf, "not finite where confidence > 0"),
    ("bbox_xywh", (3, 0), 560, "beyond the image"),
    ("bbox_xywh", (3, 1), -30, "beyond the image"),
    ("bbox_xywh", (3, 3), 470, "beyond the image"),
    ("bbox_xywh", (3, 4), np.nan, "a confidence that is not finite"),
    ("smplx/betas", (3, 9), np.nan, "not finite"),
    ("smplx/global_orient", (3, 1), 90, "degrees"),
    ("smplx/body_pose", (3, 20, 2), -45, "degrees"),
    ("smplx/transl", (3, 2), 4200, "not metres"),
    ("meta/height", 3, 0, "not above 0"),
]


@pytest.mark.parametrize(("column", "place", "value", "what"), ROW_FAULTS)
def test_a_wrong_number_is_found_in_its_row(people, column, place, value, what):
    found = [problem for problem in problems(put(people(), column, place, value)) if problem.column == column]
    assert len(found) == 1
    assert what in found[0].what
    assert found[0].rows.tolist() == [3]
    assert found[0].count == 1


def test_what_has_no_confidence_may_be_anything(people):
    hd = put(people(), "keypoints2d_smplx", (2, 1), [np.nan, np.inf, 0])
    hd = put(hd, "keypoints3d_smplx", (2, 1), [np.nan, 1e9, -1e9, 0])
    hd = put(hd, "bbox_xywh", 2, [np.nan, -1, -1, 9999, 0])
    hd = hd.with_columns({"quality/height_m": np.full(7, np.nan)})
    assert problems(hd) == []


def test_a_box_may_reach_a_pixel_beyond_the_image(people):
    assert problems(put(people(), "bbox_xywh", 0, [-0.9, 0, 640.9, 480.9, 1])) == []
    assert len(problems(put(people(), "bbox_xywh", 0, [0, 0, 641.5, 480, 1]))) == 1


def test_rows_are_numbered_through_all_blocks(people, monkeypatch):
    monkeypatch.setattr("ehps.humandata.storage.plan.BLOCK_BYTES", 5000)
    hd = people(200)
    for row in (3, 77, 199):
        hd = put(hd, "smplx/betas", (row, 0), np.nan)
    (found,) = problems(hd)
    assert found.rows.tolist() == [3, 77, 199]


def test_genders_are_whole_words(people):
    (found,) = problems(people(meta__gender=["male", "m", "female", "M", "neutral", "", "male"]))
    assert (found.column, found.rows.tolist()) == ("meta/gender", [1, 3, 5])


@pytest.mark.parametrize("path", ["", "/a.jpg", "a\\b.jpg", "C:/a.jpg", "../a.jpg", "x/../../a.jpg"])
def test_image_paths_are_relative(people, path):
    (found,) = problems(people(image_path=["a/b.jpg", path, *["c..d.jpg"] * 5]))
    assert (found.column, found.rows.tolist()) == ("image_path", [1])


@pytest.mark.parametrize(
    ("columns", "column", "what"),
    [
        ({"bbox_xywh": np.ones((7, 4))}, "bbox_xywh", r"has shape (N, 4), expected (N, 5)"),
        ({"smplx__body_pose": np.zeros((7, 63))}, "smplx/body_pose", "has shape (N, 63), expected (N, 21, 3)"),
        ({"smplx__betas": ["a"] * 7}, "smplx/betas", "holds texts, expected float32"),
        ({"meta__gender": np.zeros(7)}, "meta/gender", "holds float64, expected texts"),
        ({"smplx__transl": np.zeros((7, 3), complex)}, "smplx/transl", "holds complex128, expected float32"),
        ({"keypoints2d_gta": np.zeros((7, 5, 2))}, "keypoints2d_gta", "has shape (N, 5, 2), expected (N, K, 3)"),
        ({"keypoints2d_gta": np.zeros((7, 5, 3))}, "keypoints2d_gta", "its points have no names"),
        ({"face_bbox_xywh": np.ones((7,))}, "face_bbox_xywh", "has shape (N), expected (N, 5)"),
    ],
)
def test_a_column_of_another_kind_is_named_with_what_is_expected(people, columns, column, what):
    found = [problem for problem in problems(people(**columns)) if problem.column == column]
    assert any(what in problem.what for problem in found)
    assert all(problem.count == 0 for problem in found)


def test_points_with_the_same_name_are_found(people):
    hd = people().with_columns({}, keypoint_names={"keypoints2d_smplx": ("pelvis", "nose", "nose", "b")})
    (found,) = problems(hd)
    assert "are called nose" in found.what


@pytest.mark.parametrize("part", ["betas", "global_orient", "body_pose"])
def test_a_body_needs_shape_orientation_and_pose(people, part):
    found = problems(people().without([f"smplx/{part}"]))
    assert any(p.column == f"smplx/{part}" and "is missing, though there is" in p.what for p in found)


def test_image_path_is_required(people):
    (found,) = problems(people().without(["image_path"]))
    assert (found.column, found.what) == ("image_path", "is missing; every file needs it")


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"num_betas": 16}, "states num_betas 16, but smplx/betas has 10"),
        ({"flat_hand_mean": None}, "does not state flat_hand_mean"),
        ({"body_model": "smpl"}, "states smpl, but there is no column smpl/betas"),
        ({"body_model": None}, "states no body model"),
        ({"frame": "world"}, "world"),
        ({"gender": "neutral"}, "is not neutral"),
    ],
)
def test_the_passport_must_agree_with_the_columns(people, changes, what):
    hd = people()
    hd.passport = hd.passport.with_(**changes)
    (found,) = problems(hd)
    assert what in found.what


def test_problems_read_as_sentences():
    rows = np.arange(10, 17)
    assert str(Problem("bbox_xywh", "is odd", rows)) == "bbox_xywh: is odd (7 rows: 10, 11, 12, 13, 14, ...)"
    assert str(Problem("bbox_xywh", "is odd", rows[:1])) == "bbox_xywh: is odd (1 row: 10)"
    assert str(Problem("passport", "is odd")) == "passport: is odd"
