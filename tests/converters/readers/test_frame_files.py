"""Files of which there is one a frame: those that cannot be used are left out by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ehps.converters.readers.frame_files import read_each
from ehps.errors import DataError, UnsafeFileError

ROOT = Path("/data/set")
PATHS = [ROOT / f"{frame:03d}/000.pkl" for frame in range(4)]


def of(contents: dict[int, Any]) -> Any:
    """A reader of the :data:`PATHS`, of which those with an error as content raise it."""

    def read(path: Path) -> Any:
        content = contents.get(PATHS.index(path), {"betas": np.zeros(10)})
        if isinstance(content, DataError):
            raise content
        return content

    return read


def test_a_file_that_cannot_be_read_costs_its_row() -> None:
    dropped: dict[str, list[str]] = {}
    error = DataError("is cut short", path=PATHS[1])
    found, keep = read_each(PATHS, of({1: error}), "fit cannot be read", dropped, ROOT)
    assert keep.tolist() == [True, False, True, True]
    assert len(found) == 3
    assert dropped == {"fit cannot be read": ["001/000.pkl: is cut short"]}


@pytest.mark.parametrize(("rows", "lost"), [(4, 4), ([1, 2, 3, 4], 2)])
def test_every_row_of_a_file_that_cannot_be_read_is_counted(rows: int | list[int], lost: int) -> None:
    dropped: dict[str, list[str]] = {}
    error = DataError("is cut short", path=PATHS[1])
    read_each(PATHS, of({1: error}), "fit cannot be read", dropped, ROOT, rows=rows)
    assert dropped == {"fit cannot be read": ["001/000.pkl: is cut short"] * lost}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"betas": np.zeros(9)}, "betas is 9 numbers, in most such files 10"),
        ({}, "has no betas, which most such files have"),
    ],
)
def test_the_shape_of_most_files_is_right(content: dict[str, Any], said: str) -> None:
    dropped: dict[str, list[str]] = {}
    _, keep = read_each(PATHS, of({0: content}), "fit cannot be read", dropped, ROOT, alike=["betas"])
    assert keep.tolist() == [False, True, True, True]
    assert dropped == {"fit cannot be read": [f"000/000.pkl: {said}"]}


def test_more_than_half_are_an_error_that_names_the_first() -> None:
    errors = {k: DataError(f"is cut short at {k}", path=PATHS[k], fix="unpack it") for k in (1, 2, 3)}
    with pytest.raises(DataError) as error:
        read_each(PATHS, of(errors), "fit cannot be read", {}, ROOT)
    assert error.value.path == PATHS[1]
    assert str(error.value).endswith("is cut short at 1 (3 of 4 such files cannot be used). Unpack it")


def test_code_in_one_of_many_is_an_error() -> None:
    with pytest.raises(UnsafeFileError):
        read_each(PATHS, of({0: UnsafeFileError("asks for os.system")}), "fit cannot be read", {}, ROOT)
