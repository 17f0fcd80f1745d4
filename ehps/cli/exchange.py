"""``ehps humandata import``, ``export`` and ``forms``: to and from other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ehps.cli.common import (
    FILE,
    IMAGES,
    INPUT,
    Number,
    Output,
    Word,
    as_json,
    body_models,
    new_file,
    opened,
    overwrite,
    say,
    say_json,
    whole,
)
from ehps.errors import UsageError
from ehps.suffixes import HUMANDATA, check_suffix

if TYPE_CHECKING:
    from ehps.humandata import HumanData

SHOWN = 10  # files that are listed
LOADERS = {
    "smpler-x": "where SMPLer-X's data loader looks",
    "smplest-x": "where SMPLest-X's data loader looks",
    "aios": "where AiOS's data loader looks",
}


def written_forms(_: click.Context) -> list[str]:
    from ehps.exchange.forms import FORMS

    return [*LOADERS, *(form.name for form in FORMS if form.writer)]


def read_forms(_: click.Context) -> list[str]:
    from ehps.exchange.forms import FORMS

    return [form.name for form in FORMS if form.reader]


def check_written(name: str) -> str:
    from ehps.errors import did_you_mean
    from ehps.exchange.forms import FORMS

    known = [*LOADERS, *(form.name for form in FORMS if form.writer)]
    if name not in known:
        raise UsageError(f"nothing is written as {name!r}", fix=did_you_mean(name, known))
    return name


def check_read(name: str) -> str:
    from ehps.exchange.forms import form

    if not form(name).reader:
        raise UsageError(
            f"{name} is a form that is only written", fix="`ehps humandata forms` lists those that are read"
        )
    return name


@click.command("forms")
@as_json
def forms_command(as_json: bool) -> None:
    """Forms of other programs that are read and written."""
    import pandas as pd

    from ehps.exchange.forms import FORMS
    from ehps.terminal import show

    rows = [(name, "", "yes", what, "") for name, what in LOADERS.items()]
    rows += [(one.name, "yes" * bool(one.reader), "yes" * bool(one.writer), one.title, one.who) for one in FORMS]
    show(pd.DataFrame(rows, columns=["form", "read", "write", "what", "for"]), json=as_json, least=["for"])


@click.command("import")
@click.argument("source", type=INPUT)
@click.option("--as", "form", type=Word(read_forms, check_read), help="The form; found out where SOURCE tells it.")
@click.option("--out", type=Output(HUMANDATA), required=True, help="An .h5 or .npz file.")
@click.option("--images", type=FILE, help="Folder of the images, or for those that SOURCE holds.")
@click.option("--model-type", type=click.Choice(["smplx", "smplh", "smpl"]), help="Of the bodies.")
@click.option("--frame", help="Of the bodies: opencv-camera, or as the form has others.")
@click.option("--flat-hand-mean", type=click.Choice(["yes", "no"]), help="Whether hand poses are absolute.")
@click.option("--gender", type=click.Choice(["neutral", "male", "female"]), help="Of the body model.")
@click.option("--num-betas", type=click.IntRange(min=1), help="How many shape coefficients count.")
@click.option("--fps", type=Number(min=0.01), help="Frames a second, where SOURCE does not say.")
@overwrite
@body_models
@as_json
def import_command(
    source: Path,
    form: str | None,
    out: Path,
    images: Path | None,
    model_type: str | None,
    frame: str | None,
    flat_hand_mean: str | None,
    gender: str | None,
    num_betas: int | None,
    fps: float | None,
    overwrite: bool,
    body_models: Path | None,
    as_json: bool,
) -> None:
    """Read what another program wrote.

    What a form leaves open (in which frame bodies are, what hands are relative to, whose model it is) must be said.
    """
    from ehps.body.model_folder import body_models_folder
    from ehps.body.models import BodyModels
    from ehps.exchange.forms import Stated, read

    out = new_file(out, overwrite, source)
    folder = body_models_folder(body_models)
    stated = Stated(
        model_type,
        frame,
        None if flat_hand_mean is None else flat_hand_mean == "yes",
        gender,
        num_betas,
        fps,
        None if folder is None else BodyModels(folder),
    )
    hd, chosen = read(source, form, stated, images)
    hd.save(out)
    if as_json:
        say_json({"out": str(out), "form": chosen.name, "instances": len(hd), "passport": hd.passport.to_dict()})
    else:
        say(f"{out}: {len(hd):,} instances, read as {chosen.name} ({chosen.title})")


@click.command("export")
@click.option("--for", "target", type=Word(written_forms, check_written), help="A loader or form to write for.")
@click.option("--out", type=FILE, required=True, help="An .npz or .h5 file; with --for, the folder or file to write.")
@click.option("--images", type=IMAGES, help="Folder of the images, for forms that hold them.")
@click.option("--fps", type=Number(min=0.01), help="Number frames at so many a second; FILE's own times by default.")
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace the file to write, or in a folder the files of the same names, where they are there already; forms "
    "that need an empty folder refuse others all the same.",
)
@body_models
@as_json
@opened
def export_command(
    hd: HumanData,
    target: str | None,
    out: Path,
    images: Path | None,
    fps: float | None,
    overwrite: bool,
    body_models: Path | None,
    as_json: bool,
) -> None:
    """Write FILE in the form of another program.

    `ehps humandata forms` lists what --for takes. What a form cannot hold is named. With --for and body models, hand
    poses are converted to what a loader takes.
    """
    from ehps.humandata.merged_images import with_folders
    from ehps.humandata.validation import require_columns

    left_out: list[str] = []
    if (target is None or target in LOADERS) and (images or fps):
        raise UsageError("--images and --fps are for forms that hold images or times", fix="leave them out")
    if target is None:
        check_suffix(out, HUMANDATA)
        new_file(out, overwrite, hd.source)
        written = [with_folders(whole(hd), out).save(out)]
    elif target in LOADERS:
        written = for_loader(hd, target, out, overwrite, body_models)
    else:
        from ehps.body.model_folder import body_models_folder
        from ehps.body.models import BodyModels
        from ehps.exchange.forms import Sources, write

        new_output(out, target, overwrite, hd.source)
        require_columns(hd)
        folder = body_models_folder(body_models)
        sources = Sources(images, None if folder is None else BodyModels(folder), fps)
        done = write(hd, target, out, sources)
        written, left_out = done.files, done.left_out
    if as_json:
        say_json({"files": list(map(str, written)), "instances": len(hd), "left_out": left_out})
    else:
        for path in written[:SHOWN]:
            say(path)
        if len(written) > SHOWN:
            say(f"and {len(written) - SHOWN:,} more")
    for sentence in left_out:
        say(f"left out: {sentence}", fg="yellow", err=True)


def new_output(out: Path, target: str, overwrite: bool, source: Path | None) -> None:
    """Make sure that nothing is replaced that is not to be: a file, or files in a folder.

    Raises
    ------
    UsageError : the file is there, or there is something in the folder.
    """
    from ehps.exchange import croissant

    if target == "croissant" and out.suffix != ".json":  # lies beside the data
        out = out / croissant.NAME
    if not out.is_dir():
        new_file(out, overwrite, source)
    elif any(out.iterdir()) and not overwrite:
        fix = "name a new folder, or pass --overwrite to replace the files in it that have the same names"
        raise UsageError("is there already and is not empty", path=out, fix=fix)


def for_loader(hd: HumanData, target: str, out: Path, overwrite: bool, body_models: Path | None) -> list[Path]:
    """Write a file where a data loader looks for it."""
    from ehps.humandata.export import export_for, recipe_for
    from ehps.humandata.validation import require_columns

    for name in recipe_for(hd, target).files:
        new_file(out / name, overwrite, hd.source)
    hd = whole(hd)
    require_columns(hd)
    return export_for(with_hands_for(hd, target, body_models), target, out)


def with_hands_for(hd: HumanData, target: str, body_models: Path | None) -> HumanData:
    """``hd`` with absolute or relative hand poses, as ``target`` takes them; unchanged without body models."""
    from ehps.body.model_folder import body_models_folder
    from ehps.body.models import BodyModels
    from ehps.body.variants import with_hand_mean
    from ehps.humandata.export import recipe_for

    wanted = recipe_for(hd, target).flat_hand_mean
    if hd.passport.flat_hand_mean in (None, wanted) or f"{hd.body_model}/left_hand_pose" not in hd:
        return hd
    folder = body_models_folder(body_models)
    if folder is None:
        return hd
    form = "absolute, the mean hand added" if wanted else "relative, the mean hand subtracted"
    say(f"hand poses were made {form}", err=True)
    return with_hand_mean(hd, wanted, BodyModels(folder))
