"""What is checked of a file before it is read, for every reader: what it is, where its numbers are, how many."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ehps.benchmark.suites.matrix import load_suite
from ehps.benchmark.suites.runs import Run
from ehps.benchmark.training import checkpoints
from ehps.converters.datasets import dna_rendering_files, insta_variety
from ehps.converters.readers.matlab import load_mat
from ehps.errors import DataError, EhpsError, UnsafeFileError, UsageError
from ehps.foreign_files import memory_limit, unfolding_limit
from ehps.humandata import HumanData
from ehps.humandata.operations import merge, read_exclusions
from ehps.humandata.pickles import load_joblib, load_npy, load_npz, load_pickle
from ehps.json_files import read_json, read_json_lines
from tests.humandata.conftest import build

Read = Callable[[Path], Any]


def smc(path: Path) -> None:
    with dna_rendering_files.opened(path):
        pass


HDF5: dict[str, Read] = {
    "HumanData": HumanData.open,
    "merge": lambda path: merge([path], path.with_name("out.h5")),
    "Matlab 7.3": lambda path: load_mat(path, "secret"),
    "DNA-Rendering": smc,
    "InstaVariety": insta_variety._length,
}


def external_link(file: h5py.File, other: Path) -> None:
    file["group/secret"] = h5py.ExternalLink(str(other), "/x")


def external_storage(file: h5py.File, other: Path) -> None:
    file.create_dataset("secret", (8,), "u1", external=[(str(other), 0, 8)])


def virtual(file: h5py.File, other: Path) -> None:
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource(str(other), "x", (3,))
    file.create_virtual_dataset("secret", layout)


def plug_in(file: h5py.File, other: Path) -> None:
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_chunk((2,))
    settings.set_filter(305, h5py.h5z.FLAG_OPTIONAL)
    h5py.h5d.create(file.id, b"secret", h5py.h5t.NATIVE_FLOAT, h5py.h5s.create_simple((4,)), settings)


OUTWARD = [external_link, external_storage, virtual, plug_in]


@pytest.mark.parametrize("read", HDF5.values(), ids=HDF5)
@pytest.mark.parametrize("way", OUTWARD)
def test_hdf5_that_takes_its_numbers_from_elsewhere_is_refused(
    tmp_path: Path, read: Read, way: Callable[[h5py.File, Path], None]
) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = np.arange(3.0)
    path = build(3).save(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file["joints2D"] = np.zeros((3, 49, 3))
        way(file, tmp_path / "other.h5")
    with pytest.raises(UnsafeFileError, match=r"a\.h5: refused: .*'(group/)?secret' "):
        read(path)
    assert not (tmp_path / "out.h5").exists()


def test_the_column_of_a_humandata_file_cannot_be_another_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"root:x:0:0" * 12)
    path = build(3).save(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        del file["smplx/betas"]
        file.create_dataset("smplx/betas", (3, 10), "f4", external=[(str(tmp_path / "secret"), 0, 120)])
    with pytest.raises(UnsafeFileError, match="another file"):
        HumanData.open(path)


def test_links_within_a_file_and_packed_columns_are_read(tmp_path: Path) -> None:
    hd = build(3)
    path = hd.save(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        betas = file["smplx/betas"][...]
        del file["smplx/betas"]
        file.create_dataset("smplx/packed", data=betas, chunks=(2, 10), compression="gzip", shuffle=True)
        file["smplx/betas"] = h5py.SoftLink("/smplx/packed")
        file["smplx/itself"] = file["smplx"]
    np.testing.assert_array_equal(HumanData.open(path)["smplx/betas"], hd["smplx/betas"])


@pytest.mark.parametrize("read", HDF5.values(), ids=HDF5)
def test_hdf5_nested_without_end_or_larger_than_it_can_be(tmp_path: Path, read: Read) -> None:
    path = build(3).save(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file["joints2D"] = np.zeros((3, 49, 3))
        group = file
        for _ in range(80):
            group = group.create_group("g")
    with pytest.raises(DataError, match="nested"):
        read(path)
    with h5py.File(path, "r+") as file:
        del file["g"]
        file.create_dataset("bomb", (10**9, 100), "f4", chunks=(1000, 100))
    with pytest.raises(DataError, match=r"asks for 372\.5 GiB.*EHPS_MEMORY_GB"):
        read(path)


PIPES: dict[str, Read] = {
    "x.h5": HumanData.open,
    "x.npz": HumanData.open,
    "x.pkl": HumanData.open,
    "y.npy": load_npy,
    "y.npz": load_npz,
    "y.pkl": load_pickle,
    "y.joblib": load_joblib,
    "y.mat": lambda path: load_mat(path, "x"),
    "y.smc": smc,
    "y.h5": insta_variety._length,
    "y.pt": checkpoints.load,
    "suite.yaml": load_suite,
    "exclude.json": read_exclusions,
    "y.json": read_json,
    "train.jsonl": read_json_lines,
    "manifest.json": lambda path: Run(path.parent).manifest,
    "metrics.json": lambda path: Run(path.parent).cells,
    "errors.parquet": lambda path: Run(path.parent).errors(),
}


@pytest.mark.parametrize("name", PIPES)
def test_a_pipe_with_the_name_of_a_file_is_not_opened(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match=rf"{name}: is a pipe, a socket or a device"):
        PIPES[name](tmp_path / name)


@pytest.mark.parametrize("name", PIPES)
def test_nothing_and_folders_are_told_apart(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(EhpsError, match=rf"{name}: is a folder"):
        PIPES[name](tmp_path / name)


def test_the_limits_can_be_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EHPS_MEMORY_GB", raising=False)
    assert unfolding_limit(1) == 1 << 30
    assert unfolding_limit(1 << 30) == 100 << 30
    monkeypatch.setenv("EHPS_MEMORY_GB", "0.5")
    assert unfolding_limit(1) == unfolding_limit(1 << 30) == memory_limit() == 1 << 29
    for text in ("much", "0", "-1", "nan"):
        monkeypatch.setenv("EHPS_MEMORY_GB", text)
        with pytest.raises(UsageError, match="EHPS_MEMORY_GB"):
            memory_limit()


# -- stored hashes ----------------------------------------------------------------------------------------


def flipped(path: Path, name: str) -> None:
    """One bit changed in a column, or in what stands beside the columns."""
    with h5py.File(path, "r+") as file:
        if name in file.attrs:
            text = bytes(file.attrs[name])
            changed = text.replace(b'"toy"', b'"boy"').replace(b"keypoints2d_smplx", b"keypoints2d_smply")
            assert changed != text
            file.attrs[name] = changed.decode()
        else:
            values = file[name][...]
            raw = values.view(np.uint8).reshape(-1)
            raw[len(raw) // 2] ^= 1
            file[name][...] = values


@pytest.mark.parametrize("name", ["smplx/betas", "image_path/codes", "image_path/blob", "passport", "misc"])
def test_one_changed_bit_is_found_by_all_that_write_files_anew(tmp_path: Path, name: str) -> None:
    from click.testing import CliRunner

    from ehps.cli import main

    path = build(4).save(tmp_path / "a.h5")
    flipped(path, name)
    for words in (
        ["validate", path],
        ["verify", path],
        ["merge", path, "--out", tmp_path / "out.h5"],
        ["export", path, "--out", tmp_path / "out.npz"],
        ["sample", path, "--interval", "2", "--out", tmp_path / "out.h5"],
    ):
        result = CliRunner().invoke(main, ["humandata", *map(str, words)])
        assert result.exit_code == 1, (words, result.output)
        assert "written" in result.output or "was damaged" in result.output, (words, result.output)
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]
