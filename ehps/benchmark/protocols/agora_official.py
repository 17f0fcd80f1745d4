"""AGORA's own evaluation: matching, F1, normalised errors. Facts: the public AGORA evaluation tool.

People are matched in the pixels of its large images, 3840 x 2160, whichever size the truth's images have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ehps.arrays import Array
from ehps.benchmark.protocols import true_bodies
from ehps.benchmark.protocols.matching import Detection, Matches, match, summary
from ehps.benchmark.protocols.measures import Measure
from ehps.benchmark.protocols.metrics import instance_errors
from ehps.benchmark.protocols.point_errors import project
from ehps.benchmark.protocols.points import Plan
from ehps.benchmark.protocols.protocol import Protocol
from ehps.benchmark.protocols.tables import Tables
from ehps.body.models import BodyModels
from ehps.body.params import BodyParams
from ehps.errors import DataError
from ehps.humandata.core import HumanData

PROJECTED = {"smplx": 127, "smpl": 24}
"""Model joints whose pixels are matched."""
TABLED = {"smplx": 127, "smpl": 45}
"""Model joints whose pixels the tool's tables hold of true people; boxes are those of all."""
GIVEN = "keypoints2d_agora"
"""Pixels of joints that predictions bring themselves (N, J, 3), the first 24 of the model first; 0 confidence where a
person has fewer."""
LARGE = (2160, 3840)  # height, width
Meshes = Callable[[Array], tuple[Array, Array]]
"""Given bodies of some rows of the predictions: vertices (N, V, 3) and model joints (N, J, 3), camera, metres."""


@dataclass(frozen=True)
class Official:
    """``metrics`` lines, ``errors`` of matched persons (one row a person and metric, mm), ``notes`` (counts) and
    ``remarks`` (in which way the numbers may not be the tool's).
    """

    metrics: list[dict[str, Any]]
    errors: pd.DataFrame
    notes: dict[str, int]
    remarks: list[str] = field(default_factory=list)


def score_official(
    predictions: HumanData,
    truth: HumanData,
    protocol: Protocol,
    wanted: Sequence[Measure],
    tables: Tables,
    batch_size: int,
    device: str,
    given: Meshes | None = None,
) -> Official:
    """AGORA's table. Images that the protocol does not look at, or the truth does not list, leave with everything.

    Parameters
    ----------
    given : bodies of predictions that are meshes; they are made from the parameters otherwise.
    """
    rows = true_bodies.rows_to_test(protocol, truth, all_persons=True)
    rows = rows[true_bodies.of_images(protocol, truth["image_path"][rows].tolist())]
    counted = true_bodies.counts(protocol, truth)[rows]
    if not counted.any():
        raise true_bodies.nobody(protocol, truth)
    listed = np.array(truth["image_path"][rows].tolist())
    made = np.array(predictions["image_path"].tolist())
    every = np.flatnonzero(np.isin(made, listed))
    made = made[every]
    true_params, special = true_bodies.true_parameters(protocol, truth, rows, tables.models)
    predicted_params = None
    if given is None:
        predicted_params = true_bodies.parameters(predictions, every, model_type=protocol.body)
    sizes = sizes_of(truth, rows)
    found = match(
        made,
        _predicted_pixels(predictions, every, predicted_params, tables, _by_image(made, listed, sizes)),
        listed,
        resized(pixels(truth, rows, true_params, tables.models, TABLED), sizes, compared_size(sizes)),
        counted,
        protocol.min_iou,
    )
    errors = {measure.key: np.full(len(rows), np.nan) for measure in wanted}
    plan = Plan([key for measure in wanted for key in measure.keys], protocol, protocol.body, tables)
    hit = np.flatnonzero(found.prediction >= 0)
    for start in range(0, len(hit), batch_size):
        t = hit[start : start + batch_size]
        if predicted_params is None:
            assert given is not None
            predicted = plan.meshes(*given(every[found.prediction[t]]))
        else:
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
        **special,
    }
    return Official(metrics, pd.concat(frames, ignore_index=True), notes, _remarks(truth, rows, counted))


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
            return true_bodies.flags(hd, name, rows)
    if f"{model_type}/betas_extra" in hd:
        return np.asarray(np.asarray(hd[f"{model_type}/betas_extra"][rows]).reshape(len(rows), -1).any(axis=1))
    return np.zeros(len(rows), bool)


