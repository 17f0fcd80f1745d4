"""``ehps demo``: the main job end to end on generated data.

Small raw datasets in their real layouts, images rendered from the stand-in body; converted, trained on, tested,
ranked, drawn and reported by the same functions that the other commands call.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ehps.demo.sets import TEST, TRAIN, DemoSet, write_raw
from ehps.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from ehps.body.models import BodyModels

STEPS = 200
BATCH = 16


def run(out: Path, *, seed: int = 0, steps: int = STEPS) -> Path:
    """Run the demo in folder ``out`` and return the path of its report.

    Steps that are finished are kept: an interrupted demo goes on where it stopped.
    """
    from rich.console import Console

    from ehps.body.models import BodyModels

    console = Console(stderr=True)
    started = time.perf_counter()
    models = out / "body_models"
    with _step(console, "1/6 stand-in body models"):
        _write_models(models)
    with _step(console, f"2/6 raw datasets: {', '.join(dict.fromkeys(s.dataset for s in TRAIN + TEST))}"):
        _write_all_raw(out / "raw", models, seed)
    with _step(console, "3/6 conversion to HumanData"):
        conversions = _convert_all(out, models)
    bodies = BodyModels(models)
    with _step(console, f"4/6 training {len(TRAIN)} models, testing each on {len(TEST)} benchmarks"):
        results, errors = _benchmark(out, bodies, seed, steps)
    with _step(console, "5/6 ranking, factors, attributes, selection"):
        ranked, page = _analyse(out, results, errors, conversions)
    _say(Console(), out, ranked, page, time.perf_counter() - started)
    return page


@contextmanager
def _step(console: Console, what: str) -> Iterator[None]:
    console.print(f"[bold]{what}[/bold]")
    started = time.perf_counter()
    yield
    console.print(f"      {time.perf_counter() - started:.0f} s", style="dim")


def _write_models(folder: Path) -> None:
    from ehps.body.standin import write_standin

    if not (folder / ".complete").exists():
        write_standin(folder, models=("smplx", "smpl"))
        (folder / ".complete").touch()


def _write_all_raw(root: Path, models: Path, seed: int) -> None:
    """Raw trees, one dataset a process: two splits of one dataset share its lists."""
    from joblib import Parallel, delayed
    from rich.progress import track

    datasets = list(dict.fromkeys(entry.dataset for entry in TRAIN + TEST))
    missing = [name for name in datasets if not (root / name / ".complete").exists()]
    jobs = Parallel(n_jobs=2, return_as="generator_unordered")(
        delayed(_write_dataset)([e for e in TRAIN + TEST if e.dataset == name], root / name, models, seed)
        for name in missing
    )
    for _ in track(jobs, "      rendering", total=len(missing), transient=True):
        pass


def _write_dataset(entries: Sequence[DemoSet], folder: Path, models: Path, seed: int) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
    for entry in entries:
        write_raw(entry, folder.parent, models, seed)
    (folder / ".complete").touch()


def _data(out: Path, entry: DemoSet) -> Path:
    return out / "humandata" / f"{entry.name}.h5"


def _convert_all(out: Path, models: Path) -> list[Path]:
    """Convert every set that is not converted yet; returns the conversion reports."""
    from rich.progress import track

    from ehps.converters.pipeline import convert

    reports = []
    for entry in track(TRAIN + TEST, "      converting", transient=True):
        target = _data(out, entry)
        report = target.with_name(target.name + ".report.json")
        if not (target.exists() and report.exists()):
            target.parent.mkdir(parents=True, exist_ok=True)
            convert(entry.dataset, out / "raw" / entry.dataset, entry.split, target, body_models=models, progress=False)
        reports.append(report)
    return reports


def _benchmark(out: Path, bodies: BodyModels, seed: int, steps: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train one model per training set, test each on all benchmarks."""
    from ehps.benchmark import results
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
    state = run_suite(suite, folder, body_models=bodies)
    failed = state[state["state"] == "failed"]
    if len(failed):
        first = failed.iloc[0]
        raise DataError(f"{first.train_set} on {first.test_set} failed: {first.reason}", path=folder)
    return results.load(folder), results.load_errors(folder)


