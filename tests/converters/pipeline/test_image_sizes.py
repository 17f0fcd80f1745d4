from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_dataset import CARD, Hall

from ehps.converters.base import Camera, Instances, Keypoints
from ehps.converters.pipeline.image_sizes import OTHER_ASPECT, SCALED, SPELLED, TOO_SMALL, TURNED, UNREADABLE, matched
from ehps.converters.pipeline.rows import Account, per_row
from ehps.converters.readers.images import ImageIndex
from ehps.errors import DataError
from ehps.humandata import HumanData
from ehps.humandata.image_headers import Header
from tests.raw.trees import run

UPRIGHT = "image is stored turned (EXIF orientation 6), its labels are for it upright"


class Given(ImageIndex):
    """Images of which only the headers are there, by their paths."""

    def __init__(self, headers: dict[str, Header]) -> None:
        super().__init__(Path("nowhere"))
        self._headers = headers

    def locate(self, image_path: str) -> Path | None:
        return Path(image_path) if image_path in self._headers else None


def rows_of(points: list[list[tuple[float, float]]], **more: object) -> Instances:
    """One row an image, called 0.jpg and so on, with points."""
    coco = np.zeros((len(points), 17, 3))
    for row, own in enumerate(points):
        coco[row, : len(own)] = np.reshape([(*point, 1) for point in own], (-1, 3))
    names = [f"{k}.jpg" for k in range(len(points))]
    return per_row(replace(Instances(names, keypoints2d=Keypoints(coco, "coco")), **more))  # type: ignore[arg-type]


def met(rows: Instances, headers: list[Header], strict: bool = False) -> tuple[Instances, Account]:
    account = Account()
    images = Given(dict(zip(rows.image_path, headers, strict=True)))
    return matched(rows, images, account, strict=strict), account


SPREAD = [[(100.0, 50.0), (600.0, 400.0)]] * 4


def test_camera_points_boxes_and_facts_in_pixels_are_scaled_where_the_image_is() -> None:
    rows = rows_of(
        SPREAD,
        size=(480, 640),
        camera=Camera(np.array([500.0, 510]), np.array([320.0, 240])),
        bbox=np.tile([10.0, 20, 30, 40], (4, 1)),
        meta={"bbox_center": np.ones((4, 2)), "age": np.ones(4)},
        meta_in_pixels=("bbox_center",),
        misc={"image_shape": [480, 640], "focal_length": [500.0, 510.0], "fits": "own"},
    )
    out, account = met(rows, [Header(480, 640), Header(240, 320), Header(240, 320), Header(960, 1280)])
    assert out.meta["image_scale"].tolist() == [1, 0.5, 0.5, 2]
    assert out.size.tolist() == [[480, 640], [240, 320], [240, 320], [960, 1280]]  # type: ignore[union-attr]
    assert out.camera is not None
    assert out.camera.focal.tolist() == [[500, 510], [250, 255], [250, 255], [1000, 1020]]
    assert out.camera.principal_point[1].tolist() == [160, 120]
    assert out.keypoints2d is not None
    assert out.keypoints2d.points[1, :2].tolist() == [[50, 25, 1], [300, 200, 1]]
    assert out.bbox is not None
    assert out.bbox[1].tolist() == [5, 10, 15, 20, 1]
    assert out.meta["bbox_center"][:, 0].tolist() == [1, 0.5, 0.5, 2]
    assert out.meta["age"].tolist() == [1] * 4
    assert out.misc == {"fits": "own"}  # the images are of several sizes
    assert "labels are for 640 x 480 pixels, images have 320 x 240" in account.notes


def test_nothing_is_added_where_all_images_are_those_that_were_labelled() -> None:
    out, account = met(rows_of(SPREAD, size=(480, 640)), [Header(480, 640)] * 4)
    assert out.meta == {}
    assert (account.notes, account.counts, account.dropped) == ([], {}, {})


def test_an_image_of_another_aspect_is_dropped_and_named_with_both_sizes() -> None:
    out, account = met(rows_of(SPREAD, size=(480, 640)), [Header(480, 640)] * 3 + [Header(480, 500)])
    assert out.image_path == ["0.jpg", "1.jpg", "2.jpg"]
    assert account.dropped == {OTHER_ASPECT: ["3.jpg"]}
    assert account.notes == ["3.jpg has 500 x 480 pixels, its labels are for 640 x 480"]


def test_a_unit_whose_images_are_of_another_aspect_is_refused() -> None:
    with pytest.raises(DataError, match=r"3 of 4 rows .* 0\.jpg has 500 x 480 pixels, its labels are for 640 x 480"):
        met(rows_of(SPREAD, size=(480, 640)), [Header(480, 500)] * 3 + [Header(480, 640)])


