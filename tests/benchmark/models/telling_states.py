"""Numbers for the tensors of SMPLer-X and SMPLest-X under which a wrong network gives visibly wrong outputs.

Plain random numbers hide faults: heat maps come out flat, all boxes lie in the middle, every image gives the same
tokens, and an epsilon of a norm is nothing beside a variance of one. The factors here make heat maps peaked, boxes of
differing places and sizes (some leave the image), tokens that depend on the image, and variances near the epsilons,
while rounding stays far below what the tests allow.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor
from torch.nn import functional

from tests.benchmark.models.state_dicts import listed, random_state

State = dict[str, Tensor]

ENCODER = {
    r"qkv\.weight": 2,  # attention that prefers some tokens
    r"patch_embed\.proj\.weight": 32,  # tokens that keep what their patch shows
    r"encoder\.pos_embed": 4,
    r"mlp\.fc2\.weight": 0.3,
    # All that is added to the tokens, small: without the epsilons of the norms this would change nothing.
    r"task_tokens|pos_embed|patch_embed\.proj\.\w+|attn\.proj\.\w+|mlp\.fc2\.\w+": 0.003,
}
SMPLER_X = ENCODER | {
    r"body_position_net\.conv\.0\.weight": 4,
    r"hand_position_net\.conv\.0\.weight": 2.5,
    r"bbox_center\.0\.weight": 3,
    r"_size\.2\.weight": 0.4,
    r"box_net\.deconv\.[036]\.weight": 3,
    # Small variances in the batch norms too.
    r"deconv\.[036]\.weight|hand_conv\.0\.\w+|running_mean": 1e-2,
    r"running_var": 1e-4,
}
SMPLEST_X = ENCODER | {
    r"to_qkv\.weight|to_q\.weight": 1.3,
    # The same for the decoder, whose tokens begin as the outputs of the last norm of the encoder.
    r"last_norm\.\w+|decoder\.transformer\.pos_embedding|to_out\.0\.\w+|net\.3\.\w+": 1e-2,
    r"to_kv\.weight": 1e2,
    r"token_conv\.weight": 30,
}
BOXES = {"lhand": (5.2, 4.5), "rhand": (1.4, 1.7), "face": (3.0, 3.5)}
EXTREME_BOXES = {"lhand": (0.03, 0.05), "rhand": (9.0, 7.0), "face": (0.1, 12.0)}
"""Sizes about which the boxes vary, cells of 12 x 16. Extreme: a hand of less than one cell of its map, and one
larger than the image."""


def smpler_x_state(name: str, blocks: int | None = None, extreme_boxes: bool = False, seed: int = 0) -> State:
    """A state of ``smpler_x_s`` to ``smpler_x_h``, with the first ``blocks`` of the encoder's blocks (None: all)."""
    state = _scaled(random_state(name, seed=seed, keys=_keys(name, blocks, None)), SMPLER_X)
    for part, size in (EXTREME_BOXES if extreme_boxes else BOXES).items():
        state[f"box_net.{part}_size.2.bias"] = torch.tensor(size)
        state[f"box_net.{part}_size.2.weight"] *= 0.02 if extreme_boxes else 1
    return state


def smplest_x_state(blocks: int | None = None, layers: int | None = None) -> State:
    """A state of ``smplest_x_h`` with the first blocks of the encoder and the first layers of the decoder."""
    name = "smplest_x_h"
    return _scaled(random_state(name, keys=_keys(name, blocks, layers)), SMPLEST_X)


def images(n: int) -> Tensor:
    """Crops (n, 3, 512, 384) in [0, 1] of large soft patches with noise in every pixel, no two alike."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(n, 3, 9, 7, generator=generator)
    fine = torch.rand(n, 3, 512, 384, generator=generator)
    return 0.6 * functional.interpolate(coarse, (512, 384), mode="bicubic").clamp(0, 1) + 0.4 * fine


def _keys(name: str, blocks: int | None, layers: int | None) -> list[str]:
    """Names without the encoder's blocks and the decoder's layers from these counts on."""
    return [key for key in listed(name) if _kept(key, r"encoder\.blocks", blocks) and _kept(key, r"layers", layers)]


def _kept(key: str, stack: str, count: int | None) -> bool:
    found = re.search(rf"{stack}\.(\d+)\.", key)
    return found is None or count is None or int(found[1]) < count


def _scaled(state: State, factors: dict[str, float]) -> State:
    """Each tensor times the factors of all patterns that its name ends in."""
    unused = set(factors)
    for key, value in state.items():
        for pattern, factor in factors.items():
            if re.search(rf"(?:{pattern})$", key):
                state[key] = value = value * factor
                unused.discard(pattern)
    if unused:
        raise ValueError(f"no tensor is named like {sorted(unused)}")
    return state
