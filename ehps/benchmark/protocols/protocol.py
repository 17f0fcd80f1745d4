"""What a test protocol is: a value whose fields say how a number was made, each one read by what makes the number.

Two numbers may stand in one column only when their protocols are equal; :func:`same` says which field differs. What
else is to be said of a protocol is its description, which is text and takes no part in any comparison.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from ehps.benchmark.protocols.vocabulary import (
    ANGLE_METRICS,
    CHOICES,
    JOINT_METRICS,
    KEYPOINT_METRICS,
    MASK_METRICS,
    MESH_METRICS,
    OF_THE_SET,
    SHAPE_METRICS,
    WORLD_METRICS,
)
from ehps.errors import UsageError

_NUMBER = r"-?\d+(?:\.\d+)?"
_CONDITION = re.compile(rf"\w+(?: in {_NUMBER}\.\.{_NUMBER})?")


@dataclass(frozen=True)
class Protocol:
    """How predictions are compared with the truth. Fields that are words have those of :data:`CHOICES`.

    Attributes
    ----------
    name : what it is called in results.
    metrics : the measures that are computed.
    version : goes up when the same name would give other numbers.
    truth : where the true bodies come from.
    body : model type of the truth, whose points are compared.
    prediction : which predictions can be compared with it.
    joints : of MPJPE and its kin.
    mesh_alignment : the point at which meshes are laid on each other for PVE.
    joint_alignment : the point at which joints are, for MPJPE, and whose path RTE is of; choices of
        ``mesh_alignment``.
    hand_alignment : the point at which hands are.
    face_alignment : the point at which faces are.
    hand_joints : of PA-MPJPE of hands.
    hand_limit : PA-MPJPE of a hand above which it is left out, and the right hand with the left one, mm; none for 0.
    procrustes : what PA means.
    mesh_fit : of what PA-PVE of SMPL takes its fit.
    body_vertices : of AGORA's MVE of the body.
    extreme_betas : what becomes of shapes that are not trusted.
    box_ratio : by how much the file's boxes are scaled before they are given to the model.
    step : every ``step``-th row is tested.
    first : number, from 0, of a tested row; every ``step``-th one before and after it is tested too.
    step_per : rows are counted within each value of ``meta/<step_per>``, through the whole file where empty.
    count_by : column with the number of each row, from 1, among the annotations of the dataset before any filter, by
        which rows are counted where the file has it; rows themselves are counted otherwise, and the result says so.
    valid : conditions on ``meta`` columns for a truth to count, ``name`` or ``name in low..high``; a column that the
        file lacks excludes nothing.
    only_images : parts of the names of image files, one of which a tested image has; () for all.
    visibility : which points count.
    hands : which hands count.
    frame : in which bodies are compared.
    extrinsics : what places predicted bodies in the world.
    fps : frames a second of the videos, by which jitter is counted.
    matching : how predictions find their truths.
    min_iou : least overlap of two boxes that are matched.
    missed_as_zero : persons missed in an image that has predictions add 0 to the means of hands and face.
    truth_rotation : axis-angle applied to given vertices.
    group_by : column of ``meta`` for each value of which the numbers are given too, on its own; none where empty.
    mean : of what the numbers of the whole set are the mean.
    primary : (part, metric) shown for the whole; no part of the identity.
    description : what else there is to know, in words; no part of the identity.
    base : the registered protocol that this one is a change of; no part of the identity.
    """

    name: str
    metrics: tuple[str, ...]
    version: int = 1
    truth: str = "neutral-parameters"
    body: str = "smplx"
    prediction: str = "same"
    joints: str = "j14"
    mesh_alignment: str = "regressed-pelvis"
    joint_alignment: str = "regressed-pelvis"
    hand_alignment: str = "regressed-wrist"
    face_alignment: str = "regressed-neck"
    hand_joints: str = "regressed21"
    hand_limit: float = 0.0
    procrustes: str = "with-scale"
    mesh_fit: str = "own"
    body_vertices: str = "agora"
    extreme_betas: str = "keep"
    box_ratio: float = 1.2 * 0.833
    step: int = 1
    first: int = 0
    step_per: str = ""
    count_by: str = ""
    valid: tuple[str, ...] = ()
    only_images: tuple[str, ...] = ()
    visibility: str = "all"
    hands: str = "all"
    frame: str = "camera"
    extrinsics: str = "predicted"
    fps: float = 30.0
    matching: str = "by-row"
    min_iou: float = 0.0
    missed_as_zero: bool = False
    truth_rotation: tuple[float, float, float] | None = None
    group_by: str = ""
    mean: str = "instances"
    primary: tuple[str, str] = dataclasses.field(default=("all", "PVE"), compare=False)
    description: str = dataclasses.field(default="", compare=False)
    base: Protocol | None = dataclasses.field(default=None, compare=False, repr=False)

    def to_json(self) -> str:
        """Canonical text; equal protocols give equal texts."""
        return json.dumps(self.to_dict(), sort_keys=True)

    def to_dict(self) -> dict[str, Any]:
        """The fields that make its identity."""
        return json.loads(json.dumps({name: getattr(self, name) for name in IDENTITY}))

    @property
    def id(self) -> str:
        """Name with whatever differs from the registered protocol, e.g. ``ubody-intra[step=1]``."""
        if self.base is None:
            return self.name
        changed = [f"{name}={_written(b)}" for name, (_, b) in differences(self.base, self).items()]
        return f"{self.name}[{','.join(changed)}]" if changed else self.name

    @property
    def conditions(self) -> str:
        """Which rows and points it counts, in words: ``every 100th of each scene, occlusion in 0..90``."""
        said = [f"every {self.step}th" + (f" of each {self.step_per}" if self.step_per else "")] * (self.step > 1)
        said += self.valid
        if self.only_images:
            said.append(f"images called like {' or '.join(self.only_images)}")
        if self.visibility == "inside-image":
            said.append("points inside the image under the virtual camera of the box")
        if self.extreme_betas == "drop":
            said.append("no |beta| above 3")
        return ", ".join(said) or "every row"

    def has(self, *metrics: str) -> bool:
        """Whether one of these is among its metrics."""
        return bool(set(metrics) & set(self.metrics))

    @property
    def of_bodies(self) -> bool:
        """Whether a number compares with true bodies or joints, not only with what is marked in images."""
        return bool(set(self.metrics) - {*MASK_METRICS, *KEYPOINT_METRICS}) or self.matching == "greedy-2d"

    @property
    def with_given_joints(self) -> bool:
        """Whether the true joints are those that the dataset gives."""
        return self.truth in ("given-joints", "given-joints-and-neutral")

    @property
    def with_betas(self) -> bool:
        """Whether the true bodies are made of the file's parameters."""
        return self.truth not in ("given-vertices", "given-joints", "image-labels")

    @property
    def fits_joints(self) -> bool:
        """Whether PA-PVE follows a fit of joints."""
        return self.mesh_fit == "joints" and self.has("PA-PVE")

    @property
    def settable(self) -> tuple[str, ...]:
        """Fields whose change changes the rows or the numbers, the other fields being as they are."""
        official, mesh = self.matching == "greedy-2d", self.has("PVE", "PA-PVE", "MVE")
        whole, parts = self.body == "smplx", mesh and self.body == "smplx"
        in_image = self.has(*MASK_METRICS, *KEYPOINT_METRICS) and not official
        world = self.frame == "world"
        acts = {
            "metrics": not official,
            "truth": self.of_bodies,
            "body": True,
            "prediction": self.body == "smpl" and not official,
            "joints": (self.has(*JOINT_METRICS, *KEYPOINT_METRICS) or self.fits_joints or world) and not official,
            "mesh_alignment": self.has("PVE", "MVE"),
            "joint_alignment": self.has("MPJPE", "PCK@50", "AUC", "RTE"),
            "hand_alignment": parts and self.has("PVE", "MVE"),
            "face_alignment": parts and self.has("PVE", "MVE"),
            "hand_joints": whole and self.has("PA-MPJPE"),
            "hand_limit": whole and self.has("PA-MPJPE"),
            "procrustes": any(metric.startswith("PA-") for metric in self.metrics),
            "mesh_fit": self.body == "smpl" and self.has("PA-PVE"),
            "body_vertices": official,
            "extreme_betas": self.with_betas,
            "box_ratio": not official and not world,
            "step": True,
            "first": self.step > 1,
            "step_per": self.step > 1,
            "count_by": self.step > 1,
            "valid": True,
            "only_images": True,
            "visibility": not (official or in_image or self.with_given_joints)
            and not self.has(*ANGLE_METRICS, *SHAPE_METRICS, *WORLD_METRICS, "PCK@50", "AUC"),
            "hands": whole and not official and self.of_bodies,
            "extrinsics": world,
            "fps": self.has("Jitter"),
            "min_iou": official,
            "missed_as_zero": official and whole,
            "truth_rotation": self.truth == "given-vertices",
            "group_by": not official and not self.has(*OF_THE_SET),
            "mean": self.group_by != "",
        }
        return tuple(name for name, does in acts.items() if does)

    def fault(self) -> str:
        """Why its fields do not go together; empty when they do."""
        if self.matching == "greedy-2d":
            if self.truth == "given-vertices":
                return "given vertices have no joints to match in the image"
            if not self.with_betas:
                return "people are matched by the joints of true bodies (truth=gendered-parameters or as-neutral)"
            if self.joints.startswith("coco"):
                return "AGORA compares joints of the body model"
            if self.body == "smpl" and self.body_vertices != "agora":
                return "hands and head are lists of SMPL-X (body_vertices=agora)"
            return ""
        known: tuple[str, ...] = WORLD_METRICS
        if self.frame == "camera":
            known = (*MESH_METRICS, *JOINT_METRICS, *ANGLE_METRICS, *SHAPE_METRICS, *MASK_METRICS, *KEYPOINT_METRICS)
            known = (*known, "Jitter")
        if not self.metrics or set(self.metrics) - set(known):
            return f"metrics in the {self.frame} can be: {', '.join(known)}"
        return self._fault_of_labels() or self._fault_of_tracks() or self._fault_of_bodies()

    def _fault_of_tracks(self) -> str:
        """What does not go together where people are followed over time."""
        if not self.has(*WORLD_METRICS):
            return ""
        if self.visibility != "all":
            return "tracks are compared whole (visibility=all)"
        if self.frame == "world" and self.body != "smpl":
            return "tracks in the world are of SMPL bodies (body=smpl)"
        if self.frame == "world" and self.prediction == "regressors" and self.has("foot-sliding"):
            return "meshes of two model types have no common vertices (prediction=smplx2smpl or same)"
        if self.truth == "given-vertices":
            return "given vertices have no body model's joints to follow"
        return ""

    def _fault_of_labels(self) -> str:
        """What does not go together where the truth is no body."""
        if self.has(*OF_THE_SET) and self.group_by:
            return f"{', '.join(OF_THE_SET)} are of the whole set (group_by= with nothing after it)"
        if (self.truth == "image-labels") == self.of_bodies:
            if self.of_bodies:
                return f"labels of images have no bodies; these have metrics {', '.join(self.metrics)} (see truth)"
            return f"{', '.join(self.metrics)} compare with what is marked in images (truth=image-labels)"
        marked = self.has(*MASK_METRICS, *KEYPOINT_METRICS)
        if (marked or self.with_given_joints or self.has(*SHAPE_METRICS)) and self.visibility != "all":
            return "what is visible is known of the vertices and joints of true bodies alone (visibility=all)"
        if self.has(*KEYPOINT_METRICS) != self.joints.startswith("coco"):
            return "OKS, AP and AR are of COCO's joints, and the other metrics of others (see joints)"
        if self.joints.startswith("coco") and self.has(*JOINT_METRICS, *ANGLE_METRICS):
            return "errors in space are of other joints than COCO's"
        if self.joints == "coco17" and (self.body != "smpl" or self.prediction == "regressors"):
            return "J_regressor_extra is SMPL's (joints=coco17-model-hips, or prediction=smplx2smpl)"
        if self.with_given_joints:
            if self.body != "smpl":
                return "given joints are compared with those of SMPL bodies (body=smpl)"
            allowed = ("MPJPE", "PA-MPJPE") if self.truth == "given-joints" else ("MPJPE", "PA-MPJPE", *MESH_METRICS)
            if set(self.metrics) - set(allowed):
                return f"truth={self.truth} allows {', '.join(allowed)}"
            if self.truth != "given-joints" and not self.has(*MESH_METRICS):
                return "without PVE and PA-PVE no body is compared (truth=given-joints)"
            if self.fits_joints:
                return "given joints are not those of the true mesh (mesh_fit=own)"
            if self.joints not in ("h36m14", "h36m17"):
                return f"joints={self.joints} are not among given joints, which are Human3.6M's (h36m14 or h36m17)"
            if not self.joint_alignment.startswith("regressed-"):
                return f"joint_alignment={self.joint_alignment} asks for a body model's joint, which nobody gives"
        return ""

    def _fault_of_bodies(self) -> str:
        if self.body == "smplx":
            if self.prediction != "same":
                return "a SMPL-X truth is compared with SMPL-X predictions (prediction=same)"
            if self.joints == "smpl24":
                return "joints=smpl24 are SMPL's; SMPL-X has model22"
        else:
            compared = self.has(*JOINT_METRICS, *ANGLE_METRICS, *WORLD_METRICS) or self.fits_joints
            if self.joints in ("j14", "model22") and compared:
                return f"joints={self.joints} are of SMPL-X; SMPL has skeleton14, h36m14, h36m17 and smpl24"
            if self.truth == "given-vertices":
                return "given vertices are SMPL-X meshes"
            if self.truth == "neutral-parameters":
                return "shapes of SMPL are not refitted to the neutral model (truth=as-neutral or gendered-parameters)"
            if self.prediction == "regressors" and self.has(*MESH_METRICS, *SHAPE_METRICS, *MASK_METRICS):
                return "meshes of two model types have no common vertices (prediction=smplx2smpl or same)"
            if self.prediction == "regressors" and self.joints == "smpl24" and compared:
                return "joints 22 and 23 are SMPL's hands, SMPL-X's jaw and left eye (prediction=smplx2smpl or same)"
        for name in ("mesh_alignment", "joint_alignment", "hand_alignment", "face_alignment"):
            if getattr(self, name).startswith("model-") and self.truth == "given-vertices" and name in self.settable:
                return f"{name}={getattr(self, name)} asks for a body model's joint, which given vertices do not have"
        by_model = self.joints in ("model22", "smpl24") and self.has(*JOINT_METRICS)
        by_model |= self.hand_joints == "model16" and self.has("PA-MPJPE")
        if self.truth == "given-vertices" and (by_model or self.has(*ANGLE_METRICS, *SHAPE_METRICS)):
            return "given vertices have no body model's joints, orientations or shape"
        if self.joint_alignment == "regressed-mid-hip" and self.joints in ("model22", "smpl24"):
            return f"joints={self.joints} are not regressed (joint_alignment=model-mid-hip)"
        if self.has(*ANGLE_METRICS) and self.visibility != "all":
            return "angles of joints are not seen in the image (visibility=all)"
        return ""


