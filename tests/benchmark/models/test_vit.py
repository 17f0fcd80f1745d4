"""The encoder: each of its peculiarities against numbers computed another way."""

import math

import pytest
import torch
from torch import Tensor, nn

from ehps.benchmark.models.vit import SIZES, Attention, Block, DropPath, Mlp, Size, ViT, even_pixels
from tests.benchmark.models.randomised import images, randomised

WIDTH, TOKENS = 24, 5


@pytest.fixture(scope="module")
def without_blocks() -> ViT:
    return randomised(ViT(Size(WIDTH, 0, 4, 0.0), TOKENS))


def normed(x: Tensor, norm: nn.LayerNorm) -> Tensor:
    """Layer norm with an epsilon of 1e-6."""
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt() * norm.weight + norm.bias


def test_patches_are_taken_two_pixels_up_and_left_and_slot_zero_is_added_to_each(without_blocks: ViT) -> None:
    image = images(1)
    padded = torch.zeros(3, 260, 196)
    padded[:, 2:-2, 2:-2] = image[0]
    weight = without_blocks.patch_embed.proj.weight.detach().flatten(1)
    bias = without_blocks.patch_embed.proj.bias.detach()
    expected = torch.empty(16, 12, WIDTH)
    for i in range(16):
        for j in range(12):
            seen = padded[:, 16 * i : 16 * i + 16, 16 * j : 16 * j + 16]
            expected[i, j] = weight @ seen.flatten() + bias
    position = without_blocks.pos_embed[0]
    expected = normed(expected.view(192, WIDTH) + position[1:] + position[0], without_blocks.last_norm)
    _, patches = without_blocks(image)
    torch.testing.assert_close(patches[0], expected, atol=2e-5, rtol=0)


def test_task_tokens_come_first_and_have_no_position(without_blocks: ViT) -> None:
    tokens, patches = without_blocks(images(2))
    assert (tokens.shape, patches.shape) == ((2, TOKENS, WIDTH), (2, 192, WIDTH))
    expected = normed(without_blocks.task_tokens, without_blocks.last_norm).expand(2, -1, -1)
    torch.testing.assert_close(tokens, expected, atol=1e-5, rtol=0)


def test_layer_norms_keep_numbers_of_a_thousandth(without_blocks: ViT) -> None:
    """With an epsilon of 1e-5 these would be half as large."""
    block = randomised(Block(WIDTH, 4, 0.0))
    for norm in (without_blocks.last_norm, block.norm1, block.norm2):
        x = torch.linspace(-2e-3, 2e-3, WIDTH)
        torch.testing.assert_close(norm(x), normed(x, norm), atol=1e-5, rtol=0)


def test_small_has_twelve_heads_of_32() -> None:
    size = SIZES["s"]
    attention = randomised(Attention(size.width, size.heads))
    x = torch.randn(1, 7, 384, generator=torch.Generator().manual_seed(0))
    q, k, v = (x[0] @ attention.qkv.weight.T + attention.qkv.bias).split(384, dim=1)  # each (7, 384)
    heads = []
    for i in range(12):
        part = slice(32 * i, 32 * i + 32)
        heads.append(torch.softmax(q[:, part] @ k[:, part].T / math.sqrt(32), dim=1) @ v[:, part])
    expected = torch.cat(heads, dim=1) @ attention.proj.weight.T + attention.proj.bias
    torch.testing.assert_close(attention(x)[0], expected, atol=1e-5, rtol=0)
    with_six = randomised(Attention(384, 6))
    assert (with_six(x)[0] - expected).abs().max() > 0.05  # loads as well, and is another


def test_the_sizes_are_those_of_vitpose() -> None:
    measures = {name: (size.width, size.depth, size.heads, size.drop_path) for name, size in SIZES.items()}
    assert measures == {
        "s": (384, 12, 12, 0.1),
        "b": (768, 12, 12, 0.3),
        "l": (1024, 24, 16, 0.5),
        "h": (1280, 32, 16, 0.55),
    }


def test_gelu_is_the_exact_one() -> None:
    mlp = randomised(Mlp(WIDTH))
    x = torch.randn(3, WIDTH, generator=torch.Generator().manual_seed(0)) * 3
    inside = x @ mlp.fc1.weight.T + mlp.fc1.bias
    inside = inside * (1 + torch.erf(inside / math.sqrt(2))) / 2
    torch.testing.assert_close(mlp(x), inside @ mlp.fc2.weight.T + mlp.fc2.bias, atol=1e-5, rtol=0)


def test_a_crop_made_on_the_even_grid_is_the_same_input_bit_for_bit() -> None:
    vit = randomised(ViT(Size(WIDTH, 1, 4, 0.0), TOKENS))
    large = torch.rand(2, 3, 512, 384, generator=torch.Generator().manual_seed(0))
    even = nn.functional.interpolate(large, (256, 192))  # nearest, which is the default
    assert torch.equal(even[:, :, 7, 5], large[:, :, 14, 10])
    for a, b in zip(vit(large), vit(even), strict=True):
        assert torch.equal(a, b)


def test_a_crop_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(1, 3, 224, 224\)"):
        even_pixels(torch.empty(1, 3, 224, 224))


def test_whole_branches_are_dropped_in_training_only() -> None:
    drop = DropPath(0.75)
    x = torch.ones(4000, 2, 3)
    assert torch.equal(drop.eval()(x), x)
    torch.manual_seed(0)
    out = drop.train()(x)
    assert set(out.unique().tolist()) == {0.0, 4.0}
    assert (out == out[:, :1, :1]).all()  # a sample as a whole
    assert out.mean() == pytest.approx(1, abs=0.1)


def test_the_rate_of_dropping_rises_with_the_block() -> None:
    with torch.device("meta"):
        rates = [block.drop_path.rate for block in ViT(SIZES["b"], TOKENS).blocks]
        given = [block.drop_path.rate for block in ViT(SIZES["b"], TOKENS, 0.11).blocks]
    assert rates == pytest.approx([0.3 * i / 11 for i in range(12)])
    assert given == pytest.approx([0.01 * i for i in range(12)])
    with pytest.raises(ValueError, match="drop_path"):
        ViT(SIZES["b"], TOKENS, 1.0)
