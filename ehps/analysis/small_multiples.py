"""One small drawing a dataset, all on one scale, as SVG paths for the report page.

Thirty colours in one panel cannot be told apart; thirty small panels, each with its name and the others behind it in
grey, can be read at a glance and fall into as many columns as the screen has room for.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ehps.analysis.colours import Style, style
from ehps.arrays import Array

WIDTH, HEIGHT = 200, 90
"""Units of a panel of lines; panels of points are 200 x 200."""

MOST_POINTS = 120
"""Of a line; more are thinned out evenly, the last kept."""
MOST_SAMPLES = 300
"""Of a dataset in a panel of points."""


@dataclass(frozen=True)
class Panel:
    """One drawing: what is in it, its path, and a sentence for those who do not see it."""

    name: str
    style: Style
    path: str
    said: str
    role: str = "train"


@dataclass(frozen=True)
class Lines:
    """Panels of one line each, on common scales.

    ``band`` and ``middle`` are paths of the range and the median of all lines; ``low``, ``high`` the ends of the
    vertical scale, which is logarithmic with ``log``; ``last`` the end of the horizontal one.
    """

    panels: Sequence[Panel]
    band: str
    middle: str
    low: float
    high: float
    last: float
    log: bool


@dataclass(frozen=True)
class Points:
    """Panels of points, on common scales; ``density`` is an image of all of them as a ``data:`` address."""

    panels: Sequence[Panel]
    density: str
    thinned: bool


def lines(training: pd.DataFrame, name: str, order: Sequence[str] = ()) -> Lines | None:
    """The curve of one quantity in each run, see :func:`ehps.analysis.curves.read_curves`.

    Parameters
    ----------
    name : of the quantity.
    order : runs that come first.

    Returns
    -------
    None where no run has a finite value.
    """
    rows = training[(training["name"] == name) & np.isfinite(training["value"].astype(float))]
    if not len(rows):
        return None
    found = {str(run): part.sort_values("step") for run, part in rows.groupby("run", sort=True)}
    values = rows["value"].to_numpy(float)
    log = bool((values > 0).all() and values.max() > 20 * values.min())
    low, high, last = float(values.min()), float(values.max()), float(rows["step"].max())

    def x(steps: Array) -> Array:
        return WIDTH * steps / (last or 1)

    def y(numbers: Array) -> Array:
        a, b, v = (np.log(low), np.log(high), np.log(numbers)) if log else (low, high, numbers)
        return np.asarray(HEIGHT - 4 - (HEIGHT - 8) * ((v - a) / (b - a) if b > a else np.full(np.shape(v), 0.5)))

    panels = []
    for run in [*(r for r in order if r in found), *(r for r in found if r not in order)]:
        step, value = _thinned(found[run]["step"].to_numpy(float)), _thinned(found[run]["value"].to_numpy(float))
        said = f"{name} from {value[0]:.3g} to {value[-1]:.3g} over {step[-1]:,.0f} steps"
        panels.append(Panel(run, style(run), _polyline(x(step), y(value)), said))
    steps = np.linspace(rows["step"].min(), last, 60)
    inside = [np.interp(steps, part["step"], part["value"].astype(float), right=np.nan) for part in found.values()]
    table = np.stack(inside)
    known = np.isfinite(table).any(axis=0)
    across, table = x(steps[known]), table[:, known]
    top, bottom = y(np.nanmax(table, axis=0)), y(np.nanmin(table, axis=0))
    band = _polyline(np.concatenate([across, across[::-1]]), np.concatenate([top, bottom[::-1]])) + "Z"
    return Lines(panels, band, _polyline(across, y(np.nanmedian(table, axis=0))), low, high, last, log)


def points(embedding: pd.DataFrame) -> Points:
    """Where the samples of each dataset lie among all, see :func:`ehps.analysis.attributes.embed`."""
    xy = embedding[["x", "y"]].to_numpy(float)
    low, size = xy.min(axis=0), np.ptp(xy, axis=0).max() or 1.0
    # Centred, on one scale in both directions: distances are what such an image is about.
    placed = 100 + 184 * (xy - low - np.ptp(xy, axis=0) / 2) / size
    placed[:, 1] = 200 - placed[:, 1]
    panels, thinned = [], False
    for role in ("train", "test"):
        for name in embedding.loc[embedding["role"] == role, "dataset"].unique():
            own = placed[(embedding["dataset"] == name).to_numpy()]
            thinned |= len(own) > MOST_SAMPLES
            shown = own[:: -(-len(own) // MOST_SAMPLES)]
            path = "".join(f"M{a:.0f} {b:.0f}h0" for a, b in np.unique(shown.round(), axis=0))
            panels.append(Panel(str(name), style(str(name)), path, f"{len(own)} samples", role))
    return Points(panels, _density(placed), thinned)


def _density(placed: Array) -> str:
    """Grey image of where points are, its opacity by how many."""
    from PIL import Image

    counts, _, _ = np.histogram2d(placed[:, 1], placed[:, 0], bins=100, range=((0, 200), (0, 200)))
    blurred = np.mean([np.roll(counts, (a, b), (0, 1)) for a in (-1, 0, 1) for b in (-1, 0, 1)], axis=0)
    share = np.log1p(blurred) / np.log1p(blurred.max())
    grey = np.full((100, 100), 128, np.uint8)
    stream = io.BytesIO()
    Image.fromarray(np.dstack([grey, (110 * share).astype(np.uint8)]), "LA").save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def _thinned(values: Array) -> Array:
    keep = np.unique(np.linspace(0, len(values) - 1, min(len(values), MOST_POINTS)).round().astype(int))
    return values[keep]


def _polyline(x: Array, y: Array) -> str:
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
