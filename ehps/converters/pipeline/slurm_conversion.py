"""Conversions by jobs of a Slurm cluster: jobs that share the units, and a last one that joins the parts of each.

Each job begins with units of its own and then takes what is left of the others'. Any of them may die: its unit is
converted by another one, or by the job that joins, which the cluster starts when all others are over.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ehps import cluster_jobs
from ehps.converters.pipeline.conversion import convert
from ehps.converters.pipeline.conversions import Result, converted
from ehps.errors import EhpsError, UsageError
from ehps.interrupts import Interrupted
from ehps.progress import counting, shown
from ehps.terminal import line

LOOK = 2.0  # seconds between looks at the jobs
CORES = 2  # processes of a job, at least: one that dies for want of memory takes no job with it


@dataclass(frozen=True)
class Group:
    """One of the jobs that convert units.

    Attributes
    ----------
    conversions : arguments of :func:`ehps.converters.pipeline.convert`.
    number, count : this job, and of how many.
    """

    conversions: Sequence[Mapping[str, Any]]
    number: int
    count: int

    def __call__(self) -> None:
        """Convert. What cannot be converted is said here, and again by the job that joins."""
        first = self.number * len(self.conversions) // self.count
        with shown():
            for conversion in (*self.conversions[first:], *self.conversions[:first]):
                try:
                    convert(**conversion, group=(self.number, self.count))
                except EhpsError as error:
                    line(f"{conversion['dataset']} {conversion['split']}: {error}", err=True)


@dataclass(frozen=True)
class Last:
    """The job that joins the parts of one conversion."""

    conversion: Mapping[str, Any]

    def __call__(self) -> Result:
        """Join, after whatever is still to be converted."""
        with shown():
            return converted(**self.conversion)


def convert_on_slurm(
    conversions: Sequence[Mapping[str, Any]],
    folder: Path,
    jobs: int,
    settings: Mapping[str, Any],
    *,
    requeue: bool = True,
    progress: bool = True,
    cluster: str | None = None,
) -> list[Result]:
    """Submit the jobs, wait for them, and say what became of each conversion.

    Parameters
    ----------
    conversions : arguments of :func:`ehps.converters.pipeline.convert`; paths are seen by all nodes.
    folder : of the jobs' logs.
    jobs : that convert units, each with ``cpus_per_task`` processes.
    settings : of the jobs, as ``submitit.AutoExecutor.update_parameters`` takes them.
    requeue : a job whose time is over, or whose node is taken, goes back into the queue.
    cluster : submitit's name of it; Slurm when None, ``local`` for processes of this machine.

    Raises
    ------
    UsageError : no submitit, no Slurm here, or settings that do not exist.
    Interrupted : a signal came; the jobs go on.
    """
    if jobs < 1:
        raise UsageError(f"--jobs {jobs}: give the number of jobs of the cluster")
    if not conversions:
        return []
    cores = max(CORES, int(settings.get("cpus_per_task", CORES)))
    usual = {"cpus_per_task": cores, "name": "ehps-convert"}
    executor = cluster_jobs.executor(folder, settings, cluster, requeue=requeue, **usual)
    launch = secrets.token_hex(8)
    told = [{**conversion, "jobs": cores, "launch": launch} for conversion in conversions]
    first = cluster_jobs.submitted(executor, [Group(told, k, jobs) for k in range(jobs)], requeue=requeue)
    try:
        if cluster is None:  # the cluster starts it, whatever becomes of this process
            after = f"afterany:{first[0].job_id.partition('_')[0]}"
            same = dict(settings.get("slurm_additional_parameters", {"requeue": requeue}))
            executor.update_parameters(slurm_additional_parameters={**same, "dependency": after})
        else:
            _wait(first, "jobs that convert", progress)
        last = cluster_jobs.submitted(executor, [Last(conversion) for conversion in told], requeue=requeue)
        _wait([*first, *last], "jobs", progress)
    except Interrupted as error:
        raise Interrupted(
            error.number, "the jobs go on; the same command, when they are over, says how it went"
        ) from None
    return [_result(job, conversion) for job, conversion in zip(last, told, strict=True)]


def _wait(jobs: Sequence[Any], what: str, progress: bool) -> None:
    ended = 0
    with counting(what, len(jobs), show=progress) as advance:
        while True:
            now = sum(job.done() for job in jobs)
            advance(now - ended)
            ended = now
            if ended == len(jobs):
                return
            time.sleep(LOOK)


def _result(job: Any, conversion: Mapping[str, Any]) -> Result:
    try:
        result: Result = job.result()
        return result
    except Exception as error:  # what submitit raises for a job that has died
        why = " ".join(str(error).split())[:300]
        note = f"the job that joins has died: {why}; its log is {job.paths.stderr}"
        return Result(conversion["dataset"], conversion["split"], Path(conversion["out"]).name, "failed", note=note)
