"""Raw ``.npz`` and ``.npy`` files of other people."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ehps.errors import DataError, UnsafeFileError
from ehps.humandata.pickles import load_npy, load_npz
from ehps.humandata.pickles.npy_files import Npz


def test_named_members_are_read_and_no_others(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (os.getcwd, ())

    evil = np.empty((), object)
    evil[()] = Evil()
    np.savez(tmp_path / "x.npz", a=np.arange(3), b=np.asfortranarray(np.eye(2)), evil=evil)
    read = load_npz(tmp_path / "x.npz", "a b")
    assert list(read) == ["a", "b"]
    np.testing.assert_array_equal(read["b"], np.eye(2))
    assert list(load_npz(tmp_path / "x.npz", ["b"])) == ["b"]
    with pytest.raises(UnsafeFileError, match=r"x\.npz\[evil\].*getcwd"):
        load_npz(tmp_path / "x.npz")


def test_missing_members_are_named_with_what_is_there(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", poses=np.zeros(3), betas=np.zeros(3))
    with pytest.raises(DataError, match="has no trans; there are: poses, betas"):
        load_npz(tmp_path / "x.npz", "poses trans")


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.array(["a", "bcd"]),
        np.array([b"a"]),
        np.zeros((0, 4)),
        np.array(3),
        np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]),
        np.arange(3, dtype=">i2"),
    ],
)
def test_arrays_of_all_kinds_come_back(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "x.npy", array)
    read = load_npy(tmp_path / "x.npy")
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


def test_object_arrays_hold_plain_data(tmp_path: Path) -> None:
    array = np.empty(2, object)
    array[0], array[1] = {"pose": np.arange(3)}, [1, "x"]
    np.save(tmp_path / "x.npy", array)
    read = load_npy(tmp_path / "x.npy")
    np.testing.assert_array_equal(read[0]["pose"], [0, 1, 2])
    assert read[1] == [1, "x"]


def test_damaged_npy_files_are_data_errors(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(100))
    whole = (tmp_path / "x.npy").read_bytes()
    broken_header = whole.replace(b"'fortran", b"(fortran")
    for data in (whole[:-1], whole[:50], b"", b"not numpy at all", whole + b"more", broken_header):
        (tmp_path / "x.npy").write_bytes(data)
        with pytest.raises(DataError, match=r"x\.npy"):
            load_npy(tmp_path / "x.npy")
    with pytest.raises(DataError, match="no such file"):
        load_npy(tmp_path / "none.npy")


def test_texts_with_impossible_characters_are_data_errors(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array(["ab"]))
    whole = bytearray((tmp_path / "x.npy").read_bytes())
    whole[-1] = 0x7F
    (tmp_path / "x.npy").write_bytes(whole)
    with pytest.raises(DataError, match="impossible characters"):
        load_npy(tmp_path / "x.npy")


ROWS = {
    "numbers": np.arange(24.0).reshape(6, 2, 2),
    "columns_first": np.asfortranarray(np.arange(12).reshape(6, 2)),
    "texts": np.array([f"{'x' * i}.jpg" for i in range(6)]),
    "objects": np.array([{"row": i} for i in range(6)], object),
    "empty": np.zeros((0, 3)),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("name", list(ROWS))
def test_some_rows_of_a_member_are_those_of_the_whole(tmp_path: Path, save: Any, name: str) -> None:
    save(tmp_path / "x.npz", **ROWS)
    with Npz(tmp_path / "x.npz") as members:
        assert members.shape(name) == ROWS[name].shape
        for first, last in ((0, 2), (2, 5), (4, 99), (7, 9)):
            found = members.rows(name, first, last)
            assert (found.dtype, found.shape) == (ROWS[name].dtype, ROWS[name][first:last].shape)
            assert found.tolist() == ROWS[name][first:last].tolist()


def test_a_member_without_rows_is_what_it_is(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", number=np.array(7.5), nothing=np.array(None, object))
    with Npz(tmp_path / "x.npz") as members:
        assert members.rows("number", 0, 4) == 7.5
        assert members.rows("nothing", 0, 4).item() is None


def test_rows_of_a_member_that_is_cut_short_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.arange(1000.0).reshape(100, 10))
    with zipfile.ZipFile(tmp_path / "x.npz") as whole, zipfile.ZipFile(tmp_path / "y.npz", "w") as cut:
        cut.writestr("a.npy", whole.read("a.npy")[:2000])
    with Npz(tmp_path / "y.npz") as members, pytest.raises(DataError, match="has not the size that its header"):
        members.rows("a", 0, 3)
