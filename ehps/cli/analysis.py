"""``ehps analysis``: rankings, why they are so, what to train on, the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ehps.cli.common import FILE, as_json, pairs, say
from ehps.errors import DataError, UsageError

if TYPE_CHECKING:
    import pandas as pd


@click.group()
def analysis() -> None:
    """Rankings, why they are so, what to train on.

    From run folders (--results), or from published numbers.
    """


results_folder = click.option(
    "--results", "runs", type=FILE, help="Folder of run folders; published numbers without it."
)
save_to = click.option("--out", type=FILE, help="Also write the table: .md, .csv, .tex or .json.")


which_benchmarks = click.option(
    "--benchmarks",
    type=click.Choice(["five", "present"]),
    default="five",
    show_default=True,
    help="Mean over the five, or over the test sets there are (not comparable with published ranks).",
)


def ranking_of(runs: Path | None, model: str | None, benchmarks: str) -> pd.DataFrame:
    """Ranked training sets of a folder of runs, or the published ranking."""
    from ehps.analysis import published, ranking
    from ehps.analysis.benchmarks import MPE_BENCHMARKS, benchmarks_in

    if runs is None:
        return published.single_dataset_ranks(model or "smpler_x_s")
    from ehps.benchmark import results

    numbers, errors = results.load(runs), results.load_errors(runs)
    counted = MPE_BENCHMARKS if benchmarks == "five" else benchmarks_in(numbers)
    ranked = ranking.rank(numbers, errors, benchmarks=counted)
    if model is not None:
        ranked = ranked[ranked["model"] == model].reset_index(drop=True)
        if not len(ranked):
            models = ", ".join(sorted(set(numbers["model"])))
            raise UsageError(f"no results of the model {model!r}", path=runs, fix=f"there are: {models}")
    return ranked


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


def save_and_print(frame: pd.DataFrame, out: Path | None, as_json: bool, digits: int = 1) -> None:
    from ehps.analysis import tables
    from ehps.terminal import show

    if out is not None:
        tables.write(frame, out)
    show(frame, json=as_json, digits=digits)


@analysis.command("rank")
@results_folder
@click.option("--model", help="Rank the sets of this model only.")
@which_benchmarks
@save_to
@as_json
def rank_command(runs: Path | None, model: str | None, benchmarks: str, out: Path | None, as_json: bool) -> None:
    """Training sets by mean primary error."""
    from ehps.analysis import ranking, tables
    from ehps.terminal import show

    ranked = ranking_of(runs, model, benchmarks)
    shown = ranking.presentable(ranked)
    if out is not None:
        # Published rows keep their sources in any file; own results keep theirs in the run folders.
        read_by_people = runs is not None and out.suffix.lower() in (".md", ".tex")
        tables.write(shown if read_by_people else ranked, out)
    show(ranked if as_json else ranking.presentable(ranked, ids=True), json=as_json)
    if why := without_ranks(ranked):
        say(f"{why} (--benchmarks present ranks by what there is)", fg="yellow", err=True)
    if unnamed := ranked.attrs.get("unnamed"):
        say(f"{unnamed} ranks in between belong to datasets that could not be identified", fg="yellow", err=True)


@analysis.command("factors")
@results_folder
@click.option("--model", help="Use the sets of this model only.")
@click.option("--figure", type=FILE, help="Draw rank against size: .png, .pdf or .svg.")
@click.option("--by", default="appearance", show_default=True, help="Attribute that colours the figure.")
@which_benchmarks
@save_to
@as_json
def factors_command(
    runs: Path | None,
    model: str | None,
    figure: Path | None,
    by: str,
    benchmarks: str,
    out: Path | None,
    as_json: bool,
) -> None:
    """Rank against size, scene, annotation and others."""
    from ehps.analysis import figures, rank_factors
    from ehps.converters import registry

    ranked = with_ranks(ranking_of(runs, model, benchmarks), runs)
    cards = rank_factors.card_attributes(registry.cards())
    found = rank_factors.factors(ranked, cards)
    save_and_print(found, out, as_json, digits=3)
    say_left_out(found.attrs["left_out"])
    if figure is not None:
        say(figures.save(rank_factors.figure(ranked, cards, by), figure), err=as_json)


data_files = click.argument("files", type=FILE, nargs=-1, required=True)
image_folders = click.option("--images", multiple=True, metavar="FILE=DIR", help="Image folder of one FILE.")


def samples_of(files: Sequence[Path], test: Sequence[Path], images: Sequence[str], limit: int) -> Any:
    from ehps.analysis import attributes

    where = {Path(file): Path(folder) for file, folder in pairs(images).items()}
    roles = [(file, "train") for file in files] + [(file, "test") for file in test]
    if odd := [str(file) for file in where if file not in (*files, *test)]:
        raise UsageError(f"--images names {', '.join(odd)}, which is none of the files", fix="repeat the name as given")
    sources = [attributes.Source(file, role, images=where.get(file)) for file, role in roles]
    chosen = attributes.ATTRIBUTES if where else [a for a in attributes.ATTRIBUTES if a != "image"]
    return attributes.collect(sources, limit=limit, attributes=chosen)


@analysis.command("attributes")
@data_files
@click.option("--test", type=FILE, multiple=True, help="A test set's file, marked in the figure.")
@image_folders
@click.option(
    "--limit", type=click.IntRange(min=1), default=500, show_default=True, help="Instances drawn of each file."
)
@click.option("--figure", type=FILE, help="Draw the UMAP of every attribute: .png, .pdf or .svg.")
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
    from ehps.analysis import attributes, figures

    if not test and figure is None:
        raise UsageError("nothing to compare the files with", fix="name test sets with --test, or pass --figure")
    samples = samples_of(files, test, images, limit)
    save_and_print(attributes.coverage_table(samples), out, as_json, digits=3)
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
    benchmarks: str,
    out: Path | None,
    as_json: bool,
) -> None:
    """Which of FILES to train on, under a budget.

    And how many instances of each; from their ranks and from how unlike each other they are.
    """
    from ehps.analysis import attributes, selection
    from ehps.humandata import HumanData

    ranked = with_ranks(ranking_of(runs, model, benchmarks), runs)
    opened: dict[str, HumanData] = {}
    unusable: dict[str, str] = {}
    for file in files:
        hd = HumanData.open(file)
        if hd.passport.body_model is None:
            unusable[str(file)] = "it has no body parameters to train on"
            continue
        if hd.passport.dataset in opened:
            raise UsageError(f"is a second file of {hd.passport.dataset}", path=file, fix="merge the two, or name one")
        opened[hd.passport.dataset] = hd
    samples = attributes.collect(list(opened.values()), attributes=["body_pose"])
    distances = attributes.distance_matrix(samples, "body_pose")
    sizes = {name: len(hd) for name, hd in opened.items()}
    chosen = selection.select(ranked, sizes, budget, sets=sets, distances=distances, diversity=diversity)
    save_and_print(chosen, out, as_json)
    say_left_out(unusable | chosen.attrs["left_out"])


@analysis.command("report")
@click.option("--results", "runs", type=FILE, required=True, help="Folder of run folders.")
@click.option("--out", type=FILE, required=True, help="The page to write, .html.")
@click.option("--data", "files", type=FILE, multiple=True, help="HumanData files of training sets, for attributes.")
@click.option("--test", type=FILE, multiple=True, help="HumanData files of test sets.")
@image_folders
@click.option("--model", help="Rank the sets of this model only.")
@which_benchmarks
@click.option("--title", default="Which data is worth training on?", show_default=True)
def report_command(
    runs: Path,
    out: Path,
    files: tuple[Path, ...],
    test: tuple[Path, ...],
    images: tuple[str, ...],
    model: str | None,
    benchmarks: str,
    title: str,
) -> None:
    """One self-contained HTML page with all of it."""
    from ehps.analysis import attributes, published, rank_factors, ranking
    from ehps.analysis.curves import LOG, read_curves
    from ehps.analysis.html_report import ReportInputs, report
    from ehps.benchmark import results
    from ehps.converters import registry

    ranked = ranking_of(runs, model, benchmarks)
    comparable = benchmarks == "five" and ranked["model"].nunique() == 1
    samples: Any = samples_of(files, test, images, 500) if files else None
    present = [name for name, values in samples.values.items() if values] if samples else []
    reports = [path for file in (*files, *test) if (path := file.with_name(file.name + ".report.json")).exists()]
    inputs = ReportInputs(
        title=title,
        ranked=ranked,
        comparison=ranking.compare(ranked, published.single_dataset_ranks()) if comparable else None,
        results=results.load(runs),
        attributes=rank_factors.card_attributes(registry.cards()),
        samples=samples,
        embeddings={name: attributes.embed(samples, name) for name in present},
        conversions=reports,
        training=read_curves(runs) if any(runs.rglob(LOG)) else None,
    )
    say(report(inputs, out))