def _remarks(truth: HumanData, rows: Array, counted: Array) -> list[str]:
    """In which way the numbers may not be the tool's, as far as the file shows."""
    remarks = []
    if counted.all():
        remarks.append(
            "every person of the file counts: if those that are not valid were left out of it, images that show "
            "nobody else are not looked at (the tool counts predictions there as false positives), and matching in "
            "crowds may end later than the tool's (AGORA keeps them with `ehps convert agora --option persons=all`)"
        )
    if "meta/annot_valid" in truth and "meta/occlusion" in truth:
        hidden = np.asarray(truth["meta/annot_valid"])[rows].astype(bool) & ~counted
        if hidden.any():
            remarks.append(
                f"{int(hidden.sum())} people are called valid (meta/annot_valid) but do not count under the protocol; "
                "the tool would count them as missed (its own tables call such people not valid)"
            )
    return remarks


def _predicted_pixels(
    hd: HumanData, rows: Array, params: BodyParams | None, tables: Tables, true_sizes: Array
) -> Array:
    """(N, J, 2) pixels of predictions, NaN where a person has fewer joints: given ones, otherwise projected."""
    if GIVEN in hd:
        points = np.asarray(hd[GIVEN][rows], np.float64)
        own = np.where(points[..., 2:3] > 0, points[..., :2], np.nan)
    elif params is None:
        raise DataError(f"has no {GIVEN}: meshes without pixels cannot be matched", path=hd.source)
    else:
        own = pixels(hd, rows, params, tables.models, PROJECTED)
    sizes = sizes_of(hd, rows)
    sizes = np.where(sizes > 0, sizes, true_sizes)
    return resized(own, sizes, compared_size(true_sizes))


def pixels(hd: HumanData, rows: Array, params: BodyParams, models: BodyModels, count: Mapping[str, int]) -> Array:
    """(N, J, 2) pixels of the first ``count`` model joints through each row's own camera, far away behind it.

    Raises
    ------
    DataError : the file has no camera, or none that can be of some row.
    """
    if "meta/focal_length" not in hd or "meta/principal_point" not in hd:
        raise DataError(
            "has no camera, which matching in the image needs",
            path=hd.source,
            fix="convert it again, or take agora-val, which compares row by row",
        )
    joints = models.joints(params, "float64")[:, : count[params.model_type]]
    focal = np.asarray(hd["meta/focal_length"][rows], np.float64)
    centre = np.asarray(hd["meta/principal_point"][rows], np.float64)
    none = ~((focal > 0) & np.isfinite(focal) & np.isfinite(centre)).all(axis=1)
    if none.any():
        raise DataError(
            f"meta/focal_length and meta/principal_point are no camera in {int(none.sum())} of {len(rows)} rows "
            f"(first: row {int(np.asarray(rows)[none][0])})",
            path=hd.source,
            fix="write the pixels of each row's camera there, or leave those rows out",
        )
    return np.nan_to_num(project(joints, focal, centre), nan=-1e6)


def sizes_of(hd: HumanData, rows: Array) -> Array:
    """(N, 2) height and width of images, zeros where the file does not say."""
    if "meta/height" not in hd or "meta/width" not in hd:
        return np.zeros((len(rows), 2))
    return np.stack((hd["meta/height"][rows], hd["meta/width"][rows]), axis=1).astype(float)


def compared_size(sizes: Array) -> Array:
    """(N, 2) size of image in whose pixels people are matched: AGORA's large one for images of its shape."""
    height, width = sizes[:, 0], sizes[:, 1]
    return np.where((height * LARGE[1] == width * LARGE[0])[:, None] & (sizes > 0), LARGE, sizes)


def resized(points: Array, sizes: Array, wanted: Array) -> Array:
    """(N, J, 2) pixels of images of ``sizes`` in images of the sizes ``wanted`` (N, 2); as they are where one is 0."""
    known = (sizes > 0) & (wanted > 0)
    scale = np.where(known, wanted, 1.0) / np.where(known, sizes, 1.0)
    return np.asarray(points * scale[:, None, ::-1])


def _by_image(made: Array, listed: Array, sizes: Array) -> Array:
    """(P, 2) sizes of the images ``made`` (P,), each of which is ``listed`` (G,) with ``sizes`` (G, 2)."""
    known, first = np.unique(listed, return_index=True)
    return np.asarray(sizes[first[np.searchsorted(known, made)]])
