"""Boxes contain the visible points, carry the margin, stay inside the image, and say when there is none."""

import numpy as np
import pytest

from ehps.errors import DataError
from ehps.humandata import boxes
from ehps.humandata.keypoints import point_names


def points_of(*xy, confidence=1.0):
    return np.array([[(x, y, confidence) for x, y in xy]], np.float32)


def test_extent_is_scaled_about_the_centre():
    box = boxes.from_keypoints(points_of((100, 200), (200, 240)), (1000, 1000))
    np.testing.assert_allclose(box, [[90, 196, 120, 48, 1]])
    assert box.dtype == np.float32


def test_the_box_is_clipped_after_scaling_with_height_before_width():
    box = boxes.from_keypoints(points_of((0, 0), (100, 100)), (105, 300), scale=1.2)
    np.testing.assert_allclose(box, [[0, 0, 110, 105, 1]])


def test_hidden_and_nan_points_are_ignored():
    points = points_of((10, 10), (20, 30), (500, 500), (np.nan, 3), (np.inf, 5), (3, 3))
    points[0, 2, 2] = 0
    points[0, 5, 2] = np.nan
    np.testing.assert_allclose(boxes.from_keypoints(points, (600, 600), 1.0), [[10, 10, 10, 20, 1]])


@pytest.mark.parametrize(
    "points",
    [
        points_of((10, 10), (20, 30), confidence=0),
        points_of((-50, -50), (-10, -20)),
        points_of((700, 10), (800, 90)),
        points_of((5, 5)),
        points_of((np.nan, np.nan)),
        points_of((-50, 50), (700, 60)),
        np.zeros((1, 0, 3)),
    ],
    ids=["hidden", "left of the image", "right of it", "one point", "nan", "none inside", "no points"],
)
def test_boxes_around_nothing_are_zero_with_confidence_zero(points):
    np.testing.assert_array_equal(boxes.from_keypoints(points, (100, 100)), np.zeros((1, 5)))


def test_every_row_has_its_own_image_size():
    points = np.repeat(points_of((0, 0), (1000, 1000)), 3, axis=0)
    sizes = np.array([[50, 60], [70, 80], [2000, 2000]])
    box = boxes.from_keypoints(points, sizes, 1.0)
    np.testing.assert_allclose(box[:, 2:4], [[60, 50], [80, 70], [1000, 1000]])


def test_random_boxes_equal_a_loop_over_persons():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(-30, 130, (200, 6, 2)), rng.integers(0, 2, (200, 6, 1))], -1)
    got = boxes.from_keypoints(points, (90, 100), 1.2)
    for person, box in zip(points, got, strict=True):
        seen = person[person[:, 2] > 0, :2]
        inside = [(0 <= x <= 100) and (0 <= y <= 90) for x, y in seen]
        if not any(inside):
            assert not box.any()
            continue
        (x0, y0), (x1, y1) = seen.min(0), seen.max(0)
        w, h, cx, cy = (x1 - x0) * 1.2, (y1 - y0) * 1.2, (x0 + x1) / 2, (y0 + y1) / 2
        left, right = max(cx - w / 2, 0), min(cx + w / 2, 100)
        top, bottom = max(cy - h / 2, 0), min(cy + h / 2, 90)
        expected = (left, top, right - left, bottom - top, 1) if right > left and bottom > top else (0,) * 5
        np.testing.assert_allclose(box, expected, atol=1e-4)


def test_part_boxes_use_the_head_and_the_hands_without_margin():
    smplx = point_names("smplx")
    points = np.ones((1, 144, 3))
    points[0, :, :2] = 50
    points[0, smplx.index("nose"), :2] = (40, 30)
    points[0, smplx.index("left_index"), :2] = (70, 55)
    parts = boxes.part_boxes(points, "smplx", (100, 100))
    np.testing.assert_allclose(parts["face_bbox_xywh"], [[40, 30, 10, 20, 1]])
    np.testing.assert_allclose(parts["lhand_bbox_xywh"], [[50, 50, 20, 5, 1]])
    assert parts["rhand_bbox_xywh"][0, 4] == 0


def test_a_face_of_nose_eyes_and_ears_is_none_and_the_top_of_the_head_makes_it_one():
    strip = np.array([[50, 20, 1], [48, 18, 1], [53, 18, 1], [44, 20, 1], [56, 20, 1]], float)
    names = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
    assert not boxes.part_boxes(strip[None], names, (100, 100))["face_bbox_xywh"].any()
    whole = np.concatenate([strip, [[50, 5, 1]]])[None]
    box = boxes.part_boxes(whole, (*names, "headtop"), (100, 100))["face_bbox_xywh"]
    np.testing.assert_allclose(box, [[44, 5, 12, 15, 1]])
    whole[0, -1, 2] = 0
    assert not boxes.part_boxes(whole, (*names, "headtop"), (100, 100))["face_bbox_xywh"].any()


