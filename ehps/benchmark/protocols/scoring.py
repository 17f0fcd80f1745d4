"""Scoring stored predictions against a test set under a protocol: per-instance errors first, means of them
second.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from ehps.arrays import Array
from ehps.benchmark.crop_boxes import virtual_camera, widen
from ehps.benchmark.protocols import true_bodies
from ehps.benchmark.protocols.agora_official import Meshes, score_official
from ehps.benchmark.protocols.given_joints import GIVEN, given_joints, predicted_joints
from ehps.benchmark.protocols.image_labels import ImageLabels
from ehps.benchmark.protocols.measures import HANDS, IN_IMAGE, OF_TRACKS, Measure, measures
from ehps.benchmark.protocols.metrics import (
    Errors,
    Predicted,
    Truth,
    Visibility,
    instance_errors,
    only_valid_hands,
    without_far_hands,
)
from ehps.benchmark.protocols.placement import Placement
from ehps.benchmark.protocols.points import Bodies, Plan, recipe
from ehps.benchmark.protocols.protocol import Protocol
from ehps.benchmark.protocols.summaries import FACTORS, frame, groups_of, summarise, tidy, unit, with_values_of_the_set
from ehps.benchmark.protocols.tables import Tables, tables_of
from ehps.benchmark.protocols.tracks import track_errors
from ehps.body.models import BodyModels
from ehps.body.topology import NAMES
from ehps.errors import BodyModelError, DataError
from ehps.humandata.core import HumanData
from ehps.progress import counting

VIDEOS = {"emdb1": 17, "emdb2": 25}
"""Of whole test sets, by protocol."""
TRUTH_ROW = "meta/truth_row"
NOTES = {
    "matched": "people are matched",
    "missed": "people are missed",
    "false_positives": "predictions are of nobody who counts",
    "not_counted": "people of the file do not count",
    "extreme_betas": "true shapes with a |beta| above 3 are compared as the mean shape",
    "refitted_betas": "true shapes of male and female models are refitted to the neutral one (no betas_neutral)",
    "far_hands": "instances lose a hand for a PA-MPJPE above hand_limit",
    "joints_missing": "rows lack true joints",
    "excluded": "rows are left out by an exclusion list",
}
"""What the counts of a score's notes are of."""
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
    notes : counts of what was treated specially, by the names of :data:`NOTES`.
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
    DataError : a row that the protocol tests has no prediction, ``meta/truth_row`` is not that of this truth, or the
        truth lacks what the protocol needs.
    BodyModelError : none of the protocol's numbers can be had, because helper files are missing.
    """
    check_rows(predictions, truth)
    tables = tables_of(models)
    if given is not None and protocol.matching == "by-row":
        raise DataError(f"holds meshes; {protocol.id} compares body parameters", path=predictions.source)
    world = protocol.frame == "world"
    joints = None if world else predicted_joints(predictions, protocol)
    bodies = given is None and joints is None
    model_type = predicted_type(predictions, protocol) if bodies else protocol.body
    wanted, missing = computable(protocol, model_type, tables)
    if joints is not None:
        lacking = [measure for measure in wanted if not joints.has(measure)]
        wanted = [measure for measure in wanted if measure not in lacking]
        missing |= {f"{one.metric} {one.part}": "the predictions have no such points" for one in lacking}
        if not wanted:
            raise DataError(f"holds none of the points that {protocol.id} compares", path=predictions.source)
    by_row = protocol.matching == "by-row"
    rows, at = paired(predictions, truth, protocol) if by_row else (np.arange(len(truth)), np.arange(len(predictions)))
    if bodies:
        seen = any(measure.form in IN_IMAGE for measure in wanted)
        true_bodies.check_bodies(predictions, at, model_type, placed=seen or world or not by_row)
    if protocol.with_betas:
        placed = not by_row or world or protocol.visibility == "inside-image"
        true_bodies.check_bodies(truth, rows, protocol.body, placed=placed)
    if protocol.visibility == "inside-image":
        for name in ("bbox_xywh", "meta/height", "meta/width"):
            if name not in truth:
                raise true_bodies.lacks(truth, name, protocol)
    if not by_row:
        official = score_official(predictions, truth, protocol, wanted, tables, batch_size, device, given)
        found = frame(official.errors, truth)
        return Score(protocol, found, official.metrics, official.notes, missing, official.remarks)
    followed = [measure for measure in wanted if measure.form in OF_TRACKS]
    wanted = [measure for measure in wanted if measure.form not in OF_TRACKS]
    tracked: Errors = {}
    of_the_set: dict[tuple[str, str], float] = {}
    if followed:
        placement = Placement(predictions, truth, rows, at, protocol, model_type)
        tracked, of_the_set = track_errors(followed, placement, tables, batch_size=batch_size, device=device)
    labels = ImageLabels(wanted, predictions, truth, protocol, tables, images, rows, at)
    in_space = [measure for measure in wanted if measure.form not in IN_IMAGE]
    keys = list(dict.fromkeys(key for measure in wanted for key in measure.keys))
    true_keys = list(dict.fromkeys(key for measure in in_space for key in measure.keys))
    plan = Plan(keys, protocol, model_type, tables)
    if protocol.with_given_joints:
        true_keys = [key for key in true_keys if key not in GIVEN]
    true_plan = Plan(true_keys, protocol, protocol.body, tables)

    def made(chosen: Array, rest_gender: Array | None = None) -> Predicted:
        if joints is not None:
            return joints.part(chosen)
        params = true_bodies.parameters(predictions, chosen, model_type=model_type)
        return plan.bodies(params, device=device, rest_gender=rest_gender)

    parts: list[Errors] = []
    errors: Errors
    notes: dict[str, int] = {}
    with counting("scoring", len(rows)) as advance:
        for start in range(0, len(rows) if wanted else 0, batch_size):
            chunk = slice(start, start + batch_size)
            errors = {}
            special: dict[str, int] = {}
            if in_space:
                true, special = _true(protocol, truth, rows[chunk], true_plan, images, device)
                rest_gender = true.params.gender if isinstance(true, Bodies) and true.params is not None else None
                predicted = made(at[chunk], rest_gender)
                visible = None
                if protocol.visibility == "inside-image" and isinstance(true, Bodies):
                    visible = _visibility(protocol, truth, rows[chunk], true)
                errors = instance_errors(in_space, predicted, true, visible)
            else:
                predicted = made(at[chunk])
            if isinstance(predicted, Bodies):
                errors |= labels.errors(rows[chunk], at[chunk], predicted)
            if protocol.hands == "flagged-valid":
                flags = [_flag(protocol, truth, rows[chunk], name) for name in FLAGS]
                only_valid_hands(errors, *flags)
            if protocol.hand_limit and all((hand, "PA-MPJPE") in errors for hand in HANDS):
                special["far_hands"] = without_far_hands(errors, protocol.hand_limit / 1000)
            parts.append(errors)
            for name, count in special.items():
                notes[name] = notes.get(name, 0) + count
            advance(len(rows[chunk]))
    errors = {key: np.concatenate([part[key] for part in parts]) for key in (parts[0] if parts else ())} | tracked
    every = {key: values * FACTORS.get(unit(key[1]), 1.0) for key, values in errors.items()}
    if every and all(np.isnan(values).all() for values in every.values()):
        raise true_bodies.nobody(protocol, truth, f"none of the {len(rows)} rows has an error that counts")
    lines = summarise(every, groups_of(protocol, truth, rows), protocol.mean)
    lines = with_values_of_the_set(lines, labels.of_the_set() | of_the_set, labels.counted(), len(rows))
    remarks = _remarks(protocol, truth, rows)
    return Score(protocol, frame(tidy(every, rows), truth), lines, notes, missing, remarks)


def compares(protocol: Protocol, model_type: str) -> bool:
    """Whether predicted bodies of this model type can be compared with the protocol's truth."""
    return model_type == protocol.body or (model_type == "smplx" and protocol.prediction != "same")


