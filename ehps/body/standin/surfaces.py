"""Joining rows of vertices into closed surfaces: tubes, holes, seams. The stand-in's modelling kit.

A surface is grown from grids of vertices; open rims are found from the faces, so seams keep the orientation.
Every closed piece without handles has 2 V - 4 triangles whatever its grids are; that is how the body comes to
the exact counts of the licensed models.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ehps.arrays import Array


class Surface:
    """Vertices by number and triangles; counter-clockwise seen from outside.

    Attributes
    ----------
    points : (n, 3) places in the build that decides which vertices seams connect.
    faces : list of (m, 3) blocks.
    """

    def __init__(self) -> None:
        self.points = np.zeros((0, 3))
        self.faces: list[Array] = []

    def add(self, points: Array) -> Array:
        """Numbers, in the shape of ``points`` (..., 3) without its last axis."""
        start = len(self.points)
        self.points = np.concatenate([self.points, points.reshape(-1, 3)])
        return np.arange(start, len(self.points)).reshape(points.shape[:-1])

    def grid(self, points: Array, *, flip: bool = False, drop: Array | None = None) -> Array:
        """Number and connect the vertices of a tube: (rows, columns, 3), columns closed.

        Outside is (next column) x (next row), the other way round with ``flip``. Faces around vertices marked in
        ``drop`` (rows, columns) are left out; those numbers remain unused.
        """
        ids = self.add(points)
        self.strips(ids, flip=flip, drop=drop)
        return ids

    def strips(self, ids: Array, *, flip: bool = False, drop: Array | None = None) -> None:
        """Connect neighbouring rows of ``ids`` (rows, columns)."""
        a, b = ids[:-1], np.roll(ids, -1, 1)[:-1]
        d, c = ids[1:], np.roll(ids, -1, 1)[1:]
        if drop is not None:
            gone = np.isin(np.stack([a, b, c, d], -1), ids[drop]).any(-1)
            a, b, c, d = a[~gone], b[~gone], c[~gone], d[~gone]
        quads = np.stack([a, b, c, d], -1).reshape(-1, 4)
        if flip:
            quads = quads[:, ::-1]
        # The shorter diagonal makes the smoother surface.
        p = self.points[quads]
        first = ((p[:, 0] - p[:, 2]) ** 2).sum(1) <= ((p[:, 1] - p[:, 3]) ** 2).sum(1) * 1.0001
        self.faces.append(quads[first][:, [0, 1, 2]])
        self.faces.append(quads[first][:, [0, 2, 3]])
        self.faces.append(quads[~first][:, [0, 1, 3]])
        self.faces.append(quads[~first][:, [1, 2, 3]])

    def triangles(self) -> Array:
        return np.concatenate(self.faces)

    def rim(self, vertex: int) -> Array:
        """The open rim through ``vertex``, in the direction in which its faces run along it."""
        faces = self.triangles()
        edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        n = len(self.points)
        inner = np.isin(edges[:, 0] * n + edges[:, 1], edges[:, 1] * n + edges[:, 0])
        follow = dict(edges[~inner].tolist())
        loop = [vertex]
        while (after := follow[loop[-1]]) != vertex:
            loop.append(after)
        return np.array(loop)

    def cap(self, vertex: int, apex: Array) -> int:
        """Close the rim through ``vertex`` with a fan about a new vertex at ``apex`` (3,); its number."""
        loop, top = self.rim(vertex), int(self.add(apex))
        self.faces.append(np.stack([np.roll(loop, -1), loop, np.full(len(loop), top)], 1))
        return top

    def seam(self, one: int, other: int) -> None:
        """Join the rims through two vertices by a band of triangles, one per edge of either rim."""
        a, b = self.rim(one), self.rim(other)[::-1]
        b = np.roll(b, -int(np.argmin(((self.points[b] - self.points[a[0]]) ** 2).sum(1))))
        pa, pb = self.points[a], self.points[b]
        la, lb = _progress(pa), _progress(pb)
        # Keep in step by the share of the way round, and prefer short edges.
        i = j = 0
        band = []
        while i < len(a) or j < len(b):
            if j == len(b) or (i < len(a) and _advance_first(pa, pb, la, lb, i, j)):
                band.append((a[(i + 1) % len(a)], a[i % len(a)], b[j % len(b)]))
                i += 1
            else:
                band.append((b[j % len(b)], b[(j + 1) % len(b)], a[i % len(a)]))
                j += 1
        self.faces.append(np.array(band))


def _progress(points: Array) -> Array:
    step = np.linalg.norm(np.roll(points, -1, 0) - points, axis=1)
    return np.append(0, np.cumsum(step)) / step.sum()


def _advance_first(pa: Array, pb: Array, la: Array, lb: Array, i: int, j: int) -> bool:
    na, nb = len(pa), len(pb)
    forward = np.linalg.norm(pa[(i + 1) % na] - pb[j % nb])
    sideways = np.linalg.norm(pb[(j + 1) % nb] - pa[i % na])
    size = 0.5 * (forward + sideways) + 1e-12
    return bool(forward / size + 2.0 * (la[i + 1] - lb[j]) <= sideways / size + 2.0 * (lb[j + 1] - la[i]))


def neighbour_mean(faces: Array, count: int) -> Any:
    """Sparse (count, count) matrix whose product is the mean over each vertex's neighbours."""
    from scipy import sparse

    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.unique(np.concatenate([edges, edges[:, ::-1]]), axis=0)
    matrix = sparse.csr_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    return sparse.diags(1.0 / np.maximum(np.asarray(matrix.sum(1)).ravel(), 1)) @ matrix
