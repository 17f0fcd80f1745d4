"""Jobs of a Slurm cluster, through submitit: work that is saved and put back into the queue when its time is over."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ehps.errors import UsageError
from ehps.extras import need
from ehps.interrupts import Interrupted, caught

SAVING = 120  # seconds between the signal of the cluster and the end of the time, to save in
NO_END = 1000  # times that a job may go back: each has done something
USUAL = {"name": "ehps", "timeout_min": 24 * 60, "slurm_signal_delay_s": SAVING}


@dataclass(frozen=True)
class Job:
    """A piece of work, which ends in order when the cluster asks it to and, if wanted, goes back into the queue.

    Attributes
    ----------
    work : can be pickled; begun again it goes on where it was, and :class:`Interrupted` comes out of it when it has
        been asked to end and everything is saved.
    """

    work: Callable[[], Any]

    def __call__(self) -> Any:
        """Do the work.

        submitit puts a job back from within its handler of the signal, which is called here when the work has ended.
        """
        try:
            with caught():
                return self.work()
        except Interrupted as error:
            if error.number in (signal.SIGUSR1, signal.SIGUSR2) and callable(signal.getsignal(error.number)):
                signal.raise_signal(error.number)
            raise


@dataclass(frozen=True)
class Requeued(Job):
    """A job that goes back into the queue when its time is over or its node is taken."""

    def checkpoint(self) -> Any:
        """What submitit is to submit in the place of this job."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def executor(
    folder: Path, settings: Mapping[str, Any], cluster: str | None = None, *, requeue: bool = True, **usual: Any
) -> Any:
    """What submits jobs.

    Parameters
    ----------
    folder : of their logs.
    settings : as ``submitit.AutoExecutor.update_parameters`` takes them: ``slurm_partition``, ``timeout_min``, ...
    cluster : submitit's name of it; Slurm when None, ``local`` for processes of this machine.
    requeue : Slurm itself may put a job back too, whose node is taken or fails.
    usual : the same settings, where ``settings`` does not have them.

    Raises
    ------
    UsageError : submitit is not installed, there is no Slurm here, or settings that do not exist.
    """
    need("the launcher slurm", "submitit")
    import submitit

    if cluster is None and shutil.which("sbatch") is None:
        raise UsageError("there is no sbatch on this machine", fix="run this where jobs are submitted")
    made = submitit.AutoExecutor(folder=folder, cluster=cluster or "slurm", slurm_max_num_timeout=NO_END)
    again = {"slurm_additional_parameters": {"requeue" if requeue else "no-requeue": True}}
    try:
        made.update_parameters(**{**USUAL, **again, **usual, **settings})
    except (NameError, TypeError, ValueError, AssertionError) as error:
        raise UsageError(f"submitit takes no such settings: {error}") from None
    return made


def submitted(executor: Any, works: Sequence[Callable[[], Any]], *, requeue: bool) -> list[Any]:
    """Submit a job for each piece of work, all at once."""
    kind = Requeued if requeue else Job
    with executor.batch():
        return [executor.submit(kind(work)) for work in works]
