"""``ehps analysis select``: what to train on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ehps.cli.common import DISK, FOLDER, INPUT, Input, Number, Output, as_json, pairs, say, say_json, seed
from ehps.cli.rankings import (
    end,
    results_source,
    save_to,
    say_left_out_in_short,
    strict,
    which_benchmarks,
    with_ranks,
)
from ehps.errors import UsageError
from ehps.extras import need
from ehps.suffixes import FIGURE, SUITE

if TYPE_CHECKING:
    from ehps.selections.choice import Selection

RULES = ("diverse", "top-k", "greedy-coverage", "mixture", "all")
"""Those of ``ehps.analysis.selection``, which takes long to import."""

data_files = click.argument("files", type=INPUT, nargs=-1, required=True)
image_folders = click.option("--images", multiple=True, metavar="FILE=DIR", help="Image folder of one FILE.")


def folders_of(images: Sequence[str], files: Sequence[Path]) -> dict[Path, Path]:
    """File -> folder of its images, of the ``FILE=DIR`` that were given."""
    where = {Path(file): Path(folder) for file, folder in pairs(images).items()}
    if odd := [str(file) for file in where if file not in files]:
        raise UsageError(f"--images names {', '.join(odd)}, which is none of the files", fix="repeat the name as given")
    return where


@click.command("select")
@data_files
@results_source
@click.option("--rule", type=click.Choice(RULES), default="diverse", show_default=True, help="How sets are chosen.")
@click.option("--budget", type=int, help="Most instances in all.")
@click.option("--gpu-hours", type=Number(), help="Instead: as many instances as one GPU sees in so many hours.")
@click.option(
    "--images-per-second", type=Number(), help="Of one GPU; measured on the runs of --results or --runs without."
)
@click.option("--sets", type=int, show_default="10", help="Most datasets, of diverse, top-k and greedy-coverage.")
@click.option("--diversity", type=Number(), show_default="0.3", help="Of diverse. 0: rank alone, 1: distance alone.")
@click.option("--must", multiple=True, metavar="ID", help="A dataset that is taken in any case.")
@click.option("--never", multiple=True, metavar="ID", help="A dataset that is not taken.")
@click.option(
    "--licence",
    type=click.Choice(["research", "commercial"]),
    default="research",
    show_default=True,
    help="commercial: only datasets whose card says that commercial use is allowed.",
)
@click.option("--have", type=DISK, help="Only datasets that are whole on this disk, as `ehps doctor DISK` finds them.")
@click.option(
    "--test", multiple=True, metavar="FILE[=PROTOCOL]", help="A test set: of greedy-coverage, and of --suite."
)
@click.option("--runs", "small", type=FOLDER, help="Finished runs of a suite of mixtures; mixture is fitted to them.")
@click.option("--scaling", type=Input("file or folder"), help="Runs of several sizes, or a .csv of them, for --figure.")
@click.option("--figure", type=Output(FIGURE), help="Draw predicted error against budget by rule: .png, .pdf or .svg.")
@click.option("--suite", type=Output(SUITE), help="Also write a suite for `ehps benchmark run`, .yaml.")
@image_folders
@click.option("--model", help="Use the ranks and runs of this model.")
@which_benchmarks
@seed
@save_to
@strict
@as_json
def select_command(
    files: tuple[Path, ...],
    runs: Path | None,
    rule: Any,
    budget: int | None,
    gpu_hours: float | None,
    images_per_second: float | None,
    sets: int | None,
    diversity: float | None,
    must: tuple[str, ...],
    never: tuple[str, ...],
    licence: str,
    have: Path | None,
    test: tuple[str, ...],
    small: Path | None,
    scaling: Path | None,
    figure: Path | None,
    suite: Path | None,
    images: tuple[str, ...],
    model: str | None,
    benchmarks: Any,
    seed: int,
    out: Path | None,
    strict: bool,
    as_json: bool,
) -> None:
    """Which of FILES to train on, under a budget.

    And how many instances of each. top-k takes the best ranks; diverse weighs them against how unlike sets are;
    greedy-coverage takes what covers the test sets; mixture finds the shares with the least predicted error; all takes
    all. Training splits of test sets are marked, and the choice is also made without them.
    """
    _check(rule, budget, gpu_hours, images_per_second, sets, diversity)
    if suite is not None and not test:
        raise UsageError("a suite needs test sets", fix="name them with --test FILE or --test FILE=PROTOCOL")
    if figure is None and scaling is not None:
        raise UsageError("--scaling is drawn in a figure", fix="name it with --figure")
    if figure is not None and small is None and scaling is None:
        raise UsageError("--figure draws predicted errors", fix="name what predicts them with --runs or --scaling")
    need("reading results", *(["pyarrow"] if small is not None or (scaling and scaling.is_dir()) else []))
    from ehps import findings
    from ehps.analysis import tables
    from ehps.analysis.selection import BY_RANK
    from ehps.selections.choice import Evidence, Wishes, choose
    from ehps.selections.pool import datasets_named, datasets_tested, pool_of
    from ehps.selections.small_runs import budget_of, small_trainings_of

    tests = [(Path(file), protocol) for file, _, protocol in (word.partition("=") for word in test)]
    folders = folders_of(images, (*files, *(file for file, _ in tests)))
    ranked = findings.ranking_of(runs, model, benchmarks)
    if rule in BY_RANK:
        with_ranks(ranked, runs)
    said: list[str] = []
    broken: dict[str, str] = {}
    if gpu_hours is not None:
        budget, how = budget_of(gpu_hours, images_per_second, small or runs, model)
        said.append(how)
    trainings = None
    if small is not None:
        trainings, broken = small_trainings_of(small, benchmarks, model)
    test_files = [file for file, _ in tests]
    tested = datasets_tested(ranked) if rule in BY_RANK or not (tests or small) else set()
    tested |= datasets_named(map(str, trainings.errors)) if trainings is not None else set()
    pool = pool_of(files, tests=test_files, tested=tested, licence=licence, have=have)
    evidence = Evidence.of(pool, ranked, tests=test_files, images=folders, small=trainings, seed=seed)
    given: dict[str, Any] = {"sets": sets, "diversity": diversity}
    wishes = Wishes(must=must, never=never, **{name: value for name, value in given.items() if value is not None})
    found = choose(evidence, rule, budget, wishes)
    found.said[:0] = said
    if suite is not None:
        from ehps.analysis.selection_suite import write_suite
        from ehps.benchmark import models
        from ehps.benchmark.models.labels import named

        trained = [name for name in map(named, dict.fromkeys(ranked["model"])) if name in models.names()]
        name = trained[0] if trained else "tiny"
        say(write_suite(found.chosen, found.files, suite, tests=tests, images=folders, model=name), err=True)
    if out is not None:
        tables.write(found.chosen, out)
    if as_json:
        say_json(_as_json(found, broken))
    else:
        _print(found)
    say_left_out_in_short(found.left_out | broken)
    if figure is not None:
        say(_drawn(evidence, found, wishes, scaling, benchmarks, figure), err=as_json)
    end(ranked, strict=strict)


def _check(
    rule: str,
    budget: int | None,
    gpu_hours: float | None,
    images_per_second: float | None,
    sets: int | None,
    diversity: float | None,
) -> None:
    """Options that belong together, before anything is read."""
    if (budget is None) == (gpu_hours is None):
        raise UsageError("how much is to be chosen", fix="pass --budget INSTANCES or --gpu-hours HOURS")
    if images_per_second is not None and gpu_hours is None:
        raise UsageError("--images-per-second is of --gpu-hours", fix="pass both")
    if sets is not None and rule in ("all", "mixture"):
        raise UsageError(f"--sets is nothing that {rule} looks at", fix="leave it out")
    if diversity is not None and rule != "diverse":
        raise UsageError(f"--diversity is nothing that {rule} looks at", fix="leave it out")


def _as_json(found: Selection, broken: dict[str, str]) -> dict[str, Any]:
    from ehps.analysis import tables

    without = found.without_own
    return {
        "rule": found.rule,
        "budget": found.budget,
        "chosen": tables.records(found.chosen),
        "without_own_test": None if without is None else tables.records(without),
        "said": found.said,
        "left_out": found.left_out,
        "runs_left_out": broken,
    }


def _print(found: Selection) -> None:
    from ehps.terminal import show

    show(found.chosen, digits=4, below=["reason"], least=["licence"])
    for line in found.said:
        say(line)
    if found.without_own is None:
        return
    if "yes" in set(found.chosen["own_test"]):
        title = "Without training splits of test sets (own_test)"
        show(found.without_own.drop(columns="own_test"), title=title, digits=4, below=["reason"], least=["licence"])
    else:
        say("None of these is the training split of a test set.")


def _drawn(evidence: Any, found: Selection, wishes: Any, scaling: Path | None, benchmarks: Any, figure: Path) -> Path:
    from ehps import findings
    from ehps.analysis import figures
    from ehps.analysis.rule_figure import rule_figure
    from ehps.selections.predictions import predictions

    curves: dict[str, Any] = {}
    if scaling is not None:
        folder = scaling.is_dir()
        curves, _ = findings.scaling_of(scaling if folder else None, None if folder else scaling, benchmarks)
    predicted, without = predictions(evidence, curves, found.budget, wishes)
    size = None if evidence.small is None else evidence.small.size
    return figures.save(rule_figure(predicted, without, found.budget, size), figure)
