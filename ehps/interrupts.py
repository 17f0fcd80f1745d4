"""Being asked to end: Ctrl-C, the SIGTERM of a cluster, the SIGUSR1 or SIGUSR2 that one sends before the time is over.

The first signal ends the work in order, the second at once. Work whose steps must not be cut asks between them.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2") if hasattr(signal, name))
ECHO = 1.0  # seconds in which a terminal, torchrun and a cluster may all pass on one and the same signal


class Interrupted(KeyboardInterrupt):
    """A signal has ended the work.

    Parameters
    ----------
    number : of the signal; the exit code is 128 more, as the shell has it.
    what : where the work was left, one sentence without a full stop.
    """

    def __init__(self, number: int, what: str = "interrupted; the same command goes on from here") -> None:
        super().__init__(what)
        self.number = number

    @property
    def exit_code(self) -> int:
        return 128 + self.number


class Signals:
    """The signals that have come since :func:`caught` began to listen."""

    def __init__(self) -> None:
        self.received = 0
        self._when = 0.0
        self._deferring = False

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Signals are only noted within the block, in ``received``."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False

    def _handle(self, number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if self.received and now - self._when < ECHO:
            return
        if self.received:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self.received, self._when = number, now
        if not self._deferring:
            raise Interrupted(number)


@contextmanager
def caught() -> Iterator[Signals]:
    """Listen for signals: each raises :class:`Interrupted`, where it is not deferred.

    Outside of the main thread, where Python gives no signals, none is ever received.
    """
    signals = Signals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    before = {number: signal.signal(number, signals._handle) for number in SIGNALS}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def ignore_in_worker(_: int = 0) -> None:
    """Let a process that loads images live until its parent ends: the parent decides when."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
