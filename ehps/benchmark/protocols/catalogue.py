"""The protocols that have a name, and protocols by name.

Facts: the public evaluation code of SMPLer-X, SMPLest-X, OSX, PyMAF, SMPLer, WHAM, the 3DPW challenge, AGORA and EMDB.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from ehps.benchmark.protocols.protocol import CHANGEABLE, IDENTITY, Protocol, choices, parse_value
from ehps.benchmark.protocols.vocabulary import AVERAGE_PRECISION, OFFICIAL_METRICS, WORLD_METRICS
from ehps.errors import DataError, UsageError, did_you_mean

_SMPLER_X = ("PVE", "PA-PVE", "PA-MPJPE")
_SMPLEST_X = ("PVE", "PA-PVE", "MPJPE", "PA-MPJPE")
_ALIGNED = (
    "Plain errors after moving the regressed pelvis (hands: wrist; face: neck; all of the neutral J_regressor) of the "
    "prediction onto that of the truth; PA errors after a similarity fit of exactly the points compared. Joints: the "
    "14 of SMPLX_to_J14. Predictions are neutral bodies in the boxes of the file."
)
_SMPLEST_RULES = (
    "The rules of SMPLest-X: hands flagged valid, 20 joints a hand (no wrist), MPJPE of the body; an instance with a "
    "hand of PA-MPJPE above 100 mm loses the numbers after it. Its MPJPE of hands is left out: it subtracts the wrist "
    "from the prediction only."
)

AGORA_VAL = Protocol(
    name="agora-val",
    truth="gendered-parameters",
    metrics=_SMPLER_X,
    valid=("annot_valid",),
    description="AGORA validation as SMPLer-X and OSX report it: all valid persons, plain mean over 10475 vertices. "
    "The original compares with the vertices AGORA gives, which are the fits' meshes in the camera frame; they are "
    "made here from the annotated gendered parameters, with the kid template for children "
    "(`agora-val[truth=given-vertices]` reads stored ones). Not comparable with AGORA's full-body MVE, which adds "
    f"parts. {_ALIGNED}",
)

AGORA_OFFICIAL = Protocol(
    name="agora-official",
    version=3,
    truth="gendered-parameters",
    metrics=OFFICIAL_METRICS,
    joints="model22",
    mesh_alignment="model-mid-hip",
    joint_alignment="model-mid-hip",
    hand_alignment="model-wrist",
    face_alignment="model-neck",
    hand_joints="model16",
    valid=("annot_valid", "occlusion in 0..90"),
    only_images=("bfh", "smplx"),
    matching="greedy-2d",
    min_iou=0.1,
    missed_as_zero=True,
    primary=("full_body", "NMVE"),
    description="AGORA's own evaluation with its command line for SMPL-X: images of people with hands and face "
    "annotated, greedy matching by the 2D distance of joints, means over matched persons, full body = body + (left "
    "hand + right hand + face) / 3, NMVE = MVE / F1 with F1 to two decimals and values to 0.1 mm. A person occluded "
    "outside 0..90 % or not valid is used up by the prediction nearest to it, which stays free for a valid one. "
    "Images that the file does not list are not looked at. Children's F1 counts all false positives, as the "
    "original's does. Joints: body 0..21; wrist and 15 of each hand; neck and 51 face landmarks.",
)

AGORA_OFFICIAL_SMPL = dataclasses.replace(
    AGORA_OFFICIAL,
    name="agora-official-smpl",
    version=1,
    body="smpl",
    joints="smpl24",
    only_images=(),
    missed_as_zero=False,
    primary=("body", "NMVE"),
    description="AGORA's own evaluation of SMPL bodies: 24 joints and the tool's list of body vertices, all images; "
    "matching, F1 and rounding as in agora-official.",
)

UBODY_INTRA = Protocol(
    name="ubody-intra",
    version=2,
    truth="neutral-parameters",
    metrics=_SMPLER_X,
    extreme_betas="mean-shape",
    step=100,
    first=99,
    step_per="scene",
    count_by="annotation_index",
    visibility="inside-image",
    description="UBody, intra-scene test list, every 100th annotation of each scene: the 100th, 200th, ... of all its "
    "annotations, before any filter. The true mesh at its own translation is projected with the virtual camera of the "
    "test box; only points strictly inside the image count (alignment uses all), a hand without visible vertices is "
    f"left out, an instance without any is skipped and counted. {_ALIGNED}",
)

EGOBODY_EGO = Protocol(
    name="egobody-ego",
    version=2,
    truth="neutral-parameters",
    metrics=_SMPLER_X,
    extreme_betas="mean-shape",
    description="EgoBody egocentric test set: the truth is the neutral body from the annotated pose, eyes straight "
    "ahead, and `betas_neutral`; shapes with any |beta| > 3 are compared with the mean shape, as the original's "
    f"processing does (counted). {_ALIGNED}",
)


def _like_egobody(name: str, what: str, **changes: Any) -> Protocol:
    return dataclasses.replace(EGOBODY_EGO, name=name, version=1, description=f"{what} {_ALIGNED}", **changes)


def _smplest(base: Protocol) -> Protocol:
    return dataclasses.replace(
        base,
        name=f"{base.name.removesuffix('-ego')}-smplestx",
        version=1,
        metrics=_SMPLEST_X,
        hands="flagged-valid",
        hand_joints="regressed20",
        hand_limit=100.0,
        description=f"{base.description} {_SMPLEST_RULES}",
    )


EGOBODY_MVSET = _like_egobody("egobody-mvset", "EgoBody's third-person Kinect set, as the egocentric one.")
ARCTIC = _like_egobody("arctic", "ARCTIC, validation split of protocol 1, every 10th row.", step=10)
RICH = _like_egobody("rich", "RICH, the rules of the HumanData readers of SMPLer-X.")
DNA = _like_egobody("dna-rendering", "DNA-Rendering, test split, every 10th row.", step=10)
DNA_HIRES = _like_egobody("dna-rendering-hires", "DNA-Rendering HiRes, test split, every 10th row.", step=10)

PW3D = Protocol(
    name="pw3d-smplerx",
    version=2,
    truth="gendered-parameters",
    body="smpl",
    prediction="regressors",
    joints="skeleton14",
    metrics=("MPJPE", "PA-MPJPE"),
    primary=("body", "MPJPE"),
    description="3DPW as SMPLer-X and OSX: 14 skeleton rows (1, 2, 4, 5, 7, 8, 12, 15..21), the J_regressor of the "
    "neutral SMPL on the true mesh of meta/gender, that of the neutral SMPL-X on the predicted one (SMPL's on SMPL "
    "predictions), each aligned at its pelvis. Neither the H36M regressor of SPIN and PyMAF nor the challenge's 24 "
    "joints; values of the three differ by several millimetres.",
)

PW3D_SMPLEST = dataclasses.replace(
    PW3D,
    name="pw3d-smplestx",
    version=1,
    prediction="smplx2smpl",
    metrics=_SMPLEST_X,
    description="3DPW as SMPLest-X: SMPL-X predictions are moved so that their pelvis lies on the truth's and taken to "
    "SMPL's vertices by the smplx2smpl matrix; PVE over 6890 vertices, joints by the rows of the neutral SMPL's "
    "J_regressor on both.",
)

PW3D_CHALLENGE = dataclasses.replace(
    PW3D,
    name="pw3d-challenge",
    version=2,
    prediction="smplx2smpl",
    joints="smpl24",
    joint_alignment="model-pelvis",
    metrics=("MPJPE", "PA-MPJPE", "PCK@50", "AUC", "MPJAE", "PA-MPJAE"),
    description="3DPW as its challenge: the 24 joints of SMPL, aligned at joint 0; PCK at 50 mm and AUC (0..199 mm) "
    "over hips, knees, ankles, shoulders, elbows and wrists; MPJAE over the orientations of pelvis, hips, knees, "
    "shoulders and elbows, PA-MPJAE after the rotation of the joints' fit. SMPL-X predictions through the smplx2smpl "
    "matrix and SMPL's J_regressor.",
)

PW3D_H36M = dataclasses.replace(
    PW3D,
    name="pw3d-h36m14",
    version=1,
    prediction="smplx2smpl",
    joints="h36m14",
    mesh_alignment="model-origin",
    metrics=("PVE", "MPJPE", "PA-MPJPE"),
    description="3DPW as SPIN and PyMAF: the 14 LSP joints of the Human3.6M regressor, aligned at its joint 0; PVE of "
    "the gendered true mesh and the predicted one without translations, not aligned.",
)

PW3D_MIDHIP = dataclasses.replace(
    PW3D_H36M,
    name="pw3d-h36m14-midhip",
    truth="as-neutral",
    mesh_alignment="regressed-pelvis",
    joint_alignment="regressed-mid-hip",
    description="3DPW as METRO and SMPLer: joints of the Human3.6M regressor aligned at the middle of the hips, meshes "
    "at the regressed pelvis; the true mesh is the neutral SMPL with the annotation's betas as they are.",
)

EHF = Protocol(
    name="ehf",
    truth="given-vertices",
    metrics=_SMPLER_X,
    truth_rotation=(-2.98747896, 0.01172457, -0.05704687),
    description="EHF, 100 frames, no training set: the registered meshes (`vertices3d_path`) rotated into the camera "
    f"frame, no translation. {_ALIGNED}",
)

H36M_P1 = Protocol(
    name="h36m-p1",
    truth="given-joints",
    body="smpl",
    prediction="regressors",
    joints="h36m14",
    metrics=("MPJPE", "PA-MPJPE"),
    primary=("body", "MPJPE"),
    description="Human3.6M, protocol 1: subjects 9 and 11 before all four cameras. The truth is the motion capture "
    "(`keypoints3d_original`), not a body; 14 LSP joints of the Human3.6M regressor on the predicted mesh (SMPL's, or "
    "that of SMPL-X), both minus joint 0, means over all rows of the file. SPIN and PyMAF test frames at 10 fps "
    "(`ehps convert h36m --split test --option cameras=1234 --option interval=5`); the readers of OSX and SMPLer-X "
    "every 64th frame of camera 4.",
)

H36M_P2 = dataclasses.replace(
    H36M_P1,
    name="h36m-p2",
    valid=("camera_id in 4..4",),
    group_by="action",
    description="Human3.6M, protocol 2: as h36m-p1, of the frontal camera (60457274, the 4th) alone, with the numbers "
    "of each action after those of all. SPIN, PyMAF and SMPLer report the mean over all frames; tables of the original "
    "benchmark average the means of actions (`h36m-p2[mean=groups]`). SMPLer's MPJPE is aligned at the middle of the "
    "hips (`h36m-p2[joint_alignment=regressed-mid-hip]`), PA-MPJPE is the same.",
)

H36M_P2_MOSH = dataclasses.replace(
    H36M_P2,
    name="h36m-p2-mosh",
    truth="given-joints-and-neutral",
    prediction="smplx2smpl",
    mesh_alignment="model-origin",
    metrics=("PVE", "MPJPE", "PA-MPJPE"),
    group_by="",
    description="Human3.6M, protocol 2, with PVE as PyMAF: as h36m-p2, and meshes of the neutral SMPL fitted to the "
    "markers (MoSh) beside the predicted ones, without translations, not aligned. They are no longer "
    "given out: a file of one's own has them as `smpl/...` beside the joints, and those of NeuralAnnot (`ehps convert "
    "h36m --option fits=neuralannot-smpl`) are another truth. SMPL-X predictions through the smplx2smpl matrix.",
)

OH3D50K = dataclasses.replace(
    H36M_P2_MOSH,
    name="3doh50k",
    valid=(),
    description="3DOH50K, 1290 test images of people behind things, as PyMAF: 14 LSP joints of the Human3.6M regressor "
    "on the predicted mesh beside the dataset's own (`keypoints3d_original`), both minus joint 0; PVE of the neutral "
    "SMPL of the annotation and the predicted one without translations, not aligned. No converter writes the file: one "
    "of one's own has `keypoints3d_original` and `smpl/...`.",
)

SSP3D = Protocol(
    name="ssp3d",
    version=2,
    truth="gendered-parameters",
    body="smpl",
    prediction="smplx2smpl",
    metrics=("mIoU", "PVE-T-SC"),
    primary=("silhouette", "mIoU"),
    description="SSP-3D, 311 images: intersection over union of the given silhouette (`segmentation`: masks, not black "
    "where the person is) and the predicted body's, mean over images; PVE-T-SC, the error of the vertices of both "
    "shapes in the rest pose, in SMPL of the true gender, both about their mean and the predicted one scaled to the "
    "true one's root mean square size.",
)

LSP_SEGMENTATION = Protocol(
    name="lsp-segmentation",
    truth="image-labels",
    body="smpl",
    prediction="smplx2smpl",
    metrics=("accuracy", "F1"),
    primary=("silhouette", "accuracy"),
    description="The LSP test set (1000 images, `ehps convert lsp`) with the segmentations of UP-3D, as SPIN and "
    "PyMAF: of person and background (`segmentation`) and of six parts and background (`part_segmentation`: 1 head, "
    "2 torso, 3 right arm, 4 left arm, 5 right leg, 6 left leg, 255 for none in particular). Pixels of all images are "
    "counted together; accuracy takes 255 for background, F1 is the mean over the classes and leaves 255 out. Bodies "
    "are drawn at the size of the image (the originals draw them at 224 pixels and enlarge them), and a face is of the "
    "part to which most of its corners belong, each to that of the joint that moves it most (the originals look it up "
    "in a texture that is not part of this package).",
)

COCO_PROJECTION = Protocol(
    name="coco-projection",
    version=2,
    truth="image-labels",
    body="smpl",
    prediction="smplx2smpl",
    joints="coco17",
    metrics=("OKS", *AVERAGE_PRECISION),
    box_ratio=1.25 / 1.2,
    primary=("body", "AP"),
    description="COCO 2014 validation as PyMAF: 17 joints of the predicted body in the image, in given boxes (1.25 "
    "times, of which the file's have 1.2), each with score 1, by COCO's evaluation (pycocotools). The truth is "
    "`keypoints2d_original`, and `meta/area`, the area of each person's mask in square pixels. OKS is the mean "
    "similarity of each prediction and its own person. COCO's evaluation ignores what is found at crowds "
    "(`meta/iscrowd`) and at people without a labelled point; neither are in converted files.",
)

EMDB1 = Protocol(
    name="emdb1",
    truth="gendered-parameters",
    body="smpl",
    prediction="smplx2smpl",
    joints="smpl24",
    mesh_alignment="model-mid-hip",
    joint_alignment="model-mid-hip",
    mesh_fit="joints",
    valid=("emdb1",),
    metrics=("PVE", "PA-PVE", "MPJPE", "PA-MPJPE", "MPJAE", "PA-MPJAE", "Jitter"),
    primary=("body", "MPJPE"),
    description="EMDB 1 as its own evaluation: 24 joints and 6890 vertices of SMPL, the true body of its gender before "
    "the camera and the predicted one of its own model, aligned at the middle of joints 1 and 2. Both PA errors follow "
    "the fit of the 24 joints. MPJAE is of pelvis, hips, knees, shoulders and elbows, PA-MPJAE after the rotation of "
    "that fit. Means over all good frames; not comparable with the 14 joints of the Human3.6M regressor that some "
    "papers report under the same name. Jitter is of the prediction alone, before the camera and without translation: "
    "third differences over the good frames of a video as they follow each other, so that gaps are jumps; pelvis, "
    "ankles, feet, wrists and hands count as 0 among the 24; the mean of the means of videos.",
)

EMDB2 = Protocol(
    name="emdb2",
    truth="gendered-parameters",
    body="smpl",
    prediction="smplx2smpl",
    joints="smpl24",
    joint_alignment="model-origin",
    valid=("emdb2",),
    frame="world",
    metrics=WORLD_METRICS,
    primary=("body", "WA-MPJPE"),
    description="EMDB 2 as WHAM: tracks in the world, over the good frames of each video as they follow each other. "
    "WA-MPJPE: the 24 joints of SMPL after a similarity fit of every 100 frames; W-MPJPE: after one of the first two "
    "frames of these. RTE: distance of the translations after a rigid fit of the whole video, in percent of the "
    "length of the true path. Jitter: third differences of the predicted joints. Foot sliding: how far four vertices "
    "under the predicted feet move in a frame in which the true ones move less than 1 cm. Predictions are bodies "
    "before the camera with the predicted world to camera of each row (`meta/RT`), or bodies in a world of their own "
    "(a passport with `frame` world); the truth's cameras are given to none "
    "(`emdb2[extrinsics=true]` gives them to bodies before the camera).",
)

_REGISTRY = {
    p.name: p
    for p in (
        *(AGORA_VAL, AGORA_OFFICIAL, AGORA_OFFICIAL_SMPL, UBODY_INTRA, EGOBODY_EGO, EGOBODY_MVSET),
        *(ARCTIC, RICH, DNA, DNA_HIRES),
        *(_smplest(p) for p in (AGORA_VAL, EGOBODY_EGO, EGOBODY_MVSET, UBODY_INTRA, ARCTIC, RICH, DNA, DNA_HIRES)),
        *(PW3D, PW3D_SMPLEST, PW3D_CHALLENGE, PW3D_H36M, PW3D_MIDHIP, EHF, _smplest(EHF)),
        *(EMDB1, EMDB2, H36M_P1, H36M_P2, H36M_P2_MOSH, OH3D50K, SSP3D, LSP_SEGMENTATION, COCO_PROJECTION),
    )
}


def names() -> tuple[str, ...]:
    """Registered protocol names."""
    return tuple(_REGISTRY)


def all_protocols() -> tuple[Protocol, ...]:
    """The registered protocols."""
    return tuple(_REGISTRY.values())


def get(spec: str | Protocol) -> Protocol:
    """A protocol by name (upper or lower case), with changes in brackets: ``ubody-intra[step=1,visibility=all]``.

    Raises
    ------
    UsageError : unknown name, a field that changes nothing that is scored, a value that does not fit the field, or
        fields that do not go together.
    """
    if isinstance(spec, Protocol):
        return spec
    found = re.fullmatch(r"([\w-]+)(?:\[(.*)\])?", spec.strip())
    base = _REGISTRY.get(found[1].lower()) if found else None
    if found is None or base is None:
        fix = did_you_mean(spec.partition("[")[0].strip(), _REGISTRY)
        raise UsageError(f"there is no protocol {spec!r}", fix=fix)
    parts = [part.partition("=") for part in re.split(r",(?=\s*\w+=)", found[2] or "") if part]
    wanted = [(name.strip(), value) for name, _, value in parts]
    for name, _ in wanted:
        if name not in CHANGEABLE:
            raise _not_settable(base, name)
    protocol = dataclasses.replace(base, base=base, **{name: parse_value(name, value) for name, value in wanted})
    if fault := protocol.fault():
        raise UsageError(f"{protocol.id} makes no sense", fix=fault)
    for name, _ in wanted:
        if name not in protocol.settable:
            raise _not_settable(protocol, name)
    return protocol


def from_dict(values: dict[str, Any]) -> Protocol:
    """The protocol that :meth:`Protocol.to_dict` wrote, in this version or an earlier one.

    Raises
    ------
    DataError : a field that is not known.
    """
    values = {name: value for name, value in values.items() if name not in _FORMER_DESCRIPTIONS}
    if "quirks" in values:
        values["missed_as_zero"] = bool(values.pop("quirks"))
    if values.get("truth") == "gendered-smpl":
        values |= {"truth": "gendered-parameters", "body": "smpl", "joints": "skeleton14", "prediction": "regressors"}
    for name in ("joints", "procrustes"):  # descriptions in earlier versions, under these names
        if name in values and values[name] not in choices(name):
            del values[name]
    if odd := sorted(set(values) - set(IDENTITY)):
        raise DataError(f"the stored protocol has a field {odd[0]!r} that this version of ehps does not know")
    tuples = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    base = _REGISTRY.get(values["name"])
    if base is None:
        return Protocol(**{**values, **tuples})
    return dataclasses.replace(base, base=base, **{**values, **tuples})


_FORMER_DESCRIPTIONS = frozenset(("benchmark", "alignment", "gender_policy", "boxes", "rounding", "primary"))


def _not_settable(protocol: Protocol, key: str) -> UsageError:
    return UsageError(
        f"{protocol.id} has no field {key!r} that can be changed",
        fix=f"these can be: {', '.join(protocol.settable)}",
    )


def table_markdown() -> str:
    """The registered protocols as a Markdown table."""
    lines = ["| protocol | truth | primary number | all numbers | rows tested |", "| --- " * 5 + "|"]
    for p in _REGISTRY.values():
        rows = "all" if p.step == 1 else f"every {p.step}th" + (f" of each {p.step_per}" if p.step_per else "")
        rows += f" with {', '.join(p.valid)}" if p.valid else ""
        truth = f"{p.truth} ({p.body})"
        cells = (f"`{p.name}`", truth, f"{p.primary[1]} {p.primary[0]}", ", ".join(p.metrics), rows)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
