"""How far bf16 moves what the networks predict, beside how much their predictions of different images differ.

    PYTHONPATH=. python benchmarks/half_precision.py [--models pymaf smpler smpler_x_s ...] [--body-models DIR]
        [--checkpoint FILE]

Mean distance of the vertices about the pelvis, mm, between float32 and autocast to bf16 on a processor, of eight images
of coloured spots. Without ``--checkpoint`` weights are random, and batch normalisations have the statistics of these
images; then the last column, the share of the first in the second, is what can be compared between models.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from joints import folder_of_models
from torch import Tensor, nn
from torch.nn import functional

from ehps.benchmark import models
from ehps.benchmark.models import loading, weight_files
from ehps.body.model_folder import body_models_folder
from ehps.body.models import BodyModels
from ehps.body.torch_meshes import TorchMesh

IMAGES = 8


def main() -> None:
    parser = argparse.ArgumentParser(description="What bf16 changes.")
    parser.add_argument("--models", nargs="+", default=["tiny", "smpler_x_s", "smpler_x_b", "pymaf", "smpler"])
    parser.add_argument("--body-models", type=Path, help="folder of body models; the stand-in when not given")
    parser.add_argument("--checkpoint", type=Path, help="weights of the one model")
    options = parser.parse_args()
    print("| model | bf16 from float32, mm | images from their mean, mm | share |")
    print("|---|---|---|---|")
    for name in options.models:
        kind = models.card(name).body
        with folder_of_models(body_models_folder(options.body_models), kind) as folder, torch.inference_mode():
            body = BodyModels(folder).get(kind, "neutral")
            net, x = network(name, {"smpl": body} if kind == "smpl" else {}, options.checkpoint)
            mesh = TorchMesh(body)
            full = vertices(net, x, mesh)
            with torch.autocast("cpu", torch.bfloat16):
                half = vertices(net, x, mesh)
        moved, apart = ((one - other).norm(dim=-1).mean().item() for one, other in ((full, half), (full, full.mean(0))))
        print(f"| `{name}` | {1000 * moved:.2f} | {1000 * apart:.1f} | {moved / apart:.0%} |", flush=True)


def network(name: str, arguments: dict[str, object], checkpoint: Path | None) -> tuple[nn.Module, Tensor]:
    """The network in evaluation mode, and images for it."""
    torch.manual_seed(0)
    if checkpoint is not None:
        net = loading.load(weight_files.read(checkpoint), name, arguments)
        return net, images(*net.input_size)  # type: ignore[misc]
    net = models.build(name, **arguments)
    x = images(*net.input_size)  # type: ignore[misc]
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the mean of all batches, of which there is one
        norm.train()
    net(x) if norms else None
    return net.eval(), x


def images(height: int, width: int) -> Tensor:
    """(N, 3, height, width) in [0, 1]: spots under grain."""
    spots = functional.interpolate(torch.rand(IMAGES, 3, 5, 5), (height, width), mode="bicubic", align_corners=True)
    return (0.8 * spots + 0.2 * torch.rand(IMAGES, 3, height, width)).clamp(0, 1)


def vertices(net: nn.Module, x: Tensor, mesh: TorchMesh) -> Tensor:
    """(N, V, 3) about the pelvis, hands and face at rest, of what the network predicts."""
    out = net(x)
    turns = torch.cat((out.global_orient[:, None], out.body_pose), dim=1).float()
    rest = torch.eye(3).expand(len(x), mesh.weights.shape[0] - turns.shape[1], 3, 3)
    points, joints = mesh(torch.cat((turns, rest), dim=1), out.betas.float())
    pelvis: Tensor = points - joints[:, :1]
    return pelvis


if __name__ == "__main__":
    main()
