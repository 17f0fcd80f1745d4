"""The directory of a zip archive: which files it holds, and where the bytes of one are.

Of an archive 16 bytes a file and the names of its folders are kept in memory, and no open file, so that threads and
forked processes share nothing.
Members are stored or deflated; other methods, encryption and archives of several parts are refused by name.
Source: PKWARE's APPNOTE.TXT, sections 4.3 to 4.5.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ehps.arrays import Array
from ehps.errors import DataError

KEPT = 512  # directories of archives: a training over a large dataset wants all of its archives in turn
STORED, DEFLATED = 0, 8
ENCRYPTED, UTF8 = 0x1, 0x800  # flags
LINK, KIND = 0o120000, 0o170000  # of the mode that Unix writes for a member
ENTRY, LOCAL, END, END64, LOCATOR64 = 46, 30, 22, 56, 20  # bytes of the parts of an archive
COMMENT = 0xFFFF  # bytes that may follow the record at the end
ZIP64 = 1  # extra field with the numbers that take more than 32 bits
ELSEWHERE = 0xFFFFFFFF  # a number that is in the 64-bit record
AGAIN = "copy or download the archive again"
JOIN = "join its parts to one archive (`zip -s 0 FIRST.zip --out WHOLE.zip`, or `cat` where they end in numbers)"


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    Attributes
    ----------
    start : byte of the archive at which its own bytes begin.
    packed : bytes that it takes there.
    size : bytes that it has.
    crc : their CRC-32.
    method : how it is packed.
    """

    start: int
    packed: int
    size: int
    crc: int
    method: int


@dataclass(frozen=True, eq=False)
class Directory:
    """What is kept of an archive.

    Attributes
    ----------
    path : of the archive.
    offset : byte of the file at which the archive begins; others than 0 where something was put in front of it.
    start : byte at which the directory begins.
    length : its bytes.
    hashes : (M,) int64 of the members' names, sorted.
    entries : (M,) int64 bytes of the directory at which they are.
    folders : path of a folder that holds files, as the archive has it -> from where to where in the directory its files
        are, for each run of them; the empty path is for files in none.
    endings : of the files' names, in small letters, with their dots; hidden files have none.
    """

    path: Path
    offset: int
    start: int
    length: int
    hashes: Array
    entries: Array
    folders: Mapping[str, list[tuple[int, int]]]
    endings: frozenset[str]

    def places(self, name: str) -> Array:
        """Where entries of this name are, with that of the top folder before it or without."""
        for known in (name, f"{self.path.stem}/{name}"):
            wanted = hash(known)
            first = last = int(self.hashes.searchsorted(wanted))
            while last < len(self.hashes) and self.hashes[last] == wanted:
                last += 1
            if first < last:
                return self.entries[first:last]
        return self.entries[:0]


def directory_of(path: Path) -> Directory:
    """The directory of an archive, read once as long as the archive is the same.

    Raises
    ------
    DataError : it is no archive, damaged, a part of one, or holds a name that leads out of it.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", path=path, fix=AGAIN) from None
    found = _read_directory(path, (status.st_mtime_ns, status.st_size, status.st_ino))
    if isinstance(found, DataError):
        raise DataError(found.what, path=found.path, fix=found.fix)
    return found


@lru_cache(maxsize=KEPT)
def _read_directory(path: Path, stamp: tuple[int, int, int]) -> Directory | DataError:
    """The directory of an archive, or what is wrong with it."""
    try:
        with open(path, "rb") as file:
            offset, start, length, count = _end(file, stamp[1], path)
            listed, folders, endings = _listed(bytes_at(file, start, length, path), path)
    except OSError as error:
        return DataError(f"cannot be read ({error.strerror})", path=path, fix=AGAIN)
    except DataError as error:
        return error
    if (len(listed) - count) % 0x10000:  # old programs count 65,536 files as 0
        return DataError("is damaged: its directory has not as many files as its end says", path=path, fix=AGAIN)
    hashes, places = np.array(listed, np.int64).reshape(-1, 2).T
    order = np.argsort(hashes, kind="stable")
    return Directory(path, offset, start, length, hashes[order], places[order], folders, frozenset(endings))


def _listed(directory: bytes, path: Path) -> tuple[list[tuple[int, int]], dict[str, list[tuple[int, int]]], set[str]]:
    """Hashes of the names in a directory and where they are, the runs of the files of each folder, and endings."""
    listed: list[tuple[int, int]] = []
    folders: dict[str, list[tuple[int, int]]] = {}
    endings: set[str] = set()
    last, begin = None, 0
    for place, name in entries(directory, path):
        listed.append((hash(name), place))
        folder, _, file = name.rpartition("/")
        if folder != last or not file:
            if last is not None:
                folders.setdefault(last, []).append((begin, place))
            last, begin = folder if file else None, place
        if file[:1] not in ("", "."):
            endings.add(os.path.splitext(file)[1].lower())
    if last is not None:
        folders.setdefault(last, []).append((begin, len(directory)))
    return listed, folders, endings


def _end(file: BinaryIO, size: int, path: Path) -> tuple[int, int, int, int]:
    """Where the archive and its directory begin in the file, the directory's length, and its number of entries."""
    tail = bytes_at(file, max(0, size - END - COMMENT), min(size, END + COMMENT), path)
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) < at + END:
        raise DataError("is no whole zip archive: it does not end in a directory", path=path, fix=AGAIN)
    disk, _, _, count, length, start = struct.unpack_from("<HHHHII", tail, at + 4)
    end = size - len(tail) + at
    if disk not in (0, 0xFFFF):
        raise DataError("is the last part of a split archive, which cannot be read", path=path, fix=JOIN)
    if ELSEWHERE in (length, start) or count == 0xFFFF:
        locator = bytes_at(file, end - LOCATOR64, LOCATOR64, path) if end >= LOCATOR64 else b""
        if locator[:4] == b"PK\6\7":
            _, where, disks = struct.unpack_from("<IQI", locator, 4)
            if disks > 1:
                raise DataError("is the last part of a split archive, which cannot be read", path=path, fix=JOIN)
            for at in (where, end - LOCATOR64 - END64):  # the second where something was put in front of the archive
                record = bytes_at(file, at, END64, path) if 0 <= at <= size - END64 else b""
                if record[:4] == b"PK\6\6":
                    end, (count, length, start) = at, struct.unpack_from("<QQQ", record, 32)
                    break
    offset = end - length - start
    if offset < 0:
        raise DataError("is damaged: its directory is not where its end says", path=path, fix=AGAIN)
    return offset, end - length, length, count


