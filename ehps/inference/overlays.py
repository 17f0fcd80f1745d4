"""People drawn on frames: surfaces or joints, from the side too, boxes and tracks.

The drawing itself is :mod:`ehps.body.surfaces` and :mod:`ehps.humandata.drawing`, as for files and reports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import cv2
import numpy as np

from ehps.arrays import Array
from ehps.atomic import replacing
from ehps.body.cameras import keypoints2d
from ehps.body.models import BodyModels
from ehps.body.projected import CAMERA
from ehps.body.surfaces import Colour, before_one_camera, from_the_side, paint, side_view, surfaces_of
from ehps.body.topology import TOPOLOGY
from ehps.body.variants import params_of
from ehps.errors import DataError
from ehps.humandata import frames as cameras_of_rows
from ehps.humandata.core import HumanData
from ehps.humandata.drawing.pages import resized
from ehps.humandata.drawing.persons import draw_boxes, draw_keypoints
from ehps.humandata.image_files import ImageFolder
from ehps.inference.frames import Frame, People

View = Literal["mesh", "joints", "boxes"]

LEAST, MOST = 960, 4096
"""Longer side of what is drawn on, pixels: smaller frames are enlarged, larger ones are shrunk."""

QUALITY = 95  # of JPEG files
TRACK_COLOURS: tuple[Colour, ...] = (
    (0, 110, 190),
    (235, 120, 0),
    (150, 255, 190),
    (160, 20, 20),
    (255, 220, 0),
    (60, 30, 220),
    (250, 170, 215),
)
"""Told apart by colour-blind viewers, as surfaces too, by being lighter or darker; the number stands at the box."""


@dataclass(frozen=True, eq=False)
class Bodies:
    """Bodies of N people, each as its own camera sees it.

    Attributes
    ----------
    points : (N, K, 3) float32 metres: the vertices of surfaces, or joints.
    focal : (N, 2) pixels of the frame.
    centre : (N, 2) principal points, pixels of the frame.
    faces : (F, 3) triangles of surfaces, None for joints.
    convention : of the joints.
    virtual : whether the cameras are invented for each box, so that depths say nothing.
    """

    points: Array
    focal: Array
    centre: Array
    faces: Array | None
    convention: str
    virtual: bool

    def __getitem__(self, rows: slice | Sequence[int] | Array) -> Bodies:
        points, focal, centre = self.points[rows], self.focal[rows], self.centre[rows]
        return Bodies(points, focal, centre, self.faces, self.convention, self.virtual)

    def __len__(self) -> int:
        return len(self.points)

    def one_focal(self, size: tuple[int, int]) -> float | None:
        """Focal length of the one camera that people with invented ones are put before: the image's diagonal."""
        return float(np.hypot(*size)) if self.virtual else None


def bodies_of(hd: HumanData, models: BodyModels, view: View, device: str = "cpu") -> Bodies | None:
    """What ``view`` shows of the rows of a file with bodies and cameras, of many frames at once; None for ``boxes``.

    Parameters
    ----------
    hd : predictions, or any rows with parameters in the camera frame, focal lengths and principal points.
    device : where surfaces are made.

    Raises
    ------
    DataError : the rows have no body parameters.
    """
    if view == "boxes":
        return None
    body = hd.body_model
    if body is None:
        raise DataError("has no body parameters, so that there is no body to draw", path=hd.source)
    params = params_of(hd, body)
    focal, centre = (cameras_of_rows.per_row(hd, name, (2,)) for name in CAMERA)
    mesh = view == "mesh"
    points = models.mesh(params, device=device) if mesh else models.joints(params)
    faces = models.faces(body) if mesh else None
    return Bodies(points, focal, centre, faces, TOPOLOGY[body].convention, hd.passport.focal == "virtual")


