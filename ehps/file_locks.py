"""Locks on open files, which the system gives free when their process ends, however that happens."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ehps.atomic import write_error
from ehps.errors import InUseError

VANISHED = 100
"""How often a folder may vanish before the file in it is opened, until it is taken for one that cannot be made."""


def lock(file: IO[Any], *, wait: bool = False, of_process: bool = False) -> bool:
    """Lock an open file until it is closed; False where another has it.

    True also where the system, or the file system, has no locks: nothing is kept apart there.

    Parameters
    ----------
    wait : for whoever has it, instead of returning False.
    of_process : the lock belongs to this process and not to those that it forks; threads of one process share it.
    """
    try:
        import fcntl
    except ImportError:
        return True
    how = fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB)
    try:
        (fcntl.lockf if of_process else fcntl.flock)(file, how)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a file system without locks
        return True
    return True


@contextmanager
def in_turn(path: Path) -> Iterator[None]:
    """Processes and threads that come here at once with one ``path`` go on one after another; it may be removed within,
    and its folder with it.

    Raises
    ------
    DataError : the file cannot be made.
    """
    vanished = 0
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a")
        except OSError as error:
            if isinstance(error, FileNotFoundError | FileExistsError) and vanished < VANISHED:
                vanished += 1  # who has the lock has removed the folder meanwhile
                continue
            raise write_error(error, path.parent) from error
        with file:
            lock(file, wait=True)
            if not _is_at(file, path):  # whoever had it has removed it: others lock a new one
                continue
            yield
            return


@contextmanager
def held(path: Path, doing: str, *, of_process: bool = False) -> Iterator[None]:
    """Hold the lock file ``path``, which says who holds it; whoever comes meanwhile is refused.

    Parameters
    ----------
    doing : what its holder does in the file's folder: ``is training in this folder``.
    of_process : see :func:`lock`.

    Raises
    ------
    InUseError : another has it.
    DataError : it cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise write_error(error, path) from error
    with file:
        if not lock(file, of_process=of_process):
            who = path.read_text(errors="replace").strip() or "another process"
            raise InUseError(f"{who} {doing}", path=path.parent, fix="wait for it to end")
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield


def _is_at(file: IO[Any], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False
