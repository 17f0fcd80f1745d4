"""PyMAF: its file's names, and every place where a plausible reading of the paper gives other numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from ehps.benchmark.models import pymaf
from ehps.benchmark.models.outputs import SmplPrediction
from ehps.benchmark.models.pymaf import PyMAF
from ehps.benchmark.training import rotations_6d
from ehps.body import meshes
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams
from ehps.errors import BodyModelError
from tests.benchmark.models.state_dicts import listed, random_state


@pytest.fixture(scope="module")
def state(models: BodyModels) -> dict[str, Tensor]:
    """Random numbers with which a person stays before the camera, and points on the body.

    The second step's points are shares of all vertices, the third's are vertices.
    """
    state = random_state("pymaf", scale=0.8)
    for key in state:
        if key.endswith("init_cam"):
            state[key] = torch.tensor([[0.9, 0.02, -0.05]])
        if ".dec" in key:
            state[key] *= 0.1
    shares = state["maf_extractor.1.Dmap"].abs() ** 9
    state["maf_extractor.1.Dmap"] = shares / shares.sum(1, keepdim=True)
    state["maf_extractor.2.Dmap"] = torch.as_tensor(pymaf.make_dmap(models.get("smpl", "neutral").v_template))
    return state


@pytest.fixture(scope="module")
def network(models: BodyModels, state: dict[str, Tensor]) -> PyMAF:
    network = PyMAF(smpl=models.get("smpl", "neutral")).eval()
    network.load_state_dict(state)
    return network


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(5, 3, 224, 224, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def run(network: PyMAF, images: Tensor) -> tuple[SmplPrediction, list[tuple[Tensor, Tensor]]]:
    """One pass, and the features and points that each of its steps read."""
    read: list[tuple[Tensor, Tensor]] = []
    handles = [part.register_forward_pre_hook(lambda _, given: read.append(given)) for part in network.maf_extractor]
    with torch.inference_mode():
        out = network(images)
    for handle in handles:
        handle.remove()
    return out, read


@pytest.fixture(scope="module")
def prediction(run: tuple[SmplPrediction, list[tuple[Tensor, Tensor]]]) -> SmplPrediction:
    return run[0]


@pytest.fixture(scope="module")
def read(run: tuple[SmplPrediction, list[tuple[Tensor, Tensor]]]) -> list[tuple[Tensor, Tensor]]:
    return run[1]


@pytest.fixture
def reader() -> pymaf.PointReader:
    torch.manual_seed(0)
    return pymaf.PointReader()


def test_tensors_are_those_of_the_released_file() -> None:
    with torch.device("meta"):
        network = PyMAF()
    assert {key: (tuple(x.shape), x.dtype) for key, x in network.state_dict().items()} == listed("pymaf")
    parameters = {name: sum(p.numel() for p in part.parameters()) for name, part in network.named_children()}
    assert sum(parameters.values()) == 45_168_512
    assert [round(parameters[name] / 1e6, 2) for name in ("feature_extractor", "deconv_layers")] == [23.51, 10.49]
    assert [round(parameters[name] / 1e6, 2) for name in ("regressor", "maf_extractor", "dp_head")] == [
        10.79,
        0.18,
        0.21,
    ]


def test_each_doubling_is_followed_by_its_own_step(read: list[tuple[Tensor, Tensor]]) -> None:
    assert [tuple(features.shape) for features, _ in read] == [(5, 256, size, size) for size in (14, 28, 56)]


def test_x_varies_slowest_on_the_grid(read: list[tuple[Tensor, Tensor]], network: PyMAF) -> None:
    # the released file holds the grid too; here it holds random numbers
    assert torch.equal(read[0][1], network.points_grid.transpose(1, 2).expand(5, -1, -1))
    expected = [(-1 + 0.1 * i, -1 + 0.1 * j) for i in range(21) for j in range(21)]
    np.testing.assert_allclose(pymaf.grid()[0].T, expected, atol=1e-6)


def by_hand(features: np.ndarray, x: float, y: float) -> np.ndarray:
    """(256, h, w) at -1..1, corners on the middle of corner pixels, nothing outside."""
    _, height, width = features.shape
    column, row = (x + 1) / 2 * (width - 1), (y + 1) / 2 * (height - 1)
    out = np.zeros(len(features))
    for i in (int(np.floor(row)), int(np.floor(row)) + 1):
        for j in (int(np.floor(column)), int(np.floor(column)) + 1):
            if 0 <= i < height and 0 <= j < width:
                out += (1 - abs(row - i)) * (1 - abs(column - j)) * features[:, i, j]
    return out


def test_a_point_is_read_by_a_small_network_that_sees_its_feature_three_times(reader: pymaf.PointReader) -> None:
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(1, 256, 4, 6, generator=generator)
    points = torch.tensor([[[-1.0, 1.0], [0.3, -0.7], [1.1, 0.2]]])
    out = reader(features, points)[0].detach().numpy().reshape(5, 3)  # number by number
    weights = {name: value.detach().numpy().astype(float) for name, value in reader.named_parameters()}
    for k, (x, y) in enumerate(points[0].tolist()):
        feature = by_hand(features[0].numpy().astype(float), x, y)
        z = feature
        for layer in range(3):
            z = feature if layer == 0 else np.concatenate((z, feature))
            z = weights[f"conv{layer}.weight"][:, :, 0] @ z + weights[f"conv{layer}.bias"]
            z = np.where(z > 0, z, 0.01 * z) if layer < 2 else np.maximum(z, 0)
        np.testing.assert_allclose(out[:, k], z, atol=1e-5)
    assert (out == 0).any()  # the last ReLU had something to do


def test_no_activation_stands_between_the_layers_of_a_regressor(network: PyMAF) -> None:
    generator = torch.Generator().manual_seed(2)
    regressor = network.regressor[1]
    here, there = ([torch.randn(2, size, generator=generator) for size in (2155, 144, 10, 3)] for _ in range(2))
    half = regressor(*((a + b) / 2 for a, b in zip(here, there, strict=True)))
    for middle, a, b in zip(half, regressor(*here), regressor(*there), strict=True):
        torch.testing.assert_close(middle, (a + b) / 2, atol=1e-4, rtol=1e-4)


def test_stage_0_is_the_mean_parameters(prediction: SmplPrediction, state: dict[str, Tensor]) -> None:
    assert prediction.extras["stage_rotations"].shape == (5, 4, 24, 3, 3)
    assert torch.equal(prediction.extras["stage_betas"][:, 0], state["regressor.0.init_shape"].expand(5, -1))
    assert torch.equal(prediction.extras["stage_cameras"][:, 0], state["regressor.0.init_cam"].expand(5, -1))


def test_the_last_stage_is_the_answer(prediction: SmplPrediction) -> None:
    rotations = torch.cat((prediction.global_orient[:, None], prediction.body_pose), 1)
    assert torch.equal(rotations, prediction.extras["stage_rotations"][:, 3])
    assert torch.equal(prediction.betas, prediction.extras["stage_betas"][:, 3])
    assert torch.equal(prediction.camera, prediction.extras["stage_cameras"][:, 3])
    depth = 2 * 5000 / (224 * prediction.camera[:, 0] + 1e-9)
    torch.testing.assert_close(prediction.cam_trans, torch.cat((prediction.camera[:, 1:], depth[:, None]), 1))
    assert prediction.axis_angle()["body_pose"].shape == (5, 23, 3)


def test_six_numbers_are_columns_interleaved(prediction: SmplPrediction, state: dict[str, Tensor]) -> None:
    a, b = (state["regressor.0.init_pose"][0, :6].numpy()[start::2] for start in (0, 1))
    first = a / np.linalg.norm(a)
    second = b - first * (first @ b)
    second /= np.linalg.norm(second)
    expected = np.stack((first, second, np.cross(first, second)), axis=1)
    np.testing.assert_allclose(prediction.extras["stage_rotations"][0, 0, 0], expected, atol=1e-6)


def axis_angle(rotations: Tensor) -> np.ndarray:
    return rotations_6d.to_axis_angle(rotations).numpy()


def expected_points(models: BodyModels, prediction: SmplPrediction, stage: int, dmap: Tensor) -> np.ndarray:
    """(N, 431, 2) by the stored meshes and a pinhole."""
    rotations = prediction.extras["stage_rotations"][:, stage]
    params = BodyParams(
        model_type="smpl",
        gender="neutral",
        global_orient=axis_angle(rotations[:, 0]),
        body_pose=axis_angle(rotations[:, 1:]),
        betas=prediction.extras["stage_betas"][:, stage].numpy(),
        transl=np.zeros((len(rotations), 3)),
    )
    points = dmap.numpy() @ meshes.vertices(models.get("smpl", "neutral"), params)
    s, tx, ty = prediction.extras["stage_cameras"][:, stage].numpy().T[:, :, None]
    x, y, z = points[..., 0] + tx, points[..., 1] + ty, points[..., 2] + 2 * 5000 / (224 * s + 1e-9)
    return np.stack((x, y), -1) / z[..., None] * 5000 / 112


def test_features_are_read_where_the_mesh_of_the_stage_before_lies(
    models: BodyModels, run: tuple[SmplPrediction, list[tuple[Tensor, Tensor]]], state: dict[str, Tensor]
) -> None:
    prediction, read = run
    for step in (1, 2):
        expected = expected_points(models, prediction, step, state[f"maf_extractor.{step}.Dmap"])
        np.testing.assert_allclose(read[step][1], expected, atol=1e-5)


def test_only_vertices_that_points_are_made_of_are_skinned(network: PyMAF) -> None:
    """The released decimation picks vertices; what a file brings decides."""
    needed = [reader.needed for reader in network.maf_extractor]
    assert [part and part.template.shape for part in needed] == [None, (3, 6890), (3, 431)]


def test_made_points_are_431_vertices_spread_over_the_body(models: BodyModels) -> None:
    template = models.get("smpl", "neutral").v_template
    dmap = pymaf.make_dmap(template)
    ids = dmap.argmax(1)
    assert dmap.sum(1).tolist() == [1] * 431
    assert len(set(ids.tolist())) == 431
    gaps = np.linalg.norm(template[:, None] - template[ids], axis=2)  # V x 431
    assert gaps.min(1).max() < 0.08  # every vertex has a point within 8 cm


def test_gradients_do_not_pass_from_stage_to_stage(network: PyMAF, images: Tensor) -> None:
    network(images[:1]).camera.sum().backward()
    assert network.regressor[2].fc1.weight.grad is not None
    assert network.regressor[1].fc1.weight.grad is None
    network.zero_grad()


def test_maps_are_made_in_training_only(network: PyMAF, images: Tensor, prediction: SmplPrediction) -> None:
    assert not any(name.startswith("iuv") for name in prediction.extras)
    network.training = True  # alone: normalisations keep their numbers
    try:
        with torch.no_grad():
            extras = network(images[:1]).extras
    finally:
        network.training = False
    shapes = {name: tuple(value.shape[1:]) for name, value in extras.items() if name.startswith("iuv")}
    assert shapes == dict.fromkeys(("iuv_index", "iuv_u", "iuv_v"), (25, 56, 56)) | {"iuv_annotation": (15, 56, 56)}


def test_rows_do_not_depend_on_their_batch(network: PyMAF, images: Tensor, prediction: SmplPrediction) -> None:
    for n in (1, 2, 3):
        with torch.inference_mode():
            part = network(images[:n])
        for name in ("global_orient", "body_pose", "betas", "camera"):
            torch.testing.assert_close(getattr(part, name), getattr(prediction, name)[:n], atol=2e-4, rtol=1e-4)


def test_lower_precision_moves_the_mesh_by_less_than_half_a_millimetre(
    network: PyMAF, images: Tensor, prediction: SmplPrediction
) -> None:
    assert network.smpl is not None
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        lower = network(images[:2]).float()
    full = network.smpl(prediction.extras["stage_rotations"][:2, -1], prediction.betas[:2])[0]
    moved = network.smpl(lower.extras["stage_rotations"][:, -1], lower.betas)[0]
    assert 0 < (full - moved).norm(dim=-1).mean() < 5e-4


def test_a_doubling_of_one_image_is_the_transposed_convolution() -> None:
    torch.manual_seed(0)
    doubling = pymaf.Doubling(7)
    for shape in ((1, 7, 7, 7), (2, 7, 9, 9)):
        x = torch.randn(shape)
        expected = functional.conv_transpose2d(x, doubling.weight, stride=2, padding=1)
        torch.testing.assert_close(doubling(x), expected)


@pytest.mark.parametrize(
    ("settings", "places", "first", "levels"),
    [
        ({"auxiliary": "parts"}, ["grid", "mesh", "mesh"], 2205, 3),
        ({"feedback": "grid", "auxiliary": "none"}, ["grid"] * 3, 2205, 3),
        ({"start": "mesh"}, ["mesh"] * 3, 2155, 3),
        ({"pyramid": False, "start": "mesh"}, ["mesh"] * 3, 2155, 1),
        ({"pyramid": False, "feedback": "grid"}, ["grid"] * 3, 2205, 1),
        ({"pyramid": False, "feedback": "global"}, ["global"] * 3, 256, 1),
    ],
)
def test_variants_of_the_papers_tables(settings: dict, places: list[str], first: int, levels: int) -> None:
    with torch.device("meta"):
        network = PyMAF(**settings)
    assert network.places == places
    assert len(network.regressor) == levels
    assert network.regressor[0].fc1.in_features == first + 157


def test_a_variant_without_pyramid_runs(models: BodyModels) -> None:
    network = PyMAF(models.get("smpl", "neutral"), "parts", pyramid=False, start="mesh")
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        out = network(image)
    assert out.extras["part_index"].shape == (2, 25, 16, 16)
    assert out.extras["stage_cameras"].shape == (2, 4, 3)


def test_settings_that_exclude_each_other_are_errors() -> None:
    with torch.device("meta"):
        with pytest.raises(ValueError, match="auxiliary is 'uv'"):
            PyMAF(auxiliary="uv")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="start must be 'mesh'"):
            PyMAF(pyramid=False)


def test_the_body_model_must_be_the_neutral_smpl(models: BodyModels, images: Tensor) -> None:
    with torch.device("meta"):
        with pytest.raises(BodyModelError, match="male SMPL model") as error:
            PyMAF(models.get("smpl", "male"))
        assert "SMPL" in str(error.value)
        network = PyMAF().eval()
        with pytest.raises(BodyModelError, match="needs the neutral SMPL model"):
            network(images.to("meta"))


def test_training_begins_upright_before_the_camera() -> None:
    regressor = pymaf.Regressor(3)
    rotations = rotations_6d.from_6d(regressor.init_pose.view(24, 6))
    np.testing.assert_array_equal(rotations[0], np.diag([1.0, -1.0, -1.0]))
    np.testing.assert_array_equal(rotations[1:], np.broadcast_to(np.eye(3), (23, 3, 3)))
    assert regressor.init_cam.tolist() == [[pytest.approx(0.9), 0, 0]]
