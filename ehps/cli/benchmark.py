"""``ehps benchmark``: train, test, run a matrix, see where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ehps.cli.common import (
    FILE,
    INPUT,
    Output,
    Word,
    as_json,
    bodies,
    body_models,
    say,
    say_json,
)
from ehps.cli.models import checkpoint_command, model_names, models_command, reproduce_command
from ehps.cli.scores import (
    compare_command,
    export_command,
    protocols_command,
    rescore_command,
    score_command,
    scored_by,
    show_score,
)
from ehps.cli.suites import run_command, status_command, suites_command
from ehps.errors import UsageError
from ehps.extras import need
from ehps.suffixes import PACK

images = click.option(
    "--images",
    multiple=True,
    metavar="DIR",
    help="Folder of the images, or packed crops; that of DATA by default. Of a merged DATA: LABEL=DIR, else those that "
    "it names.",
)
exclude = click.option("--exclude", type=INPUT, help="Leave out the rows that this exclusion list names.")


@click.group()
def benchmark() -> None:
    """Train and test models.

    Every result is kept in a run folder and not computed twice.
    """


for command in (
    *(models_command, checkpoint_command, reproduce_command),
    *(run_command, suites_command, status_command),
    *(score_command, rescore_command, compare_command, export_command, protocols_command),
):
    benchmark.add_command(command)


@benchmark.command("train")
@click.argument("data", type=INPUT, nargs=-1, required=True)
@click.option(
    "--images",
    multiple=True,
    metavar="DIR",
    help="Folder of the images; that of DATA by default. Of several DATA one for all, or one each. "
    "Of a merged DATA: LABEL=DIR, else those that it names.",
)
@click.option("--out", type=FILE, required=True, help="The run folder.")
@click.option("--name", help="What the training set is called in results.")
@click.option("--config", type=INPUT, help="Settings in YAML or JSON, as in a suite; those given here go before.")
@click.option("--set", "assigned", multiple=True, metavar="KEY=VALUE", help="Any setting: clip=1, loss.shape=2, ...")
@click.option("--model", show_default="tiny")
@click.option("--stage", metavar="STAGE", help="Settings of this stage of the model's training; all others go before.")
@click.option("--steps", metavar="N", show_default="1000")
@click.option("--epochs", metavar="N", help="Instead of --steps.")
@click.option("--batch-size", metavar="N", show_default="32", help="Images a step, of all processes together.")
@click.option("--accumulate", metavar="N", show_default="1", help="Parts that a process takes its images in.")
@click.option("--lr", metavar="N", show_default="5e-4")
@click.option("--lr-min", metavar="N", show_default="1e-6", help="What --lr falls to over all steps.")
@click.option("--seed", metavar="N", show_default="2023")
@click.option(
    "--strategy", metavar="WORD", show_default="concat", help="How several DATA are mixed; or balance, mixture."
)
@click.option("--interval", metavar="N", show_default="1", help="Train on every N-th row; may be a fraction.")
@click.option("--workers", metavar="N", show_default="2")
@click.option("--skip-bad-batches", metavar="N", show_default="0", help="Steps without a finite loss to tolerate.")
@click.option("--skip-bad", "skip_bad_images", metavar="N", show_default="0", help="Unusable images to tolerate.")
@exclude
@body_models
@as_json
def train_command(
    data: tuple[Path, ...],
    images: tuple[str, ...],
    out: Path,
    name: str | None,
    config: Path | None,
    assigned: tuple[str, ...],
    stage: str | None,
    exclude: Path | None,
    body_models: Path | None,
    as_json: bool,
    **options: str | None,
) -> None:
    """Train one model on the HumanData files DATA.

    Several are mixed by the setting strategy. All images must be there, and of the size that DATA says. With more
    --steps, a run that is there goes on.
    """
    from ehps.benchmark.training.given_settings import folders_of_each, joint_name, read_given
    from ehps.yaml_files import read_yaml

    values = read_given(options, assigned, None if config is None else (config, read_yaml(config)))
    need("training", "accelerate")
    from ehps.benchmark.suites.evaluation import train_cell
    from ehps.benchmark.suites.runs import is_main
    from ehps.benchmark.training.specs import SetSpec, TrainConfig, image_folders
    from ehps.benchmark.training.stages import lines, under

    if exclude is not None and len(data) > 1:
        raise UsageError("--exclude is of one file", fix="write the sets into a suite, each with its own list")
    interval = values.pop("interval", 1)
    wanted = TrainConfig.from_dict(values if stage is None else under(stage, values))
    for line in lines(stage, values) if stage is not None and is_main() else ():
        say(line, err=True)
    specs = []
    for file, words in zip(data, folders_of_each(images, len(data)), strict=True):
        folder, folders = image_folders(words, file)
        specs.append(SetSpec(file, folder, interval, exclude=exclude, folders=folders))
        say_excluded(specs[-1])
    run = train_cell(out, name or joint_name(data), specs, wanted, bodies(body_models))
    if not is_main():
        return
    if went_on := run.went_on:
        say(went_on, fg="yellow", err=True)
    if as_json:
        facts = {name: run.manifest.get(name) for name in ("train_set", "trained_on", "weights_sha256", "world")}
        say_json({"run": str(run.folder), "checkpoint": str(run.checkpoint), **facts})
    else:
        say(run.checkpoint)


@benchmark.command("pack")
@click.argument("data", type=INPUT)
@click.option("--images", multiple=True, metavar="DIR", help="Folder of the images, as for train.")
@click.option("--out", type=Output(PACK), required=True, help="The file; one that is there is gone on with.")
@click.option("--scale", type=click.Choice(["256x192", "512x384"]), default="256x192", show_default=True)
@click.option(
    "--for-training/--exact",
    "for_training",
    default=True,
    show_default=True,
    help="As wide as the largest augmentation asks, or as the box.",
)
@click.option("--quality", type=click.IntRange(1, 100), default=92, show_default=True, help="Of the JPEG crops.")
@click.option(
    "--sampling",
    type=click.Choice(["averaged", "bilinear"]),
    default="averaged",
    show_default=True,
    help="Of large images: averaged down first, as tiny sees them, or as the released SMPLer-X weights do.",
)
@click.option("--box-ratio", default="0.9996", metavar="N", show_default=True, help="Scale of the stored boxes.")
@click.option("--interval", default="1", metavar="N", show_default=True, help="Pack every N-th row; may be a fraction.")
@click.option("--jobs", type=click.IntRange(min=1), help="Threads; one a core by default.")
@exclude
@as_json
def pack_command(
    data: Path,
    images: tuple[str, ...],
    out: Path,
    scale: str,
    for_training: bool,
    quality: int,
    sampling: str,
    jobs: int | None,
    exclude: Path | None,
    as_json: bool,
    **settings: str,
) -> None:
    """Write the people of DATA as small JPEG crops into one file.

    Give it to train and evaluate as --images instead of the folder, which they need no more. After a kill the same
    command goes on; with other rows it adds them.
    """
    import numpy as np

    from ehps.arrays import strided
    from ehps.benchmark.training.given_settings import read_given
    from ehps.benchmark.training.packing import pack
    from ehps.benchmark.training.specs import SetSpec, image_folders
    from ehps.humandata import HumanData

    values = read_given(settings, (), None)
    folder, folders = image_folders(images, data)
    spec = SetSpec(data, folder, exclude=exclude, folders=folders)
    hd = HumanData.open(data)
    excluded = spec.excluded(hd)
    say_excluded(spec)
    rows = np.arange(len(hd)) if excluded is None else np.flatnonzero(~excluded)
    rows = rows[strided(len(rows), values["interval"])]
    made = pack(
        data,
        folder,
        out,
        folders=folders,
        scale=scale,
        exact=not for_training,
        quality=quality,
        sampling=sampling,
        box_ratio=values["box_ratio"],
        rows=rows,
        jobs=jobs,
    )
    if as_json:
        say_json(made.to_dict())
    else:
        say(made)


@benchmark.command("evaluate")
@click.argument("run", type=FILE)
@click.argument("data", type=INPUT)
@images
@scored_by
@click.option("--name", help="What the test set is called in results.")
@click.option("--checkpoint", type=INPUT, help="Test these weights; RUN, which may be a new folder, gets the results.")
@click.option("--model", type=Word(model_names), help="The model of the weights, where it must be this one.")
@click.option(
    "--crop",
    type=click.Choice(["exact", "warp"]),
    default="exact",
    show_default=True,
    help="Of PyMAF, SMPLer: windows of whole pixels, as theirs, or one affine map, as in training.",
)
@exclude
@body_models
@as_json
def evaluate_command(
    run: Path,
    data: Path,
    images: tuple[str, ...],
    protocol: str,
    name: str | None,
    checkpoint: Path | None,
    model: str | None,
    crop: Any,
    exclude: Path | None,
    body_models: Path | None,
    as_json: bool,
) -> None:
    """Test the model of run folder RUN on the HumanData file DATA.

    Or weights that were trained elsewhere: a checkpoint of ehps, or a public file of SMPLer-X, SMPLest-X, PyMAF or
    SMPLer. All images must be there, and of the size that DATA says.
    """
    need("evaluation", "pyarrow")
    from ehps.benchmark.suites.evaluation import evaluate
    from ehps.benchmark.training.specs import SetSpec, image_folders

    folder, folders = image_folders(images, data)
    spec = SetSpec(data, folder, protocol=protocol, exclude=exclude, folders=folders)
    say_excluded(spec)
    score = evaluate(
        *(run, name or data.stem, spec, bodies(body_models)),
        **{"checkpoint": checkpoint, "model": model, "crop": crop, "progress": True},
    )
    show_score(score, as_json)


def say_excluded(spec: Any) -> None:
    """How many rows the exclusion list of a set leaves out."""
    from ehps.humandata import HumanData

    if spec.exclude is not None:
        hd = HumanData.open(spec.data)
        count = int(spec.excluded(hd).sum())
        say(f"left out: {count:,} of {len(hd):,} rows of {spec.data}, which {spec.exclude} names", err=True)
