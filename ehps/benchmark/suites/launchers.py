"""Processes that make the cells of a suite together: of this machine, one a device, or jobs of a Slurm cluster.

They share nothing but the folder of the runs: claims there keep them apart, and what one leaves behind when it dies
another goes on with. The process that starts them only waits, and replaces those that were killed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from ehps import cluster_jobs
from ehps.benchmark.suites.cells import Work
from ehps.benchmark.suites.runs import Run
from ehps.benchmark.suites.suite_file import read_suite
from ehps.claims import MOST_ATTEMPTS
from ehps.errors import DataError
from ehps.interrupts import Interrupted
from ehps.progress import counting

LOGS = "logs"
LOOK = 0.2  # seconds between looks at whether a process has ended
COUNT = 2.0  # seconds between counts of what is finished


def on_this_machine(work: Work, jobs: int, devices: Sequence[str], *, progress: bool) -> None:
    """Start processes, one a device in turn, and wait for them; what they print goes to ``logs/`` in the output folder.

    A process that was killed is started again. On the processor each has its share of the cores, unless the
    environment sets ``OMP_NUM_THREADS``.

    Raises
    ------
    Interrupted : a signal came; the processes were told to save and end, and have ended.
    DataError : processes ended with trainings left that they had not looked at.
    """
    folder = Path(work.out) / LOGS
    folder.mkdir(parents=True, exist_ok=True)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = {"OMP_NUM_THREADS": str(max(1, cores // jobs))}
    running: dict[int, subprocess.Popen[str]] = {}
    starts = dict.fromkeys(range(jobs), 0)

    def start(slot: int) -> None:
        device = {"CUDA_VISIBLE_DEVICES": devices[slot % len(devices)]} if devices else {}
        with (folder / f"worker_{slot}.log").open("a", encoding="utf-8") as log:
            running[slot] = _process(work, threads | dict(os.environ) | device, log)
        starts[slot] += 1

    def look() -> bool:
        for slot, process in list(running.items()):
            if process.poll() is None:
                continue
            del running[slot]
            killed = process.returncode < 0 or process.returncode > 128
            if killed and starts[slot] <= MOST_ATTEMPTS * len(work.suite["train"]):
                start(slot)
        return not running

    try:
        for slot in range(jobs):
            start(slot)
        _wait(work, look, LOOK, progress)
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()
    _require_all(work, folder)


def _process(work: Work, environment: Mapping[str, str], log: IO[str]) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "ehps.benchmark.suites.worker"]
    process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=log, stderr=log, env=dict(environment), text=True)
    assert process.stdin is not None
    with process.stdin as told:
        told.write(json.dumps(work.to_dict()) + "\n")
    return process


def on_slurm(
    work: Work,
    jobs: int,
    settings: Mapping[str, Any],
    *,
    progress: bool,
    requeue: bool = True,
    cluster: str | None = None,
) -> None:
    """Submit jobs of one GPU each, and wait for them; their logs are in ``slurm/`` in the output folder.

    Parameters
    ----------
    settings : as ``submitit.AutoExecutor.update_parameters`` takes them: ``slurm_partition``, ``timeout_min``, ...
    requeue : a job whose time is over, or whose node is taken, saves and goes back into the queue.
    cluster : submitit's name of it; ``local`` for processes of this machine.

    Raises
    ------
    UsageError : no Slurm here, or settings that do not exist.
    Interrupted : a signal came; the jobs go on.
    DataError : jobs ended with trainings left that they had not looked at.
    """
    folder = Path(work.out) / "slurm"
    workers = int(work.suite.get("workers", 0))
    each = {"gpus_per_node": 1, "cpus_per_task": workers + 1}
    executor = cluster_jobs.executor(folder, settings, cluster, requeue=requeue, **each)
    submitted = cluster_jobs.submitted(executor, [work] * jobs, requeue=requeue)
    try:
        _wait(work, lambda: all(job.done() for job in submitted), COUNT, progress)
    except Interrupted as error:
        what = f"the jobs go on; ehps benchmark status {work.out} shows how far they are"
        raise Interrupted(error.number, what) from None
    _require_all(work, folder)


def _wait(work: Work, ended: Callable[[], bool], every: float, progress: bool) -> None:
    total, shown, due = len(read_suite(work.suite).trainings), 0, 0.0
    with counting("trainings", total, show=progress) as advance:
        while True:
            over = ended()
            if over or time.monotonic() >= due:
                due = time.monotonic() + COUNT
                finished = total - len(_unseen(work))
                advance(max(0, finished - shown))
                shown = max(shown, finished)
            if over:
                return
            time.sleep(every)


def _unseen(work: Work) -> list[str]:
    """Trainings that no process of this launch has finished with."""
    suite, out = read_suite(work.suite), Path(work.out)
    return [str(one) for one in suite.trainings if Run(suite.folder(out, one)).manifest.get("launch") != work.launch]


def _require_all(work: Work, logs: Path) -> None:
    """
    Raises
    ------
    DataError : processes have ended with work left.
    """
    if left := _unseen(work):
        what = f"processes ended before {len(left)} of the trainings ({left[0]}); what they said is here"
        raise DataError(what, path=logs, fix="run the suite again")
