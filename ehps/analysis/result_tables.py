"""Rankings from a CSV file of one's own: the columns that ``ehps analysis rank --out ranking.csv`` writes.

``train_set`` and one error a test set (``agora, ubody, egobody_ego, pw3d, ehf``, or their headings such as ``AGORA
PVE``; others as ``ARCTIC PVE``), in mm; or only ``mpe`` or ``rank``. ``model, instances, datasets, scene, appearance,
annotation`` are taken as they are; ``mpe`` is compared with the errors. What follows from the errors (``rank``,
intervals) is made again or left out. Training sets may be any.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ehps.analysis.benchmarks import MPE_BENCHMARKS, Benchmark, benchmarks_in, test_set_name
from ehps.analysis.published import OTHER_NAMES, dataset_names
from ehps.analysis.ranking import FACTS, rank
from ehps.errors import DataError
from ehps.foreign_files import regular

_ALIASES = {"training_set": "train_set", "dataset": "train_set", "real_or_synthetic": "appearance"}
_DERIVED = ("rank_low", "rank_high", "mpe_low", "mpe_high", "tied", "group", "clusters", "missing")
_LENGTHS = ("PVE", "MPJPE")
_ABSENT = ("", "-", "–", "nan", "None")
LARGEST = 1 << 26
"""Bytes of a table."""


def read_ranking(path: Path, *, present: bool = False) -> pd.DataFrame:
    """The ranking of a CSV file, shaped like the output of ``ranking.rank``.

    Parameters
    ----------
    present : mean over the test sets there are, not over the five.

    Raises
    ------
    DataError : a column is not known or is no error in mm, a value is no number, a training set is there twice, or an
        MPE is not the mean of its errors; the message names column and row.
    """
    frame = _text(path)
    tests = _columns(frame, path)
    for name in (*(b.id for b in tests), *(n for n in ("instances", "mpe", "rank") if n in frame)):
        frame[name] = _numbers(frame, name, path)
    if not tests:
        return _without_errors(frame, path)
    for b in tests:
        values = frame[b.id].dropna()
        if (values <= 0).any() or (len(values) and values.median() < 1):
            what = "is negative or zero" if (values <= 0).any() else "looks like metres"
            row = int(np.nanargmin(frame[b.id]))
            raise DataError(
                f"column {b.id}, row {row + 2}: {values.min():g} {what}", path=path, fix="errors are in millimetres"
            )
    facts = [name for name in FACTS if name in frame]
    long = pd.concat(
        [
            frame[["train_set", "model", *facts]].assign(
                test_set=b.id, protocol=f"as in {path.name}", part=b.part, metric=b.metric, value=frame[b.id], n=0
            )
            for b in tests
        ],
        ignore_index=True,
    )
    ranked = rank(long, benchmarks=benchmarks_in(long) if present else MPE_BENCHMARKS)
    _check_means(frame, ranked, path)
    return ranked


def _text(path: Path) -> pd.DataFrame:
    """The cells as texts, with the columns named as ours."""
    if regular(path).stat().st_size > LARGEST:
        raise DataError(f"is larger than the {LARGEST >> 20} MB of any ranking", path=path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        frame = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, skipinitialspace=True)
    except (ValueError, pd.errors.ParserError) as error:
        first = str(error).strip().partition("\n")[0]
        raise DataError(f"is no CSV table ({first})", path=path) from None
    plain = ["_".join(str(name).strip().lower().replace("-", "_").split()) for name in frame]
    names = [_ALIASES.get(name, name) for name in plain]
    by = {_plain(word): b.id for b in MPE_BENCHMARKS for word in (b.id, b.name, b.label, *b.test_sets)}
    frame.columns = pd.Index([by.get(name, name) for name in names])
    if (twice := frame.columns[frame.columns.duplicated()]).size:
        raise DataError(f"has two columns {twice[0]}", path=path)
    if "train_set" not in frame:
        given = ", ".join(frame.columns[:8])
        raise DataError(f"has no column train_set, but {given}", path=path, fix="name the training sets in one")
    if not len(frame):
        raise DataError("has no rows", path=path)
    frame["train_set"] = frame["train_set"].str.strip().str.removesuffix(" *")
    ids = {name.lower(): id for id, name in {**dataset_names(), **OTHER_NAMES}.items()}
    frame["train_set"] = [ids.get(name.lower(), name) for name in frame["train_set"]]
    if (frame["train_set"] == "").any():
        raise DataError(f"row {int(np.argmax(frame['train_set'] == '')) + 2} names no training set", path=path)
    frame["model"] = frame.get("model", "given")
    twice_named = frame[frame.duplicated(["train_set", "model"])]
    if len(twice_named):
        raise DataError(
            f"has two rows of {twice_named['train_set'].iloc[0]}", path=path, fix="keep one, or name models"
        )
    for name in ("datasets", "scene", "appearance", "annotation"):
        if name in frame:
            frame[name] = frame[name].where(~frame[name].isin(_ABSENT), None)
    return frame


def _columns(frame: pd.DataFrame, path: Path) -> list[Benchmark]:
    """The test sets among the columns; others than the five are named by test set and metric."""
    main = {b.id: b for b in MPE_BENCHMARKS}
    known = {"train_set", "model", "mpe", "rank", *FACTS, *_DERIVED}
    found: list[Benchmark] = []
    for name in map(str, list(frame.columns)):
        if name in main:
            found.append(main[name])
            continue
        if name in known or name.startswith(("mpe_", "rank_")):
            continue
        test_set, _, metric = name.rpartition("_")
        if test_set and metric.upper() in _LENGTHS:
            part = "all" if metric == "pve" else "body"
            frame.columns = frame.columns.where(frame.columns != name, test_set)
            found.append(Benchmark(test_set, test_set_name(test_set), metric.upper(), part))
            continue
        raise DataError(
            f"has a column {name!r}, which is no primary error (PVE or MPJPE, in mm, where lower is better) and "
            "nothing that is known of training sets",
            path=path,
            fix=f"columns are {', '.join(['train_set', *main, 'mpe', 'rank', 'model', *FACTS])}, and others such as "
            "'ARCTIC PVE'; remove this one",
        )
    return found


def _numbers(frame: pd.DataFrame, name: str, path: Path) -> pd.Series[Any]:
    """A column as numbers; NaN where a cell is empty."""
    cells = frame[name].str.strip()
    absent = cells.isin(_ABSENT)
    plain = cells.str.replace(",", "") if name == "instances" else cells.str.removesuffix("*").str.strip()
    numbers = pd.to_numeric(plain.where(~absent, "nan"), errors="coerce").astype(float)
    if name == "rank":  # a tie is made again
        numbers = numbers.fillna(pd.to_numeric(plain.str.partition("-")[0], errors="coerce"))
    wrong = ~absent & ~np.isfinite(numbers)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(f"column {name}, row {row + 2}: {cells[row]!r} is no number", path=path)
    return numbers.astype("Int64") if name == "instances" else numbers


def _without_errors(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """A ranking by a given mean or rank."""
    if "mpe" not in frame and "rank" not in frame:
        tests = ", ".join(b.id for b in MPE_BENCHMARKS)
        raise DataError("has no errors to rank by", path=path, fix=f"it needs {tests}, or mpe, or rank")
    by = "mpe" if "mpe" in frame else "rank"
    kept: Sequence[str] = [name for name in ("train_set", "model", *FACTS, "mpe") if name in frame]
    out = frame[list(kept)].assign(missing=np.where(frame[by].isna(), by, ""))
    out.insert(0, "rank", frame.groupby("model")[by].rank(method="min").astype("Int64"))
    return out.sort_values(["model", "rank", "train_set"], na_position="last", kind="stable").reset_index(drop=True)


def _check_means(frame: pd.DataFrame, ranked: pd.DataFrame, path: Path) -> None:
    if "mpe" not in frame:
        return
    both = ranked.merge(frame[["train_set", "model", "mpe"]], on=["train_set", "model"], suffixes=("", "_given"))
    wrong = both[(both["mpe"] - both["mpe_given"]).abs() > 0.1]
    if len(wrong):
        row = wrong.iloc[0]
        raise DataError(
            f"the MPE of {row['train_set']} is {row['mpe_given']:g}, but its errors average {row['mpe']:.2f}",
            path=path,
            fix="correct the one or the others, or leave the column mpe out",
        )


def _plain(word: str) -> str:
    return "_".join(word.strip().lower().replace("-", "_").split())
