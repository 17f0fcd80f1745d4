"""Making the cells of a suite in this process: each training is claimed, made, tested on all test sets, and given free.

Any number of processes may do so at once, on one machine or many that share the disk. What another one has claimed is
waited for; what it left behind is gone on with.
"""

from __future__ import annotations

import os
import time
import traceback
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ehps import claims
from ehps.benchmark.suites.runs import Run, is_main
from ehps.benchmark.suites.suite import Suite, Training
from ehps.benchmark.suites.suite_file import read_suite
from ehps.body.models import BodyModels
from ehps.errors import EhpsError, InUseError
from ehps.progress import stage

POLL = 1.0  # seconds between looks at what others have claimed


@dataclass(frozen=True)
class Work:
    """What a process is to do, whole: it can be sent to another machine.

    Attributes
    ----------
    suite : as :meth:`Suite.to_dict` has it.
    out : folder of all run folders.
    body_models : folder.
    launch : tells this ``ehps benchmark run`` from others; what it has made or seen fail it does not look at again.
    """

    suite: dict[str, Any]
    out: str
    body_models: str
    launch: str

    def __call__(self) -> None:
        """Do it."""
        make(read_suite(self.suite), Path(self.out), BodyModels(Path(self.body_models)), self.launch, progress=True)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def make(suite: Suite, out: Path, body_models: BodyModels, launch: str, *, progress: bool) -> None:
    """Make all cells that are not there, and wait for those that others make.

    In a group of processes (``torchrun``) the first one claims, and all make the same training together.
    """
    left = list(enumerate(suite.trainings))
    count = len(left)
    while left:
        elsewhere = []
        for number, training in left:
            folder, source = suite.folder(out, training), suite.start(training)
            start = None if source is None else Run(suite.folder(out, source))
            with ExitStack() as stack:
                claim = stack.enter_context(claims.taken(folder, launch)) if is_main() else None
                mine, seen = _agreed(_decision(folder, claim, launch, start))
                if mine:
                    try:
                        _make(suite, out, training, start, body_models, progress, (number, count))
                    except InUseError:  # without a claim, as `ehps benchmark train`, or by one that has lost its claim
                        mine = False
                if mine and is_main():
                    Run(folder).note(launch=launch, failures={"tests": None})
                elif not mine and not seen:
                    elsewhere.append((number, training))
        if len(elsewhere) == len(left):
            with stage(f"waiting for {len(left)} trainings that other processes make", show=progress):
                time.sleep(POLL)
        left = elsewhere
    _agreed((False, False))  # the first one is testing: a group ends when one of its processes does


def _decision(folder: Path, claim: claims.Claim | None, launch: str, start: Run | None) -> tuple[bool, bool]:
    """Whether a claimed cell is to be made, and else whether it is over with in this launch.

    Parameters
    ----------
    start : the training whose weights it starts from, which must be over with in this launch first.
    """
    if claim is None:
        return False, False
    run = Run(folder)
    if run.manifest.get("launch") == launch:
        return False, True
    if start is not None and start.manifest.get("launch") != launch:
        return False, False
    if start is not None and not start.weights:
        run.failed("training", f"there are no weights to start from: the training in {start.folder} failed")
        run.note(launch=launch)
        return False, True
    if claim.attempt > claims.MOST_ATTEMPTS:
        died = f"{claims.MOST_ATTEMPTS} processes died in it without a word; it may need more memory than there is"
        run.failed("training" if run.unfinished or not run.checkpoint.is_file() else "tests", died)
        run.note(launch=launch)
        return False, True
    return True, False


def _agreed(decision: tuple[bool, bool]) -> tuple[bool, bool]:
    """The decision of the first process of the group."""
    if not _in_group():
        return decision
    import torch
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    from ehps.benchmark.training.processes import PATIENCE

    PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)
    listed = [decision]
    broadcast_object_list(listed)
    return listed[0]


def _in_group() -> bool:
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def _make(
    suite: Suite,
    out: Path,
    training: Training,
    start: Run | None,
    body_models: BodyModels,
    progress: bool,
    place: tuple[int, int],
) -> None:
    """Train one model and test it on all test sets; what fails is recorded.

    Parameters
    ----------
    start : the finished training whose weights it starts from.
    place : number of the training, from 0, and of how many.

    Raises
    ------
    InUseError : another process trains in the folder.
    """
    from ehps.benchmark.suites.evaluation import evaluate, train_cell

    folder, config, name = suite.folder(out, training), suite.settings(training), training.train_set
    run, model = Run(folder), suite.labels()[training]
    of = f"{model} on {name}" + f", seed {training.seed}" * bool(suite.seeds)
    of += f", {training.recipe}" * bool(training.recipe)
    progress = progress and is_main()
    try:
        with stage(f"training {place[0] + 1} of {place[1]}: {of}", show=progress):
            run = train_cell(folder, name, suite.train[name], config, body_models, start=start, progress=progress)
    except InUseError:
        raise
    except Exception as error:
        _record(run, "training", error)
        if _in_group() and not isinstance(error, EhpsError):
            raise  # of this process alone, perhaps: the others would wait for it
        return
    if not is_main():
        return
    cells = place[1] * len(suite.test)
    for cell, (test_set, spec) in enumerate(suite.test.items(), place[0] * len(suite.test) + 1):
        try:
            with stage(f"cell {cell} of {cells}: {model} of {name} on {test_set}", show=progress):
                evaluate(folder, test_set, spec, body_models, workers=config.workers, progress=progress)
        except Exception as error:
            _record(run, f"test_{test_set}", error)
    run.arrange(list(suite.test))


def _record(run: Run, what: str, error: Exception) -> None:
    """Store a failure; a programming error keeps its traceback, a message for the user does not need one."""
    known = isinstance(error, EhpsError)
    reason = str(error) if known else f"{type(error).__name__}: {error}"
    run.failed(what, reason, "" if known else traceback.format_exc())
