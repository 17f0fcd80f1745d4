"""One process trains in a run folder at a time: another finds it locked, and a process that dies leaves it free."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ehps.file_locks import held

LOCK = "train.lock"
_own: set[tuple[int, Path]] = set()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder; within the block this process may ask for it again.

    Loader processes do not hold it: it belongs to this process and ends with it, also on network drives.

    Raises
    ------
    InUseError : another process holds it.
    """
    mine = (os.getpid(), folder.resolve())
    if mine in _own:  # a second opened file would give the lock free when it is closed
        yield
        return
    with held(folder / LOCK, "is training in this folder", of_process=True):
        _own.add(mine)
        try:
            yield
        finally:
            _own.remove(mine)
