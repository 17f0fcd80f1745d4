"""Which numbers a protocol asks for, as declarations: the points compared, where they are laid on each other, how.

A new protocol is a choice of these; code is needed only for points or formulas that no protocol had before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ehps.benchmark.protocols.protocol import Protocol
from ehps.benchmark.protocols.vocabulary import AVERAGE_PRECISION

Form = Literal[
    "mean", "pck", "auc", "angle", "mask", "parts", "keypoints", "chunks", "first", "path", "jitter", "sliding"
]
IN_IMAGE = ("mask", "parts", "keypoints")
"""Forms that compare with what is marked in images (:mod:`ehps.benchmark.protocols.image_labels`)."""
OF_TRACKS = ("chunks", "first", "path", "jitter", "sliding")
"""Forms that follow people over time (:mod:`ehps.benchmark.protocols.tracks`)."""
HANDS = ("left_hand", "right_hand")
PCK_LIMIT = 0.05  # metres
AUC_LIMITS = 200  # thresholds of 0, 1, ... mm


@dataclass(frozen=True)
class Measure:
    """One number of each instance.

    Attributes
    ----------
    part : all, left_hand, right_hand, face, body, silhouette or parts.
    metric : its name in results.
    points : key of the points compared (:mod:`ehps.benchmark.protocols.points`).
    anchor : key of the point that is laid on the truth's, or with a fit of the points that are fitted; "" where the
        points themselves are, or nothing is moved.
    fit : "", or the kind of fit: a Procrustes one, or ``size`` (the mean and the root mean square distance from it
        become those of the truth).
    form : mean distance, share within 50 mm, area under the curve of shares, mean angle between orientations; in the
        image the pixels of the person, those of its parts, or keypoints; of tracks the distance after a fit of every
        100 frames or of the first two of these, that of the whole path, jitter, or the sliding of feet on the ground.
    """

    part: str
    metric: str
    points: str
    anchor: str = ""
    fit: str = ""
    form: Form = "mean"

    @property
    def key(self) -> tuple[str, str]:
        return self.part, self.metric

    @property
    def keys(self) -> tuple[str, ...]:
        """Of everything that bodies are asked for."""
        return tuple(key for key in (self.points, self.anchor) if key)


def measures(protocol: Protocol) -> tuple[Measure, ...]:
    """What is computed of each instance, in the order of results; means of both hands come after."""
    if protocol.matching == "greedy-2d":
        return _official(protocol)
    parts = ("all", "face", *HANDS) if protocol.body == "smplx" else ("all",)
    joints = ("body", *HANDS) if protocol.body == "smplx" else ("body",)
    fit, world = protocol.procrustes, protocol.frame == "world"
    found: list[Measure] = []
    for part in parts:
        found.append(Measure(part, "PVE", f"vertices/{part}", f"anchor/{part}"))
        found.append(Measure(part, "PA-PVE", f"vertices/{part}", "joints/body" if protocol.fits_joints else "", fit))
    found.append(Measure("body", "MPJPE", "joints/body", "anchor/joints"))
    found += [Measure(part, "PA-MPJPE", f"joints/{part}", fit=fit) for part in joints]
    found.append(Measure("body", "PCK@50", "joints/limbs", "anchor/joints", form="pck"))
    found.append(Measure("body", "AUC", "joints/limbs", "anchor/joints", form="auc"))
    found.append(Measure("body", "MPJAE", "orientations", form="angle"))
    found.append(Measure("body", "PA-MPJAE", "orientations", "joints/body", fit=fit, form="angle"))
    found.append(Measure("all", "PVE-T-SC", "rest/all", fit="size"))
    found.append(Measure("body", "WA-MPJPE", "joints/body", fit="with-scale", form="chunks"))
    found.append(Measure("body", "W-MPJPE", "joints/body", fit="with-scale", form="first"))
    found.append(Measure("body", "RTE", "anchor/joints", fit="without-scale", form="path"))
    found.append(Measure("body", "Jitter", "joints/body" if world else "joints/moving", form="jitter"))
    found.append(Measure("body", "foot-sliding", "vertices/feet", form="sliding"))
    found += [Measure("silhouette", metric, "vertices/all", form="mask") for metric in ("mIoU", "accuracy", "F1")]
    found += [Measure("parts", metric, "vertices/all", form="parts") for metric in ("accuracy", "F1")]
    found += [Measure("body", metric, "joints/body", form="keypoints") for metric in ("OKS", *AVERAGE_PRECISION)]
    return tuple(measure for measure in found if measure.metric in protocol.metrics)


def _official(protocol: Protocol) -> tuple[Measure, ...]:
    parts = ("body", *HANDS, "face") if protocol.body == "smplx" else ("body",)
    found = []
    for part in parts:
        anchor = f"anchor/{part}"
        found.append(Measure(part, "MVE", f"vertices/{part}", "anchor/all" if part == "body" else anchor))
        found.append(Measure(part, "MPJPE", f"joints/{part}", "anchor/joints" if part == "body" else anchor))
    return tuple(found)
