from __future__ import annotations

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


@pytest.mark.parametrize(
    ("given", "right"), [(".", "data/HALL"), ("data", "data/HALL"), ("data/HALL/sequences", "data/HALL")]
)
def test_one_level_too_high_or_low_is_recognised(tmp_path: Path, given: str, right: str) -> None:
    make(tmp_path / "data/HALL", *WHOLE)
    with pytest.raises(DataError) as caught:
        layout.check(CARD, tmp_path / given, "train")
    assert caught.value.fix is not None
    assert f"complete in {tmp_path / right}:" in caught.value.fix


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


@pytest.mark.parametrize(("typed", "meant"), [("bedlm", "bedlam"), ("AGORA", "agora"), ("3dpw", "pw3d")])
def test_a_mistyped_id_is_corrected(typed: str, meant: str) -> None:
    with pytest.raises(UsageError, match=meant):
        registry.converter(typed)


def test_images_are_listed_once_and_measured_from_their_headers(hall: Path) -> None:
    index = ImageIndex(hall)
    paths = ["images/walk_0/000.jpg", "images/walk_0/999.jpg", "images/none/000.jpg"]
    assert index.present(paths).tolist() == [True, False, False]
    assert index.missing([*paths, paths[1]]) == paths[1:]
    assert index.sizes(paths).tolist() == [[240, 320], [0, 0], [0, 0]]
    assert set(index.visited) == {"images/walk_0", "images/none"}


def test_frames_beside_the_dataset_count_as_its_images(tmp_path: Path) -> None:
    make(tmp_path / "root", "images/a/1.png")
    make(tmp_path / "frames", "images/a/2.png")
    index = ImageIndex(tmp_path / "root", tmp_path / "frames")
    assert index.present(["images/a/1.png", "images/a/2.png", "images/a/3.png"]).tolist() == [True, True, False]
