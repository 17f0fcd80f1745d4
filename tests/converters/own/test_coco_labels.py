"""Labels of annotation tools: what they leave out, and skeletons of any kind."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from ehps.cli import main
from ehps.converters.own import convert_labels
from ehps.converters.pipeline.report import Report
from ehps.converters.readers import coco
from ehps.errors import DataError, UsageError
from ehps.humandata import HumanData
from ehps.humandata.keypoints import point_names
from tests.raw.checks import blank

pytestmark = pytest.mark.usefixtures("parts_stay_in_memory")

NAMES = ("Nose", "left shoulder", "rightShoulder", "tail_base")
KNOWN = ("nose", "left_shoulder", "right_shoulder", "tail_base")
POINTS = [[100.0, 40, 2], [140, 80, 1], [60, 80, 2], [100, 160, 2]]


def person(number: int, image: Any = 1, **changes: Any) -> dict[str, Any]:
    made = {"id": number, "image_id": image, "category_id": 1, "keypoints": np.ravel(POINTS).tolist()}
    return {key: value for key, value in (made | changes).items() if value is not None}


def write(folder: Path, people: list[Any], **changes: Any) -> Path:
    """Labels of two images, one of them in a folder."""
    blank(folder / "pictures", ["a.jpg", "more/b.jpg"], 200, 320)
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "more/b.jpg"}],
        "annotations": people,
        "categories": [{"id": 1, "name": "person", "keypoints": list(NAMES)}],
    }
    path = folder / "labels.json"
    path.write_text(json.dumps({k: v for k, v in (content | changes).items() if v is not None}))
    return path


def convert(folder: Path, skeleton: str | None = None, **options: Any) -> tuple[HumanData, Report]:
    out = folder / "own.h5"
    report = convert_labels(folder / "labels.json", folder / "pictures", skeleton, out=out, progress=False, **options)
    return HumanData.open(out), report


def test_points_have_the_names_of_the_file_in_known_spelling(tmp_path: Path) -> None:
    write(tmp_path, [person(7), person(8, 2)])
    hd, report = convert(tmp_path)
    assert hd.keypoint_names["keypoints2d_original"] == KNOWN
    np.testing.assert_allclose(hd["keypoints2d_original"][0], np.array(POINTS) * [1, 1, 0] + [0, 0, 1])
    assert hd["image_path"].tolist() == ["a.jpg", "more/b.jpg"]
    assert hd["meta/annotation_id"].tolist() == [7, 8]
    assert hd["meta/num_keypoints"].tolist() == [4, 4]
    assert hd["meta/height"].tolist() == [200, 200]
    assert (hd.passport.dataset, hd.passport.split, hd.passport.body_model) == ("coco", "train", None)
    assert (report.found, report.written, report.problems) == (2, 2, [])
    assert hd.validate() == []


def test_points_of_an_absurd_visibility_have_no_confidence(tmp_path: Path) -> None:
    points = np.array(POINTS, float)
    points[0, 2] = 1e30
    write(tmp_path, [person(7, keypoints=points.ravel().tolist())])
    hd, _ = convert(tmp_path)
    assert hd["keypoints2d_original"][0, :, 2].tolist() == [0, 1, 1, 1]
    assert hd["meta/num_keypoints"].tolist() == [3]


def test_boxes_are_computed_where_there_are_none(tmp_path: Path) -> None:
    boxes = [[10.0, 20, 100, 50], None, [], [0, 0, 0, 0], [5, 5, float("nan"), 9]]
    write(tmp_path, [person(k, bbox=box) for k, box in enumerate(boxes)])
    hd, _ = convert(tmp_path)
    assert hd["meta/bbox_computed"].tolist() == [False, True, True, True, True]
    np.testing.assert_allclose(hd["bbox_xywh"][0], [0, 15, 120, 60, 1])
    np.testing.assert_allclose(hd["bbox_xywh"][1:], [[52, 28, 96, 144, 1]] * 4, rtol=1e-6)
    assert hd.misc["bbox_source"] == "provided_by_dataset, where absent keypoints2d_original"


def test_what_cannot_be_used_is_counted_by_reason(tmp_path: Path) -> None:
    odd = [
        person(2, iscrowd=1),
        person(3, keypoints=None),
        person(4, keypoints=[0] * 12),
        person(5, keypoints=[1, 2, 2]),
        person(6, keypoints=["x"] * 12),
        person(9, image=3),
        person(10, image=4),
    ]
    images = [{"id": k, "file_name": name} for k, name in enumerate(("a.jpg", "more/b.jpg", "../c.jpg", "d.jpg"), 1)]
    write(tmp_path, [*(person(20 + k) for k in range(8)), *odd], images=images)
    _, report = convert(tmp_path)
    assert {reason: len(names) for reason, names in report.dropped.items() if "keypoints" not in reason} == {
        "crowd region": 1,
        "no points": 1,
        "no labelled point": 1,
        "file_name is not a path below its folder": 1,
        "image missing": 1,
    }
    assert sum(len(names) for reason, names in report.dropped.items() if "keypoints" in reason) == 2
    assert (report.found, report.written) == (15, 8)


def test_a_given_skeleton_names_the_points(tmp_path: Path) -> None:
    write(tmp_path, [person(1)], categories=None)
    hd, _ = convert(tmp_path, "nose, Left Shoulder,right_shoulder,zz")
    assert hd.keypoint_names["keypoints2d_original"] == (*KNOWN[:3], "zz")


@pytest.mark.parametrize("content", ["nose\nleft shoulder\nrightShoulder\ntail_base\n", json.dumps(NAMES)])
def test_a_file_names_the_points(tmp_path: Path, content: str) -> None:
    names = tmp_path / ("names.json" if content.startswith("[") else "names.txt")
    names.write_text(content)
    write(tmp_path, [person(1)], categories=None)
    assert convert(tmp_path, str(names))[0].keypoint_names["keypoints2d_original"] == KNOWN


@pytest.mark.parametrize("skeleton", ["coco", None])
def test_hips_that_people_labelled_are_no_joints_of_a_body_model(tmp_path: Path, skeleton: str | None) -> None:
    names = [name.removesuffix("_extra") for name in point_names("coco")]
    points = np.column_stack([np.linspace(20, 200, 17), np.linspace(20, 180, 17), np.full(17, 2)]).ravel().tolist()
    write(tmp_path, [person(1, keypoints=points)], categories=[{"id": 1, "keypoints": names}])
    assert convert(tmp_path, skeleton)[0].keypoint_names["keypoints2d_original"] == point_names("coco")


def test_people_of_another_category_are_left_out(tmp_path: Path) -> None:
    categories = [{"id": 1, "keypoints": list(NAMES)}, {"id": 2, "keypoints": ["nose"]}, {"id": 3, "name": "ball"}]
    write(
        tmp_path,
        [person(1), person(2, category_id=2, keypoints=[5, 5, 2]), person(3, category_id=3)],
        categories=categories,
    )
    hd, report = convert(tmp_path)
    assert hd["meta/annotation_id"].tolist() == [1, 3]
    assert list(report.dropped) == ["category with another skeleton"]


def test_sizes_of_the_file_and_tracks_are_taken_where_it_has_them(tmp_path: Path) -> None:
    images = [{"id": "one", "file_name": "a.jpg", "height": 200, "width": 320}]
    write(tmp_path, [person(1, "one", track_id=4)], images=images)
    hd, _ = convert(tmp_path)
    assert hd["meta/track_id"].tolist() == [4]
    assert hd["meta/image_id"].tolist() == ["one"]


def test_labels_for_images_of_another_size_are_scaled(tmp_path: Path) -> None:
    write(tmp_path, [person(1), person(2)], images=[{"id": 1, "file_name": "a.jpg", "height": 400, "width": 640}])
    hd, _ = convert(tmp_path)
    np.testing.assert_allclose(hd["keypoints2d_original"][0, :, :2], np.array(POINTS)[:, :2] / 2)
    np.testing.assert_allclose(hd["bbox_xywh"][0], [26, 14, 48, 72, 1], rtol=1e-6)
    assert hd["meta/image_scale"].tolist() == [0.5, 0.5]


def test_absolute_names_below_the_folder_are_taken_as_relative(tmp_path: Path) -> None:
    inside = str((tmp_path / "pictures" / "a.jpg").resolve())
    images = [{"id": 1, "file_name": inside}, {"id": 2, "file_name": "/etc/a.jpg"}, {"id": 3, "file_name": "C:\\a.jpg"}]
    write(tmp_path, [person(k, k) for k in (1, 2, 3)], images=images)
    hd, report = convert(tmp_path)
    assert hd["image_path"].tolist() == ["a.jpg"]
    assert len(report.dropped["image path leaves the folder of images"]) == 2


def test_many_units_give_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, [person(k, 1 + k % 2) for k in range(7)])
    before, _ = convert(tmp_path)
    values = {name: np.array(before[name]) for name in ("meta/annotation_id", "bbox_xywh", "keypoints2d_original")}
    monkeypatch.setattr(coco, "ROWS", 3)
    hd, report = convert(tmp_path, jobs=2, backend="threading")
    assert report.units == 3
    for name, value in values.items():
        np.testing.assert_array_equal(hd[name], value)


@pytest.mark.parametrize(
    ("skeleton", "words"),
    [
        ("nose,nose,a,b", "twice"),
        ("nose,,a,b", "no name of a point"),
        ("nowhere.txt", "no known convention"),
    ],
)
def test_a_skeleton_that_is_none_is_refused(tmp_path: Path, skeleton: str, words: str) -> None:
    write(tmp_path, [person(1)])
    with pytest.raises(UsageError, match=words):
        convert(tmp_path, skeleton)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"categories": None}, "does not name its points"),
        ({"categories": [{"id": 1, "keypoints": [3, "nose", "a", "b"]}]}, "3 is no name of a point"),
        ({"annotations": None}, "annotations"),
        ({"annotations": [person(1, keypoints=[1, 2, 2] * 5)]}, "1 of 1 people have not 4 points .* has 15 numbers"),
    ],
)
def test_a_file_of_another_form_is_named_with_what_is_wrong(tmp_path: Path, changes: Any, words: str) -> None:
    write(tmp_path, [person(1)], **changes)
    with pytest.raises(DataError, match=words) as error:
        convert(tmp_path)
    assert "labels.json" in str(error.value)


def test_a_skeleton_of_another_size_than_the_files_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [person(1)])
    with pytest.raises(DataError, match=r"has 4 points in categories.*, but the skeleton names 17"):
        convert(tmp_path, "coco")


def test_the_command_says_what_it_lacks(tmp_path: Path) -> None:
    write(tmp_path, [person(1)])

    def call(*arguments: Any) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["convert", *map(str, arguments), "--out", str(tmp_path / "x.h5")])
        return result.exit_code, result.output

    labels, pictures = tmp_path / "labels.json", tmp_path / "pictures"
    assert call("coco", labels, "--images", pictures)[0] == 0
    assert call("coco", labels)[0] == 2
    assert "--images DIR" in call("coco", labels)[1]
    assert "no such file" in call("coco", tmp_path / "absent.json", "--images", pictures)[1]
    assert call("coco", labels, "--images", tmp_path / "absent")[0] == 1
    assert call("mscoco", tmp_path, "--images", pictures)[0] == 2


def test_the_example_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[3] / "docs/own_data.md").read_text(encoding="utf-8")
    example, from_python = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    (command,) = re.findall(r"^\$ ehps (convert .*)$", page, re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    exec(example)
    assert CliRunner().invoke(main, command.split()).exit_code == 0
    assert len(HumanData.open("mine.h5")) == 2
    exec(from_python)


def test_images_beside_the_folder_that_was_given_are_found_for_the_user(tmp_path: Path) -> None:
    labels = write(tmp_path, [person(1)])
    with pytest.raises(DataError, match=r"a\.jpg is not there, but pictures/a\.jpg is"):
        convert_labels(labels, tmp_path, out=tmp_path / "x.h5", progress=False)
