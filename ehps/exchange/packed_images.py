"""Images that come inside another file, put into a folder: each at its path, and none outside of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ehps.arrays import Array
from ehps.atomic import replacing
from ehps.errors import DataError
from ehps.humandata import image_files
from ehps.humandata.image_checks import check_size
from ehps.humandata.image_files import ImageFolder


def packed(path: Path, stated: Array) -> bytes:
    """The bytes of an image that is put into another file; of a video's frame those of a PNG.

    Parameters
    ----------
    stated : (2,) height and width as its rows say, 0 where they do not.

    Raises
    ------
    DataError : it cannot be read, or is of another size.
    """
    data = image_files.read_for_others(path)
    if stated.all():
        check_size(image_files.size_of(data, path), stated, path)
    return data


def unpack(images: Iterable[tuple[str, bytes | None]], folder: Path, source: Path) -> None:
    """Write images below ``folder``; those that are there already with the same bytes are left as they are.

    Parameters
    ----------
    images : path below the folder, and the bytes of the file.
    source : the file that they come from, for messages.

    Raises
    ------
    OutsideError : a path leads out of the folder.
    DataError : another image is at its place, an image has no bytes, or the disk is full.
    """
    inside = ImageFolder(folder)
    last: tuple[str, bytes | None] = ("", None)
    for name, content in images:
        if (name, content) == last:  # several persons of one image
            continue
        last = (name, content)
        if content is None:
            raise DataError(f"has no bytes of the image {name}", path=source, fix="leave out --images")
        place = inside.below(name)
        if place.is_file():
            if place.stat().st_size == len(content) and place.read_bytes() == content:
                continue
            raise DataError(
                f"is another image than {name} in {source}", path=place, fix="name a new folder as --images"
            )
        with replacing(place, lasting=False) as temporary:
            temporary.write_bytes(content)
