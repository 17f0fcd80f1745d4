"""The errors of instances: each measure of a protocol on predicted and true points, N instances at a time.

Results are metres, degrees or shares, ``(part, metric) -> (N,)``, NaN where an instance has nothing to compare.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ehps.arrays import Array
from ehps.benchmark.protocols.given_joints import GIVEN, GivenJoints, PredictedJoints
from ehps.benchmark.protocols.measures import AUC_LIMITS, HANDS, PCK_LIMIT, Measure
from ehps.benchmark.protocols.point_errors import (
    angles,
    area_under_curve,
    fit,
    inside,
    lengths,
    mean_error,
    mean_of_present,
    project,
    same_size,
    share_within,
)
from ehps.benchmark.protocols.points import Bodies

Errors = dict[tuple[str, str], Array]
Predicted = Bodies | PredictedJoints
Truth = Bodies | GivenJoints


class Visibility:
    """Which true points fall strictly inside the image, in the virtual camera of each test box (UBody).

    Parameters
    ----------
    true : the true bodies at their own translation.
    focal : (N, 2) of the virtual camera, pixels.
    principal_point : (N, 2) pixels.
    sizes : (N, 2) height, width of the images.
    """

    def __init__(self, true: Bodies, focal: Array, principal_point: Array, sizes: Array) -> None:
        self._true, self._camera, self._sizes = true, (focal, principal_point), sizes
        self._seen: dict[str, Array] = {}

    def __call__(self, key: str) -> Array:
        """(N, P) bool of the points ``key``."""
        if key not in self._seen:
            self._seen[key] = inside(project(self._true.points(key), *self._camera, offset=1e-4), self._sizes)
        return self._seen[key]

    def part(self, rows: slice, true: Bodies) -> Visibility:
        """Of some of the bodies, which are ``true``."""
        focal, centre = self._camera
        return Visibility(true, focal[rows], centre[rows], self._sizes[rows])


TOGETHER = 8  # instances whose whole meshes, and what is made of them, stay in a processor's cache
OF_MESHES = ("vertices/", "rest/")


def instance_errors(
    wanted: Sequence[Measure], predicted: Predicted, true: Truth, visible: Visibility | None = None
) -> Errors:
    """All measures of N instances, with the mean of both hands after those of each.

    Parameters
    ----------
    visible : points that count; laying bodies on each other uses all of them.
    """
    few = {key for measure in wanted for key in measure.keys if not key.startswith(OF_MESHES)}
    for key in few:  # of all instances at once; parts of the bodies keep them
        predicted.points(key), true.points(key)
    errors: Errors = {}
    for on_meshes, together in ((False, max(len(true), 1)), (True, TOGETHER)):
        some = [measure for measure in wanted if any(key.startswith(OF_MESHES) for key in measure.keys) == on_meshes]
        parts: list[Errors] = []
        for start in range(0, max(len(true), 1) if some else 0, together):
            rows = slice(start, start + together)
            own = true.part(rows)
            seen = None if visible is None or isinstance(own, GivenJoints) else visible.part(rows, own)
            made = predicted.part(rows)
            parts.append({measure.key: _error(measure, made, own, seen) for measure in some})
        errors |= {measure.key: np.concatenate([part[measure.key] for part in parts]) for measure in some}
    errors = {measure.key: errors[measure.key] for measure in wanted}
    for metric in dict.fromkeys(measure.metric for measure in wanted if measure.part in HANDS):
        if all((hand, metric) in errors for hand in HANDS):
            errors["hand", metric] = mean_of_present(*(errors[hand, metric] for hand in HANDS))
    if isinstance(true, GivenJoints):
        of_joints = {measure.key for measure in wanted if measure.points in GIVEN}
        errors |= {key: np.where(true.whole, errors[key], np.nan) for key in of_joints}
    return errors


def _error(measure: Measure, predicted: Predicted, true: Truth, visible: Visibility | None) -> Array:
    p, t = predicted.points(measure.points), true.points(measure.points)
    if measure.form == "angle":
        if measure.fit:
            turn = fit(predicted.points(measure.anchor), true.points(measure.anchor), measure.fit).rotation
            p = turn[:, None] @ p
        return angles(p, t).mean(axis=1)
    if measure.fit == "size":
        away = same_size(p, t) - t
    elif measure.fit:
        on = measure.anchor or measure.points
        away = fit(predicted.points(on), true.points(on), measure.fit)(p)
        away -= t
    else:
        away = p - t
        if measure.anchor:
            away += true.points(measure.anchor)[:, :1] - predicted.points(measure.anchor)[:, :1]
    errors = lengths(away)
    if measure.form == "pck":
        return share_within(errors, PCK_LIMIT)
    if measure.form == "auc":
        return area_under_curve(errors, np.arange(AUC_LIMITS) / 1000)
    return mean_error(errors, None if visible is None else visible(measure.points))


def only_valid_hands(errors: Errors, left: Array, right: Array) -> None:
    """Leave out hands that are not flagged valid (N,), and average the others again; in place."""
    for metric in dict.fromkeys(metric for part, metric in errors if part in HANDS):
        for name, flag in (("left_hand", left), ("right_hand", right)):
            errors[name, metric] = np.where(flag, errors[name, metric], np.nan)
        errors["hand", metric] = mean_of_present(*(errors[name, metric] for name in HANDS))


def without_far_hands(errors: Errors, limit: float) -> int:
    """Leave out PA-MPJPE of hands above ``limit`` metres, as SMPLest-X does, in place.

    The left hand is looked at first: beyond the limit it takes the right one with it; either takes the mean of both.

    Returns
    -------
    int : instances that lose a hand.
    """
    left, right = (errors[hand, "PA-MPJPE"] for hand in HANDS)
    far_left = left > limit
    far_right = (right > limit) & ~far_left
    errors["left_hand", "PA-MPJPE"] = np.where(far_left, np.nan, left)
    errors["right_hand", "PA-MPJPE"] = np.where(far_left | far_right, np.nan, right)
    errors["hand", "PA-MPJPE"] = np.where(far_left | far_right, np.nan, errors["hand", "PA-MPJPE"])
    return int((far_left | far_right).sum())
