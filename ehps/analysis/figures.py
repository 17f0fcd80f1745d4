"""How all figures look, and how they are written.

A dataset has the same colour and marker in every figure: eight colours that colour-blind readers can tell
apart (after Okabe and Ito), combined with five markers and four line styles. Figures are made without
pyplot, so nothing global changes and nothing has to be closed. ``INK`` is the colour of text and lines;
:func:`inline_svg` turns it into ``currentColor``, so that a figure in a page follows its light or dark theme.
"""

from __future__ import annotations

import base64
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ehps.analysis.ranking import benchmarks_of, labels
from ehps.atomic import replacing
from ehps.errors import DataError
from ehps.suffixes import FIGURE, check_suffix

INK = "#2b3137"
GREY = "#8a929a"
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#999933")
MARKERS = ("o", "s", "^", "D", "v")
LINES = ("-", "--", "-.", ":")

SCALE = LinearSegmentedColormap.from_list("ehps", ["#084a80", "#5d9ac6", "#eef4f9"])  # low to high error

# The order gives sets that are often shown together different colours.
_ORDER = [
    *("agora", "bedlam", "ubody", "mscoco", "egobody_ego", "pw3d", "ehf", "h36m"),
    *("synbody", "arctic", "gta_human2", "egobody_kinect", "mpi_inf_3dhp", "spec", "posetrack", "prox"),
    *("crowdpose", "rich", "muco", "insta_variety", "behave", "up3d", "mpii", "ssp3d"),
    *("ochuman", "chi3d", "renbody_hires", "mtp", "humansc3d", "renbody", "fit3d", "talkshow"),
    *("lspet",),
]

_RC: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ehps",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": GREY,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "pdf.fonttype": 42,
}


@dataclass(frozen=True)
class Style:
    """Colour (hex), matplotlib marker and line style of a dataset."""

    colour: str
    marker: str
    line: str


def style(dataset: str) -> Style:
    """How a dataset is drawn; the same everywhere, also for ids that are not among the known ones."""
    name = dataset.removesuffix(" (test)")
    number = _ORDER.index(name) if name in _ORDER else zlib.crc32(name.encode())
    round_ = number // len(PALETTE)
    return Style(PALETTE[number % len(PALETTE)], MARKERS[round_ % len(MARKERS)], LINES[round_ % len(LINES)])


@contextmanager
def styled() -> Iterator[None]:
    """Matplotlib settings for the figures of this package, within the block only."""
    with matplotlib.rc_context(_RC):
        yield


