"""Writing files so that a reader sees the old one or the whole new one, never half of it."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ehps.errors import DataError

_FAULTS = {
    errno.ENOSPC: ("the disk is full", "free some space or write to another disk"),
    errno.EDQUOT: ("the disk quota is used up", "free some space or write to another disk"),
    errno.EACCES: ("no permission to write here", "choose another folder or change its permissions"),
    errno.EPERM: ("no permission to write here", "choose another folder or change its permissions"),
    errno.EROFS: ("the file system is read-only", "choose another folder"),
    errno.ENOTDIR: ("a part of this path is a file, not a folder", "choose another folder"),
    errno.EISDIR: ("this is a folder", "give the name of a file"),
}


@contextmanager
def replacing(path: Path, nbytes: int = 0, *, lasting: bool = True) -> Iterator[Path]:
    """A temporary path beside ``path``, renamed to it when the block ends well and removed when it does not.

    The folder is made if need be.

    Parameters
    ----------
    path : the file.
    nbytes : what will be written, checked against the free space first.
    lasting : wait until the disk has the file; not worth it for many small files that can be made again.

    Raises
    ------
    DataError : no permission, disk full, a read-only file system: with path, fault and fix.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if nbytes and nbytes > (free := shutil.disk_usage(path.parent).free):
            raise DataError(
                f"needs {nbytes / 1e9:.1f} GB, only {free / 1e9:.1f} GB are free on this disk",
                path=path,
                fix="free some space or write to another disk",
            )
        yield temporary
        if lasting:
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise write_error(error, path) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_error(error: OSError, path: Path) -> DataError:
    """The same fault in words for the user."""
    what, fix = _FAULTS.get(error.errno or 0, (f"cannot be written ({error.strerror or error})", None))
    return DataError(what, path=path, fix=fix)
