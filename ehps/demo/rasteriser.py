"""A small software rasteriser: shaded persons with occlusion on a background, numpy only.

Made for the demo's images: ten thousand triangles of a few pixels each. Triangles are grouped by the size of
their pixel boxes and each group is scanned at once; one 64-bit minimum per fragment resolves depth.
Camera frame: OpenCV (x right, y down, z forward), metres; pixel centres at integer coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ehps.arrays import Array

NEAR = 0.05
EMPTY = np.uint64(2**64 - 1)
SUN = np.array([-0.45, -0.75, -0.55])
"""Direction to the light in the camera frame: up, left, behind the camera."""


@dataclass(frozen=True, eq=False)
class Layers:
    """What is seen in every pixel.

    Attributes
    ----------
    person : (H, W) int32, index of the person, -1 where there is none.
    depth : (H, W) float32 z in metres, infinite where there is nobody.
    face : (H, W) int32 index into the faces of that person.
    barycentric : (H, W, 3) float32 place in that triangle.
    """

    person: Array
    depth: Array
    face: Array
    barycentric: Array


def rasterize(vertices: Array | Sequence[Array], faces: Array, camera: Array, size: tuple[int, int]) -> Layers:
    """Who and what is seen in each pixel.

    Parameters
    ----------
    vertices : (P, V, 3) camera frame, metres.
    faces : (F, 3), counter-clockwise seen from outside; faces turned away or nearer than 5 cm are not drawn.
    camera : (3, 3) pinhole matrix.
    size : height, width in pixels.
    """
    height, width = size
    points = np.asarray(vertices, np.float64).reshape(-1, np.shape(vertices[0])[0] if len(vertices) else 1, 3)
    key = np.full(height * width, EMPTY)
    fragments = [_scan(p, faces, np.asarray(camera, float), size) for p in points]
    pixel, inverse, face, bary = (
        (np.concatenate([f[k] for f in fragments]) for k in range(4)) if fragments else _nothing()
    )
    person = np.repeat(np.arange(len(points), dtype=np.int32), [len(f[0]) for f in fragments])
    depth = (1.0 / inverse).astype(np.float32)
    rank = depth.view(np.uint32).astype(np.uint64) << np.uint64(32) | np.arange(len(depth), dtype=np.uint64)
    np.minimum.at(key, pixel, rank)
    seen = np.flatnonzero(key != EMPTY)
    chosen = (key[seen] & np.uint64(2**32 - 1)).astype(np.int64)
    layers = Layers(
        np.full(height * width, -1, np.int32),
        np.full(height * width, np.inf, np.float32),
        np.zeros(height * width, np.int32),
        np.zeros((height * width, 3), np.float32),
    )
    for target, values in (
        (layers.person, person),
        (layers.depth, depth),
        (layers.face, face),
        (layers.barycentric, bary),
    ):
        target[seen] = values[chosen]
    return Layers(*(a.reshape(height, width, *a.shape[1:]) for a in vars(layers).values()))


def _nothing() -> tuple[Array, Array, Array, Array]:
    return np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int32), np.zeros((0, 3), np.float32)


def _scan(points: Array, faces: Array, camera: Array, size: tuple[int, int]) -> tuple[Array, Array, Array, Array]:
    """Pixel index, 1/z, face and barycentric coordinates of every fragment of one mesh."""
    height, width = size
    z = points[:, 2]
    safe = np.where(z > NEAR, z, 1.0)
    screen = (points @ camera.T)[:, :2] / safe[:, None]
    corners = screen[faces]
    u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    low = np.maximum(np.ceil(corners.min(1)), 0).astype(np.int64)
    high = np.minimum(np.floor(corners.max(1)), (width - 1, height - 1)).astype(np.int64)
    span = high - low + 1
    drawn = np.flatnonzero((area < -1e-12) & (span > 0).all(1) & (z[faces] > NEAR).all(1))
    if not len(drawn):
        return _nothing()
    reach = np.ceil(np.log2(span[drawn].max(1))).astype(int)
    out = []
    for level in np.unique(reach):
        mine = drawn[reach == level]
        box = span[mine].max(0)
        chunk = max(1, 4_000_000 // int(box.prod()))
        for start in range(0, len(mine), chunk):
            ids = mine[start : start + chunk]
            out.append(_boxes(ids, corners[ids], area[ids], low[ids], box, 1.0 / safe[faces[ids]], size))
    return tuple(np.concatenate([o[k] for o in out]) for k in range(4))  # type: ignore[return-value]


def _boxes(
    ids: Array, corners: Array, area: Array, low: Array, box: Array, inverse: Array, size: tuple[int, int]
) -> tuple[Array, Array, Array, Array]:
    """Fragments of triangles whose pixel boxes fit into ``box`` (width, height)."""
    dx, dy = np.arange(box[0]), np.arange(box[1])
    x = (low[:, :1] + dx)[:, None, :]
    y = (low[:, 1:] + dy)[:, :, None]
    a = corners[:, :, :, None, None]
    scale = (1.0 / area)[:, None, None]

    def edge(p: int, q: int) -> Array:
        ex, ey = a[:, q, 0] - a[:, p, 0], a[:, q, 1] - a[:, p, 1]
        return (ex * (y - a[:, p, 1]) - ey * (x - a[:, p, 0])) * scale

    w0, w1 = edge(1, 2), edge(2, 0)
    w2 = 1.0 - w0 - w1
    inside = (np.minimum(np.minimum(w0, w1), w2) >= -1e-9) & (x < size[1]) & (y < size[0])
    t, row, column = np.nonzero(inside)
    bary = np.stack([w0[inside], w1[inside], w2[inside]], 1)
    pixel = (low[t, 1] + row) * size[1] + low[t, 0] + column
    return pixel, (bary * inverse[t]).sum(1), ids[t].astype(np.int32), bary.astype(np.float32)


def render(
    vertices: Array | Sequence[Array],
    faces: Array,
    colours: Array,
    camera: Array,
    size: tuple[int, int],
    background: Array | None = None,
    *,
    light: Array = SUN,
    samples: int = 1,
) -> Array:
    """(H, W, 3) uint8 image of P persons, nearer ones in front.

    Parameters
    ----------
    vertices : (P, V, 3) camera frame, metres.
    faces : (F, 3), counter-clockwise seen from outside.
    colours : (3,), (V, 3), (P, 3) or (P, V, 3) in 0..255, in the channel order of ``background``. (P, 3) wins
        where it cannot be told from (V, 3).
    camera : (3, 3) pinhole matrix.
    size : height, width.
    background : (H, W, 3) uint8, mid grey if None.
    light : (3,) direction to the light, camera frame.
    samples : 2 smooths outlines by drawing at twice the resolution.
    """
    height, width = size
    canvas = np.full((height, width, 3), 128, np.uint8) if background is None else np.array(background, np.uint8)
    if not len(vertices):
        return canvas
    points = np.asarray(vertices, np.float64)
    matrix = np.asarray(camera, float)
    if samples > 1:
        shift = np.array([[samples, 0, (samples - 1) / 2], [0, samples, (samples - 1) / 2], [0, 0, 1]])
        matrix = shift @ matrix
    layers = rasterize(points, faces, matrix, (height * samples, width * samples))
    seen = layers.person >= 0
    corners = faces[layers.face[seen]]
    who = layers.person[seen][:, None]
    bary = layers.barycentric[seen][:, :, None]
    normals = np.stack([vertex_normals(p, faces) for p in points])
    normal = (normals[who, corners] * bary).sum(1)
    paint = (_colours(np.asarray(colours, float), points.shape[:2])[who, corners] * bary).sum(1)
    view = -(points[who, corners] * bary).sum(1)
    lit = np.clip(paint * _brightness(normal, view, np.asarray(light, float)), 0, 255)
    if samples == 1:
        canvas[seen] = (lit + 0.5).astype(np.uint8)
        return canvas
    full = np.zeros((height * samples, width * samples, 4))
    full[seen, :3], full[seen, 3] = lit, 1
    mean = full.reshape(height, samples, width, samples, 4).mean((1, 3))
    return np.asarray(canvas * (1 - mean[..., 3:]) + mean[..., :3] + 0.5).astype(np.uint8)


def _colours(colours: Array, shape: tuple[int, ...]) -> Array:
    if colours.ndim == 2:
        colours = colours[:, None] if len(colours) == shape[0] else colours[None]
    return np.broadcast_to(colours, (*shape, 3))


def _brightness(normal: Array, view: Array, light: Array) -> Array:
    """(N, 1) factor on the colour: a main light, light from the sky, a weak light from the camera."""
    n = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    direct = np.clip(n @ (light / np.linalg.norm(light)), 0, 1)
    sky = 0.5 - 0.5 * n[:, 1]
    facing = np.clip((n * view).sum(1) / np.maximum(np.linalg.norm(view, axis=1), 1e-9), 0, 1)
    return np.asarray(0.26 + 0.52 * direct + 0.20 * sky + 0.16 * facing)[:, None]


def vertex_normals(vertices: Array, faces: Array) -> Array:
    """(V, 3) normals averaged over the faces around each vertex by area, unit length, pointing outwards."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    count, flat = len(vertices), faces.ravel()
    out = np.stack([np.bincount(flat, np.repeat(normal[:, k], 3), minlength=count) for k in range(3)], 1)
    return np.asarray(out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12))
