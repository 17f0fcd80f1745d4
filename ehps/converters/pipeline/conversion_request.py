"""What a conversion was asked for, so that parts of one request are never joined into another's file."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import ehps
from ehps import imported_code
from ehps.converters.base import Unit
from ehps.converters.pipeline.workers import Job

PIPELINE = "ehps.converters.pipeline.workers"  # from raw unit to part; joining and reporting change no part
LISTED = 3


def code_of(converter: type) -> dict[str, str]:
    """Module -> hash of its code, for every module that the converter's parts depend on."""
    return imported_code.code_of(converter.__module__, PIPELINE)


def request_of(job: Job, units: Sequence[Unit]) -> dict[str, Any]:
    """JSON-able; equal requests have interchangeable parts.

    Raw files are not in it: each part remembers its own, so that one mended file costs the units that opened it.
    """
    converter = job.converter
    return {
        "dataset": converter.card.id,
        "split": converter.split,
        "options": dict(sorted(converter.options.items())),
        "root": str(converter.root.resolve()),
        "frames": None if job.frames is None else str(job.frames.resolve()),
        "limit": job.limit,
        "strict_images": job.strict_images,
        "strict": job.strict,
        "version": ehps.__version__,
        "code": code_of(type(converter)),
        "body_models": _models(job),
        "units": [[unit.name, str(unit.path), _digest(unit.data)] for unit in units],
    }


def key_of(request: Mapping[str, Any]) -> str:
    """Short hash of a request, the name of its folder of parts."""
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:12]


def differences(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """In what two requests differ: ``split test, now train; code (ehps.converters.datasets.pw3d)``."""
    before, after = _by_option(earlier), _by_option(now)
    found = []
    for name in dict.fromkeys([*after, *before]):
        one, other = before.get(name), after.get(name)
        title = name.replace("_", " ")
        if one == other:
            continue
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            changed = sorted(key for key in {*one, *other} if one.get(key) != other.get(key))
            more = ", ..." if len(changed) > LISTED else ""
            found.append(f"{title} ({', '.join(changed[:LISTED])}{more})")
        elif isinstance(one, list) and isinstance(other, list):
            found.append(f"{title} (other ones)" if len(one) == len(other) else f"{len(one)} {title}, now {len(other)}")
        else:
            found.append(f"{title} {_shown(one)}, now {_shown(other)}")
    return "; ".join(found)


def _by_option(request: Mapping[str, Any]) -> dict[str, Any]:
    """The request with an entry for each option."""
    rest = {name: value for name, value in request.items() if name != "options"}
    return {**rest, **{f"option {name}": value for name, value in request.get("options", {}).items()}}


def _shown(value: Any) -> str:
    if value is None:
        return "not given"
    return ("off", "on")[value] if isinstance(value, bool) else str(value)


def _digest(data: Any) -> str:
    """Hash of what a unit carries; addresses in memory are not part of it."""
    return hashlib.sha256(re.sub(r" at 0x[0-9a-f]+", "", repr(data)).encode()).hexdigest()


def _models(job: Job) -> dict[str, str]:
    model_type = job.converter.body_model
    models = None if job.bodies is None else job.converter.bodies(job.bodies)
    if models is None or model_type is None:
        return {}
    found = {}
    for path in models.files(model_type):
        status = path.stat()
        found[path.name] = _file_digest(path.resolve(), status.st_size, status.st_mtime_ns)
    return found


@cache
def _file_digest(path: Path, size: int, mtime_ns: int) -> str:
    """Hash of a file, taken again when its size or time changes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
