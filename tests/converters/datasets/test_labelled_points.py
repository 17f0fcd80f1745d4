"""What annotation tools write where COCO has ``num_keypoints`` and 17 points: counted, or refused in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ehps.converters.readers import coco, coco_wholebody
from ehps.errors import DataError
from tests.raw.checks import edited
from tests.raw.trees import Raw, read

LISTS = {
    "mscoco": ("annotations/coco_wholebody_train_v1.0.json", {}),
    "crowdpose": ("crowdpose_train.json", {}),
    "mpii": ("annotations/train.json", {}),
}
"""Datasets whose default split is COCO-style, with their file and options."""


def tree(raw: Raw, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The raw tree with each of its people changed."""
    root = raw.linked(folder)
    path = root / LISTS[raw.dataset][0]
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    with edited(path) as labels:
        for person in labels["annotations"]:
            change(person)
    return root


@pytest.mark.parametrize("dataset", LISTS)
@pytest.mark.parametrize("number", [None, 0, 17])
def test_labelled_points_are_counted(
    dataset: str, number: int | None, raw_trees: Callable[[str], Raw], tmp_path: Path
) -> None:
    def change(person: dict[str, Any]) -> None:
        person.pop("num_keypoints", None)
        if number is not None:
            person["num_keypoints"] = number

    raw = raw_trees(dataset)
    found, before = read(dataset, tree(raw, tmp_path, change)), raw.rows
    assert [unit.image_path for unit in found] == [unit.image_path for unit in before]
    assert [unit.dropped for unit in found] == [unit.dropped for unit in before]
    for one, other in zip(found, before, strict=True):
        if "num_keypoints" in other.meta:
            assert one.meta["num_keypoints"].tolist() == other.meta["num_keypoints"].tolist()


@pytest.mark.parametrize("dataset", LISTS)
def test_other_skeletons_are_refused_with_the_way_to_import_them(
    dataset: str, raw_trees: Callable[[str], Raw], tmp_path: Path
) -> None:
    root = tree(raw_trees(dataset), tmp_path, lambda person: person.update(keypoints=[5.0, 5.0, 2] * 21))
    with pytest.raises(DataError, match=r"have 21 points in `keypoints` instead of 1\d") as error:
        read(dataset, root)
    name = Path(LISTS[dataset][0]).name
    assert f"ehps convert coco {name} --images DIR --skeleton NAMES" in str(error.value)
    assert name in str(error.value.path)


def test_133_points_in_one_list_are_the_parts_of_coco_wholebody(
    raw_trees: Callable[[str], Raw], tmp_path: Path
) -> None:
    def change(person: dict[str, Any]) -> None:
        lists = [person.pop(name) for name in coco_wholebody.POINTS]
        person["keypoints"] = [value for values in lists for value in values]

    raw = raw_trees("mscoco")
    (found,), (before,) = read("mscoco", tree(raw, tmp_path, change)), raw.rows
    assert found.image_path == before.image_path
    assert found.keypoints2d is not None
    assert before.keypoints2d is not None
    np.testing.assert_array_equal(found.keypoints2d.points[:, :23], before.keypoints2d.points[:, :23])
    assert (found.keypoints2d.points[..., 2] >= before.keypoints2d.points[..., 2]).all()


def test_the_few_with_another_number_do_not_speak_for_all(tmp_path: Path) -> None:
    people = [{"keypoints": [1, 2, 2] * n} for n in (17, 17, 21, 18)]
    assert coco.points_of(people, (17, 133), tmp_path) == 17
    assert coco.points_of([{"keypoints": None}, {}], (17, 133), tmp_path) == 17
    with pytest.raises(DataError, match="50 numbers, which are no triples"):
        coco.points_of([{"keypoints": [0] * 50}], (17,), tmp_path)
