"""Names of the files in a folder, listed by one of many processes and handed to the others.

A folder of a hundred thousand images takes a network disk a second. Processes that convert units of one dataset
keep the names of large folders in a file, which is good for as long as the folder has the time of change that it had.
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
from contextlib import ExitStack, suppress
from functools import lru_cache
from pathlib import Path

from ehps.atomic import replacing
from ehps.errors import DataError
from ehps.file_locks import in_turn

LARGE = 1000  # names
SETTLED = 2.0  # seconds without a change: disks count time in steps, within which a second change is not seen


def names_in(folder: Path, shared: Path | None) -> frozenset[str]:
    """Names of the files in a folder.

    Parameters
    ----------
    shared : folder for what was listed; None to list in any case.

    Raises
    ------
    DataError : the folder cannot be listed.
    """
    changed = _changed(folder)
    if shared is None or not changed:
        return files_in(folder)
    key = hashlib.blake2b(os.fsencode(os.path.abspath(folder)), digest_size=12).hexdigest()
    stored = shared / f"{key}-{changed}"
    with suppress(OSError):
        return _stored(stored)
    with ExitStack() as stack:
        with suppress(DataError):  # a full disk: each lists for itself
            stack.enter_context(in_turn(shared / f"{key[:2]}.lock"))
        with suppress(OSError):
            return _stored(stored)
        names = files_in(folder)
        if len(names) >= LARGE and time.time() - changed / 1e9 > SETTLED and _changed(folder) == changed:
            with suppress(DataError), replacing(stored, lasting=False) as temporary:
                temporary.write_bytes(b"\0".join(map(os.fsencode, names)))
        return names


@lru_cache(maxsize=4)
def _stored(path: Path) -> frozenset[str]:
    return frozenset(map(os.fsdecode, path.read_bytes().split(b"\0")))


def _changed(folder: Path) -> int:
    try:
        return os.stat(folder).st_mtime_ns
    except (OSError, ValueError):
        return 0


def files_in(folder: Path) -> frozenset[str]:
    """Names of regular files, and of links to such; no pipes or devices."""
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if _is_file(entry))
    except (FileNotFoundError, NotADirectoryError, ValueError):  # a NUL byte in the name
        return frozenset()
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            return frozenset()
        raise DataError(f"cannot be listed: {error.strerror}", path=folder) from None


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link to itself
        return False
