"""Files of which there is one a frame or a person: one of many that cannot be used costs its own rows only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ehps.arrays import Mask
from ehps.converters.base import ODD_ROWS, drop
from ehps.converters.readers import OTHER, fields
from ehps.errors import DataError, UnsafeFileError

Content = TypeVar("Content")


def read_each(
    paths: Sequence[Path],
    read: Callable[[Path], Content],
    reason: str,
    dropped: dict[str, list[str]],
    root: Path,
    alike: Sequence[str] = (),
    rows: int | Sequence[int] = 1,
) -> tuple[list[Content], Mask]:
    """What ``read`` makes of those of N files that can be used, in their order, and (N,) which these are.

    The rows of the others are counted under ``reason``, by file and what is wrong with it.

    Parameters
    ----------
    root : folder of the dataset; files are named relative to it.
    alike : names of values that must be in all files, of one shape, or in none, where ``read`` gives values by name;
        the shape that most files have is right.
    rows : how many come from a file, or from each of the N: its people times the cameras that see them.

    Raises
    ------
    DataError : more than half cannot be used.
    UnsafeFileError : a file asks for code.
    """
    found: dict[int, Content] = {}
    odd: dict[int, DataError] = {}
    for k, path in enumerate(paths):
        try:
            found[k] = read(path)
        except UnsafeFileError:
            raise
        except DataError as error:
            odd[k] = error
    for name in alike:
        shapes = {k: _shape(content, name) for k, content in found.items()}
        for usual, _ in Counter(shapes.values()).most_common(1):
            for k, shape in shapes.items():
                if shape != usual:
                    odd[k] = DataError(_unlike(name, found.pop(k), usual), path=paths[k], fix=OTHER)
    if len(odd) > ODD_ROWS * len(paths):
        first = odd[min(odd)]
        share = f" ({len(odd)} of {len(paths)} such files cannot be used)" if len(paths) > 1 else ""
        raise DataError(first.what + share, path=first.path, fix=first.fix)
    each = [rows] * len(paths) if isinstance(rows, int) else rows
    names = {k: f"{_below(Path(odd[k].path or paths[k]), root)}: {odd[k].what}" for k in sorted(odd)}
    drop(dropped, reason, [name for k, name in names.items() for _ in range(each[k])])
    keep = np.ones(len(paths), bool)
    keep[list(odd)] = False
    return [found[k] for k in sorted(found)], keep


def _shape(content: Any, name: str) -> tuple[int, ...] | None:
    return np.shape(content[name]) if name in content else None


def _unlike(name: str, content: Any, usual: tuple[int, ...] | None) -> str:
    if name not in content:
        return f"has no {name}, which most such files have"
    if usual is None:
        return f"has {name}, which most such files have not"
    return f"{name} is {fields.described(content[name])}, in most such files {' x '.join(map(str, usual))}"


def _below(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
