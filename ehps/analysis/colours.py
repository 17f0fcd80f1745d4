"""Colours of figures and of the report page, and how well they can be read.

A dataset has the same colour and shape everywhere: eight colours that colour-blind readers can tell apart, each with
at least 3:1 against the light and the dark ground, combined with five shapes and four line styles. Text stands in ink,
or in black or white on shaded cells, always with at least 4.5:1 (WCAG 2.2, 1.4.3 and 1.4.11).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

TEXT_CONTRAST, MARK_CONTRAST = 4.5, 3.0

INK = "#2b3137"
GREY = "#7d858d"
PALETTE = ("#0072b2", "#d55e00", "#00916a", "#c4649b", "#a87900", "#2b8fb8", "#8566b5", "#7b7d34")
MARKERS = ("o", "s", "^", "D", "v")
MORE_MARKERS = ("P", "X", "*", "<", ">", "p", "h", "d")
LINES = ("-", "--", "-.", ":")
FRAME = PALETTE[1]
"""Around what is of the dataset's own test set."""

LIGHT = {
    "ground": "#ffffff",
    "panel": "#f4f6f8",
    "ink": "#1f262d",
    "soft": "#55606a",
    "line": "#d9dee4",
    "accent": "#005f96",
    "warn": "#9a3f05",
    "warn-ground": "#fdf3ea",
    "own": "#d55e00",
    "mark": "#6b7681",
}
DARK = {
    "ground": "#14181c",
    "panel": "#1d2329",
    "ink": "#e4e8ec",
    "soft": "#a6b0ba",
    "line": "#3a424b",
    "accent": "#6fbdf0",
    "warn": "#f0a060",
    "warn-ground": "#2b2118",
    "own": "#f08a3c",
    "mark": "#8b95a0",
}
"""What the page's text, lines and grounds are called in its style sheet, by theme."""

STEPS = 9
"""Number of shades from the highest to the lowest error."""
_RAMPS = {"light": ("#eef4f9", "#0b4f86"), "dark": ("#20272e", "#7cc4f2")}

# The order gives sets that are often shown together different colours.
_ORDER = [
    *("agora", "bedlam", "ubody", "mscoco", "egobody_ego", "pw3d", "ehf", "h36m"),
    *("synbody", "arctic", "gta_human2", "egobody_kinect", "mpi_inf_3dhp", "spec", "posetrack", "prox"),
    *("crowdpose", "rich", "muco", "insta_variety", "behave", "up3d", "mpii", "ssp3d"),
    *("ochuman", "chi3d", "renbody_hires", "mtp", "humansc3d", "renbody", "fit3d", "talkshow"),
    *("lspet", "bedlam2", "whac_a_mole"),
]


@dataclass(frozen=True)
class Style:
    """Colour (hex), matplotlib marker and line style of a dataset."""

    colour: str
    marker: str
    line: str


def style(dataset: str) -> Style:
    """How a dataset is drawn; the same everywhere, also for ids that are not among the known ones."""
    name = _dataset(dataset)
    number = _ORDER.index(name) if name in _ORDER else zlib.crc32(name.encode())
    round_ = number // len(PALETTE)
    return Style(PALETTE[number % len(PALETTE)], MARKERS[round_ % len(MARKERS)], LINES[round_ % len(LINES)])


def _dataset(label: str) -> str:
    """Without what a label says of its role."""
    return label.removesuffix(" (test)").removesuffix(" (new)")


def styles(datasets: Iterable[str]) -> dict[str, Style]:
    """How datasets are drawn in one panel: each in its colour, no two in one shape while there are shapes left."""
    out: dict[str, Style] = {}
    taken: dict[str, str] = {}  # shape -> dataset
    for dataset in datasets:
        look, name = style(dataset), _dataset(dataset)
        marker = next((shape for shape, owner in taken.items() if owner == name), None)
        if marker is None:
            marker = next((m for m in (look.marker, *MARKERS, *MORE_MARKERS) if m not in taken), look.marker)
            taken.setdefault(marker, name)
        out[dataset] = replace(look, marker=marker)
    return out


def luminance(colour: str) -> float:
    """Relative luminance of ``#rrggbb``, 0 for black and 1 for white (WCAG)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(a: str, b: str) -> float:
    """Contrast ratio of two colours, 1 to 21.

    Examples
    --------
    >>> round(contrast("#000000", "#ffffff"), 1), round(contrast("#ffffff", "#56b4e9"), 1)
    (21.0, 2.3)
    """
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def readable_on(ground: str) -> str:
    """Black or white, whichever reads better on ``ground``: at least 4.58:1 on any."""
    return max(("#000000", "#ffffff"), key=lambda ink: contrast(ink, ground))


def blend(a: str, b: str, share: float) -> str:
    """The colour ``share`` of the way from ``a`` to ``b``."""
    pairs = [(int(a[i : i + 2], 16), int(b[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(x + (y - x) * share):02x}" for x, y in pairs)


def shades(theme: str) -> list[tuple[str, str]]:
    """Ground and text of each shade of cells, from the highest error to the lowest; ``theme`` is light or dark."""
    first, last = _RAMPS[theme]
    grounds = [blend(first, last, i / (STEPS - 1)) for i in range(STEPS)]
    return [(ground, readable_on(ground)) for ground in grounds]


def shade(share: float) -> int:
    """Which shade stands for ``share``: 0 the faintest, 1 the strongest."""
    return round(min(max(share, 0.0), 1.0) * (STEPS - 1))
