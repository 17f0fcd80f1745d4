"""``ehps humandata convert``, ``merge`` and ``sample``: other files made of HumanData files."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ehps.cli.common import (
    FILE,
    INPUT,
    Number,
    Output,
    as_json,
    body_models,
    new_file,
    opened,
    overwrite,
    pairs,
    say,
    say_json,
    seed,
    whole,
)
from ehps.errors import UsageError
from ehps.suffixes import HUMANDATA

if TYPE_CHECKING:
    from ehps.humandata import HumanData
    from ehps.humandata.operations import Merged


@click.command("convert")
@click.option("--frame", type=click.Choice(["camera"]), help="Move bodies from the world by the extrinsics in FILE.")
@click.option("--gender", type=click.Choice(["neutral"]), help="Fit the neutral model to the bodies of other genders.")
@click.option("--to", type=click.Choice(["smplx", "smplh", "smpl"]), help="Fit this body model to the bodies.")
@click.option("--from-models", type=INPUT, help="Body models of FILE's bodies where those of --to are another release.")
@click.option("--num-betas", type=click.IntRange(min=1), help="Cut betas off, or fill them up with zeros.")
@click.option("--flat-hand-mean", type=click.Choice(["yes", "no"]), help="Make hand poses absolute (yes), or relative.")
@click.option(
    "--declare",
    "facts",
    multiple=True,
    metavar="FIELD=VALUE",
    help="State what FILE does not: frame=opencv-camera, gender=neutral (or male, female), body_model_version=1.1, "
    "flat_hand_mean=false, focal=image, dataset=NAME, split=NAME.",
)
@click.option("--out", type=Output(HUMANDATA), help="An .h5 or .npz file; NEW is the same.")
@overwrite
@body_models
@as_json
@opened
@click.argument("new", type=FILE, required=False)
def convert_command(
    hd: HumanData,
    new: Path | None,
    frame: str | None,
    gender: str | None,
    to: str | None,
    from_models: Path | None,
    num_betas: int | None,
    flat_hand_mean: str | None,
    facts: tuple[str, ...],
    out: Path | None,
    overwrite: bool,
    body_models: Path | None,
    as_json: bool,
) -> None:
    """Give the numbers of FILE the meaning that the format has.

    A file of others does not say in which frame its bodies are. --frame camera moves those that are in the world by
    the extrinsics beside them (meta/R and meta/T, meta/RT, cam_param, cam_params); that needs the body models, as a
    body turns about its pelvis. --declare changes no number.

    --to fits another body model to every body, or another release of the same (SMPL-X 1.1 to bodies of the locked head,
    or to those of 1.0 with --from-models); what that leaves is in meta/refit_residual_m, metres. Between SMPL and
    SMPL-X it needs the matrices of "Model transfer", for bodies of Momentum Human Rig (mhr/*) the package mhr and its
    files.

    Files can be merged when they have as many betas and the same mean of the hands. What --num-betas and --gender cost
    in millimetres is printed, and stated in the passport.
    """
    from ehps.body.common_form import changed
    from ehps.body.model_folder import body_models_folder
    from ehps.body.models import BodyModels
    from ehps.humandata.frames import declared, extrinsic_names
    from ehps.humandata.merged_images import with_folders

    stated = pairs(facts)
    form: dict[str, Any] = {"gender": gender, "num_betas": num_betas}
    form["flat_hand_mean"] = None if flat_hand_mean is None else flat_hand_mean == "yes"
    if frame is None and to is None and not stated and all(value is None for value in form.values()):
        fix = "pass --frame, --to, --gender, --num-betas, --flat-hand-mean or --declare"
        raise UsageError("nothing is to be converted", fix=fix)
    if frame is not None and "frame" in stated:
        raise UsageError("--frame moves bodies, --declare frame= says that they need no move", fix="pass one of them")
    if (out is None) == (new is None):
        raise UsageError("give one file to write: NEW, or --out NEW")
    out = new_file(out or new, overwrite, hd.source)
    if "frame" in stated and (names := extrinsic_names(hd)):
        say(f"{', '.join(names)} stay for reference only, as meta/RT", fg="yellow", err=True)
    hd = declared(hd, stated)
    if frame is not None:
        hd = moved(hd, body_models)
    if to is not None:
        hd = fitted(hd, to, body_models, from_models, gender, num_betas)
    elif from_models is not None:
        raise UsageError("--from-models is for --to", fix="pass --to smplx, smplh or smpl")
    if any(value is not None for value in form.values()):
        folder = body_models_folder(body_models)
        done = changed(hd, None if folder is None else BodyModels(folder), **form)
        hd = done.data
        for sentence in done.said or ("parameters have that form already",):
            say(sentence, err=True)
    with_folders(hd, out).save(out)
    if as_json:
        say_json({"out": str(out), "instances": len(hd), "passport": hd.passport.to_dict()})
    else:
        say(f"{out}: {len(hd):,} instances, frame {hd.passport.frame}")


def moved(hd: HumanData, body_models: Path | None) -> HumanData:
    """``hd`` in the camera frame; what was done, and how well the bodies fit there, is printed."""
    from ehps.body.model_folder import body_models_folder
    from ehps.body.models import BodyModels
    from ehps.body.world_frame import moved_to_camera

    folder = body_models_folder(body_models)
    if folder is None:
        raise UsageError(
            "moving bodies needs the body models: they turn about their pelvis", fix="pass --body-models DIR"
        )
    done = moved_to_camera(hd, BodyModels(folder))
    say(f"moved by {', '.join(done.extrinsics)}, which stay as meta/RT", err=True)
    if done.pixels:
        after, before = done.pixels["after"], done.pixels["before"]
        say(f"joints are {after:.1f} px from the 2D points in the median, {before:.1f} px before", err=True)
    else:
        say("there are no 2D points and intrinsics to check it by: look at it with `view`", fg="yellow", err=True)
    for name, what in done.points.items():
        if what == "left out":
            say(f"left out: {name}, which lies on the bodies in neither frame", fg="yellow", err=True)
        else:
            say(f"{name}: {'moved' if what == 'moved' else 'was in the camera frame already'}", err=True)
    return done.data


def fitted(
    hd: HumanData,
    model_type: str,
    body_models: Path | None,
    from_models: Path | None,
    gender: str | None,
    num_betas: int | None,
) -> HumanData:
    """``hd`` with bodies of another model type; how near they come is printed."""
    from ehps.body import mhr
    from ehps.body.model_folder import body_models_folder
    from ehps.body.models import BodyModels
    from ehps.body.refits import with_model

    folder = body_models_folder(body_models)
    if folder is None:
        raise UsageError("fitting a body model needs the body models", fix="pass --body-models DIR")
    if mhr.has_mhr(hd):
        if model_type != "smplx":
            raise UsageError("bodies of Momentum Human Rig can be fitted with smplx only", fix="pass --to smplx")
        done = mhr.with_smplx(hd, BodyModels(folder), num_betas=num_betas or 10)
        say(str(done.passport.changes), err=True)
        return done
    source = None if from_models is None else BodyModels(from_models)
    done = with_model(hd, BodyModels(folder), model_type, source=source, gender=gender, num_betas=num_betas or 10)
    say(str(done.passport.changes).split("; ")[-1], err=True)
    return done


@click.command("merge")
@click.argument("files", type=INPUT, nargs=-1, required=True)
@click.option("--exclude", type=INPUT, help="Leave out what this exclusion list names.")
@click.option("--images", multiple=True, metavar="FILE=DIR", help="Image folder of one of FILES.")
@click.option("--out", type=Output(HUMANDATA), required=True, help="An .h5 or .npz file.")
@overwrite
@as_json
def merge_command(
    files: tuple[Path, ...], exclude: Path | None, images: tuple[str, ...], out: Path, overwrite: bool, as_json: bool
) -> None:
    """Put all rows of FILES into one file.

    Files whose numbers mean different things are refused. Where images are in different folders (those that the
    reports of the conversions name, or --images), the merged file names them, so that it can be trained on.
    """
    from ehps.humandata.operations import merge

    given = {name: Path(folder) for name, folder in pairs(images).items()}
    merged = merge(files, new_file(out, overwrite, *files), without=exclude, images=given)
    if as_json:
        say_json({**asdict(merged), "out": str(merged.out), **_texts(merged)})
    else:
        say(f"{merged.out}: {merged.instances:,} instances")
    if exclude is not None:
        say(f"left out: {merged.excluded:,} rows, which {exclude} names", err=True)
    for column, lacking in merged.left_out.items():
        say(f"left out: {column}, which {', '.join(lacking)} lacks", fg="yellow", err=True)
    for one, other, rows in merged.repeated:
        say(f"{rows:,} rows of {other} are in {one} too: they are there twice", fg="yellow", err=True)
    for label, folder in merged.image_folders.items():
        say(f"images {label}/...: below {folder}" if label else f"images: below {folder}", err=True)
    if merged.unknown_folders and len(files) > 1:
        names = ", ".join(map(str, merged.unknown_folders))
        what = "paths stay as they are, relative to one folder (--images FILE=DIR says which it is)"
        say(f"not known: the image folder of {names}; {what}", fg="yellow", err=True)


def _texts(merged: Merged) -> dict[str, Any]:
    return {
        "unknown_folders": [str(path) for path in merged.unknown_folders],
        "repeated": [[str(one), str(other), rows] for one, other, rows in merged.repeated],
    }


@click.command("sample")
@click.option("--interval", type=Number(), help="Keep every N-th row; a fraction too.")
@click.option("--limit", type=int, help="Keep so many rows, drawn at random.")
@seed
@click.option("--exclude", type=INPUT, help="Leave out what this exclusion list names.")
@click.option("--out", type=Output(HUMANDATA), required=True, help="An .h5 or .npz file.")
@overwrite
@as_json
@opened
def sample_command(
    hd: HumanData,
    interval: float | None,
    limit: int | None,
    seed: int,
    exclude: Path | None,
    out: Path,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Take fewer rows of FILE."""
    from ehps.humandata import exclusions, operations
    from ehps.humandata.merged_images import with_folders

    if interval is None and limit is None and exclude is None:
        raise UsageError("no rows are chosen", fix="pass --interval, --limit or --exclude")
    out = new_file(out, overwrite, hd.source)
    hd = whole(hd)
    before = len(hd)
    if exclude is not None:
        rows = exclusions.listed_rows(hd, exclude)
        hd = exclusions.exclude(hd, exclusions.read_exclusions(exclude))
        say(f"left out: {int(rows.sum()):,} rows, which {exclude} names", err=True)
    if interval is not None or limit is not None:
        hd = operations.sample(hd, interval=interval, limit=limit, seed=seed)
    with_folders(hd, out).save(out)
    if as_json:
        say_json({"out": str(out), "instances": len(hd), "of": before})
    else:
        say(f"{out}: {len(hd):,} instances")
