"""Where each protocol comes from, and what other sources do otherwise: text, no part of what is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ehps.benchmark.protocols.protocol import Protocol

SMPLER_X = "SMPLer-X, github.com/SMPLCap/SMPLer-X"
SMPLEST_X = "SMPLest-X, github.com/SMPLCap/SMPLest-X"
OSX = "OSX, github.com/IDEA-Research/OSX"
AGORA_TOOL = "the AGORA evaluation tool, github.com/pixelite1201/agora_evaluation"
SPIN = "SPIN, github.com/nkolot/SPIN"
PYMAF = "PyMAF, github.com/HongwenZhang/PyMAF"
SMPLER = "SMPLer, github.com/xuxy09/SMPLer"
EMDB = "EMDB, github.com/eth-ait/emdb"
WHAM = "WHAM, github.com/yohanshin/WHAM"
GVHMR = "GVHMR, github.com/zju3dv/GVHMR"
CHALLENGE = "the 3DPW challenge, github.com/aymenmir1/3dpw-eval"

_READERS = (
    "SMPLest-X counts hands that are flagged valid, 20 joints a hand, and adds MPJPE (the `-smplestx` protocols).",
    "Shapes with any |beta| > 3 are compared with the mean shape, a side effect of how training targets are processed "
    "(`[extreme_betas=keep]` compares them as they are).",
)
_PW3D = (
    "Three sets of points are in use, millimetres apart: rows of the skeleton (pw3d-smplerx), "
    "the 24 joints of SMPL (pw3d-challenge), the Human3.6M regressor (pw3d-h36m14, pw3d-h36m14-midhip).",
    "SMPL-X predictions are compared through SMPL-X's own regressor by SMPLer-X and OSX, through a deformation "
    "transfer to SMPL by SMPLest-X.",
)
_AGORA = (
    "The body is laid at the middle of the hips; the text of the tool, SMPLer-X and OSX speak of the pelvis.",
    "A person missed in an image that has predictions adds 0 to the means of hands and face, and nothing to that of "
    "the body: missing people lowers the former (`[missed_as_zero=false]` leaves them out).",
)


@dataclass(frozen=True)
class Origin:
    """Attributes
    ----------
    sources : whose public code or text the rules were taken from.
    disagreements : what others do, and how to have it, a sentence or two each.
    """

    sources: tuple[str, ...]
    disagreements: tuple[str, ...] = ()


_ORIGINS: Mapping[str, Origin] = {
    "agora-val": Origin(
        (SMPLER_X, OSX),
        (
            "The plain mean over all vertices is no full-body MVE of AGORA's own tool, which adds a third of hands and "
            "face to the body (agora-official).",
            "The originals compare with vertices that AGORA gives (`[truth=given-vertices]`), this protocol with "
            "bodies made of the annotated parameters.",
        ),
    ),
    "agora-official": Origin((AGORA_TOOL,), _AGORA),
    "agora-official-smpl": Origin((AGORA_TOOL,), _AGORA[:1]),
    "ubody-intra": Origin(
        (SMPLER_X, OSX),
        (
            "OSX also reports the inter-scene list; which list is tested is a matter of the file.",
            "The 100th, 200th, ... annotation of each scene is tested, where readers of other sets begin with the "
            "first (`[first=0]`).",
            *_READERS,
        ),
    ),
    "egobody-ego": Origin((SMPLER_X,), _READERS),
    "egobody-mvset": Origin((SMPLER_X,), _READERS),
    "arctic": Origin(
        (SMPLER_X,), ("The validation split of protocol 1 is tested, not ARCTIC's hidden test set.", *_READERS)
    ),
    "rich": Origin((SMPLER_X,), _READERS),
    "dna-rendering": Origin((SMPLER_X,), ("Part 0 of the test files alone is tested by the originals.", *_READERS)),
    "dna-rendering-hires": Origin(
        (SMPLER_X,), ("Part 0 of the test files alone is tested by the originals.", *_READERS)
    ),
    "ehf": Origin(
        (SMPLER_X, OSX),
        ("OSX takes boxes of 1.25 times the annotated ones, SMPLer-X of 1.2 (`[box_ratio=...]`).",),
    ),
    "pw3d-smplerx": Origin((SMPLER_X, OSX), _PW3D),
    "pw3d-smplestx": Origin((SMPLEST_X,), _PW3D),
    "pw3d-challenge": Origin((CHALLENGE,), _PW3D[:1]),
    "pw3d-h36m14": Origin(
        (SPIN, PYMAF),
        (*_PW3D[:1], "SMPLer takes each mesh and the hips' middle for the origin (pw3d-h36m14-midhip)."),
    ),
    "pw3d-h36m14-midhip": Origin(
        (SMPLER,),
        (*_PW3D[:1], "SPIN and PyMAF align at the regressed joint 0 and compare with gendered meshes (pw3d-h36m14)."),
    ),
    "emdb1": Origin(
        (EMDB, WHAM),
        (
            "Some papers report 14 joints of the Human3.6M regressor as EMDB 1, others the 24 of SMPL: the two do not "
            'compare (`emdb1[metrics=["MPJPE", "PA-MPJPE"],joints=h36m14,joint_alignment=regressed-mid-hip]`).',
            "WHAM and GVHMR report PA-MPJPE, MPJPE and PVE of these, and errors of acceleration; GVHMR takes the 24 "
            "joints from meshes by J_regressor, millimetres from those of the model.",
            "All good frames of 30 a second are tested; a later repository tests every fifth.",
            "The file of EMDB's evaluation calls the unit of jitter km/s^3 in one place; it is 10 m/s^3.",
            "Files that `ehps convert emdb` writes have no good frames with empty boxes, which the original counts.",
        ),
    ),
    "emdb2": Origin(
        (WHAM, GVHMR),
        (
            "WHAM's RTE is of translations, GVHMR's of the pelvis (`[joint_alignment=model-pelvis]`), which is the "
            "same where the shape of a person does not change in a video.",
            "GVHMR takes the 24 joints from meshes by J_regressor.",
            "Methods differ in what they are given: the true or an estimated focal length, the true rotation of the "
            "camera, its true motion (`[extrinsics=true]`). Nothing of this shows in a file of predictions.",
            "Fits of W-MPJPE and WA-MPJPE have a scale and start anew every 100 frames; RTE has none.",
            "Files that `ehps convert emdb` writes have no good frames with empty boxes: one more gap in a video.",
        ),
    ),
    "h36m-p1": Origin(
        (SPIN, PYMAF),
        (
            "SPIN and PyMAF test every 5th frame (10 fps), OSX and SMPLer-X every 64th of one camera.",
            "Head: the 14 joints have the top of the regressor's head (row 10); other lists of 14 have another point.",
        ),
    ),
    "h36m-p2": Origin(
        (SPIN, PYMAF, SMPLER),
        (
            "SPIN, PyMAF and SMPLer average all frames, tables of the original benchmark the actions "
            "(`[mean=groups]`).",
            "SMPLer aligns MPJPE at the middle of the hips (`[joint_alignment=regressed-mid-hip]`).",
            "OSX and SMPLer-X test every 64th frame, the others every 5th.",
        ),
    ),
    "h36m-p2-mosh": Origin(
        (PYMAF,),
        ("The frames are those that have a fit: MPJPE and PA-MPJPE of papers are of h36m-p2.",),
    ),
    "3doh50k": Origin(
        (PYMAF,),
        ("PyMAF reads joints and fits from a file of its own, which does not say how the joints were made.",),
    ),
    "ssp3d": Origin(
        ("SSP-3D, github.com/akashsengupta1997/SSP-3D", PYMAF),
        ("PyMAF reports mIoU alone.",),
    ),
    "lsp-segmentation": Origin(
        (SPIN, PYMAF, "UP-3D, github.com/classner/up"),
        (
            "SPIN and PyMAF draw bodies at 224 pixels and enlarge the drawing, which moves the outline by a pixel or "
            "two of the image; here they are drawn at its size.",
            "Which part a face is of comes from a texture in SPIN's data; here from the skinning weights.",
            "Boxes are about all 14 points; those of `ehps convert lsp` end at the border of the image, SPIN's do not.",
        ),
    ),
    "coco-projection": Origin(
        (PYMAF, "COCO, cocodataset.org, and pycocotools"),
        (
            "Hips are those that people mark, by J_regressor_extra; without that file the model's own can be taken "
            "(`[joints=coco17-model-hips]`).",
            "PyMAF tests the 2014 validation set (50,197 people); that of 2017 is another set.",
        ),
    ),
}


def origin(protocol: Protocol) -> Origin:
    """Of a registered protocol, or of the one that a changed one is made from."""
    name = (protocol.base or protocol).name
    if name in _ORIGINS:
        return _ORIGINS[name]
    of = name.removesuffix("-smplestx")
    base = _ORIGINS[of if of in _ORIGINS else f"{of}-ego"]
    other = tuple(said for said in base.disagreements if not said.startswith("SMPLest-X counts"))
    return Origin((SMPLEST_X,), (*other, "Its MPJPE of hands subtracts the wrist from the prediction only: left out."))
