"""Rows as people name them."""

import pytest

from ehps.errors import UsageError
from ehps.humandata.row_numbers import row_numbers


@pytest.mark.parametrize(
    ("text", "rows"),
    [("1-5", [1, 2, 3, 4, 5]), ("3,7,10-12", [3, 7, 10, 11, 12]), ("2", [2]), (" 4 , 2-3,3", [4, 2, 3]), ("0-0", [0])],
)
def test_rows_and_ranges(text: str, rows: list[int]) -> None:
    assert row_numbers(text, 13) == rows


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("5-99", "row 99 of a file of 8, whose rows are 0 to 7"),
        ("0-99999999999", "of a file of 8"),
        ("8", "row 8 of a file of 8"),
        ("5-3", "whose end is before its beginning"),
        ("-1", "which is no row"),
        ("1.5", "which is no row"),
        ("", "which is no row"),
        ("1,,2", "which is no row"),
        ("9" * 5000, "which is no row"),
    ],
)
def test_what_is_no_row_is_refused(text: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        row_numbers(text, 8)
