"""Locks outlive that their files and folders are removed by those who have them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from ehps.errors import DataError
from ehps.file_locks import in_turn


def test_a_folder_that_is_removed_before_its_lock_is_opened_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, opened, removed = tmp_path / "parts" / "lock", Path.open, []

    def open_later(self: Path, *arguments: Any, **options: Any) -> Any:
        if self == path and len(removed) < 2:
            removed.append(shutil.rmtree(path.parent))
        return opened(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", open_later)
    with in_turn(path):
        assert path.is_file()
    assert len(removed) == 2


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "parts").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match="parts"), in_turn(tmp_path / "parts" / "lock"):
        pass
