"""Tables in the terminal."""

from __future__ import annotations

import sys
from numbers import Integral
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def show(frame: pd.DataFrame, *, json: bool = False, title: str | None = None, digits: int = 1) -> None:
    """Print a frame for people, or as JSON records."""
    if json:
        print(frame.to_json(orient="records", indent=2, force_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, header_style="bold", title_justify="left")
    for name in frame.columns:
        table.add_column(str(name), justify="right" if frame[name].dtype.kind in "fiu" else "left", overflow="fold")
    for row in frame.itertuples(index=False):
        table.add_row(*(_text(value, digits) for value in row))
    Console(width=None if sys.stdout.isatty() else 150).print(table)


def _text(value: Any, digits: int) -> str:
    import pandas as pd

    if pd.isna(value):
        return "-"
    if isinstance(value, float):
        return f"{value:,.{digits}f}"
    return f"{value:,}" if isinstance(value, Integral) and not isinstance(value, bool) else str(value)