IDENTITY = tuple(f.name for f in dataclasses.fields(Protocol) if f.compare)
CHANGEABLE = frozenset(IDENTITY) - {"name", "version", "matching", "frame"}


def choices(name: str) -> Mapping[str, str]:
    """The words that a field can be, with their meanings; empty for fields that are no words."""
    return CHOICES.get("mesh_alignment" if name == "joint_alignment" else name, {})


def differences(a: Protocol, b: Protocol) -> dict[str, tuple[Any, Any]]:
    """Fields in which two protocols differ, with both values as JSON has them."""
    one, other = a.to_dict(), b.to_dict()
    return {name: (one[name], other[name]) for name in one if one[name] != other[name]}


def parse_value(name: str, text: str) -> Any:
    """What stands after ``name=``, as the field's type.

    Raises
    ------
    UsageError : it does not fit the field; the message lists what does.
    """
    text = text.strip()
    if words := choices(name):
        if text not in words:
            raise UsageError(f"{text!r} is not a value for the protocol's {name}", fix=f"one of: {', '.join(words)}")
        return text
    hint = get_type_hints(Protocol)[name]
    if hint is str:
        if text and not re.fullmatch(r"\w+", text):
            raise _unfit(name, text)
        return text
    try:
        value = json.loads(text)
    except ValueError:
        raise _unfit(name, text) from None
    words_only = isinstance(value, list) and all(isinstance(word, str) and word for word in value)
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    fits = {
        "metrics": words_only,
        "only_images": words_only,
        "valid": words_only and all(_CONDITION.fullmatch(word) for word in value),
        "step": number and isinstance(value, int) and value >= 1,
        "first": number and isinstance(value, int) and value >= 0,
        "box_ratio": number and value > 0,
        "hand_limit": number and value >= 0,
        "fps": number and value > 0,
        "min_iou": number and 0 <= value <= 1,
        "missed_as_zero": isinstance(value, bool),
        "truth_rotation": value is None
        or (isinstance(value, list) and len(value) == 3 and all(isinstance(v, int | float) for v in value)),
    }
    if not fits[name]:
        raise _unfit(name, text)
    if isinstance(value, list):
        return tuple(float(v) for v in value) if name == "truth_rotation" else tuple(value)
    return float(value) if hint is float else value