def test_images_that_cannot_be_read_are_dropped_and_counted() -> None:
    broken = Header(unreadable="is cut short")
    _, account = met(rows_of(SPREAD, size=(480, 640)), [broken, *[Header(480, 640)] * 3])
    assert account.dropped == {UNREADABLE: ["0.jpg"]}
    with pytest.raises(DataError, match=r"image 0\.jpg cannot be read: it is cut short"):
        met(rows_of(SPREAD), [broken, *[Header(480, 640)] * 3], strict=True)
    with pytest.raises(DataError, match=r"none of its 4 images can be read: 0\.jpg is cut short"):
        met(rows_of(SPREAD), [broken] * 4)


def test_points_say_that_images_are_too_small_where_no_size_is_stated() -> None:
    _, account = met(rows_of(SPREAD), [Header(240, 320), *[Header(480, 640)] * 3])
    assert account.dropped == {TOO_SMALL: ["0.jpg"]}
    with pytest.raises(DataError, match=r"2 of 4 images are smaller .* 0\.jpg has 320 x 240 .* reach to \(600, 400\)"):
        met(rows_of(SPREAD), [Header(240, 320)] * 2 + [Header(480, 640)] * 2)


def test_a_point_somewhat_outside_is_no_sign_of_another_size() -> None:
    out, account = met(rows_of([[(100, 50), (650, 400), (-90, 0)]] * 4), [Header(480, 640)] * 4)
    assert len(out) == 4
    assert account.dropped == {}


def test_boxes_and_the_least_size_stand_in_for_points() -> None:
    rows = rows_of([[]] * 2, bbox=np.tile([500.0, 300, 100, 100], (2, 1)))
    _, account = met(rows, [Header(240, 320), Header(480, 640)])
    assert account.dropped == {TOO_SMALL: ["0.jpg"]}
    _, account = met(rows_of([[]] * 2, least_size=(400, 600)), [Header(240, 320), Header(480, 640)])
    assert account.dropped == {TOO_SMALL: ["0.jpg"]}


def test_an_image_that_exif_turns_is_dropped_where_its_labels_are_for_it_upright() -> None:
    out, account = met(rows_of(SPREAD, size=(480, 640)), [Header(640, 480, 6), *[Header(480, 640)] * 3])
    assert len(out) == 3
    assert account.dropped == {UPRIGHT: ["0.jpg"]}
    out, account = met(rows_of(SPREAD, size=(480, 640)), [Header(480, 640, 6)] * 4)
    assert len(out) == 4  # labels are for the stored pixels
    assert account.counts == {}


def test_points_decide_for_which_reading_of_exif_labels_are() -> None:
    turned, as_stored, either = [(600.0, 400.0)], [(100.0, 600.0)], [(100.0, 100.0)]
    out, account = met(rows_of([turned, either, as_stored]), [Header(640, 480, 6)] * 3)
    assert out.image_path == ["1.jpg", "2.jpg"]
    assert account.counts == {TURNED: 1}
    out, account = met(rows_of([turned, either, turned]), [Header(640, 480, 6)] * 3)
    assert len(out) == 0  # where the points fit either way, the others of the unit decide
    assert account.dropped == {UPRIGHT: ["0.jpg", "1.jpg", "2.jpg"]}


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_orientations_that_leave_the_size_are_told(orientation: int) -> None:
    out, account = met(rows_of(SPREAD, size=(480, 640)), [Header(480, 640, orientation)] * 2 + [Header(480, 640)] * 2)
    assert len(out) == 4
    assert account.counts == {TURNED: 2}


def test_points_at_the_border_lose_their_confidence_where_the_dataset_says_so() -> None:
    points = [[(0.0, 5.0), (640.0, 5.0), (5.0, 5.0), (700.0, 5.0)] + [(9.0, 9.0)] * 9]
    out, _ = met(rows_of(points, points_end_at_border=True), [Header(480, 640)])
    assert out.keypoints2d is not None
    assert out.keypoints2d.points[0, :4, 2].tolist() == [0, 0, 1, 0]


def test_the_scale_is_one_for_units_whose_images_are_those_that_were_labelled(
    own_hall: Path, tmp_path: Path, body_models: Path
) -> None:
    from PIL import Image

    for path in (own_hall / "images/walk_1").iterdir():
        Image.new("RGB", (160, 120)).save(path)
    (own_hall / "images/walk_0/000.jpg").rename(own_hall / "images/walk_0/000.JPG")
    report = run(Stated, own_hall, tmp_path / "x.h5", body_models)
    hd = HumanData.open(tmp_path / "x.h5")
    assert hd["meta/image_scale"].tolist() == [1] * 4 + [0.5] * 4 + [1] * 4
    assert hd["meta/width"].tolist() == [320] * 4 + [160] * 4 + [320] * 4
    assert report.notes[0] == f"1 {SPELLED}"
    assert report.notes[1] == f"4 {SCALED}"
    assert hd["image_path"][0] == "images/walk_0/000.JPG"
    assert hd["quality/reprojection_px"].max() < 0.02


class Stated(Hall):
    """The hall with the size that its labels are for."""

    card = CARD

    def read(self, unit):  # type: ignore[no-untyped-def]
        return replace(super().read(unit), size=(240, 320))
