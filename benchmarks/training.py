"""How fast models train, and how long they wait for images.

    PYTHONPATH=. python benchmarks/training.py [DATA] [--images DIR] [--body-models DIR] [--models tiny] [--steps 40]

Without DATA, drawn people in images of 160 x 120. Each model is trained with 32 images a step, on a GPU where there is
one, else on the processor. The plain way is float32 with four loader processes; on a GPU bf16 is timed beside it.
The first steps, in which loaders start, are left out. Numbers are those of ``train.jsonl``.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from joints import folder_of_models

from ehps.benchmark.training.specs import SetSpec, TrainConfig, image_folders
from ehps.benchmark.training.train_log import LOG, read_log
from ehps.benchmark.training.trainer import train
from ehps.body.model_folder import body_models_folder
from ehps.body.models import BodyModels
from tests.drawn_people import Style, people, write_set

EVERY = 10  # steps between lines of the log; the first line is left out
PEOPLE = 64


def main() -> None:
    parser = argparse.ArgumentParser(description="Images a second of training, and the share of waiting for them.")
    parser.add_argument("data", type=Path, nargs="?", help="a HumanData file; drawn people when not given")
    parser.add_argument("--images", nargs="*", help="its images")
    parser.add_argument("--body-models", type=Path, help="folder of body models; the stand-in when not given")
    parser.add_argument("--models", nargs="+", default=["tiny"])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 4])
    options = parser.parse_args()
    gpu = torch.cuda.is_available()
    print(
        f"on {torch.cuda.get_device_name() if gpu else f'{torch.get_num_threads()} cores'}, {options.batch_size} images"
    )
    print("model, precision, loaders: images a second, share of waiting")
    with (
        folder_of_models(body_models_folder(options.body_models), "smplx") as folder,
        tempfile.TemporaryDirectory() as at,
    ):
        bodies = BodyModels(folder)
        spec = drawn(Path(at), bodies) if options.data is None else given(options.data, options.images)
        for name in options.models:
            config = TrainConfig(
                model=name, steps=max(options.steps, 2 * EVERY), batch_size=options.batch_size, log_every=EVERY
            )
            for workers in options.workers:
                for precision in ("no", "bf16") if gpu else ("no",):
                    timed = replace(config, workers=workers, precision=precision)
                    run = Path(at, f"{name}-{precision}-{workers}")
                    speed, waiting = measured(timed, spec, run, bodies)
                    print(f"{name}, {precision}, {workers}: {speed:,.1f}, {waiting:.0%}", flush=True)
    if not gpu:
        print("not measured: GPUs, as there is none here")


def measured(config: TrainConfig, spec: SetSpec, folder: Path, bodies: BodyModels) -> tuple[float, float]:
    """Images a second and the share of waiting, medians over the lines of the log."""
    train(config, [spec], folder, bodies, progress=False)
    lines = read_log(folder / LOG)[1:]
    return tuple(median(float(line[name]) for line in lines) for name in ("images_per_second", "waiting_for_images"))  # type: ignore[return-value]


def drawn(folder: Path, bodies: BodyModels) -> SetSpec:
    """Drawn people."""
    path = write_set(folder, people(PEOPLE, np.random.default_rng(0), Style()), bodies, name="drawn")
    return SetSpec(path, folder)


def given(data: Path, images: list[str] | None) -> SetSpec:
    """The set of a file."""
    folder, folders = image_folders(images, data)
    return SetSpec(data, folder, folders=folders)


if __name__ == "__main__":
    main()
