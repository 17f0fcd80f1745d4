"""How fast people of a video are found: overlapping stages and batches, against one frame and one person at a time.

    PYTHONPATH=. python benchmarks/infer.py BODY_MODELS [--frames 300] [--people 4] [--models tiny smpler_x_s]
                                            [--view mesh] [--seconds 10 60] [--folder /some/disk]

The clip is made up: 1920 x 1080, noise that moves, boxes that are given; networks have random weights. Beside it the
same code sees one frame and one person at a time and has no threads. Peak memory is that of a fresh process for each
length.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ehps.benchmark import models as networks
from ehps.benchmark.training import checkpoints
from ehps.body.models import BodyModels
from ehps.inference import run as running
from ehps.inference.overlay_video import write_segment
from ehps.inference.overlays import View, bodies_of, draw
from ehps.inference.people import finder
from ehps.inference.predicting import Network, load_network
from ehps.inference.run import Options, infer
from ehps.inference.sources import open_source

RATE, HEIGHT, WIDTH = 25, 1080, 1920
STAGES = ("decoding", "cropping", "network", "surfaces", "drawing", "waiting")


def shots(frames: int) -> Iterator[tuple[float, np.ndarray]]:
    noise = (
        np.random.default_rng(0).integers(0, 255, (HEIGHT // 24, WIDTH // 24, 3), np.uint8).repeat(24, 0).repeat(24, 1)
    )
    for k in range(frames):
        yield k / RATE, np.roll(noise, 4 * k, axis=1)


def write_clip(folder: Path, frames: int, people: int) -> Path:
    """A video and the boxes of its people."""
    write_segment(folder / "clip.mp4", shots(frames), fps=RATE)
    lines = [f"{k},{100 + 400 * p + k % 50},200,250,700,{p + 1}" for k in range(frames) for p in range(people)]
    (folder / "people.csv").write_text("\n".join(["frame,x,y,w,h,track_id", *lines]))
    return folder / "clip.mp4"


def write_weights(path: Path, name: str) -> Path:
    torch.manual_seed(0)
    state = networks.build(name).state_dict()
    content = {"model": {"name": name, "args": {}}, "state": state, "box_ratio": 1.25}
    return checkpoints.save(path, {**content, "weights_sha256": checkpoints.weights_hash(state)})


def whole_run(folder: Path, network: Network, models: BodyModels, view: View | None, out: Path) -> dict[str, Any]:
    source = open_source(str(folder / "clip.mp4"))
    people = finder(source, boxes=folder / "people.csv")
    return infer(source, network, people, out, models, Options(view=view)).to_dict()


def one_by_one(folder: Path, network: Network, models: BodyModels, view: View | None, out: Path) -> float:
    """Frames a second where each frame and each person waits for the one before."""
    source = open_source(str(folder / "clip.mp4"))
    people = finder(source, boxes=folder / "people.csv")
    alone = running._Run(source, network, people, out, models, Options(view=view))
    begin, count = time.perf_counter(), 0

    def drawn() -> Iterator[tuple[float, np.ndarray]]:
        nonlocal count
        for frame in source.frames(0):
            found = alone._people([frame])
            rows = [alone._predict([frame], [found[0][k : k + 1]])[0] for k in range(len(found[0]))]
            image = frame.pixels
            if view is not None:
                bodies = bodies_of(alone._as_data(running._joined(rows)), models, view, str(network.device))
                image = draw(frame, found[0], bodies, view)
            count += 1
            yield float(frame.time or 0), image

    if view is None:
        for _ in drawn():
            pass
    else:
        write_segment(out / "overlay.mp4", drawn(), fps=RATE)
    return count / (time.perf_counter() - begin)


def report_speed(folder: Path, names: list[str], models: BodyModels, view: View | None) -> None:
    devices = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
    print(f"| model | device | frames a second | one by one | ratio | {' | '.join(f'{s}, s' for s in STAGES)} | idle |")
    print("|" + "---|" * (6 + len(STAGES)))
    for name in names:
        weights = write_weights(folder / f"{name}.pt", name)
        for device in devices:
            network = load_network(weights, models, device=device)
            infer_out, loop_out = (folder / f"{name}-{device}-{way}" for way in ("run", "loop"))
            loop_out.mkdir()
            found = whole_run(folder, network, models, view, infer_out)
            slow = one_by_one(folder, network, models, view, loop_out)
            fast, seconds = found["frames_per_second"], found["seconds"]
            stages = " | ".join(f"{seconds.get(stage, 0.0):.1f}" for stage in STAGES)
            share = found["network_idle_share"]
            print(f"| `{name}` | {device} | {fast:.1f} | {slow:.1f} | {fast / slow:.1f} | {stages} | {share:.0%} |")
        if len(devices) == 1:
            print(f"| `{name}` | GPU | not measured |" + " |" * (3 + len(STAGES)))


def report_memory(given: argparse.Namespace) -> None:
    for seconds in given.seconds:
        words = [str(given.body_models), "--peak-of", str(seconds), "--people", str(given.people), "--view", given.view]
        result = subprocess.run([sys.executable, __file__, *words], check=True, capture_output=True, text=True)
        print(f"peak memory of {seconds:g} s of video, `tiny`: {result.stdout.strip()} MB")


def peak(folder: Path, seconds: float, people: int, models: BodyModels, view: View | None) -> None:
    write_clip(folder, round(seconds * RATE), people)
    network = load_network(write_weights(folder / "tiny.pt", "tiny"), models, device="cpu")
    whole_run(folder, network, models, view, folder / "out")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("body_models", type=Path)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--people", type=int, default=4, help="of a frame")
    parser.add_argument("--models", nargs="+", default=["tiny", "smpler_x_s"])
    parser.add_argument("--view", choices=["mesh", "joints", "none"], default="mesh")
    parser.add_argument("--seconds", type=float, nargs="*", default=[10, 60], help="lengths whose peak memory is taken")
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder by default")
    parser.add_argument("--peak-of", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    view = None if given.view == "none" else given.view
    models = BodyModels(given.body_models)
    with tempfile.TemporaryDirectory(prefix="ehps-benchmark-", dir=given.folder) as name:
        folder = Path(name)
        if given.peak_of:
            peak(folder, given.peak_of, given.people, models, view)
            return
        write_clip(folder, given.frames, given.people)
        report_speed(folder, given.models, models, view)
    report_memory(given)


if __name__ == "__main__":
    main()
