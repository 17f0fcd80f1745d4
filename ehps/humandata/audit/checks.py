"""The checks of an audit: which rows are beyond a limit, how far, and the sentence that says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ehps.arrays import Array
from ehps.humandata.audit.duplicates import repeats
from ehps.humandata.core import HumanData
from ehps.humandata.image_checks import MISSING, OTHER_SIZE, OUTSIDE, UNREADABLE, ImageCheck
from ehps.humandata.quality_table import MEASURES, Limit

IMAGE_CHECKS = {
    "image_missing": MISSING,
    "image_unreadable": UNREADABLE,
    "image_size": OTHER_SIZE,
    "image_outside": OUTSIDE,
}


@dataclass(frozen=True)
class Check:
    """One check on all rows.

    Attributes
    ----------
    name : of the measure.
    bad : (N,) rows beyond the limit.
    severity : (N,) share of the way from a normal value to the limit, above 1 for bad rows, 0 where nothing was
        measured.
    sentence : row -> what is wrong with it (or, for good rows, what its value is).
    """

    name: str
    bad: npt.NDArray[np.bool_]
    severity: Array
    sentence: Callable[[int], str]


def checks_of(
    hd: HumanData, measures: Mapping[str, Array], limits: Mapping[str, float], images: ImageCheck | None = None
) -> list[Check]:
    """All checks that the measures allow; those that catch the gravest faults first.

    A measure without a number in any row (reprojection, where there are no fits) is no check that was passed.

    Parameters
    ----------
    images : what looking at the images has found, where their folder was given.
    """
    measures = {name: values for name, values in measures.items() if not np.isnan(values).all()}
    checks = [
        _not_finite(measures),
        *_images(images),
        _duplicates(hd, limits),
        *_reprojection(hd, measures, limits),
        *(_beyond(measures, name, limit, limits[limit.name]) for name, limit in _graded(hd)),
    ]
    return [check for check in checks if check is not None]


def _graded(hd: HumanData) -> list[tuple[str, Limit]]:
    """Measures other than reprojection with their limits; depths say something for real cameras only.

    Points that are projections of exact bodies are labelled wherever they fall, also when most of a person is out of
    the image.
    """
    left_out = {"duplicate"}
    if hd.passport.focal != "image":
        left_out.add("depth_m")
    if hd.quality.get("reprojection") == "exact":
        left_out.add("points_in_image")
    return [
        (measure.name, limit)
        for measure in MEASURES
        for limit in measure.limits
        if not measure.name.startswith("reprojection") and measure.name not in left_out
    ]


def _not_finite(measures: Mapping[str, Array]) -> Check | None:
    if "finite" not in measures:
        return None
    return _fault("finite", measures["finite"] == 0, lambda row: "numbers that are not finite")


def _images(images: ImageCheck | None) -> list[Check]:
    if images is None:
        return []

    def sentence(row: int) -> str:
        return images.faults[images.wrong[row] - 1].reason

    return [_fault(name, images.rows(kind), sentence) for name, kind in IMAGE_CHECKS.items()]


def _duplicates(hd: HumanData, limits: Mapping[str, float]) -> Check:
    found = repeats(hd, limits)
    return _fault("duplicate", found.of >= 0, found.sentence)


def _fault(name: str, bad: npt.NDArray[np.bool_], sentence: Callable[[int], str]) -> Check:
    """A fault that has no degree."""
    return Check(name, bad, np.where(bad, 100.0, 0.0), sentence)


def _reprojection(hd: HumanData, measures: Mapping[str, Array], limits: Mapping[str, float]) -> list[Check | None]:
    exact = hd.quality.get("reprojection") == "exact"
    value = limits["exact_reprojection_of_box" if exact else "reprojection_of_box"]
    out: list[Check | None] = []
    for part, title in (("", "joints"), ("_body", "body joints"), ("_hands", "fingers"), ("_face", "face points")):
        if f"reprojection{part}_of_box" not in measures:
            continue
        pixels = measures[f"reprojection{part}_px"]
        limit = Limit("reprojection_of_box", value, f"model {title} " + "{:.0%} of the box")
        check = _beyond(measures, f"reprojection{part}_of_box", limit, value)
        if check is not None:
            out.append(_with_pixels(check, pixels))
    straight, swapped = (measures.get(f"reprojection{side}_of_box") for side in ("", "_swapped"))
    if straight is not None and swapped is not None:
        ratio = np.divide(straight, swapped, out=np.zeros_like(straight), where=swapped > 0)
        with np.errstate(invalid="ignore"):
            bad = (ratio > 2) & (straight > 0.05)
        words = "fits the dataset's own 2D points better with left and right exchanged"
        severity = np.where(bad, ratio, 0.0)
        out.append(Check("left_right", bad, severity, lambda row: words))
    return out


def _with_pixels(check: Check, pixels: Array) -> Check:
    tail = "from the dataset's own 2D points"

    def sentence(row: int) -> str:
        return f"{check.sentence(row)} ({pixels[row]:.1f} px) {tail}"

    return Check(check.name, check.bad, check.severity, sentence)


def _beyond(measures: Mapping[str, Array], name: str, limit: Limit, value: float) -> Check | None:
    """Values over a limit, or under it where it is the least one; ``value`` is the limit in force."""
    if name not in measures:
        return None
    values, sign = measures[name], -1.0 if limit.least else 1.0
    known = np.nan_to_num(values, nan=limit.normal, posinf=1e30, neginf=-1e30)
    over, room = sign * (known - value), sign * (value - limit.normal)
    # A limit that is itself the normal value (no joint behind the camera) leaves no way to measure shares of.
    severity = sign * (known - limit.normal) / room if room > 0 else 2.0 * over
    # A measure with a lower and an upper limit is two checks.
    label = f"{name}_low" if limit.least and limit.name != name else name
    return Check(label, over > 0, severity.clip(0), lambda row: limit.sentence.format(values[row]))
