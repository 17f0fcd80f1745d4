"""How fast training samples are made, beside the way that the public SMPLer-X code takes, on one core; and how much
memory the processes of a loader hold.

    python benchmarks/loader.py [--seconds 5] [--images 24]
    python benchmarks/loader.py --rows 1000000 --workers 16

The first writes noisy images of 1280x720, 1920x1080 and 3840x2160 pixels with two people each, and prints instances a
second at 256 x 192 with augmentation: from the image files (averaged down, as ``tiny`` sees them, and sampled from the
full image as the released weights do), packed, and the plain way: cv2 decodes, the whole image is copied as float32,
the flipped image is copied again, the annotation of the sample holds the dictionaries of its whole file and is
deep-copied, and the ``smplx`` package is called with one sample.

The second writes a file of many rows and starts loader processes over it, forked, by a server and spawned, and prints
the time to the first step and the memory of all processes but the server: Pss_Anon of /proc/PID/smaps_rollup, which
counts shared pages once and leaves out those of mapped files, libraries among them, which the system may drop at any
time. The own part of a worker is its Private_Dirty. What rows take is what there is more than over 64 rows. Beside it a
list of one dictionary a row, copied by each worker when it is used, as the public code does; workers have read all rows
once.
A machine that does other work gives lower numbers; their ratios stay.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from ehps.benchmark.training import crops
from ehps.benchmark.training.packing import pack
from ehps.benchmark.training.samples import CropView, HumanDataset, collate
from ehps.benchmark.training.sampling import StepSampler
from ehps.benchmark.training.training_sets import JoinedSets
from ehps.humandata.core import HumanData
from ehps.humandata.passport import Passport

SIZES = {"1280x720": (720, 1280), "1920x1080": (1080, 1920), "3840x2160": (2160, 3840)}
INPUT = (256, 192)
ROWS_OF_THE_PLAIN_FILE = 10_000  # whose smplx dictionary every record of the plain way holds; real files have more
BATCH = 32
ONE_CORE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def columns(paths: list[str], height: int, width: int, seed: int = 0) -> dict[str, Any]:
    """SMPL-X rows of people of about three quarters of the image's height."""
    rng, n = np.random.default_rng(seed), len(paths)
    h = rng.uniform(0.5, 0.9, n) * height
    w = h * rng.uniform(0.35, 0.6, n)
    x, y = rng.uniform(0, 1, n) * (width - w), rng.uniform(0, 1, n) * (height - h)
    shapes = {"global_orient": (3,), "body_pose": (21, 3), "left_hand_pose": (15, 3), "right_hand_pose": (15, 3)}
    shapes |= {"jaw_pose": (3,), "betas": (10,), "expression": (10,)}
    smplx_rows = {f"smplx/{name}": rng.normal(0, 0.3, (n, *shape)).astype(np.float32) for name, shape in shapes.items()}
    return {
        "image_path": paths,
        "bbox_xywh": np.stack((x, y, w, h, np.ones(n)), axis=1).astype(np.float32),
        **smplx_rows,
        "smplx/transl": np.tile(np.float32((0, 0, 5)), (n, 1)),
        "meta/height": np.full(n, height, np.int32),
        "meta/width": np.full(n, width, np.int32),
        "meta/focal_length": np.full((n, 2), 1.2 * width, np.float32),
        "meta/principal_point": np.tile(np.float32((width / 2, height / 2)), (n, 1)),
    }


def write(out: Path, given: dict[str, Any]) -> Path:
    passport = Passport(body_model="smplx", num_betas=10, gender="neutral", flat_hand_mean=False, frame="opencv-camera")
    return HumanData(given, passport=passport).save(out)


