"""Sparse matrices and chumpy arrays in pickles, read without running scipy's or chumpy's code for pickles.

The released body models are Python 2 pickles full of chumpy (which no longer imports on current Python), and
their joint regressors are scipy matrices. Facts: the instance dictionaries these libraries write.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ehps.humandata.pickles.allowed import MAX_DENSE_BYTES, Allow, Array, Recorded, Resolver, refused

_AXES = {"csc": 1, "csr": 0}


def _entries(recorded: Recorded, resolve: Resolver) -> tuple[tuple[int, int], Array, Array, Array]:
    """Shape of a matrix, and values, rows and columns of its entries; those stored twice add up."""
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
    if len(data) and (np.min(rows) < 0 or np.min(columns) < 0):
        raise ValueError("negative indices")
    return (shape[0], shape[1]), data, rows, columns


def _dense(recorded: Recorded, resolve: Resolver) -> Array:
    shape, data, rows, columns = _entries(recorded, resolve)
    if math.prod(shape) * data.dtype.itemsize > MAX_DENSE_BYTES:
        raise ValueError(f"shape {shape}")
    resolve.spend(math.prod(shape) * data.dtype.itemsize)
    dense = np.zeros(shape, data.dtype)
    np.add.at(dense, (rows, columns), data)
    return dense


def _kept_sparse(recorded: Recorded, resolve: Resolver) -> Any:
    from scipy.sparse import csr_matrix

    shape, data, rows, columns = _entries(recorded, resolve)
    resolve.spend(8 * shape[0])
    return csr_matrix((data, (rows, columns)), shape)


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
KEPT_SPARSE = Allow("scipy sparse matrices", ("scipy.sparse.*",), _kept_sparse)
"""The same, read as ``csr_matrix``: for matrices that would fill the memory."""
CHUMPY = Allow("chumpy arrays", ("chumpy.*",), _chumpy)
