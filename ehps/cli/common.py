"""Options and helpers that several commands share."""

from __future__ import annotations

import errno
import functools
import json
import math
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from ehps import progress, terminal
from ehps.errors import DataError, EhpsError, UsageError
from ehps.suffixes import check_suffix

if TYPE_CHECKING:
    from ehps.humandata import HumanData

FILE = click.Path(path_type=Path)
as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
body_models = click.option(
    "--body-models", type=FILE, envvar="EHPS_BODY_MODELS", help="Folder of SMPL-X, SMPL-H and SMPL files."
)


class Input(click.Path):
    """A file or folder to be read: one that is not there is told before anything large is loaded."""

    def __init__(self, what: str, fix: str = "check the path") -> None:
        super().__init__(path_type=Path)
        self.what = what
        self.fix = fix

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if not (path.is_dir() if self.what == "folder" else path.exists()):
            raise DataError(f"there is no such {self.what}", path=path, fix=self.fix)
        return path


INPUT = Input("file")
FOLDER = Input("folder")
DISK = Input("folder", fix="give the folder that holds your raw datasets")
IMAGES = Input("folder", fix="give the folder that image paths are relative to")


class Output(click.Path):
    """A file to be written, whose suffix says as what: others are refused before any work."""

    def __init__(self, suffixes: tuple[str, ...]) -> None:
        super().__init__(path_type=Path)
        self.suffixes = suffixes

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return check_suffix(Path(os.fsdecode(super().convert(value, param, ctx))), self.suffixes)


class Number(click.FloatRange):
    """A number in a range; ``nan`` and ``inf``, which no comparison keeps out of one, are refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no finite number.", param, ctx)
        return number


class Word(click.ParamType):
    """Text of which the shell completes the words that ``words`` knows; ``check`` gives its full form or refuses it."""

    name = "text"

    def __init__(
        self, words: Callable[[click.Context], Iterable[str]], check: Callable[[str], str] | None = None
    ) -> None:
        self.words = words
        self.check = check

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return self.check(value) if self.check is not None else value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        known = self.words(ctx)
        return [CompletionItem(word) for word in known if word.lower().startswith(incomplete.lower())]


def datasets(ctx: click.Context) -> list[str]:
    from ehps.converters import registry

    return registry.ids()


def splits(ctx: click.Context) -> list[str]:
    """Those of the dataset that is the first argument; click does not look at it when an option lacks its value."""
    from ehps.converters import registry

    dataset = ctx.params.get("dataset") or next(iter(ctx.args), None)
    return list(registry.card(dataset).splits) if dataset else []


def protocols(ctx: click.Context) -> tuple[str, ...]:
    from ehps.benchmark.protocols import catalogue

    return catalogue.names()


def protocol_id(word: str) -> str:
    """The id of a protocol with its settings: ``ubody-intra[step=1]``."""
    from ehps.benchmark.protocols import catalogue

    return catalogue.get(word).id


def conventions(ctx: click.Context) -> list[str]:
    from ehps.humandata.keypoints import CONVENTIONS

    return sorted(CONVENTIONS)


slurm = click.option(
    "--slurm", multiple=True, metavar="KEY=VALUE", help="Of the jobs, as submitit has it: slurm_partition=..."
)
requeue = click.option(
    "--requeue/--no-requeue",
    default=True,
    show_default=True,
    help="Jobs of Slurm save and go back into the queue when their time is over or their node is taken.",
)
seed = click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)


class Commands(click.Group):
    """A group whose commands report what the user or the machine can mend as a sentence, with its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        debug = ctx.find_root().params.get("debug")
        try:
            return super().invoke(ctx)
        except EhpsError as error:
            if debug:
                raise
            for line in error.lines:
                say(f"error: {line}", fg="red", err=True)
            ctx.exit(error.exit_code)
        except OSError as error:
            if debug or error.errno == errno.EPIPE or error.strerror is None:
                raise
            where = f"{error.filename}: " if error.filename else ""
            say(f"error: {where}{error.strerror}", fg="red", err=True)
            ctx.exit(1)
        except UnicodeEncodeError as error:
            if debug:
                raise
            say(f"error: a name is no UTF-8 ({error.object}). Rename it", fg="red", err=True)
            ctx.exit(1)
        except MemoryError:
            if debug:
                raise
            say("error: this needs more memory than there is", fg="red", err=True)
            ctx.exit(1)
        except KeyboardInterrupt as error:
            say(
                str(error) or "interrupted; what is finished is kept, run the command again",
                fg="yellow",
                err=True,
            )
            ctx.exit(getattr(error, "exit_code", 130))


def say(text: object, *, fg: str | None = None, err: bool = False) -> None:
    """Print one line; whatever of it no terminal should see is escaped (:func:`ehps.terminal.printable`).

    Remarks, which are what goes to the standard error stream and is no error, are left out with ``--quiet``.
    """
    if not (err and fg != "red" and progress.is_quiet()):
        terminal.line(text, colour=fg, err=err)


def say_json(value: Any) -> None:
    """Print a value as JSON, in ASCII, which needs no escaping."""
    click.echo(json.dumps(value, indent=2))


def pairs(values: Sequence[str]) -> dict[str, str]:
    """``name=value`` arguments as a dict."""
    for value in values:
        if "=" not in value:
            raise UsageError(f"{value!r} is not NAME=VALUE")
    return dict(value.split("=", 1) for value in values)


def slurm_settings(values: Sequence[str]) -> dict[str, int | str]:
    """Those of ``--slurm``, whole numbers as such."""
    return {name: int(value) if value.isdecimal() else value for name, value in pairs(values).items()}


def number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{text!r} is not a number") from None


def bodies(folder: Path | None) -> Any:
    """The body models in ``folder``, which must be given."""
    from ehps.body.model_folder import body_models_folder
    from ehps.body.models import BodyModels

    found = body_models_folder(folder)
    if found is None:
        raise UsageError("this needs body models", fix="pass --body-models DIR or set EHPS_BODY_MODELS")
    return BodyModels(found)


def opened(command: Callable[..., None]) -> Callable[..., None]:
    """Hand the command the file of its FILE argument as ``hd``."""

    @click.argument("file", type=INPUT)
    @functools.wraps(command)
    def wrapper(file: Path, **kwargs: Any) -> None:
        from ehps.humandata import HumanData

        command(hd=HumanData.open(file), **kwargs)

    return wrapper


def whole(hd: HumanData) -> HumanData:
    """``hd`` as it was opened, whose bytes are those that were written; of an ``.npz``, opening has checked them."""
    from ehps.humandata.storage import h5

    if hd.source is not None and hd.source.suffix.lower() == ".h5":
        h5.check_bytes(hd.source)
    return hd


overwrite = click.option(
    "--overwrite", is_flag=True, help="Replace the file to write where it is there already; never one that is read."
)


def new_file(out: Path | None, overwrite: bool, *inputs: Path | None) -> Path:
    """``out``, which is none of the inputs, and is not there unless it is to be replaced."""
    from ehps.humandata.operations import check_output

    assert out is not None
    return check_output(out, inputs, overwrite=overwrite)
