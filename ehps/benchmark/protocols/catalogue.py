"""Test protocols: how a number was made, as a value that is stored beside it.

Two numbers may stand in one column only when their protocols are equal; :func:`same` says which field
differs. Facts: the public evaluation code of SMPLer-X, SMPLest-X, OSX and AGORA, as summarised in each entry
below.
"""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from typing import Any

from ehps.errors import UsageError


@dataclass(frozen=True)
class Protocol:
    """How predictions are compared with the truth.

    Attributes
    ----------
    name, version : the version goes up when the same name would give other numbers.
    benchmark : the test set it was made for.
    truth : where the true mesh comes from: ``neutral-parameters`` (neutral SMPL-X from the file's pose,
        ``betas_neutral`` where present, expression), ``gendered-parameters`` (SMPL-X of ``meta/gender``, kid
        template included), ``given-vertices`` (``vertices3d_path``), ``gendered-smpl``.
    metrics : parts and measures that are computed.
    joints : the body joints compared and their regressor.
    alignment : what is translated onto what before plain errors.
    procrustes : what the PA errors fit.
    gender_policy : gender of the predicted and of the true body model.
    extreme_betas : ``mean-shape``: truths with any \\|beta\\| > 3 are compared with the mean shape; ``keep``.
    boxes, box_ratio : which boxes are given to the model, and by how much they are scaled.
    step, step_per : every ``step``-th row is tested, counted within each value of ``meta/<step_per>`` where
        set.
    valid : conditions on ``meta`` columns for a truth to count (a column that the file lacks excludes
        nothing).
    only_images : parts of image paths, one of which a tested image has; () for all (AGORA's ``--onlybfh`` is
        ``("bfh", "smplx")``).
    visibility : ``all`` points count, or those ``inside-image`` under the predicted camera.
    hands : which hands enter: ``all`` or those ``flagged-valid`` in ``meta``.
    matching : ``by-row`` (a prediction for each given box) or ``greedy-2d`` (AGORA's), with least overlap
        ``min_iou``.
    rounding : decimals of mm to which values are rounded before they enter formulas, -1 for none.
    quirks : known oddities of the original that are reproduced.
    truth_rotation : axis-angle applied to given vertices.
    primary : (part, metric) that enters the mean primary error.
    """

    name: str
    benchmark: str
    truth: str
    metrics: tuple[str, ...]
    joints: str
    alignment: str
    gender_policy: str
    version: int = 1
    procrustes: str = "similarity with scale, proper rotation, fitted on exactly the points compared"
    extreme_betas: str = "keep"
    boxes: str = "bbox_xywh of the file"
    box_ratio: float = 1.2 * 0.833
    step: int = 1
    step_per: str = ""
    valid: tuple[str, ...] = ()
    only_images: tuple[str, ...] = ()
    visibility: str = "all"
    hands: str = "all"
    matching: str = "by-row"
    min_iou: float = 0.0
    rounding: int = -1
    quirks: tuple[str, ...] = ()
    truth_rotation: tuple[float, float, float] | None = None
    primary: tuple[str, str] = ("all", "PVE")

    def to_json(self) -> str:
        """Canonical text; equal protocols give equal texts."""
        return json.dumps(self.to_dict(), sort_keys=True)

    def to_dict(self) -> dict[str, Any]:
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Protocol:
        """Inverse of :meth:`to_dict`."""
        tuples = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
        return cls(**{**values, **tuples})

    @property
    def id(self) -> str:
        """Name with whatever differs from the registered protocol, e.g. ``ubody-intra[step=1]``."""
        base = _REGISTRY.get(self.name)
        if base is None:
            return self.name
        return f"{self.name}[{','.join(changed)}]" if (changed := _changes(base, self)) else self.name


_SMPLX_METRICS = ("PVE", "PA-PVE", "PA-MPJPE")
_J14 = "14 of SMPLX_to_J14"
_SMPLX_ALIGNMENT = (
    "all: regressed pelvis 0; hands: regressed wrists 20, 21; face: regressed neck 12 (neutral J_regressor)"
)
_EHF_ROTATION = (-2.98747896, 0.01172457, -0.05704687)

AGORA_VAL = Protocol(
    name="agora-val",
    benchmark="agora",
    truth="gendered-parameters",
    metrics=_SMPLX_METRICS,
    joints=_J14,
    alignment=_SMPLX_ALIGNMENT,
    gender_policy="prediction neutral; truth as annotated, kids with the kid template",
    valid=("annot_valid",),
)
"""AGORA validation as SMPLer-X and OSX report it: all valid persons, plain mean over 10475 vertices.

The original compares with the vertices AGORA gives; they are the fits' meshes in the camera frame, made here
from the annotated gendered parameters (``agora-val[truth=given-vertices]`` reads stored ones). Not comparable
with AGORA's full-body MVE, which adds parts (``agora-official``).
"""

AGORA_OFFICIAL = dataclasses.replace(
    AGORA_VAL,
    name="agora-official",
    metrics=("MVE", "MPJPE", "NMVE", "NMJE", "F1"),
    valid=("annot_valid", "occlusion in 0..90"),
    joints="body 0..21, wrist and 15 of each hand, neck and 51 face landmarks",
    alignment="body: mid-point of the hips (1, 2); hands: wrists 20, 21; face: neck 12 (model joints)",
    matching="greedy-2d",
    min_iou=0.1,
    rounding=1,
    quirks=("missed persons in images with predictions add 0 to hands and face", "kids count all false positives"),
    primary=("full_body", "NMVE"),
)
"""AGORA's own evaluation: greedy 2D matching (IoU of joint boxes >= 0.1), means over matched persons, full
body = body + (left hand + right hand + face) / 3, NMVE = MVE / F1 with F1 to two decimals and values to 0.1.
Persons occluded outside 0..90 % or not valid absorb their prediction without counting. Body vertices are
those outside the hand and head sets."""

