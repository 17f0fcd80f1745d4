"""Stands in for submitit, so that tests need neither it nor a cluster."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest

from ehps import cluster_jobs


class Executor:
    """As submitit's: its jobs run here, one after another."""

    made: ClassVar[list[Executor]] = []

    def __init__(self, folder: Path, cluster: str, **words: Any) -> None:
        self.folder, self.cluster, self.words = folder, cluster, words
        self.settings = dict[str, Any]()
        self.jobs: list[Any] = []
        self.asked: list[dict[str, Any]] = []
        Executor.made.append(self)

    def update_parameters(self, **settings: Any) -> None:
        if "slurm_partitoin" in settings:
            raise NameError("no parameter slurm_partitoin")
        self.settings = {**self.settings, **settings}

    def batch(self) -> Any:
        return nullcontext()

    def submit(self, job: Any) -> Any:
        self.jobs.append(job)
        self.asked.append(self.settings)
        outcome: Any = None
        try:
            outcome = job()
        except RuntimeError as error:  # in the place of a job that is killed
            outcome = error

        def result() -> Any:
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        number = f"77_{len(self.jobs) - 1}"
        paths = SimpleNamespace(stderr=self.folder / f"{number}.err")
        return SimpleNamespace(done=lambda: True, result=result, job_id=number, paths=paths)


@pytest.fixture
def submitit(monkeypatch: pytest.MonkeyPatch) -> None:
    module, helpers = ModuleType("submitit"), ModuleType("submitit.helpers")
    module.AutoExecutor = Executor  # type: ignore[attr-defined]
    helpers.DelayedSubmission = lambda job: ("again", job)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "submitit", module)
    monkeypatch.setitem(sys.modules, "submitit.helpers", helpers)
    monkeypatch.setattr(cluster_jobs.shutil, "which", lambda _: "/usr/bin/sbatch")
