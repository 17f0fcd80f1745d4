"""What is printed in the terminal: tables, and names that come from files.

A name in a file can hold whatever a terminal takes for a command (move the cursor, set the title, hide text), line
breaks that forge a line of output, or the square brackets that rich takes for markup. So each text that is not the
program's own goes through :func:`printable`.
"""

from __future__ import annotations

import re
import sys
from numbers import Integral
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

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


def show(frame: pd.DataFrame, *, json: bool = False, title: str | None = None, digits: int = 1) -> None:
    """Print a frame for people, or as JSON records."""
    if json:
        print(_as_json(frame))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=None if title is None else escaped(title), header_style="bold", title_justify="left")
    for name in frame.columns:
        table.add_column(escaped(name), justify="right" if frame[name].dtype.kind in "fiu" else "left", overflow="fold")
    for row in frame.itertuples(index=False):
        table.add_row(*(escaped(_text(value, digits)) for value in row))
    Console(width=None if sys.stdout.isatty() else 150).print(table)


def _as_json(frame: pd.DataFrame) -> str:
    text = frame.to_json(orient="records", indent=2, force_ascii=False)
    lines = text.split("\n")  # its own: those within a text are written \n
    return "\n".join(_HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", line) for line in lines)


def _text(value: Any, digits: int) -> str:
    import pandas as pd

    if pd.api.types.is_scalar(value) and pd.isna(value):
        return "-"
    if isinstance(value, float):
        return f"{value:,.{digits}f}"
    return f"{value:,}" if isinstance(value, Integral) and not isinstance(value, bool) else str(value)
