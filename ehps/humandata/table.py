"""Columns of N person instances: what is held in memory or mapped from a file, how rows are chosen, how it is pickled.

:class:`~ehps.humandata.core.HumanData` adds files and what is done with whole sets; storages read and write tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from ehps.arrays import Array
from ehps.errors import DataError, UsageError
from ehps.humandata.keypoints import convert
from ehps.humandata.memory_map import MappedFile, Picked, file_of, pack, unpack
from ehps.humandata.passport import Passport
from ehps.humandata.schema import TEXT, field
from ehps.humandata.strings import Strings

Column: TypeAlias = Array | Strings
Rows: TypeAlias = int | slice | Sequence[int] | Array

_INTEGER = (int, np.integer)  # a tuple: building int | np.integer at every access would cost more than the access


class Table:
    """N person instances, one row each, as named columns, with what holds for all of them.

    Parameters
    ----------
    columns : name -> array (N, ...), ``Strings``, or list of str.
    keypoint_names : keypoint column -> its K point names.
    passport : what the numbers mean; see :class:`~ehps.humandata.passport.Passport`.
    misc : facts that hold for the whole file (``bbox_source``, ...), JSON-able values.
    quality : summary of what was measured on conversion, JSON-able.

    Raises
    ------
    DataError : columns differ in length, or a keypoint column has another number of points than names.
    """

    __slots__ = ("_columns", "_file", "_length", "keypoint_names", "misc", "passport", "quality", "source")

    def __init__(
        self,
        columns: Mapping[str, Column | list[str]],
        *,
        keypoint_names: Mapping[str, Sequence[str]] | None = None,
        passport: Passport | None = None,
        misc: Mapping[str, Any] | None = None,
        quality: Mapping[str, Any] | None = None,
    ) -> None:
        self._columns: dict[str, Column] = {name: as_column(value, name) for name, value in columns.items()}
        self.keypoint_names = {name: tuple(names) for name, names in (keypoint_names or {}).items()}
        self.passport = passport or Passport()
        self.misc: dict[str, Any] = dict(misc or {})
        self.quality: dict[str, Any] = dict(quality or {})
        self.source: Path | None = None
        self._file = _file_of(self._columns)
        lengths = {name: len(value) for name, value in self._columns.items()}
        if len(set(lengths.values())) > 1:
            usual = max(set(lengths.values()), key=list(lengths.values()).count)
            odd = ", ".join(f"{name} has {n}" for name, n in lengths.items() if n != usual)
            raise DataError(f"columns differ in length: most have {usual} rows, {odd}")
        self._length = next(iter(lengths.values()), 0)
        for name, names in self.keypoint_names.items():
            if name in self._columns and self._columns[name].shape[1] != len(names):  # type: ignore[union-attr]
                raise DataError(f"{name} has {self._columns[name].shape[1]} points but {len(names)} names")  # type: ignore[union-attr]

    @classmethod
    def _trusted(cls, columns: dict[str, Column], length: int, like: Table) -> Self:
        """Build without checks from columns known to agree: the fast path of row selection."""
        self = object.__new__(cls)
        self._columns, self._length = columns, length
        self.keypoint_names, self.passport, self.misc = like.keypoint_names, like.passport, like.misc
        self.quality, self.source, self._file = like.quality, like.source, like._file
        return self

    # -- looking ------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self._length

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns, in stored order."""
        return tuple(self._columns)

    def __getitem__(self, key: str | Rows) -> Any:
        """``hd["name"]`` is a column; ``hd[rows]`` (int, slice, index array, mask) a table of those rows."""
        if isinstance(key, str):
            try:
                value: Any = self._columns[key]
            except KeyError:
                have = ", ".join(self._columns)
                raise UsageError(f"no column {key!r}; there are: {have}", path=self.source) from None
            if self._file is not None and self._file.random and self._length > 1:
                self._file.expect(random=False)
            return value.taken() if isinstance(value, Picked) else value
        if isinstance(key, _INTEGER):
            n = int(key) + (self._length if key < 0 else 0)
            if not 0 <= n < self._length:
                raise IndexError(f"row {key} of {self._length}")
            key = slice(n, n + 1)
            if self._file is not None and not self._file.random:
                self._file.expect(random=True)
        if isinstance(key, slice):
            length = len(range(*key.indices(self._length)))
            return self._trusted({name: v[key] for name, v in self._columns.items()}, length, self)
        rows = self._row_numbers(np.asarray(key))
        picked: dict[str, Any] = {}
        composed: dict[int, Array] = {}  # columns picked before share their row numbers: keep it so
        for name, value in self._columns.items():
            if isinstance(value, Picked):
                if id(value.rows) not in composed:
                    composed[id(value.rows)] = value.rows[rows]
                picked[name] = Picked(value.column, composed[id(value.rows)])
            else:
                picked[name] = Picked(value, rows) if file_of(value) is not None else value[rows]
        return self._trusted(picked, len(rows), self)

    def _row_numbers(self, rows: Array) -> npt.NDArray[np.intp]:
        """Row numbers 0 <= n < N from an index array (negative ones count from the end) or a mask."""
        if rows.dtype == bool:
            if rows.shape != (self._length,):
                raise IndexError(f"a mask of shape {rows.shape} for {self._length} rows")
            return np.flatnonzero(rows)
        if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
            raise IndexError(f"rows are chosen by a mask or by whole numbers, not by {rows.dtype} {rows.shape}")
        numbers = rows.astype(np.intp)
        if numbers.size and not -self._length <= numbers.min() <= numbers.max() < self._length:
            raise IndexError(f"rows {numbers.min()} to {numbers.max()} of {self._length}")
        return np.where(numbers < 0, numbers + self._length, numbers)

    def __reduce__(self) -> tuple[Any, ...]:
        """Columns in a mapped file are pickled as where they lie in it, so workers share its pages."""
        facts = {name: getattr(self, name) for name in Table.__slots__ if name not in ("_columns", "_file")}
        return _unpickled, (type(self), {name: pack(value) for name, value in self._columns.items()}, facts)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} instances, {len(self._columns)} columns, {self.passport.dataset})"

    @property
    def body_model(self) -> str | None:
        """smplx, smplh or smpl: the model whose parameters the file holds (``betas`` present)."""
        return next((model_type for model_type in ("smplx", "smplh", "smpl") if f"{model_type}/betas" in self), None)

    def keypoints(self, name: str, convention: str | Sequence[str], approximate: bool = False) -> Array:
        """Column ``name`` in another convention: (N, J, C), zeros (confidence 0) where it has no such point.

        Raises
        ------
        UsageError : no such keypoint column, or an unknown convention.
        """
        if name not in self or name not in self.keypoint_names:
            have = ", ".join(column for column in self.keypoint_names if column in self)
            raise UsageError(f"no keypoint column {name!r} with named points; there are: {have}", path=self.source)
        return convert(self[name], self.keypoint_names[name], convention, approximate=approximate)[0]

    # -- making new ones ----------------------------------------------------------------------------------

    def with_columns(
        self,
        columns: Mapping[str, Column | list[str]],
        *,
        keypoint_names: Mapping[str, Sequence[str]] | None = None,
    ) -> Self:
        """A copy with these columns added or replaced (arrays are shared, not copied)."""
        out = type(self)(
            {**self._columns, **columns},
            keypoint_names={**self.keypoint_names, **(keypoint_names or {})},
            passport=self.passport,
            misc=self.misc,
            quality=self.quality,
        )
        out.source = self.source
        return out

    def without(self, names: Iterable[str]) -> Self:
        """A copy lacking these columns."""
        gone = set(names)
        kept: dict[str, Column] = {name: value for name, value in self._columns.items() if name not in gone}
        return self._trusted(kept, self._length if kept else 0, self)


def _unpickled(cls: type[Table], columns: dict[str, Any], facts: dict[str, Any]) -> Table:
    table = object.__new__(cls)
    table._columns = {name: unpack(packed) for name, packed in columns.items()}
    for name, value in facts.items():
        setattr(table, name, value)
    table._file = _file_of(table._columns)
    return table


def _file_of(columns: Mapping[str, Column]) -> MappedFile | None:
    return next((file for file in map(file_of, columns.values()) if file is not None), None)


def as_column(value: Column | list[str] | Sequence[Any], name: str = "") -> Column:
    """An array or ``Strings`` from what callers hold (lists, text arrays); ``name`` tells what an empty list holds."""
    if isinstance(value, Strings | Picked):
        return value
    array = value if isinstance(value, np.ndarray) else np.asarray(value)
    if array.dtype.kind in "US" or (array.dtype == object and all(isinstance(v, str) for v in array)):
        return Strings.of(array.tolist())
    if array is not value and array.shape == (0,):
        known = field(name)
        if known is not None and known.dtype == TEXT:
            return Strings.of([])
    return array
