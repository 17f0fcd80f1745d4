"""Reading pickles and pickled numpy files of other people without running anything in them.

A HumanData file, a body model or a raw dataset from elsewhere is a program when opened with ``pickle`` or
``numpy.load(allow_pickle=True)``. These readers take data only: builtin containers, texts, numbers and numpy arrays,
and, where the caller names them, scipy sparse matrices, chumpy arrays, pandas frames and torch tensors.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ehps.errors import DataError
from ehps.foreign_files import regular
from ehps.humandata.pickles.allowed import Allow
from ehps.humandata.pickles.npy_files import Npz, load_npy, load_npz
from ehps.humandata.pickles.pandas_frames import PANDAS
from ehps.humandata.pickles.sparse_and_chumpy import CHUMPY, KEPT_SPARSE, SCIPY_SPARSE
from ehps.humandata.pickles.torch_tensors import TORCH
from ehps.humandata.pickles.unpickler import load

__all__ = [
    "CHUMPY",
    "KEPT_SPARSE",
    "PANDAS",
    "SCIPY_SPARSE",
    "TORCH",
    "Allow",
    "Npz",
    "load_npy",
    "load_npz",
    "load_pickle",
]


def load_pickle(
    source: str | Path | bytes | BinaryIO,
    *,
    allow: Sequence[Allow] = (),
    encoding: str = "latin1",
    where: str | None = None,
) -> Any:
    """Plain data from a pickle of any protocol.

    Parameters
    ----------
    source : a path, the bytes themselves, or a binary file (read from where it stands).
    allow : further kinds of data: ``SCIPY_SPARSE`` and ``CHUMPY`` give dense numpy arrays, ``TORCH`` numpy arrays
        whatever device they were on, ``PANDAS`` a DataFrame or Series.
    encoding : of Python 2 strings.
    where : what to call the source in messages; the path if there is one.

    Returns
    -------
    Dicts, lists, tuples, sets, texts, numbers, numpy arrays and scalars (object arrays hold the same).

    Raises
    ------
    UnsafeFileError : the pickle names anything else; nothing was run and nothing is returned.
    DataError : the file is missing, truncated or not a pickle.
    """
    if isinstance(source, bytes):
        return load(io.BytesIO(source), where or "pickle", allow=allow, encoding=encoding)
    if isinstance(source, str | Path):
        path = regular(source)
        try:
            with path.open("rb") as file:
                return load(file, where or str(path), allow=allow, encoding=encoding)
        except OSError as error:
            raise DataError(f"cannot be opened: {error.strerror}", path=path) from None
    name = where or str(getattr(source, "name", "pickle"))
    return load(source, name, allow=allow, encoding=encoding)
