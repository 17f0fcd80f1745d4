"""A raw file that cannot be read is told by what it is, the same in every reader of its kind."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from ehps.converters.datasets import dna_rendering_files
from ehps.converters.readers import AGAIN, OTHER, raw_files
from ehps.converters.readers.matlab import load_mat
from ehps.errors import DataError

PAGE = b"\n<!DOCTYPE html><html><body>Please sign in</body></html>"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n"


def smc(path: Path) -> None:
    with dna_rendering_files.opened(path):
        pass


READERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "a MATLAB file": ("a.mat", lambda path: load_mat(path, "joints")),
    "an .smc file": ("a.smc", smc),
    "JSON": ("a.json", raw_files.read_json),
}


def archive() -> bytes:
    with io.BytesIO() as stored:
        with zipfile.ZipFile(stored, "w") as file:
            file.writestr("joints.mat", b"0" * 99)
        return stored.getvalue()


def refusal(wanted: str, content: bytes, folder: Path) -> DataError:
    name, read = READERS[wanted]
    (folder / name).write_bytes(content)
    with pytest.raises(DataError) as error:
        read(folder / name)
    assert error.value.path == folder / name
    return error.value


@pytest.mark.parametrize("wanted", list(READERS))
@pytest.mark.parametrize(
    ("content", "found", "fix"),
    [
        (PAGE, "is a web page", "logged in"),
        (LFS, "is a pointer of Git LFS", "git lfs pull"),
        (archive(), "is a zip archive", "unpack it"),
        (gzip.compress(b"{}"), "is a gzip archive", "unpack it"),
        (b"\x93NUMPY\x01\x00v\x00", "is an .npy file", OTHER),
    ],
    ids=["page", "lfs", "zip", "gzip", "npy"],
)
def test_another_kind_of_file_is_named(wanted: str, content: bytes, found: str, fix: str, tmp_path: Path) -> None:
    error = refusal(wanted, content, tmp_path)
    assert error.what == f"{found}, not {wanted}"
    assert fix in error.fix
    assert AGAIN not in error.fix


def test_only_a_file_that_is_cut_short_is_to_be_downloaded_again(tmp_path: Path) -> None:
    new, old, text = tmp_path / "new.mat", tmp_path / "old.mat", json.dumps({"a": [1, 2]}).encode()
    with h5py.File(new, "w", userblock_size=512) as file:
        file["joints"] = np.ones((40, 40))
    new.write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + new.read_bytes()[512:])
    assert load_mat(new, "joints")["joints"].shape == (40, 40)
    savemat(old, {"joints": np.ones((40, 40))})
    for content, what in ((new.read_bytes(), "a MATLAB 7.3 file"), (old.read_bytes(), "a MATLAB file")):
        error = refusal("a MATLAB file", content[:-2000], tmp_path)
        assert error.what.startswith(f"begins as {what}, and is cut short or damaged")
        assert error.fix == AGAIN
    assert error.what.endswith(": the last 2000 of 12856 bytes of the variable at byte 128 are not there")
    assert refusal("an .smc file", new.read_bytes()[512:-2000], tmp_path).what.startswith("begins as an HDF5 file")
    for wanted in READERS:
        assert AGAIN in refusal(wanted, b"", tmp_path).fix
    assert refusal("JSON", text[:-3], tmp_path).fix == AGAIN
    error = refusal("a MATLAB file", b"no header at all", tmp_path)
    assert (error.what, error.fix) == ("is not a MATLAB file", OTHER)
