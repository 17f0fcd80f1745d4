"""``ehps humandata``: look at, check, draw, change and export files."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ehps.cli.common import FILE, as_json, body_models, number, pairs, say, say_json, seed, whole_number
from ehps.errors import DataError, UsageError

if TYPE_CHECKING:
    from ehps.humandata import HumanData
    from ehps.humandata.image_checks import ImageCheck


SHOWN = 10


@click.group()
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


def whole(hd: HumanData) -> HumanData:
    """``hd`` as it was opened, whose bytes are those that were written; of an ``.npz``, opening has checked them."""
    from ehps.humandata.storage import h5

    if hd.source is not None and hd.source.suffix.lower() == ".h5":
        h5.check_bytes(hd.source)
    return hd


images = click.option("--images", type=FILE, help="Folder that image paths are relative to.")


@humandata.command("info")
@as_json
@opened
def info_command(hd: HumanData, as_json: bool) -> None:
    """What is in FILE: columns, units, meanings, passport."""
    import pandas as pd

    from ehps.humandata import frames
    from ehps.humandata.operations import info
    from ehps.humandata.passport import CAMERA
    from ehps.terminal import show

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
    show(columns[["name", "shape", "dtype", "unit", "meaning"]])


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
@click.option("--images", type=FILE, help="Folder of the images: decode every one, once.")
@click.option("--jobs", type=click.IntRange(min=1), help="How many images at a time; one a core by default.")
@click.option("--exclude-to", type=FILE, help="Write an exclusion list of images that cannot be used: .txt or .json.")
@click.argument("file", type=FILE)
@as_json
def verify_command(file: Path, images: Path | None, jobs: int | None, exclude_to: Path | None, as_json: bool) -> None:
    """Check the bytes of FILE, and of its images.

    Those of an .h5 must be the ones that were written; with --images every image is decoded. The exit code is 1 when a
    column was damaged on the disk or by a copy, or an image is missing, cannot be decoded wholly, or has another size
    than FILE says.
    """
    from ehps.humandata import HumanData
    from ehps.humandata.storage import h5

    hashed = file.suffix.lower() == ".h5"
    if images is None and not hashed:
        raise UsageError(
            "only .h5 files hold the hashes of their columns", path=file, fix="give --images to check images"
        )
    if images is None and (jobs or exclude_to):
        raise UsageError("--jobs and --exclude-to are for images", fix="give their folder with --images")
    damaged = h5.damaged_columns(file) if hashed else []
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
    import numpy as np

    from ehps.humandata.exclusions import write_exclusions
    from ehps.humandata.image_checks import check_images
    from ehps.progress import counting

    if not images.is_dir():
        raise DataError("there is no such folder", path=images, fix="give the folder that image paths are relative to")
    with counting("decoding images", len(np.unique(hd["image_path"].codes))) as advance:
        check = check_images(hd, images, decode=True, jobs=jobs, advance=advance)
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
        show(measures.astype({"n": int}), title="Percentiles", digits=3)
    else:
        say("Nothing was measured: there are no model joints and no parameters.")
    counts = pd.DataFrame(list(found.counts.items()), columns=["check", "instances"])
    show(counts, title=f"{len(found.flagged):,} of {len(hd):,} instances are doubtful")
    for flag in found.flagged[:SHOWN]:
        say(f"row {flag.row}, {flag.id}: {'; '.join(flag.reasons)}")
    if len(found.flagged) > SHOWN:
        say(f"{len(found.flagged) - SHOWN:,} more; --out DIR lists all in exclude.json")
    for page in found.pages:
        say(f"drawn: {page}")


@humandata.command("view")
@click.option("--images", type=FILE, required=True, help="Folder that image paths are relative to.")
@click.option("--out", type=FILE, required=True, help="Folder for the pages.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=12, show_default=True, help="How many instances, drawn at random."
)
@click.option("--rows", help="Show these rows instead: 3,17,40.")
@seed
@click.option("--columns", help="Keypoint and box columns to draw, separated by commas.")
@opened
def view_command(
    hd: HumanData, images: Path, out: Path, limit: int, rows: str | None, seed: int, columns: str | None
) -> None:
    """Draw instances of FILE on their images."""
    from ehps.humandata.drawing.overlays import view
    from ehps.humandata.validation import require_columns

    require_columns(hd)
    wanted = None if rows is None else [whole_number(row) for row in rows.split(",")]
    pages = view(hd, images, out, rows=wanted, limit=limit, seed=seed, columns=columns.split(",") if columns else None)
    for page in pages:
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


@humandata.command("export")
@click.option("--for", "target", type=click.Choice(["smpler-x", "smplest-x", "aios"]), help="A loader to write for.")
@click.option("--out", type=FILE, required=True, help="An .npz or .h5 file; with --for, the loader's folder.")
@body_models
@opened
def export_command(hd: HumanData, target: str | None, out: Path, body_models: Path | None) -> None:
    """Write FILE in another format, or where a loader looks for it.

    With --for and body models, hand poses are converted to what the loader takes.
    """
    from ehps.humandata.export import export_for
    from ehps.humandata.validation import require_columns

    hd = whole(hd)
    if target is not None:
        require_columns(hd)
        hd = with_hands_for(hd, target, body_models)
    for path in export_for(hd, target, out) if target else [hd.save(out)]:
        say(path)


@humandata.command("convert")
@click.option("--frame", type=click.Choice(["camera"]), help="Move bodies from the world by the extrinsics in FILE.")
@click.option(
    "--declare",
    "facts",
    multiple=True,
    metavar="FIELD=VALUE",
    help="State what FILE does not: frame=opencv-camera, gender=neutral (or male, female), body_model_version=1.1, "
    "flat_hand_mean=false, focal=image, dataset=NAME, split=NAME.",
)
@click.option("--out", type=FILE, required=True, help="An .h5 or .npz file.")
@body_models
@opened
def convert_command(
    hd: HumanData,
    frame: str | None,
    facts: tuple[str, ...],
    out: Path,
    body_models: Path | None,
) -> None:
    """Give the numbers of FILE the meaning that the format has.

    A file of others does not say in which frame its bodies are. --frame camera moves those that are in the world by
    the extrinsics beside them (meta/R and meta/T, meta/RT, cam_param, cam_params); that needs the body models, as a
    body turns about its pelvis. --declare changes no number.
    """
    from ehps.humandata.frames import declared, extrinsic_names

    stated = pairs(facts)
    if frame is None and not stated:
        raise UsageError("nothing is to be converted", fix="pass --frame or --declare")
    if frame is not None and "frame" in stated:
        raise UsageError("--frame moves bodies, --declare frame= says that they need no move", fix="pass one of them")
    if "frame" in stated and (names := extrinsic_names(hd)):
        say(f"{', '.join(names)} stay for reference only, as meta/RT", fg="yellow", err=True)
    hd = declared(hd, stated)
    if frame is not None:
        hd = moved(hd, body_models)
    hd.save(out)
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
@click.argument("files", type=FILE, nargs=-1, required=True)
@click.option("--exclude", type=FILE, help="Leave out what this exclusion list names.")
@click.option("--out", type=FILE, required=True)
def merge_command(files: tuple[Path, ...], exclude: Path | None, out: Path) -> None:
    """Put all rows of FILES into one file.

    Files whose numbers mean different things are refused.
    """
    from ehps.humandata.operations import merge

    merged = merge(files, out, without=exclude)
    say(f"{merged.out}: {merged.instances:,} instances")
    if exclude is not None:
        say(f"left out: {merged.excluded:,} rows, which {exclude} names", err=True)
    for column, lacking in merged.left_out.items():
        say(f"left out: {column}, which {', '.join(lacking)} lacks", fg="yellow", err=True)


@humandata.command("keypoints")
@click.argument("convention", required=False)
@click.option("--out", type=FILE, help="Draw the points of CONVENTION on a figure: .png.")
@as_json
def keypoints_command(convention: str | None, out: Path | None, as_json: bool) -> None:
    """The keypoint conventions, or the numbered points of one."""
    import pandas as pd

    from ehps.humandata import keypoints
    from ehps.terminal import show

    if convention is None:
        if out is not None:
            raise UsageError("a figure shows one convention", fix="name it before --out")
        sizes = [(name, len(points)) for name, points in sorted(keypoints.CONVENTIONS.items())]
        show(pd.DataFrame(sizes, columns=["convention", "points"]), json=as_json)
        return
    names = keypoints.point_names(convention)
    if out is not None and out.suffix.lower() != ".png":
        raise UsageError("the figure is written as .png", path=out)
    show(pd.DataFrame({"index": range(len(names)), "point": names}), json=as_json)
    if out is not None:
        from ehps.humandata.drawing.convention_figure import draw_convention
        from ehps.humandata.drawing.pages import write_png

        write_png(out, draw_convention(convention))
        say(out, err=as_json)


@humandata.command("sample")
@click.option("--interval", type=int, help="Keep every N-th row.")
@click.option("--limit", type=int, help="Keep so many rows, drawn at random.")
@seed
@click.option("--exclude", type=FILE, help="Leave out what this exclusion list names.")
@click.option("--out", type=FILE, required=True)
@opened
def sample_command(
    hd: HumanData, interval: int | None, limit: int | None, seed: int, exclude: Path | None, out: Path
) -> None:
    """Take fewer rows of FILE."""
    from ehps.humandata import exclusions, operations

    if interval is None and limit is None and exclude is None:
        raise UsageError("no rows are chosen", fix="pass --interval, --limit or --exclude")
    hd = whole(hd)
    if exclude is not None:
        rows = exclusions.listed_rows(hd, exclude)
        hd = exclusions.exclude(hd, exclusions.read_exclusions(exclude))
        say(f"left out: {int(rows.sum()):,} rows, which {exclude} names", err=True)
    if interval is not None or limit is not None:
        hd = operations.sample(hd, interval=interval, limit=limit, seed=seed)
    hd.save(out)
    say(f"{out}: {len(hd):,} instances")
