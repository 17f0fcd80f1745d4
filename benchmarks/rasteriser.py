"""How fast surfaces are drawn, against a loop over the faces, and against OpenCV polygons one by one, on one core.

    python benchmarks/rasteriser.py [--body-models DIR] [--people 1 3] [--repeats 20]

SMPL-X meshes (10,475 vertices, 20,908 faces) stand in a 1920 x 1080 image, 900 pixels tall. One alternative goes over
the faces in a loop with a depth buffer, each face as arrays over its rectangle, as renderers without OpenGL are usually
written in Python; it has no smooth outlines. The other sorts the faces by depth and fills those that face the camera
with OpenCV from back to front, one colour a face; it has no depth buffer, so that what crosses is wrong.
Times are the processor's, the best and the median of the repeats; ratios are to the loop.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from joints import folder_of_models

from ehps.body.cameras import project
from ehps.body.model_folder import body_models_folder
from ehps.body.models import BodyModels
from ehps.body.params import smplx_params
from ehps.body.rendering import drawn, shaded

SIZE = (1080, 1920)
FOCAL, CENTRE = np.array([2000.0, 2000.0]), np.array([960.0, 540.0])
TALL = 900  # pixels


def main() -> None:
    parser = argparse.ArgumentParser(description="Milliseconds to draw SMPL-X meshes into 1920 x 1080; one core.")
    parser.add_argument("--body-models", type=Path, help="folder of body models; the stand-in when not given")
    parser.add_argument("--people", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    image = np.full((*SIZE, 3), 200, np.uint8)
    with folder_of_models(body_models_folder(options.body_models), "smplx") as folder:
        models = BodyModels(folder)
        faces = models.faces("smplx")
        for count in options.people:
            vertices = people(models, count)
            pixels, depth = project(vertices, FOCAL, CENTRE), vertices[..., 2]
            colours = shaded(vertices, faces, np.full(3, 200.0))
            calls: dict[str, Callable[[], Any]] = {
                "loop over faces": lambda p=pixels, d=depth, c=colours: loop(image, p, d, faces, c),
                "OpenCV polygons": lambda p=pixels, d=depth, c=colours: polygons(image, p, d, faces, c, cv2.LINE_8),
                "OpenCV polygons, smooth": lambda p=pixels, d=depth, c=colours: polygons(
                    image, p, d, faces, c, cv2.LINE_AA
                ),
                "ehps": lambda p=pixels, d=depth, c=colours: drawn(image, p, d, faces, c, samples=1),
                "ehps, smooth (2 x 2)": lambda p=pixels, d=depth, c=colours: drawn(image, p, d, faces, c, samples=2),
                "normals and light": lambda v=vertices: shaded(v, faces, np.full(3, 200.0)),
            }
            report(count, calls, options.repeats)


def report(count: int, calls: dict[str, Callable[[], Any]], repeats: int) -> None:
    """Print the rows of one number of people; calls take turns, so that a busy machine is so for all."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats + 1):
        for name, call in calls.items():
            start = time.thread_time()
            call()
            times[name].append(time.thread_time() - start)
    print(f"{'people':>6} {'':<26} {'best, ms':>9} {'median, ms':>11} {'ratio':>6}")
    plain = np.median(times["loop over faces"][1:])
    for name, all_of in times.items():
        best, median = min(all_of[1:]), float(np.median(all_of[1:]))
        print(f"{count:>6} {name:<26} {1e3 * best:>9.1f} {1e3 * median:>11.1f} {plain / median:>6.1f}")


def people(models: BodyModels, count: int) -> np.ndarray:
    """(count, 10475, 3) people side by side, facing the camera."""
    zeros = np.zeros((count, 3))
    pose = np.random.default_rng(0).normal(0, 0.1, (count, 21, 3))
    params = smplx_params(
        gender="neutral",
        betas=np.zeros((count, 10)),
        global_orient=zeros + np.array([np.pi, 0, 0]),
        body_pose=pose,
        transl=zeros,
    )
    vertices = models.mesh(params).astype(np.float64)
    extent = np.ptp(vertices[..., 1], axis=1).mean()
    vertices -= vertices.mean(axis=1, keepdims=True)
    vertices[..., 0] += 0.6 * (np.arange(count) - (count - 1) / 2)[:, None]
    vertices[..., 2] += FOCAL[0] * extent / TALL
    return vertices


def polygons(
    image: np.ndarray, pixels: np.ndarray, depth: np.ndarray, faces: np.ndarray, colours: np.ndarray, edge: int
) -> np.ndarray:
    """A copy of ``image`` with the faces of all people filled from back to front, each in one colour."""
    out = image.copy()
    corners = pixels[:, faces].reshape(-1, 3, 2)
    u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    seen = np.flatnonzero(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0] < 0)
    order = seen[np.argsort(-depth[:, faces].reshape(-1, 3).mean(axis=1)[seen])]
    paint = colours[:, faces].reshape(-1, 3, 3).mean(axis=1)[order].tolist()
    fixed = np.round(corners[order] * 16).astype(np.int32)
    for triangle, colour in zip(fixed, paint, strict=True):
        cv2.fillConvexPoly(out, triangle, colour, edge, 4)
    return out


def loop(
    image: np.ndarray, pixels: np.ndarray, depth: np.ndarray, faces: np.ndarray, colours: np.ndarray
) -> np.ndarray:
    """A copy of ``image`` with the faces of all people drawn one after the other into a depth buffer."""
    out, nearest = image.copy(), np.full(image.shape[:2], np.inf)
    for xy, z, paint in zip(pixels, depth, colours, strict=True):
        for face in faces:
            (ax, ay), (bx, by), (cx, cy) = corners = xy[face]
            area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
            low = np.ceil(corners.min(axis=0)).astype(int).clip(0)
            high = np.floor(corners.max(axis=0)).astype(int).clip(None, (image.shape[1] - 1, image.shape[0] - 1)) + 1
            if area >= 0 or (high <= low).any():
                continue
            part = slice(low[1], high[1]), slice(low[0], high[0])
            x, y = np.arange(low[0], high[0]), np.arange(low[1], high[1])[:, None]
            b = ((x - ax) * (cy - ay) - (cx - ax) * (y - ay)) / area
            c = ((bx - ax) * (y - ay) - (x - ax) * (by - ay)) / area
            shares = np.stack([1 - b - c, b, c])
            there = 1 / np.tensordot(1 / z[face], shares, axes=1)
            seen = (shares >= 0).all(axis=0) & (there < nearest[part])
            nearest[part][seen] = there[seen]
            shares = shares[:, seen] / z[face][:, None] * there[seen]
            out[part][seen] = (shares.T @ paint[face]).clip(0, 255) + 0.5
    return out


if __name__ == "__main__":
    main()
