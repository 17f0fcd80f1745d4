"""String columns: dictionary-coded, so that a million genders or sequence names cost four bytes each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt

from ehps.errors import DataError

_WHOLE = (int, np.integer)  # a tuple: building int | np.integer at every access would cost more than the access


class Vocabulary(Sequence[str]):
    """Distinct strings as one UTF-8 blob and ``len + 1`` offsets into it; decoded one at a time.

    ``source`` is the file that they come from, for what is said when they are damaged.
    """

    __slots__ = ("blob", "offsets", "source")

    def __init__(self, blob: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], source: Path | None = None) -> None:
        self.blob, self.offsets, self.source = blob, offsets, source

    @classmethod
    def of(cls, words: Sequence[str]) -> Vocabulary:
        encoded = [word.encode() for word in words]
        offsets = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(word) for word in encoded], out=offsets[1:])
        return cls(np.frombuffer(b"".join(encoded), np.uint8), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return self.texts(np.arange(*index.indices(len(self))))
        try:
            return self.encoded(index).decode()
        except UnicodeDecodeError as error:
            raise self._damaged(f"text {index} is no UTF-8 ({error.reason})") from None

    def encoded(self, index: int) -> bytes:
        """The UTF-8 of one string.

        Raises
        ------
        DataError : of a damaged file: there is no such string, or it lies outside the blob.
        """
        if not 0 <= index < len(self.offsets) - 1:
            raise self._damaged(f"a row has text {index} of {len(self)}")
        start, end = int(self.offsets[index]), int(self.offsets[index + 1])
        if not 0 <= start <= end <= len(self.blob):
            raise self._damaged(f"text {index} lies at {start} to {end} of {len(self.blob)} bytes")
        return self.blob[start:end].tobytes()

    def texts(self, indices: npt.NDArray[np.generic]) -> list[str]:
        """Many strings at once, in a tenth of the time that one after the other takes.

        Parameters
        ----------
        indices : (N,) their numbers.

        Raises
        ------
        DataError : as :meth:`encoded`, or one is no UTF-8.
        """
        wanted = np.asarray(indices)
        if not len(wanted):
            return []
        try:
            if wanted.min() < 0:
                raise IndexError
            starts, ends = np.asarray(self.offsets[wanted]), np.asarray(self.offsets[wanted + 1])
            if (starts < 0).any() or (starts > ends).any() or ends.max() > len(self.blob):
                raise IndexError
            blob = memoryview(np.asarray(self.blob))
            return [str(blob[start:end], "utf-8") for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        except (IndexError, UnicodeDecodeError):
            return [self[index] for index in wanted.tolist()]  # which names the one that is damaged

    def _damaged(self, what: str) -> DataError:
        return DataError(f"is damaged: {what}", path=self.source, fix="copy or convert it again")


BACKSLASH = ord("\\")


def with_slashes(path: str) -> str:
    """A path as it is written everywhere but under Windows.

    Examples
    --------
    >>> with_slashes("images\\\\1.jpg")
    'images/1.jpg'
    """
    return path.replace("\\", "/")


class Strings:
    """A column of N strings: ``codes`` (N,) int32 into a :class:`Vocabulary`.

    Behaves like a read-only sequence of ``str``; ``np.asarray`` gives an object array. A slice, index array or
    mask gives a ``Strings`` that shares the vocabulary.
    """

    __slots__ = ("codes", "vocabulary")

    def __init__(self, codes: npt.NDArray[np.int32], vocabulary: Vocabulary) -> None:
        self.codes, self.vocabulary = codes, vocabulary

    @classmethod
    def of(cls, words: Iterable[str]) -> Strings:
        """Build from any iterable of strings; the vocabulary is in order of first appearance."""
        seen: dict[str, int] = {}
        codes = np.fromiter((seen.setdefault(str(word), len(seen)) for word in words), np.int32)
        return cls(codes, Vocabulary.of(list(seen)))

    @classmethod
    def concat(cls, parts: Sequence[Strings]) -> Strings:
        seen: dict[str, int] = {}
        codes = []
        for part in parts:
            used, inverse = np.unique(part.codes, return_inverse=True)
            new = np.array([seen.setdefault(word, len(seen)) for word in part.vocabulary.texts(used)], np.int32)
            codes.append(new[inverse] if len(used) else part.codes)
        return cls(np.concatenate(codes).astype(np.int32), Vocabulary.of(list(seen)))

    def __len__(self) -> int:
        return len(self.codes)

    def __iter__(self) -> Iterator[str]:
        words: dict[int, str] = {}
        for code in self.codes.tolist():
            if code not in words:
                words[code] = self.vocabulary[code]
            yield words[code]

    @overload
    def __getitem__(self, rows: int | np.integer) -> str: ...
    @overload
    def __getitem__(self, rows: slice | npt.NDArray[np.generic]) -> Strings: ...
    def __getitem__(self, rows: int | np.integer | slice | npt.NDArray[np.generic]) -> str | Strings:
        if isinstance(rows, _WHOLE):
            return self.vocabulary[int(self.codes[rows])]
        return Strings(self.codes[rows], self.vocabulary)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[np.generic]:
        used, inverse = np.unique(self.codes, return_inverse=True)
        words = np.empty(len(used), object)
        words[:] = self.vocabulary.texts(used)
        out = words[inverse.ravel()]
        return out if dtype is None else out.astype(dtype)

    def tolist(self) -> list[str]:
        found: list[str] = np.asarray(self).tolist()
        return found

    def equals(self, word: str) -> npt.NDArray[np.bool_]:
        """(N,) bool: which rows are ``word``."""
        used = np.unique(self.codes)
        wanted = [code for code, text in zip(used.tolist(), self.vocabulary.texts(used), strict=True) if text == word]
        return np.isin(self.codes, wanted)

    def unique(self) -> list[str]:
        """The distinct strings that occur, sorted."""
        return sorted(self.vocabulary.texts(np.unique(self.codes)))

    @property
    def nbytes(self) -> int:
        return int(self.codes.nbytes + self.vocabulary.blob.nbytes + self.vocabulary.offsets.nbytes)
