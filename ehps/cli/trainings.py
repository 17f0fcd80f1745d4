"""``ehps analysis reliability`` and ``scaling``: what repeated trainings, and trainings of several sizes, say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ehps.cli.common import FOLDER, INPUT, Output, as_json, pairs, say, say_json
from ehps.cli.rankings import save_to, say_left_out, which_benchmarks
from ehps.errors import UsageError
from ehps.extras import need
from ehps.suffixes import FIGURE


@click.command("reliability")
@click.argument("recipes", nargs=-1, required=True, metavar="RECIPE=DIR...")
@click.option("--figure", type=Output(FIGURE), help="Draw the pairs: .png, .pdf or .svg.")
@which_benchmarks
@save_to
@as_json
def reliability_command(
    recipes: tuple[str, ...], figure: Path | None, benchmarks: Any, out: Path | None, as_json: bool
) -> None:
    """How likely the order of training sets holds.

    Each RECIPE is a way of training, DIR its folder of runs: the same sets with the same seeds. For each pair of sets,
    the probability that the one ahead stays ahead when both are trained again with a new recipe and seed.
    """
    need("reading results", "pyarrow")
    from ehps import findings
    from ehps.analysis import figures, tables
    from ehps.analysis.reliability import matrix_figure
    from ehps.terminal import show

    found, broken = findings.reliability_of({name: Path(folder) for name, folder in pairs(recipes).items()}, benchmarks)
    table = found.tied()
    if out is not None:
        tables.write(table, out)
    if as_json:
        chances = {name: row.to_dict() for name, row in found.matrix().iterrows()}
        say_json({"sets": table.to_dict("records"), "holds": chances, "recipes": found.recipes, "seeds": found.seeds})
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
