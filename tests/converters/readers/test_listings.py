"""What one process has listed is taken by others only while the folder is as it was."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ehps.converters.readers import listings
from ehps.converters.readers.listings import names_in


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two files, which were not changed for a while."""
    monkeypatch.setattr(listings, "LARGE", 2)
    made = tmp_path / "images"
    made.mkdir()
    for name in ("a.jpg", "b\udce4.jpg"):
        (made / name).touch()
    os.utime(made, (10, 10))
    return made


def test_names_are_kept_and_taken(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = tmp_path / "shared"
    assert names_in(folder, shared) == {"a.jpg", "b\udce4.jpg"}
    monkeypatch.setattr(listings, "files_in", lambda _: pytest.fail("listed again"))
    assert names_in(folder, shared) == {"a.jpg", "b\udce4.jpg"}


def test_a_folder_that_has_changed_is_listed_again(folder: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    names_in(folder, shared)
    (folder / "c.jpg").touch()
    assert names_in(folder, shared) == {"a.jpg", "b\udce4.jpg", "c.jpg"}


def test_nothing_is_kept_of_a_folder_that_changes_now_is_small_or_absent(folder: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    os.utime(folder, (time.time(), time.time()))
    names_in(folder, shared)
    (folder / "a.jpg").unlink()
    os.utime(folder, (10, 10))
    names_in(folder, shared)
    assert names_in(folder / "none", shared) == frozenset()
    assert [path.suffix for path in shared.iterdir()] == [".lock"]


def test_a_disk_that_takes_no_listing_costs_a_listing_only(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert len(names_in(folder, tmp_path / "file" / "shared")) == 2
