"""Images that a conversion finds in zip archives: present, measured, and looked at again when the archive changes."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from ehps.converters import layout
from ehps.converters.readers.images import ImageIndex
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
    ("need", "archive", "met"),
    [
        ("images", "images.zip", True),
        ("images/", "images.zip", True),
        ("imageFiles", "imageFiles.zip", True),
        ("images/train", "images/train.zip", True),
        ("images/train", "images.zip", True),
        ("*/*/rgb", "a/b/rgb.zip", True),
        ("images/seq_*", "images/seq_1.zip", True),
        ("images/*/be_seq.csv", "images.zip", False),
        ("annotations", "annotations.zip", False),
        ("images", "images.zip.001", False),
    ],
)
def test_an_archive_meets_the_need_for_a_folder_of_images_and_no_other(
    tmp_path: Path, need: str, archive: str, met: bool
) -> None:
    pack(tmp_path / archive, ["0.jpg"])
    assert layout.there(tmp_path, need) is met
