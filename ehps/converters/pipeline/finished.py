"""Outputs that are there already: whether one is what is asked for now, and whether it may be replaced.

``OUT.sources.gz`` beside an output says what it was made of: the request, and the raw files, folders and images with
their states then. Without it an output is converted again.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ehps.atomic import replacing
from ehps.converters.base import Converter
from ehps.converters.pipeline.conversion_request import differences, key_of
from ehps.converters.pipeline.parts import Part
from ehps.converters.pipeline.report import Report, report_path
from ehps.converters.pipeline.workers import Job
from ehps.converters.readers import opened
from ehps.converters.readers.images import ImageIndex
from ehps.errors import EhpsError, UsageError

CHOSEN = ("dataset", "split", "options", "limit")
"""What of a request decides which rows a file is meant to have."""
OVERWRITE = "name another file with --out, or pass --overwrite to replace it"


def sources_path(out: Path) -> Path:
    return out.with_name(f"{out.name}.sources.gz")


def save_sources(out: Path, request: Mapping[str, Any], parts: Iterable[Part], *, whole: bool) -> None:
    """Note what the output, which has just been written, was made of.

    Parameters
    ----------
    whole : False when units could not be read: the output is made again then, in case they can be by now.

    Raises
    ------
    DataError : it cannot be written.
    """
    if not whole:
        sources_path(out).unlink(missing_ok=True)
        return
    files: dict[str, str] = {}
    folders: dict[str, list[int]] = {}
    images: dict[str, dict[str, str]] = {}
    for part in parts:
        files |= part.files
        folders |= part.folders
        for folder, names in part.images.items():
            images.setdefault(folder, {}).update(names)
    noted = {"request": request, "file": _state(out), "files": files, "folders": folders, "images": images}
    with replacing(sources_path(out)) as temporary:
        temporary.write_bytes(gzip.compress(json.dumps(noted).encode(), 6, mtime=0))


def current_report(out: Path, request: Mapping[str, Any], job: Job) -> Report | None:
    """The report of an output that is there as it was written, for the same request, of raw data that have not changed
    since; None where it has to be made (again)."""
    noted = _noted(out)
    if noted is None or key_of(noted["request"]) != key_of(request):
        return None
    images = ImageIndex(job.converter.root, job.frames)
    if not opened.unchanged(noted["files"], cache(opened.state)):
        return None
    return Report.of_current(out) if images.unchanged(noted["folders"], noted["images"]) else None


def refuse_other(out: Path, converter: Converter, limit: int | None) -> None:
    """Refuse to replace a file that was not meant to have the rows that are asked for now.

    Raises
    ------
    UsageError : the file is of another dataset or split, of other options, of another limit, or of unknown origin.
    """
    if not out.exists():
        return
    wanted = {
        "dataset": converter.card.id,
        "split": converter.split,
        "options": dict(sorted(converter.options.items())),
        "limit": limit,
    }
    noted = _noted(out)
    found = {name: noted["request"].get(name) for name in CHOSEN} if noted is not None else _stated(out)
    if not found:
        raise UsageError("is there already, and is not known to be of a conversion", path=out, fix=OVERWRITE)
    if said := differences(found, {name: wanted[name] for name in found}):
        raise UsageError(f"is of another conversion ({said})", path=out, fix=OVERWRITE)


def _stated(out: Path) -> dict[str, Any]:
    """Dataset and split of a file whose request is not known, by its passport; of a damaged one by the report beside
    it."""
    from ehps.humandata import HumanData

    try:
        passport = HumanData.open(out).passport
        return {"dataset": passport.dataset, "split": passport.split}
    except EhpsError:
        pass
    try:
        report = json.loads(report_path(out).read_text(encoding="utf-8"))
        return {name: str(report[name]) for name in ("dataset", "split")}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _noted(out: Path) -> dict[str, Any] | None:
    try:
        noted = json.loads(gzip.decompress(sources_path(out).read_bytes()))
        return dict(noted) if noted["file"] == _state(out) and isinstance(noted["request"], dict) else None
    except (OSError, EOFError, ValueError, KeyError, TypeError, zlib.error):
        return None


def _state(out: Path) -> list[int]:
    """Size and time of the last change, which a file that was put in its place does not share."""
    status = out.stat()
    return [status.st_size, status.st_mtime_ns]
