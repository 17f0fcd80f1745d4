"""Dumps of joblib come back as joblib itself reads them, and nothing that they name is ever called."""

from __future__ import annotations

import bz2
import io
import os
import pickle
import zlib
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from joblib.numpy_pickle import NumpyArrayWrapper

from ehps.errors import DataError, UnsafeFileError
from ehps.humandata.memory_map import owner
from ehps.humandata.pickles.joblib_dumps import load_joblib

CONTENT: dict[str, Any] = {
    "ids": np.arange(10),
    "fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "texts": np.array(["train/a.jpg", "ü"]),
    "objects": np.array(["a", None, "ccc"], dtype=object),
    "big endian": np.arange(3, dtype=">i4"),
    "empty": np.zeros((0, 4), np.float32),
    "0-d": np.array(5.0),
    "days": np.array(["2020-01-01"], "M8[D]"),
    "records": np.array([(1.5, [2, 3])], dtype=[("x", "f4"), ("y", "i8", (2,))]),
    "nested": {"deep": [np.ones((2, 2), bool), ("x", 1)]},
    "plain": [1, 2.5, "x", None],
}
UNCOMPRESSED, ZLIB, GZIP = 0, 3, ("gzip", 3)


def assert_equal(found: Any, wanted: Any) -> None:
    assert type(found) is type(wanted)
    if isinstance(wanted, np.ndarray):
        assert wanted.dtype in (found.dtype, found.dtype.newbyteorder("="))  # joblib makes the order native
        np.testing.assert_array_equal(found, wanted)
    elif isinstance(wanted, dict):
        assert list(found) == list(wanted)
        for key in wanted:
            assert_equal(found[key], wanted[key])
    elif isinstance(wanted, list | tuple):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            assert_equal(one, other)
    else:
        assert found == wanted


def dump(path: Path, content: Any, compress: Any = 0, protocol: int | None = None) -> Path:
    joblib.dump(content, path, compress=compress, protocol=protocol)
    return path


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("compress", [UNCOMPRESSED, ZLIB, GZIP])
def test_every_kind_of_dump_is_read_as_joblib_reads_it(tmp_path: Path, compress: Any, protocol: int) -> None:
    path = dump(tmp_path / "db.pt", CONTENT, compress, protocol)
    assert_equal(load_joblib(path), CONTENT)
    assert_equal(load_joblib(path), joblib.load(path))


def test_dumps_from_before_the_alignment_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Old(NumpyArrayWrapper):
        def __init__(self, subclass: Any, shape: Any, order: Any, dtype: Any, allow_mmap: bool = False, **_: Any):
            super().__init__(subclass, shape, order, dtype, allow_mmap, None)
            del self.numpy_array_alignment_bytes

    Old.__name__, Old.__qualname__, Old.__module__ = "NumpyArrayWrapper", "NumpyArrayWrapper", "joblib.numpy_pickle"
    monkeypatch.setattr("joblib.numpy_pickle.NumpyArrayWrapper", Old)
    path = dump(tmp_path / "db.pt", {"odd": "x", "values": np.arange(7.0)}, protocol=3)
    monkeypatch.undo()
    assert b"alignment" not in path.read_bytes()
    np.testing.assert_array_equal(load_joblib(path)["values"], np.arange(7.0))


def test_arrays_of_a_plain_dump_stay_in_the_file(tmp_path: Path) -> None:
    found = load_joblib(dump(tmp_path / "db.pt", CONTENT))
    for name in ("ids", "fortran", "texts"):
        assert owner(found[name]) is not None
        assert not found[name].flags.writeable
    packed = load_joblib(dump(tmp_path / "packed.pt", CONTENT, ZLIB))
    assert owner(packed["ids"]) is None


def test_a_memory_map_that_was_dumped_is_an_array(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(5.0))
    found = load_joblib(dump(tmp_path / "db.pt", {"x": np.load(tmp_path / "x.npy", mmap_mode="r")}))
    assert type(found["x"]) is np.ndarray
    np.testing.assert_array_equal(found["x"], np.arange(5.0))


