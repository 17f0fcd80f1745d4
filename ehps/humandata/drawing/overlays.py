"""Pages of images with their persons drawn on them: the quickest check of any HumanData file.

All persons of an image are drawn together. Images are shown at a readable size, cropped to the
persons where those fill only a small part of it. Only the rows that are drawn are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ehps.arrays import Array
from ehps.errors import DataError, UsageError
from ehps.humandata.core import HumanData
from ehps.humandata.drawing.pages import grid, resized, write_png
from ehps.humandata.drawing.persons import BOX_LABELS, Image, draw_boxes, draw_keypoints, person_colour, text
from ehps.humandata.image_files import ImageFolder, MissingImageError, OutsideError, read_pixels
from ehps.humandata.validation import require_columns

SKELETON_COLUMNS = (
    "keypoints2d_smplx",
    "keypoints2d_smplh",
    "keypoints2d_smpl",
    "keypoints2d",
    "keypoints2d_original",
)
SIDE = 800
PER_PAGE = 6
_GREY = 110
NOT_FOUND = "no such image"


@dataclass
class DrawnImage:
    """A drawn image, what it shows, and why its file could not be read (empty: it could)."""

    image: Image
    path: str
    rows: list[int] = field(default_factory=list)
    fault: str = ""


class Pages(list[Path]):
    """The PNG files that were written, and what they show.

    Attributes
    ----------
    images : how many images are shown.
    missing : those that are not there.
    unreadable : those that are there and cannot be read, with what is wrong.
    """

    def __init__(self, paths: Sequence[Path], shown: Sequence[tuple[str, str]]) -> None:
        """``shown`` are the path of every image and why it could not be read, see :class:`DrawnImage`."""
        super().__init__(paths)
        self.images = len(shown)
        self.missing = list(dict.fromkeys(path for path, fault in shown if fault == NOT_FOUND))
        self.unreadable = {path: fault for path, fault in shown if fault not in ("", NOT_FOUND)}


def draw_instances(
    hd: HumanData,
    rows: Sequence[int] | Array,
    images: Path | str,
    *,
    columns: Sequence[str] | None = None,
    side: int = SIDE,
    crop: bool = True,
) -> DrawnImage:
    """Draw rows of one image onto their image.

    Parameters
    ----------
    rows : of one and the same ``image_path``.
    images : folder that ``image_path`` is relative to.
    columns : keypoint and box columns to draw; by default the model's projected joints (or the dataset's own
        points where there are none) and all boxes. Of several keypoint columns the first is drawn as a
        skeleton, the others as rings.
    side : longer side of the result, pixels.
    crop : show only the surroundings of the persons where they fill less than half of the image.

    Raises
    ------
    UsageError : the rows are of several images, or a column does not exist.
    OutsideError : the image path leads out of ``images``.
    DataError : a column that is drawn does not hold what the format says.
    """
    index = [int(row) for row in rows]
    picked = hd[index]
    paths = set(picked["image_path"])
    if len(paths) != 1:
        raise UsageError(f"{len(paths)} images among the rows to draw on one")
    path = paths.pop()
    points, boxes = _columns(hd, columns)
    require_columns(hd, ["image_path", *points, *boxes, "meta/height", "meta/width"])
    fault = ""
    try:
        image = read_pixels(ImageFolder(images).locate(path, index[0]))
    except OutsideError:
        raise
    except DataError as error:
        fault = NOT_FOUND if isinstance(error, MissingImageError) else error.what
        image = np.full((*_size(picked, points, boxes), 3), _GREY, np.uint8)
    window = _window(picked, points, boxes, image.shape[:2]) if crop else np.array([0, 0, *image.shape[1::-1]])
    x0, y0, x1, y1 = (int(v) for v in window)
    image = np.ascontiguousarray(image[y0:y1, x0:x1])
    factor = side / max(image.shape[:2])
    image = resized(image, factor)
    if fault:
        text(image, fault if fault == NOT_FOUND else f"image cannot be read: {fault}", (10, 30), 16, (255, 255, 255))
    origin = np.array([x0, y0])
    colours = [person_colour(i) for i in range(len(index))]
    for name in points:
        moved = np.array(picked[name], np.float64)
        moved[..., :2] = (moved[..., :2] - origin + 0.5) * factor - 0.5
        draw_keypoints(image, moved, hd.keypoint_names[name], colours=colours, limbs=name == points[0])
    shown = {name: _moved_boxes(picked[name], origin, factor) for name in boxes}
    draw_boxes(image, shown, colours=colours, labels=[str(row) for row in index])
    return DrawnImage(image, path, index, fault)


def view(
    hd: HumanData,
    images: Path | str,
    out: Path | str,
    rows: Sequence[int] | Array | None = None,
    limit: int = 12,
    seed: int = 0,
    columns: Sequence[str] | None = None,
    *,
    side: int = SIDE,
    per_page: int = PER_PAGE,
    crop: bool = True,
    captions: dict[int, str] | None = None,
    together: bool = True,
) -> Pages:
    """Write PNG pages of images with the persons drawn on them.

    Parameters
    ----------
    images : folder that ``image_path`` is relative to.
    out : folder for ``view_001.png``, ``view_002.png`` ...
    rows : which to show; rows at random when None.
    limit : number of rows at random.
    seed : of these.
    columns : see :func:`draw_instances`.
    side : see :func:`draw_instances`.
    crop : see :func:`draw_instances`.
    per_page : images on a page.
    captions : row -> a line of text under the image it is on.
    together : show each image once, with all its persons; otherwise each row by itself, cropped to it.

    Returns
    -------
    Pages : list of the files, with the images that are not there or cannot be read (shown as grey fields).

    Raises
    ------
    UsageError : there is no such row or column.
    OutsideError : an image path leads out of ``images``.
    """
    if rows is None:
        rng = np.random.default_rng(seed)
        rows = np.sort(rng.choice(len(hd), min(limit, len(hd)), replace=False))
    wanted = np.asarray(rows, np.intp).reshape(-1)
    wanted = np.where(wanted < 0, wanted + len(hd), wanted)
    if len(wanted) and (wanted.min() < 0 or wanted.max() >= len(hd)):
        raise UsageError(f"row {wanted.max()} of a file of {len(hd)}", path=hd.source)
    groups = _groups(hd, wanted, together)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    shown: list[tuple[str, str]] = []
    for number, start in enumerate(range(0, len(groups), per_page), 1):
        cells, lines = [], []
        for group in groups[start : start + per_page]:
            shot = draw_instances(hd, group, images, columns=columns, side=side, crop=crop)
            shown.append((shot.path, shot.fault))
            cells.append(shot.image)
            lines.append([shot.path, *_row_lines(group, wanted, captions or {})])
        page = grid(cells, lines)
        target = out / f"view_{number:03d}.png"
        write_png(target, page)
        paths.append(target)
    return Pages(paths, shown)


def _columns(hd: HumanData, columns: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """Keypoint columns and box columns to draw."""
    if columns is None:
        known = [name for name in SKELETON_COLUMNS if name in hd and name in hd.keypoint_names]
        other = [name for name in hd.keypoint_names if name.startswith("keypoints2d") and name in hd]
        return (known or other)[:1], [name for name in BOX_LABELS if name in hd]
    for name in columns:
        hd[name]  # names the columns there are when this one is not
    points = [name for name in columns if name in hd.keypoint_names]
    boxes = [name for name in columns if name.endswith("bbox_xywh")]
    if len(points) + len(boxes) < len(columns):
        odd = [name for name in columns if name not in (*points, *boxes)]
        raise UsageError(f"cannot draw {', '.join(odd)}", fix="give 2D keypoint and box columns")
    return points, boxes


def _groups(hd: HumanData, wanted: Array, together: bool) -> list[list[int]]:
    """The rows of each image, in the order of ``wanted``; with ``together`` all rows of those images."""
    if not len(wanted) or not together:
        return [[row] for row in wanted.tolist()]
    codes = hd["image_path"].codes
    by_code: dict[int, list[int]] = {}
    for row in np.flatnonzero(np.isin(codes, codes[wanted])).tolist():
        by_code.setdefault(int(codes[row]), []).append(row)
    return [by_code[code] for code in dict.fromkeys(codes[wanted].tolist())]


def _extent(picked: HumanData, points: Sequence[str], boxes: Sequence[str]) -> Array | None:
    """x0, y0, x1, y1 around everything that is drawn, None when nothing is."""
    corners = []
    for name in boxes:
        box = np.asarray(picked[name], np.float64)
        box = box[(box[:, 4] > 0) & np.isfinite(box).all(axis=1)]
        corners += [box[:, :2], box[:, :2] + box[:, 2:4]]
    for name in points:
        flat = np.asarray(picked[name], np.float64).reshape(-1, picked[name].shape[-1])
        corners.append(flat[(flat[:, 2] > 0) & np.isfinite(flat).all(axis=1), :2])
    xy = np.concatenate(corners) if corners else np.zeros((0, 2))
    return np.concatenate([xy.min(axis=0), xy.max(axis=0)]) if len(xy) else None


def _window(picked: HumanData, points: Sequence[str], boxes: Sequence[str], shape: tuple[int, ...]) -> Array:
    height, width = shape
    whole = np.array([0, 0, width, height])
    extent = _extent(picked, points, boxes)
    if extent is None:
        return whole
    margin = 0.15 * max(extent[2] - extent[0], extent[3] - extent[1]) + 8
    window = np.clip(extent + margin * np.array([-1, -1, 1, 1]), 0, (width, height, width, height)).round()
    area = (window[2] - window[0]) * (window[3] - window[1])
    tiny = min(window[2] - window[0], window[3] - window[1]) < 16
    return whole if tiny or area > width * height / 2 else window


def _size(picked: HumanData, points: Sequence[str], boxes: Sequence[str]) -> tuple[int, int]:
    """Height and width of an image that is not there."""
    low, high = 64, 4096
    if "meta/height" in picked and "meta/width" in picked:
        height, width = (int(np.clip(picked[name][0], 1, 2 * high)) for name in ("meta/height", "meta/width"))
        return height, width
    extent = _extent(picked, points, boxes)
    if extent is None:
        return 480, 640
    return int(np.clip(extent[3] + 20, low, high)), int(np.clip(extent[2] + 20, low, high))


def _moved_boxes(boxes: Array, origin: Array, factor: float) -> Array:
    moved = np.array(boxes, np.float64)
    moved[:, :2] = (moved[:, :2] - origin + 0.5) * factor - 0.5
    moved[:, 2:4] *= factor
    return moved


def _row_lines(group: Sequence[int], wanted: Array, captions: dict[int, str]) -> list[str]:
    asked = [row for row in group if row in wanted]
    more = len(group) - len(asked)
    rows = ("row " if len(asked) == 1 else "rows ") + ", ".join(map(str, asked))
    return [
        rows + (f" and {more} more" if more else ""),
        *(captions[row] for row in asked if row in captions),
    ]
