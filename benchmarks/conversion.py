"""How fast a dataset is converted, on one core, and whether twice the people take twice the time.

    python benchmarks/conversion.py [--body-models DIR] [--sizes 1000 10000 100000] [--folder /some/disk]

The dataset is BEDLAM in the layout of its 6 fps release: a small staged scene, its labels repeated to scenes of up
to 10,000 rows, 33 images a sequence. Images are links to one blank file: a conversion looks whether they are
there and reads a few headers, no more. Without ``--body-models`` (or EHPS_BODY_MODELS) the licence-free stand-in is
used, whose arrays have the sizes of the real ones. Every size is converted in a fresh process with one thread of
linear algebra; the seconds are those of the whole conversion, body models, checks, joining and writing included.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from humandata import peak_rss_mb
from joints import ONE_CORE, folder_of_models

from ehps.body.model_folder import body_models_folder
from ehps.converters.pipeline import convert
from ehps.demo.raw import bedlam
from ehps.demo.raw.stage import Look

LABELS, IMAGE_FOLDER = (Path(folder) for folder in bedlam.FOLDERS["train"])
STAGED = "staged"
IMAGES = 40
PEOPLE = 3
SEQUENCE = 33
SCENE_ROWS = 10_000


# -- building ---------------------------------------------------------------------------------------------


def stage(folder: Path, models: Path) -> dict[str, np.ndarray]:
    """The labels of a staged scene: three people in each of its images."""
    look = Look("mixed", people=(PEOPLE, PEOPLE), share=(0.5, 0.7))
    bedlam.write(folder, models, np.random.default_rng(0), look=look, images=IMAGES, scene=STAGED, painted=False)
    with np.load(folder / LABELS / f"{STAGED}.npz") as file:
        return dict(file)


def tile(root: Path, labels: dict[str, np.ndarray], rows: int) -> int:
    """A raw tree of ``rows`` people; the number of its scenes."""
    import cv2

    (root / LABELS).mkdir(parents=True)
    starts = range(0, rows, SCENE_ROWS)
    for number, start in enumerate(starts):
        n, scene = min(SCENE_ROWS, rows - start), f"scene_{number:03d}_6fps"
        blank = root / IMAGE_FOLDER / scene / "blank.png"  # one a scene: file systems limit the links to a file
        blank.parent.mkdir(parents=True)
        cv2.imwrite(str(blank), np.full((720, 1280, 3), 120, np.uint8))
        people: dict[str, Any] = {name: np.resize(values, (n, *values.shape[1:])) for name, values in labels.items()}
        image = np.arange(n) // PEOPLE
        people["imgname"] = np.array([image_name(k) for k in image.tolist()])
        np.savez(root / LABELS / f"{scene}.npz", **people)
        for name in np.unique(people["imgname"]).tolist():
            path = root / IMAGE_FOLDER / scene / "png" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(blank, path)
    return len(starts)


def image_name(number: int) -> str:
    sequence, frame = divmod(number, SEQUENCE)
    return f"seq_{sequence:06d}/seq_{sequence:06d}_{5 * frame:04d}.png"


# -- measuring, in a process of its own -------------------------------------------------------------------


def measure(root: Path, models: Path) -> dict[str, float]:
    """Seconds, processor seconds and memory of a conversion; the output is removed."""
    before = peak_rss_mb()
    wall, cpu = time.perf_counter(), time.process_time()
    report = convert("bedlam", root, out=root / "out.h5", body_models=models, progress=False, overwrite=True)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if report.problems or report.dropped:
        dropped = {reason: len(names) for reason, names in report.dropped.items()}
        raise SystemExit(f"not a good conversion: {report.problems} {dropped}")
    size = report.out.stat().st_size / 1e6
    return {"rows": report.written, "wall": wall, "cpu": cpu, "before": before, "rss": peak_rss_mb(), "size": size}


def in_a_fresh_process(root: Path, models: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", str(root), str(models)]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **ONE_CORE})
    return dict(json.loads(run.stdout))


# -- telling ----------------------------------------------------------------------------------------------


def compare(folder: Path, models: Path, sizes: list[int]) -> None:
    labels = stage(folder / "staged", models)
    print(
        f"{'instances':>9} {'scenes':>7} {'seconds':>8} {'a second':>9} {'a cpu second':>13} {'us each further':>16} "
        f"{'peak MB':>8} {'output MB':>10}"
    )
    last = None
    for rows in sizes:
        root = folder / f"rows_{rows}"
        scenes = tile(root, labels, rows)
        found = in_a_fresh_process(root, models)
        shutil.rmtree(root)
        further = "" if last is None else f"{1e6 * (found['cpu'] - last['cpu']) / (found['rows'] - last['rows']):.0f}"
        print(
            f"{rows:>9} {scenes:>7} {found['wall']:>8.2f} {rows / found['wall']:>9.0f} {rows / found['cpu']:>13.0f} "
            f"{further:>16} {found['rss']:>8.0f} {found['size']:>10.1f}",
            flush=True,
        )
        last = found
    print(
        f"({found['before']:.0f} MB of the peak are there before the conversion starts: the libraries; "
        "the time of each further instance is of the processor)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--body-models", type=Path, help="folder of body models; the stand-in when not given")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000], help="instances")
    parser.add_argument("--folder", type=Path, help="where to build the trees; a temporary folder by default")
    parser.add_argument("--measure", type=Path, nargs=2, metavar=("ROOT", "MODELS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(*given.measure)))
        return
    with (
        folder_of_models(body_models_folder(given.body_models), "smplx") as models,
        tempfile.TemporaryDirectory(prefix="ehps-benchmark-", dir=given.folder) as folder,
    ):
        compare(Path(folder), models, given.sizes)


if __name__ == "__main__":
    main()
