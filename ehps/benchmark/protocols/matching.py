"""AGORA's matching of predicted to true persons, F1, and the rounded summary of its leaderboard.

Facts: the public AGORA evaluation tool. Persons are matched within an image by the 2D distance of their first
24 joints; metrics are means over matched persons, and NMVE / NMJE divide by F1. Every value is rounded before
it enters the next formula, as on the leaderboard.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ehps.arrays import Array

JOINTS = 24
PARTS = ("left_hand", "right_hand", "face")


@dataclass(frozen=True)
class Matches:
    """``prediction`` (G,) index of the prediction of each truth, -1 when missed; ``false_positives``
    indices.
    """

    prediction: Array
    false_positives: Array


def iou(a: Array, b: Array) -> float:
    """Overlap of two joint sets' bounding boxes, pixels counted inclusively (width = max - min + 1).

    Joints that are NaN are left out.
    """
    a, b = (points[~np.isnan(points).any(axis=1)] for points in (a, b))
    low = np.maximum(a.min(0), b.min(0))
    high = np.minimum(a.max(0), b.max(0))
    both = np.prod(np.maximum(high - low + 1, 0))
    area = np.prod(np.ptp(a, axis=0) + 1) + np.prod(np.ptp(b, axis=0) + 1)
    return float(both / (area - both))


def match_image(predictions: Array, truths: Array, valid: Array, threshold: float = 0.1) -> Matches:
    """Greedy matching within one image.

    Parameters
    ----------
    predictions : (P, J, 2) pixels; the first 24 joints give the distance, all of them the box.
    truths : (G, J, 2) pixels.
    valid : (G,) bool; an invalid truth is used up by the pair that it is in first, whose prediction stays free.
    threshold : least overlap of the boxes. A pair below it counts as a step towards the end: matching ends when the
        used predictions and these steps reach the number of predictions.
    """
    P, G = len(predictions), len(truths)
    matched = np.full(G, -1)
    used_p, used_g = np.zeros(P, bool), np.zeros(G, bool)
    if P and G:
        difference = predictions[:, None, :JOINTS] - truths[None, :, :JOINTS]
        cost = np.sqrt((difference**2).sum((2, 3)))
        hopeless = 0
        for flat in np.argsort(cost, axis=None, kind="stable"):
            if used_g.all() or used_p.sum() + hopeless >= P:
                break
            p, g = divmod(int(flat), G)
            if iou(predictions[p], truths[g]) < threshold:
                hopeless += 1
                used_g[g] |= not valid[g]
            elif not used_p[p] and not used_g[g]:
                used_g[g] = True
                if valid[g]:
                    used_p[p] = True
                    matched[g] = p
    hit = np.zeros(P, bool)
    hit[matched[matched >= 0]] = True
    return Matches(matched, np.flatnonzero(~hit))


def match(
    prediction_images: Array, predictions: Array, truth_images: Array, truths: Array, valid: Array, threshold: float
) -> Matches:
    """:func:`match_image` for every image; indices refer to the whole arrays."""
    prediction = np.full(len(truths), -1)
    false_positives: list[Array] = []
    for image in np.unique(np.concatenate([prediction_images, truth_images])):
        p, g = np.flatnonzero(prediction_images == image), np.flatnonzero(truth_images == image)
        found = match_image(predictions[p], truths[g], valid[g], threshold)
        hit = found.prediction >= 0
        prediction[g[hit]] = p[found.prediction[hit]]
        false_positives.append(p[found.false_positives])
    spare = np.concatenate(false_positives) if false_positives else np.zeros(0, int)
    return Matches(prediction, spare)


@dataclass(frozen=True)
class Detection:
    """Counts of one subset and what follows from them."""

    true_positives: int
    false_positives: int
    misses: int

    @property
    def precision(self) -> float:
        return _ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        return _ratio(self.true_positives, self.true_positives + self.misses)

    @property
    def f1(self) -> float:
        """Rounded to two decimals, as the leaderboard uses it."""
        half = (self.false_positives + self.misses) / 2
        return round(_ratio(self.true_positives, self.true_positives + half), 2)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def summary(errors: dict[str, Array], missed: Array, crowded: Array, *, missed_as_zero: bool) -> dict[str, float]:
    """Rounded means of one quantity (MVE or MPJPE, mm) over the true persons of a subset.

    Parameters
    ----------
    errors : ``body``, ``left_hand``, ``right_hand``, ``face``, or those that there are -> (G,) errors, NaN where the
        person was missed.
    missed : (G,) bool.
    crowded : (G,) bool: the image has some prediction. A person missed there adds 0 to the means of hands and
        face when ``missed_as_zero`` (as with the public tool), nothing otherwise.

    Returns
    -------
    dict : the parts, and ``full_body`` = body + (left + right + face) / 3 where all are there, all to 0.1.
    """

    def mean(values: Array) -> float:
        return round(float(values.mean()), 1) if len(values) else float("nan")

    out = {}
    for name, values in errors.items():
        if name != "body" and missed_as_zero:
            values = np.where(missed & crowded, 0.0, values)
        out[name] = mean(values[~np.isnan(values)])
    if {"body", *PARTS} <= out.keys():
        out["full_body"] = round(out["body"] + sum(out[name] for name in PARTS) / 3, 1)
    return out
