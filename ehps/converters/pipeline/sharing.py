"""Processes of any machine that share the disk convert into one output together.

Who comes first opens the folder of parts, and who comes while others are at work joins them: all have one ``launch``.
Each claims a unit before it converts it (:mod:`ehps.claims`), so that none is converted twice, unless its process dies.
The last one to find all units done joins them, with a claim too. Those of another request for the same output are
refused as long as anybody works on this one.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ehps import claims
from ehps.atomic import write_error
from ehps.converters.base import Unit
from ehps.converters.pipeline.conversion_request import key_of
from ehps.converters.pipeline.parts import CLAIMS, LAUNCH, LOCK, BadUnit, PartsFolder, parts_root
from ehps.converters.pipeline.workers import Job, Outcome, OutputError, run_unit
from ehps.errors import DataError
from ehps.file_locks import in_turn

KILLED = "the process that converted it was ended by the system {}, most likely for want of memory"
ADVICE = "give it more memory (--slurm mem_gb=64 on a cluster), or leave the unit out with --skip-bad"


def entrance(out: Path) -> AbstractContextManager[None]:
    """Where processes see, one after another, what is there and who is at work on it.

    Raises
    ------
    DataError : the folder of parts cannot be made.
    """
    return in_turn(parts_root(out) / LOCK)


def refuse_others(out: Path, request: Mapping[str, Any]) -> None:
    """
    Raises
    ------
    DataError : another conversion is writing there.
    """
    for name, claim in _at_work(parts_root(out) / CLAIMS).items():
        if not name.startswith(f"{key_of(request)}."):
            what = f"another conversion is writing this file (process {claim.pid} on {claim.host})"
            raise DataError(what, path=out, fix="wait for it to end")


@contextmanager
def at_work(out: Path, request: Mapping[str, Any], launch: str | None = None) -> Iterator[PartsFolder]:
    """Be one of the processes that convert what is asked for. To be entered at the :func:`entrance`.

    Parameters
    ----------
    launch : of processes that were started together; what they have noted is kept when none of them is at work.

    Raises
    ------
    DataError : the disk is full or may not be written.
    """
    key, folder = key_of(request), parts_root(out) / CLAIMS
    others = [claim for claim in _at_work(folder).values() if claim.launch]
    token = secrets.token_hex(8)
    parts = PartsFolder(out, key, others[0].launch if others else launch or token)
    new = not others and (launch is None or parts.last_launch != launch)
    if new:
        shutil.rmtree(folder, ignore_errors=True)
    parts.prepare(request, new=new, launch=launch)
    with ExitStack() as stack:
        try:
            stack.enter_context(claims.taken(folder, parts.launch, f"{key}.process.{token}", ends=False))
        except OSError as error:
            raise write_error(error, folder) from error
        yield parts


def leave(out: Path) -> None:
    """Remove the folder of all parts where nobody needs it any more."""
    with entrance(out):
        tidy(out)


def tidy(out: Path) -> None:
    """Remove the claims where nobody is at work, and the folder of all parts where no request has any; for within the
    :func:`entrance`."""
    root = parts_root(out)
    if not _at_work(root / CLAIMS):
        if not any(root.glob(f"*/{LAUNCH}")):  # whose processes are not over yet
            shutil.rmtree(root / CLAIMS, ignore_errors=True)
        if {path.name for path in root.iterdir()} <= {LOCK}:
            shutil.rmtree(root, ignore_errors=True)


def is_alone(parts: PartsFolder) -> bool:
    """Whether no other process is at work on the output."""
    return sum(".process." in name for name in _at_work(parts.claims)) < 2


def join_claim(parts: PartsFolder) -> AbstractContextManager[claims.Claim | None]:
    """To join the parts; None while another does."""
    return claims.taken(parts.claims, parts.launch, f"{parts.key}.join", ends=False)


def alone_claim(parts: PartsFolder) -> AbstractContextManager[claims.Claim | None]:
    """To convert a unit of which a process has died; None while another has one, whichever it is."""
    return claims.taken(parts.claims, parts.launch, f"{parts.key}.alone", ends=False)


def claimed_units(parts: PartsFolder) -> dict[int, claims.Claim]:
    """Claims on units by their index; those of this launch that are not live are of processes that have died."""
    start = f"{parts.key}.unit."
    found = claims.all_claimed(parts.claims)
    return {int(name.removeprefix(start)): claim for name, claim in found.items() if name.startswith(start)}


def convert_unit(job: Job, parts: PartsFolder, index: int, unit: Unit) -> Outcome | None:
    """Convert one unit; None when another process is at it.

    Raises
    ------
    OutputError : the part file cannot be written.
    BodyModelError : a body model is missing; every unit would need it.
    """
    if parts.is_finished(index, unit):
        return Outcome(index)
    if not parts.there:
        return None
    with claims.taken(parts.claims, parts.launch, f"{parts.key}.unit.{index:05d}", ends=False) as claim:
        if claim is None:
            return None
        if not parts.there:
            return None
        if parts.is_finished(index, unit):
            return Outcome(index)
        if bad := parts.load_bad(index, unit):
            return Outcome(index, bad)
        if claim.attempt > claims.MOST_ATTEMPTS:
            return Outcome(index, killed(parts, index, unit, f"{claim.attempt - 1} times"))
        try:
            outcome = run_unit(job, parts, index, unit)
        except OutputError:
            if parts.there and not parts.is_finished(index, unit):
                raise
            return None  # the others were quicker: they have joined, and taken the folder away
        if outcome.bad is not None:
            parts.save_bad(index, unit, outcome.bad)
        return outcome


def killed(parts: PartsFolder, index: int, unit: Unit, when: str) -> BadUnit:
    """Note that the processes that convert a unit die of it.

    Parameters
    ----------
    when : ``3 times``, ``also when it was alone``.
    """
    bad = BadUnit(unit.name, str(unit.path), f"{KILLED.format(when)} ({ADVICE})")
    parts.save_bad(index, unit, bad)
    return bad


def _at_work(folder: Path) -> dict[str, claims.Claim]:
    return {name: claim for name, claim in claims.all_claimed(folder).items() if claim.live}
