"""How fast the networks are, each beside its plain way, in one run.

    PYTHONPATH=. python benchmarks/models.py [--models smpler_x_s pymaf ...] [--body-models DIR] [--threads 2]

Weights are random: they change no time. On a processor: an image at a time, beside the encoder alone, in turns; and
models for SMPL in batches beside one at a time. With a GPU also: images a second with vertices, bf16 beside float32;
one image from a recorded CUDA graph beside the eager call; a training step (forward, backward, Adam; without losses) as
a share of the device's own bf16 peak, and its memory. Without one these are not measured, which is said.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from joints import folder_of_models
from torch import Tensor, nn

from ehps.benchmark import models
from ehps.body.model_folder import body_models_folder
from ehps.body.models import BodyModels
from ehps.body.torch_meshes import TorchMesh

ENCODER = {"pymaf": "feature_extractor", "smpler": "backbone", "smpler_l": "backbone"}  # of others: encoder
GPU_BATCH = 64


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of the networks.")
    parser.add_argument("--models", nargs="+", default=["smpler_x_s", "smpler_x_b", "pymaf", "smpler"])
    parser.add_argument("--body-models", type=Path, help="folder of body models; the stand-in when not given")
    parser.add_argument("--threads", type=int, default=2, help="of the processor")
    parser.add_argument("--repeat", type=int, default=15, help="calls of which the median is taken")
    parser.add_argument("--batch-size", type=int, default=16, help="of models for SMPL on a processor")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for kind in ("smplx", "smpl"):
        chosen = [name for name in options.models if models.card(name).body == kind]
        with folder_of_models(body_models_folder(options.body_models), kind) as folder:
            bodies = BodyModels(folder)
            for name in chosen:
                net = network(name, bodies)
                on_processor(name, net, options)
                if torch.cuda.is_available():
                    on_gpu(name, net.cuda(), TorchMesh(bodies.get(kind, "neutral")).cuda(), options.repeat)
    if not torch.cuda.is_available():
        print("not measured without a GPU: images a second in bf16, CUDA graphs, training steps")


def network(name: str, bodies: BodyModels) -> nn.Module:
    """The network with random weights, in evaluation mode."""
    torch.manual_seed(0)
    arguments = {"smpl": bodies.get("smpl", "neutral")} if models.card(name).body == "smpl" else {}
    return models.build(name, **arguments).eval()


def images(net: nn.Module, n: int, device: str = "cpu") -> Tensor:
    height, width = net.input_size  # type: ignore[misc]
    return torch.rand(n, 3, height, width, device=device)


@torch.inference_mode()
def on_processor(name: str, net: nn.Module, options: argparse.Namespace) -> None:
    image = images(net, 1)
    encoder = net.get_submodule(ENCODER.get(name, "encoder"))
    seconds = {"whole": [], "encoder": []}  # type: dict[str, list[float]]
    for _ in range(options.repeat + 2):
        seconds["whole"].append(timed(lambda: net(image)))
        seconds["encoder"].append(timed(lambda: encoder(image)))
    whole, alone = (1000 * median(values[2:]) for values in seconds.values())
    said = f"{whole:.0f} ms, {whole / alone:.2f} x its encoder ({alone:.0f} ms)"
    print(f"{name}, {options.threads} threads, 1 image: {said}")
    if models.card(name).body == "smpl":
        n = options.batch_size
        batch, repeat = images(net, n), max(2, options.repeat // 5)
        together = median(timed(lambda: net(batch)) for _ in range(repeat))
        single = median(timed(lambda: [net(one[None]) for one in batch]) for _ in range(repeat))
        print(f"{name}, {n} images: {n / together:.1f} a second, {single / together:.2f} x one at a time")


def on_gpu(name: str, net: nn.Module, mesh: TorchMesh, repeat: int) -> None:
    device, gflop = torch.cuda.get_device_name(), models.card(name).gflop or 0
    batch = images(net, GPU_BATCH, "cuda")
    with torch.inference_mode():
        rates = {}
        for precision in (torch.float32, torch.bfloat16):
            call = with_vertices(net, mesh, batch, precision)
            rates[precision] = GPU_BATCH / median(on_device(call) for _ in range(repeat))
        plain, fast = rates.values()
        said = f"{fast:,.0f} a second in bf16, {fast / plain:.1f} x float32"
        print(f"{name}, {device}, {GPU_BATCH} images with vertices: {said}")
        call = with_vertices(net, mesh, batch[:1], torch.bfloat16)
        eager = median(on_device(call) for _ in range(repeat))
        graph = recorded(call)
        replayed = median(on_device(graph.replay) for _ in range(repeat))
        print(f"{name}, {device}, 1 image: {1000 * replayed:.2f} ms from a graph, {eager / replayed:.1f} x eager")
    peak = bf16_peak()
    for precision in (torch.float32, torch.bfloat16):
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        seconds = median(on_device(training_step(net, batch, precision)) for _ in range(repeat))
        share = 3 * gflop * 1e9 * GPU_BATCH / seconds / peak
        memory = (torch.cuda.max_memory_allocated() - held) / GPU_BATCH / 1e6
        rate = f"{GPU_BATCH / seconds:,.0f} images a second, {share:.0%} of {peak / 1e12:.0f} TFLOP/s"
        print(f"{name}, {device}, training in {precision}: {rate}, {memory:.0f} MB an image")


def with_vertices(net: nn.Module, mesh: TorchMesh, batch: Tensor, precision: torch.dtype) -> Callable[[], Any]:
    joints = mesh.weights.shape[0]
    rest = torch.eye(3, device=batch.device).repeat(len(batch), joints, 1, 1)

    def call() -> Any:
        with torch.autocast("cuda", precision, enabled=precision != torch.float32):
            out = net(batch)
        turns = torch.cat((out.global_orient[:, None], out.body_pose), dim=1).float()
        return mesh(torch.cat((turns, rest[:, turns.shape[1] :]), dim=1), out.betas.float())

    return call


def training_step(net: nn.Module, batch: Tensor, precision: torch.dtype) -> Callable[[], None]:
    net.train()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.0, fused=True)

    def step() -> None:
        with torch.autocast("cuda", precision, enabled=precision != torch.float32):
            out = net(batch)
        sum(value.float().mean() for value in vars(out).values() if isinstance(value, Tensor)).backward()  # type: ignore[union-attr]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    for _ in range(3):
        step()
    return step


def recorded(call: Callable[[], Any]) -> torch.cuda.CUDAGraph:
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph


def bf16_peak() -> float:
    """Operations a second of a large product in bf16, which is what the device reaches."""
    side = 8192
    a, b = (torch.randn(side, side, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return 2 * side**3 / median(on_device(lambda: a @ b) for _ in range(10))


def on_device(call: Callable[[], Any]) -> float:
    torch.cuda.synchronize()
    started = time.perf_counter()
    call()
    torch.cuda.synchronize()
    return time.perf_counter() - started


def timed(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
