"""A video of two people who cross, and the boxes that a detector would find in it: what the demo's model is run on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation

from ehps.arrays import Array
from ehps.converters.base import Rigid
from ehps.demo.backgrounds import background
from ehps.demo.clothing import dress
from ehps.demo.people import motion
from ehps.demo.raw import stage
from ehps.demo.raw.stage import FRONT, PaintedView
from ehps.humandata.core import HumanData

if TYPE_CHECKING:
    from ehps.analysis.report_inputs import Video
    from ehps.body.models import BodyModels

VIDEO, BOXES = "crossing.mp4", "boxes.txt"
FRAMES, FPS = 36, 12
VIEW = PaintedView(540, 960, 900.0)
FILLED = (0.85, 0.6)  # share of the image's height, of the one who walks in front and the one behind
TURNED = 35.0  # degrees from facing the camera, towards where they go
MARGIN = 0.16  # of the image's width that they keep from its sides


def write(folder: Path, models: Path, seed: int) -> Array:
    """Write the video, and its boxes in MOT's list of detections, which says nothing of who is who; once a folder.

    Returns
    -------
    (FRAMES, 2, 4) float32 true boxes x, y, w, h, pixels, of the person in front and the one behind.
    """
    from ehps.humandata.boxes import from_keypoints
    from ehps.inference.overlay_video import write_segment

    rng = np.random.default_rng([seed, *b"crossing"])
    pair = [_walker(models, rng, person) for person in range(2)]
    boxes = np.stack([from_keypoints(cast.points(VIEW), (VIEW.height, VIEW.width))[:, :4] for cast in pair], axis=1)
    if (folder / VIDEO).is_file():
        return boxes
    folder.mkdir(parents=True, exist_ok=True)
    (folder / BOXES).write_text("".join(_detections(boxes, rng)))
    write_segment(folder / VIDEO, _shots(models, pair, rng), fps=FPS)
    return boxes


def watch(folder: Path, boxes: Array, checkpoint: Path, trained_on: str, models: BodyModels) -> Video:
    """Run a checkpoint on the video of :func:`write`, as ``ehps infer`` does, and show what came of it.

    Parameters
    ----------
    boxes : what :func:`write` returns.
    trained_on : name of the checkpoint's training set.
    """
    from ehps.analysis.report_inputs import Video
    from ehps.inference.people import finder
    from ehps.inference.predicting import load_network
    from ehps.inference.run import infer
    from ehps.inference.sources import open_source

    source = open_source(str(folder / VIDEO))
    network = load_network(checkpoint, models)
    people = finder(source, boxes=folder / BOXES)
    outcome = infer(source, network, people, folder / "people", models, overwrite=True)
    hd = HumanData.open(outcome.predictions)
    expected = np.stack([network.widened(pair, (VIEW.height, VIEW.width))[0] for pair in boxes])  # frames x 2 x 4
    off = np.abs(expected[hd["meta/frame_id"]] - hd["bbox_xywh"][:, None, :4]).sum(axis=-1)
    said = [
        f"The model that was trained on {trained_on}, on a generated video of two people who cross: {outcome.people} "
        f"bodies in {outcome.frames} frames.",
        "Their boxes are the true ones, since no detector is shipped, and do not say who is who.",
        who_is_who(off.argmin(axis=1), np.asarray(hd["meta/track_id"])),
    ]
    return Video(said, _stills(folder / "people" / "overlay.mp4"), f"{folder.name}/people/overlay.mp4")


def who_is_who(people: Array, tracks: Array) -> str:
    """Whether the people kept their tracks, from the person and the track of each row (N,)."""
    own = [set(tracks[people == person].tolist()) for person in np.unique(people)]
    if all(len(numbers) == 1 for numbers in own) and len(set.union(*own)) == len(own):
        return "Each of them keeps one track from the first frame to the last."
    listed = " and ".join(", ".join(f"#{number}" for number in sorted(numbers)) for numbers in own)
    return f"The tracks are not kept apart: they have {listed}."


def _stills(video: Path) -> list[tuple[float, Array]]:
    """Times and RGB images of the beginning, of the crossing, and of the end."""
    import av

    with av.open(str(video)) as container:
        frames = list(container.decode(video=0))
    shown = (0, FRAMES * 2 // 5, FRAMES // 2, FRAMES - 1)
    return [(float(frames[k].time), frames[k].to_ndarray(format="rgb24")) for k in shown]


def _walker(models: Path, rng: np.random.Generator, person: int) -> stage.Cast:
    """One person over all frames: the first goes to the right, the second, farther away, to the left."""
    params = motion(FRAMES, rng, style="walking", frames_between_poses=9)
    way = np.linspace(MARGIN, 1 - MARGIN, FRAMES) * VIEW.width
    u = way[::-1] if person else way
    depth = VIEW.focal * 1.75 / (FILLED[person] * VIEW.height)
    pelvis = np.stack([(u - VIEW.width / 2) * depth / VIEW.focal, np.zeros(FRAMES), np.full(FRAMES, depth)], axis=1)
    angle = -TURNED if person else TURNED
    facing = np.tile(FRONT @ Rotation.from_euler("y", angle, degrees=True).as_matrix(), (FRAMES, 1, 1))
    return stage.cast(models, params, Rigid(np.eye(3), np.zeros(3)), np.arange(FRAMES), pelvis, facing)


def _shots(models: Path, pair: list[stage.Cast], rng: np.random.Generator) -> Iterator[tuple[float, Array]]:
    """Times in seconds, and the frames."""
    from ehps.body.rendering import render

    size = (VIEW.height, VIEW.width)
    triangles, region = stage.surface(models, "smplx")
    colours = np.stack([dress(rng, region) for _ in pair])
    behind = background(rng, "outdoor", size)
    for k in range(FRAMES):
        vertices = np.stack([cast.vertices[k] for cast in pair])
        yield k / FPS, render(vertices, triangles, colours, VIEW.matrix, size, behind, samples=2)


def _detections(boxes: Array, rng: np.random.Generator) -> Iterator[str]:
    """Lines of frame from 1, no identity, box and confidence; the people of a frame in any order."""
    for k, pair in enumerate(boxes):
        for x, y, w, h in pair[rng.permutation(2)].tolist():
            yield f"{k + 1},-1,{x:.2f},{y:.2f},{w:.2f},{h:.2f},1,-1,-1,-1\n"
