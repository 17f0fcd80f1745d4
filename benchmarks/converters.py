"""How long every converter's code is, how fast it converts on one core, and how much memory that takes.

    PYTHONPATH=. python benchmarks/converters.py [--n 5000] [--only ID ...] [--folder /some/disk]

Run from the repository's root: the raw trees of :mod:`scaled` come from the writers of the demo and of the tests.
Every converter of the registry runs in a fresh process, with one job and one thread of linear algebra, on about
``n`` people of its default split. Seconds are those of the whole conversion: checks, reading, joints, projections,
boxes, quality, validation, writing ``.h5``; of two conversions the faster one counts. On a busy machine compare
the rate in seconds of the processor. Body models are the licence-free stand-in's, whose arrays have the sizes of the
real ones. Memory is the most that the process ever held, libraries included.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from humandata import peak_rss_mb
from joints import ONE_CORE

from ehps.converters import registry
from ehps.converters.pipeline import convert

HEADER = """\
| id | n | instances a second | a processor second | peak memory, MB |
|---|---|---|---|---|"""
REPEATS = 2


def measure(dataset: str, root: Path, models: Path) -> dict[str, float | str]:
    """Rows, seconds and memory of a conversion."""
    wall, cpu = time.perf_counter(), time.process_time()
    report = convert(dataset, root, out=root / "out.h5", body_models=models, progress=False, overwrite=True)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    report.out.unlink()
    odd = [*report.problems, *(f"{len(names)} {reason}" for reason, names in report.dropped.items())]
    return {"rows": report.written, "wall": wall, "cpu": cpu, "rss": peak_rss_mb(), "odd": "; ".join(filter(None, odd))}


def in_a_fresh_process(dataset: str, root: Path, models: Path) -> dict[str, float | str]:
    command = [sys.executable, __file__, "--measure", dataset, str(root), str(models)]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **ONE_CORE})
    return dict(json.loads(run.stdout.splitlines()[-1]))


def table(datasets: list[str], n: int, folder: Path, models: Path) -> None:
    """Print the table, a row as soon as it is measured; what is odd goes to the standard error."""
    from scaled_videos import WRITERS

    print(HEADER, flush=True)
    for dataset in datasets:
        if dataset not in WRITERS:
            print(f"| {dataset} | not measured | | | |", flush=True)
            continue
        with tempfile.TemporaryDirectory(prefix=f"{dataset}-", dir=folder) as root:
            WRITERS[dataset](Path(root), models, n)
            runs = [in_a_fresh_process(dataset, Path(root), models) for _ in range(REPEATS)]
        found = min(runs, key=lambda run: float(run["wall"]))
        wall, cpu = (f"{float(found['rows']) / float(found[clock]):,.0f}" for clock in ("wall", "cpu"))
        print(f"| {dataset} | {found['rows']:,} | {wall} | {cpu} | {found['rss']:,.0f} |", flush=True)
        if found["odd"]:
            print(f"{dataset}: {found['odd']}", file=sys.stderr)


def main() -> None:
    available = [card.id for card in registry.cards() if registry.available(card.id)]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=5_000, help="people in each raw tree, about")
    parser.add_argument("--only", nargs="+", choices=available, metavar="ID", default=available)
    parser.add_argument("--folder", type=Path, help="where to build the trees; a temporary folder by default")
    parser.add_argument("--measure", nargs=3, metavar=("ID", "ROOT", "MODELS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        dataset, root, models = given.measure
        print(json.dumps(measure(dataset, Path(root), Path(models))))
        return
    from ehps.body.standin import write_standin

    with tempfile.TemporaryDirectory(prefix="ehps-benchmark-", dir=given.folder) as name:
        folder = Path(name)
        write_standin(folder / "models", locked_head=True)
        table(given.only, given.n, folder, folder / "models")
        one, five, fifteen = os.getloadavg()
        print(f"load of the last 1, 5 and 15 minutes: {one:.1f}, {five:.1f}, {fifteen:.1f}", file=sys.stderr)


if __name__ == "__main__":
    main()
