"""What all tests share: the licence-free stand-in body models, made once and kept in ``.cache/``."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest
from filelock import FileLock

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch starts threads that its forks would wait for

from ehps.body import models as body_models_module
from ehps.body.model_file import BodyModel
from ehps.body.model_folder import ENVIRONMENT
from ehps.body.models import BodyModels
from tests.cluster import submitit as submitit

ROOT = Path(__file__).parent.parent
CACHE = ROOT / ".cache"
IMPORT = re.compile(r"^ *from (ehps[\w.]*) import", re.MULTILINE)
KEPT = 2  # builds of the stand-in from different versions of its code; each takes 0.6 GB
LARGE = 1 << 30  # bytes of memory of a process from which on it is worth the time to give some back
HEAVY = ("ehps.body.standin", "ehps.body.variants", "ehps.body.common_form")  # modules that remember whole body models


def with_imports(package: Path) -> list[Path]:
    """Source files of a package, and those of ehps that they import."""
    found = set(package.rglob("*.py"))
    pending = list(found)
    while pending:
        for module in IMPORT.findall(pending.pop().read_text(encoding="utf-8")):
            path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
            if path.is_file() and path not in found:
                found.add(path)
                pending.append(path)
    return sorted(found)


@pytest.fixture(scope="session")
def body_models() -> Path:
    """Folder of stand-in SMPL-X, SMPL-H and SMPL of all genders with the helper files. Read-only for tests."""
    from ehps.body.standin import write_standin

    code = hashlib.sha256()
    for source in with_imports(ROOT / "ehps" / "body" / "standin"):
        code.update(source.read_bytes())
    folder = CACHE / f"standin-{code.hexdigest()[:16]}"
    CACHE.mkdir(exist_ok=True)
    with FileLock(CACHE / "standin.lock"):
        if not folder.is_dir():
            for unfinished in CACHE.glob("building-*"):  # of builds that failed: the lock is ours
                shutil.rmtree(unfinished, ignore_errors=True)
            building = CACHE / f"building-{os.getpid()}"
            write_standin(building, locked_head=True)
            building.rename(folder)
            builds = sorted(CACHE.glob("standin-*"), key=lambda path: path.stat().st_mtime)
            for old in builds[:-KEPT]:
                shutil.rmtree(old, ignore_errors=True)
    return folder


@pytest.fixture(scope="module")
def models(body_models: Path) -> BodyModels:
    """Joints and meshes of the stand-in; its models are read once in a module."""
    return BodyModels(body_models)


@pytest.fixture(scope="module", autouse=True)
def models_are_read_once_in_a_module() -> Iterator[None]:
    """Whoever asks for them, while their files do not change."""
    read = body_models_module.read_model

    @lru_cache(maxsize=6)  # of two types and three genders
    def remembered(path: Path, changed: tuple[int, int], model_type: str, gender: str | None) -> BodyModel:
        return read(path, model_type, gender=gender)

    def read_model(path: Path, model_type: str, *, gender: str | None = None) -> BodyModel:
        status = path.stat()
        return remembered(path, (status.st_size, status.st_mtime_ns), model_type, gender)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(body_models_module, "read_model", read_model)
        yield


@pytest.fixture(scope="session", autouse=True)
def nobody_waits_for_the_disk() -> Iterator[None]:
    """What tests write need not outlast a power cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(autouse=True)
def no_body_models_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests must not depend on what the machine's owner has installed."""
    monkeypatch.delenv(ENVIRONMENT, raising=False)


def resident() -> int:
    """Bytes of memory that this process has, on Linux."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module", autouse=True)
def memory_is_given_back(request: pytest.FixtureRequest) -> Iterator[None]:
    """Body models that the tests of one module remember are of no use to those of the next."""
    yield
    heavy = [module for name, module in list(sys.modules.items()) if name.startswith(HEAVY)]
    for module in (*heavy, request.module):
        for value in list(vars(module).values()):
            if hasattr(value, "cache_clear"):
                value.cache_clear()
    if sys.platform == "linux" and resident() > LARGE:
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
        if trim is not None:
            trim(0)
