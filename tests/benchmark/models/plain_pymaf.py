"""PyMAF written out over a state dict, with loops over persons and points: what ``pymaf.PyMAF`` is compared with.

Everything that the network remembers (mean parameters, down-sampling of the mesh) is taken from the state dict, but the
441 points of the first step, which are built here.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tests.benchmark.models.plain_backbones import State, batch_normalised, normalised, resnet50
from tests.benchmark.models.plain_smpl import Smpl, Stage, rotations, sampled, skinned

FOCAL = 5000.0
SIDE = 224


def forward(state: State, image: Tensor, smpl: Smpl) -> list[Stage]:
    """(N, 3, 224, 224) RGB in [0, 1] -> the mean person and the three refinements; the last is the answer."""
    return refined(state, resnet50(state, "feature_extractor", normalised(image)), smpl)


def refined(state: State, feature: Tensor, smpl: Smpl) -> list[Stage]:
    """All stages from the (N, 2048, 7, 7) map of the backbone."""
    persons = len(feature)
    pose = state["regressor.0.init_pose"].expand(persons, 144)
    betas = state["regressor.0.init_shape"].expand(persons, 10)
    camera = state["regressor.0.init_cam"].expand(persons, 3)
    grid = grid_points().to(feature.dtype)
    stages = [stage(state, 0, pose, betas, camera, smpl)]
    for t in range(3):
        feature = upsampled(state, t, feature)
        new = []
        for n in range(persons):
            points = grid if t == 0 else stages[-1].points[n]
            aligned = aligned_feature(state, t, feature[n], points)
            new.append(regressed(state, t, aligned, pose[n], betas[n], camera[n]))
        pose, betas, camera = (torch.stack(values) for values in zip(*new, strict=True))
        stages.append(stage(state, min(t + 1, 2), pose, betas, camera, smpl))
    return stages


def grid_points() -> Tensor:
    """(441, 2) x, y of 21 x 21 points: 21 times the first x, with y from -1 to 1, then the next x."""
    steps = [i / 10 - 1 for i in range(21)]
    return torch.tensor([(x, y) for x in steps for y in steps])


def stage(state: State, extractor: int, pose: Tensor, betas: Tensor, camera: Tensor, smpl: Smpl) -> Stage:
    """Bodies of (N, 144), (N, 10), (N, 3), and their 431 points as ``maf_extractor.{extractor}`` sees them."""
    rotmats = torch.stack([rotations(numbers) for numbers in pose])
    bodies = [skinned(smpl, rotmats[n], betas[n])[0] for n in range(len(pose))]
    sparse = state[f"maf_extractor.{extractor}.Dmap"]
    points = torch.stack([projected(sparse @ body, s) for body, s in zip(bodies, camera, strict=True)])
    return Stage(rotmats, betas, camera, torch.stack(bodies), points)


def projected(points: Tensor, camera: Tensor) -> Tensor:
    """(P, 3) metres -> (P, 2), -1 to 1 over the crop, by the perspective camera that (s, tx, ty) stands for."""
    scale, x, y = camera
    depth = 2 * FOCAL / (SIDE * scale + 1e-9)
    moved = points + torch.stack((x, y, depth))
    return FOCAL * moved[:, :2] / moved[:, 2:] / (SIDE / 2)


def upsampled(state: State, t: int, x: Tensor) -> Tensor:
    """One of the three transposed convolutions: (N, C, h, w) -> (N, 256, 2 h, 2 w)."""
    x = functional.conv_transpose2d(x, state[f"deconv_layers.{3 * t}.weight"], stride=2, padding=1)
    return torch.relu(batch_normalised(state, f"deconv_layers.{3 * t + 1}", x))


def aligned_feature(state: State, t: int, feature: Tensor, points: Tensor) -> Tensor:
    """(256, h, w) and (P, 2) -> (5 P,): all points of the first number, then of the second."""
    seen = sampled(feature, points).T  # (256, P)
    x = seen
    for i in range(3):
        name = f"maf_extractor.{t}.conv{i}"
        if i > 0:
            x = torch.cat((x, seen))
        x = state[f"{name}.weight"][:, :, 0] @ x + state[f"{name}.bias"][:, None]
        x = torch.relu(x) if i == 2 else torch.where(x > 0, x, 0.01 * x)
    return x.reshape(-1)


def regressed(
    state: State, t: int, aligned: Tensor, pose: Tensor, betas: Tensor, camera: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """New 6-D pose (144,), betas (10,) and camera (3,) of one person. All layers are linear."""

    def linear(name: str, x: Tensor) -> Tensor:
        return state[f"regressor.{t}.{name}.weight"] @ x + state[f"regressor.{t}.{name}.bias"]

    x = linear("fc2", linear("fc1", torch.cat((aligned, pose, betas, camera))))
    return pose + linear("decpose", x), betas + linear("decshape", x), camera + linear("deccam", x)
