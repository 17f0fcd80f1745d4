"""One process trains in a run folder at a time: another finds it locked, and a process that dies leaves it free."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ehps.atomic import write_error
from ehps.errors import DataError
from ehps.file_locks import lock

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
            if not lock(file, of_process=True):
                who = path.read_text(errors="replace").strip() or "another process"
                raise DataError(f"{who} is training in this folder", path=folder, fix="wait for it to end")
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
            yield
    except OSError as error:
        raise write_error(error, path) from error
