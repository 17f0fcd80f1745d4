"""Every table, written the same way: Markdown, CSV, LaTeX, JSON, HTML, and cells for the HTML report.

``digits`` is the number of decimals of floating-point columns, or a mapping column -> decimals. ``best``
marks the best value of a column in bold: a mapping column -> ``min`` or ``max``. Whole numbers, texts and
truth values are written as they are, an absent value as ``missing``. CSV and JSON are for programs: full
precision, nothing marked, empty or null where absent.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ehps.atomic import write_text
from ehps.errors import UsageError
from ehps.suffixes import TABLE, check_suffix

Digits = int | Mapping[str, int]
Best = Mapping[str, str]

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "±": r"$\pm$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "<": r"$<$",
    ">": r"$>$",
}


_HTML_STYLE = (
    ":root { color-scheme: light dark } body { font: 14px/1.5 system-ui, sans-serif; margin: 1.5rem; "
    "overflow-x: auto } "
    "table { border-collapse: collapse } caption { text-align: left; font-weight: 600; padding: 0 0 .5rem } "
    "th, td { padding: .25rem .7rem; border-bottom: 1px solid #8886; text-align: left; white-space: nowrap } "
    ".n { text-align: right; font-variant-numeric: tabular-nums }"
)


@dataclass(frozen=True)
class Cell:
    """One formatted value: its text, whether it is its column's best, whether the column holds numbers."""

    text: str
    best: bool = False
    numeric: bool = False


def cells(frame: pd.DataFrame, *, digits: Digits = 1, best: Best | None = None, missing: str = "–") -> list[list[Cell]]:
    """The rows of ``frame`` as formatted cells.

    Raises
    ------
    UsageError : ``best`` names no column of the frame, or something other than ``min`` or ``max``.
    """
    wins = _best_rows(frame, best or {}, digits)
    columns = []
    for name in frame.columns:
        numeric = _is_numeric(frame[name])
        places = digits if isinstance(digits, int) else digits.get(str(name), 1)
        columns.append(
            [
                Cell(_text(value, places, missing), (row, name) in wins, numeric)
                for row, value in enumerate(frame[name].tolist())
            ]
        )
    return [list(row) for row in zip(*columns, strict=True)]


def to_markdown(
    frame: pd.DataFrame,
    *,
    digits: Digits = 1,
    best: Best | None = None,
    headers: Mapping[str, str] | None = None,
    missing: str = "–",
) -> str:
    """A Markdown table with aligned columns, numbers to the right, ending in a newline."""
    head = [_markdown(text) for text in _headers(frame, headers)]
    rows = [
        [f"**{_markdown(c.text)}**" if c.best else _markdown(c.text) for c in row]
        for row in cells(frame, digits=digits, best=best, missing=missing)
    ]
    right = [_is_numeric(frame[name]) for name in frame.columns]
    widths = [max(3, *(len(row[i]) for row in [head, *rows])) for i in range(len(head))]
    rule = ["-" * (w - 1) + ":" if r else "-" * w for w, r in zip(widths, right, strict=True)]

    def line(row: list[str]) -> str:
        parts = [v.rjust(w) if r else v.ljust(w) for v, w, r in zip(row, widths, right, strict=True)]
        return "| " + " | ".join(parts) + " |\n"

    return "".join(line(row) for row in [head, rule, *rows])


