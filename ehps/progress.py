"""How far a long task is: a bar in a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EVERY = 30.0  # seconds between the lines of a log


@contextmanager
def counting(title: str, total: int, *, show: bool = True) -> Iterator[Callable[[int], None]]:
    """A function to call with how many more of ``total`` are done; printed on the standard error stream.

    Parameters
    ----------
    title : what is being done: ``checking images``.
    show : print nothing when false.
    """
    if not show:
        yield lambda count: None
    elif sys.stderr.isatty():
        with _bar(title, total) as advance:
            yield advance
    else:
        log = _Log(title, total)
        yield log.advance
        log.end()


@contextmanager
def _bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=total)
        yield lambda count: progress.update(task, advance=count)


class _Log:
    """Lines ``checking images: 12,000 of 45,000``; none where all is done before the first is due."""

    def __init__(self, title: str, total: int) -> None:
        self.title, self.total, self.done = title, total, 0
        self.said, self.due = False, time.monotonic() + EVERY

    def advance(self, count: int) -> None:
        self.done += count
        if time.monotonic() >= self.due:
            self._say()

    def end(self) -> None:
        if self.said:
            self._say()

    def _say(self) -> None:
        print(f"{self.title}: {self.done:,} of {self.total:,}", file=sys.stderr, flush=True)
        self.said, self.due = True, time.monotonic() + EVERY
