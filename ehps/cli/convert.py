"""``ehps convert``: raw datasets into HumanData files, on this machine or on a cluster."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ehps.cli.common import (
    DISK,
    FILE,
    FOLDER,
    Input,
    Word,
    as_json,
    body_models,
    datasets,
    pairs,
    requeue,
    say,
    say_json,
    slurm,
    slurm_settings,
    splits,
)
from ehps.errors import DataError, UsageError
from ehps.extras import BACKEND_MODULES, need


@click.command("convert")
@click.argument("dataset", type=Word(datasets), required=False)
@click.argument("raw", type=Input("file or folder", fix="give what holds the dataset"), required=False)
@click.option("--all", "disk", type=DISK, metavar="DISK", help="Instead of DATASET RAW: all that lies on this disk.")
@click.option("--split", type=Word(splits), help="One of the dataset's splits; its first by default.")
@click.option("--out", type=FILE, required=True, help="The file to write: .h5 (native) or .npz (exchange).")
@body_models
@click.option("--jobs", default=1, show_default=True, help="Units read in parallel; with --launcher slurm, jobs.")
@click.option("--backend", type=click.Choice(["loky", "dask", "ray"]), default="loky", show_default=True)
@click.option("--scheduler", metavar="ADDRESS", help="Of a running cluster of dask or ray, whose workers convert.")
@click.option("--launcher", type=click.Choice(["local", "slurm"]), default="local", show_default=True)
@slurm
@requeue
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
    launcher: str,
    slurm: tuple[str, ...],
    requeue: bool,
    **kwargs: Any,
) -> None:
    """Convert a raw dataset into one HumanData file.

    DATASET is its id (`ehps datasets` lists them), RAW the folder that holds it as unpacked. For one's own images:
    `ehps convert coco FILE.json --images DIR --skeleton NAMES`, where FILE.json is COCO-style. With --all DISK all that
    `ehps doctor DISK` finds is converted into the folder --out, and with a plan, `ehps convert plan.yaml`, all that it
    lists; the exit code is 1 when one of them failed. The same command in several processes, on one machine or many,
    shares the work.
    """
    need("extracting frames", *(["av"] if kwargs["frames"] is not None else []))
    need(f"--backend {kwargs['backend']}", *BACKEND_MODULES.get(kwargs["backend"], ()))
    on_slurm = slurm_settings(slurm) if launcher == "slurm" else None
    if slurm and on_slurm is None:
        raise UsageError("--slurm is for --launcher slurm")
    if on_slurm is not None:
        need("the launcher slurm", "submitit")
    from ehps.converters import registry

    plan = Path(dataset) if dataset is not None and dataset.lower().endswith((".yaml", ".yml")) else None
    if dataset is not None and plan is None and dataset.lower() != "coco":
        dataset = registry.find(dataset)  # a wrong one is told before the pipeline is loaded
    if disk is not None or plan is not None:
        odd = [raw, images, skeleton, *options, *([dataset, plan] if disk is not None else [])]
        convert_many(disk, plan, odd, as_json, on_slurm, requeue, **kwargs)
        return
    if dataset is None or raw is None:
        raise UsageError("no dataset, or no folder of it, is given", fix="ehps convert DATASET RAW --out FILE")
    labels = dataset.lower() == "coco"
    if not labels and (images is not None or skeleton is not None):
        raise UsageError("--images and --skeleton are for `ehps convert coco FILE.json`")
    if on_slurm is not None:
        if labels:
            raise UsageError("labels of one's own are converted on one machine", fix="leave out --launcher slurm")
        convert_one_on_slurm(dataset, raw, pairs(options), on_slurm, requeue, as_json, **kwargs)
        return
    from ehps.converters.own import convert_labels
    from ehps.converters.pipeline import convert

    if labels:
        report = convert_labels(raw, images, skeleton, options=pairs(options), **kwargs)
    else:
        report = convert(dataset, raw, options=pairs(options), **kwargs)
    show_report(report, as_json)


def show_report(report: Any, as_json: bool) -> None:
    if as_json:
        say_json(report.to_json())
    else:
        report.print(tracebacks=click.get_current_context().find_root().params["debug"])


def convert_one_on_slurm(
    dataset: str,
    raw: Path,
    options: dict[str, str],
    settings: dict[str, Any],
    requeue: bool,
    as_json: bool,
    *,
    jobs: int,
    out: Path,
    split: str | None,
    **kwargs: Any,
) -> None:
    """Convert one dataset by jobs of a cluster, and show the report as if it had been done here."""
    from ehps.body.model_folder import body_models_folder
    from ehps.converters import registry
    from ehps.converters.pipeline.report import Report
    from ehps.converters.pipeline.slurm_conversion import convert_on_slurm

    if kwargs.pop("backend") != "loky" or kwargs.pop("scheduler") is not None:
        raise UsageError("--backend and --scheduler are not for --launcher slurm")
    models = body_models_folder(kwargs.pop("body_models"))
    split = split or registry.card(dataset).default_split
    asked = {"dataset": dataset, "raw": raw, "split": split, "out": out, "options": options, **kwargs}
    (result,) = convert_on_slurm(
        [absolute(asked | {"body_models": models})], out.parent / "slurm", jobs, settings, requeue=requeue
    )
    report = Report.of_current(out) if result.state != "failed" else None
    if report is None:
        raise DataError(result.note)
    show_report(report, as_json)


def convert_many(
    disk: Path | None,
    plan: Path | None,
    odd: list[Any],
    as_json: bool,
    settings: dict[str, Any] | None,
    requeue: bool,
    **options: Any,
) -> None:
    """Convert all that lies on a disk, or that a plan lists, with a table at the end."""
    import pandas as pd

    from ehps.body.model_folder import body_models_folder
    from ehps.converters.pipeline.conversions import converted_in_turn, read_plan
    from ehps.converters.pipeline.slurm_conversion import convert_on_slurm
    from ehps.converters.pipeline.whole_disk import findings_on
    from ehps.converters.pipeline.whole_disk import plan as plan_of
    from ehps.terminal import show

    out, jobs = options.pop("out"), options.pop("jobs")
    limit, overwrite, discard = (options.pop(name) for name in ("limit", "overwrite", "discard"))
    models = body_models_folder(options.pop("body_models"))
    if any(odd) or discard or any(value for name, value in options.items() if (name, value) != ("backend", "loky")):
        allowed = "--out, --body-models, --jobs, --limit, --overwrite, --launcher, --slurm and --json"
        where = "not for a plan" if plan else "not for a disk"
        taker = "a plan" if plan else "--all"
        raise UsageError(f"an option or argument is for one dataset, {where}", fix=f"{taker} takes {allowed}")
    if out.is_file() or out.suffix.lower() in (".h5", ".npz"):
        raise UsageError("is no folder", path=out, fix="give --out a folder, for one file a dataset and split")
    found = [] if disk is None else plan_of(findings_on(disk), models, progress=True)
    wanted = [one.arguments(out) for one in found if not one.obstacle] if plan is None else read_plan(plan, out, models)
    common = {"limit": limit} if limit is not None else {}
    wanted = [{**one, **common, "overwrite": overwrite} for one in wanted]
    if settings is not None:
        results = convert_on_slurm([absolute(one) for one in wanted], out / "slurm", jobs, settings, requeue=requeue)
    else:
        results = []
        for result in converted_in_turn(wanted, jobs=jobs):
            results.append(result)
            say(f"{result.dataset} {result.split}: {result.state}", err=True)
    notes = {one.file: one.note for one in found}
    results = [replace(one, note="; ".join(filter(None, [notes.get(one.file), one.note]))) for one in results]
    results += [one.left_out for one in found if one.obstacle]
    results.sort(key=lambda result: [*notes, result.file].index(result.file))
    if as_json:
        say_json([result.to_json() for result in results])
    elif results:
        show(pd.DataFrame([result.to_json() for result in results]).astype({"rows": "Int64"}))
    else:
        say(f"nothing on {disk} can be converted; `ehps doctor` says what lies there")
    if any(result.state == "failed" for result in results):
        raise click.exceptions.Exit(1)


def absolute(arguments: dict[str, Any]) -> dict[str, Any]:
    """With paths that mean the same on another machine."""
    return {name: value.absolute() if isinstance(value, Path) else value for name, value in arguments.items()}
