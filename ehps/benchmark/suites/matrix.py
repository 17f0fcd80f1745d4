"""Running a suite: train sets x test sets x models x seeds, in this process or in many, resumed where it stopped.

A run folder is ``<out>/<train set>/<model>``, and ``<out>/<train set>/<model>/seed_<N>`` for the seeds of a suite; each
recipe of a suite has a folder of its own for them, ``<out>/<recipe>``.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ehps.benchmark.suites import launchers
from ehps.benchmark.suites.cells import Work, make
from ehps.benchmark.suites.runs import MANIFEST, SUITE, write_json
from ehps.benchmark.suites.states import status
from ehps.benchmark.suites.suite import Suite
from ehps.benchmark.suites.suite_file import load_suite
from ehps.body.models import BodyModels
from ehps.errors import UsageError
from ehps.extras import need
from ehps.interrupts import caught

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LAUNCHERS", "Suite", "load_suite", "run_suite", "status"]

LAUNCHERS = ("local", "slurm")


def run_suite(
    suite: Suite,
    out: str | Path,
    *,
    body_models: BodyModels | None = None,
    progress: bool = True,
    part: Suite | None = None,
    launcher: str = "local",
    devices: Sequence[str] = (),
    jobs: int | None = None,
    slurm: Mapping[str, Any] | None = None,
    requeue: bool = True,
) -> pd.DataFrame:
    """Run what is missing and return :func:`status` of what was to be run.

    A cell that fails is stored with its reason and the others go on; running again tries it again. A signal ends the
    run (:class:`~ehps.interrupts.Interrupted`): its cell is unfinished, not failed, and the same call goes on. Several
    calls at once, on one machine or many that share ``out``, share the work: each training is made by one of them.
    Started by ``torchrun`` or ``accelerate launch``, every training uses all processes; the first one tests.

    Parameters
    ----------
    part : what of the suite is to be run, all by default.
    launcher : ``local``, processes of this machine, or ``slurm``, jobs of a cluster, through submitit.
    devices : one process each, as ``CUDA_VISIBLE_DEVICES`` names them (``0``, ``1``).
    jobs : processes at once; one a device by default, and this one alone where there are no devices.
    slurm : settings of the jobs, as ``submitit.AutoExecutor.update_parameters`` takes them.
    requeue : jobs of Slurm whose time is over, or whose node is taken, save and go back into the queue.
    """
    out, part = Path(out), part or suite
    need("running a suite", "accelerate", "pyarrow")
    if launcher not in LAUNCHERS:
        raise UsageError(f"there is no launcher {launcher!r}", fix=f"one of: {', '.join(LAUNCHERS)}")
    if (out / MANIFEST).exists():
        what = "is the run folder of one training, not of a suite"
        raise UsageError(what, path=out, fix="name another folder, below which run folders are made")
    if body_models is None:
        if suite.body_models is None:
            raise UsageError("no body models were given", fix="pass --body-models DIR or set EHPS_BODY_MODELS")
        body_models = BodyModels(suite.body_models)
    count = max(1, len(devices)) if jobs is None else jobs
    apart = launcher == "slurm" or count > 1 or bool(devices)
    if apart and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("torchrun gives every training all devices, and --jobs each its own", fix="use one of them")
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / SUITE, suite.to_dict())
    launch = secrets.token_hex(8)
    with caught():
        if not apart:
            make(part, out, body_models, launch, progress=progress)
        else:
            work = Work(part.to_dict(), str(out.resolve()), str(body_models.folder.resolve()), launch)
            trainings = len(part.trainings)
            if launcher == "slurm":
                launchers.on_slurm(work, min(count, trainings), slurm or {}, progress=progress, requeue=requeue)
            else:
                launchers.on_this_machine(work, min(count, trainings), devices, progress=progress)
    return status(out, part)
