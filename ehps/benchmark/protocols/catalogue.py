"""Test protocols: how a number was made, as a value that is stored beside it.

Two numbers may stand in one column only when their protocols are equal; :func:`same` says which field
differs. The fields of a protocol are those that row selection, prediction, truth, matching or scoring read;
what else is to be said is its description, which is text and takes no part in any comparison. Facts: the
public evaluation code of SMPLer-X, SMPLest-X, OSX and AGORA.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_type_hints

from ehps.errors import DataError, UsageError, did_you_mean

Truth = Literal["neutral-parameters", "gendered-parameters", "given-vertices", "gendered-smpl"]
ExtremeBetas = Literal["keep", "mean-shape"]
Visibility = Literal["all", "inside-image"]
Hands = Literal["all", "flagged-valid"]
Matching = Literal["by-row", "greedy-2d"]

MESH_METRICS = ("PVE", "PA-PVE", "PA-MPJPE")
SMPL_METRICS = ("MPJPE", "PA-MPJPE")
OFFICIAL_METRICS = ("MVE", "MPJPE", "NMVE", "NMJE", "F1")
_NUMBER = r"-?\d+(?:\.\d+)?"
_CONDITION = re.compile(rf"\w+(?: in {_NUMBER}\.\.{_NUMBER})?")


@dataclass(frozen=True)
class Protocol:
    """How predictions are compared with the truth.

    Attributes
    ----------
    name : what it is called in results.
    truth : where the true mesh comes from: ``neutral-parameters`` (neutral SMPL-X from the file's pose,
        ``betas_neutral`` where present, expression), ``gendered-parameters`` (SMPL-X of ``meta/gender``, kid
        template included), ``given-vertices`` (``vertices3d_path``), ``gendered-smpl``.
    metrics : the measures that are computed.
    version : goes up when the same name would give other numbers.
    extreme_betas : ``mean-shape``: truths with any \\|beta\\| > 3 are compared with the mean shape; ``keep``.
    box_ratio : by how much the file's boxes are scaled before they are given to the model.
    step : every ``step``-th row is tested.
    step_per : rows are counted within each value of ``meta/<step_per>``, through the whole file where empty.
    valid : conditions on ``meta`` columns for a truth to count, ``name`` or ``name in low..high``; a column that
        the file lacks excludes nothing.
    only_images : parts of image paths, one of which a tested image has; () for all (AGORA's ``--onlybfh`` is
        ``("bfh", "smplx")``).
    visibility : ``all`` points count, or those ``inside-image`` under the predicted camera.
    hands : which hands enter: ``all`` or those ``flagged-valid`` in ``meta``.
    matching : ``by-row`` (a prediction for each given box) or ``greedy-2d`` (AGORA's).
    min_iou : least overlap of two boxes that are matched.
    missed_as_zero : persons missed in an image that has predictions add 0 to the means of hands and face.
    truth_rotation : axis-angle applied to given vertices.
    primary : (part, metric) shown for the whole; no part of the identity.
    description : what else there is to know, in words; no part of the identity.
    """

    name: str
    truth: Truth
    metrics: tuple[str, ...]
    version: int = 1
    extreme_betas: ExtremeBetas = "keep"
    box_ratio: float = 1.2 * 0.833
    step: int = 1
    step_per: str = ""
    valid: tuple[str, ...] = ()
    only_images: tuple[str, ...] = ()
    visibility: Visibility = "all"
    hands: Hands = "all"
    matching: Matching = "by-row"
    min_iou: float = 0.0
    missed_as_zero: bool = False
    truth_rotation: tuple[float, float, float] | None = None
    primary: tuple[str, str] = dataclasses.field(default=("all", "PVE"), compare=False)
    description: str = dataclasses.field(default="", compare=False)

    def to_json(self) -> str:
        """Canonical text; equal protocols give equal texts."""
        return json.dumps(self.to_dict(), sort_keys=True)

    def to_dict(self) -> dict[str, Any]:
        """The fields that make its identity."""
        return json.loads(json.dumps({name: getattr(self, name) for name in _IDENTITY}))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Protocol:
        """Inverse of :meth:`to_dict`; descriptions that earlier versions stored among the fields are passed over.

        Raises
        ------
        DataError : a field that is not known.
        """
        values = {name: value for name, value in values.items() if name not in _FORMER_DESCRIPTIONS}
        if "quirks" in values:
            values["missed_as_zero"] = bool(values.pop("quirks"))
        if odd := sorted(set(values) - set(_IDENTITY)):
            raise DataError(f"the stored protocol has a field {odd[0]!r} that this version of ehps does not know")
        tuples = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
        base = _REGISTRY.get(values["name"])
        words = {} if base is None else {"primary": base.primary, "description": base.description}
        return cls(**{**values, **tuples, **words})

    @property
    def id(self) -> str:
        """Name with whatever differs from the registered protocol, e.g. ``ubody-intra[step=1]``."""
        base = _REGISTRY.get(self.name)
        if base is None:
            return self.name
        return f"{self.name}[{','.join(changed)}]" if (changed := _changes(base, self)) else self.name

    @property
    def conditions(self) -> str:
        """Which rows and points it counts, in words: ``every 100th of each scene, occlusion in 0..90``."""
        said = [f"every {self.step}th" + (f" of each {self.step_per}" if self.step_per else "")] * (self.step > 1)
        said += self.valid
        if self.only_images:
            said.append(f"images called like {' or '.join(self.only_images)}")
        if self.visibility == "inside-image":
            said.append("points inside the image under the predicted camera")
        return ", ".join(said) or "every row"

    @property
    def settable(self) -> tuple[str, ...]:
        """Fields whose change changes the rows or the numbers, the other fields being as they are."""
        fields = ["box_ratio", "step", "valid", "only_images"]
        if self.step > 1:
            fields.append("step_per")
        if self.matching == "greedy-2d":
            return (*fields, "min_iou", "missed_as_zero")
        fields.append("metrics")
        if self.truth != "gendered-smpl":
            fields += ["truth", "visibility", "hands"]
        if self.truth == "neutral-parameters":
            fields.append("extreme_betas")
        if self.truth == "given-vertices":
            fields.append("truth_rotation")
        return tuple(fields)


_IDENTITY = tuple(f.name for f in dataclasses.fields(Protocol) if f.compare)
_FORMER_DESCRIPTIONS = frozenset(
    ("benchmark", "joints", "alignment", "procrustes", "gender_policy", "boxes", "rounding", "primary")
)


_ALIGNED = (
    "Plain errors after moving the regressed pelvis (hands: wrist; face: neck; all of the neutral J_regressor) of the "
    "prediction onto that of the truth; PA errors after a similarity fit of exactly the points compared. Joints: the "
    "14 of SMPLX_to_J14. Predictions are neutral bodies in the boxes of the file."
)

AGORA_VAL = Protocol(
    name="agora-val",
    truth="gendered-parameters",
    metrics=MESH_METRICS,
    valid=("annot_valid",),
    description="AGORA validation as SMPLer-X and OSX report it: all valid persons, plain mean over 10475 vertices. "
    "The original compares with the vertices AGORA gives, which are the fits' meshes in the camera frame; they are "
    "made here from the annotated gendered parameters, with the kid template for children "
    "(`agora-val[truth=given-vertices]` reads stored ones). Not comparable with AGORA's full-body MVE, which adds "
    f"parts. {_ALIGNED}",
)

AGORA_OFFICIAL = Protocol(
    name="agora-official",
    truth="gendered-parameters",
    metrics=OFFICIAL_METRICS,
    valid=("annot_valid", "occlusion in 0..90"),
    matching="greedy-2d",
    min_iou=0.1,
    missed_as_zero=True,
    primary=("full_body", "NMVE"),
    description="AGORA's own evaluation: greedy matching by the 2D distance of joints, means over matched persons, "
    "full body = body + (left hand + right hand + face) / 3, NMVE = MVE / F1 with F1 to two decimals and values to "
    "0.1 mm. Persons occluded outside 0..90 % or not valid absorb their prediction without counting. Children's F1 "
    "counts all false positives, as the original's does. Aligned: body at the mid-point of the hips, hands at the "
    "wrists, face at the neck, by model joints. Joints: body 0..21; wrist and 15 of each hand; neck and 51 face "
    "landmarks. Body vertices are those outside the hand and head sets.",
)

UBODY_INTRA = Protocol(
    name="ubody-intra",
    truth="neutral-parameters",
    metrics=MESH_METRICS,
    extreme_betas="mean-shape",
    step=100,
    step_per="scene",
    visibility="inside-image",
    description="UBody, intra-scene test list, every 100th annotation of each scene. The true mesh is projected with "
    "the predicted translation and camera; only points strictly inside the image count (alignment uses all), a hand "
    "without visible vertices is left out, a sample without any is skipped and counted. The original counts the 100 "
    "before the video filter; counted here on the rows of the file, unless the file says it is sampled so already. "
    f"{_ALIGNED}",
)

EGOBODY_EGO = Protocol(
    name="egobody-ego",
    truth="neutral-parameters",
    metrics=MESH_METRICS,
    extreme_betas="mean-shape",
    description="EgoBody egocentric test set: the truth is the neutral body from the annotated pose and "
    "`betas_neutral`; shapes with any |beta| > 3 are compared with the mean shape, as the original's processing does "
    f"(counted). {_ALIGNED}",
)

PW3D = Protocol(
    name="pw3d-smplerx",
    truth="gendered-smpl",
    metrics=SMPL_METRICS,
    primary=("body", "MPJPE"),
    description="3DPW as SMPLer-X and OSX: 14 skeleton rows (1, 2, 4, 5, 7, 8, 12, 15..21), the J_regressor of SMPL "
    "of meta/gender on the true mesh, that of neutral SMPL-X on the predicted one, each aligned at its pelvis. "
    "Neither the H36M regressor of SPIN and PyMAF nor the challenge's 24 joints; values of the three differ by "
    "several millimetres.",
)

EHF = Protocol(
    name="ehf",
    truth="given-vertices",
    metrics=MESH_METRICS,
    truth_rotation=(-2.98747896, 0.01172457, -0.05704687),
    description="EHF, 100 frames, no training set: the registered meshes (`vertices3d_path`) rotated into the camera "
    f"frame, no translation. {_ALIGNED}",
)

_REGISTRY = {p.name: p for p in (AGORA_VAL, AGORA_OFFICIAL, UBODY_INTRA, EGOBODY_EGO, PW3D, EHF)}


def names() -> tuple[str, ...]:
    """Registered protocol names."""
    return tuple(_REGISTRY)


def registered(protocol: Protocol) -> Protocol:
    """The registered protocol of the same name, itself where there is none."""
    return _REGISTRY.get(protocol.name, protocol)


def table_markdown() -> str:
    """The registered protocols as a Markdown table, each one's description below it."""
    lines = ["| protocol | truth | primary number | all numbers | rows tested | matching |", "| --- " * 6 + "|"]
    for p in _REGISTRY.values():
        rows = "all" if p.step == 1 else f"every {p.step}th" + (f" of each {p.step_per}" if p.step_per else "")
        rows += f" with {', '.join(p.valid)}" if p.valid else ""
        cells = (f"`{p.name}`", p.truth, f"{p.primary[1]} {p.primary[0]}", ", ".join(p.metrics), rows, p.matching)
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| protocol | can be changed | description |", "| --- " * 3 + "|"]
    for p in _REGISTRY.values():
        described = p.description.replace("|", "\\|")
        lines.append(f"| `{p.name}` | {', '.join(f'`{name}`' for name in p.settable)} | {described} |")
    return "\n".join(lines) + "\n"


def get(spec: str | Protocol) -> Protocol:
    """A protocol by name (upper or lower case), with changes in brackets: ``ubody-intra``, ``ubody-intra[step=1]``.

    Raises
    ------
    UsageError : unknown name, a field that changes nothing that is scored, or a value that does not fit the field.
    """
    if isinstance(spec, Protocol):
        return spec
    found = re.fullmatch(r"([\w-]+)(?:\[(.*)\])?", spec.strip())
    base = _REGISTRY.get(found[1].lower()) if found else None
    if found is None or base is None:
        fix = did_you_mean(spec.partition("[")[0].strip(), _REGISTRY)
        raise UsageError(f"there is no protocol {spec!r}", fix=fix)
    parts = [part.partition("=") for part in re.split(r",(?=\s*\w+=)", found[2] or "") if part]
    for key, _, _ in parts:
        if key.strip() not in _SETTABLE:
            raise _not_settable(base, key.strip())
    protocol = dataclasses.replace(base, **{key.strip(): _value(key.strip(), value) for key, _, value in parts})
    for key, _, _ in parts:
        if key.strip() not in protocol.settable:
            raise _not_settable(protocol, key.strip())
    made = SMPL_METRICS if protocol.truth == "gendered-smpl" else MESH_METRICS
    if protocol.matching == "by-row" and not 0 < len(set(protocol.metrics) & set(made)) == len(protocol.metrics):
        raise UsageError(
            f"{protocol.id} asks for {', '.join(protocol.metrics) or 'nothing'}",
            fix=f"with truth {protocol.truth} there are: {', '.join(made)}",
        )
    return protocol


_SETTABLE = frozenset(_IDENTITY) - {"name", "version", "matching"}


def _not_settable(protocol: Protocol, key: str) -> UsageError:
    return UsageError(
        f"{protocol.id} has no field {key!r} that can be changed",
        fix=f"these can be: {', '.join(protocol.settable)}",
    )


def _value(key: str, text: str) -> Any:
    """What stands after ``key=``, as the field's type."""
    fault = UsageError(f"{text!r} is not a value for the protocol's {key}")
    hint = get_type_hints(Protocol)[key]
    if hint is str:
        return text.strip()
    if choices := [word for word in get_args(hint) if isinstance(word, str) and word != "gendered-smpl"]:
        if text.strip() not in choices:
            raise UsageError(f"{text!r} is not a value for the protocol's {key}", fix=f"one of: {', '.join(choices)}")
        return text.strip()
    try:
        value = json.loads(text)
    except ValueError:
        raise fault from None
    words = isinstance(value, list) and all(isinstance(word, str) and word for word in value)
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    fits = {
        "metrics": words,
        "only_images": words,
        "valid": words and all(_CONDITION.fullmatch(word) for word in value),
        "step": number and isinstance(value, int) and value >= 1,
        "box_ratio": number and value > 0,
        "min_iou": number and 0 <= value <= 1,
        "missed_as_zero": isinstance(value, bool),
        "truth_rotation": value is None
        or (isinstance(value, list) and len(value) == 3 and all(isinstance(v, int | float) for v in value)),
    }
    if not fits[key]:
        raise fault
    if isinstance(value, list):
        return tuple(float(v) for v in value) if key == "truth_rotation" else tuple(value)
    return float(value) if hint is float else value


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
