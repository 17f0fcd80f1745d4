"""``ehps analysis``: rankings, why they are so, what to train on, the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ehps.cli.common import FOLDER, INPUT, Output, as_json, body_models, say, say_json
from ehps.cli.rankings import (
    compare_command,
    end,
    published_command,
    rank_command,
    results_source,
    save_to,
    say_left_out,
    strict,
    which_benchmarks,
    with_ranks,
)
from ehps.cli.selections import folders_of, image_folders, select_command
from ehps.cli.trainings import mixtures_command, reliability_command, scaling_command
from ehps.errors import UsageError
from ehps.extras import need
from ehps.progress import begun, counting
from ehps.suffixes import FIGURE, PAGE


@click.group()
def analysis() -> None:
    """Rankings, why they are so, what to train on.

    From run folders or a CSV file (--results), or from published numbers.
    """


for command in (
    *(rank_command, compare_command, published_command),
    *(select_command, mixtures_command, reliability_command, scaling_command),
):
    analysis.add_command(command)


@analysis.command("factors")
@results_source
@click.option("--model", help="Use the sets of this model only.")
@click.option("--figure", type=Output(FIGURE), help="Draw four factors: .png, .pdf or .svg.")
@click.option("--by", help="Draw rank against size instead, coloured by this attribute.")
@which_benchmarks
@save_to
@strict
@as_json
def factors_command(
    runs: Path | None,
    model: str | None,
    figure: Path | None,
    by: str | None,
    benchmarks: Any,
    out: Path | None,
    strict: bool,
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
    say_left_out(found.attrs["left_out"])
    if figure is not None:
        drawn = factor_figure.four_panels(ranked, cards) if by is None else rank_factors.figure(ranked, cards, by)
        say(figures.save(drawn, figure), err=as_json)
    end(ranked, strict=strict)


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
@strict
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
    strict: bool,
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
    if inputs.ranked is not None:
        end(inputs.ranked, strict=strict)
