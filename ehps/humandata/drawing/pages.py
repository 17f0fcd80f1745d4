"""Images in, pages of several images with captions out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ehps.atomic import replacing
from ehps.errors import UsageError
from ehps.humandata.drawing.persons import Image, text, text_length

MAX_PAGE = 4096
_PAGE = re.compile(r"view_\d{3,}\.png")


def grid(
    images: Sequence[Image],
    captions: Sequence[Sequence[str]] | None = None,
    columns: int | None = None,
    max_side: int = MAX_PAGE,
) -> Image:
    """Images side by side on white, with lines of text below each; no side longer than ``max_side``.

    Parameters
    ----------
    captions : lines of text for each image, the first a path.
    columns : images in a row; as square as possible by default.
    """
    if not images:
        raise UsageError("no images to put on a page")
    columns = min(len(images), columns or int(np.ceil(np.sqrt(len(images)))))
    n_rows = -(-len(images) // columns)
    lines = max((len(c) for c in captions), default=0) if captions else 0
    gap, letter = 12, 13
    foot = lines * (letter + 7) + (6 if lines else 0)
    height, width = (max(image.shape[axis] for image in images) for axis in (0, 1))
    fit = min(
        1.0,
        ((max_side - gap) / columns - gap) / width,
        ((max_side - gap) / n_rows - gap - foot) / height,
    )
    cell_h, cell_w = max(1, int(height * fit)), max(1, int(width * fit))
    page = np.full((gap + n_rows * (cell_h + foot + gap), gap + columns * (cell_w + gap), 3), 255, np.uint8)
    for index, image in enumerate(images):
        small = image if fit == 1.0 else resized(image, fit)[:cell_h, :cell_w]
        top = gap + (index // columns) * (cell_h + foot + gap)
        left = gap + (index % columns) * (cell_w + gap)
        page[top : top + small.shape[0], left : left + small.shape[1]] = small
        for row, words in enumerate(captions[index] if captions else ()):
            baseline = top + small.shape[0] + (row + 1) * (letter + 7)
            text(page, _shortened(words, cell_w, letter, keep_end=row == 0), (left, baseline), letter, (30, 30, 30))
    return page


def write_png(path: Path, image: Image) -> None:
    """Write an RGB image; works with any characters in the path."""
    _, encoded = cv2.imencode(".png", image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 4])
    with replacing(path, lasting=False) as temporary:
        temporary.write_bytes(encoded.tobytes())


def remove_other_pages(folder: Path, pages: Sequence[Path]) -> None:
    """Remove pages ``view_001.png`` ... that an earlier call has left in ``folder`` and that are none of ``pages``."""
    kept = {page.name for page in pages}
    for path in folder.iterdir():
        if _PAGE.fullmatch(path.name) and path.name not in kept and path.is_file():
            path.unlink()


def resized(image: Image, factor: float) -> Image:
    """The image ``factor`` times as large."""
    height, width = (max(1, round(v * factor)) for v in image.shape[:2])
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=how), np.uint8)


def _shortened(words: str, width: int, letter: float, keep_end: bool) -> str:
    """A text that fits: of paths the end is kept, where they differ, of sentences the beginning."""
    kept = words
    while len(kept) > 4 and text_length(kept + "...", letter) > width:
        cut = max(1, len(kept) // 20)
        kept = kept[cut:] if keep_end else kept[:-cut]
    if kept == words or text_length(words, letter) <= width:
        return words
    return f"...{kept}" if keep_end else f"{kept}..."
