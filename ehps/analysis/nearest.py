"""Distances between rows of two arrays and nearest neighbours, in blocks: never more than a few megabytes at once.

Squared distances come from one matrix product a block, of centred rows. Their rounding is 1e-16 of the squared size of
a row, so a distance below 1e-7 of that size counts as zero (:func:`slack`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ehps.arrays import Array

BLOCK = 500_000
"""Distances at a time: 4 megabytes, which stay in the processor's cache."""


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
    for rows, partial, own in _partial(a, b):
        partial += own[:, None]
        yield rows, np.maximum(partial, 0, out=partial)


def _partial(a: Array, b: Array) -> Iterator[tuple[slice, Array, Array]]:
    """Rows of ``a``, (n, M) |b|^2 - 2 a b, and (n,) |a|^2: their sum is the squared distance.

    The order of neighbours is that of the first alone: one pass less over the largest array.
    """
    middle = b.mean(axis=0)
    a, b = a - middle, b - middle
    right = np.concatenate([-2 * b, np.einsum("md,md->m", b, b)[:, None]], axis=1).T
    left = np.concatenate([a, np.ones((len(a), 1))], axis=1)
    own = np.einsum("nd,nd->n", a, a)
    each = max(1, BLOCK // max(1, len(b)))
    for start in range(0, len(a), each):
        rows = slice(start, start + each)
        yield rows, left[rows] @ right, own[rows]


def slack(a: Array, b: Array) -> float:
    """Below this two distances between rows of these are the same but for rounding."""
    middle = b.mean(axis=0)
    largest = max(float(np.abs(rows - middle).max(initial=0)) for rows in (a, b))
    return 1e-7 * largest * float(np.sqrt(a.shape[1]))


def nearest_distance(a: Array, b: Array) -> Array:
    """(N,) distance of each row of ``a`` to the nearest row of ``b``."""
    out = np.empty(len(a))
    for rows, partial, own in _partial(a, b):
        out[rows] = np.sqrt(np.maximum(partial.min(axis=1) + own, 0))
    return out


def neighbour_distances(rows: Array, places: Sequence[int]) -> Array:
    """(K, N) distances of each row to its k-th neighbours among the others, for the K numbers k in ``places``.

    Raises
    ------
    ValueError : there are no such neighbours.
    """
    if not 1 <= min(places) <= max(places) < len(rows):
        raise ValueError(f"neighbours {tuple(places)} among {len(rows)} rows")
    out = np.empty((len(places), len(rows)))
    for here, partial, own in _partial(rows, rows):
        # A row is itself the nearest, so its k-th neighbour is at place k.
        partial.partition(sorted(set(places)), axis=1)
        out[:, here] = np.sqrt(np.maximum(partial[:, list(places)].T + own, 0))
    return out
