"""The software rasteriser: what is seen of triangle meshes of several people, in numpy alone.

A triangle is a few rows of pixels, a row a span between two edges: rows, spans and fragments of all triangles are
arrays, and one 64-bit maximum a pixel (inverse depth above the number of the face) says what is seen.
:mod:`ehps.body.rendering` paints it. Pixel centres are at integer coordinates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ehps.arrays import Array

NEAR = 0.05
"""Metres; triangles with a corner nearer than that are not drawn."""

SMALLEST = 1e-6  # twice the area, square pixels: what is less covers no pixel's centre
CHUNK = 1 << 14  # rows, fragments or pixels at a time: what fits into a core's cache
_BITS = 62  # of a fragment's key


@dataclass(frozen=True, eq=False)
class Layers:
    """What is seen in every pixel.

    Attributes
    ----------
    person : (H, W) int32, index of the person, -1 where there is none.
    depth : (H, W) float32 z in metres, infinite where there is nobody.
    face : (H, W) int32 index into the faces of that person, -1 where there is none.
    """

    person: Array
    depth: Array
    face: Array


def rasterize(pixels: Array, depth: Array, faces: Array, size: tuple[int, int]) -> Layers:
    """Who and what is seen in each pixel.

    Parameters
    ----------
    pixels : (P, V, 2) where the camera sees the vertices; see :func:`ehps.body.cameras.project`.
    depth : (P, V) z of the vertices, metres.
    faces : (F, 3), counter-clockwise seen from outside; those turned away, nearer than 5 cm, without an area or with a
        corner that is not finite are not drawn.
    size : height, width in pixels.
    """
    scene = visible(pixels, depth, np.asarray(faces), size)
    seen = scene.key > 0
    number = scene.numbers(scene.key)
    z = np.full(size, np.inf, np.float32)
    z[seen] = 1 / scene.inverse(scene.key[seen])
    count = max(len(faces), 1)
    person, face = (np.where(seen, part, -1).astype(np.int32) for part in (number // count, number % count))
    return Layers(person, z, face)


@dataclass(frozen=True, eq=False)
class Triangles:
    """Triangles that face the camera and may cover the centre of a pixel.

    Attributes
    ----------
    face : (T,) their numbers.
    x, y : (3, T) corners, pixels.
    area : (T,) twice the area, negative.
    """

    face: Array
    x: Array
    y: Array
    area: Array

    def planes(self, corners: Array) -> Array:
        """(3, T) value at pixel 0, 0 and changes along x and y of what is ``corners`` (3, T) and changes evenly."""
        (x0, x1, x2), (y0, y1, y2) = self.x, self.y
        u, v = (corners[1] - corners[0]) / self.area, (corners[2] - corners[0]) / self.area
        along_x = u * (y2 - y0) - v * (y1 - y0)
        along_y = v * (x1 - x0) - u * (x2 - x0)
        return np.stack([corners[0] - along_x * x0 - along_y * y0, along_x, along_y])


@dataclass(frozen=True, eq=False)
class Scene:
    """What is seen in every pixel.

    Attributes
    ----------
    key : (H, W) int64, inverse depth in fixed point above the number of the face; 0 where nothing is seen. Faces of the
        second person are numbered after those of the first.
    bits : of the number.
    unit : 1 / z of the smallest step in depth.
    people : the triangles of each person.
    """

    key: Array
    bits: int
    unit: float
    people: list[Triangles]

    def inverse(self, key: Array) -> Array:
        """1 / z, float32."""
        return (key >> self.bits).astype(np.float32) * np.float32(self.unit)

    def numbers(self, key: Array) -> Array:
        return key & ((1 << self.bits) - 1)


def visible(pixels: Array, depth: Array, faces: Array, size: tuple[int, int]) -> Scene:
    """The nearest face of every pixel.

    A key is linear along a row of a triangle, so that those of all fragments come from one multiplication and addition.
    """
    bits = (len(pixels) * len(faces)).bit_length()
    scene = Scene(np.zeros(size, np.int64), bits, 1 / NEAR / (1 << (_BITS - bits)), [])
    corners = np.ascontiguousarray(faces.T)
    flat = scene.key.ravel()
    for person, (xy, z) in enumerate(zip(pixels, depth, strict=True)):
        triangles = _triangles(xy, z, corners, size)
        inverse = triangles.planes(1 / np.asarray(z, np.float64)[corners[:, triangles.face]] / scene.unit)
        number = triangles.face + person * len(faces)
        for pixel, key in _fragments(triangles, inverse, number, bits, size):
            np.maximum.at(flat, pixel, key)
        scene.people.append(triangles)
    return scene


def _triangles(xy: Array, z: Array, corners: Array, size: tuple[int, int]) -> Triangles:
    """The triangles of a mesh, whose vertices are numbered in ``corners`` (3, F)."""
    x, y = (np.take(np.asarray(xy[:, k], np.float64), corners) for k in range(2))
    near = ~(np.asarray(z) > NEAR)
    with np.errstate(invalid="ignore", over="ignore"):
        area = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0])
        drawn = (area < -SMALLEST) & np.isfinite(area)
    if near.any():
        drawn &= ~near[corners].any(axis=0)
    kept = np.flatnonzero(drawn)
    x, y, area = x[:, kept], y[:, kept], area[kept]
    inside = np.ones(len(kept), bool)
    for place, end in ((x, size[1] - 1), (y, size[0] - 1)):
        low, high = ends(place)
        inside &= (high >= 0) & (np.ceil(low) <= np.minimum(np.floor(high), end))
    return Triangles(kept[inside], x[:, inside], y[:, inside], area[inside])


def ends(place: Array) -> tuple[Array, Array]:
    """Least and most (T,) of the three corners (3, T)."""
    a, b, c = place
    return np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)


def _fragments(
    t: Triangles, inverse: Array, number: Array, bits: int, size: tuple[int, int]
) -> Iterator[tuple[Array, Array]]:
    """Pixel index and key of what the triangles cover.

    A triangle is cut at its middle corner. Triangles that share an edge compute it from the same end, so that no pixel
    falls between them.

    Parameters
    ----------
    inverse : (3, T) planes of 1 / z in the key's units.
    number : (T,) of the faces, ``bits`` bits.
    """
    (x_top, y_top), (x_mid, y_mid), (x_low, y_low) = _downwards(t.x, t.y)
    long = _line(x_top, y_top, x_low, y_low)
    upper, lower = _line(x_top, y_top, x_mid, y_mid), _line(x_mid, y_mid, x_low, y_low)
    first, cut, last = np.ceil(y_top), np.ceil(y_mid), np.floor(y_low) + 1
    middle_left = (x_mid - x_top) * (y_low - y_top) < (x_low - x_top) * (y_mid - y_top)
    for short, begin, end in ((upper, first, cut), (lower, cut, last)):
        begin, end = (a.clip(0, size[0]).astype(np.int64) for a in (begin, end))
        rows = np.maximum(end - begin, 0)
        left, right = np.where(middle_left, short, long), np.where(middle_left, long, short)
        table = np.concatenate([left, right, inverse])  # 7 x T
        some = np.flatnonzero(rows)
        table, begin, rows, mine = table[:, some], begin[some], rows[some], number[some]
        for part in _chunks(rows):
            yield from _half(table[:, part], begin[part], rows[part], mine[part], bits, size)


def _downwards(x: Array, y: Array) -> list[tuple[Array, Array]]:
    """x and y (T,) of the upper, middle and lower corners of (3, T)."""
    corners = [(x[k], y[k]) for k in range(3)]
    for i, j in ((0, 1), (1, 2), (0, 1)):
        (xi, yi), (xj, yj) = corners[i], corners[j]
        swap = yj < yi
        corners[i] = np.where(swap, xj, xi), np.where(swap, yj, yi)
        corners[j] = np.where(swap, xi, xj), np.where(swap, yi, yj)
    return corners


def _line(x0: Array, y0: Array, x1: Array, y1: Array) -> Array:
    """(2, T) offset and slope of x over y; of a level line its lower end, upright."""
    rise = y1 - y0
    slope = np.divide(x1 - x0, rise, out=np.zeros_like(rise), where=rise > 0)
    return np.stack([x1 - slope * y1, slope])


def _half(
    table: Array, first: Array, rows: Array, number: Array, bits: int, size: tuple[int, int]
) -> Iterator[tuple[Array, Array]]:
    """Fragments on ``rows`` rows from ``first`` on, between the two lines of each triangle."""
    of = np.repeat(np.arange(len(rows)), rows)
    y = _counting(rows) + np.take(first, of)
    left, left_slope, right, right_slope, plane, along_x, along_y = table
    start = np.ceil(np.take(left, of) + np.take(left_slope, of) * y).clip(0, size[1]).astype(np.int64)
    end = np.floor(np.take(right, of) + np.take(right_slope, of) * y).clip(-1, size[1] - 1).astype(np.int64)
    some = np.flatnonzero(end >= start)
    of, y, start, end = (np.take(a, some) for a in (of, y, start, end))
    count = end - start + 1
    most = float(1 << (_BITS - bits)) - 1.0
    step = np.take(along_x, of)
    value = np.take(plane, of) + step * start + np.take(along_y, of) * y
    # a step of several pixels lies within the depths of its triangle; of one pixel it does not matter
    moves = step.clip(-most, most).astype(np.int64) << bits
    key = value.clip(1, most).astype(np.int64) << bits | np.take(number, of)
    place = y * size[1] + start
    for part in _chunks(count):
        n = count[part]
        k = _counting(n)
        yield np.repeat(place[part], n) + k, np.repeat(key[part], n) + np.repeat(moves[part], n) * k


def _counting(counts: Array) -> Array:
    """0, 1, ... count - 1 of each count, one after the other."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)


def _chunks(counts: Array) -> Iterator[slice]:
    """Slices of ``counts`` that hold about ``CHUNK`` each."""
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + CHUNK, side="right")))
        yield slice(start, stop)
        start = stop
