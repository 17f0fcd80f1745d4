"""Recordings for the rerun viewer (``.rrd``): images, boxes, 2D points, joints and surfaces, before the camera.

One step of the timeline ``image`` is one image of the file, in the order of its first row; where times are known,
the timeline ``time`` has them too. People whose rows have an invented camera each are moved before the camera of the
longest focal length, which sees them as large and at the same place. Camera frame: OpenCV (x right, y down, z forward).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ehps.arrays import Array
from ehps.atomic import replacing
from ehps.body.projected import CAMERA, ProjectedBodies, lacking_columns, lens_column
from ehps.body.variants import params_of
from ehps.errors import UsageError
from ehps.exchange.forms import Sources, Written
from ehps.exchange.tracks import UNSAFE
from ehps.extras import need
from ehps.humandata import image_files
from ehps.humandata.core import HumanData
from ehps.humandata.drawing.persons import person_colour
from ehps.humandata.drawing.skeleton import limbs
from ehps.humandata.image_checks import check_size, stated_sizes
from ehps.humandata.image_files import ImageFolder, images_of
from ehps.humandata.keypoints import point_names
from ehps.progress import over

SUFFIX = ".rrd"
APPLICATION = "ehps"


def write(hd: HumanData, out: Path, sources: Sources) -> Written:
    """Write all of ``hd`` as one recording, ``out`` (``.rrd``).

    Without body models there are no joints and surfaces, without a folder of images no images.

    Raises
    ------
    UsageError : rerun is not installed, or ``out`` does not end in .rrd.
    DataError : a column does not hold what the format says.
    """
    need("writing recordings", "rerun")
    import rerun as rr

    if out.suffix.lower() != SUFFIX:
        raise UsageError(f"a recording ends in {SUFFIX}", path=out)
    done = Written([out])
    bodies = _bodies(hd, sources, done)
    if lens_column(hd) is not None:
        done.left_out.append("the distortion of the lens: people are before a pinhole, 2D points as in the images")
    folder = None if sources.images is None else images_of(hd, sources.images)
    if folder is None:
        done.left_out.append("images: their folder was not given (--images)")
    missing, unseen = 0, 0
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as temporary:
        recording = rr.RecordingStream(APPLICATION, recording_id=out.stem)
        recording.save(str(temporary))
        recording.log("camera", rr.ViewCoordinates.RDF, static=True)
        shown: set[str] = set()
        for index, rows in enumerate(over(list(_by_image(hd)), "recording images")):
            part = hd[rows]
            recording.set_time("image", sequence=index)
            if "meta/time" in hd:
                recording.set_time("time", duration=float(part["meta/time"][0]))
            names = _names(part)
            missing += not _log_image(recording, part, folder)
            _log_points(recording, hd, part, names)
            here = set() if bodies is None else _log_bodies(recording, bodies, part, rows, names)
            unseen += 0 if bodies is None else len(rows) - len(here)
            for name in shown - here:
                recording.log(name, rr.Clear(recursive=True))
            shown = here
        recording.flush()
        recording.disconnect()
    if unseen:
        done.left_out.append(f"{unseen:,} bodies, whose parameters are not finite")
    if folder is not None and missing:
        done.left_out.append(f"{missing:,} images, which are not below {sources.images}")
    return done


def _bodies(hd: HumanData, sources: Sources, done: Written) -> ProjectedBodies | None:
    if hd.body_model is None:
        return None
    if sources.body_models is None:
        done.left_out.append("joints and surfaces: the body models were not given (--body-models)")
        return None
    if lacking := lacking_columns(hd):
        done.left_out.append(f"joints and surfaces: the file lacks {', '.join(lacking)}")
        return None
    return ProjectedBodies(hd, sources.body_models)


def _by_image(hd: HumanData) -> Iterator[Array]:
    """The rows of each image, in the order of its first one."""
    codes = hd["image_path"].codes
    order = np.argsort(codes, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    yield from sorted((group for group in groups if len(group)), key=lambda rows: int(rows[0]))


def _names(part: HumanData) -> list[str]:
    """What each person of an image is called; the same in all images where tracks are known."""
    if "meta/track_id" in part:
        found = [UNSAFE.sub("_", str(word)) for word in np.asarray(part["meta/track_id"])]
        if len(set(found)) == len(found):
            return found
    return [str(k) for k in range(len(part))]


def _log_image(recording: Any, part: HumanData, folder: ImageFolder | None) -> bool:
    """Log the image with its camera; whether there is such a file (or none was asked for)."""
    import rerun as rr

    if all(name in part for name in CAMERA):
        widest = int(np.argmax(np.asarray(part[CAMERA[0]]).mean(axis=1)))
        focal, centre = (np.asarray(part[name][widest], float).tolist() for name in CAMERA)
        size = [int(part[name][0]) for name in ("meta/width", "meta/height") if name in part]
        recording.log(
            "camera",
            rr.Pinhole(focal_length=focal, principal_point=centre, resolution=size if len(size) == 2 else None),
        )
    if folder is None:
        return True
    path = folder.locate(str(part["image_path"][0]))
    if not image_files.is_there(path):
        recording.log("camera/image", rr.Clear(recursive=False))
        return False
    check_size(image_files.stored_size(path), stated_sizes(part)[0], path)
    recording.log("camera/image", _image(path))
    return True


def _image(path: Path) -> Any:
    """The image as the viewer takes it: the file, or of another kind of file its pixels."""
    import rerun as rr

    if path.is_file():
        return rr.EncodedImage(path=path)
    data = image_files.read_for_others(path)
    for start, kind in ((image_files.JPEG, "image/jpeg"), (image_files.PNG, "image/png")):
        if data.startswith(start):
            return rr.EncodedImage(contents=data, media_type=kind)
    return rr.Image(image_files.read_pixels(path))


def _log_points(recording: Any, hd: HumanData, part: HumanData, names: list[str]) -> None:
    """Boxes and 2D points."""
    import rerun as rr

    colours = [_colour(name) for name in names]
    for column in (name for name in hd.columns if name.endswith("bbox_xywh")):
        boxes = np.asarray(part[column], np.float32)
        known = (boxes[:, 4] > 0) & np.isfinite(boxes).all(axis=1)
        recording.log(
            f"camera/image/{column}",
            rr.Boxes2D(
                array=boxes[known, :4],
                array_format=rr.Box2DFormat.XYWH,
                colors=[colour for colour, there in zip(colours, known, strict=True) if there],
                labels=[name for name, there in zip(names, known, strict=True) if there],
            ),
        )
    for column, convention in hd.keypoint_names.items():
        if not column.startswith("keypoints2d") or column not in hd:
            continue
        points = np.asarray(part[column], np.float32)  # P x K x 3
        known = (points[..., 2] > 0) & np.isfinite(points).all(axis=-1)
        labels = np.broadcast_to(np.array(point_names(convention)), known.shape)
        owner = np.repeat(np.arange(len(points)), points.shape[1]).reshape(known.shape)
        recording.log(
            f"camera/image/{column}",
            rr.Points2D(
                points[known][:, :2],
                colors=[colours[k] for k in owner[known].tolist()],
                labels=labels[known].tolist(),
                show_labels=False,
            ),
        )


def _log_bodies(recording: Any, bodies: ProjectedBodies, part: HumanData, rows: Array, names: list[str]) -> set[str]:
    """Surfaces and joints; the entities that were logged."""
    import rerun as rr

    params = params_of(part)
    surfaces = bodies.surfaces(rows.tolist())
    faces = bodies.models.faces(params.model_type)
    joints = bodies.models.joints(params) + (surfaces.shared - surfaces.vertices)[:, :1]
    edges = limbs(point_names(bodies.convention))
    logged = set()
    for name, vertices, own in zip(names, surfaces.shared, joints, strict=True):
        if not np.isfinite(vertices).all():
            continue
        entity = f"camera/people/{name}"
        colour = _colour(name)
        recording.log(
            f"{entity}/surface", rr.Mesh3D(vertex_positions=vertices, triangle_indices=faces, albedo_factor=colour)
        )
        lines = [own[list(edge)] for edge in edges]
        recording.log(f"{entity}/joints", rr.LineStrips3D(lines, colors=[colour], radii=[0.004]))
        logged.add(entity)
    return logged


def _colour(name: str) -> tuple[int, int, int]:
    return person_colour(int(name) if name.isdecimal() else sum(name.encode()))
