"""Shaded people on images, drawn by :mod:`ehps.body.rasteriser`: no OpenGL, no display.

Outlines, those inside people too, are smoothed by drawing at a multiple of the resolution. Only the rectangle around
the people is worked on. Camera frame: OpenCV (x right, y down, z forward), metres.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ehps.arrays import Array
from ehps.body.rasteriser import CHUNK, NEAR, Scene, ends, visible

SUN = np.array([-0.45, -0.75, -0.55])
"""Direction to the light in the camera frame: up, left, behind the camera."""

THIN = 1.0  # pixels: triangles that are narrower get one colour
STEP = 0.01  # metres between the samples of a pixel from which on each of them is painted
_BAND = 1 << 17  # samples painted at a time


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
    samples : how many times the resolution is drawn at; 2 or more smooth outlines.
    """
    if background is None:
        background = np.full((*size, 3), 128, np.uint8)
    if not len(vertices):
        return np.array(background, np.uint8)
    points = np.asarray(vertices, np.float64)
    z = points[..., 2]
    with np.errstate(invalid="ignore", over="ignore"):
        pixels = (points @ np.asarray(camera, float)[:2].T) / np.where(z > NEAR, z, np.nan)[..., None]
    return drawn(background, pixels, z, faces, shaded(points, faces, colours, light), samples=samples)


def drawn(
    image: Array,
    pixels: Array,
    depth: Array,
    faces: Array,
    colours: Array,
    *,
    samples: int = 2,
    opacity: float = 1.0,
) -> Array:
    """A copy of ``image`` (H, W, 3) uint8 with P surfaces over it.

    Parameters
    ----------
    pixels : (P, V, 2), see :func:`rasterize`.
    depth : (P, V), see :func:`rasterize`.
    faces : (F, 3), see :func:`rasterize`.
    colours : (P, V, 3) 0..255 as they are to be seen; see :func:`shaded`.
    samples : how many times the resolution is drawn at, along each axis. Where all samples of a pixel lie on one
        surface, only its centre is painted.
    opacity : 0 for nothing, 1 for surfaces that hide what is behind them.
    """
    out = np.array(image, np.uint8, order="C")
    draw_over(out, pixels, depth, faces, colours, samples=samples, opacity=opacity)
    return out


