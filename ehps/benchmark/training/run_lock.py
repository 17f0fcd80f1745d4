"""One process trains in a run folder at a time: another finds it locked, and a process that dies leaves it free."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ehps.atomic import write_error
from ehps.errors import DataError

LOCK = "train.lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder.

    Loader processes do not hold it: it belongs to this process and ends with it, also on network drives.

    Raises
    ------
    DataError : another process holds it.
    """
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("a+") as file:
            _take(file, path)
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
            yield
    except OSError as error:
        raise write_error(error, path) from error


def _take(file: object, path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        return
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # type: ignore[arg-type]
    except (BlockingIOError, PermissionError):
        who = path.read_text(errors="replace").strip() or "another process"
        raise DataError(f"{who} is training in this folder", path=path.parent, fix="wait for it to end") from None
    except OSError:  # a file system without locks
        return
