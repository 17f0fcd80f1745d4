"""The ``ehps`` command: each command is a few lines over one library call.

Exit codes: 0 done, 1 the data or the machine is at fault, 2 the call is. Errors are printed as one sentence with
the file, the fault and the remedy; a traceback only with ``--debug``.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from ehps import __version__, progress
from ehps.cli.analysis import analysis
from ehps.cli.benchmark import benchmark
from ehps.cli.common import (
    DISK,
    FILE,
    FOLDER,
    Commands,
    Input,
    Word,
    as_json,
    body_models,
    datasets,
    pairs,
    say,
    say_json,
    seed,
    splits,
)
from ehps.cli.humandata import humandata
from ehps.errors import UsageError
from ehps.extras import BACKEND_MODULES, need


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
main.add_command(analysis)


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


@main.command("convert")
@click.argument("dataset", type=Word(datasets), required=False)
@click.argument("raw", type=Input("file or folder", fix="give what holds the dataset"), required=False)
@click.option("--all", "disk", type=DISK, metavar="DISK", help="Instead of DATASET RAW: all that lies on this disk.")
@click.option("--split", type=Word(splits), help="One of the dataset's splits; its first by default.")
@click.option("--out", type=FILE, required=True, help="The file to write: .h5 (native) or .npz (exchange).")
@body_models
@click.option("--jobs", default=1, show_default=True, help="Units read in parallel.")
@click.option("--backend", type=click.Choice(["loky", "dask", "ray"]), default="loky", show_default=True)
@click.option("--limit", type=int, help="Stop after this many instances.")
@click.option("--skip-bad", is_flag=True, help="Finish without units that cannot be read.")
@click.option("--strict", is_flag=True, help="What the dataset has but is not there (images, subjects) is an error.")
@click.option("--strict-images", is_flag=True, help="An image that is absent or cannot be read is an error.")
@click.option("--images", type=FOLDER, help="Folder of the images, for `convert coco FILE.json`.")
@click.option("--skeleton", help="Names of the points, a convention, or a file of names, for `convert coco FILE.json`.")
@click.option("--frames", type=FILE, help="Extract frames of video datasets into this folder.")
@click.option("--discard", is_flag=True, help="Remove finished units of other requests for the same output.")
@click.option("--option", "options", multiple=True, metavar="NAME=VALUE", help="Options of the dataset, see its card.")
@click.option("--overwrite", is_flag=True, help="Replace OUT whatever it holds, and convert again what is done.")
@as_json
def convert_command(
    dataset: str | None,
    raw: Path | None,
    disk: Path | None,
    images: Path | None,
    skeleton: str | None,
    as_json: bool,
    options: tuple[str, ...],
    **kwargs: Any,
) -> None:
    """Convert a raw dataset into one HumanData file.

    DATASET is its id (`ehps datasets` lists them), RAW the folder that holds it as unpacked. For one's own images:
    `ehps convert coco FILE.json --images DIR --skeleton NAMES`, where FILE.json is COCO-style. With --all DISK all that
    `ehps doctor DISK` finds is converted into the folder --out; the exit code is 1 when one of them failed.
    """
    need("extracting frames", *(["av"] if kwargs["frames"] is not None else []))
    need(f"--backend {kwargs['backend']}", *BACKEND_MODULES.get(kwargs["backend"], ()))
    from ehps.converters import registry

    if dataset is not None and dataset.lower() != "coco":
        dataset = registry.find(dataset)  # a wrong one is told before the pipeline is loaded
    from ehps.converters.own import LABELS, convert_labels
    from ehps.converters.pipeline import convert

    if disk is not None:
        convert_disk(disk, [dataset, raw, images, skeleton, *options], as_json, **kwargs)
        return
    if dataset is None or raw is None:
        raise UsageError("no dataset, or no folder of it, is given", fix="ehps convert DATASET RAW --out FILE")
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


def convert_disk(disk: Path, odd: list[Any], as_json: bool, **options: Any) -> None:
    """Convert all that lies on a disk, with a table at the end."""
    import pandas as pd

    from ehps.body.model_folder import body_models_folder
    from ehps.converters.pipeline.whole_disk import convert_all
    from ehps.terminal import show

    taken = {name: options.pop(name) for name in ("out", "jobs", "limit", "overwrite")}
    models = body_models_folder(options.pop("body_models"))
    if any(odd) or any(value for name, value in options.items() if (name, value) != ("backend", "loky")):
        allowed = "--out, --body-models, --jobs, --limit, --overwrite and --json"
        raise UsageError("an option or argument is for one dataset, not for a disk", fix=f"--all takes {allowed}")
    if taken["out"].is_file() or taken["out"].suffix.lower() in (".h5", ".npz"):
        raise UsageError("is no folder", path=taken["out"], fix="give --out a folder, for one file a dataset and split")
    results = []
    for result in convert_all(disk, body_models=models, **taken):
        results.append(result)
        say(f"{result.dataset} {result.split}: {result.state}", err=True)
    if as_json:
        say_json([result.to_json() for result in results])
    elif results:
        show(pd.DataFrame([result.to_json() for result in results]).astype({"rows": "Int64"}))
    else:
        say(f"nothing on {disk} can be converted; `ehps doctor` says what lies there")
    if any(result.state == "failed" for result in results):
        raise click.exceptions.Exit(1)


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
