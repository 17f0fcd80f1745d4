"""Part (b) of ``selection.py``: rules of selection on the demo's five SMPL-X sets, whose 31 subsets are all trained.

Every subset is trained with the demo's settings and ``tiny`` (``--steps`` of them, the demo's number by default) on as
many instances, its sets in even shares, once with each of three seeds. Ranks are of the first seed's trainings on
single sets; regret is of the mean of the other two seeds, less that of the best subset, over the range of all subsets.
Rules that look at ranks have not paid for them. There is no mixture rule: it takes small trainings of its own.
"""

from __future__ import annotations

import dataclasses
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from ehps.analysis.benchmarks import benchmarks_in
from ehps.benchmark import results
from ehps.benchmark.suites import shipped_suites
from ehps.benchmark.suites.matrix import Suite, run_suite
from ehps.benchmark.suites.plan import plan
from ehps.benchmark.suites.suite_file import load_suite
from ehps.body.models import BodyModels
from ehps.humandata import HumanData
from ehps.selections.choice import Evidence, Wishes, choose
from ehps.selections.pool import pool_of

SEEDS = (2023, 2024, 2025)
TOP = 3


def subsets_suite(demo: Path, steps: int | None) -> Suite:
    """All subsets of the demo's sets with SMPL-X bodies, tested on its test sets."""
    suite = shipped_suites.found_in(load_suite(shipped_suites.path_of("demo")), demo / "humandata")
    sets = {name: specs[0] for name, specs in suite.train.items()}
    sets = {name: spec for name, spec in sets.items() if HumanData.open(spec.data).body_model == "smplx"}
    chosen = [one for k in range(1, len(sets) + 1) for one in combinations(sorted(sets), k)]
    steps = suite.config.steps if steps is None else steps
    seen = steps * suite.config.batch_size
    config = dataclasses.replace(suite.config, steps=steps, strategy="balance", total_length=seen)
    train = {f"subset_{'+'.join(names)}": tuple(sets[name] for name in names) for names in chosen}
    return Suite(train, suite.test, config, suite.models, demo / "body_models", SEEDS)


def main(demo: Path, cells: int | None, steps: int | None, jobs: int | None) -> None:
    """Say how long it takes, make what is missing of the first ``cells`` trainings, and of all print the regrets."""
    suite = subsets_suite(demo, steps)
    out = demo / f"selection_runs_{suite.config.steps}"
    models = BodyModels(demo / "body_models")
    count = len(suite.trainings) if cells is None else min(cells, len(suite.trainings))
    subsets = list(suite.train)[: -(-count // len(SEEDS))]
    part = dataclasses.replace(suite, train={name: suite.train[name] for name in subsets})
    timed = plan(part, demo / "runs", models.folder)  # which has runs of `tiny` from the demo
    print(f"{len(part.trainings)} of {len(suite.trainings)} trainings, each with {len(suite.test)} tests; {timed.time}")
    print("what is there already is not made again", flush=True)
    state = run_suite(suite, out, body_models=models, part=part, progress=False, jobs=jobs)
    print(state.groupby("state").size().rename("cells").to_string())
    if cells is None and set(state["state"]) == {"done"}:
        print_regrets(suite, demo, out)


def print_regrets(suite: Suite, demo: Path, out: Path) -> None:
    errors = _errors(out)
    first, later = errors[SEEDS[0]], errors[list(SEEDS[1:])].mean(axis=1)
    best, worst = later.min(), later.max()
    names = sorted({name for subset in errors.index for name in subset})
    ranks = pd.Series({name: first[frozenset({name})] for name in names}).rank(method="first").astype(int)
    ranked = pd.DataFrame({"train_set": ranks.index, "rank": ranks.to_numpy(), "model": "tiny"})
    files = {name: suite.train[f"subset_{name}"][0].data for name in names}
    tests = [spec.data for spec in suite.test.values()]
    pool = pool_of(list(files.values()), tests=tests)
    evidence = Evidence.of(pool, ranked, tests=tests)
    budget = suite.config.steps * suite.config.batch_size
    rows = {
        rule: later[frozenset(choose(evidence, rule, budget, Wishes(sets=TOP)).chosen["dataset"])]
        for rule in ("top-k", "diverse", "greedy-coverage")
    }
    largest = sorted(names, key=lambda name: -pool.sizes[name])[:TOP]
    rows |= {"all": later[frozenset(names)], "size": later[frozenset(largest)]}
    rows["random"] = float(np.mean([error for subset, error in later.items() if len(subset) == TOP]))
    winner = "+".join(sorted(later.idxmin()))
    print(f"{suite.config.steps} steps; best subset: {winner}, {best:.1f} mm; worst: {worst:.1f} mm")
    spread = (errors - errors.mean(axis=1).to_numpy()[:, None]).to_numpy().std(ddof=len(errors))
    print(f"standard deviation of seeds: {spread:.1f} mm")
    print(f"\n{'rule':<18}{'regret, %':>12}{'error, mm':>12}")
    for rule, error in sorted(rows.items(), key=lambda row: row[1]):
        print(f"{rule:<18}{100 * (error - best) / (worst - best):12.1f}{error:12.1f}")


def _errors(out: Path) -> pd.DataFrame:
    """Subset x seed: mean primary error over the demo's tests."""
    numbers = results.load(out)
    numbers = numbers.assign(subset=[_subset(label) for label in numbers["train_label"]])
    columns = [b.rows(numbers).set_index(["subset", "seed"])["value"] for b in benchmarks_in(numbers)]
    return pd.concat(columns, axis=1).mean(axis=1, skipna=False).unstack("seed")


def _subset(label: str) -> frozenset[str]:
    return frozenset(label.removeprefix("subset_").split("+"))
