"""HDF5 files, opened so that nothing but their own bytes can come out of them.

HDF5 lets a file name others: external links lead into other HDF5 files, external storage and virtual datasets take
numbers from any file that the reader may read, and filters or links of a user's own are code from a plug-in. Data
files need none of these, so a file that has one is refused before anything of it is read. Soft links stay in the file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ehps.errors import DataError, UnsafeFileError
from ehps.foreign_files import check_unfolded, regular

if TYPE_CHECKING:
    import h5py

FILTERS = frozenset((1, 2, 3, 4, 5, 6, 32000))
"""Those that HDF5 and h5py bring along: deflate, shuffle, fletcher32, szip, nbit, scale-offset, lzf."""

MAX_DEPTH = 64
_FIX = "get the file again from its publisher, with its numbers in it"


@contextmanager
def opened(path: str | Path) -> Iterator[h5py.File]:
    """An HDF5 file for reading, all of whose numbers are its own.

    No lock is taken: it protects only against writers in place, which there are none of, and fails on many clusters.

    Raises
    ------
    UnsafeFileError : it names other files or a plug-in.
    DataError : it is no regular file, or declares far more than it can hold.
    OSError : of h5py, where it is no whole HDF5 file.
    """
    import h5py

    path = regular(path)
    with h5py.File(path, "r", locking=False) as file:
        check(file, path)
        yield file


def check(file: h5py.File, path: Path) -> None:
    """Go through all links and datasets of an open file; nothing of their content is read.

    Raises
    ------
    UnsafeFileError : one leads out of the file or needs a plug-in.
    DataError : groups nested without end, or sizes that the file cannot hold.
    """
    from h5py import h5d, h5g, h5l, h5o

    stored = path.stat().st_size
    seen: set[int] = set()
    unfolded = 0
    todo: list[tuple[Any, str, int]] = [(h5g.open(file.id, b"/"), "", 0)]
    while todo:
        group, above, depth = todo.pop()
        names: list[bytes] = []
        group.links.iterate(names.append)
        for name in names:
            link = group.links.get_info(name)
            where = f"{above}{name.decode('utf-8', 'backslashreplace')}"
            if link.type == h5l.TYPE_SOFT:
                continue
            if link.type != h5l.TYPE_HARD:
                kind = "an external link" if link.type == h5l.TYPE_EXTERNAL else "a link of a kind of its own"
                raise UnsafeFileError(f"refused: {where!r} is {kind}, which leads to another file", path=path, fix=_FIX)
            if link.u in seen:
                continue
            seen.add(link.u)
            found = h5o.open(group, name)
            if isinstance(found, h5d.DatasetID):
                if size := _checked_size(found, where, path, stored):
                    unfolded += size
                    check_unfolded(unfolded, stored, path)
            elif isinstance(found, h5g.GroupID):
                if depth == MAX_DEPTH:
                    raise DataError(f"its groups are nested more than {MAX_DEPTH} deep", path=path, fix=_FIX)
                todo.append((found, f"{where}/", depth + 1))


def _checked_size(dataset: Any, where: str, path: Path, stored: int) -> int:
    """Bytes that a dataset takes beyond those it has in the file."""
    from h5py import h5d

    if dataset.get_offset() is not None:  # one stretch of this file, neither packed nor elsewhere
        return 0
    plan = dataset.get_create_plist()
    layout = plan.get_layout()
    if layout == h5d.VIRTUAL:
        raise UnsafeFileError(f"refused: {where!r} is a virtual dataset, of other files", path=path, fix=_FIX)
    if plan.get_external_count():
        name = plan.get_external(0)[0].decode("utf-8", "backslashreplace")
        raise UnsafeFileError(f"refused: the numbers of {where!r} are in another file ({name!r})", path=path, fix=_FIX)
    for i in range(plan.get_nfilters()):
        if (code := plan.get_filter(i)[0]) not in FILTERS:
            raise UnsafeFileError(f"refused: {where!r} needs a plug-in (filter {code})", path=path, fix=_FIX)
    itemsize = dataset.get_type().get_size()
    if layout == h5d.CHUNKED:
        check_unfolded(math.prod(plan.get_chunk()) * itemsize, stored, path)
    return math.prod(dataset.shape) * itemsize
