"""One process trains in a run folder at a time: another finds it locked, and a process that dies leaves it free."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from ehps.file_locks import held

LOCK = "train.lock"


def locked(folder: Path) -> AbstractContextManager[None]:
    """Hold the lock of a run folder.

    Loader processes do not hold it: it belongs to this process and ends with it, also on network drives.

    Raises
    ------
    DataError : another process holds it.
    """
    return held(folder / LOCK, "is training in this folder", of_process=True)
