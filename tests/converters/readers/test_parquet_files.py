from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from ehps.converters.readers import parquet_files
from ehps.converters.readers.opened import recording
from ehps.errors import DataError
from tests.raw.checks import truncate

ROWS = 25


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Row groups of 7 rows; every fifth list is absent."""
    lists = [None if k % 5 == 4 else [[k + 0.5, 1.0], [k, 2.0], [3.0, 4.0]] for k in range(ROWS)]
    path = tmp_path / "t.parquet"
    columns = {"k": list(range(ROWS)), "lists": lists, "word": [f"w{k}" for k in range(ROWS)]}
    parquet.write_table(pa.table(columns), path, row_group_size=7)
    return path


@pytest.mark.parametrize(("start", "stop"), [(0, 25), (0, 7), (6, 8), (7, 14), (3, 22), (24, 25), (9, 9)])
def test_any_rows_can_be_read_whatever_the_row_groups_are(table: Path, start: int, stop: int) -> None:
    found = parquet_files.rows(table, ["word", "lists"], start, stop)
    assert found["word"].to_pylist() == [f"w{k}" for k in range(start, stop)]
    values, known = parquet_files.numbers(found["lists"], 3, 2)
    assert known.tolist() == [k % 5 != 4 for k in range(start, stop)]
    wanted = [[[k + 0.5, 1], [k, 2], [3, 4]] if k % 5 != 4 else [[0, 0]] * 3 for k in range(start, stop)]
    np.testing.assert_array_equal(values, np.reshape(wanted, (-1, 3, 2)))


def test_columns_and_rows_are_counted(table: Path) -> None:
    assert parquet_files.names(table) == ["k", "lists", "word"]
    assert parquet_files.count(table) == ROWS


def of(values: list[Any], kind: Any = None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, kind)])


def test_rows_of_another_shape_are_told(table: Path) -> None:
    values, known = parquet_files.numbers(of([[1.0, 2.0], None, [3.0], [], [4.0, None]]), 2)
    assert known.tolist() == [True, False, False, False, True]
    np.testing.assert_array_equal(values, [[1, 2], [0, 0], [0, 0], [0, 0], [4, np.nan]])


@pytest.mark.parametrize(
    "kind",
    [pa.list_(pa.list_(pa.float32())), pa.large_list(pa.list_(pa.float64(), 2)), pa.list_(pa.large_list(pa.int16()))],
)
def test_lists_may_be_of_any_kind(kind: Any) -> None:
    values, known = parquet_files.numbers(of([[[1, 2]], None, [[3, 4]]], kind), 1, 2)
    assert known.tolist() == [True, False, True]
    np.testing.assert_array_equal(values[:, 0], [[1, 2], [0, 0], [3, 4]])


def test_of_several_widths_the_first_row_decides() -> None:
    values, known = parquet_files.numbers(of([None, [[1.0, 2.0, 3.0]], [[1.0, 2.0]]]), 1, (2, 3))
    assert known.tolist() == [False, True, False]
    assert values.shape == (3, 1, 3)


def test_what_is_no_list_of_numbers_is_told() -> None:
    for column in (of(["a", "b"]), of([1.0, 2.0]), of([["a"], ["b"]]), of([None, None])):
        values, known = parquet_files.numbers(column, 2)
        assert not known.any()
        assert values.shape == (2, 2)
    values, known = parquet_files.numbers(of([1, None, 3]))
    assert known.tolist() == [True, False, True]
    assert values[[0, 2]].tolist() == [1, 3]


def test_whole_numbers_are_texts_without_a_point() -> None:
    assert parquet_files.texts(of([7.0, None, 1e30, 2.5])) == ["7", None, None, None]
    assert parquet_files.texts(of([3, 4])) == ["3", "4"]


def test_a_damaged_file_and_an_absent_column_are_named(table: Path) -> None:
    with recording() as record, pytest.raises(DataError, match=r"t\.parquet: has no column other \(it has k, lists"):
        parquet_files.rows(table, ["other"], 0, 1)
    assert str(table) in record.files
    truncate(table)
    with pytest.raises(DataError, match="begins as a Parquet file, and is cut short or damaged"):
        parquet_files.count(table)
    table.write_text("no table")
    with pytest.raises(DataError, match="is not a Parquet file"):
        parquet_files.names(table)
