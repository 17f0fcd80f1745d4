"""``ehps demo``: the main job end to end on generated data.

Small raw datasets in their real layouts, images rendered from the stand-in body; converted, trained on, tested,
ranked, drawn and reported by the same functions that the other commands call.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ehps.demo import commands
from ehps.demo.sets import TEST, TRAIN, DemoSet, write_raw
from ehps.errors import DataError
from ehps.progress import begun, duration, is_quiet, over
from ehps.terminal import line

if TYPE_CHECKING:
    import pandas as pd

    from ehps.analysis.report_inputs import Video
    from ehps.body.models import BodyModels

STEPS = 200
BATCH = 16
AT_ONCE = 2


@dataclass(frozen=True)
class Outcome:
    """The demo's report page, its ranking, how long it took, and commands that refused what it made, with why."""

    page: Path
    ranked: pd.DataFrame
    seconds: float
    refused: dict[str, str]


def run(out: Path, *, seed: int = 0, steps: int = STEPS, jobs: int = AT_ONCE) -> Outcome:
    """Run the demo in folder ``out``.

    Steps that are finished are kept: an interrupted demo goes on where it stopped.

    Parameters
    ----------
    steps : of each training.
    jobs : datasets that are rendered, and models that are trained, at once.
    """
    from ehps.body.models import BodyModels

    started = time.perf_counter()
    models = out / "body_models"
    with _step("1/7 stand-in body models"):
        _write_models(models)
    with _step(f"2/7 raw datasets: {', '.join(dict.fromkeys(s.dataset for s in TRAIN + TEST))}"):
        _write_all_raw(out / "raw", models, seed, jobs)
    with _step("3/7 conversion to HumanData"):
        _convert_all(out, models)
    bodies = BodyModels(models)
    with _step(f"4/7 training {len(TRAIN)} models, testing each on {len(TEST)} benchmarks"):
        _benchmark(out, bodies, seed, steps, jobs)
    with _step("5/7 people in a video of two who cross"):
        video = _infer(out, bodies, seed)
    with _step("6/7 ranking, factors, attributes, selection"):
        ranked, page = _analyse(out, video)
    with _step("7/7 the commands of the analysis, and a training on the choice"):
        refused = commands.run(out, TRAIN, TEST)
    return Outcome(page, ranked, time.perf_counter() - started, refused)


@contextmanager
def _step(what: str) -> Iterator[None]:
    if not is_quiet():
        line(what, bold=True, err=True)
    started = time.perf_counter()
    yield
    if not is_quiet():
        line(f"     {duration(time.perf_counter() - started)}", err=True)


def _write_models(folder: Path) -> None:
    from ehps.body.standin import write_standin

    if not (folder / ".complete").exists():
        write_standin(folder, models=("smplx", "smpl"))
        (folder / ".complete").touch()


def _write_all_raw(root: Path, models: Path, seed: int, jobs: int = AT_ONCE) -> None:
    """Raw trees, one dataset a process: two splits of one dataset share its lists."""
    from joblib import Parallel, delayed

    datasets = list(dict.fromkeys(entry.dataset for entry in TRAIN + TEST))
    missing = [name for name in datasets if not (root / name / ".complete").exists()]
    written = Parallel(n_jobs=jobs, return_as="generator_unordered")(
        delayed(_write_dataset)([e for e in TRAIN + TEST if e.dataset == name], root / name, models, seed)
        for name in missing
    )
    for _ in over(written, "rendering datasets", total=len(missing)):
        pass


def _write_dataset(entries: Sequence[DemoSet], folder: Path, models: Path, seed: int) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
    for entry in entries:
        write_raw(entry, folder.parent, models, seed)
    (folder / ".complete").touch()


def _data(out: Path, entry: DemoSet) -> Path:
    return out / "humandata" / f"{entry.name}.h5"


def _convert_all(out: Path, models: Path) -> None:
    """Convert every set that is not converted yet."""
    from ehps.converters.pipeline import convert

    for entry in over(TRAIN + TEST, "converting datasets"):
        target = _data(out, entry)
        report = target.with_name(target.name + ".report.json")
        if not (target.exists() and report.exists()):
            target.parent.mkdir(parents=True, exist_ok=True)
            convert(entry.dataset, out / "raw" / entry.dataset, entry.split, target, body_models=models, progress=False)


