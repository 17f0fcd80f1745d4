"""Reading large annotation files: in units of so many people against parsing the whole file.

    python benchmarks/annotations.py [--n 250000] [--folder /some/disk]

Writes a COCO-style file of ``n`` people with the 133 points of COCO-WholeBody (about 5 kB a person; the real one has
some 260,000), and reads all of it in two fresh processes: ``json.load``, as the loaders of this field do, and
:mod:`ehps.converters.readers.coco`. Printed are seconds, the most memory that a process held, and the ratios.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from humandata import peak_rss_mb

POINTS = {"keypoints": 17, "foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21}
PEOPLE_AN_IMAGE = 3


def write(path: Path, n: int) -> None:
    """A file of ``n`` people."""
    random = Random(0)
    numbers = [f"{random.uniform(0, 640):.3f}" for _ in range(5000)]

    def points(count: int) -> str:
        start = random.randrange(len(numbers) - 3 * count)
        return "[" + ", ".join(numbers[start : start + 3 * count]) + "]"

    with path.open("w") as file:
        file.write('{"images": [')
        for k in range(-(-n // PEOPLE_AN_IMAGE)):
            image = {"id": k, "file_name": f"{k:012d}.jpg", "height": 480, "width": 640, "license": 1}
            file.write((", " if k else "") + json.dumps(image))
        file.write('], "annotations": [')
        for k in range(n):
            own = "".join(f', "{name}": {points(count)}' for name, count in POINTS.items())
            person = f'{{"id": {k}, "image_id": {k // PEOPLE_AN_IMAGE}, "iscrowd": 0, "bbox": [1, 2, 3, 4]{own}}}'
            file.write((", " if k else "") + person)
        file.write("]}")


def whole(path: Path) -> int:
    with path.open() as file:
        content = json.load(file)
    images = {image["id"]: image for image in content["images"]}
    return sum(images[a["image_id"]]["width"] > 0 for a in content["annotations"])


def in_units(path: Path) -> int:
    from ehps.converters.readers import coco

    count = 0
    for unit in coco.units(path, "train"):
        annotations, images = coco.read(unit)
        count += sum(images[a["image_id"]]["width"] > 0 for a in annotations)
    return count


WAYS = {"whole": whole, "in_units": in_units}


def measured(way: str, path: Path, n: int) -> tuple[float, float]:
    """Seconds and MB of a fresh process."""
    run = subprocess.run(
        [sys.executable, __file__, "--measure", way, str(path)], check=True, stdout=subprocess.PIPE, text=True
    )
    count, seconds, memory = json.loads(run.stdout)
    assert count == n, f"{way} found {count} people"
    return seconds, memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=250_000, help="people in the file")
    parser.add_argument("--folder", type=Path, help="where to write it; a temporary folder by default")
    parser.add_argument("--measure", nargs=2, metavar=("WAY", "FILE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        way, file = given.measure
        start = time.perf_counter()
        count = WAYS[way](Path(file))
        print(json.dumps([count, time.perf_counter() - start, peak_rss_mb()]))
        return
    with tempfile.TemporaryDirectory(prefix="ehps-annotations-", dir=given.folder) as name:
        path = Path(name) / "annotations.json"
        write(path, given.n)
        print(f"{given.n:,} people, {path.stat().st_size / 1e9:.2f} GB of json\n")
        print("| what | seconds | peak memory, MB |\n|---|---|---|")
        found = {way: measured(way, path, given.n) for way in WAYS}
    for way, (seconds, memory) in found.items():
        print(f"| {way.replace('_', ' ')} | {seconds:.1f} | {memory:,.0f} |")
    (s0, m0), (s1, m1) = found["whole"], found["in_units"]
    print(f"| ratio | {s0 / s1:.2f} | {m0 / m1:.1f} |")


if __name__ == "__main__":
    main()
