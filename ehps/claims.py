"""Who does a piece of work: a file in a folder, by which processes of any machine that share the disk keep apart.

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
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from ehps.atomic import lives, machine, started_at

BEAT = 10.0
LOST_AFTER = 120.0
MOST_ATTEMPTS = 3  # processes that may die of one piece of work in one launch
CLAIM = "claim"
STORED = ("host", "pid", "since", "device", "launch", "attempt")
_NAME = re.compile(r"(.+)-(\d{1,9})\.json")


@dataclass(frozen=True)
class Claim:
    """What a claim says of its owner.

    Attributes
    ----------
    host, pid : the process.
    since : when it was claimed, ISO 8601 in UTC.
    device : what it computes on, as ``CUDA_VISIBLE_DEVICES`` has it; empty for all that there are.
    launch : tells processes that were started to work together from others.
    attempt : how many processes of this launch have claimed the work, with this one; more than one where they died.
    live : whether its owner is at work; of a claim that was read.
    here : whether its owner is, or was, a process of this machine; of a claim that was read.
    """

    host: str
    pid: int
    since: str
    device: str
    launch: str
    attempt: int
    live: bool = True
    here: bool = True


def claimed(folder: Path, name: str = CLAIM) -> Claim | None:
    """The claim on a piece of work, live or stale; None where nobody does it."""
    numbers = _numbers(folder, name)
    return _read(folder, name, numbers[-1]) if numbers else None


def all_claimed(folder: Path) -> dict[str, Claim]:
    """All claims in a folder, live or stale, by their name."""
    found = {name: claimed(folder, name) for name in sorted({name for name, _ in _listed(folder)})}
    return {name: claim for name, claim in found.items() if claim is not None}


@contextmanager
def taken(folder: Path, launch: str, name: str = CLAIM, *, ends: bool = True) -> Iterator[Claim | None]:
    """Claim a piece of work for the block, None where another process has it.

    Parameters
    ----------
    folder : of the claim.
    name : of the work, where the folder has claims of several.
    ends : a process that has lost its claim (it was halted for longer than ``LOST_AFTER``, and another went on with
        the work) sends SIGTERM to itself; otherwise it is left to do the same work again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    got = _take(folder, launch, name)
    if got is None:
        yield None
        return
    path, claim = got
    stop = threading.Event()
    beating = threading.Thread(target=_beat, args=(path, stop, ends), daemon=True)
    beating.start()
    try:
        yield claim
    finally:
        stop.set()
        beating.join()
        with suppress(OSError):
            path.unlink()


def _take(folder: Path, launch: str, name: str) -> tuple[Path, Claim] | None:
    numbers = _numbers(folder, name)
    last = numbers[-1] if numbers else 0
    stale = _read(folder, name, last) if last else None
    if stale is not None and stale.live:
        return None
    attempt = stale.attempt + 1 if stale is not None and stale.launch == launch else 1
    device = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    claim = Claim(socket.gethostname(), os.getpid(), now, device, launch, attempt)
    owner = {"machine": machine(), "started": started_at(os.getpid())}
    facts = {name: value for name, value in vars(claim).items() if name in STORED}
    path = _path(folder, name, last + 1)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(json.dumps(facts | owner))
    except FileExistsError:
        return None
    if _numbers(folder, name)[-1:] != [last + 1] or (last and not _path(folder, name, last).exists()):
        path.unlink()  # what it takes over was taken over by another, which may be done with it
        return None
    for number in numbers:  # upwards: where one is gone, all below it are
        with suppress(OSError):
            _path(folder, name, number).unlink()
    return path, claim


def _beat(path: Path, stop: threading.Event, ends: bool) -> None:
    while not stop.wait(BEAT):
        try:
            os.utime(path)
        except FileNotFoundError:
            if ends:
                os.kill(os.getpid(), signal.SIGTERM)
            return
        except OSError:
            continue  # a disk that is away for a while


def _read(folder: Path, name: str, number: int) -> Claim | None:
    """None where it was released meanwhile. One that is only half written is told by its age alone."""
    path = _path(folder, name, number)
    try:
        touched = path.stat().st_mtime
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    try:
        facts = json.loads(text)
        here = facts["machine"] == machine()
        claim = Claim(**{field: facts[field] for field in STORED}, here=here)
        gone = here and not lives(int(claim.pid), int(facts["started"]))
    except (ValueError, TypeError, KeyError):
        claim, gone = Claim("", 0, "", "", "", 1, here=False), False
    return replace(claim, live=not gone and _now(folder) - touched < LOST_AFTER)


def _now(folder: Path) -> float:
    """The time that the disk gives to a file written now; this machine's where nothing can be written."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".now-") as file:
            file.write(b"0")
            file.flush()
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return time.time()


def _numbers(folder: Path, name: str) -> list[int]:
    return sorted(number for other, number in _listed(folder) if other == name)


def _listed(folder: Path) -> list[tuple[str, int]]:
    """Name and number of each claim in a folder."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return [(found[1], int(found[2])) for name in names if (found := _NAME.fullmatch(name))]


def _path(folder: Path, name: str, number: int) -> Path:
    return folder / f"{name}-{number}.json"
