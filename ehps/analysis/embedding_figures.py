"""Where samples lie: the embeddings of several attributes as one figure.

Up to :data:`FEW` training sets share a panel, each with a colour, a shape and its name where most of it lies. More have
a panel each, in front of all samples in grey. Coloured by what is known of the sets, all share a panel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ehps.analysis import figures
from ehps.analysis.colours import Style, styles
from ehps.analysis.embedding import NEW
from ehps.analysis.published import dataset_name
from ehps.analysis.samples import TITLES
from ehps.arrays import Array
from ehps.errors import UsageError

ColourBy = Literal["set", "scene", "real", "annotation"]
FEW = len(figures.PALETTE)
"""Most datasets that can be told apart in one panel."""
UNKNOWN = "not stated"
_OUTLINED = ("test", NEW)


def figure(
    embeddings: Mapping[str, pd.DataFrame],
    labels: Mapping[str, Mapping[str, str]] | None = None,
    colour_by: ColourBy = "set",
) -> Figure:
    """One panel an attribute, or one a dataset and attribute where there are more than :data:`FEW` training sets.

    Test samples are outlined, in front.

    Parameters
    ----------
    labels : ``Samples.labels``, for ``colour_by`` other than ``set``.

    Raises
    ------
    UsageError : nothing is known to colour by.
    """
    names = {
        str(name): str(role)
        for frame in embeddings.values()
        for name, role in frame.groupby("dataset", sort=False)["role"].first().items()
    }
    train = sum(role == "train" for role in names.values())
    tests = sum(role == "test" for role in names.values())
    said = f"Samples of {_count(train, 'training set')} and {_count(tests, 'test set')} by "
    said += " and ".join(", ".join(TITLES.get(name, name) for name in embeddings).rsplit(", ", 1))
    note = "Each point is one person instance. Near points are alike; distances between far groups mean little."
    with figures.styled():
        if colour_by != "set":
            known = dict((labels or {}).get(colour_by, {}))
            if not known:
                raise UsageError(
                    f"of none of the sets it is known what to colour by ({colour_by})",
                    fix=f"colour by {' or '.join(get_args(ColourBy))}; cards know the datasets of ehps",
                )
            drawing = _by_level(embeddings, known)
            said += f", by {'real or synthetic' if colour_by == 'real' else colour_by}"
        elif train > FEW:
            drawing = _panel_a_dataset(embeddings, list(names))
            note += " Grey: samples of all sets."
        else:
            drawing = _panel_an_attribute(embeddings, styles(names))
        note += " Outlined: test sets." if tests else ""
        if new := [_shown(name) for name, role in names.items() if role == NEW]:
            note += f" Outlined, placed at the mean of their nearest 15 in an embedding without them: {', '.join(new)}."
        figures.entitle(drawing, said, f"{note} {made_of(embeddings)}")
    return drawing


def made_of(embeddings: Mapping[str, pd.DataFrame]) -> str:
    """Parameters, seed and numbers of samples of embeddings, as sentences."""
    parts = []
    for frame in embeddings.values():
        parameters = frame.attrs.get("parameters", {})
        text = str(frame.attrs.get("method", "embedding")).upper()
        text += f", {parameters['neighbours']} neighbours" if "neighbours" in parameters else ""
        text += f", least distance {parameters['min_dist']}" if "min_dist" in parameters else ""
        text += f", seed {frame.attrs['seed']}" if "seed" in frame.attrs else ""
        parts.append(text)
    counts = np.concatenate([frame["dataset"].value_counts().to_numpy() for frame in embeddings.values()])
    number = f"{counts.min():,}" if counts.min() == counts.max() else f"{counts.min():,} to {counts.max():,}"
    return f"{'; '.join(dict.fromkeys(parts))}; {number} samples of each set."


def _panel_an_attribute(embeddings: Mapping[str, pd.DataFrame], looks: Mapping[str, Style]) -> Figure:
    drawing, axes = _grid(embeddings)
    for panel, frame in zip(axes, embeddings.values(), strict=True):
        for role in ("train", *_OUTLINED):
            for name, part in frame[frame["role"] == role].groupby("dataset", sort=False):
                _scatter(panel, part, looks[str(name)], role in _OUTLINED, label=_shown(str(name)))
        _name_sets(panel, frame, looks)
    figures.legend(drawing, axes, markers=1.8)
    return drawing


def _by_level(embeddings: Mapping[str, pd.DataFrame], known: Mapping[str, str]) -> Figure:
    levels = [level for level in sorted(set(known.values())) if level != UNKNOWN] + [UNKNOWN]
    shapes = [*figures.MARKERS, *figures.MARKERS]
    looks = {
        level: Style(figures.PALETTE[i % len(figures.PALETTE)], shapes[i % len(shapes)], "-")
        for i, level in enumerate(levels)
    }
    looks[UNKNOWN] = Style(figures.GREY, "x", "-")
    drawing, axes = _grid(embeddings)
    rng = np.random.default_rng(0)
    for panel, frame in zip(axes, embeddings.values(), strict=True):
        level = frame["dataset"].map(lambda name: known.get(str(name), UNKNOWN))
        # In an order of chance, in portions: the last level must not hide the first.
        portion = rng.integers(0, 6, len(frame))
        for outlined in (False, True):
            role = frame["role"].isin(_OUTLINED) == outlined
            for number in range(6):
                for name, look in looks.items():
                    part = frame[role & (level == name) & (portion == number)]
                    if len(part):
                        _scatter(panel, part, look, outlined, label=name)
    figures.legend(drawing, axes, markers=1.8)
    return drawing


def _panel_a_dataset(embeddings: Mapping[str, pd.DataFrame], names: Sequence[str]) -> Figure:
    columns = 8
    looks = {name: figures.style(name) for name in names}
    each = -(-len(names) // columns) * columns
    drawing, axes = figures.panels(each * len(embeddings), width=11, height=1.45, columns=columns)
    for number, (attribute, frame) in enumerate(embeddings.items()):
        block = axes[number * each : (number + 1) * each]
        for panel, name in zip(block, names, strict=False):
            own = frame[frame["dataset"] == name]
            panel.scatter(frame["x"], frame["y"], s=0.6, c=figures.GREY, alpha=0.25, linewidths=0, rasterized=True)
            _scatter(panel, own, looks[name], bool(own["role"].isin(_OUTLINED).any()))
            panel.set_title(_shown(name), fontsize=7.5, fontweight="normal")
            _bare(panel)
        for spare in block[len(names) :]:
            spare.remove()
        block[0].set_ylabel(TITLES.get(attribute, attribute), fontweight="bold")
    return drawing


def _grid(embeddings: Mapping[str, pd.DataFrame]) -> tuple[Figure, list[Axes]]:
    columns = 3 if len(embeddings) == 3 else min(2, max(1, len(embeddings)))
    drawing, axes = figures.panels(len(embeddings), width=10, height=10 / columns * 0.85, columns=columns)
    for panel, (attribute, frame) in zip(axes, embeddings.items(), strict=True):
        panel.set_title(f"{TITLES.get(attribute, attribute)} ({frame.attrs.get('method', 'embedding').upper()})")
        _bare(panel)
    return drawing, axes


def _scatter(panel: Axes, part: pd.DataFrame, look: Style, outlined: bool, label: str | None = None) -> None:
    line = look.marker == "x"
    panel.scatter(
        part["x"],
        part["y"],
        s=13 if outlined else 7,
        c=look.colour,
        marker=look.marker,
        alpha=0.9 if outlined else 0.55,
        edgecolors=None if line else figures.INK if outlined else "none",
        linewidths=0.6 if outlined or line else 0,
        rasterized=True,
        label=label,
    )


def _name_sets(panel: Axes, frame: pd.DataFrame, looks: Mapping[str, Style]) -> None:
    """The name of each training set where it is densest, as far from other names as that allows."""
    span = np.ptp(frame[["x", "y"]].to_numpy(float), axis=0).max() or 1.0
    taken: list[Array] = []
    for name, part in frame[frame["role"] == "train"].groupby("dataset", sort=False):
        own = part[["x", "y"]].to_numpy(float)
        shown = own[:: max(1, len(own) // 200)]
        gaps = np.linalg.norm(shown[:, None] - shown[None], axis=2)
        score = (gaps < 0.06 * span).mean(axis=1)
        for place in taken:
            offset = np.abs(shown - place) / span
            score = score - ((offset[:, 0] < 0.22) & (offset[:, 1] < 0.05))
        where = shown[int(score.argmax())]
        taken.append(where)
        text = panel.annotate(
            _shown(str(name)), where, ha="center", va="center", fontsize=7, color=figures.INK, zorder=5
        )
        text.set_path_effects([patheffects.withStroke(linewidth=2.2, foreground="white", alpha=0.85)])


def _bare(panel: Axes) -> None:
    panel.set_xticks([])
    panel.set_yticks([])
    panel.spines[:].set_visible(False)


def _shown(label: str) -> str:
    name = label.removesuffix(" (test)").removesuffix(f" ({NEW})")
    return dataset_name(name) + label[len(name) :]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
