"""Who makes a cell: a file in its run folder, by which processes of any machine that share the disk keep apart.

The owner touches its claim every few seconds. A claim of this machine whose process is gone, and one that nobody has
touched for ``LOST_AFTER`` seconds, is stale, and whoever comes next takes it over. Claims are numbered: a claim is
taken over by creating the next number, which one process only can, and never by removing that of another.
Times are those of the disk, so that the clocks of machines need not agree.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ehps.atomic import lives, machine, started_at

BEAT = 10.0
LOST_AFTER = 120.0
_NAME = re.compile(r"claim-(\d{1,9})\.json")


@dataclass(frozen=True)
class Claim:
    """What a claim says of its owner.

    Attributes
    ----------
    host, pid : the process.
    since : when it was claimed, ISO 8601 in UTC.
    device : what it computes on, as ``CUDA_VISIBLE_DEVICES`` has it; empty for all that there are.
    launch : of the ``ehps benchmark run`` that it belongs to.
    attempt : how many processes of this launch have claimed the cell, with this one; more than one where they died.
    live : whether its owner is at work; of a claim that was read.
    """

    host: str
    pid: int
    since: str
    device: str
    launch: str
    attempt: int
    live: bool = True


def claimed(folder: Path) -> Claim | None:
    """The claim on a run folder, live or stale; None where nobody makes it."""
    numbers = _numbers(folder)
    return _read(folder, numbers[-1]) if numbers else None


@contextmanager
def taken(folder: Path, launch: str) -> Iterator[Claim | None]:
    """Claim a run folder for the block, None where another process has it.

    A process that has lost its claim (it was halted for longer than ``LOST_AFTER``, and another went on with the cell)
    sends SIGTERM to itself.
    """
    folder.mkdir(parents=True, exist_ok=True)
    got = _take(folder, launch)
    if got is None:
        yield None
        return
    number, claim = got
    stop = threading.Event()
    beating = threading.Thread(target=_beat, args=(folder, number, stop), daemon=True)
    beating.start()
    try:
        yield claim
    finally:
        stop.set()
        beating.join()
        with suppress(OSError):
            _path(folder, number).unlink()


def _take(folder: Path, launch: str) -> tuple[int, Claim] | None:
    numbers = _numbers(folder)
    last = numbers[-1] if numbers else 0
    stale = _read(folder, last) if last else None
    if stale is not None and stale.live:
        return None
    attempt = stale.attempt + 1 if stale is not None and stale.launch == launch else 1
    device = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    claim = Claim(socket.gethostname(), os.getpid(), now, device, launch, attempt)
    owner = {"machine": machine(), "started": started_at(os.getpid())}
    facts = {name: value for name, value in vars(claim).items() if name != "live"}
    try:
        with _path(folder, last + 1).open("x", encoding="utf-8") as file:
            file.write(json.dumps(facts | owner))
    except FileExistsError:
        return None
    if _numbers(folder)[-1:] != [last + 1] or (last and not _path(folder, last).exists()):
        _path(folder, last + 1).unlink()  # what it takes over was taken over by another, which may be done with it
        return None
    for number in numbers:  # upwards: where one is gone, all below it are
        with suppress(OSError):
            _path(folder, number).unlink()
    return last + 1, claim


def _beat(folder: Path, number: int, stop: threading.Event) -> None:
    while not stop.wait(BEAT):
        try:
            os.utime(_path(folder, number))
        except FileNotFoundError:
            os.kill(os.getpid(), signal.SIGTERM)
            return
        except OSError:
            continue  # a disk that is away for a while


def _read(folder: Path, number: int) -> Claim | None:
    """None where it was released meanwhile. One that is only half written is told by its age alone."""
    path = _path(folder, number)
    try:
        touched = path.stat().st_mtime
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    try:
        facts = json.loads(text)
        names = ("host", "pid", "since", "device", "launch", "attempt")
        claim = Claim(**{name: facts[name] for name in names})
        gone = facts["machine"] == machine() and not lives(int(claim.pid), int(facts["started"]))
    except (ValueError, TypeError, KeyError):
        claim, gone = Claim("", 0, "", "", "", 1), False
    return Claim(**{**vars(claim), "live": not gone and _now(folder) - touched < LOST_AFTER})


def _now(folder: Path) -> float:
    """The time that the disk gives to a file written now; this machine's where nothing can be written."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".now-") as file:
            file.write(b"0")
            file.flush()
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return time.time()


def _numbers(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    return sorted(int(found[1]) for name in os.listdir(folder) if (found := _NAME.fullmatch(name)))


def _path(folder: Path, number: int) -> Path:
    return folder / f"claim-{number}.json"
