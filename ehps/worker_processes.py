"""Worker processes of this machine, which end with the process that started them, however that one ends."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import lru_cache
from multiprocessing.context import BaseContext
from typing import Any

EVERY = 1.0  # seconds
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
DEATHS = ("TerminatedWorkerError", "BrokenProcessPool", "KilledWorker", "WorkerCrashedError", "OutOfMemoryError")
"""Names of what the libraries raise when a worker process is gone."""

Submit = Callable[..., "Future[Any]"]


@contextmanager
def worker_processes(count: int, idle: float = 300) -> Iterator[Submit]:
    """What has a function called in one of ``count`` processes, which stay for whoever asks next.

    Parameters
    ----------
    idle : seconds after which a process that has nothing to do ends.
    """
    from joblib.externals.loky import get_reusable_executor

    executor = get_reusable_executor(max_workers=count, timeout=idle, env=ONE_THREAD)
    try:
        yield executor.submit
    except BaseException:  # what still runs would go on without anybody to wait for it
        executor.shutdown(wait=True, kill_workers=True)
        raise


def sharing_context(*modules: str) -> BaseContext:
    """How processes start that share what was imported before them, for a ``DataLoader``.

    Forked where that is the default. Elsewhere on Linux (from Python 3.14 on, or where ``spawn`` was chosen) by a
    server without threads that has imported ``modules``, which each would import for itself; on other systems as these
    do.
    """
    context = multiprocessing.get_context(multiprocessing.get_start_method())
    if context.get_start_method() == "fork" or sys.platform != "linux":
        return context
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(list(modules))
    return server


@lru_cache(maxsize=1)
def end_with_parent() -> None:
    """In a worker process: end it soon after its parent is gone. A killed parent cannot tell it to.

    Does nothing in a main process, and nothing the second time.
    """
    if (parent := multiprocessing.parent_process()) is not None:
        threading.Thread(target=_watch, args=(parent.pid,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(EVERY)
    os._exit(1)
