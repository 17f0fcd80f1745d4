"""HumanData: N person instances as columns. One object, two storages (``.h5`` and ``.npz``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from ehps.errors import DataError, UsageError
from ehps.humandata import passport as passports
from ehps.humandata import quality as quality_summaries
from ehps.humandata.memory_map import MappedFile, Picked, file_of, pack, unpack
from ehps.humandata.passport import Passport
from ehps.humandata.schema import TEXT, field
from ehps.humandata.strings import Strings

if TYPE_CHECKING:
    import pandas as pd

    from ehps.humandata.validation import Problem

Array: TypeAlias = npt.NDArray[Any]
Column: TypeAlias = Array | Strings
Rows: TypeAlias = int | slice | Sequence[int] | Array

_WHOLE = (int, np.integer)  # a tuple: building int | np.integer at every access would cost more than the access


class HumanData:
    """N person instances, one row each, as named columns.

    Columns have flat names: ``image_path``, ``bbox_xywh``, ``smplx/body_pose``, ``keypoints2d_smplx``,
    ``meta/gender``; :mod:`ehps.humandata.schema` states shape, unit and meaning of each. Texts are
    :class:`~ehps.humandata.strings.Strings`, everything else numpy arrays whose first axis is the instance.

    Keypoint columns are (N, K, 3) or (N, K, 4), confidence last, and carry the names of their K points in
    ``keypoint_names``; conversion between conventions is by name only.

    Parameters
    ----------
    columns : name -> array (N, ...), ``Strings``, or list of str.
    keypoint_names : keypoint column -> its K point names.
    passport : what the numbers mean; see :class:`~ehps.humandata.passport.Passport`.
    misc : facts that hold for the whole file (``bbox_source``, ...), JSON-able values.
    quality : summary of what was measured on conversion, JSON-able.

    Examples
    --------
    >>> hd = HumanData({"image_path": ["a.jpg", "b.jpg"], "bbox_xywh": np.ones((2, 5), np.float32)})
    >>> len(hd), hd["image_path"][1], hd[[1]]["bbox_xywh"].shape
    (2, 'b.jpg', (1, 5))
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
    def _trusted(cls, columns: dict[str, Column], length: int, like: HumanData) -> HumanData:
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
        """``hd["name"]`` is a column; ``hd[rows]`` (int, slice, index array, mask) a HumanData of those rows."""
        if isinstance(key, str):
            try:
                value: Any = self._columns[key]
            except KeyError:
                have = ", ".join(self._columns)
                raise UsageError(f"no column {key!r}; there are: {have}", path=self.source) from None
            if self._file is not None and self._file.random and self._length > 1:
                self._file.expect(random=False)
            return value.taken() if isinstance(value, Picked) else value
        if isinstance(key, _WHOLE):
            n = int(key) + (self._length if key < 0 else 0)
            if not 0 <= n < self._length:
                raise IndexError(f"row {key} of {self._length}")
            key = slice(n, n + 1)
            if self._file is not None and not self._file.random:
                self._file.expect(random=True)
        if isinstance(key, slice):
            length = len(range(*key.indices(self._length)))
            return HumanData._trusted({name: v[key] for name, v in self._columns.items()}, length, self)
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
        return HumanData._trusted(picked, len(rows), self)

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
        facts = {name: getattr(self, name) for name in self.__slots__ if name not in ("_columns", "_file")}
        return _unpickled, ({name: pack(value) for name, value in self._columns.items()}, facts)

    def __repr__(self) -> str:
        return f"HumanData({len(self)} instances, {len(self._columns)} columns, {self.passport.dataset})"

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
        from ehps.humandata.keypoints import convert

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
    ) -> HumanData:
        """A copy with these columns added or replaced (arrays are shared, not copied)."""
        out = HumanData(
            {**self._columns, **columns},
            keypoint_names={**self.keypoint_names, **(keypoint_names or {})},
            passport=self.passport,
            misc=self.misc,
            quality=self.quality,
        )
        out.source = self.source
        return out

    def without(self, names: Iterable[str]) -> HumanData:
        """A copy lacking these columns."""
        gone = set(names)
        kept: dict[str, Column] = {name: value for name, value in self._columns.items() if name not in gone}
        return HumanData._trusted(kept, self._length if kept else 0, self)

    @staticmethod
    def concat(parts: Sequence[HumanData]) -> HumanData:
        """All rows of ``parts``, in order; columns that every part with rows has.

        Raises
        ------
        PassportError : the parts' passports give their numbers different meanings.
        """
        if not parts:
            raise UsageError("nothing to concatenate")
        parts = [part for part in parts if len(part)] or parts[:1]
        merged = passports.merge([part.passport for part in parts])
        names = [name for name in parts[0].columns if all(name in part for part in parts)]
        points: dict[str, tuple[str, ...]] = {}
        columns: dict[str, Column] = {}
        for name in names:
            values = [part[name] for part in parts]
            if name in parts[0].keypoint_names:
                points[name] = tuple(dict.fromkeys(p for part in parts for p in part.keypoint_names[name]))
                if any(part.keypoint_names[name] != points[name] for part in parts):
                    values = [part.keypoints(name, points[name]) for part in parts]
            if isinstance(values[0], Strings):
                columns[name] = Strings.concat(values)
            else:
                columns[name] = np.concatenate(values)
        misc = {
            key: value
            for key, value in parts[0].misc.items()
            if all(key in part.misc and part.misc[key] == value for part in parts)
        }
        summary = quality_summaries.of_rows(parts)
        return HumanData(columns, keypoint_names=points, passport=merged, misc=misc, quality=summary)

    # -- files --------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, path: str | Path) -> HumanData:
        """Open an ``.h5`` (memory-mapped: nothing is read until a column is touched) or ``.npz`` file.

        Raises
        ------
        DataError : the file is absent, damaged, or neither of the two formats.
        UnsafeFileError : an ``.npz`` holds a pickle that asks for anything but plain data.
        """
        return cast("HumanData", _storage(path).read(Path(path)))

    def save(self, path: str | Path) -> Path:
        """Write to ``path`` (``.h5`` or ``.npz``), atomically: a temporary file beside it, then a rename.

        The quality's summary is made anew when it is of other rows than these.
        """
        storage, hd = _storage(path), self
        summarised = self.quality.get("rows", self._length)
        if summarised != self._length and all(name in self for name in quality_summaries.COLUMNS):
            hd = self[:]
            hd.quality = quality_summaries.of_rows([self])
        storage.write(hd, Path(path))
        return Path(path)

    def validate(self) -> list[Problem]:
        """Everything that contradicts the schema; empty when the file is sound."""
        from ehps.humandata.validation import problems

        return problems(self)

    def to_frame(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """A pandas frame, one row an instance; arrays are spread over ``name.0``, ``name.1`` ... columns.

        Without ``columns``: everything but keypoints and body parameters.
        """
        from ehps.humandata.dataframe import to_frame

        return to_frame(self, columns)


def _unpickled(columns: dict[str, Any], facts: dict[str, Any]) -> HumanData:
    hd = object.__new__(HumanData)
    hd._columns = {name: unpack(packed) for name, packed in columns.items()}
    for name, value in facts.items():
        setattr(hd, name, value)
    hd._file = _file_of(hd._columns)
    return hd


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


def _storage(path: str | Path) -> Any:
    suffix = Path(path).suffix.lower()
    if suffix == ".h5":
        from ehps.humandata.storage import h5

        return h5
    if suffix == ".npz":
        from ehps.humandata.storage import npz

        return npz
    raise UsageError("a HumanData file ends in .h5 or .npz", path=path)