def draw_over(
    image: Array,
    pixels: Array,
    depth: Array,
    faces: Array,
    colours: Array,
    *,
    samples: int = 2,
    opacity: float = 1.0,
) -> None:
    """As :func:`drawn`, on ``image`` itself; only the rectangle around the people is read and written."""
    window = _window(pixels, depth, image.shape[:2])
    if window is None:
        return
    x0, y0, x1, y1 = window
    part = image[y0:y1, x0:x1]
    height, width = part.shape[:2]
    fine = samples * (np.asarray(pixels, np.float64) - (x0, y0)) + (samples - 1) / 2
    faces = np.asarray(faces)
    scene = visible(fine, depth, faces, (height * samples, width * samples))
    planes = _colour_planes(scene, depth, faces, np.asarray(colours))
    canvas = cv2.cvtColor(part, cv2.COLOR_RGB2RGBA)  # four bytes a pixel are one number to put in place
    tall = max(1, _BAND // (width * samples**2))
    for top in range(0, height, tall):
        _paint_band(canvas, scene, planes, slice(top, min(top + tall, height)), samples, opacity)
    part[:] = cv2.cvtColor(canvas, cv2.COLOR_RGBA2RGB)


def _paint_band(canvas: Array, scene: Scene, planes: Array, band: slice, samples: int, opacity: float) -> None:
    """Put the rows ``band`` of a scene over ``canvas`` (H, W, 4); ``planes`` are those of :func:`_colour_planes`."""
    width, above = canvas.shape[1], samples * band.start
    key = scene.key[above : samples * band.stop]
    flat = canvas.view(np.uint32).ravel()[width * band.start : width * band.stop]
    nearest, farthest = _extremes(key, samples)
    some = np.flatnonzero(nearest > 0)
    near = np.take(nearest, some)
    if samples == 1:
        even, mixed = np.arange(len(some)), np.arange(0)
    else:
        far = np.take(farthest, some)
        z = 1 / scene.inverse(near)
        one_surface = (far > 0) & (scene.inverse(near - far) * z * z <= np.float32(STEP))
        even, mixed = np.flatnonzero(one_surface), np.flatnonzero(~one_surface)

    at = np.take(some, even)
    y = at // width
    x, middle = at - y * width, (samples - 1) / 2
    _blend(
        flat,
        at,
        _painted(scene, planes, np.take(near, even), samples * x + middle, samples * y + (above + middle)),
        opacity,
    )
    if not len(mixed):
        return
    at = np.take(some, mixed)
    i, j = (k.ravel() for k in np.indices((samples, samples)))
    rows, columns = samples * (at // width)[:, None] + i, samples * (at % width)[:, None] + j  # M x samples ^ 2
    keys = key[rows, columns]
    seen = keys > 0
    each = np.zeros((3, *seen.shape), np.float32)
    each[:, seen] = _painted(scene, planes, keys[seen], columns[seen], rows[seen] + above)
    share = seen.mean(axis=1, dtype=np.float32)
    _blend(flat, at, each.mean(axis=2) / share, opacity * share)


def _blend(flat: Array, place: Array, paint: Array, share: Array | float) -> None:
    """Put ``paint`` (3, M) over the pixels ``place`` of an image (H W,) of RGBA as one number."""
    if isinstance(share, np.ndarray) or share != 1:
        below = np.take(flat, place).view(np.uint8).reshape(-1, 4).T[:3]
        paint = below + (paint - below) * np.float32(share)
    pixel = np.empty((len(place), 4), np.uint8)
    pixel[:, :3] = (paint + np.float32(0.5)).T
    pixel[:, 3] = 255
    flat[place] = pixel.view(np.uint32)[:, 0]


def _extremes(key: Array, samples: int) -> tuple[Array, Array]:
    """Largest and smallest (H, W) of the samples of each pixel; of (H samples, W samples)."""
    rows = key.reshape(len(key) // samples, samples, -1)
    found = []
    for extreme in (np.maximum, np.minimum):
        tall = rows[:, 0]
        for i in range(1, samples):
            tall = extreme(tall, rows[:, i])
        wide = tall[:, ::samples]
        for j in range(1, samples):
            wide = extreme(wide, tall[:, j::samples])
        found.append(wide)
    return found[0], found[1]


def shaded(vertices: Array, faces: Array, colours: Array, light: Array = SUN) -> Array:
    """(P, V, 3) float32 colours of the vertices (P, V, 3) in the light; see :func:`render`."""
    points = np.asarray(vertices, np.float64)
    paint = _per_vertex(np.asarray(colours, np.float32), points.shape[:2])
    normals = np.stack([vertex_normals(p, faces) for p in points])
    towards = light / np.linalg.norm(light)
    away = np.maximum(np.linalg.norm(points, axis=-1), 1e-9)
    with np.errstate(invalid="ignore", over="ignore"):
        facing = -np.einsum("pvc,pvc->pv", normals, points) / away
    # a main light, light from the sky, a weak light from the camera
    bright = 0.36 - 0.10 * normals[..., 1] + 0.52 * (normals @ towards).clip(0, 1) + 0.16 * facing.clip(0, 1)
    return np.asarray((paint * bright[..., None]).clip(0, 255), np.float32)


def vertex_normals(vertices: Array, faces: Array) -> Array:
    """(V, 3) normals averaged over the faces around each vertex by area, unit length, pointing outwards."""
    a, b, c = (np.take(vertices, faces[:, k], axis=0) for k in range(3))
    out = np.empty((len(vertices), 3))
    for k, (i, j) in enumerate(((1, 2), (2, 0), (0, 1))):
        with np.errstate(invalid="ignore", over="ignore"):
            u, v = b - a, c - a
            normal = u[:, i] * v[:, j] - u[:, j] * v[:, i]
        normal[~np.isfinite(normal)] = 0  # of faces that cannot be drawn
        out[:, k] = sum(np.bincount(faces[:, corner], normal, minlength=len(vertices)) for corner in range(3))
    return np.asarray(out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12))


def _colour_planes(scene: Scene, depth: Array, faces: Array, colours: Array) -> Array:
    """(9, P F) float32 planes of colour / z, which changes evenly over the image, of each channel."""
    out = np.empty((9, len(scene.people) * len(faces)), np.float32)
    for person, triangles in enumerate(scene.people):
        corners = faces[triangles.face].T
        share = (colours[person].T[:, corners] / np.asarray(depth[person], np.float64)[corners]).astype(np.float64)
        (x_low, x_high), (y_low, y_high) = ends(triangles.x), ends(triangles.y)
        flat = -triangles.area < THIN * np.maximum(x_high - x_low, y_high - y_low)
        share[:, :, flat] = share[:, :, flat].mean(axis=1, keepdims=True)  # channel x corner x T
        out[:, person * len(faces) + triangles.face] = np.concatenate([triangles.planes(channel) for channel in share])
    return out


def _painted(scene: Scene, planes: Array, keys: Array, x: Array, y: Array) -> Array:
    """(3, M) float32 colours at the places x, y (M,) of the faces of ``keys`` (M,)."""
    out = np.empty((3, len(keys)), np.float32)
    for start in range(0, len(keys), CHUNK):
        part = slice(start, start + CHUNK)
        mine = np.take(planes, scene.numbers(keys[part]), axis=1)
        inverse = scene.inverse(keys[part])
        across, down = x[part].astype(np.float32), y[part].astype(np.float32)
        for channel in range(3):
            plane, along_x, along_y = mine[3 * channel : 3 * channel + 3]
            along_x *= across
            along_y *= down
            plane += along_x
            plane += along_y
            np.divide(plane, inverse, out=out[channel, part])
    return np.clip(out, 0, 255, out=out)


def _per_vertex(colours: Array, shape: tuple[int, ...]) -> Array:
    if colours.ndim == 2:
        colours = colours[:, None] if len(colours) == shape[0] else colours[None]
    return np.broadcast_to(colours, (*shape, 3))


def _window(pixels: Array, depth: Array, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """x0, y0, x1, y1 of the part of the image where vertices are seen, None where there is none."""
    xy = np.asarray(pixels)[(np.asarray(depth) > NEAR) & np.isfinite(pixels).all(axis=-1)]
    if not len(xy):
        return None
    low = np.clip(np.floor(xy.min(axis=0)), 0, size[::-1]).astype(int)
    high = np.clip(np.ceil(xy.max(axis=0)) + 1, 0, size[::-1]).astype(int)
    return (*low.tolist(), *high.tolist()) if (high > low).all() else None