def _unfit(name: str, text: str) -> UsageError:
    wanted = {
        "metrics": 'a list such as ["PVE", "PA-PVE"]',
        "only_images": 'a list of parts of names such as ["bfh", "smplx"]',
        "valid": 'a list such as ["annot_valid", "occlusion in 0..90"]',
        "step": "a whole number from 1 on",
        "first": "a whole number from 0 on",
        "box_ratio": "a number above 0",
        "hand_limit": "a number of mm, 0 for none",
        "fps": "a number above 0",
        "min_iou": "a number from 0 to 1",
        "missed_as_zero": "true or false",
        "truth_rotation": "three numbers in brackets, or null",
    }
    return UsageError(
        f"{text!r} is not a value for the protocol's {name}", fix=f"{wanted.get(name, 'a column of meta')} is needed"
    )


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def same(protocols: list[Protocol], *, what: str = "these numbers") -> Protocol:
    """The one protocol of numbers that are about to stand in one column.

    Raises
    ------
    UsageError : they differ; the message names the fields.
    """
    first = protocols[0]
    for other in protocols[1:]:
        if fields := differences(first, other):
            listed = "; ".join(f"{name}: {a!r} and {b!r}" for name, (a, b) in fields.items())
            raise UsageError(
                f"{what} were made under different protocols ({first.id} and {other.id}): {listed}",
                fix="score the stored predictions again under one of them",
            )
    return first
