"""``ehps humandata``: look at, check, draw, change and export files."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ehps.cli.common import (
    FILE,
    IMAGES,
    INPUT,
    Output,
    Word,
    as_json,
    body_models,
    conventions,
    number,
    pairs,
    say,
    say_json,
    seed,
)
from ehps.errors import DataError, UsageError
from ehps.suffixes import HUMANDATA, IMAGE, PACK, check_suffix

if TYPE_CHECKING:
    from ehps.body.projected import ProjectedBodies
    from ehps.humandata import HumanData
    from ehps.humandata.image_checks import ImageCheck
    from ehps.humandata.operations import Merged


SHOWN = 10


@click.group()
def humandata() -> None:
    """Look at, check, draw, change and export HumanData files."""


def opened(command: Callable[..., None]) -> Callable[..., None]:
    """Hand the command the file of its FILE argument as ``hd``."""

    @click.argument("file", type=INPUT)
    @functools.wraps(command)
    def wrapper(file: Path, **kwargs: Any) -> None:
        from ehps.humandata import HumanData

        command(hd=HumanData.open(file), **kwargs)

    return wrapper


def show_pack(file: Path, *, verify: bool, as_json: bool) -> None:
    """What packed crops are of; with ``verify`` each is decoded, and the exit code is 1 when one cannot be."""
    from ehps.benchmark.training.packs import Pack

    pack = Pack(file)
    faults = pack.faults() if verify else []
    if as_json:
        say_json(pack.to_dict() | ({"faults": faults} if verify else {}))
    else:
        say(pack)
        for fault in faults[:SHOWN]:
            say(fault)
        if verify and not faults:
            say("all crops are as they were written and were decoded")
    if faults:
        raise DataError(f"is damaged: {len(faults):,} of {len(pack):,} crops", path=file, fix="pack it again")


def whole(hd: HumanData) -> HumanData:
    """``hd`` as it was opened, whose bytes are those that were written; of an ``.npz``, opening has checked them."""
    from ehps.humandata.storage import h5

    if hd.source is not None and hd.source.suffix.lower() == ".h5":
        h5.check_bytes(hd.source)
    return hd


overwrite = click.option("--overwrite", is_flag=True, help="Replace the file to write where it is there already.")


def new_file(out: Path | None, overwrite: bool, *inputs: Path | None) -> Path:
    """``out``, which is none of the inputs, and is not there unless it is to be replaced."""
    from ehps.humandata.operations import check_output

    assert out is not None
    return check_output(out, inputs, overwrite=overwrite)


images = click.option("--images", type=IMAGES, help="Folder that image paths are relative to.")


@humandata.command("info")
@click.argument("file", type=INPUT)
@as_json
def info_command(file: Path, as_json: bool) -> None:
    """What is in FILE: columns, units, meanings, passport.

    Of packed crops: of which file they are.
    """
    import pandas as pd

    from ehps.humandata import HumanData, frames
    from ehps.humandata.operations import info
    from ehps.humandata.passport import CAMERA
    from ehps.terminal import show

    if file.suffix in PACK:
        show_pack(file, verify=False, as_json=as_json)
        return
    hd = HumanData.open(file)
    facts = info(hd)
    if as_json:
        say_json(facts)
        return
    say(f"{hd.source}: {len(hd):,} instances")
    passport = {key: value for key, value in facts["passport"].items() if value is not None}
    say("passport: " + ", ".join(f"{key} {value}" for key, value in passport.items()))
    if frames.posed_columns(hd.columns) and hd.passport.frame != CAMERA:
        say(f"the frame of its bodies is not known: {frames.way_out(hd)}", fg="yellow", err=True)
    columns = pd.DataFrame(facts["columns"])
    columns["shape"] = [" x ".join(map(str, shape)) for shape in columns["shape"]]
    show(columns[["name", "shape", "dtype", "unit", "meaning"]], least=["dtype", "unit"])


@humandata.command("validate")
@images
@as_json
@opened
def validate_command(hd: HumanData, images: Path | None, as_json: bool) -> None:
    """Check FILE against the schema.

    The bytes of an .h5 are compared with the hashes stored in it; with --images also that its images are there and have
    the size that FILE says, by their headers. The exit code is 1 when something contradicts it.
    """
    import pandas as pd

    from ehps.humandata.storage import h5
    from ehps.terminal import show

    damage = h5.verify(hd.source) if hd.source is not None and hd.source.suffix.lower() == ".h5" else []
    problems = hd.validate(images)
    if as_json or problems or damage:
        rows = [{"column": "", "problem": what, "rows": 0} for what in damage]
        rows += [{"column": p.column, "problem": p.what, "rows": p.count} for p in problems]
        show(pd.DataFrame(rows, columns=["column", "problem", "rows"]), json=as_json)
    else:
        say(f"{hd.source}: {len(hd):,} instances, no problems")
    if problems or damage:
        raise click.exceptions.Exit(1)


@humandata.command("verify")
@click.option("--images", type=IMAGES, help="Folder of the images: decode every one, once.")
@click.option("--jobs", type=click.IntRange(min=1), help="How many images at a time; one a core by default.")
@click.option("--exclude-to", type=FILE, help="Write an exclusion list of images that cannot be used: .txt or .json.")
@click.argument("file", type=INPUT)
@as_json
def verify_command(file: Path, images: Path | None, jobs: int | None, exclude_to: Path | None, as_json: bool) -> None:
    """Check the bytes of FILE, and of its images.

    Those of an .h5 must be the ones that were written; with --images every image is decoded. The exit code is 1 when a
    column was damaged on the disk or by a copy, or an image is missing, cannot be decoded wholly, or has another size
    than FILE says. Packed crops are all decoded.
    """
    from ehps.humandata import HumanData
    from ehps.humandata.storage import h5

    if file.suffix in PACK:
        if images or jobs or exclude_to:
            raise UsageError("packed crops are checked without images", path=file, fix="leave out the other options")
        show_pack(file, verify=True, as_json=as_json)
        return
    hashed = file.suffix.lower() == ".h5"
    if images is None and not hashed:
        raise UsageError(
            "only .h5 files hold the hashes of their columns", path=file, fix="give --images to check images"
        )
    if images is None and (jobs or exclude_to):
        raise UsageError("--jobs and --exclude-to are for images", fix="give their folder with --images")
    damaged = h5.damaged_columns(file, show=None) if hashed else []
    facts: dict[str, Any] = {"file": str(file)}
    if hashed:
        facts |= {"content_sha256": h5.content_hash(file), "damaged": damaged}
        if not damaged and not as_json:
            say(f"{file}: all columns are as they were written, content {h5.content_hash(file)}")
    check = (
        None if images is None or damaged else checked_images(HumanData.open(file), images, jobs, exclude_to, as_json)
    )
    if check is not None:
        facts |= {"images": check.images, "broken": [asdict(fault) for fault in check.faults]}
    if as_json:
        say_json(facts)
    if damaged:
        raise DataError(f"was damaged: {', '.join(damaged)}", path=file, fix="copy or convert it again")
    if check is not None and check.faults:
        raise click.exceptions.Exit(1)


def checked_images(hd: HumanData, images: Path, jobs: int | None, exclude_to: Path | None, as_json: bool) -> ImageCheck:
    """What decoding all images finds, told unless as JSON and written as an exclusion list."""
    from ehps.humandata.exclusions import write_exclusions
    from ehps.humandata.image_checks import check_images

    check = check_images(hd, images, decode=True, jobs=jobs)
    if not as_json:
        rows = int((check.wrong > 0).sum())
        sound = f"all {check.images:,} images were decoded and have the size that it says"
        broken = f"{len(check.faults):,} of {check.images:,} images cannot be used, {rows:,} rows"
        say(f"{hd.source}: {broken if check.faults else sound}")
        for fault in check.faults[:SHOWN]:
            say(f"{fault.image_path} (row {fault.row}): {fault.reason}")
        if len(check.faults) > SHOWN:
            say(f"{len(check.faults) - SHOWN:,} more; --exclude-to LIST lists all")
    if exclude_to is not None:
        say(f"written: {write_exclusions(check.exclusions(hd), exclude_to)}", err=as_json)
    return check


@humandata.command("audit")
@images
@click.option("--out", type=FILE, help="Folder for percentiles, the exclusion list and drawings of the worst.")
@click.option("--threshold", "thresholds", multiple=True, metavar="NAME=VALUE", help="Change a threshold.")
@click.option("--worst", type=click.IntRange(min=0), default=12, show_default=True, help="How many instances to draw.")
@as_json
@opened
def audit_command(
    hd: HumanData, images: Path | None, out: Path | None, thresholds: tuple[str, ...], worst: int, as_json: bool
) -> None:
    """What was measured on FILE, and what is doubtful."""
    import pandas as pd

    from ehps.humandata.audit import audit
    from ehps.humandata.validation import require_columns
    from ehps.terminal import show

    require_columns(hd)
    found = audit(hd, images, out, {k: number(v) for k, v in pairs(thresholds).items()}, worst=worst)
    if as_json:
        say_json(found.to_dict())
        return
    if found.percentiles:
        measures = pd.DataFrame(found.percentiles).T.rename_axis("measure").reset_index()
        show(measures.astype({"n": int}), title="Percentiles", digits=3, least=["p1", "p5", "mean", "min", "n"])
    for note in found.notes:
        say(note, fg="yellow")
    counts = pd.DataFrame(list(found.counts.items()), columns=["check", "instances"])
    show(counts, title=f"{len(found.flagged):,} of {len(hd):,} instances are doubtful")
    for flag in found.flagged[:SHOWN]:
        say(f"row {flag.row}, {flag.id}: {'; '.join(flag.reasons)}")
    if len(found.flagged) > SHOWN:
        say(f"{len(found.flagged) - SHOWN:,} more; --out DIR lists all in exclude.json")
    for page in found.pages:
        say(f"drawn: {page}")


@humandata.command("view")
@click.option("--images", type=IMAGES, required=True, help="Folder that image paths are relative to.")
@click.option("--out", type=FILE, required=True, help="Folder for the pages.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=12, show_default=True, help="How many instances, drawn at random."
)
@click.option("--rows", help="Show these rows instead: 3,17,40-45.")
@seed
@click.option("--columns", help="Keypoint and box columns to draw, separated by commas.")
@click.option("--mesh", is_flag=True, help="Draw the surfaces of the bodies, and the bodies from the side.")
@body_models
@as_json
@opened
def view_command(
    hd: HumanData,
    images: Path,
    out: Path,
    limit: int,
    rows: str | None,
    seed: int,
    columns: str | None,
    mesh: bool,
    body_models: Path | None,
    as_json: bool,
) -> None:
    """Draw instances of FILE on their images.

    With body models, --mesh draws the surfaces of their bodies, and of files without 2D points (predictions) the joints
    of the bodies are drawn.
    """
    from ehps.humandata.drawing.overlays import view
    from ehps.humandata.row_numbers import row_numbers
    from ehps.humandata.validation import require_columns

    require_columns(hd)
    bodies = bodies_to_draw(hd, mesh, body_models) if mesh or columns is None else None
    wanted = None if rows is None else row_numbers(rows, len(hd))
    names = columns.split(",") if columns else None
    pages = view(hd, images, out, rows=wanted, limit=limit, seed=seed, columns=names, bodies=bodies, mesh=mesh)
    if as_json:
        say_json({"pages": list(map(str, pages)), "missing": pages.missing, "unreadable": pages.unreadable})
    for page in pages if not as_json else ():
        say(page)
    absent = len(pages.missing) + len(pages.unreadable)
    if pages.missing and len(pages.missing) == pages.images:
        raise DataError(
            f"no image is there, {pages.missing[0]} for one",
            path=images,
            fix="give the folder that they are below, with --frames that one",
        )
    if pages.missing:
        say(f"{len(pages.missing)} images are not below {images}, {pages.missing[0]} for one", fg="yellow", err=True)
    for path, fault in pages.unreadable.items():
        say(f"{path} cannot be read: {fault}", fg="yellow", err=True)
    if pages.images and absent >= pages.images:
        raise DataError("no image could be read", path=images, fix="copy or unpack the images again")


def bodies_to_draw(hd: HumanData, mesh: bool, body_models: Path | None) -> ProjectedBodies | None:
    """Bodies of ``hd`` where surfaces are asked for or there are no 2D points; None where its columns are enough.

    Raises
    ------
    UsageError : surfaces or predictions are to be drawn, and body models are not given.
    """
    if not mesh and (hd.body_model is None or any(name.startswith("keypoints2d") for name in hd.columns)):
        return None
    from ehps.body.model_folder import body_models_folder
    from ehps.body.models import BodyModels
    from ehps.body.projected import ProjectedBodies, lacking_columns
    from ehps.humandata.drawing.legend import is_predicted

    folder = body_models_folder(body_models)
    wanted = mesh or is_predicted(hd)
    if folder is None and wanted:
        what = "drawing surfaces" if mesh else "drawing predictions, which have no 2D points,"
        raise UsageError(
            f"{what} needs the body models", path=hd.source, fix="pass --body-models DIR or set EHPS_BODY_MODELS"
        )
    if folder is None or (lacking_columns(hd) and not wanted):
        say(
            "there are no 2D points; with --body-models, and a camera in the file, its bodies are drawn",
            fg="yellow",
            err=True,
        )
        return None
    return ProjectedBodies(hd, BodyModels(folder))


@humandata.command("export")
@click.option("--for", "target", type=click.Choice(["smpler-x", "smplest-x", "aios"]), help="A loader to write for.")
@click.option("--out", type=FILE, required=True, help="An .npz or .h5 file; with --for, the loader's folder.")
@overwrite
@body_models
@as_json
@opened
def export_command(
    hd: HumanData, target: str | None, out: Path, overwrite: bool, body_models: Path | None, as_json: bool
) -> None:
    """Write FILE in another format, or where a loader looks for it.

    With --for and body models, hand poses are converted to what the loader takes.
    """
    from ehps.humandata.export import export_for, recipe_for
    from ehps.humandata.merged_images import with_folders
    from ehps.humandata.validation import require_columns

    if target is None:
        check_suffix(out, HUMANDATA)
    written = [out] if target is None else [out / name for name in recipe_for(hd, target).files]
    for path in written:
        new_file(path, overwrite, hd.source)
    hd = whole(hd)
    if target is not None:
        require_columns(hd)
        hd = with_hands_for(hd, target, body_models)
    written = export_for(hd, target, out) if target else [with_folders(hd, out).save(out)]
    if as_json:
        say_json({"files": list(map(str, written)), "instances": len(hd)})
    for path in written if not as_json else ():
        say(path)


@humandata.command("convert")
@click.option("--frame", type=click.Choice(["camera"]), help="Move bodies from the world by the extrinsics in FILE.")
@click.option("--gender", type=click.Choice(["neutral"]), help="Fit the neutral model to the bodies of other genders.")
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
    if frame is None and not stated and all(value is None for value in form.values()):
        fix = "pass --frame, --gender, --num-betas, --flat-hand-mean or --declare"
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


@humandata.command("merge")
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


@humandata.command("keypoints")
@click.argument("convention", type=Word(conventions), required=False)
@click.option("--figure", type=Output(IMAGE), help="Draw the points of CONVENTION on a body: .png.")
@as_json
def keypoints_command(convention: str | None, figure: Path | None, as_json: bool) -> None:
    """The keypoint conventions, or the numbered points of one."""
    import pandas as pd

    from ehps.humandata import keypoints
    from ehps.terminal import show

    if convention is None:
        if figure is not None:
            raise UsageError("a figure shows one convention", fix="name it before --figure")
        sizes = [(name, len(points)) for name, points in sorted(keypoints.CONVENTIONS.items())]
        show(pd.DataFrame(sizes, columns=["convention", "points"]), json=as_json)
        return
    names = keypoints.point_names(convention)
    show(pd.DataFrame({"index": range(len(names)), "point": names}), json=as_json)
    if figure is not None:
        from ehps.humandata.drawing.convention_figure import draw_convention, write_figure

        write_figure(figure, draw_convention(convention.lower()))
        say(figure, err=as_json)


@humandata.command("sample")
@click.option("--interval", type=int, help="Keep every N-th row.")
@click.option("--limit", type=int, help="Keep so many rows, drawn at random.")
@seed
@click.option("--exclude", type=INPUT, help="Leave out what this exclusion list names.")
@click.option("--out", type=Output(HUMANDATA), required=True, help="An .h5 or .npz file.")
@overwrite
@as_json
@opened
def sample_command(
    hd: HumanData,
    interval: int | None,
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
