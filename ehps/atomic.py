"""Writing files so that a reader sees the old one or the whole new one, never half of it."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from ehps.errors import DataError

_FAULTS = {
    errno.ENOSPC: ("the disk is full", "free some space or write to another disk"),
    errno.EDQUOT: ("the disk quota is used up", "free some space or write to another disk"),
    errno.EFBIG: ("the file would be larger than may be written here", "write to another disk"),
    errno.EACCES: ("no permission to write here", "choose another folder or change its permissions"),
    errno.EPERM: ("no permission to write here", "choose another folder or change its permissions"),
    errno.EROFS: ("the file system is read-only", "choose another folder"),
    errno.ENOTDIR: ("a part of this path is a file, not a folder", "choose another folder"),
    errno.EEXIST: ("a part of this path is a file, not a folder", "choose another folder"),
    errno.EISDIR: ("this is a folder", "give the name of a file"),
    errno.ENAMETOOLONG: ("the name is too long", "give a shorter one"),
}


@contextmanager
def replacing(path: Path, nbytes: int = 0, *, lasting: bool = True) -> Iterator[Path]:
    """A temporary path beside ``path``, renamed to it when the block ends well and removed when it does not.

    The folder is made if need be. What killed processes of this machine were writing into it is removed.

    Parameters
    ----------
    path : the file.
    nbytes : what will be written, checked against the free space first.
    lasting : wait until the disk has the file; not worth it for many small files that can be made again.

    Raises
    ------
    DataError : no permission, disk full, a read-only file system: with path, fault and fix.
    """
    path = Path(path)
    temporary = _temporary(path)
    try:
        _make_folder(path.parent)
        if nbytes and nbytes > (free := shutil.disk_usage(path.parent).free):
            raise DataError(
                f"needs {_size(nbytes)}, only {_size(free)} are free on this disk",
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


def _size(nbytes: int) -> str:
    return f"{nbytes / 1e9:.1f} GB" if nbytes >= 1e9 else f"{nbytes / 1e6:.3g} MB"


@contextmanager
def scratch(path: Path) -> Iterator[Path]:
    """A folder beside ``path`` for what is needed until it is written; removed when the block ends.

    Raises
    ------
    DataError : as :func:`replacing`.
    """
    folder = _temporary(path)
    try:
        _make_folder(path.parent)
        folder.mkdir()
        yield folder
    except OSError as error:
        raise write_error(error, path) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_text(path: Path, text: str) -> Path:
    """Write UTF-8 ``text`` through :func:`replacing`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def write_error(error: OSError, path: Path) -> DataError:
    """The same fault in words for the user."""
    what, fix = _FAULTS.get(error.errno or 0, (f"cannot be written ({error.strerror or error})", None))
    return DataError(what, path=path, fix=fix)


class NotingFile(io.RawIOBase):
    """A new file for libraries that do not survive a disk that is full: it notes the first fault and takes the rest.

    Whoever gave it to the library closes it with :meth:`finish`, which raises what was noted.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("w+b", buffering=0)
        self.fault: BaseException | None = None

    def write(self, data: Any) -> int:
        left = memoryview(data).cast("B")
        size = len(left)
        try:
            while self.fault is None and left:
                left = left[self._file.write(left) :]
        except BaseException as error:  # an interruption too: it is raised by finish
            self.fault = error
        return size

    def readinto(self, target: Any) -> int:
        """What was written; zeros where a fault has kept that from happening."""
        view = memoryview(target).cast("B")
        got = self._file.readinto(view) or 0
        view[got:] = bytes(len(view) - got)
        return len(view)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def truncate(self, size: int | None = None) -> int:
        try:
            return self._file.truncate(size)
        except OSError as error:
            self.fault = self.fault or error
            return size or 0

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def check(self) -> None:
        """Raise the fault that was noted, if any."""
        if self.fault is not None:
            raise self.fault

    def finish(self) -> None:
        """Close the file.

        Raises
        ------
        OSError : it could not be written whole.
        """
        self._file.close()
        self.check()


@contextmanager
def noting(path: Path) -> Iterator[NotingFile]:
    """A :class:`NotingFile` that is finished when the block ends; its fault goes before what the library says of it."""
    file = NotingFile(path)
    try:
        yield file
    except BaseException:
        file.finish()
        raise
    else:
        file.finish()


# -- what killed processes leave behind --------------------------------------------------------------------

_UNFINISHED = re.compile(r"\..+\.(?P<machine>[0-9a-f]{6})-(?P<pid>\d+)-(?P<started>\d+)-[0-9a-f]{8}\.tmp")


def _temporary(path: Path) -> Path:
    process = f"{machine()}-{os.getpid()}-{started_at(os.getpid())}"
    return path.with_name(f".{path.name}.{process}-{secrets.token_hex(4)}.tmp")


def _make_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _remove_unfinished(str(folder))


@lru_cache(maxsize=4096)
def _remove_unfinished(folder: str) -> None:
    """Looks once in each folder, which may hold millions of files."""
    for name in os.listdir(folder):
        found = _UNFINISHED.fullmatch(name)
        if found is None or found["machine"] != machine():
            continue
        if not lives(int(found["pid"]), int(found["started"])):
            left = Path(folder, name)
            with suppress(OSError):
                shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()


@lru_cache(maxsize=1)
def machine() -> str:
    """What tells machines, and containers on one machine, apart: where a number means the same process."""
    try:
        space = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        space = 0
    return hashlib.sha256(f"{socket.gethostname()} {space}".encode()).hexdigest()[:6]


def lives(pid: int, started: int) -> bool:
    if os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    if _status(pid)[:1] == ["Z"]:  # it has ended, and nobody has asked how
        return False
    return started_at(pid) in (0, started) or not started


def started_at(pid: int) -> int:
    """When a process started, in ticks since the machine did: tells it from a later one of its number; 0 if unknown."""
    try:
        return int(_status(pid)[19])
    except (ValueError, IndexError):
        return 0


def _status(pid: int) -> list[str]:
    """What the system says of a process, from its state on; empty where it says nothing."""
    try:
        with open(f"/proc/{pid}/stat", encoding="latin1") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []
