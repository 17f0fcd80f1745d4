"""Images in zip archives: members are found by the archive's directory and read one by one; nothing is unpacked.

An archive stands for the folder of its name: ``a/b.zip`` is in the place of ``a/b``, and holds what is below that
folder, with or without ``b`` itself as the top folder of its members. A path goes on within an archive as within a
folder: ``a/b.zip/c.jpg``. Of an archive 16 bytes a member are kept in memory, and no open file, so that threads and
forked processes share nothing. Members are stored or deflated; other methods, encryption and archives of several parts
are refused by name.
Source: PKWARE's APPNOTE.TXT, sections 4.3 to 4.5.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ehps.arrays import Array
from ehps.errors import DataError

ZIP = ".zip"
PARTS = (".zip.001", ".z01")  # the first of an archive that was split
KEPT = 512  # directories of archives: a training over a large dataset wants all of its archives in turn
STORED, DEFLATED = 0, 8
ENCRYPTED, UTF8 = 0x1, 0x800  # flags
LINK, KIND = 0o120000, 0o170000  # of the mode that Unix writes for a member
ENTRY, LOCAL, END, END64, LOCATOR64 = 46, 30, 22, 56, 20  # bytes of the parts of an archive
COMMENT = 0xFFFF  # bytes that may follow the record at the end
ZIP64 = 1  # extra field with the numbers that take more than 32 bits
ELSEWHERE = 0xFFFFFFFF  # a number that is in the 64-bit record
PIECE = 1 << 16
AGAIN = "copy or download the archive again"
JOIN = "join its parts to one archive (`zip -s 0 FIRST.zip --out WHOLE.zip`, or `cat` where they end in numbers)"


def in_place_of(folder: str) -> list[tuple[str, str]]:
    """Archives that may stand for a folder or one that it is in, nearest first, each with the beginning that the names
    of the folder's files have in it.

    Examples
    --------
    >>> in_place_of("a/b")
    [('a/b.zip', ''), ('a.zip', 'b/')]
    """
    parts = [part for part in folder.split("/") if part]
    above = range(len(parts), 0, -1)
    return [("/".join(parts[:n]) + ZIP, "".join(f"{part}/" for part in parts[n:])) for n in above]


def is_there(path: Path) -> bool:
    """Whether there is an archive to be read; a damaged or split one is none where its folder is there, unpacked.

    Raises
    ------
    DataError : it is damaged or split.
    """
    try:
        if os.path.isfile(path):
            _directory(path)
            return True
        for ending in PARTS:
            if os.path.isfile(part := path.with_suffix(ending)):
                raise DataError("is a part of a split archive, which cannot be read", path=part, fix=JOIN)
    except DataError:
        if not os.path.isdir(path.with_suffix("")):
            raise
    return False


def holds(path: Path, name: str) -> bool:
    """Whether an archive has a file.

    Parameters
    ----------
    name : of the file below the folder that the archive stands for.

    Raises
    ------
    DataError : the archive is damaged or split.
    """
    return len(_directory(path).places(name)) > 0


def names_in(path: Path, folder: str) -> frozenset[str]:
    """Names of the files in a folder of an archive.

    Parameters
    ----------
    folder : below the one that the archive stands for, with ``/`` at its end; empty for that one.

    Raises
    ------
    DataError : the archive is damaged or split.
    """
    directory, found = _directory(path), set[str]()
    tops = (folder, f"{path.stem}/{folder}")
    with open(path, "rb") as file:
        for _, name in _entries(_bytes(file, directory.start, directory.length, path), path):
            for top in tops:
                if name.startswith(top) and "/" not in name[len(top) :]:
                    found.add(name[len(top) :])
    return frozenset(found - {""})


def state(path: Path, name: str) -> str:
    """What tells whether a file in an archive has changed: its size and checksum; empty where there is none."""
    with _member(path, name) as found:
        return "" if found is None else f"{found[1].size} {found[1].crc:08x}"


def read(path: Path, name: str, most: int) -> bytes | None:
    """The bytes of a file in an archive, None where the archive has no such file.

    Parameters
    ----------
    name : below the folder that the archive stands for.
    most : bytes that it may have.

    Raises
    ------
    DataError : it is larger, encrypted, damaged, a link, or packed in a way that is not read.
    """
    with _member(path, name) as found:
        if found is None:
            return None
        file, member = found
        if member.size > most:
            raise DataError(f"has {member.size / 1e9:.1f} GB, more than an image can have", path=path / name)
        data = MemberFile(file, member, path / name).read(member.size)
    if len(data) != member.size or zlib.crc32(data) != member.crc:
        raise DataError("is damaged: its checksum is another", path=path / name, fix=AGAIN)
    return data


@contextmanager
def opened(path: Path, name: str) -> Iterator[tuple[BinaryIO, int | None] | None]:
    """A file in an archive, to read the beginning of, and its size where its end can be read as cheaply (which the end
    of a deflated file cannot); None where the archive has no such file.

    Raises
    ------
    DataError : as :func:`read`.
    """
    with _member(path, name) as found:
        if found is None:
            yield None
        else:
            file, member = found
            yield MemberFile(file, member, path / name), member.size if member.method == STORED else None  # type: ignore[misc]


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


class MemberFile(io.RawIOBase):
    """The bytes of a file in an archive; a deflated one is inflated as far as it is read.

    Parameters
    ----------
    archive : open, and left open.
    path : for messages.
    """

    def __init__(self, archive: BinaryIO, member: Member, path: Path) -> None:
        self.archive, self.member, self.path, self.at = archive, member, path, 0
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._inflated = bytearray()
        self._taken = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.at = max(0, offset + (0, self.at, self.member.size)[whence])
        return self.at

    def readinto(self, buffer: Any) -> int:
        end = min(self.at + len(buffer), self.member.size)
        if end <= self.at:
            return 0
        if self.member.method == STORED:
            data = _bytes(self.archive, self.member.start + self.at, end - self.at, self.path)
        else:
            self._inflate(end)
            data = bytes(self._inflated[self.at : end])
        buffer[: len(data)] = data
        self.at += len(data)
        return len(data)

    def _inflate(self, end: int) -> None:
        """Inflate until so many bytes are there, or until there are no more."""
        while len(self._inflated) < end and not self._inflater.eof:
            packed = self._inflater.unconsumed_tail
            if not packed:
                count = min(PIECE, self.member.packed - self._taken)
                packed = _bytes(self.archive, self.member.start + self._taken, count, self.path)
                self._taken += count
            try:
                made = self._inflater.decompress(packed, end - len(self._inflated))
            except zlib.error:
                raise DataError("is damaged: it cannot be inflated", path=self.path, fix=AGAIN) from None
            if not made and not packed:
                return
            self._inflated += made


@dataclass(frozen=True, eq=False)
class _Directory:
    """What is known of an archive without its file.

    Attributes
    ----------
    path : of the archive.
    offset : byte of the file at which the archive begins; others than 0 where something was put in front of it.
    start : byte at which the directory begins.
    length : its bytes.
    hashes : (M,) int64 of the members' names, sorted.
    entries : (M,) int64 bytes of the directory at which they are.
    """

    path: Path
    offset: int
    start: int
    length: int
    hashes: Array
    entries: Array

    def places(self, name: str) -> Array:
        """Where entries of this name are, with that of the top folder before it or without."""
        for known in (name, f"{self.path.stem}/{name}"):
            first, last = (int(np.searchsorted(self.hashes, hash(known), side)) for side in ("left", "right"))
            if first < last:
                return self.entries[first:last]
        return self.entries[:0]


def _directory(path: Path) -> _Directory:
    try:
        status = os.stat(path)
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", path=path, fix=AGAIN) from None
    found = _read_directory(path, (status.st_mtime_ns, status.st_size, status.st_ino))
    if isinstance(found, DataError):
        raise DataError(found.what, path=found.path, fix=found.fix)
    return found


@lru_cache(maxsize=KEPT)
def _read_directory(path: Path, stamp: tuple[int, int, int]) -> _Directory | DataError:
    """The directory of an archive, or what is wrong with it, as long as the archive is the same."""
    try:
        with open(path, "rb") as file:
            offset, start, length, count = _end(file, stamp[1], path)
            hashes, entries = [], []
            for entry, name in _entries(_bytes(file, start, length, path), path):
                hashes.append(hash(name))
                entries.append(entry)
    except OSError as error:
        return DataError(f"cannot be read ({error.strerror})", path=path, fix=AGAIN)
    except DataError as error:
        return error
    if (len(hashes) - count) % 0x10000:  # old programs count 65,536 files as 0
        return DataError("is damaged: its directory has not as many files as its end says", path=path, fix=AGAIN)
    known = np.array(hashes, np.int64)
    order = np.argsort(known, kind="stable")
    return _Directory(path, offset, start, length, known[order], np.array(entries, np.int64)[order])


def _end(file: BinaryIO, size: int, path: Path) -> tuple[int, int, int, int]:
    """Where the archive and its directory begin in the file, the directory's length, and its number of entries."""
    tail = _bytes(file, max(0, size - END - COMMENT), min(size, END + COMMENT), path)
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) < at + END:
        raise DataError("is no whole zip archive: it does not end in a directory", path=path, fix=AGAIN)
    disk, _, _, count, length, start = struct.unpack_from("<HHHHII", tail, at + 4)
    end = size - len(tail) + at
    if disk not in (0, 0xFFFF):
        raise DataError("is the last part of a split archive, which cannot be read", path=path, fix=JOIN)
    if ELSEWHERE in (length, start) or count == 0xFFFF:
        locator = _bytes(file, end - LOCATOR64, LOCATOR64, path) if end >= LOCATOR64 else b""
        if locator[:4] == b"PK\6\7":
            _, where, disks = struct.unpack_from("<IQI", locator, 4)
            if disks > 1:
                raise DataError("is the last part of a split archive, which cannot be read", path=path, fix=JOIN)
            for at in (where, end - LOCATOR64 - END64):  # the second where something was put in front of the archive
                record = _bytes(file, at, END64, path) if 0 <= at <= size - END64 else b""
                if record[:4] == b"PK\6\6":
                    end, (count, length, start) = at, struct.unpack_from("<QQQ", record, 32)
                    break
    offset = end - length - start
    if offset < 0:
        raise DataError("is damaged: its directory is not where its end says", path=path, fix=AGAIN)
    return offset, end - length, length, count


