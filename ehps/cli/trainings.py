"""``ehps analysis reliability``, ``scaling`` and ``mixtures``: what repeated trainings, trainings of several sizes and
small trainings on mixtures say.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ehps.cli.common import FOLDER, INPUT, Output, as_json, say, say_json, seed
from ehps.cli.rankings import save_to, say_left_out, which_benchmarks
from ehps.cli.selections import data_files, folders_of, image_folders
from ehps.errors import UsageError
from ehps.extras import need
from ehps.suffixes import FIGURE, SUITE


@click.command("reliability")
@click.argument("recipes", nargs=-1, required=True, metavar="[RECIPE=]DIR...")
@click.option("--figure", type=Output(FIGURE), help="Draw the pairs: .png, .pdf or .svg.")
@which_benchmarks
@save_to
@as_json
def reliability_command(
    recipes: tuple[str, ...], figure: Path | None, benchmarks: Any, out: Path | None, as_json: bool
) -> None:
    """How likely the order of training sets holds.

    Each RECIPE is a way of training, DIR its folder of runs: the same sets with the same seeds; or DIR is the folder of
    a suite with recipes. For each pair of sets, the probability that the one ahead stays ahead when both are trained
    again with a new recipe and seed.
    """
    need("reading results", "pyarrow")
    from ehps import findings
    from ehps.analysis import figures, tables
    from ehps.analysis.reliability import matrix_figure
    from ehps.terminal import show

    found, broken = findings.reliability_of(findings.recipe_folders(recipes), benchmarks)
    table = found.tied()
    if out is not None:
        tables.write(table, out)
    if as_json:
        how_many = {"recipes": found.recipes, "seeds": found.seeds}
        say_json({"sets": table.to_dict("records"), "holds": found.chances(), **how_many})
    else:
        show(table, digits=1)
        say(found.sentence())
    say_left_out(broken)
    if figure is not None:
        say(figures.save(matrix_figure(found), figure), err=as_json)


@click.command("scaling")
@click.option("--results", "runs", type=FOLDER, help="Folder of runs: sets trained on several numbers of instances.")
@click.option("--trainings", type=INPUT, help="Instead: a .csv with train_set, instances, error.")
@click.option("--at", type=click.IntRange(min=1), required=True, help="Instances that errors are wanted at.")
@click.option("--figure", type=Output(FIGURE), help="Draw the curves: .png, .pdf or .svg.")
@which_benchmarks
@save_to
@as_json
def scaling_command(
    runs: Path | None,
    trainings: Path | None,
    at: int,
    figure: Path | None,
    benchmarks: Any,
    out: Path | None,
    as_json: bool,
) -> None:
    """Error of training sets by number of instances.

    A power law with a floor for each set, of at least four sizes, with its interval, and what the next 1,000 instances
    bring.
    """
    if (runs is None) == (trainings is None):
        raise UsageError("trainings are in a folder of runs or in a table", fix="pass --results or --trainings")
    need("reading results", *(["pyarrow"] if runs is not None else []))
    from ehps import findings
    from ehps.analysis import figures, scaling_curves
    from ehps.cli.rankings import save_and_print

    found, broken = findings.scaling_of(runs, trainings, benchmarks)
    save_and_print(scaling_curves.table(found, at), out, as_json, digits=2)
    for sentence in scaling_curves.sentences(found, at):
        say(sentence, fg="yellow", err=True)
    say_left_out(broken)
    if figure is not None:
        say(figures.save(scaling_curves.figure(found, at), figure), err=as_json)


@click.command("mixtures")
@data_files
@click.option("--out", type=Output(SUITE), required=True, help="The suite to write, .yaml.")
@click.option("--size", type=click.IntRange(min=1), required=True, help="Instances that each training sees.")
@click.option("--count", type=int, show_default="64, or four a set", help="Trainings.")
@click.option("--test", multiple=True, required=True, metavar="FILE[=PROTOCOL]", help="HumanData file of a test set.")
@image_folders
@click.option("--model", default="tiny", show_default=True, help="The model to train.")
@seed
@as_json
def mixtures_command(
    files: tuple[Path, ...],
    out: Path,
    size: int,
    count: int | None,
    test: tuple[str, ...],
    images: tuple[str, ...],
    model: str,
    seed: int,
    as_json: bool,
) -> None:
    """Write a suite of small trainings on mixtures of FILES.

    Their shares are drawn at random. `ehps benchmark run` makes the trainings, and `ehps analysis select --rule mixture
    --runs DIR` finds the shares with the least predicted error from them.
    """
    from ehps.analysis.mixture_suite import MixtureSuite
    from ehps.benchmark import models
    from ehps.selections.pool import pool_of

    models.check(model)
    tests = [(Path(file), protocol) for file, _, protocol in (word.partition("=") for word in test)]
    folders = folders_of(images, (*files, *(file for file, _ in tests)))
    pool = pool_of(files, tests=[file for file, _ in tests])
    drawn = MixtureSuite.draw(list(pool.files), size, count, seed)
    drawn.write(pool.files, out, tests=tests, images=folders, model=model)
    together = len(drawn.mixtures) * drawn.size
    repeated = drawn.repeated(pool.sizes)
    if as_json:
        facts = {"trainings": len(drawn.mixtures), "size": drawn.size, "instances": together, "repeated": repeated}
        say_json({"suite": str(out), **facts, "left_out": pool.barred})
    else:
        say(out)
        say(f"{len(drawn.mixtures)} trainings of {drawn.size:,} instances, {together:,} together")
        for name, most in repeated.items():
            what = f"{name} has {pool.sizes[name]:,} instances: a training that sees {most:,} of it sees some again"
            say(what, fg="yellow", err=True)
    say_left_out(pool.barred)
