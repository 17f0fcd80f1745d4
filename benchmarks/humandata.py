"""Opening a large annotation file and looking at one person: ``.h5`` against the same instances as ``.npz``.

    python benchmarks/humandata.py --n 1000000 --folder /some/disk

Builds N instances (SMPL-X parameters, 144 keypoints in 2D and 3D, boxes, cameras, quality) part by part, joins
them as a conversion does, and writes the same file as ``.npz`` in the form mmhuman3d, SMPLer-X and AiOS read. The
alternative that is timed is theirs: ``numpy.load`` and every member read once. Every measurement runs in a fresh
process; imports are not counted; "cold" is after the file was dropped from the page cache. Needs about 20 kB of disk
an instance while it runs; all files are removed at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ehps.humandata import HumanData, Passport
from ehps.humandata.keypoints import point_names
from ehps.humandata.storage import h5, npz

PART = 25_000
ROWS = 20_000
REPEATS = 4
GOALS = {"ratio": 1000, "rss_mb": 100, "rows_a_second": 20_000}
SMPLX = {
    "betas": (10,),
    "transl": (3,),
    "global_orient": (3,),
    "body_pose": (21, 3),
    "left_hand_pose": (15, 3),
    "right_hand_pose": (15, 3),
    "jaw_pose": (3,),
    "leye_pose": (3,),
    "reye_pose": (3,),
    "expression": (10,),
}
TRAINER = (
    "image_path",
    "bbox_xywh",
    *(f"smplx/{name}" for name in SMPLX),
    "keypoints2d_smplx",
    "keypoints3d_smplx",
    "meta/height",
    "meta/width",
    "meta/gender",
    "meta/focal_length",
    "meta/principal_point",
)


# -- building ---------------------------------------------------------------------------------------------


def people(start: int, n: int) -> HumanData:
    """Rows ``start`` to ``start + n`` of the invented dataset: every float its own, so nothing compresses well."""
    rng = np.random.default_rng(start)

    def floats(*shape: int) -> np.ndarray[Any, Any]:
        return rng.standard_normal((n, *shape), np.float32)

    columns: dict[str, Any] = {"image_path": [f"sequence_{i // 1000:04d}/images/{i:08d}.jpg" for i in _range(start, n)]}
    for part in ("bbox", "face_bbox", "lhand_bbox", "rhand_bbox"):
        columns[f"{part}_xywh"] = np.abs(floats(5))
    columns["keypoints2d_smplx"], columns["keypoints3d_smplx"] = np.abs(floats(144, 3)), np.abs(floats(144, 4))
    columns |= {f"smplx/{name}": floats(*shape) for name, shape in SMPLX.items()}
    columns["meta/height"], columns["meta/width"] = np.full(n, 1080, np.int32), np.full(n, 1920, np.int32)
    columns["meta/gender"] = [("female", "male", "neutral")[i % 3] for i in _range(start, n)]
    columns["meta/sequence_name"] = [f"sequence_{i // 1000:04d}" for i in _range(start, n)]
    columns["meta/focal_length"], columns["meta/principal_point"] = floats(2), floats(2)
    for measure in ("reprojection_px", "world_to_camera_m", "betas_norm", "height_m", "depth_m", "joints_in_box"):
        columns[f"quality/{measure}"] = floats()
    columns["quality/finite"] = np.ones(n, bool)
    points = point_names("smplx")[:144]
    keypoint_names = {"keypoints2d_smplx": points, "keypoints3d_smplx": points}
    return HumanData(columns, keypoint_names=keypoint_names, passport=PASSPORT)


PASSPORT = Passport(
    body_model="smplx", body_model_version="1.1", num_betas=10, gender="per-instance", flat_hand_mean=False
)


def _range(start: int, n: int) -> range:
    return range(start, start + n)


def build(folder: Path, n: int) -> tuple[Path, float]:
    """The joined ``.h5`` and the seconds that joining took."""
    out, parts = folder / "people.h5", folder / "parts"
    paths = [people(a, min(PART, n - a)).save(parts / f"{a:09d}.h5") for a in range(0, n, PART)]
    begin = time.perf_counter()
    h5.join(lambda: map(HumanData.open, paths), out, passport=PASSPORT, misc={}, quality={})
    seconds = time.perf_counter() - begin
    shutil.rmtree(parts)
    return out, seconds


def stored(path: Path) -> Path:
    """The same ``.npz`` without compression, as ``numpy.savez`` writes it."""
    out = path.with_name("stored.npz")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as target:
        for member in source.infolist():
            info = zipfile.ZipInfo(member.filename)
            info.file_size = member.file_size  # decides whether the member needs 64-bit sizes
            with source.open(member) as a, target.open(info, "w") as b:
                shutil.copyfileobj(a, b, 1 << 24)
    return out


# -- measuring, each in a process of its own --------------------------------------------------------------


def look(path: Path) -> dict[str, float]:
    """Open, and read every column of one random row."""
    import h5py  # noqa: F401 - imported before the clock starts, as numpy is for the alternative

    rng = np.random.default_rng(os.getpid())
    begin = time.perf_counter()
    hd = HumanData.open(path)
    touch(hd[int(rng.integers(len(hd)))], hd.columns)
    return {"seconds": time.perf_counter() - begin}


def load(path: Path) -> dict[str, float]:
    """What loaders of the ``.npz`` do: every member into memory. Pickles are allowed, as the file was made here."""
    begin = time.perf_counter()
    with np.load(path, allow_pickle=True) as file:
        members = {name: file[name] for name in file.files}
        members = {name: v.item() if v.dtype == object else v for name, v in members.items()}
    row = len(members["image_path"]) // 2
    _ = members["bbox_xywh"][row], members["smplx"]["betas"][row]
    return {"seconds": time.perf_counter() - begin}


def rows(path: Path) -> dict[str, float]:
    """Random rows a second from a file in the page cache: all columns copied, and those that a trainer reads."""
    hd = HumanData.open(path)
    order = np.random.default_rng(1).integers(len(hd), size=ROWS).tolist()
    out: dict[str, float] = {}
    for name, columns in (("all", hd.columns), ("trainer", TRAINER)):
        walls, cpus = [], []
        for _ in range(REPEATS):
            wall, cpu = time.perf_counter(), time.process_time()
            for i in order:
                touch(hd[i], columns)
            walls.append(ROWS / (time.perf_counter() - wall))
            cpus.append(ROWS / (time.process_time() - cpu))
        out |= {f"{name}_first": walls[0], f"{name}_best": max(walls), f"{name}_cpu": max(cpus)}
    return out


def touch(row: HumanData, columns: tuple[str, ...]) -> None:
    for name in columns:
        column = row[name]
        if isinstance(column, np.ndarray):
            column.copy()
        else:
            column[0]


MEASURES = {"look": look, "load": load, "rows": rows}


def measure(what: str, path: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", what, str(path)]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def peak_rss_mb() -> float:
    """Most memory this process ever held, pages of mapped files included."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return float("nan")


