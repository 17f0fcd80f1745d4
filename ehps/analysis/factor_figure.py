"""The four panels of what may go with rank: instances, scene, appearance, annotation (Figure 3 of SMPLer-X)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ehps.analysis import figures
from ehps.analysis.rank_factors import SURENESS, TIED, draw_ties, factors, joined, with_ties
from ehps.arrays import Array
from ehps.errors import UsageError

PANELS = ("instances", "scene", "appearance", "annotation")
TITLES = {
    "instances": "training instances",
    "scene": "scene",
    "appearance": "real or synthetic",
    "annotation": "annotation",
}
NAMED = 3  # best sets that are named in every panel
OTHERS = {"rank": "rank", "mpe": "mean primary error, mm"}


def four_panels(ranked: pd.DataFrame, attributes: pd.DataFrame, *, target: str | None = None) -> Figure:
    """Rank or error of every set against each of :data:`PANELS`, the better on top; levels by their mean.

    Parameters
    ----------
    ranked : of one model, see :func:`ehps.analysis.rank_factors.joined`.
    attributes : likewise.
    target : ``mpe`` or ``rank``; ``mpe`` where it is there.

    Raises
    ------
    UsageError : an attribute is not known of any set.
    """
    frame = joined(ranked, attributes)
    goal = target or ("mpe" if "mpe" in frame and frame["mpe"].notna().any() else "rank")
    for name in PANELS:
        if name not in frame or not frame[name].notna().any():
            raise UsageError(f"there is no attribute {name!r}", fix=f"there are: {', '.join(map(str, frame))}")
    table = factors(ranked, attributes, target=goal)
    tested = dict(zip(table["factor"].astype(str), table["p_holm"].astype(float), strict=True))
    ranks = goal == "rank"
    frame = with_ties(frame, ranked) if ranks else frame
    with figures.styled():
        drawing, axes = figures.panels(4, width=9.6, height=3.6, columns=2)
        for panel, name in zip(axes, PANELS, strict=True):
            shown = frame[frame[name].notna()].sort_values("rank", kind="stable")
            if name == "instances":
                _against_size(panel, shown, goal)
            else:
                _by_level(panel, shown, name, goal)
            panel.invert_yaxis()
            panel.set_ylabel(OTHERS[goal])
            panel.set_title(TITLES[name] + _tested(tested, name))
        note = "The better sets are on top"
        note += "; hollow: sets whose name is inferred" if _hollow(frame).any() else ""
        note += ". Lines across are means of levels."
        note += " P-values are of permutations, corrected for the number of factors (Holm)."
        note += f" {TIED}" if ranks and figures.has_ties(frame) else ""
        figures.entitle(drawing, _title(tested, len(frame)), note)
    return drawing


def _against_size(panel: Axes, shown: pd.DataFrame, goal: str) -> None:
    x, y = shown["instances"].to_numpy(float), shown[goal].to_numpy(float)
    _points(panel, x, y, shown, goal)
    if len(x) and x.max() > 10 * x.min():
        panel.set_xscale("log")
    middle = np.sqrt(x.min() * x.max())
    for name, at, value in list(zip(figures.ranked_labels(shown), x, y, strict=True))[:NAMED]:
        right = at <= middle
        panel.annotate(
            name,
            (at, value),
            xytext=(6 if right else -6, 0),
            textcoords="offset points",
            ha="left" if right else "right",
            va="center",
            fontsize=8,
        )
    panel.grid(axis="both")
    panel.set_xlabel("instances")


def _by_level(panel: Axes, shown: pd.DataFrame, name: str, goal: str) -> None:
    """Levels from the best mean on; points of a level beside each other in the order of rank."""
    groups = sorted(shown.groupby(shown[name].astype(str)), key=lambda item: float(item[1][goal].mean()))
    for at, (_, part) in enumerate(groups):
        beside = np.linspace(-0.28, 0.28, len(part)) if len(part) > 1 else np.zeros(1)
        _points(panel, at + beside, part[goal].to_numpy(float), part, goal)
        panel.plot([at - 0.36, at + 0.36], [part[goal].mean()] * 2, color=figures.INK, lw=1.6, zorder=2)
    words = [f"{_broken(str(level))}\nn = {len(part)}" for level, part in groups]
    panel.set_xticks(range(len(groups)), words, fontsize=7.5 if len(groups) < 6 else 6.5)
    panel.set_xlim(-0.6, len(groups) - 0.4)
    panel.tick_params(axis="x", length=0)
    panel.grid(axis="y")


def _points(panel: Axes, x: Array, y: Array, part: pd.DataFrame, goal: str) -> None:
    colour = figures.PALETTE[0]
    if goal == "rank":
        draw_ties(panel, x, part, colour)
    faces = ["none" if hollow else colour for hollow in _hollow(part)]
    panel.scatter(x, y, s=26, c=faces, edgecolors=colour, zorder=3)


def _hollow(part: pd.DataFrame) -> Array:
    return part[SURENESS].to_numpy() == "inferred" if SURENESS in part else np.zeros(len(part), bool)


def _broken(level: str) -> str:
    """Words of a level below each other."""
    lines: list[str] = []
    for word in level.split():
        if lines and len(lines[-1]) + len(word) < 9:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(lines)


def _tested(tested: Mapping[str, float], name: str) -> str:
    return f" (p = {tested[name]:.2g})" if np.isfinite(tested.get(name, np.nan)) else ""


def _title(tested: Mapping[str, float], sets: int) -> str:
    beyond = [TITLES[name] for name in PANELS if tested.get(name, 1) < 0.05]
    if beyond:
        return f"Ranks of {sets} sets go with {' and '.join(beyond)} beyond chance"
    return f"Ranks of {sets} sets follow neither size, scene, appearance nor annotation beyond chance"
