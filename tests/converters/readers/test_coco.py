"""COCO-style files in units: the same rows however many annotations a unit has, in little memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ehps.converters.pipeline import convert
from ehps.converters.readers import coco
from ehps.errors import DataError
from ehps.humandata import HumanData
from tests.raw import ubody
from tests.raw.checks import edited, peak_memory, replace
from tests.raw.trees import Raw, run

pytestmark = pytest.mark.usefixtures("parts_stay_in_memory")

IMAGES = [{"id": 7, "file_name": "ä.jpg"}, {"id": 3, "file_name": "b.jpg"}, {"id": 5, "file_name": "c.jpg"}]
ANNOTATIONS = [{"id": k, "image_id": i, "caption": 'a "]" {'} for k, i in enumerate((5, 7, 7, 3, 5))]


@pytest.fixture(params=[{}, {"indent": 1}, {"ensure_ascii": False}])
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    content = {"info": {"year": 2014}, "annotations": ANNOTATIONS, "images": IMAGES, "categories": [{"id": 1}]}
    (tmp_path / "people.json").write_text(json.dumps(content, **request.param), encoding="utf-8")
    return tmp_path / "people.json"


@pytest.mark.parametrize("rows", [1, 2, 5, 100])
def test_units_have_all_annotations_in_order_with_their_images(
    path: Path, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coco, "ROWS", rows)
    units = coco.units(path, "people")
    assert len(units) == -(-5 // rows)
    assert len({unit.name for unit in units}) == len(units)
    assert [unit.data.first for unit in units] == list(range(0, 5, rows))
    found = []
    for unit in units:
        dropped: dict[str, list[str]] = {}
        annotations, images = coco.read(unit, dropped)
        assert not dropped
        assert len(annotations) == unit.data.count
        found += [(a, images[a["image_id"]]) for a in annotations]
    by_id = {image["id"]: image for image in IMAGES}
    assert found == [(a, by_id[a["image_id"]]) for a in ANNOTATIONS]


@pytest.mark.parametrize("block", [60, 1 << 22])
def test_an_id_of_an_earlier_unit_is_dropped_and_counted(
    tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coco, "ROWS", 2)
    path = tmp_path / "people.json"
    people = [{"id": k, "image_id": 7, "caption": '"id": 4, "', "n": 10**9 + i} for i, k in enumerate((4, 12, 3, 4, 5))]
    people += [{"image_id": 7, "id": 6}, {"part": {"id": 12}, "image_id": 7, "id": 8}, {"id": 12, "image_id": 7}]
    path.write_text(json.dumps({"annotations": people, "images": IMAGES}, indent=1))
    monkeypatch.setattr(coco.json_stream, "BLOCK", block)
    monkeypatch.setattr(coco.json_stream, "LONGEST", 40)
    units = coco.units(path, "people")
    dropped: dict[str, list[str]] = {}
    kept = [a["id"] for unit in units for a in coco.read(unit, dropped)[0]]
    assert [sorted(unit.data.earlier) for unit in units] == [[], [4], [], [12]]
    assert kept == [4, 12, 3, 5, 6, 8]
    assert dropped["id of an earlier record"] == ["people.json 4", "people.json 12"]


def test_only_images_that_are_needed_are_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coco, "ROWS", 2)
    assert set(coco.read(coco.units(path, "people")[0], {})[1]) == {5, 7}


def test_what_cannot_be_read_is_told_when_its_unit_is(path: Path, tmp_path: Path) -> None:
    def refused(text: str, words: str) -> None:
        path.write_text(text, encoding="utf-8")
        (unit,) = coco.units(path, "people")
        with pytest.raises(DataError, match=rf"people\.json: {words}"):
            coco.read(unit, {})

    refused(path.read_text(encoding="utf-8")[:-20], "is not complete JSON")
    refused('{"annotations": [{"id": 1, "image_id": 2}], "images": [{"id": 1}]}', "lists no usable image for 1 of 1")
    refused('{"annotations": [{"id": 1, "image_id": 2}]}', "has no images")
    refused('{"images": []}', "has no annotations")
    refused(
        '{"images": [], "annotations": [{"id": 1}, {"id" 2}]}',
        "has annotations that are not JSON between bytes 31 and 50",
    )
    refused("[]", "has no images, annotations")
    path.unlink()
    (unit,) = coco.units(path, "people")
    with pytest.raises(DataError, match=r"people\.json: cannot be read"):
        coco.read(unit, {})


def test_a_file_without_annotations_has_no_rows(path: Path) -> None:
    path.write_text('{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": []}')
    (unit,) = coco.units(path, "people")
    assert coco.read(unit, {})[0] == []


IN_UNITS = ("crowdpose", "h36m", "mpi_inf_3dhp", "mpii", "mscoco", "muco", "ubody")


@pytest.mark.parametrize("dataset", IN_UNITS)
def test_any_size_of_unit_gives_the_same_file(
    dataset: str,
    raw_trees: Callable[[str], Raw],
    tmp_path: Path,
    body_models: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = raw_trees(dataset)
    a, whole = raw.converted()
    monkeypatch.setattr(coco, "ROWS", 2)
    parts = run(dataset, raw.root, tmp_path / "parts.h5", body_models)
    assert parts.units > whole.units
    assert (parts.found, parts.dropped) == (whole.found, whole.dropped)
    b = HumanData.open(tmp_path / "parts.h5")
    assert (a.misc, list(a.columns)) == (b.misc, list(b.columns))
    for name in a.columns:
        values = np.asarray(a[name])
        if values.dtype.kind == "f":  # the last bits depend on how many people are computed at once
            np.testing.assert_allclose(values, b[name], rtol=1e-5, atol=1e-4, err_msg=name)
        else:
            assert a[name].tolist() == b[name].tolist(), name


FILE = "data/MPI-INF-3DHP_1k.json"
MEASURE = """
import sys
from ehps.converters.readers import coco
from ehps.converters.pipeline import convert
coco.ROWS = 250
peaks = []
for raw in sys.argv[1:]:
    convert("mpi_inf_3dhp", raw, out=raw + ".h5", progress=False)
    peaks.append(peak())
