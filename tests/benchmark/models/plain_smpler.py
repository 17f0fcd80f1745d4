"""SMPLer and SMPLer-L written out over a state dict, with loops over persons, joints and heads.

What ``smpler.SMPLer`` is compared with. The width of the HRNet is read from the tensors.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tests.benchmark.models.plain_backbones import State, count, hrnet, normalised
from tests.benchmark.models.plain_smpl import Smpl, Stage, rotation, rotations, sampled, skinned

HEADS = 4
LAYER_NORM_EPS = 1e-12
WINDOW = range(-3, 5)  # pixels about a joint
REACH = 4  # pixels from a joint to the edge of the table of biases


def forward(state: State, image: Tensor, smpl: Smpl) -> list[Stage]:
    """(N, 3, 224, 224) RGB in [0, 1] -> the first estimate and a refinement by each block; the last is the answer."""
    return refined(state, hrnet(state, "backbone", normalised(image)), smpl)


def refined(state: State, maps: list[Tensor], smpl: Smpl) -> list[Stage]:
    """All stages from the four (N, C, h, w) maps of the backbone."""
    each = [person(state, [one[n] for one in maps], smpl) for n in range(len(maps[0]))]
    return [joined([stages[s] for stages in each]) for s in range(len(each[0]))]


def joined(persons: list[Stage]) -> Stage:
    """Stages of one person each -> one of all."""
    names = ("rotmats", "betas", "camera", "vertices", "points")
    return Stage(*(torch.stack([getattr(one, name) for one in persons]) for name in names))


def person(state: State, maps: list[Tensor], smpl: Smpl) -> list[Stage]:
    """The stages of one person; their tensors have no axis of persons."""
    overall = maps[3].mean(dim=(1, 2))
    rotmats, betas, camera = first_estimate(state, overall)
    stages = [stage(rotmats, betas, camera, smpl)]
    if not any(key.startswith("transformer.") for key in state):
        return stages
    query = first_query(state, rotmats, betas, camera, overall)  # (26, 128)
    for i in range(count(state, "transformer")):
        query = block(state, f"transformer.{i}", query, maps, stages[-1].points)
        turns = [rotation(linear(state, f"transformer.{i}.theta_predictor", query[j])) for j in range(24)]
        rotmats = torch.stack([rotmats[j] @ turns[j] for j in range(24)])
        betas = betas + linear(state, f"transformer.{i}.beta_predictor", query[24])
        camera = camera + linear(state, f"transformer.{i}.cam_predictor", query[25])
        stages.append(stage(rotmats, betas, camera, smpl))
    return stages


def stage(rotmats: Tensor, betas: Tensor, camera: Tensor, smpl: Smpl) -> Stage:
    """Mesh and projected skeleton of one person."""
    vertices, joints = skinned(smpl, rotmats, betas)
    points = camera[0] * (joints[:, :2] + camera[1:])
    return Stage(rotmats, betas, camera, vertices, points)


def linear(state: State, name: str, x: Tensor) -> Tensor:
    """(..., a) -> (..., b)."""
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def layer_normalised(state: State, name: str, x: Tensor) -> Tensor:
    """(..., C) -> the same, over its last axis."""
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt(variance + LAYER_NORM_EPS) * state[f"{name}.weight"] + state[f"{name}.bias"]


def first_estimate(state: State, overall: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(C,) -> (24, 3, 3), (10,), (3,) after three rounds from the mean person."""
    pose, betas, camera = (state[f"SMPL_predictor.init_{name}"][0] for name in ("pose", "shape", "cam"))
    for _ in range(3):
        x = torch.cat((overall, pose, betas, camera))
        x = torch.relu(linear(state, "SMPL_predictor.fc1", x))
        x = torch.relu(linear(state, "SMPL_predictor.fc2", x))
        pose = pose + linear(state, "SMPL_predictor.decpose", x)
        betas = betas + linear(state, "SMPL_predictor.decshape", x)
        camera = camera + linear(state, "SMPL_predictor.deccam", x)
    return rotations(pose), betas, camera


def first_query(state: State, rotmats: Tensor, betas: Tensor, camera: Tensor, overall: Tensor) -> Tensor:
    """(26, 128): 24 joints, shape, camera."""
    rows = [linear(state, "init_query_layer_theta", rotmats[j].reshape(9)) for j in range(24)]
    rows.append(linear(state, "init_query_layer_beta", betas))
    rows.append(linear(state, "init_query_layer_cam", camera))
    return torch.stack(rows) + linear(state, "global_feat_projection", overall)