def _entries(directory: bytes, path: Path) -> Iterator[tuple[int, str]]:
    """Where each entry begins in the directory, and its name, which ends in ``/`` where it is of a folder."""
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
def _member(path: Path, name: str) -> Iterator[tuple[BinaryIO, Member] | None]:
    """The open archive and where a file is in it; the last of several of one name, as it is when they are unpacked."""
    directory = _directory(path)
    places = directory.places(name)
    if not len(places):
        yield None
        return
    try:
        with open(path, "rb") as file:
            yield file, _located(file, directory, int(places[-1]), path / name)
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", path=path / name, fix=AGAIN) from None


def _located(file: BinaryIO, directory: _Directory, place: int, path: Path) -> Member:
    """A member by its entry in the directory, after all that can be refused without its bytes."""
    entry = _bytes(file, directory.start + place, ENTRY, path)
    flags, method = struct.unpack_from("<HH", entry, 8)
    crc, packed, size, name_length, extra_length = struct.unpack_from("<IIIHH", entry, 16)
    attributes, start = struct.unpack_from("<II", entry, 38)
    if ELSEWHERE in (packed, size, start):
        extra = _bytes(file, directory.start + place + ENTRY + name_length, extra_length, path)
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
    header = _bytes(file, start, LOCAL, path)
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


def _bytes(file: BinaryIO, start: int, count: int, path: Path) -> bytes:
    file.seek(start)
    data = file.read(count)
    if len(data) < count:
        raise DataError("is cut short", path=path, fix=AGAIN)
    return data
