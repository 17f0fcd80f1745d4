"""Sparse matrices and chumpy arrays in pickles, read without what the pickle asks for of scipy and chumpy.

The released body models are Python 2 pickles full of chumpy (which no longer imports on current Python), and
their joint regressors are scipy matrices. Matrices between the vertices of two models stay sparse: a dense one takes a
gigabyte. Facts: the instance dictionaries these libraries write.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ehps.humandata.pickles.allowed import MAX_DENSE_BYTES, Allow, Array, Recorded, Resolver, refused

_AXES = {"csc": 1, "csr": 0}
MAX_ROWS = 10_000_000  # and columns, of a matrix that is kept sparse: each row takes memory too


@dataclass(frozen=True)
class _Entries:
    """Of a sparse matrix; those of one place add up."""

    shape: tuple[int, ...]
    rows: Array
    columns: Array
    data: Array


def _entries(recorded: Recorded, resolve: Resolver) -> _Entries:
    kind = recorded.name.rsplit(".", 1)[1]
    layout, _, rest = kind.partition("_")
    if rest not in ("matrix", "array") or layout not in ("csc", "csr", "coo"):
        raise refused(resolve.where, recorded.name)
    state = resolve(recorded.state)
    shape = tuple(int(n) for n in state.get("_shape", state.get("shape")))
    data = state["data"]
    if len(shape) != 2 or min(shape) < 0:
        raise ValueError(f"shape {shape}")
    if layout == "coo":
        rows, columns = state["coords"] if "coords" in state else (state["row"], state["col"])
    else:
        counts = np.diff(state["indptr"])
        if len(counts) != shape[_AXES[layout]] or (len(counts) and counts.min() < 0) or counts.sum() > len(data):
            raise ValueError("an index that does not belong to its data")
        major = np.repeat(np.arange(len(counts)), counts)
        n = len(major)
        data, minor = data[:n], state["indices"][:n]
        rows, columns = (minor, major) if _AXES[layout] == 1 else (major, minor)
    if data.dtype.kind not in "biufc" or any(index.dtype.kind not in "iu" for index in (rows, columns)):
        raise ValueError("entries or indices that are no numbers")
    if len(data) and (np.min(rows) < 0 or np.min(columns) < 0):
        raise ValueError("negative indices")
    return _Entries(shape, rows, columns, data)


def _dense(recorded: Recorded, resolve: Resolver) -> Array:
    found = _entries(recorded, resolve)
    nbytes = math.prod(found.shape) * found.data.dtype.itemsize
    if nbytes > MAX_DENSE_BYTES:
        raise ValueError(f"shape {found.shape}")
    resolve.spend(nbytes)
    dense = np.zeros(found.shape, found.data.dtype)
    np.add.at(dense, (found.rows, found.columns), found.data)
    return dense


def _kept(recorded: Recorded, resolve: Resolver) -> Any:
    from scipy.sparse import coo_matrix

    found = _entries(recorded, resolve)
    if max(found.shape) > MAX_ROWS:
        raise ValueError(f"shape {found.shape}")
    return coo_matrix((found.data, (found.rows, found.columns)), found.shape).tocsr()


def _chumpy(recorded: Recorded, resolve: Resolver) -> Any:
    state: Any = recorded.state
    if isinstance(state, tuple):  # (instance dictionary, slots)
        state = {key: value for part in state if part for key, value in part.items()}
    if not isinstance(state, dict):
        raise refused(resolve.where, recorded.name)
    if "x" in state:  # chumpy.ch.Ch
        return resolve(state["x"])
    if "idxs" in state:  # chumpy.reordering.Select: elements of another array
        picked = np.ravel(resolve(state["a"]))[np.asarray(resolve(state["idxs"]), dtype=np.intp)]
        shape = resolve(state.get("preferred_shape"))
        return picked if shape is None else picked.reshape(shape)
    raise refused(resolve.where, recorded.name)


SCIPY_SPARSE = Allow("scipy sparse matrices", ("scipy.sparse.*",), _dense)
KEPT_SPARSE = Allow("scipy sparse matrices", ("scipy.sparse.*",), _kept)
CHUMPY = Allow("chumpy arrays", ("chumpy.*",), _chumpy)
