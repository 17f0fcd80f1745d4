"""``ehps analysis rank``, ``compare`` and ``published``, and the options of all commands that take a ranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ehps.cli.common import Input, Output, as_json, say, say_json
from ehps.errors import DataError, UsageError
from ehps.extras import need
from ehps.suffixes import FIGURE, TABLE

if TYPE_CHECKING:
    import pandas as pd


def readable(_: click.Context, __: click.Parameter, source: Path | None) -> Path | None:
    """The folder of run folders, where what reads them is installed, or the CSV file."""
    need("reading results", *(["pyarrow"] if source is not None and source.is_dir() else []))
    if source is not None and source.is_file() and source.suffix.lower() != ".csv":
        raise UsageError("is neither a folder of runs nor a .csv", path=source)
    return source


results_source = click.option(
    "--results",
    "runs",
    type=Input("file or folder"),
    callback=readable,
    help="Folder of run folders, or CSV file of a ranking; published numbers without it.",
)
save_to = click.option("--out", type=Output(TABLE), help="Also write the table: .md, .csv, .tex, .json or .html.")
which_benchmarks = click.option(
    "--benchmarks",
    type=click.Choice(["five", "present"]),
    default="five",
    show_default=True,
    help="Mean over the five, or over the test sets there are (not comparable with published ranks).",
)
strict = click.option("--strict", is_flag=True, help="Exit with 1 where a run is damaged or not finished.")


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


REASONS = 4


def say_left_out_in_short(left_out: Mapping[str, str]) -> None:
    """How many sets a table does not have, by reason, in a few lines; single ones with their names."""
    from ehps.analysis import ties

    reasons: dict[str, list[str]] = {}
    for name, why in left_out.items():
        reasons.setdefault(why, []).append(name)
    for why, names in list(reasons.items())[:REASONS]:
        say(f"left out: {ties.listed(names, 3)}, {why}", fg="yellow", err=True)
    if rest := sum(len(names) for names in list(reasons.values())[REASONS:]):
        say(f"left out: {rest} more, for other reasons", fg="yellow", err=True)
    if len(left_out) > len(reasons) or len(reasons) > REASONS:
        say("--json names all that is left out", fg="yellow", err=True)


def end(*rankings: pd.DataFrame, strict: bool) -> None:
    """Name the runs that are damaged or not finished; they make the command fail where that is ``strict``."""
    for ranked in rankings:
        say_left_out(ranked.attrs.get("broken", {}))
    if strict and any(ranked.attrs.get("broken") for ranked in rankings):
        click.get_current_context().exit(1)


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


@click.command("rank")
@results_source
@click.option("--model", help="Rank the sets of this model only.")
@which_benchmarks
@click.option(
    "--by", type=click.Choice(["all", "hands", "face"]), default="all", show_default=True, help="Errors of what part."
)
@click.option(
    "--reliability",
    "repeated",
    multiple=True,
    metavar="[RECIPE=]DIR",
    help="Runs of the sets with other recipes and seeds, or of a suite with recipes: how likely the order holds.",
)
@click.option("--recipe", help="Of a suite with recipes, rank this one only; without it there is a table of each.")
@click.option("--figure", type=Output(FIGURE), help="Draw the probabilities of --reliability: .png, .pdf or .svg.")
@save_to
@strict
@as_json
def rank_command(
    runs: Path | None,
    model: str | None,
    benchmarks: Any,
    by: Any,
    repeated: tuple[str, ...],
    recipe: str | None,
    figure: Path | None,
    out: Path | None,
    strict: bool,
    as_json: bool,
) -> None:
    """Training sets by mean primary error.

    Of the folder of a suite with recipes, each of them.
    """
    if repeated and (runs is None or by != "all"):
        raise UsageError("--reliability stands beside a ranking of --results by all", fix="leave --by out, name them")
    if figure is not None and not repeated:
        raise UsageError("--figure draws probabilities", fix="name repeated trainings with --reliability")
    from ehps import findings
    from ehps.analysis import ranking_table
    from ehps.terminal import show

    rankings, without = findings.rankings_of(runs, model, benchmarks, by, recipe)
    found, broken = None, dict[str, str]()
    if repeated:
        need("reading results", "pyarrow")
        from ehps.analysis.ranking_reliability import with_reliability

        found, broken = findings.reliability_of(findings.recipe_folders(repeated), benchmarks)
        rankings = {name: with_reliability(with_ranks(one, runs), found) for name, one in rankings.items()}
    if out is not None:
        ranking_table.write(rankings, out)
    if as_json and found is not None:
        from ehps.analysis import tables

        say_json({"ranking": tables.records(ranking_table.together(rankings)), "holds": found.chances()})
    elif as_json:
        show(ranking_table.together(rankings), json=True)
    else:
        for name, ranked in rankings.items():
            for sentence in ranking_table.headline(ranked):
                say(f"{name}: {sentence}" if name else sentence)
            ranking_table.print_ranking(ranked, name or None)
    for line in _notes(rankings):
        say(line, fg="yellow", err=True)
    say_left_out(without | broken)
    if figure is not None and found is not None:
        from ehps.analysis import figures, reliability

        say(figures.save(reliability.matrix_figure(found), figure), err=as_json)
    end(*rankings.values(), strict=strict)


def _notes(rankings: Mapping[str, pd.DataFrame]) -> list[str]:
    """What must be known of rankings; what is not so of all recipes begins with theirs."""
    from ehps.analysis import ranking_table

    said: dict[str, list[str]] = {}
    for name, ranked in rankings.items():
        lines = [f"{why} (--benchmarks present ranks by what there is)" for why in [without_ranks(ranked)] if why]
        if other := ranked.attrs.get("not_ranked"):
            lines.append(f"no column, as they have no error in mm: {', '.join(other)}")
        lines += ranking_table.legend(ranked)
        lines += [ranking_table.interval_note(ranked), ranking_table.reliability_note(ranked)]
        for line in lines:
            said.setdefault(line, []).append(name)
    some = len(rankings)
    return [line if len(names) == some else f"{', '.join(names)}: {line}" for line, names in said.items() if line]


@click.command("compare")
@click.argument("rankings", nargs=-1, required=True, metavar="A B [C ...]")
@click.option("--model", help="Of a folder or file that holds several models.")
@which_benchmarks
@click.option("--top", type=click.IntRange(min=1), default=10, show_default=True, help="Best sets to have in common.")
@click.option(
    "--moves", type=click.IntRange(min=0), default=5, show_default=True, help="Sets that move most, to be named."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@save_to
@strict
@as_json
def compare_command(
    rankings: tuple[str, ...],
    model: str | None,
    benchmarks: Any,
    top: int,
    moves: int,
    seed: int,
    out: Path | None,
    strict: bool,
    as_json: bool,
) -> None:
    """How far rankings agree, each two of them.

    A, B, ...: a folder of run folders, a CSV file, or a published model (smpler_x_s, smpler_x_b, hand4whole). Intervals
    come from drawing the shared datasets again.
    """
    from ehps import findings
    from ehps.analysis import comparison, tables
    from ehps.terminal import show

    if len(set(rankings)) < 2 or len(set(rankings)) < len(rankings):
        raise UsageError("a comparison takes two different rankings, or more")
    found = {name: with_ranks(findings.comparable(name, benchmarks, model), Path(name)) for name in rankings}
    compared, moved = comparison.compare_all(found, top=top, seed=seed, moves=moves)
    if out is not None:
        people = out.suffix.lower() not in (".csv", ".json")
        tables.write(comparison.presentable(compared) if people else compared, out)
    if as_json:
        say_json({"compared": tables.records(compared), "moves": tables.records(moved)})
    else:
        show(comparison.presentable(compared), keep=["A", "B", "Datasets"])
        for line in comparison.moves_sentences(moved):
            say(line)
        say("in brackets: 95 % intervals over datasets", fg="yellow", err=True)
    end(*found.values(), strict=strict)


@click.command("published")
@click.argument("name", required=False, metavar="[TABLE]")
@save_to
@as_json
def published_command(name: str | None, out: Path | None, as_json: bool) -> None:
    """Published numbers, their sources and their arithmetic.

    Without TABLE: which tables there are. What can be computed from other cells is: cells that disagree are named.
    """
    from ehps.analysis import published, published_tables, tables
    from ehps.terminal import show

    if name is None:
        save_and_print(published_tables.summary(), out, as_json, least=["units"])
        return
    frame, checked = published_tables.read(name), published_tables.checks(name)
    facts = published_tables.TABLES[name]
    if not as_json:
        say(f"{facts.title} ({facts.units})" + (f"; {facts.limits}" if facts.limits else ""))
    if out is not None:
        tables.write(frame if out.suffix.lower() in (".csv", ".json") else published.table(name, texts=True), out)
    show(frame if as_json else published.table(name, texts=True), json=as_json, below=["source"])
    wrong = checked[~checked["agrees"]]
    if len(checked):
        say(f"{len(checked)} cells follow from others; {len(checked) - len(wrong)} agree", fg="yellow", err=True)
    for row in wrong.itertuples():
        said = f"printed {row.printed:g}, but {row.formula} is {row.computed:.2f}"
        say(f"disagrees: {row.cell} of {row.row}, {said}", fg="yellow", err=True)
