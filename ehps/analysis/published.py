"""Published numbers: the ranks of models trained on one dataset each, and how papers call the datasets.

``published/single_dataset_ranks.csv`` holds the points of a figure in the SMPLer-X repository: a number of instances
(``in_figure``) and three ranks each, without a name. Its column ``identification`` says how a point's dataset is known:
``confirmed`` by a document that states the count, ``inferred`` from documents that lead to it (``basis`` says how in
both cases), or empty where neither is so and the point has no name. ``instances`` is the dataset's number wherever
ehps states it, that of its card. ``published/datasets.csv`` has the names of the datasets in the read-me of the same
repository.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import pandas as pd

from ehps.errors import UsageError

RANK_COLUMNS: Mapping[str, str] = {
    "smpler_x_s": "rank_smpler_x_s",
    "smpler_x_b": "rank_smpler_x_b",
    "hand4whole": "rank_hand4whole",
}
OTHER_NAMES: Mapping[str, str] = {
    "bedlam2": "BEDLAM2.0",
    "emdb": "EMDB",
    "harmony4d": "Harmony4D",
    "hi4d": "Hi4D",
    "lsp": "LSP",
    "moyo": "MOYO",
    "sam3d_body": "SAM 3D Body",
    "whac_a_mole": "WHAC-A-Mole",
}
"""The name of each ehps id that the study does not have, as on its card."""
RANKED = 32
"""How many training sets the study ranks; its figure shows one less."""


def table(name: str, *, texts: bool = False) -> pd.DataFrame:
    """A shipped file, its cells as pandas reads them, or as ``texts``; empty ones are empty texts."""
    with (files("ehps.analysis") / "published" / f"{name}.csv").open(encoding="utf-8") as stream:
        return pd.read_csv(stream, keep_default_na=False, dtype=str if texts else None)


@cache
def dataset_names() -> Mapping[str, str]:
    """The name in papers of each ehps id that the study has."""
    frame = table("datasets")
    return dict(zip(frame["id"], frame["name"], strict=True))


def dataset_name(dataset: str) -> str:
    """The name in papers of an ehps id; an unknown id is its own name."""
    return dataset_names().get(dataset) or OTHER_NAMES.get(dataset, dataset)


def single_dataset_ranks(model: str = "smpler_x_s") -> pd.DataFrame:
    """Ranks of models trained on one dataset each, best first, shaped like the output of ``ranking.rank``.

    Parameters
    ----------
    model : ``smpler_x_s``, ``smpler_x_b`` or ``hand4whole``.

    Returns
    -------
    frame with ``rank`` (1 = lowest mean primary error among 32), ``train_set`` (ehps id), ``instances``, ``in_figure``
    (those of the figure), ``model``, ``identification`` (``confirmed`` or ``inferred``), ``basis`` (from what) and
    ``source``. Points without a name are left out; ``attrs["unnamed"]`` is their number, ``attrs["unnamed_points"]``
    their ranks and instances, ``attrs["without_point"]`` the ranks among 32 that the figure does not show. The errors
    behind the ranks are not published in a form that could be read, so there is no ``mpe``.

    Raises
    ------
    UsageError : there are no ranks of that model.
    """
    if model not in RANK_COLUMNS:
        raise UsageError(f"no published ranks for {model!r}", fix=f"choose one of {', '.join(RANK_COLUMNS)}")
    points = table("single_dataset_ranks")
    named = points[points["identification"] != ""]
    frame = pd.DataFrame(
        {
            "rank": named[RANK_COLUMNS[model]].astype(int),
            "train_set": named["dataset"],
            "instances": named["instances"].astype(int),
            "in_figure": named["in_figure"].astype(int),
            "model": model,
            "identification": named["identification"],
            "basis": named["basis"],
            "source": named["source"],
        }
    )
    frame = frame.sort_values("rank", kind="stable").reset_index(drop=True)
    others = points[points["identification"] == ""].sort_values(RANK_COLUMNS[model])
    pairs = zip(others[RANK_COLUMNS[model]], others["in_figure"], strict=True)
    frame.attrs["unnamed"] = len(others)
    frame.attrs["unnamed_points"] = [(int(rank), int(instances)) for rank, instances in pairs]
    frame.attrs["without_point"] = sorted({*range(1, RANKED + 1)} - {*points[RANK_COLUMNS[model]]})
    return frame


def all_points(model: str) -> pd.DataFrame:
    """:func:`single_dataset_ranks` with the points that have no name, called by their number of instances.

    For comparisons of the published models with each other, which need no names.
    """
    points = table("single_dataset_ranks")
    counts = points["in_figure"].map("{:,}".format)
    again = points.groupby("in_figure").cumcount().map(lambda number: f", point {number + 1}" if number else "")
    names = points["dataset"].where(points["identification"] != "", "? (" + counts + again + ")")
    ranks = points[RANK_COLUMNS[model]].astype(int)
    frame = pd.DataFrame({"rank": ranks, "train_set": names, "instances": points["in_figure"], "model": model})
    return frame.sort_values("rank", kind="stable").reset_index(drop=True)
