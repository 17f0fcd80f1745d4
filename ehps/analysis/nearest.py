"""Distances between rows of two arrays and nearest neighbours, in blocks: never more than a few megabytes at once.

Squared distances come from one matrix product a block, of centred rows. Their rounding is 1e-16 of the squared size of
a row, so a distance below 1e-7 of that size counts as zero (:func:`slack`).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ehps.arrays import Array

BLOCK = 2_000_000
"""Distances at a time: 16 megabytes."""


def squared_distances(a: Array, b: Array) -> Array:
    """(N, M) squared distances between (N, D) and (M, D)."""
    middle = b.mean(axis=0)
    a, b = a - middle, b - middle
    out = a @ (-2 * b.T)
    out += np.einsum("nd,nd->n", a, a)[:, None]
    out += np.einsum("nd,nd->n", b, b)
    return np.asarray(np.maximum(out, 0, out=out))


def blocks(a: Array, b: Array) -> Iterator[tuple[slice, Array]]:
    """Rows of ``a``, and their (n, M) squared distances to ``b``."""
    each = max(1, BLOCK // max(1, len(b)))
    for start in range(0, len(a), each):
        rows = slice(start, start + each)
        yield rows, squared_distances(a[rows], b)


def slack(a: Array, b: Array) -> float:
    """Below this two distances between rows of these are the same but for rounding."""
    middle = b.mean(axis=0)
    largest = max(float(np.abs(rows - middle).max(initial=0)) for rows in (a, b))
    return 1e-7 * largest * float(np.sqrt(a.shape[1]))


def nearest_distance(a: Array, b: Array) -> Array:
    """(N,) distance of each row of ``a`` to the nearest row of ``b``."""
    out = np.empty(len(a))
    for rows, squared in blocks(a, b):
        out[rows] = np.sqrt(squared.min(axis=1))
    return out


def neighbour_distance(rows: Array, k: int) -> Array:
    """(N,) distance of each row to its k-th neighbour among the others.

    Raises
    ------
    ValueError : there are not more than ``k`` rows.
    """
    if not 1 <= k < len(rows):
        raise ValueError(f"no {k}-th neighbour among {len(rows)} rows")
    out = np.empty(len(rows))
    for here, squared in blocks(rows, rows):
        # A row is itself the nearest, so its k-th neighbour is at place k.
        out[here] = np.sqrt(np.partition(squared, k, axis=1)[:, k])
    return out
