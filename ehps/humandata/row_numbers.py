"""Rows of a file as people name them: ``3,7,10-12``."""

from __future__ import annotations

import re

from ehps.errors import UsageError

_PART = re.compile(r"(\d+)(?:-(\d+))?")


def row_numbers(text: str, count: int) -> list[int]:
    """The rows that ``text`` names, in its order, each once; both ends of a range are among them.

    Parameters
    ----------
    count : of the rows there are, which are numbered from 0.

    Raises
    ------
    UsageError : no numbers and ranges, a range from a later to an earlier row, or rows that are not there.

    Examples
    --------
    >>> row_numbers("3,7,10-12", 20)
    [3, 7, 10, 11, 12]
    """
    rows: dict[int, None] = {}
    for part in text.split(","):
        found = _PART.fullmatch(part.strip())
        if found is None or len(part) > 40:
            raise UsageError(f"--rows has {part.strip()[:40]!r}, which is no row", fix="name rows as 3,7,10-12")
        first, last = int(found[1]), int(found[2] or found[1])
        if first > last:
            raise UsageError(f"--rows has {part.strip()}, whose end is before its beginning", fix="name rows as 10-12")
        if last >= count:
            there = f"whose rows are 0 to {count - 1:,}" if count else "which has none"
            raise UsageError(f"row {last} of a file of {count}, {there}")
        rows.update(dict.fromkeys(range(first, last + 1)))
    return list(rows)
