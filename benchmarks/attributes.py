"""How time and memory of comparing sets grow with the samples that are drawn, and with the rows of the files.

    python benchmarks/attributes.py [--rows 200000] [--samples 500,2000,6000,20000] [--sets 5]
    python benchmarks/attributes.py --rows 10000,1000000 --samples 2000

Files of generated people: joints about a skeleton, ten rows an image. Each measurement runs in a process of
its own on one core: samples are drawn and described (body pose, global orientation), all pairs of sets compared
(energy, MMD with p, Frechet, classifier), the last set covered by the others, distinct samples counted. Beside it, up
to ``--all-pairs`` samples, the way that holds all pairs in memory: energy, MMD and coverage of each pair from whole
matrices of distances; the ratio is to the same three of the same pairs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.spatial.distance import cdist, pdist, squareform

from ehps.analysis import attributes
from ehps.analysis.samples import Samples
from ehps.analysis.set_distances import Compared
from ehps.arrays import Array
from ehps.humandata import HumanData
from ehps.humandata.keypoints import point_names
from ehps.humandata.passport import Passport

ONE_CORE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
DESCRIBED = ("body_pose", "global_orient")
ROWS_AN_IMAGE = 10


def main() -> None:
    parser = argparse.ArgumentParser(description="Processor seconds and memory of comparing sets.")
    parser.add_argument("--rows", default="200000", help="rows of each file, several after commas")
    parser.add_argument("--samples", default="500,2000,6000,20000", help="drawn of each set, several after commas")
    parser.add_argument("--sets", type=int, default=5)
    parser.add_argument("--all-pairs", type=int, default=6000, help="most samples that all pairs are held of; 0: none")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        way, samples, folder = options.measure
        print(json.dumps(measured(way, int(samples), Path(folder))))
        return
    sizes = [int(word) for word in options.samples.split(",")]
    found: dict[int, list[float]] = {}
    for rows in (int(word) for word in options.rows.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            for number in range(options.sets):
                people(f"set{number}", rows, number).save(Path(folder) / f"set{number}.h5")
            print(f"{options.sets} files of {rows:,} rows, one core")
            print(f"{'samples':>8} {'seconds':>8} {'MB':>7} {'growth':>7} {'all pairs s':>12} {'MB':>7} {'ratio':>6}")
            for place, size in enumerate(sizes):
                own = run("own", size, folder)
                found.setdefault(rows, []).append(own["seconds"])
                growth = ""
                if place:
                    times = own["seconds"] / found[rows][-2]
                    growth = f"n^{np.log(times) / np.log(size / sizes[place - 1]):.2f}"
                line = f"{size:>8,} {own['seconds']:>8.1f} {own['megabytes']:>7,.0f} {growth:>7}"
                if size <= options.all_pairs:
                    other = run("pairs", size, folder)
                    ratio = other["seconds"] / own["pairs"]
                    line += f" {other['seconds']:>12.1f} {other['megabytes']:>7,.0f} {ratio:>5.1f}x"
                print(line, flush=True)
    if len(found) > 1:
        first, *_, last = found.values()
        print(f"most rows against fewest: {last[-1] / first[-1]:.2f} times as long")


def people(name: str, rows: int, seed: int) -> HumanData:
    """Joints about a skeleton of unit bones, each set about a pose of its own, and orientations."""
    rng = np.random.default_rng(seed)
    names = point_names("smpl")
    rest = np.random.default_rng(0).normal(0, 0.3, (len(names), 3))
    own = rng.normal(0, 0.05, rest.shape)
    latent = rng.normal(0, 1, (rows, 12)).astype(np.float32)
    spread = np.random.default_rng(1).normal(0, 0.05, (12, rest.size)).astype(np.float32)
    joints = (rest + own + [0, 0, 4]).reshape(-1).astype(np.float32) + latent @ spread
    joints = np.concatenate([joints.reshape(rows, -1, 3), np.ones((rows, len(names), 1), np.float32)], axis=2)
    columns = {
        "image_path": [f"{i // ROWS_AN_IMAGE}.jpg" for i in range(rows)],
        "bbox_xywh": np.tile(np.array([10, 10, 40, 60, 1], np.float32), (rows, 1)),
        "keypoints3d_smpl": joints,
        "smpl/global_orient": rng.normal(seed / 5, 0.5, (rows, 3)).astype(np.float32),
        "smpl/body_pose": rng.normal(0, 0.3, (rows, 23, 3)).astype(np.float32),
        "smpl/betas": rng.normal(0, 1, (rows, 10)).astype(np.float32),
    }
    passport = Passport(body_model="smpl", dataset=name, gender="neutral", frame="opencv-camera")
    return HumanData(columns, passport=passport, keypoint_names={"keypoints3d_smpl": names})


def run(way: str, samples: int, folder: str) -> Mapping[str, float]:
    command = [sys.executable, __file__, "--measure", way, str(samples), folder]
    done = subprocess.run(command, env=os.environ | ONE_CORE, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    result: Mapping[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def measured(way: str, samples: int, folder: Path) -> dict[str, float]:
    """Seconds and most memory; ``pairs``: seconds of what the other way does too."""
    files = sorted(folder.glob("*.h5"))
    sources = [attributes.Source(file, "test" if file == files[-1] else "train") for file in files]
    start = time.process_time()
    drawn = attributes.collect(sources, samples, attributes=DESCRIBED)
    begun = time.process_time()
    if way == "own":
        for attribute in DESCRIBED:
            sets = Compared.of(drawn, attribute)
            pairs = [(a, b) for place, b in enumerate(sets.names) for a in sets.names[:place]]
            sets.energies(pairs)
            for a, b in pairs:
                sets.mmd(a, b, 0)
                sets.coverage(a, b)
        part = time.process_time() - begun
        again = time.process_time()
        attributes.coverage_table(drawn)
        attributes.between(drawn)
        attributes.diversity_table(drawn)
        seconds = begun - start + time.process_time() - again
    else:
        all_pairs(drawn, list(drawn.roles))
        seconds = part = time.process_time() - begun
    return {"seconds": seconds, "pairs": part, "megabytes": peak()}


def peak() -> float:
    """Most memory of this process, megabytes; what it was started from is not in it, as it is in ``ru_maxrss``."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def all_pairs(drawn: Samples, names: Sequence[str]) -> None:
    """Energy distance, MMD and coverage from whole matrices of distances."""
    for attribute in DESCRIBED:
        values = drawn.comparable(attribute)
        for place, b in enumerate(names):
            for a in names[:place]:
                measures(values[a], values[b])


def measures(a: Array, b: Array, k: int = 5) -> tuple[float, float, float]:
    own_a, own_b, across = pdist(a), pdist(b), cdist(a, b)
    energy = 2 * across.mean() - own_a.mean() - own_b.mean()
    width = np.median(np.concatenate([own_a, own_b, across.ravel()]))

    def kernel(gaps: Array) -> float:
        return float(np.exp(-(gaps**2) / (2 * width**2)).mean())

    radius = np.partition(squareform(own_b), k, axis=1)[:, k]
    return energy, kernel(own_a) + kernel(own_b) - 2 * kernel(across), float((across.min(axis=0) <= radius).mean())


if __name__ == "__main__":
    main()
