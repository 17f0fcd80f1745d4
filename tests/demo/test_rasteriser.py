"""The rasteriser against geometry computed another way."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.spatial import ConvexHull

from ehps.demo.rasteriser import rasterize, render, vertex_normals

Array = npt.NDArray[Any]

CAMERA = np.array([[200.0, 0, 79.5], [0, 200, 59.5], [0, 0, 1]])
SIZE = (120, 160)


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
    layers = rasterize(vertices[None], faces, CAMERA, SIZE)
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


def test_each_pixel_names_the_triangle_its_ray_meets_first() -> None:
    rng = np.random.default_rng(0)
    vertices = rng.uniform([-0.5, -0.4, 2], [0.5, 0.4, 3], (12, 3))
    faces = rng.permuted(np.tile(np.arange(12), (16, 1)), axis=1)[:, :3]
    layers = rasterize(vertices[None], faces, CAMERA, SIZE)
    corners = vertices[faces]
    towards = (np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) * corners[:, 0]).sum(1) < 0
    for y, x in rng.integers(0, SIZE, (300, 2)):
        ray = np.linalg.inv(CAMERA) @ [x, y, 1]
        shares = np.linalg.solve(corners.transpose(0, 2, 1), np.broadcast_to(ray, (16, 3))[..., None])[..., 0]
        if np.abs(shares).min() < 1e-3:
            continue  # on an edge
        depth = np.where((shares > 0).all(1) & towards, 1 / shares.sum(1), np.inf)
        if np.isinf(depth.min()):
            assert layers.person[y, x] == -1
            continue
        assert layers.face[y, x] == depth.argmin()
        assert layers.depth[y, x] == pytest.approx(depth.min(), rel=1e-5)
        seen = (layers.barycentric[y, x][:, None] * corners[depth.argmin()] @ CAMERA.T).sum(0)
        assert np.isfinite(seen).all()


def test_nearer_people_hide_farther_ones_whatever_their_order() -> None:
    (near, faces), (far, _) = ball((0, 0, 3), 0.3), ball((0.2, 0, 5), 0.8)
    for people, first in (([near, far], 0), ([far, near], 1)):
        layers = rasterize(np.stack(people), faces, CAMERA, SIZE)
        assert layers.person[59, 79] == first
        assert layers.person[59, 111] == 1 - first


def test_faces_turned_away_or_behind_the_camera_are_not_drawn() -> None:
    vertices, faces = ball((0, 0, 3), 0.5)
    assert (rasterize(vertices[None], faces[:, ::-1], CAMERA, SIZE).depth[59, 79]) > 3
    behind, _ = ball((0, 0, -3), 0.5)
    assert (rasterize(behind[None], faces, CAMERA, SIZE).person == -1).all()
    around, _ = ball((0, 0, 0), 0.5)
    assert (rasterize(around[None], faces[:, ::-1], CAMERA, SIZE).person >= 0).any()


def test_people_partly_outside_the_image_are_clipped() -> None:
    vertices, faces = ball((-1.1, 0, 3), 0.8)
    seen = rasterize(vertices[None], faces, CAMERA, SIZE).person >= 0
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
    assert len(np.unique(soft)) > 2
    assert abs(hard.mean() - soft.mean()) < 1
    assert np.abs(hard.astype(int) - soft)[50:70, 60:100].max() == 0


def test_nobody_is_an_image_too() -> None:
    image = render(np.zeros((0, 4, 3)), np.array([[0, 1, 2]]), np.zeros(3), CAMERA, SIZE)
    assert image.shape == (*SIZE, 3)
    assert (image == 128).all()


def test_normals_of_a_ball_point_away_from_its_middle() -> None:
    vertices, faces = ball((1, 2, 3), 0.5)
    expected = (vertices - [1, 2, 3]) / 0.5
    assert ((vertex_normals(vertices, faces) * expected).sum(1) > 0.99).all()
