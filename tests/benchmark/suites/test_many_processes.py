"""Many processes make one suite: what dies is gone on with, and the table is that of one process."""

from __future__ import annotations

import importlib
import io
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from ehps import claims, cluster_jobs
from ehps.benchmark.suites import cells, launchers, matrix, worker
from ehps.benchmark.suites.matrix import Suite, run_suite, status
from ehps.benchmark.suites.runs import Run
from ehps.benchmark.training import trainer
from ehps.benchmark.training.specs import SetSpec, TrainConfig
from ehps.body.models import BodyModels
from ehps.cli import main
from ehps.errors import DataError, InUseError, UsageError
from tests.cluster import Executor
from tests.drawn_people import Style, people, write_set

CONFIG = TrainConfig(
    model_args={"width": 32, "depth": 1, "heads": 2}, steps=6, batch_size=4, workers=0, log_every=1, checkpoint_every=1
)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory, models: BodyModels) -> Suite:
    folder = tmp_path_factory.mktemp("sets")
    specs = {}
    for seed, name in enumerate(("one", "two", "test")):
        path = write_set(folder, people(4, np.random.default_rng(seed), Style()), models, seed=seed, name=name)
        specs[name] = SetSpec(path, folder, protocol="egobody-ego" if name == "test" else "")
    train = {name: (specs[name],) for name in ("one", "two")}
    return Suite(train, {"ego": specs["test"]}, CONFIG)


