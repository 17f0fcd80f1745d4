"""What a conversion was asked for, so that parts of one request are never joined into another's file."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ehps
from ehps.converters.base import Unit
from ehps.converters.pipeline.workers import Job

CODE = ("body", "converters", "humandata")  # packages whose code decides the numbers


def request_of(job: Job, units: Sequence[Unit]) -> dict[str, Any]:
    """JSON-able; equal requests have interchangeable parts.

    Raw files of single units are not in it: each part remembers its own, so that one mended file costs one unit.
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
        "version": ehps.__version__,
        "code": _code(type(converter)),
        "body_models": _models(job),
        "shared_files": _shared(job),
        "units": [[unit.name, str(unit.path), _digest(unit.data)] for unit in units],
    }


def _digest(data: Any) -> str:
    """Hash of what a unit carries; addresses in memory are not part of it."""
    return hashlib.sha256(re.sub(r" at 0x[0-9a-f]+", "", repr(data)).encode()).hexdigest()


def _code(cls: type) -> str:
    """Hash of the source that decides the numbers, the converter's own file included."""
    digest = hashlib.sha256()
    package = Path(ehps.__file__).parent
    files = [path for name in CODE for path in sorted((package / name).rglob("*.py"))]
    own = inspect.getsourcefile(cls)
    for path in [*files, *([Path(own)] if own else [])]:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _models(job: Job) -> dict[str, str]:
    from ehps.body.models import BodyModels

    model_type = job.converter.body_model
    if job.bodies is None or model_type is None:
        return {}
    found = {}
    for path in BodyModels(job.bodies).files(model_type):
        with path.open("rb") as file:
            found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _shared(job: Job) -> dict[str, list[int]]:
    """Size and modification time of the single files that the card names (split lists, calibrations)."""
    card, root = job.converter.card, job.converter.root
    needs = (*card.needs, *card.split_needs.get(job.converter.split, ()))
    names = {name.strip() for need in needs for name in need.split("|") if "*" not in name}
    found = {}
    for name in sorted(names):
        if (root / name).is_file():
            status = (root / name).stat()
            found[name] = [status.st_size, status.st_mtime_ns]
    return found
