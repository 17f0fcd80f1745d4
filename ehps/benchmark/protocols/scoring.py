"""Scoring stored predictions against a test set under a protocol: per-instance errors first, means of them
second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ehps.arrays import Array
from ehps.benchmark.protocols import true_bodies
from ehps.benchmark.protocols.agora_official import score_official
from ehps.benchmark.protocols.catalogue import Protocol
from ehps.benchmark.protocols.metrics import Errors, Visibility, mesh_errors, only_valid_hands, smpl14_errors
from ehps.benchmark.protocols.regressors import SmplxRegressors, apply
from ehps.body.models import BodyModels
from ehps.body.variants import genders_of
from ehps.errors import DataError
from ehps.humandata.core import HumanData

MM = 1000.0


@dataclass
class Score:
    """Result of one test.

    Attributes
    ----------
    protocol : under which the numbers were made.
    errors : one row an instance and metric: ``truth_row``, ``image_path``, ``sequence``, ``part``,
        ``metric``, ``value`` (mm).
    metrics : dicts ``part``, ``metric``, ``value``, ``unit``, ``n``, ``skipped``.
    notes : counts of what was treated specially.
    """

    protocol: Protocol
    errors: pd.DataFrame
    metrics: list[dict[str, Any]]
    notes: dict[str, int] = field(default_factory=dict)

    def value(self, part: str, metric: str) -> float:
        """One number; KeyError when the protocol does not make it."""
        for line in self.metrics:
            if (line["part"], line["metric"]) == (part, metric):
                return float(line["value"])
        raise KeyError((part, metric))

    @property
    def primary(self) -> float:
        return self.value(*self.protocol.primary)


def score(
    predictions: HumanData,
    truth: HumanData,
    protocol: Protocol,
    models: BodyModels,
    *,
    images: Path | None = None,
    batch_size: int = 64,
) -> Score:
    """Compare predictions with the truth, row by row (``meta/truth_row``).

    Parameters
    ----------
    images : folder of the images, for protocols whose true meshes are files beside them.

    Raises
    ------
    DataError : a row that the protocol tests has no prediction, or the truth lacks what the protocol needs.
    """
    reg = SmplxRegressors.load(models)
    if protocol.matching != "by-row":
        metrics, errors, found = score_official(predictions, truth, protocol, models, reg, batch_size)
        return Score(protocol, frame(errors, truth), metrics, found)
    rows, at = paired(predictions, truth, protocol)
    parts: list[Errors] = []
    notes: dict[str, int] = {}
    for start in range(0, len(rows), batch_size):
        chunk = slice(start, start + batch_size)
        part, special = _batch(predictions, at[chunk], truth, rows[chunk], protocol, models, reg, images)
        parts.append(part)
        for name, count in special.items():
            notes[name] = notes.get(name, 0) + count
    every = {key: np.concatenate([p[key] for p in parts]) * MM for key in parts[0]}
    wanted = {key: value for key, value in every.items() if key[1] in protocol.metrics}
    if all(np.isnan(values).all() for values in wanted.values()):
        raise true_bodies.nobody(protocol, truth, f"none of the {len(rows)} rows has an error that counts")
    return Score(protocol, frame(tidy(wanted, rows), truth), summarise(wanted), notes)


def paired(predictions: HumanData, truth: HumanData, protocol: Protocol) -> tuple[Array, Array]:
    """Rows of the truth that are tested, and the prediction's row of each."""
    if "meta/truth_row" not in predictions:
        raise DataError("has no meta/truth_row: not predictions of a test set", path=predictions.source)
    rows = true_bodies.rows_to_test(protocol, truth)
    if not len(rows):
        raise true_bodies.nobody(protocol, truth)
    made = np.asarray(predictions["meta/truth_row"])
    order = np.argsort(made)
    place = np.searchsorted(made[order], rows)
    place = np.minimum(place, len(made) - 1)
    at = order[place]
    missing = made[at] != rows
    if missing.any():
        raise DataError(
            f"{int(missing.sum())} of the {len(rows)} rows that {protocol.id} tests have no prediction "
            f"(first: row {int(rows[missing][0])})",
            path=predictions.source,
            fix="predict the test set again",
        )
    return rows, at


