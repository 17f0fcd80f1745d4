"""How all figures look, and how they are written.

Figures are made without pyplot, so nothing global changes and nothing has to be closed. Each has a title that says
what it shows and a line about units and direction (:func:`entitle`): a figure that is saved alone carries both, in a
page they are its caption and its description. ``INK`` is the colour of text and lines; :func:`inline_svg` turns it
into ``currentColor``, so that a figure in a page follows its light or dark theme.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, Stroke

from ehps.analysis.colours import FRAME, GREY, INK, LINES, MARKERS, PALETTE, Style, readable_on, shades, style
from ehps.analysis.published import dataset_name
from ehps.analysis.ranking import benchmarks_of, labels
from ehps.analysis.ranking_table import headline, interval_axis, tied
from ehps.atomic import replacing
from ehps.errors import DataError
from ehps.suffixes import FIGURE, check_suffix

__all__ = [
    "GREY",
    "INK",
    "LINES",
    "MARKERS",
    "PALETTE",
    "SCALE",
    "Style",
    "data_uri",
    "entitle",
    "has_ties",
    "heat_map",
    "inline_svg",
    "intervals",
    "legend",
    "panels",
    "ranked_labels",
    "save",
    "style",
    "styled",
]

SCALE = LinearSegmentedColormap.from_list("ehps", [ground for ground, _ in reversed(shades("light"))])
"""From low error (dark) to high (faint)."""

JPEG_QUALITY = 82

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
    "figure.titlesize": 10.5,
    "figure.titleweight": "bold",
    "figure.labelsize": 8.5,
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


def entitle(figure: Figure, title: str, note: str) -> None:
    """Say what a figure shows: ``title`` above it, ``note`` (units, direction, marks) below it.

    Both are broken into lines of the figure's width.
    """
    import textwrap

    width = float(figure.get_size_inches()[0])
    figure.suptitle("\n".join(textwrap.wrap(title, round(10 * width))), x=0.01, ha="left")
    figure.supxlabel("\n".join(textwrap.wrap(note, round(15 * width))), x=0.01, ha="left")


def save(figure: Figure, path: str | Path, *, dpi: int = 200) -> Path:
    """Write a figure as ``.png``, ``.pdf`` or ``.svg``; the same figure gives the same bytes.

    Raises
    ------
    UsageError : another suffix.
    """
    path = check_suffix(Path(path), FIGURE)
    suffix = path.suffix.lower().removeprefix(".")
    metadata: dict[str, Any] = {"Title": _words(figure.get_suptitle())}
    metadata |= {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(suffix, {})
    drawn = io.BytesIO()  # matplotlib does not survive a disk that is full
    with styled():
        figure.savefig(drawn, format=suffix, dpi=dpi, facecolor="white", metadata=metadata)
    with replacing(path) as temporary:
        temporary.write_bytes(drawn.getbuffer())
    return path


def inline_svg(figure: Figure, prefix: str) -> tuple[str, str, str]:
    """An ``<svg>`` element to stand in an HTML page, and the figure's title and note, which the page shows beside it.

    Transparent, in the page's font and text colour; an image with its title and description to screen readers.
    ``prefix`` keeps its element ids apart from those of other figures of the page.
    """
    title, note = _words(figure.get_suptitle()), _words(figure.get_supxlabel())
    with styled():
        for shown in (figure._suptitle, figure._supxlabel):  # type: ignore[attr-defined]
            if shown is not None:
                shown.set_visible(False)
                shown.set_in_layout(False)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", dpi=150, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.S)
    text = re.sub(r'(<image\b[^>]*?) id="[^"]*"', r"\1", text)  # the same of like images, and not referred to
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r"url\(#", f"url(#{prefix}-", text)
    text = re.sub(r'href="#', f'href="#{prefix}-', text)
    text = re.sub(r'(<svg\b[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg\b[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r"font: (\S+) [^;\"]*", r"font: \1 inherit; font-family: inherit; font-size: \1", text)
    said = f'<title id="{prefix}-title">{escape(title)}</title><desc id="{prefix}-desc">{escape(note)}</desc>'
    head = f'<svg role="img" aria-labelledby="{prefix}-title {prefix}-desc"'
    text = re.sub(r"<svg\b([^>]*)>", lambda match: f"{head}{match.group(1)}>{said}", text, count=1)
    return text.replace(INK, "currentColor"), title, note


def data_uri(image: npt.NDArray[np.uint8] | Path, *, width: int | None = None) -> str:
    """An image as a ``data:`` address: RGB array (H, W, 3), or an image file; scaled down to ``width`` pixels, JPEG.

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
    shown.save(stream, format="JPEG", quality=JPEG_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


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
        height = 1.2 + 0.24 * len(ranked)
        figure, (axes,) = panels(1, width=max(5.6, 1.8 + 1.05 * len(benchmarks)), height=height)
        axes.imshow(np.ma.masked_invalid(shade), cmap=SCALE, vmin=0, vmax=1, aspect="auto")
        framed = False
        for (row, column), value in np.ndenumerate(values):
            text = f"{value:.1f}" if np.isfinite(value) else "–"
            colour = readable_on(to_hex(SCALE(float(shade[row, column])))) if np.isfinite(value) else INK
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
            if ranked["train_set"].iloc[row] in (benchmarks[column].id, *benchmarks[column].test_sets):
                box = (column - 0.47, row - 0.44)
                # The white ring tells the frame from dark cells where colours are not seen.
                ring = [Stroke(linewidth=4, foreground="white"), Normal()]
                axes.add_patch(Rectangle(box, 0.94, 0.88, fill=False, ec=FRAME, lw=1.6, path_effects=ring))
                framed = True
        axes.set_xticks(range(len(benchmarks)), [b.label for b in benchmarks])
        axes.set_yticks(range(len(ranked)), ranked_labels(ranked))
        axes.tick_params(length=0)
        axes.xaxis.tick_top()
        axes.spines[:].set_visible(False)
        note = "Errors in mm, lower is better. Each column has its own scale: the darkest cell is its lowest error."
        note += " Framed: tested on the dataset it was trained on." if framed else ""
        note += " Ranks such as 1-2 are ties: sets that cannot be told apart." if has_ties(ranked) else ""
        entitle(figure, _benchmarks_title(ranked), note)
    return figure


def intervals(ranked: pd.DataFrame) -> Figure:
    """Mean primary error of each training set with its interval, best on top."""
    shown = ranked.dropna(subset=["mpe"])
    with styled():
        figure, (axes,) = panels(1, height=1.3 + 0.22 * max(len(shown), 3))
        spans = shown[["mpe_low", "mpe_high"]].to_numpy(float) if "mpe_low" in shown else None
        for row, (train_set, mpe) in enumerate(zip(shown["train_set"], shown["mpe"].astype(float), strict=True)):
            look = style(str(train_set))
            if spans is not None:
                axes.plot(spans[row], [row, row], color=look.colour, lw=2, alpha=0.5)
            axes.plot([mpe], [row], look.marker, color=look.colour, ms=5)
        axes.set_yticks(range(len(shown)), ranked_labels(shown))
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.grid(axis="x")
        axes.set_xlabel("mean primary error, mm (lower is better)")
        names = ", ".join(b.label for b in benchmarks_of(ranked))
        note = (f"Mean of {names}" if names else "Mean primary error") + f"{interval_axis(ranked)}."
        if has_ties(ranked):
            note += " Ranks such as 1-2 are ties: sets that cannot be told apart. Differences are paired: sets whose"
            note += " bars overlap can be apart."
        entitle(figure, " ".join(headline(ranked)[:1]) or "No training set has a rank", note)
    return figure


def ranked_labels(ranked: pd.DataFrame) -> list[str]:
    """Names of the rows; with their ranks where sets cannot be told apart, which are ties then."""
    if not has_ties(ranked):
        return labels(ranked)
    ranks = ["–" if pd.isna(place) else str(place) for place in tied(ranked)]
    return [f"{name}   {place}" for name, place in zip(labels(ranked), ranks, strict=True)]


def has_ties(ranked: pd.DataFrame) -> bool:
    """Whether any two sets cannot be told apart."""
    return any("-" in str(place) for place in tied(ranked).dropna())


def legend(figure: Figure, axes: Sequence[Axes], markers: float = 1.0) -> None:
    """One legend for all panels, to their right; ``markers``: how much larger than in the panels."""
    found = {name: handle for panel in axes for handle, name in zip(*panel.get_legend_handles_labels(), strict=True)}
    if found:
        drawn = figure.legend(
            list(found.values()),
            list(found),
            loc="outside right center",
            markerscale=markers,
            handletextpad=0.4,
        )
        for handle in drawn.legend_handles:
            if handle is not None:
                handle.set_alpha(1)


def _benchmarks_title(ranked: pd.DataFrame) -> str:
    """Who has the lowest errors: ``BEDLAM has the lowest error on 4 of 5 benchmarks``."""
    benchmarks = benchmarks_of(ranked)
    values = ranked[[b.id for b in benchmarks]].astype(float)
    winners = values.loc[:, values.notna().any()].idxmin().map(ranked["train_set"])
    if winners.empty:
        return "No training set has an error on a benchmark"
    best, count = winners.value_counts().index[0], int(winners.value_counts().iloc[0])
    return f"{dataset_name(str(best))} has the lowest error on {count} of {len(benchmarks)} benchmarks"


def _words(text: str) -> str:
    return " ".join(text.split())
