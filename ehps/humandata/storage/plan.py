"""What a file will hold: the plan of its columns, texts in canonical form, and the hash of the content.

The hash says whether two files hold the same instances: it covers column names, types, shapes and bytes, the names
of keypoints and the passport, and depends neither on the order of columns nor on how texts were coded in memory.
Columns count under the names of the first version, so that a hash that was written down stays that of its content.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ehps.arrays import Array
from ehps.errors import DataError
from ehps.humandata.storage.former_names import former
from ehps.humandata.strings import Strings
from ehps.humandata.table import Column, Table

BLOCK_BYTES = 16 << 20  # rows are handled in blocks of about this size: memory stays bounded


@dataclass(frozen=True)
class Spec:
    """One column of a file: little-endian dtype and trailing shape; ``text`` columns hold int32 codes."""

    dtype: np.dtype[Any]
    tail: tuple[int, ...]
    text: bool = False

    @property
    def row_bytes(self) -> int:
        return self.dtype.itemsize * math.prod(self.tail)


@dataclass(frozen=True)
class Plan:
    """All columns of a file in stored order, its number of rows, and the names of its keypoints."""

    specs: dict[str, Spec]
    length: int
    keypoint_names: dict[str, tuple[str, ...]]

    @property
    def row_bytes(self) -> int:
        return sum(spec.row_bytes for spec in self.specs.values())


def spec_of(name: str, column: Column) -> Spec:
    """
    Raises
    ------
    DataError : a column of Python objects, complex numbers or dates.
    """
    if isinstance(column, Strings):
        return Spec(np.dtype(np.int32), (), text=True)
    if column.dtype.kind not in "biuf" or column.dtype.itemsize > 8 or column.ndim == 0:
        raise DataError(
            f"column {name} holds {column.dtype} of shape {column.shape}, which cannot be stored",
            fix="store numbers or texts, one row an instance",
        )
    return Spec(column.dtype.newbyteorder("<"), column.shape[1:])


def plan_of(parts: Iterable[Table], columns: Sequence[str] | None = None) -> Plan:
    """The plan of all rows of ``parts``; of their keypoint columns the union of points.

    Raises
    ------
    DataError : a part lacks a column, or has it in another shape or as text instead of numbers.
    """
    specs: dict[str, Spec] = {}
    points: dict[str, dict[str, None]] = {}
    length, first = 0, True
    for part in parts:
        path = part.source
        names = part.columns if columns is None else [name for name in part.columns if name in set(columns)]
        head = part[:0]  # shape and type of every column without reading rows
        here = {name: spec_of(name, head[name]) for name in names}
        if not first and (len(part) == 0) != (length == 0):
            if len(part) == 0:
                continue
            specs, points, first = {}, {}, True  # only empty parts so far: they need not know the columns
        if not first and set(here) != set(specs):
            raise DataError(_different_columns(set(specs), set(here)), path=path, fix="convert it again")
        for name, spec in here.items():
            if name in part.keypoint_names:
                points.setdefault(name, {}).update(dict.fromkeys(part.keypoint_names[name]))
            specs[name] = spec if first else _common(name, specs[name], spec, name in points, path)
        length, first = length + len(part), False
    keypoint_names = {name: tuple(names) for name, names in points.items()}
    for name, names in keypoint_names.items():
        specs[name] = Spec(specs[name].dtype, (len(names), *specs[name].tail[1:]))
    return Plan(specs, length, keypoint_names)


def _different_columns(known: set[str], here: set[str]) -> str:
    lacking, extra = sorted(known - here), sorted(here - known)
    differences = [f"lacks {', '.join(lacking)}"] if lacking else []
    differences += [f"has also {', '.join(extra)}"] if extra else []
    return f"its columns differ from those of the parts before: it {' and '.join(differences)}"


def _common(name: str, a: Spec, b: Spec, points: bool, path: Path | None) -> Spec:
    if a.text != b.text or (a.tail[points:] != b.tail[points:]):
        raise DataError(f"column {name} has rows of {_words(b)} here and of {_words(a)} in the parts before", path=path)
    return Spec(np.result_type(a.dtype, b.dtype), b.tail, a.text)


def _words(spec: Spec) -> str:
    return "text" if spec.text else f"shape {spec.tail}"


def blocks(hd: Table) -> Iterator[Table]:
    """``hd`` cut into pieces of bounded size."""
    head = hd[:0]
    row_bytes = sum(spec_of(name, head[name]).row_bytes for name in head.columns)
    step = max(1, BLOCK_BYTES // max(1, row_bytes))
    for start in range(0, len(hd), step):
        yield hd[start : start + step]


def aligned(name: str, block: Table, plan: Plan) -> Column:
    """A column of ``block`` with dtype and points as the plan has them."""
    column: Column = block[name]
    spec = plan.specs[name]
    if isinstance(column, Strings):
        return column
    names, wanted = block.keypoint_names.get(name), plan.keypoint_names.get(name)
    if names == wanted or names is None or wanted is None:
        return np.ascontiguousarray(column, spec.dtype)
    out = np.zeros((len(column), *spec.tail), spec.dtype)
    out[:, [wanted.index(point) for point in names]] = column
    return out


class Texts:
    """Codes texts in order of first appearance, over any number of blocks."""

    def __init__(self) -> None:
        self._seen: dict[bytes, int] = {}

    def codes(self, column: Strings) -> npt.NDArray[np.int32]:
        used, first, inverse = np.unique(column.codes, return_index=True, return_inverse=True)
        new = np.zeros(len(used), np.int32)
        for i in np.argsort(first, kind="stable"):
            word = column.vocabulary.encoded(int(used[i]))
            new[i] = self._seen.setdefault(word, len(self._seen))
        return new[inverse]

    def vocabulary(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        offsets = np.zeros(len(self._seen) + 1, np.int64)
        np.cumsum([len(word) for word in self._seen], out=offsets[1:])
        return np.frombuffer(b"".join(self._seen), np.uint8), offsets


Sink = Callable[[str, Array, int], None]


def stream(
    parts: Iterable[Table], plan: Plan, sink: Sink | None = None, advance: Callable[[int], None] | None = None
) -> tuple[dict[str, str], dict[str, Texts]]:
    """Pass all rows, block by block, to ``sink(column, values, first row)``; ``advance`` is told the rows of each.

    Returns
    -------
    digests : column -> SHA-256 of its bytes; of texts: codes, then vocabulary.
    texts : text column -> its coder, holding the whole vocabulary.
    """
    hashes = {name: hashlib.sha256() for name in plan.specs}
    texts = {name: Texts() for name, spec in plan.specs.items() if spec.text}
    start = 0
    for part in parts:
        for block in blocks(part):
            for name in plan.specs:
                column = aligned(name, block, plan)
                values = texts[name].codes(column) if isinstance(column, Strings) else column
                hashes[name].update(values.reshape(-1).view(np.uint8).data)
                if sink is not None:
                    sink(name, values, start)
            start += len(block)
            if advance is not None:
                advance(len(block))
    for name, coder in texts.items():
        for values in coder.vocabulary():
            hashes[name].update(values.tobytes())
    return {name: found.hexdigest() for name, found in hashes.items()}, texts


def combined(digests: Mapping[str, str], plan: Plan, passport: Mapping[str, Any]) -> str:
    """The content hash of a file from the digests of its columns and its passport as JSON has it."""
    content = {
        "instances": plan.length,
        "columns": {
            former(name): [spec.dtype.str, [plan.length, *spec.tail], spec.text, digests[name]]
            for name, spec in plan.specs.items()
        },
        "keypoint_names": plan.keypoint_names,
        "passport": dict(passport),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def digest(hd: Table) -> str:
    """Content hash of an open or made object, equal to the one stored with it when it is saved."""
    plan = plan_of([hd])
    return combined(stream([hd], plan)[0], plan, hd.passport.to_dict())
