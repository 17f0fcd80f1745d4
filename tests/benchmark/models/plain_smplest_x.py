"""SMPLest-X-H written out a second time, from its description alone, to compare the package's network with.

Plain functions over a state dict whose names are those of ``keys/smplest_x_h.txt``; the encoder is SMPLer-X's, with
80 task tokens. Nothing of the package is used.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tests.benchmark.models.plain_smpler_x import (
    HEADS,
    State,
    attention,
    encode,
    every_second_pixel,
    gelu,
    linear,
    norm,
    rotation,
    translation,
)

TOKENS = 80
NORM_EPS = 1e-5
DECODER_HEADS, DECODER_WIDTH = 8, 64


def forward(state: State, image: Tensor, size: str = "h") -> dict[str, Tensor]:
    """All outputs for crops, image (N, 3, 512, 384) in [0, 1]; what is in it stands at each line."""
    tokens, features = encode(state, every_second_pixel(image), HEADS[size])
    context = features.flatten(2).transpose(1, 2)  # (N, 192, C)
    tokens = linear(state, "decoder.token_conv", decode(state, tokens, context))[:, :TOKENS]  # (N, 80, 512)

    def read(name: str, first: int, last: int) -> Tensor:
        return linear(state, f"decoder.dec_{name}", tokens[:, first : last + 1].flatten(1))

    hand_roots = rotation(read("hand_root_pose", 33, 34).unflatten(1, (2, 6)))
    hands = rotation(read("hand_pose", 35, 64).unflatten(1, (30, 6)))
    hand_cameras = read("hand_cam", 65, 66)
    return {
        "global_orient": rotation(read("body_root_pose", 0, 0)),  # (N, 3, 3)
        "body_pose": rotation(read("body_pose", 1, 21).unflatten(1, (21, 6))),  # (N, 21, 3, 3)
        "betas": read("body_shape", 22, 31),  # (N, 10)
        "cam_trans": translation(read("body_cam", 32, 32)),  # (N, 3) metres
        "left_hand_root": hand_roots[:, 0],  # (N, 3, 3)
        "right_hand_root": hand_roots[:, 1],
        "left_hand_pose": hands[:, :15],  # (N, 15, 3, 3)
        "right_hand_pose": hands[:, 15:],
        "left_hand_cam_trans": translation(hand_cameras[:, :3]),  # (N, 3) metres
        "right_hand_cam_trans": translation(hand_cameras[:, 3:]),
        "face_root": rotation(read("face_root_pose", 67, 67)),  # (N, 3, 3)
        "expression": read("face_expression", 68, 77),  # (N, 10)
        "jaw_pose": rotation(read("face_jaw_pose", 78, 78)),  # (N, 3, 3)
        "face_cam_trans": translation(read("face_cam", 79, 79)),  # (N, 3) metres
    }


def decode(state: State, tokens: Tensor, context: Tensor) -> Tensor:
    """The layers (six) on 272 queries: tokens (N, 80, C) and context (N, 192, C), the patches -> (N, 272, C)."""
    x = torch.cat([tokens, context], dim=1) + state["decoder.transformer.pos_embedding"]
    for i in range(sum(key.endswith("fn.to_qkv.weight") for key in state)):
        own, cross, feed = (f"decoder.transformer.transformer.layers.{i}.{part}" for part in range(3))

        q, k, v = linear(state, f"{own}.fn.to_qkv", norm(state, f"{own}.norm", x, NORM_EPS)).chunk(3, dim=2)
        x = x + linear(state, f"{own}.fn.to_out.0", attention(heads(q), heads(k), heads(v)))

        q = linear(state, f"{cross}.fn.to_q", norm(state, f"{cross}.norm", x, NORM_EPS))
        k, v = linear(state, f"{cross}.fn.to_kv", context).chunk(2, dim=2)
        x = x + linear(state, f"{cross}.fn.to_out.0", attention(heads(q), heads(k), heads(v)))

        hidden = gelu(linear(state, f"{feed}.fn.net.0", norm(state, f"{feed}.norm", x, NORM_EPS)))
        x = x + linear(state, f"{feed}.fn.net.3", hidden)
    return x


def heads(x: Tensor) -> Tensor:
    """(N, T, 512) -> (N, T, 8, 64)."""
    return x.unflatten(2, (DECODER_HEADS, DECODER_WIDTH))