def predicted_type(predictions: HumanData, protocol: Protocol) -> str:
    """Model type of the predicted bodies that are compared.

    Raises
    ------
    DataError : the predictions hold none that the protocol compares with its truth.
    """
    for model_type in (protocol.body, "smplx"):
        if f"{model_type}/betas" in predictions and compares(protocol, model_type):
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


def check_rows(*files: HumanData) -> None:
    """
    Raises
    ------
    DataError : a file has no rows.
    """
    for hd in files:
        if not len(hd):
            raise DataError("has no rows", path=hd.source)


def check_truth_rows(predictions: HumanData, truth: HumanData) -> None:
    """
    Raises
    ------
    DataError : ``meta/truth_row`` holds no rows of this truth, one row twice, or rows of other images.
    """
    there = truth.source or "the truth"
    said, fix = f"{TRUTH_ROW} ", f"write the row of {there} that each prediction is of, from 0"
    rows = predictions[TRUTH_ROW]
    if not isinstance(rows, np.ndarray) or rows.ndim != 1 or rows.dtype.kind not in "iu":
        raise DataError(f"{said}does not hold whole numbers", path=predictions.source, fix=fix)
    if rows.min() < 0 or rows.max() >= len(truth):
        said += f"goes from {rows.min()} to {rows.max()}, and {there} has {len(truth)} rows"
        raise DataError(said, path=predictions.source, fix="score them beside the file that they are predictions of")
    values, count = np.unique(rows, return_counts=True)
    if (count > 1).any():
        said += f"holds row {values[count > 1][0]} {count.max()} times ({int((count > 1).sum())} such rows)"
        raise DataError(said, path=predictions.source, fix="keep one prediction of each row")
    if "image_path" in predictions and "image_path" in truth:
        pairs = zip(predictions["image_path"].tolist(), truth["image_path"][rows].tolist(), strict=True)
        for i, (mine, true) in enumerate(pairs):
            if PurePosixPath(mine).name != PurePosixPath(true).name:
                said = f"row {i} is of {mine}, and row {rows[i]} of {there} is {true}"
                raise DataError(said, path=predictions.source, fix=fix)


