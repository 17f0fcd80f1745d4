"""Merged files name the image folders of their parts, and one function finds every image."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ehps.errors import UsageError
from ehps.humandata import HumanData
from ehps.humandata.exclusions import excluded_rows
from ehps.humandata.image_files import FOLDERS, images_of
from ehps.humandata.merged_images import default_folder, with_folders
from ehps.humandata.operations import merge


def converted(hd: HumanData, path: Path, folder: Path) -> Path:
    """A file beside which a conversion's report names the image folder."""
    for name in set(hd["image_path"].tolist()):
        image = folder / name
        image.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes(b"")
    path.with_name(path.name + ".report.json").write_text(json.dumps({"image_folder": str(folder)}))
    return hd.save(path)


@pytest.fixture
def two(people, tmp_path: Path) -> list[Path]:
    """Two files whose image paths are the same, of different folders."""
    names = ["x/0.jpg", "x/1.jpg", "x/2.jpg"]
    return [
        converted(people(3, seed=i, dataset=name, image_path=names), tmp_path / f"{name}.h5", tmp_path / "raw" / name)
        for i, name in enumerate(("agora", "bedlam"))
    ]


@pytest.mark.parametrize("ending", ["h5", "npz"])
def test_paths_of_two_folders_get_labels(two: list[Path], tmp_path: Path, ending: str) -> None:
    done = merge(two, tmp_path / "new" / f"both.{ending}")
    hd = HumanData.open(done.out)
    assert hd["image_path"].tolist() == [f"{name}/x/{i}.jpg" for name in ("agora", "bedlam") for i in range(3)]
    folder = images_of(hd, tmp_path / "nowhere")
    found = [folder.locate(name, row) for row, name in enumerate(hd["image_path"])]
    assert found == [tmp_path / "raw" / name / f"x/{i}.jpg" for name in ("agora", "bedlam") for i in range(3)]
    assert hd.validate(tmp_path) != []  # empty images, all of them found
    assert not any("no such image" in problem.what for problem in hd.validate(tmp_path))


def test_a_given_folder_comes_before_one_below_the_root_and_that_before_the_named_one(two, tmp_path: Path) -> None:
    hd = HumanData.open(merge(two, tmp_path / "both.h5").out)
    (tmp_path / "links/agora").mkdir(parents=True)
    (tmp_path / "mine").mkdir()
    name = hd["image_path"][0]
    assert images_of(hd, tmp_path / "links").locate(name) == tmp_path / "links" / name
    given = images_of(hd, tmp_path / "links", {"agora": tmp_path / "mine"})
    assert given.locate(name) == tmp_path / "mine/x/0.jpg"
    with pytest.raises(UsageError, match=r"no images labelled 'ubody'.*It has agora, bedlam"):
        images_of(hd, tmp_path, {"ubody": tmp_path})


def test_files_of_one_folder_or_of_unknown_ones_keep_their_paths(people, tmp_path: Path) -> None:
    names = ["a.jpg", "b.jpg"]
    made = [people(2, seed=i, dataset="agora", image_path=names) for i in range(2)]
    paths = [converted(hd, tmp_path / f"{i}.h5", tmp_path / "raw") for i, hd in enumerate(made)]
    one = merge(paths, tmp_path / "one.h5")
    assert (one.image_folders, one.unknown_folders) == ({"": str(tmp_path / "raw")}, [])
    assert HumanData.open(one.out)["image_path"].tolist() == names * 2
    assert default_folder(one.out) == tmp_path / "raw"
    plain = [hd.save(tmp_path / f"plain{i}.h5") for i, hd in enumerate(made)]
    unknown = merge(plain, tmp_path / "unknown.h5")
    assert (unknown.image_folders, unknown.unknown_folders) == ({}, plain)
    assert default_folder(unknown.out) == tmp_path
    said = merge(plain, tmp_path / "said.h5", images={"plain0.h5": tmp_path / "raw", "plain1": tmp_path})
    assert said.image_folders == {"agora": str(tmp_path / "raw"), "agora_train": str(tmp_path)}
    with pytest.raises(UsageError, match="which is not merged"):
        merge(plain, tmp_path / "x.h5", images={"other": tmp_path})
    with pytest.raises(UsageError, match="no such folder"):
        merge(plain, tmp_path / "x.h5", images={"plain0": tmp_path / "absent"})


def test_merged_files_are_merged_again(two: list[Path], people, tmp_path: Path) -> None:
    first = merge(two, tmp_path / "first.h5").out
    third = converted(
        people(2, seed=5, dataset="agora", image_path=["x/0.jpg", "y.jpg"]), tmp_path / "c.h5", tmp_path / "c"
    )
    hd = HumanData.open(merge([first, third], tmp_path / "all.h5").out)
    assert set(hd.misc[FOLDERS]) == {"agora", "bedlam", "agora_train"}
    assert hd["image_path"].tolist()[-2:] == ["agora_train/x/0.jpg", "agora_train/y.jpg"]
    folder = images_of(hd, tmp_path)
    assert all(folder.locate(name, row).is_file() for row, name in enumerate(hd["image_path"]))


def test_relative_folders_stay_right_where_the_file_is_written_elsewhere(people, tmp_path: Path) -> None:
    hd = people(2, image_path=["a.jpg", "b.jpg"])
    hd.misc = {**hd.misc, FOLDERS: {"": "raw"}}
    (tmp_path / "raw").mkdir()
    hd = HumanData.open(hd.save(tmp_path / "a.h5"))
    copy = with_folders(hd, tmp_path / "b/c.h5").save(tmp_path / "b/c.h5")
    assert default_folder(copy).resolve() == (tmp_path / "raw").resolve()


def test_an_exclusion_list_of_a_part_is_understood_by_the_merged_file(two: list[Path], tmp_path: Path) -> None:
    hd = HumanData.open(merge(two, tmp_path / "both.h5").out)
    rows = excluded_rows(hd, [{"dataset": "bedlam", "id": "x/1.jpg"}])
    assert rows.tolist() == [False, False, False, False, True, False]
    assert excluded_rows(hd, [{"id": "x/1.jpg"}]).sum() == 2
