"""Boxes that are given: four forms, and which frame each is of."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ehps.errors import DataError, UsageError
from ehps.humandata.core import HumanData
from ehps.inference.boxes import Boxes, read_boxes
from ehps.inference.frames import Frame
from ehps.inference.people import Finder
from ehps.inference.sources import UPRIGHT

PIXELS = np.zeros((100, 200, 3), np.uint8)


def frame(path: str, number: int = 0) -> Frame:
    return Frame(number, path, PIXELS, number=number)


def read(path: Path, text: str) -> Boxes:
    path.write_text(text)
    return read_boxes(path)


def test_coco_annotations_and_results(tmp_path: Path) -> None:
    annotations = {
        "images": [{"id": 4, "file_name": "a.jpg"}],
        "annotations": [
            {"image_id": 4, "category_id": 1, "bbox": [1, 2, 3, 4]},
            {"image_id": 4, "category_id": 3, "bbox": [9, 9, 9, 9]},
            {"image_id": 4, "category_id": 1, "iscrowd": 1, "bbox": [9, 9, 9, 9]},
        ],
    }
    people = read(tmp_path / "a.json", json.dumps(annotations)).of(frame("a.jpg"))
    assert people.boxes.tolist() == [[1, 2, 3, 4]]
    assert people.scores.tolist() == [1]
    results = [{"file_name": "a.jpg", "bbox": [1, 2, 3, 4], "score": 0.5, "track_id": 6}]
    people = read(tmp_path / "b.json", json.dumps(results)).of(frame("a.jpg"))
    assert people.scores.tolist() == [0.5]
    assert people.tracks.tolist() == [6]


@pytest.mark.parametrize("names", [["dog", "person"], ["Person", "dog"], ["somebody"]])
def test_people_are_the_category_of_that_name_or_the_only_one(tmp_path: Path, names: list[str]) -> None:
    boxes = [{"image_id": 4, "category_id": k, "bbox": [1, 2, 3, k + 4]} for k in range(len(names))]
    categories = [{"id": k, "name": name} for k, name in enumerate(names)]
    content = {"images": [{"id": 4, "file_name": "a.jpg"}], "annotations": boxes, "categories": categories}
    people = read(tmp_path / "a.json", json.dumps(content)).of(frame("a.jpg"))
    person = 1 if names[0] == "dog" else 0
    assert people.boxes.tolist() == [[1, 2, 3, person + 4]]


def test_boxes_of_no_person_are_not_taken_for_nobody(tmp_path: Path) -> None:
    images = [{"id": 4, "file_name": "a.jpg"}]
    content = {"images": images, "annotations": [{"image_id": 4, "category_id": 0, "bbox": [1, 2, 3, 4]}]}
    with pytest.raises(DataError, match="none of category 1"):
        read(tmp_path / "a.json", json.dumps(content))
    content["categories"] = [{"id": 0, "name": "man"}, {"id": 1, "name": "cat"}]
    with pytest.raises(DataError, match="categories man, cat"):
        read(tmp_path / "b.json", json.dumps(content))


def test_tables_of_other_programs(tmp_path: Path) -> None:
    text = "image; x; y; w; h; track\nsub\\a.jpg ; 1; 2; 3; 4; anna\nb.jpg;1;2;3;4;\n"
    boxes = read(tmp_path / "a.csv", text)
    assert boxes.of(frame("sub/a.jpg")).tracks.tolist() == [1]
    assert boxes.of(frame("b.jpg")).tracks.tolist() == [-1]
    boxes = read(tmp_path / "b.csv", "frame,x,y,w,h,id\n1.0,1,2,3,4,7.0\n")  # as pandas writes columns with gaps
    assert boxes.of(frame("clip.mp4/000001.jpg", 1)).tracks.tolist() == [7]


@pytest.mark.parametrize("line", ["1.5,1,1,2,3,4,1", "1,1e30,1,2,3,4,1", "1,1,1e30,2,3,4,1", "1,1,nan,2,3,4,1"])
def test_numbers_that_can_be_none_are_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(DataError, match=r"a\.txt"):
        read(tmp_path / "a.txt", line)


@pytest.mark.parametrize("head", ["image,x,y,w,h,score,id", "File, x1, y1, x2, y2, conf, track"])
def test_csv_by_the_names_of_its_columns(tmp_path: Path, head: str) -> None:
    numbers = "1,2,3,4" if "w" in head else "1,2,4,6"
    people = read(tmp_path / "a.csv", f"{head}\na.jpg,{numbers},0.25,8\n").of(frame("a.jpg"))
    assert people.boxes.tolist() == [[1, 2, 3, 4]]
    assert people.scores.tolist() == [0.25]
    assert people.tracks.tolist() == [8]


def test_csv_without_what_it_needs_lists_its_columns(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="its columns are image, x, y, size"):
        read(tmp_path / "a.csv", "image,x,y,size\na.jpg,1,2,3\n")
    with pytest.raises(DataError, match="line 2"):
        read(tmp_path / "a.csv", "image,x,y,w,h\na.jpg,1,2,3,wide\n")


def test_mot_counts_from_1_and_ignores_confidence_0(tmp_path: Path) -> None:
    boxes = read(tmp_path / "gt.txt", "1,3,1,2,3,4,1,1,1\n2,3,5,6,7,8,0,1,1\n2,4,9,9,5,5,1,1,1\n")
    assert boxes.of(frame("clip.mp4/000000.jpg", 0)).tracks.tolist() == [3]
    assert boxes.of(frame("clip.mp4/000001.jpg", 1)).tracks.tolist() == [4]
    with pytest.raises(DataError, match="counts from 1"):
        read(tmp_path / "gt.txt", "0,3,1,2,3,4,1\n")


def test_humandata_by_image_path(tmp_path: Path) -> None:
    boxes = np.array([[1, 2, 3, 4, 1], [0, 0, 0, 0, 0]], np.float32)
    HumanData({"image_path": ["s/a.jpg"] * 2, "bbox_xywh": boxes}).save(tmp_path / "set.npz")
    assert read_boxes(tmp_path / "set.npz").of(frame("s/a.jpg")).boxes.tolist() == [[1, 2, 3, 4]]


def test_paths_match_by_their_ends_and_never_by_another_folder(tmp_path: Path) -> None:
    boxes = read(tmp_path / "a.csv", "image,x,y,w,h\nset/a.jpg,1,2,3,4\nb.jpg,1,2,3,4\n")
    assert len(boxes.of(frame("a.jpg"))) == 1
    assert len(boxes.of(frame("other/a.jpg"))) == 0
    assert len(boxes.of(frame("one/b.jpg"))) == 1
    with pytest.raises(DataError, match=r"one/b\.jpg or two/b\.jpg"):
        boxes.of(frame("two/b.jpg"))


def test_images_that_the_input_lacks_are_known(tmp_path: Path) -> None:
    boxes = read(tmp_path / "a.csv", "image,x,y,w,h\na.jpg,1,2,3,4\nb.jpg,1,2,3,4\n")
    boxes.of(frame("a.jpg"))
    assert boxes.unused([("a.jpg", 0)]) == ["b.jpg"]


def test_boxes_without_area_or_outside_are_dropped_and_counted(tmp_path: Path) -> None:
    text = "image,x,y,w,h\na.jpg,0,0,0,9\na.jpg,500,0,9,9\na.jpg,-5,-5,20,20\na.jpg,10,10,20,20\n"
    boxes = read(tmp_path / "a.csv", text)
    find = Finder(lambda frames: [boxes.of(one) for one in frames], {}, boxes)
    (people,) = find([frame("a.jpg")])
    assert people.boxes.tolist() == [[-5, -5, 20, 20], [10, 10, 20, 20]]
    assert find.dropped == {"has no area": 1, "is outside its image": 1}


def test_other_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="COCO"):
        read(tmp_path / "a.xml", "")
    with pytest.raises(DataError, match="no boxes"):
        read(tmp_path / "a.txt", "")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_of_humandata_are_of_the_pixels_as_stored(tmp_path: Path, orientation: int) -> None:
    marked = np.zeros((20, 30), bool)
    marked[3:8, 11:18] = True  # x 11, y 3, 7 wide and 5 high, as OpenCV reads the file
    box = np.array([[11, 3, 6, 4, 1]], np.float32)  # from the first to the last pixel
    HumanData({"image_path": ["a.jpg"], "bbox_xywh": box}).save(tmp_path / "a.npz")
    mirrored, turns = UPRIGHT[orientation]
    upright = np.rot90(marked[:, ::-1] if mirrored else marked, -turns)
    rows, columns = (np.flatnonzero(upright.any(axis=axis)) for axis in (1, 0))
    frame = Frame(0, "a.jpg", np.zeros((*upright.shape, 3), np.uint8), turned=turns, mirrored=mirrored)
    expected = [columns[0], rows[0], np.ptp(columns), np.ptp(rows)]
    assert read_boxes(tmp_path / "a.npz").of(frame).boxes.tolist() == [expected]
