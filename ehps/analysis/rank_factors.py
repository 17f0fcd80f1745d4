"""Why some datasets rank higher: rank against size, scene, appearance, annotation and number of persons.

With some thirty datasets, few relations are beyond chance: every statement comes with a permutation
p-value, and with Holm's correction for the number of factors looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ehps.analysis import correlation, figures, ties
from ehps.arrays import Array, Mask
from ehps.errors import DataError, UsageError

_NAMES = {
    "instances": "instances",
    "appearance": "appearance",
    "scene": "scene",
    "persons": "persons in an image",
    "annotation": "annotation",
    "body_source": "bodies by",
    "body_model": "body model",
}
SURENESS = "identification"
"""Column of published rankings that says how a set's name is known; no factor."""

TIED = "Bars, and ranks such as 1-2 beside names, are ties: sets that cannot be told apart."

FACTORS = ("appearance", "scene", "persons", "annotation", "body_source", "body_model")
"""Fields of a dataset's card, each with few values, that may go with its rank."""


def card_attributes(cards: Iterable[Any]) -> pd.DataFrame:
    """An attributes frame from dataset cards, indexed by dataset id.

    As the card has them :data:`FACTORS`. How many instances were trained on is a fact of the ranking.
    """
    rows = {card.id: {name: getattr(card, name) or "none" for name in FACTORS} for card in cards}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("train_set")


def joined(ranked: pd.DataFrame, attributes: pd.DataFrame) -> pd.DataFrame:
    """The ranked sets that have a rank, with their attributes; ``attrs["left_out"]``: set -> why it is not there.

    A set is looked for by its ``datasets`` where the ranking has them, else by its name.

    Parameters
    ----------
    ranked : ``rank, train_set`` and, if it has them, ``mpe`` and ``instances``; of one model.
    attributes : one row a dataset, indexed by id or with a column ``train_set`` or ``id``.

    Raises
    ------
    UsageError : several models.
    DataError : none of the ranked sets has attributes.
    """
    if ranked["train_set"].duplicated().any():
        raise UsageError("a dataset has several ranks", fix="choose one model")
    known, placed = attributed(ranked, attributes), ranked["rank"].notna()
    if not known.any():
        raise DataError(
            "none of the ranked training sets is a dataset whose attributes are known",
            fix="convert the training sets with ehps, or state their dataset: `ehps humandata convert --declare`",
        )
    kept = ranked.loc[known, [c for c in ("rank", "train_set", "mpe", "instances", SURENESS) if c in ranked]]
    facts = _by_set(attributes)
    new = facts.loc[_ids(ranked)[known], [c for c in facts if c not in kept]]
    out = kept.join(new.set_axis(kept.index)).reset_index(drop=True)
    out.attrs["left_out"] = {str(name): "no rank" for name in ranked["train_set"][~placed]} | {
        str(name): "nothing is known about it" for name in ranked["train_set"][placed & ~known]
    }
    return out


def attributed(ranked: pd.DataFrame, attributes: pd.DataFrame) -> Mask:
    """(N,) training sets of ``ranked`` that have a rank, and attributes, see :func:`joined`."""
    return np.asarray(ranked["rank"].notna() & _ids(ranked).isin(_by_set(attributes).index))


def _ids(ranked: pd.DataFrame) -> pd.Series[Any]:
    """The datasets of the training sets, or their names where the ranking does not say."""
    return ranked["datasets"] if "datasets" in ranked else ranked["train_set"]


def _by_set(attributes: pd.DataFrame) -> pd.DataFrame:
    return next((attributes.set_index(c) for c in ("train_set", "id") if c in attributes), attributes)


