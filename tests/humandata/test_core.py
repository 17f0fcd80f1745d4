"""The columnar object: rows, columns, concatenation; the same in memory and from a file."""

import numpy as np
import pytest

from ehps.errors import DataError, PassportError, UsageError
from ehps.humandata import HumanData, Strings
from ehps.humandata.keypoints import point_names


@pytest.fixture(scope="module")
def files(people, tmp_path_factory):
    """A file of seven rows, and one that has three more before them."""
    folder, made = tmp_path_factory.mktemp("files"), people(7)
    more = HumanData.concat([people(3, seed=9), made])
    return made.save(folder / "a.h5"), more.save(folder / "b.h5")


@pytest.fixture(params=["memory", "file", "picked"])
def hd(request, people, files):
    """The same rows in memory, mapped from a file, and picked from a mapped file that has more."""
    if request.param == "memory":
        return people(7)
    if request.param == "file":
        return HumanData.open(files[0])
    return HumanData.open(files[1])[np.arange(3, 10)]


ROWS = [
    slice(None),
    slice(2, 5),
    slice(5, 1, -2),
    slice(5, 5),
    [0, 6, 6, 2],
    [-1, -7],
    [],
    np.array([1, 3], np.uint8),
    np.array([True, False, False, True, True, False, True]),
    np.zeros(7, bool),
]


@pytest.mark.parametrize("rows", ROWS, ids=str)
def test_rows_are_taken_as_numpy_takes_them(hd, people, rows):
    picked, whole = hd[rows], people(7)
    index = np.array(rows, np.intp) if isinstance(rows, list) else rows
    assert len(picked) == len(np.arange(7)[index])
    for name in whole.columns:
        np.testing.assert_array_equal(np.asarray(picked[name]), np.asarray(whole[name])[index], err_msg=name)
    assert (picked.passport, picked.keypoint_names) == (whole.passport, whole.keypoint_names)


@pytest.mark.parametrize("row", [0, 6, -1, np.int64(3)])
def test_one_row_keeps_the_instance_axis(hd, people, row):
    picked = hd[row]
    assert len(picked) == 1
    assert picked["smplx/body_pose"].shape == (1, 21, 3)
    np.testing.assert_array_equal(picked["smplx/body_pose"][0], people(7)["smplx/body_pose"][row])
    assert picked["image_path"][0] == people(7)["image_path"][int(row)]


def test_selections_of_selections_are_composed(hd, people):
    picked = hd[[6, 5, 4, 3]][1:][np.array([True, False, True])][-1]
    np.testing.assert_array_equal(picked["smplx/betas"], people(7)["smplx/betas"][3:4])


@pytest.mark.parametrize("rows", [7, -8, [7], [-8], np.ones(6, bool), [0.5], np.zeros((2, 2), int)], ids=str)
def test_rows_that_are_not_there_are_refused(hd, rows):
    with pytest.raises(IndexError):
        hd[rows]


def test_iterating_over_rows_ends(hd):
    assert [row["meta/gender"][0] for row in hd][:3] == ["female", "male", "neutral"]
    assert len(list(hd)) == 7


def test_an_unknown_column_is_named_with_those_that_exist(hd):
    with pytest.raises(UsageError, match="no column 'smplx/beta'.*smplx/betas"):  # noqa: RUF043
        hd["smplx/beta"]


def test_columns_of_different_length_are_named():
    with pytest.raises(DataError, match="most have 3 rows, c has 2"):
        HumanData({"a": np.zeros(3), "b": np.zeros(3), "c": np.zeros(2)})


def test_points_and_names_must_agree():
    with pytest.raises(DataError, match="keypoints2d has 4 points but 3 names"):
        HumanData({"keypoints2d": np.zeros((2, 4, 3))}, keypoint_names={"keypoints2d": ("a", "b", "c")})


def test_columns_are_added_replaced_and_left_out_without_touching_the_original(hd):
    more = hd.with_columns({"weight": np.arange(7), "meta/gender": ["male"] * 7})
    assert more["weight"].tolist() == list(range(7))
    assert more["meta/gender"].unique() == ["male"]
    assert more[[2, 3]]["weight"].tolist() == [2, 3]
    assert "weight" not in hd
    assert len(hd["meta/gender"].unique()) == 3
    less = more.without(["weight", "absent"])
    assert less.columns == hd.columns
    with pytest.raises(DataError, match="odd has 6"):
        hd.with_columns({"odd": np.zeros(6)})


def test_texts_and_empty_lists_become_text_columns():
    hd = HumanData({"image_path": [], "bbox_xywh": np.zeros((0, 5)), "meta/x": np.array([], object)})
    assert isinstance(hd["image_path"], Strings)
    assert isinstance(HumanData({"x": np.array(["a", "b"])})["x"], Strings)
    assert isinstance(HumanData({"x": np.array(["a", "b"], object)})["x"], Strings)


# -- concatenation ----------------------------------------------------------------------------------------


