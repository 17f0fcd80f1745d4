"""Points land where they are, what is invisible is not drawn, and pages show what they should."""

import numpy as np
import pytest

from ehps.errors import UsageError
from ehps.humandata import HumanData
from ehps.humandata.drawing.convention_figure import _pixel, _places, draw_convention
from ehps.humandata.drawing.overlays import draw_instances, view
from ehps.humandata.drawing.pages import grid, write_png
from ehps.humandata.drawing.persons import PERSON_COLOURS, SIDE_COLOURS, draw_boxes, draw_keypoints
from ehps.humandata.image_files import OutsideError, read_pixels
from ehps.humandata.keypoints import point_names


def blank(height=200, width=300, value=0):
    return np.full((height, width, 3), value, np.uint8)


def is_near(pixel, colour, tolerance=60):
    """Thin anti-aliased lines are blended with what is below them."""
    return bool((np.abs(np.asarray(pixel, int) - colour) <= tolerance).all())


def standing(scale=1.0, x=0.0, y=0.0):
    """A COCO person, 100 wide and 180 tall at scale 1."""
    xy = {
        "nose": (50, 15),
        "left_eye": (54, 11),
        "right_eye": (46, 11),
        "left_ear": (60, 13),
        "right_ear": (40, 13),
        "left_shoulder": (75, 40),
        "right_shoulder": (25, 40),
        "left_elbow": (90, 70),
        "right_elbow": (10, 70),
        "left_wrist": (95, 100),
        "right_wrist": (5, 100),
        "left_hip_extra": (65, 100),
        "right_hip_extra": (35, 100),
        "left_knee": (66, 140),
        "right_knee": (34, 140),
        "left_ankle": (67, 180),
        "right_ankle": (33, 180),
    }
    points = np.array([(*xy[name], 1.0) for name in point_names("coco")])
    points[:, :2] = points[:, :2] * scale + (x, y)
    return points


def test_left_and_right_points_are_drawn_in_place_in_their_colours():
    image = draw_keypoints(blank(), standing(), "coco")
    assert tuple(image[140, 66]) == SIDE_COLOURS["left"]
    assert tuple(image[140, 34]) == SIDE_COLOURS["right"]
    assert tuple(image[40, 50]) == PERSON_COLOURS[0]  # between the shoulders


def test_points_with_confidence_zero_and_nan_points_and_their_limbs_are_not_drawn():
    points = standing()
    points[:, 2] = 0
    assert not draw_keypoints(blank(), points, "coco").any()
    points = standing()
    ankle, knee = point_names("coco").index("left_ankle"), point_names("coco").index("right_ankle")
    points[ankle, 2] = 0
    points[knee, 0] = np.nan
    assert not draw_keypoints(blank(), points, "coco")[150:].any()


def test_two_persons_get_two_colours():
    image = draw_keypoints(blank(), np.stack([standing(), standing(x=150)]), "coco")
    assert tuple(image[40, 50]) == PERSON_COLOURS[0]
    assert tuple(image[40, 200]) == PERSON_COLOURS[1]


def test_lines_of_large_persons_are_wider():
    def thickness(scale):
        image = draw_keypoints(blank(int(220 * scale), int(120 * scale)), standing(scale), "coco")
        return int((image[int(120 * scale), int(50 * scale) :].sum(-1) > 300).sum())

    assert thickness(8) > 2 * thickness(1)


def test_points_far_outside_the_image_do_no_harm():
    points = standing()
    points[:5, :2] = 1e9
    points[5:9, :2] = -9e4
    draw_keypoints(blank(), points, "coco")


def test_boxes_are_drawn_labelled_and_left_out_without_confidence():
    boxes = {"bbox_xywh": np.array([[50, 60, 80, 90, 1.0]]), "face_bbox_xywh": np.array([[200, 60, 30, 30, 0.0]])}
    image = draw_boxes(blank(), boxes)
    assert is_near(image[100, 50], PERSON_COLOURS[0])
    assert is_near(image[150, 90], PERSON_COLOURS[0])
    assert not image[:, 180:].any()
    assert image[40:57, 50:80].any()  # the label above
    boxes["face_bbox_xywh"][0, 4] = 1
    assert draw_boxes(blank(), boxes)[:, 180:].any()


def test_labels_at_the_right_border_stay_inside():
    middle = draw_boxes(blank(), {"rhand_bbox_xywh": np.array([[150, 60, 30, 30, 1.0]])})
    border = draw_boxes(blank(), {"rhand_bbox_xywh": np.array([[270, 60, 29, 30, 1.0]])})
    label = slice(94, 110)
    assert abs(int((middle[label] > 0).sum()) - int((border[label] > 0).sum())) < 100


@pytest.fixture
def images(tmp_path):
    """Three images of different sizes, two persons in the first; the third file is missing."""
    write_png(tmp_path / "a.png", blank(200, 300, 60))
    write_png(tmp_path / "b.png", blank(900, 1600, 60))
    points = np.stack([standing(), standing(x=150), standing(x=100, y=30), standing(2)])
    boxes = np.array([[0, 5, 100, 180, 1], [150, 5, 100, 180, 1], [100, 30, 100, 190, 1], [0, 0, 220, 380, 1.0]])
    hd = HumanData(
        {"image_path": ["a.png", "a.png", "b.png", "gone.png"], "keypoints2d_original": points, "bbox_xywh": boxes},
        keypoint_names={"keypoints2d_original": point_names("coco")},
    )
    return hd, tmp_path