print(peaks[1] - peaks[0])
"""  # one process for both: to start one takes longer than they do


def test_memory_does_not_grow_with_the_file(raw_trees: Callable[[str], Raw], tmp_path: Path) -> None:
    raw = raw_trees("mpi_inf_3dhp")
    content = json.loads((raw.root / FILE).read_text())
    kept = {row.id for row in raw.tree.rows}
    usable = [a for a in content["annotations"] if a["id"] in kept]
    image = {i["id"]: i for i in content["images"]}
    roots = [raw.linked(tmp_path / str(rows)) for rows in (250, 2000)]
    for root, rows in zip(roots, (250, 2000), strict=True):
        content["annotations"] = [usable[k % len(usable)] | {"id": k, "image_id": k} for k in range(rows)]
        content["images"] = [image[usable[k % len(usable)]["image_id"]] | {"id": k} for k in range(rows)]
        replace(root / FILE, json.dumps(content | {"padding": "x" * 100}).encode())
    assert (roots[1] / FILE).stat().st_size > 500_000
    assert peak_memory(MEASURE, *roots) < 7
    assert [len(HumanData.open(root.with_name(f"{root.name}.h5"))) for root in roots] == [250, 2000]


def test_odd_records_are_left_out_by_reason_and_take_no_other_with_them(path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(coco, "ROWS", 6)
    content = json.loads(path.read_text())
    people = [None, *content["annotations"], {"id": 5, "image_id": 404}, "x", None]
    people += [{"id": 6}, {"id": 7, "image_id": [5]}, *({"id": k, "image_id": 5} for k in range(8, 20))]
    path.write_text(json.dumps(content | {"annotations": people}))
    dropped: dict[str, list[str]] = {}
    found = [a["id"] for unit in coco.units(path, "people") for a in coco.read(unit, dropped)[0]]
    assert found == [0, 1, 2, 3, 4, *range(8, 20)]
    assert {reason: len(names) for reason, names in dropped.items()} == {
        "entry of annotations is no record": 3,
        "image not listed": 1,
        "no image_id": 1,
        "image_id is not an integer or a text": 1,
    }
    assert dropped["image not listed"] == ["people.json 5: image 404"]


def test_an_annotation_that_is_there_twice_is_one(path: Path) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"annotations": [*content["annotations"], content["annotations"][0]]}))
    dropped: dict[str, list[str]] = {}
    assert len(coco.read(coco.units(path, "people")[0], dropped)[0]) == 5
    assert dropped == {"id of an earlier record": ["people.json 0"]}


def test_a_file_of_which_most_is_odd_is_refused(path: Path) -> None:
    content = json.loads(path.read_text())
    for a in content["annotations"][:3]:
        del a["image_id"]
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="3 of 5 records are of another form, the first: annotations 0 has no image_id"):
        coco.read(coco.units(path, "people")[0], {})


def test_a_damaged_file_does_not_take_the_others_with_it(tmp_path: Path, body_models: Path) -> None:
    ubody.write_fixture(tmp_path / "raw", body_models, np.random.default_rng(1))
    file = next((tmp_path / "raw/annotations").glob("Speech*/keypoint_annotation.json"))
    with edited(file) as content:
        content["images"] = content["images"][:1]
    with pytest.raises(DataError, match=r"1 of 3 units could not be read: Speech: lists no usable image for 11 of 12"):
        convert("ubody", tmp_path / "raw", out=tmp_path / "x.h5", body_models=body_models, progress=False)


def test_sizes_of_images_are_those_that_any_file_states(tmp_path: Path) -> None:
    first = [{"id": 5, "file_name": "COCO_train2014_000000000005.jpg", "height": 480, "width": 640}]
    second = [
        {"id": 5, "file_name": "000000000005.jpg", "height": 1, "width": 1},
        {"id": 7, "file_name": "000000000007.jpg", "height": 300, "width": 400},
        {"id": 8, "file_name": "000000000008.jpg", "height": None, "width": "wide"},
    ]
    for name, images in (("a.json", first), ("b.json", second)):
        (tmp_path / name).write_text(json.dumps({"images": images, "annotations": []}))
    (tmp_path / "list.json").write_text("[1, 2]")
    paths = [tmp_path / name for name in ("none.json", "list.json", "a.json", "b.json")]
    names = ["x/COCO_val2014_000000000007.jpg", "000000000005.jpg", "000000000008.jpg", "face.jpg"]
    assert coco.sizes_by_name(paths[:2], names) is None
    assert coco.sizes_by_name(paths[:3], names[1:2]) is not None
    sizes = coco.sizes_by_name(paths, names[:1] + names[2:])
    assert sizes is not None
    assert sizes.tolist() == [[300, 400], [0, 0], [0, 0]]


def test_people_of_an_odd_image_are_counted_once_each(path: Path) -> None:
    content = json.loads(path.read_text())
    odd = content["annotations"][0]["image_id"]
    for image in content["images"]:
        if image["id"] == odd:
            image["file_name"] = "../elsewhere.jpg"
    path.write_text(json.dumps(content))
    dropped: dict[str, list[str]] = {}
    (unit,) = coco.units(path, "people")
    people, images = coco.read(unit, dropped)
    of_it = [a for a in content["annotations"] if a["image_id"] == odd]
    assert {reason: len(names) for reason, names in dropped.items()} == {
        "file_name is not a path below its folder": len(of_it)
    }
    assert len(people) == len(content["annotations"]) - len(of_it)
    assert odd not in images


def test_points_of_an_absurd_visibility_are_not_labelled() -> None:
    points = [5, 5, 2, 6, 6, 0, 7, 7, 1e30, 8, 8, -1, 9, 9, 1]
    assert coco.labelled({"keypoints": points}) == 2
    assert coco.labelled({"keypoints": points}, first=4) == 1
    assert coco.labelled({"keypoints": None}) == coco.labelled({}) == 0
