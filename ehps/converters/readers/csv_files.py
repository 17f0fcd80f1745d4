"""Tables of text with a header line, as programs and spreadsheets write them: separator, byte order mark, CRLF."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from ehps.converters.readers import AGAIN, OTHER
from ehps.converters.readers.raw_files import read_lines
from ehps.errors import DataError

SEPARATORS = ",;\t"


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes
    ----------
    line : its number in the file, without blank lines, the header being 1.
    cells : by column, without blanks around them; empty where the line is shorter than the header.
    """

    path: Path
    line: int
    cells: dict[str, str]

    def text(self, column: str) -> str:
        """A cell that is not empty.

        Raises
        ------
        DataError : it is.
        """
        return self.cells[column] or self._odd(column, "a text")

    def number(self, column: str) -> float:
        """A cell that is a finite number.

        Raises
        ------
        DataError : it is none.
        """
        try:
            value = float(self.cells[column])
        except ValueError:
            value = float("nan")
        return value if abs(value) < float("inf") else float(self._odd(column, "a number"))

    def integer(self, column: str) -> int:
        """A cell that is an integer.

        Raises
        ------
        DataError : it is none.
        """
        value = self.number(column)
        return int(value) if value == round(value) else int(self._odd(column, "an integer"))

    def _odd(self, column: str, wanted: str) -> str:
        found = self.cells[column]
        raise DataError(f"line {self.line}: {column} is {found!r}, expected {wanted}", path=self.path, fix=OTHER)


def read_csv(path: Path, columns: str) -> list[Row]:
    """The lines below the header; what separates cells is told from the header.

    Parameters
    ----------
    columns : that must be there, with blanks between them.

    Raises
    ------
    DataError : the file is missing, empty or not text, lacks a column, or a line has more cells than the header.
    """
    lines = read_lines(path)
    separator = max(SEPARATORS, key=lines[0].count)
    try:
        header, *rest = csv.reader(lines, delimiter=separator, strict=True)
    except csv.Error:
        raise DataError("is not a table: its quotes do not match", path=path, fix=AGAIN) from None
    header = [name.strip() for name in header]
    if missing := [name for name in columns.split() if name not in header]:
        has = ", ".join(header)
        raise DataError(f"has no column {', '.join(missing)} (it has {has})", path=path, fix=OTHER)
    rows = []
    for number, cells in enumerate(rest, start=2):
        if any(cell.strip() for cell in cells[len(header) :]):
            what = f"line {number} has {len(cells)} cells, the header {len(header)}"
            raise DataError(what, path=path, fix=OTHER)
        padded = [cell.strip() for cell in cells] + [""] * (len(header) - len(cells))
        rows.append(Row(path, number, dict(zip(header, padded, strict=False))))
    return rows
