"""People who are in two label files: a file that was copied under another number or name gives everybody in it twice.

One person is annotated once, so that rows of two files with the same image, box and place of the body are copies. Rows
that one file has twice are left as the dataset has them: an audit names them (``ehps humandata audit``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from ehps.arrays import Array, Mask
from ehps.humandata.table import Table

REPEATED = "in another label file too, with the same image, box and body"
MODELS = ("smplx", "smplh", "smpl")
SAME = ("bbox_xywh", *(f"{model}/{name}" for model in MODELS for name in ("transl", "global_orient")))
FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, so that nothing is lost


def first_copies(tables: Callable[[], Iterable[Table]], files: Sequence[Path]) -> tuple[list[Mask], list[str]]:
    """Which rows no file before has, and what to call the others, with both files.

    Eight bytes a row are kept, and three times as many while they are compared.

    Parameters
    ----------
    tables : gives the parts, in order, at each call.
    files : labels that each part is made of.

    Returns
    -------
    kept : (N,) for each part; none where nothing is repeated.
    names : of the repeated rows.
    """
    numbers = {path: number for number, path in enumerate(dict.fromkeys(files))}
    if len(numbers) < 2:
        return [], []
    keys = [_keys(table) for table in tables()]
    file = np.repeat([numbers[path] for path in files], [len(own) for own in keys])
    found, first, group = np.unique(np.concatenate(keys), return_index=True, return_inverse=True)
    if len(found) == len(file):
        return [], []
    again = (file != file[first[group]]) & np.concatenate([_boxed(table) for table in tables()])
    if not again.any():
        return [], []
    kept = np.split(~again, np.cumsum([len(own) for own in keys])[:-1])
    sources = iter(file[first[group]][again].tolist())
    paths = list(numbers)
    names = [
        f"{_called(path)} {image} (as in {_called(paths[next(sources)])})"
        for path, table, rows in zip(files, tables(), kept, strict=True)
        for image in (table["image_path"][np.flatnonzero(~rows)] if not rows.all() else ())
    ]
    return kept, names


def _boxed(table: Table) -> Mask:
    """(N,) rows with a box; of others nothing says whether they are one person."""
    if "bbox_xywh" not in table:
        return np.zeros(len(table), bool)
    return np.asarray(table["bbox_xywh"][:, 4] > 0)


def _called(path: Path) -> str:
    return "/".join(path.parts[-2:])


def _keys(table: Table) -> Array:
    """(N,) uint64 that are equal where image, box and place of the body are."""
    paths = table["image_path"]
    images = [hash(paths.vocabulary[k]) for k in range(len(paths.vocabulary))]
    keys = np.array(images, np.int64).view(np.uint64)[paths.codes]
    for name in SAME:
        if name in table:
            numbers = np.ascontiguousarray(table[name], np.float32).reshape(len(table), -1).view(np.uint32)
            for column in numbers.T:
                keys = (keys ^ column) * FACTOR
                keys ^= keys >> np.uint64(29)
    return keys
