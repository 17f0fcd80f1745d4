"""numpy's ``.npy`` and ``.npz`` files of other people: sizes and names checked before anything is inflated.

Members that hold Python objects go through :mod:`ehps.humandata.pickles.unpickler`. Header parsing is numpy's own
public functions (literals only).
"""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from ehps.arrays import Array
from ehps.errors import DataError, EhpsError, UnsafeFileError
from ehps.foreign_files import check_unfolded, memory_limit, regular, too_large
from ehps.humandata.pickles import allowed, unpickler
from ehps.humandata.pickles.allowed import DAMAGED, Allow, check_text

MAX_HEADER = 10_000
CHUNK = 1 << 22
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


class Npz(Mapping[str, Array]):
    """Members of an ``.npz`` by name, each read when asked for (and again each time it is asked for).

    Raises
    ------
    DataError : not a zip file, truncated, or a member with an impossible name or size.
    UnsafeFileError : a member that is a pickle of anything but plain data.
    """

    def __init__(self, path: str | Path, *, allow: Sequence[Allow] = (), max_bytes: int | None = None) -> None:
        self.path, self.allow = Path(path), tuple(allow)
        self.max_bytes = max_bytes or memory_limit()
        try:
            self._zip = zipfile.ZipFile(regular(self.path))
        except OSError as error:
            raise DataError(f"cannot be opened: {error.strerror}", path=path) from None
        except _DAMAGE:
            raise DataError("is not an npz file, or only part of one", path=path, fix=DAMAGED) from None
        self._members: dict[str, zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            name = info.filename
            if not name.endswith(".npy") or name.startswith("/") or "\\" in name or ".." in name.split("/"):
                self._zip.close()
                raise UnsafeFileError(f"has a member called {name!r}, no array", path=path, fix=allowed.GET_IT)
            self._members[name.removesuffix(".npy")] = info
        try:
            check_unfolded(self.nbytes, self.path.stat().st_size, self.path)
        except EhpsError:
            self._zip.close()
            raise

    @property
    def nbytes(self) -> int:
        """Bytes of all members, as the archive states them."""
        return sum(info.file_size for info in self._members.values())

    def __enter__(self) -> Npz:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, name: str) -> Array:
        info = self._members[name]
        with self._opened(name) as (file, where):
            if info.file_size > self.max_bytes:
                raise too_large(info.file_size, self.max_bytes, where)
            return read_npy(file, where, size=info.file_size, allow=self.allow)

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a member, by its header alone. Raises as reading it does."""
        with self._opened(name) as (file, _):
            return _header(_Counted(file))[0]

    def rows(self, name: str, first: int, last: int) -> Array:
        """Rows ``first`` to ``last`` (not included) of a member; what is before them is inflated, but not kept.

        Members of objects, or with columns first, are read whole; those without rows are what they are. Raises as
        reading it does.
        """
        with self._opened(name) as (file, where):
            counted = _Counted(file)
            shape, fortran, dtype = _header(counted)
            width = math.prod(shape[1:]) * dtype.itemsize
            if not shape:
                return self[name]
            whole = dtype.hasobject or fortran or any(n < 0 for n in shape)
            if whole or self._members[name].file_size != counted.count + shape[0] * width:
                return self[name][first:last]
            first, last = min(first, shape[0]), min(last, shape[0])
            file.seek(counted.count + first * width)
            out = np.empty((last - first) * math.prod(shape[1:]), dtype)
            if out.nbytes:
                fill(file, memoryview(out.view(np.uint8)), where)
            check_text(out)
            return out.reshape(last - first, *shape[1:])

    @contextmanager
    def _opened(self, name: str) -> Iterator[tuple[IO[bytes], str]]:
        """A member to read from, and what it is called in messages."""
        where = f"{self.path}[{name}]"
        try:
            with self._zip.open(self._members[name]) as file:
                yield file, where
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror or error}", path=where) from None
        except MemoryError:
            raise too_large(self._members[name].file_size, self.max_bytes, where) from None
        except _DAMAGE as error:
            raise DataError(f"is damaged ({error})", path=where, fix=DAMAGED) from None


def read_npy(file: IO[bytes], where: str, *, size: int | None = None, allow: Sequence[Allow] = ()) -> Array:
    """One array in numpy's format from an open file.

    Parameters
    ----------
    size : bytes in the file, header included; compared with what the header says before memory is taken.
    """
    counted = _Counted(file)
    shape, fortran, dtype = _header(counted)
    if dtype.kind == "O":
        return _object_array(file, where, shape, allow)
    if dtype.hasobject:
        raise UnsafeFileError("holds records with objects", path=where, fix=allowed.GET_IT)
    count = math.prod(shape)
    if any(n < 0 for n in shape) or (size is not None and size != counted.count + count * dtype.itemsize):
        raise DataError(f"has not the size that its header {shape} {dtype} says", path=where, fix=DAMAGED)
    out = np.empty(count, dtype)
    if out.nbytes:
        fill(file, memoryview(out.view(np.uint8)) if dtype.itemsize else memoryview(b""), where)
    file.read(1)  # reaching the end makes the zip module compare the checksum
    check_text(out)
    return out.reshape(shape, order="F" if fortran else "C")


def _header(file: _Counted) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type of numpy's format."""
    try:
        version = np.lib.format.read_magic(file)  # type: ignore[arg-type]
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return read(file, max_header_size=MAX_HEADER)  # type: ignore[arg-type]
    except (OSError, *_DAMAGE):
        raise
    except Exception:  # numpy's parser lets errors of the tokenizer through
        raise ValueError("its header cannot be read") from None


