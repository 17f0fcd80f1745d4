"""The ``ehps`` command: each command is a few lines over one library call.

Exit codes: 0 done, 1 the data or the machine is at fault, 2 the call is. Errors are printed as one sentence with
the file, the fault and the remedy; a traceback only with ``--debug``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ehps import __version__
from ehps.cli.analysis import analysis
from ehps.cli.benchmark import benchmark
from ehps.cli.common import FILE, Commands, as_json, body_models, pairs, say, say_json, seed
from ehps.cli.humandata import humandata
from ehps.errors import UsageError


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="ehps")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def main(debug: bool) -> None:
    """Which expressive human pose and shape data is worth training on?

    Convert raw datasets into unified files, train and test a model on each, rank them, see why, select.
    """


main.add_command(humandata)
main.add_command(benchmark)
main.add_command(analysis)


@main.command("demo")
@click.option("--out", type=FILE, default=Path("demo-out"), show_default=True, help="Folder for everything it makes.")
@seed
def demo_command(out: Path, seed: int) -> None:
    """Everything, end to end, on generated data."""
    from ehps.demo.end_to_end import run

    run(out, seed=seed)


@main.command("datasets")
@click.argument("dataset", required=False)
@as_json
def datasets_command(dataset: str | None, as_json: bool) -> None:
    """The datasets, or one of them with its raw layout."""
    from ehps.converters import cards
    from ehps.terminal import show

    if dataset is None:
        table = cards.overview()
        show(table if as_json else table.drop(columns=["splits", "bodies", "scene"]), json=as_json)
    elif as_json:
        say_json(cards.as_dict(dataset))
    else:
        for line in cards.page(dataset).splitlines():
            say(line)


@main.command("convert")
@click.argument("dataset")
@click.argument("raw", type=FILE)
@click.option("--split", help="One of the dataset's splits; its first by default.")
@click.option("--out", type=FILE, required=True, help="The file to write: .h5 (native) or .npz (exchange).")
@body_models
@click.option("--jobs", default=1, show_default=True, help="Units read in parallel.")
@click.option("--backend", type=click.Choice(["loky", "dask", "ray"]), default="loky", show_default=True)
@click.option("--limit", type=int, help="Stop after this many instances.")
@click.option("--skip-bad", is_flag=True, help="Finish without units that cannot be read.")
@click.option("--strict", is_flag=True, help="What the dataset has but is not there (images, subjects) is an error.")
@click.option("--strict-images", is_flag=True, help="An image that is absent or cannot be read is an error.")
@click.option("--images", type=FILE, help="Folder of the images, for `convert coco FILE.json`.")
@click.option("--skeleton", help="Names of the points, a convention, or a file of names, for `convert coco FILE.json`.")
@click.option("--frames", type=FILE, help="Extract frames of video datasets into this folder.")
@click.option("--discard", is_flag=True, help="Remove finished units of other requests for the same output.")
@click.option("--option", "options", multiple=True, metavar="NAME=VALUE", help="Options of the dataset, see its card.")
@as_json
def convert_command(
    dataset: str,
    raw: Path,
    images: Path | None,
    skeleton: str | None,
    as_json: bool,
    options: tuple[str, ...],
    **kwargs: Any,
) -> None:
    """Convert a raw dataset into one HumanData file.

    DATASET is its id (`ehps datasets` lists them), RAW the folder that holds it as unpacked. For one's own images:
    `ehps convert coco FILE.json --images DIR --skeleton NAMES`, where FILE.json is COCO-style.
    """
    from ehps.converters.own import LABELS, convert_labels
    from ehps.converters.pipeline import convert

    if dataset.lower() == LABELS:
        report = convert_labels(raw, images, skeleton, options=pairs(options), **kwargs)
    elif images is not None or skeleton is not None:
        raise UsageError("--images and --skeleton are for `ehps convert coco FILE.json`")
    else:
        report = convert(dataset, raw, options=pairs(options), **kwargs)
    if as_json:
        say_json(report.to_json())
    else:
        report.print(tracebacks=click.get_current_context().find_root().params["debug"])


@main.command("doctor")
@click.argument("disk", type=FILE, required=False)
@body_models
@as_json
def doctor_command(disk: Path | None, body_models: Path | None, as_json: bool) -> None:
    """What this machine has, which body models are found or missing, and what to do about it.

    With DISK: which raw datasets lie there, complete, in part or in a wrong variant, and how to convert them.
    """
    from ehps import doctor
    from ehps.terminal import show

    if disk is None:
        show(doctor.examine(body_models), json=as_json)
        return
    found = doctor.datasets(disk)
    if as_json:
        show(found, json=True)
        return
    there = found[found["state"] != "absent"]
    show(there[["dataset", "state", "folder", "splits", "lacks", "expect"]])
    for command in there["command"][there["command"] != ""]:
        say(command)
    for _, row in there[there["state"] != "found"].iterrows():
        say(f"{row['dataset']}: {row['get']} ({row['licence']}; {row['register']})")
    absent = found[found["state"] == "absent"]
    show(absent[["dataset", "licence", "register"]], title=f"Not there: {len(absent)}")
    if names := ", ".join(absent["dataset"][absent["by_name"]]):
        say(f"Not recognised in a folder that has another name than theirs: {names}")