def _analyse(
    out: Path, results: pd.DataFrame, errors: pd.DataFrame, conversions: list[Path]
) -> tuple[pd.DataFrame, Path]:
    """Tables and figures below ``analysis/``, and the report page."""
    from ehps.analysis import attributes, figures, published, rank_factors, ranking, selection, tables
    from ehps.analysis.benchmarks import benchmarks_in
    from ehps.analysis.curves import read_curves
    from ehps.analysis.html_report import ReportInputs, report
    from ehps.converters import registry
    from ehps.humandata import HumanData

    folder = out / "analysis"
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {entry.dataset: len(HumanData.open(_data(out, entry))) for entry in TRAIN}
    ranked = ranking.rank(results, errors, benchmarks=benchmarks_in(results))
    shown = ranking.presentable(ranked)
    for suffix in ("md", "csv", "tex"):
        tables.write(shown, folder / f"ranking.{suffix}")
    cards = rank_factors.card_attributes(registry.cards())
    sources = [
        attributes.Source(_data(out, e), e.role, name=e.dataset, images=out / "raw" / e.dataset) for e in TRAIN + TEST
    ]
    samples = attributes.collect(sources, limit=100)
    embeddings = {name: attributes.embed(samples, name) for name in ("image", "global_orient", "body_pose")}
    figures.save(attributes.figure(embeddings), folder / "attributes.png")
    figures.save(figures.heat_map(ranked), folder / "benchmarks.png")
    tables.write(attributes.coverage_table(samples), folder / "coverage.csv")
    chosen = selection.select(
        ranked,
        sizes,
        budget=sum(sizes.values()) // 2,
        sets=4,
        distances=attributes.distance_matrix(samples, "body_pose"),
    )
    tables.write(chosen, folder / "selection.csv")
    page = report(
        ReportInputs(
            title="ehps demo: which data is worth training on?",
            ranked=ranked,
            comparison=ranking.compare(ranked, published.single_dataset_ranks()),
            results=results,
            attributes=cards,
            samples=samples,
            embeddings=embeddings,
            selection=chosen,
            conversions=conversions,
            training=read_curves(out / "runs"),
            overlays=_overlays(out),
            notes=(
                "Generated data: small raw datasets in their real layouts, images rendered from a stand-in body. "
                "The numbers show that the parts work together; they say nothing about the real datasets.",
            ),
        ),
        out / "report.html",
    )
    return ranked, page


def _overlays(out: Path) -> list[tuple[str, Any]]:
    """One image of every training set with its converted annotation drawn on it."""
    from ehps.humandata import HumanData
    from ehps.humandata.drawing.overlays import draw_instances

    images: list[tuple[str, Any]] = []
    for entry in TRAIN:
        hd = HumanData.open(_data(out, entry))
        row = len(hd) // 2
        images.append((entry.dataset, draw_instances(hd, [row], out / "raw" / entry.dataset, side=480).image))
    return images


def _say(console: Console, out: Path, ranked: pd.DataFrame, page: Path, seconds: float) -> None:
    """The ranking in the terminal, and where to look."""
    from ehps.analysis import ranking
    from ehps.terminal import show

    show(ranking.presentable(ranked, ids=True), title="Training sets by mean primary error (mm)")
    console.print(f"\nreport      {page}\nconverted   {out / 'humandata'}\nruns        {out / 'runs'}")
    view = f"ehps humandata view {out / 'humandata/bedlam_train.h5'} --images {out / 'raw/bedlam'} --out {out / 'view'}"
    console.print(f"next        {view}\ndone in {seconds / 60:.1f} minutes", soft_wrap=True)  # to be copied whole