def _batch(
    predictions: HumanData,
    at: Array,
    truth: HumanData,
    rows: Array,
    protocol: Protocol,
    models: BodyModels,
    reg: SmplxRegressors,
    images: Path | None,
) -> tuple[Errors, dict[str, int]]:
    params = true_bodies.parameters(predictions, at)
    predicted = models.mesh(params)
    true, special = true_bodies.mesh(protocol, truth, rows, models, images)
    if protocol.truth == "gendered-smpl":
        return smpl14_errors(predicted, smpl_joints(true, truth, rows, models), reg), special
    visible = None
    if protocol.visibility == "inside-image":
        transl = np.asarray(truth["smplx/transl"][rows], np.float64) if "smplx/transl" in truth else 0.0
        sizes = np.stack((truth["meta/height"][rows], truth["meta/width"][rows]), axis=1)
        focal, centre = predictions["meta/focal_length"][at], predictions["meta/principal_point"][at]
        origin = true - (transl[:, None] if isinstance(transl, np.ndarray) else transl)
        visible = Visibility(origin, params.transl, focal, centre, sizes, reg)
    errors = mesh_errors(predicted, true, reg, visible)
    if protocol.hands == "flagged-valid":
        left, right = (_flag(truth, rows, f"{side}hand_valid") for side in ("left", "right"))
        only_valid_hands(errors, left, right)
    return errors, special


def _flag(hd: HumanData, rows: Array, name: str) -> Array:
    if f"meta/{name}" not in hd:
        raise DataError(f"has no meta/{name}, by which the protocol chooses hands", path=hd.source)
    return np.asarray(hd[f"meta/{name}"][rows], bool)


def smpl_joints(meshes: Array, hd: HumanData, rows: Array, models: BodyModels) -> Array:
    """(N, 24, 3) from (N, 6890, 3) SMPL meshes with the regressor of each row's own gender."""
    genders = genders_of(hd)[rows]
    out = np.empty((len(rows), 24, 3))
    for gender in np.unique(genders):
        mine = genders == gender
        out[mine] = apply(np.asarray(models.get("smpl", str(gender)).J_regressor, np.float64), meshes[mine])
    return out


def summarise(errors: Errors) -> list[dict[str, Any]]:
    """Means over the samples that have a value, with their number and how many had none."""
    lines = []
    for (part, metric), values in errors.items():
        there = values[~np.isnan(values)]
        lines.append(
            {
                "part": part,
                "metric": metric,
                "value": float(there.mean()) if len(there) else float("nan"),
                "unit": "mm",
                "n": len(there),
                "skipped": int(len(values) - len(there)),
            }
        )
    return lines


def tidy(errors: Errors, rows: Array) -> pd.DataFrame:
    """One row an instance and metric; samples without a value are left out."""
    frames = []
    for (part, metric), values in errors.items():
        there = ~np.isnan(values)
        frames.append(pd.DataFrame({"truth_row": rows[there], "part": part, "metric": metric, "value": values[there]}))
    return pd.concat(frames, ignore_index=True)


def frame(errors: pd.DataFrame, truth: HumanData) -> pd.DataFrame:
    """``errors`` with the image and the sequence of each row."""
    rows = np.unique(errors["truth_row"].to_numpy())
    images = dict(zip(rows.tolist(), truth["image_path"][rows].tolist(), strict=True))
    sequences = dict(zip(rows.tolist(), true_bodies.sequence_names(truth, rows), strict=True))
    out = errors.assign(image_path=errors["truth_row"].map(images), sequence=errors["truth_row"].map(sequences))
    return out[["truth_row", "image_path", "sequence", "part", "metric", "value"]]


_PRINTED_PARTS = {
    "all": "All",
    "left_hand": "L-Hands",
    "right_hand": "R-Hands",
    "hand": "Hands",
    "face": "Face",
    "body": "Body",
}
_PRINTED_METRICS = {"PVE": "MPVPE", "PA-PVE": "PA MPVPE", "MPJPE": "MPJPE", "PA-MPJPE": "PA MPJPE"}


def printed(metrics: list[dict[str, Any]]) -> dict[str, float]:
    """The numbers under the names that SMPLer-X prints: ``PA MPVPE (All)``, ``MPVPE (Hands)``, ``PA MPJPE
    (Body)``.
    """
    return {
        f"{_PRINTED_METRICS[line['metric']]} ({_PRINTED_PARTS[line['part']]})": line["value"]
        for line in metrics
        if line["metric"] in _PRINTED_METRICS and line["part"] in _PRINTED_PARTS
    }