def panels(count: int, *, width: float = 7.2, height: float = 4.5, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` panels in rows of ``columns``; sizes in inches, ``height`` that of one row."""
    rows = -(-count // columns)
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for spare in axes[count:]:
        spare.remove()
    return figure, axes[:count]


def save(figure: Figure, path: str | Path, *, dpi: int = 200) -> Path:
    """Write a figure as ``.png``, ``.pdf`` or ``.svg``; the same figure gives the same bytes.

    Raises
    ------
    UsageError : another suffix.
    """
    path = check_suffix(Path(path), FIGURE)
    suffix = path.suffix.lower().removeprefix(".")
    metadata: dict[str, Any] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(suffix, {})
    drawn = io.BytesIO()  # matplotlib does not survive a disk that is full
    with styled():
        figure.savefig(drawn, format=suffix, dpi=dpi, facecolor="white", metadata=metadata)
    with replacing(path) as temporary:
        temporary.write_bytes(drawn.getbuffer())
    return path


def inline_svg(figure: Figure, prefix: str) -> str:
    """An ``<svg>`` element to stand in an HTML page: transparent, in the page's font and text colour.

    ``prefix`` keeps its element ids apart from those of other figures of the page.
    """
    stream = io.StringIO()
    with styled():
        figure.savefig(stream, format="svg", dpi=150, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.S)
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r"url\(#", f"url(#{prefix}-", text)
    text = re.sub(r'href="#', f'href="#{prefix}-', text)
    text = re.sub(r'(<svg\b[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg\b[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r"font: (\S+) [^;\"]*", r"font: \1 inherit; font-family: inherit; font-size: \1", text)
    return text.replace(INK, "currentColor")


def data_uri(image: npt.NDArray[np.uint8] | Path, *, width: int | None = None) -> str:
    """An image as a ``data:`` address: RGB array (H, W, 3), or an image file; scaled down to ``width`` pixels.

    Raises
    ------
    DataError : the file is not an image that can be read.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        shown = Image.fromarray(image) if isinstance(image, np.ndarray) else Image.open(image).convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise DataError("cannot be read as an image", path=Path(str(image))) from error
    if width is not None and shown.width > width:
        shown = shown.resize((width, round(shown.height * width / shown.width)), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    shown.save(stream, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def heat_map(ranked: pd.DataFrame) -> Figure:
    """Error of each training set on each benchmark, mm; each column has its own scale, dark is low.

    Cells of models tested on the dataset they were trained on are framed.
    """
    benchmarks = benchmarks_of(ranked)
    values = ranked[[b.id for b in benchmarks]].to_numpy(float)
    finite = np.isfinite(values)
    low = np.where(finite, values, np.inf).min(axis=0, initial=np.inf)
    high = np.where(finite, values, -np.inf).max(axis=0, initial=-np.inf)
    shade = np.where(finite, (values - low) / np.where(high > low, high - low, 1), np.nan)
    with styled():
        figure, (axes,) = panels(1, width=1.4 + 1.05 * len(benchmarks), height=0.6 + 0.24 * len(ranked))
        axes.imshow(np.ma.masked_invalid(shade), cmap=SCALE, vmin=0, vmax=1, aspect="auto")
        for (row, column), value in np.ndenumerate(values):
            text = f"{value:.1f}" if np.isfinite(value) else "–"
            colour = INK if not np.isfinite(value) else "#ffffff" if shade[row, column] < 0.5 else "#1a1a1a"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
            if ranked["train_set"].iloc[row] in (benchmarks[column].id, *benchmarks[column].test_sets):
                box = (column - 0.47, row - 0.44)
                axes.add_patch(Rectangle(box, 0.94, 0.88, fill=False, ec=PALETTE[1], lw=1.6))
        axes.set_xticks(range(len(benchmarks)), [b.label for b in benchmarks])
        axes.set_yticks(range(len(ranked)), labels(ranked))
        axes.tick_params(length=0)
        axes.xaxis.tick_top()
        axes.spines[:].set_visible(False)
    return figure


def intervals(ranked: pd.DataFrame) -> Figure:
    """Mean primary error of each training set with its bootstrap interval, best on top."""
    shown = ranked.dropna(subset=["mpe"])
    with styled():
        figure, (axes,) = panels(1, height=0.7 + 0.22 * max(len(shown), 3))
        spans = shown[["mpe_low", "mpe_high"]].to_numpy(float) if "mpe_low" in shown else None
        for row, (train_set, mpe) in enumerate(zip(shown["train_set"], shown["mpe"].astype(float), strict=True)):
            look = style(str(train_set))
            if spans is not None:
                axes.plot(spans[row], [row, row], color=look.colour, lw=2, alpha=0.5)
            axes.plot([mpe], [row], look.marker, color=look.colour, ms=5)
        axes.set_yticks(range(len(shown)), labels(shown))
        axes.invert_yaxis()
        axes.grid(axis="x")
        axes.set_xlabel("mean primary error, mm")
    return figure


def legend(figure: Figure, axes: Sequence[Axes], columns: int = 6, markers: float = 1.0) -> None:
    """One legend for all panels, below them; ``markers``: how much larger than in the panels."""
    found = {name: handle for panel in axes for handle, name in zip(*panel.get_legend_handles_labels(), strict=True)}
    if found:
        drawn = figure.legend(
            list(found.values()),
            list(found),
            loc="outside lower center",
            ncols=min(columns, len(found)),
            markerscale=markers,
            handletextpad=0.4,
        )
        for handle in drawn.legend_handles:
            if handle is not None:
                handle.set_alpha(1)
