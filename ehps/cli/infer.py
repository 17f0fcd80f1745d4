"""``ehps infer``: images and videos in, people out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ehps.cli.common import FILE, IMAGES, INPUT, Number, as_json, bodies, body_models, say, say_json
from ehps.errors import UsageError

if TYPE_CHECKING:
    from ehps.inference.report import Outcome

SHOWN = 10


@click.command("infer")
@click.argument("given", metavar="INPUT")
@click.option("--checkpoint", type=INPUT, required=True, help="Of ehps, or one that was released.")
@click.option("--out", type=FILE, required=True, help="Folder for predictions.h5, overlays and report.json.")
@click.option("--model", help="Of which model the checkpoint is, where the file leaves that open.")
@click.option("--boxes", type=INPUT, help="People: HumanData, COCO .json, .csv or MOT .txt.")
@click.option("--whole", is_flag=True, help="People: one in each image.")
@click.option("--detector", metavar="NAME|FILE.onnx", help="People: as a detector finds them.")
@click.option(
    "--as",
    "like",
    type=click.Choice(["smpler-x", "smplest-x"]),
    help="Take of the detector's people those that the original's own inference takes.",
)
@click.option("--score", type=Number(0, 1), help="Least score of a detected person.")
@click.option("--nms", type=Number(0, 1), help="Most overlap of two detected people.")
@click.option("--smallest", metavar="WxH", help="Smallest box of a detected person, pixels.")
@click.option("--largest-only", is_flag=True, help="Take only the largest detected person of an image.")
@click.option("--box-ratio", type=Number(min=0.1), help="Scale of boxes; the checkpoint's by default.")
@click.option("--images", type=IMAGES, help="Folder of the images of a HumanData INPUT; the file's by default.")
@click.option("--fps", type=Number(min=0.01), help="Bring a video to so many frames a second.")
@click.option("--from", "begin", type=Number(min=0), help="Second of a video to begin at.")
@click.option("--to", "end", type=Number(min=0), help="Second of a video to end before.")
@click.option(
    "--view",
    type=click.Choice(["mesh", "joints", "boxes", "none"]),
    default="mesh",
    show_default=True,
    help="What overlays show.",
)
@click.option("--side/--no-side", default=True, show_default=True, help="Show people from the side, beside the frame.")
@click.option("--smooth", is_flag=True, help="Smooth a video's people over time.")
@click.option("--metric-camera", type=Number(min=1), metavar="FOCAL", help="Translations for a real camera.")
@click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True, help="People at a time.")
@click.option("--save-every", type=click.IntRange(min=1), default=256, show_default=True, help="Frames of a part.")
@click.option("--device", help="cpu, cuda, cuda:1; a GPU where there is one by default.")
@click.option("--skip-bad", is_flag=True, help="End well though frames cannot be read.")
@click.option(
    "--overwrite",
    is_flag=True,
    help="Remove predictions, overlays and report of an earlier run in --out, and begin anew.",
)
@body_models
@as_json
def infer_command(
    given: str,
    checkpoint: Path,
    out: Path,
    model: str | None,
    boxes: Path | None,
    whole: bool,
    detector: str | None,
    like: str | None,
    score: float | None,
    nms: float | None,
    smallest: str | None,
    largest_only: bool,
    box_ratio: float | None,
    images: Path | None,
    fps: float | None,
    begin: float | None,
    end: float | None,
    view: Any,
    side: bool,
    smooth: bool,
    metric_camera: float | None,
    batch_size: int,
    save_every: int,
    device: str | None,
    skip_bad: bool,
    overwrite: bool,
    body_models: Path | None,
    as_json: bool,
) -> None:
    """People of INPUT: an image, a folder or pattern of images, a video, a HumanData file.

    Their parameters, cameras, boxes and tracks are written as HumanData, and drawn on the images. A run that was ended
    goes on when it is called again. The exit code is 1 when a frame cannot be read; what can be is there.
    """
    from ehps.inference.parts import check_inputs
    from ehps.inference.people import RULES, finder, with_rules
    from ehps.inference.sources import open_source

    if out.is_file():
        raise UsageError("is a file", path=out, fix="give --out a folder")
    asked = {"score": score, "nms": nms, "smallest": size_of(smallest), "largest_only": largest_only or None}
    if detector is None and (like or any(value is not None for value in asked.values())):
        raise UsageError("--as, --score, --nms, --smallest and --largest-only choose from what a detector finds")
    check_inputs(out, (given, checkpoint, boxes, detector))
    source = open_source(given, images=images, fps=fps, begin=begin, end=end, out=out)
    if smooth and source.kind != "video":
        raise UsageError("only people in videos can be smoothed over time", path=Path(given), fix="leave out --smooth")
    rules = with_rules(RULES[like or ""], **asked)
    people = finder(source, boxes=boxes, whole=whole, detector=detector, rules=rules)
    models = bodies(body_models)
    from ehps.inference.predicting import load_network
    from ehps.inference.run import Options, infer

    network = load_network(checkpoint, models, model=model, device=device, batch_size=batch_size, box_ratio=box_ratio)
    shown = None if view == "none" else view
    options = Options(shown, side, save_every, smooth, metric_camera)
    outcome = infer(source, network, people, out, models, options, overwrite=overwrite)
    if as_json:
        say_json(outcome.to_dict())
    else:
        say_outcome(outcome)
    if outcome.unreadable and not skip_bad:
        raise click.exceptions.Exit(1)


def size_of(words: str | None) -> tuple[float, float] | None:
    """``50x150`` as numbers.

    Raises
    ------
    UsageError : it is none.
    """
    if words is None:
        return None
    try:
        width, height = (float(word) for word in words.lower().split("x"))
        if not (0 <= width < math.inf and 0 <= height < math.inf):
            raise ValueError
    except ValueError:
        raise UsageError(f"--smallest {words} is no size", fix="write it as 50x150, width and height") from None
    return width, height


def say_outcome(outcome: Outcome) -> None:
    """What came of it, in lines."""
    tracks = "" if outcome.tracks is None else f", {outcome.tracks:,} tracks"
    empty = f", nobody in {outcome.empty:,}" if outcome.empty else ""
    say(f"{outcome.predictions}: {outcome.people:,} people in {outcome.frames:,} frames{tracks}{empty}")
    for line in outcome.notes:
        say(line, fg="yellow", err=True)
    for reason, count in outcome.dropped.items():
        say(f"left out: {count:,} boxes, each of which {reason}", fg="yellow", err=True)
    for number, (name, why) in enumerate(outcome.unreadable.items()):
        if number == SHOWN:
            say(f"{len(outcome.unreadable) - SHOWN:,} more frames cannot be read; report.json lists all", err=True)
            break
        say(f"{name} {why}", fg="yellow", err=True)
