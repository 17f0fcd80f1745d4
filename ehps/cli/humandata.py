"""``ehps humandata``: look at, check, draw, change and export files."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ehps.cli.changes import convert_command, merge_command, sample_command
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
    opened,
    pairs,
    say,
    say_json,
    seed,
)
from ehps.cli.exchange import export_command, forms_command, import_command
from ehps.errors import DataError, UsageError
from ehps.suffixes import IMAGE, PACK

if TYPE_CHECKING:
    from ehps.body.projected import ProjectedBodies
    from ehps.humandata import HumanData
    from ehps.humandata.image_checks import ImageCheck


SHOWN = 10


@click.group()
def humandata() -> None:
    """Look at, check, draw, change and export HumanData files."""


for command in (import_command, export_command, forms_command, convert_command, merge_command, sample_command):
    humandata.add_command(command)


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
