"""Numbers for the tensors of PyMAF and SMPLer, and images, with which a fault in a network shows in what it returns.

Plainly random tensors would hide most: signals drown in what is the same everywhere, epsilons are lost beside variances
of one, a rotation that hardly turns is the same from either side, and joints in the middle of the crop never meet the
border of a map.
"""

from __future__ import annotations

from collections.abc import Callable
from unittest import mock

import torch
from torch import Tensor
from torch.nn import functional

from tests.benchmark.models import plain_backbones, plain_pymaf
from tests.benchmark.models.state_dicts import random_state

IDENTITY = torch.tensor((1.0, 0.0, 0.0, 1.0, 0.0, 0.0)).repeat(24)
SMALL = 0.02
"""Deviation of what every batch normalisation sees: its epsilon is then a fortieth of the variance."""


def images(persons: int, side: int = 224) -> Tensor:
    """(N, 3, side, side) in [0, 1]: large spots under fine grain, other ones for each person."""
    generator = torch.Generator().manual_seed(7)
    spots = torch.rand((persons, 3, 5, 5), generator=generator)
    spots = functional.interpolate(spots, (side, side), mode="bicubic", align_corners=True)
    grain = torch.rand((persons, 3, side, side), generator=generator)
    return (0.8 * spots + 0.2 * grain).clamp(0, 1)


def settle(state: dict[str, Tensor], run: Callable[[Tensor], object]) -> None:
    """Let every batch normalisation have the mean and variance of what it sees, as after training.

    Parameters
    ----------
    state : changed.
    run : what is to be run with (N, 3, 128, 128) images.
    """

    def measured(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
        centred = x - x.mean(dim=(0, 2, 3), keepdim=True)
        deviation = centred.pow(2).mean(dim=(0, 2, 3)).sqrt() + 1e-6  # (C,)
        factor = SMALL / deviation.mean()
        for before in (f"{name[:-3]}conv{name[-1]}", f"{name.rpartition('.')[0]}.{int(name[-1]) - 1}"):
            if f"{before}.weight" in state and state[f"{before}.weight"].ndim == 4:
                state[f"{before}.weight"] *= factor
        state[f"{name}.running_mean"] = factor * x.mean(dim=(0, 2, 3))
        state[f"{name}.running_var"] = (factor * deviation) ** 2
        return normalise(state, name, factor * x)

    normalise = plain_backbones.batch_normalised
    with (
        mock.patch.object(plain_backbones, "batch_normalised", measured),
        mock.patch.object(plain_pymaf, "batch_normalised", measured),
    ):
        run(plain_backbones.normalised(images(2, side=128)))


def pymaf_state() -> dict[str, Tensor]:
    """A state of PyMAF whose three steps look at different places, inside and outside the crop."""
    state = random_state("pymaf")

    def run(image: Tensor) -> None:
        x = plain_backbones.resnet50(state, "feature_extractor", image)
        for level in range(3):
            x = plain_pymaf.upsampled(state, level, x)

    settle(state, run)
    state["points_grid"] = plain_pymaf.grid_points().T[None]
    for t in range(3):
        state[f"maf_extractor.{t}.Dmap"] = sparse_means(431, 6890, seed=t)
        for head, scale in (("decpose", 0.025), ("decshape", 0.06), ("deccam", 0.05)):
            state[f"regressor.{t}.{head}.weight"] *= scale
            state[f"regressor.{t}.{head}.bias"] *= 0.3
    state["regressor.0.init_pose"] = IDENTITY[None] + 0.3 * state["regressor.0.init_pose"]
    state["regressor.0.init_cam"] = torch.tensor([[1.35, 0.1, 0.35]])
    return state


def sparse_means(rows: int, columns: int, seed: int) -> Tensor:
    """(rows, columns): each row the weighted mean of three columns."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randint(columns, (rows, 3), generator=generator)
    weights = torch.rand((rows, 3), generator=generator) + 0.1
    return torch.zeros(rows, columns).scatter_add_(1, chosen, weights / weights.sum(1, keepdim=True))


def smpler_state(name: str) -> dict[str, Tensor]:
    """A state of SMPLer that turns every joint in every stage; some joints are outside the crop."""
    state = random_state(name)
    settle(state, lambda image: plain_backbones.hrnet(state, "backbone", image))
    state["SMPL_predictor.init_pose"] = IDENTITY[None] + 0.3 * state["SMPL_predictor.init_pose"]
    state["SMPL_predictor.init_cam"] = torch.tensor([[1.4, -0.3, 0.4]])
    for head, scale in (("decpose", 0.03), ("decshape", 0.1), ("deccam", 0.02)):
        state[f"SMPL_predictor.{head}.weight"] *= scale
        state[f"SMPL_predictor.{head}.bias"] *= scale
    state["global_feat_projection.weight"] *= 0.1
    for i in range(3):
        state[f"transformer.{i}.theta_predictor.weight"] *= 0.006
        state[f"transformer.{i}.theta_predictor.bias"] = torch.tensor((0.1, 0.0, 0.0, 0.1, 0.0, 0.0))
        state[f"transformer.{i}.beta_predictor.weight"] *= 0.1
        state[f"transformer.{i}.cam_predictor.weight"] *= 0.03
    sharpen(state)
    return state


def sharpen(state: dict[str, Tensor]) -> None:
    """Let the transformers look at few places, and all that they normalise be small."""
    for key in state:
        if not key.startswith("transformer"):
            continue
        name, _, last = key.rpartition(".")
        if name.endswith("attention.query"):
            state[key] *= 3
        elif "relative_position" in key:
            state[key] *= 4
        elif name.endswith(("early_embedding", "position_embeddings", "linear_attn")):
            state[key] *= 0.004
        elif name.endswith("mlp.3"):
            state[key] *= 0.01
        elif "raw_feat_projection" in key and name.endswith("0"):
            state[key] *= 0.001
        elif name.endswith("trans_block.head") and last == "weight":
            state[key] *= 100
        elif name.endswith("trans_block.residual"):
            state[key] *= 0.3
