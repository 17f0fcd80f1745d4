"""The ``ehps`` command: each command is a few lines over one library call.

Exit codes: 0 done, 1 the data or the machine is at fault, 2 the call is. Errors are printed as one sentence with
the file, the fault and the remedy; a traceback only with ``--debug``.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ehps import __version__
from ehps.errors import EhpsError, UsageError

if TYPE_CHECKING:
    import pandas as pd

FILE = click.Path(path_type=Path)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
body_models = click.option(
    "--body-models", type=FILE, envvar="EHPS_BODY_MODELS", help="Folder of SMPL-X, SMPL-H and SMPL files."
)


class Commands(click.Group):
    """A group whose commands report :class:`EhpsError` as a sentence and its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except EhpsError as error:
            if ctx.find_root().params.get("debug"):
                raise
            click.secho(f"error: {error}", fg="red", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.secho("interrupted; the same command goes on from here", fg="yellow", err=True)
            ctx.exit(130)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="ehps")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def main(debug: bool) -> None:
    """Which expressive human pose and shape data is worth training on?

    Convert raw datasets into unified files, train and test a model on each, rank them, see why, select.
    """


def show(frame: pd.DataFrame, json_wanted: bool, *, title: str | None = None, digits: int = 1) -> None:
    """Print a table for people, or as JSON records."""
    if json_wanted:
        click.echo(frame.to_json(orient="records", indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, header_style="bold", title_justify="left")
    for name in frame.columns:
        numeric = frame[name].dtype.kind in "fiu"
        table.add_column(str(name), justify="right" if numeric else "left", overflow="fold")
    for row in frame.itertuples(index=False):
        table.add_row(*(_text(value, digits) for value in row))
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def _text(value: Any, digits: int) -> str:
    if value is None or value != value:
        return "-"
    return f"{value:,.{digits}f}" if isinstance(value, float) else f"{value}"


def pairs(values: Sequence[str]) -> dict[str, str]:
    """``name=value`` arguments as a dict."""
    for value in values:
        if "=" not in value:
            raise UsageError(f"{value!r} is not name=value")
    return dict(value.split("=", 1) for value in values)


# -- the main job ---------------------------------------------------------------------------------------------


@main.command()
@click.option("--out", type=FILE, default=Path("demo-out"), show_default=True, help="Folder for everything it makes.")
@click.option("--seed", default=0, show_default=True)
def demo(out: Path, seed: int) -> None:
    """Everything, end to end, on generated data: convert, train, test, rank, draw, report."""
    from ehps.demo.run import run

    run(out, seed=seed)


@main.command()
@click.argument("dataset", required=False)
@as_json
def datasets(dataset: str | None, as_json: bool) -> None:
    """The datasets and whether they can be converted; one of them whole with its raw layout."""
    from ehps.converters import cards

    if dataset is None:
        show(cards.overview(), as_json, digits=0)
    elif as_json:
        click.echo(json.dumps(cards.as_dict(dataset), indent=2))
    else:
        click.echo(cards.page(dataset))


@main.command()
@click.argument("dataset")
@click.argument("raw", type=FILE)
@click.option("--split", help="One of the dataset's splits; its first by default.")
@click.option("--out", type=FILE, required=True, help="The file to write: .h5 (native) or .npz (exchange).")
@body_models
@click.option("--jobs", default=1, show_default=True, help="Units read in parallel.")
@click.option("--backend", type=click.Choice(["loky", "dask", "ray"]), default="loky", show_default=True)
@click.option("--limit", type=int, help="Stop after this many instances.")
@click.option("--skip-bad", is_flag=True, help="Finish without units that cannot be read.")
@click.option("--strict-images", is_flag=True, help="An image that is named but absent is an error.")
@click.option("--frames", type=FILE, help="Extract frames of video datasets into this folder.")
@click.option("--option", "options", multiple=True, metavar="NAME=VALUE", help="Options of the dataset, see its card.")
@as_json
def convert(dataset: str, raw: Path, as_json: bool, options: tuple[str, ...], **kwargs: Any) -> None:
    """Convert the raw DATASET in folder RAW into one HumanData file."""
    from ehps.converters.pipeline import convert as run

    report = run(dataset, raw, options=pairs(options), **kwargs)
    click.echo(json.dumps(report.to_dict(), indent=2) if as_json else report.text())


@main.command()
@click.argument("disk", type=FILE, required=False)
@body_models
@as_json
def doctor(disk: Path | None, body_models: Path | None, as_json: bool) -> None:
    """What this machine has, what is missing, and what to do about it."""
    from ehps.doctor import examine

    show(examine(disk, body_models), as_json)


# -- files ----------------------------------------------------------------------------------------------------


@main.group()
def humandata() -> None:
    """Look at, check, draw, change and export HumanData files."""


def opened(command: Callable[..., None]) -> Callable[..., None]:
    """Hand the command the file of its FILE argument as ``hd``."""

    @click.argument("file", type=FILE)
    @functools.wraps(command)
    def wrapper(file: Path, **kwargs: Any) -> None:
        from ehps.humandata import HumanData

        command(hd=HumanData.open(file), **kwargs)

    return wrapper
