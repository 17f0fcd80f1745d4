"""The tensor lists of SMPLer-X and SMPLest-X hold what their description says: counts, widths and ViTPose's names."""

from __future__ import annotations

from collections import Counter
from math import prod

import pytest

from tests.benchmark.models.state_dicts import listed

WIDTHS = {"s": 384, "b": 768, "l": 1024, "h": 1280}
BLOCKS = {"s": 12, "b": 12, "l": 24, "h": 32}
ENTRIES = {"s": 223, "b": 223, "l": 367, "h": 463}
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
PARAMETERS = {
    "s": {
        "encoder": 21_675_648,
        "body_position_net": 154_000,
        "body_regressor": 1_901_757,
        "box_net": 5_509_641,
        "hand_roi_net": 1_512_384,
        "hand_position_net": 123_200,
        "hand_regressor": 1_125_234,
        "face_regressor": 6_160,
    },
    "b": {
        "encoder": 85_818_624,
        "body_position_net": 307_600,
        "body_regressor": 2_103_357,
        "box_net": 7_082_505,
        "hand_roi_net": 6_047_616,
        "hand_position_net": 246_080,
        "hand_regressor": 1_321_842,
        "face_regressor": 12_304,
    },
    "l": {
        "encoder": 303_328_256,
        "body_position_net": 410_000,
        "body_regressor": 2_237_757,
        "box_net": 8_131_081,
        "hand_roi_net": 10_750_464,
        "hand_position_net": 328_000,
        "hand_regressor": 1_452_914,
        "face_regressor": 16_400,
    },
    "h": {
        "encoder": 630_951_680,
        "body_position_net": 512_400,
        "body_regressor": 2_372_157,
        "box_net": 9_179_657,
        "hand_roi_net": 16_796_800,
        "hand_position_net": 409_920,
        "hand_regressor": 1_583_986,
        "face_regressor": 20_496,
    },
}
TOTALS = {"s": 32_008_024, "b": 102_939_928, "l": 326_654_872, "h": 661_827_096}


def parameters(name: str) -> Counter[str]:
    """Trainable numbers of each module of a model."""
    found: Counter[str] = Counter()
    for key, (shape, _) in listed(name).items():
        if not key.endswith(BUFFERS):
            found[key.split(".")[0]] += prod(shape)
    return found


@pytest.mark.parametrize("size", "sblh")
def test_modules_of_smpler_x_have_as_many_parameters_as_published(size: str) -> None:
    assert parameters(f"smpler_x_{size}") == PARAMETERS[size]
    assert sum(PARAMETERS[size].values()) == TOTALS[size]
    assert len(listed(f"smpler_x_{size}")) == ENTRIES[size]


def test_modules_of_smplest_x_have_as_many_parameters_as_published() -> None:
    assert parameters("smplest_x_h") == {"encoder": 631_014_400, "decoder": 56_208_752}
    assert len(listed("smplest_x_h")) == 519


def vitpose(width: int, blocks: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a ViTPose file without its head."""
    c = width
    shapes = {
        "norm1.weight": (c,),
        "norm1.bias": (c,),
        "attn.qkv.weight": (3 * c, c),
        "attn.qkv.bias": (3 * c,),
        "attn.proj.weight": (c, c),
        "attn.proj.bias": (c,),
        "norm2.weight": (c,),
        "norm2.bias": (c,),
        "mlp.fc1.weight": (4 * c, c),
        "mlp.fc1.bias": (4 * c,),
        "mlp.fc2.weight": (c, 4 * c),
        "mlp.fc2.bias": (c,),
    }
    return {
        "backbone.pos_embed": (1, 193, c),
        "backbone.patch_embed.proj.weight": (c, 3, 16, 16),
        "backbone.patch_embed.proj.bias": (c,),
        **{f"backbone.blocks.{i}.{key}": shape for i in range(blocks) for key, shape in shapes.items()},
        "backbone.last_norm.weight": (c,),
        "backbone.last_norm.bias": (c,),
    }


@pytest.mark.parametrize(
    ("name", "size", "tokens"),
    [*((f"smpler_x_{size}", size, 31) for size in "sblh"), ("smplest_x_h", "h", 80)],
)
def test_a_vitpose_file_lacks_the_task_tokens_alone(name: str, size: str, tokens: int) -> None:
    encoder = {key: shape for key, (shape, _) in listed(name).items() if key.startswith("encoder.")}
    start = {
        key.replace("backbone.", "encoder.", 1): shape for key, shape in vitpose(WIDTHS[size], BLOCKS[size]).items()
    }
    assert encoder == start | {"encoder.task_tokens": (1, tokens, WIDTHS[size])}