def test_concatenation_keeps_order_texts_and_common_constants(people):
    a, b = people(3), people(4, seed=1, dataset="other")
    b.misc["bbox_body_scale"] = 1.2
    both = HumanData.concat([a, b])
    assert len(both) == 7
    for name in a.columns:
        expected = np.concatenate([np.asarray(a[name]), np.asarray(b[name])])
        np.testing.assert_array_equal(np.asarray(both[name]), expected)
    assert both.misc == {"bbox_source": "keypoints2d_smplx"}
    assert (both.passport.dataset, both.passport.num_betas) == ("toy+other", 10)


def test_concatenation_takes_the_columns_of_all_and_skips_parts_without_rows(people):
    both = HumanData.concat([people(3), HumanData({}), people(2).without(["smplx/transl"])])
    assert len(both) == 5
    assert "smplx/transl" not in both
    assert "smplx/betas" in both


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("body_model", "smpl"),
        ("body_model_version", "1.0"),
        ("num_betas", 11),
        ("flat_hand_mean", True),
        ("frame", "world"),
        ("units", "millimetre"),
    ],
)
def test_concatenation_refuses_other_meanings_and_names_the_field(people, name, value):
    other = people(3, dataset="other")
    other.passport = other.passport.with_(**{name: value})
    with pytest.raises(PassportError, match=f"toy and other differ in {name}: .*{value!r}"):
        HumanData.concat([people(3), other])


def test_concatenation_of_differing_points_is_by_name(people):
    b = people(2, seed=1).with_columns(
        {"keypoints2d_smplx": np.full((2, 2, 3), 5, np.float32)},
        keypoint_names={"keypoints2d_smplx": ("nose", "left_eye")},
    )
    both = HumanData.concat([people(3), b])
    assert both.keypoint_names["keypoints2d_smplx"] == ("pelvis", "left_hip", "right_hip", "nose", "left_eye")
    assert both["keypoints2d_smplx"][4, :, 2].tolist() == [0, 0, 0, 5, 5]


def test_nothing_to_concatenate_is_a_usage_error():
    with pytest.raises(UsageError):
        HumanData.concat([])


# -- looking ----------------------------------------------------------------------------------------------


def test_a_column_without_point_names_has_no_convention(hd):
    for name in ("bbox_xywh", "absent"):
        with pytest.raises(UsageError, match="keypoints2d_smplx, keypoints3d_smplx"):
            hd.keypoints(name, "coco")


def test_keypoints_come_in_another_convention_by_name(hd):
    points = hd.keypoints("keypoints3d_smplx", "human_data")
    place = point_names("human_data").index("left_hip")
    np.testing.assert_array_equal(points[:, place], hd["keypoints3d_smplx"][:, 1])
    assert (points[..., 3] > 0).sum() == 7 * 4


def test_the_body_model_is_the_one_whose_betas_are_there(hd):
    assert hd.body_model == "smplx"
    assert hd.without(["smplx/betas"]).body_model is None


def test_a_frame_has_a_column_for_every_number(hd):
    frame = hd.to_frame()
    assert len(frame) == 7
    assert frame["bbox_xywh.3"].tolist() == [200] * 7
    assert frame["meta/gender"].tolist() == hd["meta/gender"].tolist()
    assert not any(name.startswith(("smplx", "keypoints")) for name in frame)
    body = hd[[4, 2]].to_frame(["smplx/body_pose", "image_path"])
    assert body.shape == (2, 64)
    np.testing.assert_array_equal(body["smplx/body_pose.20.1"], hd["smplx/body_pose"][[4, 2], 20, 1])
    with pytest.raises(UsageError):
        hd.to_frame(["nothing"])


def test_a_file_of_another_kind_is_refused_by_its_ending(people, tmp_path):
    for call, name in ((HumanData.open, "a.csv"), (people().save, "a.csv"), (people().save, "a.pkl")):
        with pytest.raises(UsageError, match=rf"{name}: a HumanData file ends in"):
            call(tmp_path / name)


def test_many_texts_at_once_are_those_one_by_one(tmp_path):
    words = ["", "é", "a/b.jpg", "é", "last"]
    vocabulary = Strings.of(words).vocabulary
    order = np.array([3, 0, 1, 1])
    assert vocabulary.texts(order) == [vocabulary[int(k)] for k in order] == ["last", "", "é", "é"]
    assert vocabulary.texts(order[:0]) == []
    assert Strings.of(words).tolist() == words
    for damaged in ([4], [-1], [2, 99]):
        with pytest.raises(DataError, match="has text"):
            vocabulary.texts(np.array(damaged))
    cut = type(vocabulary)(vocabulary.blob[:2], vocabulary.offsets)
    with pytest.raises(DataError, match="lies at"):
        cut.texts(np.arange(4))
    with pytest.raises(DataError, match="is no UTF-8"):
        type(vocabulary)(vocabulary.blob[::-1].copy(), vocabulary.offsets).texts(np.arange(4))
