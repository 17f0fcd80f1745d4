"""How fast a public file of weights becomes a network, and in how much memory, beside ``torch.load`` of everything.

    PYTHONPATH=. python benchmarks/model_files.py [--model smpler_x_s] [--repeat 3]

The file is written as SMPLer-X's are: random weights and the state of Adam, which is twice as large. Each way runs in a
process of its own and ends when every weight has been read once. Memory is the greatest that a process had, without
that before it opened the file; pages of a mapped file count. It is read from Linux's /proc. The best of several are
printed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from ehps.benchmark import models
from ehps.benchmark.models import loading, weight_files

WAYS = ("torch.load of everything", "ehps")


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds and memory of loading a file of weights with an optimizer.")
    parser.add_argument("--model", default="smpler_x_s", help="which; its size is the file's")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--child", nargs=2, metavar=("WAY", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(load(options.child[0], Path(options.child[1]), options.model)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path, nbytes = write(options.model, Path(folder) / "weights.pth.tar")
        print(f"{options.model}: {nbytes / 1e6:,.0f} MB of weights in a file of {path.stat().st_size / 1e6:,.0f} MB")
        print(f"{'':<26} {'seconds':>8} {'memory, MB':>11} {'times the weights':>18}")
        rows = {way: best(way, path, options) for way in WAYS}
    for way, (seconds, peak) in rows.items():
        print(f"{way:<26} {seconds:8.2f} {peak / 1e6:11,.0f} {peak / nbytes:18.2f}")
    (slow, most), (fast, least) = rows.values()
    print(f"{'ratio':<26} {slow / fast:8.1f} {most / least:11.1f}")


def write(model: str, path: Path) -> tuple[Path, int]:
    """A file as the authors write it, and the bytes of its weights."""
    own = loading.own_state(model, {})
    state = {
        name: torch.rand(value.shape) if value.is_floating_point() else torch.zeros(value.shape, dtype=value.dtype)
        for name, value in own.items()
    }
    moments = {
        i: {"exp_avg": torch.rand(v.shape), "exp_avg_sq": torch.rand(v.shape)} for i, v in enumerate(own.values())
    }
    network = {f"module.{name}": value for name, value in state.items()}
    torch.save({"epoch": 9, "network": network, "optimizer": {"state": moments, "param_groups": []}}, path)
    return path, sum(value.numel() * value.element_size() for value in state.values())


def best(way: str, path: Path, options: argparse.Namespace) -> tuple[float, float]:
    command = [sys.executable, __file__, "--model", options.model, "--child", way, str(path)]
    runs = [json.loads(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(options.repeat)]
    return min(run[0] for run in runs), min(run[1] for run in runs)


def load(way: str, path: Path, model: str) -> tuple[float, float]:
    """Seconds, and bytes of memory, until every weight of the network has been read."""
    loading.own_state(model, {})  # imports are not counted
    before, started = peak_memory(), time.perf_counter()
    if way == "ehps":
        net = loading.load(weight_files.read(path), model)
    else:
        content = torch.load(path, map_location="cpu", weights_only=True)
        net = models.build(model)
        net.load_state_dict({name.removeprefix("module."): value for name, value in content["network"].items()})
    for value in net.state_dict().values():
        value.sum()
    return time.perf_counter() - started, peak_memory() - before


def peak_memory() -> float:
    """The most bytes that this process has held; ``getrusage`` would count those of the process that started it."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * float(status.split("VmHWM:")[1].split()[0])


if __name__ == "__main__":
    main()
