"""Writing packed crops: begun, gone on with after a kill, and added to, always in the same file."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np

from ehps.arrays import Array
from ehps.atomic import replacing, write_error
from ehps.benchmark import crop_boxes
from ehps.benchmark.training import crops
from ehps.benchmark.training.pack_file import (
    ALIGNMENT,
    AVERAGED,
    COLUMNS,
    Facts,
    Header,
    aligned,
    facts_bytes,
    joined,
    read_head,
    read_index,
    segment_bytes,
)
from ehps.benchmark.training.packs import AUGMENTED, Pack, content_of, require_sizes
from ehps.errors import DataError, EhpsError, UsageError
from ehps.file_locks import lock
from ehps.humandata import image_files
from ehps.humandata.core import HumanData
from ehps.humandata.image_checks import require_images
from ehps.humandata.image_files import ImageFolder, images_of
from ehps.interrupts import Interrupted, caught
from ehps.progress import counting

SCALES = {"256x192": (256, 192), "512x384": (512, 384)}
SAVED_EVERY = 15.0  # seconds: what a kill costs at most
BATCH = 8  # images a thread at a time
FULL_COLOUR = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444  # halved, colours of small crops differ by more than the rest does

Row = dict[str, Any]


def pack(
    data: Path,
    images: Path,
    out: Path,
    *,
    folders: Mapping[str, Path] | None = None,
    scale: str = "256x192",
    exact: bool = False,
    quality: int = 92,
    sampling: str = AVERAGED,
    box_ratio: float = 1.2 * 0.833,
    rows: Array | None = None,
    jobs: int | None = None,
    show: bool | None = None,
) -> Pack:
    """Write the crops of a HumanData file, or add those that ``out`` lacks.

    Parameters
    ----------
    images : folder that image paths are relative to.
    folders : image folders of a merged file by their labels, where they are not those that it names.
    scale : pixels of the box, one of ``SCALES``; people who are smaller in their image keep its pixels.
    exact : crops no larger than the boxes, for tests and trainings without augmentation.
    quality : of the JPEG files, 1 to 100.
    sampling : ``averaged``: large images are averaged down first, as ``tiny`` sees them; ``bilinear``: sampled
        from the full image, as the released SMPLer-X weights expect.
    box_ratio : scale of the stored boxes.
    rows : all by default; those without a box inside their image are left out.
    jobs : threads, one a core by default.
    show : print how far this is; as the program wants it by default.

    Raises
    ------
    DataError : an image is missing, damaged or of another size than its rows say; the disk is full; another process
        writes ``out``.
    UsageError : ``out`` holds the crops of another file, or made otherwise.
    Interrupted : a signal came; what was packed is saved, and the same call goes on.
    """
    hd = HumanData.open(data)
    folder = images_of(hd, images, folders)
    chosen = np.arange(len(hd)) if rows is None else np.asarray(rows)
    facts = Facts(
        content=content_of(data),
        data=data.name,
        instances=len(hd),
        scale=SCALES[scale],
        box_ratio=round(float(box_ratio), 9),
        wide=(1, 1) if exact else AUGMENTED,
        quality=quality,
        sampling=sampling,
    )
    if not out.exists():
        _begin(out, facts)
    with _opened(out) as file:
        header, old = read_head(file, out)
        _same(old, facts, out)
        columns, complete = read_index(out, header)
        lacking = np.setdiff1d(chosen, columns["row"])
        require_sizes(hd)
        sizes = np.stack((hd["meta/height"][lacking], hd["meta/width"][lacking]), axis=1)
        boxes, valid = crop_boxes.widen(hd["bbox_xywh"][lacking], sizes, facts.box_ratio)
        lacking, boxes = lacking[valid], boxes[valid]
        if len(lacking) or not complete:
            require_images(hd, folder, rows=lacking, show=show)
            writer = _Writer(file, out, header, columns)
            _write(writer, hd, folder, lacking, boxes, facts, jobs or os.cpu_count() or 1, show)
    return Pack(out)


def _begin(out: Path, facts: Facts) -> None:
    text = facts_bytes(facts)
    end = ALIGNMENT + len(text)
    with replacing(out) as temporary:
        temporary.write_bytes(Header(len(text), 0, end).packed() + text)


@contextmanager
def _opened(out: Path) -> Iterator[BinaryIO]:
    """The file, which no other process writes meanwhile."""
    try:
        with open(out, "r+b") as file:
            if not lock(file):
                raise DataError("another process is writing this file", path=out, fix="wait for it to end")
            yield file
    except OSError as error:
        raise write_error(error, out) from error


def _same(old: Facts, new: Facts, out: Path) -> None:
    for field in fields(Facts):
        a, b = getattr(old, field.name), getattr(new, field.name)
        if a != b and field.name != "data":
            words = {"content": f"content {a} of {old.data}, not {b}"} if field.name == "content" else {}
            what = words.get(field.name, f"{field.name} {a}, not {b}")
            raise UsageError(f"was packed with {what}", path=out, fix="name another file, or remove this one")


class _Writer:
    """Appends crops; :meth:`save` makes them count."""

    def __init__(self, file: BinaryIO, path: Path, header: Header, columns: Mapping[str, Array]) -> None:
        self.file, self.path, self.header, self.columns = file, path, header, columns
        file.truncate(header.end)  # what a killed process had not saved
        file.seek(header.end)
        self.end, self.rows = header.end, list[Row]()
        self.saved = time.monotonic()

    def add(self, row: Row, data: bytes) -> None:
        self.file.write(data)
        self.rows.append({**row, "offset": self.end, "nbytes": len(data), "crc": zlib.crc32(data)})
        self.end += len(data)
        if time.monotonic() - self.saved > SAVED_EVERY:
            self.save()

    def save(self, *, whole: bool = False) -> None:
        """Write the index of what is new, or of all, and then the header that names it."""
        new = {name: np.array([row[name] for row in self.rows], form) for name, form in _BASES.items()}
        new = {name: value.reshape(len(self.rows), *np.dtype(COLUMNS[name]).shape) for name, value in new.items()}
        columns = joined([self.columns, new]) if whole else new
        start = aligned(self.end)
        segment = segment_bytes(columns, self.header.segment, whole=whole)
        self.file.write(bytes(start - self.end) + segment)
        self._flush()
        self.header = Header(self.header.facts, start, start + len(segment))
        self.file.seek(0)
        self.file.write(self.header.packed())
        self._flush()
        self.file.seek(self.header.end)
        self.columns, self.rows, self.end = joined([self.columns, new]), [], self.header.end
        self.saved = time.monotonic()

    def _flush(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())


_BASES = {name: np.dtype(form).base for name, form in COLUMNS.items()}


def _write(
    writer: _Writer,
    hd: HumanData,
    folder: ImageFolder,
    rows: Array,
    boxes: Array,
    facts: Facts,
    jobs: int,
    show: bool | None,
) -> None:
    """Crop all rows, those of an image together."""
    codes = hd["image_path"].codes[rows]
    order = np.argsort(codes, kind="stable")
    images = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1) if len(order) else []

    def of_image(members: Array) -> list[tuple[Row, bytes]]:
        path = folder.locate(hd["image_path"][int(rows[members[0]])], int(rows[members[0]]))
        return _crops(path, rows[members], boxes[members], facts)

    pool = ThreadPoolExecutor(jobs)
    try:
        with caught() as signals, signals.deferred(), counting("packing", len(rows), show=show) as advance:
            for first in range(0, len(images), BATCH * jobs):
                for made in pool.map(of_image, images[first : first + BATCH * jobs]):
                    for row, data in made:
                        writer.add(row, data)
                    advance(len(made))
                if signals.received:
                    raise Interrupted(signals.received)
            writer.save(whole=True)
    except (EhpsError, Interrupted):
        writer.save()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _crops(path: Path, rows: Array, boxes: Array, facts: Facts) -> list[tuple[Row, bytes]]:
    """Index rows and JPEG files of the people in one image, which is decoded once a size."""
    data, decoded, made = image_files.read(path), {}, []
    for row, box in zip(rows.tolist(), boxes, strict=True):
        step = float(box[2]) / facts.scale[1]
        shrink = crops.shrinking(step) if facts.sampling == AVERAGED else 1
        if shrink not in decoded:
            decoded[shrink] = image_files.decode(data, path, shrink)
        pixels, factor, size = decoded[shrink]
        matrix, shape = window(box, size, facts.scale, facts.wide)
        crop = crops.sampled(pixels, factor, matrix, shape, shrink)
        options = (cv2.IMWRITE_JPEG_QUALITY, facts.quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, FULL_COLOUR)
        jpeg = cv2.imencode(".jpg", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), options)[1].tobytes()
        place = (matrix[0, 0], matrix[0, 2], matrix[1, 2])
        made.append(({"row": row, "size": size, "box": box, "map": place}, jpeg))
    return made


def window(
    box: Array, image: tuple[int, int], scale: tuple[int, int], wide: tuple[float, float]
) -> tuple[Array, tuple[int, int]]:
    """Where the crop of a box lies.

    Parameters
    ----------
    box : (4,) x, y, w, h, widened.
    image : height and width.
    scale : height and width that the box has in the crop, at most.
    wide : widths and heights of the box that the crop shows.

    Returns
    -------
    (2, 3) map from pixels of the image to those of the crop, and the crop's height and width. Pixels of a crop that is
    not enlarged or reduced are the image's own; the others lie where those of an unaugmented crop do.
    """
    x, y, w, h = (float(v) for v in box)
    factor = min(1.0, scale[1] / w)
    shift = np.zeros(2) if factor == 1 else -factor * np.array((x, y))
    centre, half = np.array((x + w / 2, y + h / 2)), np.array((w, h)) * wide / 2
    last = np.array(image[::-1], float) - 1
    margin = int(factor < 1)  # between two pixels at the border of the image, one of which is black
    low = np.floor(factor * (centre - half) + shift) - 1
    low = np.maximum(low, np.floor(shift) - margin)
    high = np.ceil(factor * (centre + half) + shift) + 1
    high = np.minimum(high, np.ceil(factor * last + shift) + margin)
    width, height = np.maximum(high - low + 1, 1).astype(int).tolist()
    dx, dy = (shift - low).tolist()
    return np.array(((factor, 0, dx), (0, factor, dy))), (height, width)
