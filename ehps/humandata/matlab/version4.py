"""Variables of MATLAB files of version 4: real and complex matrices, and text.

A variable is five integers of 4 bytes (order of bytes and kind of number, rows, columns, whether there are imaginary
parts, length of the name), its name, and its numbers by column. Source: MathWorks, MAT-File Format.
"""

from __future__ import annotations

from pathlib import Path
from struct import unpack
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ehps.errors import DataError
from ehps.humandata.matlab.version5 import PLAIN, DamagedError

NUMBERS = ("f8", "f4", "i4", "i2", "u2", "u1")
FULL, TEXT, SPARSE = range(3)
MAX_NAME = 128


def read(file: BinaryIO, path: Path, wanted: list[str]) -> dict[str, npt.NDArray[Any]]:
    """Those of the wanted variables that are there.

    Raises
    ------
    DamagedError : the file is not as its format asks.
    DataError : a wanted variable is sparse, which is not read.
    """
    found: dict[str, npt.NDArray[Any]] = {}
    stored = path.stat().st_size
    order = "<" if int.from_bytes(file.read(4), "little") <= 5000 else ">"
    at = 0
    while at < stored:
        file.seek(at)
        if len(head := file.read(20)) < 20:
            raise DamagedError(f"it ends within the first 20 bytes of the variable at byte {at}")
        code, rows, columns, is_complex, length = unpack(f"{order}5i", head)
        machine, unused, number, kind = (code // power % 10 for power in (1000, 100, 10, 1))
        if not 0 <= code < 2000 or unused or number >= len(NUMBERS) or kind > SPARSE or machine != (order == ">"):
            raise DamagedError(f"the variable at byte {at} is of type {code}")
        if min(rows, columns) < 0 or is_complex not in (0, 1) or not 0 < length <= MAX_NAME:
            raise DamagedError(f"the variable at byte {at} has {rows} x {columns} numbers and {length} bytes of name")
        name = file.read(length).strip(b"\0").decode("latin-1")
        dtype = np.dtype(order + NUMBERS[number])
        size = rows * columns * dtype.itemsize
        at += 20 + length
        end = at + size * (1 + is_complex)
        if end > stored:
            raise DamagedError(f"the last {end - stored} bytes of {name} are not there")
        if name in wanted and name not in found:
            if kind == SPARSE:
                raise DataError(f"{name} is a sparse array, which is not read", path=path, fix=PLAIN)
            data = file.read(end - at)
            parts = [np.ndarray((rows, columns), dtype, data, i * size, order="F") for i in range(1 + is_complex)]
            values = parts[0] + parts[1] * 1j if is_complex else parts[0].copy()
            found[name] = _joined(values, name) if kind == TEXT else values
        at = end
    return found


def _joined(codes: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """(rows,) strings of letters (rows, columns)."""
    if codes.dtype.kind == "c" or not ((codes >= 0) & (codes < 256)).all():
        raise DamagedError(f"{name} is said to be a text, but not all of it are letters")
    return np.array([row.tobytes().decode("latin-1") for row in codes.astype("u1")], "U")