def test_a_plain_pickle_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "db.pt").write_bytes(pickle.dumps(CONTENT))
    assert_equal(load_joblib(tmp_path / "db.pt"), CONTENT)


# -- malicious -------------------------------------------------------------------------------------------


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("compress", [UNCOMPRESSED, ZLIB])
@pytest.mark.parametrize("hidden", [False, True])
def test_code_in_a_dump_is_not_run(tmp_path: Path, compress: Any, hidden: bool) -> None:
    target = tmp_path / "made"
    evil: Any = np.array([Evil(target), 1], dtype=object) if hidden else Evil(target)
    path = dump(tmp_path / "db.pt", {"ids": np.arange(4), "evil": evil, "more": np.arange(4)}, compress)
    with pytest.raises(UnsafeFileError, match="mkdir") as caught:
        load_joblib(path)
    assert not target.exists()
    assert str(path) in str(caught.value)
    joblib.load(path)
    assert target.exists()  # it would have been


def forged(tmp_path: Path, **changes: Any) -> Path:
    """A dump of a small array whose wrapper says something else."""
    wrapper = NumpyArrayWrapper(np.ndarray, (3,), "C", np.dtype("f8"))
    wrapper.__dict__.update(changes)
    path = tmp_path / "db.pt"
    path.write_bytes(pickle.dumps(wrapper, 2)[:-1] + b"\x01\xff" + np.arange(3.0).tobytes() + b".")
    return path


def test_the_forged_dump_is_read_when_it_is_true(tmp_path: Path) -> None:
    np.testing.assert_array_equal(load_joblib(forged(tmp_path)), np.arange(3.0))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shape": (1 << 50,)}, "before its arrays do"),
        ({"shape": (-3,)}, "shape"),
        ({"dtype": np.dtype([("a", object)])}, "array of"),
        ({"dtype": np.dtype("V0")}, "array of|dtype"),
        ({"subclass": np.dtype}, "plain array"),
    ],
)
def test_a_forged_wrapper_is_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_joblib(forged(tmp_path, **changes))


def test_other_array_classes_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UnsafeFileError, match="matrix"):
        load_joblib(forged(tmp_path, subclass=np.matrix))


def test_a_few_compressed_bytes_cannot_ask_for_all_memory(tmp_path: Path) -> None:
    path = forged(tmp_path, shape=(1 << 50,))
    path.write_bytes(zlib.compress(path.read_bytes()))
    with pytest.raises(DataError, match="memory"):
        load_joblib(path)


def test_texts_with_impossible_characters_are_refused(tmp_path: Path) -> None:
    path = dump(tmp_path / "db.pt", np.array(["abcd"]))
    path.write_bytes(path.read_bytes().replace(b"b\0\0\0", b"\xff\xff\xff\xff"))
    with pytest.raises(DataError, match="impossible characters"):
        load_joblib(path)


# -- damaged ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compress", [UNCOMPRESSED, ZLIB, GZIP])
def test_a_dump_cut_anywhere_is_refused(tmp_path: Path, compress: Any) -> None:
    path = dump(tmp_path / "db.pt", CONTENT, compress)
    data = path.read_bytes()
    for length in {*range(0, len(data) - 9, 37), len(data) // 2}:
        path.write_bytes(data[:length])
        with pytest.raises(DataError, match=r"db\.pt"):
            load_joblib(path)


def test_other_formats_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "db.pt"
    dump(path, CONTENT, ("bz2", 3))
    assert path.read_bytes().startswith(bz2.compress(b"")[:3])
    with pytest.raises(DataError, match="bz2"):
        load_joblib(path)
    buffer = io.BytesIO()
    torch.save({"x": torch.ones(2)}, buffer)
    path.write_bytes(buffer.getvalue())
    with pytest.raises(DataError, match="torch"):
        load_joblib(path)
    with pytest.raises(DataError, match="no such file"):
        load_joblib(tmp_path / "absent.pt")
