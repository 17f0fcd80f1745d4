"""The rasteriser against geometry computed another way."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.spatial import ConvexHull

from ehps.body import rasteriser
from ehps.body.cameras import project
from ehps.body.rasteriser import Layers
from ehps.body.rendering import drawn, render, shaded, vertex_normals

Array = npt.NDArray[Any]

CAMERA = np.array([[200.0, 0, 79.5], [0, 200, 59.5], [0, 0, 1]])
SIZE = (120, 160)


def rasterize(vertices: Array, faces: Array, size: tuple[int, int] = SIZE) -> Layers:
    vertices = np.asarray(vertices, float)
    pixels = project(vertices, np.diag(CAMERA)[:2], CAMERA[:2, 2])
    return rasteriser.rasterize(pixels, vertices[..., 2], faces, size)


def ball(centre: tuple[float, float, float], radius: float, n: int = 900) -> tuple[Array, Array]:
    i = np.arange(n) + 0.5
    polar, turn = np.arccos(1 - 2 * i / n), np.pi * (1 + 5**0.5) * i
    p = np.stack([np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)], 1)
    faces = ConvexHull(p).simplices
    a, b, c = p[faces].transpose(1, 0, 2)
    inwards = ((np.cross(b - a, c - a)) * a).sum(1) < 0
    faces[inwards] = faces[inwards][:, ::-1]
    return p * radius + np.array(centre), faces


def test_a_ball_covers_its_projected_disc_at_its_depth() -> None:
    vertices, faces = ball((0, 0, 4.0), 0.5)
    layers = rasterize(vertices[None], faces)
    radius = 200 * 0.5 / np.sqrt(4**2 - 0.5**2)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    away = np.hypot(x - 79.5, y - 59.5)
    seen = layers.person >= 0
    assert seen[away < radius - 1].all()
    assert not seen[away > radius + 0.5].any()
    assert layers.depth[59, 79] == pytest.approx(3.5, abs=0.01)
    assert np.isinf(layers.depth[0, 0])
    inside = away < radius - 2
    ray = np.stack([(x - 79.5) / 200, (y - 59.5) / 200, np.ones_like(x)], -1)[inside]
    near = (ray[:, 2] * 4 - np.sqrt(16 - (ray**2).sum(1) * (16 - 0.25))) / (ray**2).sum(1)
    np.testing.assert_allclose(layers.depth[inside], near, atol=0.012)


def ray_cast(corners: Array, y: int, x: int) -> tuple[float, int, float]:
    """Depth and number of the triangle (T, 3, 3) that the ray of a pixel meets first; least distance from any edge."""
    a, b, c = corners.transpose(1, 0, 2)
    ray = np.linalg.inv(CAMERA) @ [x, y, 1]
    normal = np.cross(b - a, c - a)
    depth = (normal * a).sum(1) / (normal @ ray)
    meets = depth[:, None] * ray
    inner = [(np.cross(q - p, meets - p) * normal).sum(1) / (normal**2).sum(1) for p, q in ((a, b), (b, c), (c, a))]
    least = np.min(inner, axis=0)
    depth = np.where((depth > 0) & ((normal * a).sum(1) < 0) & (least >= 0), depth, np.inf)
    first = int(depth.argmin())
    return float(depth[first]), first if np.isfinite(depth[first]) else -1, float(np.abs(least).min())


def test_depth_face_and_outline_are_those_of_rays_through_the_pixels() -> None:
    rng = np.random.default_rng(0)
    people = rng.uniform([-0.8, -0.6, 2], [0.8, 0.6, 3], (2, 12, 3))
    faces = rng.permuted(np.tile(np.arange(12), (12, 1)), axis=1)[:, :3]
    layers = rasterize(people, faces)
    found = np.where(layers.person >= 0, layers.person * 12 + layers.face, -1)
    corners, compared = people[:, faces].reshape(-1, 3, 3), 0
    for y, x in rng.integers(0, SIZE, (250, 2)):
        depth, number, edge = ray_cast(corners, y, x)
        if edge > 1e-6:
            compared += 1
            assert found[y, x] == number
            assert layers.depth[y, x] == pytest.approx(depth, rel=1e-5)
    assert compared > 240
    assert 0.1 < (found >= 0).mean() < 0.9


def test_no_pixel_falls_between_triangles_and_none_lies_outside() -> None:
    grid = np.stack(np.meshgrid(np.linspace(-0.4, 0.4, 9), np.linspace(-0.3, 0.3, 9)), -1).reshape(-1, 2)
    grid += np.random.default_rng(1).normal(0, 0.01, grid.shape) * (np.abs(grid) < [0.39, 0.29]).all(1)[:, None]
    i = (np.arange(8)[:, None] * 9 + np.arange(8)).ravel()
    faces = np.concatenate([np.stack([i, i + 9, i + 1], 1), np.stack([i + 1, i + 9, i + 10], 1)])
    vertices = np.concatenate([grid * 2, np.full((81, 1), 2.0)], axis=1)
    for turned in (faces, np.roll(faces, 1, axis=1)):
        seen = rasterize(vertices[None], turned).person == 0
        y, x = np.mgrid[: SIZE[0], : SIZE[1]]
        inside = (np.abs(x - 79.5) < 80) & (np.abs(y - 59.5) < 60)
        assert (seen == inside).all()


def test_huge_flat_and_broken_triangles_do_no_harm() -> None:
    far = 1e9
    vertices = np.array(
        [
            *([-far, -far, 5.0], [far, -far, 5.0], [0, far, 5.0]),  # all of the image
            *([0.1, 0.1, 3.0], [0.2, 0.2, 3.0], [0.3, 0.3, 3.0]),  # no area
            *([np.nan, 0, 2.0], [np.inf, 0, 2.0], [0.2, 0.1, 0.0]),  # not to be drawn with any
            [0.2, -0.3, 2.0],
        ]
    )
    faces = np.array([[0, 2, 1], [3, 4, 5], [3, 3, 4], [6, 3, 9], [3, 9, 7], [9, 3, 8], [8, 9, 3]])
    layers = rasterize(vertices[None], faces)
    assert (layers.face == 0).all()
    np.testing.assert_allclose(layers.depth, 5, rtol=1e-5)
    image = render(vertices[None], faces, np.full(3, 200.0), CAMERA, SIZE, samples=2)
    assert (image != 128).all()


def test_nearer_people_hide_farther_ones_whatever_their_order() -> None:
    (near, faces), (far, _) = ball((0, 0, 3), 0.3), ball((0.2, 0, 5), 0.8)
    for people, first in (([near, far], 0), ([far, near], 1)):
        layers = rasterize(np.stack(people), faces)
        assert layers.person[59, 79] == first
        assert layers.person[59, 111] == 1 - first


def test_faces_turned_away_or_behind_the_camera_are_not_drawn() -> None:
    vertices, faces = ball((0, 0, 3), 0.5)
    assert (rasterize(vertices[None], faces[:, ::-1]).depth[59, 79]) > 3
    behind, _ = ball((0, 0, -3), 0.5)
    assert (rasterize(behind[None], faces).person == -1).all()
    around, _ = ball((0, 0, 0), 0.5)
    assert (rasterize(around[None], faces[:, ::-1]).person >= 0).any()


def test_people_partly_outside_the_image_are_clipped() -> None:
    vertices, faces = ball((-1.1, 0, 3), 0.8)
    seen = rasterize(vertices[None], faces).person >= 0
    assert seen[59, 0]
    assert not seen[59, 79]


def test_colours_and_background_come_through() -> None:
    vertices, faces = ball((0, 0, 4), 0.5)
    background = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    before = background.copy()
    image = render(vertices[None], faces, np.array([250.0, 20, 20]), CAMERA, SIZE, background)
    assert image.dtype == np.uint8
    assert (background == before).all()
    assert (image[:20] == background[:20]).all()
    red, green, _ = image[59, 79].astype(int)
    assert red > 8 * green > 0


def test_people_keep_their_own_colours() -> None:
    (one, faces), (other, _) = ball((-0.5, 0, 4), 0.3), ball((0.5, 0, 4), 0.3)
    people = np.stack([one, other])
    paint = np.array([[200.0, 0, 0], [0, 200.0, 0]])
    image = render(people, faces, paint, CAMERA, SIZE)
    assert image[59, 54].argmax() == 0
    assert image[59, 104].argmax() == 1
    each = np.broadcast_to(paint[:, None], (*people.shape[:2], 3))
    np.testing.assert_array_equal(render(people, faces, each, CAMERA, SIZE), image)


def test_light_comes_from_where_it_is_said_to() -> None:
    vertices, faces = ball((0, 0, 4), 0.5)
    image = render(vertices[None], faces, np.full(3, 200.0), CAMERA, SIZE, light=np.array([1.0, 0, -0.3])).astype(int)
    assert image[59, 97, 0] > image[59, 61, 0] + 30


def test_two_samples_smooth_the_outline_only() -> None:
    vertices, faces = ball((0, 0, 4), 0.5)
    white = np.full((*SIZE, 3), 255, np.uint8)
    hard, soft = (render(vertices[None], faces, np.zeros(3), CAMERA, SIZE, white, samples=k) for k in (1, 2))
    assert set(np.unique(hard)) == {0, 255}
    assert set(np.unique(soft)) > {0, 255}
    assert set(np.unique(soft)) <= {0, 63, 64, 127, 128, 191, 192, 255}
    assert abs(hard.mean() - soft.mean()) < 1
    assert np.abs(hard.astype(int) - soft)[50:70, 60:100].max() == 0


def test_coverage_at_the_outline_adds_up_to_the_area() -> None:
    square = np.array([[-0.2013, -0.1507, 2], [-0.2013, 0.2211, 2], [0.3057, 0.2211, 2], [0.3057, -0.1507, 2]])
    colours = np.full((1, 4, 3), 255.0)
    pixels = project(square[None], np.array([200.0, 200]), np.array([79.5, 59.5]))
    black = np.zeros((*SIZE, 3), np.uint8)
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    covered = drawn(black, pixels, square[None, :, 2], faces, colours, samples=8)[..., 0].sum() / 255
    assert covered == pytest.approx(0.507 * 100 * 0.3718 * 100, rel=0.005)


def test_edges_between_two_people_are_smooth_too() -> None:
    (near, faces), (far, _) = ball((0, 0, 3), 0.2), ball((0, 0, 5), 1.0)
    paint = np.array([[250.0, 0, 0], [0, 0, 250.0]])
    image = render(np.stack([near, far]), faces, paint, CAMERA, SIZE, samples=2)
    row = image[59, 60:100].astype(int)
    assert ((row[:, 0] > 20) & (row[:, 2] > 20)).any()


def test_half_the_opacity_shows_half_of_each() -> None:
    vertices, faces = ball((0, 0, 4), 0.5)
    pixels = project(vertices[None], np.array([200.0, 200]), np.array([79.5, 59.5]))
    colours = shaded(vertices[None], faces, np.array([200.0, 100, 40]))
    image = np.full((*SIZE, 3), 100, np.uint8)
    whole, half = (
        drawn(image, pixels, vertices[None, :, 2], faces, colours, opacity=opacity) for opacity in (1.0, 0.5)
    )
    assert np.abs(half - (whole / 2 + 50)).max() <= 1
    assert (image == 100).all()


def test_colours_of_large_triangles_follow_the_surface_not_the_image() -> None:
    floor = np.array([[-1, 0.5, 1.0], [1, 0.5, 1.0], [0, 0.5, 9.0]])
    colours = np.array([[[0.0, 0, 0], [0, 0, 0], [240, 0, 0]]])
    pixels = project(floor[None], np.array([200.0, 200]), np.array([79.5, 9.5]))
    image = drawn(np.zeros((*SIZE, 3), np.uint8), pixels, floor[None, :, 2], np.array([[0, 1, 2]]), colours, samples=1)
    for y in (40, 60, 100):
        depth = 0.5 * 200 / (y - 9.5)
        assert image[y, 79, 0] == pytest.approx(240 * (depth - 1) / 8, abs=1)


def test_nobody_is_an_image_too() -> None:
    image = render(np.zeros((0, 4, 3)), np.array([[0, 1, 2]]), np.zeros(3), CAMERA, SIZE)
    assert image.shape == (*SIZE, 3)
    assert (image == 128).all()


def test_normals_of_a_ball_point_away_from_its_middle() -> None:
    vertices, faces = ball((1, 2, 3), 0.5)
    expected = (vertices - [1, 2, 3]) / 0.5
    assert ((vertex_normals(vertices, faces) * expected).sum(1) > 0.99).all()
