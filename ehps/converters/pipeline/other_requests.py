"""Finished units of other requests for the same output: said, kept, and removed only when this is asked for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ehps.atomic import write_error
from ehps.converters.pipeline.conversion_request import differences, key_of
from ehps.converters.pipeline.parts import FINISHED, OWN, REQUEST, parts_root


@dataclass(frozen=True)
class OtherParts:
    """Parts that the present request cannot use.

    Attributes
    ----------
    paths : the request's folder, or the files of an earlier version, which had no folders.
    units : how many units are finished.
    differs : in what the request differs from the present one.
    """

    folder: Path
    paths: list[Path]
    units: int
    differs: str

    def remove(self) -> None:
        for path in self.paths:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def keep_or_discard(out: Path, request: Mapping[str, Any], discard: bool) -> list[str]:
    """A sentence on the finished units of each other request; those without any are removed.

    Raises
    ------
    DataError : something cannot be removed.
    """
    said = []
    for parts in _others(out, request):
        units = f"{parts.units} finished unit{'s' * (parts.units != 1)} of another request ({parts.differs})"
        try:
            if discard or not parts.units:
                parts.remove()
        except OSError as error:
            raise write_error(error, parts.folder) from error
        if parts.units and discard:
            said.append(f"discarded: {units}")
        elif parts.units:
            said.append(f"kept in {parts.folder}: {units}; --discard removes them")
    return said


def _others(out: Path, request: Mapping[str, Any]) -> list[OtherParts]:
    root = parts_root(out)
    paths = sorted(path for path in root.iterdir() if path.name not in (*OWN, key_of(request)))
    found = [
        OtherParts(path, [path], _finished(path), _differences(path / REQUEST, request))
        for path in paths
        if path.is_dir()
    ]
    files = [path for path in paths if not path.is_dir()]
    if files:
        found.append(OtherParts(root, files, _finished(root), "written by an earlier version of ehps"))
    return found


def _finished(folder: Path) -> int:
    return len(list(folder.glob(FINISHED)))


def _differences(written: Path, request: Mapping[str, Any]) -> str:
    try:
        return differences(json.loads(written.read_text(encoding="utf-8")), request)
    except (OSError, ValueError):
        return "its request.json cannot be read"
