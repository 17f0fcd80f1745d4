"""Where the file of a test is now: where the run found it, seen from the run folder, or in a folder of data that is
named, by its name or by its content."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ehps.benchmark.suites.runs import Run, content_hash
from ehps.errors import DataError, EhpsError
from ehps.humandata.merged_images import default_folder
from ehps.moved_files import place_of

SUFFIXES = (".h5", ".npz")


def test_file(run: Run, place: dict[str, Any], data: Path | None) -> Path:
    """The file that predictions of a run were made for.

    Parameters
    ----------
    place : as the manifest notes it: ``data``, ``images``, ``content``.
    data : the file, or a folder to look for it in.

    Raises
    ------
    DataError : it is not there, or is another file now.
    """
    if data is not None and data.is_dir():
        return _in_folder(data, Path(place["data"]).name, place["content"])
    path = data or place_of("data", place, run.folder)
    if not path.is_file():
        raise DataError("is not there any more", path=path, fix="name its folder or the file with --data")
    if content_hash(path) != place["content"]:
        raise DataError("has changed since the predictions were made", path=path, fix="evaluate again")
    return path


def test_images(run: Run, place: dict[str, Any], data: Path) -> Path:
    """The folder of the test's images, or its packed crops: where the run found it, else what the test file says."""
    folder = place_of("images", place, run.folder)
    return folder if folder.exists() else default_folder(data)


def _in_folder(folder: Path, name: str, content: str) -> Path:
    """The file of this content; those of its name are looked at first."""
    files = sorted(_files(folder), key=lambda path: (path.name != name, path))
    for path in files:
        if path.suffix == ".npz" and path.name != name:
            continue  # its hash is that of all its bytes
        try:
            if content_hash(path) == content:
                return path
        except EhpsError:
            continue  # damaged, or of another kind
    what = f"has none of its {len(files)} files the content of {name}, which the predictions were made for"
    raise DataError(what, path=folder, fix="name another folder, or evaluate again")


def _files(folder: Path) -> Iterator[Path]:
    for suffix in SUFFIXES:
        yield from folder.rglob(f"*{suffix}")


def by_name(folder: Path) -> dict[str, Path]:
    """HumanData files below a folder by their names; of several of one name the one that is least deep.

    Raises
    ------
    DataError : no such folder.
    """
    if not folder.is_dir():
        raise DataError("no such folder", path=folder)
    files = sorted(_files(folder), key=lambda path: (len(path.parts), path), reverse=True)
    return {path.name: path for path in files}