def to_latex(
    frame: pd.DataFrame,
    *,
    digits: Digits = 1,
    best: Best | None = None,
    headers: Mapping[str, str] | None = None,
    missing: str = "–",
    caption: str | None = None,
    label: str | None = None,
) -> str:
    """A ``booktabs`` tabular; inside a ``table`` environment when there is a caption or a label."""
    spec = "".join("r" if _is_numeric(frame[name]) else "l" for name in frame.columns)
    head = " & ".join(_latex(text) for text in _headers(frame, headers)) + r" \\"
    body = [
        " & ".join(rf"\textbf{{{_latex(c.text)}}}" if c.best else _latex(c.text) for c in row) + r" \\"
        for row in cells(frame, digits=digits, best=best, missing=missing)
    ]
    lines = [
        rf"\begin{{tabular}}{{{spec}}}",
        r"\toprule",
        head,
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    if caption is not None or label is not None:
        above = [r"\begin{table}", r"\centering"]
        above += [rf"\caption{{{_latex(caption)}}}"] if caption is not None else []
        above += [rf"\label{{{label}}}"] if label is not None else []
        lines = [*above, *lines, r"\end{table}"]
    return "\n".join(lines) + "\n"


def to_csv(frame: pd.DataFrame, *, headers: Mapping[str, str] | None = None) -> str:
    """Comma-separated, full precision, empty where absent."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_headers(frame, headers))
    for row in frame.itertuples(index=False, name=None):
        writer.writerow(["" if value is None else value for value in map(_plain, row)])
    return stream.getvalue()


def to_json(frame: pd.DataFrame, *, headers: Mapping[str, str] | None = None) -> str:
    """A JSON list of objects, one a row, null where absent."""
    names = _headers(frame, headers)
    rows = [dict(zip(names, map(_plain, row), strict=True)) for row in frame.itertuples(index=False, name=None)]
    return json.dumps(rows, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def to_html(
    frame: pd.DataFrame,
    *,
    digits: Digits = 1,
    best: Best | None = None,
    headers: Mapping[str, str] | None = None,
    missing: str = "–",
    caption: str | None = None,
) -> str:
    """A page with the table alone, which needs no other file."""
    right = [_is_numeric(frame[name]) for name in frame.columns]
    sides = ["n" if r else "t" for r in right]
    head = "".join(
        f'<th scope="col" class="{side}">{escape(text)}</th>'
        for text, side in zip(_headers(frame, headers), sides, strict=True)
    )
    rows = [
        "".join(
            f'<td class="{side}">' + (f"<b>{escape(c.text)}</b>" if c.best else escape(c.text)) + "</td>"
            for c, side in zip(row, sides, strict=True)
        )
        for row in cells(frame, digits=digits, best=best, missing=missing)
    ]
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    above = f"<caption>{escape(caption)}</caption>\n" if caption else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{escape(caption or 'Table')}</title>\n"
        f"<style>{_HTML_STYLE}</style>\n</head>\n<body>\n<table>\n{above}<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody>\n</table>\n</body>\n</html>\n"
    )


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as JSON knows them, None where absent."""
    names = [str(name) for name in frame.columns]
    return [dict(zip(names, map(_plain, row), strict=True)) for row in frame.itertuples(index=False, name=None)]


def write(frame: pd.DataFrame, path: Path, **options: Any) -> Path:
    """Write ``frame`` in the format that the suffix names: ``.md``, ``.csv``, ``.tex``, ``.json`` or
    ``.html``.

    Raises
    ------
    UsageError : another suffix.
    """
    writers = dict(zip(TABLE, (to_markdown, to_csv, to_latex, to_json, to_html), strict=True))
    path = check_suffix(Path(path), TABLE)
    return write_text(path, writers[path.suffix.lower()](frame, **options))


def _headers(frame: pd.DataFrame, headers: Mapping[str, str] | None) -> list[str]:
    return [(headers or {}).get(str(name), str(name)) for name in frame.columns]


def _is_numeric(column: pd.Series[Any]) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _plain(value: Any) -> Any:
    """A value as Python and JSON know it; None for whatever stands for absence."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, bool | int | float | str) else str(value)


def _text(value: Any, digits: int, missing: str) -> str:
    value = _plain(value)
    if value is None:
        return missing
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.{digits}f}"
    return f"{value:,}" if isinstance(value, int) and abs(value) >= 10_000 else str(value)


def _best_rows(frame: pd.DataFrame, best: Best, digits: Digits) -> set[tuple[int, Any]]:
    wins: set[tuple[int, Any]] = set()
    for name, which in best.items():
        if name not in frame.columns or which not in ("min", "max"):
            raise UsageError(f"cannot mark the {which!r} of {name!r}", fix="name a column of the table and min or max")
        # Compared as printed: values that read the same are equally good.
        places = digits if isinstance(digits, int) else digits.get(name, 1)
        values = pd.to_numeric(frame[name]).astype(float).round(places).to_numpy()
        if np.isfinite(values).any():
            top = np.nanmin(values) if which == "min" else np.nanmax(values)
            wins |= {(int(row), name) for row in np.flatnonzero(values == top)}
    return wins


def _markdown(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", r"\|").replace("\n", " ")


def _latex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text.replace("\n", " "))
