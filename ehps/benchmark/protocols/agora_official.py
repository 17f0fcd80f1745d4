"""AGORA's own evaluation: matching, F1, normalised errors. Facts: the public AGORA evaluation tool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ehps.arrays import Array
from ehps.benchmark.protocols import true_bodies
from ehps.benchmark.protocols.matching import Detection, Matches, match, summary
from ehps.benchmark.protocols.measures import Measure
from ehps.benchmark.protocols.metrics import instance_errors
from ehps.benchmark.protocols.point_errors import project
from ehps.benchmark.protocols.points import Plan, Tables
from ehps.benchmark.protocols.protocol import Protocol
from ehps.body.params import BodyParams
from ehps.errors import DataError
from ehps.humandata.core import HumanData

PROJECTED = {"smplx": 127, "smpl": 24}
"""Model joints whose pixels are matched."""


@dataclass(frozen=True)
class Official:
    """``metrics`` lines, ``errors`` of matched persons (one row a person and metric, mm) and ``notes`` (counts)."""

    metrics: list[dict[str, Any]]
    errors: pd.DataFrame
    notes: dict[str, int]


def score_official(
    predictions: HumanData,
    truth: HumanData,
    protocol: Protocol,
    wanted: Sequence[Measure],
    tables: Tables,
    batch_size: int,
    device: str,
) -> Official:
    """AGORA's table. Images that the protocol does not look at, or the truth does not list, leave with everything."""
    rows = true_bodies.rows_to_test(protocol, truth, all_persons=True)
    rows = rows[true_bodies.of_images(protocol, truth["image_path"][rows].tolist())]
    counted = true_bodies.counts(protocol, truth)[rows]
    if not counted.any():
        raise true_bodies.nobody(protocol, truth)
    listed = np.array(truth["image_path"][rows].tolist())
    made = np.array(predictions["image_path"].tolist())
    every = np.flatnonzero(np.isin(made, listed))
    made = made[every]
    true_params, _ = true_bodies.true_parameters(protocol, truth, rows, tables.models)
    predicted_params = true_bodies.parameters(predictions, every, model_type=protocol.body)
    found = match(
        made,
        _pixels(predictions, every, predicted_params, tables),
        listed,
        _pixels(truth, rows, true_params, tables),
        counted,
        protocol.min_iou,
    )
    errors = {measure.key: np.full(len(rows), np.nan) for measure in wanted}
    plan = Plan([key for measure in wanted for key in measure.keys], protocol, protocol.body, tables)
    hit = np.flatnonzero(found.prediction >= 0)
    for start in range(0, len(hit), batch_size):
        t = hit[start : start + batch_size]
        predicted = plan.bodies(predicted_params[found.prediction[t]], device=device)
        values = instance_errors(wanted, predicted, plan.bodies(true_params[t], device=device))
        for measure in wanted:
            errors[measure.key][t] = values[measure.key] * 1000
    crowded = np.isin(listed, made)
    metrics = summaries(errors, counted, crowded, _kids(truth, rows, protocol.body), found, protocol)
    frames = [
        pd.DataFrame({"truth_row": rows[hit], "part": part, "metric": metric, "value": values[hit]})
        for (part, metric), values in errors.items()
    ]
    notes = {
        "matched": len(hit),
        "missed": int((counted & (found.prediction < 0)).sum()),
        "false_positives": len(found.false_positives),
        "not_counted": int((~counted).sum()),
    }
    return Official(metrics, pd.concat(frames, ignore_index=True), notes)


def summaries(
    errors: dict[tuple[str, str], Array],
    counted: Array,
    crowded: Array,
    kids: Array,
    found: Matches,
    protocol: Protocol,
) -> list[dict[str, Any]]:
    """All lines of AGORA's table: everybody, and kids alone (parts named ``kid_...``) where there are any.

    Kids' F1 counts all false positives; their full-body values are divided by the overall F1, their body
    values by their own.
    """
    lines: list[dict[str, Any]] = []
    overall: Detection | None = None
    for prefix, chosen in (("", counted), ("kid_", counted & kids)):
        if not chosen.any():
            continue
        hits = int((found.prediction[chosen] >= 0).sum())
        detection = Detection(hits, len(found.false_positives), int(chosen.sum()) - hits)
        overall = overall or detection

        def add(part: str, metric: str, value: float, unit: str, n: int, *, of: int, prefix: str = prefix) -> None:
            line = {"part": prefix + part, "metric": metric, "value": value, "unit": unit, "n": n}
            lines.append({**line, "skipped": of - n})

        count = int(chosen.sum())
        for metric, value in (
            ("F1", detection.f1),
            ("precision", round(detection.precision, 2)),
            ("recall", round(detection.recall, 2)),
        ):
            add("all", metric, value, "", count, of=count)
        missed = found.prediction[chosen] < 0
        for metric, normalised in (("MVE", "NMVE"), ("MPJPE", "NMJE")):
            present = {part: errors[part, metric][chosen] for part, of in errors if of == metric}
            means = summary(present, missed, crowded[chosen], missed_as_zero=protocol.missed_as_zero)
            for part, value in means.items():
                add(part, metric, value, "mm", hits, of=count)
            for part, f1 in (("full_body", overall.f1), ("body", detection.f1)):
                if part in means:
                    value = round(means[part] / f1, 1) if f1 else float("nan")
                    add(part, normalised, value, "mm", hits, of=count)
    return lines


def _kids(hd: HumanData, rows: Array, model_type: str) -> Array:
    for name in ("meta/kid", "meta/is_kid"):
        if name in hd:
            values = np.asarray(hd[name][rows])
            if values.shape != (len(rows),) or values.dtype.kind not in "biuf":
                raise DataError(f"{name} is not one number a row", path=hd.source)
            return values.astype(bool)
    if f"{model_type}/betas_extra" in hd:
        return np.asarray(np.asarray(hd[f"{model_type}/betas_extra"][rows]).reshape(len(rows), -1).any(axis=1))
    return np.zeros(len(rows), bool)


def _pixels(hd: HumanData, rows: Array, params: BodyParams, tables: Tables) -> Array:
    """(N, J, 2) pixels: the model joints through each row's own camera."""
    if "meta/focal_length" not in hd or "meta/principal_point" not in hd:
        raise DataError(
            "has no camera, which matching in the image needs",
            path=hd.source,
            fix="convert it again, or take agora-val, which compares row by row",
        )
    joints = tables.models.joints(params, "float64")[:, : PROJECTED[params.model_type]]
    focal = np.asarray(hd["meta/focal_length"][rows], np.float64)
    centre = np.asarray(hd["meta/principal_point"][rows], np.float64)
    return np.nan_to_num(project(joints, focal, centre), nan=-1e6)