def test_persons_are_drawn_at_their_place_in_a_resized_image(images):
    hd, root = images
    shot = draw_instances(hd, [0, 1], root, side=600)
    assert shot.image.shape == (400, 600, 3)
    assert tuple(shot.image[280, 132]) == SIDE_COLOURS["left"]
    assert tuple(shot.image[280, 432]) == SIDE_COLOURS["left"]
    assert shot.fault == ""


def test_small_persons_in_large_images_are_cropped_out(images):
    hd, root = images
    whole = draw_instances(hd, [2], root, side=800, crop=False).image
    near = draw_instances(hd, [2], root, side=800).image
    assert whole.shape == (450, 800, 3)
    assert near.shape[0] == 800
    left = np.array(SIDE_COLOURS["left"])
    assert (near == left).all(-1).sum() > 5 * (whole == left).all(-1).sum() > 0


def test_rows_of_several_images_are_refused(images):
    hd, root = images
    with pytest.raises(UsageError, match="2 images"):
        draw_instances(hd, [0, 2], root)


def test_a_page_shows_each_image_once_with_all_its_persons_and_counts_the_missing(images, tmp_path):
    hd, root = images
    pages = view(hd, root, tmp_path / "out", rows=[3, 1, 2], side=300)
    assert pages == [tmp_path / "out" / "view_001.png"]
    assert pages.images == 3
    assert pages.missing == ["gone.png"]
    page = read_pixels(pages[0])
    orange = (page == SIDE_COLOURS["left"]).all(-1)
    second_cell = orange[:, 320:620]  # a.png: the other person of the image is drawn too
    assert second_cell[:, :130].any()
    assert second_cell[:, 150:280].any()


def test_rows_can_be_shown_one_by_one(images, tmp_path):
    hd, root = images
    pages = view(hd, root, tmp_path / "out", rows=[1, 0], together=False, side=300)
    assert pages.images == 2
    image = draw_instances(hd, [1], root, side=300, crop=False).image
    assert not (image[:, :130] == SIDE_COLOURS["left"]).all(-1).any()


def test_pages_are_bounded_and_as_many_as_needed(images, tmp_path):
    hd, root = images
    pages = view(hd, root, tmp_path / "out", limit=4, per_page=2, side=3000)
    assert len(pages) == 2
    assert max(max(read_pixels(page).shape) for page in pages) <= 4096


def test_random_rows_depend_on_the_seed_only(images, tmp_path):
    hd, root = images
    first, again = (view(hd, root, tmp_path / name, limit=2, seed=3) for name in ("x", "y"))
    assert first[0].read_bytes() == again[0].read_bytes()


def test_columns_that_cannot_be_drawn_are_named(images, tmp_path):
    hd, root = images
    with pytest.raises(UsageError, match="image_path"):
        view(hd, root, tmp_path, rows=[0], columns=["keypoints2d_original", "image_path"])
    with pytest.raises(UsageError, match="keypoints2d_smplx"):
        view(hd, root, tmp_path, rows=[0], columns=["keypoints2d_smplx"])
    with pytest.raises(UsageError, match="of a file of 4"):
        view(hd, root, tmp_path, rows=[4])


def test_an_image_that_is_there_and_cannot_be_read_is_not_called_missing(images, tmp_path):
    hd, root = images
    (root / "gone.png").write_bytes(b"")
    pages = view(hd, root, tmp_path / "out", rows=[3, 1], side=300)
    assert (pages.missing, pages.unreadable) == ([], {"gone.png": "has 0 bytes"})


def test_an_image_outside_the_folder_is_not_drawn(images, tmp_path):
    hd, root = images
    outside = hd[[0, 2]].with_columns({"image_path": ["a.png", "../secret.png"]})
    with pytest.raises(OutsideError, match=r"'../secret.png' of row 1"):
        view(outside, root, tmp_path / "out")


def test_grid_holds_images_of_different_sizes_within_its_bound():
    page = grid([blank(50, 100, 1), blank(300, 100, 2), blank(10, 10, 3)], [["one"], ["two"], []], max_side=400)
    assert max(page.shape) <= 400
    assert (page == 2).all(-1).any()
    assert (page == 3).all(-1).any()


@pytest.mark.parametrize("convention", ["human_data", "coco_wholebody", "mpii", "openpose_137"])
def test_every_point_of_a_convention_is_in_its_image(convention):
    image = draw_convention(convention)
    covered = 0
    for name in point_names(convention):
        x, y = (round(v) for v in _pixel(*_places()[name]))
        side = name.split("_")[0]
        covered += not is_near(image[y, x], SIDE_COLOURS.get(side, (90, 90, 90)))
    assert covered <= 0.05 * len(point_names(convention))


def test_all_points_of_the_hub_have_places_apart():
    places = _places()
    hub = point_names("human_data")
    assert set(hub) <= set(places)
    spots = {(panel, round(x, 2), round(y, 2)) for panel, (x, y) in (places[name] for name in hub)}
    assert len(spots) == 190


def test_places_of_left_and_right_mirror_each_other():
    for name, (panel, (x, y)) in _places().items():
        if "left_" in name:
            other_panel, (other_x, other_y) = _places()[name.replace("left_", "right_")]
            assert (other_x, other_y) == (-x, y)
            assert other_panel == panel.replace("left", "right")
            if panel == "body":
                assert x > 0, name
