"""How fast people of a video are found: overlapping stages and batches, against one frame and one person at a time.

    PYTHONPATH=. python benchmarks/infer.py BODY_MODELS [--frames 300] [--people 4] [--models tiny smpler_x_s]
                                            [--overlays mesh] [--seconds 10 60] [--folder /some/disk]

The clip is made up: 1920 x 1080, soft noise with grain that moves, boxes that are given; networks have random weights.
Beside it the way of the public scripts (``plain_inference.py``) sees the same clip; it draws no view from the side.
Times are those on the clock and of all cores together. Peak memory is that of a fresh process for each length.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import torch
from plain_inference import Script

from ehps.benchmark import models as networks
from ehps.benchmark.training import checkpoints
from ehps.body.models import BodyModels
from ehps.inference.overlay_video import write_segment
from ehps.inference.people import finder
from ehps.inference.predicting import Network, load_network
from ehps.inference.run import Options, infer
from ehps.inference.sources import open_source

RATE, HEIGHT, WIDTH = 25, 1080, 1920
STAGES = ("decoding", "cropping", "network", "surfaces", "drawing", "waiting")


def shots(frames: int) -> Iterator[tuple[float, np.ndarray]]:
    random = np.random.default_rng(0)
    coarse = random.integers(0, 255, (HEIGHT // 24, WIDTH // 24, 3), np.uint8)
    noise = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) + random.normal(0, 3, (HEIGHT, WIDTH, 3))
    image = noise.clip(0, 255).astype(np.uint8)
    for k in range(frames):
        yield k / RATE, np.roll(image, 4 * k, axis=1)


def boxes_of(frame: int, people: int) -> np.ndarray:
    """(people, 4) x, y, w, h."""
    return np.array([(100 + 400 * p + frame % 50, 200, 250, 700) for p in range(people)])


def write_clip(folder: Path, frames: int, people: int) -> Path:
    """A video and the boxes of its people."""
    write_segment(folder / "clip.mp4", shots(frames), fps=RATE)
    lines = [f"{k},{x},{y},{w},{h},{p}" for k in range(frames) for p, (x, y, w, h) in enumerate(boxes_of(k, people), 1)]
    (folder / "people.csv").write_text("\n".join(["frame,x,y,w,h,track_id", *lines]))
    return folder / "clip.mp4"


def write_weights(path: Path, name: str) -> Path:
    torch.manual_seed(0)
    state = networks.build(name).state_dict()
    content = {"model": {"name": name, "args": {}}, "state": state, "box_ratio": 1.25}
    return checkpoints.save(path, {**content, "weights_sha256": checkpoints.weights_hash(state)})


OVERLAYS = {
    "none": Options(view=None),
    "mesh": Options(),
    "mesh alone": Options(side=False),
    "joints": Options(view="joints"),
}


@dataclass(frozen=True)
class Took:
    """Seconds of a frame: on the clock, and of all cores together."""

    clock: float
    cores: float


def timed(run: Callable[[], Any], frames: int) -> tuple[Any, Took]:
    clock, cores = time.perf_counter(), of_all_cores()
    found = run()
    return found, Took((time.perf_counter() - clock) / frames, (of_all_cores() - cores) / frames)


def of_all_cores() -> float:
    """Seconds that this process, those it started and those these started have computed so far."""
    me = psutil.Process()
    return sum(sum(process.cpu_times()[:4]) for process in (me, *me.children(recursive=True)))  # ended children too


def whole_run(folder: Path, network: Network, models: BodyModels, options: Options, out: Path) -> dict[str, Any]:
    source = open_source(str(folder / "clip.mp4"))
    people = finder(source, boxes=folder / "people.csv")
    return infer(source, network, people, out, models, options).to_dict()


def report_speed(folder: Path, given: argparse.Namespace, models: BodyModels) -> None:
    devices = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
    heads = (
        "frames a second",
        "plain",
        "ratio",
        "ms of a core",
        "plain",
        "ratio",
        *(f"{s}, s" for s in STAGES),
        "idle",
    )
    print(f"| model, device | overlays | {' | '.join(heads)} |")
    print("|" + "---|" * (2 + len(heads)))
    few = folder / "few"
    few.mkdir()
    write_clip(few, 2, given.people)
    boxes = {k: boxes_of(k, given.people) for k in range(given.frames)}
    for name in given.models:
        weights = write_weights(folder / f"{name}.pt", name)
        for device in devices:
            network = load_network(weights, models, device=device)
            for draw in (False, True):  # what a first call costs is not counted
                Script(network, models.folder, draw=draw).run(few / "clip.mp4", boxes, few / f"{name}-{draw}", fps=RATE)
                whole_run(few, network, models, Options(view="mesh" if draw else None), few / f"{name}-{draw}-run")
            plain: dict[bool, Took] = {}
            for overlays in given.overlays:
                options = OVERLAYS[overlays]
                draw = options.view is not None
                if draw not in plain:
                    script = Script(network, models.folder, draw=draw)
                    out = folder / f"{name}-{device}-plain-{draw}"
                    _, plain[draw] = timed(lambda: script.run(folder / "clip.mp4", boxes, out, fps=RATE), given.frames)  # noqa: B023
                out = folder / f"{name}-{device}-{overlays}"
                found, ours = timed(lambda: whole_run(folder, network, models, options, out), given.frames)  # noqa: B023
                theirs = plain[draw]
                cells = [
                    f"{1 / ours.clock:.1f}",
                    f"{1 / theirs.clock:.1f}",
                    f"{theirs.clock / ours.clock:.1f}",
                    f"{1e3 * ours.cores:.0f}",
                    f"{1e3 * theirs.cores:.0f}",
                    f"{theirs.cores / ours.cores:.1f}",
                    *(f"{found['seconds'].get(stage, 0.0):.1f}" for stage in STAGES),
                    f"{found['network_idle_share']:.0%}",
                ]
                print(f"| `{name}`, {device} | {overlays} | {' | '.join(cells)} |", flush=True)
        if len(devices) == 1:
            print(f"| `{name}`, GPU | | not measured |" + " |" * (len(heads) - 1))


def report_memory(given: argparse.Namespace) -> None:
    for seconds in given.seconds:
        words = [str(given.body_models), "--peak-of", str(seconds), "--people", str(given.people)]
        words += ["--overlays", given.overlays[0]]
        result = subprocess.run([sys.executable, __file__, *words], check=True, capture_output=True, text=True)
        print(f"peak memory of {seconds:g} s of video, `tiny`: {result.stdout.strip()} MB")


def peak(folder: Path, seconds: float, people: int, models: BodyModels, options: Options) -> None:
    write_clip(folder, round(seconds * RATE), people)
    network = load_network(write_weights(folder / "tiny.pt", "tiny"), models, device="cpu")
    whole_run(folder, network, models, options, folder / "out")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("body_models", type=Path)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--people", type=int, default=4, help="of a frame")
    parser.add_argument("--models", nargs="+", default=["tiny", "smpler_x_s"])
    parser.add_argument("--overlays", choices=OVERLAYS, nargs="+", default=["none", "mesh", "mesh alone"])
    parser.add_argument("--seconds", type=float, nargs="*", default=[10, 60], help="lengths whose peak memory is taken")
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder by default")
    parser.add_argument("--peak-of", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    models = BodyModels(given.body_models)
    with tempfile.TemporaryDirectory(prefix="ehps-benchmark-", dir=given.folder) as name:
        folder = Path(name)
        if given.peak_of:
            peak(folder, given.peak_of, given.people, models, OVERLAYS[given.overlays[0]])
            return
        write_clip(folder, given.frames, given.people)
        report_speed(folder, given, models)
    report_memory(given)


if __name__ == "__main__":
    main()
