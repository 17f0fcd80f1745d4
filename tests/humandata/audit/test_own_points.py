"""Files without fits: points against image, box, and own 3D points; one person twice."""

import cv2
import numpy as np
import pytest

from ehps.errors import DataError
from ehps.humandata import HumanData, Passport
from ehps.humandata.audit import audit
from ehps.humandata.keypoints import point_names

NAMES = point_names("coco")
BOX = (100, 50, 100, 200, 1.0)


def points(n=1, seed=0):
    """(n, 17, 3) labelled points within BOX."""
    rng = np.random.default_rng(seed)
    at = rng.uniform((105, 55), (195, 245), (n, 17, 2))
    return np.concatenate([at, np.ones((n, 17, 1))], axis=2)


def labels(own, boxes=BOX, paths=None, **columns):
    """Rows of 640 x 480 images with own points alone; each in an image of its own unless told otherwise."""
    n = len(own)
    focal = columns.pop("focal", "image")
    return HumanData(
        {
            "image_path": paths or [f"{i}.jpg" for i in range(n)],
            "bbox_xywh": np.broadcast_to(np.asarray(boxes, np.float32), (n, 5)).copy(),
            "keypoints2d_original": np.asarray(own, np.float32),
            "meta/height": np.full(n, 480, np.int32),
            "meta/width": np.full(n, 640, np.int32),
            **{name.replace("__", "/"): value for name, value in columns.items()},
        },
        keypoint_names={"keypoints2d_original": NAMES, "keypoints3d_original": NAMES},
        passport=Passport(dataset="toy", focal=focal),
    )


def flags(hd):
    return {flag.row: flag.checks for flag in audit(hd).flagged}


def test_sound_labels_have_no_flags():
    found = audit(labels(points(6)))
    assert found.flagged == []
    assert {"points_in_image", "points_in_box", "duplicate"} <= set(found.counts)
    assert found.percentiles["points_in_box"]["min"] == 1


def test_points_outside_the_image_and_a_box_of_somebody_else_are_named():
    own = points(6)
    own[2, :, 0] += 900
    own[3, :14, 1] -= 300  # three are left
    boxes = np.tile(BOX, (6, 1))
    boxes[4, :4] = (500, 20, 60, 90)
    found = audit(labels(own, boxes))
    assert {flag.row: flag.reasons for flag in found.flagged} == {
        2: ("0% of its own points in the image",),
        3: ("18% of its own points in the image",),
        4: ("0% of its own points in the box",),
    }


def test_unlabelled_points_and_absent_boxes_say_nothing():
    own = points(3)
    own[0, :, 2] = 0
    own[1, :16] = (9000, np.nan, 0)
    boxes = np.tile(BOX, (3, 1))
    boxes[2] = 0
    assert flags(labels(own, boxes)) == {}


def test_projections_of_exact_bodies_may_leave_the_image():
    own = points(2)
    own[1, :16, 0] += 900
    hd = labels(own)
    assert flags(hd) == {1: ("points_in_image",)}
    hd.quality["reprojection"] = "exact"
    assert flags(hd) == {}


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("bbox_xywh", np.ones((2, 4)), "has shape"),
        ("meta/height", ["tall", "tall"], "holds texts"),
        ("quality/height_m", ["tall", "tall"], "holds texts"),
        ("smplx/betas", ["thin", "thin"], "holds texts"),
    ],
)
def test_a_column_of_another_form_is_named(name, values, words):
    with pytest.raises(DataError, match=f"{name} {words}"):
        audit(labels(points(2)).with_columns({name: values}))


def test_limits_can_be_changed():
    own = points(1)
    own[0, :5, 0] += 900
    assert audit(labels(own)).flagged == []
    assert audit(labels(own), limits={"points_in_image": 0.9}).counts["points_in_image"] == 1


# -- own 3D points --------------------------------------------------------------------------------------------


def seen(n, bend, seed=0):
    """Own 2D and 3D points of n people, and columns of the camera that sees them so (OpenCV's projection)."""
    rng = np.random.default_rng(seed)
    solid = rng.uniform((-0.3, -0.9, 3), (0.3, 0.9, 4), (n, 17, 3))
    focal, centre, lens = (
        np.array([400.0, 410]),
        np.array([320.0, 240]),
        np.array([0.1, -0.05, 0.01, 0.004, 0.01]) * bend,
    )
    K = np.array([[focal[0], 0, centre[0]], [0, focal[1], centre[1]], [0, 0, 1]])
    flat = np.stack([cv2.projectPoints(person, np.zeros(3), np.zeros(3), K, lens)[0][:, 0] for person in solid])
    one = np.ones((n, 17, 1))
    columns = {
        "keypoints3d_original": np.concatenate([solid, one], axis=2).astype(np.float32),
        "meta__focal_length": np.tile(focal, (n, 1)).astype(np.float32),
        "meta__principal_point": np.tile(centre, (n, 1)).astype(np.float32),
    }
    if bend:
        columns["meta__dist_coeffs"] = np.tile(lens, (n, 1)).astype(np.float32)
    low, high = flat.min(1), flat.max(1)
    boxes = np.concatenate([low, high - low, np.ones((n, 1))], axis=1)
    return np.concatenate([flat, one], axis=2), boxes, columns