def fill(file: IO[bytes], target: memoryview, where: str) -> None:
    """Read as many bytes as ``target`` has room for.

    Raises
    ------
    DataError : the file ends before.
    """
    done = 0
    while done < len(target):
        data = file.read(min(CHUNK, len(target) - done))
        if not data:
            raise DataError(f"ends after {done} of {len(target)} bytes", path=where, fix=DAMAGED)
        target[done : done + len(data)] = data
        done += len(data)


def _object_array(file: IO[bytes], where: str, shape: tuple[int, ...], allow: Sequence[Allow]) -> Array:
    value = unpickler.load(file, where, allow=allow)  # type: ignore[arg-type]
    if not (isinstance(value, np.ndarray) and value.dtype == object and value.size == math.prod(shape)):
        raise DataError("does not hold the array that its header promises", path=where, fix=DAMAGED)
    return value.reshape(shape)


class _Counted:
    """Counts the bytes that numpy's header functions take."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.count = file, 0

    def read(self, n: int) -> bytes:
        data = self.file.read(n)
        self.count += len(data)
        return data


def load_npz(
    path: str | Path,
    names: str | Sequence[str] | None = None,
    *,
    allow: Sequence[Allow] = (),
    rows: tuple[int, int] | None = None,
) -> dict[str, Array]:
    """Arrays of an ``.npz`` file by name.

    Parameters
    ----------
    names : which to read: one text of names with blanks between, or a sequence; all by default.
    allow : further kinds of data in pickled members, see :func:`ehps.humandata.pickles.load_pickle`.
    rows : the first, and the one after the last, of each; all by default.

    Raises
    ------
    DataError : no such file, truncated, not an npz, or a name that is not there (lists what is).
    UnsafeFileError : a member asks for anything but plain data.
    """
    with Npz(path, allow=allow) as members:
        wanted = list(members) if names is None else names.split() if isinstance(names, str) else list(names)
        missing = [name for name in wanted if name not in members]
        if missing:
            raise DataError(f"has no {', '.join(missing)}; there are: {', '.join(members)}", path=path)
        return {name: members[name] if rows is None else members.rows(name, *rows) for name in wanted}


def load_npy(path: str | Path, *, allow: Sequence[Allow] = ()) -> Array:
    """The array of an ``.npy`` file. Raises like :func:`load_npz`."""
    try:
        with regular(path).open("rb") as file:
            return read_npy(file, str(path), size=os.fstat(file.fileno()).st_size, allow=allow)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", path=path) from None
    except _DAMAGE as error:
        raise DataError(f"is not an npy file, or only part of one ({error})", path=path, fix=DAMAGED) from None
