"""Maps of a body's surface, beside the rasteriser of drawings and plain least squares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from ehps.benchmark.models.outputs import SQUARE_CAMERA
from ehps.benchmark.training.surface_maps import (
    COARSER,
    MAP,
    PartMaps,
    SurfaceMaps,
    chart_file,
    faces_seen,
    fitted_camera,
    read_chart,
    seen_on_map,
    shares_of,
)
from ehps.body.models import BodyModels
from ehps.body.rasteriser import rasterize
from ehps.body.torch_meshes import TorchMesh
from ehps.errors import BodyModelError, DataError


@pytest.fixture(scope="module")
def bodies(models: BodyModels) -> tuple[torch.Tensor, torch.Tensor]:
    """Vertices of three bodies that face the camera, turned, and their cameras: near, far, half out of the crop."""
    mesh = TorchMesh(models.get("smpl", "neutral"))
    turns = torch.eye(3).repeat(3, 24, 1, 1)
    for n, angle in enumerate((0.0, 1.0, 2.5)):
        c, s = np.cos(angle), np.sin(angle)
        upright = np.array(((c, 0, s), (0, 1, 0), (-s, 0, c)))
        turns[n, 0] = torch.tensor(np.diag((1.0, -1, -1)) @ upright)
    vertices, _ = mesh(turns, torch.randn((3, 10), generator=torch.Generator().manual_seed(0)))
    return vertices, torch.tensor(((0.9, 0.02, 0.3), (0.4, -0.5, 0.1), (2.0, 0.4, 0.5)))


def test_seen_faces_are_those_of_the_rasteriser(bodies, models: BodyModels) -> None:
    pixels, depth = seen_on_map(*bodies)
    faces = models.get("smpl", "neutral").faces
    seen = faces_seen(pixels, depth, torch.as_tensor(faces), (MAP, MAP)).numpy()
    for n in range(3):
        layers = rasterize(pixels[n : n + 1].double().numpy(), depth[n : n + 1].double().numpy(), faces, (MAP, MAP))
        assert (seen[n] >= 0).sum() > 50
        assert ((seen[n] >= 0) == (layers.face >= 0)).mean() > 0.9995
        assert (seen[n] == layers.face).mean() > 0.999
    # each person is drawn as if alone
    alone = faces_seen(pixels[1:2], depth[1:2], torch.as_tensor(faces), (MAP, MAP))
    np.testing.assert_array_equal(alone[0], seen[1])


def test_nothing_is_seen_of_bodies_behind_the_camera_or_without_numbers(models: BodyModels) -> None:
    faces = torch.tensor(((0, 1, 2),))
    pixels = torch.tensor((((1.0, 1), (1, 6), (6, 1)),))  # counter-clockwise with y up
    size = (8, 8)
    assert (faces_seen(pixels, torch.full((1, 3), 2.0), faces, size) == 0).sum() == 21
    for depth in (-2.0, 0.01, float("nan"), 0.0):
        assert (faces_seen(pixels, torch.full((1, 3), depth), faces, size) < 0).all()
    assert (faces_seen(pixels.flip(1), torch.full((1, 3), 2.0), faces, size) < 0).all()  # turned away
    assert (faces_seen(pixels * float("nan"), torch.full((1, 3), 2.0), faces, size) < 0).all()


def test_of_two_faces_the_nearer_is_seen_and_shares_are_those_in_space() -> None:
    corners = torch.tensor((((0.0, 0), (0, 9), (9, 0), (0, 0), (0, 9), (9, 0)),))
    depth = torch.tensor(((4.0, 4, 4, 2, 8, 2),))
    seen = faces_seen(corners, depth, torch.tensor(((0, 1, 2), (3, 4, 5))), (10, 10))
    shares = shares_of(corners, depth, torch.tensor(((0, 1, 2), (3, 4, 5))), seen)
    for y in range(10):
        for x in range(10 - y):
            flat = np.array(((9 - x - y) / 9, y / 9, x / 9))
            inverse = flat @ (1 / np.array((2, 8, 2)))
            nearer = 1 / inverse < 4
            assert seen[0, y, x] == int(nearer) or abs(1 / inverse - 4) < 1e-6
            if seen[0, y, x] == 1:
                expected = flat / np.array((2, 8, 2)) / inverse
                np.testing.assert_allclose(shares[0, y, x], expected, atol=1e-9)


def test_the_camera_is_that_of_numpys_least_squares() -> None:
    rng = np.random.default_rng(0)
    joints = rng.normal(0, 0.4, (4, 24, 3))
    true = np.array(((0.9, 0.1, 0.2), (0.5, -0.2, 0.1), (1.2, 0, 0), (0.7, 0.3, 0.3)))
    points = SQUARE_CAMERA.project(torch.tensor(joints), torch.tensor(true)).numpy()
    points[:3] += rng.normal(0, 0.02, (3, 24, 2))
    weights = rng.uniform(0, 1, (4, 24)) * (rng.random((4, 24)) > 0.3)
    camera, sound = fitted_camera(*(torch.tensor(v) for v in (joints, points, weights)))
    assert sound.all()
    for n in range(4):
        rows, values = [], []
        for k in range(24):
            root = np.sqrt(weights[n, k])
            u, v = points[n, k] * 112  # pixels from the centre
            X, Y, Z = joints[n, k]
            rows += [root * np.array((5000, 0, -u)), root * np.array((0, 5000, -v))]
            values += [root * (u * Z - 5000 * X), root * (v * Z - 5000 * Y)]
        tx, ty, tz = np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0]
        np.testing.assert_allclose(camera[n], (2 * 5000 / (224 * tz), tx, ty), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(camera[3], true[3], rtol=1e-4)  # no noise


def test_there_is_no_camera_of_one_point_or_of_a_body_that_is_mirrored() -> None:
    joints = torch.randn((3, 24, 3), generator=torch.Generator().manual_seed(1))
    points = SQUARE_CAMERA.project(joints, torch.tensor((0.9, 0, 0)).expand(3, 3))
    weights = torch.ones(3, 24)
    weights[0, 1:] = 0
    points[1] *= -1
    camera, sound = fitted_camera(joints, points, weights)
    assert sound.tolist() == [False, False, True]
    assert torch.isfinite(camera).all()


def test_parts_are_of_the_joint_that_moves_the_face_most(bodies, models: BodyModels) -> None:
    model = models.get("smpl", "neutral")
    index = PartMaps(model)(*bodies)["part_index"]
    pixels, depth = seen_on_map(*bodies)
    seen = faces_seen(pixels, depth, torch.as_tensor(model.faces), (MAP, MAP))
    for y, x in ((28, 28), (20, 27), (0, 0), (35, 29)):
        face = int(seen[0, y, x])
        expected = 0 if face < 0 else 1 + int(np.argmax(sum(model.weights[v] for v in model.faces[face])))
        assert index[0, y, x] == expected
    assert len(index.unique()) > 8


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory, models: BodyModels) -> Path:
    """A made-up chart: two copies of each vertex, parts by height, u and v by place."""
    model = models.get("smpl", "neutral")
    middle = model.v_template[model.faces].mean(1)
    parts = np.clip(((middle[:, 1] - middle[:, 1].min()) / np.ptp(middle[:, 1]) * 24).astype(int) + 1, 1, 24)
    path = tmp_path_factory.mktemp("chart") / "UV_Processed.mat"
    count = len(model.v_template)
    u = np.tile((model.v_template[:, 0] + 1) / 2, 2)
    savemat(
        path,
        {
            "All_Faces": (model.faces + 1 + count).astype(np.uint16),
            "All_FaceIndices": parts[:, None].astype(np.uint8),
            "All_vertices": np.tile(np.arange(1, count + 1), 2)[None].astype(np.uint16),
            "All_U_norm": u[:, None],
            "All_V_norm": 1 - u[:, None],
        },
    )
    return path


def test_the_charts_part_and_place_are_those_of_the_face_that_is_seen(bodies, chart: Path, models: BodyModels) -> None:
    model = models.get("smpl", "neutral")
    vertices, camera = bodies
    maps = SurfaceMaps(chart)(vertices, camera)
    held = read_chart(chart)
    pixels, depth = seen_on_map(vertices, camera)
    seen = faces_seen(pixels, depth, torch.as_tensor(model.faces), (MAP, MAP))
    shown = seen >= 0
    assert ((maps["iuv_index"] > 0) == shown).all()
    for n, y, x in shown.nonzero()[::97].tolist():
        face = int(seen[n, y, x])
        assert maps["iuv_index"][n, y, x] == held["parts"][face]
        assert maps["iuv_annotation"][n, y, x] == COARSER[held["parts"][face]]
        a, b, c = np.append(pixels[n, model.faces[face]].double(), np.ones((3, 1)), axis=1)
        flat = np.linalg.solve(np.stack((a, b, c), axis=1), (x, y, 1)) / depth[n, model.faces[face]].double().numpy()
        u = flat / flat.sum() @ (model.v_template[model.faces[face], 0] + 1) / 2
        np.testing.assert_allclose(maps["iuv_uv"][n, y, x], (u, 1 - u), atol=1e-4)


def test_coarser_parts_are_those_of_the_annotators() -> None:
    pairs = (
        (1, 2),
        (3,),
        (4,),
        (5,),
        (6,),
        (7, 9),
        (8, 10),
        (11, 13),
        (12, 14),
        (15, 17),
        (16, 18),
        (19, 21),
        (20, 22),
    )
    for number, fine in enumerate((*pairs, (23, 24)), start=1):
        assert {COARSER[part] for part in fine} == {number}
    assert len(COARSER) == 25
    assert COARSER[0] == 0


def test_a_chart_that_is_none_is_refused(tmp_path: Path, models: BodyModels) -> None:
    with pytest.raises(BodyModelError, match=r"UV_Processed.mat is not there.*auxiliary=parts"):
        chart_file(BodyModels(tmp_path))
    path = tmp_path / "UV_Processed.mat"
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="is not a MATLAB file"):
        read_chart(path)
    savemat(path, {"All_Faces": np.ones((2, 3))})
    with pytest.raises(BodyModelError, match="has no All_FaceIndices"):
        read_chart(path)
    one = np.ones((2, 1))
    held = {"All_FaceIndices": one * 30, "All_vertices": one.T, "All_U_norm": one, "All_V_norm": one}
    savemat(path, {"All_Faces": np.ones((2, 3)), **held})
    with pytest.raises(BodyModelError, match="do not agree"):
        read_chart(path)