def _benchmark(out: Path, bodies: BodyModels, seed: int, steps: int, jobs: int = AT_ONCE) -> None:
    """Train one model per training set, test each on all benchmarks."""
    from ehps.benchmark.suites.matrix import Suite, run_suite
    from ehps.benchmark.training.specs import SetSpec, TrainConfig

    def spec(entry: DemoSet) -> SetSpec:
        return SetSpec(_data(out, entry), out / "raw" / entry.dataset, protocol=entry.protocol)

    suite = Suite(
        train={entry.dataset: (spec(entry),) for entry in TRAIN},
        test={entry.dataset: spec(entry) for entry in TEST},
        config=TrainConfig(
            steps=steps, batch_size=BATCH, lr=2e-3, warmup=steps // 20, seed=2023 + seed, workers=0, keep_mb=800
        ),
    )
    folder = out / "runs"
    state = run_suite(suite, folder, body_models=bodies, jobs=jobs)
    failed = state[state["state"] == "failed"]
    if len(failed):
        first = failed.iloc[0]
        raise DataError(f"{first.train_set} on {first.test_set} failed: {first.reason}", path=folder)


def _infer(out: Path, bodies: BodyModels, seed: int) -> Video | None:
    """The best of the models on a video; None where there is nothing to write videos with."""
    from ehps import findings
    from ehps.analysis.published import dataset_name
    from ehps.benchmark import results
    from ehps.demo import crossing
    from ehps.extras import installed

    if not installed("av"):
        return None
    boxes = crossing.write(out / "video", bodies.folder, seed)
    best = str(findings.ranking_of(out / "runs", None, "present")["train_set"].iloc[0])
    numbers = results.load(out / "runs")
    run = str(numbers.loc[numbers["train_set"] == best, "run"].iloc[0])
    return crossing.watch(
        out / "video", boxes, out / "runs" / run / "checkpoints" / "final.pt", dataset_name(best), bodies
    )


def _analyse(out: Path, video: Video | None) -> tuple[pd.DataFrame, Path]:
    """Tables and figures below ``analysis/``, and the report page."""
    from ehps import findings
    from ehps.analysis import attributes, figures, ranking_table, tables
    from ehps.analysis.html_report import report
    from ehps.body.models import BodyModels

    folder = out / "analysis"
    folder.mkdir(parents=True, exist_ok=True)
    inputs = findings.report_inputs(
        out / "runs",
        data=[_data(out, entry) for entry in TRAIN],
        test=[_data(out, entry) for entry in TEST],
        images={_data(out, entry): out / "raw" / entry.dataset for entry in TRAIN + TEST},
        benchmarks="present",
        body_models=BodyModels(out / "body_models"),
        title="ehps demo: which data is worth training on?",
        stage=begun,
    )
    assert inputs.ranked is not None
    for suffix in ("md", "csv", "tex"):
        ranking_table.write({"": inputs.ranked}, folder / f"ranking.{suffix}")
    figures.save(figures.heat_map(inputs.ranked), folder / "benchmarks.png")
    if inputs.samples is not None:
        figures.save(attributes.figure(inputs.embeddings), folder / "attributes.png")
        tables.write(attributes.coverage_table(inputs.samples), folder / "coverage.csv")
    if inputs.selection is not None:
        tables.write(inputs.selection, folder / "selection.csv")
    return inputs.ranked, report(replace(inputs, video=video), out / "report.html")


def say(out: Path, outcome: Outcome) -> None:
    """The ranking in the terminal, and where to look."""
    from ehps.analysis import ranking_table

    for sentence in ranking_table.headline(outcome.ranked):
        line(sentence)
    ranking_table.print_ranking(outcome.ranked, title="Training sets by mean primary error (mm)")
    line("")
    places = {
        "report": outcome.page,
        "tables": out / "analysis",
        "converted": out / "humandata",
        "runs": out / "runs",
        "video": out / "video",
    }
    for what, where in places.items():
        if where.exists():
            line(f"{what:<12}{where}")
    for name, why in outcome.refused.items():
        line(f"not made: {name}: {why}", colour="yellow")
    view = f"ehps humandata view {out / 'humandata/bedlam_train.h5'} --images {out / 'raw/bedlam'} --out {out / 'view'}"
    line(f"next        {view}")
    line(f"done in {duration(outcome.seconds)}")
