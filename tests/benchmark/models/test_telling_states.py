"""Each easily made mistake changes what the written-out networks give on the telling states by more than is allowed.

So a network of the package that agrees with them there has made none of these.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from math import ceil

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.benchmark.models import plain_smpler_x as plain
from tests.benchmark.models import plain_smplest_x as plain_est
from tests.benchmark.models.comparing import beyond
from tests.benchmark.models.telling_states import images, smpler_x_state, smplest_x_state

Put = Callable[[str, object], None]
Mistake = Callable[[Put], None]
DECODE = plain_est.decode

pytestmark = pytest.mark.skipif(
    "EHPS_LARGE_MODELS" not in os.environ, reason="three minutes: set EHPS_LARGE_MODELS=1 to run it"
)


def changed(name: str, change: Callable[[Callable[..., object]], Callable[..., object]]) -> Mistake:
    """A mistake: one function of the written-out network replaced by what ``change`` makes of it."""
    right = getattr(plain, name)
    return lambda put: put(name, change(right))


def constant(name: str, value: object) -> Mistake:
    return lambda put: put(name, value)


def grid_without_aligned_corners(_: object) -> Callable[..., Tensor]:
    def sample(maps: Tensor, points: Tensor) -> Tensor:
        size = torch.tensor(maps.shape[:1:-1])
        at = points[:, None, :, :2] / (size - 1) * 2 - 1
        return functional.grid_sample(maps, at, align_corners=False)[:, :, 0].transpose(1, 2)

    return sample


def bins(
    count: Callable[[float], int], shift: float = 0.0, least: float = 1.0, outside: float = 1.0
) -> Callable[..., Tensor]:
    """RoI-align's bins with another number of samples, shift of the box, least length or cells that count around."""

    def sampled(start: float, length: float, cells: int) -> Tensor:
        step = max(length, least) / 16
        n = max(1, count(step))
        places = start + shift + step * (torch.arange(16 * n, dtype=torch.float64) + 0.5) / n
        inside = (places >= -outside) & (places <= cells - 1 + outside)
        places = places.clamp(0, cells - 1)
        weights = (1 - (places[:, None] - torch.arange(cells)).abs()).clamp(min=0) * inside[:, None]
        return weights.reshape(16, n, cells).mean(dim=1)

    return sampled


