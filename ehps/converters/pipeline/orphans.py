"""Worker processes that end with the process that started them, however that one ends."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from functools import lru_cache

EVERY = 1.0  # seconds


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
