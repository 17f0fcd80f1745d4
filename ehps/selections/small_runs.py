"""What finished runs say to a choice: errors of small trainings on mixtures, and how many instances a GPU hour has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ehps.analysis.benchmarks import MPE_BENCHMARKS, Benchmark, benchmarks_in, measures
from ehps.analysis.mixtures import SmallTrainings
from ehps.benchmark import results
from ehps.benchmark.seen import seen_by, speed_of
from ehps.errors import DataError, UsageError


def small_trainings_of(
    runs: Path, tests: str = "five", model: str | None = None
) -> tuple[SmallTrainings, dict[str, str]]:
    """What the finished runs of a suite of mixtures saw and gave; and the runs that were left out.

    Parameters
    ----------
    tests : ``five``, or ``present`` for the test sets there are.
    model : only its runs.

    Raises
    ------
    DataError : no run has all test sets, or runs saw different numbers of instances.
    UsageError : there are several models.
    """
    read = results.read(runs, measures())
    numbers = read.numbers if model is None else read.numbers[read.numbers["model"] == model]
    if numbers["model"].nunique() > 1:
        named = ", ".join(sorted(map(str, numbers["model"].unique())))
        raise UsageError(f"are runs of several models: {named}", path=runs, fix="choose one with --model")
    benchmarks: Sequence[Benchmark] = MPE_BENCHMARKS if tests == "five" else benchmarks_in(numbers)
    columns = {b.id: b.rows(numbers).groupby("run")["value"].mean() for b in benchmarks}
    errors = pd.DataFrame(columns).reindex(numbers["run"].unique()).dropna()
    left_out = dict(read.broken)
    left_out |= {run: "it lacks a benchmark" for run in numbers["run"].unique() if run not in errors.index}
    if not len(errors):
        what = "has no run with all test sets" if len(numbers) else "holds no finished run"
        raise DataError(what, path=runs, fix="run the suite to its end, or pass --benchmarks present")
    seen = {run: seen_by(runs / run, read.manifests[run]) for run in errors.index}
    if len(sizes := {one.instances for one in seen.values()}) > 1:
        listed = ", ".join(f"{size:,}" for size in sorted(sizes))
        raise DataError(f"has trainings that saw {listed} instances, which cannot be compared", path=runs)
    weights = pd.DataFrame({run: one.shares for run, one in seen.items()}).T.fillna(0.0)
    weights = weights[sorted(map(str, weights))].loc[errors.index]
    known = [one.seconds for one in seen.values() if one.seconds is not None]
    seconds = sum(known) if len(known) == len(seen) else None
    return SmallTrainings(weights, errors, sizes.pop(), seconds), left_out


def budget_of(
    hours: float, images_per_second: float | None, runs: Path | None, model: str | None = None
) -> tuple[int, str]:
    """Instances that a device sees in so many hours, and how that was found.

    Parameters
    ----------
    images_per_second : of one device; measured on finished runs where it is not given.
    runs, model : folder of runs, and of which model.

    Raises
    ------
    UsageError : nobody says how fast the device is.
    DataError : the runs do not, or are of several models or devices.
    """
    if not 0 < hours < np.inf or (images_per_second is not None and not 0 < images_per_second < np.inf):
        raise UsageError("hours and images a second must be positive numbers")
    if images_per_second is not None:
        speed, said = images_per_second, f"{images_per_second:,.1f} images a second (given)"
    elif runs is None or not runs.is_dir():
        raise UsageError(
            "how many instances a GPU hour has is not known",
            fix="say it with --images-per-second, or name a folder of finished runs with --results or --runs",
        )
    else:
        found = speed_of(runs, model)
        speed, said = found.images_per_second, str(found)
    budget = int(hours * 3600 * speed)
    if budget < 1:
        raise UsageError(f"{hours:g} hours at {speed:g} images a second are less than one instance")
    return budget, f"{hours:g} GPU hours at {said} are {budget:,} instances."
