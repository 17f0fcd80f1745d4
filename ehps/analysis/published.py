"""Published numbers, as tables with their sources.

The files beside this module were read from papers, their figures and the authors' repositories; ``source``
names the document of each number. Errors are in millimetres. What could not be confirmed stays marked as
such: of the single-dataset ranking only the counts and ranks are known from a figure without names, so a
row's dataset is either confirmed (its count is stated elsewhere) or inferred (``basis`` says from what).
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
_SHORT_NAMES = {"DNA-R.": "renbody", "DNA-R.-HiRes": "renbody_hires", "EHF": "ehf"}
_FACTOR = {"K": 1e3, "M": 1e6}


def tables() -> tuple[str, ...]:
    """Names that :func:`table` takes."""
    folder = files("ehps.analysis") / "published"
    return tuple(sorted(item.name[:-4] for item in folder.iterdir() if item.name.endswith(".csv")))


def table(name: str) -> pd.DataFrame:
    """One published table as it stands, e.g. ``ehf``, ``ubody``, ``agora_test``, ``pw3d``.

    Raises
    ------
    UsageError : there is no table of that name.
    """
    if name not in tables():
        raise UsageError(f"no published table {name!r}", fix=f"choose one of {', '.join(tables())}")
    with (files("ehps.analysis") / "published" / f"{name}.csv").open(encoding="utf-8") as stream:
        return pd.read_csv(stream)


@cache
def _ids() -> dict[str, str]:
    frame = table("datasets")
    return dict(zip(frame["name"], frame["id"], strict=True)) | _SHORT_NAMES


def dataset_id(name: str) -> str:
    """The ehps id of a dataset as papers call it (``DNA-R.-HiRes`` -> ``renbody_hires``); ids pass through.

    Raises
    ------
    UsageError : no known dataset has that name.
    """
    ids = _ids()
    if name in ids:
        return ids[name]
    if name in ids.values():
        return name
    raise UsageError(f"no dataset is published under the name {name!r}")


def dataset_name(dataset: str) -> str:
    """The name in papers of an ehps id; an unknown id is its own name."""
    return next((name for name, known in _ids().items() if known == dataset), dataset)


def single_dataset_ranks(model: str = "smpler_x_s", *, confirmed_only: bool = False) -> pd.DataFrame:
    """Ranks of models trained on one dataset each, best first, shaped like the output of ``ranking.rank``.

    Parameters
    ----------
    model : ``smpler_x_s``, ``smpler_x_b`` or ``hand4whole``.
    confirmed_only : leave out rows whose dataset name is inferred.

    Returns
    -------
    frame with ``rank`` (1 = lowest mean primary error among 32), ``train_set`` (ehps id), ``name``,
    ``instances``, ``model``, ``confirmed``, ``basis`` (how the name is known) and ``source``. The errors
    behind the ranks are not published in a form that could be read, so there is no ``mpe``; one of the 32
    sets is missing from the figure.
    """
    if model not in RANK_COLUMNS:
        raise UsageError(f"no published ranks for {model!r}", fix=f"choose one of {', '.join(RANK_COLUMNS)}")
    raw = table("single_dataset_ranks")
    confirmed = raw["dataset_if_confirmed"].notna()
    names = raw["dataset_if_confirmed"].where(confirmed, raw["dataset_inferred"])
    frame = pd.DataFrame(
        {
            "rank": raw[RANK_COLUMNS[model]].astype(int),
            "train_set": [dataset_id(name) for name in names],
            "name": names,
            "instances": raw["instances"].astype(int),
            "model": model,
            "confirmed": confirmed,
            "basis": raw["inference_basis"],
            "source": raw["source"],
        }
    )
    if confirmed_only:
        frame = frame[frame["confirmed"]]
    return frame.sort_values("rank", kind="stable").reset_index(drop=True)


def foundation_models() -> pd.DataFrame:
    """Mean primary error by model size and number of training sets.

    ``instances`` becomes a number (0.75M -> 750000), ``mpe`` is in mm; ``read_from_figure`` marks values
    decoded from a figure, ``secondary`` those quoted by another document than the original.
    """
    raw = table("foundation_models").rename(columns={"mpe_mm": "mpe"})
    raw["instances"] = [_count(text) for text in raw["instances"]]
    raw["read_from_figure"] = raw["source"].str.contains("read from the figure")
    raw["secondary"] = raw["source"].str.contains("(secondary)", regex=False)
    return raw


def finetuned_specialists() -> pd.DataFrame:
    """Errors in mm before and after fine-tuning on a benchmark's own group of sets."""
    return table("finetuned_specialists")


def unconfirmed() -> pd.DataFrame:
    """What is remembered or inferred but was seen in no document, and why it is unconfirmed."""
    return table("unconfirmed")


def _count(text: object) -> float:
    word = str(text)
    if word[-1:] in _FACTOR:
        return float(word[:-1]) * _FACTOR[word[-1]]
    return float(word)
