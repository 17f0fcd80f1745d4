"""How far a long task is: bars in a terminal, a line with the time now and then in a log.

What takes long says so by :func:`over`, :func:`counting` and :func:`stage`. Nothing is printed unless the program
wants it, as the command line does (:func:`shown`), or the caller (``show=True``).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from ehps.terminal import HINTS, escaped, in_colour, line

if TYPE_CHECKING:
    from rich.progress import Progress

EVERY = 30.0  # seconds between the lines of a log
EVERY_VERBOSE = 5.0

T = TypeVar("T")
Advance = Callable[..., None]
"""Call it with how many more are done, and with ``note=`` what to say beside it."""


class _Wanted:
    """What the program wants to see, and the bars on the screen, which share one display."""

    on = False
    quiet = False
    verbose = False
    bars: Progress | None = None
    open = 0


@contextmanager
def shown(*, quiet: bool = False, verbose: bool = False) -> Iterator[None]:
    """Print progress while in here: none of it, or lines of each task's end too."""
    before = _Wanted.on, _Wanted.quiet, _Wanted.verbose
    _Wanted.on, _Wanted.quiet, _Wanted.verbose = not quiet, quiet, verbose and not quiet
    HINTS.shown = not quiet
    try:
        yield
    finally:
        _Wanted.on, _Wanted.quiet, _Wanted.verbose = before
        HINTS.shown = not _Wanted.quiet


def is_quiet() -> bool:
    """Whether only results and errors are to be printed."""
    return _Wanted.quiet


def over(items: Iterable[T], title: str, total: int | None = None, *, show: bool | None = None) -> Iterator[T]:
    """``items``, one after the other, counted.

    Parameters
    ----------
    title : what is being done: ``checking images``.
    total : how many there are, where they do not say it themselves.
    show : print it; as the program wants it by default.
    """
    known = total if total is not None else len(items) if isinstance(items, Sized) else None
    with counting(title, known, show=show) as advance:
        for item in items:
            yield item
            advance(1)


@contextmanager
def counting(title: str, total: int | None, *, done: int = 0, show: bool | None = None) -> Iterator[Advance]:
    """A function to call with how many more of ``total`` are done; printed on the standard error stream.

    Parameters
    ----------
    title : what is being done: ``checking images``.
    total : how many there are; None where nobody knows.
    done : how many are done already.
    show : print it; as the program wants it by default.
    """
    if not _visible(show):
        yield lambda count, note="": None
        return
    log = _Log(title, total, done)
    if sys.stderr.isatty():
        with _bar(title, total, done) as update:

            def advance(count: int, note: str = "") -> None:
                log.count(count, note)
                update(count, note)

            yield advance
    else:
        yield log.advance
    log.end()


@contextmanager
def stage(title: str, *, show: bool | None = None) -> Iterator[None]:
    """Say that a part of the work begins: ``cell 3 of 30: training on bedlam``; tasks in here belong to it."""
    if not _visible(show):
        yield
        return
    started = time.monotonic()
    if sys.stderr.isatty():
        with _bar(title, None, 0):
            yield
    else:
        _say(title)
        yield
    if _Wanted.verbose:
        _say(f"{title}: done in {duration(time.monotonic() - started)}")


def begun(what: str) -> None:
    """Say that a part of the work begins, in a line that stays."""
    if _visible(None):
        line(f"      {what}", err=True)


def duration(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _visible(show: bool | None) -> bool:
    return not _Wanted.quiet and (_Wanted.on if show is None else show)


@contextmanager
def _bar(title: str, total: int | None, done: int) -> Iterator[Callable[[int, str], None]]:
    """A bar below those that are there already."""
    progress = _Wanted.bars or _display()
    _Wanted.bars, _Wanted.open = progress, _Wanted.open + 1
    far = "" if total is None else f"{done:,} of {total:,}"
    task = progress.add_task(escaped(title), total=total, completed=done, far=far, note="")

    def update(count: int, note: str) -> None:
        nonlocal done
        done += count
        far = f"{done:,}" if total is None else f"{done:,} of {total:,}"
        progress.update(task, completed=done, far=far, note=escaped(note))

    try:
        yield update
    finally:
        progress.remove_task(task)
        _Wanted.open -= 1
        if not _Wanted.open:
            progress.stop()
            _Wanted.bars = None


def _display() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns: tuple[Any, ...] = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[far]}"),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True, no_color=not in_colour(sys.stderr))
    progress = Progress(*columns, console=console, transient=True)
    progress.start()
    return progress


def _say(text: str) -> None:
    if _Wanted.bars is not None:
        _Wanted.bars.console.print(f"{time.strftime('%H:%M:%S')} {escaped(text)}", highlight=False)
    else:
        line(f"{time.strftime('%H:%M:%S')} {text}", err=True)


class _Log:
    """Lines ``12:30:05 checking images: 12,000 of 45,000, 3 min left``; none where all is done before one is due."""

    def __init__(self, title: str, total: int | None, done: int) -> None:
        self.title, self.total, self.done, self.note = title, total, done, ""
        self.first, self.started, self.said = done, time.monotonic(), False
        self.due = self.started + self._every()

    def count(self, count: int, note: str = "") -> None:
        self.done += count
        self.note = note or self.note

    def advance(self, count: int, note: str = "") -> None:
        self.count(count, note)
        if (now := time.monotonic()) >= self.due:
            self.said, self.due = True, now + self._every()
            _say(f"{self._far()}{self._left(now)}")

    def end(self) -> None:
        if self.said or _Wanted.verbose:
            _say(f"{self._far()}, {duration(time.monotonic() - self.started)}")

    def _every(self) -> float:
        return min(EVERY, EVERY_VERBOSE) if _Wanted.verbose else EVERY

    def _far(self) -> str:
        far = f": {self.done:,}" if self.total or self.done else ""
        of = "" if self.total is None else f" of {self.total:,}"
        return f"{self.title}{far}{of if far else ''}{', ' * bool(self.note)}{self.note}"

    def _left(self, now: float) -> str:
        new = self.done - self.first
        if self.total is None or not 0 < new <= self.total - self.first:
            return ""
        return f", {duration((now - self.started) * (self.total - self.done) / new)} left"