UBODY_INTRA = Protocol(
    name="ubody-intra",
    benchmark="ubody",
    truth="neutral-parameters",
    metrics=_SMPLX_METRICS,
    joints=_J14,
    alignment=_SMPLX_ALIGNMENT + ", on all points; errors averaged over the visible ones",
    gender_policy="neutral",
    extreme_betas="mean-shape",
    step=100,
    step_per="scene",
    visibility="inside-image",
)
"""UBody, intra-scene test list, every 100th annotation of each scene. The true mesh is projected with the
*predicted* translation and camera; only points strictly inside the image count, a hand without visible
vertices is skipped, a sample without any is skipped and counted. The original counts the 100 before the video
filter; counted here on the rows of the file, unless the file says it is sampled so already."""

EGOBODY_EGO = Protocol(
    name="egobody-ego",
    benchmark="egobody_ego",
    truth="neutral-parameters",
    metrics=_SMPLX_METRICS,
    joints=_J14,
    alignment=_SMPLX_ALIGNMENT,
    gender_policy="neutral",
    extreme_betas="mean-shape",
)
"""EgoBody egocentric test set: the truth is the neutral body from the annotated pose and ``betas_neutral``;
shapes with any \\|beta\\| > 3 are compared with the mean shape, as the original's processing does
(counted)."""

PW3D = Protocol(
    name="pw3d-smplerx",
    benchmark="pw3d",
    truth="gendered-smpl",
    metrics=("MPJPE", "PA-MPJPE"),
    joints="14 skeleton rows 1,2,4,5,7,8,12,15..21: J_regressor of SMPL on the true, of SMPL-X on the predicted mesh",
    alignment="pelvis row 0 of each regressor",
    gender_policy="prediction neutral SMPL-X; truth SMPL of meta/gender",
    primary=("body", "MPJPE"),
)
"""3DPW as SMPLer-X and OSX: not the H36M regressor of SPIN / PyMAF, not the challenge's 24 joints; values of
the three differ by several millimetres."""

EHF = Protocol(
    name="ehf",
    benchmark="ehf",
    truth="given-vertices",
    metrics=_SMPLX_METRICS,
    joints=_J14,
    alignment=_SMPLX_ALIGNMENT,
    gender_policy="prediction neutral; truth is a registered mesh",
    truth_rotation=_EHF_ROTATION,
)
"""EHF, 100 frames, no training set: the registered meshes (``vertices3d_path``) rotated into the camera
frame, no translation.
"""

_REGISTRY = {p.name: p for p in (AGORA_VAL, AGORA_OFFICIAL, UBODY_INTRA, EGOBODY_EGO, PW3D, EHF)}


def names() -> tuple[str, ...]:
    """Registered protocol names."""
    return tuple(_REGISTRY)


def table_markdown() -> str:
    """The registered protocols as a Markdown table; what they do in words is in their docstrings above."""
    lines = ["| protocol | truth | primary number | all numbers | rows tested | matching |", "| --- " * 6 + "|"]
    for p in _REGISTRY.values():
        rows = "all" if p.step == 1 else f"every {p.step}th" + (f" of each {p.step_per}" if p.step_per else "")
        rows += f" with {', '.join(p.valid)}" if p.valid else ""
        cells = (f"`{p.name}`", p.truth, f"{p.primary[1]} {p.primary[0]}", ", ".join(p.metrics), rows, p.matching)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def get(spec: str | Protocol) -> Protocol:
    """A protocol by name, with changes in brackets: ``ubody-intra``, ``ubody-intra[step=1]``.

    Raises
    ------
    UsageError : unknown name or field, or a value that does not fit the field.
    """
    if isinstance(spec, Protocol):
        return spec
    found = re.fullmatch(r"([\w-]+)(?:\[(.*)\])?", spec.strip())
    if found is None or found[1] not in _REGISTRY:
        raise UsageError(f"no protocol {spec!r}; there are: {', '.join(_REGISTRY)}")
    base = _REGISTRY[found[1]]
    changes: dict[str, Any] = {}
    for part in filter(None, (found[2] or "").split(",")):
        key, _, value = part.partition("=")
        if key not in {f.name for f in dataclasses.fields(Protocol)} - {"name"}:
            raise UsageError(f"protocols have no field {key!r}", fix=f"one of: {', '.join(base.to_dict())}")
        try:
            changes[key] = type(getattr(base, key))(json.loads(value)) if not _is_text(base, key) else value
        except (ValueError, TypeError):
            raise UsageError(f"{value!r} is not a value for the protocol's {key}") from None
    return dataclasses.replace(base, **changes)


def _is_text(base: Protocol, key: str) -> bool:
    return isinstance(getattr(base, key), str)


def _changes(base: Protocol, other: Protocol) -> list[str]:
    a, b = base.to_dict(), other.to_dict()
    return [f"{key}={b[key] if isinstance(b[key], str) else json.dumps(b[key])}" for key in a if a[key] != b[key]]


def same(protocols: list[Protocol], *, what: str = "these numbers") -> Protocol:
    """The one protocol of numbers that are about to stand in one column.

    Raises
    ------
    UsageError : they differ; the message names the fields.
    """
    first = protocols[0]
    for other in protocols[1:]:
        a, b = first.to_dict(), other.to_dict()
        fields = [key for key in a if a[key] != b[key]]
        if fields:
            listed = "; ".join(f"{key}: {a[key]!r} and {b[key]!r}" for key in fields)
            raise UsageError(
                f"{what} were made under different protocols ({first.id} and {other.id}): {listed}",
                fix="score the stored predictions again under one of them",
            )
    return first
