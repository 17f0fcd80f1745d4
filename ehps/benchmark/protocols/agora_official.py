"""AGORA's own evaluation: matching, F1, normalised errors. Facts: the public AGORA evaluation tool."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ehps.arrays import Array
from ehps.benchmark.protocols import true_bodies
from ehps.benchmark.protocols.catalogue import Protocol
from ehps.benchmark.protocols.matching import Detection, Matches, match, summary
from ehps.benchmark.protocols.metrics import official_errors
from ehps.benchmark.protocols.point_errors import project
from ehps.benchmark.protocols.regressors import SmplxRegressors
from ehps.body.models import BodyModels
from ehps.errors import DataError
from ehps.humandata.core import HumanData

MODEL_JOINTS = 127
PARTS = ("body", "left_hand", "right_hand", "face")


def score_official(
    predictions: HumanData,
    truth: HumanData,
    protocol: Protocol,
    models: BodyModels,
    reg: SmplxRegressors,
    batch_size: int,
) -> tuple[list[dict[str, Any]], pd.DataFrame, dict[str, int]]:
    """Metrics, per-instance errors of matched persons (mm) and counts."""
    rows = true_bodies.rows_to_test(protocol, truth, all_persons=True)
    counted = true_bodies.counts(protocol, truth)[rows]
    if not counted.any():
        raise true_bodies.nobody(protocol, truth)
    true_params, every = true_bodies.parameters(truth, rows), np.arange(len(predictions))
    predicted_params = true_bodies.parameters(predictions, every)
    true_joints = models.joints(true_params, "float64")[:, :MODEL_JOINTS]
    predicted_joints = models.joints(predicted_params, "float64")[:, :MODEL_JOINTS]
    images = [np.array(hd["image_path"][r].tolist()) for hd, r in ((predictions, every), (truth, rows))]
    found = match(
        images[0],
        _pixels(predictions, every, predicted_joints),
        images[1],
        _pixels(truth, rows, true_joints),
        counted,
        protocol.min_iou,
    )
    errors = {(part, metric): np.full(len(rows), np.nan) for part in PARTS for metric in ("MVE", "MPJPE")}
    hit = np.flatnonzero(found.prediction >= 0)
    for start in range(0, len(hit), batch_size):
        t = hit[start : start + batch_size]
        p = found.prediction[t]
        values = official_errors(
            models.mesh(predicted_params[p]),
            models.mesh(true_params[t]),
            predicted_joints[p],
            true_joints[t],
            reg,
        )
        for key, value in values.items():
            errors[key][t] = value * 1000
    crowded = np.isin(images[1], images[0])
    kids = _kids(truth, rows)
    metrics = summaries(errors, counted, crowded, kids, found, protocol)
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
    return metrics, pd.concat(frames, ignore_index=True), notes


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
        for metric, normalised in (("MVE", "NMVE"), ("MPJPE", "NMJE")):
            means = summary(
                errors["body", metric][chosen],
                {part: errors[part, metric][chosen] for part in PARTS[1:]},
                crowded[chosen],
                missed_as_zero=protocol.missed_as_zero,
            )
            for part, value in means.items():
                add(part, metric, value, "mm", hits, of=count)
            for part, f1 in (("full_body", overall.f1), ("body", detection.f1)):
                value = round(means[part] / f1, 1) if f1 else float("nan")
                add(part, normalised, value, "mm", hits, of=count)
    return lines


def _kids(hd: HumanData, rows: Array) -> Array:
    for name in ("meta/kid", "meta/is_kid"):
        if name in hd:
            values = np.asarray(hd[name][rows])
            if values.shape != (len(rows),) or values.dtype.kind not in "biuf":
                raise DataError(f"{name} is not one number a row", path=hd.source)
            return values.astype(bool)
    if "smplx/betas_extra" in hd:
        return np.asarray(np.asarray(hd["smplx/betas_extra"][rows]).reshape(len(rows), -1).any(axis=1))
    return np.zeros(len(rows), bool)


def _pixels(hd: HumanData, rows: Array, joints: Array) -> Array:
    """(N, 127, 2) pixels: the joints through each row's own camera."""
    if "meta/focal_length" not in hd or "meta/principal_point" not in hd:
        raise DataError("has no camera, which matching in the image needs", path=hd.source, fix="convert it again")
    focal = np.asarray(hd["meta/focal_length"][rows], np.float64)
    centre = np.asarray(hd["meta/principal_point"][rows], np.float64)
    return np.nan_to_num(project(joints, focal, centre), nan=-1e6)
