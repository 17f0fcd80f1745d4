"""A file is replaced whole or not at all; a full disk is a sentence; what killed runs leave is cleared away."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ehps import atomic
from ehps.analysis import figures, tables
from ehps.atomic import replacing, scratch
from ehps.benchmark.training import checkpoints
from ehps.errors import DataError
from tests.humandata.conftest import build

LIMIT = 4096


@pytest.fixture
def little_room() -> Iterator[None]:
    """No file can grow beyond a few kilobytes, as where a disk or a quota is full."""
    before, ignored = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, ignored)


def picture(path: Path) -> None:
    drawn, axes = figures.panels(1)
    axes[0].plot(np.random.default_rng(0).random(500))
    figures.save(drawn, path)


def weights(path: Path) -> None:
    import torch

    checkpoints.save(path, {"state": {"x": torch.ones(10_000)}})


WRITERS: dict[str, Callable[[Path], Any]] = {
    "a.h5": lambda path: build(300).save(path),
    "a.npz": lambda path: build(300).save(path),
    "a.pt": weights,
    "a.csv": lambda path: tables.write(pd.DataFrame({"x": np.arange(5000)}), path),
    "a.svg": picture,
    "a.pdf": picture,
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.usefixtures("little_room")
def test_a_full_disk_is_said_and_the_earlier_file_is_whole(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"earlier")
    with pytest.raises(DataError, match=f"{name}: the file would be larger"):
        WRITERS[name](tmp_path / name)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(name, b"earlier")]


def unfinished(path: Path, pid: int, machine: str = "", started: int = 1) -> Path:
    left = path.with_name(f".{path.name}.{machine or atomic.machine()}-{pid}-{started}-0123abcd.tmp")
    left.write_bytes(b"half")
    return left


def test_what_a_killed_process_was_writing_is_removed_by_the_next(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-S", "-c", ""])
    gone.wait()
    own = unfinished(tmp_path / "a.h5", os.getpid(), started=atomic.started_at(os.getpid()))
    elsewhere = unfinished(tmp_path / "a.h5", gone.pid, machine="ffffff")
    unfinished(tmp_path / "a.h5", gone.pid)
    unfinished(tmp_path / "a.h5", os.getpid(), started=1)  # of an earlier process with the same number
    with scratch(tmp_path / "a.npz") as folder:
        killed = folder.with_name(unfinished(tmp_path / "b.npz", gone.pid).name)
        killed.unlink(missing_ok=True)
    killed.mkdir()
    (killed / "joined.h5").write_bytes(b"half")
    atomic._remove_unfinished.cache_clear()
    with replacing(tmp_path / "a.h5") as temporary:
        temporary.write_bytes(b"whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["a.h5", own.name, elsewhere.name])


def test_a_scratch_folder_is_gone_afterwards(tmp_path: Path) -> None:
    with scratch(tmp_path / "a.npz") as folder:
        (folder / "x").write_bytes(b"x")
    assert list(tmp_path.iterdir()) == []
