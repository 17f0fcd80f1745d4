"""``ehps benchmark models``, ``checkpoint`` and ``reproduce``: which models there are, what a file of weights is, and
whether it gives its published numbers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from ehps.cli.common import FILE, FOLDER, INPUT, Output, Word, as_json, bodies, body_models, say, say_json
from ehps.errors import UsageError
from ehps.extras import need
from ehps.suffixes import WEIGHTS


def model_names(ctx: click.Context) -> Iterable[str]:
    from ehps.benchmark import models

    return models.names()


@click.command("models")
@click.argument("name", type=Word(model_names), required=False)
@click.option("--stage", metavar="STAGE", help="Print the settings of this stage of its training, as YAML.")
@as_json
def models_command(name: str | None, stage: str | None, as_json: bool) -> None:
    """The models, or one of them with all that is known of it.

    Its input, training, files and published numbers.
    `ehps benchmark models smpler_x_s --stage single > settings.yaml` makes a file for `ehps benchmark train --config`.
    """
    from ehps.benchmark.models import pages
    from ehps.terminal import show

    if stage is not None and name is None:
        raise UsageError("--stage is of one model", fix="name it: ehps benchmark models NAME --stage STAGE")
    if name is None:
        show(pages.rows(), json=as_json, least=["stages", "public weights"])
    elif stage is not None:
        settings = pages.stage_settings(name, stage)
        if as_json:
            say_json(settings)
            return
        need("writing YAML", "yaml")
        import yaml

        for line in yaml.safe_dump(settings, sort_keys=False).splitlines():
            say(line)
    elif as_json:
        say_json(pages.as_dict(name))
    else:
        for line in pages.page(name).splitlines():
            say(line)


@click.command("checkpoint")
@click.argument("file", type=FILE)
@click.option("--model", type=Word(model_names), help="Compare it with this model; by default with what it is of.")
@click.option("--out", type=Output(WEIGHTS), help="Write weights and declaration alone: .pt or .safetensors.")
@as_json
def checkpoint_command(file: Path, model: str | None, out: Path | None, as_json: bool) -> None:
    """What a file of weights is, and whether it is whole.

    Of any origin: SMPLer-X, SMPLest-X, PyMAF, SMPLer, ehps, and what they start from: ViTPose, ResNet, HRNet. Nothing
    in it is run. With --out it becomes a checkpoint of ehps without the state of the optimiser, for
    `ehps benchmark evaluate --checkpoint`. The exit code is 1 when weights of the model are missing, unexpected, or of
    another shape.
    """
    from ehps.benchmark.models.file_reports import examine

    found = examine(file, model)
    if as_json:
        say_json(found.to_dict())
    else:
        for line in found.lines():
            say(line)
    if out is not None:
        from ehps.benchmark.training import checkpoints

        say(checkpoints.slim(file, out, model=model), err=True)
    if found.fit is not None and not found.fits:
        raise click.exceptions.Exit(1)


@click.command("reproduce")
@click.argument("name", type=Word(model_names))
@click.option("--checkpoint", type=INPUT, required=True, help="The public file of weights.")
@click.option("--data", type=FOLDER, required=True, help="Folder of converted test sets; told by dataset and split.")
@click.option("--out", type=FILE, help="Run folder of predictions and errors; by default named after the file.")
@click.option("--weights", metavar="WEIGHTS", help="Which published weights these are; by default as the file's name.")
@click.option("--workers", type=click.IntRange(min=0), default=2, show_default=True)
@body_models
@as_json
def reproduce_command(
    name: str,
    checkpoint: Path,
    data: Path,
    out: Path | None,
    weights: str | None,
    workers: int,
    body_models: Path | None,
    as_json: bool,
) -> None:
    """Published numbers of the model NAME, and ours beside them.

    Of every test whose numbers `ehps benchmark models NAME` lists with a protocol and whose set is in --data; sets that
    are not there are named. Where a difference is above 0.5 mm (0.5 %), it says which fields of the protocol are in
    question. The exit code is 1 when no number could be made.
    """
    need("evaluation", "pyarrow")
    from ehps.benchmark.suites.reproduction import reproduce
    from ehps.terminal import show

    folder = out or Path(f"{checkpoint.name.split('.')[0]}_reproduced")
    found = reproduce(
        name, checkpoint, data, folder, bodies(body_models), weights=weights, workers=workers, progress=True
    )
    if as_json:
        say_json(found.to_dict())
    else:
        rows = [
            {key: value for key, value in line.to_dict().items() if key not in ("why", "in_question")}
            for line in found.lines
        ]
        order = ["weights", "test", "metric", "ours", "theirs", "difference", "unit", "n", "protocol", "source"]
        least = ["n", "weights"]
        show([{key: row[key] for key in order} for row in rows], digits=2, least=least, below=["protocol", "source"])
        say_differences(found)
    if all(line.ours is None for line in found.lines):
        raise click.exceptions.Exit(1)


def say_differences(found: Any) -> None:
    """What explains differences, what could not be made, and which numbers were not looked at."""
    for line in found.lines:
        if line.in_question:
            say(f"{line.test}, {line.metric} differs by {line.difference:+.2f} {line.unit}; in question:")
            for question in line.in_question:
                say(f"  {question}")
        elif line.why and line.why not in found.missing.values():
            say(line.why, fg="yellow", err=True)
    for protocol, why in found.missing.items():
        say(f"not made: {protocol}; {why}", fg="yellow", err=True)
    if found.elsewhere:
        say(f"published, and not of a test here: {'; '.join(found.elsewhere)}", err=True)
    if found.other_weights:
        say(f"other weights with published numbers (--weights): {'; '.join(found.other_weights)}", err=True)