def draw(frame: Frame, people: People, bodies: Bodies | None, view: View, *, side: bool = True) -> Array:
    """(H, W, 3) uint8 RGB: a frame with its people over it, beside it the people seen from the side.

    Its size depends on that of the frame, on ``view`` and on ``side`` alone.

    Parameters
    ----------
    people : the P people of the frame; their boxes are drawn, with track and score.
    bodies : of the same P people, in their order; None where there are none.
    view : ``mesh`` surfaces, ``joints`` skeletons, ``boxes`` boxes alone, without a view from the side.
    side : whether there is a view from the side.
    """
    factor = scale_of(frame.size)
    pixels = frame.pixels if factor == 1 else resized(frame.pixels, factor)
    height, width = pixels.shape[:2]
    beside = min(height, width) // 2 if side and view != "boxes" else 0
    image = np.full((height, width + beside, 3), 255, np.uint8)
    image[:, :width] = pixels
    colours = [track_colour(track if track >= 0 else k) for k, track in enumerate(people.tracks.tolist())]
    if bodies is not None and len(bodies):
        show = _show_surfaces if view == "mesh" else _show_joints
        show(image[:, :width], image[:, width:], bodies, colours, frame.size, factor)
    boxes = people.boxes.astype(np.float64)
    boxes[:, :2] = (boxes[:, :2] + 0.5) * factor - 0.5
    boxes[:, 2:] *= factor
    scale = max(1.0, max(height, width) / 1600)
    draw_boxes(image[:, :width], boxes, colours=colours, labels=_labels(people), scale=scale)
    return image


def scale_of(size: tuple[int, int]) -> float:
    """How many times as large as a frame of ``size`` it is drawn."""
    longer = max(size)
    return float(np.clip(longer, LEAST, MOST)) / longer


def track_colour(track: int) -> Colour:
    """The colour of a track, the same in all frames."""
    return TRACK_COLOURS[track % len(TRACK_COLOURS)]


def write_image(folder: Path, image_path: str, image: Array) -> Path:
    """Write what was drawn on ``image_path`` as a JPEG at the same place below ``folder``.

    Images of other kinds keep their name and get ``.jpg`` after it, so that ``a.png`` and ``a.jpg`` stay apart.

    Raises
    ------
    OutsideError : the path leads out of the folder.
    """
    is_jpeg = PurePosixPath(image_path).suffix.lower() in (".jpg", ".jpeg")
    path = ImageFolder(folder).below(image_path if is_jpeg else f"{image_path}.jpg")
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    with replacing(path, lasting=False) as temporary:
        temporary.write_bytes(data.tobytes())
    return path


def _show_surfaces(
    image: Array, beside: Array, bodies: Bodies, colours: Sequence[Colour], size: tuple[int, int], factor: float
) -> None:
    assert bodies.faces is not None
    found = surfaces_of(bodies.points, bodies.focal, bodies.centre, bodies.one_focal(size))
    paint(image, found, bodies.faces, colours, factor=factor)
    if beside.size:
        beside[:] = from_the_side(found, bodies.faces, colours, *beside.shape[:2])


def _show_joints(
    image: Array, beside: Array, bodies: Bodies, colours: Sequence[Colour], size: tuple[int, int], factor: float
) -> None:
    points, focal, centre = (np.asarray(a, np.float64) for a in (bodies.points, bodies.focal, bodies.centre))
    seen = keypoints2d(points, focal, centre).astype(np.float64)
    seen[..., :2] = (seen[..., :2] + 0.5) * factor - 0.5
    farthest_first = np.argsort(-points[..., 2].mean(axis=1) / focal.mean(axis=1))
    ordered = [colours[k] for k in farthest_first]
    draw_keypoints(image, seen[farthest_first], bodies.convention, colours=ordered)
    if beside.size:
        side = side_view(before_one_camera(points, focal, centre, bodies.one_focal(size)), *beside.shape[:2])
        draw_keypoints(side.ground, side.pixels, bodies.convention, colours=colours)
        beside[:] = side.ground


def _labels(people: People) -> list[str]:
    """Track and score of each; a score of 1 says that none is known."""
    words = []
    for k, (track, score) in enumerate(zip(people.tracks.tolist(), people.scores.tolist(), strict=True)):
        name = f"#{track}" if track >= 0 else f"{k}"
        words.append(name if score == 1 else f"{name} {score:.2f}")
    return words
