"""Parquet tables, read some rows at a time with pyarrow, which is installed with ``ehps[train]``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ehps.arrays import Array, Mask
from ehps.converters.readers import AGAIN, OTHER, opened
from ehps.converters.readers.fields import LARGEST
from ehps.errors import DataError
from ehps.extras import need
from ehps.foreign_files import regular, unreadable

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 1024  # rows that are decoded at once


def names(path: Path) -> list[str]:
    """Names of the columns.

    Raises
    ------
    DataError : the file is missing or damaged.
    """
    with _opened(path) as file:
        return list(file.schema_arrow.names)


def count(path: Path) -> int:
    """Number of the rows; errors as those of :func:`names`."""
    with _opened(path) as file:
        return int(file.metadata.num_rows)


def rows(path: Path, columns: Sequence[str], start: int, stop: int) -> dict[str, pa.ChunkedArray]:
    """Columns of the rows from ``start`` to before ``stop``; of larger row groups no more than that is kept.

    Raises
    ------
    DataError : the file is missing or damaged, or has no such column.
    """
    import pyarrow as pa

    with _opened(path) as file:
        if missing := [name for name in columns if name not in file.schema_arrow.names]:
            what = f"has no column {', '.join(missing)} (it has {', '.join(file.schema_arrow.names)})"
            raise DataError(what, path=path, fix=OTHER)
        ends = np.cumsum([file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)], dtype=np.int64)
        groups = [i for i, end in enumerate(ends.tolist()) if end > start and (i == 0 or ends[i - 1] < stop)]
        at = 0 if not groups or not groups[0] else int(ends[groups[0] - 1])
        kept = []
        for batch in file.iter_batches(BATCH, groups, list(columns)):
            first, last = max(start - at, 0), min(stop - at, batch.num_rows)
            if first < last:
                kept.append(batch.slice(first, last - first))
            at += batch.num_rows
            if at >= stop:
                break
        schema = pa.schema([file.schema_arrow.field(name) for name in columns])
        table = pa.Table.from_batches(kept, kept[0].schema if kept else schema)
    return {name: table.column(name) for name in columns}


def texts(column: pa.ChunkedArray) -> list[str | None]:
    """(N,) texts, as :func:`text` makes them."""
    return [text(value) for value in column.to_pylist()]


def text(value: Any) -> str | None:
    """A text, or a whole number in digits; None of anything else."""
    if isinstance(value, float | np.floating):
        number = float(value)
        return str(int(number)) if number.is_integer() and abs(number) < LARGEST else None
    return str(value) if isinstance(value, str | int | np.integer | date) else None


def numbers(column: pa.ChunkedArray, *shape: int | Sequence[int]) -> tuple[Array, Mask]:
    """Numbers of rows of one shape.

    Parameters
    ----------
    shape : of a row; for an axis several lengths may do, and the first row with one of them says which it is.

    Returns
    -------
    values : (N, *shape) float64, zeros in the rows that are of another shape or have nothing; NaN where a number is
        missing.
    known : (N,) the rows that are of the shape.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    found = column.combine_chunks()
    if isinstance(found, pa.ChunkedArray):  # as older releases return it
        found = pa.concat_arrays(found.chunks) if found.num_chunks else pa.array([], found.type)
    rows, sizes = np.arange(len(column)), list[int]()
    for axis in shape:
        allowed = [axis] if isinstance(axis, int) else list(axis)
        if not _is_list(found.type):
            found, rows = found.slice(0, 0), rows[:0]
            sizes.append(allowed[0])
            continue
        length = np.asarray(pc.fill_null(pc.list_value_length(found), -1))
        length = np.where(np.asarray(found.is_valid()), length, -1)  # a null of fixed size has a length all the same
        size = next((value for value in length.tolist() if value in allowed), allowed[0])
        right = (length == size).reshape(len(rows), -1).all(axis=1) if len(rows) else np.zeros(0, bool)
        found = pc.list_flatten(found.filter(pa.array(np.repeat(right, len(found) // max(len(rows), 1)))))
        rows = rows[right]
        sizes.append(size)
    values, known = np.zeros((len(column), *sizes)), np.zeros(len(column), bool)
    if not (pa.types.is_integer(found.type) or pa.types.is_floating(found.type) or pa.types.is_boolean(found.type)):
        return values, known
    values[rows] = pc.cast(found, pa.float64()).to_numpy(zero_copy_only=False).reshape(len(rows), *sizes)
    known[rows] = True if shape else np.asarray(found.is_valid())
    return values, known


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file; what pyarrow says of a damaged one names it."""
    need("reading Parquet files", "pyarrow")
    import pyarrow as pa
    from pyarrow import parquet

    opened.note(path)
    regular(path)
    try:
        with parquet.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError):
        raise unreadable(path, "a Parquet file", AGAIN, OTHER, ["a Parquet file"]) from None