def paired(predictions: HumanData, truth: HumanData, protocol: Protocol) -> tuple[Array, Array]:
    """Rows of the truth that are tested, and the prediction's row of each."""
    if TRUTH_ROW not in predictions:
        raise DataError(f"has no {TRUTH_ROW}: not predictions of a test set", path=predictions.source)
    check_truth_rows(predictions, truth)
    rows = true_bodies.rows_to_test(protocol, truth)
    if not len(rows):
        raise true_bodies.nobody(protocol, truth)
    made = np.asarray(predictions[TRUTH_ROW])
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
) -> tuple[Truth, dict[str, int]]:
    if protocol.truth == "given-vertices":
        return plan.meshes(true_bodies.given(truth, rows, images, protocol.truth_rotation)), {}
    joints, special = None, {}
    if protocol.with_given_joints:
        joints = given_joints(truth, rows, protocol)
        if lacking := int((~joints.whole).sum()):
            special["joints_missing"] = lacking
        if not protocol.with_betas:
            return joints, special
    params, of_shapes = true_bodies.true_parameters(protocol, truth, rows, plan.models)
    bodies = plan.bodies(params, device=device)
    return replace(joints, bodies=bodies) if joints else bodies, special | of_shapes


def _visibility(protocol: Protocol, truth: HumanData, rows: Array, true: Bodies) -> Visibility:
    sizes = np.stack((truth["meta/height"][rows], truth["meta/width"][rows]), axis=1)
    boxes, valid = widen(truth["bbox_xywh"][rows], sizes, protocol.box_ratio)
    seen = np.where(valid[:, None], sizes, 0)  # nothing of a person whose box has no area in the image
    return Visibility(true, *virtual_camera(boxes), seen)


def _flag(protocol: Protocol, hd: HumanData, rows: Array, name: str) -> Array:
    if name in hd:
        return true_bodies.flags(hd, name, rows)
    if (protocol.base or protocol).hands != "flagged-valid":
        raise DataError(f"has no {name}, by which {protocol.id} chooses hands", path=hd.source)
    return np.ones(len(rows), bool)


def _remarks(protocol: Protocol, truth: HumanData, rows: Array) -> list[str]:
    said = []
    if whole := VIDEOS.get((protocol.base or protocol).name):
        there = len(set(true_bodies.sequence_names(truth, rows)))
        if there != whole:
            said.append(
                f"the file has {there} of the {whole} videos of the test set: no number to compare with others'"
            )
    if protocol.step > 1 and protocol.count_by and not true_bodies.counts_annotations(protocol, truth):
        kept = truth.passport.sampling
        how = f"the file keeps every {kept}th row" if kept > 1 else f"every {protocol.step}th row of the file is tested"
        said.append(
            f"{how}, and there is no meta/{protocol.count_by}; the original counts over all annotations (convert the "
            "dataset again for that)"
        )
    if absent := [name for name in map(true_bodies.condition_column, protocol.valid) if name not in truth]:
        said.append(f"the file has no {' and no '.join(absent)}: no row is left out by it")
    if protocol.hands == "flagged-valid" and (absent := [name for name in FLAGS if name not in truth]):
        said.append(f"all hands of that side count: the file has no {' and no '.join(absent)}")
    return said
