"""joblib's dumps of other people, read without joblib and without running anything.

Such a dump is a pickle interrupted by raw bytes: where an array belongs it has a ``NumpyArrayWrapper`` (shape, order,
dtype), and right after the wrapper's last opcode come the array's bytes, since joblib 1.2 after padding to an
alignment, or a whole pickle where the array holds objects. The standard unpickler reads no byte too many from a file
that cannot be peeked into, so the bytes are next in the file when the wrapper gets its state.
Source: joblib's numpy_pickle, versions 0.10 to 1.6.
"""

from __future__ import annotations

import io
import math
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ehps.arrays import Array
from ehps.errors import DataError
from ehps.foreign_files import check_unfolded, regular
from ehps.humandata.memory_map import map_file
from ehps.humandata.pickles import unpickler
from ehps.humandata.pickles.allowed import DAMAGED, Allow, Recorded, Resolver, check_text
from ehps.humandata.pickles.npy_files import fill
from ehps.humandata.pickles.numpy_arrays import dtype

WRAPPERS = tuple(f"{package}.numpy_pickle.NumpyArrayWrapper" for package in ("joblib", "sklearn.externals.joblib"))
MEMMAPS = ("numpy.memmap", "numpy.core.memmap.memmap", "numpy._core.memmap.memmap")
CHUNK = 1 << 22
OTHER_FORMATS = {
    b"BZh": "bz2",
    b"\xfd7zXZ": "xz",
    b"\x5d\x00\x00": "lzma",
    b"\x04\x22\x4d\x18": "lz4",
    b"ZF": "joblib before 0.10",
    b"PK\x03\x04": "torch.save or zip",
}


def load_joblib(path: str | Path, *, allow: Sequence[Allow] = ()) -> Any:
    """Plain data from a file of ``joblib.dump`` (or from a plain pickle).

    Arrays of numbers and texts in a file that is not compressed are read-only views of the mapped file and take no
    memory; those of a zlib or gzip compressed file and arrays of objects are in memory.

    Parameters
    ----------
    allow : further kinds of data, see :func:`ehps.humandata.pickles.load_pickle`.

    Raises
    ------
    UnsafeFileError : the file names anything but plain data; nothing was run and nothing is returned.
    DataError : it is missing, truncated, compressed in another way, or no joblib dump.
    """
    path = Path(path)
    try:
        with regular(path).open("rb") as file:
            head = file.read(8)
            file.seek(0)
            for start, name in OTHER_FORMATS.items():
                if head.startswith(start):
                    what = f"is a file of {name}, not a plain, zlib or gzip dump of joblib"
                    raise DataError(what, path=path, fix="write it anew with joblib.dump(content, file)")
            packed = head.startswith((b"\x78", b"\x1f\x8b"))
            source = _Inflated(io.BufferedReader(_Zlib(file)), path) if packed else _Plain(file, path)
            return source.load(allow)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", path=path, fix=DAMAGED) from None


class _Plain:
    """A dump as the unpickler sees it: a file without ``peek``, from which wrappers take their arrays."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.read, self.readline = file.read, file.readline
        self.file, self.path, self.where = file, path, str(path)
        self.resolve = Resolver(self.where)

    def load(self, allow: Sequence[Allow]) -> Any:
        source = self

        class Wrapper(Recorded):
            """Stands for ``NumpyArrayWrapper``; what follows it in the file becomes its state."""

            name = WRAPPERS[0]
            __slots__ = ()

            def __setstate__(self, state: Any) -> None:
                self.state = source.array(state, allow)

            @staticmethod
            def rebuild(recorded: Recorded, resolve: Resolver) -> Any:
                if not isinstance(recorded.state, np.ndarray):
                    raise ValueError("no array follows")
                return recorded.state

        wrappers = Allow("joblib arrays", MEMMAPS, Wrapper.rebuild, dict.fromkeys(WRAPPERS, Wrapper))
        return unpickler.load(self, self.where, allow=(*allow, wrappers))  # type: ignore[arg-type]

    def array(self, state: Any, allow: Sequence[Allow]) -> Array:
        """The array that stands next in the file."""
        if not isinstance(state, dict) or getattr(state.get("subclass"), "name", None) not in (
            "numpy.ndarray",
            *MEMMAPS,
        ):
            raise ValueError("a wrapper of something else than a plain array")
        shape, kind = tuple(int(n) for n in state["shape"]), dtype(state["dtype"], self.resolve)
        if any(n < 0 for n in shape):
            raise ValueError(f"an array of shape {shape}")
        if kind.kind == "O":
            found = unpickler.load(self, self.where, allow=allow)  # type: ignore[arg-type]
            if not isinstance(found, np.ndarray) or found.shape != shape:
                raise ValueError("not the array of objects that was announced")
            return found
        if kind.hasobject or not kind.itemsize:
            raise ValueError(f"an array of {kind}")
        if state.get("numpy_array_alignment_bytes") is not None:
            padding = self.read(1)
            self.read(padding[0] if padding else 0)
        flat = self.values(math.prod(shape), kind)
        return flat.reshape(shape[::-1]).T if state["order"] == "F" else flat.reshape(shape)

    def values(self, count: int, kind: np.dtype[Any]) -> Array:
        """(count,) values as a view of the mapped file."""
        start = self.file.tell()
        end = start + count * kind.itemsize
        size = os.fstat(self.file.fileno()).st_size
        if end > size:
            raise DataError(f"ends {end - size} bytes before its arrays do", path=self.path, fix=DAMAGED)
        if not count:
            return np.zeros(0, kind)
        if kind.kind == "U":
            block = max(CHUNK // kind.itemsize, 1)
            for first in range(0, count, block):  # read, not mapped: the pages would stay
                check_text(np.frombuffer(self.read(min(block, count - first) * kind.itemsize), kind))
        self.file.seek(end)
        return np.frombuffer(map_file(self.path), kind, count, start)


class _Inflated(_Plain):
    """A compressed dump: arrays are read into memory."""

    unfolded = 0

    def values(self, count: int, kind: np.dtype[Any]) -> Array:
        self.resolve.spend(count * kind.itemsize)
        self.unfolded += count * kind.itemsize
        check_unfolded(self.unfolded, self.path.stat().st_size, self.path)
        out = np.empty(count, kind)
        if count:
            fill(self.file, memoryview(out.view(np.uint8)), self.where)
            check_text(out)
        return out


class _Zlib(io.RawIOBase):
    """What a zlib or gzip file holds, read forwards."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file, self._inflate = file, zlib.decompressobj(wbits=47)  # either header

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        while not self._inflate.eof:
            packed = self._inflate.unconsumed_tail or self._file.read(CHUNK)
            data = self._inflate.decompress(packed, len(target))
            if data or not packed:
                target[: len(data)] = data
                return len(data)
        return 0
