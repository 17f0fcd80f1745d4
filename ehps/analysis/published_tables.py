"""Published numbers as tables: what each is, where each of its rows was seen, and whether its arithmetic holds.

A row's ``source`` is the document in which its numbers were seen; ``(secondary)`` is one that quotes the original.
Numbers that no document was seen to state are not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ehps.analysis.benchmarks import MPE_BENCHMARKS
from ehps.analysis.published import RANK_COLUMNS, table
from ehps.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class PublishedTable:
    """What a table shows, its units, and what is to be known of it."""

    title: str
    units: str = "mm"
    limits: str = ""


TABLES: Mapping[str, PublishedTable] = {
    "agora_test": PublishedTable("AGORA test server, all people: detection, body and full-body errors"),
    "agora_val": PublishedTable("AGORA validation, PVE and PA-PVE"),
    "arctic": PublishedTable("ARCTIC, PVE and PA-PVE"),
    "coco_keypoints": PublishedTable("COCO validation, average precision of keypoints", "%, higher is better"),
    "egobody_egoset": PublishedTable("EgoBody-EgoSet, PVE and PA-PVE"),
    "ehf": PublishedTable("EHF, PVE and PA-PVE", limits="of two evaluations of one model, both are there"),
    "finetuned_specialists": PublishedTable(
        "SMPLer-X before and after fine-tuning", limits="not complete: only what was seen"
    ),
    "foundation_by_benchmark": PublishedTable(
        "SMPLer-X and SMPLest-X by benchmark", limits="not complete: only what was seen"
    ),
    "foundation_models": PublishedTable(
        "mean primary error by model size and number of datasets",
        "MPE in mm, millions of parameters, frames a second",
        "stages 5, 10 and 20 are read from a figure",
    ),
    "human36m_p2": PublishedTable("Human3.6M, protocol 2"),
    "lsp_segmentation": PublishedTable(
        "LSP test, body and part segmentation", "accuracy in %, F1 from 0 to 1; higher is better"
    ),
    "pve_smplx_emdb1_3dpw": PublishedTable("EMDB1 and 3DPW, PVE and PA-PVE of SMPL-X meshes"),
    "pw3d": PublishedTable("3DPW", limits="of several protocols, see the column"),
    "pymaf_3doh50k_ssp3d": PublishedTable("3DOH50K and SSP-3D", "mm; mIoU in %, higher is better"),
    "pymaf_ablations_h36m": PublishedTable("PyMAF on Human3.6M, variants of the network"),
    "single_dataset_ranks": PublishedTable(
        "ranks of 31 training sets for three models",
        "ranks among 32",
        "read from a figure that names no dataset; see `ehps analysis rank`",
    ),
    "smpler_parameters": PublishedTable("parameters of SMPLer and others", "millions"),
    "statements": PublishedTable("single facts", "as stated"),
    "synhand": PublishedTable("SynHand, PA-PVE"),
    "ubody": PublishedTable("UBody, PVE and PA-PVE"),
}

_HALF = 0.05 + 1e-9
"""Of the last printed decimal: what rounding alone may do."""


def read(name: str) -> pd.DataFrame:
    """A published table; absent numbers are NaN.

    Raises
    ------
    UsageError : there is no such table.
    """
    if name not in TABLES:
        raise UsageError(f"no published table {name!r}", fix=did_you_mean(name, TABLES))
    frame = table(name)
    for column in frame:
        cells = frame[column].astype(str).str.strip()
        numbers = pd.to_numeric(cells.replace("", "nan"), errors="coerce")
        if (numbers.notna() | (cells == "")).all() and numbers.notna().any():
            frame[column] = numbers
    return frame


def checks(name: str) -> pd.DataFrame:
    """What can be computed of a table from its other cells: ``row, cell, printed, computed, formula, agrees``.

    On the AGORA test server a full-body error is the body's plus a third of face and hands, and NMVE and NMJE are MVE
    and MPJPE divided by the printed F1. A mean primary error is the mean of its five errors where all are there. A rank
    is of one dataset.
    """
    frame = read(name)
    rows: list[tuple[str, str, float, float, str]] = []
    if name == "agora_test":
        rows = [line for row in frame.to_dict("records") for line in _agora(row)]
    elif name == "foundation_by_benchmark":
        rows = _means(frame)
    elif name == "single_dataset_ranks":
        for column in RANK_COLUMNS.values():
            of = {int(rank): int((frame[column] == rank).sum()) for rank in frame[column]}
            formula = f"datasets of one rank in {column}"
            rows += [(f"rank {rank}", column, 1.0, float(count), formula) for rank, count in of.items()]
    columns = ["row", "cell", "printed", "computed", "formula"]
    out = pd.DataFrame(rows, columns=columns)
    out["agrees"] = (out["printed"] - out["computed"]).abs() <= _HALF
    return out


def _agora(row: Mapping[Any, Any]) -> list[tuple[str, str, float, float, str]]:
    """Of one method."""
    value = {name: float(str(cell)) for name, cell in row.items() if name not in ("method", "source")}
    found = []
    for error, normalised in (("mve", "nmve"), ("mpjpe", "nmje")):
        body, face, left, right = (value[f"{error}_{part}"] for part in ("b", "f", "lh", "rh"))
        whole = f"{error}_b + ({error}_f + {error}_lh + {error}_rh) / 3"
        found.append((f"{error}_fb", body + (face + left + right) / 3, whole))
        found += [
            (f"{normalised}_{part}", value[f"{error}_{part}"] / value["f1"], f"{error}_{part} / f1")
            for part in ("fb", "b")
        ]
    return [
        (str(row["method"]), cell, value[cell], computed, formula)
        for cell, computed, formula in found
        if np.isfinite(value[cell]) and np.isfinite(computed)
    ]


def _means(frame: pd.DataFrame) -> list[tuple[str, str, float, float, str]]:
    """Mean primary errors of models that have all five, beside those of the table of models."""
    printed = read("foundation_models").drop_duplicates("model").set_index("model")["mpe_mm"]
    names = {"AGORA val": "agora", "UBody": "ubody", "EgoBody-EgoSet": "egobody_ego", "3DPW": "pw3d", "EHF": "ehf"}
    primary = {b.id: b.metric for b in MPE_BENCHMARKS}
    rows = []
    for model, part in frame.groupby("model", sort=False):
        errors = {
            names[benchmark]: float(value)
            for benchmark, metric, value in part[["benchmark", "metric", "value_mm"]].to_numpy()
            if benchmark in names and str(metric).removesuffix(" all") == primary[names[benchmark]]
        }
        if len(errors) == len(primary) and model in printed:
            mean = float(np.mean(list(errors.values())))
            rows.append((str(model), "mpe_mm", float(printed[model]), mean, "mean of the five"))
    return rows


def summary() -> pd.DataFrame:
    """All tables: ``table, rows, title, units, checked, disagree``."""
    lines = []
    for name, facts in TABLES.items():
        found = checks(name)
        lines.append((name, len(table(name)), facts.title, facts.units, len(found), int((~found["agrees"]).sum())))
    return pd.DataFrame(lines, columns=["table", "rows", "title", "units", "checked", "disagree"])
