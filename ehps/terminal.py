"""What is printed in the terminal: lines, tables, and names that come from files.

A name in a file can hold whatever a terminal takes for a command (move the cursor, set the title, hide text), line
breaks that forge a line of output, or the square brackets that rich takes for markup. So each text that is not the
program's own goes through :func:`printable`, and rich is used here and in :mod:`ehps.progress` only.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from json import dumps
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    import pandas as pd

WIDE = 150  # columns of a table that goes into a file or a pipe
GAP = 2  # between columns
INDENT = "    "  # of what is below a row
FEWEST = 24  # of a text column, before it moves below its rows
STATES = {
    **dict.fromkeys(("ok", "done", "found", "complete"), "green"),
    **dict.fromkeys(("missing", "absent", "partial", "training", "not yet"), "yellow"),
    **dict.fromkeys(("failed", "damaged", "wrong variant"), "red"),
}
"""The colour of a word in a column ``state``."""

_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff"  # direction of writing, line breaks
    "\ud800-\udfff\U000e0000-\U000e007f]"  # bytes of a name that is no UTF-8, invisible tags
)


def printable(text: object) -> str:
    """``text`` with everything that is no visible character written as in Python: ``\\x1b``, ``\\n``, ``\\u202e``."""
    return _HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))


def escaped(text: object) -> str:
    """:func:`printable` text whose square brackets rich prints as they are."""
    from rich.markup import escape

    return escape(printable(text))


def in_colour(stream: TextIO) -> bool:
    """Whether colours may be written to ``stream``: a terminal, unless NO_COLOR is set (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def line(text: object, *, label: str = "", colour: str | None = None, bold: bool = False, err: bool = False) -> None:
    """Print one line.

    Parameters
    ----------
    text : whatever of it no terminal should see is written out.
    label : words before it.
    colour : of the label, or of all where there is none.
    bold : likewise.
    err : print it on the standard error stream.
    """
    import click

    words = printable(text)
    if label:
        words = f"{click.style(label, fg=colour, bold=bold)} {words}"
    elif colour or bold:
        words = click.style(words, fg=colour, bold=bold)
    click.echo(words, err=err, color=None if in_colour(sys.stderr if err else sys.stdout) else False)


def hanging(head: str, text: object) -> None:
    """Print ``head`` and a text, whose further lines stand below its first one; wrapped in terminals only."""
    room = _room() - len(head)
    parts = _wrapped(printable(text), room) if sys.stdout.isatty() else [printable(text)]
    for number, part in enumerate(parts):
        line((head if number == 0 else " " * len(head)) + part)


def show(
    frame: pd.DataFrame | Sequence[Mapping[str, Any]],
    *,
    json: bool = False,
    title: str | None = None,
    digits: int | Sequence[int] = 1,
    least: Sequence[str] = (),
    below: Sequence[str] = (),
    keep: Sequence[str] = (),
) -> None:
    """Print a frame, or rows with the same names, for people, or as JSON records.

    Columns that are the same in all rows are said in one line above.

    Parameters
    ----------
    title : a line above.
    digits : of numbers that are not whole, of all rows or of each.
    least : columns that are left out where the table is too wide, the first of them first.
    below : columns that are printed under each row then.
    keep : columns that stay, even when they are the same in all rows.
    """
    if json:
        print(_as_json(frame))
        return
    if isinstance(frame, Sequence):
        names = list(frame[0]) if frame else []
        values = {name: [row[name] for row in frame] for name in names}
    else:
        values = {str(name): frame[name].tolist() for name in frame.columns}
    columns = [Column(name, _texts(column, digits), right=_are_numbers(column)) for name, column in values.items()]
    table(columns, title=title, least=least, below=below, keep=keep)


@dataclass
class Column:
    """A column of a table, as text: ``right`` aligns it there."""

    name: str
    cells: list[str]
    right: bool = False

    def __post_init__(self) -> None:
        self.name, self.cells = printable(self.name), [printable(cell) for cell in self.cells]

    @property
    def width(self) -> int:
        """Of the widest cell."""
        from rich.cells import cell_len

        return max(map(cell_len, (self.name, *self.cells)))

    @property
    def narrowest(self) -> int:
        """Below this width words are broken, numbers cut, or a text becomes a strip."""
        from rich.cells import cell_len

        title = self.name.split()
        if self.right:
            return max(map(cell_len, (*title, *self.cells)))
        words = max(cell_len(word) for cell in (self.name, *self.cells) for word in (cell or " ").split() or [""])
        return max(words, min(self.width, FEWEST))

    @property
    def constant(self) -> bool:
        return len(self.cells) > 1 and len(set(self.cells)) == 1

    @property
    def empty(self) -> bool:
        return set(self.cells) <= {"", "-"}


def table(
    columns: Sequence[Column],
    *,
    title: str | None = None,
    least: Sequence[str] = (),
    below: Sequence[str] = (),
    keep: Sequence[str] = (),
) -> None:
    """Print columns side by side, without borders, as wide as the terminal; see :func:`show`."""
    if title is not None:
        line(title, bold=True)
    shown = list(columns)
    same = [column for column in shown[1:] if column.constant and column.name not in keep]
    if said := ", ".join(f"{column.name}: {column.cells[0]}" for column in same if not column.empty):
        line(said)
    shown = [column for column in shown if column not in same]
    if not shown or not shown[0].cells:
        line("none")
        return
    room, moved, left_out = _room(), list[Column](), list[Column]()
    for names, aside in ((below, moved), (least, left_out)):
        for column in [c for name in names for c in shown[1:] if c.name == name]:
            if _total([c.width if aside is moved or c.name in least else c.narrowest for c in shown]) > room:
                shown.remove(column)
                aside.append(column)
    while _total([c.narrowest for c in shown]) > room and (texts := [c for c in shown[1:] if not c.right]):
        widest = max(texts, key=lambda column: column.narrowest)
        shown.remove(widest)
        moved.append(widest)
    _print(shown, _widths(shown, room), moved)
    if left_out and HINTS.shown:
        names = ", ".join(column.name for column in left_out)
        line(f"not shown: {names} (a wider terminal shows more, --json all)", err=True)


class _Hints:
    """Whether lines are printed that are neither results nor errors."""

    shown = True


HINTS = _Hints()


def _room() -> int:
    if sys.stdout.isatty() or os.environ.get("COLUMNS"):
        return shutil.get_terminal_size().columns
    return WIDE


def _wrapped(text: str, room: int) -> list[str]:
    """Lines of whole words; a word that is longer than a line has one to itself."""
    return textwrap.wrap(text, max(room, FEWEST), break_long_words=False, break_on_hyphens=False) or [text]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _widths(columns: Sequence[Column], room: int) -> list[int]:
    """Of each column; the widest are made narrower first, as far as no word is broken."""
    widths = [column.width for column in columns]
    floors = [column.narrowest for column in columns]
    for _ in range(_total(widths) - room):
        loose = [i for i, width in enumerate(widths) if width > floors[i]]
        if not loose:
            break
        widths[max(loose, key=lambda i: widths[i])] -= 1
    return widths


def _print(columns: Sequence[Column], widths: Sequence[int], moved: Sequence[Column]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    colours = in_colour(sys.stdout)
    console = Console(width=max(sum(widths) + GAP * len(widths), _room()), highlight=False, no_color=not colours)

    def grid() -> Table:
        made = Table(box=None, padding=(0, GAP, 0, 0), show_header=False, pad_edge=False)
        for column, width in zip(columns, widths, strict=True):
            made.add_column(justify="right" if column.right else "left", width=width, overflow="fold")
        return made

    part = grid()
    part.add_row(*(Text(column.name, "bold") for column in columns))
    for row in range(len(columns[0].cells)):
        states = [STATES.get(c.cells[row], "") if c.name.lower() in ("state", "converts") else "" for c in columns]
        part.add_row(*(Text(c.cells[row], state) for c, state in zip(columns, states, strict=True)))
        if more := [column for column in moved if column.cells[row] not in ("", "-")]:
            console.print(part)
            for column in more:
                for words in _wrapped(f"{column.name}: {column.cells[row]}", _room() - len(INDENT)):
                    line(INDENT + words)
            part = grid()
    if part.row_count:
        console.print(part)


def _as_json(frame: pd.DataFrame | Sequence[Mapping[str, Any]]) -> str:
    if isinstance(frame, Sequence):
        text = dumps(list(frame), indent=2, ensure_ascii=False)
    else:
        text = frame.to_json(orient="records", indent=2, force_ascii=False)
    lines = text.split("\n")  # its own: those within a text are written \n
    return "\n".join(_HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", line) for line in lines)


def _texts(column: Sequence[Any], digits: int | Sequence[int]) -> list[str]:
    each = [digits] * len(column) if isinstance(digits, int) else digits
    return [_text(value, places) for value, places in zip(column, each, strict=True)]


def _text(value: Any, digits: int) -> str:
    if _is_unknown(value):
        return "-"
    if isinstance(value, bool) or not isinstance(value, Real):
        return str(value)
    return f"{value:,}" if isinstance(value, Integral) else f"{value:,.{digits}f}"


def _is_unknown(value: Any) -> bool:
    """None, NaN, and what pandas has for either."""
    return (
        value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)
    )


def _are_numbers(column: Sequence[Any]) -> bool:
    known = [value for value in column if not _is_unknown(value)]
    return bool(known) and all(isinstance(value, Real) and not isinstance(value, bool) for value in known)
