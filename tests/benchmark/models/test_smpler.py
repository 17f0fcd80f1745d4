"""SMPLer: its file's names, and every place where a plausible reading of the paper gives other numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ehps.benchmark import models as networks
from ehps.benchmark.models import smpler
from ehps.benchmark.models.outputs import SmplPrediction
from ehps.benchmark.models.smpler import SMPLer
from ehps.benchmark.models.unfilled import without_weights
from ehps.benchmark.training import rotations_6d
from ehps.body.models import BodyModels
from ehps.errors import BodyModelError
from tests.benchmark.models.state_dicts import listed, random_state


@dataclass
class Run:
    """A network, what it made of five images, and what its parts were given and returned meanwhile."""

    network: SMPLer
    images: Tensor
    prediction: SmplPrediction
    given: dict[str, tuple[Any, ...]]
    returned: dict[str, Any]

    def part(self, name: str) -> Any:
        return self.network.get_submodule(name)


PARTS = (
    "SMPL_predictor",
    "transformer.0",
    "transformer.0.trans_block",
    "transformer.0.trans_block.trans_units.0",
    "transformer.0.trans_block.trans_units.0.global_unit",
    "transformer.0.trans_block.trans_units.0.local_unit",
    "transformer.0.trans_block.trans_units.0.local_unit.trans_layer_list.0.transformer_layer.attention",
    "transformer.0.trans_block.trans_units.0.self_trans_layer.self_trans_layer",
    "transformer.0.trans_block.trans_units.1",
    "transformer.1",
    "transformer.2",
)
BLOCK, UNIT = PARTS[1], PARTS[3]


@pytest.fixture(scope="module")
def run(models: BodyModels) -> Run:
    """Random numbers with which joints lie in the image, some near its border."""
    state = random_state("smpler", scale=0.6)
    for key in state:
        if ".dec" in key:
            state[key] *= 0.02
        elif "_predictor.weight" in key:
            state[key] *= 0.05
        elif "theta_predictor.bias" in key:
            state[key] += torch.tensor((1.0, 0, 0, 1, 0, 0))
        elif key.endswith("init_cam"):
            state[key] = torch.tensor([[0.9, 0.9, -0.1]])
    network = SMPLer(32, models.get("smpl", "neutral")).eval()
    network.load_state_dict(state)
    images = torch.rand(5, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    given: dict[str, tuple[Any, ...]] = {}
    returned: dict[str, Any] = {}

    def remember(name: str) -> Any:
        def hook(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            given[name], returned[name] = inputs, output

        return network.get_submodule(name).register_forward_hook(hook)

    handles = [remember(name) for name in PARTS]
    with torch.no_grad():
        prediction = network(images)
    for handle in handles:
        handle.remove()
    return Run(network, images, prediction, given, returned)


@pytest.mark.parametrize(("name", "width", "count"), [("smpler", 32, 37_355_950), ("smpler_l", 48, 73_615_150)])
def test_tensors_are_those_of_the_released_file(name: str, width: int, count: int) -> None:
    with torch.device("meta"):
        network = SMPLer(width)
    assert {key: (tuple(x.shape), x.dtype) for key, x in network.state_dict().items()} == listed(name)
    assert sum(p.numel() for p in network.parameters()) == count


@pytest.mark.parametrize(("name", "width"), [("smpler", 32), ("smpler_l", 48)])
def test_without_blocks_there_are_the_trunk_and_the_regressor_alone(name: str, width: int) -> None:
    with without_weights():
        network = SMPLer(width, blocks=0)
    kept = {key: tensor for key, tensor in listed(name).items() if key.startswith(("backbone.", "SMPL_predictor."))}
    assert {key: (tuple(x.shape), x.dtype) for key, x in network.state_dict().items()} == kept
    (variant,) = networks.card(name).variants
    assert sum(p.numel() for p in network.parameters()) == variant.parameters


def test_the_trunk_keeps_four_sizes(run: Run) -> None:
    maps = run.given[BLOCK][1]
    assert [tuple(x.shape[1:]) for x in maps] == [(32, 56, 56), (64, 28, 28), (128, 14, 14), (256, 7, 7)]


def test_there_are_four_results_and_the_first_is_the_regressors(run: Run) -> None:
    pose, betas, camera = run.returned["SMPL_predictor"]
    extras = run.prediction.extras
    assert extras["stage_rotations"].shape == (5, 4, 24, 3, 3)
    torch.testing.assert_close(extras["stage_rotations"][:, 0], rotations_6d.from_6d(pose.view(5, 24, 6)))
    assert torch.equal(extras["stage_betas"][:, 0], betas)
    assert torch.equal(extras["stage_cameras"][:, 0], camera)
    assert torch.equal(run.prediction.body_pose, extras["stage_rotations"][:, 3, 1:])
    assert torch.equal(run.prediction.camera, extras["stage_cameras"][:, 3])


def test_the_regressor_has_three_rounds_with_activations(run: Run) -> None:
    weights = {name: value.double().numpy() for name, value in run.part("SMPL_predictor").state_dict().items()}
    feature = run.given[BLOCK][1][3].double().mean((2, 3)).numpy()
    parts = {"pose": "decpose", "shape": "decshape", "cam": "deccam"}
    values = {name: np.repeat(weights[f"init_{name}"], 5, axis=0) for name in parts}
    for _ in range(3):
        x = np.concatenate((feature, *values.values()), axis=1)
        for layer in ("fc1", "fc2"):
            x = np.maximum(x @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"], 0)
        values = {
            name: values[name] + x @ weights[f"{head}.weight"].T + weights[f"{head}.bias"]
            for name, head in parts.items()
        }
    for expected, found in zip(values.values(), run.returned["SMPL_predictor"], strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_rotations_are_turned_from_the_right_and_the_rest_added(run: Run) -> None:
    extras = run.prediction.extras
    for block in range(3):
        turns, shape, move, _ = run.returned[f"transformer.{block}"]
        before = extras["stage_rotations"][:, block]
        torch.testing.assert_close(extras["stage_rotations"][:, block + 1], before @ turns)
        assert (before @ turns - turns @ before).abs().max() > 0.1
        torch.testing.assert_close(extras["stage_betas"][:, block + 1], extras["stage_betas"][:, block] + shape)
        torch.testing.assert_close(extras["stage_cameras"][:, block + 1], extras["stage_cameras"][:, block] + move)


def test_queries_begin_from_parameters_and_the_images_feature(run: Run) -> None:
    network, extras = run.network, run.prediction.extras
    feature = network.global_feat_projection(run.given[BLOCK][1][3].mean((2, 3)))
    query = run.given[BLOCK][0]
    theta = network.init_query_layer_theta(extras["stage_rotations"][:, 0].reshape(5, 24, 9))
    torch.testing.assert_close(query[:, :24], theta + feature[:, None])
    torch.testing.assert_close(query[:, 24], network.init_query_layer_beta(extras["stage_betas"][:, 0]) + feature)
    torch.testing.assert_close(query[:, 25], network.init_query_layer_cam(extras["stage_cameras"][:, 0]) + feature)


def test_queries_are_fed_on(run: Run) -> None:
    for block in (0, 1):
        assert torch.equal(run.given[f"transformer.{block + 1}"][0], run.returned[f"transformer.{block}"][3])


def test_joints_are_projected_with_the_scale_outside(run: Run) -> None:
    extras = run.prediction.extras
    assert run.network.smpl is not None
    for block in range(3):
        joints = run.network.smpl(extras["stage_rotations"][:, block], extras["stage_betas"][:, block])[1]
        s, tx, ty = extras["stage_cameras"][:, block].T[:, :, None]
        expected = torch.stack((s * (joints[..., 0] + tx), s * (joints[..., 1] + ty)), -1)
        torch.testing.assert_close(run.given[f"transformer.{block}"][2], expected, atol=1e-5, rtol=1e-5)


def projected(run: Run, scale: int) -> np.ndarray:
    """(5, h, w, 128) of a map: 1 x 1 convolution, then normalised over channels with epsilon 1e-12."""
    convolution, norm = run.part(f"{BLOCK}.raw_feat_projection_layer.{scale}")
    raw = run.given[BLOCK][1][scale].double().numpy()
    x = np.einsum("nchw,oc->nhwo", raw, convolution.weight.detach().double().numpy()[:, :, 0, 0])
    x += convolution.bias.detach().numpy()
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
    return x * norm.weight.detach().numpy() + norm.bias.detach().numpy()


def test_keys_are_maps_with_averaged_places(run: Run) -> None:
    maps = run.given[f"{UNIT}.global_unit"][1]
    place = run.part(f"{BLOCK}.trans_block").feat_position_embedding.detach().numpy()[0]  # 128 x 56 x 56
    for scale, found in enumerate(maps):
        size = 56 >> scale
        blocks = place.reshape(128, size, 56 // size, size, 56 // size).mean((2, 4))
        expected = projected(run, scale) + blocks.transpose(1, 2, 0)
        np.testing.assert_allclose(found.reshape(5, size, size, 128), expected, atol=2e-4)


def test_surroundings_are_whole_pixels_without_places_x_slowest_and_end_at_the_border(run: Run) -> None:
    joints = run.given[BLOCK][2].numpy()
    _, around, offsets = run.given[f"{UNIT}.local_unit"]
    features = projected(run, 0)
    expected, places, outside = np.zeros((24, 64, 128)), np.zeros((24, 64, 2)), 0
    for joint in range(24):
        x, y = (joints[0, joint] + 1) / 2 * 55
        for k, (dx, dy) in enumerate((dx, dy) for dx in range(-3, 5) for dy in range(-3, 5)):
            column, row = np.floor(x) + dx, np.floor(y) + dy
            outside += not (0 <= column <= 55 and 0 <= row <= 55)
            column, row = np.clip(column, 0, 55), np.clip(row, 0, 55)
            expected[joint, k] = features[0, int(row), int(column)]
            places[joint, k] = (column - x) / 4, (row - y) / 4
    np.testing.assert_allclose(around[0], expected, atol=2e-4)
    np.testing.assert_allclose(offsets[0], places, atol=1e-4)
    assert 0 < outside < 24 * 64  # the border was reached


def test_the_preference_for_places_is_read_bilinearly(run: Run) -> None:
    unit, name = run.part(f"{UNIT}.local_unit"), f"{UNIT}.local_unit"
    table = unit.relative_position_encoding_table[0].detach().numpy()[0]  # 4 x 9 x 9
    offsets = run.given[name][2].flatten(0, 1).numpy()  # 120 x 64 x 2
    bias = run.given[f"{name}.trans_layer_list.0.transformer_layer.attention"][2]
    assert bias.shape == (120, 4, 1, 64)
    for row, k in ((0, 0), (3, 17), (50, 63), (119, 40)):
        x, y = (offsets[row, k] + 1) * 4
        expected = np.zeros(4)
        for i in range(9):
            for j in range(9):
                expected += max(0, 1 - abs(y - i)) * max(0, 1 - abs(x - j)) * table[:, i, j]
        np.testing.assert_allclose(bias[row, :, 0, k], expected, atol=1e-4)


def test_queries_take_up_the_feature_under_their_joint(run: Run) -> None:
    joints, features = run.given[BLOCK][2].numpy(), projected(run, 0)
    read = np.zeros((5, 24, 128))
    for n in range(5):
        for joint in range(24):
            x, y = (joints[n, joint] + 1) / 2 * 55
            for i in (int(np.floor(y)), int(np.floor(y)) + 1):
                for j in (int(np.floor(x)), int(np.floor(x)) + 1):
                    if 0 <= i < 56 and 0 <= j < 56:
                        read[n, joint] += (1 - abs(y - i)) * (1 - abs(x - j)) * features[n, i, j]
    linear = run.part(f"{BLOCK}.joint_feat_projection_layer.0")
    added = read @ linear.weight.detach().double().numpy().T + linear.bias.detach().numpy()
    added = np.concatenate((added, np.repeat(added.mean(1, keepdims=True), 2, axis=1)), axis=1)
    found = run.given[f"{BLOCK}.trans_block"][0] - run.given[BLOCK][0]
    np.testing.assert_allclose(found, added, atol=1e-3)


def test_the_four_maps_are_averaged(run: Run) -> None:
    unit = run.part(f"{UNIT}.global_unit")
    query, maps = run.given[f"{UNIT}.global_unit"]
    with torch.no_grad():
        each = [layer["transformer_layer"](query, x) for layer, x in zip(unit.trans_layer_list, maps, strict=True)]
    torch.testing.assert_close(run.returned[f"{UNIT}.global_unit"], sum(each) / 4, atol=1e-4, rtol=1e-4)


def test_both_kinds_of_attention_start_from_the_same_queries(run: Run) -> None:
    query = run.given[UNIT][0]
    assert torch.equal(run.given[f"{UNIT}.global_unit"][0], query)
    assert torch.equal(run.given[f"{UNIT}.local_unit"][0], query[:, :24])
    seen, near = run.returned[f"{UNIT}.global_unit"], run.returned[f"{UNIT}.local_unit"]
    after = run.given[f"{UNIT}.self_trans_layer.self_trans_layer"][0]
    torch.testing.assert_close(after[:, :24], (seen[:, :24] + near) / 2)
    assert torch.equal(after[:, 24:], seen[:, 24:])


def test_a_block_returns_head_plus_residual_of_queries_with_joint_features(run: Run) -> None:
    name = f"{BLOCK}.trans_block"
    block, query, last = run.part(name), run.given[name][0], run.returned[f"{name}.trans_units.1"]
    expected = block.head(last) + block.residual(query)
    torch.testing.assert_close(run.returned[BLOCK][3], expected, atol=1e-4, rtol=1e-4)
    begin = block.early_embedding(query) + block.position_embeddings.weight
    torch.testing.assert_close(run.given[UNIT][0], begin)


def layer_by_hand(layer: smpler.Layer, query: np.ndarray, source: np.ndarray | None) -> np.ndarray:
    """One instance, a loop over heads; ``query`` (Q, 128), ``source`` (K, 128) or None for itself."""
    weights = {name: value.double().numpy() for name, value in layer.state_dict().items()}

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    normal = norm(query, "LayerNorm_attn")
    keys = normal if source is None else source
    q, k, v = (linear(x, f"attention.{name}") for x, name in ((normal, "query"), (keys, "key"), (keys, "value")))
    heads = []
    for head in range(4):
        own = slice(32 * head, 32 * head + 32)
        scores = np.exp(q[:, own] @ k[:, own].T / np.sqrt(32))
        heads.append(scores / scores.sum(1, keepdims=True) @ v[:, own])
    query = query + linear(np.concatenate(heads, axis=1), "linear_attn")
    hidden = linear(norm(query, "mlp.0"), "mlp.1")
    hidden = torch.nn.functional.gelu(torch.as_tensor(hidden)).numpy()
    return query + linear(hidden, "mlp.3")


@pytest.mark.parametrize("itself", [False, True])
def test_only_queries_are_normalised(itself: bool) -> None:
    torch.manual_seed(0)
    layer = smpler.Layer().eval()
    nn.init.normal_(layer.LayerNorm_attn.weight)
    # so small that PyTorch's own epsilon would show
    query, source = 1e-3 * torch.randn(1, 5, 128), torch.randn(1, 7, 128)
    with torch.no_grad():
        found = layer(query, None if itself else source)[0]
    expected = layer_by_hand(layer, query[0].double().numpy(), None if itself else source[0].double().numpy())
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_every_normalisation_has_the_originals_epsilon(run: Run) -> None:
    norms = [module for module in run.network.modules() if isinstance(module, nn.LayerNorm)]
    assert {norm.eps for norm in norms} == {1e-12}


def test_rows_do_not_depend_on_their_batch(run: Run) -> None:
    for n in (1, 2, 3):
        with torch.inference_mode():
            part = run.network(run.images[:n])
        for name in ("global_orient", "body_pose", "betas", "camera"):
            found, expected = getattr(part, name), getattr(run.prediction, name)[:n]
            torch.testing.assert_close(found, expected, atol=5e-4, rtol=5e-4)


def test_training_begins_at_camera_1_and_corrections_near_none() -> None:
    guess = smpler.FirstGuess(4)
    assert guess.init_cam.tolist() == [[1, 0, 0]]
    block = smpler.Block([2, 3, 4, 5])
    np.testing.assert_allclose(rotations_6d.from_6d(block.theta_predictor.bias.detach()), np.eye(3), atol=1e-6)
    assert 0.0005 < block.theta_predictor.weight.std() < 0.002


def test_rotations_of_a_block_are_whole_in_half_precision() -> None:
    block = smpler.Block([2, 3, 4, 5]).eval()
    maps = [torch.rand(1, width, 56 >> scale, 56 >> scale) for scale, width in enumerate((2, 3, 4, 5))]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        turns = block(torch.rand(1, 26, 128), maps, torch.rand(1, 24, 2))[0]
    torch.testing.assert_close(turns @ turns.mT, torch.eye(3).expand(1, 24, 3, 3), atol=1e-6, rtol=0)


def test_a_network_without_body_model_says_what_it_needs() -> None:
    with torch.device("meta"):
        network = SMPLer(32)
    with pytest.raises(BodyModelError, match="needs the neutral SMPL model"):
        network(torch.empty(1, 3, 224, 224, device="meta"))
    with pytest.raises(ValueError, match="width is 40"):
        SMPLer(40)
    for blocks in (1, 0.0, "3"):
        with pytest.raises(ValueError, match=f"blocks is {blocks!r}, not 3, or 0"):
            SMPLer(32, blocks=blocks)  # type: ignore[arg-type]
