from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from fake_dataset import CARD

from ehps.converters import layout, registry
from ehps.converters.base import Converter
from ehps.converters.readers.images import ImageIndex
from ehps.errors import DataError, UsageError


def make(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(b"")
    return root


WHOLE = ("calibration.json", "sequences/a.npz", "images/")


def test_a_complete_tree_passes(tmp_path: Path) -> None:
    layout.check(CARD, make(tmp_path, *WHOLE), "train")


def test_either_of_two_alternatives_will_do(tmp_path: Path) -> None:
    layout.check(CARD, make(tmp_path, "calibration.json", "sequences/a.npz", "images/"), "train")


def test_everything_missing_is_listed_with_where_to_get_it(tmp_path: Path) -> None:
    make(tmp_path, "images/")
    with pytest.raises(DataError) as caught:
        layout.check(CARD, tmp_path, "train")
    text = str(caught.value)
    assert "calibration.json" in text
    assert "sequences/*.npz" in text
    assert "images" not in text.split("missing:")[1].split(".")[0]
    assert "hall.zip" in text
    assert "example.org" in text


def test_needs_of_other_splits_are_not_asked_for(tmp_path: Path) -> None:
    card = replace(CARD, split_needs={"test": ("secret.json",)})
    make(tmp_path, *WHOLE)
    layout.check(card, tmp_path, "train")
    with pytest.raises(DataError, match=r"secret\.json"):
        layout.check(card, tmp_path, "test")


def test_a_split_that_is_complete_is_named_for_one_that_is_not(tmp_path: Path) -> None:
    card = replace(CARD, splits={"train": 1, "test": 1}, split_needs={"test": ("secret.json",)})
    with pytest.raises(DataError, match="complete here: --split train"):
        layout.check(card, make(tmp_path, *WHOLE), "test")


@pytest.mark.parametrize(
    ("given", "right"), [(".", "data/HALL"), ("data", "data/HALL"), ("data/HALL/sequences", "data/HALL")]
)
def test_one_level_too_high_or_low_is_recognised(tmp_path: Path, given: str, right: str) -> None:
    make(tmp_path / "data/HALL", *WHOLE)
    with pytest.raises(DataError) as caught:
        layout.check(CARD, tmp_path / given, "train")
    assert caught.value.fix is not None
    assert f"complete in {tmp_path / right}:" in caught.value.fix


def test_what_was_unpacked_a_folder_too_deep_is_named(tmp_path: Path) -> None:
    make(tmp_path, "calibration.json", "sequences/sequences/a.npz", "images/images/1.jpg")
    with pytest.raises(DataError, match=r"missing: sequences/\*\.npz, images .*: sequences/sequences/a\.npz") as caught:
        layout.check(CARD, tmp_path, "train")
    assert "one folder up" in str(caught.value)
    assert layout.too_deep(tmp_path, "images") == tmp_path / "images/images"
    assert layout.too_deep(tmp_path, "calibration.json") is None


@pytest.mark.parametrize(
    ("files", "inner"),
    [
        ("images/images/1.jpg", "images"),
        ("images/images/1.jpg images/images.zip", "images"),
        ("images/a/a/1.jpg images/b/b/1.jpg", "a/a"),
        ("images/1.jpg", ""),
        ("images/", ""),
        ("images/images/1.jpg images/2.jpg", ""),
        ("images/images/1.jpg images/other/1.jpg", ""),
        ("images/a/a/1.jpg images/b/1.jpg", ""),
        ("images/a/1.jpg", ""),
    ],
)
def test_a_folder_that_holds_but_itself_is_told_from_others(tmp_path: Path, files: str, inner: str) -> None:
    layout.forget()
    make(tmp_path, *files.split())
    found = layout.inside_itself(tmp_path / "images")
    assert found == (tmp_path / "images" / inner if inner else None)
    assert layout.there(tmp_path, "images") == (not inner)


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("images/a/1.jpg", "images/images/a/1.jpg"),
        ("images/a/1.jpg", "images/a/a/1.jpg"),
        ("images/a/1.jpg", "unpacked/images/a/1.jpg"),
        ("images/a/1.jpg", "a/1.jpg"),
        ("images/a/1.jpg", "images/1.jpg"),
        ("images/[a]/1.jpg", "images/[a]/more/1.jpg"),
        ("images/a/1.jpg", ""),
    ],
)
def test_an_image_in_another_folder_is_found(tmp_path: Path, path: str, where: str) -> None:
    layout.forget()
    make(tmp_path, where or "images/b/2.jpg")
    assert layout.misplaced(tmp_path, path) == (tmp_path / where if where else None)


