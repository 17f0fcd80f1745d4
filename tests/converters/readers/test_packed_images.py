"""Images that a conversion finds in zip archives: present, measured, and looked at again when the archive changes."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from ehps.converters import layout, registry
from ehps.converters.readers.images import ImageIndex, folders_below, image_folders, image_names, is_image_folder
from ehps.errors import DataError


def pack(path: Path, names: list[str], size: tuple[int, int] = (30, 40)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, cv2.imencode(Path(name).suffix, np.full((*size, 3), 90, np.uint8))[1].tobytes())


@pytest.mark.parametrize(
    ("archive", "beginning"), [("a/b.zip", ""), ("a/b.zip", "b/"), ("a.zip", "b/"), ("a.zip", "a/b/")]
)
def test_images_in_an_archive_are_present_and_have_their_size(tmp_path: Path, archive: str, beginning: str) -> None:
    pack(tmp_path / archive, [f"{beginning}{k}.jpg" for k in range(3)])
    index = ImageIndex(tmp_path)
    paths = [f"a/b/{k}.jpg" for k in range(4)]
    assert index.present(paths).tolist() == [True, True, True, False]
    assert index.missing(paths) == paths[3:]
    assert index.sizes(paths).tolist() == [[30, 40]] * 3 + [[0, 0]]
    assert not index.none_below(["a/x/y.jpg"])


def test_images_of_another_spelling_are_found_in_an_archive(tmp_path: Path) -> None:
    pack(tmp_path / "a.zip", ["b/0.JPG", "b/1.png"])
    index = ImageIndex(tmp_path)
    assert index.path_on_disk("a/b/0.jpg") == "a/b/0.JPG"
    assert index.path_on_disk("a/b/1.png") == "a/b/1.png"
    assert index.size("a/b/0.jpg") == (30, 40)


def test_frames_and_root_may_both_be_packed(tmp_path: Path) -> None:
    pack(tmp_path / "root/a.zip", ["0.jpg"])
    pack(tmp_path / "frames/a.zip", ["1.jpg"])
    index = ImageIndex(tmp_path / "root", tmp_path / "frames")
    assert index.present(["a/0.jpg", "a/1.jpg", "a/2.jpg"]).tolist() == [True, True, False]


def test_an_archive_is_not_asked_for_when_the_folder_has_every_image(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/0.jpg").touch()
    (tmp_path / "a.zip").write_bytes(b"half a download")
    index = ImageIndex(tmp_path)
    assert index.present(["a/0.jpg"]).all()
    assert set(index.visited) == {"a"}
    assert index.missing(["a/1.jpg"]) == ["a/1.jpg"]


@pytest.mark.parametrize("name", ["a.zip", "a.zip.001", "a.z01"])
def test_an_archive_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"half a download")
    with pytest.raises(DataError, match=name):
        ImageIndex(tmp_path).missing(["a/b/0.jpg"])


def state_of(root: Path, paths: list[str]) -> tuple[dict[str, list[int]], dict[str, dict[str, str]]]:
    index = ImageIndex(root)
    index.sizes(paths)
    return json.loads(json.dumps([index.visited, index.read]))


def test_a_change_of_an_archive_is_seen(tmp_path: Path) -> None:
    paths = ["a/b/0.jpg", "a/b/1.jpg"]
    absent = state_of(tmp_path, paths)
    assert ImageIndex(tmp_path).unchanged(*absent)
    pack(tmp_path / "a.zip", ["b/0.jpg", "b/1.jpg"])
    assert not ImageIndex(tmp_path).unchanged(*absent)
    packed = state_of(tmp_path, paths)
    assert ImageIndex(tmp_path).unchanged(*packed)
    before = os.stat(tmp_path / "a.zip")
    pack(tmp_path / "a.zip", ["b/0.jpg", "b/1.jpg"], size=(50, 60))
    os.utime(tmp_path / "a.zip", ns=(before.st_atime_ns, before.st_mtime_ns))  # other images at the same time
    assert not ImageIndex(tmp_path).unchanged(*packed)
    whole = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(whole[:-30])
    os.utime(tmp_path / "a.zip", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not ImageIndex(tmp_path).unchanged(*packed)
    (tmp_path / "a.zip").write_bytes(whole)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        archive.extractall(tmp_path / "a")
    (tmp_path / "a.zip").unlink()
    assert not ImageIndex(tmp_path).unchanged(*packed)


@pytest.mark.parametrize(
    ("need", "archive", "names", "met"),
    [
        ("images", "images.zip", "0.jpg", True),
        ("images/", "images.zip", "images/0.jpg", True),
        ("kinect_color", "kinect_color.zip", "kinect_color/a/0.jpg readme.txt", True),
        ("images/train", "images/train.zip", "0.jpg", True),
        ("images/train", "images.zip", "train/0.jpg", True),
        ("images/train", "images.zip", "images/train/a/0.jpg", True),
        ("images/train", "images.zip", "val/0.jpg", False),
        ("*/*/rgb", "a/b/rgb.zip", "0.jpg", True),
        ("*/*/rgb", "a.zip", "b/c/0.jpg b/rgb/0.jpg", True),
        ("*/*/rgb", "a.zip", "rgb/0.jpg", False),
        ("images/seq_*", "images/seq_1.zip", "0.jpg", True),
        ("hr-lspet/im*.png", "hr-lspet.zip", "im1.png", True),
        ("hr-lspet/im*.png", "hr-lspet.zip", "im1.jpg", False),
        ("images/*/be_seq.csv", "images.zip", "a/be_seq.csv a/0.jpg", False),
        ("annotations", "annotations.zip", "0.json", False),
        ("egocentric_color", "egocentric_color.zip", "a/keypoints.npz a/0.jpg", False),
        ("images", "images.zip.001", "0.jpg", False),
    ],
)
def test_an_archive_meets_the_need_for_a_folder_of_images_and_no_other(
    tmp_path: Path, need: str, archive: str, names: str, met: bool
) -> None:
    (tmp_path / archive).parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(tmp_path / archive, "w") as file:
        for name in names.split():
            file.writestr(name, "")
    assert layout.there(tmp_path, need) is met


FOLDERS = ["a/b/rgb", "a/c/rgb", "a/c2/rgb", "d/e/rgb", "f/g/rgb"]


def packed_at_every_level(root: Path) -> None:
    (root / "a/b/rgb").mkdir(parents=True)
    pack(root / "a/c/rgb.zip", ["0.jpg"])
    pack(root / "a/c2.zip", ["rgb/0.jpg", "mask/0.jpg"])
    pack(root / "d.zip", ["d/e/rgb/0.jpg", "d/rgb/0.jpg"])
    pack(root / "f.zip", ["g/rgb/0.jpg", "g/rgb/0/0.jpg"])


def test_folders_of_a_pattern_are_found_at_whatever_level_their_archive_is(tmp_path: Path) -> None:
    packed_at_every_level(tmp_path)
    assert image_folders(tmp_path, "*/*/rgb") == FOLDERS
    assert image_folders(tmp_path, "a/c*") == ["a/c", "a/c2"]
    assert [is_image_folder(tmp_path, folder) for folder in [*FOLDERS, "d", "d/e", "d/f", "a/c2/r"]] == [
        *[True] * len(FOLDERS),
        *[True, True, False, False],
    ]


def test_all_folders_below_one_are_found_on_the_disk_and_in_archives(tmp_path: Path) -> None:
    packed_at_every_level(tmp_path)
    assert folders_below(tmp_path, "a") == ["a", "a/b", "a/b/rgb", "a/c", "a/c/rgb", "a/c2", "a/c2/mask", "a/c2/rgb"]
    assert folders_below(tmp_path, "f/g") == ["f/g", "f/g/rgb", "f/g/rgb/0"]


def test_a_split_archive_is_refused_where_it_stands_for_the_only_folder(tmp_path: Path) -> None:
    (tmp_path / "a.zip.001").touch()
    with pytest.raises(DataError, match=r"a\.zip\.001: is a part of a split archive"):
        image_folders(tmp_path, "*/rgb")
    assert image_folders(tmp_path, "*") == ["a"]
    with pytest.raises(DataError, match=r"a\.zip\.001: is a part of a split archive"):
        image_names(tmp_path, "a")
    (tmp_path / "b/rgb").mkdir(parents=True)
    assert image_folders(tmp_path, "*/rgb") == ["b/rgb"]


def test_names_in_a_folder_of_an_archive_are_found_in_whatever_order_they_are_packed(tmp_path: Path) -> None:
    pack(tmp_path / "a.zip", ["b/0.jpg", "c/0.jpg", "b/1.jpg", "b/d/2.jpg", "3.jpg", "b/4.jpg"])
    assert image_names(tmp_path, "a/b") == ["0.jpg", "1.jpg", "4.jpg"]
    assert image_names(tmp_path, "a") == ["3.jpg"]
    assert image_names(tmp_path, "a/b/d") == ["2.jpg"]


def test_a_damaged_archive_in_the_place_of_what_is_missing_is_named(tmp_path: Path) -> None:
    pack(tmp_path / "kinect_color.zip", ["0.jpg"])
    whole = (tmp_path / "kinect_color.zip").read_bytes()
    (tmp_path / "kinect_color.zip").write_bytes(whole[:-30])
    with pytest.raises(DataError, match=r"kinect_color\.zip is no whole zip archive"):
        layout.check(registry.card("egobody_kinect"), tmp_path, "train")
