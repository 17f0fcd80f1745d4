"""How fast a folder of runs is ranked, and how much memory it takes, against the plain way.

    python benchmarks/ranking.py [--sets 32] [--instances 10000] [--resamples 1000]

Writes runs with five tests of ``--instances`` rows each to a temporary folder, and ranks them in a process of its own:
with this package, and the way it was done before: texts as Python strings in one frame, compared row by row, and
clusters of test data drawn again ``--resamples`` times (sequences; images where there are none). Both read the same
files and end with means, intervals and intervals of ranks; the means are compared. Seconds are of reading and ranking,
memory is the peak of the process, with all that it imports.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ehps.analysis import ranking
from ehps.analysis.benchmarks import MPE_BENCHMARKS, measures
from ehps.benchmark import results
from ehps.benchmark.protocols import catalogue
from ehps.benchmark.suites.runs import Run

SEQUENCES = {"agora": 1, "ubody": 300, "egobody_ego": 20, "pw3d": 37, "ehf": 1}


def write(folder: Path, sets: int, instances: int) -> None:
    """Runs that are tested on the same images, and whose errors have what is hard in a sequence in common."""
    rng = np.random.default_rng(0)
    shown = {b.id: np.sort(rng.integers(SEQUENCES[b.id], size=instances)) for b in MPE_BENCHMARKS}
    hard = {b.id: rng.normal(0, 25, SEQUENCES[b.id]) for b in MPE_BENCHMARKS}
    for number in range(sets):
        name, level = f"set_{number:02d}", 80 + number
        run = Run(folder / name)
        trained_on = [{"dataset": name, "split": "train", "instances": 1000, "interval": 1}]
        run.note(train_set=name, model="tiny", trained_on=trained_on)
        cells, parts = [], []
        for b in MPE_BENCHMARKS:
            protocol = catalogue.get(b.protocols[0])
            sequence = shown[b.id]
            values = level + hard[b.id][sequence] + rng.normal(0, 30, instances)
            rows = {
                "truth_row": np.arange(instances),
                "image_path": [f"images/{b.id}/{s:03d}/{i // 2:06d}.jpg" for i, s in enumerate(sequence)],
                "sequence": [f"sequence_{s:03d}" for s in sequence],
                **{"part": b.part, "metric": b.metric, "value": values, "test_set": b.id, "protocol": protocol.id},
            }
            parts.append(pd.DataFrame(rows))
            line = {"part": b.part, "metric": b.metric, "value": float(values.mean()), "unit": "mm"}
            cells.append(
                {
                    **{"test_set": b.id, "protocol": protocol.id, "definition": protocol.to_dict(), "key": "k"},
                    "metrics": [line | {"n": instances, "skipped": 0}],
                }
            )
        pd.concat(parts).to_parquet(run.folder / "errors.parquet", index=False)
        (run.folder / "metrics.json").write_text(json.dumps({"cells": cells}))


def ranked_here(folder: Path, resamples: int) -> dict[str, float]:
    """With this package."""
    found = results.read(folder, measures())
    assert not found.broken
    ranked = ranking.rank(found.numbers, found.errors, resamples)
    assert ranked["mpe_low"].notna().all()
    return dict(zip(ranked["train_set"], ranked["mpe"], strict=True))


# -- the plain way ------------------------------------------------------------------------------------------------


def ranked_plainly(folder: Path, resamples: int) -> dict[str, float]:
    """Strings and the percentile bootstrap, as before."""
    frames = []
    for path in sorted(folder.rglob("errors.parquet")):
        errors = pd.read_parquet(path)
        for name in ("image_path", "sequence", "part", "metric", "test_set", "protocol"):
            assert all(isinstance(text, str) for text in errors[name])
        labels = zip(errors["test_set"], errors["protocol"], strict=True)
        named = {(b.id, catalogue.get(b.protocols[0]).id): b.id for b in MPE_BENCHMARKS}
        errors["test_set"] = [named.get(pair) for pair in labels]
        errors = errors[errors["test_set"].notna()]
        frames.append(errors.assign(train_set=path.parent.name, model="tiny"))
    errors = pd.concat(frames, ignore_index=True)
    index = pd.MultiIndex.from_product([sorted(set(errors["train_set"])), ["tiny"]])
    drawn, mpe = np.zeros((resamples, len(index))), np.zeros(len(index))
    for b in MPE_BENCHMARKS:
        names = errors["test_set"].map(_plain)
        keep = names.isin({_plain(s) for s in (b.id, *b.test_sets)})
        by_protocol = errors["protocol"].map(lambda name: str(name).split("[")[0]).isin(b.protocols)
        keep |= by_protocol & ~names.str.startswith(tuple(SEQUENCES))
        keep &= errors["metric"].map(_plain) == _plain(b.metric)
        rows = errors[keep & (errors["part"].map(_plain) == _plain(b.part))]
        rows = rows[rows["protocol"].astype(str) == catalogue.get(b.protocols[0]).id].dropna(subset=["value"])
        rows = rows[index.get_indexer(pd.MultiIndex.from_frame(rows[["train_set", "model"]])) >= 0]
        column = "sequence" if rows["sequence"].nunique() > 1 else "image_path"
        means, draws = _resampled(rows, rows[column].astype(str), index, resamples, zlib.crc32(b.id.encode()))
        drawn += draws / len(MPE_BENCHMARKS)
        mpe += means / len(MPE_BENCHMARKS)
    ranks = pd.DataFrame(drawn).rank(axis=1, method="min").to_numpy()
    np.percentile(drawn, [2.5, 97.5], axis=0)
    np.percentile(ranks, [2.5, 97.5], axis=0, method="inverted_cdf")
    return dict(zip(index.get_level_values(0), mpe, strict=True))


def _resampled(rows: pd.DataFrame, clusters: Any, index: Any, resamples: int, seed: int) -> tuple[Any, Any]:
    which = index.get_indexer(pd.MultiIndex.from_frame(rows[["train_set", "model"]]))
    codes, distinct = pd.factorize(clusters, sort=True)
    sums, counts = np.zeros((len(index), len(distinct))), np.zeros((len(index), len(distinct)))
    np.add.at(sums, (which, codes), rows["value"].to_numpy(float))
    np.add.at(counts, (which, codes), 1)
    rng = np.random.default_rng([0, seed])
    draws = []
    for start in range(0, resamples, block := max(1, 4_000_000 // len(distinct))):
        size = min(block, resamples - start)
        weights = rng.multinomial(len(distinct), np.full(len(distinct), 1 / len(distinct)), size).astype(float)
        draws.append((weights @ sums.T) / (weights @ counts.T))
    return sums.sum(1) / counts.sum(1), np.concatenate(draws)


def _plain(word: object) -> str:
    return str(word).strip().lower().replace("-", "_").replace(" ", "_")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=32)
    parser.add_argument("--instances", type=int, default=10_000)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--way", choices=["here", "plain"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        begun = time.perf_counter()
        means = {"here": ranked_here, "plain": ranked_plainly}[given.way](given.folder, given.resamples)
        seconds = time.perf_counter() - begun
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": seconds, "mb": peak, "means": means}))
        return
    with tempfile.TemporaryDirectory() as made:
        write(Path(made), given.sets, given.instances)
        rows = given.sets * given.instances * len(MPE_BENCHMARKS)
        print(f"{given.sets} sets, {len(MPE_BENCHMARKS)} tests, {given.instances:,} instances each: {rows:,} errors")
        found = {}
        for way in ("here", "plain"):
            words = [sys.executable, __file__, "--way", way, "--folder", made, "--resamples", str(given.resamples)]
            out = subprocess.run(words, capture_output=True, text=True, check=True, env=os.environ).stdout
            found[way] = json.loads(out)
            print(f"{way:<8}{found[way]['seconds']:8.2f} s {found[way]['mb']:8.0f} MB")
    means = pd.DataFrame({way: found[way]["means"] for way in found})
    assert len(means) == given.sets
    assert (means["here"] - means["plain"]).abs().max() < 1e-9
    print(f"the means are the same; {found['plain']['seconds'] / found['here']['seconds']:.1f} times as fast")


if __name__ == "__main__":
    main()