def test_pipes_and_links_in_circles_are_no_data(tmp_path: Path) -> None:
    make(tmp_path, "sequences/a.npz", "images/")
    os.mkfifo(tmp_path / "calibration.json")
    (tmp_path / "me").symlink_to("me")
    assert layout.missing(CARD, tmp_path, "train") == ["calibration.json"]
    (tmp_path / "images/loop").symlink_to(tmp_path)
    (tmp_path / "all").symlink_to("/")
    (tmp_path / "linked").symlink_to(tmp_path / "sequences")
    layout.forget()
    visited = [folder.relative_to(tmp_path).as_posix() for folder in layout.folders(tmp_path, 5)]
    assert sorted(visited) in (
        [".", "images", "sequences"],
        [".", "images", "linked"],
    )


def test_archives_that_were_not_unpacked_are_named(tmp_path: Path) -> None:
    make(tmp_path, "calibration.json", "images.zip", "sequences.tar.gz")
    with pytest.raises(DataError, match=r"packed files: images\.zip, sequences\.tar\.gz"):
        layout.check(CARD, tmp_path, "train")


def test_a_file_or_nothing_instead_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        layout.check(CARD, tmp_path / "absent", "train")
    (tmp_path / "hall.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match="is a file"):
        layout.check(CARD, tmp_path / "hall.zip", "train")


def test_an_unknown_split_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="train, test"):
        layout.check(CARD, tmp_path, "val")


def test_every_card_has_its_own_id_and_a_known_default_split() -> None:
    cards = registry.cards()
    ids = [card.id for card in cards]
    assert len(ids) == len(set(ids)) >= 32
    assert ids == sorted(ids)
    assert all(card.default_split in card.splits for card in cards)
    assert all(set(card.split_needs) <= set(card.splits) for card in cards)


def test_converters_are_found_by_id() -> None:
    cls = registry.converter("bedlam")
    assert issubclass(cls, Converter)
    assert cls.card.id == "bedlam"


@pytest.mark.parametrize(("typed", "meant"), [("bedlm", "bedlam"), ("AGOR", "agora"), ("3dpv", "pw3d")])
def test_a_mistyped_id_is_corrected(typed: str, meant: str) -> None:
    with pytest.raises(UsageError, match=meant):
        registry.converter(typed)


def test_images_are_listed_once_and_measured_from_their_headers(hall: Path) -> None:
    index = ImageIndex(hall)
    paths = ["images/walk_0/000.jpg", "images/walk_0/999.jpg", "images/none/000.jpg"]
    assert index.present(paths).tolist() == [True, False, False]
    assert index.missing([*paths, paths[1]]) == paths[1:]
    assert index.sizes(paths).tolist() == [[240, 320], [0, 0], [0, 0]]
    assert {name for name in index.visited if not name.endswith(".zip")} == {"images/walk_0", "images/none"}


def test_frames_beside_the_dataset_count_as_its_images(tmp_path: Path) -> None:
    make(tmp_path / "root", "images/a/1.png")
    make(tmp_path / "frames", "images/a/2.png")
    index = ImageIndex(tmp_path / "root", tmp_path / "frames")
    assert index.present(["images/a/1.png", "images/a/2.png", "images/a/3.png"]).tolist() == [True, True, False]