def drop_from_cache(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


# -- telling ----------------------------------------------------------------------------------------------


def report(folder: Path, n: int, uncompressed: bool) -> None:
    path, seconds = build(folder, n)
    size = path.stat().st_size / 1e9
    print(f"{n} instances, {size:.2f} GB as .h5, joined from {-(-n // PART)} parts in {seconds:.1f} s")
    looks = [measure("look", path) for _ in range(7)]
    drop_from_cache(path)
    cold = measure("look", path)["seconds"]
    warm = statistics.median(run["seconds"] for run in looks)  # the alternative gets its best run
    rss = max(run["rss_mb"] for run in looks)
    shutil.copyfile(path, os.devnull)  # back into the page cache
    speed = measure("rows", path)
    print(f"{'open .h5 and read one random row':44}{1e3 * warm:10.2f} ms warm {1e3 * cold:10.2f} ms cold")
    print(f"{'peak memory of that process':44}{rss:10.0f} MB (goal < {GOALS['rss_mb']})")
    for name, words in (("all", "all columns"), ("trainer", "columns a trainer reads")):
        first, best, cpu = (speed[f"{name}_{key}"] for key in ("first", "best", "cpu"))
        rates = f"{first:10.0f} a second at first, {best:.0f} at best, {cpu:.0f} a processor second"
        print(f"{'random rows, ' + words:44}{rates} (goal >= {GOALS['rows_a_second']})")
    print(f"{'peak memory while reading those rows':44}{speed['rss_mb']:10.0f} MB, pages of the file included")
    begin = time.perf_counter()
    archive = folder / "people.npz"
    npz.write(HumanData.open(path), archive)
    written = time.perf_counter() - begin
    path.unlink()
    for kind in ("compressed", "uncompressed") if uncompressed else ("compressed",):
        if kind == "uncompressed":
            packed, archive = archive, stored(archive)
            packed.unlink()
        loads = [measure("load", archive) for _ in range(2)]
        best = min(run["seconds"] for run in loads)
        drop_from_cache(archive)
        cold_load = measure("load", archive)["seconds"]
        gigabytes = archive.stat().st_size / 1e9
        print(
            f"numpy.load, {kind} .npz of {gigabytes:.2f} GB:".ljust(44) + f"{1e3 * best:10.0f} ms warm "
            f"{1e3 * cold_load:10.0f} ms cold, {loads[0]['rss_mb']:.0f} MB"
        )
        print(f"{'ratio':44}{best / warm:10.0f} x warm  {cold_load / cold:10.0f} x cold (goal >= {GOALS['ratio']})")
    print(f"(the .npz took {written:.0f} s to write)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1_000_000, help="instances")
    parser.add_argument("--folder", type=Path, help="where to build the files; a temporary folder by default")
    parser.add_argument("--uncompressed", action="store_true", help="time an uncompressed .npz as well")
    parser.add_argument("--measure", nargs=2, metavar=("WHAT", "PATH"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        what, path = given.measure
        found = MEASURES[what](Path(path))
        print(json.dumps({**found, "rss_mb": peak_rss_mb()}))
        return
    with tempfile.TemporaryDirectory(prefix="ehps-benchmark-", dir=given.folder) as folder:
        report(Path(folder), given.n, given.uncompressed)


if __name__ == "__main__":
    main()