@pytest.mark.parametrize("bend", [0, 1])
def test_own_3d_points_are_compared_through_the_camera(bend):
    own, boxes, columns = seen(4, bend)
    found = audit(labels(own, boxes, **columns))
    assert found.flagged == []
    assert found.percentiles["own_points_px"]["max"] < 1e-3
    columns["keypoints3d_original"][2, :, 0] += 0.4
    (flag,) = audit(labels(own, boxes, **columns)).flagged
    assert (flag.row, flag.checks) == (2, ("own_points_of_box",))
    assert "own 3D points seen" in flag.reasons[0]


def test_own_3d_points_are_compared_through_a_fisheye():
    own, boxes, columns = seen(4, 0)
    lens = np.array([-0.3, -0.05, 0.01, -0.004])
    K = np.array([[400.0, 0, 320], [0, 410, 240], [0, 0, 1]])
    solid = columns["keypoints3d_original"][..., :3].astype(float)
    solid[0, 0, :2] = 0  # on the axis
    columns["keypoints3d_original"][..., :3] = solid
    flat = cv2.fisheye.projectPoints(solid.reshape(1, -1, 3), np.zeros(3), np.zeros(3), K, lens)[0]
    own[..., :2] = flat.reshape(4, 17, 2)
    pinhole = audit(labels(own, boxes, **columns)).percentiles["own_points_px"]["max"]
    columns["meta__fisheye_dist_coeffs"] = np.tile(lens, (4, 1)).astype(np.float32)
    assert audit(labels(own, boxes, **columns)).percentiles["own_points_px"]["max"] < 1e-3 < 1 < pinhole


def test_invented_cameras_and_points_about_a_root_are_not_compared():
    own, boxes, columns = seen(2, 0)
    assert "own_points_px" not in audit(labels(own, boxes, focal="virtual", **columns)).percentiles
    hd = labels(own, boxes, **columns)
    hd.misc["kps3d_root_aligned"] = True
    assert "own_points_px" not in audit(hd).percentiles


def test_points_behind_the_camera_or_not_labelled_are_not_compared():
    own, boxes, columns = seen(1, 0)
    columns["keypoints3d_original"][0, :3, 2] = -1
    columns["keypoints3d_original"][0, 3:6] = (99, 99, 1, 0)
    assert audit(labels(own, boxes, **columns)).percentiles["own_points_px"]["max"] < 1e-3


# -- one person twice -----------------------------------------------------------------------------------------


def test_a_person_annotated_twice_is_named_with_the_row_that_is_repeated():
    one, other = points(2)
    again = one + np.array((3, -2, 0))
    boxes = [BOX, (110, 52, 100, 196, 1), (101, 48, 98, 203, 1)]
    found = audit(labels([one, other, again], boxes, paths=["a.jpg"] * 3))
    (flag,) = found.flagged
    assert (flag.row, flag.checks) == (2, ("duplicate",))
    assert flag.reasons[0] == "repeats row 0 of the same image: boxes overlap 97%, points 3.6 px apart"


def test_the_same_labels_in_another_image_or_another_dataset_are_no_repetition():
    own = np.repeat(points(1), 2, axis=0)
    assert flags(labels(own)) == {}
    assert flags(labels(own, paths=["a.jpg"] * 2)) == {1: ("duplicate",)}
    assert flags(labels(own, paths=["a.jpg"] * 2, meta__dataset=["x", "y"])) == {}


def test_people_in_one_place_with_their_own_points_are_two():
    assert flags(labels(points(2), paths=["a.jpg"] * 2)) == {}


def test_too_few_common_points_say_nothing():
    own = np.repeat(points(1), 2, axis=0)
    own[1, 3:, 2] = 0
    boxes = [BOX, (101, 50, 100, 200, 1)]
    assert flags(labels(own, boxes, paths=["a.jpg"] * 2)) == {}


def test_all_rows_of_a_crowded_image_are_compared():
    """As a loop over all pairs finds them."""
    rng = np.random.default_rng(3)
    own, shift = points(60), rng.uniform(0, 300, (60, 1, 2))
    own[..., :2] += shift
    boxes = np.tile(BOX, (60, 1))
    boxes[:, :2] += shift[:, 0]
    boxes[:, 2:4] += rng.uniform(-5, 5, (60, 2))
    twice = rng.permutation(60)[:20]
    for early, late in twice.reshape(10, 2):
        own[late] = own[early] + np.array((1, 1, 0))
        boxes[late] = boxes[early] + np.array((1, 1, 2, -2, 0))
    hd = labels(own, boxes, paths=["a.jpg"] * 60)
    assert sorted(flag.row for flag in audit(hd).flagged if "duplicate" in flag.checks) == sorted(
        max(pair) for pair in twice.reshape(10, 2).tolist()
    )