def block(state: State, name: str, query: Tensor, maps: list[Tensor], points: Tensor) -> Tensor:
    """(26, 128) -> (26, 128), with four maps (C, h, w) and the (24, 2) joints of the person."""
    plain = [narrowed(state, f"{name}.raw_feat_projection_layer.{s}", maps[s]) for s in range(4)]
    at_joints = linear(state, f"{name}.joint_feat_projection_layer.0", sampled(plain[0], points))
    query = query + torch.cat((at_joints, at_joints.mean(0).expand(2, -1)))
    name = f"{name}.trans_block"
    positions = state[f"{name}.feat_position_embedding"][0]
    placed = [plain[s] + averaged(positions, 2**s) for s in range(4)]
    keys = [one.flatten(1).T for one in placed]  # each (h w, 128)
    x = linear(state, f"{name}.early_embedding", query) + state[f"{name}.position_embeddings.weight"]
    for unit in range(count(state, f"{name}.trans_units")):
        x = transformer_unit(state, f"{name}.trans_units.{unit}", x, keys, plain[0], points)
    return linear(state, f"{name}.head", x) + linear(state, f"{name}.residual", query)


def narrowed(state: State, name: str, feature: Tensor) -> Tensor:
    """(C, h, w) -> (128, h, w), every pixel normalised over its channels."""
    pixels = feature.permute(1, 2, 0) @ state[f"{name}.0.weight"][:, :, 0, 0].T + state[f"{name}.0.bias"]
    return layer_normalised(state, f"{name}.1", pixels).permute(2, 0, 1)


def averaged(feature: Tensor, side: int) -> Tensor:
    """(C, h, w) -> the means of its squares of ``side`` pixels."""
    channels, height, width = feature.shape
    return feature.reshape(channels, height // side, side, width // side, side).mean(dim=(2, 4))


def transformer_unit(state: State, name: str, x: Tensor, keys: list[Tensor], feature: Tensor, points: Tensor) -> Tensor:
    """Global and local attention from the same (26, 128), then among the 26."""
    scales = [
        attended(state, f"{name}.global_unit.trans_layer_list.{s}.transformer_layer", x, keys[s]) for s in range(4)
    ]
    everywhere = torch.stack(scales).mean(0)
    joints = []
    for j in range(24):
        near, bias = neighbourhood(state, f"{name}.local_unit", feature, points[j])
        local = attended(state, f"{name}.local_unit.trans_layer_list.0.transformer_layer", x[j : j + 1], near, bias)
        joints.append(0.5 * (everywhere[j] + local[0]))
    x = torch.cat((torch.stack(joints), everywhere[24:]))
    return attended(state, f"{name}.self_trans_layer.self_trans_layer", x, None)


def neighbourhood(state: State, name: str, feature: Tensor, point: Tensor) -> tuple[Tensor, Tensor]:
    """The 64 pixels about a joint: (64, 128) of a map (128, 56, 56) and biases (4, 64) of their scores."""
    height, width = feature.shape[1:]
    x, y = (float(point[0]) + 1) / 2 * (width - 1), (float(point[1]) + 1) / 2 * (height - 1)
    near, offsets = [], []
    for dx in WINDOW:
        for dy in WINDOW:
            column = min(max(math.floor(x) + dx, 0), width - 1)
            row = min(max(math.floor(y) + dy, 0), height - 1)
            near.append(feature[:, row, column])
            offsets.append(((column - x) / REACH, (row - y) / REACH))
    table = state[f"{name}.relative_position_encoding_table.0"][0]  # (4, 9, 9): heads, y, x
    return torch.stack(near), sampled(table, torch.tensor(offsets, dtype=feature.dtype)).T


def attended(state: State, name: str, x: Tensor, keys: Tensor | None, bias: Tensor | None = None) -> Tensor:
    """One layer of a transformer on (Q, 128) with keys (K, 128), or among the queries themselves.

    ``bias`` (heads, K) is added to the scores.
    """
    normed = layer_normalised(state, f"{name}.LayerNorm_attn", x)
    source = normed if keys is None else keys
    query = linear(state, f"{name}.attention.query", normed)
    key = linear(state, f"{name}.attention.key", source)
    value = linear(state, f"{name}.attention.value", source)
    width = query.shape[1] // HEADS
    heads = []
    for h in range(HEADS):
        own = slice(h * width, (h + 1) * width)
        scores = query[:, own] @ key[:, own].T / math.sqrt(width)  # (Q, K)
        if bias is not None:
            scores = scores + bias[h]
        shares = torch.exp(scores - scores.amax(1, keepdim=True))
        heads.append(shares / shares.sum(1, keepdim=True) @ value[:, own])
    x = x + linear(state, f"{name}.linear_attn", torch.cat(heads, dim=1))
    hidden = linear(state, f"{name}.mlp.1", layer_normalised(state, f"{name}.mlp.0", x))
    hidden = 0.5 * hidden * (1 + torch.erf(hidden / math.sqrt(2)))  # GELU
    return x + linear(state, f"{name}.mlp.3", hidden)
