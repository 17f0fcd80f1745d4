"""SMPLest-X: names and shapes of the public file, the slices of its tokens, and where it differs from SMPLer-X."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ehps.benchmark.models.smplest_x import CrossAttention, Decoder, SmplestX
from ehps.benchmark.models.vit import Size
from tests.benchmark.models.randomised import Said, images, randomised, tensors
from tests.benchmark.models.state_dicts import listed

SMALL = Size(width=64, depth=1, heads=2, drop_path=0.0)


@pytest.fixture(scope="module")
def model() -> SmplestX:
    return randomised(SmplestX(size=SMALL))


def test_names_shapes_and_counts_are_those_of_the_public_file() -> None:
    with torch.device("meta"):
        model = SmplestX()
    state = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in model.state_dict().items()}
    assert state == listed("smplest_x_h")
    assert sum(p.numel() for p in model.encoder.parameters()) == 631_014_400
    assert sum(p.numel() for p in model.decoder.parameters()) == 56_208_752
    assert model.encoder.blocks[-1].drop_path.rate == 0.55


def test_shapes_of_the_output_without_looking_at_a_number_or_leaving_the_device() -> None:
    with torch.device("meta"):
        model = SmplestX(size=SMALL)
    out = model.eval()(torch.empty(2, 3, 512, 384, device="meta"))
    assert {name: tuple(tensor.shape) for name, tensor in tensors(out).items()} == {
        "global_orient": (2, 3, 3),
        "body_pose": (2, 21, 3, 3),
        "left_hand_pose": (2, 15, 3, 3),
        "right_hand_pose": (2, 15, 3, 3),
        "jaw_pose": (2, 3, 3),
        "betas": (2, 10),
        "expression": (2, 10),
        "cam_trans": (2, 3),
        **{f"{part}_root": (2, 3, 3) for part in ("left_hand", "right_hand", "face")},
        **{f"{part}_cam_trans": (2, 3) for part in ("left_hand", "right_hand", "face")},
    }


@torch.no_grad()
def test_rows_do_not_depend_on_the_batch_of_three_or_any_other(model: SmplestX) -> None:
    rows = images(5)
    whole = tensors(model(rows))
    for n in (1, 2, 3):
        for name, tensor in tensors(model(rows[:n])).items():
            torch.testing.assert_close(tensor, whole[name][:n], atol=1e-4, rtol=1e-4)
    assert (whole["global_orient"][0] - whole["global_orient"][1]).abs().max() > 1e-3  # rows differ


@torch.no_grad()
def test_the_crop_on_the_even_grid_is_the_same_input(model: SmplestX) -> None:
    large = torch.nn.functional.interpolate(images(1), scale_factor=2)
    large[..., 1::2, :] = large[..., :, 1::2] = 0.5
    for a, b in zip(tensors(model(large)).values(), tensors(model(images(1))).values(), strict=True):
        assert torch.equal(a, b)


@torch.no_grad()
def test_a_token_that_is_in_the_file_only_changes_nothing() -> None:
    model = randomised(SmplestX(size=SMALL))
    before = tensors(model(images(1)))
    model.decoder.transformer.to_token_embedding.weight += 1
    model.decoder.transformer.to_token_embedding.bias += 1
    for name, tensor in tensors(model(images(1))).items():
        assert torch.equal(tensor, before[name])
    state = model.state_dict()
    del state["decoder.transformer.to_token_embedding.weight"]
    with pytest.raises(RuntimeError, match="to_token_embedding"):
        model.load_state_dict(state)


@torch.no_grad()
def test_queries_are_normed_with_the_default_epsilon_and_patches_not_at_all(model: SmplestX) -> None:
    """Loops over heads; numbers so small that an epsilon of 1e-6 gives others."""
    layer = model.decoder.transformer.transformer.layers[2][1]
    assert isinstance(layer.fn, CrossAttention)
    generator = torch.Generator().manual_seed(0)
    x, context = torch.randn(4, 64, generator=generator) * 2e-3, 3 + torch.randn(6, 64, generator=generator)
    normed = (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, correction=0) + 1e-5).sqrt()
    q = (normed * layer.norm.weight + layer.norm.bias) @ layer.fn.to_q.weight.T
    k, v = (context @ layer.fn.to_kv.weight.T).split(512, dim=1)
    heads = []
    for i in range(8):
        part = slice(64 * i, 64 * i + 64)
        heads.append(torch.softmax(q[:, part] @ k[:, part].T / 8, dim=1) @ v[:, part])
    out = layer.fn.to_out[0]
    expected = torch.cat(heads, dim=1) @ out.weight.T + out.bias
    torch.testing.assert_close(layer(x[None], context[None])[0], expected, atol=2e-5, rtol=0)
    for parts in model.decoder.transformer.transformer.layers:
        assert {part.norm.eps for part in parts} == {1e-5}
    assert {block.norm1.eps for block in model.encoder.blocks} == {model.encoder.last_norm.eps} == {1e-6}


@torch.no_grad()
def test_queries_are_tokens_then_patches_and_context_is_the_patches(model: SmplestX) -> None:
    said = []
    decoder = Decoder(64)
    decoder.transformer.register_forward_hook(lambda _, given, __: said.append(given))
    tokens, patches = torch.zeros(1, 80, 64), torch.ones(1, 192, 64)
    decoder(tokens, patches)
    queries, context = said[0]
    assert torch.equal(queries, torch.cat((tokens, patches), dim=1))
    assert torch.equal(context, patches)


@torch.no_grad()
def test_each_token_has_its_task() -> None:
    """Tokens go straight to the linear layers; what changes with one of them is what reads it."""
    decoder = randomised(Decoder(64))
    changed = {
        "global_orient": range(1),
        "body_pose": range(1, 22),
        "betas": range(22, 32),
        "cam_trans": range(32, 33),
        "left_hand_root right_hand_root": range(33, 35),
        "left_hand_pose right_hand_pose": range(35, 65),
        "left_hand_cam_trans right_hand_cam_trans": range(65, 67),
        "face_root": range(67, 68),
        "expression": range(68, 78),
        "jaw_pose": range(78, 79),
        "face_cam_trans": range(79, 80),
    }
    queries = torch.randn(1, 272, 64, generator=torch.Generator().manual_seed(0)).repeat(81, 1, 1)
    queries[range(80), range(80)] += 1
    decoder.transformer.forward = lambda *_: queries
    model = randomised(SmplestX(size=SMALL))
    model.encoder, model.decoder = Said(queries[:, :80], queries[:, 80:]), decoder
    out = tensors(model(images(1)))
    for names, tokens in changed.items():
        for token in tokens:
            found = {name for name, tensor in out.items() if (tensor[token] - tensor[-1]).abs().max() > 1e-5}
            assert found == set(names.split()), token


@torch.no_grad()
def test_hands_come_left_then_right_are_interleaved_and_not_mirrored() -> None:
    model = randomised(SmplestX(size=SMALL))

    def say(name: str, values: list[float]) -> None:
        layer = getattr(model.decoder, f"dec_{name}")
        layer.weight.zero_()
        layer.bias.copy_(torch.tensor(values))

    c, s = math.cos(0.3), math.sin(0.3)
    about_z = [c, -s, s, c, 0, 0]  # first column c, s, 0; second -s, c, 0
    about_x = [1, 0, 0, c, 0, s]  # first column 1, 0, 0; second 0, c, s
    say("hand_pose", about_z * 15 + about_x * 15)
    say("hand_root_pose", about_z + about_x)
    say("hand_cam", [0.1, 0.2, 0, 0.3, 0.4, 0])
    say("body_cam", [0.5, 0.6, 0.7])
    out = model(images(3))

    def matrices(values: list[list[float]], tensor: Tensor) -> None:
        np.testing.assert_allclose(tensor, np.broadcast_to(values, tensor.shape), atol=1e-6)

    matrices([[c, -s, 0], [s, c, 0], [0, 0, 1]], out.left_hand_pose)
    matrices([[1, 0, 0], [0, c, -s], [0, s, c]], out.right_hand_pose)
    matrices([[c, -s, 0], [s, c, 0], [0, 0, 1]], out.extras["left_hand_root"])
    matrices([[1, 0, 0], [0, c, -s], [0, s, c]], out.extras["right_hand_root"])
    np.testing.assert_allclose(out.extras["left_hand_cam_trans"][0], (0.1, 0.2, 56.382 / 2), rtol=1e-5)
    np.testing.assert_allclose(out.extras["right_hand_cam_trans"][0], (0.3, 0.4, 56.382 / 2), rtol=1e-5)
    np.testing.assert_allclose(out.cam_trans[0], (0.5, 0.6, 56.382 / (1 + math.exp(-0.7))), rtol=1e-5)