def entries(directory: bytes, path: Path) -> Iterator[tuple[int, str]]:
    """Where each entry begins in a directory's bytes, and its name, which ends in ``/`` where it is of a folder."""
    place = 0
    while place < len(directory):
        if directory[place : place + 4] != b"PK\1\2" or place + ENTRY > len(directory):
            raise DataError("is damaged: its directory breaks off", path=path, fix=AGAIN)
        (flags,) = struct.unpack_from("<H", directory, place + 8)
        name_length, extra, comment = struct.unpack_from("<HHH", directory, place + 28)
        name = _name(directory[place + ENTRY : place + ENTRY + name_length], flags)
        if name.startswith("/") or name[1:2] == ":" or (".." in name and ".." in name.split("/")):
            raise DataError(f"holds {name!r}, which leads out of it", path=path, fix="take another archive")
        yield place, name
        place += ENTRY + name_length + extra + comment


def _name(encoded: bytes, flags: int) -> str:
    try:
        name = encoded.decode("utf-8")
    except UnicodeDecodeError:
        name = encoded.decode("utf-8" if flags & UTF8 else "cp437", "replace")
    return name.replace("\\", "/").removeprefix("./")


@contextmanager
def opened_member(path: Path, name: str) -> Iterator[tuple[BinaryIO, Member] | None]:
    """The open archive and where a file is in it, None where it is not; of several of one name it is the last, as when
    they are unpacked.

    Raises
    ------
    DataError : the archive is damaged or split, or the file is encrypted, cut short, a link or packed in a way that is
        not read.
    """
    directory = directory_of(path)
    places = directory.places(name)
    if not len(places):
        yield None
        return
    try:
        with open(path, "rb") as file:
            yield file, _located(file, directory, int(places[-1]), path / name)
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", path=path / name, fix=AGAIN) from None


def _located(file: BinaryIO, directory: Directory, place: int, path: Path) -> Member:
    """A member by its entry in the directory, after all that can be refused without its bytes."""
    entry = bytes_at(file, directory.start + place, ENTRY, path)
    flags, method = struct.unpack_from("<HH", entry, 8)
    crc, packed, size, name_length, extra_length = struct.unpack_from("<IIIHH", entry, 16)
    attributes, start = struct.unpack_from("<II", entry, 38)
    if ELSEWHERE in (packed, size, start):
        extra = bytes_at(file, directory.start + place + ENTRY + name_length, extra_length, path)
        size, packed, start = _numbers64(extra, (size, packed, start), path)
    if flags & ENCRYPTED:
        raise DataError("is encrypted", path=path, fix="unpack the archive with its password")
    if method not in (STORED, DEFLATED):
        raise DataError(
            f"is packed by method {method}; only stored and deflated files are read", path=path, fix="unpack it"
        )
    if attributes >> 16 & KIND == LINK:
        raise DataError("is a link in the archive, not an image", path=path, fix="unpack the archive")
    start += directory.offset
    header = bytes_at(file, start, LOCAL, path)
    if header[:4] != b"PK\3\4":
        raise DataError("is damaged: it is not where the archive's directory says", path=path, fix=AGAIN)
    start += LOCAL + sum(struct.unpack_from("<HH", header, 26))
    if start + packed > directory.start or (method == STORED and packed != size):
        raise DataError("is cut short", path=path, fix=AGAIN)
    return Member(start, packed, size, crc, method)


def _numbers64(extra: bytes, numbers: tuple[int, int, int], path: Path) -> list[int]:
    """Size, packed size and start, those that need 64 bits from the extra field."""
    place = 0
    while place + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, place)
        if kind == ZIP64:
            large = iter(struct.unpack_from(f"<{min(length, len(extra) - place - 4) // 8}Q", extra, place + 4))
            found = [next(large, -1) if number == ELSEWHERE else number for number in numbers]
            if min(found) >= 0:
                return found
        place += 4 + length
    raise DataError("is damaged: its size is not told", path=path, fix=AGAIN)


def bytes_at(file: BinaryIO, start: int, count: int, path: Path) -> bytes:
    """So many bytes of a file.

    Raises
    ------
    DataError : it ends before.
    """
    file.seek(start)
    data = file.read(count)
    if len(data) < count:
        raise DataError("is cut short", path=path, fix=AGAIN)
    return data
