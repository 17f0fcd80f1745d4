"""Images in zip archives: members are found by the archive's directory and read one by one; nothing is unpacked.

An archive stands for the folder of its name: ``a/b.zip`` is in the place of ``a/b``, and holds what is below that
folder, with or without ``b`` itself as the top folder of its members. A path goes on within an archive as within a
folder: ``a/b.zip/c.jpg``.
"""

from __future__ import annotations

import io
import os
import zlib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, BinaryIO

from ehps.errors import DataError
from ehps.humandata.image_headers import FIRST, Header, most_bytes, read_header
from ehps.humandata.zip_directory import (
    AGAIN,
    JOIN,
    STORED,
    Member,
    bytes_at,
    directory_of,
    entries,
    opened_member,
)

ZIP = ".zip"
PARTS = (".zip.001", ".z01")  # the first of an archive that was split
PIECE = 1 << 16


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
    unpacked = os.path.isdir(path.with_suffix(""))
    try:
        if os.path.isfile(path):
            directory_of(path)
            return True
    except DataError:
        if not unpacked:
            _refuse_parts(path)
            raise
        return False
    if not unpacked:
        _refuse_parts(path)
    return False


def _refuse_parts(path: Path) -> None:
    for part in map(path.with_suffix, PARTS):
        if os.path.isfile(part):
            raise DataError("is a part of a split archive, which cannot be read", path=part, fix=JOIN)


def holds(path: Path, name: str) -> bool:
    """Whether an archive has a file.

    Parameters
    ----------
    name : of the file below the folder that the archive stands for.

    Raises
    ------
    DataError : the archive is damaged or split.
    """
    return len(directory_of(path).places(name)) > 0


def names_in(path: Path, folder: str) -> frozenset[str]:
    """Names of the files in a folder of an archive.

    Parameters
    ----------
    folder : below the one that the archive stands for, with ``/`` at its end; empty for that one.

    Raises
    ------
    DataError : the archive is damaged or split.
    """
    directory, found = directory_of(path), set[str]()
    with open(path, "rb") as file:
        for known in (folder, f"{path.stem}/{folder}"):
            for begin, end in directory.folders.get(known.rstrip("/"), ()):
                run = bytes_at(file, directory.start + begin, end - begin, path)
                found.update(name[len(known) :] for _, name in entries(run, path))
    return frozenset(found)


def folders_in(path: Path) -> frozenset[str]:
    """Paths of all folders in which an archive has files, at any depth, relative to the folder that it stands for; the
    empty path is that one.

    Raises
    ------
    DataError : the archive is damaged or split.
    """
    found = {""}
    for folder in directory_of(path).folders:
        parts = folder.split("/")
        parts = parts[parts[0] == path.stem :]
        found.update("/".join(parts[:count]) for count in range(1, len(parts) + 1))
    return frozenset(found)


def folders_matching(path: Path, pattern: str) -> list[str]:
    """Those of :func:`folders_in` that are of a pattern such as ``*/rgb``, sorted.

    Raises
    ------
    DataError : the archive is damaged or split.
    """
    wanted = pattern.split("/") if pattern else []
    split = ((folder, folder.split("/") if folder else []) for folder in folders_in(path))
    return sorted(
        folder for folder, parts in split if len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))
    )


def endings_in(path: Path) -> frozenset[str]:
    """Endings of the names of an archive's files, in small letters, with their dots; hidden files aside.

    Raises
    ------
    DataError : the archive is damaged or split.
    """
    return directory_of(path).endings


def files_in(path: Path) -> list[str]:
    """Names of all files in an archive, below the folder that it stands for.

    Raises
    ------
    DataError : the archive is damaged or split.
    """
    directory = directory_of(path)
    with open(path, "rb") as file:
        listed = entries(bytes_at(file, directory.start, directory.length, path), path)
        names = dict.fromkeys(name for _, name in listed if not name.endswith("/"))
    below = ((name, name.removeprefix(f"{path.stem}/")) for name in names)
    return list(dict.fromkeys(name if short in names else short for name, short in below))


def header(path: Path, name: str) -> Header | None:
    """What an image in an archive says of itself; None where the archive has no such file.

    Of a deflated file only the beginning is inflated: that it is whole is then said by the archive, not by the end of
    the image.

    Raises
    ------
    DataError : as :func:`read`.
    """
    with opened_member(path, name) as found:
        if found is None:
            return None
        file, member = found
        source = io.BufferedReader(MemberFile(file, member, path / name), FIRST)
        return read_header(source, member.size if member.method == STORED else None)


def read(path: Path, name: str) -> bytes | None:
    """The bytes of a file in an archive, None where the archive has no such file.

    Parameters
    ----------
    name : below the folder that the archive stands for.

    Raises
    ------
    DataError : the file is larger than an image can be, encrypted, damaged, a link, or packed in a way that is not
        read; or the archive is damaged or split.
    """
    with opened_member(path, name) as found:
        if found is None:
            return None
        file, member = found
        if member.size > most_bytes():
            raise DataError(f"has {member.size / 1e9:.1f} GB, more than an image can have", path=path / name)
        data = MemberFile(file, member, path / name).read(member.size)
    if len(data) != member.size or zlib.crc32(data) != member.crc:
        raise DataError("is damaged: its checksum is another", path=path / name, fix=AGAIN)
    return data


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
            data = bytes_at(self.archive, self.member.start + self.at, end - self.at, self.path)
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
                packed = bytes_at(self.archive, self.member.start + self._taken, count, self.path)
                self._taken += count
            try:
                made = self._inflater.decompress(packed, end - len(self._inflated))
            except zlib.error:
                raise DataError("is damaged: it cannot be inflated", path=self.path, fix=AGAIN) from None
            if not made and not packed:
                return
            self._inflated += made
