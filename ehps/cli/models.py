"""``ehps benchmark models`` and ``checkpoint``: which models there are, and what a file of weights is."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from ehps.cli.common import FILE, Output, Word, as_json, say, say_json
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
    """The models, or one of them with its input, training, files and published numbers.

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
    """What a file of weights is: of which model, and whether all its weights are there.

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