def image(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """(h, w, 3) with detail at all scales, whose JPEG has the size of a photograph's."""
    out = np.zeros((height, width, 3), np.float32)
    for cell, strength in ((4, 12), (16, 25), (64, 50), (256, 60)):
        small = rng.normal(0, strength, (height // cell + 2, width // cell + 2, 3)).astype(np.float32)
        out += cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip(out + 127, 0, 255).astype(np.uint8)


# -- speed -----------------------------------------------------------------------------------------------------------


def rates(ways: dict[str, Callable[[int], Any]], n: int, seconds: float) -> dict[str, float]:
    """Instances a second of process time, which other processes do not shorten; the ways take turns of half a second,
    so that a slow minute of the machine is one of all of them."""
    counts, spent = dict.fromkeys(ways, 0), dict.fromkeys(ways, 0.0)
    for sample in ways.values():
        for i in range(2):
            sample(i)
    while min(spent.values()) < seconds:
        for way, sample in ways.items():
            start = time.process_time()
            while (took := time.process_time() - start) < 0.5:
                sample(counts[way] % n)
                counts[way] += 1
            spent[way] += took
    return {way: counts[way] / spent[way] for way in ways}


def plain_way(data: Path, images: Path, models: Path) -> Callable[[int], Any]:
    """One sample as the public code makes it; see the module docstring."""
    import smplx  # here, so that spawned workers, which import this file, have none of it

    hd = HumanData.open(data)
    reference = HumanDataset(hd, images, CropView(INPUT), with_targets=False)
    names = [name for name in hd.columns if name.startswith("smplx/")]
    whole = {name[6:]: np.resize(np.asarray(hd[name]), (ROWS_OF_THE_PLAIN_FILE, *hd[name].shape[1:])) for name in names}
    records = [
        {"path": images / hd["image_path"][i], "box": reference.boxes[i], "row": i, "smplx": whole}
        | {"smplx_param": {name: whole[name][i] for name in whole}}
        for i in range(len(hd))
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        body = smplx.create(str(models), "smplx", use_pca=False, flat_hand_mean=False, use_face_contour=True)

    def sample(i: int) -> Any:
        record = copy.deepcopy(records[i])
        drawn = crops.draw(np.random.default_rng(i))
        pixels = cv2.imread(str(record["path"]), cv2.IMREAD_COLOR)[..., ::-1].copy().astype(np.float32)
        if drawn.flip:
            pixels = np.ascontiguousarray(pixels[:, ::-1])
        unflipped = crops.Augmentation(drawn.scale, drawn.rotation, False, drawn.colour)
        box = record["box"].copy()
        if drawn.flip:
            box[0] = pixels.shape[1] - 1 - box[0] - box[2]
        matrix = crops.affine(box, (512, 384), pixels.shape[1], unflipped)
        crop = cv2.warpAffine(pixels, matrix, (384, 512), flags=cv2.INTER_LINEAR).astype(np.float32)
        crop = np.clip(crop * np.array(drawn.colour), 0, 255)
        given = {name: torch.tensor(value).reshape(1, -1) for name, value in record["smplx_param"].items()}
        with torch.no_grad():
            joints = body(**given).joints
        return torch.from_numpy(crop.transpose(2, 0, 1) / 255), joints

    return sample


def speed(folder: Path, count: int, seconds: float) -> None:
    from ehps.body.standin import write_standin

    models = write_standin(folder / "models", models=("smplx",))
    print(f"| image | way | instances/s | of the plain way |\n|{'---|' * 4}")
    for name, (height, width) in SIZES.items():
        rng = np.random.default_rng(0)
        (folder / name).mkdir()
        for i in range(count):
            cv2.imwrite(str(folder / name / f"{i}.jpg"), image(height, width, rng), (cv2.IMWRITE_JPEG_QUALITY, 90))
        paths = [f"{name}/{i // 2}.jpg" for i in range(2 * count)]
        data = write(folder / f"{name}.h5", columns(paths, height, width))
        packed = pack(data, folder, folder / f"{name}.pack", show=False).path
        ways = {
            "plain": plain_way(data, folder, models),
            "averaged": sampler(HumanDataset(data, folder, CropView(INPUT, antialias=True, augment=True))),
            "bilinear": sampler(HumanDataset(data, folder, CropView(INPUT, augment=True))),
            "packed": sampler(HumanDataset(data, packed, CropView(INPUT, antialias=True, augment=True))),
        }
        found = rates(ways, len(paths), seconds)
        for way, each in found.items():
            print(f"| {name} | {way} | {each:.1f} | {each / found['plain']:.1f}x |", flush=True)


def sampler(data: HumanDataset) -> Callable[[int], Any]:
    def sample(i: int) -> Any:
        item = data[i, i]
        if "error" in item:
            raise item["error"]
        return item

    return sample


# -- memory ----------------------------------------------------------------------------------------------------------


class Dictionaries(Dataset[int]):
    """A list of one dictionary a row, as the public code keeps.

    Parameters
    ----------
    joints : also with 144 joints in the image and in space, which that code reads from its files.
    """

    def __init__(self, data: Path, joints: bool) -> None:
        hd = HumanData.open(data)
        given = {name: hd[name].tolist() if name == "image_path" else np.asarray(hd[name]) for name in hd.columns}
        self.rows = [{name: np.array(given[name][i]) for name in given} for i in range(len(hd))]
        for row in self.rows if joints else ():
            row |= {"joint_img": np.ones((144, 3), np.float32), "joint_cam": np.ones((144, 4), np.float32)}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> int:
        return len(copy.deepcopy(self.rows[i]))


@dataclass(frozen=True)
class Held:
    """Memory of the processes of a loader, MB.

    Attributes
    ----------
    first : seconds to the first step.
    all, parent : of all processes and of the first.
    own : the largest own part of a worker.
    """

    first: float
    all: float
    parent: float
    own: float


def fields(pid: int) -> dict[str, float]:
    """MB by kind."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines}


def held(loader: DataLoader[Any], started: float) -> Held:
    """After all steps; ``started``: when the set was opened."""
    batches = iter(loader)
    next(batches)
    first = time.perf_counter() - started
    for _ in range(len(loader) - 1):
        next(batches)
    workers = [fields(process.pid) for process in batches._workers]  # type: ignore[attr-defined]
    parent = fields(os.getpid())["Pss_Anon"]
    next(batches, None)  # ends the workers
    every = parent + sum(one["Pss_Anon"] for one in workers)
    return Held(first, every, parent, max(one["Private_Dirty"] for one in workers))


def ours(data: Path, folder: Path, method: str, workers: int) -> Held:
    started = time.perf_counter()
    view = CropView(INPUT, antialias=True, augment=True)
    sets = JoinedSets([HumanDataset(data, folder, view)], [str(data)])
    batches = StepSampler([len(sets)], BATCH, 2 * workers)
    context: Any = method
    if method == "forkserver":
        context = multiprocessing.get_context(method)
        context.set_forkserver_preload([JoinedSets.__module__])
    loader = DataLoader(
        sets, batch_sampler=batches, num_workers=workers, collate_fn=collate, multiprocessing_context=context
    )
    return held(loader, started)


def listed(data: Path, joints: bool) -> Held:
    """Of one forked worker that has seen all rows."""
    started = time.perf_counter()
    rows = Dictionaries(data, joints)
    order = torch.utils.data.RandomSampler(rows, generator=torch.Generator().manual_seed(0))
    loader = DataLoader(rows, BATCH, sampler=order, num_workers=1, multiprocessing_context="fork")
    return held(loader, started)


def memories(folder: Path, rows: int, workers: int, plain_rows: int) -> None:
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    for i in range(50):
        cv2.imwrite(str(folder / "images" / f"{i}.jpg"), image(360, 480, rng))
    counts = {"many": rows, "few": plain_rows, "base": 64}
    files = {
        name: write(folder / f"{name}.h5", columns([f"images/{i % 50}.jpg" for i in range(count)], 360, 480))
        for name, count in counts.items()
    }
    print(f"{rows:,} rows, {files['many'].stat().st_size / 1e6:,.0f} MB, {workers} workers\n")
    print("| way | first step, s | all processes, MB | parent, MB | own part of a worker, MB | rows, MB |")
    print("|---|---|---|---|---|---|")
    for method in ("fork", "forkserver", "spawn"):
        base, found = (ours(files[name], folder, method, workers) for name in ("base", "many"))
        sizes = (found.all, found.parent, found.own, found.all - base.all)
        print(f"| {method} | {found.first:.2f} | {' | '.join(f'{size:,.0f}' for size in sizes)} |", flush=True)
    times = rows / plain_rows
    for joints in (False, True):
        base, found = listed(files["base"], joints), listed(files["few"], joints)
        parent, own = (found.parent - base.parent) * times, (found.own - base.own) * times  # of the rows
        sizes = (
            base.parent + parent + workers * (base.own + own),
            base.parent + parent,
            base.own + own,
            parent + workers * own,
        )
        what = f"list of dictionaries{' with 144 joints' if joints else ''}, scaled from {plain_rows:,} rows"
        print(f"| {what} | | {' | '.join(f'{size:,.0f}' for size in sizes)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="to spend on each way")
    parser.add_argument("--images", type=int, default=24, help="of each size")
    parser.add_argument("--rows", type=int, help="measure memory instead, with a file of so many rows")
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--plain-rows", type=int, default=50_000, help="of the list of dictionaries")
    given = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    with tempfile.TemporaryDirectory(prefix="ehps-loader-") as name:
        if given.rows:
            memories(Path(name), given.rows, given.workers, given.plain_rows)
        else:
            speed(Path(name), given.images, given.seconds)


if __name__ == "__main__":
    if any(os.environ.get(name) != value for name, value in ONE_CORE.items()):
        # The libraries read these when they are imported, which has happened: start again.
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_CORE})
    main()
