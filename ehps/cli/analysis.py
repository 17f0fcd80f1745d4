"""``ehps analysis``: rankings, why they are so, what to train on, the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ehps.cli.common import FOLDER, INPUT, Output, as_json, body_models, pairs, say, say_json
from ehps.errors import DataError, UsageError
from ehps.extras import need
from ehps.progress import begun, counting
from ehps.suffixes import FIGURE, PAGE, TABLE

if TYPE_CHECKING:
    import pandas as pd


@click.group()
def analysis() -> None:
    """Rankings, why they are so, what to train on.

    From run folders (--results), or from published numbers.
    """


def readable(_: click.Context, __: click.Parameter, runs: Path | None) -> Path | None:
    """The folder of run folders, where what reads them is installed."""
    need("reading results", *(["pyarrow"] if runs is not None else []))
    return runs


results_folder = click.option(
    "--results", "runs", type=FOLDER, callback=readable, help="Folder of run folders; published numbers without it."
)
save_to = click.option("--out", type=Output(TABLE), help="Also write the table: .md, .csv, .tex or .json.")


which_benchmarks = click.option(
    "--benchmarks",
    type=click.Choice(["five", "present"]),
    default="five",
    show_default=True,
    help="Mean over the five, or over the test sets there are (not comparable with published ranks).",
)


def without_ranks(ranked: pd.DataFrame) -> str:
    """Why no training set has a rank; empty when one has."""
    if ranked["rank"].notna().any():
        return ""
    missing = ", ".join(dict.fromkeys(name for row in ranked["missing"] for name in row.split(", ")))
    return f"no training set has all benchmarks, so there are no ranks; missing: {missing}"


def with_ranks(ranked: pd.DataFrame, runs: Path | None) -> pd.DataFrame:
    if why := without_ranks(ranked):
        raise DataError(why, path=runs, fix="test on these too, or pass --benchmarks present")
    return ranked


def say_left_out(left_out: Mapping[str, str]) -> None:
    """Name the sets that a table does not have, with the reason of each."""
    for name, why in left_out.items():
        say(f"left out: {name}, {why}", fg="yellow", err=True)


def save_and_print(
    frame: pd.DataFrame,
    out: Path | None,
    as_json: bool,
    digits: int = 1,
    least: Sequence[str] = (),
    below: Sequence[str] = (),
) -> None:
    from ehps.analysis import tables
    from ehps.terminal import show

    if out is not None:
        tables.write(frame, out)
    show(frame, json=as_json, digits=digits, least=least, below=below)


@analysis.command("rank")
@results_folder
@click.option("--model", help="Rank the sets of this model only.")
@which_benchmarks
@click.option(
    "--by", type=click.Choice(["all", "hands", "face"]), default="all", show_default=True, help="Errors of what part."
)
@save_to
@as_json
def rank_command(
    runs: Path | None, model: str | None, benchmarks: Any, by: Any, out: Path | None, as_json: bool
) -> None:
    """Training sets by mean primary error."""
    from ehps import findings
    from ehps.analysis import ranking, tables
    from ehps.terminal import show

    ranked = findings.ranking_of(runs, model, benchmarks, by)
    shown = ranking.presentable(ranked)
    if out is not None:
        # Published rows keep their sources in any file; own results keep theirs in the run folders.
        read_by_people = runs is not None and out.suffix.lower() in (".md", ".tex")
        tables.write(shown if read_by_people else ranked, out)
    if as_json:
        show(ranked, json=True)
    else:
        ranking.print_ranking(ranked)
    if why := without_ranks(ranked):
        say(f"{why} (--benchmarks present ranks by what there is)", fg="yellow", err=True)
    say_left_out(ranked.attrs.get("left_out", {}))
    for line in (*ranking.legend(ranked), ranking.interval_note(ranked)):
        if line:
            say(line, fg="yellow", err=True)


@analysis.command("factors")
@results_folder
@click.option("--model", help="Use the sets of this model only.")
@click.option("--figure", type=Output(FIGURE), help="Draw four factors: .png, .pdf or .svg.")
@click.option("--by", help="Draw rank against size instead, coloured by this attribute.")
@which_benchmarks
@save_to
@as_json
def factors_command(
    runs: Path | None,
    model: str | None,
    figure: Path | None,
    by: str | None,
    benchmarks: Any,
    out: Path | None,
    as_json: bool,
) -> None:
    """Rank against size, scene, annotation and others.

    One factor after the other, and, where there are enough sets, in one joint model.
    """
    from ehps import findings
    from ehps.analysis import factor_figure, figures, rank_factors, tables
    from ehps.converters import registry
    from ehps.terminal import show

    if by is not None and figure is None:
        raise UsageError("--by colours a figure", fix="name it with --figure")
    ranked = with_ranks(findings.ranking_of(runs, model, benchmarks), runs)
    cards = rank_factors.card_attributes(registry.cards())
    found = rank_factors.factors(ranked, cards)
    joint, why = findings.joint_model_of(ranked, cards)
    if out is not None:
        tables.write(found, out)
    if as_json:
        say_json({"factors": found.to_dict("records"), "joint": None if joint is None else joint.to_dict()})
    else:
        show(found, digits=3)
        if joint is not None:
            unit = "mm" if joint.target == "mpe" else "ranks"
            show(joint.table, title=f"All factors together, {unit}", digits=2, least=["moved", "most_moved_by", "n"])
        for line in joint.sentences() if joint is not None else (why,):
            say(line)
    if caution := found.attrs["caution"]:
        say(caution, fg="yellow", err=True)
    say_left_out(ranked.attrs.get("left_out", {}) | found.attrs["left_out"])
    if figure is not None:
        drawn = factor_figure.four_panels(ranked, cards) if by is None else rank_factors.figure(ranked, cards, by)
        say(figures.save(drawn, figure), err=as_json)


data_files = click.argument("files", type=INPUT, nargs=-1, required=True)
image_folders = click.option("--images", multiple=True, metavar="FILE=DIR", help="Image folder of one FILE.")


def folders_of(images: Sequence[str], files: Sequence[Path]) -> dict[Path, Path]:
    """File -> folder of its images, of the ``FILE=DIR`` that were given."""
    where = {Path(file): Path(folder) for file, folder in pairs(images).items()}
    if odd := [str(file) for file in where if file not in files]:
        raise UsageError(f"--images names {', '.join(odd)}, which is none of the files", fix="repeat the name as given")
    return where


@analysis.command("attributes")
@data_files
@click.option("--test", type=INPUT, multiple=True, help="A test set's file, marked in the figure.")
@image_folders
@click.option(
    "--limit", type=click.IntRange(min=1), default=500, show_default=True, help="Instances drawn of each file."
)
@click.option("--figure", type=Output(FIGURE), help="Draw the UMAP of every attribute: .png, .pdf or .svg.")
@save_to
@as_json
def attributes_command(
    files: tuple[Path, ...],
    test: tuple[Path, ...],
    images: tuple[str, ...],
    limit: int,
    figure: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """How FILES cover the test sets.

    In images, orientation, pose and shape; with --figure, drawn as UMAP.
    """
    if not test and figure is None:
        raise UsageError("nothing to compare the files with", fix="name test sets with --test, or pass --figure")
    need("drawing attributes", *(["umap"] if figure is not None else []))
    from ehps import findings
    from ehps.analysis import attributes, figures

    samples = findings.samples_of(files, test, folders_of(images, (*files, *test)), limit)
    save_and_print(attributes.coverage_table(samples), out, as_json, digits=3, least=["n_train", "n_test", "mmd"])
    for lack in samples.left_out.itertuples():
        say(f"not compared: {lack.attribute} of {lack.dataset}, {lack.reason}", fg="yellow", err=True)
    if figure is not None:
        present = [name for name, values in samples.values.items() if values]
        drawn = attributes.figure({name: attributes.embed(samples, name) for name in present})
        say(figures.save(drawn, figure), err=as_json)


@analysis.command("select")
@data_files
@results_folder
@click.option("--budget", type=int, required=True, help="Most instances in all.")
@click.option("--sets", default=10, show_default=True, help="Most datasets.")
@click.option("--diversity", default=0.3, show_default=True, help="0: rank alone decides, 1: distance alone.")
@click.option("--model", help="Use the ranks of this model.")
@which_benchmarks
@save_to
@as_json
def select_command(
    files: tuple[Path, ...],
    runs: Path | None,
    budget: int,
    sets: int,
    diversity: float,
    model: str | None,
    benchmarks: Any,
    out: Path | None,
    as_json: bool,
) -> None:
    """Which of FILES to train on, under a budget.

    And how many instances of each; from their ranks and from how unlike each other they are.
    """
    from ehps import findings

    ranked = with_ranks(findings.ranking_of(runs, model, benchmarks), runs)
    chosen = findings.selection_of(files, ranked, budget, sets=sets, diversity=diversity)
    save_and_print(chosen, out, as_json, below=["reason"])
    say_left_out(ranked.attrs.get("left_out", {}) | chosen.attrs["left_out"])


@analysis.command("report")
@click.option("--results", "runs", type=FOLDER, required=True, help="Folder of run folders.")
@click.option("--out", type=Output(PAGE), required=True, help="The page to write, .html.")
@click.option("--data", "files", type=INPUT, multiple=True, help="HumanData files of training sets, for attributes.")
@click.option("--test", type=INPUT, multiple=True, help="HumanData files of test sets.")
@image_folders
@click.option("--model", help="Rank the sets of this model only.")
@which_benchmarks
@click.option("--budget", type=int, help="Most instances of the selection; half of what --data has without it.")
@body_models
@click.option("--title", default="Which data is worth training on?", show_default=True)
@as_json
def report_command(
    runs: Path,
    out: Path,
    files: tuple[Path, ...],
    test: tuple[Path, ...],
    images: tuple[str, ...],
    model: str | None,
    benchmarks: Any,
    budget: int | None,
    body_models: Path | None,
    title: str,
    as_json: bool,
) -> None:
    """One self-contained HTML page with all of it."""
    need("the report", "jinja2", "pyarrow", *(["umap"] if files else []))
    from ehps import findings
    from ehps.analysis.html_report import report
    from ehps.body.model_folder import body_models_folder
    from ehps.body.models import BodyModels

    bodies = body_models_folder(body_models)
    inputs = findings.report_inputs(
        runs,
        data=files,
        test=test,
        images=folders_of(images, (*files, *test)),
        model=model,
        benchmarks=benchmarks,
        budget=budget,
        body_models=None if bodies is None else BodyModels(bodies),
        title=title,
        stage=begun,
    )
    with counting("writing the page", None):
        page = report(inputs, out)
    if as_json:
        say_json({"report": str(page), "training_sets": 0 if inputs.ranked is None else len(inputs.ranked)})
    else:
        say(page)
