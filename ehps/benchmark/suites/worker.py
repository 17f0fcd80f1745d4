"""A process that makes cells: started by :mod:`ehps.benchmark.suites.launchers`, told what to do on its standard input.

It ends as by SIGTERM, with its training saved, when the process that started it is gone.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time

from ehps.benchmark.suites.cells import Work
from ehps.interrupts import Interrupted, caught
from ehps.progress import shown


def main() -> int:
    """Returns the exit code."""
    parent = os.getppid()
    work = Work(**json.loads(sys.stdin.readline()))
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    with shown(), caught():
        try:
            work()
        except Interrupted as error:
            return error.exit_code
    return 0


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
