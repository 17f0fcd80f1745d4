"""Scoring stored predictions against a test set under a protocol: per-instance errors first, means of them
second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ehps.arrays import Array
from ehps.benchmark.crop_boxes import virtual_camera, widen
from ehps.benchmark.protocols import true_bodies
from ehps.benchmark.protocols.agora_official import Meshes, score_official
from ehps.benchmark.protocols.measures import HANDS, Measure, measures
from ehps.benchmark.protocols.metrics import (
    Errors,
    Visibility,
    instance_errors,
    only_valid_hands,
    without_far_hands,
)
from ehps.benchmark.protocols.points import Bodies, Plan, Tables, recipe, tables_of
from ehps.benchmark.protocols.protocol import UNITS, Protocol
from ehps.body.models import BodyModels
from ehps.body.topology import NAMES
from ehps.errors import BodyModelError, DataError
from ehps.humandata.core import HumanData
from ehps.progress import counting

FACTORS = {"mm": 1000.0, "%": 100.0}
FLAGS = ("meta/lefthand_valid", "meta/righthand_valid")


@dataclass
class Score:
    """Result of one test.

    Attributes
    ----------
    protocol : under which the numbers were made.
    errors : one row an instance and metric: ``truth_row``, ``image_path``, ``sequence``, ``part``,
        ``metric``, ``value`` (mm where the metric's unit is mm).
    metrics : dicts ``part``, ``metric``, ``value``, ``unit``, ``n``, ``skipped``.
    notes : counts of what was treated specially.
    not_computed : what the protocol asks for and could not be had, ``"PA-MPJPE body"`` -> which file would allow it.
    remarks : what else is to be said of the numbers, a sentence each.
    """

    protocol: Protocol
    errors: pd.DataFrame
    metrics: list[dict[str, Any]]
    notes: dict[str, int] = field(default_factory=dict)
    not_computed: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

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
    device: str = "cpu",
    given: Meshes | None = None,
) -> Score:
    """Compare predictions with the truth, row by row (``meta/truth_row``).

    Parameters
    ----------
    images : folder of the images, for protocols whose true meshes are files beside them.
    device : where meshes are made.
    given : the predicted bodies, where predictions are meshes (AGORA's own evaluation only).

    Raises
    ------
    DataError : a row that the protocol tests has no prediction, or the truth lacks what the protocol needs.
    BodyModelError : none of the protocol's numbers can be had, because helper files are missing.
    """
    tables = tables_of(models)
    if given is not None and protocol.matching == "by-row":
        raise DataError(f"holds meshes; {protocol.id} compares body parameters", path=predictions.source)
    model_type = predicted_type(predictions, protocol) if given is None else protocol.body
    wanted, missing = computable(protocol, model_type, tables)
    by_row, meshes_given = protocol.matching == "by-row", protocol.truth == "given-vertices"
    rows, at = paired(predictions, truth, protocol) if by_row else (np.arange(len(truth)), np.arange(len(predictions)))
    if given is None:
        true_bodies.check_bodies(predictions, at, model_type, placed=not by_row)
    if not meshes_given:
        placed = not by_row or protocol.visibility == "inside-image"
        true_bodies.check_bodies(truth, rows, protocol.body, placed=placed)
    if not by_row:
        official = score_official(predictions, truth, protocol, wanted, tables, batch_size, device, given)
        found = frame(official.errors, truth)
        return Score(protocol, found, official.metrics, official.notes, missing, official.remarks)
    keys = list(dict.fromkeys(key for measure in wanted for key in measure.keys))
    plans = Plan(keys, protocol, model_type, tables), Plan(keys, protocol, protocol.body, tables)
    parts: list[Errors] = []
    notes: dict[str, int] = {}
    with counting("scoring", len(rows)) as advance:
        for start in range(0, len(rows), batch_size):
            chunk = slice(start, start + batch_size)
            params = true_bodies.parameters(predictions, at[chunk], model_type=model_type)
            true, special = _true(protocol, truth, rows[chunk], plans[1], images, device)
            visible = _visibility(protocol, truth, rows[chunk], true) if protocol.visibility == "inside-image" else None
            errors = instance_errors(wanted, plans[0].bodies(params, device=device), true, visible)
            if protocol.hands == "flagged-valid":
                flags = [_flag(protocol, truth, rows[chunk], name) for name in FLAGS]
                only_valid_hands(errors, *flags)
            if protocol.hand_limit and all((hand, "PA-MPJPE") in errors for hand in HANDS):
                special["far_hands"] = without_far_hands(errors, protocol.hand_limit / 1000)
            parts.append(errors)
            for name, count in special.items():
                notes[name] = notes.get(name, 0) + count
            advance(len(rows[chunk]))
    every = {key: np.concatenate([p[key] for p in parts]) * FACTORS.get(unit(key[1]), 1.0) for key in parts[0]}
    if all(np.isnan(values).all() for values in every.values()):
        raise true_bodies.nobody(protocol, truth, f"none of the {len(rows)} rows has an error that counts")
    remarks = _remarks(protocol, truth)
    return Score(protocol, frame(tidy(every, rows), truth), summarise(every), notes, missing, remarks)


def unit(metric: str) -> str:
    """Of a metric's values in results."""
    return UNITS.get(metric, "mm")


def predicted_type(predictions: HumanData, protocol: Protocol) -> str:
    """Model type of the predicted bodies that are compared.

    Raises
    ------
    DataError : the predictions hold none that the protocol compares with its truth.
    """
    for model_type in (protocol.body, "smplx"):
        if f"{model_type}/betas" in predictions and (model_type == protocol.body or protocol.prediction != "same"):
            return model_type
    held = next((name for key, name in NAMES.items() if f"{key}/betas" in predictions), "no body parameters")
    raise DataError(
        f"holds {held}; {protocol.id} compares {NAMES[protocol.body]} bodies (prediction={protocol.prediction})",
        path=predictions.source,
        fix="convert the predictions, or take a protocol for them (`ehps benchmark protocols`)",
    )


def computable(protocol: Protocol, model_type: str, tables: Tables) -> tuple[list[Measure], dict[str, str]]:
    """The measures of a protocol for which all files are there, and for the others which file would allow them.

    Raises
    ------
    BodyModelError : there are none.
    """
    wanted: list[Measure] = []
    missing: dict[str, str] = {}
    first: BodyModelError | None = None
    for measure in measures(protocol):
        try:
            for key in measure.keys:
                if not key.startswith("orientations"):
                    for of in {model_type, protocol.body}:
                        recipe(key, protocol, of, tables)
            wanted.append(measure)
        except BodyModelError as error:
            first = first or error
            missing[f"{measure.metric} {measure.part}"] = str(error)
    if not wanted and first is not None:
        raise first
    return wanted, missing


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


def _true(
    protocol: Protocol, truth: HumanData, rows: Array, plan: Plan, images: Path | None, device: str
) -> tuple[Bodies, dict[str, int]]:
    if protocol.truth == "given-vertices":
        return plan.meshes(true_bodies.given(truth, rows, images, protocol.truth_rotation)), {}
    params, special = true_bodies.true_parameters(protocol, truth, rows, plan.models)
    return plan.bodies(params, device=device), special


def _visibility(protocol: Protocol, truth: HumanData, rows: Array, true: Bodies) -> Visibility:
    sizes = np.stack((truth["meta/height"][rows], truth["meta/width"][rows]), axis=1)
    boxes, valid = widen(truth["bbox_xywh"][rows], sizes, protocol.box_ratio)
    seen = np.where(valid[:, None], sizes, 0)  # nothing of a person whose box has no area in the image
    return Visibility(true, *virtual_camera(boxes), seen)


def _flag(protocol: Protocol, hd: HumanData, rows: Array, name: str) -> Array:
    if name in hd:
        return np.asarray(hd[name][rows], bool)
    if (protocol.base or protocol).hands != "flagged-valid":
        raise DataError(f"has no {name}, by which {protocol.id} chooses hands", path=hd.source)
    return np.ones(len(rows), bool)


def _remarks(protocol: Protocol, truth: HumanData) -> list[str]:
    said = []
    if protocol.step > 1 and protocol.count_by and not true_bodies.counts_annotations(protocol, truth):
        said.append(
            f"every {protocol.step}th is counted over the rows of the file, which has no meta/{protocol.count_by}; the "
            "original counts over all annotations (convert the dataset again for that)"
        )
    if protocol.hands == "flagged-valid" and (absent := [name for name in FLAGS if name not in truth]):
        said.append(f"all hands of that side count: the file has no {' and no '.join(absent)}")
    return said


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
                "unit": unit(metric),
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


def printed(metrics: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The numbers under the names that SMPLer-X prints: ``PA MPVPE (All)``, ``MPVPE (Hands)``, ``PA MPJPE
    (Body)``.
    """
    return {
        f"{_PRINTED_METRICS[line['metric']]} ({_PRINTED_PARTS[line['part']]})": line["value"]
        for line in metrics
        if line["metric"] in _PRINTED_METRICS and line["part"] in _PRINTED_PARTS
    }
