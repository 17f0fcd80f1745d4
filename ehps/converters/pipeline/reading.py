"""All units of a conversion: those that are finished, those that this process converts, those that others convert.

A unit whose process dies is tried again when nothing else is left to do, one such unit at a time, and named when its
process dies again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from ehps.converters.base import Unit
from ehps.converters.pipeline import backends, sharing
from ehps.converters.pipeline.backends import Lost
from ehps.converters.pipeline.parts import BadUnit, Part, PartsFolder
from ehps.converters.pipeline.workers import Job, Outcome
from ehps.converters.readers import opened
from ehps.converters.readers.images import ImageIndex
from ehps.errors import DataError
from ehps.progress import Advance, counting

POLL = 0.5  # seconds between looks at what other processes do
MOST_LOST = 3


@dataclass(frozen=True)
class Run:
    """What is to be read, where its parts are kept, and how many units are read at once.

    Attributes
    ----------
    scheduler : address of that of a running cluster, for the backends ``dask`` and ``ray``.
    group : ``(k, n)`` begins with the k-th of n groups of units, and leaves those that other processes have to them.
    """

    job: Job
    units: Sequence[Unit]
    parts: PartsFolder
    jobs: int
    backend: str
    progress: bool
    scheduler: str | None = None
    group: tuple[int, int] | None = None


@dataclass
class Done:
    """What became of the units.

    Attributes
    ----------
    parts : by index of all units; with a limit, of the first that suffice.
    bad : units that could not be read, by index.
    before : how many of the parts an earlier run had finished.
    gone : another process has joined the parts.
    """

    parts: dict[int, Part] = field(default_factory=dict)
    bad: dict[int, BadUnit] = field(default_factory=dict)
    before: int = 0
    gone: bool = False


def read_all(run: Run) -> Done:
    """Find the units that are finished, and read the others; with a limit, no more of them than may be needed.

    Raises
    ------
    DataError : a part cannot be written, or processes die before they have begun.
    BodyModelError : a body model is missing.
    """
    done = Done(_finished(run))
    earlier = {i for i, part in done.parts.items() if part.launch != run.parts.launch}
    title = f"{run.job.converter.card.id} {run.job.converter.split}: units"
    with counting(title, len(run.units), done=len(done.parts), show=run.progress) as advance:
        _read(run, done, _noting(run, done, advance))
    if (limit := run.job.limit) is not None:
        done.parts = {i: done.parts[i] for i in sorted(done.parts) if _rows_before(done.parts, i) < limit}
    done.before = len(earlier & set(done.parts))
    return done


def _read(run: Run, done: Done, note: Callable[[Outcome], None]) -> None:
    limit, parts, lost = run.job.limit, run.parts, 0
    while left := [i for i in range(len(run.units)) if i not in done.parts and i not in done.bad]:
        if limit is not None and _rows_before(done.parts, left[0]) >= limit:
            return
        if not parts.there:
            done.gone = True
            return
        held = sharing.claimed_units(parts)
        free = [i for i in left if i not in held or (not held[i].live and held[i].launch != parts.launch)]
        died = [i for i in left if i in held and i not in free and not held[i].live]
        count = len(done.parts) + len(done.bad)
        if limit is not None and sum(part.rows for part in done.parts.values()) >= limit:
            free = free[:1] if free[:1] == left[:1] else []
        if free:
            lost = lost + 1 if _some(run, _in_order(run, free), note) else 0
        elif died and (limit is None or died[0] == left[0]):
            _alone(run, died[0], note)
        _of_others(run, left, note)
        if lost >= MOST_LOST:
            raise DataError("worker processes end before they begin", path=parts.out, fix="look at what they print")
        if len(done.parts) + len(done.bad) == count:
            if run.group is not None and not died:
                return
            time.sleep(POLL)


def _in_order(run: Run, free: list[int]) -> list[int]:
    """Those to be read next."""
    if run.job.limit is not None:
        return free[: run.jobs if run.jobs > 0 else os.cpu_count() or 1]
    k, n = run.group or (0, 1)
    first = k * len(run.units) // n
    return [i for i in free if i >= first] + [i for i in free if i < first]


def _some(run: Run, indices: Sequence[int], note: Callable[[Outcome], None]) -> bool:
    """Convert units; whether processes have died of which none had begun with one."""
    lost = False
    for outcome in _outcomes(run, indices):
        if isinstance(outcome, Outcome):
            note(outcome)
        lost = lost or isinstance(outcome, Lost)
    return lost and not any(not claim.live for claim in sharing.claimed_units(run.parts).values())


def _outcomes(run: Run, indices: Sequence[int], jobs: int | None = None) -> Iterator[Outcome | Lost | None]:
    calls = [(run.job, run.parts, i, run.units[i]) for i in indices]
    here = run.backend not in backends.CLUSTERS
    if here and (run.jobs == 1 or len(run.units) == 1):
        return (sharing.convert_unit(*call) for call in calls)
    return backends.results(sharing.convert_unit, calls, jobs or run.jobs, run.backend, run.scheduler)


def _alone(run: Run, index: int, note: Callable[[Outcome], None]) -> None:
    """Convert a unit of which a process has died, when nobody on this machine converts another one."""
    with sharing.alone_claim(run.parts) as mine:
        if mine is None or any(claim.live and claim.here for claim in sharing.claimed_units(run.parts).values()):
            return
        for outcome in _outcomes(run, [index], jobs=1):
            if isinstance(outcome, Lost):
                bad = sharing.killed(run.parts, index, run.units[index], "also when it was the only one")
                outcome = Outcome(index, bad)
            if outcome is not None:
                note(outcome)


def _of_others(run: Run, left: Sequence[int], note: Callable[[Outcome], None]) -> None:
    """Note what other processes have converted, or could not read."""
    finished, bad = run.parts.noted("json"), run.parts.noted("bad")
    for i in left:
        if i in finished:
            note(Outcome(i))
        elif i in bad and (why := run.parts.load_bad(i, run.units[i])) is not None:
            note(Outcome(i, why))


def _noting(run: Run, done: Done, advance: Advance) -> Callable[[Outcome], None]:
    rows = sum(part.rows for part in done.parts.values())

    def note(outcome: Outcome) -> None:
        nonlocal rows
        if outcome.index in done.parts or outcome.index in done.bad:
            return
        if outcome.bad is not None:
            done.bad[outcome.index] = outcome.bad
        elif (part := run.parts.load(outcome.index, run.units[outcome.index])) is not None:
            done.parts[outcome.index] = part
            rows += part.rows
        elif run.parts.there:
            raise DataError("a part file that was just written is gone", path=run.parts.folder, fix="run again")
        else:
            return
        advance(1, note=f"{rows:,} instances")

    return note


def _finished(run: Run) -> dict[int, Part]:
    """Parts of units that are finished, by index, as far as those of earlier runs still hold; others are forgotten."""
    images = ImageIndex(run.job.converter.root, run.job.frames, run.parts.listings)
    state, found = cache(opened.state), {}
    for i in sorted(run.parts.noted("json")):
        part = run.parts.load(i, run.units[i]) if i < len(run.units) else None
        if part is not None and (
            part.launch == run.parts.launch or run.parts.holds(i, run.units[i], part, images, state)
        ):
            found[i] = part
        elif i < len(run.units):
            run.parts.forget(i, run.units[i])
    return found


def _rows_before(parts: Mapping[int, Part], index: int) -> int:
    return sum(part.rows for i, part in parts.items() if i < index)
