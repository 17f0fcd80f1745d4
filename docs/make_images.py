"""The images of the README: what three commands show of the demo's data, small enough to be committed.

``make images`` runs it: ``python docs/make_images.py DEMO``.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from click.testing import CliRunner
from PIL import Image
from rich.console import Console
from rich.text import Text

from ehps.cli import main
from ehps.humandata import HumanData
from ehps.humandata.drawing.convention_figure import draw_convention
from ehps.humandata.drawing.overlays import view
from ehps.humandata.drawing.pages import write_png

HERE = Path(__file__).parent / "images"
LARGEST = 200_000  # bytes


def overlay(demo: Path, folder: Path) -> None:
    """``ehps humandata view`` of one image."""
    hd = HumanData.open(demo / "humandata/egobody_ego_train.h5")
    (page,) = view(hd, demo / "raw/egobody_ego", folder, rows=[20])
    image = Image.open(page).convert("RGB")
    image.thumbnail((900, 900))
    image.save(HERE / "overlay.jpg", quality=85, optimize=True)


def ranking() -> None:
    """``ehps analysis rank`` in a terminal."""
    result = CliRunner().invoke(main, ["analysis", "rank"], catch_exceptions=False)
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(Text(result.stdout.rstrip()))
    console.save_svg(str(HERE / "ranking.svg"), title="ehps analysis rank")


def keypoints(folder: Path) -> None:
    """``ehps humandata keypoints coco_wholebody``."""
    write_png(folder / "points.png", draw_convention("coco_wholebody"))
    Image.open(folder / "points.png").quantize(64).save(HERE / "keypoints.png", optimize=True)


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        overlay(Path(sys.argv[1]), Path(scratch) / "view")
        keypoints(Path(scratch))
    ranking()
    for path in HERE.iterdir():
        size = path.stat().st_size
        print(f"{path}: {size:,} bytes")
        if size > LARGEST:
            raise SystemExit(f"{path} is larger than {LARGEST:,} bytes")
