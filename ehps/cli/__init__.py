"""The ``ehps`` command: each command is a few lines over one library call.

Exit codes: 0 done, 1 the data or the machine is at fault, 2 the call is. Errors are printed as one sentence with
the file, the fault and the remedy; a traceback only with ``--debug``.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from ehps import __version__, progress
from ehps.cli.analysis import analysis
from ehps.cli.attributes import attributes_command
from ehps.cli.benchmark import benchmark
from ehps.cli.common import (
    DISK,
    FILE,
    Commands,
    Word,
    as_json,
    body_models,
    datasets,
    say,
    say_json,
    seed,
)
from ehps.cli.convert import convert_command
from ehps.cli.humandata import humandata
from ehps.cli.infer import infer_command
from ehps.extras import need


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="ehps")
@click.option("-v", "--verbose", is_flag=True, help="Say with the time when each part of the work is done.")
@click.option("--quiet", is_flag=True, help="Print results and errors only.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.pass_context
def main(ctx: click.Context, verbose: bool, quiet: bool, debug: bool) -> None:
    """Which expressive human pose and shape data is worth training on?

    Convert raw datasets into unified files, train and test a model on each, rank them, see why, select.
    """
    if verbose and quiet:
        raise click.UsageError("--verbose and --quiet contradict each other")
    ctx.with_resource(progress.shown(verbose=verbose, quiet=quiet))


main.add_command(humandata)
main.add_command(benchmark)
analysis.add_command(attributes_command)
main.add_command(analysis)
main.add_command(convert_command)
main.add_command(infer_command)


@main.command("demo")
@click.option("--out", type=FILE, default=Path("demo-out"), show_default=True, help="Folder for everything it makes.")
@seed
@as_json
def demo_command(out: Path, seed: int, as_json: bool) -> None:
    """Everything, end to end, on generated data."""
    need("the demo", "accelerate", "pyarrow", "umap", "jinja2")
    from ehps.demo import end_to_end

    outcome = end_to_end.run(out, seed=seed)
    if as_json:
        say_json({"report": str(outcome.page), "out": str(out), "seconds": round(outcome.seconds, 1)})
    else:
        end_to_end.say(out, outcome)


@main.command("datasets")
@click.argument("dataset", type=Word(datasets), required=False)
@as_json
def datasets_command(dataset: str | None, as_json: bool) -> None:
    """The datasets, or one of them with its raw layout."""
    from ehps.converters import registry

    if dataset is not None:
        dataset = registry.find(dataset)  # a wrong one is told before anything large is loaded
    from ehps.converters import cards
    from ehps.terminal import show

    if dataset is None:
        show(cards.rows(), json=as_json, least=["bodies", "scene", "splits", "data", "annotation"])
    elif as_json:
        say_json(cards.as_dict(dataset))
    else:
        for line in cards.page(dataset).splitlines():
            say(line)


@main.command("doctor")
@click.argument("disk", type=DISK, required=False)
@body_models
@as_json
def doctor_command(disk: Path | None, body_models: Path | None, as_json: bool) -> None:
    """What this machine has and lacks, and what to do.

    With DISK: which raw datasets lie there, complete, in part or in a wrong variant, and how to convert them.
    """
    from ehps import doctor
    from ehps.terminal import show

    if disk is None:
        show(doctor.examine(body_models), json=as_json, below=["to do"], keep=["state"])
        return
    found = doctor.datasets(disk, body_models, progress=True)
    if as_json:
        show(found, json=True)
        return
    there = found[found["state"] != "absent"]
    show(there[["dataset", "state", "folder", "splits", "lacks", "expect"]], below=["lacks", "expect"], keep=["state"])
    for _, row in there.iterrows():
        for sentence in (*row["obstacles"], *row["notes"]):
            say(f"{row['dataset']} {sentence}", fg="yellow")
    for command in there["commands"].explode().dropna():
        say(command)
    if there["commands"].map(len).sum() > 1:
        words = ["ehps", "convert", "--all", str(disk), "--out", "converted"]
        words += ["--body-models", str(body_models)] if body_models else []
        say(f"or all of them: {shlex.join(words)}")
    for _, row in there[there["state"] != "found"].iterrows():
        say(f"{row['dataset']}: {row['get']} ({row['licence']}; {row['register']})")
    absent = found[found["state"] == "absent"]
    show(absent[["dataset", "licence", "register"]], title=f"Not there: {len(absent)}")
    if names := ", ".join(absent["dataset"][absent["by_name"]]):
        say(f"Not recognised in a folder that has another name than theirs: {names}")