def factors(
    ranked: pd.DataFrame,
    attributes: pd.DataFrame,
    *,
    target: str | None = None,
    permutations: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    """Each attribute against rank and MPE.

    Parameters
    ----------
    target : ``mpe`` or ``rank``, what is tested; by default ``mpe`` where it is there. (Spearman's rho of a
        size is the same for its logarithm.)

    Returns
    -------
    frame ``factor, level, n, mean_rank[, mean_mpe], spearman, p, p_holm``: one row for a numeric attribute,
    one row a level for the others. For numbers, p is that of Spearman's rho with the target (negative: more
    is better); for levels, of the Kruskal-Wallis test that they differ at all, the same for all levels of a
    factor. ``attrs``: ``target``, ``datasets`` (how many enter), ``left_out``, and ``caution``: what is to be known
    beside the p-values, empty where there is nothing.
    """
    frame = joined(ranked, attributes)
    goal = target or ("mpe" if "mpe" in frame else "rank")
    if goal not in frame:
        raise UsageError(f"the ranking has no {goal!r}")
    rows: list[dict[str, Any]] = []
    tests: dict[str, float] = {}
    for name in (str(c) for c in frame if c not in ("rank", "mpe", "train_set", SURENESS)):
        known = frame[frame[name].notna()]
        if not known[name].nunique() > 1:
            continue
        y = known[goal].to_numpy(float)
        numeric = pd.api.types.is_numeric_dtype(known[name]) and not pd.api.types.is_bool_dtype(known[name])
        if numeric:
            found = correlation.spearman(known[name].to_numpy(float), y, permutations=permutations, seed=seed)
            rows.append({"factor": name, "level": None, **_means(known), "spearman": found.value})
        else:
            levels = known[name].astype(str)
            found = correlation.kruskal(y, levels.to_numpy(), permutations=permutations, seed=seed)
            means = [{"factor": name, "level": level, **_means(part)} for level, part in known.groupby(levels)]
            rows += sorted(means, key=lambda row: row[f"mean_{goal}"])
        tests[name] = found.p
    adjusted = dict(zip(tests, correlation.holm(np.array(list(tests.values()))), strict=True))
    columns = ["factor", "level", "n", "mean_rank", *(["mean_mpe"] if "mpe" in frame else []), "spearman"]
    out = pd.DataFrame(rows, columns=columns)
    out["spearman"] = out["spearman"].astype(float)
    out["p"] = out["factor"].map(tests).astype(float)
    out["p_holm"] = out["factor"].map(adjusted).astype(float)
    out.attrs = {"target": goal, "datasets": len(frame), "left_out": frame.attrs["left_out"]}
    out.attrs["caution"] = _caution(ranked, frame)
    return out


def _caution(ranked: pd.DataFrame, used: pd.DataFrame) -> str:
    """How much of a ranking the tests are made on, and how sure it is."""
    absent = ranked.attrs.get("unnamed", 0) + len(ranked.attrs.get("without_point", [])) + len(ranked) - len(used)
    inferred = int((used[SURENESS] == "inferred").sum()) if SURENESS in used else 0
    said = [f"the names of {inferred} of them are inferred"] if inferred else []
    said += [f"{absent} more have no known dataset or no rank, and are missing"] if absent else []
    return f"p-values are of {len(used)} ranked sets: {'; '.join(said)}" if said else ""


def figure(ranked: pd.DataFrame, attributes: pd.DataFrame, colour_by: str = "appearance") -> Figure:
    """Rank (best on top) against number of instances, coloured by one attribute; logarithmic over more than a decade.

    Sets whose name is inferred are hollow, published points without a name hollow and grey. Ties have their range of
    ranks as a bar and beside the name, as in tables.

    Raises
    ------
    UsageError : the frames have no ``instances`` or no ``colour_by``.
    """
    frame = joined(ranked, attributes)
    for name in ("instances", colour_by):
        if name not in frame:
            raise UsageError(f"there is no attribute {name!r}", fix=f"there are: {', '.join(map(str, frame))}")
    frame = frame[frame["instances"].notna() & (frame["instances"].astype(float) > 0)].sort_values("rank")
    frame = with_ties(frame, ranked)
    unnamed = np.array(ranked.attrs.get("unnamed_points", []), float).reshape(-1, 2)
    sizes = np.concatenate([frame["instances"].to_numpy(float), unnamed[:, 1]])
    levels = frame[colour_by].astype(object).where(frame[colour_by].notna(), "not stated").astype(str)
    with figures.styled():
        drawing, (axes,) = figures.panels(1, height=1.8 + 0.19 * max(len(frame), 6))
        looks: list[tuple[str, str, str]] = []
        for number, (level, part) in enumerate(frame.groupby(levels)):
            colour = figures.PALETTE[number % len(figures.PALETTE)]
            marker = figures.MARKERS[number % len(figures.MARKERS)]
            x, y = part["instances"].to_numpy(float), part["rank"].to_numpy(float)
            hollow = part[SURENESS].to_numpy() == "inferred" if SURENESS in part else np.zeros(len(part), bool)
            faces = ["none" if open_ else colour for open_ in hollow]
            draw_ties(axes, x, part, colour)
            axes.scatter(x, y, s=34, c=faces, edgecolors=colour, marker=marker, zorder=3)
            looks.append((str(level), marker, colour))
        if len(unnamed):
            axes.scatter(unnamed[:, 1], unnamed[:, 0], s=22, c="none", edgecolors=figures.GREY, zorder=2)
        if len(sizes) and sizes.max() > 10 * sizes.min():
            axes.set_xscale("log")
        middle = np.sqrt(sizes.min() * sizes.max()) if len(sizes) else 1
        for name, x, y in zip(figures.ranked_labels(frame), frame["instances"], frame["rank"], strict=True):
            right = x <= middle
            axes.annotate(
                name,
                (x, y),
                xytext=(7 if right else -7, 0),
                textcoords="offset points",
                ha="left" if right else "right",
                va="center",
                fontsize=8,
            )
        axes.invert_yaxis()
        last = int(max([frame["rank"].max(), *unnamed[:, 0]])) if len(frame) else 1
        axes.set_yticks([1, *range(5, last + 1, 5)] if last > 8 else range(1, last + 1))
        axes.grid(axis="both")
        axes.set_xlabel("training instances")
        note = "Rank 1, on top, is the lowest mean primary error."
        note += f" {TIED}" if figures.has_ties(frame) else ""
        figures.entitle(drawing, _title(frame), note)
        axes.set_ylabel("rank")
        if len(frame):
            inferred = SURENESS in frame and bool((frame[SURENESS] == "inferred").any())
            _legend(axes, _NAMES.get(colour_by, colour_by), looks, inferred, len(unnamed) > 0)
    return drawing


def with_ties(frame: pd.DataFrame, ranked: pd.DataFrame) -> pd.DataFrame:
    """``frame`` of :func:`joined` with the ``tied`` ranks of ``ranked``, where it has them."""
    if "tied" not in ranked:
        return frame
    return frame.assign(tied=frame["train_set"].map(ranked.set_index("train_set")["tied"]))


def draw_ties(axes: Axes, x: Array, part: pd.DataFrame, colour: str) -> None:
    """A bar at each of (N,) ``x`` over the ranks that its set is tied over."""
    spans = [ties.ends(text) for text in part.get("tied", ())]
    tied = [low < high for low, high in spans]
    if any(tied):
        axes.vlines(x[tied], *np.array(spans, float)[tied].T, color=colour, lw=1.2, alpha=0.4, zorder=2)


def _legend(axes: Axes, title: str, levels: list[tuple[str, str, str]], inferred: bool, unnamed: bool) -> None:
    """Levels in full markers, then what hollow ones mean."""
    handles = [Line2D([], [], ls="", marker=marker, color=colour, label=level) for level, marker, colour in levels]
    for said, shown, edge in (("name inferred", inferred, figures.INK), ("not identified", unnamed, figures.GREY)):
        if shown:
            handles.append(Line2D([], [], ls="", marker="o", mfc="none", mec=edge, label=said))
    axes.legend(handles=handles, title=title, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _title(shown: pd.DataFrame) -> str:
    """How rank goes with size among the sets that are shown."""
    found = correlation.spearman(shown["instances"].to_numpy(float), shown["rank"].to_numpy(float))
    if np.isnan(found.value):
        return f"Rank and number of training instances of {len(shown)} sets"
    better = "better" if found.value < 0 else "worse"
    said = f"Larger training sets rank {better}" if found.p < 0.05 else "Rank does not follow the size of training sets"
    return f"{said} (Spearman {found.value:.2f}, p = {found.p:.2g}, {len(shown)} sets)"


def _means(part: pd.DataFrame) -> dict[str, Any]:
    means = {"n": len(part), "mean_rank": float(part["rank"].astype(float).mean())}
    return means | ({"mean_mpe": float(part["mpe"].mean())} if "mpe" in part else {})