def test_hands_of_which_two_finger_tips_are_seen_have_no_box():
    names = point_names("coco_wholebody")
    points = np.zeros((3, 133, 3))
    hand = [i for i, name in enumerate(names) if name.startswith("left_") and name[-1].isdigit() and 91 < i < 112]
    points[:, :, :2] = np.random.default_rng(2).uniform(20, 80, (133, 2))
    for row, seen in enumerate((2, 5, 6)):
        points[row, hand[:seen], 2] = 1
    assert boxes.part_boxes(points, names, (100, 100))["lhand_bbox_xywh"][:, 4].tolist() == [0, 0, 1]


def test_a_point_and_its_detection_are_one_point():
    names = ("nose", "left_eye", "right_eye", "nose_openpose", "left_eye_openpose", "right_eye_openpose")
    points = np.random.default_rng(3).uniform(20, 80, (1, 6, 3))
    assert not boxes.part_boxes(points, names, (100, 100))["face_bbox_xywh"].any()


def test_parts_a_convention_lacks_get_confidence_zero():
    parts = boxes.part_boxes(np.ones((3, 14, 3)), "lsp", (100, 100))
    assert {column: value.shape for column, value in parts.items()} == dict.fromkeys(boxes.PART_COLUMNS, (3, 5))
    assert not parts["lhand_bbox_xywh"].any()


def test_clip_turns_outside_and_nan_boxes_into_zeros_and_leaves_its_input():
    given = np.array([[-10, -10, 30, 30, 1], [200, 10, 5, 5, 1], [np.nan, 0, 5, 5, 1], [10, 10, -5, 5, 1]])
    before = given.copy()
    np.testing.assert_allclose(boxes.clip(given, (100, 100)), [[0, 0, 20, 20, 1], [0] * 5, [0] * 5, [0] * 5])
    np.testing.assert_array_equal(given, before)


def test_scale_keeps_the_centre_and_the_confidence():
    np.testing.assert_allclose(boxes.scale(np.array([[10.0, 20, 30, 40, 0.5]]), 2), [[-5, 0, 60, 80, 0.5]])


def test_a_joint_is_in_its_box_whatever_the_last_bit_of_the_edge():
    points = np.array([[[10, 10, 1], [30, 30, 1], [45, 20, 1], [200, 5, 1], [15, 15, 0]]], float)
    edges = np.array([[10, 10, 20, 20, 1]], np.float32)
    for box in (edges, np.nextafter(edges, 0), np.nextafter(edges, 100)):
        # of the five, one is hidden and one outside the image; two of the other three are in the box
        assert boxes.joints_inside(points, box, (100, 100))[0] == pytest.approx(2 / 3)
    assert np.isnan(boxes.joints_inside(points[:, 3:], edges, (100, 100))[0])


def test_overlap_is_that_with_the_nearest_other_person_of_the_image():
    found = np.array(
        [
            [0, 0, 10, 10, 1],  # image 7, with rows 2 and 4
            [0, 0, 10, 10, 1],  # image 3, alone
            [5, 0, 10, 10, 1],
            [0, 0, 4, 4, 1],  # image 1, with row 5, which has no box
            [100, 0, 10, 10, 1],
            [0, 0, 0, 0, 0],
        ],
        np.float32,
    )
    image = np.array([7, 3, 7, 1, 7, 1])
    np.testing.assert_allclose(boxes.largest_overlaps(found, image), [1 / 3, 0, 1 / 3, 0, 0, np.nan])
    assert boxes.largest_overlaps(found[:0], image[:0]).shape == (0,)


def test_iou_of_all_pairs():
    a = np.array([[0, 0, 10, 10, 1], [0, 0, 0, 0, 0]])
    b = np.array([[0, 0, 10, 10, 1], [5, 0, 10, 10, 1], [20, 20, 1, 1, 1]])
    np.testing.assert_allclose(boxes.iou(a, b), [[1, 50 / 150, 0], [0, 0, 0]])


def test_points_of_a_wrong_shape_are_refused():
    with pytest.raises(DataError, match=r"\(N, J, 3\)"):
        boxes.from_keypoints(np.zeros((5, 3)), (10, 10))
