"""What is checked of a file before it is read: that it is a regular file, and how much memory it may ask for; and what
a file is that could not be read.

A pipe or a device with a data file's name would block its reader for ever, and a few megabytes of zeros, compressed,
can unfold to more than a machine holds. Sizes stand in headers, so they are compared before anything is allocated.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from ehps.errors import DataError, UsageError

LIMIT = "EHPS_MEMORY_GB"
"""Environment variable: how many GiB the content of one file may take, instead of the two limits below."""

MOST = 64 << 30
UNFOLDED = 100  # times its size on disk: keypoints of mostly empty slots stay below 20
ALWAYS = 1 << 30

HEAD = 512  # bytes of a file that its format is told from

FORMATS = {
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"MATLAB 5.0 MAT-file": "a MATLAB file",
    b"MATLAB 7.3 MAT-file": "a MATLAB 7.3 file",
    b"\x93NUMPY": "an .npy file",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a rar archive",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"%PDF": "a PDF",
    b"PAR1": "a Parquet file",
    b"version https://git-lfs": "a pointer of Git LFS",
    b"<!doctype html": "a web page",
    b"<html": "a web page",
    b"<?xml": "an XML file",
}
"""First bytes, or first words in lower case, of files that are found under another one's name."""


def regular(path: str | Path) -> Path:
    """``path``, which is a file that can be read from its beginning to its end.

    Raises
    ------
    DataError : there is nothing, a folder, or a pipe, socket or device.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        raise DataError("there is no such file", path=path, fix="check the path") from None
    except ValueError:
        raise DataError("is no possible name of a file", path=path, fix="check the path") from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", path=path, fix="check the path") from None
    if stat.S_ISDIR(mode):
        raise DataError("is a folder, not a file", path=path, fix="check the path")
    if not stat.S_ISREG(mode):
        raise DataError("is a pipe, a socket or a device, not a file", path=path, fix="remove it, or name a file")
    return Path(path)


def format_of(path: str | Path) -> str:
    """What a file is by its first bytes, ``a zip archive``; empty where they do not tell."""
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
    except OSError:
        return ""
    if head[257:262] == b"ustar":
        return "a tar archive"
    words = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((name for start, name in FORMATS.items() if head.startswith(start) or words.startswith(start)), "")


def unreadable(
    path: str | Path, wanted: str, again: str, other: str, formats: Sequence[str] = (), where: str = ""
) -> DataError:
    """What is said of a file that is there and could not be read.

    Parameters
    ----------
    wanted : what it should be, ``a MATLAB file``.
    again : what to do about one that is damaged.
    other : what to do about one that is something else.
    formats : those of :func:`format_of` that ``wanted`` may be.
    where : what is wrong inside it, if that is known.
    """
    found = format_of(path)
    if not os.path.getsize(path):
        return DataError(f"has 0 bytes, so it is not {wanted}", path=path, fix=again)
    if found in formats:
        what = f"begins as {found}, and is cut short or damaged{f': {where}' if where else ''}"
        return DataError(what, path=path, fix=again)
    if found in ("a web page", "a pointer of Git LFS"):
        fix = "download the file itself: logged in, where its publisher asks for that, or with `git lfs pull`"
        return DataError(f"is {found}, not {wanted}", path=path, fix=fix)
    if found.endswith("archive"):
        return DataError(f"is {found}, not {wanted}", path=path, fix=f"unpack it if {wanted} is inside, or {other}")
    return DataError(f"is {found}, not {wanted}" if found else f"is not {wanted}", path=path, fix=other)


def memory_limit() -> int:
    """Bytes that the content of one file may take: what this machine's memory can hold, at most 64 GiB.

    Raises
    ------
    UsageError : the environment variable that replaces it is not a number above 0.
    """
    return _stated() or min(_memory(), MOST)


def unfolding_limit(stored: int) -> int:
    """Bytes that a compressed file of ``stored`` bytes may unfold to: 100 times as many, and 1 GiB in any case.

    Raises
    ------
    UsageError : as :func:`memory_limit`.
    """
    return _stated() or max(ALWAYS, UNFOLDED * stored)


def check_unfolded(nbytes: int, stored: int, path: str | Path) -> None:
    """
    Raises
    ------
    DataError : a file of ``stored`` bytes declares ``nbytes`` of content, more than it may.
    """
    if nbytes > (limit := unfolding_limit(stored)):
        raise too_large(nbytes, limit, path, f"in a file of {_size(stored)}")


def too_large(nbytes: int, limit: int, path: str | Path, where: str = "") -> DataError:
    """What is said of content that takes more than ``limit`` bytes."""
    return DataError(
        f"asks for {_size(nbytes)} of memory{f' {where}' if where else ''}, more than the {_size(limit)} allowed",
        path=path,
        fix=f"if the size is right, set {LIMIT} to a number of GiB that holds it",
    )


def _size(nbytes: int) -> str:
    unit, name = (2**30, "GiB") if nbytes >= 2**29 else (2**20, "MiB")
    return f"{nbytes / unit:.1f} {name}"


def _stated() -> int:
    text = os.environ.get(LIMIT, "")
    if not text:
        return 0
    try:
        stated = float(text)
    except ValueError:
        stated = math.nan
    if not (math.isfinite(stated) and stated > 0):
        raise UsageError(f"{LIMIT} is {text!r}, not a number of GiB above 0")
    return math.ceil(stated * 2**30)


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 1 << 34
