"""The tables of the report page: cells to show, values to sort by, and the same rows as CSV."""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ehps.analysis import colours, tables
from ehps.analysis.colours import Style

LONG = 200
"""Rows beyond which a table is not printed: its CSV has them."""

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Strip:
    """A value and its interval along the width of a cell, in per cent."""

    dot: float | None
    left: float | None = None
    right: float | None = None


@dataclass(frozen=True)
class PageCell:
    """One cell: text, what it is sorted by (None: last), its column's best or the row's own set, shade, mark, strip."""

    text: str
    key: float | str | None
    best: bool = False
    own: bool = False
    shade: int | None = None
    mark: Style | None = None
    strip: Strip | None = None


@dataclass(frozen=True)
class PageColumn:
    """Heading, whether it holds numbers, a second line of the heading, and the ends of a strip's scale."""

    head: str
    numeric: bool
    note: str = ""
    scale: tuple[str, str] | None = None


@dataclass(frozen=True)
class PageTable:
    """What the template makes a table of.

    Attributes
    ----------
    id : of the element, also the name of the CSV file.
    caption : what the table is, for those who do not see what is around it.
    header : index of the column that names the rows.
    fixed : number of columns, from the left, that stay in view when the table is scrolled.
    sorted : index of the column that the rows are in the order of, ascending.
    csv : a ``data:`` address.
    """

    id: str
    caption: str
    columns: Sequence[PageColumn]
    rows: Sequence[Sequence[PageCell]]
    csv: str
    header: int = 0
    fixed: int = 1
    sorted: int | None = None

    @property
    def long(self) -> bool:
        return len(self.rows) > LONG


@dataclass(frozen=True)
class Look:
    """What is special about columns of a table, each by its heading.

    Attributes
    ----------
    best : ``min`` or ``max`` of a column is bold.
    shaded : ``min`` (low values strong) or ``max``, on the scale of the column.
    scale : least and largest of all shaded columns, where they share one.
    own : (rows,) truth values of a column: tested on what was trained on.
    marks : a dataset id for every row, whose mark stands before the text.
    strips : a strip for every row, and the ends of its scale.
    notes : second lines of headings.
    keys : what the rows of a column are sorted by, where that is not what they show.
    """

    best: Mapping[str, str] = field(default_factory=dict)
    shaded: Mapping[str, str] = field(default_factory=dict)
    scale: tuple[float, float] | None = None
    own: Mapping[str, Sequence[bool]] = field(default_factory=dict)
    marks: Mapping[str, Sequence[str]] = field(default_factory=dict)
    strips: Mapping[str, tuple[Sequence[Strip], tuple[str, str]]] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, Sequence[float | None]] = field(default_factory=dict)


def page_table(
    frame: pd.DataFrame,
    id: str,
    caption: str,
    *,
    digits: tables.Digits = 1,
    look: Look | None = None,
    header: int = 0,
    fixed: int = 1,
    sorted: int | None = None,
) -> PageTable:
    """A table of all rows and columns of ``frame``, whose columns are the headings."""
    look = look or Look()
    rows = tables.cells(frame, digits=digits, best=look.best)
    names = [str(name) for name in frame.columns]
    numeric = {name: _holds_numbers(frame[name]) for name in names}
    shades = {name: _shades(frame[name], which, look.scale) for name, which in look.shaded.items()}
    keys = {name: [_key(value, numeric[name]) for value in frame[name].tolist()] for name in names} | dict(look.keys)
    cells = [
        [
            PageCell(
                cell.text,
                keys[name][row],
                cell.best,
                bool(look.own[name][row]) if name in look.own else False,
                shades[name][row] if name in shades else None,
                colours.style(look.marks[name][row]) if name in look.marks else None,
                look.strips[name][0][row] if name in look.strips else None,
            )
            for name, cell in zip(names, line, strict=True)
        ]
        for row, line in enumerate(rows)
    ]
    scales = {name: ends for name, (_, ends) in look.strips.items()}
    columns = [PageColumn(name, numeric[name], look.notes.get(name, ""), scales.get(name)) for name in names]
    return PageTable(id, caption, columns, cells, csv_address(frame), header, fixed, sorted)


def csv_address(frame: pd.DataFrame) -> str:
    """The rows as CSV in full precision, as a ``data:`` address.

    Texts that a spreadsheet would run as a formula get an apostrophe before them.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow([_safe(str(name)) for name in frame.columns])
    for row in frame.itertuples(index=False, name=None):
        writer.writerow([_safe(value) for value in row])
    # With its byte order mark, spreadsheets read it as UTF-8.
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(stream.getvalue().encode("utf-8-sig")).decode()


def _safe(value: Any) -> Any:
    if value is None or (not isinstance(value, str) and pd.isna(value)):
        return ""
    risky = isinstance(value, str) and value.startswith(_FORMULA) and not _NUMBER.fullmatch(value)
    return f"'{value}" if risky else value


def _holds_numbers(column: pd.Series[Any]) -> bool:
    """Numbers, or texts that are all numbers (each rounded in its own way)."""
    if pd.api.types.is_numeric_dtype(column):
        return not pd.api.types.is_bool_dtype(column)
    known = column.dropna()
    return len(known) > 0 and all(isinstance(v, str) and _NUMBER.fullmatch(v) for v in known)


def _key(value: Any, number: bool) -> float | str | None:
    if value is None or (not isinstance(value, str) and pd.isna(value)):
        return None
    return float(value) if number else str(value)


def _shades(column: pd.Series[Any], which: str, scale: tuple[float, float] | None) -> list[int | None]:
    values = column.to_numpy(float)
    finite = np.isfinite(values)
    if not finite.any():
        return [None] * len(values)
    low, high = scale or (values[finite].min(), values[finite].max())
    share = (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
    share = 1 - share if which == "min" else share
    return [colours.shade(float(s)) if ok else None for s, ok in zip(share, finite, strict=True)]