def normalised(image: Tensor) -> Tensor:
    mean, deviation = (torch.tensor(x).reshape(3, 1, 1) for x in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    return (image[:, :, ::2, ::2] - mean) / deviation


def heads_before_qkv(state: plain.State, name: str, x: Tensor, heads: int) -> Tensor:
    fused = plain.linear(state, f"{name}.qkv", x).reshape(*x.shape[:2], heads, 3, -1)
    return plain.linear(state, f"{name}.proj", plain.attention(*fused.unbind(3)))


def first_axis_of_three(right: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The third column as a cross product over the first axis of length 3, as with three rows in the original."""

    def rotation(numbers: Tensor) -> Tensor:
        found = right(numbers)
        if numbers.ndim == 2 and len(numbers) == 3:
            first, second, _ = found.unbind(-1)
            return torch.stack([first, second, torch.linalg.cross(first, second, dim=0)], dim=-1)
        return found

    return rotation


def not_interleaved(right: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda six: right(six.unflatten(-1, (2, 3)).transpose(-1, -2).flatten(-2))


def without(name: str) -> Callable[..., Tensor]:
    """The decoder with one tensor of zeros."""

    def decode(state: plain.State, tokens: Tensor, context: Tensor) -> Tensor:
        return DECODE({key: x * (not key.endswith(name)) for key, x in state.items()}, tokens, context)

    return decode


def patches_first(state: plain.State, tokens: Tensor, context: Tensor) -> Tensor:
    return DECODE(state, tokens, context).roll(192, dims=1)


def context_normalised(state: plain.State, name: str, x: Tensor) -> Tensor:
    if name.endswith("to_kv"):
        x = plain.norm(state, name.replace("fn.to_kv", "norm"), x, 1e-5) * 1e-2
    return plain.linear(state, name, x)


def box_of(side: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    def restored(center: Tensor, size: Tensor, enlargement: float) -> Tensor:
        half = side(size * 16) * enlargement / 2
        return torch.cat([center * 16 - half, center * 16 + half], dim=1)

    return restored


def norm_eps(last: str) -> Mistake:
    """1e-5 in the norms of one place of the encoder."""

    def change(right: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda state, name, x, eps: right(state, name, x, 1e-5 if name.endswith(last) else eps)

    return changed("norm", change)


ENCODER: dict[str, Mistake] = {
    "six heads": constant("HEADS", {"s": 6}),
    "eps of norm1": norm_eps("norm1"),
    "eps of norm2": norm_eps("norm2"),
    "eps of the last norm": norm_eps("last_norm"),
    "no padding": constant("PADDING", 0),
    "padding of one": constant("PADDING", 1),
    "no slot 0": changed("with_positions", lambda _: lambda x, positions: x + positions[:, 1:]),
    "slots from 0": changed("with_positions", lambda _: lambda x, positions: x + positions[:, :-1] + positions[:, :1]),
    "odd pixels": changed("every_second_pixel", lambda _: lambda image: image[:, :, 1::2, 1::2]),
    "averaged pixels": changed("every_second_pixel", lambda _: lambda image: functional.avg_pool2d(image, 2)),
    "ImageNet statistics": changed("every_second_pixel", lambda _: normalised),
    "GELU of tanh": changed("gelu", lambda _: lambda x: functional.gelu(x, approximate="tanh")),
    "head before q, k, v": changed("self_attention", lambda _: heads_before_qkv),
    "scale of the whole width": changed("attention", lambda right: lambda q, k, v: right(q * 12**-0.5, k, v)),
}
HEADS: dict[str, Mistake] = {
    "6-D not interleaved": changed("rotation", not_interleaved),
    "6-D as rows": changed("rotation", lambda right: lambda six: right(six).transpose(-1, -2)),
    "cross product of three rows": changed("rotation", first_axis_of_three),
    "hand boxes times 1.5": constant("HAND_ENLARGEMENT", 1.5),
    "face boxes times 2.0": constant("FACE_ENLARGEMENT", 2.0),
    "boxes not square": changed("restored_box", lambda _: box_of(lambda size: size)),
    "boxes of the short side": changed("restored_box", lambda _: box_of(lambda size: size.min(1, keepdim=True).values)),
    "left and right boxes exchanged": changed(
        "part_boxes", lambda right: lambda *given: tuple([b, a, c] for a, b, c in right(*given))
    ),
    "left crop not flipped": changed(
        "hand_crops",
        lambda right: (
            lambda state, features, left, right_box: torch.cat(
                [
                    right(state, features, right_box, left)[len(left) :],
                    right(state, features, left, right_box)[len(left) :],
                ]
            )
        ),
    ),
    "left rotations not mirrored": changed("mirrored", lambda _: lambda rotations: rotations),
    "left rotations mirrored in y": changed(
        "mirrored", lambda right: lambda r: right(r) * torch.tensor([[1, -1, -1], [-1, 1, 1], [-1, 1, 1]])
    ),
    "left points at 16 - x": changed(
        "flipped_back", lambda right: lambda points: right(points) + torch.tensor([1, 0, 0])
    ),
    "left points not flipped back": changed("flipped_back", lambda _: lambda points: points),
    "one sample a bin": constant("sampled_bins", bins(lambda step: 1)),
    "two samples a bin": constant("sampled_bins", bins(lambda step: 2)),
    "samples rounded down": constant("sampled_bins", bins(int)),
    "aligned RoI": constant("sampled_bins", bins(ceil, shift=-0.5, least=1e-6)),
    "grid without aligned corners": changed("sample", grid_without_aligned_corners),
    "depth of 2.4 m": constant("CAMERA_SIZE", 2.4),
    "another batch norm eps": constant("BATCH_NORM_EPS", 1e-6),
    "tokens of shape and camera exchanged": constant("TASKS", plain.TASKS | {"shape": 1, "camera": 0}),
    "tokens of expression and jaw exchanged": constant("TASKS", plain.TASKS | {"expression": 3, "jaw": 2}),
    "body tokens from 4": constant("TASKS", plain.TASKS | {"body": slice(4, 29)}),
    "points as z, y, x": changed(
        "soft_argmax_3d", lambda right: lambda *given: (right(*given)[0], right(*given)[1].flip(2))
    ),
    "volume of depth, then joint": changed(
        "soft_argmax_3d",
        lambda right: lambda maps, joints: right(maps.unflatten(1, (16, joints)).transpose(1, 2).flatten(1, 2), joints),
    ),
    "boxes without the body's map": changed(
        "part_boxes", lambda right: lambda state, features, volume: right(state, features, volume * 0)
    ),
    "hand points in 15 cells": changed(
        "within", lambda right: lambda box, points: right(box, points * torch.tensor([16 / 15, 16 / 15, 1]))
    ),
}

EXTREME: dict[str, Mistake] = {
    "boxes of less than a cell": constant("sampled_bins", bins(ceil, least=1e-6)),
    "samples outside not counted as 0": constant("sampled_bins", bins(ceil, outside=1e6)),
    "samples to half a cell outside": constant("sampled_bins", bins(ceil, outside=0.5)),
}
DECODER: dict[str, Mistake] = {
    "eps of the encoder": lambda put: put("NORM_EPS", 1e-6),
    "sixteen heads of 32": lambda put: (put("DECODER_HEADS", 16), put("DECODER_WIDTH", 32)),
    "width before head": lambda put: put("heads", lambda x: x.unflatten(2, (64, 8)).transpose(2, 3)),
    "no position vector": lambda put: put("decode", without("pos_embedding")),
    "patches before tokens": lambda put: put("decode", patches_first),
    "context after its norm": lambda put: put("linear", context_normalised),
    "keys and values exchanged": lambda put: put("attention", lambda q, k, v: plain.attention(q, v, k)),
    "third column of three rows": lambda put: put("rotation", first_axis_of_three(plain.rotation)),
    "6-D not interleaved": lambda put: put("rotation", not_interleaved(plain.rotation)),
}


@pytest.fixture(scope="module")
def s_state() -> plain.State:
    return smpler_x_state("smpler_x_s")


@pytest.fixture(scope="module")
def s_outputs(s_state: plain.State) -> dict[str, Tensor]:
    return plain.forward(s_state, images(3), "s")


@pytest.fixture(scope="module")
def encoded(s_state: plain.State) -> tuple[Tensor, Tensor]:
    return plain.encode(s_state, plain.every_second_pixel(images(3)), plain.HEADS["s"])


@pytest.fixture(scope="module")
def b_state() -> plain.State:
    return smpler_x_state("smpler_x_b", blocks=1, extreme_boxes=True)


@pytest.fixture(scope="module")
def b_outputs(b_state: plain.State) -> dict[str, Tensor]:
    return plain.forward(b_state, images(3)[:1], "b")


@pytest.fixture(scope="module")
def est_state() -> plain.State:
    return smplest_x_state(blocks=1, layers=2)


@pytest.fixture(scope="module")
def est_outputs(est_state: plain.State) -> dict[str, Tensor]:
    return plain_est.forward(est_state, images(3))


@pytest.mark.parametrize("mistake", ENCODER)
def test_a_mistake_in_the_encoder_shows(
    mistake: str, s_state: plain.State, s_outputs: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    ENCODER[mistake](lambda name, value: monkeypatch.setattr(plain, name, value))
    found = plain.forward(s_state, images(3)[:1], "s")
    assert beyond(found, {key: value[:1] for key, value in s_outputs.items()})


@pytest.mark.parametrize("mistake", HEADS)
def test_a_mistake_in_the_heads_shows(
    mistake: str,
    s_state: plain.State,
    s_outputs: dict[str, Tensor],
    encoded: tuple[Tensor, Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    HEADS[mistake](lambda name, value: monkeypatch.setattr(plain, name, value))
    monkeypatch.setattr(plain, "encode", lambda *given: encoded)
    found = plain.forward(s_state, images(3), "s")
    assert beyond(found, s_outputs)


@pytest.mark.parametrize("mistake", EXTREME)
def test_a_mistake_about_extreme_boxes_shows(
    mistake: str,
    b_state: plain.State,
    b_outputs: dict[str, Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    EXTREME[mistake](lambda name, value: monkeypatch.setattr(plain, name, value))
    found = plain.forward(b_state, images(3)[:1], "b")
    assert beyond(found, b_outputs)


@pytest.mark.parametrize("mistake", DECODER)
def test_a_mistake_in_the_decoder_shows(
    mistake: str,
    est_state: plain.State,
    est_outputs: dict[str, Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    DECODER[mistake](lambda name, value: monkeypatch.setattr(plain_est, name, value))
    found = plain_est.forward(est_state, images(3))
    assert beyond(found, est_outputs)
