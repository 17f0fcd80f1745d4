"""The checks of an audit: which rows are beyond a limit, how far, and the sentence that says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ehps.humandata.core import HumanData

if TYPE_CHECKING:
    from ehps.humandata.audit import Limits

Array: TypeAlias = npt.NDArray[Any]

USUAL_HEIGHT = 1.7  # metres; only ranks the rows that are within the limits


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


def checks_of(hd: HumanData, measures: Mapping[str, Array], limits: Limits) -> list[Check]:
    """All checks that the measures allow; those that catch the gravest faults first.

    A measure without a number in any row (reprojection, where there are no fits) is no check that was passed.
    """
    measures = {name: values for name, values in measures.items() if not np.isnan(values).all()}
    checks = [
        *_absolute(measures),
        *_reprojection(hd, measures, limits),
        *(_above(measures, name, limit, words) for name, limit, words in _upper(hd, limits)),
        _above(measures, "height_m", limits.height_max_m, "height {:.2f} m", normal=USUAL_HEIGHT),
        _below(measures, "height_m", limits.height_min_m, "height {:.2f} m", normal=USUAL_HEIGHT),
        _below(measures, "joints_in_box", limits.joints_in_box, "{:.0%} of the joints in the box", normal=1.0),
    ]
    return [check for check in checks if check is not None]


def _upper(hd: HumanData, limits: Limits) -> list[tuple[str, float, str]]:
    rows: list[tuple[str, float, str]] = [
        ("behind_camera", limits.behind_camera, "{:.0f} joints behind the camera"),
        ("world_to_camera_m", limits.world_to_camera_gap_m, "two routes to the camera frame differ by {:.3f} m"),
        ("points3d_m", limits.points3d_m, "model joints {:.2f} m from the dataset's own 3D points"),
        ("betas_norm", limits.betas_norm, "norm of betas {:.1f}"),
        ("beta", limits.beta, "a beta of size {:.1f}"),
    ]
    if hd.passport.focal == "image":
        rows.append(("depth_m", limits.depth_max_m, "{:.0f} m from the camera"))
    return rows


def _absolute(measures: Mapping[str, Array]) -> list[Check | None]:
    """Faults that have no degree."""
    return [
        _fault("finite", measures, lambda v: v == 0, "numbers that are not finite"),
        _fault("image_missing", measures, lambda v: v > 0, "image not found"),
        _fault("duplicate", measures, lambda v: v > 0, "repeats an earlier row of the same image"),
    ]


def _fault(name: str, measures: Mapping[str, Array], wrong: Callable[[Array], Array], words: str) -> Check | None:
    if name not in measures:
        return None
    bad = wrong(measures[name])
    return Check(name, bad, np.where(bad, 100.0, 0.0), lambda row: words)


def _reprojection(hd: HumanData, measures: Mapping[str, Array], limits: Limits) -> list[Check | None]:
    exact = hd.quality.get("reprojection") == "exact"
    limit = limits.exact_reprojection_of_box if exact else limits.reprojection_of_box
    out: list[Check | None] = []
    for part, title in (("", "joints"), ("_body", "body joints"), ("_hands", "fingers"), ("_face", "face points")):
        if f"reprojection{part}_of_box" not in measures:
            continue
        pixels = measures[f"reprojection{part}_px"]
        words = f"model {title} " + "{:.0%} of the box"
        check = _above(measures, f"reprojection{part}_of_box", limit, words)
        if check is not None:
            out.append(_with_pixels(check, pixels))
    straight, swapped = (measures.get(f"reprojection{kind}_of_box") for kind in ("", "_swapped"))
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


def _above(measures: Mapping[str, Array], name: str, limit: float, words: str, normal: float = 0.0) -> Check | None:
    """Values over the limit. ``words`` has a field for the value."""
    if name not in measures:
        return None
    values = measures[name]
    known = np.nan_to_num(values, nan=normal, posinf=1e30)
    # A limit that is itself the normal value (no joint behind the camera) leaves no way to measure shares of.
    severity = (known - normal) / (limit - normal) if limit > normal else 2.0 * (known - limit)
    return Check(name, known > limit, severity.clip(0), lambda row: words.format(values[row]))


def _below(measures: Mapping[str, Array], name: str, limit: float, words: str, normal: float) -> Check | None:
    """Values under the limit, which is below ``normal``."""
    if name not in measures:
        return None
    values = measures[name]
    known = np.nan_to_num(values, nan=normal, neginf=-1e30)
    # The suffix keeps the two checks of a measure with a lower and an upper limit apart.
    label = f"{name}_low" if name == "height_m" else name
    severity = ((normal - known) / max(normal - limit, 1e-6)).clip(0)
    return Check(label, known < limit, severity, lambda row: words.format(values[row]))