@pytest.fixture(scope="module")
def alone(suite: Suite, models: BodyModels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The suite as one process has made it."""
    out = tmp_path_factory.mktemp("alone")
    run_suite(suite, out, body_models=models, progress=False)
    return out


def same(alone: Path, out: Path) -> bool:
    """Whether the numbers are the same bytes, and no claim is left."""
    names = sorted(path.relative_to(alone) for path in alone.rglob("metrics.json"))
    assert names == sorted(path.relative_to(out) for path in out.rglob("metrics.json"))
    assert list(out.rglob("claim-*")) == []
    return all((alone / name).read_bytes() == (out / name).read_bytes() for name in names)


class Forked:
    """In the place of :class:`subprocess.Popen`: a copy of this process, which need not import anything."""

    def __init__(self, work: cells.Work, dying: Callable[[pytest.MonkeyPatch], None] | None) -> None:
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            try:
                if dying is not None:
                    dying(pytest.MonkeyPatch())
                work()
            except BaseException:
                os._exit(1)
            os._exit(0)

    def poll(self) -> int | None:
        pid, state = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            self.returncode = os.waitstatus_to_exitcode(state)
        return self.returncode


def killed_at(place: str, call: int) -> Callable[[pytest.MonkeyPatch], None]:
    """Makes a process kill itself at some call of a function, from 1."""

    def dying(patch: pytest.MonkeyPatch) -> None:
        left, real = [call], attribute(place)

        def called(*arguments: Any, **named: Any) -> Any:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)

        patch.setattr(place, called)

    return dying


def attribute(place: str) -> Any:
    module, _, name = place.rpartition(".")
    return getattr(importlib.import_module(module), name)


SUITES = "ehps.benchmark.suites"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_workers_that_are_killed_are_replaced_and_nothing_is_lost(
    suite: Suite, alone: Path, models: BodyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a step, while a test is predicted, and when it is scored but its numbers are not stored."""
    deaths = [
        killed_at("ehps.benchmark.training.trainer.learning_rate", 4),
        killed_at(f"{SUITES}.evaluation.predict", 1),
        killed_at(f"{SUITES}.evaluation.printed", 1),
        killed_at("ehps.benchmark.training.trainer.learning_rate", 9),
    ]
    started: list[Mapping[str, str]] = []

    def process(work: cells.Work, environment: Mapping[str, str], _: object) -> Forked:
        started.append(environment)
        return Forked(work, deaths.pop(0) if deaths else None)

    monkeypatch.setattr(launchers, "_process", process)
    monkeypatch.setattr(launchers, "LOOK", 0.01)
    table = run_suite(suite, tmp_path, body_models=models, progress=False, jobs=2, devices=["4", "5"])
    assert deaths == []
    assert {one["CUDA_VISIBLE_DEVICES"] for one in started} == {"4", "5"}
    pd.testing.assert_frame_equal(table, status(alone))
    assert same(alone, tmp_path)


def test_a_worker_is_told_its_work_on_standard_input(
    suite: Suite, alone: Path, models: BodyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = shutil.copytree(alone, tmp_path / "out")
    work = cells.Work(suite.to_dict(), str(out), str(models.folder), "launch")
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(work.to_dict()) + "\n"))
    monkeypatch.setattr(worker, "_follow", lambda _: None)
    assert worker.main() == 0
    assert {Run(out / name / "tiny").manifest["launch"] for name in suite.train} == {"launch"}
    assert same(alone, out)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_two_runs_at_once_share_the_work(
    suite: Suite, alone: Path, models: BodyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second finds the first at its first training, makes the other one, and waits."""
    out, noted, first, second = tmp_path / "out", tmp_path / "made", os.getpid(), list[int]()
    real = cells._make

    def make(*arguments: Any) -> None:
        with noted.open("a") as file:
            file.write(f"{'first' if os.getpid() == first else 'second'} {arguments[2].train_set}\n")
        if os.getpid() == first and not second:
            second.append(os.fork())
            if second[0] == 0:
                run_and_exit()
            while "second" not in noted.read_text():
                time.sleep(0.01)
        real(*arguments)

    def run_and_exit() -> None:
        try:
            run_suite(suite, out, body_models=models, progress=False)
        finally:
            os._exit(0)

    monkeypatch.setattr(cells, "_make", make)
    monkeypatch.setattr(cells, "POLL", 0.01)
    run_suite(suite, out, body_models=models, progress=False)
    os.waitpid(second[0], 0)
    assert noted.read_text().splitlines()[:2] == ["first one", "second two"]
    assert same(alone, out)


def left_behind(folder: Path, launch: str, attempt: int) -> None:
    """What a process that was killed leaves."""
    facts = {"host": "node7", "pid": 2**22 + 1, "since": "", "device": "3", "launch": launch, "attempt": attempt}
    facts |= {"machine": claims.machine(), "started": 1}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "claim-1.json").write_text(json.dumps(facts))


def test_a_training_of_which_processes_die_again_and_again_is_named(
    suite: Suite, models: BodyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrix.secrets, "token_hex", lambda _: "launch")
    left_behind(tmp_path / "one/tiny", "launch", claims.MOST_ATTEMPTS)
    table = run_suite(suite.only(["one"]), tmp_path, body_models=models, progress=False)
    assert table["state"].tolist() == ["failed"]
    assert table["reason"][0].startswith("3 processes died in it without a word")


def test_a_folder_that_somebody_else_trains_in_is_waited_for(
    suite: Suite, models: BodyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [InUseError("process 7 is training in this folder"), DataError("there is no image")]

    def train(*_: Any, **__: Any) -> None:
        raise answers.pop(0)

    monkeypatch.setattr(cells, "POLL", 0)
    monkeypatch.setattr("ehps.benchmark.suites.evaluation.train_cell", train)
    table = run_suite(suite.only(["one"]), tmp_path, body_models=models, progress=False)
    assert (answers, table["reason"].tolist()) == ([], ["there is no image"])


def test_status_shows_what_runs_and_what_is_stale(
    suite: Suite, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(suite.folder(tmp_path, suite.trainings[0]))
    run.note(training={"train_set": "one", "config": {}, "data": []})
    (run.folder / "train.jsonl").write_text('{"step": 2, "images_per_second": 0.1}\n')
    (tmp_path / "suite.json").write_text((alone / "suite.json").read_text())
    left_behind(run.folder, "launch", 1)
    stale = status(tmp_path).iloc[0]
    assert (stale["state"], stale["reason"]) == ("stale", f"process {2**22 + 1} on node7 is gone")
    monkeypatch.setattr(claims, "lives", lambda *_: True)
    running = status(tmp_path).iloc[0]
    assert (running["state"], running["host"]) == ("running", "node7, device 3")
    assert (running["images_per_second"], running["left"]) == (0.1, "3 min")  # 4 steps of 4 images
    shown = CliRunner().invoke(main, ["benchmark", "status", str(tmp_path)]).output
    assert "node7, device 3" in shown
    assert "node7" not in CliRunner().invoke(main, ["benchmark", "status", str(alone)]).output


# -- Slurm ----------------------------------------------------------------------------------------------------------


def test_jobs_of_slurm_make_the_same_table(
    submitit: None, suite: Suite, alone: Path, models: BodyModels, tmp_path: Path
) -> None:
    words = {"slurm_partition": "gpu", "timeout_min": 60}
    table = run_suite(suite, tmp_path, body_models=models, progress=False, launcher="slurm", jobs=8, slurm=words)
    pd.testing.assert_frame_equal(table, status(alone))
    assert same(alone, tmp_path)
    executor = Executor.made[-1]
    assert (executor.cluster, executor.folder) == ("slurm", tmp_path / "slurm")
    usual = {"name": "ehps", "gpus_per_node": 1, "cpus_per_task": 1, "slurm_signal_delay_s": 120}
    assert executor.settings == {**usual, "slurm_additional_parameters": {"requeue": True}, **words}
    assert executor.words["slurm_max_num_timeout"] > 100
    assert len(executor.jobs) == 2  # no more than trainings
    job = executor.jobs[0]
    assert job.checkpoint() == ("again", job)
    run_suite(suite, tmp_path, body_models=models, progress=False, launcher="slurm", requeue=False)
    assert Executor.made[-1].settings["slurm_additional_parameters"] == {"no-requeue": True}
    assert not hasattr(Executor.made[-1].jobs[0], "checkpoint")
    with pytest.raises(UsageError, match="submitit takes no such settings: no parameter slurm_partitoin"):
        run_suite(suite, tmp_path, body_models=models, launcher="slurm", slurm={"slurm_partitoin": "gpu"})


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_a_job_that_is_asked_to_end_saves_before_it_goes_back(
    suite: Suite, alone: Path, models: BodyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The signal comes in a step; submitit's handler finds what was saved after it, and the next job goes on."""
    found: list[int] = []

    def of_submitit(*_: Any) -> None:
        found.append(len(list(tmp_path.rglob("last.pt"))))
        found.append(len(list(tmp_path.rglob("claim-*"))))
        raise SystemExit(-1)

    real, calls = trainer.learning_rate, list[int]()

    def rate(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), number)
        return real(*arguments)

    monkeypatch.setattr(trainer, "learning_rate", rate)
    rarely = replace(suite, config=replace(CONFIG, checkpoint_every=100))
    work = cells.Work(rarely.to_dict(), str(tmp_path), str(models.folder), "x")
    before = signal.signal(number, of_submitit)
    try:
        with pytest.raises(SystemExit):
            cluster_jobs.Requeued(work)()
    finally:
        signal.signal(number, before)
    assert found == [1, 0]
    cluster_jobs.Requeued(work)()
    assert same(alone, tmp_path)


def test_jobs_that_end_without_a_word_are_an_error(
    submitit: None, suite: Suite, models: BodyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells.Work, "__call__", lambda _: None)
    with pytest.raises(DataError, match="processes ended before 2 of the trainings"):
        run_suite(suite, tmp_path, body_models=models, progress=False, launcher="slurm")


def test_slurm_needs_submitit_and_sbatch(
    suite: Suite, models: BodyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UsageError, match=r"submitit, which is not installed.*ehps\[slurm\]"):
        run_suite(suite, tmp_path, body_models=models, launcher="slurm")
    monkeypatch.setitem(sys.modules, "submitit", ModuleType("submitit"))
    monkeypatch.setattr(cluster_jobs.shutil, "which", lambda _: None)
    with pytest.raises(UsageError, match="no sbatch on this machine"):
        run_suite(suite, tmp_path, body_models=models, launcher="slurm")
    with pytest.raises(UsageError, match="no launcher 'pbs'"):
        run_suite(suite, tmp_path, body_models=models, launcher="pbs")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="torchrun"):
        run_suite(suite, tmp_path, body_models=models, jobs=2)
